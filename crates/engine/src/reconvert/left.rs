//! Chosen objects whose loss was accepted and whose raw logs cannot be read: they stay lost, and keep no others from being there again.

use std::collections::HashSet;

use flowquet_table::{Log, TaskId};

use super::choice::Chosen;
use super::gone::blocked_tasks;
use super::scope::Scope;
use crate::error::Error;

/// Tasks that are left as they are, and why the first of them are.
#[derive(Debug, Default)]
pub(super) struct Left {
    tasks: HashSet<TaskId>,
    pub(super) why: Option<String>,
}

impl Left {
    /// Whether any are.
    pub(super) fn is_any(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// These tasks.
    pub(super) fn tasks(&self) -> &HashSet<TaskId> {
        &self.tasks
    }

    /// Takes out of what is chosen what is left as it is. Returns how many objects that are.
    pub(super) fn leave(&self, chosen: &mut Chosen) -> u64 {
        let left = chosen.tasks.extract_if(.., |task, _| self.tasks.contains(task));
        left.map(|(_, objects)| objects.len() as u64).sum()
    }

    /// Leaves the tasks out for whose sake a reconversion of `scope` ended with `error`, with those that would have to be read with them. Returns
    /// whether others are left to do; where raw logs are not the reason there are none.
    ///
    /// # Errors
    /// As [`blocked_tasks`].
    pub(super) fn add(&mut self, log: &Log, scope: &Scope, error: &Error) -> Result<bool, Error> {
        let Some((tasks, why)) = error.raw_logs() else { return Ok(false) };
        let blocked = blocked_tasks(log, tasks)?;
        let (out, rest): (Vec<_>, Vec<_>) =
            scope.superseded.iter().map(|task| task.id).partition(|task| blocked.contains(task));
        self.tasks.extend(&out);
        self.why.get_or_insert(why);
        Ok(!out.is_empty() && !rest.is_empty())
    }
}
