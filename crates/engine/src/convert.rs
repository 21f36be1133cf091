//! A run: list, plan, perform, report.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_format::KeyFilter;
use flowquet_plan::{Options, PlanRecord, TableContract};
use flowquet_store::{FILE_SCHEME, Store, Stores};

use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::listing::{Lister, Listing, Portion};
use crate::perform::{Performance, PlannedTask, perform};
use crate::source::{Source, SourceSet, is_remote, spool, spool_key};
use crate::summary::{FailedObject, Summary};
use crate::table::{Table, check_contract, delete_if_there, make_contract};

/// How many rejects a run bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// This many lines.
    Lines(u64),
    /// This share of lines, in percent.
    Percent(f64),
}

impl RejectLimit {
    pub(crate) fn is_passed(self, rejects: u64, lines: u64) -> bool {
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

/// Which part of a plan a process performs: the tasks whose place in the plan, divided by `of`, leaves `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u64,
    /// Processes.
    pub of: u64,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("expected I/N with I from 0 to N-1, found `{text}`");
        let (index, of) = text.split_once('/').ok_or_else(error)?;
        let (index, of) = (index.parse().map_err(|_| error())?, of.parse().map_err(|_| error())?);
        if index < of { Ok(Self { index, of }) } else { Err(error()) }
    }
}

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
    /// Options that decide what is written.
    pub options: Options,
    /// Workers and memory.
    pub budget: Budget,
    /// How many rejects the run bears; `None` for any number.
    pub max_rejects: Option<RejectLimit>,
    /// Plan only; write nothing.
    pub dry_run: bool,
    /// A plan that was made before, and the share of it that is performed; instead of sources.
    pub plan: Option<(PlanRecord, Share)>,
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
    let (found, listed) = std::thread::scope(|scope| {
        let found = scope.spawn(|| find_table(out, request));
        let listed = lister.list(&request.sources);
        (found.join().expect("no panic while waiting"), listed)
    });
    let (contract, table, single_writer) = found?;
    let Listing { all: mut listing, listed } = listed?;
    let mut summary = Summary::default();
    let warn = |summary: &mut Summary, warning: String| {
        observer.event(&Event::Warning(&warning));
        summary.warnings.push(warning);
    };
    let mut spooled = None;
    let mut contract = contract.unwrap_or_else(|| TableContract::of(&request.options));
    if !request.dry_run {
        out.create()?;
        if table.is_none() {
            contract = make_contract(out, &request.options, single_writer)?;
        }
        if request.sources.contains(&Source::Stdin) {
            let object = spool(stdin, out)?;
            spooled = spool_key(&object);
            listing.objects.push(object);
        }
    }
    if contract.single_writer {
        warn(&mut summary, SINGLE_WRITER.to_owned());
    }
    for warning in plan_context.given.iter().flat_map(|g| g.warnings(&plan_context.catalogue)) {
        warn(&mut summary, warning);
    }
    if listed.untold > 0 {
        let untold = listed.untold;
        warn(
            &mut summary,
            format!("left {untold} objects out, whose keys do not tell what a filter asks for"),
        );
    }
    for table in &listed.tables {
        warn(&mut summary, format!("left out {}, a flowquet table ({} objects)", table.url, table.objects));
    }
    for unreadable in std::mem::take(&mut listing.unreadable) {
        observer.event(&Event::ObjectFailed { url: &unreadable.url, reason: &unreadable.reason });
        summary.objects.failed += 1;
        summary.failed_objects.push(unreadable);
    }
    summary.objects.listed = listed.objects + listed.unreadable + listed.left_out;
    summary.objects.left_out = listed.left_out;
    // Where another run made the table at this moment, taking objects finds out.
    let mut table = table.unwrap_or_else(|| Table::new(&contract));
    if !request.dry_run {
        table.sweep(out)?;
    }
    leave_out_unreadable(&mut listing, &table, request, &sources, &mut summary, observer);
    budget.divide(listing.memory + table.known() * KNOWN_BYTES);
    let mut plan = None;
    let mut new_plan = None;
    let sorted = if let Some((given, _)) = &request.plan {
        table.take_plan(out, given.clone())?;
        new_plan = Some(given.number);
        Default::default()
    } else if request.dry_run {
        let mut sorted = table.sort_out(listing.objects, &request.options);
        if !sorted.new.is_empty() {
            plan = Some(table.plan(std::mem::take(&mut sorted.new), &request.options)?);
        }
        sorted
    } else {
        let (sorted, number) = table.take(out, listing.objects, &request.options)?;
        new_plan = number;
        sorted
    };
    summary.objects.known = sorted.known;
    summary.objects.changed = sorted.changed.len() as u64;
    for (object, bytes) in sorted.changed {
        let reason = format!("{bytes} bytes when it was taken into the table, {} now", object.bytes);
        summary.changed_objects.push(FailedObject { url: object.url().to_owned(), reason });
    }
    for (object, reason) in sorted.failed {
        summary.objects.failed += 1;
        summary.failed_objects.push(FailedObject { url: object.url().to_owned(), reason });
    }
    let single_writer = table.is_single_writer();
    let tasks = tasks_to_perform(table, request)?;
    if let Some(key) = spooled
        && !tasks.iter().flat_map(|t| &t.task.objects).any(|o| spool_key(o).as_ref() == Some(&key))
    {
        // The same input is in the table already.
        delete_if_there(out, &key)?;
    }
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
        return Ok(Run { summary, plan, workers: budget.workers, error: None });
    }
    let performance =
        Performance { request, budget, tasks: &tasks, sources: &sources, single_writer, observer, stop };
    let error = perform(&performance, &mut summary);
    summary.settle();
    Ok(Run { summary, plan: None, workers: budget.workers, error })
}

/// The table that is there, if one is. Of a store where one is about to be made: whether it bears only a single writer.
fn find_table(
    out: &dyn Store,
    request: &Request,
) -> Result<(Option<TableContract>, Option<Table>, bool), Error> {
    let contract = check_contract(out, &request.options)?;
    let table = contract.as_ref().map(|c| Table::read(out, c)).transpose()?;
    let is_new = contract.is_none() && !request.dry_run;
    let single_writer = is_new && !out.honours_conditions()?;
    Ok((contract, table, single_writer))
}

/// Memory that a known object takes.
const KNOWN_BYTES: usize = 96;

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

/// Takes new files that may not be read out of `listing`, and reports them: a plan that holds one could never be performed.
fn leave_out_unreadable(
    listing: &mut Portion,
    table: &Table,
    request: &Request,
    sources: &SourceSet,
    summary: &mut Summary,
    observer: &dyn Observer,
) {
    // In a bucket to ask costs a request for each; what may not be read there stops the run.
    let local = listing.objects.iter().filter(|o| !is_remote(o)).cloned().collect();
    let mut unreadable = HashSet::new();
    for object in table.sort_out(local, &request.options).new {
        if let Err(error) = sources.open(&object) {
            let reason = error.to_string();
            observer.event(&Event::ObjectFailed { url: object.url(), reason: &reason });
            summary.objects.failed += 1;
            summary.failed_objects.push(FailedObject { url: object.url().to_owned(), reason });
            unreadable.insert(object.url().to_owned());
        }
    }
    listing.objects.retain(|o| !unreadable.contains(o.url()));
}

/// Tasks without a commit: of all plans, or of the share that is asked for.
fn tasks_to_perform(table: Table, request: &Request) -> Result<Vec<PlannedTask>, Error> {
    let mine: Option<HashSet<String>> = request.plan.as_ref().map(|(plan, share)| {
        let places = plan.tasks.iter().enumerate();
        places.filter(|(i, _)| *i as u64 % share.of == share.index).map(|(_, t)| t.id.clone()).collect()
    });
    let mut tasks = Vec::new();
    for open in table.open {
        let context = Arc::new(PlanContext::new(&open.options)?);
        let wanted = open.tasks.into_iter().filter(|t| mine.as_ref().is_none_or(|m| m.contains(&t.id)));
        tasks.extend(wanted.map(|task| PlannedTask {
            plan_number: open.number,
            context: context.clone(),
            task,
        }));
    }
    Ok(tasks)
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
