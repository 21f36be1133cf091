//! Listing, records and options to tasks: values and pure functions.
//!
//! This crate performs nothing: no I/O, no clock, no threads. It says what a table's records look like on disk
//! ([`TableContract`], [`PlanRecord`], [`CommitRecord`], [`CompactionRecord`]; JSON Schemas in `schemas/`), which objects are new
//! ([`Known::sort_out`]), and how they are grouped into tasks and units ([`plan_tasks`], [`plan_units`]). The same listing
//! in any order gives the same tasks.

mod compaction;
mod known;
mod layout;
mod options;
mod records;
mod tasks;
mod union;

pub use compaction::{
    CompactionRecord, LiveFile, RetiredFile, compaction_id, files_due, merged_format, merged_options,
};
pub use known::{Known, SortedOut};
pub use layout::{
    COMMITS, COMPACTED, COMPACTIONS, CONTRACT_KEY, PLANS, RECORDS, REJECTS, SPOOL, STAGING, commit_key,
    compacted_folder, compacted_key, compaction_done_key, compaction_key, compaction_number, output_name,
    plan_key, plan_number, rejects_key, task_of_output,
};
pub use options::{Options, OptionsError, TableContract};
pub use records::{
    CommitRecord, Counts, InputRecord, OutputRecord, PlanRecord, RecordError, SourceObject, Task, TimeRange,
    from_json, plan_from_gzip, plan_to_gzip, to_json,
};
pub use tasks::{estimated_rows, inputs_digest, plan_tasks, plan_units};
pub use union::{KnownFormat, formats_of_union, kept_formats};

/// Version of the table's layout: of record forms, task and file names, and of what decides a file's bytes. A table of
/// another version is not written to.
pub const LAYOUT_VERSION: u32 = 4;
