//! What records say of roll-ups: partitions of one table, grouped and summed, as those of another.

use serde::{Deserialize, Serialize};

use crate::checked;

/// What a file of a roll-up holds, and what it was made of. Where a compaction made several files of one, or one of several, the sums
/// of a partition's files are those of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledUp {
    /// URL of the table that was rolled up.
    pub source: String,
    /// Time bucket and columns that its records were grouped by.
    pub by: String,
    /// Sixteen hexadecimal digits of a digest of the files that it was made of and of how.
    #[serde(deserialize_with = "checked::id")]
    pub of: String,
    /// Sums over its rows.
    pub sums: RollupSums,
}

/// Sums that a roll-up and what it was made of have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupSums {
    /// Records.
    pub flows: u64,
    /// Their packets.
    pub packets: i64,
    /// Their bytes.
    pub bytes: i64,
}

impl RollupSums {
    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            flows: self.flows.saturating_add(other.flows),
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// All of these.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), Self::with)
    }
}

/// A partition was rolled up anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// URL of the table that was rolled up.
    pub source: String,
    /// Files of the partition in it; none where it has no such partition any more.
    pub files: Vec<RolledUpFile>,
    /// Sums over their rows.
    pub sums: RollupSums,
}

/// A file that was rolled up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledUpFile {
    /// Key below the root of the table that was rolled up.
    #[serde(deserialize_with = "checked::data_key")]
    pub key: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}
