//! Commits that count: of all tasks that are neither void nor superseded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::compaction::{CompactionRecord, Reconversion};
use crate::error::Error;
use crate::layout::{commit_key, compaction_key, plan_key};
use crate::log::Log;
use crate::objects::SourceObject;
use crate::options::Options;
use crate::reading::{decode, decode_commit, decode_plan, read_each};
use crate::records::CommitRecord;
use crate::task_id::TaskId;

/// Objects of tasks as they were when rows of theirs returned that had been lost: other copies may have other times.
#[derive(Debug, Default)]
pub struct ReturnedObjects {
    by_task: HashMap<TaskId, HashMap<String, SourceObject>>,
}

impl ReturnedObjects {
    /// Adds those of a reconversion, which comes after those before.
    pub fn add(&mut self, reconversion: &Reconversion) {
        for task in reconversion.rewritten.iter().filter(|task| !task.objects.is_empty()) {
            let objects = task.objects.iter().map(|object| (object.url().to_owned(), object.clone()));
            self.by_task.entry(task.task).or_default().extend(objects);
        }
    }

    /// Has a commit name its objects as they were last.
    pub fn apply(&self, commit: &mut CommitRecord) {
        let Some(objects) = self.by_task.get(&commit.task) else { return };
        for input in &mut commit.inputs {
            if let Some(object) = objects.get(input.object.url()) {
                input.object = object.clone();
            }
        }
    }
}

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
        let mut returned = ReturnedObjects::default();
        self.read_compactions(|record| {
            if let Some(reconversion) = record.reconversion {
                returned.add(&reconversion);
                superseded.extend(reconversion.superseded.into_iter().map(|t| t.task));
                with_tasks.push(compaction_key(record.number));
            }
            Ok(())
        })?;
        for key in with_tasks {
            let record: CompactionRecord = decode(out, &key, &out.get(&key).map_err(Error::from)?)?;
            let tasks = record.reconversion.into_iter().flat_map(|r| r.tasks);
            for mut task in tasks.filter(|t| !superseded.contains(&t.commit.task)) {
                returned.apply(&mut task.commit);
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
                let mut commit = decode_commit(out, key, &bytes)?;
                returned.apply(&mut commit);
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
