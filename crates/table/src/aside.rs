//! Where the files of a compaction or reconversion stand until they are in place.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compaction::CompactionRecord;
use crate::layout::{compacted_folder, compacted_key};
use crate::records::OutputRecord;

/// What nobody has written aside for so long is at work for no process any more: a reconversion may take days before its record.
pub(crate) const ASIDE_IDLE_MIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The folders where a record's files stand aside, by partition folder. A catalog can be pointed at each of them.
///
/// | record | file | aside |
/// |---|---|---|
/// | compaction `9c4e…` | `date=2024-01-15/9c4e…-0000.parquet` | `_flowquet/compacted/9c4e…/9c4e…-0000.parquet` |
/// | reconversion `5a0b…` | `date=2024-01-15/77d2…-0000.parquet` | `_flowquet/compacted/5a0b…/date=2024-01-15/77d2…-0000.parquet` |
pub fn aside_folders(record: &CompactionRecord) -> BTreeMap<String, String> {
    let retired = record.retired.iter().map(|f| partition_of(&f.key).to_owned());
    let partitions = retired.chain(record.all_outputs().map(|o| o.partition.to_string()));
    partitions.map(|partition| (partition.clone(), aside_folder(record, &partition))).collect()
}

/// Where a record's files of one partition stand aside.
pub(crate) fn aside_folder(record: &CompactionRecord, partition: &str) -> String {
    let folder = compacted_folder(&record.id);
    let is_of_one = record.reconversion.is_none() && !record.is_of_losses();
    if is_of_one || partition.is_empty() { folder } else { format!("{folder}/{partition}") }
}

/// Where a file of a record stands aside.
pub fn aside_key(record: &CompactionRecord, output: &OutputRecord) -> String {
    if record.reconversion.is_none() {
        compacted_key(&record.id, &output.key)
    } else {
        format!("{}/{}", compacted_folder(&record.id), output.key)
    }
}

/// The partition folder of a data file.
pub(crate) fn partition_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}
