//! What a reconversion is asked to do.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_sources::SourceSet;
use flowquet_store::{Store, Stores};

use super::change::Change;
use super::choice::Choice;
use crate::budget::Budget;
use crate::enrich::EnrichmentFile;
use crate::events::Observer;
use crate::replace::Pointers;

/// How often a reconversion is tried that other runs get ahead of.
pub(super) const ATTEMPTS_MAX: u32 = 5;

/// What a reconversion is asked to do.
#[derive(Debug)]
pub struct ReconvertRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Stores of the sources.
    pub stores: Arc<Stores>,
    /// Which objects.
    pub choice: Choice,
    /// How they are read from now on.
    pub change: Change,
    /// Files that fill columns, as the change names them.
    pub enrich: Vec<EnrichmentFile>,
    /// Workers and memory.
    pub budget: Budget,
    /// How long readers that began before a change are given, where a catalog is pointed elsewhere.
    pub grace: Duration,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
}

/// What is asked, and what a reconversion works with.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) request: &'a ReconvertRequest,
    pub(super) sources: &'a SourceSet,
    pub(super) pointers: Option<&'a dyn Pointers>,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
}
