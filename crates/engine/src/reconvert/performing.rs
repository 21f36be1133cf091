//! Performs what a reconversion has planned.

use flowquet_table::Log;

use super::request::Means;
use crate::budget::Budget;
use crate::error::Error;
use crate::events::Event;
use crate::goal::PlannedTask;
use crate::perform::{Execution, Performed, perform};
use crate::summary::Summary;

/// Performs these tasks, if there are any.
pub(super) fn run(
    log: &Log,
    budget: Budget,
    planned: &[PlannedTask],
    means: Means<'_>,
    summary: &mut Summary,
) -> Result<Performed, Error> {
    if planned.is_empty() {
        return Ok(Performed::default());
    }
    let Means { sources, observer, stop, .. } = means;
    let all = || planned.iter().flat_map(|t| &t.task.objects);
    observer.event(&Event::Planned {
        tasks: planned.len() as u64,
        objects: all().count() as u64,
        bytes: all().map(|o| o.bytes).sum(),
        left_over: 0,
    });
    let execution = Execution { log, max_rejects: None, budget, tasks: planned, sources, observer, stop };
    let mut performed = perform(&execution, summary);
    performed.error.take().map_or(Ok(performed), Err)
}
