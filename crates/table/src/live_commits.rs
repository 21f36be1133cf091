//! Commits that count: of all tasks that are neither void nor superseded.

use std::collections::HashSet;
use std::sync::Arc;

use crate::compaction::CompactionRecord;
use crate::error::Error;
use crate::layout::{commit_key, compaction_key, plan_key};
use crate::log::Log;
use crate::options::Options;
use crate::reading::{decode, decode_commit, decode_plan, read_each};
use crate::records::CommitRecord;
use crate::task_id::TaskId;

impl Log {
    /// Calls `each` with the options and the commit of each task that counts, as far as the state knows them: those of
    /// reconversions first, then those of plans in their order.
    ///
    /// # Errors
    /// Those of `each`; as the store reports; [`Error::Record`].
    pub fn read_live_commits<E: From<Error>>(
        &self,
        mut each: impl FnMut(&Arc<Options>, CommitRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let out = self.out().as_ref();
        let (mut superseded, mut with_tasks) = (HashSet::new(), Vec::new());
        self.read_compactions(|record| {
            if let Some(reconversion) = record.reconversion {
                superseded.extend(reconversion.superseded.into_iter().map(|t| t.task));
                with_tasks.push(compaction_key(record.number));
            }
            Ok(())
        })?;
        for key in with_tasks {
            let record: CompactionRecord = decode(out, &key, &out.get(&key).map_err(Error::from)?)?;
            let tasks = record.reconversion.into_iter().flat_map(|r| r.tasks);
            for task in tasks.filter(|t| !superseded.contains(&t.commit.task)) {
                each(&Arc::new(task.options), task.commit)?;
            }
        }
        let open: HashSet<TaskId> = self.state().open_tasks().map(|t| t.task.id).collect();
        for number in 1..=self.state().last_plan() {
            let key = plan_key(number);
            let plan = decode_plan(out, &key, &out.get(&key).map_err(Error::from)?)?;
            let is_committed = |id: &TaskId| !open.contains(id) && !superseded.contains(id);
            let tasks = plan.tasks.iter().filter(|task| is_committed(&task.id));
            let keys: Vec<String> = tasks.map(|t| commit_key(&t.id, number, plan.layout_version)).collect();
            let mut stopped = None;
            let read = read_each(out, &keys, |key, bytes| {
                let commit = decode_commit(out, key, &bytes)?;
                if commit.void.is_none() && stopped.is_none() {
                    stopped = each(self.state().options_of(number), commit).err();
                }
                Ok(())
            });
            stopped.map_or(Ok(()), Err)?;
            read?;
        }
        Ok(())
    }
}
