//! What a table's records and one listing of it say: done, to be done, rejected, lost.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_store::Store;
use serde::Serialize;

use crate::aside::aside_folders;
use crate::catalog::CatalogTable;
use crate::cause::Cause;
use crate::check::{FileCheck, check_files};
use crate::error::Error;
use crate::files::LiveFile;
use crate::ignored::ignored;
use crate::layout::rejects_key;
use crate::log::Log;
use crate::objects::SourceObject;
use crate::records::Counts;
use crate::rejects_loss::{LostRejects, loss_of_rejects, lost_rejects};
use crate::rollup::RollupSums;
use crate::state::TableState;

/// A task that is planned and not committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// Its id.
    pub id: String,
    /// The plan that holds it.
    pub plan: u64,
    /// Its objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them.
    pub first_object: String,
}

/// An object that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The object.
    pub url: String,
    /// The kind of the cause: [`Cause::name`].
    pub cause: &'static str,
    /// The cause in words.
    pub reason: String,
    /// Why nobody needs to be told of it, if somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
}

/// What a roll-up is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollupStatus {
    /// URL of the table that was rolled up.
    pub source: String,
    /// Time bucket and columns that its records were grouped by.
    pub by: String,
    /// How many records.
    pub flows: u64,
}

/// A table as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Partition columns.
    pub partition_by: String,
    /// Columns by which row groups are sorted.
    pub sort: Vec<String>,
    /// Types of columns.
    pub types: String,
    /// The catalog's table that points here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// Whether only one process may write at a time.
    pub single_writer: bool,
    /// Plans.
    pub plans: u64,
    /// Committed tasks.
    pub tasks: u64,
    /// Tasks that were given up; their objects are planned anew.
    pub void_tasks: u64,
    /// Tasks without a commit: under way, or left by a run that ended early.
    pub open_tasks: Vec<Unfinished>,
    /// Converted objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Of the objects: damaged, and in the table as far as they could be read, with `--salvage`.
    #[serde(skip_serializing_if = "is_zero")]
    pub damaged_objects: u64,
    /// Lines of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Compactions of partitions.
    pub compactions: u64,
    /// Reconversions.
    pub reconversions: u64,
    /// Partitions whose files were replaced by others that are not all in place: under way, or left by a run that ended early.
    pub open_compactions: Vec<String>,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Records that stand in no file, since compactions left them out as duplicates.
    #[serde(skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    /// What it is a roll-up of, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollup: Option<RollupStatus>,
    /// Partition folders.
    pub partitions: u64,
    /// The first and the last of them, in order.
    pub partition_range: Option<(String, String)>,
    /// Log formats, as text.
    pub formats: Vec<String>,
    /// Objects that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Keys of reject files.
    pub reject_files: Vec<String>,
    /// Rejected lines whose loss somebody accepted: the table does not keep them any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_rejects: Vec<LostRejects>,
    /// Files that are not as the records have them.
    #[serde(flatten)]
    pub check: FileCheck,
}

impl Status {
    /// Whether everything that was planned is in the table, or is ignored.
    pub fn is_complete(&self) -> bool {
        let told = self.unreadable.iter().filter(|u| u.ignored.is_none()).count();
        self.open_tasks.is_empty() && self.open_compactions.is_empty() && told == 0
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Compares what the records of the table in `log` say with a listing of it.
///
/// # Errors
/// As the store reports.
pub fn status(log: &mut Log) -> Result<Status, Error> {
    let check = check_files(log)?;
    log.ask(TableState::read_files)?;
    let out = log.out().as_ref();
    let catalog = CatalogTable::of(out)?.map(|c| format!("{}.{}", c.database, c.table));
    let ignored = ignored_reasons(out, log.state())?;
    let lost_rejects = losses_of_rejects(out, log.state())?;
    let mut status = of_state(log.state(), &ignored, catalog, check)?;
    status.reject_files.retain(|key| lost_rejects.iter().all(|lost| lost.key != *key));
    Ok(Status { lost_rejects, ..status })
}

/// Nothing is asked where no lines are rejected.
fn losses_of_rejects(out: &dyn Store, state: &TableState) -> Result<Vec<LostRejects>, Error> {
    let with_rejects = &state.totals().with_rejects;
    let lost = if with_rejects.is_empty() { BTreeSet::new() } else { lost_rejects(out)? };
    let tasks = with_rejects.iter().filter(|task| lost.contains(&rejects_key(task)));
    let told = tasks.map(|task| loss_of_rejects(out, *task)).collect::<Result<Vec<_>, _>>()?;
    Ok(told.into_iter().flatten().collect())
}

/// Nothing is read where nothing is ignored that failed.
fn ignored_reasons(out: &dyn Store, state: &TableState) -> Result<BTreeMap<String, String>, Error> {
    let any = state.failed()?.iter().any(|claim| state.is_ignored(&claim.object));
    if any { ignored(out) } else { Ok(BTreeMap::new()) }
}

fn rollup_status(live: &[&LiveFile]) -> Option<RollupStatus> {
    let all = || live.iter().filter_map(|file| file.output.rollup.as_ref());
    let first = all().next()?;
    let flows = RollupSums::sum(all().map(|rollup| rollup.sums)).flows;
    Some(RollupStatus { source: first.source.clone(), by: first.by.clone(), flows })
}

/// The log formats of what is in files: of a merged file, those that logs had and whose fields it has all.
fn formats_of_logs(state: &TableState) -> Result<Vec<String>, Error> {
    let fields = |format: &str| format.split(' ').map(str::to_owned).collect::<BTreeSet<String>>();
    let written: BTreeSet<&str> = state.formats.written().iter().map(|(format, _)| format.as_ref()).collect();
    let mut found = BTreeSet::new();
    for (format, _) in state.files().formats()? {
        let all = fields(&format);
        let mut parts = written.iter().filter(|part| fields(part).is_subset(&all)).peekable();
        if written.contains(format.as_str()) || parts.peek().is_none() {
            found.insert(format);
        } else {
            found.extend(parts.map(|part| (*part).to_owned()));
        }
    }
    Ok(found.into_iter().collect())
}

fn of_state(
    state: &TableState,
    ignored: &BTreeMap<String, String>,
    catalog: Option<String>,
    check: FileCheck,
) -> Result<Status, Error> {
    let open_tasks = state.open_tasks().map(|open| Unfinished {
        id: open.task.id.to_string(),
        plan: open.plan,
        objects: open.task.objects.len() as u64,
        bytes: open.task.objects.iter().map(|o| o.bytes).sum(),
        first_object: open.task.objects.first().map(SourceObject::url).unwrap_or_default().to_owned(),
    });
    let (contract, totals, files) = (state.contract(), state.totals(), state.files());
    // Of an accepted loss no file is moved.
    let moving = files.open().filter(|record| !record.is_of_losses());
    let mut open_compactions: Vec<String> = moving.flat_map(|r| aside_folders(r).into_keys()).collect();
    open_compactions.sort();
    open_compactions.dedup();
    let formats = formats_of_logs(state)?;
    let mut unreadable: Vec<Unreadable> = state
        .failed()?
        .into_iter()
        .map(|claim| Unreadable {
            url: claim.object.url().to_owned(),
            cause: Cause::name(&claim.cause),
            reason: claim.cause.to_string(),
            ignored: ignored.get(claim.object.url()).cloned(),
        })
        .collect();
    unreadable.sort_by(|a, b| a.url.cmp(&b.url));
    let live = files.all()?;
    let lost = files.lost().map(|lost| &lost.file);
    let mut partitions: Vec<&str> = live.iter().map(|f| f.output.partition.as_ref()).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let range = partitions.first().zip(partitions.last());
    Ok(Status {
        partition_by: contract.partition_by.to_string(),
        sort: contract.sort.clone(),
        types: contract.types.to_string(),
        catalog,
        single_writer: contract.single_writer,
        plans: state.last_plan(),
        tasks: totals.tasks,
        void_tasks: totals.void,
        open_tasks: open_tasks.collect(),
        objects: totals.objects,
        bytes_in: totals.bytes_in,
        damaged_objects: totals.damaged_objects(),
        counts: totals.counts.clone(),
        compactions: files.last_compaction() - files.reconversions() - files.losses(),
        reconversions: files.reconversions(),
        open_compactions,
        files: live.len() as u64,
        bytes_out: live.iter().map(|f| f.output.bytes).sum(),
        duplicates: live.iter().copied().chain(lost).map(|f| f.output.duplicates.rows).sum(),
        rollup: rollup_status(&live),
        partitions: partitions.len() as u64,
        partition_range: range.map(|(first, last)| ((*first).to_owned(), (*last).to_owned())),
        formats,
        unreadable,
        reject_files: totals.reject_files().collect(),
        lost_rejects: Vec::new(),
        check,
    })
}
