//! Options that hints name exist: in the command that shows the hint, or in the one that it names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Command;

/// Long options of the command `name`, such as `convert` or `schema diff`, and those of all commands if it is empty.
fn options_of(command: &Command, name: &str) -> BTreeSet<String> {
    let below = command.get_subcommands();
    let mut found: BTreeSet<String> =
        command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect();
    match name.split_once(' ').unwrap_or((name, "")) {
        ("", _) => below.for_each(|c| found.extend(options_of(c, ""))),
        (first, rest) => match below.into_iter().find(|c| c.get_name() == first) {
            Some(below) if rest.is_empty() => {
                return below.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect();
            }
            Some(below) => return options_of(below, rest),
            None => {}
        },
    }
    found
}

/// `--words` of a text, each with the command of ours in whose backquotes it stands, if it does. Commands of others are skipped.
fn named_options(text: &str) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for (i, part) in text.split('`').enumerate() {
        let mut words = part.split_whitespace();
        let of = match (i % 2, words.next()) {
            (1, Some("flowquet")) => words.next().map(str::to_owned),
            (1, Some(first)) if !first.starts_with("--") => continue,
            _ => None,
        };
        for word in part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            if let Some(option) = word.strip_prefix("--").filter(|o| !o.is_empty()) {
                found.push((of.clone(), option.to_owned()));
            }
        }
    }
    found
}

fn check(command: &Command, shown_by: &str, text: &str) {
    for (of, option) in named_options(text) {
        let name = of.as_deref().unwrap_or(shown_by);
        let exists = options_of(command, name).contains(&option);
        assert!(exists, "`flowquet {name}` has no --{option}, and a hint says: {text}");
    }
}

#[test]
fn hints_of_sessions_name_options_of_their_command() {
    let command = flowquet_cli::command();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let mut hints = 0;
    for entry in std::fs::read_dir(folder).expect("sessions").flatten() {
        let Ok(session) = std::fs::read_to_string(entry.path()) else { continue };
        let mut shown_by = "";
        for line in session.lines() {
            if let Some(typed) = line.strip_prefix("$ flowquet ") {
                shown_by = typed.split_whitespace().next().unwrap_or_default();
            } else if let Some(hint) = line.strip_prefix("hint: ") {
                hints += 1;
                check(&command, shown_by, hint);
            }
        }
    }
    assert!(hints > 15, "{hints}");
}

/// Crates that speak to whoever types: those of the command lines, and the page, which says what an option would save.
const SPEAKING: [&str; 4] = ["cli", "command", "page", "sql"];

/// Programs for tests, with options of their own.
const TOOLS: [&str; 2] = ["s3server", "testkit"];

/// A file of a library that knows an option of another program.
const OF_ANOTHER: &str = "input/src/framing/mod.rs";

/// Rust files below a folder, but those of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// String literals of a file, before its tests.
fn literals(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("text");
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    // Those that go on in the next line are one.
    let mut parts = text.split("\\\n");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| joined.push_str(part.trim_start()));
    joined
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .flat_map(|l| l.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Also those that no session provokes: they name options that some command has. Libraries name none: they do not know which
/// command runs.
#[test]
fn options_in_the_sources_exist_and_libraries_name_none() {
    let command = flowquet_cli::command();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates");
    let mut checked = 0;
    for entry in std::fs::read_dir(crates).expect("crates").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if TOOLS.contains(&name.as_str()) {
            continue;
        }
        let mut files = Vec::new();
        sources(&entry.path().join("src"), &mut files);
        for file in files {
            let shown = file.strip_prefix(crates).expect("below").display().to_string();
            for text in literals(&file).iter().filter(|text| !named_options(text).is_empty()) {
                if SPEAKING.contains(&name.as_str()) {
                    check(&command, "", text);
                    checked += 1;
                } else {
                    assert!(shown == OF_ANOTHER, "{shown} names an option: {text}");
                }
            }
        }
    }
    assert!(checked > 100, "{checked}");
}
