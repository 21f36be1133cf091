//! Repair: objects whose rows stood in files that are lost or wrong are converted anew.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use flowquet_table::{Log, TableState};
use serde::Serialize;

use super::finding::Finding;
use super::report::Verified;
use crate::error::Error;
use crate::events::Observer;
use crate::reconvert::{ReconvertRequest, Reconverted, blocked_tasks, reconvert};
use crate::replace::Pointers;

/// How often a reconversion is tried that other runs got ahead of.
const ATTEMPTS_MAX: u32 = 5;

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Files that were replaced because of what was found.
    pub files: Vec<String>,
    /// What was converted anew.
    pub reconverted: Reconverted,
}

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Repair {
    /// What was rebuilt, if anything was.
    pub repaired: Option<Repaired>,
    /// Files that cannot be rebuilt: raw logs are gone, or are not what they were. These are as they were.
    pub beyond: BTreeSet<String>,
    /// Why these or others were not rebuilt: [`Error::NotRebuilt`]; [`Error::RecordsDiffer`] where raw logs can be read and give other records
    /// than they gave.
    pub error: Option<Error>,
}

/// Converts anew what stood in the files that `verified` found lost or wrong. `request` says how; its choice is set here. Nothing is
/// done where nothing can be mended so.
///
/// A file is replaced in the way of a reconversion: its record is put once all that is to take its place has been written from the raw
/// logs, so that the table has the right rows at every moment from then on. Files whose raw logs are gone or differ stay as they are, and
/// keep no others from being rebuilt.
///
/// # Errors
/// As [`reconvert`], where raw logs are not the reason; then the table is as it was.
pub fn repair(
    mut request: ReconvertRequest,
    verified: &Verified,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Repair, Error> {
    let is_of_rows = |f: &&Finding| f.fault.is_mendable() && !f.fault.is_of_rejects();
    let mut files: BTreeSet<String> =
        verified.findings.iter().filter(is_of_rows).map(|f| f.place.clone()).collect();
    let of = files.len() as u64;
    let (mut done, mut why, mut differing, mut attempts) = (Repair::default(), None, None, 1);
    while !files.is_empty() {
        request.choice.files = Some(files.clone());
        let error = match reconvert(&request, pointers, observer, stop) {
            Ok(reconverted) => {
                done.repaired = Some(Repaired { files: files.into_iter().collect(), reconverted });
                break;
            }
            Err(error) => error,
        };
        let (tasks, differs) = match (&error, error.raw_logs()) {
            (_, Some(found)) => found,
            // Another run got ahead, or a raw log changed while it was read.
            (Error::NotReconverted(_), None) if attempts < ATTEMPTS_MAX => {
                attempts += 1;
                continue;
            }
            // It has replaced all of them.
            (Error::NothingChosen, None) if attempts > 1 => break,
            _ => return Err(error),
        };
        let mut log = Log::open(&request.out)?;
        log.ask(TableState::read_all)?;
        let blocked = blocked_tasks(&log, tasks)?;
        let mut beyond = BTreeSet::new();
        for key in &files {
            let file = log.state().files().get(key)?;
            if file.is_some_and(|file| file.tasks.iter().any(|task| blocked.contains(task))) {
                beyond.insert(key.clone());
            }
        }
        if beyond.is_empty() {
            return Err(error);
        }
        files.retain(|key| !beyond.contains(key));
        if matches!(error, Error::RecordsDiffer { .. }) {
            // The records that are still there would be lost with the others.
            differing.get_or_insert(error);
        } else {
            done.beyond.extend(beyond);
            why.get_or_insert(differs);
        }
    }
    let files = done.beyond.len() as u64;
    done.error = differing.or_else(|| why.map(|why| Error::NotRebuilt { files, of, why }));
    Ok(done)
}
