//! What a run would do: list, subtract what the table has, and plan; nothing is written.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use flowquet_sources::{Listing, SourceSet};
use flowquet_store::StorageClass;
use flowquet_table::{Log, ObjectId, PlanRecord, SourceObject, TableContract};

use crate::convert::{check_is_no_rollup, unbalanced};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::new_table::check_stands_alone;
use crate::request::Request;
use crate::summary::{FailedObject, Summary};
use crate::take::sort_out_and_plan;

/// What a run would do.
#[derive(Debug)]
pub struct Planned {
    /// What was listed, and what became of it so far.
    pub summary: Summary,
    /// The plan, if there is anything new: what other processes are handed to [perform](crate::perform_shard) their shards of it.
    pub plan: Option<PlanRecord>,
    /// Listed objects in tasks of earlier plans that have no commit, and so in no shard of this plan.
    pub in_open_tasks: u64,
    /// Of listed objects, those of a class that is an archive or may be.
    pub classes: HashMap<ObjectId, StorageClass>,
    /// Listed objects that an earlier run found archived and that still are; they are in no plan.
    pub archived_before: Vec<SourceObject>,
}

/// Makes the plan of a run. The listing is held whole, since the plan is.
///
/// # Errors
/// [`Error`] where sources cannot be listed or the table cannot be read; [`Error::ListingTooLong`](flowquet_sources::Error) where
/// the memory is too small for what is listed.
pub fn plan(request: &Request, observer: &dyn Observer, stop: &AtomicBool) -> Result<Planned, Error> {
    request.check()?;
    let sources = SourceSet::new(request.stores.clone());
    let listed = |objects| observer.event(&Event::Listed { objects });
    let lister = request.lister(&sources, &listed, stop);
    let (log, listed) = std::thread::scope(|scope| {
        let log = scope.spawn(|| log_as_it_is(request));
        let listed = lister.list(&request.sources);
        (log.join().expect("no panic while waiting"), listed)
    });
    let (mut log, Listing { all, listed }) = (log?, listed?);
    let mut summary = Summary::default();
    summary.objects.listed = all.objects.len() as u64 + listed.unreadable;
    summary.objects.failed = listed.unreadable;
    summary.objects.left_out = listed.left_out;
    summary.objects.repeated = listed.repeated;
    summary.failed_objects = all.unreadable.into_iter().map(FailedObject::from).collect();
    summary.left_out_tables = listed.tables;
    let classes = all.classes.iter().map(|(at, class)| (all.objects[*at].id(), *class)).collect();
    let (taken, plan) = sort_out_and_plan(&mut log, all.objects, request, &sources, stop)?;
    let listed_in_tasks = taken.in_tasks.len() as u64;
    let planned: usize = plan.iter().flat_map(|p| &p.tasks).map(|t| t.objects.len()).sum();
    let in_open_tasks = listed_in_tasks - planned as u64;
    let archived_before = taken.archived(&log);
    taken.report(&log, &mut summary);
    let open: Vec<_> = log.state().open_tasks().map(|t| t.task).collect();
    let tasks = open.iter().copied().chain(plan.iter().flat_map(|p| &p.tasks));
    let (mut task_count, mut objects, mut bytes) = (0, 0, 0);
    for task in tasks {
        task_count += 1;
        objects += task.objects.len() as u64;
        bytes += task.objects.iter().map(|o| o.bytes).sum::<u64>();
    }
    observer.event(&Event::Planned { tasks: task_count, objects, bytes, left_over: open.len() as u64 });
    summary.tasks_left = task_count;
    summary.objects.left += objects;
    summary.objects.resumed = objects - listed_in_tasks;
    summary.settle();
    unbalanced(&summary).map_or(Ok(Planned { summary, plan, in_open_tasks, classes, archived_before }), Err)
}

/// The log of the table that is there, or one of a table without plans.
fn log_as_it_is(request: &Request) -> Result<Log, Error> {
    match &request.contract {
        Some(contract) => {
            let log = Log::of(&request.out, contract.clone())?;
            check_is_no_rollup(&log)?;
            Ok(log)
        }
        None => {
            check_stands_alone(request.out.as_ref(), &request.stores)?;
            Ok(Log::absent(&request.out, TableContract::of(&request.options)))
        }
    }
}
