//! Roll-ups: records of a table, grouped by some of their columns and summed, as a table of its own.
//!
//! A roll-up has the partitions of its source, and each of its partitions is made of the source's files of that partition. Its record
//! names them, so that only partitions whose files have changed are made anew. It changes hands as a compaction does: new files aside,
//! a numbered record that retires the old ones, then the new ones in place.
//!
//! Sums are exact, whatever there is to group: groups are divided by hashes of their values into as many files as their number asks
//! for, each made by a pass over the source that holds the groups of one file alone ([`GROUPS_BYTES_MAX`]). So files depend on
//! the source and the options alone.

mod due;
mod group;
mod layout;
mod read;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_plan::hex;
use flowquet_store::Store;
use flowquet_table::{
    CompactionRecord, FileCheck, LAYOUT_VERSION, LiveFile, Log, OutputRecord, RetiredFile, RolledUp,
    RolledUpFile, Rollup, RollupSums, check_files, delete_if_there, written_by,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::convert::checkpoint;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::replace::{Late, Placing, Pointers, finish_open};
use crate::table_files::{FOOTERS_AT_ONCE, Stop, TableFiles, anew};
use crate::threads::pool;

use due::{Due, Opened, check_table, due};
use group::Groups;
use layout::Layout;
use read::Partition;
use write::Writer;

/// What the groups of one file may take in memory. Decides where files end, so it must not be configurable.
const GROUPS_BYTES_MAX: usize = 192 << 20;

/// What the program takes beside groups and row groups: columns of a file on its way, and itself.
const FIXED_BYTES: usize = 160 << 20;

/// What is left for row groups and their groups while they are counted, at least. One alone may take more, while no file is on its way.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// The smallest memory budget of a roll-up: one row group at a time.
pub const ROLLUP_MEMORY_MIN: usize = FIXED_BYTES + GROUPS_BYTES_MAX + ROW_GROUP_BYTES;

/// Passes over a partition, and so files of one, at most: hundreds of millions of groups.
const PASSES_MAX: u64 = 1 << 10;

/// What is rolled up.
#[derive(Debug)]
pub struct RollupRequest {
    /// The table.
    pub source: Arc<dyn Store>,
    /// The table of the roll-up, which is made if it is not there.
    pub out: Arc<dyn Store>,
    /// A time bucket, `minute`, `5min`, `hour` or `day`, and columns.
    pub by: Vec<String>,
    /// Which partitions, as [`crate::CompactRequest::partitions`].
    pub partitions: Vec<String>,
    /// Threads.
    pub workers: usize,
    /// Bytes that they may take, at least [`ROLLUP_MEMORY_MIN`].
    pub memory: usize,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
    /// How long readers that began before a change are given, where a catalog is pointed elsewhere.
    pub grace: Duration,
}

/// What a roll-up did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RolledUpTable {
    /// Partitions of the source that were looked at.
    pub partitions: u64,
    /// Partitions that were made anew.
    pub rolled_up: u64,
    /// Partitions whose files are those that they were made of.
    pub unchanged: u64,
    /// Partitions that were taken away, since the source has none of these any more.
    pub removed: u64,
    /// Partitions made by another run in the meantime.
    pub by_another: u64,
    /// Partitions left by an earlier run unfinished.
    pub finished: u64,
    /// Records of partitions that were made anew.
    pub records: u64,
    /// Bytes of their files in the source.
    pub bytes_in: u64,
    /// Rows that they came to.
    pub rows: u64,
    /// Files of these.
    pub files_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Folders of the partitions that were made anew or taken away.
    pub folders: Vec<String>,
}

/// Rolls up until done or `stop` is set. `pointers` is the catalog that knows the roll-up, if one does.
///
/// # Errors
/// [`Error`]; what is committed stays, and the next run goes on.
pub fn rollup(
    request: &RollupRequest,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<RolledUpTable, Error> {
    if request.memory < ROLLUP_MEMORY_MIN {
        return Err(Error::MemoryTooSmall { given: request.memory, needed: ROLLUP_MEMORY_MIN });
    }
    if request.dry_run {
        return anew(&request.source, || dry_run(request));
    }
    let (mut done, mut attempts) = (RolledUpTable::default(), Attempts::default());
    anew(&request.source, || Run::new(request, pointers, observer, stop)?.all(&mut done, &mut attempts))?;
    Ok(done)
}

/// What a run would do: nothing is written, and a roll-up that is not there is not made.
fn dry_run(request: &RollupRequest) -> Result<RolledUpTable, Stop> {
    let mut done = RolledUpTable::default();
    let Opened { source, layout, mut log } = Opened::of(request)?;
    let mut check = FileCheck::default();
    if let Some(log) = &mut log {
        check_table(log.state(), &request.source.url(""), &layout.by)?;
        check = check_files(log)?;
        done.finished = log.state().files().open().count() as u64;
    }
    let log = log.as_ref().map(|log| (log, &check));
    for due in due(request, &source, &layout, log, &mut done)? {
        done.removed += u64::from(due.files.is_empty());
        done.rolled_up += u64::from(!due.files.is_empty());
        done.records += due.rows();
        done.bytes_in += due.bytes();
        done.folders.push(due.folder);
    }
    Ok(done)
}

/// One attempt, with the source as it is now.
struct Run<'a> {
    request: &'a RollupRequest,
    pointers: Option<&'a dyn Pointers>,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
    source: Log,
    layout: Layout,
    log: Log,
    /// The last of its compactions that is known to be of such a roll-up.
    checked: u64,
}

impl<'a> Run<'a> {
    fn new(
        request: &'a RollupRequest,
        pointers: Option<&'a dyn Pointers>,
        observer: &'a dyn Observer,
        stop: &'a AtomicBool,
    ) -> Result<Self, Error> {
        let mut opened = Opened::of(request)?;
        if opened.log.is_none() {
            let single_writer = !request.out.honours_conditions()?;
            Log::make(&request.out, &opened.layout.contract_options(), single_writer)?;
            opened = Opened::of(request)?;
        }
        let Opened { source, layout, log } = opened;
        let log = log.expect("it is there or was made");
        Ok(Self { request, pointers, observer, stop, source, layout, log, checked: 0 })
    }

    fn all(&mut self, done: &mut RolledUpTable, attempts: &mut Attempts) -> Result<(), Stop> {
        let state = self.log.state();
        check_table(state, &self.request.source.url(""), &self.layout.by)?;
        self.checked = state.files().last_compaction();
        let check = check_files(&mut self.log)?;
        let due = due(self.request, &self.source, &self.layout, Some((&self.log, &check)), done)?;
        done.finished +=
            finish_open(&mut self.log, self.pointers, self.request.grace, self.observer, self.stop)?;
        self.log.sweep_aside()?;
        for file in &check.left {
            delete_if_there(self.request.out.as_ref(), &file.key)?;
        }
        self.observer.event(&Event::Planned {
            tasks: due.len() as u64,
            objects: due.iter().map(|due| due.files.len() as u64).sum(),
            bytes: due.iter().map(Due::bytes).sum(),
            left_over: 0,
        });
        for due in due {
            let (bytes, records, objects) = (due.bytes(), due.rows(), due.files.len() as u64);
            self.partition(due, done, attempts)?;
            self.observer.event(&Event::Progress { bytes, records, objects });
        }
        self.log.refresh()?;
        attempts.clear(&mut self.log)?;
        if let Some(warning) = checkpoint(&mut self.log) {
            self.observer.event(&Event::Warning(&warning));
        }
        Ok(())
    }

    /// Makes a partition anew.
    fn partition(
        &mut self,
        Due { folder, files, old, of }: Due,
        done: &mut RolledUpTable,
        attempts: &mut Attempts,
    ) -> Result<(), Stop> {
        let (folder, files) = (folder.as_str(), files.as_slice());
        let retired: Vec<RetiredFile> = old.iter().map(|f| RetiredFile::of(&f.output)).collect();
        let source = self.request.source.url("");
        let id = id_of(&of, folder, &retired);
        // Where a file of the source goes away meanwhile, this one's are made of others.
        attempts.begin(&id, folder, &retired);
        let rolled_up =
            RolledUp { source: source.clone(), by: self.layout.by.clone(), of, sums: RollupSums::default() };
        let of = rolled_up.of.clone();
        let (outputs, sums) = self.files(folder, files, &id, &rolled_up)?;
        let file = |f: &LiveFile| RolledUpFile {
            key: f.output.key.clone(),
            rows: f.output.rows,
            bytes: f.output.bytes,
        };
        let draft = CompactionRecord {
            layout_version: LAYOUT_VERSION,
            written_by: written_by(),
            number: 0,
            id,
            partition: folder.to_owned(),
            options: self.layout.options.clone(),
            formats: Vec::new(),
            retired,
            outputs,
            reconversion: None,
            rollup: Some(Rollup { source, files: files.iter().map(file).collect(), sums }),
            loss: None,
            regained: Vec::new(),
        };
        check_sums(folder, files, &draft)?;
        let (source, by) = (self.request.source.url(""), self.layout.by.as_str());
        let (mut checked, mut refused) = (self.checked, None);
        let put = self.log.append_compaction(&mut |state| {
            // What others have put meanwhile may be of other columns.
            if state.files().last_compaction() != checked {
                refused = check_table(state, &source, by).err();
                checked = state.files().last_compaction();
            }
            let live = state.files().of_partition(folder)?;
            let is_same = live.iter().map(|f| &f.output.key).eq(old.iter().map(|f| &f.output.key));
            let number = state.files().last_compaction() + 1;
            Ok((is_same && refused.is_none()).then(|| CompactionRecord { number, ..draft.clone() }))
        })?;
        let Some(record) = put else {
            if refused.is_some() {
                attempts.give_up(&draft.id);
            }
            attempts.clear(&mut self.log)?;
            if let Some(refused) = refused {
                return Err(refused.into());
            }
            if !self.is_made_of(folder, &of, files.is_empty())? {
                return Err(Stop::Replaced { url: self.request.out.url(folder) });
            }
            done.by_another += 1;
            return Ok(());
        };
        attempts.end(&record.id);
        Placing {
            log: &self.log,
            pointers: self.pointers,
            grace: self.request.grace,
            observer: self.observer,
            stop: self.stop,
        }
        .place(&[&record])?;
        self.checked = record.number;
        self.log.state_mut().close_compaction(record.number);
        done.folders.push(folder.to_owned());
        if files.is_empty() {
            done.removed += 1;
            return Ok(());
        }
        done.rolled_up += 1;
        done.records += sums.flows;
        done.bytes_in += files.iter().map(|f| f.output.bytes).sum::<u64>();
        done.rows += record.outputs.iter().map(|o| o.rows).sum::<u64>();
        done.files_out += record.outputs.len() as u64;
        done.bytes_out += record.outputs.iter().map(|o| o.bytes).sum::<u64>();
        Ok(())
    }

    /// Whether a partition is now what this run would have made of it: another run did, and no compaction of what it was before.
    fn is_made_of(&mut self, folder: &str, of: &str, is_removed: bool) -> Result<bool, Error> {
        let is_made = self.log.ask(|state| {
            let live = state.files().of_partition(folder)?;
            let is_of = |file: &&LiveFile| file.output.rollup.as_ref().is_some_and(|rollup| rollup.of == of);
            Ok(live.is_empty() == is_removed && live.iter().all(is_of))
        })?;
        Ok(is_made)
    }

    /// Writes the groups of files, aside. Returns the sums over the files' rows.
    fn files(
        &self,
        folder: &str,
        files: &[LiveFile],
        id: &str,
        rolled_up: &RolledUp,
    ) -> Result<(Vec<OutputRecord>, RollupSums), Stop> {
        let workers = self.request.workers.max(1);
        let partition = Partition {
            source: &self.source,
            files: TableFiles { out: self.request.source.as_ref(), stop: self.stop },
            layout: &self.layout,
            pool: &pool(workers, "flowquet"),
            requests: &pool(FOOTERS_AT_ONCE, "flowquet"),
            workers,
            memory: self.request.memory.saturating_sub(FIXED_BYTES + GROUPS_BYTES_MAX),
        };
        let writer = Writer { out: self.request.out.as_ref(), layout: &self.layout, folder, id, rolled_up };
        let mut passes = 1;
        while passes <= PASSES_MAX {
            if let Some(done) = self.passes(passes, files, &partition, &writer)? {
                return Ok(done);
            }
            passes *= 2;
        }
        let why = format!("`{folder}` has more groups than {PASSES_MAX} files hold");
        Err(Error::NotRolledUp(why).into())
    }

    /// Rolls a partition up in this many passes, each of which makes one file; `None` if a pass has more groups than may be held.
    fn passes(
        &self,
        passes: u64,
        files: &[LiveFile],
        partition: &Partition<'_>,
        writer: &Writer<'_>,
    ) -> Result<Option<(Vec<OutputRecord>, RollupSums)>, Stop> {
        let (mut outputs, mut sums) = (Vec::new(), RollupSums::default());
        for pass in 0..passes {
            let mut groups = Groups::new(pass, passes, GROUPS_BYTES_MAX);
            let read = partition.read(files, &mut groups)?;
            if groups.are_too_many() {
                return Ok(None);
            }
            sums = read;
            outputs.extend(writer.write(groups, outputs.len())?);
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted.into());
            }
        }
        Ok(Some((outputs, sums)))
    }
}

/// What was begun and not put into the log.
#[derive(Debug, Default)]
struct Attempts {
    begun: Vec<Attempt>,
    late: Late,
}

#[derive(Debug)]
struct Attempt {
    id: String,
    folder: String,
    /// What it was to take the place of.
    old: Vec<String>,
}

impl Attempts {
    fn begin(&mut self, id: &str, folder: &str, old: &[RetiredFile]) {
        self.end(id);
        let old = old.iter().map(|file| file.key.clone()).collect();
        self.begun.push(Attempt { id: id.to_owned(), folder: folder.to_owned(), old });
    }

    fn end(&mut self, id: &str) {
        self.begun.retain(|attempt| attempt.id != id);
    }

    /// No run may put this into the log any more.
    fn give_up(&mut self, id: &str) {
        self.end(id);
        self.late.add(id.to_owned());
    }

    /// Deletes the files of attempts that came too late: what they were to take the place of is there no more. Before that another run
    /// may be about to put the same record.
    fn clear(&mut self, log: &mut Log) -> Result<(), Stop> {
        for attempt in std::mem::take(&mut self.begun) {
            let live = log.ask(|state| {
                let live = state.files().of_partition(&attempt.folder)?;
                Ok(live.iter().map(|file| &file.output.key).eq(&attempt.old))
            })?;
            if live {
                self.begun.push(attempt);
            } else {
                self.late.add(attempt.id);
            }
        }
        Ok(self.late.clear(log)?)
    }
}

/// Sixteen hexadecimal digits that name what a partition was made of and what it takes the place of.
fn id_of(of: &str, folder: &str, retired: &[RetiredFile]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("rollup\n{of}\n{folder}\n"));
    retired.iter().for_each(|file| hash.update(format!("{}\n", file.key)));
    hex(&hash.finalize()[..8])
}

/// Checks that what was rolled up is what was read: each record, and each packet and byte of them.
fn check_sums(folder: &str, files: &[LiveFile], draft: &CompactionRecord) -> Result<(), Error> {
    let made = RollupSums::sum(draft.outputs.iter().filter_map(|o| o.rollup.as_ref()).map(|r| r.sums));
    let read = draft.rollup.as_ref().map(|rollup| rollup.sums).unwrap_or_default();
    let rows: u64 = files.iter().map(|f| f.output.rows).sum();
    if read.flows == rows && made == read {
        return Ok(());
    }
    Err(Error::Accounting(format!("{rows} rows of `{folder}`, {read:?} read and {made:?} rolled up")))
}
