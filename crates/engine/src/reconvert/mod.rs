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
//! that are chosen for their accepted loss alone: of their tasks those return alone whose raw logs are there (`returns.rs`).
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
mod draft;
mod gone;
mod id;
mod left;
mod part;
mod performing;
mod request;
mod returns;
mod rows;
mod scope;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;

use flowquet_sources::SourceSet;
use flowquet_table::{
    CompactionRecord, Error as LogError, FailedClaim, Log, Options, SourceObject, TableState, aside_key,
};

use crate::convert::checkpoint;
use crate::enrich::{EnrichmentFiles, next_versions};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::goal::{Goal, PlannedTask};
use crate::replace::{Late, Placing, Pointers, finish_open};
use crate::summary::Summary;
use crate::take::{append_plan, not_taken};
use crate::words::counted;

pub use change::Change;
pub use choice::Choice;
use differ::differing;
pub use done::Reconverted;
use draft::Draft;
pub(crate) use gone::{blocked_tasks, tasks_beyond};
pub(crate) use id::digest_of;
use left::Left;
use performing::run;
pub use request::ReconvertRequest;
use request::{ATTEMPTS_MAX, Means};
use scope::Scope;
pub(crate) use scope::is_gone;

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
    let mut overtaken = None;
    for _ in 0..ATTEMPTS_MAX {
        match reconvert_chosen(request, pointers, observer, stop) {
            Err(Error::Overtaken(why)) => overtaken = Some(Error::Overtaken(why)),
            // What was chosen the last time is what the other run has replaced.
            Err(Error::NothingChosen) if overtaken.is_some() => break,
            done => return done,
        }
    }
    Err(overtaken.unwrap_or(Error::NothingChosen))
}

/// Converts objects anew, unless another run gets ahead.
fn reconvert_chosen(
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
    let means = Means { request, sources: &sources, pointers, observer, stop };
    let mut left = Left::default();
    let done = reconvert_whole(&mut log, means, change, &mut left, finished);
    if !request.choice.may_leave_part() || !change.is_none() {
        return done;
    }
    // Of tasks that could not be converted again as a whole, what is there of their raw logs returns alone.
    let (only, before) = match &done {
        Ok(done) if left.is_any() => (Some(left.tasks()), done.clone()),
        Err(error) if error.raw_logs().is_some() => {
            (None, Reconverted { finished, ..Reconverted::default() })
        }
        _ => return done,
    };
    means.restore(&mut log, only, &before)?.map_or(done, Ok)
}

/// Converts tasks of chosen objects anew as a whole, without those that may be `left` as they are.
fn reconvert_whole(
    log: &mut Log,
    means: Means<'_>,
    change: &Change,
    left: &mut Left,
    finished: u64,
) -> Result<Reconverted, Error> {
    let Means { request, sources, stop, .. } = means;
    // Tasks whose raw logs cannot be read.
    let mut unread = BTreeSet::new();
    loop {
        let mut chosen = request.choice.choose(log, request.dry_run)?;
        let still_lost = left.leave(&mut chosen);
        let mut scope = Scope::new(log, chosen)?;
        scope.keep_lost(&unread);
        if request.choice.wants_rejects() {
            scope.keep_rejects();
        }
        let still_lost_why = left.why.clone();
        let done = Reconverted { finished, still_lost, still_lost_why, ..Reconverted::default() };
        let refreshed = scope.refresh(sources, stop);
        let asked = Asked { means, change, scope: &scope };
        let error = match refreshed.and_then(|()| reconvert_once(log, asked, done)) {
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
        if !request.choice.may_leave_lost() || !left.add(log, &scope, &error)? {
            return Err(error);
        }
    }
}

/// Converts anew what is asked for, unless raw logs that it needs are gone or differ.
fn reconvert_once(log: &mut Log, asked: Asked<'_>, mut done: Reconverted) -> Result<Reconverted, Error> {
    let Asked { means, change, scope } = asked;
    let Means { request, observer, .. } = means;
    let mut enrichments = EnrichmentFiles::new(&request.enrich);
    done.objects = scope.chosen().count() as u64;
    done.companions = scope.companions().count() as u64;
    done.failed_before = scope.failed.len() as u64;
    done.neighbours = scope.neighbours.iter().map(|n| n.id).collect::<BTreeSet<_>>().len() as u64;
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
        replace(log, asked, &mut enrichments, &mut done)?;
    }
    let before = done.summary.counts.clone();
    plan_failed(log, means, &scope.failed, change, &mut enrichments, &mut done.summary)?;
    done.records_after += done.summary.counts.records - before.records;
    done.rejects_after += done.summary.counts.rejects - before.rejects;
    try_companions(log, asked, &mut enrichments, &mut done.summary)?;
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
    means: Means<'a>,
    /// The change that is asked for, with versions of files.
    change: &'a Change,
    scope: &'a Scope,
}

fn replace(
    log: &mut Log,
    asked: Asked<'_>,
    enrichments: &mut EnrichmentFiles<'_>,
    done: &mut Reconverted,
) -> Result<(), Error> {
    let Asked { means, change, scope } = asked;
    let Means { request, sources, pointers, observer, stop } = means;
    let draft = Draft::new(log, scope, change, request.choice.restores(), enrichments)?;
    let is_lost = |key: &&String| log.state().files().lost_at(key).is_some();
    let lost = scope.retired.iter().map(|file| &file.output.key).filter(is_lost);
    let still_lost: HashSet<String> = lost.filter(|_| !scope.still_lost.is_empty()).cloned().collect();
    let budget = enrichments.left_of(request.budget);
    let performed = run(log, budget, &draft.planned, means, &mut done.summary)?;
    // An equal run works in the same folder aside.
    let mut late = Late::default();
    late.add(draft.id.clone());
    if !performed.void.is_empty() {
        log.refresh()?;
        late.clear(log)?;
        return Err(draft.changed(scope, sources, performed.void)?);
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
    let reconversions = log.state().files().reconversions();
    let is_right = |state: &TableState| -> Result<bool, LogError> {
        let files = state.files();
        for file in &record.retired {
            // A file that was found again has the rows that are to stay lost.
            let is_lost = files.lost_at(&file.key).is_some();
            if !files.is_replaceable(&file.key)? || still_lost.contains(&file.key) && !is_lost {
                return Ok(false);
            }
        }
        Ok(files.reconversions() == reconversions)
    };
    // One that could not read all any more has cleared the folder, and so has one that is through.
    let there: HashSet<String> = log.aside(&draft.id)?.into_iter().collect();
    if record.all_outputs().any(|output| !there.contains(&aside_key(&record, output))) {
        log.refresh()?;
        if !log.ask(is_right)? {
            late.clear(log)?;
        }
        return Err(Error::Overtaken("a concurrent run with the same options removed its files".to_owned()));
    }
    let put = log.append_compaction(&mut |state| {
        let number = state.files().last_compaction() + 1;
        Ok(is_right(state)?.then(|| CompactionRecord { number, ..record.clone() }))
    })?;
    let Some(record) = put else {
        late.clear(log)?;
        return Err(Error::Overtaken("another run replaced some of its files meanwhile".to_owned()));
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
    summary: &mut Summary,
) -> Result<(), Error> {
    let mut own = Summary::default();
    let claims = &asked.scope.failed_companions;
    plan_failed(log, asked.means, claims, &Change::default(), enrichments, &mut own)?;
    if own.objects.converted > 0 {
        let objects = counted(own.objects.converted, "object");
        let warning = format!("{objects} of the same tasks could not be read before, and were converted now");
        asked.means.observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    }
    Ok(())
}

/// Plans objects that had failed like new ones, and performs those plans.
fn plan_failed(
    log: &mut Log,
    means: Means<'_>,
    claims: &[FailedClaim],
    change: &Change,
    enrichments: &mut EnrichmentFiles<'_>,
    summary: &mut Summary,
) -> Result<(), Error> {
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
    let budget = enrichments.left_of(means.request.budget);
    let performed = run(log, budget, &planned, means, summary)?;
    if let Some(reason) = performed.void.into_values().min() {
        let warning = format!("left for the next conversion: {reason}");
        means.observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    }
    Ok(())
}
