//! Reconversion: objects of a table are converted anew, and what they gave before is replaced in one record.
//!
//! # What is done anew
//!
//! An object's rows stand in the files of its task, mixed with those of the task's other objects, and after a compaction with those of
//! other tasks. So these are done anew:
//!
//! 1. the **chosen** objects, with the options that were asked for;
//! 2. their **companions**, the other objects of their tasks, with the options that they had;
//! 3. of **neighbours**, tasks whose rows stand in files with those of the first two, the rows of the partitions in question, with
//!    the options that they had.
//!
//! The tasks of the first two are superseded: new ones count in their place. Neighbours go on counting. Where raw logs of a neighbour cannot
//! be read, and all of its rows in question are lost already, they stay so, and keep nobody else's from being there again. Nor do chosen objects
//! that are chosen for their accepted loss alone.
//!
//! # How the table changes hands
//!
//! As in a compaction: new files are put aside, a numbered record retires the old ones and supersedes tasks, then the new files are
//! put in place and the old ones deleted. Killed before the record, nothing has changed; killed after it, the next compaction or
//! reconversion goes on.

mod change;
mod choice;
mod differ;
mod done;
mod gone;
mod left;
mod scope;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_plan::plan_tasks;
use flowquet_sources::SourceSet;
use flowquet_store::{Store, Stores};
use flowquet_table::{
    CommitRecord, CompactionRecord, FailedClaim, LAYOUT_VERSION, LAYOUT_VERSION_OF_LOSSES, Log, Options,
    Reconversion, ReconvertedTask, RetiredFile, RewrittenTask, SourceObject, SupersededTask, Task, TaskId,
    aside_key, written_by,
};
use sha2::{Digest as _, Sha256};

use crate::budget::Budget;
use crate::convert::checkpoint;
use crate::enrich::{EnrichmentFile, EnrichmentFiles, next_versions};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::goal::{Goal, PlannedTask};
use crate::perform::{Execution, Performed, perform};
use crate::replace::{Late, Placing, Pointers, finish_open};
use crate::summary::Summary;
use crate::take::{append_plan, check_columns, not_taken};
use crate::union::formats_of;
use crate::words::counted;

pub use change::Change;
pub use choice::Choice;
use differ::differing;
pub use done::Reconverted;
pub(crate) use gone::{blocked_tasks, tasks_beyond};
use left::Left;
pub(crate) use scope::is_gone;
use scope::{Rows, Scope};

/// What a reconversion is asked to do.
#[derive(Debug)]
pub struct ReconvertRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Stores of the sources.
    pub stores: Arc<Stores>,
    /// Which objects.
    pub choice: Choice,
    /// How they are read from now on.
    pub change: Change,
    /// Files that fill columns, as the change names them.
    pub enrich: Vec<EnrichmentFile>,
    /// Workers and memory.
    pub budget: Budget,
    /// How long readers that began before a change are given, where a catalog is pointed elsewhere.
    pub grace: Duration,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
}

/// Tasks of a reconversion, and what each is for.
struct Draft {
    id: String,
    planned: Vec<PlannedTask>,
    /// Options of new tasks, by id.
    options: HashMap<TaskId, Options>,
    /// The neighbour that a task writes rows of anew, by the id of the task that does.
    rewrites: HashMap<TaskId, TaskId>,
    /// URLs of objects of superseded tasks that must give the records that they gave.
    restored: HashSet<String>,
}

/// Converts objects anew, until done or `stop` is set.
///
/// # Errors
/// [`Error`]; unless the record of the reconversion is put, the table is as it was.
pub fn reconvert(
    request: &ReconvertRequest,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Reconverted, Error> {
    let mut log = Log::open(&request.out)?;
    let finished = if request.dry_run {
        log.state().files().open().count() as u64
    } else {
        finish_open(&mut log, pointers, request.grace, observer, stop)?
    };
    let enrich = next_versions(log.state(), &request.change.enrich)?;
    let change = &Change { enrich, ..request.change.clone() };
    let sources = SourceSet::new(request.stores.clone());
    // Tasks whose raw logs cannot be read.
    let mut unread = BTreeSet::new();
    let mut left = Left::default();
    loop {
        let mut chosen = request.choice.choose(&mut log, request.dry_run)?;
        let still_lost = left.leave(&mut chosen);
        let mut scope = Scope::new(&log, chosen)?;
        scope.keep_lost(&unread);
        if request.choice.wants_rejects() {
            scope.keep_rejects();
        }
        let still_lost_why = left.why.clone();
        let done = Reconverted { finished, still_lost, still_lost_why, ..Reconverted::default() };
        let refreshed = scope.refresh(&sources, stop);
        let asked = Asked { request, change, scope: &scope, sources: &sources };
        let error =
            match refreshed.and_then(|()| reconvert_once(&mut log, asked, pointers, observer, stop, done)) {
                Err(Error::RawLogsDiffer { tasks, why }) => {
                    let needed = scope.needed_of(&tasks);
                    if needed.is_empty() {
                        unread.extend(tasks);
                        continue;
                    }
                    Error::RawLogsDiffer { tasks: needed, why }
                }
                Err(Error::RecordsDiffer { tasks, .. }) if scope.needed_of(&tasks).is_empty() => {
                    unread.extend(tasks);
                    continue;
                }
                Err(error) => error,
                ended => return ended,
            };
        if !request.choice.may_leave_lost() || !left.add(&log, &scope, &error)? {
            return Err(error);
        }
    }
}

/// Converts anew what is asked for, unless raw logs that it needs are gone or differ.
fn reconvert_once(
    log: &mut Log,
    asked: Asked<'_>,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
    mut done: Reconverted,
) -> Result<Reconverted, Error> {
    let Asked { request, change, scope, .. } = asked;
    let mut enrichments = EnrichmentFiles::new(&request.enrich);
    done.objects = scope.chosen().count() as u64;
    done.companions = scope.companions().count() as u64;
    done.failed_before = scope.failed.len() as u64;
    done.neighbours = scope.neighbours.len() as u64;
    done.files_in = scope.retired.len() as u64;
    done.records_before = scope.superseded.iter().map(|t| t.commit.counts.records).sum();
    done.rejects_before = scope.superseded.iter().map(|t| t.commit.counts.rejects).sum();
    let retired = scope.retired.iter().map(|f| f.output.partition.to_string());
    done.partitions = retired.collect::<BTreeSet<_>>().into_iter().collect();
    if request.dry_run {
        return Ok(done);
    }
    enrichments.keep(log, &change.enrich)?;
    if !scope.superseded.is_empty() {
        replace(log, asked, &mut enrichments, pointers, observer, stop, &mut done)?;
    }
    let before = done.summary.counts.clone();
    plan_failed(log, asked, &scope.failed, change, &mut enrichments, observer, stop, &mut done.summary)?;
    done.records_after += done.summary.counts.records - before.records;
    done.rejects_after += done.summary.counts.rejects - before.rejects;
    try_companions(log, asked, &mut enrichments, observer, stop, &mut done.summary)?;
    log.refresh()?;
    if let Some(warning) = checkpoint(log) {
        observer.event(&Event::Warning(&warning));
        done.summary.warnings.push(warning);
    }
    done.summary.settle();
    Ok(done)
}

/// What is done anew, and how.
#[derive(Clone, Copy)]
struct Asked<'a> {
    request: &'a ReconvertRequest,
    /// The change that is asked for, with versions of files.
    change: &'a Change,
    scope: &'a Scope,
    sources: &'a SourceSet,
}

fn replace(
    log: &mut Log,
    asked: Asked<'_>,
    enrichments: &mut EnrichmentFiles<'_>,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
    done: &mut Reconverted,
) -> Result<(), Error> {
    let Asked { request, change, scope, sources } = asked;
    let draft = Draft::new(log, scope, change, request.choice.restores(), enrichments)?;
    let performed = run(
        log,
        enrichments.left_of(request.budget),
        &draft.planned,
        sources,
        observer,
        stop,
        &mut done.summary,
    )?;
    // An equal run works in the same folder aside.
    let mut late = Late::default();
    late.add(draft.id.clone());
    if !performed.void.is_empty() {
        log.refresh()?;
        late.clear(log)?;
        return Err(draft.changed(performed.void));
    }
    let commits = performed.aside;
    let anew = || commits.iter().filter(|commit| !draft.rewrites.contains_key(&commit.task));
    let loss = draft
        .loss(scope, &commits)
        .or_else(|| differing(scope, anew(), &draft.restored))
        .or_else(|| draft.fewer(scope, &commits, &request.choice));
    if let Some(error) = loss {
        log.refresh()?;
        late.clear(log)?;
        return Err(error);
    }
    done.records_after = anew().map(|commit| commit.counts.records).sum();
    done.rejects_after = anew().map(|commit| commit.counts.rejects).sum();
    let record = draft.record(log, scope, commits, change)?;
    // One that could not read all any more has cleared the folder.
    let there: HashSet<String> = log.aside(&draft.id)?.into_iter().collect();
    if record.all_outputs().any(|output| !there.contains(&aside_key(&record, output))) {
        return Err(Error::NotReconverted(
            "a concurrent run with the same options gave up and removed its files".to_owned(),
        ));
    }
    let reconversions = log.state().files().reconversions();
    let put = log.append_compaction(&mut |state| {
        let files = state.files();
        for file in &record.retired {
            if !files.is_replaceable(&file.key)? {
                return Ok(None);
            }
        }
        let number = files.last_compaction() + 1;
        let is_same = files.reconversions() == reconversions;
        Ok(is_same.then(|| CompactionRecord { number, ..record.clone() }))
    })?;
    let Some(record) = put else {
        late.clear(log)?;
        return Err(Error::NotReconverted("another run replaced some of its files meanwhile".to_owned()));
    };
    done.files_out += record.all_outputs().count() as u64;
    Placing { log, pointers, grace: request.grace, observer, stop }.place(&[&record])?;
    log.state_mut().close_compaction(record.number);
    Ok(())
}

/// Tries objects of superseded tasks again that could not be read, and are not chosen: no record would say any more that they could not.
/// What fails as before is told by the table, as before.
fn try_companions(
    log: &mut Log,
    asked: Asked<'_>,
    enrichments: &mut EnrichmentFiles<'_>,
    observer: &dyn Observer,
    stop: &AtomicBool,
    summary: &mut Summary,
) -> Result<(), Error> {
    let mut own = Summary::default();
    let claims = &asked.scope.failed_companions;
    plan_failed(log, asked, claims, &Change::default(), enrichments, observer, stop, &mut own)?;
    if own.objects.converted > 0 {
        let objects = counted(own.objects.converted, "object");
        let warning = format!("{objects} of the same tasks could not be read before, and were converted now");
        observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    }
    Ok(())
}

/// Plans objects that had failed like new ones, and performs those plans.
#[allow(clippy::too_many_arguments, reason = "what is asked, of which objects, and what a run needs")]
fn plan_failed(
    log: &mut Log,
    asked: Asked<'_>,
    claims: &[FailedClaim],
    change: &Change,
    enrichments: &mut EnrichmentFiles<'_>,
    observer: &dyn Observer,
    stop: &AtomicBool,
    summary: &mut Summary,
) -> Result<(), Error> {
    let Asked { request, sources, .. } = asked;
    let mut by_options: BTreeMap<String, (Options, Vec<SourceObject>)> = BTreeMap::new();
    for claim in claims {
        // They were tried before the table had files, maybe.
        let options = log.state().contract().completed(change.apply(&claim.options));
        let key = serde_json::to_string(&options).expect("plain values");
        by_options.entry(key).or_insert_with(|| (options, Vec::new())).1.push(claim.object.clone());
    }
    let mut plans = BTreeSet::new();
    for (options, objects) in by_options.into_values() {
        plans.extend(append_plan(log, &options, &BTreeSet::new(), &mut |state| not_taken(state, &objects))?);
    }
    let mut planned = Vec::new();
    for open in log.state().open_tasks().filter(|t| plans.contains(&t.plan)) {
        planned.push(PlannedTask {
            plan_number: open.plan,
            goal: Goal::Commit { layout_version: open.layout_version },
            context: enrichments.context(log, open.options, open.formats)?,
            task: open.task.clone(),
        });
    }
    let budget = enrichments.left_of(request.budget);
    let performed = run(log, budget, &planned, sources, observer, stop, summary)?;
    if let Some(reason) = performed.void.into_values().min() {
        let warning = format!("left for the next conversion: {reason}");
        observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    }
    Ok(())
}

fn run(
    log: &Log,
    budget: Budget,
    planned: &[PlannedTask],
    sources: &SourceSet,
    observer: &dyn Observer,
    stop: &AtomicBool,
    summary: &mut Summary,
) -> Result<Performed, Error> {
    if planned.is_empty() {
        return Ok(Performed::default());
    }
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

/// A digest of these words, of which ids are made.
pub(crate) fn digest_of(words: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update(b"\n");
    }
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("eight bytes"))
}

impl Draft {
    fn new(
        log: &Log,
        scope: &Scope,
        change: &Change,
        is_restored: bool,
        enrichments: &mut EnrichmentFiles<'_>,
    ) -> Result<Self, Error> {
        let mut restored = HashSet::new();
        let mut words =
            vec!["reconversion".to_owned(), LAYOUT_VERSION.to_string(), log.state().last_plan().to_string()];
        words.extend(scope.retired.iter().map(|f| f.output.key.clone()));
        // With the same options an object is chosen or a companion, and gives the same.
        let mut by_options: BTreeMap<String, (Options, Vec<SourceObject>)> = BTreeMap::new();
        for task in &scope.superseded {
            for (object, is_chosen) in &task.objects {
                let options = if *is_chosen { change.apply(&task.options) } else { (*task.options).clone() };
                // A task without files may be older than what files of the table have in common.
                let options = log.state().contract().completed(options);
                if (is_restored || !*is_chosen) && options == *task.options {
                    restored.insert(object.url().to_owned());
                }
                let key = serde_json::to_string(&options).expect("plain values");
                by_options.entry(key).or_insert_with(|| (options, Vec::new())).1.push(object.clone());
            }
            words.push(task.id.to_string());
        }
        words.extend(by_options.keys().cloned());
        words.extend(scope.still_lost.iter().map(|n| format!("still lost {}", n.id)));
        let digest = digest_of(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let id = format!("{digest:016x}");
        let (options, rewrites) = (HashMap::new(), HashMap::new());
        let mut draft = Self { planned: Vec::new(), options, rewrites, restored, id };
        for (key, (options, objects)) in by_options {
            if change.columns.is_some() {
                let written = log.state().formats();
                let written = written.written().iter().map(|(format, _)| format.to_string());
                let given = options.reading.formats().iter().map(|f| f.to_string());
                check_columns(&options, written.chain(given).collect())?;
            }
            let seed = format!("reconversion {} {key}", draft.id);
            for task in plan_tasks(objects, &seed, &options) {
                draft.options.insert(task.id, options.clone());
                draft.push(log, task, &options, None, enrichments)?;
            }
        }
        for neighbour in &scope.neighbours {
            let task = draft.rewriting_of(neighbour.id);
            draft.rewrites.insert(task, neighbour.id);
            draft.options.insert(task, (*neighbour.options).clone());
            let partitions = Some(Arc::new(neighbour.partitions.clone()));
            let task = Task { id: task, objects: neighbour.objects.clone() };
            draft.push(log, task, &neighbour.options, partitions, enrichments)?;
        }
        Ok(draft)
    }

    /// The name of what a neighbour's rows are written anew as.
    fn rewriting_of(&self, neighbour: TaskId) -> TaskId {
        TaskId::from(digest_of(&["rewriting", &self.id, &neighbour]))
    }

    /// What tasks that were given up come to. Objects of neighbours are asked for as they were; of the others, what changed did so while it was
    /// read, and is taken as it is then by another try.
    fn changed(&self, void: HashMap<TaskId, String>) -> Error {
        let of = |task: &TaskId| self.rewrites.get(task).copied();
        let tasks: BTreeSet<TaskId> = void.keys().filter_map(of).collect();
        let is_told = |task: &TaskId| tasks.is_empty() || of(task).is_some();
        let why = void.into_iter().filter(|(task, _)| is_told(task)).map(|(_, why)| why).min();
        let why = why.unwrap_or_default();
        if tasks.is_empty() { Error::NotReconverted(why) } else { Error::RawLogsDiffer { tasks, why } }
    }

    /// What would be lost: objects that gave records until now, and cannot be read with the options that were asked for.
    fn loss(&self, scope: &Scope, commits: &[CommitRecord]) -> Option<Error> {
        let inputs = scope.superseded.iter().flat_map(|t| t.commit.inputs.iter().map(|input| (t.id, input)));
        let gave = inputs.filter(|(_, i)| i.counts.records > 0).map(|(task, i)| (i.object.url(), task));
        let gave: HashMap<&str, TaskId> = gave.collect();
        let anew = commits.iter().filter(|c| !self.rewrites.contains_key(&c.task)).flat_map(|c| &c.inputs);
        let failed = anew.filter_map(|input| Some((input.object.url(), input.failed.as_ref()?)));
        let lost: Vec<_> = failed.filter_map(|(url, cause)| Some((url, cause, *gave.get(url)?))).collect();
        let (url, cause, _) = lost.first()?;
        Some(Error::RecordsLost {
            objects: lost.len() as u64,
            url: (*url).to_owned(),
            why: cause.to_string(),
            tasks: lost.iter().map(|(.., task)| *task).collect(),
        })
    }

    /// Where rejects were to be mended and fewer records would come of it: mostly a format that is missing.
    fn fewer(&self, scope: &Scope, commits: &[CommitRecord], choice: &Choice) -> Option<Error> {
        if !choice.rejects || choice.fewer_records {
            return None;
        }
        let anew = commits.iter().filter(|c| !self.rewrites.contains_key(&c.task));
        let before = scope.superseded.iter().map(|t| t.commit.counts.records).sum();
        let after = anew.map(|c| c.counts.records).sum();
        (after < before).then_some(Error::FewerRecords { before, after })
    }

    fn push(
        &mut self,
        log: &Log,
        task: Task,
        options: &Options,
        partitions: Option<Arc<BTreeSet<String>>>,
        enrichments: &mut EnrichmentFiles<'_>,
    ) -> Result<(), Error> {
        let formats = formats_of(&log.state().formats(), &BTreeSet::new(), options)?;
        self.planned.push(PlannedTask {
            plan_number: log.state().last_plan(),
            goal: Goal::Aside { id: self.id.clone(), partitions },
            context: enrichments.context(log, options, &formats)?,
            task,
        });
        Ok(())
    }

    /// The record that replaces what stood there before by what was put aside.
    fn record(
        &self,
        log: &Log,
        scope: &Scope,
        mut commits: Vec<CommitRecord>,
        change: &Change,
    ) -> Result<CompactionRecord, Error> {
        commits.sort_by_key(|commit| commit.task);
        let mut reconversion = Reconversion {
            plan: log.state().last_plan(),
            superseded: scope
                .superseded
                .iter()
                .map(|t| SupersededTask {
                    task: t.id,
                    objects: t.commit.inputs.iter().filter(|i| i.failed.is_none()).count() as u64,
                    bytes_in: t
                        .commit
                        .inputs
                        .iter()
                        .filter(|i| i.failed.is_none())
                        .map(|i| i.object.bytes)
                        .sum(),
                    counts: t.commit.counts.clone(),
                })
                .collect(),
            tasks: Vec::new(),
            rewritten: Vec::new(),
            still_lost: scope
                .still_lost
                .iter()
                .filter_map(|neighbour| neighbour.still_lost(self.rewriting_of(neighbour.id)))
                .collect(),
        };
        let mut rewritten: BTreeMap<TaskId, BTreeMap<String, Rows>> = BTreeMap::new();
        for commit in commits {
            let options = self.options[&commit.task].clone();
            match self.rewrites.get(&commit.task) {
                None => reconversion.tasks.push(ReconvertedTask { options, commit }),
                Some(neighbour) => {
                    rewritten.insert(*neighbour, Rows::of(&commit.outputs));
                    let (task, outputs) = (*neighbour, commit.outputs);
                    reconversion.rewritten.push(RewrittenTask { task, options, outputs });
                }
            }
        }
        scope.check_rows(&rewritten)?;
        let first = scope.superseded.first().map(|t| (*t.options).clone()).unwrap_or_default();
        let layout_version =
            if scope.still_lost.is_empty() { LAYOUT_VERSION } else { LAYOUT_VERSION_OF_LOSSES };
        Ok(CompactionRecord {
            layout_version,
            written_by: written_by(),
            number: 0,
            id: self.id.clone(),
            partition: String::new(),
            options: change.apply(&first),
            formats: Vec::new(),
            retired: scope.retired.iter().map(|f| RetiredFile::of(&f.output)).collect(),
            outputs: Vec::new(),
            reconversion: Some(reconversion),
            rollup: None,
            loss: None,
            regained: Vec::new(),
        })
    }
}
