//! What a registration did.

use serde::Serialize;

/// What became of the catalog's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableChange {
    /// It was made.
    Created,
    /// It is as it was.
    Unchanged,
    /// Columns or properties were added.
    Updated,
}

/// What a registration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// The table.
    pub table: TableChange,
    /// Columns that it did not have.
    pub columns_added: Vec<String>,
    /// Partitions that were made.
    pub partitions_created: u64,
    /// Partitions that were there, and were given a new place or new columns.
    pub partitions_updated: u64,
    /// Partitions that were there as they should.
    pub partitions_unchanged: u64,
}
