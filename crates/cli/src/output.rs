//! Writing to standard output and standard error.

use std::io::{self, Write};

use crate::exit::Exit;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads our output any more; that is success.
    BrokenPipe,
    /// A message, to be told on standard error.
    Told(Exit, String),
}

impl Failure {
    /// An error with its causes and a hint, as all errors are told.
    pub(crate) fn new(exit: Exit, error: &dyn std::error::Error, hint: Option<String>) -> Self {
        Self::Told(exit, error_text(error, hint.as_deref()))
    }

    pub(crate) fn message(exit: Exit, message: &str, hint: Option<&str>) -> Self {
        let hint = hint.map(|h| format!("\nhint: {h}")).unwrap_or_default();
        Self::Told(exit, format!("error: {message}{hint}"))
    }
}

/// `error: what: cause`, then the hint on a line of its own.
pub(crate) fn error_text(error: &dyn std::error::Error, hint: Option<&str>) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

/// A count with its noun: `1 object`, `1,200 objects`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", indicatif::HumanCount(n), if n == 1 { "" } else { "s" })
}

/// Puts data on standard output.
pub(crate) fn put(data: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::BrokenPipe),
        Err(e) => Err(Failure::message(Exit::Failed, &format!("write standard output: {e}"), None)),
    }
}

/// Says words on standard error. Nobody may be listening, and that is no failure.
pub(crate) fn say(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}
