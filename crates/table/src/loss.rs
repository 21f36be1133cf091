//! Losses that somebody accepted: files of a table that are gone for good, as the raw logs are that they came from.

use serde::{Deserialize, Serialize};

/// Layout version of the records that accept a loss, or take that back. They decide neither names nor bytes of files, so everything else goes on with
/// [`crate::LAYOUT_VERSION`]; a program that does not know them would take the files for lost still, and refuses the table instead.
pub const LAYOUT_VERSION_OF_LOSSES: u32 = 6;

/// Layout version of the records that bring back rows of some objects of a task whose other objects' rows are lost still. A program that does not know
/// them would take all of the task's objects for lost, and put rows into the table twice; it refuses the table instead.
pub const LAYOUT_VERSION_OF_RETURNS: u32 = 7;

/// Why and when somebody accepted that files are lost. The record that holds it retires them, and nothing takes their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// In the words of whoever accepted it.
    pub reason: String,
    /// In UTC, as text.
    pub accepted_at: String,
}
