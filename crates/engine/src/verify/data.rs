//! The levels of footers and data: many files at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use flowquet_store::{Error as StoreError, ErrorKind};
use flowquet_table::{Digest, LiveFile, Log, TableState};
use rayon::prelude::*;

use super::file::{FileCheck, FileOutcome};
use super::finding::{Fault, Finding, Level};
use super::report::{DataLevel, FooterLevel, Verified};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::threads::pool;

/// Requests for footers that are on their way at once, beside what threads compute.
const FOOTERS_AT_ONCE: usize = 16;

/// What files that were read whole hold.
#[derive(Debug, Default)]
pub(super) struct Proven {
    /// Keys of those that hold the rows that were converted.
    pub(super) files: BTreeSet<String>,
    /// Digests of all rows that were read, by partition.
    pub(super) partitions: BTreeMap<String, Digest>,
    /// Files whose rows these are.
    pub(super) read: u64,
}

/// Files to be looked at, and who hears of it.
pub(super) struct Files<'a> {
    pub(super) log: &'a Mutex<Log>,
    pub(super) workers: usize,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
}

impl Files<'_> {
    /// Reads the footers of files. Keys of those that are wrong are taken out of `right`.
    pub(super) fn footers(
        &self,
        files: &[LiveFile],
        right: &mut BTreeSet<String>,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let chosen: Vec<&LiveFile> = files.iter().filter(|f| right.contains(&f.output.key)).collect();
        let outcomes = self.run(&chosen, Level::Footers, FOOTERS_AT_ONCE.max(self.workers))?;
        let mut level = FooterLevel::default();
        for (file, outcome) in chosen.iter().zip(outcomes) {
            let Some(outcome) = outcome else { continue };
            level.files += 1;
            level.rows += outcome.rows;
            take(file, outcome, right, verified);
        }
        verified.footers = Some(level);
        Ok(())
    }

    /// Reads files whole.
    pub(super) fn data(
        &self,
        files: &[&LiveFile],
        of: u64,
        right: &mut BTreeSet<String>,
        verified: &mut Verified,
    ) -> Result<Proven, Error> {
        self.observer.event(&Event::Planned {
            tasks: 1,
            objects: files.len() as u64,
            bytes: files.iter().map(|f| f.output.bytes).sum(),
            left_over: 0,
        });
        let outcomes = self.run(files, Level::Data, self.workers)?;
        let mut level = DataLevel { of, ..DataLevel::default() };
        let mut proven = Proven::default();
        for (file, outcome) in files.iter().zip(outcomes) {
            let Some(outcome) = outcome else { continue };
            level.files += 1;
            level.rows += outcome.rows;
            level.bytes += outcome.bytes;
            level.without_digest += u64::from(file.output.digest.is_none());
            if let Some(digest) = outcome.digest {
                let sum = proven.partitions.entry(file.output.partition.to_string()).or_default();
                *sum = sum.with(digest);
                proven.read += 1;
            }
            let is_compared = outcome.digest.is_some() && outcome.digest == file.output.digest;
            if take(file, outcome, right, verified) && is_compared {
                proven.files.insert(file.output.key.clone());
            }
        }
        verified.data = Some(level);
        Ok(proven)
    }

    /// Looks at files, so many at once; `None` for one that is no part of the table any more.
    fn run(
        &self,
        files: &[&LiveFile],
        level: Level,
        threads: usize,
    ) -> Result<Vec<Option<FileOutcome>>, Error> {
        let pool = pool(threads.min(files.len()), "flowquet-verify");
        let failed = AtomicBool::new(false);
        let is_stopped = || self.stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        let of = |file: &&LiveFile| {
            if is_stopped() {
                return Err(Error::Interrupted);
            }
            let outcome = self.one(file, level, &is_stopped);
            if outcome.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            if level == Level::Data {
                let records = outcome.as_ref().ok().and_then(|o| o.as_ref()).map_or(0, |o| o.rows);
                self.observer.event(&Event::Progress { bytes: file.output.bytes, records, objects: 1 });
            }
            outcome
        };
        let outcomes: Vec<Result<Option<FileOutcome>, Error>> =
            pool.install(|| files.par_iter().with_max_len(1).map(of).collect());
        let mut done = Vec::with_capacity(outcomes.len());
        let mut interrupted = None;
        for outcome in outcomes {
            match outcome {
                Ok(outcome) => done.push(outcome),
                // Those that were waiting when another failed.
                Err(Error::Interrupted) => interrupted = Some(Error::Interrupted),
                Err(error) => return Err(error),
            }
        }
        interrupted.map_or(Ok(done), Err)
    }

    fn one(
        &self,
        file: &LiveFile,
        level: Level,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<FileOutcome>, Error> {
        let (out, mut places) = {
            let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            (log.out().clone(), log.state().files().places(file))
        };
        let check = |key: &str| FileCheck { out: out.as_ref(), file, key, level, is_stopped }.run();
        let mut looked_again = false;
        loop {
            let error = match places.read(check, StoreError::may_be_missing) {
                Ok(outcome) => return Ok(Some(outcome)),
                Err(error) if error.may_be_missing() => error,
                Err(error) => return Err(error.into()),
            };
            // A compaction may have replaced it, or put it in its place, since the listing.
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.refresh()?;
            log.ask(TableState::read_files)?;
            if log.state().files().get(&file.output.key)?.is_none() {
                return Ok(None);
            }
            let now = log.state().files().places(file);
            if now == places && looked_again {
                if error.kind() != ErrorKind::NotFound {
                    return Err(error.into());
                }
                let finding = Finding::new(level, Fault::FileGone, file.output.key.as_str());
                let findings = vec![finding.says(file.output.rows.to_string())];
                return Ok(Some(FileOutcome { findings, ..FileOutcome::default() }));
            }
            places = now;
            looked_again = true;
        }
    }
}

/// Takes what was found of a file. Returns whether it is right.
fn take(
    file: &LiveFile,
    outcome: FileOutcome,
    right: &mut BTreeSet<String>,
    verified: &mut Verified,
) -> bool {
    let is_right = outcome.findings.is_empty();
    if !is_right {
        right.remove(&file.output.key);
    }
    verified.findings.extend(outcome.findings);
    is_right
}
