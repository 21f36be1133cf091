//! Why an object is not in the table, and when it is worth trying again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::options::Options;

/// Why nothing of an object is in the table. Sentences for people are made of it by whoever talks to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It lies in an archive storage class and is not restored.
    Archived,
    /// Its compressed data, or its Parquet, is damaged: where.
    Damaged(String),
    /// It may not be read: the store's words.
    Denied(String),
    /// Its log format has none of the columns that were asked for: the format.
    NoColumns(String),
    /// It has no header line and no log format was given: its first line's beginning.
    NoHeader(String),
    /// None of its lines fits the log format that was given.
    NoLineFits {
        /// Lines that were rejected.
        lines: u64,
        /// What was wrong with the first of them.
        first: String,
    },
    /// It is no flow log: what was expected and found.
    NotALog(String),
    /// Recorded by a program of layout 4, in its words.
    Untyped(String),
}

/// Whether an object that failed is worth trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing has changed: it would fail again.
    No,
    /// Yes.
    Now,
    /// If a cheap look, one request, tells that it can be read now.
    IfReadable,
}

impl Cause {
    /// When it is tried again by a run with options `now`, if it failed with options `then` and has not changed since.
    pub fn retry(&self, then: &Options, now: &Options) -> Retry {
        let when = |differs: bool| if differs { Retry::Now } else { Retry::No };
        match self {
            // What stands in its way lies outside the object: its etag does not tell that it is gone.
            Self::Archived | Self::Denied(_) => Retry::IfReadable,
            Self::Damaged(_) => when(now.salvage && !then.salvage),
            // A Parquet file may have a column that cannot be read, and others that can.
            Self::NoColumns(_) | Self::NotALog(_) => {
                when(now.columns != then.columns || now.reading != then.reading)
            }
            Self::NoHeader(_) | Self::NoLineFits { .. } => when(now.reading != then.reading),
            // Those records hold no kinds. Tried once more, it succeeds or gets one.
            Self::Untyped(_) => Retry::Now,
        }
    }

    /// Its name in records and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Damaged(_) => "damaged",
            Self::Denied(_) => "denied",
            Self::NoColumns(_) => "no-columns",
            Self::NoHeader(_) => "no-header",
            Self::NoLineFits { .. } => "no-line-fits",
            Self::NotALog(_) => "not-a-log",
            Self::Untyped(_) => "told",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archived => f.write_str("archived and not restored"),
            Self::Damaged(what) | Self::Denied(what) | Self::NotALog(what) | Self::Untyped(what) => {
                f.write_str(what)
            }
            Self::NoColumns(format) => write!(f, "none of the chosen columns is in its format {format}"),
            Self::NoHeader(line) => write!(f, "expected a header line of field names, found `{line}`"),
            Self::NoLineFits { lines: 1, first } => {
                write!(f, "its only line does not fit the log format: {first}")
            }
            Self::NoLineFits { lines, first } => {
                write!(f, "none of its {lines} lines fits the log format; the first: {first}")
            }
        }
    }
}

/// On disk: `{"cause": "damaged", "detail": "…"}`; a text in records of layout 4.
#[derive(Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case", deny_unknown_fields)]
enum Form {
    Archived {},
    Damaged { detail: String },
    Denied { detail: String },
    NoColumns { format: String },
    NoHeader { line: String },
    NoLineFits { lines: u64, first: String },
    NotALog { detail: String },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Untyped(String),
    Typed(Form),
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Either::Typed(match self.clone() {
            Self::Archived => Form::Archived {},
            Self::Damaged(detail) => Form::Damaged { detail },
            Self::Denied(detail) => Form::Denied { detail },
            Self::NoColumns(format) => Form::NoColumns { format },
            Self::NoHeader(line) => Form::NoHeader { line },
            Self::NoLineFits { lines, first } => Form::NoLineFits { lines, first },
            Self::NotALog(detail) => Form::NotALog { detail },
            Self::Untyped(text) => return Either::Untyped(text).serialize(to),
        })
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Untyped(text) => Self::Untyped(text),
            Either::Typed(Form::Archived {}) => Self::Archived,
            Either::Typed(Form::Damaged { detail }) => Self::Damaged(detail),
            Either::Typed(Form::Denied { detail }) => Self::Denied(detail),
            Either::Typed(Form::NoColumns { format }) => Self::NoColumns(format),
            Either::Typed(Form::NoHeader { line }) => Self::NoHeader(line),
            Either::Typed(Form::NoLineFits { lines, first }) => Self::NoLineFits { lines, first },
            Either::Typed(Form::NotALog { detail }) => Self::NotALog(detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Reading;

    fn all() -> [Cause; 8] {
        let text = || "x".to_owned();
        [
            Cause::Archived,
            Cause::Damaged(text()),
            Cause::Denied(text()),
            Cause::NoColumns(text()),
            Cause::NoHeader(text()),
            Cause::NoLineFits { lines: 2, first: text() },
            Cause::NotALog(text()),
            Cause::Untyped(text()),
        ]
    }

    #[test]
    fn causes_keep_their_form() {
        for cause in all() {
            let json = serde_json::to_string(&cause).expect("plain values");
            assert_eq!(serde_json::from_str::<Cause>(&json).expect("as written"), cause, "{json}");
            assert!(
                matches!(cause, Cause::Untyped(_)) || json.contains(&format!("\"{}\"", cause.name())),
                "{json}"
            );
        }
        let json = serde_json::to_string(&Cause::Damaged("at byte 7".into())).expect("plain values");
        assert_eq!(json, r#"{"cause":"damaged","detail":"at byte 7"}"#);
    }

    #[test]
    fn what_changes_decides_what_is_tried_again() {
        let then = Options::default();
        let reading = Reading::new(None, Some("v2")).expect("valid");
        let format = Options { reading, ..then.clone() };
        let columns = Options { columns: Some(vec!["bytes".into()]), ..then.clone() };
        let salvage = Options { salvage: true, ..then.clone() };
        let files = Options { file_bytes: 1, ..then.clone() };
        for cause in all() {
            let retried = [&then, &files, &format, &columns, &salvage].map(|now| cause.retry(&then, now));
            let (no, now, look) = (Retry::No, Retry::Now, Retry::IfReadable);
            let expected = match cause {
                Cause::Archived | Cause::Denied(_) => [look; 5],
                Cause::Damaged(_) => [no, no, no, no, now],
                Cause::NoColumns(_) | Cause::NotALog(_) => [no, no, now, now, no],
                Cause::NoHeader(_) | Cause::NoLineFits { .. } => [no, no, now, no, no],
                Cause::Untyped(_) => [now; 5],
            };
            assert_eq!(retried, expected, "{cause:?}");
        }
    }
}
