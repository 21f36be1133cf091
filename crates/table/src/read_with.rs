//! Which log formats objects of a table were read with.

use std::collections::{BTreeSet, HashSet};

use crate::compaction::CompactionRecord;
use crate::error::Error;
use crate::layout::{compaction_key, plan_key};
use crate::log::Log;
use crate::objects::ObjectId;
use crate::options::Reading;
use crate::reading::{decode, decode_plan, read_each};
use crate::records::{CommitRecord, InputRecord};
use crate::state::TableState;
use crate::task_id::TaskId;

/// Plans, commits and reconversions that are read to find out, each a request: this is for a hint.
const READ_MAX: usize = 64;

/// Objects that were read with formats that a run gives no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOtherwise {
    /// How many, among those that were looked at.
    pub objects: u64,
    /// Those formats.
    pub formats: BTreeSet<String>,
}

impl Log {
    /// Those of some `objects` in the table that have no header line, and were read with a format that `reading` does not give. It looks at the
    /// newest plans and reconversions that gave others, and not at all of many.
    ///
    /// # Errors
    /// As the store reports; [`Error::Record`].
    pub fn read_otherwise(
        &mut self,
        objects: &HashSet<ObjectId>,
        reading: &Reading,
    ) -> Result<ReadOtherwise, Error> {
        let now = texts(reading);
        let mut found = ReadOtherwise::default();
        let plans = self.state().plans().iter().enumerate().rev();
        let others = plans.map(|(i, plan)| (i as u64 + 1, &texts(&plan.options.reading) - &now));
        let others: Vec<(u64, BTreeSet<String>)> =
            others.filter(|(_, formats)| !formats.is_empty()).take(READ_MAX).collect();
        let has_reconversions = self.state().files().reconversions() > 0;
        if now.is_empty() || objects.is_empty() || others.is_empty() && !has_reconversions {
            return Ok(found);
        }
        self.ask(TableState::read_files)?;
        // Of tasks that a reconversion replaced no file has rows.
        let files = self.state().files().all()?;
        let live: HashSet<TaskId> = files.into_iter().flat_map(|file| file.tasks.iter().copied()).collect();
        let newest = (1..=self.state().files().last_compaction()).rev().take(READ_MAX);
        let keys: Vec<String> = newest.filter(|_| has_reconversions).map(compaction_key).collect();
        read_each(self.out().as_ref(), &keys, |key, bytes| {
            let record: CompactionRecord = decode(self.out().as_ref(), key, &bytes)?;
            for task in record.reconversion.into_iter().flat_map(|reconversion| reconversion.tasks) {
                if live.contains(&task.commit.task) {
                    found.add(&task.commit, &(&texts(&task.options.reading) - &now), objects);
                }
            }
            Ok(())
        })?;
        let mut commits = 0;
        for (number, formats) in others {
            let key = plan_key(number);
            let plan = decode_plan(self.out().as_ref(), &key, &self.out().get(&key)?)?;
            for task in plan.tasks.iter().filter(|task| live.contains(&task.id)) {
                if commits == READ_MAX {
                    return Ok(found);
                }
                if !task.objects.iter().any(|object| objects.contains(&object.id())) {
                    continue;
                }
                commits += 1;
                found.add(&self.read_commit(&task.id, number)?, &formats, objects);
            }
        }
        Ok(found)
    }
}

fn texts(reading: &Reading) -> BTreeSet<String> {
    reading.formats().iter().map(|format| format.to_string()).collect()
}

impl ReadOtherwise {
    /// Adds those of the `objects` without a header line that a task read, if it wrote any of these formats.
    fn add(&mut self, commit: &CommitRecord, formats: &BTreeSet<String>, objects: &HashSet<ObjectId>) {
        let written = commit.outputs.iter().map(|output| output.format.to_string());
        let written: BTreeSet<String> = written.filter(|format| formats.contains(format)).collect();
        let is_read = |input: &&InputRecord| {
            input.counts.records > 0 && input.counts.headers == 0 && objects.contains(&input.object.id())
        };
        let count = commit.inputs.iter().filter(is_read).count() as u64;
        if count > 0 && !written.is_empty() {
            self.objects += count;
            self.formats.extend(written);
        }
    }
}
