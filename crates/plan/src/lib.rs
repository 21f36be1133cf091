//! Objects to tasks to units, which files a compaction merges, and which deliveries are missing: values and pure functions.
//!
//! This crate performs nothing: no I/O, no clock, no threads. It groups new objects into tasks and those into units
//! ([`plan_tasks`], [`plan_units`]), and says what a compaction merges and what its files hold ([`mergings_due`], [`merged_format`]).
//! Of what keys tell it makes a rhythm of deliveries and its gaps ([`Deliveries`]).
//! The same listing in any order gives the same tasks.

mod compaction;
mod coverage;
mod tasks;
mod union;

pub use compaction::{Merging, compaction_id, is_raw, merged_format, merged_options, mergings_due};
pub use coverage::{DELIVERIES_MIN, Deliveries, GAPS_MAX, Gap, Rhythm, SLOT_S, Scale, strip};
pub use tasks::{estimated_rows, hex, inputs_digest, plan_tasks, plan_units, seed_of_plan};
pub use union::{KnownFormat, formats_of_union, kept_formats};
