//! A run: list, take, perform, add up.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_format::{KeyFilter, ObjectKey};
use flowquet_store::{FILE_SCHEME, Store, Stores};
use flowquet_table::{
    Error as LogError, Log, Options, PlanRecord, SourceObject, TableContract, check_partitions,
    delete_if_there,
};

use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::goal::{Goal, PlannedTask};
use crate::limit::{RejectLimit, Shard};
use crate::listing::Lister;
use crate::perform::{Performance, perform};
use crate::source::{Source, SourceSet, spool, spool_key};
use crate::summary::Summary;
use crate::take::{Taken, replan_old_layouts, sort_out_and_plan, take};

/// What a run is asked to do.
#[derive(Debug)]
pub struct Request {
    /// Where objects come from.
    pub sources: Vec<Source>,
    /// Which of them are wanted.
    pub filter: KeyFilter,
    /// Stores of the sources.
    pub stores: Arc<Stores>,
    /// The table.
    pub out: Arc<dyn Store>,
    /// Its contract, if there is a table.
    pub contract: Option<TableContract>,
    /// Options that decide what is written.
    pub options: Options,
    /// Workers and memory.
    pub budget: Budget,
    /// How many rejects the run tolerates; `None` for any number.
    pub max_rejects: Option<RejectLimit>,
    /// Plan only; write nothing.
    pub dry_run: bool,
    /// A plan that was made before, and the shard of it that is performed; instead of sources.
    pub plan: Option<(PlanRecord, Shard)>,
}

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    /// What it did, whether or not it came to its end.
    pub summary: Summary,
    /// With `dry_run`: the plan that it would have made, if there is anything new.
    pub plan: Option<PlanRecord>,
    /// Workers that ran.
    pub workers: usize,
    /// What stopped it, if anything did.
    pub error: Option<Error>,
}

/// Converts, until done or `stop` is set. `stdin` is what [`Source::Stdin`] reads.
///
/// # Errors
/// [`Error`] where the run could not begin. What stops it later is in [`Run::error`], beside what was done.
pub fn convert(
    request: &Request,
    stdin: &mut dyn Read,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Run, Error> {
    let out = request.out.as_ref();
    let sources = SourceSet::new(request.stores.clone());
    let mut budget = request.budget;
    let plan_context = PlanContext::new(&request.options)?;
    let lister = Lister {
        sources: &sources,
        filter: &request.filter,
        out_url: root_url(out),
        memory_max: budget.listing_bytes_max(),
        observer,
        stop,
    };
    // The table is read while its sources are listed: both are mostly waiting.
    let (log, listed) = std::thread::scope(|scope| {
        let log = scope.spawn(|| open_log(request));
        let listed = lister.list(&request.sources);
        (log.join().expect("no panic while waiting"), listed)
    });
    let (mut log, mut listing) = (log?, listed?);
    let mut summary = Summary::default();
    let warn = |summary: &mut Summary, warning: String| {
        observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    };
    let mut spooled = None;
    if !request.dry_run {
        if request.sources.contains(&Source::Stdin) {
            let object = spool(stdin, out)?;
            spooled = spool_key(&object);
            listing.objects.push(object);
        }
        log.sweep_spool()?;
        replan_old_layouts(&mut log)?;
    }
    if log.state().contract().single_writer {
        warn(&mut summary, SINGLE_WRITER.to_owned());
    }
    for warning in plan_context.given.iter().flat_map(|g| g.warnings(&plan_context.catalogue)) {
        warn(&mut summary, warning);
    }
    if listing.untold > 0 {
        let untold = listing.untold;
        warn(
            &mut summary,
            format!("left {untold} objects out, whose keys do not tell what a filter asks for"),
        );
    }
    summary.objects.listed = listing.objects.len() as u64;
    summary.objects.left_out = listing.left_out;
    if request.plan.is_none() {
        let partitions = partitions_to_check(&log, &listing.objects);
        summary.files = check_partitions(&mut log, &partitions)?;
    }
    budget.divide(listing.memory + log.state().known().len() * KNOWN_BYTES);
    if request.dry_run {
        let (taken, plan) = sort_out_and_plan(&log, listing.objects, request, &sources, stop)?;
        return Ok(dry_run(&log, taken, plan, summary, budget.workers, observer));
    }
    let mut new_plan = None;
    let mut listed_in_tasks = 0;
    let mut mine: Option<HashSet<String>> = None;
    if let Some((plan, shard)) = &request.plan {
        mine = Some(take_shard(&mut log, plan, *shard, &mut summary)?);
        new_plan = Some(plan.number);
    } else {
        let taken = take(&mut log, listing.objects, request, &sources, stop)?;
        new_plan = taken.plan_number.or(new_plan);
        listed_in_tasks = taken.in_tasks;
        taken.report(&log, &mut summary);
    }
    let tasks = tasks_to_perform(&log, mine.as_ref())?;
    if let Some(key) = spooled
        && !tasks.iter().flat_map(|t| &t.task.objects).any(|o| spool_key(o).as_ref() == Some(&key))
    {
        // The same input is in the table already.
        delete_if_there(out, &key)?;
    }
    let objects_in_tasks: u64 = tasks.iter().map(|t| t.task.objects.len() as u64).sum();
    if mine.is_none() {
        summary.objects.resumed = objects_in_tasks - listed_in_tasks;
    }
    let left_over = tasks.iter().filter(|t| Some(t.plan_number) != new_plan).count() as u64;
    let bytes = tasks.iter().flat_map(|t| &t.task.objects).map(|o| o.bytes).sum();
    let objects = objects_in_tasks;
    observer.event(&Event::Planned { tasks: tasks.len() as u64, objects, bytes, left_over });
    let max_rejects = request.max_rejects;
    let performance =
        Performance { log: &log, max_rejects, budget, tasks: &tasks, sources: &sources, observer, stop };
    let performed = perform(&performance, &mut summary);
    summary.settle();
    let error = performed.error.or_else(|| unbalanced(&summary));
    Ok(Run { summary, plan: None, workers: budget.workers, error })
}

/// The partitions whose files a run compares with the records: the newest of those that listed objects belong to, by their keys,
/// and the newest of the table. A table on a disk is compared whole.
fn partitions_to_check(log: &Log, listing: &[SourceObject]) -> BTreeSet<String> {
    /// Each is a request.
    const CHECKED_MAX: usize = 8;
    let state = log.state();
    let mut of_table: BTreeSet<String> =
        state.files().iter().map(|f| f.output.partition.to_string()).collect();
    if log.out().url("").starts_with(FILE_SCHEME) {
        return of_table;
    }
    let by = &state.contract().partition_by;
    let mut listed = BTreeSet::new();
    for object in listing {
        let key = ObjectKey::parse(object.url());
        if key.delivery.is_some() {
            listed.insert(by.folder(&key, by.delivery_slot(&key)));
        }
        if listed.len() > CHECKED_MAX {
            listed.pop_first();
        }
    }
    while of_table.len() > CHECKED_MAX {
        of_table.pop_first();
    }
    of_table.append(&mut listed);
    of_table
}

/// What would be done, of which nothing is.
fn dry_run(
    log: &Log,
    taken: Taken,
    plan: Option<PlanRecord>,
    mut summary: Summary,
    workers: usize,
    observer: &dyn Observer,
) -> Run {
    let listed_in_tasks = taken.in_tasks;
    taken.report(log, &mut summary);
    let open: Vec<_> = log.state().open_tasks().map(|t| t.task).collect();
    let tasks = open.iter().copied().chain(plan.iter().flat_map(|p| &p.tasks));
    let (mut task_count, mut objects, mut bytes) = (0, 0, 0);
    for task in tasks {
        task_count += 1;
        objects += task.objects.len() as u64;
        bytes += task.objects.iter().map(|o| o.bytes).sum::<u64>();
    }
    let left_over = open.len() as u64;
    observer.event(&Event::Planned { tasks: task_count, objects, bytes, left_over });
    summary.tasks_left = task_count;
    summary.objects.left = objects;
    summary.objects.resumed = objects - listed_in_tasks;
    summary.settle();
    let error = unbalanced(&summary);
    Run { summary, plan, workers, error }
}

/// Objects that are not accounted for are a defect of this program.
fn unbalanced(summary: &Summary) -> Option<Error> {
    let what = || format!("objects: {:?}", summary.objects);
    (!summary.objects.balances()).then(|| Error::Accounting(what()))
}

/// The log of the table that is there, or that is made now; of a dry run without a table, one of a table without plans.
fn open_log(request: &Request) -> Result<Log, Error> {
    let (out, options) = (&request.out, &request.options);
    if let Some(contract) = &request.contract {
        let differences = contract.differences(options);
        if !differences.is_empty() {
            return Err(LogError::Contract(differences).into());
        }
        if !request.dry_run {
            out.create()?;
        }
        return Ok(Log::of(out, contract.clone())?);
    }
    if request.dry_run {
        return Ok(Log::absent(out, TableContract::of(options)));
    }
    out.create()?;
    let single_writer = !out.honours_conditions()?;
    Ok(Log::make(out, options, single_writer)?)
}

/// Memory that a known object takes.
const KNOWN_BYTES: usize = 64;

const SINGLE_WRITER: &str = "the store of this table ignores the condition of a put-if-absent: run only one flowquet at a time \
                             on it; kills and re-runs are safe";

/// URL of the table root with a slash behind it, as listings of a disk spell it: without links.
fn root_url(out: &dyn Store) -> String {
    // A key below the root that is there, or may be: its folder's real name is what counts.
    let url = out.url("");
    let real = url.strip_prefix(FILE_SCHEME).and_then(|path| std::path::Path::new(path).canonicalize().ok());
    let url = real.map_or(url, |path| format!("{FILE_SCHEME}{}", path.display()));
    format!("{}/", url.trim_end_matches('/'))
}

/// Puts a plan that was made before into the table, and returns the ids of the tasks of one shard.
fn take_shard(
    log: &mut Log,
    plan: &PlanRecord,
    shard: Shard,
    summary: &mut Summary,
) -> Result<HashSet<String>, Error> {
    log.take_plan(plan)?;
    let open: HashSet<&str> = log.state().open_tasks().map(|t| t.task.id.as_str()).collect();
    let numbered = plan.tasks.iter().enumerate();
    let mine: Vec<_> =
        numbered.filter(|(i, _)| *i as u64 % shard.of == shard.index).map(|(_, t)| t).collect();
    for task in &mine {
        let objects = task.objects.len() as u64;
        summary.objects.listed += objects;
        if open.contains(task.id.as_str()) {
            continue;
        }
        // Committed by an earlier run, or given up.
        let is_taken = |object: &&SourceObject| log.state().known().is_taken(object);
        let taken = task.objects.iter().filter(is_taken).count() as u64;
        summary.objects.known += taken;
        for object in task.objects.iter().filter(|o| !is_taken(o)) {
            match log.state().known().failure_of(object) {
                Some(claim) => summary.fail(object.url(), &claim.cause, log.state().is_ignored(object)),
                None => summary.objects.left += 1,
            }
        }
    }
    Ok(mine.into_iter().map(|t| t.id.clone()).collect())
}

/// Tasks without a commit: all of them, or those of a shard.
fn tasks_to_perform(log: &Log, mine: Option<&HashSet<String>>) -> Result<Vec<PlannedTask>, Error> {
    let mut tasks: Vec<PlannedTask> = Vec::new();
    let mut last: Option<(u64, Arc<PlanContext>)> = None;
    for open in log.state().open_tasks().filter(|t| mine.is_none_or(|m| m.contains(&t.task.id))) {
        let context = match &last {
            Some((plan, context)) if *plan == open.plan => context.clone(),
            _ => Arc::new(PlanContext::new(open.options)?.with_union(open.formats)?),
        };
        last = Some((open.plan, context.clone()));
        tasks.push(PlannedTask {
            plan_number: open.plan,
            goal: Goal::Commit { layout_version: open.layout_version },
            context,
            task: open.task.clone(),
        });
    }
    Ok(tasks)
}
