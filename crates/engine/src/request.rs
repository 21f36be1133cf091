//! What a run is asked to do.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_format::KeyFilter;
use flowquet_sources::{Lister, Source, SourceSet, lies_within, root_url, same_place};
use flowquet_store::{Store, Stores};
use flowquet_table::{Log, Options, TableContract};

use crate::budget::Budget;
use crate::contract::check_contract;
use crate::enrich::EnrichmentFile;
use crate::error::Error;
use crate::limit::RejectLimit;

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
    /// Files that fill columns, as the options name them.
    pub enrich: Vec<EnrichmentFile>,
    /// Workers and memory.
    pub budget: Budget,
    /// How many rejects the run tolerates; `None` for any number.
    pub max_rejects: Option<RejectLimit>,
    /// Which tasks of earlier plans are performed too.
    pub resume: Resume,
    /// What becomes of objects that the table has from another place.
    pub copies: Copies,
}

/// What becomes of objects that a run finds to be copies of others, as their names tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Copies {
    /// They count as known.
    #[default]
    Skip,
    /// They are converted as others are, so that their records are in the table once more.
    Convert,
}

/// Which tasks of earlier plans a run performs that have no commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resume {
    /// All: a run that was killed left them, or others are about to perform them.
    #[default]
    All,
    /// Those that hold an object which this run lists.
    Listed,
}

impl Request {
    /// Checks what is asked for against the table that is there.
    ///
    /// # Errors
    /// [`Error::Log`] where the contract of the table says otherwise than the options; [`Error::SourceIsTable`];
    /// [`Error::SourceInTable`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(contract) = &self.contract
            && !contract.differences(&self.options).is_empty()
        {
            check_contract(&mut Log::of(&self.out, contract.clone())?, &self.options)?;
        }
        let out_url = root_url(self.out.as_ref());
        for source in &self.sources {
            let Source::At(location) = source else { continue };
            if same_place(location, &out_url) {
                return Err(Error::SourceIsTable { url: location.to_string() });
            }
            if lies_within(location, &out_url) {
                return Err(Error::SourceInTable { url: location.to_string(), table: out_url });
            }
        }
        Ok(())
    }

    /// Lists the sources, within the budget.
    pub(crate) fn lister<'a>(
        &'a self,
        sources: &'a SourceSet,
        listed: &'a (dyn Fn(u64) + Sync),
        stop: &'a AtomicBool,
    ) -> Lister<'a> {
        Lister {
            sources,
            filter: &self.filter,
            out_url: root_url(self.out.as_ref()),
            must_find: true,
            memory_max: self.budget.listing_bytes_max(),
            listed,
            stop,
        }
    }
}
