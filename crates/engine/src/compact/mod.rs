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

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowquet_plan::{
    CompactionRecord, LiveFile, Options, compacted_folder, compacted_key, compaction_key, files_due,
    from_json, kept_formats, to_json,
};
use flowquet_store::{ErrorKind, Store};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Error;
use crate::events::{Event, Observer};
use crate::inventory::{Compactions, Inventory};
use crate::table::{delete_if_there, put_record};

pub use place::Pointers;
pub use write::COMPACT_WORKER_BYTES;

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
    /// Columns by which rows are ordered.
    pub sort: Vec<String>,
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
    let out = request.out.as_ref();
    let inventory = Inventory::read(out)?;
    let wanted = wanted_options(&inventory, &request.options);
    let mut done = Compaction::default();
    let mut due = Vec::new();
    let chosen = inventory.partitions.iter().filter(|(folder, _)| is_chosen(folder, &request.partitions));
    for (folder, files) in chosen {
        done.partitions += 1;
        let files = files_due(files, &wanted);
        if !files.is_empty() {
            due.push(Due { folder: folder.clone(), files });
        }
    }
    let bytes = due.iter().flat_map(|d| &d.files).map(|f| f.output.bytes).sum();
    let objects = due.iter().map(|d| d.files.len() as u64).sum();
    let left_over = inventory.compactions.open.len() as u64;
    observer.event(&Event::Planned { tasks: due.len() as u64, objects, bytes, left_over });
    if request.dry_run {
        done.finished = left_over;
        for due in due {
            done.count_inputs(&due);
        }
        return Ok(done);
    }
    let placing = place::Placing { out, pointers, grace: request.grace, stop };
    let open: Vec<&CompactionRecord> = inventory.compactions.open_records().collect();
    placing.place(&open)?;
    done.finished = open.len() as u64;
    placing.sweep(&inventory.compactions.retired())?;
    let written = kept_formats(&inventory.written)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(request.workers)
        .thread_name(|i| format!("flowquet-{i}"))
        .build()
        .expect("threads can be made");
    let committer = Committer {
        out,
        single_writer: inventory.contract.single_writer,
        seen: Mutex::new(Seen { last: inventory.compactions.last(), retired: HashMap::new() }),
    };
    for wave in due.chunks(WAVE) {
        let write = |due: &Due| -> Result<Option<CompactionRecord>, Error> {
            let partition = write::Partition { folder: &due.folder, files: &due.files, written: &written };
            let draft = write::write(request.out.as_ref(), &partition, &wanted, observer, stop)?;
            committer.commit(draft)
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
                Err(_) if are_retired(out, due)? => done.by_another += 1,
                Err(found) => error = error.or(Some(found)),
            }
        }
        if !matches!(error, Some(Error::Interrupted)) && !stop.load(Ordering::Relaxed) {
            placing.place(&committed.iter().collect::<Vec<_>>())?;
        } else {
            error = error.or(Some(Error::Interrupted));
        }
        if let Some(error) = error {
            return Err(error);
        }
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
fn wanted_options(inventory: &Inventory, asked: &CompactOptions) -> Options {
    let CompactOptions { sort, bloom_filter, compression, row_group_rows, file_bytes } = asked.clone();
    Options {
        partition_by: inventory.contract.partition_by.clone(),
        partition_time: inventory.contract.partition_time.clone(),
        types: inventory.contract.types.clone(),
        columns: None,
        sort,
        bloom_filter,
        compression,
        row_group_rows,
        file_bytes,
        format: None,
        fields: None,
        salvage: false,
    }
}

/// Whether another run has retired files meanwhile that could not be read.
fn are_retired(out: &dyn Store, due: &Due) -> Result<bool, Error> {
    let compactions = Compactions::read(out)?;
    let retired = compactions.retired();
    Ok(due.files.iter().any(|f| retired.contains(f.output.key.as_str())))
}

/// Whether a partition's folder has all parts of one of `wanted`.
fn is_chosen(folder: &str, wanted: &[String]) -> bool {
    let has = |part: &str| {
        folder.split('/').any(|found| match part.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == part,
        })
    };
    wanted.is_empty() || wanted.iter().any(|w| w.split('/').filter(|p| !p.is_empty()).all(has))
}

/// Numbers and puts records.
struct Committer<'a> {
    out: &'a dyn Store,
    single_writer: bool,
    seen: Mutex<Seen>,
}

/// Records of others that were put since the table was read.
struct Seen {
    /// Number of the last one, or of the last before.
    last: u64,
    /// Files that they retire, and the compactions that do.
    retired: HashMap<String, String>,
}

impl Committer<'_> {
    /// Commits a compaction, unless another one has retired some of its files meanwhile.
    fn commit(&self, mut record: CompactionRecord) -> Result<Option<CompactionRecord>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Whichever partition met another's record: all of them are held against it.
            if let Some(theirs) = record.retired.iter().find_map(|file| seen.retired.get(&file.key)) {
                self.abandon(&record, theirs)?;
                return Ok(None);
            }
            record.number = seen.last + 1;
            let key = compaction_key(record.number);
            match put_record(self.out, &key, &to_json(&record), self.single_writer) {
                Ok(()) => {
                    seen.last = record.number;
                    return Ok(Some(record));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let bytes = self.out.get(&key)?;
                    let theirs: CompactionRecord =
                        from_json(&bytes).map_err(|e| Error::Record(self.out.url(&key), e))?;
                    seen.last = theirs.number;
                    seen.retired.extend(theirs.retired.into_iter().map(|file| (file.key, theirs.id.clone())));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Deletes files that will never be part of the table; those of the same compaction are the other's too.
    fn abandon(&self, record: &CompactionRecord, theirs: &str) -> Result<(), Error> {
        if record.id != theirs {
            for output in &record.outputs {
                delete_if_there(self.out, &compacted_key(&record.id, &output.key))?;
            }
        }
        Ok(())
    }
}

/// Folders of compactions whose files are aside, by partition: for catalogs.
fn aside(out: &dyn Store, records: &[&CompactionRecord]) -> BTreeMap<String, String> {
    let url =
        |r: &&CompactionRecord| (r.partition.clone(), format!("{}/", out.url(&compacted_folder(&r.id))));
    records.iter().map(url).collect()
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
