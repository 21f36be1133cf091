//! Places as they are typed: a path, or `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;

/// Scheme of S3 URLs.
pub const S3_SCHEME: &str = "s3://";

/// Scheme of local URLs.
pub const FILE_SCHEME: &str = "file://";

/// Shortest name of a bucket. Source: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
const BUCKET_NAME_MIN: usize = 3;

/// A place that objects are read from or written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local file or folder.
    Local(PathBuf),
    /// A bucket and a key or prefix in it.
    S3 {
        /// The bucket.
        bucket: String,
        /// Key or prefix, as it was typed; empty for the whole bucket.
        prefix: String,
    },
}

impl Location {
    /// Reads `text`: `s3://…` is S3, `file://…` and anything that looks like no other URL is a path.
    ///
    /// # Errors
    /// A message, where nothing is named, the bucket's name cannot be one, the scheme is another, or S3 is spelt in another way:
    /// taken for a path, `s3:/lake` would be a folder of that name.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Joined to another path, an empty one would be the folder where the program runs.
        if text.strip_prefix(FILE_SCHEME).unwrap_or(text).trim().is_empty() {
            let what = "expected s3://BUCKET/PREFIX or a path, found nothing: is a variable unset?";
            return Err(what.to_owned());
        }
        if let Some(path) = text.strip_prefix(FILE_SCHEME) {
            return Ok(Self::Local(PathBuf::from(path)));
        }
        if let Some(rest) = text.strip_prefix(S3_SCHEME) {
            return Self::in_s3(rest).ok_or_else(|| format!("expected s3://BUCKET/PREFIX, found `{text}`"));
        }
        let meant = respelt(text);
        if meant.is_none() && !text.contains("://") {
            return Ok(Self::Local(PathBuf::from(text)));
        }
        let hint = meant.filter(|m| !m.is_empty()).map(|m| format!("; did you mean `{m}`?"));
        Err(format!("expected s3://BUCKET/PREFIX or a path, found `{text}`{}", hint.unwrap_or_default()))
    }

    /// Reads what stands behind `s3://`.
    fn in_s3(rest: &str) -> Option<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        let is_bucket = bucket.len() >= BUCKET_NAME_MIN && bucket.chars().all(is_name);
        is_bucket.then(|| Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// Whether it is on S3.
    pub fn is_s3(&self) -> bool {
        self.bucket().is_some()
    }

    /// The bucket, on S3.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::S3 { bucket, .. } => Some(bucket),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "{S3_SCHEME}{bucket}/{prefix}"),
        }
    }
}

/// How a place that is spelt as other tools do would be spelt here; empty where it cannot be told which it is; `None` if it
/// looks like a path.
///
/// | text | meant |
/// |---|---|
/// | `s3:/lake/x`, `s3//lake/x`, `S3://lake/x`, `s3a://lake/x` | `s3://lake/x` |
/// | `arn:aws:s3:::lake/x` | `s3://lake/x` |
/// | `https://lake.s3.eu-west-1.amazonaws.com/x`, `https://s3.eu-west-1.amazonaws.com/lake/x` | `s3://lake/x` |
/// | `file:/a` | `file:///a` |
fn respelt(text: &str) -> Option<String> {
    // Without the colon; `s3/lake/x` and `./s3//lake/x` are paths.
    let colonless = || text.split_once("//").filter(|(scheme, _)| is_s3_scheme(scheme));
    let (scheme, rest) = colonless().or_else(|| text.split_once(':'))?;
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    let place = rest.trim_start_matches('/');
    let in_s3 =
        |place: &str| Location::in_s3(place).map(|_| format!("{S3_SCHEME}{place}")).unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        _ if is_s3_scheme(scheme) => Some(in_s3(place)),
        "file" if slashes > 0 => Some(format!("{FILE_SCHEME}/{place}")),
        "arn" => Some(rest.split_once(":s3:::").map(|(_, place)| in_s3(place)).unwrap_or_default()),
        "http" | "https" if slashes > 0 => {
            let (host, key) = place.split_once('/').unwrap_or((place, ""));
            let Some(host) = host.strip_suffix(".amazonaws.com") else { return Some(String::new()) };
            let is_endpoint = |name: &str| name == "s3" || name.starts_with("s3.") || name.starts_with("s3-");
            if is_endpoint(host) {
                return Some(in_s3(key));
            }
            let bucket = host.match_indices('.').map(|(i, _)| i).find(|i| is_endpoint(&host[i + 1..]));
            Some(bucket.map(|end| in_s3(&format!("{}/{key}", &host[..end]))).unwrap_or_default())
        }
        _ => None,
    }
}

/// Whether a scheme, without its colon, is S3's or one that Hadoop has for it.
fn is_s3_scheme(scheme: &str) -> bool {
    ["s3", "s3a", "s3n"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(Location::parse("logs/x"), Ok(Location::Local("logs/x".into())));
        assert_eq!(Location::parse("file:///a/b"), Ok(Location::Local("/a/b".into())));
        assert_eq!(Location::parse("s3://logs"), s3("logs", ""));
        assert_eq!(Location::parse("s3://logs/AWSLogs/"), s3("logs", "AWSLogs/"));
        // A colon alone makes no URL.
        for path in [
            "C:logs",
            "a:b/c",
            "logs/s3:/x",
            "./s3:/x",
            "12:30.log",
            "s3",
            "s3/lake",
            "./s3//lake",
            "s3x//lake",
            "file:x",
        ] {
            assert_eq!(Location::parse(path), Ok(Location::Local(path.into())), "{path}");
        }
    }

    #[test]
    fn nothing_is_no_place() {
        for text in ["", " ", "file://"] {
            let error = Location::parse(text).expect_err(text);
            assert!(error.ends_with("found nothing: is a variable unset?"), "{error}");
        }
    }

    #[test]
    fn other_spellings_are_told_apart_from_paths() {
        let meant = Some("s3://lake/x");
        for (text, meant) in [
            ("s3:/lake/x", meant),
            ("s3:lake/x", meant),
            ("s3//lake/x", meant),
            ("S3A//lake/x", meant),
            ("s3///lake/x", meant),
            ("s3//", None),
            ("s3:///lake/x", None),
            ("S3://lake/x", meant),
            ("s3a://lake/x", meant),
            ("s3n://lake/x", meant),
            ("arn:aws:s3:::lake/x", meant),
            ("arn:aws-us-gov:s3:::lake/x", meant),
            ("arn:aws:s3:us-east-1:123456789012:accesspoint/logs", None),
            ("https://lake.s3.eu-west-1.amazonaws.com/x", meant),
            ("https://lake.s3.amazonaws.com/x", meant),
            ("https://s3.eu-west-1.amazonaws.com/lake/x", meant),
            ("https://s3-eu-west-1.amazonaws.com/lake/x", meant),
            ("https://my.lake.s3.amazonaws.com/a b", Some("s3://my.lake/a b")),
            ("https://example.com/lake/x", None),
            ("http://localhost:9000/lake/x", None),
            ("FILE:///a", Some("file:///a")),
            ("file:/a", Some("file:///a")),
            ("gs://lake/x", None),
            ("s3:/", None),
            ("s3://", None),
            ("s3://a b/x", None),
        ] {
            let error = Location::parse(text).expect_err(text);
            assert!(error.starts_with("expected s3://BUCKET/PREFIX"), "{error}");
            assert!(error.contains(&format!(", found `{text}`")), "{error}");
            let hint = meant.map(|m| format!("; did you mean `{m}`?"));
            assert_eq!(error.split_once("; ").map(|(_, h)| format!("; {h}")), hint, "{text}");
        }
        assert_eq!(
            Location::parse("s3:/lake/x").expect_err("one slash"),
            "expected s3://BUCKET/PREFIX or a path, found `s3:/lake/x`; did you mean `s3://lake/x`?"
        );
    }
}
