//! Rejects: lines that are no record, kept with their place and reason.

use std::fmt;

use flowquet_format::put_back;

/// Why a line is no record. In order of checking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// Longer than [`crate::LINE_BYTES_MAX`].
    LineTooLong,
    /// Not UTF-8.
    InvalidUtf8,
    /// Fewer fields than the log format.
    TooFewFields,
    /// More fields than the log format.
    TooManyFields,
    /// Behind a header that is not understood: what the fields are is not known.
    UnknownHeader,
    /// Of none of the log formats that were given for the object, by number and kinds of its values.
    FitsNoFormat,
    /// Of several of them, which read it differently.
    FitsSeveralFormats,
    /// Of a log format that has none of the columns that are kept, behind lines that have some.
    NoColumns,
    /// Of one log format more than objects that are read together may have.
    TooManyFormats,
    /// An integer field that is no whole number.
    NotANumber,
    /// A whole number that does not fit its column.
    NumberOutOfRange,
    /// The object is damaged behind this line's beginning.
    CutShort,
}

impl RejectReason {
    /// All reasons, in order of checking.
    pub const ALL: [Self; 12] = [
        Self::LineTooLong,
        Self::InvalidUtf8,
        Self::TooFewFields,
        Self::TooManyFields,
        Self::UnknownHeader,
        Self::FitsNoFormat,
        Self::FitsSeveralFormats,
        Self::NoColumns,
        Self::TooManyFormats,
        Self::NotANumber,
        Self::NumberOutOfRange,
        Self::CutShort,
    ];

    /// The name in reports and reject files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CutShort => "cut-short",
            Self::FitsNoFormat => "fits-no-format",
            Self::FitsSeveralFormats => "fits-several-formats",
            Self::NoColumns => "no-columns",
            Self::TooManyFormats => "too-many-formats",
            Self::LineTooLong => "line-too-long",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::TooFewFields => "too-few-fields",
            Self::TooManyFields => "too-many-fields",
            Self::UnknownHeader => "unknown-header",
            Self::NotANumber => "not-a-number",
            Self::NumberOutOfRange => "number-out-of-range",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line number in the object, from 1.
    pub line: u64,
    /// Byte offset of the line's start in the inflated object.
    pub offset: u64,
    /// Why.
    pub reason: RejectReason,
    /// The field at fault, in AWS's spelling, where one is.
    pub field: Option<String>,
    /// What was expected and found.
    pub detail: String,
    /// The line without its newline; only its first [`crate::LINE_BYTES_MAX`] bytes where it is too long.
    pub raw: Vec<u8>,
}

/// A line as rejects keep it, without its newline; what was carried in a row of a file is put back.
pub(crate) fn raw_line(line: &[u8], is_row: bool) -> Vec<u8> {
    let mut raw = line.strip_suffix(b"\r").unwrap_or(line).to_owned();
    if is_row {
        put_back(&mut raw);
    }
    raw
}

/// The beginning of a line, for a message.
pub(crate) fn excerpt(line: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN)]);
    let text = text.trim_end();
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { '·' } else { c }).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}
