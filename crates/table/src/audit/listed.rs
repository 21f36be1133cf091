//! Keys of records, sorted out by what they are.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_store::{ErrorKind, Store};

use crate::checked;
use crate::error::Error;
use crate::layout::{
    CATALOG_KEY, COMPACTED, CONTRACT_KEY, IGNORED, RECORDS, SEGMENTS, SPOOL, STAGING, checkpoint_number,
    compaction_done_number, compaction_number, enrichment_of_key, plan_number, task_of_commit,
    task_of_rejects, task_of_rejects_loss,
};

/// Keys of records.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) plans: BTreeSet<u64>,
    pub(super) compactions: BTreeSet<u64>,
    /// Those whose files are in place.
    pub(super) done: BTreeSet<u64>,
    /// Keys of commits, and the tasks that they name.
    pub(super) commits: BTreeMap<String, String>,
    /// Tasks that have files of rejects.
    pub(super) rejects: BTreeSet<String>,
    /// Tasks whose rejects somebody accepted to be lost.
    pub(super) lost_rejects: BTreeSet<String>,
    /// What is none of these, and nothing else that a table has.
    pub(super) unknown: Vec<String>,
}

impl Listed {
    /// Lists all that lies among the records.
    pub(super) fn of(out: &dyn Store) -> Result<Self, Error> {
        let mut listed = Self::default();
        let found = out.list_each(&format!("{RECORDS}/"), &mut |object| listed.add(object.key));
        match found {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(listed),
        }
    }

    fn add(&mut self, key: String) {
        if let Some(number) = plan_number(&key) {
            self.plans.insert(number);
        } else if let Some(number) = compaction_number(&key) {
            self.compactions.insert(number);
        } else if let Some(task) = task_of_commit(&key) {
            let task = task.to_owned();
            self.commits.insert(key, task);
        } else if let Some(task) = task_of_rejects(&key) {
            self.rejects.insert(task.to_owned());
        } else if let Some(task) = task_of_rejects_loss(&key) {
            self.lost_rejects.insert(task.to_owned());
        } else if let Some(number) = compaction_done_number(&key) {
            self.done.insert(number);
        } else if !is_other(&key) {
            self.unknown.push(key);
        }
    }
}

fn within<'a>(key: &'a str, folder: &str) -> Option<&'a str> {
    key.strip_prefix(folder)?.strip_prefix('/')
}

/// Whether it is something that a table has beside its records, or that a run which was killed may have left.
fn is_other(key: &str) -> bool {
    let is_ignored = within(key, IGNORED).is_some_and(|name| {
        name.strip_suffix(".json")
            .is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    let is_segment = within(key, SEGMENTS).is_some_and(checked::is_segment);
    let is_left = [COMPACTED, SPOOL, STAGING].iter().any(|folder| within(key, folder).is_some());
    key == CONTRACT_KEY
        || key == CATALOG_KEY
        || checkpoint_number(key).is_some()
        || is_segment
        || enrichment_of_key(key).is_some()
        || is_ignored
        || is_left
}
