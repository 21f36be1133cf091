//! The file that `flowquet plan` makes and `flowquet convert --plan` reads.

use std::collections::BTreeMap;

use flowquet_command::failure::store_failure;
use flowquet_engine::Formats;
use flowquet_plan::{divide, estimated_rows};
use flowquet_store::{Location, Stores};
use flowquet_table::{LAYOUT_VERSION, PlanRecord};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::forecast::Forecast;
use crate::output::Failure;

/// Shards of a plan, at most. Arrays of AWS Batch have 10,000 jobs, those of Kubernetes 100,000.
pub(crate) const SHARDS_MAX: u64 = 1_000_000;

/// The file that `--json` prints, `--save` writes and `convert --plan` reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanFile {
    pub(crate) layout_version: u32,
    pub(crate) flowquet: String,
    /// The table.
    pub(crate) out: String,
    pub(crate) estimate: Estimate,
    /// What it comes to; in what is printed. What is saved is the same whatever machine makes it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(crate) forecast: Option<Forecast>,
    /// Log formats of the new objects; for people and programs that look, not needed to convert.
    #[serde(skip_deserializing)]
    pub(crate) formats: Formats,
    /// The plan, if there is anything new.
    pub(crate) plan: Option<PlanRecord>,
    /// What each machine performs, if the plan is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shards: Option<Vec<PlanShard>>,
}

/// A shard of a plan.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PlanShard {
    /// Places in the plan's tasks, from 0.
    pub(crate) tasks: Vec<usize>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// From sizes alone.
    pub(crate) records: u64,
}

impl PlanShard {
    /// The tasks at `places` of a plan.
    pub(crate) fn of(plan: &PlanRecord, places: Vec<usize>) -> Self {
        let mut shard = Self { tasks: places, ..Self::default() };
        for object in shard.tasks.iter().flat_map(|place| &plan.tasks[*place].objects) {
            shard.objects += 1;
            shard.bytes += object.bytes;
            shard.records += estimated_rows(object);
        }
        shard
    }
}

/// A plan divided into `of` shards, of which the last have no tasks where there are fewer tasks.
pub(crate) fn divided(plan: Option<&PlanRecord>, of: u32) -> Vec<PlanShard> {
    let mut shards: Vec<PlanShard> = plan
        .iter()
        .flat_map(|plan| {
            divide(&plan.tasks, u64::from(of)).into_iter().map(|places| PlanShard::of(plan, places))
        })
        .collect();
    shards.resize_with(of as usize, PlanShard::default);
    shards
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
        let bytes = stores.get(location).map_err(|error| store_failure(&error))?;
        let file: Self = serde_json::from_slice(&bytes)
            .map_err(|e| wrong(format!("expected what `flowquet plan --save` writes, found {e}")))?;
        if file.layout_version != LAYOUT_VERSION {
            let found = file.layout_version;
            return Err(Failure::message(
                Exit::Failed,
                &format!(
                    "plan `{location}` has layout version {found}, this program writes {LAYOUT_VERSION}"
                ),
                Some("make the plan again with `flowquet plan`"),
            ));
        }
        if !file.has_each_task_once() {
            return Err(wrong("expected each task in one of the shards, found it otherwise".to_owned()));
        }
        Ok(file)
    }

    /// Whether the shards, if there are any, hold each task of the plan once.
    fn has_each_task_once(&self) -> bool {
        let Some(shards) = &self.shards else { return true };
        let mut places: Vec<usize> = shards.iter().flat_map(|s| &s.tasks).copied().collect();
        places.sort_unstable();
        places.into_iter().eq(0..self.plan.as_ref().map_or(0, |plan| plan.tasks.len()))
    }

    /// The table.
    pub(crate) fn location(&self) -> Result<Location, Failure> {
        Location::parse(&self.out).map_err(|e| Failure::message(Exit::Failed, &e, None))
    }
}
