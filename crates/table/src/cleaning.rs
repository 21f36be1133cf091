//! Removing what killed runs left.

use std::collections::HashSet;
use std::time::Duration;

use crate::aside::ASIDE_IDLE_MIN;
use crate::check::data_files;
use crate::error::Error;
use crate::layout::{
    COMPACTED, SPOOL, compacted_folder, is_id, is_incoming, rejects_key, spooled_name, task_of_output,
};
use crate::log::Log;
use crate::objects::SourceObject;
use crate::reading::{delete_if_there, keys_of, list_or_none};
use crate::task_id::TaskId;

/// What nobody has written for so long is at work for no process any more. Clocks of machines differ by less.
const IDLE_MIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Log {
    /// Removes what killed runs may have left of void tasks: such a run could not see that its task was void.
    ///
    /// # Errors
    /// As the store reports.
    pub fn remove_files_of(&self, void: &HashSet<TaskId>) -> Result<(), Error> {
        if void.is_empty() {
            return Ok(());
        }
        for task in void {
            delete_if_there(self.out().as_ref(), &rejects_key(task))?;
        }
        for object in data_files(self.out().as_ref())? {
            if task_of_output(&object.key).is_some_and(|task| void.contains(task)) {
                delete_if_there(self.out().as_ref(), &object.key)?;
            }
        }
        Ok(())
    }

    /// Removes what stands aside for compactions and reconversions that were killed before their records: it is old, and no record
    /// that is not through asks for it. Whoever does the same work again writes the same once more.
    ///
    /// # Errors
    /// As the store reports.
    pub fn sweep_aside(&self) -> Result<(), Error> {
        Ok(self.left_aside()?.iter().try_for_each(|key| delete_if_there(self.out().as_ref(), key))?)
    }

    /// Keys of all that [`Self::sweep_aside`] removes.
    ///
    /// # Errors
    /// As the store reports.
    pub fn left_aside(&self) -> Result<Vec<String>, Error> {
        let open: HashSet<&str> = self.state().files().open().map(|record| record.id.as_str()).collect();
        let mut idle = self.out().idle(&format!("{COMPACTED}/"), ASIDE_IDLE_MIN)?;
        idle.retain(|key| {
            let rest = key.strip_prefix(COMPACTED).and_then(|rest| rest.strip_prefix('/'));
            let id = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
            is_id(id) && !open.contains(id)
        });
        Ok(idle)
    }

    /// Keys of all that stands aside for a compaction or reconversion.
    ///
    /// # Errors
    /// As the store reports.
    pub fn aside(&self, id: &str) -> Result<Vec<String>, Error> {
        keys_of(self.out().as_ref(), &compacted_folder(id))
    }

    /// Removes what was spooled from standard input and is in the table, and what a killed process left that was reading it. What
    /// was read whole and is in no plan stays: it may be all that is left of it.
    ///
    /// # Errors
    /// As the store reports.
    pub fn sweep_spool(&self) -> Result<(), Error> {
        let spooled = list_or_none(self.out().as_ref(), SPOOL)?;
        if spooled.is_empty() {
            return Ok(());
        }
        let open: HashSet<&str> =
            self.state().open_tasks().flat_map(|t| &t.task.objects).map(SourceObject::url).collect();
        for meta in spooled.into_iter().filter(|meta| spooled_name(&meta.key).is_some()) {
            let object = SourceObject::new(meta.url, &meta.key, meta.bytes, "");
            if self.state().known().is_taken(&object)? && !open.contains(object.url()) {
                delete_if_there(self.out().as_ref(), &meta.key)?;
            }
        }
        for key in self.out().idle(&format!("{SPOOL}/"), IDLE_MIN)?.iter().filter(|key| is_incoming(key)) {
            delete_if_there(self.out().as_ref(), key)?;
        }
        Ok(())
    }
}
