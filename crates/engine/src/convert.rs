//! A run: list, take, perform, add up.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_format::ObjectKey;
use flowquet_sources::{Listed, PORTION_OBJECTS, Portion, Source, SourceSet, root_url, spool, spool_key};
use flowquet_store::FILE_SCHEME;
use flowquet_table::{
    FileKind, Log, Misplaced, ObjectId, PlanRecord, SourceObject, TaskId, check_files, check_partitions,
    delete_if_there,
};

use crate::again::{ChangedFiles, Freed, plan_again};
use crate::budget::Budget;
use crate::context::PlanContext;
use crate::enrich::{EnrichmentFiles, with_columns_of};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::goal::{Goal, PlannedTask};
use crate::new_table::check_stands_alone;
use crate::perform::{Execution, perform};
use crate::replan::{replan_old_layouts, take_contract};
use crate::request::{Request, Resume};
use crate::summary::{FailedObject, Summary};
use crate::take::take;
use crate::words::counted;

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    /// What it did, whether or not it came to its end.
    pub summary: Summary,
    /// Worker threads that the budget allowed.
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
    // Before standard input is read.
    request.check()?;
    let sources = SourceSet::new(request.stores.clone());
    let run = RunContext { sources: &sources, observer, stop };
    let listed = |objects| observer.event(&Event::Listed { objects });
    let lister = request.lister(&sources, &listed, stop);
    let piped = match request.sources.contains(&Source::Stdin) {
        true => {
            request.out.create()?;
            vec![spool(stdin, request.out.as_ref())?]
        }
        false => Vec::new(),
    };
    std::thread::scope(|scope| {
        // The table is read while its sources are listed: both are mostly waiting.
        // A table that is not there yet is made once there is something to put.
        let mut opening = Some(request.contract.is_some().then(|| scope.spawn(|| open_log(request))));
        let mut converter: Option<Converter<'_>> = None;
        let mut convert = |portion: Portion, piped: Vec<SourceObject>| -> Result<(), Error> {
            if let Some(opening) = opening.take() {
                let opened = opening.map(|opening| opening.join().expect("no panic while waiting"));
                let log = opened.unwrap_or_else(|| open_log(request))?;
                converter = Some(Converter::begin(log, request, run)?);
            }
            let converter = converter.as_mut().expect("begun above");
            if piped.iter().any(|object| object.bytes == 0) {
                converter.warn(
                    "standard input was empty: check that the command before the pipe succeeded".to_owned(),
                );
            }
            if !piped.is_empty() {
                converter.portion(Portion { objects: piped, ..Portion::default() })?;
            }
            converter.portion(portion)
        };
        let mut waiting = Some(piped);
        let listed = lister.portions(&request.sources, PORTION_OBJECTS, &mut |portion| {
            convert(portion, waiting.take().unwrap_or_default())
        });
        // Of a listing without objects there is no portion; what an earlier run left is performed all the same.
        if listed.is_ok() && waiting.is_some() {
            convert(Portion::default(), waiting.take().unwrap_or_default())?;
        }
        match (converter, listed) {
            (Some(converter), Ok(listed)) => Ok(converter.end(Some(listed))),
            // What stopped the run has come back through the listing.
            (Some(converter), Err(error)) if converter.has_begun => Ok(converter.stopped(error)),
            (_, Err(error)) => Err(error),
            (None, Ok(_)) => unreachable!("a portion was converted above"),
        }
    })
}

/// Converts the tasks at the places `shard` of a plan that [`plan`](crate::plan) made, in this process or another one. The sources of
/// `request` are not listed; its options are to be the plan's.
///
/// # Errors
/// As [`convert`].
pub fn perform_shard(
    request: &Request,
    plan: &PlanRecord,
    shard: &[usize],
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Run, Error> {
    request.check()?;
    let sources = SourceSet::new(request.stores.clone());
    let run = RunContext { sources: &sources, observer, stop };
    let mut converter = Converter::begin(open_log(request)?, request, run)?;
    converter.shard(plan, shard)?;
    Ok(converter.end(None))
}

/// What a run reads, who hears of it, and what ends it.
#[derive(Clone, Copy)]
struct RunContext<'a> {
    sources: &'a SourceSet,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

/// A run in the midst of its portions.
struct Converter<'a> {
    log: Log,
    request: &'a Request,
    run: RunContext<'a>,
    budget: Budget,
    enrichments: EnrichmentFiles<'a>,
    summary: Summary,
    /// Objects of the first portion that are in the table already.
    first_known: HashSet<ObjectId>,
    /// Objects that were in tasks which this run gave up, and that it has not listed.
    given_up: HashSet<ObjectId>,
    /// Whether anything was planned or performed: an error is then the run's, beside what was done.
    has_begun: bool,
}

impl<'a> Converter<'a> {
    fn begin(mut log: Log, request: &'a Request, run: RunContext<'a>) -> Result<Self, Error> {
        check_is_no_rollup(&log)?;
        take_contract(&mut log, &request.options)?;
        log.sweep_spool()?;
        replan_old_layouts(&mut log)?;
        let (budget, summary) = (request.budget, Summary::default());
        let enrichments = EnrichmentFiles::new(&request.enrich);
        let (first_known, given_up) = (HashSet::new(), HashSet::new());
        let mut converter =
            Self { log, request, run, budget, enrichments, summary, first_known, given_up, has_begun: false };
        if converter.log.state().contract().single_writer {
            converter.warn(SINGLE_WRITER.to_owned());
        }
        let reading = &request.options.reading;
        for warning in reading.formats().iter().flat_map(|f| f.warnings(reading.catalogue())) {
            converter.warn(warning);
        }
        Ok(converter)
    }

    fn warn(&mut self, warning: String) {
        self.run.observer.event(&Event::Warning(&warning));
        self.summary.warnings.push(warning);
    }

    /// Takes and converts the objects of a portion, and what earlier runs left.
    fn portion(&mut self, portion: Portion) -> Result<(), Error> {
        let Self { request, run: RunContext { sources, stop, .. }, .. } = *self;
        if !self.has_begun {
            let mut files = if request.out.url("").starts_with(FILE_SCHEME) {
                check_files(&mut self.log)?
            } else {
                let partitions = partitions_to_check(&mut self.log, &portion.objects)?;
                check_partitions(&mut self.log, &partitions)?
            };
            // A killed or slow run put them once more.
            for file in files.left.drain(..) {
                delete_if_there(request.out.as_ref(), &file.key)?;
            }
            self.summary.files = files;
            // Records that are put from now on may rest on the table's copies.
            with_columns_of(self.log.state(), &request.options)?;
            self.enrichments.keep(&self.log, &request.options.enrich)?;
        }
        let root = root_url(request.out.as_ref());
        let spooled: Vec<String> = portion.objects.iter().filter_map(|o| spool_key(o, &root)).collect();
        let unreadable = portion.unreadable.len() as u64;
        // While this portion is converted, the next one is gathered.
        let gathered = 2 * portion.memory;
        let listed = portion.objects.len() as u64;
        if !self.given_up.is_empty() {
            for object in &portion.objects {
                self.given_up.remove(&object.id());
            }
        }
        let mut taken = take(&mut self.log, portion.objects, request, sources, stop)?;
        if !self.has_begun {
            self.first_known.extend(taken.first_known.drain(..));
        }
        self.given_up.extend(taken.given_up.drain());
        self.has_begun = true;
        self.summary.objects.listed += listed + unreadable;
        self.summary.objects.failed += unreadable;
        self.summary.failed_objects.extend(portion.unreadable.into_iter().map(FailedObject::from));
        let new_plan = taken.plan_number;
        let in_tasks = std::mem::take(&mut taken.in_tasks);
        taken.report(&self.log, &mut self.summary);
        let mine = match request.resume {
            Resume::All => None,
            Resume::Listed => Some(tasks_that_hold(&in_tasks, &self.log)),
        };
        let tasks = tasks_to_perform(&self.log, mine.as_ref(), &mut self.enrichments).inspect_err(|_| {
            // All that are in tasks wait for the next run.
            self.summary.objects.left += in_tasks.len() as u64;
        })?;
        self.budget = request.budget;
        let known = self.log.state().known().memory() + self.enrichments.memory();
        self.budget.divide(gathered + known);
        self.account(&tasks, in_tasks)?;
        for key in spooled {
            // The same input may be in the table already.
            if !tasks.iter().flat_map(|t| &t.task.objects).any(|o| spool_key(o, &root).as_ref() == Some(&key))
            {
                delete_if_there(request.out.as_ref(), &key)?;
            }
        }
        if !tasks.is_empty() {
            self.perform(tasks, new_plan)?;
            // What was committed is known to the next portion.
            self.log.refresh()?;
        }
        if let Some(warning) = checkpoint(&mut self.log) {
            self.warn(warning);
        }
        Ok(())
    }

    /// Accounts for listed objects that stood in open tasks when they were sorted out: those that are still to be performed are
    /// accounted for by what becomes of them, and the others were settled by another run meanwhile.
    fn account(&mut self, tasks: &[PlannedTask], mut in_tasks: HashSet<ObjectId>) -> Result<(), Error> {
        for object in tasks.iter().flat_map(|t| &t.task.objects) {
            if !in_tasks.remove(&object.id()) {
                self.summary.objects.resumed += 1;
            }
        }
        let state = self.log.state();
        for id in in_tasks {
            match state.known().of_id(&id)? {
                (true, _) => self.summary.objects.known += 1,
                (_, Some(claim)) => {
                    self.summary.fail(claim.object.url(), &claim.cause, state.is_ignored(&claim.object));
                }
                (_, None) => self.summary.objects.left += 1,
            }
        }
        Ok(())
    }

    /// Converts a shard of a plan that was made before.
    fn shard(&mut self, plan: &PlanRecord, shard: &[usize]) -> Result<(), Error> {
        // As the plan, which rests on them.
        self.enrichments.keep(&self.log, &plan.options.enrich)?;
        self.enrichments.context(&self.log, &plan.options, &plan.formats)?;
        let (mine, freed) = take_shard(&mut self.log, plan, shard, &mut self.summary)?;
        self.has_begun = true;
        // Of freed objects an earlier run gave the tasks up, and did not come to plan them anew.
        let tasks = self.plan_again(freed, ChangedFiles::Take, mine)?;
        self.perform(tasks, Some(plan.number))
    }

    /// Plans objects anew whose tasks were given up. Returns their new tasks, and those of the ids `mine`, to be performed.
    fn plan_again(
        &mut self,
        freed: Vec<Freed>,
        changed_files: ChangedFiles,
        mut mine: HashSet<TaskId>,
    ) -> Result<Vec<PlannedTask>, Error> {
        let RunContext { sources, stop, .. } = self.run;
        let plans = plan_again(&mut self.log, freed, changed_files, sources, stop, &mut self.summary)?;
        let planned = self.log.state().open_tasks().filter(|t| plans.contains(&t.plan));
        mine.extend(planned.map(|t| t.task.id));
        let tasks = tasks_to_perform(&self.log, Some(&mine), &mut self.enrichments)?;
        // Whoever performs a task counts its objects.
        let planned = tasks.iter().filter(|t| plans.contains(&t.plan_number));
        self.summary.objects.take_up(planned.map(|t| t.task.objects.len() as u64).sum());
        Ok(tasks)
    }

    /// Performs tasks, and those that are planned anew where an object spoilt one.
    fn perform(&mut self, mut tasks: Vec<PlannedTask>, new_plan: Option<u64>) -> Result<(), Error> {
        let mut left_over = tasks.iter().filter(|t| Some(t.plan_number) != new_plan).count() as u64;
        for again in (0..=AGAIN_MAX).rev() {
            let set_aside = self.summary.objects.set_aside;
            let void = self.perform_once(&tasks, left_over)?;
            if void.is_empty() {
                break;
            }
            let mut freed = Vec::new();
            if again > 0 {
                let state = self.log.state();
                for task in tasks.iter().filter(|t| void.contains_key(&t.task.id)) {
                    let options = state.options_of(task.plan_number);
                    let free =
                        |object: &SourceObject| Freed { object: object.clone(), options: options.clone() };
                    freed.extend(task.task.objects.iter().map(free));
                }
            }
            // So that the state knows that they were given up.
            self.log.refresh()?;
            tasks = self.plan_again(freed, ChangedFiles::Leave, HashSet::new())?;
            left_over = 0;
            let left = self.summary.objects.set_aside - set_aside;
            if left > 0 {
                let reason = void.into_values().min().unwrap_or_default();
                self.warn(format!("{} left for the next run: {reason}", counted(left, "object")));
            }
            if tasks.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Performs tasks, of which so many were left by earlier runs. Returns the ids of those that were given up, and why.
    fn perform_once(
        &mut self,
        tasks: &[PlannedTask],
        left_over: u64,
    ) -> Result<HashMap<TaskId, String>, Error> {
        let RunContext { sources, observer, stop } = self.run;
        observer.event(&Event::Planned {
            tasks: tasks.len() as u64,
            objects: tasks.iter().map(|t| t.task.objects.len() as u64).sum(),
            bytes: tasks.iter().flat_map(|t| &t.task.objects).map(|o| o.bytes).sum(),
            left_over,
        });
        let (log, budget, max_rejects) = (&self.log, self.budget, self.request.max_rejects);
        let execution = Execution { log, max_rejects, budget, tasks, sources, observer, stop };
        let performed = perform(&execution, &mut self.summary);
        let removed = self.log.remove_files_of(&performed.void.keys().copied().collect());
        // What stopped the run is told before what came of tidying up.
        performed.error.map_or(Ok(()), Err)?;
        removed?;
        Ok(performed.void)
    }

    /// The end of a run whose sources came to their end.
    fn end(mut self, listed: Option<Listed>) -> Run {
        if let Some(listed) = listed {
            self.summary.objects.left_out = listed.left_out;
            self.summary.objects.repeated = listed.repeated;
            if listed.untold > 0 {
                self.warn(format!(
                    "skipped {} without a date, account, region or flow log in the key, which a filter needs",
                    counted(listed.untold, "object")
                ));
            }
            // Where nothing was taken, that no filter is met is said at the end.
            if listed.objects > 0 && !listed.unmet.is_empty() {
                let unmet: Vec<String> = listed.unmet.iter().map(ToString::to_string).collect();
                self.warn(format!("a filter names what no key of the sources does: {}", unmet.join(", ")));
            }
            self.summary.left_out_tables = listed.tables;
        }
        for warning in self.summary.empty_tags() {
            self.warn(warning);
        }
        if !self.given_up.is_empty() {
            self.warn(format!(
                "gave up unfinished tasks, since this run reads their objects with other options; it does not list {} of them: the next run \
                 over their source converts them",
                counted(self.given_up.len() as u64, "object")
            ));
        }
        // What nobody knew at the beginning may be what this run has put, where the log of a table is lost and its files are not.
        let stray = std::mem::take(&mut self.summary.files.stray);
        let is_stray = |file: &Misplaced| {
            self.log.state().kind_of(&file.key).map_or(true, |kind| kind == FileKind::Foreign)
        };
        self.summary.files.stray = stray.into_iter().filter(is_stray).collect();
        let has_new = self.summary.tasks + self.summary.tasks_by_another + self.summary.tasks_left > 0;
        if !has_new {
            let found = self.log.read_otherwise(&self.first_known, &self.request.options.reading);
            // A run that has nothing to do does not fail for a hint.
            self.summary.read_otherwise = found.unwrap_or_default();
        }
        self.summary.settle();
        let error = unbalanced(&self.summary);
        Run { summary: self.summary, workers: self.budget.workers, error }
    }

    /// The end of a run that an error stopped.
    fn stopped(mut self, error: Error) -> Run {
        self.summary.settle();
        let error = unbalanced(&self.summary).unwrap_or(error);
        Run { summary: self.summary, workers: self.budget.workers, error: Some(error) }
    }
}

/// The partitions in a bucket whose files a run compares with the records: the newest of those that listed objects belong to, by
/// their keys, and the newest of the table.
fn partitions_to_check(log: &mut Log, listing: &[SourceObject]) -> Result<BTreeSet<String>, Error> {
    /// Each is a request.
    const CHECKED_MAX: usize = 8;
    let mut of_table = log.ask(|state| state.files().last_partitions(CHECKED_MAX))?;
    let by = &log.state().contract().partition_by;
    let mut listed = BTreeSet::new();
    for object in listing {
        let key = ObjectKey::parse(object.url());
        if key.delivery.is_some() {
            listed.extend(by.delivery_folders(&key));
        }
        while listed.len() > CHECKED_MAX {
            listed.pop_first();
        }
    }
    of_table.append(&mut listed);
    Ok(of_table)
}

/// Puts a checkpoint where one is due. The work is done by then: what goes wrong is told, and the next run reads more.
pub(crate) fn checkpoint(log: &mut Log) -> Option<String> {
    let error = log.checkpoint_if_due().err()?;
    Some(format!("checkpoint not written; the next run reads more records: {error}"))
}

/// Objects that are not accounted for are a defect of this program.
pub(crate) fn unbalanced(summary: &Summary) -> Option<Error> {
    let what = || format!("objects: {:?}", summary.objects);
    (!summary.objects.balances()).then(|| Error::Accounting(what()))
}

/// The log of the table that is there, or that is made now.
fn open_log(request: &Request) -> Result<Log, Error> {
    let (out, options) = (&request.out, &request.options);
    if request.contract.is_none() {
        check_stands_alone(out.as_ref(), &request.stores)?;
    }
    out.create()?;
    if let Some(contract) = &request.contract {
        return Ok(Log::of(out, contract.clone())?);
    }
    let single_writer = !out.honours_conditions()?;
    Ok(Log::make(out, options, single_writer)?)
}

/// Records are not converted into a roll-up.
pub(crate) fn check_is_no_rollup(log: &Log) -> Result<(), Error> {
    if log.state().is_rollup() { Err(Error::OutIsRollup { url: log.out().url("") }) } else { Ok(()) }
}

/// How often objects are planned anew whose task an object spoilt.
const AGAIN_MAX: u32 = 3;

const SINGLE_WRITER: &str = "this store does not support conditional writes: run only one flowquet at a time on this table; \
                             stopping it and running it again is safe";

/// Puts a plan that was made before into the table. Returns the ids of those tasks of one shard that are open, with others that hold objects of the
/// shard since theirs was given up; and the objects that no task holds any more, each counted among those that are set aside.
fn take_shard(
    log: &mut Log,
    plan: &PlanRecord,
    shard: &[usize],
    summary: &mut Summary,
) -> Result<(HashSet<TaskId>, Vec<Freed>), Error> {
    log.take_plan(plan)?;
    let shard: Vec<_> = shard.iter().filter_map(|place| plan.tasks.get(*place)).collect();
    let open: HashSet<TaskId> = log.state().open_tasks().map(|t| t.task.id).collect();
    let (mut mine, mut settled) = (HashSet::new(), HashMap::new());
    for task in shard {
        summary.objects.listed += task.objects.len() as u64;
        if open.contains(&task.id) {
            mine.insert(task.id);
        } else {
            // Committed by an earlier run, or given up.
            log.ask(|state| state.read_known(&task.objects))?;
            settled.extend(task.objects.iter().map(|object| (object.id(), object)));
        }
    }
    if settled.is_empty() {
        return Ok((mine, Vec::new()));
    }
    let state = log.state();
    for open in state.open_tasks() {
        if mine.contains(&open.task.id) {
            continue;
        }
        let before = settled.len();
        for object in &open.task.objects {
            settled.remove(&object.id());
        }
        let found = before - settled.len();
        if found > 0 {
            summary.objects.resumed += (open.task.objects.len() - found) as u64;
            mine.insert(open.task.id);
        }
    }
    let mut freed = Vec::new();
    for (id, object) in settled {
        match state.known().of_id(&id)? {
            (true, _) => summary.objects.known += 1,
            (_, Some(claim)) => summary.fail(object.url(), &claim.cause, state.is_ignored(object)),
            (_, None) => {
                summary.objects.left += 1;
                summary.objects.set_aside += 1;
                freed.push(Freed { object: object.clone(), options: state.options_of(plan.number).clone() });
            }
        }
    }
    freed.sort_by(|a, b| a.object.url().cmp(b.object.url()));
    Ok((mine, freed))
}

/// Ids of tasks without a commit that hold one of these objects.
fn tasks_that_hold(objects: &HashSet<ObjectId>, log: &Log) -> HashSet<TaskId> {
    let open = log.state().open_tasks();
    let holding = open.filter(|t| t.task.objects.iter().any(|object| objects.contains(&object.id())));
    holding.map(|t| t.task.id).collect()
}

/// Tasks without a commit: all of them, or those that are `mine`.
fn tasks_to_perform(
    log: &Log,
    mine: Option<&HashSet<TaskId>>,
    enrichments: &mut EnrichmentFiles<'_>,
) -> Result<Vec<PlannedTask>, Error> {
    let mut tasks: Vec<PlannedTask> = Vec::new();
    let mut last: Option<(u64, Arc<PlanContext>)> = None;
    for open in log.state().open_tasks().filter(|t| mine.is_none_or(|m| m.contains(&t.task.id))) {
        let context = match &last {
            Some((plan, context)) if *plan == open.plan => context.clone(),
            _ => enrichments.context(log, open.options, open.formats)?,
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
