//! Whether tasks can be converted again: whether the raw logs are there that they came from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use flowquet_sources::SourceSet;
use flowquet_table::{LiveFile, Log, SourceObject, TaskId};

use super::choice::Chosen;
use super::scope::{Scope, is_gone, reach};
use crate::error::Error;
use crate::take::LOOKS_AHEAD;

/// Of all tasks those that cannot be converted again since a raw log is gone that some of these came from, or that would have to be read
/// with theirs.
///
/// # Errors
/// As stores report, where nobody can tell.
pub(crate) fn tasks_beyond(
    log: &Log,
    tasks: &BTreeSet<TaskId>,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<HashSet<TaskId>, Error> {
    let tasks: BTreeMap<_, _> = tasks.iter().map(|task| (*task, HashSet::new())).collect();
    let chosen = Chosen { tasks, failed: Vec::new() };
    let scope = Scope::new(log, chosen)?;
    let of_tasks = scope.superseded.iter().flat_map(|t| t.objects.iter().map(|(o, _)| (t.id, o)));
    let of_neighbours = scope.neighbours.iter().flat_map(|n| n.objects.iter().map(|o| (n.id, o)));
    let objects: Vec<(TaskId, &SourceObject)> = of_tasks.chain(of_neighbours).collect();
    let each = objects.len().div_ceil(LOOKS_AHEAD).max(1);
    let (gone, failed) = (Mutex::new(BTreeSet::new()), Mutex::new(None));
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
    blocked_tasks(log, &gone.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Tasks that cannot be converted again where raw logs of some are gone or differ: these, and those whose rows stand in files with theirs,
/// which are written anew together. What is lost of them in a partition stays lost there, and is in nobody's way.
///
/// # Errors
/// As the store reports; see [`flowquet_table::Error::Checkpoint`].
pub(crate) fn blocked_tasks(log: &Log, tasks: &BTreeSet<TaskId>) -> Result<HashSet<TaskId>, Error> {
    let files = log.state().files();
    let live = files.all()?;
    let mut partitions: HashMap<&str, HashSet<TaskId>> = HashMap::new();
    for file in &live {
        let of_file = file.tasks.iter().filter(|task| tasks.contains(*task));
        partitions.entry(&file.output.partition).or_default().extend(of_file);
    }
    let mut blocked: HashSet<TaskId> = tasks.iter().copied().collect();
    let mut by_partition: HashMap<&str, Vec<&LiveFile>> = HashMap::new();
    for file in live.iter().copied().chain(files.lost().map(|lost| &lost.file)) {
        by_partition.entry(&file.output.partition).or_default().push(file);
    }
    for (partition, begin) in partitions.iter().filter(|(_, begin)| !begin.is_empty()) {
        let (_, others) = reach(by_partition[partition].iter().copied(), begin);
        blocked.extend(others.into_keys());
    }
    Ok(blocked)
}
