//! `flowquet doctor`: what a conversion needs, tried before it is needed.

mod checks;
mod policy;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::output::{Failure, counted, put, shown};
use crate::signals::listen_for_signals;
use crate::terminal::visible;

/// How a line turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Good,
    /// It could be better, and nothing fails for it.
    Note,
    /// It could not be tried.
    Unknown,
    /// The service did not answer: it may later.
    Later,
    /// A conversion would fail, or lose something.
    Bad,
}

/// What was tried, and what came of it.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    state: State,
    /// In words.
    what: String,
    /// The statement of a policy that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Value>,
}

impl Line {
    fn new(check: &'static str, state: State, what: impl Into<String>) -> Self {
        Self { check, state, what: what.into(), policy: None }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    exit: u8,
    outcome: &'static str,
    lines: &'a [Line],
}

pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let lines = checks::lines(args);
    let has = |state| lines.iter().any(|line| line.state == state);
    let exit = if has(State::Bad) {
        Exit::Failed
    } else if has(State::Later) {
        Exit::Unavailable
    } else {
        Exit::Success
    };
    if args.json {
        let report = Report { exit: exit.code(), outcome: exit.name(), lines: &lines };
        put(&format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys")))?;
    } else {
        put(&text(&lines))?;
    }
    Ok(exit)
}

fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let state = match line.state {
            State::Good => "good",
            State::Note => "note",
            State::Unknown => "?",
            State::Later => "LATER",
            State::Bad => "BAD",
        };
        let what: Vec<_> = line.what.lines().map(shown).collect();
        let what = what.join("\n                        ");
        writeln!(text, "  {state:<6} {:<14} {what}", line.check).expect("a string takes all");
        if let Some(policy) = &line.policy {
            writeln!(text, "                        allow: {}", visible(&policy.to_string()))
                .expect("a string takes all");
        }
    }
    let bad = lines.iter().filter(|l| l.state == State::Bad).count() as u64;
    let later = lines.iter().filter(|l| l.state == State::Later).count() as u64;
    let last = match (bad, later) {
        (0, 0) => "all checks that could be run passed".to_owned(),
        (0, n) => format!("{} without an answer: try again", counted(n, "check")),
        (n, _) => format!("{} failed", counted(n, "check")),
    };
    text.push_str(&last);
    text.push('\n');
    text
}
