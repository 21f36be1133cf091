//! What may go wrong with a table's log.

use std::fmt;

use flowquet_store::Error as StoreError;

use crate::contract::Difference;
use crate::records::RecordError;

/// Why the log could not be read or written.
#[derive(Debug)]
pub enum Error {
    /// The records contradict each other: an invariant of [`crate::TableState`], by its number in `docs/SEMANTICS.md`, and what
    /// was found. A defect of a program, or records that were edited.
    Broken {
        /// `L1` and so on.
        invariant: &'static str,
        /// What was found.
        what: String,
    },
    /// A checkpoint that cannot be used. Nothing is lost: the records that it stands for are there, and tell the same.
    Checkpoint {
        /// Where it is.
        url: String,
        /// Why.
        what: String,
    },
    /// The table was made with other options.
    Contract(Vec<Difference>),
    /// There is no table at this URL.
    NoTable(String),
    /// A record that cannot be understood.
    Record {
        /// Where it is.
        url: String,
        /// Why.
        error: RecordError,
    },
    /// A plan that was made before the table got others.
    StalePlan {
        /// Its number.
        number: u64,
    },
    /// The store failed.
    Store(StoreError),
}

impl Error {
    /// The kind of error, as reports name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Broken { .. } => "log-broken",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Contract(_) => "contract",
            Self::NoTable(_) => "no-table",
            Self::Record { .. } => "record",
            Self::StalePlan { .. } => "stale-plan",
            Self::Store(error) => error.kind().name(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { invariant, what } => {
                write!(f, "the table's records contradict each other ({invariant}): {what}")
            }
            Self::Checkpoint { url, what } => write!(f, "read checkpoint `{url}`: {what}"),
            Self::Contract(differences) => {
                f.write_str("the table was made with other options")?;
                differences.iter().try_for_each(|d| {
                    write!(
                        f,
                        "\n  {}: the table has `{}`, this run asks for `{}`",
                        d.option, d.table, d.asked
                    )
                })
            }
            Self::NoTable(url) => write!(f, "no flowquet table in `{url}`"),
            Self::Record { url, error } => write!(f, "read record `{url}`: {error}"),
            Self::StalePlan { number } => {
                write!(f, "the table has a different plan {number}, made by a later run")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
