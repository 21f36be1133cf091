//! Compaction: the files of a partition, as they were written and merged by rows, become few sorted ones.
//!
//! # How the table changes hands
//!
//! 1. New files are put where no reader looks (`_flowquet/compacted/`), under names that their inputs and options decide.
//! 2. A numbered record, put if absent, retires the old files. From here on the new ones are the table.
//! 3. A catalog that points at the partition is pointed at the new files ([`Pointers`]), and readers that began before are
//!    given time.
//! 4. The new files are put in place, all of them; only then the old ones are deleted.
//! 5. The catalog is pointed back, readers are given time again, and what was put aside in step 1 is deleted.
//!
//! Each step can be done twice. A process that is killed leaves a record without its mark of completion, and the next
//! compaction goes on with step 3.

mod place;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowquet_format::LogFormat;
use flowquet_plan::{files_due, kept_formats};
use flowquet_store::Store;
use flowquet_table::{
    CompactionRecord, Error as LogError, FileCheck, LiveFile, Log, Options, TableState, aside_folders,
    aside_key, check_files, delete_if_there,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::convert::checkpoint;
use crate::error::Error;
use crate::events::{Event, Observer};

pub(crate) use place::Placing;
pub use place::Pointers;
pub use write::COMPACT_WORKER_BYTES;

/// What rows are ordered by where nothing is asked for: over the queries of `benches/queries` it reads least.
const DEFAULT_SORT: [&str; 3] = ["srcaddr", "dstaddr", "start"];

/// Partitions that are rewritten before their files are put in place: so many hold both at once.
const WAVE: usize = 64;

/// What a compaction is asked to do.
#[derive(Debug)]
pub struct CompactRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Options of the new files; partitions and types are the table's.
    pub options: CompactOptions,
    /// Which partitions: parts of their folders, such as `date=2024-01-15` or `date=2024-01-*`, that must all be there. All
    /// partitions if empty; of several, any.
    pub partitions: Vec<String>,
    /// Workers; each takes [`COMPACT_WORKER_BYTES`].
    pub workers: usize,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
    /// How long readers that began before a change are given, where a catalog is pointed elsewhere.
    pub grace: Duration,
}

/// Options of the files that a compaction writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactOptions {
    /// Columns by which rows are ordered, each of which some file must have; without, by source, destination and start, as far as
    /// files have them.
    pub sort: Option<Vec<String>>,
    /// Columns that have a bloom filter.
    pub bloom_filter: Vec<String>,
    /// Compression of pages.
    pub compression: String,
    /// Most rows of a row group.
    pub row_group_rows: u64,
    /// Size that files are to have.
    pub file_bytes: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// Partitions that were looked at.
    pub partitions: u64,
    /// Partitions that were compacted.
    pub compacted: u64,
    /// Compactions that an earlier run had left unfinished.
    pub finished: u64,
    /// Partitions that were left as they are because files of theirs are lost or truncated.
    pub damaged: u64,
    /// Partitions that another run compacted meanwhile.
    pub by_another: u64,
    /// Rows of compacted partitions' merged files.
    pub rows: u64,
    /// Files that were merged.
    pub files_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Files that were written.
    pub files_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Folders of compacted partitions.
    pub folders: Vec<String>,
    /// Files of the table that were not as the records have them.
    #[serde(flatten)]
    pub check: FileCheck,
}

/// A partition and what is to be merged of it.
struct Due {
    folder: String,
    files: Vec<LiveFile>,
}

/// Compacts until done or `stop` is set. `pointers` is the catalog that knows the table, if one does.
///
/// # Errors
/// [`Error`]; what is committed stays, and the next run goes on.
pub fn compact(
    request: &CompactRequest,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Compaction, Error> {
    let mut log = Log::open(&request.out)?;
    let wanted = wanted_options(log.state(), &request.options);
    let mut due = Vec::new();
    let mut done = Compaction { check: check_files(&mut log)?, ..Compaction::default() };
    let partitions = log.state().files().partitions()?;
    check_partitions(&partitions, &request.partitions)?;
    check_columns(log.state(), &wanted)?;
    let damaged: HashSet<&str> =
        done.check.lost.iter().chain(&done.check.truncated).map(|file| folder_of(&file.key)).collect();
    for (folder, files) in partitions.iter().filter(|(folder, _)| is_chosen(folder, &request.partitions)) {
        done.partitions += 1;
        if damaged.contains(folder.as_str()) {
            done.damaged += 1;
            continue;
        }
        let files = files_due(files, &wanted);
        if !files.is_empty() {
            due.push(Due { folder: folder.clone(), files });
        }
    }
    let bytes = due.iter().flat_map(|d| &d.files).map(|f| f.output.bytes).sum();
    let objects = due.iter().map(|d| d.files.len() as u64).sum();
    let left_over = log.state().files().open().count() as u64;
    observer.event(&Event::Planned { tasks: due.len() as u64, objects, bytes, left_over });
    if request.dry_run {
        done.finished = left_over;
        for due in due {
            done.count_inputs(&due);
        }
        return Ok(done);
    }
    done.finished = finish_open(&mut log, pointers, request.grace, stop)?;
    log.sweep_aside()?;
    // Replaced or given up, and put once more by a slow run after they were deleted.
    for file in done.check.left.drain(..) {
        delete_if_there(log.out().as_ref(), &file.key)?;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(request.workers)
        .thread_name(|i| format!("flowquet-{i}"))
        .build()
        .expect("threads can be made");
    let written = kept_formats(log.state().formats().written()).map_err(|e| Error::Options(e.to_string()))?;
    let log = Mutex::new(log);
    for wave in due.chunks(WAVE) {
        let write = |due: &Due| -> Result<Option<CompactionRecord>, Error> {
            let partition = write::Partition { folder: &due.folder, files: &due.files, written: &written };
            let draft = write::write(request.out.as_ref(), &partition, &wanted, observer, stop)?;
            commit(&log, draft)
        };
        let results: Vec<_> = pool.install(|| wave.par_iter().map(write).collect());
        // What is committed is put in place also where another partition failed.
        let mut error = None;
        let mut committed = Vec::new();
        for (result, due) in results.into_iter().zip(wave) {
            match result {
                Ok(Some(record)) => {
                    done.count_inputs(due);
                    done.files_out += record.outputs.len() as u64;
                    done.bytes_out += record.outputs.iter().map(|o| o.bytes).sum::<u64>();
                    committed.push(record);
                }
                Ok(None) => done.by_another += 1,
                Err(Error::Interrupted) => error = error.or(Some(Error::Interrupted)),
                Err(_) if are_retired(&log, due)? => done.by_another += 1,
                Err(found) => error = error.or(Some(found)),
            }
        }
        if !matches!(error, Some(Error::Interrupted)) && !stop.load(Ordering::Relaxed) {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            Placing { log: &log, pointers, grace: request.grace, stop }
                .place(&committed.iter().collect::<Vec<_>>())?;
        } else {
            error = error.or(Some(Error::Interrupted));
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
    let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
    log.refresh()?;
    if let Some(warning) = checkpoint(&mut log) {
        observer.event(&Event::Warning(&warning));
    }
    Ok(done)
}

impl Compaction {
    fn count_inputs(&mut self, due: &Due) {
        self.compacted += 1;
        self.files_in += due.files.len() as u64;
        self.rows += due.files.iter().map(|f| f.output.rows).sum::<u64>();
        self.bytes_in += due.files.iter().map(|f| f.output.bytes).sum::<u64>();
        self.folders.push(due.folder.clone());
    }
}

/// The options of new files: what was asked for, and what the table has.
fn wanted_options(state: &TableState, asked: &CompactOptions) -> Options {
    let CompactOptions { sort, bloom_filter, compression, row_group_rows, file_bytes } = asked.clone();
    let contract = state.contract();
    Options {
        partition_by: contract.partition_by.clone(),
        partition_time: contract.partition_time,
        types: contract.types,
        sort: sort.unwrap_or_else(|| DEFAULT_SORT.map(str::to_owned).to_vec()),
        bloom_filter,
        compression,
        row_group_rows,
        file_bytes,
        ..Options::default()
    }
}

/// The partition folder of a data file.
fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Each part of the command that names partitions must name some.
pub(crate) fn check_partitions<V>(partitions: &BTreeMap<String, V>, wanted: &[String]) -> Result<(), Error> {
    for glob in wanted {
        if !partitions.keys().any(|folder| is_chosen(folder, std::slice::from_ref(glob))) {
            let nearest = partitions.keys().rev().take(3).cloned().collect();
            return Err(Error::NoPartition { glob: glob.clone(), partitions: nearest });
        }
    }
    Ok(())
}

/// Columns that were asked for by name must stand in some file.
fn check_columns(state: &TableState, wanted: &Options) -> Result<(), Error> {
    let formats = state.files().formats()?;
    if formats.is_empty() {
        return Ok(());
    }
    for (option, names) in [("sort", &wanted.sort), ("bloom_filter", &wanted.bloom_filter)] {
        let has = |name: &str| {
            formats.iter().any(|(format, options)| {
                let format = LogFormat::parse(format, options.catalogue());
                format.is_ok_and(|f| f.fields().iter().any(|field| field.column() == name))
            })
        };
        let is_default = option == "sort" && wanted.sort == DEFAULT_SORT;
        if let Some(column) = names.iter().find(|name| !is_default && !has(name)) {
            let formats = formats.iter().map(|(format, _)| format.clone()).collect();
            return Err(Error::NoColumn { option, column: column.clone(), formats });
        }
    }
    Ok(())
}

/// Whether another run has retired files meanwhile that could not be read.
fn are_retired(log: &Mutex<Log>, due: &Due) -> Result<bool, Error> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.refresh()?;
    log.ask(|state| Ok(!are_live(state, due.files.iter().map(|f| f.output.key.as_str()))?))
        .map_err(Error::from)
}

/// Whether the files of these keys are all live.
pub(crate) fn are_live<'a>(
    state: &TableState,
    keys: impl Iterator<Item = &'a str>,
) -> Result<bool, LogError> {
    for key in keys {
        if state.files().get(key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a partition's folder has all parts of one of `wanted`.
pub(crate) fn is_chosen(folder: &str, wanted: &[String]) -> bool {
    let has = |part: &str| {
        folder.split('/').any(|found| match part.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == part,
        })
    };
    wanted.is_empty() || wanted.iter().any(|w| w.split('/').filter(|p| !p.is_empty()).all(has))
}

/// Puts the files of compactions and reconversions in place that an earlier run had left unfinished. Returns how many.
pub(crate) fn finish_open(
    log: &mut Log,
    pointers: Option<&dyn Pointers>,
    grace: Duration,
    stop: &AtomicBool,
) -> Result<u64, Error> {
    let open: Vec<CompactionRecord> = log.state().files().open().cloned().collect();
    Placing { log, pointers, grace, stop }.place(&open.iter().collect::<Vec<_>>())?;
    open.iter().for_each(|record| log.state_mut().close_compaction(record.number));
    Ok(open.len() as u64)
}

/// Commits a compaction, unless another one has retired some of its files meanwhile.
fn commit(log: &Mutex<Log>, draft: CompactionRecord) -> Result<Option<CompactionRecord>, Error> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let put = log.append_compaction(&mut |state| {
        let are_live = are_live(state, draft.retired.iter().map(|f| f.key.as_str()))?;
        let number = state.files().last_compaction() + 1;
        Ok(are_live.then(|| CompactionRecord { number, ..draft.clone() }))
    })?;
    if put.is_none() {
        abandon(&log, &draft)?;
    }
    Ok(put)
}

/// Deletes files that will never be part of the table. Those of the same compaction, which another run committed, are that one's.
fn abandon(log: &Log, draft: &CompactionRecord) -> Result<(), LogError> {
    let files = log.state().files();
    let mut is_theirs = files.open().any(|record| record.id == draft.id);
    for output in &draft.outputs {
        is_theirs |= files.get(&output.key)?.is_some();
    }
    if !is_theirs {
        for output in &draft.outputs {
            delete_if_there(log.out().as_ref(), &aside_key(draft, output))?;
        }
    }
    Ok(())
}

/// Folders of compactions whose files are aside, by partition: for catalogs.
fn aside(out: &dyn Store, records: &[&CompactionRecord]) -> BTreeMap<String, String> {
    let folders = records.iter().flat_map(|record| aside_folders(record));
    folders.map(|(partition, folder)| (partition, format!("{}/", out.url(&folder)))).collect()
}

#[cfg(test)]
mod tests {
    use super::is_chosen;

    #[test]
    fn partitions_are_chosen_by_parts() {
        let folder = "account=1/date=2024-01-15";
        for (wanted, expected) in [
            (&[][..], true),
            (&["date=2024-01-15"], true),
            (&["date=2024-01-*"], true),
            (&["account=1/date=2024-01-15"], true),
            (&["account=2/date=2024-01-15"], false),
            (&["date=2024-01-16", "account=1"], true),
            (&["date=2024-01-1"], false),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(is_chosen(folder, &wanted), expected, "{wanted:?}");
        }
    }
}
