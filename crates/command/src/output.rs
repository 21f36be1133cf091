//! Writing to standard output and standard error.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use crate::exit::Exit;
use crate::logs::{say_json, say_json_error};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use flowquet_table::Counts;

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// Nobody reads our output any more; that is success.
    BrokenPipe,
    /// An error, to be reported on standard error.
    Error(Diagnostic),
}

impl Failure {
    /// An error with its causes and a hint.
    pub fn new(exit: Exit, error: &dyn Error, hint: Option<String>) -> Self {
        Diagnostic { hint, ..Diagnostic::new(exit, with_causes(error)) }.into()
    }

    /// An error in these words, with a hint.
    pub fn message(exit: Exit, message: &str, hint: Option<&str>) -> Self {
        Diagnostic { hint: hint.map(str::to_owned), ..Diagnostic::new(exit, message.to_owned()) }.into()
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Error(diagnostic)
    }
}

/// An error as users are shown it: on standard error, as a line of JSON, and in reports. Its display is the form of standard error:
///
/// ```text
/// error: message: cause
///   details, a line each
/// hint: what to do
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The exit code of a command that ends with it.
    pub exit: Exit,
    /// The kind of the error, in a word that stays, where reports have one for it.
    pub kind: Option<&'static str>,
    /// What happened, with its causes. Details follow on lines of their own.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error in these words.
    pub fn new(exit: Exit, message: String) -> Self {
        Self { exit, kind: None, message, hint: None }
    }

    /// A warning that `what` happened because of this error.
    pub fn warning(&self, what: &str) -> String {
        format!("warning: {what}: {}{}", self.message, self.hint_line())
    }

    fn hint_line(&self) -> String {
        self.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}{}", self.message, self.hint_line())
    }
}

/// An error's message, then those of its causes: `what: cause: its cause`.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = shown(&error.to_string()).into_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {}", shown(&error.to_string())));
        cause = error.source();
    }
    with_typed_paths(&text)
}

/// Relative paths as they are typed: `file://./logs` is a URL that nobody gave. Those of objects begin at the root and stay, since options take them.
fn with_typed_paths(text: &str) -> String {
    let mut parts = text.split("`file://");
    let mut typed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if part.starts_with('/') {
            typed.push_str("`file://");
            typed.push_str(part);
        } else {
            typed.push('`');
            typed.push_str(part.strip_prefix("./").unwrap_or(part));
        }
    }
    typed
}

/// The exit code of a command that has ended. If an error ended it, that is reported on standard error.
pub fn finish(ended: Result<Exit, Failure>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(Failure::BrokenPipe) => Exit::Success,
        Err(Failure::Error(error)) => {
            if !say_json_error(error.exit, &error.message, error.hint.as_deref()) {
                say(&error.to_string());
            }
            error.exit
        }
    }
}

/// A name, a key or a message that others have chosen, for a terminal: on one line, and without what steers it.
///
/// Names of files and keys of objects may hold any character: escapes that move the cursor, or a line of its own that reads like
/// one of ours.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(steers) { escaped(text, steers).into() } else { text.into() }
}

/// A message of several lines that are ours, each as [`shown`] has it.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// Whether a terminal takes a character for an order, or shows what follows elsewhere than it stands.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A count with its noun: `1 object`, `1,200 objects`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", indicatif::HumanCount(n), if n == 1 { "" } else { "s" })
}

/// What lines are, in words: they add up to all lines.
pub fn parts_of_lines(c: &Counts) -> String {
    let parts = [(c.records, "record"), (c.rejects, "reject"), (c.headers, "header"), (c.blanks, "blank")];
    parts.map(|(n, noun)| counted(n, noun)).join(" + ")
}

/// Puts data on standard output.
///
/// # Errors
/// [`Failure::BrokenPipe`] where nobody reads it; as the system reports.
pub fn put(data: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    // JSON has none of these but in its strings, where they are escaped already.
    let is_order = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\x7f');
    let data = if data.contains(is_order) { escaped(data, is_order).into() } else { Cow::from(data) };
    match out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::BrokenPipe),
        Err(e) => Err(Failure::message(Exit::Failed, &format!("write standard output: {e}"), None)),
    }
}

/// Says words on standard error. Nobody may be listening, and that is no failure.
pub fn say(words: &str) {
    if say_json(words) {
        return;
    }
    let is_order = |c: char| steers(c) && c != '\n';
    let words = if words.contains(is_order) { escaped(words, is_order).into() } else { Cow::from(words) };
    let mut stderr = io::stderr().lock();
    let _ = match AutoStream::choice(&stderr) {
        ColorChoice::Never => writeln!(stderr, "{words}"),
        _ => writeln!(stderr, "{}", coloured(&words)),
    };
}

/// What a line begins with that says what it is, and how that looks.
const MARKS: [(&str, AnsiColor); 4] = [
    ("error:", AnsiColor::Red),
    ("hint:", AnsiColor::Cyan),
    ("note:", AnsiColor::Green),
    ("warning:", AnsiColor::Yellow),
];

/// Lines whose marks are coloured.
fn coloured(words: &str) -> String {
    let line = |line: &str| match MARKS.iter().find(|(mark, _)| line.starts_with(mark)) {
        Some((mark, colour)) => {
            let style = Style::new().bold().fg_color(Some((*colour).into()));
            format!("{style}{mark}{style:#}{}", &line[mark.len()..])
        }
        None => line.to_owned(),
    };
    words.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_are_typed() {
        for (text, expected) in [
            ("list `file://./nope`: gone", "list `nope`: gone"),
            ("read `file://a/b`, `file:///c`", "read `a/b`, `file:///c`"),
            ("list `s3://b/x`", "list `s3://b/x`"),
        ] {
            assert_eq!(with_typed_paths(text), expected);
        }
    }

    #[test]
    fn marks_of_lines_are_coloured_and_nothing_else() {
        let words = "error: read `a`: an error: b\n  note of the store\nhint: check";
        let (red, cyan, end) = ("\x1b[1m\x1b[31m", "\x1b[1m\x1b[36m", "\x1b[0m");
        let expected =
            format!("{red}error:{end} read `a`: an error: b\n  note of the store\n{cyan}hint:{end} check");
        assert_eq!(coloured(words), expected);
    }

    #[test]
    fn names_of_others_steer_no_terminal() {
        for (text, expected) in [
            ("s3://logs/plain é.log", "s3://logs/plain é.log"),
            ("a\x1b]0;title\x07b", r"a\u{1b}]0;title\u{7}b"),
            ("a\ndone: 0 rejected", r"a\ndone: 0 rejected"),
            ("a\rb\tc\x7f", r"a\rb\tc\u{7f}"),
            ("a\u{9b}2Jb", r"a\u{9b}2Jb"),
            ("a\u{202e}gol.b", r"a\u{202e}gol.b"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let error = io::Error::other("read `a\nerror: b`");
        assert_eq!(with_causes(&error), "read `a\\nerror: b`");
    }

    #[test]
    fn errors_have_one_form() {
        let mut error = Diagnostic::new(Exit::Failed, "read `a`: denied\n  a note".to_owned());
        assert_eq!(error.to_string(), "error: read `a`: denied\n  a note");
        error.hint = Some("check".to_owned());
        assert_eq!(error.to_string(), "error: read `a`: denied\n  a note\nhint: check");
        let warning = "warning: no metrics are written: read `a`: denied\n  a note\nhint: check";
        assert_eq!(error.warning("no metrics are written"), warning);
    }
}
