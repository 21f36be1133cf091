//! What is wrong with a file.

use std::fmt;

/// Where in a file something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    File,
    /// A line, counted from 1.
    Line(u64),
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is compressed.
    Compressed,
    /// It is longer than this many bytes.
    TooLong(usize),
    /// It has more than this many entries.
    TooMany(usize),
    /// Two entries of one network or interface begin at one time and say otherwise; the line of the other one.
    Twice {
        /// What both are of.
        key: String,
        /// The line of the other one.
        line: u64,
    },
    /// Something else, as text that begins with what was expected.
    Wrong(String),
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

/// Characters of a name or value of the file that a message shows.
const SHOWN_MAX: usize = 60;

/// Characters of a message that has something of the file in it which nobody has cut: errors of parsers.
const MESSAGE_MAX: usize = 400;

/// A name or value of the file, as a message shows it.
pub(crate) fn shown(text: &str) -> String {
    cut(text, SHOWN_MAX)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl Error {
    pub(crate) fn file(what: impl Into<String>) -> Self {
        Self { place: Place::File, what: What::Wrong(cut(&what.into(), MESSAGE_MAX)) }
    }

    pub(crate) fn line(line: u64, what: impl Into<String>) -> Self {
        Self { place: Place::Line(line), what: What::Wrong(cut(&what.into(), MESSAGE_MAX)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Place::Line(line) = self.place {
            write!(f, "line {line}: ")?;
        }
        match &self.what {
            What::Compressed => f.write_str("expected a file that is not compressed, found gzip"),
            What::TooLong(max) => write!(f, "expected at most {} MiB, found more", max >> 20),
            What::TooMany(max) => write!(f, "expected at most {max} entries, found more"),
            What::Twice { key, line } => {
                write!(
                    f,
                    "expected one entry of {key} at a time, found another one with other values in line {line}"
                )
            }
            What::Wrong(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
