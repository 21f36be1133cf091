//! Objects that cannot be read at all, as their first bytes tell.

use std::fmt;

use flowquet_format::{Catalogue, header_format};

use crate::line::is_blank;
use crate::reject::excerpt;

/// Why an object cannot be read as flow logs at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectError {
    /// Bytes that are no text.
    Binary,
    /// A header line that a carriage return ends: text without newlines.
    CarriageReturns,
    /// JSON text: events that are no flow log lines.
    Json,
    /// No header line, and no log format was given. Holds the first line's beginning.
    NoFormat(String),
    /// A Parquet file.
    Parquet,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("expected lines of text, found binary data"),
            Self::CarriageReturns => {
                f.write_str(
                "expected lines that end in newlines, found carriage returns alone: `tr '\\r' '\\n'` makes newlines of them",
            )
            }
            Self::Json => f.write_str("expected flow log lines, found JSON"),
            Self::NoFormat(line) => write!(f, "expected a header line of field names, found `{line}`"),
            Self::Parquet => f.write_str("expected flow log lines, found a Parquet file"),
        }
    }
}

impl std::error::Error for ObjectError {}

/// Looks for what is no text at an object's beginning.
pub(crate) fn check_magic(window: &[u8]) -> Result<(), ObjectError> {
    /// Text has no zero bytes but where it was damaged; UTF-16 and archives show one at once.
    const PROBE_BYTES: usize = 512;
    if window.starts_with(b"PAR1") {
        return Err(ObjectError::Parquet);
    }
    // Zeros before the first line say nothing.
    let begin = window.iter().position(|b| *b != 0).unwrap_or(0);
    let probe = &window[begin..window.len().min(begin + PROBE_BYTES)];
    if (begin > 0 || probe.contains(&0)) && !probe.split(|b| matches!(b, b'\n' | 0)).any(is_words) {
        return Err(ObjectError::Binary);
    }
    match window.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Err(ObjectError::Json),
        _ => Ok(()),
    }
}

/// Whether a piece of text is words as a line has them, at least three.
fn is_words(piece: &[u8]) -> bool {
    let is_plain = |b: &u8| !b.is_ascii_control() || matches!(b, b'\t' | b'\r');
    // A letter may be cut where the piece ends.
    let is_text = std::str::from_utf8(piece).err().is_none_or(|e| e.error_len().is_none());
    let words = piece.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
    piece.iter().all(is_plain) && is_text && words.take(3).count() == 3
}

/// Why an object that begins with `line` has no format: the whole of it may be one line, as old machines end them.
pub(crate) fn no_format(line: &[u8], catalogue: &Catalogue) -> ObjectError {
    let mut lines = line.split(|b| *b == b'\r').filter(|l| !is_blank(l));
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() && header_format(first, catalogue).is_some() {
        return ObjectError::CarriageReturns;
    }
    ObjectError::NoFormat(excerpt(line))
}
