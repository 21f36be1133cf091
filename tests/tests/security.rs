//! `docs/SECURITY.md` promises nothing that no test holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies below the root").to_owned()
}

/// Names of all tests, in Rust and in Python.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("crates"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let before = match path.extension().and_then(|e| e.to_str()) {
                Some("rs") => "fn ",
                Some("py") => "def ",
                _ => continue,
            };
            let text = fs::read_to_string(&path).expect("text");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for two in lines.windows(2) {
                let is_test = before == "def " || two[0] == "#[test]";
                if let Some(rest) = two[1].strip_prefix(before).filter(|_| is_test) {
                    names.insert(rest.split('(').next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn tests_that_the_threat_model_names_exist() {
    let document = fs::read_to_string(root().join("docs/SECURITY.md")).expect("text");
    let tests = tests();
    let is_test = |word: &&str| {
        word.matches('_').count() >= 2 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let named: Vec<&str> = document.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(tests.contains(name), "docs/SECURITY.md names the test {name}, which does not exist");
    }
}

#[test]
fn lines_without_a_test_say_what_can_be_done() {
    let document = fs::read_to_string(root().join("docs/SECURITY.md")).expect("text");
    let rows = document.lines().filter(|line| line.starts_with("| It cannot ")).collect::<Vec<_>>();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        assert!(row.trim_end_matches('|').rsplit('|').next().is_some_and(|cell| cell.contains('`')), "{row}");
    }
}
