//! What `--version` says: the version, and the commit where this is built from a clone.
//!
//! The same commit gives the same text. Without git, or from an archive of the sources, there is the version alone.

use std::path::Path;
use std::process::Command;

/// What git says, if it says anything.
fn git(args: &[&str]) -> Option<String> {
    let done = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(done.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit and its date, if these sources are a clone of ours and no part of another's.
fn commit() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok())?;
    if top != root {
        return None;
    }
    // Written anew whenever another commit is checked out.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["log", "-1", "--abbrev=9", "--format=%h %cs"])
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let text = commit().map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=FLOWQUET_VERSION={text}");
}
