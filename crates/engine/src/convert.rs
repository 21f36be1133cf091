//! A run: list, plan, perform, report.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_plan::{CommitRecord, Options, PlanRecord, SourceObject, Task, plan_units};
use flowquet_store::{LocalStore, Store};

use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::router::Piece;
use crate::sink::{Outcome, TaskSink};
use crate::source::{Source, SourceSet, spool, spool_key};
use crate::summary::{FailedObject, Summary};
use crate::table::{Table, check_contract};
use crate::worker::{Taker, UnitCounts, UnitError, Worker};

/// How many rejects a run bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// This many lines.
    Lines(u64),
    /// This share of lines, in percent.
    Percent(f64),
}

impl RejectLimit {
    fn is_passed(self, rejects: u64, lines: u64) -> bool {
        match self {
            Self::Lines(max) => rejects > max,
            Self::Percent(max) => rejects as f64 * 100.0 > max * lines as f64,
        }
    }
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p} %"),
        }
    }
}

impl FromStr for RejectLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("expected a number of lines or a percentage such as `1%`, found `{text}`");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| error())?;
                if (0.0..=100.0).contains(&percent) { Ok(Self::Percent(percent)) } else { Err(error()) }
            }
            None => Ok(Self::Lines(text.parse().map_err(|_| error())?)),
        }
    }
}

/// What a run is asked to do.
#[derive(Debug)]
pub struct Request {
    /// Where objects come from.
    pub sources: Vec<Source>,
    /// The table.
    pub out: LocalStore,
    /// Options that decide what is written.
    pub options: Options,
    /// Workers and memory.
    pub budget: Budget,
    /// How many rejects the run bears; `None` for any number.
    pub max_rejects: Option<RejectLimit>,
    /// Plan only; write nothing.
    pub dry_run: bool,
}

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    /// What it did, whether or not it came to its end.
    pub summary: Summary,
    /// With `dry_run`: the plan that it would have made, if there is anything new.
    pub plan: Option<PlanRecord>,
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
    let sources = SourceSet::default();
    let mut listing = sources.list(&request.sources, request.out.root())?;
    let mut summary = Summary::default();
    let plan_context = PlanContext::new(&request.options)?;
    check_contract(&request.out, &request.options, false)?;
    if !request.dry_run {
        request.out.create()?;
        check_contract(&request.out, &request.options, true)?;
        if request.sources.contains(&Source::Stdin) {
            listing.push(spool(stdin, &request.out)?);
        }
    }
    if let Some(given) = &plan_context.given {
        for warning in given.warnings(&plan_context.catalogue) {
            observer.event(&Event::Warning(&warning));
            summary.warnings.push(warning);
        }
    }
    summary.objects.listed = listing.len() as u64;
    let mut table = Table::read(&request.out)?;
    if !request.dry_run {
        table.sweep(&request.out)?;
    }
    leave_out_unreadable(&mut listing, &table, request, &sources, &mut summary, observer);
    let mut plan = None;
    let (sorted, new_plan) = if request.dry_run {
        let mut sorted = table.sort_out(&listing, &request.options);
        if !sorted.new.is_empty() {
            plan = Some(table.plan(std::mem::take(&mut sorted.new), &request.options)?);
        }
        (sorted, None)
    } else {
        table.take(&request.out, &listing, &request.options)?
    };
    summary.objects.known = sorted.known;
    summary.objects.changed = sorted.changed.len() as u64;
    for (object, bytes) in sorted.changed {
        let reason = format!("{bytes} bytes when it was taken into the table, {} now", object.bytes);
        summary.changed_objects.push(FailedObject { url: object.url, reason });
    }
    for (object, reason) in sorted.failed {
        summary.objects.failed += 1;
        summary.failed_objects.push(FailedObject { url: object.url, reason });
    }
    let tasks = tasks_to_perform(&table, &request.out)?;
    let left_over = tasks.iter().filter(|t| Some(t.plan_number) != new_plan).count() as u64;
    let planned = plan.iter().flat_map(|p| &p.tasks).chain(tasks.iter().map(|t| &t.task));
    let (mut task_count, mut objects, mut bytes) = (0, 0, 0);
    for task in planned {
        task_count += 1;
        objects += task.objects.len() as u64;
        bytes += task.objects.iter().map(|o| o.bytes).sum::<u64>();
    }
    observer.event(&Event::Planned { tasks: task_count, objects, bytes, left_over });
    if request.dry_run {
        summary.tasks_left = task_count;
        summary.settle();
        return Ok(Run { summary, plan, error: None });
    }
    let error = perform(request, &tasks, &sources, observer, stop, &mut summary);
    summary.settle();
    Ok(Run { summary, plan: None, error })
}

/// Takes new objects that may not be read out of `listing`, and reports them: a plan that holds one could never be performed.
fn leave_out_unreadable(
    listing: &mut Vec<SourceObject>,
    table: &Table,
    request: &Request,
    sources: &SourceSet,
    summary: &mut Summary,
    observer: &dyn Observer,
) {
    let mut unreadable = HashSet::new();
    for object in table.sort_out(listing, &request.options).new {
        if let Err(error) = sources.open(&object) {
            let reason = error.to_string();
            observer.event(&Event::ObjectFailed { url: &object.url, reason: &reason });
            summary.objects.failed += 1;
            summary.failed_objects.push(FailedObject { url: object.url.clone(), reason });
            unreadable.insert(object.url);
        }
    }
    listing.retain(|o| !unreadable.contains(&o.url));
}

/// A task without a commit.
struct PlannedTask {
    plan_number: u64,
    context: Arc<PlanContext>,
    task: Task,
}

fn tasks_to_perform(table: &Table, out: &dyn Store) -> Result<Vec<PlannedTask>, Error> {
    let mut tasks = Vec::new();
    for plan in &table.plans {
        let open: Vec<&Task> = plan.tasks.iter().filter(|t| !table.commits.contains_key(&t.id)).collect();
        if open.is_empty() {
            // What was spooled for tasks that are committed is of no use any more.
            for key in plan.tasks.iter().flat_map(|t| &t.objects).filter_map(spool_key) {
                let _ = out.delete(&key);
            }
            continue;
        }
        let context = Arc::new(PlanContext::new(&plan.options)?);
        tasks.extend(open.into_iter().map(|t| PlannedTask {
            plan_number: plan.number,
            context: context.clone(),
            task: t.clone(),
        }));
    }
    Ok(tasks)
}

/// A task being performed.
struct ActiveTask<'a> {
    planned: &'a PlannedTask,
    units: Vec<std::ops::Range<usize>>,
    /// Made when the first unit begins.
    sink: Mutex<Option<Arc<TaskSink>>>,
}

/// What workers share.
struct Shared<'a> {
    request: &'a Request,
    sources: &'a SourceSet,
    observer: &'a dyn Observer,
    /// Set by the caller, or by the first worker that fails.
    stop: &'a AtomicBool,
    failed: AtomicBool,
    tasks: Vec<ActiveTask<'a>>,
    /// Every unit of every task, in order.
    queue: Vec<(usize, usize)>,
    next: AtomicUsize,
    result: Mutex<Shareable<'a>>,
    warned: Mutex<HashSet<String>>,
}

struct Shareable<'a> {
    summary: &'a mut Summary,
    error: Option<Error>,
}

fn perform(
    request: &Request,
    tasks: &[PlannedTask],
    sources: &SourceSet,
    observer: &dyn Observer,
    stop: &AtomicBool,
    summary: &mut Summary,
) -> Option<Error> {
    let tasks: Vec<ActiveTask<'_>> = tasks
        .iter()
        .map(|planned| ActiveTask {
            planned,
            units: plan_units(&planned.task.objects, planned.context.row_group_rows as u64),
            sink: Mutex::new(None),
        })
        .collect();
    let queue =
        tasks.iter().enumerate().flat_map(|(t, task)| (0..task.units.len()).map(move |u| (t, u))).collect();
    let count = tasks.len() as u64;
    let warned = summary.warnings.iter().cloned().collect();
    let shared = Shared {
        request,
        sources,
        observer,
        stop,
        failed: AtomicBool::new(false),
        tasks,
        queue,
        next: AtomicUsize::new(0),
        result: Mutex::new(Shareable { summary, error: None }),
        warned: Mutex::new(warned),
    };
    let workers = request.budget.workers;
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(workers).thread_name(|i| format!("flowquet-{i}")).build();
    let pool = pool.expect("threads can be made");
    pool.broadcast(|_| shared.work());
    let Shareable { summary, error } = shared.result.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = summary.tasks + summary.tasks_by_another;
    summary.tasks_left = count.saturating_sub(done);
    error.or_else(|| (stop.load(Ordering::Relaxed) && summary.tasks_left > 0).then_some(Error::Interrupted))
}

/// Sets a flag when a worker ends by panicking, so that the others do not wait for it.
struct PanicGuard<'a>(&'a AtomicBool);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared<'_> {
    fn ended(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.failed.load(Ordering::Relaxed)
    }

    fn work(&self) {
        let _guard = PanicGuard(&self.failed);
        let mut worker: Option<Worker> = None;
        while !self.ended() {
            let Some(&(task, unit)) = self.queue.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if let Err(error) = self.run_unit(task, unit, &mut worker) {
                self.fail(error);
            }
        }
    }

    fn fail(&self, error: Error) {
        self.failed.store(true, Ordering::Relaxed);
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        // The first error is the cause; workers that were waiting then report an interruption.
        if result.error.is_none() && !matches!(error, Error::Interrupted) {
            result.error = Some(error);
        }
    }

    fn sink_of(&self, task: &ActiveTask<'_>) -> Result<Arc<TaskSink>, Error> {
        let mut sink = task.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = &*sink {
            return Ok(sink.clone());
        }
        let PlannedTask { plan_number, context, task: planned } = task.planned;
        let out = Arc::new(self.request.out.clone());
        let ahead_max = self.request.budget.workers + 1;
        let made = TaskSink::new(planned, *plan_number, context.clone(), out, task.units.len(), ahead_max)?;
        Ok(sink.insert(Arc::new(made)).clone())
    }

    fn run_unit(&self, task_index: usize, unit: usize, worker: &mut Option<Worker>) -> Result<(), Error> {
        let task = &self.tasks[task_index];
        let sink = self.sink_of(task)?;
        let objects = &task.planned.task.objects[task.units[unit].clone()];
        let is_last = if sink.admit(unit, &self.failed)? {
            let context = &task.planned.context;
            let worker = match worker {
                Some(w) if Arc::ptr_eq(w.plan(), context) => w,
                other => other.insert(Worker::new(context.clone(), self.request.budget.inflate_bytes_max)?),
            };
            let mut taker = UnitTaker { shared: self, sink: &sink, unit };
            match worker.run_unit(objects, self.sources, &mut taker) {
                Ok(counts) => {
                    for input in &counts.inputs {
                        if let Some(reason) = &input.failed {
                            self.observer.event(&Event::ObjectFailed { url: &input.object.url, reason });
                        }
                    }
                    sink.end_unit(unit, counts)?
                }
                Err(UnitError::Changed(reason)) => sink.void(unit, reason)?,
                Err(UnitError::Run(error)) => return Err(error),
            }
        } else {
            sink.end_unit(unit, UnitCounts::default())?
        };
        if is_last {
            self.finish_task(task, &sink)?;
            // Frees the task's buffers.
            *task.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    fn finish_task(&self, task: &ActiveTask<'_>, sink: &TaskSink) -> Result<(), Error> {
        if self.ended() {
            return Err(Error::Interrupted);
        }
        let outcome = sink.finish(|commit| self.check_rejects(commit))?;
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Committed(commit) => {
                result.summary.add(&commit);
                let files = commit.outputs.len() as u64;
                self.observer.event(&Event::TaskCommitted {
                    id: &commit.task,
                    records: commit.counts.records,
                    files,
                });
                warn_of_misfits(&commit, &mut result.summary.warnings, self.observer);
            }
            Outcome::CommittedByAnother => result.summary.tasks_by_another += 1,
            Outcome::Void(reason) => {
                let objects = task.planned.task.objects.len() as u64;
                result.summary.objects.set_aside += objects;
                let warning = format!("set {objects} objects aside for the next run: {reason}");
                self.observer.event(&Event::Warning(&warning));
                result.summary.warnings.push(warning);
                return Ok(());
            }
        }
        task.planned.task.objects.iter().filter_map(spool_key).for_each(|key| {
            let _ = self.request.out.delete(&key);
        });
        Ok(())
    }

    /// Checks the limit over what this run has committed and what it is about to.
    fn check_rejects(&self, commit: &CommitRecord) -> Result<(), Error> {
        let Some(limit) = self.request.max_rejects else { return Ok(()) };
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let rejects = result.summary.counts.rejects + commit.counts.rejects;
        let lines = result.summary.counts.lines + commit.counts.lines;
        if limit.is_passed(rejects, lines) {
            return Err(Error::TooManyRejects { rejects, lines, limit: limit.to_string() });
        }
        Ok(())
    }
}

/// Warns of objects of which not a single line fits the format: a wrong `--format` looks like this.
fn warn_of_misfits(commit: &CommitRecord, warnings: &mut Vec<String>, observer: &dyn Observer) {
    /// Objects that are named; the rest would say the same.
    const NAMED_MAX: usize = 5;
    let misfits = commit.inputs.iter().filter(|i| i.counts.rejects > 0 && i.counts.records == 0);
    for input in misfits.take(NAMED_MAX) {
        let warning = format!(
            "no line of `{1}` fits its log format, {0} rejected: is the format right?",
            input.counts.rejects, input.object.url
        );
        observer.event(&Event::Warning(&warning));
        warnings.push(warning);
    }
}

/// Hands a unit's pieces to its task's sink.
struct UnitTaker<'a, 'b> {
    shared: &'a Shared<'b>,
    sink: &'a TaskSink,
    unit: usize,
}

impl Taker for UnitTaker<'_, '_> {
    fn piece(&mut self, piece: Piece) -> Result<(), Error> {
        self.sink.piece(self.unit, piece, &self.shared.failed)
    }

    fn rejects(&mut self, lines: Vec<u8>) -> Result<(), Error> {
        self.sink.rejects(self.unit, lines, &self.shared.failed)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.shared.ended() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn progress(&mut self, bytes: u64, records: u64, objects: u64) {
        self.shared.observer.event(&Event::Progress { bytes, records, objects });
    }

    fn hint(&mut self, text: &'static str) {
        self.shared
            .result
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary
            .hints
            .insert(text.to_owned());
    }

    fn warning(&mut self, text: &str) {
        let mut warned = self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(text.to_owned()) {
            self.shared.observer.event(&Event::Warning(text));
            let mut result = self.shared.result.lock().unwrap_or_else(PoisonError::into_inner);
            result.summary.warnings.push(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reject_limits() {
        assert_eq!("0".parse(), Ok(RejectLimit::Lines(0)));
        assert_eq!("1.5%".parse(), Ok(RejectLimit::Percent(1.5)));
        assert!(["", "x", "-1", "101%", "%"].iter().all(|t| t.parse::<RejectLimit>().is_err()));
        assert!(RejectLimit::Percent(1.0).is_passed(2, 100) && !RejectLimit::Percent(1.0).is_passed(1, 100));
        assert!(RejectLimit::Lines(0).is_passed(1, 100) && !RejectLimit::Lines(0).is_passed(0, 100));
    }
}
