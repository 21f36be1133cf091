//! Performs a plan: read, inflate, parse, build, encode, put, commit; in parallel, within a memory budget, cancellable.
//!
//! This crate knows no command line, no terminal and no clock: it is given a [`Request`], tells an [`Observer`] what
//! happens, and returns a [`Summary`].
//!
//! # Who does what
//!
//! A task is a fixed list of objects; its units are worth about one row group each. Workers (rayon) take units in order;
//! each reads, parses and encodes on its own and hands finished pieces to the task's sink, which takes
//! them in unit order, whatever order they arrive in. So the bytes of the files depend neither on the number of threads
//! nor on the memory budget; that one decides only how many workers run and which objects are inflated whole.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! use flowquet_engine::{Budget, Copies, Event, Request, Resume, convert};
//! use flowquet_format::KeyFilter;
//! use flowquet_sources::Source;
//! use flowquet_store::{Location, Memory, Store, Stores};
//! use flowquet_table::Options;
//!
//! let logs = Memory::new("s3://logs");
//! logs.put("a.log", b"srcaddr bytes start\n10.0.0.1 420 1704067200\n").expect("memory takes all");
//! let logs: Arc<dyn Store> = Arc::new(logs);
//! let request = Request {
//!     sources: vec![Source::At(Location::parse("s3://logs/").expect("a location"))],
//!     filter: KeyFilter::default(),
//!     stores: Arc::new(Stores::of(BTreeMap::from([("logs".to_owned(), logs)]))),
//!     out: Arc::new(Memory::new("s3://lake")),
//!     contract: None,
//!     options: Options::default(),
//!     enrich: Vec::new(),
//!     budget: Budget::new(1, None, false, false).expect("enough memory"),
//!     max_rejects: None,
//!     resume: Resume::All,
//!     copies: Copies::Skip,
//! };
//! let observer = |_: &Event<'_>| {};
//! let run = convert(&request, &mut std::io::empty(), &observer, &AtomicBool::new(false)).expect("a run");
//! assert_eq!((run.summary.counts.records, run.summary.partitions), (1, 1));
//! ```

mod again;
mod budget;
mod commit;
mod compact;
mod consumer;
mod context;
mod contract;
mod convert;
mod enrich;
mod error;
mod events;
mod file;
mod formats;
mod goal;
mod inspect;
mod limit;
mod look;
mod new_table;
mod partitions;
mod perform;
mod planned;
mod proof;
mod reconvert;
mod regions;
mod rejects;
mod replace;
mod replan;
mod request;
mod restore;
mod rollup;
mod router;
mod sink;
mod summary;
mod table_files;
mod take;
mod threads;
mod trial;
mod union;
mod unit;
mod verify;
mod words;
mod worker;

pub use budget::{Budget, MEMORY_MIN};
pub use compact::{COMPACT_MEMORY_MIN, CompactOptions, CompactRequest, Compaction, LeftOutRows, compact};
pub use convert::{Run, convert, perform_shard};
pub use enrich::EnrichmentFile;
pub use error::Error;
pub use events::{Event, Observer};
pub use formats::{Formats, FoundFormat, UnreadFormats, find_formats};
pub use inspect::{
    Found, Limits, Lines, Look, Looker, Other, OtherKind, Survey, SurveyRequest, SurveyedLog, ToldBy,
    look_at, look_at_stdin, named_object, survey,
};
pub use limit::RejectLimit;
pub use look::{
    ColumnCost, Cost, Coverage, Forgotten, FormatCost, FormatSpan, Order, Reading, RecordFilter,
    RejectExample, Rejected, ReportRequest, Same, Sizes, TableReport, Tally, Top, TopRequest, TopRow,
    Traffic, TrafficAt, cost, cost_of_layout, report_on, top,
};
pub use planned::{Planned, plan};
pub use reconvert::{Change, Choice, ReconvertRequest, Reconverted, reconvert};
pub use replace::Pointers;
pub use request::{Copies, Request, Resume};
pub use restore::{Restores, look_at_archives, restore};
pub use rollup::{ROLLUP_MEMORY_MIN, RolledUpTable, RollupRequest, rollup};
pub use summary::{FailedObject, Objects, OutputSummary, Summary};
pub use trial::trial;
pub use verify::{
    AcceptedLosses, DataLevel, DeepLevel, Fault, Finding, FooterLevel, Level, ListingLevel, LossRequest,
    RecordLevel, Regained, Repair, Repaired, RestoredRejects, Share, ShareError, SourceLevel, Trouble,
    Verified, VerifyRequest, repair, verify,
};
pub use words::{counted, grouped};
