//! Performing tasks: workers convert their units, committers wait for the store.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flowquet_plan::plan_units;
use flowquet_sources::{Fetcher, SourceSet, root_url, spool_key};
use flowquet_store::ErrorKind;
use flowquet_table::{Cause, CommitRecord, Log, SourceObject, TaskId, rejects_key};

use crate::budget::Budget;
use crate::commit::{ClosedTask, Outcome};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::goal::PlannedTask;
use crate::limit::RejectLimit;
use crate::sink::{REJECTS_TOLD_MAX, TaskSink};
use crate::summary::Summary;
use crate::take::LOOKS_AHEAD;
use crate::threads::pool;
use crate::unit::{Fetched, Piece, Taker, UnitCounts};
use crate::worker::{UnitError, Worker};

/// Threads that commit closed tasks: each waits for a few answers of the store.
const COMMITTERS: usize = 4;

/// How long a thread waits for a closed task, or for room for one, before it looks whether the run has ended.
const COMMIT_WAIT: Duration = Duration::from_millis(5);

/// A task being performed.
struct ActiveTask<'a> {
    planned: &'a PlannedTask,
    units: Vec<std::ops::Range<usize>>,
    /// Made when the first unit begins.
    sink: Mutex<Option<Arc<TaskSink>>>,
}

/// What workers share.
struct Shared<'a> {
    log: &'a Log,
    max_rejects: Option<RejectLimit>,
    budget: Budget,
    sources: &'a SourceSet,
    observer: &'a dyn Observer,
    /// Set by the caller, or by the first worker that fails.
    stop: &'a AtomicBool,
    failed: AtomicBool,
    tasks: Vec<ActiveTask<'a>>,
    /// Every unit of every task, in order.
    queue: Vec<(usize, usize)>,
    next: AtomicUsize,
    fetcher: Fetcher<'a>,
    /// Closed tasks on their way to whom commits them.
    closed: SyncSender<(usize, ClosedTask)>,
    /// Of tasks that were closed, for the limit.
    tally: Mutex<Tally>,
    result: Mutex<Outcomes<'a>>,
    warned: Mutex<HashSet<String>>,
    others_can_be_read: Mutex<Option<bool>>,
}

struct Outcomes<'a> {
    summary: &'a mut Summary,
    error: Option<Error>,
    /// Commits of tasks whose files stand aside.
    aside: Vec<CommitRecord>,
    void: HashMap<TaskId, String>,
}

/// Rejects so far.
#[derive(Default)]
struct Tally {
    rejects: u64,
    lines: u64,
    first: Vec<String>,
    kept: Vec<String>,
    not_kept: u64,
}

/// What is performed.
pub(crate) struct Execution<'a> {
    pub(crate) log: &'a Log,
    pub(crate) max_rejects: Option<RejectLimit>,
    pub(crate) budget: Budget,
    pub(crate) tasks: &'a [PlannedTask],
    pub(crate) sources: &'a SourceSet,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a AtomicBool,
}

/// What performing tasks came to, beside what the summary says.
#[derive(Debug, Default)]
pub(crate) struct Performed {
    /// What stopped it.
    pub(crate) error: Option<Error>,
    /// Commits of tasks whose files stand aside.
    pub(crate) aside: Vec<CommitRecord>,
    /// Tasks that were given up, and why. Their objects are among those that are left, and set aside. A run that was killed may have left files
    /// of them.
    pub(crate) void: HashMap<TaskId, String>,
}

/// Performs tasks.
pub(crate) fn perform(execution: &Execution<'_>, summary: &mut Summary) -> Performed {
    let Execution { log, max_rejects, budget, sources, observer, stop, .. } = *execution;
    let tasks: Vec<ActiveTask<'_>> = execution
        .tasks
        .iter()
        .map(|planned| ActiveTask {
            planned,
            units: plan_units(&planned.task.objects, planned.context.row_group_rows as u64),
            sink: Mutex::new(None),
        })
        .collect();
    let queue: Vec<(usize, usize)> =
        tasks.iter().enumerate().flat_map(|(t, task)| (0..task.units.len()).map(move |u| (t, u))).collect();
    let objects_of = |(t, u): (usize, usize)| {
        let active = &tasks[t];
        &active.planned.task.objects[active.units[u].clone()]
    };
    let units = queue.iter().map(|unit| objects_of(*unit)).collect();
    let count = tasks.len() as u64;
    let done_before = summary.tasks + summary.tasks_by_another;
    let objects_of_all: u64 = tasks.iter().map(|t| t.planned.task.objects.len() as u64).sum();
    // What no outcome tells of is left.
    summary.objects.left += objects_of_all;
    let warned = summary.warnings.iter().cloned().collect();
    let (closed, to_commit) = sync_channel(COMMITTERS);
    let shared = Shared {
        log,
        max_rejects,
        budget,
        sources,
        observer,
        stop,
        failed: AtomicBool::new(false),
        fetcher: Fetcher::new(sources, units, budget.workers),
        tasks,
        queue,
        next: AtomicUsize::new(0),
        closed,
        tally: Mutex::default(),
        result: Mutex::new(Outcomes { summary, error: None, aside: Vec::new(), void: HashMap::new() }),
        warned: Mutex::new(warned),
        others_can_be_read: Mutex::default(),
    };
    let pool = pool(budget.workers, "flowquet");
    let to_commit = Mutex::new(to_commit);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..COMMITTERS {
            scope.spawn(|| shared.commit_closed(&to_commit, &ended));
        }
        // Also when a worker panics, or the committers would wait for ever.
        let _ended = SetOnDrop(&ended);
        pool.broadcast(|_| shared.work());
    });
    let Outcomes { summary, mut error, aside, void } =
        shared.result.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = summary.tasks + summary.tasks_by_another - done_before + void.len() as u64;
    let left = count.saturating_sub(done);
    summary.tasks_left += left;
    if error.is_none() && stop.load(Ordering::Relaxed) && left > 0 {
        error = Some(Error::Interrupted);
    }
    Performed { error, aside, void }
}

/// Sets a flag when it is dropped.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
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
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&(task, unit)) = self.queue.get(place) else { return };
            if let Err(error) = self.run_unit(place, task, unit, &mut worker) {
                self.fail(error);
            }
            self.fetcher.forget(place);
        }
    }

    fn count_tags(&self, counts: &UnitCounts) {
        if counts.tags.is_empty() {
            return;
        }
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        for (column, (rows, values)) in &counts.tags {
            let sums = result.summary.tags.entry(column.clone()).or_default();
            *sums = (sums.0 + rows, sums.1 + values);
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
        let out = self.log.out().clone();
        let made = TaskSink::new(task.planned, out, task.units.len(), self.budget.workers + 1)?;
        Ok(sink.insert(Arc::new(made)).clone())
    }

    fn run_unit(
        &self,
        place: usize,
        task_index: usize,
        unit: usize,
        worker: &mut Option<Worker>,
    ) -> Result<(), Error> {
        let task = &self.tasks[task_index];
        let sink = self.sink_of(task)?;
        let objects = &task.planned.task.objects[task.units[unit].clone()];
        let is_last = if sink.admit(unit, &self.failed)? {
            let context = &task.planned.context;
            let worker = match worker {
                Some(w) if Arc::ptr_eq(w.plan(), context) => w,
                other => other.insert(Worker::new(context.clone(), self.budget.inflate_bytes_max)?),
            };
            let mut taker = UnitTaker { shared: self, sink: &sink, unit };
            let ahead = UnitAhead { shared: self, place };
            match worker.run_unit(objects, task.planned.goal.partitions(), self.sources, &ahead, &mut taker) {
                Ok(counts) => {
                    self.count_tags(&counts);
                    sink.end_unit(unit, counts)?
                }
                Err(UnitError::Changed(reason)) => sink.void(unit, reason)?,
                Err(UnitError::Denied(error)) => {
                    if task.planned.goal.is_commit() && self.others_can_be_read()? {
                        sink.void(unit, error.to_string())?
                    } else {
                        return Err(error.into());
                    }
                }
                Err(UnitError::Run(error)) => return Err(error),
            }
        } else {
            sink.end_unit(unit, UnitCounts::default())?
        };
        if is_last {
            self.close_task(task_index, &sink)?;
            // Frees the task's buffers.
            *task.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    /// Whether anything else that is planned may be read, where an object of a bucket may not: if nothing may, it is the credentials that lack
    /// the permission, and the run ends. Some objects from all over the plan are tried, once a run.
    fn others_can_be_read(&self) -> Result<bool, Error> {
        let mut known = self.others_can_be_read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let all = || self.tasks.iter().flat_map(|task| &task.planned.task.objects);
        let looks: Vec<_> = all()
            .step_by(all().count().div_ceil(LOOKS_AHEAD).max(1))
            .map(|object| self.sources.fetch_range(object, 0..object.bytes.min(1)))
            .collect();
        let mut any = false;
        for look in looks {
            match look.wait(&|| self.ended()) {
                Ok(_) => any = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(*known.insert(any))
    }

    /// Ends a task's files and hands it on to be committed, which is waiting and no work for a worker.
    fn close_task(&self, task: usize, sink: &TaskSink) -> Result<(), Error> {
        if self.ended() {
            return Err(Error::Interrupted);
        }
        let closed = sink.close(|commit, first| self.check_rejects(commit, first))?;
        let mut handed = (task, closed);
        // Not a blocking send: once the run has failed, nobody may be receiving any more.
        loop {
            match self.closed.try_send(handed) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) if !self.ended() => {
                    handed = back;
                    std::thread::sleep(COMMIT_WAIT);
                }
                Err(_) => return Err(Error::Interrupted),
            }
        }
    }

    /// Commits what is closed until the workers have ended and nothing is left.
    fn commit_closed(&self, closed: &Mutex<Receiver<(usize, ClosedTask)>>, ended: &AtomicBool) {
        let _guard = PanicGuard(&self.failed);
        loop {
            let (workers_ended, next) = {
                let closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
                // Looked at by one after the other: who has waited for its turn does not wait once more for what will not come.
                let workers_ended = ended.load(Ordering::Acquire);
                (workers_ended, closed.recv_timeout(if workers_ended { Duration::ZERO } else { COMMIT_WAIT }))
            };
            match next {
                // Asked to stop, what is not committed is left to the next run.
                Ok(_) if self.stop.load(Ordering::Relaxed) => {}
                Ok((task, closed)) => {
                    if let Err(error) = self.commit(&self.tasks[task], closed) {
                        self.fail(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) if !workers_ended => {}
                Err(_) => return,
            }
        }
    }

    fn commit(&self, task: &ActiveTask<'_>, closed: ClosedTask) -> Result<(), Error> {
        let outcome = closed.commit(self.log)?;
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = task.planned.task.objects.len() as u64;
        let summary = &mut result.summary;
        let is_ignored = |object: &SourceObject| self.log.state().is_ignored(object);
        match outcome {
            Outcome::Aside(commit) => {
                summary.objects.left -= objects;
                summary.add(&commit, is_ignored);
                result.aside.push(*commit);
                return Ok(());
            }
            Outcome::Committed(commit) => {
                summary.objects.left -= objects;
                summary.add(&commit, is_ignored);
            }
            Outcome::CommittedByAnother(theirs) => {
                summary.tasks_by_another += 1;
                summary.objects.left -= objects;
                for input in &theirs.inputs {
                    match &input.failed {
                        Some(cause) => {
                            summary.fail(input.object.url(), cause, is_ignored(&input.object));
                        }
                        None => summary.objects.known += 1,
                    }
                }
            }
            Outcome::Void(reason) => {
                summary.objects.set_aside += objects;
                result.void.insert(task.planned.task.id, reason);
                return Ok(());
            }
        }
        self.observer.event(&Event::Settled(result.summary));
        drop(result);
        let root = root_url(self.log.out().as_ref());
        task.planned.task.objects.iter().filter_map(|o| spool_key(o, &root)).for_each(|key| {
            let _ = self.log.out().delete(&key);
        });
        Ok(())
    }

    /// Checks the limit over what this run has closed and is about to.
    fn check_rejects(&self, commit: &CommitRecord, first: &[String]) -> Result<(), Error> {
        let Some(limit) = self.max_rejects else { return Ok(()) };
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.rejects += commit.counts.rejects;
        tally.lines += commit.counts.lines;
        tally.not_kept += commit.rejects_not_kept;
        if commit.counts.rejects > 0 {
            tally.kept.push(rejects_key(&commit.task));
        }
        let room = REJECTS_TOLD_MAX.saturating_sub(tally.first.len());
        tally.first.extend(first.iter().take(room).cloned());
        for input in &commit.inputs {
            // None of its lines is in the table; all of them would have been rejects.
            if let Some(Cause::NoLineFits { lines, first }) = &input.failed {
                tally.rejects += lines;
                tally.lines += lines;
                if tally.first.len() < REJECTS_TOLD_MAX {
                    let line = serde_json::json!({ "object": input.object.url(), "detail": first });
                    tally.first.push(line.to_string());
                }
            }
        }
        if limit.is_passed(tally.rejects, tally.lines) {
            return Err(Error::TooManyRejects {
                rejects: tally.rejects,
                lines: tally.lines,
                limit: limit.to_string(),
                first: tally.first.clone(),
                kept: tally.kept.clone(),
                not_kept: tally.not_kept,
            });
        }
        Ok(())
    }
}

/// Gives a unit what was fetched ahead for it.
struct UnitAhead<'a, 'b> {
    shared: &'a Shared<'b>,
    /// The unit's place in the order of work.
    place: usize,
}

impl Fetched for UnitAhead<'_, '_> {
    fn take(&self, index: usize) -> Result<Option<Bytes>, flowquet_store::Error> {
        let unclaimed = self.shared.next.load(Ordering::Relaxed);
        self.shared.fetcher.take((self.place, index), unclaimed, &|| self.shared.ended())
    }

    fn again(&self, index: usize) -> Result<Option<Bytes>, flowquet_store::Error> {
        self.shared.fetcher.again((self.place, index), &|| self.shared.ended())
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

    fn warning(&mut self, text: &str) {
        let mut warned = self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(text.to_owned()) {
            self.shared.observer.event(&Event::Warning(text));
            let mut result = self.shared.result.lock().unwrap_or_else(PoisonError::into_inner);
            result.summary.warnings.push(text.to_owned());
        }
    }
}
