//! Rejected lines that are lost for good, as the raw logs are that had them, and that somebody said so.
//!
//! Nothing but a verification goes by the rejected lines that a table keeps, so that this is no record of the log: it stands beside them.

use std::collections::BTreeSet;

use flowquet_store::Store;
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;
use crate::error::Error;
use crate::layout::{REJECTS, rejects_key, rejects_loss_key, task_of_rejects_loss};
use crate::loss::Loss;
use crate::reading::{delete_if_there, keys_of};
use crate::records::{Record, from_json, to_json, written_by};
use crate::task_id::TaskId;

/// What stands in `_flowquet/rejects/….lost.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectsLossRecord {
    layout_version: u32,
    written_by: String,
    rejects: u64,
    loss: Loss,
}

impl Record for RejectsLossRecord {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// Rejected lines of a task whose loss was accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LostRejects {
    /// Key of the file that held them.
    pub key: String,
    /// How many they were.
    pub rejects: u64,
    /// Why.
    pub reason: String,
    /// When, in UTC, as text.
    pub accepted_at: String,
}

/// Accepts that the `rejects` lines are lost that the table kept of a task.
///
/// # Errors
/// As the store reports.
pub fn accept_loss_of_rejects(out: &dyn Store, task: TaskId, rejects: u64, loss: &Loss) -> Result<(), Error> {
    let record = RejectsLossRecord {
        layout_version: LAYOUT_VERSION,
        written_by: written_by(),
        rejects,
        loss: loss.clone(),
    };
    Ok(out.put(&rejects_loss_key(&task), &to_json(&record))?)
}

/// Ends that: they are there.
///
/// # Errors
/// As the store reports.
pub fn end_loss_of_rejects(out: &dyn Store, task: TaskId) -> Result<(), Error> {
    Ok(delete_if_there(out, &rejects_loss_key(&task))?)
}

/// Keys of the files of rejects whose loss was accepted.
///
/// # Errors
/// As the store reports.
pub fn lost_rejects(out: &dyn Store) -> Result<BTreeSet<String>, Error> {
    let keys = keys_of(out, REJECTS)?;
    Ok(keys.iter().filter_map(|key| task_of_rejects_loss(key)).map(rejects_key).collect())
}

/// What was said of a task's rejected lines; none where nobody did, or nobody can read what was said.
pub(crate) fn loss_of_rejects(out: &dyn Store, task: TaskId) -> Result<Option<LostRejects>, Error> {
    let bytes = match out.get(&rejects_loss_key(&task)) {
        Ok(bytes) => bytes,
        Err(error) if error.may_be_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let read = from_json::<RejectsLossRecord>(&bytes).ok();
    Ok(read.map(|RejectsLossRecord { rejects, loss: Loss { reason, accepted_at }, .. }| LostRejects {
        key: rejects_key(&task),
        rejects,
        reason,
        accepted_at,
    }))
}
