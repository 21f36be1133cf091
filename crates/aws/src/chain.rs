//! Where credentials are looked for, and what is found there: what to tell a person where there are none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where credentials are looked for, in order, each with what keeps them from being found there: where the SDK looks, or in
/// `profile` alone where an option names it.
///
/// Source: docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html, with the order of the Rust SDK.
pub fn looked_for(profile: Option<&str>) -> Vec<String> {
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    looked_for_in(profile, &env, &|path| std::fs::read_to_string(path))
}

type Read<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

fn looked_for_in(profile: Option<&str>, env: &dyn Fn(&str) -> Option<String>, read: Read<'_>) -> Vec<String> {
    if profile.is_some() {
        return vec![of_profile(profile, env, read)];
    }
    let unset = |name: &str| format!("{name} is not set");
    let static_key = match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        (None, _) => unset("AWS_ACCESS_KEY_ID"),
        (Some(_), None) => unset("AWS_SECRET_ACCESS_KEY"),
        (Some(_), Some(_)) => "set".to_owned(),
    };
    let web_identity = match env("AWS_WEB_IDENTITY_TOKEN_FILE") {
        None => unset("AWS_WEB_IDENTITY_TOKEN_FILE"),
        Some(file) => match (read(Path::new(&file)), env("AWS_ROLE_ARN")) {
            (Err(error), _) => format!("{file}: {}", of_system(&error)),
            (Ok(_), None) => unset("AWS_ROLE_ARN"),
            (Ok(_), Some(role)) => format!("no credentials of {role} for the token in {file}"),
        },
    };
    let container =
        env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").or_else(|| env("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    let container = container.map_or_else(
        || unset("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        |uri| format!("no credentials from {uri}"),
    );
    let instance = match env("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        true => "AWS_EC2_METADATA_DISABLED is set".to_owned(),
        false => "the metadata service gives none; is this an EC2 instance with a role?".to_owned(),
    };
    vec![
        format!("environment: {static_key}"),
        of_profile(None, env, read),
        format!("web identity: {web_identity}"),
        format!("role of the container: {container}"),
        format!("role of the instance: {instance}"),
    ]
}

fn of_profile(option: Option<&str>, env: &dyn Fn(&str) -> Option<String>, read: Read<'_>) -> String {
    let from_env = env("AWS_PROFILE");
    let (name, from) = match (option, &from_env) {
        (Some(name), _) => (name, " (as given)"),
        (None, Some(name)) => (name.as_str(), " (AWS_PROFILE)"),
        (None, None) => ("default", ""),
    };
    let home = env("HOME").or_else(|| env("USERPROFILE")).unwrap_or_else(|| "~".to_owned());
    let file = |variable: &str, name: &str| {
        env(variable).map_or_else(|| PathBuf::from(&home).join(".aws").join(name), PathBuf::from)
    };
    let files = [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
    let mut text = format!("profile `{name}`{from}: ");
    let mut is_named = false;
    for (i, path) in files.iter().enumerate() {
        let found = match read(path) {
            Err(error) => of_system(&error),
            Ok(content) if has_profile(&content, name) => {
                is_named = true;
                "names it".to_owned()
            }
            Ok(_) => "does not name it".to_owned(),
        };
        let comma = if i > 0 { ", " } else { "" };
        write!(text, "{comma}{} {found}", path.display()).expect("a string takes all");
    }
    if is_named {
        text.push_str("; no credentials come of it");
    }
    text
}

/// Whether a file of profiles has one called `name`: `[name]`, or `[profile name]` in the configuration.
fn has_profile(content: &str, name: &str) -> bool {
    let sections = content.lines().filter_map(|line| line.trim().strip_prefix('[')?.split(']').next());
    sections
        .map(|s| s.trim())
        .any(|s| s == name || s.strip_prefix("profile").is_some_and(|p| p.trim() == name))
}

fn of_system(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[track_caller]
    fn check(profile: Option<&str>, set: &[(&str, &str)], expected: &[&str]) {
        let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let read = |path: &Path| match path.to_str() {
            Some("/home/me/.aws/config") => Ok("[default]\nregion = x\n[ profile  work ]\n".to_owned()),
            Some("/home/me/.aws/credentials") => Err(Error::from(ErrorKind::PermissionDenied)),
            Some("/token") => Ok("secret".to_owned()),
            _ => Err(Error::from(ErrorKind::NotFound)),
        };
        assert_eq!(looked_for_in(profile, &env, &read), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            None,
            &[("HOME", "/home/me"), ("AWS_EC2_METADATA_DISABLED", "true")],
            &[
                "environment: AWS_ACCESS_KEY_ID is not set",
                "profile `default`: /home/me/.aws/config names it, /home/me/.aws/credentials cannot be read: permission denied; no credentials come of it",
                "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
                "role of the container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set",
                "role of the instance: AWS_EC2_METADATA_DISABLED is set",
            ],
        );
        let files = [("AWS_CONFIG_FILE", "/home/me/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "/none")];
        // The environment has no part in it.
        check(
            Some("nope"),
            &[("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), files[0], files[1]],
            &["profile `nope` (as given): /home/me/.aws/config does not name it, /none is not there"],
        );
        check(
            None,
            &[
                ("AWS_ACCESS_KEY_ID", "x"),
                ("AWS_PROFILE", "work"),
                files[0],
                files[1],
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/x"),
            ],
            &[
                "environment: AWS_SECRET_ACCESS_KEY is not set",
                "profile `work` (AWS_PROFILE): /home/me/.aws/config names it, /none is not there; no credentials come of it",
                "web identity: AWS_ROLE_ARN is not set",
                "role of the container: no credentials from http://169.254.170.23/x",
                "role of the instance: the metadata service gives none; is this an EC2 instance with a role?",
            ],
        );
    }

    #[test]
    fn profiles() {
        for (content, name, expected) in [
            ("[work]\n", "work", true),
            ("[profile work]\n", "work", true),
            ("  [profile work] # mine\n", "work", true),
            ("[workshop]\n", "work", false),
            ("[sso-session work]\n", "work", false),
            ("# [work]\n", "work", false),
        ] {
            assert_eq!(has_profile(content, name), expected, "{content:?}");
        }
    }
}
