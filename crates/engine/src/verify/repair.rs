//! Repair: objects whose rows stood in files that are lost or wrong are converted anew.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use flowquet_table::{Log, TableState};
use serde::Serialize;

use super::finding::{Fault, Finding};
use super::report::Verified;
use crate::compact::rewrite_files;
use crate::error::Error;
use crate::events::Observer;
use crate::reconvert::{ReconvertRequest, Reconverted, blocked_tasks, reconvert};
use crate::replace::Pointers;

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
    /// Files that were written anew of their own rows: raw logs are gone or differ, and only bytes had changed that no value depends on.
    pub rewritten: Vec<String>,
    /// Files that are no part of the table any more, since another run replaced them after they were found.
    pub replaced: BTreeSet<String>,
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
/// keep no others from being rebuilt; where all of their values are right, they are written anew of their own rows.
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
    let found = || verified.findings.iter().filter(is_of_rows);
    let mut files: BTreeSet<String> = found().map(|f| f.place.clone()).collect();
    let mut done = Repair::default();
    // Of which raw logs can be read and give other records.
    let mut differing = BTreeSet::new();
    let (mut why, mut error) = (None, None);
    while !files.is_empty() {
        request.choice.files = Some(files.clone());
        let failed = match reconvert(&request, pointers, observer, stop) {
            Ok(reconverted) => {
                done.repaired = Some(Repaired { files: files.into_iter().collect(), reconverted });
                break;
            }
            Err(failed) => failed,
        };
        let log = read(&request)?;
        let replaced = replaced(&log, &files)?;
        if !replaced.is_empty() {
            files.retain(|key| !replaced.contains(key));
            done.replaced.extend(replaced);
            continue;
        }
        let Some((tasks, differs)) = failed.raw_logs() else { return Err(failed) };
        let blocked = blocked_tasks(&log, tasks)?;
        let mut beyond = BTreeSet::new();
        for key in &files {
            let file = log.state().files().get(key)?;
            if file.is_some_and(|file| file.tasks.iter().any(|task| blocked.contains(task))) {
                beyond.insert(key.clone());
            }
        }
        if beyond.is_empty() {
            return Err(failed);
        }
        files.retain(|key| !beyond.contains(key));
        if matches!(failed, Error::RecordsDiffer { .. }) {
            // The records that are still there would be lost with the others.
            differing.extend(beyond);
            error.get_or_insert(failed);
        } else {
            done.beyond.extend(beyond);
            why.get_or_insert(differs);
        }
    }
    let mut whole: BTreeSet<String> = done.beyond.union(&differing).cloned().collect();
    found().filter(|f| f.fault != Fault::FileBytes).for_each(|f| {
        whole.remove(&f.place);
    });
    if !whole.is_empty() {
        let means = (request.budget.workers, request.budget.memory());
        let log = read(&request)?;
        done.rewritten = rewrite_files(log, &whole, means, request.grace, pointers, observer, stop)?;
        done.beyond.retain(|key| !done.rewritten.contains(key));
        differing.retain(|key| !done.rewritten.contains(key));
    }
    let of = found().map(|f| &f.place).collect::<BTreeSet<_>>().len() as u64;
    let files = done.beyond.len() as u64;
    let not_rebuilt = why.filter(|_| files > 0).map(|why| Error::NotRebuilt { files, of, why });
    done.error = error.filter(|_| !differing.is_empty()).or(not_rebuilt);
    Ok(done)
}

/// The log, with all of it in memory.
fn read(request: &ReconvertRequest) -> Result<Log, Error> {
    let mut log = Log::open(&request.out)?;
    log.ask(TableState::read_all)?;
    Ok(log)
}

/// Those of these files that are no part of the table any more.
fn replaced(log: &Log, keys: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    let files = log.state().files();
    let mut replaced = BTreeSet::new();
    for key in keys {
        if files.get(key)?.is_none() {
            replaced.insert(key.clone());
        }
    }
    Ok(replaced)
}
