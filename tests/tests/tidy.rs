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
    ("flowquet-input", &["flowquet-format", "flowquet-parquet"]),
    ("flowquet-table", &["flowquet-format", "flowquet-store"]),
    ("flowquet-plan", &["flowquet-format", "flowquet-table"]),
    ("flowquet-sources", &["flowquet-format", "flowquet-store", "flowquet-table"]),
    ("flowquet-enrich", &["flowquet-format"]),
    ("flowquet-arrow", &["flowquet-enrich", "flowquet-format", "flowquet-parse"]),
    ("flowquet-catalog", &["flowquet-aws", "flowquet-format", "flowquet-table"]),
    ("flowquet-command", &["flowquet-aws", "flowquet-store", "flowquet-table"]),
    ("flowquet-ec2", &["flowquet-aws"]),
    (
        "flowquet-engine",
        &[
            "flowquet-arrow",
            "flowquet-enrich",
            "flowquet-format",
            "flowquet-input",
            "flowquet-parquet",
            "flowquet-parse",
            "flowquet-plan",
            "flowquet-sources",
            "flowquet-store",
            "flowquet-table",
        ],
    ),
    (
        "flowquet-cli",
        &[
            "flowquet-arrow",
            "flowquet-aws",
            "flowquet-catalog",
            "flowquet-command",
            "flowquet-ec2",
            "flowquet-engine",
            "flowquet-enrich",
            "flowquet-format",
            "flowquet-input",
            "flowquet-page",
            "flowquet-parquet",
            "flowquet-parse",
            "flowquet-plan",
            "flowquet-sources",
            "flowquet-store",
            "flowquet-table",
        ],
    ),
    ("flowquet-page", &["flowquet-engine", "flowquet-format"]),
    ("flowquet-s3server", &[]),
    (
        "flowquet-sql",
        &["flowquet-catalog", "flowquet-command", "flowquet-format", "flowquet-store", "flowquet-table"],
    ),
    ("flowquet-testkit", &[]),
];

/// Outside packages that a crate must not name: what it does not know, it cannot come to depend on.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("flowquet-format", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-enrich", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-input", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-parse", &["arrow-array", "parquet", "rayon", "tokio", "serde"]),
    ("flowquet-arrow", &["parquet", "rayon", "tokio"]),
    ("flowquet-parquet", &["rayon", "tokio"]),
    ("flowquet-plan", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-table", &["arrow-array", "clap", "parquet", "rayon", "tokio"]),
    ("flowquet-sources", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-store", &["arrow-array", "parquet", "rayon"]),
    ("flowquet-catalog", &["arrow-array", "aws-sdk-s3", "parquet", "rayon"]),
    ("flowquet-ec2", &["arrow-array", "aws-sdk-s3", "parquet", "rayon"]),
    ("flowquet-engine", &["clap", "indicatif", "maud", "tokio"]),
    ("flowquet-page", &["arrow-array", "parquet", "rayon", "tokio"]),
    ("flowquet-cli", &["datafusion", "tokio"]),
    ("flowquet-command", &["arrow-array", "parquet", "rayon", "tokio"]),
    // The engine has its own.
    ("flowquet-sql", &["arrow-array", "parquet", "rayon"]),
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
fn nothing_stands_at_the_top_that_has_no_place_there() {
    let known = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "benches",
        "clippy.toml",
        "crates",
        "deny.toml",
        "docker",
        "docs",
        "examples",
        "fuzz",
        "python",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "schemas",
        "test",
        "tests",
    ];
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git runs");
    let listed = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let mut names: Vec<_> = listed.split('\0').filter_map(|path| path.split('/').next()).collect();
    names.dedup();
    assert!(names.contains(&"Cargo.toml"), "a checkout of git: {names:?}");
    names.retain(|name| !name.is_empty() && !name.starts_with('.') && !known.contains(name));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn every_file_says_what_it_is_about_and_has_one_subject() {
    for (path, text) in sources() {
        let is_test = path.ends_with("tests.rs");
        assert!(is_test || text.starts_with("//! "), "{} has no module doc", path.display());
        assert!(text.lines().count() <= LINES_MAX, "{} is longer than {LINES_MAX} lines", path.display());
    }
}

/// The front of a crate shows how it is used, by an example that is compiled.
#[test]
fn every_crate_has_an_example() {
    for (path, text) in sources() {
        if path.ends_with("src/lib.rs") && path.starts_with(root().join("crates")) {
            assert!(text.lines().any(|l| l == "//! ```"), "{} has no example", path.display());
        }
    }
}

#[test]
fn unsafe_stands_in_the_named_modules_only() {
    let named = [
        "crates/input/src/inflate.rs",
        "crates/parse/src/address/avx2.rs",
        "crates/parse/src/address/neon.rs",
        "crates/parse/src/arm.rs",
        "crates/parse/src/integer/avx2.rs",
        "crates/parse/src/integer/avx512.rs",
        "crates/parse/src/integer/neon.rs",
        "crates/parse/src/loads.rs",
        "crates/parse/src/locate/avx2.rs",
        "crates/parse/src/locate/avx512.rs",
        "crates/parse/src/locate/neon.rs",
        "crates/parse/src/repeats/avx2.rs",
        "crates/parse/src/repeats/neon.rs",
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
    for entry in fs::read_dir(root().join("crates")).expect("a folder").flatten() {
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).expect("a manifest");
        let described = manifest.lines().any(|l| l.starts_with("description = ") && l.len() > 30);
        assert!(described, "{}", entry.path().display());
    }
}

/// The log belongs to one crate: nothing else reads, decodes or names records.
#[test]
fn the_engine_reads_no_records() {
    for (path, text) in sources() {
        let path = path.strip_prefix(root()).expect("below the root").to_owned();
        let is_above =
            ["engine", "cli", "catalog", "plan", "sources"].map(|name| format!("crates/{name}/src"));
        if path.ends_with("tests.rs") || !is_above.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["from_json(", "plan_from_gzip(", "to_json(", "plan_to_gzip(", "\"_flowquet/"] {
            assert!(!text.contains(word), "{word} in {}: the log is read by flowquet-table", path.display());
        }
        // Of a table they know objects and names, never the log.
        for word in
            ["Log,", "Log}", "Log::", "TableState"].iter().filter(|_| path.starts_with("crates/sources"))
        {
            assert!(!text.contains(word), "{word} in {}: sources know no log", path.display());
        }
    }
}

/// Pages of the project, for people.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", ".github", "benches", "docs", "examples", "python", "tests/tables"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        pages
            .extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The name under which GitHub links a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("text");
                let found = text.lines().filter(|l| l.starts_with('#')).any(|l| anchor(l) == heading);
                assert!(found, "{}: {link} has no such heading", page.display());
            }
        }
    }
}

/// What a page names in backticks, alternatives in braces each by itself.
fn alternatives(word: &str) -> Vec<String> {
    match word.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![word.to_owned()],
    }
}

#[test]
fn the_architecture_names_files_that_exist() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("text");
    let paths: Vec<String> = sources().iter().map(|(path, _)| path.display().to_string()).collect();
    let mut count = 0;
    for word in page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_path = word.ends_with(".rs") || word.contains("/src/");
        for name in alternatives(word).iter().filter(|_| is_path) {
            let name = name.trim_end_matches('/');
            let (file, folder) = (format!("/{name}"), format!("/{name}/"));
            // Also a module that is a file and a folder: `parse/src/locate`.
            let is_there = paths
                .iter()
                .any(|p| p.ends_with(&file) || p.ends_with(&format!("{file}.rs")) || p.contains(&folder))
                || root().join(name).exists();
            assert!(is_there, "ARCHITECTURE.md names `{name}`, which is not there");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// The table of crates says of each where reading begins.
#[test]
fn the_architecture_says_where_each_crate_begins() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("text");
    for (package, _) in
        EDGES.iter().filter(|(package, _)| !package.ends_with("testkit") && !package.ends_with("s3server"))
    {
        let name = package.trim_start_matches("flowquet-");
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {name} | ")) && line.matches(" | ").count() == 3);
        let row = row.unwrap_or_else(|| panic!("the table of crates has no row of {name}"));
        let begins = row.rsplit(" | ").next().expect("a last cell");
        for file in begins.split('`').skip(1).step_by(2).filter(|word| word.contains(['.', '/'])) {
            let path = root().join("crates").join(name).join("src").join(file);
            assert!(path.exists(), "{name} begins at {file}, which is not there");
        }
    }
}

/// Words of messages that docs/TROUBLESHOOTING.md explains are words of the program.
#[test]
fn explained_messages_exist() {
    let page = fs::read_to_string(root().join("docs/TROUBLESHOOTING.md")).expect("text");
    let mut code = String::new();
    for (_, text) in sources() {
        // Literals go over several lines.
        let lines = text.lines().map(str::trim);
        code.extend(lines.map(|l| l.strip_suffix('\\').unwrap_or(l)));
    }
    let rows = page.lines().filter(|l| l.starts_with("| `"));
    let messages = rows.filter_map(|row| row.split(" | ").next());
    let fragments: Vec<&str> = messages.flat_map(|m| m.split('`').skip(1).step_by(2)).collect();
    assert!(fragments.len() > 40, "{}", fragments.len());
    for fragment in fragments {
        assert!(code.contains(fragment.trim()), "no message says `{fragment}`");
    }
}

/// The numbered promises of a document.
fn promises(text: &str) -> Vec<String> {
    let is_number = |word: &str| {
        let rest = word.strip_prefix(['L', 'S']).unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
    };
    let words = text.split_whitespace().filter_map(|word| word.strip_suffix(':'));
    words.filter(|word| is_number(word)).map(str::to_lowercase).collect()
}

#[test]
fn each_promise_with_a_number_is_named_by_a_test() {
    let semantics = fs::read_to_string(root().join("docs/SEMANTICS.md")).expect("text");
    let promises = promises(&semantics);
    assert!(promises.len() >= 18, "{promises:?}");
    let mut names = Vec::new();
    for (_, text) in sources() {
        let lines = text.lines().map(str::trim).filter_map(|l| l.strip_prefix("fn "));
        names.extend(lines.map(|l| l.split('(').next().unwrap_or_default().to_owned()));
    }
    for promise in promises {
        let is_named = |name: &String| match name.split_once("_to_") {
            // A range: `l1_to_l8_…`.
            Some((first, rest)) => {
                let number = |word: &str| word.get(1..).and_then(|n| n.parse::<u32>().ok());
                let last = rest.split('_').next().unwrap_or_default();
                let (first, last, this) = (number(first), number(last), number(&promise));
                name.starts_with(&promise[..1]) && first.is_some() && first <= this && this <= last
            }
            None => name.split('_').next() == Some(promise.as_str()),
        };
        assert!(names.iter().any(is_named), "no test is called {promise}_…");
    }
}

/// The modules of a crate by their paths, such as `spelling::find`, with their text up to the tests. Tests see all.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix(source) else { continue };
        let inside = inside.with_extension("");
        let names: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if names.iter().any(|name| name == "tests" || name == "bin") {
            continue;
        }
        let names = names.strip_suffix(&["mod".to_owned()]).unwrap_or(&names);
        let tests = ["mod ", "pub(crate) mod "].map(|m| text.find(&format!("#[cfg(test)]\n{m}")));
        let text = text[..tests.into_iter().flatten().min().unwrap_or(text.len())].to_owned();
        found.insert(names.join("::"), text);
    }
    found
}

/// The paths below the crate that `text`, a module called `module`, imports: `use crate::a::{b, c};` is `a::b` and `a::c`.
fn imports(module: &str, text: &str) -> Vec<String> {
    fn expand(prefix: &str, path: &str, into: &mut Vec<String>) {
        let Some((head, group)) = path.split_once('{') else {
            into.push(format!("{prefix}{}", path.split(" as ").next().unwrap_or_default().trim()));
            return;
        };
        let (mut depth, mut start) = (0, 0);
        let group = group.trim_end().trim_end_matches('}');
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let part = group[start..at].trim();
                    if !part.is_empty() {
                        expand(&format!("{prefix}{}", head.trim()), part, into);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    for statement in text.split("use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let (base, rest) = match statement.split_once("::") {
            Some(("crate", rest)) => (String::new(), rest),
            Some(("super", rest)) => {
                (module.rsplit_once("::").map_or("", |(p, _)| p).to_owned() + "::", rest)
            }
            _ => continue,
        };
        expand(base.trim_start_matches("::"), rest, &mut found);
    }
    // Paths that are written out where they are used.
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for path in line.split("crate::").skip(1) {
            let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = path.find(|c| !is_of_path(c)).unwrap_or(path.len());
            found.push(path[..end].trim_end_matches(':').to_owned());
        }
    }
    found
}

/// A file can be understood without those that use it. A folder's own file and the files in it are one room.
#[test]
fn no_files_import_each_other_in_a_circle() {
    for entry in fs::read_dir(root().join("crates")).expect("a folder").flatten() {
        let modules = modules(&entry.path().join("src"));
        let mut arrows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, text) in modules.iter().filter(|(name, _)| *name != "lib" && *name != "main") {
            for path in imports(name, text) {
                let target = modules.keys().filter(|m| path == **m || path.starts_with(&format!("{m}::")));
                let Some(target) = target.max_by_key(|m| m.len()) else { continue };
                let is_one_room =
                    target.starts_with(&format!("{name}::")) || name.starts_with(&format!("{target}::"));
                if target != name && !is_one_room {
                    arrows.entry(name).or_default().push(target);
                }
            }
        }
        // What imports nothing that is left is understood; whatever is never understood hangs in a circle.
        let mut left: Vec<&str> = modules.keys().map(String::as_str).collect();
        loop {
            let before = left.len();
            let is_open = |name: &str| arrows.get(name).is_some_and(|to| to.iter().any(|t| left.contains(t)));
            left = left.iter().copied().filter(|name| is_open(name)).collect();
            if left.len() == before {
                break;
            }
        }
        assert!(left.is_empty(), "{}: {left:?} import each other in a circle", entry.path().display());
    }
}
