//! What a run is asked to do.

use std::sync::Arc;

use flowquet_format::KeyFilter;
use flowquet_store::{Store, Stores};
use flowquet_table::{Options, PlanRecord, TableContract};

use crate::budget::Budget;
use crate::limit::{RejectLimit, Shard};
use crate::source::Source;

/// What a run is asked to do.
#[derive(Debug)]
pub struct Request {
    /// Where objects come from.
    pub sources: Vec<Source>,
    /// Which of them are wanted.
    pub filter: KeyFilter,
    /// Stores of the sources.
    pub stores: Arc<Stores>,
    /// The table.
    pub out: Arc<dyn Store>,
    /// Its contract, if there is a table.
    pub contract: Option<TableContract>,
    /// Options that decide what is written.
    pub options: Options,
    /// Workers and memory.
    pub budget: Budget,
    /// How many rejects the run tolerates; `None` for any number.
    pub max_rejects: Option<RejectLimit>,
    /// Plan only; write nothing.
    pub dry_run: bool,
    /// A plan that was made before, and the shard of it that is performed; instead of sources.
    pub plan: Option<(PlanRecord, Shard)>,
}
