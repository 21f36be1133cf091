//! docs/OPTIONS.md is made from the command line, so that neither can say what the other does not.
//!
//! `FLOWQUET_UPDATE=1 cargo test -p flowquet-cli --test options_page` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};

/// What is written by hand ends here.
const MARKER: &str =
    "<!-- Below this line the page is made from the command line: see crates/cli/tests/options_page.rs -->\n";

/// Options that most commands share are listed once.
const SHARED: &str = "S3";

fn is_shown(arg: &&Arg) -> bool {
    !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

fn heading(arg: &Arg) -> &str {
    arg.get_help_heading().unwrap_or("Options")
}

/// Text of a cell: on one line, without bars.
fn cell(text: &str) -> String {
    let words = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(words).collect::<Vec<_>>().join("<br>").replace('|', "\\|")
}

fn takes_value(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Count)
}

fn name(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.first().map(ToString::to_string).unwrap_or_default();
    let Some(long) = arg.get_long() else { return format!("`{value}`") };
    let mut name = format!("--{long}");
    if takes_value(arg) {
        let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
        let value = match (is_optional, arg.is_require_equals_set()) {
            (false, _) => format!(" {value}"),
            (true, false) => format!(" [{value}]"),
            (true, true) => format!("[={value}]"),
        };
        name.push_str(&value);
    }
    if let Some(short) = arg.get_short() {
        name.push_str(&format!("`, `-{short}"));
    }
    format!("`{name}`")
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = help.trim().to_owned();
    if takes_value(arg) {
        let possible: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|v| !v.is_hide_set())
            .map(|v| match v.get_help() {
                Some(help) => format!("`{}` ({help})", v.get_name()),
                None => format!("`{}`", v.get_name()),
            })
            .collect();
        if !possible.is_empty() && possible.iter().any(|p| p.contains('(')) {
            write!(meaning, ": {}", possible.join("; ")).expect("a string takes all");
        }
        let default: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        if !default.is_empty() && !arg.is_hide_default_value_set() {
            write!(meaning, " [default: {}]", default.join(" ")).expect("a string takes all");
        }
    }
    cell(&meaning)
}

fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = "| option | meaning |\n|---|---|\n".to_owned();
    for arg in args {
        writeln!(text, "| {} | {} |", cell(&name(arg)), meaning(arg)).expect("a string takes all");
    }
    text
}

fn section(command: &Command, path: &str, text: &mut String) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace("flowquet-", "flowquet ");
    write!(text, "\n## {path}\n\n```\n{}\n```\n\n", usage.trim()).expect("a string takes all");
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    text.push_str(about.unwrap_or_default().trim());
    text.push('\n');
    let args: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    let mut headings: Vec<&str> = Vec::new();
    for arg in &args {
        if !headings.contains(&heading(arg)) {
            headings.push(heading(arg));
        }
    }
    // Those without a heading come first, as in `--help`.
    headings.sort_by_key(|h| *h != "Options");
    for of in headings.iter().filter(|h| **h != SHARED) {
        if *of == "Options" {
            text.push('\n');
        } else {
            write!(text, "\n**{of}**\n\n").expect("a string takes all");
        }
        text.push_str(&table(args.iter().copied().filter(|arg| heading(arg) == *of)));
    }
    if headings.contains(&SHARED) {
        text.push_str("\nAnd the [options for S3](#options-for-s3).\n");
    }
    for below in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        section(below, &format!("{path} {}", below.get_name()), text);
    }
}

#[test]
fn the_page_of_options_is_what_the_program_has() {
    let command = flowquet_cli::command();
    let mut text = String::new();
    let mut shared: BTreeMap<String, String> = BTreeMap::new();
    for below in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        section(below, &format!("flowquet {}", below.get_name()), &mut text);
        let args: Vec<&Arg> =
            below.get_arguments().filter(is_shown).filter(|a| heading(a) == SHARED).collect();
        if !args.is_empty() {
            shared.insert(below.get_name().to_owned(), table(args.into_iter()));
        }
    }
    let first = shared.values().next().expect("a command that speaks S3").clone();
    assert!(shared.values().all(|t| *t == first), "options for S3 differ between commands");
    write!(text, "\n## Options for S3\n\n{first}").expect("a string takes all");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPTIONS.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (by_hand, made) = page.split_once(MARKER).expect("the marker");
    if std::env::var_os("FLOWQUET_UPDATE").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a page of the project, written on request")]
        std::fs::write(&path, format!("{by_hand}{MARKER}{text}")).expect("written");
        return;
    }
    let differs = made.lines().zip(text.lines()).find(|(on_page, now)| on_page != now);
    assert!(
        made == text,
        "docs/OPTIONS.md is out of date: run this test with FLOWQUET_UPDATE=1; {differs:#?}"
    );
}
