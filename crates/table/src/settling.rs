//! Settling open tasks without performing them.

use std::collections::HashSet;

use crate::cause::Cause;
use crate::error::Error;
use crate::log::Log;
use crate::objects::SourceObject;
use crate::records::{CommitRecord, Task};
use crate::task_id::TaskId;

impl Log {
    /// Gives tasks up that have no commit: their objects are as if never planned. One that another run commits at this moment
    /// stays. Returns the ids of those that were given up.
    ///
    /// # Errors
    /// As the store reports.
    pub fn void_tasks(&mut self, ids: &HashSet<TaskId>, reason: &str) -> Result<HashSet<TaskId>, Error> {
        let tasks: Vec<(u64, u32, TaskId)> = self
            .state()
            .open_tasks()
            .filter(|t| ids.contains(&t.task.id))
            .map(|t| (t.plan, t.layout_version, t.task.id))
            .collect();
        let mut void = HashSet::new();
        for (plan, layout_version, task) in tasks {
            let record = CommitRecord::void(task, plan, layout_version, reason.to_owned());
            if self.settle(record, layout_version)? {
                void.insert(task);
            }
        }
        self.remove_files_of(&void)?;
        Ok(void)
    }

    /// Commits the open tasks of a plan as if each of their objects had been tried and failed, for the cause that `cause_of` tells. One
    /// that another run commits at this moment stays as that has it.
    ///
    /// # Errors
    /// As the store reports.
    pub fn fail_tasks(&mut self, plan: u64, cause_of: &dyn Fn(&SourceObject) -> Cause) -> Result<(), Error> {
        let open = self.state().open_tasks().filter(|t| t.plan == plan);
        let tasks: Vec<(u32, Task)> = open.map(|t| (t.layout_version, t.task.clone())).collect();
        for (layout_version, task) in tasks {
            self.settle(CommitRecord::failed(&task, plan, layout_version, cause_of), layout_version)?;
        }
        Ok(())
    }
}
