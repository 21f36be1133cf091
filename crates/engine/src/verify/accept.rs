//! Losses: files that are lost or damaged, and cannot be made anew, are no part of the table any more where somebody accepts that; and
//! are again once they are found.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_sources::SourceSet;
use flowquet_store::{ErrorKind, Store, Stores};
use flowquet_table::{
    CompactionRecord, LAYOUT_VERSION_OF_LOSSES, LiveFile, Log, Loss, Options, RetiredFile, TableState,
    TaskId, delete_if_there, written_by,
};
use serde::Serialize;

use super::file::FileCheck;
use super::finding::{Fault, Finding, Level};
use super::report::Verified;
use crate::convert::checkpoint;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::reconvert::{digest_of, tasks_beyond};
use crate::replace::{Placing, Pointers, are_live, finish_open};

/// Where losses are accepted, or taken back.
#[derive(Debug)]
pub struct LossRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Stores of the raw logs.
    pub stores: Arc<Stores>,
    /// How long readers that began before a change are given, where a catalog is pointed elsewhere.
    pub grace: Duration,
}

/// What came of accepting losses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AcceptedLosses {
    /// Files that are no part of the table any more.
    pub files: Vec<String>,
    /// Records that they held.
    pub records: u64,
    /// Files of rejected lines that the table does without from now on.
    pub reject_files: Vec<String>,
    /// The lines that they held.
    pub rejects: u64,
    /// Files that are still part of the table: all raw logs are there that their lines came from.
    pub rebuildable: Vec<String>,
}

impl AcceptedLosses {
    /// Whether anything was accepted.
    pub fn is_any(&self) -> bool {
        !self.files.is_empty() || !self.reject_files.is_empty()
    }

    /// Whether the loss of this file was accepted.
    pub fn has(&self, key: &String) -> bool {
        self.files.contains(key) || self.reject_files.contains(key)
    }

    /// Adds what came of accepting more.
    pub fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.records += other.records;
        self.reject_files.extend(other.reject_files);
        self.rejects += other.rejects;
        self.rebuildable = other.rebuildable;
    }
}

/// What came of looking at files that are there again though their loss was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regained {
    /// Files that are part of the table again.
    pub files: Vec<String>,
    /// Findings about those that do not hold what they held, and stay what they are.
    pub damaged: Vec<Finding>,
}

impl LossRequest {
    /// Takes the files out of the table that `verified` found lost or without rows that were written, unless they can be converted
    /// again; or of these files all, where it was tried. Files of rejected lines are done without where they cannot be made anew. Nothing
    /// is done where there are none.
    ///
    /// # Errors
    /// As stores report; then the table has the files that it had.
    pub fn accept(
        &self,
        verified: &Verified,
        loss: &Loss,
        tried: Option<&BTreeSet<String>>,
        pointers: Option<&dyn Pointers>,
        observer: &dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<AcceptedLosses>, Error> {
        let places = |is_asked: &dyn Fn(Fault) -> bool| -> BTreeSet<&str> {
            let is_tried = |f: &&Finding| tried.is_none_or(|tried| tried.contains(&f.place));
            let asked = verified.findings.iter().filter(|f| is_asked(f.fault)).filter(is_tried);
            asked.map(|f| f.place.as_str()).collect()
        };
        let (keys, of_rejects) = (places(&Fault::loses_rows), places(&Fault::is_of_rejects));
        if keys.is_empty() && of_rejects.is_empty() {
            return Ok(None);
        }
        let mut log = self.log(pointers, observer, stop)?;
        let mut damaged = Vec::new();
        for key in keys {
            // A run that was killed had accepted it, and left what is damaged.
            if let Some(lost) = log.state().files().lost_at(key)
                && !self.faults(&lost.file, stop)?.is_empty()
            {
                delete_if_there(self.out.as_ref(), key)?;
            }
            // What was replaced since is nobody's loss, nor what has come back or was put right while the verification went on.
            if let Some(file) = log.state().files().get(key)?
                && self.faults(file, stop)?.into_iter().any(Fault::loses_rows)
            {
                damaged.push(file.clone());
            }
        }
        let mut accepted = AcceptedLosses::default();
        if tried.is_none() {
            let tasks: BTreeSet<TaskId> = damaged.iter().flat_map(|f| f.tasks.iter().copied()).collect();
            let sources = SourceSet::new(self.stores.clone());
            let beyond = tasks_beyond(&log, &tasks, &sources, stop)?;
            // A roll-up has no tasks, and is made anew as a whole.
            let is_lost =
                |file: &LiveFile| file.tasks.is_empty() || file.tasks.iter().any(|t| beyond.contains(t));
            let (lost, there): (Vec<_>, Vec<_>) = damaged.into_iter().partition(is_lost);
            accepted.rebuildable = there.into_iter().map(|file| file.output.key).collect();
            damaged = lost;
            self.accept_rejects(&log, &of_rejects, loss, &mut accepted)?;
        }
        let keys: Vec<String> = damaged.iter().map(|file| file.output.key.clone()).collect();
        let record = CompactionRecord {
            retired: damaged.iter().map(|file| RetiredFile::of(&file.output)).collect(),
            loss: Some(loss.clone()),
            ..record("loss", &keys, damaged.first())
        };
        let are_live = |state: &TableState| are_live(state, keys.iter().map(String::as_str));
        if keys.is_empty() || self.put(&mut log, record, &are_live, pointers, observer, stop)?.is_none() {
            return Ok(Some(accepted));
        }
        // Not by whoever finishes this run's work later: by then the file may be there again as it was.
        keys.iter().try_for_each(|key| delete_if_there(self.out.as_ref(), key))?;
        accepted.records = damaged.iter().map(|file| file.output.rows).sum();
        accepted.files = keys;
        Ok(Some(accepted))
    }

    /// Makes files part of the table again that `verified` found there though their loss was accepted, if they hold what they held, and tells
    /// of those that do not.
    ///
    /// # Errors
    /// As stores report; then the table is as it was.
    pub fn regain(
        &self,
        verified: &Verified,
        observer: &dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Regained, Error> {
        let mut done = Regained::default();
        let is_found = |finding: &&Finding| finding.fault == Fault::FileFoundAgain;
        let found: BTreeSet<&str> =
            verified.findings.iter().filter(is_found).map(|f| f.place.as_str()).collect();
        if found.is_empty() {
            return Ok(done);
        }
        let mut log = self.log(None, observer, stop)?;
        let mut regained: Vec<LiveFile> = Vec::new();
        for key in found {
            let Some(lost) = log.state().files().lost_at(key) else { continue };
            let faults = self.faults(&lost.file, stop)?;
            if faults.is_empty() {
                regained.push(lost.file.clone());
            } else if !faults.contains(&Fault::FileGone) {
                done.damaged.push(Finding::new(Level::Listing, Fault::FileFoundDamaged, key));
            }
        }
        if regained.is_empty() {
            return Ok(done);
        }
        let keys: Vec<String> = regained.iter().map(|file| file.output.key.clone()).collect();
        let record =
            CompactionRecord { regained: keys.clone(), ..record("regained", &keys, regained.first()) };
        let are_lost = |state: &TableState| Ok(keys.iter().all(|key| state.files().lost_at(key).is_some()));
        let put = self.put(&mut log, record, &are_lost, None, observer, stop)?;
        done.files = if put.is_some() { keys } else { Vec::new() };
        Ok(done)
    }

    /// The log, with all that is asked of it in memory, and nothing that is half done.
    pub(super) fn log(
        &self,
        pointers: Option<&dyn Pointers>,
        observer: &dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Log, Error> {
        let mut log = Log::open(&self.out)?;
        finish_open(&mut log, pointers, self.grace, observer, stop)?;
        log.ask(TableState::read_all)?;
        Ok(log)
    }

    /// Puts a record where `is_right` for the state that it comes after, and does what it says.
    fn put(
        &self,
        log: &mut Log,
        record: CompactionRecord,
        is_right: &dyn Fn(&TableState) -> Result<bool, flowquet_table::Error>,
        pointers: Option<&dyn Pointers>,
        observer: &dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<()>, Error> {
        let put = log.append_compaction(&mut |state| {
            let number = state.files().last_compaction() + 1;
            Ok(is_right(state)?.then(|| CompactionRecord { number, ..record.clone() }))
        })?;
        let Some(record) = put else { return Ok(None) };
        Placing { log, pointers, grace: self.grace, observer, stop }.place(&[&record])?;
        log.state_mut().close_compaction(record.number);
        log.refresh()?;
        if let Some(warning) = checkpoint(log) {
            observer.event(&Event::Warning(&warning));
        }
        Ok(Some(()))
    }

    /// What is wrong with a file as it is now, which is read whole; nothing where it holds what its record says.
    fn faults(&self, file: &LiveFile, stop: &AtomicBool) -> Result<Vec<Fault>, Error> {
        match self.out.head(&file.output.key) {
            Ok(meta) if meta.bytes == file.output.bytes => {}
            Ok(_) => return Ok(vec![Fault::FileSize]),
            // S3 tells only who may list the bucket that an object is not there.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {
                return Ok(vec![Fault::FileGone]);
            }
            Err(error) => return Err(error.into()),
        }
        let is_stopped = || stop.load(Ordering::Relaxed);
        let check = FileCheck {
            out: self.out.as_ref(),
            file,
            key: &file.output.key,
            level: Level::Data,
            is_stopped: &is_stopped,
        };
        match check.run() {
            Ok(outcome) => Ok(outcome.findings.iter().map(|f| f.fault).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![Fault::FileGone]),
            Err(error) => Err(error.into()),
        }
    }
}

/// A record about files of these keys, which is yet to say what became of them.
fn record(what: &str, keys: &[String], first: Option<&LiveFile>) -> CompactionRecord {
    let words: Vec<&str> = std::iter::once(what).chain(keys.iter().map(String::as_str)).collect();
    CompactionRecord {
        layout_version: LAYOUT_VERSION_OF_LOSSES,
        written_by: written_by(),
        number: 0,
        id: format!("{:016x}", digest_of(&words)),
        partition: String::new(),
        options: first.map_or_else(Options::default, |file| (*file.options).clone()),
        formats: Vec::new(),
        retired: Vec::new(),
        outputs: Vec::new(),
        reconversion: None,
        rollup: None,
        loss: None,
        regained: Vec::new(),
    }
}

/// Partition folders of files whose loss was accepted: what their raw logs give is more than what is there.
pub(super) fn partitions_with_losses(log: &Log) -> HashSet<String> {
    log.state().files().lost().map(|lost| lost.file.output.partition.to_string()).collect()
}
