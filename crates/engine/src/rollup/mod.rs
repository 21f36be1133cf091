//! Roll-ups: records of a table, grouped by some of their columns and summed, as a table of its own.
//!
//! A roll-up has the partitions of its source, and each of its partitions is made of the source's files of that partition. Its record
//! names them, so that only partitions whose files have changed are made anew. It changes hands as a compaction does: new files aside,
//! a numbered record that retires the old ones, then the new ones in place.
//!
//! Sums are exact, whatever there is to group: groups are divided by hashes of their values into as many files as their number asks
//! for, each made by a pass over the source that holds the groups of one file alone ([`GROUPS_BYTES_MAX`]). So files depend on
//! the source and the options alone.

mod group;
mod layout;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_plan::hex;
use flowquet_store::{ErrorKind, Store};
use flowquet_table::{
    CompactionRecord, LAYOUT_VERSION, LiveFile, Log, OutputRecord, RetiredFile, RolledUp, RolledUpFile,
    Rollup, RollupSums, TableState, aside_key, check_files, delete_if_there, written_by,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::compact::{Placing, Pointers, check_partitions, finish_open, folder_of, is_chosen};
use crate::convert::checkpoint;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::table_files::{FOOTERS_AT_ONCE, Stop, TableFiles, anew};
use crate::threads::pool;

use group::Groups;
use layout::Layout;
use read::Partition;
use write::Writer;

/// What the groups of one file may take in memory. Decides where files end, so it is no option.
const GROUPS_BYTES_MAX: usize = 192 << 20;

/// What the program takes beside groups and row groups: columns of a file on its way, and itself.
const FIXED_BYTES: usize = 160 << 20;

/// What a row group and its groups take while they are counted.
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
    /// Partitions that another run made meanwhile.
    pub by_another: u64,
    /// Partitions that an earlier run had left unfinished.
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
    let mut done = RolledUpTable::default();
    anew(|| Run::new(request, pointers, observer, stop)?.all(&mut done))?;
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
        let (url, out) = (request.source.url(""), request.out.url(""));
        if url == out {
            return Err(Error::SourceIsTable { url });
        }
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        if is_within(&url, &out) || is_within(&out, &url) {
            return Err(Error::NotRolledUp(format!("one of `{url}` and `{out}` lies within the other")));
        }
        let source = Log::open_with_files(&request.source)?;
        let layout = Layout::of(source.state(), &request.by)?;
        let mut log = match Log::find_contract(request.out.as_ref())? {
            Some(contract) => {
                let differences = contract.differences(&layout.contract_options());
                if !differences.is_empty() {
                    return Err(Error::Log(flowquet_table::Error::Contract(differences)));
                }
                Log::of(&request.out, contract)?
            }
            None => {
                let single_writer = !request.out.honours_conditions()?;
                Log::make(&request.out, &layout.contract_options(), single_writer)?
            }
        };
        log.ask(|state| state.read_files())?;
        Ok(Self { request, pointers, observer, stop, source, layout, log, checked: 0 })
    }

    fn all(&mut self, done: &mut RolledUpTable) -> Result<(), Stop> {
        let state = self.log.state();
        check_table(state, &self.request.source.url(""), &self.layout.by)?;
        self.checked = state.files().last_compaction();
        let sources = self.source.state().files().partitions()?;
        let made = self.log.state().files().partitions()?;
        let known: BTreeMap<String, ()> =
            sources.keys().chain(made.keys()).map(|f| (f.clone(), ())).collect();
        check_partitions(&known, &self.request.partitions)?;
        let check = check_files(&mut self.log)?;
        let damaged: BTreeSet<&str> =
            check.lost.iter().chain(&check.truncated).map(|f| folder_of(&f.key)).collect();
        done.finished +=
            finish_open(&mut self.log, self.pointers, self.request.grace, self.observer, self.stop)?;
        self.log.sweep_aside()?;
        for file in &check.left {
            delete_if_there(self.request.out.as_ref(), &file.key)?;
        }
        let chosen: BTreeSet<&String> =
            known.keys().filter(|folder| is_chosen(folder, &self.request.partitions)).collect();
        let none = Vec::new();
        let mut due = Vec::new();
        (done.partitions, done.unchanged) = (0, 0);
        for folder in chosen {
            let files = sources.get(folder).unwrap_or(&none);
            done.partitions += u64::from(!files.is_empty());
            let of = self.layout.digest(self.request.source.url("").as_str(), files);
            let old = made.get(folder).unwrap_or(&none);
            let is_made_of = |file: &LiveFile| file.output.rollup.as_ref().is_some_and(|r| r.of == of);
            if !old.is_empty() && old.iter().all(is_made_of) && !damaged.contains(folder.as_str()) {
                // Some of them may have been made by this run, before it looked anew.
                done.unchanged += u64::from(!done.folders.contains(folder));
            } else if !old.is_empty() || !files.is_empty() {
                due.push((folder, files, old, of));
            }
        }
        let bytes = |files: &[LiveFile]| files.iter().map(|f| f.output.bytes).sum::<u64>();
        self.observer.event(&Event::Planned {
            tasks: due.len() as u64,
            objects: due.iter().map(|(_, files, ..)| files.len() as u64).sum(),
            bytes: due.iter().map(|(_, files, ..)| bytes(files)).sum(),
            left_over: 0,
        });
        for (folder, files, old, of) in due {
            self.partition(folder, files, old, of, done)?;
            self.observer.event(&Event::Progress {
                bytes: bytes(files),
                records: files.iter().map(|f| f.output.rows).sum(),
                objects: files.len() as u64,
            });
        }
        self.log.refresh()?;
        if let Some(warning) = checkpoint(&mut self.log) {
            self.observer.event(&Event::Warning(&warning));
        }
        Ok(())
    }

    /// Makes a partition anew.
    fn partition(
        &mut self,
        folder: &str,
        files: &[LiveFile],
        old: &[LiveFile],
        of: String,
        done: &mut RolledUpTable,
    ) -> Result<(), Stop> {
        let retired: Vec<RetiredFile> = old.iter().map(|f| RetiredFile::of(&f.output)).collect();
        let source = self.request.source.url("");
        let id = id_of(&of, folder, &retired);
        let rolled_up =
            RolledUp { source: source.clone(), by: self.layout.by.clone(), of, sums: RollupSums::default() };
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
        if let Some(refused) = refused {
            self.abandon(&draft)?;
            return Err(refused.into());
        }
        let Some(record) = put else {
            done.by_another += 1;
            return self.abandon(&draft);
        };
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

    /// Writes the groups of files, aside. Returns the sums over the files' rows.
    fn files(
        &self,
        folder: &str,
        files: &[LiveFile],
        id: &str,
        rolled_up: &RolledUp,
    ) -> Result<(Vec<OutputRecord>, RollupSums), Stop> {
        let room = self.request.memory.saturating_sub(FIXED_BYTES + GROUPS_BYTES_MAX) / ROW_GROUP_BYTES;
        let threads = self.request.workers.min(room).max(1);
        let partition = Partition {
            source: &self.source,
            files: TableFiles { out: self.request.source.as_ref(), stop: self.stop },
            layout: &self.layout,
            pool: &pool(threads, "flowquet"),
            requests: &pool(FOOTERS_AT_ONCE, "flowquet"),
            threads,
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

    /// The same in so many passes, each for one file; none where one has more groups than may be held.
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
            sums = read.sums()?;
            outputs.extend(writer.write(groups, outputs.len())?);
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted.into());
            }
        }
        Ok(Some((outputs, sums)))
    }

    /// Deletes files that will never be part of the table, unless they are another run's, which made the same.
    fn abandon(&self, draft: &CompactionRecord) -> Result<(), Stop> {
        let files = self.log.state().files();
        let mut is_theirs = files.open().any(|record| record.id == draft.id);
        for output in &draft.outputs {
            is_theirs |= files.get(&output.key)?.is_some();
        }
        for output in draft.outputs.iter().filter(|_| !is_theirs) {
            match self.request.out.delete(&aside_key(draft, output)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::from(error).into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A table that holds anything else than a roll-up of `source` by `by` is left alone.
fn check_table(state: &TableState, source: &str, by: &str) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::NotRolledUp(why));
    if state.last_plan() > 0 {
        return refuse("the table has converted records of its own".to_owned());
    }
    for file in state.files().all()? {
        match &file.output.rollup {
            None => return refuse(format!("`{}` is no file of a roll-up", file.output.key)),
            Some(rollup) if rollup.source != source => {
                return refuse(format!("the table is a roll-up of `{}`", rollup.source));
            }
            Some(rollup) if rollup.by != by => {
                return refuse(format!("the table is a roll-up by {}", rollup.by));
            }
            Some(_) => {}
        }
    }
    Ok(())
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
