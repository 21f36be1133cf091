//! Partitions by their folders, and by the names that choose some of them.

use std::collections::BTreeMap;

use crate::error::Error;

/// The partition folder of a data file.
pub(crate) fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Each part of the command that names partitions must name some.
pub(crate) fn check_partitions<V>(partitions: &BTreeMap<String, V>, wanted: &[String]) -> Result<(), Error> {
    for glob in wanted {
        if !partitions.keys().any(|folder| is_chosen(folder, std::slice::from_ref(glob))) {
            let nearest = partitions.keys().rev().take(3).cloned().collect();
            return Err(Error::NoPartition { glob: glob.clone(), partitions: nearest });
        }
    }
    Ok(())
}

/// Whether a partition's folder has all parts of one of `wanted`.
pub(crate) fn is_chosen(folder: &str, wanted: &[String]) -> bool {
    let has = |part: &str| {
        folder.split('/').any(|found| match part.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == part,
        })
    };
    wanted.is_empty() || wanted.iter().any(|w| w.split('/').filter(|p| !p.is_empty()).all(has))
}
