//! Files of a table that are not as its records have them, in words.

use flowquet_table::Misplaced;
use indicatif::HumanBytes;

use crate::output::counted;

/// Tasks, objects and files that the text names.
pub(crate) const NAMED_MAX: usize = 10;

/// What it comes to where files are not as the records have them.
pub(crate) const NOT_WHOLE: &str =
    "table damaged: files are lost, damaged or foreign; `flowquet status` lists them";

pub(crate) fn lost_text(file: &Misplaced) -> String {
    format!("{}: missing ({}, {})", file.key, counted(file.rows, "row"), HumanBytes(file.expected_bytes))
}

pub(crate) fn truncated_text(file: &Misplaced) -> String {
    format!("{}: {}, expected {}", file.key, HumanBytes(file.bytes), HumanBytes(file.expected_bytes))
}

pub(crate) fn stray_text(file: &Misplaced) -> String {
    format!("{}: not written by flowquet; readers that list the folder count its rows", file.key)
}
