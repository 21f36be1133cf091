//! The prompt: questions typed one after the other, with history.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use flowquet_command::exit::Exit;
use flowquet_command::output::{Failure, put, say};
use flowquet_command::stop::stop;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::ask::Asker;
use crate::names::FLOWS;

const HELP: &str = "\
Questions are SQL and end in a semicolon: SELECT srcaddr, count(*) FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 10;
  \\d          columns
  \\?          this help
  \\q, Ctrl-D  leave
  Ctrl-C      stop a question
";

/// What is typed until a question is whole.
#[derive(Debug, Default)]
struct Typed(String);

/// What a line makes of it.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Ask(String),
    Help,
    Leave,
    More,
}

impl Typed {
    fn line(&mut self, line: &str) -> Then {
        if self.0.is_empty() {
            match line.trim() {
                "" => return Then::More,
                "\\q" | "exit" | "quit" | "exit;" | "quit;" => return Then::Leave,
                "\\?" | "\\h" | "help" | "help;" => return Then::Help,
                "\\d" => return Then::Ask(format!("DESCRIBE {FLOWS};")),
                _ => {}
            }
        } else {
            self.0.push('\n');
        }
        self.0.push_str(line);
        if self.is_whole() { Then::Ask(std::mem::take(&mut self.0)) } else { Then::More }
    }

    /// Whether it ends in a semicolon that stands in no quotes and no comment.
    fn is_whole(&self) -> bool {
        let (mut quote, mut last, mut chars) = (None, None, self.0.chars().peekable());
        while let Some(c) = chars.next() {
            match quote {
                Some(open) if c == open => quote = None,
                Some(_) => continue,
                None if c == '\'' || c == '"' => quote = Some(c),
                None if c == '-' && chars.peek() == Some(&'-') => {
                    chars.by_ref().find(|c| *c == '\n');
                    continue;
                }
                None => {}
            }
            if !c.is_whitespace() {
                last = Some(c);
            }
        }
        quote.is_none() && last == Some(';')
    }
}

/// Reads questions and answers them, until whoever asks has enough.
pub(crate) fn run(asker: &mut Asker<'_>) -> Result<(), Failure> {
    let mut editor = DefaultEditor::new()
        .map_err(|e| Failure::message(Exit::Failed, &format!("read the terminal: {e}"), None))?;
    let history = history();
    if let Some(path) = &history {
        // There is none before the first question.
        let _ = editor.load_history(path);
    }
    say("SQL over the table `flows`; \\d shows its columns, \\? helps, \\q leaves");
    let mut typed = Typed::default();
    loop {
        let prompt = if typed.0.is_empty() { "flows> " } else { "  ...> " };
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                typed = Typed::default();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                return Err(Failure::message(Exit::Failed, &format!("read the terminal: {error}"), None));
            }
        };
        match typed.line(&line) {
            Then::More => {}
            Then::Help => put(HELP)?,
            Then::Leave => break,
            Then::Ask(question) => {
                let _ = editor.add_history_entry(question.replace('\n', " ").as_str());
                stop().store(false, Ordering::Relaxed);
                match asker.again(&question) {
                    Err(Failure::Error(error)) => say(&error.to_string()),
                    other => other?,
                }
                stop().store(false, Ordering::Relaxed);
            }
        }
    }
    if let Some(path) = &history {
        // A history that cannot be kept is no reason to fail.
        let _ = editor.save_history(path);
    }
    Ok(())
}

/// Where questions are kept: beside what other programs keep of their state, where such a place exists.
fn history() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = given("XDG_STATE_HOME").or_else(|| Some(given("HOME")?.join(".local/state")));
    state
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.join("flowquet-sql-history"))
        .or_else(|| Some(given("HOME")?.join(".flowquet-sql-history")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_end_in_a_semicolon() {
        let mut typed = Typed::default();
        for (line, then) in [
            ("", Then::More),
            ("SELECT ';'", Then::More),
            ("-- not yet;", Then::More),
            ("FROM \"a;\" ; ", Then::Ask("SELECT ';'\n-- not yet;\nFROM \"a;\" ; ".to_owned())),
            ("\\d", Then::Ask("DESCRIBE flows;".to_owned())),
            ("\\?", Then::Help),
            ("SELECT 1; -- the end", Then::Ask("SELECT 1; -- the end".to_owned())),
            ("SELECT 'it''s", Then::More),
            ("\\q", Then::More),
            ("';", Then::Ask("SELECT 'it''s\n\\q\n';".to_owned())),
            (" \\q ", Then::Leave),
        ] {
            assert_eq!(typed.line(line), then, "{line}");
        }
    }
}
