//! Whether tasks can be converted again: whether the raw logs are there that they came from.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use flowquet_sources::SourceSet;
use flowquet_store::ErrorKind;
use flowquet_table::{Log, SourceObject, TaskId};

use super::choice::Chosen;
use super::scope::Scope;
use crate::error::Error;
use crate::take::LOOKS_AHEAD;

/// Those of some tasks of whose raw logs one cannot be read any more.
///
/// # Errors
/// As stores report, where nobody can tell.
pub(crate) fn gone_tasks(
    log: &Log,
    tasks: &BTreeSet<TaskId>,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<HashSet<TaskId>, Error> {
    let tasks: BTreeMap<_, _> = tasks.iter().map(|task| (*task, HashSet::new())).collect();
    let chosen = Chosen { tasks, failed: Vec::new() };
    let scope = Scope::new(log, chosen)?;
    let objects: Vec<(TaskId, &SourceObject)> =
        scope.superseded.iter().flat_map(|t| t.objects.iter().map(|(o, _)| (t.id, o))).collect();
    let each = objects.len().div_ceil(LOOKS_AHEAD).max(1);
    let (gone, failed) = (Mutex::new(HashSet::new()), Mutex::new(None));
    std::thread::scope(|threads| {
        for some in objects.chunks(each) {
            let (gone, failed) = (&gone, &failed);
            threads.spawn(move || {
                for (task, object) in some.iter().take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let Err(error) = sources.current(object) else { continue };
                    if is_gone(error.kind()) {
                        gone.lock().unwrap_or_else(PoisonError::into_inner).insert(*task);
                    } else {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(()), |error| Err(Error::Store(error)))?;
    Ok(gone.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether an object that a store answers so for cannot be read: S3 denies what is not there to whoever may not list the bucket.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Denied
            | ErrorKind::Folder
            | ErrorKind::NoBucket
            | ErrorKind::NotAFile
            | ErrorKind::NotAFolder
            | ErrorKind::NotFound
    )
}
