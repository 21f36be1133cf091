//! Performing tasks: workers convert their units, committers wait for the store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flowquet_plan::{CommitRecord, Task, plan_units};

use crate::budget::Budget;
use crate::commit::{ClosedTask, Outcome};
use crate::context::PlanContext;
use crate::convert::Request;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::fetch::Fetcher;
use crate::router::Piece;
use crate::sink::TaskSink;
use crate::source::{SourceSet, spool_key};
use crate::summary::Summary;
use crate::worker::{Fetched, Taker, UnitCounts, UnitError, Worker};

/// Threads that commit closed tasks: each waits for a few answers of the store.
const COMMITTERS: usize = 4;

/// How long a thread waits for a closed task, or for room for one, before it looks whether the run has ended.
const COMMIT_WAIT: Duration = Duration::from_millis(5);

/// A task without a commit.
pub(crate) struct PlannedTask {
    pub(crate) plan_number: u64,
    pub(crate) context: Arc<PlanContext>,
    pub(crate) task: Task,
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
    single_writer: bool,
    /// Rejects and lines of tasks that were closed, for the limit.
    tally: Mutex<(u64, u64)>,
    result: Mutex<Shareable<'a>>,
    warned: Mutex<HashSet<String>>,
}

struct Shareable<'a> {
    summary: &'a mut Summary,
    error: Option<Error>,
}

/// What is performed.
pub(crate) struct Performance<'a> {
    pub(crate) request: &'a Request,
    pub(crate) budget: Budget,
    pub(crate) tasks: &'a [PlannedTask],
    pub(crate) sources: &'a SourceSet,
    pub(crate) single_writer: bool,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a AtomicBool,
}

/// Performs tasks. Returns what stopped it, if anything did.
pub(crate) fn perform(performance: &Performance<'_>, summary: &mut Summary) -> Option<Error> {
    let Performance { request, budget, sources, single_writer, observer, stop, .. } = *performance;
    let tasks: Vec<ActiveTask<'_>> = performance
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
    let warned = summary.warnings.iter().cloned().collect();
    let (closed, to_commit) = sync_channel(COMMITTERS);
    let shared = Shared {
        request,
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
        single_writer,
        tally: Mutex::default(),
        result: Mutex::new(Shareable { summary, error: None }),
        warned: Mutex::new(warned),
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(budget.workers)
        .thread_name(|i| format!("flowquet-{i}"))
        .build()
        .expect("threads can be made");
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
    let Shareable { summary, error } = shared.result.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = summary.tasks + summary.tasks_by_another;
    summary.tasks_left = count.saturating_sub(done);
    error.or_else(|| (stop.load(Ordering::Relaxed) && summary.tasks_left > 0).then_some(Error::Interrupted))
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
        let out = self.request.out.clone();
        let ahead_max = self.budget.workers + 1;
        let (context, units) = (context.clone(), task.units.len());
        let made = TaskSink::new(planned, *plan_number, context, out, self.single_writer, units, ahead_max)?;
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
            match worker.run_unit(objects, self.sources, &ahead, &mut taker) {
                Ok(counts) => {
                    for input in &counts.inputs {
                        if let Some(reason) = &input.failed {
                            self.observer.event(&Event::ObjectFailed { url: input.object.url(), reason });
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
            self.close_task(task_index, &sink)?;
            // Frees the task's buffers.
            *task.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    /// Ends a task's files and hands it on to be committed, which is waiting and no work for a worker.
    fn close_task(&self, task: usize, sink: &TaskSink) -> Result<(), Error> {
        if self.ended() {
            return Err(Error::Interrupted);
        }
        let closed = sink.close(|commit| self.check_rejects(commit))?;
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
            let workers_ended = ended.load(Ordering::Acquire);
            let next = closed.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(COMMIT_WAIT);
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
        let outcome = closed.commit()?;
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
        drop(result);
        task.planned.task.objects.iter().filter_map(spool_key).for_each(|key| {
            let _ = self.request.out.delete(&key);
        });
        Ok(())
    }

    /// Checks the limit over what this run has closed and is about to.
    fn check_rejects(&self, commit: &CommitRecord) -> Result<(), Error> {
        let Some(limit) = self.request.max_rejects else { return Ok(()) };
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let (rejects, lines) = (tally.0 + commit.counts.rejects, tally.1 + commit.counts.lines);
        *tally = (rejects, lines);
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
            input.counts.rejects,
            input.object.url()
        );
        observer.event(&Event::Warning(&warning));
        warnings.push(warning);
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
