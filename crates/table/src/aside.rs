//! Where the files of a compaction or reconversion stand until they are in place.

use std::collections::BTreeMap;
use std::time::Duration;

use flowquet_store::Store;

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

/// The keys under which a live file may be read. While a compaction or reconversion is open, its files are aside or already in
/// their place: whoever puts one in place deletes what is aside before the log says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    aside: Option<String>,
    in_place: String,
}

impl Places {
    pub(crate) fn new(aside: Option<String>, in_place: String) -> Self {
        Self { aside, in_place }
    }

    /// Reads the file where it is: under the first key whose error, by `is_missing`, does not say that nothing is there.
    ///
    /// # Errors
    /// As `read` reports.
    pub fn read<T, E>(
        &self,
        mut read: impl FnMut(&str) -> Result<T, E>,
        is_missing: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let Some(aside) = &self.aside else { return read(&self.in_place) };
        match read(aside) {
            Err(error) if is_missing(&error) => read(&self.in_place),
            done => done,
        }
    }

    /// The key under which the file is in `out` now, for readers of their own. The store is asked only where there is a choice.
    pub fn now(self, out: &dyn Store) -> String {
        let is_aside = |aside: &String| !out.head(aside).is_err_and(|error| error.may_be_missing());
        self.aside.filter(is_aside).unwrap_or(self.in_place)
    }
}

/// The partition folder of a data file.
pub(crate) fn partition_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use flowquet_store::{Error, Memory};

    use super::*;

    #[test]
    fn files_are_read_where_they_are() {
        let places = Places::new(Some("aside/f".to_owned()), "f".to_owned());
        for (there, expected) in [
            (&["aside/f", "f"][..], Some("aside/f")),
            (&["aside/f"], Some("aside/f")),
            (&["f"], Some("f")),
            (&[], None),
        ] {
            let out = Memory::new("s3://lake");
            there.iter().for_each(|key| out.put(key, key.as_bytes()).expect("memory takes all"));
            let read = places.read(|key| out.get(key), Error::may_be_missing);
            assert_eq!(read.ok().as_deref(), expected.map(str::as_bytes), "{there:?}");
            assert_eq!(places.clone().now(&out), expected.unwrap_or("f"), "{there:?}");
        }
    }

    #[test]
    fn another_error_is_no_reason_to_look_elsewhere() {
        let places = Places::new(Some("aside/f".to_owned()), "f".to_owned());
        let mut asked = Vec::new();
        let read = places.read(
            |key| {
                asked.push(key.to_owned());
                Err::<(), &str>("damaged")
            },
            |error| *error == "gone",
        );
        assert_eq!((read, asked), (Err("damaged"), vec!["aside/f".to_owned()]));
    }
}
