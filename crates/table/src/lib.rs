//! The log of a table: which records there are, what they look like, and what they add up to.
//!
//! People delete raw logs after converting them, so this log is the product. Records are put if absent and never changed:
//! plans are numbered, each of their tasks has one commit, and compactions and reconversions are numbered. [`Log`] is the one
//! reader and writer of them; [`TableState`] is what they add up to, and everything that asks about a table asks it.
//!
//! This crate knows no parsing, no Arrow, no Parquet, no threads of work and no command line. JSON Schemas of the records are in
//! `schemas/`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flowquet_store::{Memory, Store};
//! use flowquet_table::{Log, Options};
//!
//! let out: Arc<dyn Store> = Arc::new(Memory::new("s3://lake/flow_logs"));
//! let made = Log::make(&out, &Options::default(), false).expect("memory does not fail");
//! let log = Log::open(&out).expect("it was just made");
//! assert_eq!(log.state().contract(), made.state().contract());
//! assert_eq!(log.state().totals().objects, 0);
//! ```

mod aside;
mod audit;
mod catalog;
mod cause;
mod check;
mod checked;
mod checkpoint;
mod cleaning;
mod compaction;
mod contract;
mod copies;
mod dedup;
mod digest;
mod enrichments;
mod error;
mod files;
mod formats;
mod ignored;
mod known;
mod layout;
mod live_commits;
mod log;
mod loss;
mod names;
mod numbered;
mod objects;
mod options;
mod read_with;
mod reading;
mod records;
mod rejects_loss;
mod remaking;
mod rollup;
mod seal;
mod segment_name;
mod settled;
mod settling;
mod shelf;
mod state;
mod status;
mod task_id;

pub use aside::{Places, aside_folders, aside_key};
pub use audit::{RecordAudit, RecordFault, audit};
pub use catalog::CatalogTable;
pub use cause::{Cause, Retry};
pub use check::{AcceptedLoss, FileCheck, Misplaced, check_files, check_partitions, data_files};
pub use compaction::{
    CompactionRecord, Reconversion, ReconvertedTask, RetiredFile, RewrittenTask, StillLost, SupersededTask,
};
pub use contract::{Difference, TableContract};
pub use copies::{Sifted, SomeObjects};
pub use dedup::{Dedup, Duplicates};
pub use digest::{Crc32, Digest};
pub use error::Error;
pub use files::{FileKind, Files, LiveFile, LostFile};
pub use formats::TableFormats;
pub use ignored::{ignore, ignored, ignored_key, stop_ignoring};
pub use known::{FailedClaim, Known, Sorted, Standing};
pub use layout::{
    COMMITS, COMPACTED, COMPACTIONS, CONTRACT_KEY, ENRICHMENTS, PLANS, RECORDS, REJECTS, SPOOL, STAGING,
    commit_key, compacted_folder, compacted_key, compaction_done_key, compaction_key, compaction_number,
    enrichment_key, incoming_key, output_name, plan_key, plan_number, rejects_key, spooled_name,
    task_of_output,
};
pub use live_commits::ReturnedObjects;
pub use log::{CommitPut, Log};
pub use loss::{LAYOUT_VERSION_OF_LOSSES, LAYOUT_VERSION_OF_RETURNS, Loss};
pub use objects::{ObjectId, SourceObject};
pub use options::{Options, REJECTS_BYTES_MAX, ROW_GROUP_ROWS_MAX, Reading, ReadingError};
pub use read_with::ReadOtherwise;
pub use reading::delete_if_there;
pub use records::{
    CommitRecord, Counts, InputRecord, OutputRecord, PlanRecord, RecordError, Task, TimeRange, from_json,
    plan_from_gzip, plan_to_gzip, to_json, written_by,
};
pub use rejects_loss::{LostRejects, accept_loss_of_rejects, end_loss_of_rejects, lost_rejects};
pub use rollup::{RolledUp, RolledUpFile, Rollup, RollupSums};
pub use state::{OpenTask, TableState, Totals};
pub use status::{RollupStatus, Status, Unfinished, Unreadable, status};
pub use task_id::TaskId;

/// Version of the table's layout: of record forms, task and file names, and of what decides a file's bytes. This program writes
/// records of this version.
pub const LAYOUT_VERSION: u32 = 5;

/// The oldest layout that this program reads, adds to and compacts.
pub const LAYOUT_VERSION_OLDEST: u32 = 4;
