//! Compaction: the files of a partition become few sorted ones, which take their place as [`crate::replace`] describes.

mod commit;
mod compared;
mod duplicates;
mod memory;
mod merge;
mod merger;
mod rewrite;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowquet_format::LogFormat;
use flowquet_plan::{Merging, kept_formats, mergings_due};
use flowquet_store::Store;
use flowquet_table::{Dedup, FileCheck, Log, Options, TableState, check_files, delete_if_there};
use serde::Serialize;

use crate::convert::checkpoint;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::partitions::{check_partitions, folder_of, is_chosen};
use crate::replace::{Late, Placing, Pointers, are_live, finish_open};
use crate::threads::pool;

use commit::{Outcome, commit};
use compared::check_compared;
use memory::Memory;
use merger::Merger;
pub(crate) use rewrite::rewrite_files;

/// What rows are ordered by where nothing is asked for: over the queries of `benches/queries` it reads least.
const DEFAULT_SORT: [&str; 3] = ["srcaddr", "dstaddr", "start"];

/// What the program takes beside the rows that it merges.
const FIXED_BYTES: usize = 32 << 20;

/// The smallest memory budget of a compaction: one file at a time.
pub const COMPACT_MEMORY_MIN: usize = FIXED_BYTES + merge::FILE_MEMORY;

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
    /// Threads.
    pub workers: usize,
    /// Bytes that they may take, at least [`COMPACT_MEMORY_MIN`].
    pub memory: usize,
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
    /// Which rows of a partition are one, of which the first is kept; all are kept without it.
    pub dedup: Option<Dedup>,
    /// Columns that have a bloom filter.
    pub bloom_filter: Vec<String>,
    /// Compression of pages.
    pub compression: String,
    /// Maximum number of rows in a row group.
    pub row_group_rows: u64,
    /// Target size of a file, in bytes.
    pub file_bytes: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// Partitions that were looked at.
    pub partitions: u64,
    /// Partitions that were compacted.
    pub compacted: u64,
    /// Compactions left by an earlier run unfinished.
    pub finished: u64,
    /// Partitions that were left as they are because files of theirs are lost or truncated.
    pub damaged: u64,
    /// Partitions compacted by another run in the meantime.
    pub by_another: u64,
    /// Rows of compacted partitions' merged files.
    pub rows: u64,
    /// Of these, rows that stand in no new file, since the partition has others like them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<LeftOutRows>,
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

/// Duplicates that a compaction left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOutRows {
    /// How many.
    pub rows: u64,
    /// By partition folder, where there were any.
    pub by_partition: BTreeMap<String, u64>,
}

/// A partition, and what is to be merged of it.
struct Due {
    folder: String,
    merging: Merging,
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
    done.duplicates = request.options.dedup.map(|_| LeftOutRows::default());
    if let Some(dedup) = request.options.dedup {
        check_compared(&log, &partitions, &request.partitions, dedup)?;
    }
    let damaged: HashSet<&str> =
        done.check.lost.iter().chain(&done.check.truncated).map(|file| folder_of(&file.key)).collect();
    for (folder, files) in partitions.iter().filter(|(folder, _)| is_chosen(folder, &request.partitions)) {
        done.partitions += 1;
        if damaged.contains(folder.as_str()) {
            done.damaged += 1;
            continue;
        }
        let mergings = mergings_due(files, &wanted).map_err(Error::Options)?;
        due.extend(mergings.into_iter().map(|merging| Due { folder: folder.clone(), merging }));
    }
    let bytes = due.iter().flat_map(|d| &d.merging.files).map(|f| f.output.bytes).sum();
    let objects = due.iter().map(|d| d.merging.files.len() as u64).sum();
    let left_over = log.state().files().open().count() as u64;
    observer.event(&Event::Planned { tasks: due.len() as u64, objects, bytes, left_over });
    if request.dry_run {
        done.finished = left_over;
        for due in due {
            let files = due.merging.files.iter().map(|f| (f.output.rows, f.output.bytes));
            done.count_inputs(&due.folder, files);
        }
        return Ok(done);
    }
    done.finished = finish_open(&mut log, pointers, request.grace, observer, stop)?;
    log.sweep_aside()?;
    // Replaced or given up, and put once more by a slow run after they were deleted.
    for file in done.check.left.drain(..) {
        delete_if_there(log.out().as_ref(), &file.key)?;
    }
    let pool = pool(request.workers, "flowquet");
    let written = kept_formats(log.state().formats().written()).map_err(|e| Error::Options(e.to_string()))?;
    let log = Mutex::new(log);
    let memory = Memory::new(request.memory.saturating_sub(FIXED_BYTES));
    let merger = Merger {
        out: request.out.as_ref(),
        pool: &pool,
        memory: &memory,
        distinct_bytes_max: merge::DISTINCT_BYTES_MAX,
        written: &written,
        observer,
        stop,
    };
    let mut late = Late::default();
    for wave in due.chunks(WAVE) {
        let results =
            in_threads(request.workers, wave, |due| match merger.merge(&due.folder, &due.merging)? {
                Some(draft) => commit(&mut log.lock().unwrap_or_else(PoisonError::into_inner), draft),
                None => Ok(Outcome::NoGain),
            });
        // What is committed is put in place also where another partition failed.
        let mut error = None;
        let mut committed = Vec::new();
        for (result, due) in results.into_iter().zip(wave) {
            match result {
                Ok(Outcome::Committed(record)) => {
                    done.count_inputs(&due.folder, record.retired.iter().map(|f| (f.rows, f.bytes)));
                    done.count_duplicates(&due.folder, record.left_out());
                    done.files_out += record.outputs.len() as u64;
                    done.bytes_out += record.outputs.iter().map(|o| o.bytes).sum::<u64>();
                    committed.push(*record);
                }
                Ok(Outcome::ByAnother(id)) => {
                    done.by_another += 1;
                    late.add(id);
                }
                Ok(Outcome::NoGain) => {}
                Err(Error::Interrupted) => error = error.or(Some(Error::Interrupted)),
                Err(_) if are_retired(&log, due)? => {
                    done.by_another += 1;
                    late.add(merger.id(&due.merging)?);
                }
                Err(found) => error = error.or(Some(found)),
            }
        }
        late.clear(&log.lock().unwrap_or_else(PoisonError::into_inner))?;
        if !matches!(error, Some(Error::Interrupted)) && !stop.load(Ordering::Relaxed) {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            Placing { log: &log, pointers, grace: request.grace, observer, stop }
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
    late.clear(&log)?;
    if let Some(warning) = checkpoint(&mut log) {
        observer.event(&Event::Warning(&warning));
    }
    Ok(done)
}

/// Calls `work` with each of `items`, in as many threads, and returns what it gave in their order. These threads wait, for memory
/// and for stores; what they compute they hand to a pool.
fn in_threads<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut done = Vec::new();
        while let Some((i, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
        {
            done.push((i, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(one)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Compaction {
    /// Counts rows and bytes of the files of a partition that were merged.
    fn count_inputs(&mut self, folder: &str, files: impl Iterator<Item = (u64, u64)>) {
        // Files that cannot be merged with each other are merged apart.
        if self.folders.last().is_none_or(|last| last != folder) {
            self.compacted += 1;
            self.folders.push(folder.to_owned());
        }
        for (rows, bytes) in files {
            self.files_in += 1;
            self.rows += rows;
            self.bytes_in += bytes;
        }
    }
}

impl Compaction {
    /// Counts rows of a partition that were left out.
    fn count_duplicates(&mut self, folder: &str, rows: u64) {
        if let Some(duplicates) = self.duplicates.as_mut().filter(|_| rows > 0) {
            duplicates.rows += rows;
            *duplicates.by_partition.entry(folder.to_owned()).or_default() += rows;
        }
    }
}

/// The options of new files: what was asked for, and what the table has.
fn wanted_options(state: &TableState, asked: &CompactOptions) -> Options {
    let CompactOptions { sort, dedup, bloom_filter, compression, row_group_rows, file_bytes } = asked.clone();
    let contract = state.contract();
    Options {
        partition_by: contract.partition_by.clone(),
        partition_time: contract.partition_time,
        types: contract.types,
        add: state.formats().added(),
        enrich: state.formats().enrichments(),
        dedup,
        sort: sort.unwrap_or_else(|| DEFAULT_SORT.map(str::to_owned).to_vec()),
        bloom_filter,
        compression,
        row_group_rows,
        file_bytes,
        ..Options::default()
    }
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
                format.is_ok_and(|f| f.columns(options.types).iter().any(|column| column.name == name))
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
    log.ask(|state| Ok(!are_live(state, due.merging.files.iter().map(|f| f.output.key.as_str()))?))
        .map_err(Error::from)
}

#[cfg(test)]
mod tests;
