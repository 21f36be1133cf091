//! What may be wrong with records.

use serde::Serialize;

/// What is wrong with a record, or between records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum RecordFault {
    /// Records contradict each other: an invariant of `docs/SEMANTICS.md` does not hold.
    Broken {
        /// Its number.
        invariant: String,
        /// What was found.
        what: String,
    },
    /// The commit record of a task is gone: other records rest on it. Its rows count no more until its objects are converted again.
    CommitGone {
        /// Where it was.
        key: String,
        /// The task.
        task: String,
    },
    /// A record is there again under another name.
    Doubled {
        /// The copy.
        key: String,
        /// Where the record belongs.
        of: String,
    },
    /// A record was changed after it was written.
    Edited {
        /// Where it is.
        key: String,
    },
    /// A record of a number that others follow is gone.
    Gone {
        /// Where it was.
        key: String,
    },
    /// What was read and what was written differ over the whole table, though each record is right.
    Sums {
        /// Digest of all records that were read.
        read: String,
        /// Digest of all rows of live files.
        written: String,
    },
    /// A commit record that no plan tells of.
    Orphan {
        /// Where it is.
        key: String,
    },
    /// The rejected lines of a task are gone.
    RejectsGone {
        /// Where they were.
        key: String,
        /// How many there were.
        rejects: u64,
    },
    /// Something among the records that is none.
    Unknown {
        /// Where it is.
        key: String,
    },
    /// A record that cannot be read.
    Unreadable {
        /// Where it is.
        key: String,
        /// Why.
        what: String,
    },
}

impl RecordFault {
    /// Whether it leaves the records right that a table's state rests on, so that these are still compared with each other.
    pub(super) fn spoils_nothing(&self) -> bool {
        matches!(self, Self::RejectsGone { .. } | Self::Unknown { .. })
    }

    /// The record that has it, where it is one record's.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Broken { .. } | Self::Sums { .. } => None,
            Self::CommitGone { key, .. }
            | Self::Doubled { key, .. }
            | Self::Edited { key }
            | Self::Gone { key }
            | Self::Orphan { key }
            | Self::RejectsGone { key, .. }
            | Self::Unknown { key }
            | Self::Unreadable { key, .. } => Some(key),
        }
    }
}
