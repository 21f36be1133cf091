//! Removing what killed runs left.

use std::collections::HashSet;

use crate::check::data_files;
use crate::error::Error;
use crate::layout::{SPOOL, rejects_key, task_of_output};
use crate::log::Log;
use crate::objects::SourceObject;
use crate::reading::{delete_if_there, list_or_none};

impl Log {
    /// Removes what killed runs may have left of void tasks: such a run could not see that its task was void.
    ///
    /// # Errors
    /// As the store reports.
    pub fn remove_files_of(&self, void: &HashSet<String>) -> Result<(), Error> {
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

    /// Removes what was spooled from standard input and is in the table.
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
        for meta in spooled {
            let object = SourceObject::new(meta.url, &meta.key, meta.bytes, "");
            if self.state().known().is_taken(&object)? && !open.contains(object.url()) {
                delete_if_there(self.out().as_ref(), &meta.key)?;
            }
        }
        Ok(())
    }
}
