//! What keeps the house in order: crate edges, module docs, sizes, and what must not be in the tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each crate may name, as ARCHITECTURE.md draws it. `testkit` is for tests only.
const EDGES: &[(&str, &[&str])] = &[
    ("flowquet-aws", &[]),
    ("flowquet-format", &[]),
    ("flowquet-store", &["flowquet-aws"]),
    ("flowquet-parse", &["flowquet-format"]),
    ("flowquet-parquet", &["flowquet-format"]),
    ("flowquet-plan", &["flowquet-format"]),
    ("flowquet-arrow", &["flowquet-format", "flowquet-parse"]),
    ("flowquet-catalog", &["flowquet-aws", "flowquet-format", "flowquet-plan"]),
    (
        "flowquet-engine",
        &[
            "flowquet-arrow",
            "flowquet-format",
            "flowquet-parquet",
            "flowquet-parse",
            "flowquet-plan",
            "flowquet-store",
        ],
    ),
    (
        "flowquet-cli",
        &[
            "flowquet-arrow",
            "flowquet-aws",
            "flowquet-catalog",
            "flowquet-engine",
            "flowquet-format",
            "flowquet-parquet",
            "flowquet-parse",
            "flowquet-plan",
            "flowquet-store",
        ],
    ),
    ("flowquet-s3server", &[]),
    ("flowquet-testkit", &[]),
];

/// Outside packages that a crate must not name: what it does not know, it cannot come to depend on.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("flowquet-format", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-parse", &["arrow-array", "parquet", "rayon", "tokio", "serde"]),
    ("flowquet-arrow", &["parquet", "rayon", "tokio"]),
    ("flowquet-parquet", &["rayon", "tokio"]),
    ("flowquet-plan", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-store", &["arrow-array", "parquet", "rayon"]),
    ("flowquet-catalog", &["arrow-array", "aws-sdk-s3", "parquet", "rayon"]),
    ("flowquet-engine", &["clap", "indicatif", "tokio"]),
    ("flowquet-cli", &["tokio"]),
];

/// Past this many lines a file probably has a second subject.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies below the root").to_owned()
}

/// Package to the names of its dependencies, without those for tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output();
    let json: serde_json::Value = serde_json::from_slice(&out.expect("cargo runs").stdout).expect("metadata");
    let packages = json["packages"].as_array().expect("packages").iter();
    let name = |v: &serde_json::Value| v["name"].as_str().expect("a name").to_owned();
    let used = |p: &serde_json::Value| {
        let all = p["dependencies"].as_array().expect("dependencies").iter();
        all.filter(|d| d["kind"].as_str() != Some("dev")).map(name).collect()
    };
    packages.map(|p| (name(p), used(p))).collect()
}

#[test]
fn crates_name_only_what_lies_below_them() {
    let dependencies = dependencies();
    for (package, used) in &dependencies {
        if ["flowquet-tests", "flowquet-benches"].contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) = EDGES
            .iter()
            .find(|(p, _)| p == package)
            .unwrap_or_else(|| panic!("{package} has no entry in EDGES"));
        for name in used.iter().filter(|n| n.starts_with("flowquet-")) {
            assert!(allowed.contains(&name.as_str()), "{package} must not depend on {name}");
        }
    }
    for (package, forbidden) in FORBIDDEN {
        for name in *forbidden {
            assert!(!dependencies[*package].iter().any(|d| d == name), "{package} must not know {name}");
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("tests"), root().join("benches")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_file_says_what_it_is_about_and_has_one_subject() {
    for (path, text) in sources() {
        let is_test = path.ends_with("tests.rs");
        assert!(is_test || text.starts_with("//! "), "{} has no module doc", path.display());
        assert!(text.lines().count() <= LINES_MAX, "{} is longer than {LINES_MAX} lines", path.display());
    }
}

#[test]
fn unsafe_stands_in_the_named_modules_only() {
    let named = [
        "crates/parse/src/address/avx2.rs",
        "crates/parse/src/inflate.rs",
        "crates/parse/src/integer/avx2.rs",
        "crates/parse/src/locate/avx2.rs",
        "crates/parse/src/repeats/avx2.rs",
        "crates/parse/src/x86.rs",
    ];
    for (path, text) in sources() {
        let path = path.strip_prefix(root()).expect("below the root");
        let has = text.lines().any(|l| {
            !l.trim_start().starts_with("//")
                && (l.contains("unsafe {") || l.contains("unsafe impl") || l.contains("unsafe fn"))
        });
        if has && !path.ends_with("tidy.rs") {
            assert!(named.iter().any(|n| path == Path::new(n)), "unsafe in {}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_do_later() {
    let words = ["TO", "FIX", "XX"].map(|w| {
        format!(
            "{w}{}",
            if w == "TO" {
                "DO"
            } else if w == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    for (path, text) in sources() {
        for word in &words {
            assert!(!text.contains(word.as_str()), "{word} in {}", path.display());
        }
    }
}

#[test]
fn descriptions_are_written() {
    for name in [
        "aws", "format", "parse", "arrow", "catalog", "parquet", "store", "plan", "engine", "cli", "testkit",
        "s3server",
    ] {
        let manifest =
            fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).expect("a manifest");
        assert!(manifest.lines().any(|l| l.starts_with("description = ") && l.len() > 30), "{name}");
    }
}
