//! What a reconversion did.

use serde::Serialize;

use crate::summary::Summary;

/// What a reconversion did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconverted {
    /// Objects that were chosen, and were in the table.
    pub objects: u64,
    /// Objects that were chosen, and had failed: they are planned anew like new ones.
    pub failed_before: u64,
    /// Objects of the same tasks, done anew as they were.
    pub companions: u64,
    /// Tasks whose rows of some partitions were written anew as they were.
    pub neighbours: u64,
    /// Objects whose loss was accepted and that are left as they are: a raw log cannot be read that they need, or has other records.
    pub still_lost: u64,
    /// Why they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_lost_why: Option<String>,
    /// Compactions and reconversions left by an earlier run unfinished.
    pub finished: u64,
    /// Records of chosen objects and companions before.
    pub records_before: u64,
    /// Their rejects before.
    pub rejects_before: u64,
    /// Their records now, and those of objects that had failed.
    pub records_after: u64,
    /// The same of rejects.
    pub rejects_after: u64,
    /// Files that were replaced.
    pub files_in: u64,
    /// Files that were written.
    pub files_out: u64,
    /// Partition folders that changed.
    pub partitions: Vec<String>,
    /// What was read and written, of all that was done anew.
    pub summary: Summary,
}
