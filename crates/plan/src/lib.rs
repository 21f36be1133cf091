//! Objects to tasks to units, which files a compaction merges, and which deliveries are missing: values and pure functions.
//!
//! This crate performs nothing: no I/O, no clock, no threads. It groups new objects into tasks and those into units
//! ([`plan_tasks`], [`plan_units`]) and into shards of about the same size ([`divide`]), and says what a compaction merges and what its files hold ([`mergings_due`], [`merged_format`]).
//! What a conversion probably takes is a model ([`expect`]). Of what keys tell it makes a rhythm of deliveries and its gaps ([`Deliveries`]).
//! The same listing in any order gives the same tasks.
//!
//! ```
//! use flowquet_plan::plan_tasks;
//! use flowquet_table::{Options, SourceObject};
//!
//! let object = |day: &str| {
//!     let name = format!("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/{day}/111122223333_vpcflowlogs_eu-west-1_fl-1_202401{day}T0000Z_aa.log.gz");
//!     SourceObject::new(format!("s3://logs/{name}"), &name, 1_000, "etag")
//! };
//! let tasks = plan_tasks(vec![object("16"), object("15")], "", &Options::default());
//! assert_eq!(tasks.len(), 2, "one for each partition");
//! assert_eq!(tasks, plan_tasks(vec![object("15"), object("16")], "", &Options::default()));
//! ```

mod compaction;
mod coverage;
mod forecast;
mod shards;
mod tasks;
mod union;

pub use compaction::{Merging, compaction_id, is_raw, merged_format, merged_options, mergings_due};
pub use coverage::{DELIVERIES_MIN, Deliveries, GAPS_MAX, Gap, Rhythm, SLOT_S, Scale, strip};
pub use forecast::{Alike, Expected, SPEED_BYTES_MIN, Span, Trial, expect};
pub use shards::{Shard, divide};
pub use tasks::{estimated_rows, hex, inputs_digest, plan_tasks, plan_units, seed_of_plan};
pub use union::{KnownFormat, formats_of_union, kept_formats};
