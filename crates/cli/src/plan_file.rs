//! The file that `flowquet plan --json` makes and `flowquet convert --plan` reads.

use std::collections::BTreeMap;

use flowquet_engine::Formats;
use flowquet_store::{Location, Stores};
use flowquet_table::{LAYOUT_VERSION, PlanRecord};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::output::Failure;

/// The file that `--json` makes and `convert --plan` reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanFile {
    pub(crate) layout_version: u32,
    pub(crate) flowquet: String,
    /// The table.
    pub(crate) out: String,
    pub(crate) estimate: Estimate,
    /// Log formats of the new objects; for people and programs that look, not needed to convert.
    #[serde(skip_deserializing)]
    pub(crate) formats: Formats,
    /// The plan, if there is anything new.
    pub(crate) plan: Option<PlanRecord>,
}

/// What a conversion takes, estimated.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) tasks: u64,
    /// Objects a partition, as the keys tell it; records may stand in others.
    pub(crate) partitions: BTreeMap<String, u64>,
    /// Requests to S3.
    pub(crate) list_requests: u64,
    pub(crate) get_requests: u64,
    pub(crate) put_requests: u64,
    pub(crate) dollars: f64,
    pub(crate) dollars_per_1000_writes: f64,
    pub(crate) dollars_per_1000_reads: f64,
}

impl PlanFile {
    /// Reads the file at `location`.
    pub(crate) fn read(stores: &Stores, location: &Location) -> Result<Self, Failure> {
        let wrong =
            |what: String| Failure::message(Exit::Failed, &format!("read plan `{location}`: {what}"), None);
        let bytes = stores.get(location).map_err(|e| Failure::new(Exit::Failed, &e, e.hint()))?;
        let file: Self = serde_json::from_slice(&bytes)
            .map_err(|e| wrong(format!("expected what `flowquet plan --json` writes, found {e}")))?;
        if file.layout_version != LAYOUT_VERSION {
            let found = file.layout_version;
            return Err(Failure::message(
                Exit::Failed,
                &format!(
                    "plan `{location}` has layout version {found}, this program writes {LAYOUT_VERSION}"
                ),
                Some("make the plan again with `flowquet plan --json`"),
            ));
        }
        Ok(file)
    }

    /// The table.
    pub(crate) fn location(&self) -> Result<Location, Failure> {
        Location::parse(&self.out).map_err(|e| Failure::message(Exit::Failed, &e, None))
    }
}
