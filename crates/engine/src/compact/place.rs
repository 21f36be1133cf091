//! Putting a compaction's files in place of those that it retired.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_plan::{
    CompactionRecord, LAYOUT_VERSION, RECORDS, compacted_folder, compacted_key, compaction_done_key,
};
use flowquet_store::{ErrorKind, Store};

use crate::compact::aside;
use crate::error::Error;
use crate::inventory::Compactions;
use crate::table::delete_if_there;

/// How often a wait looks whether it is asked to stop.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// A catalog that knows where partitions are.
pub trait Pointers {
    /// Points partitions, by folder, at the places of these URLs. Those that it does not know are left alone.
    ///
    /// # Errors
    /// A message.
    fn point(&self, places: &BTreeMap<String, String>) -> Result<(), String>;
}

/// Puts files in place.
pub(crate) struct Placing<'a> {
    pub(crate) out: &'a dyn Store,
    pub(crate) pointers: Option<&'a dyn Pointers>,
    pub(crate) grace: Duration,
    pub(crate) stop: &'a AtomicBool,
}

impl Placing<'_> {
    /// Puts the files of committed compactions in place, as the module above tells. May be done twice.
    pub(crate) fn place(&self, records: &[&CompactionRecord]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        if self.pointers.is_some() {
            // Who went only half the way last time may have deleted the first of the old files: then the new ones are in place.
            records.iter().try_for_each(|record| self.complete_aside(record))?;
            self.point(&aside(self.out, records))?;
        }
        for record in records {
            self.put(record)?;
            for file in &record.retired {
                delete_if_there(self.out, &file.key)?;
            }
        }
        if self.pointers.is_some() {
            let url = |r: &&CompactionRecord| {
                let slash = if r.partition.is_empty() { "" } else { "/" };
                (r.partition.clone(), format!("{}{slash}", self.out.url(&r.partition)))
            };
            self.point(&records.iter().map(url).collect())?;
        }
        for record in records {
            for key in self.listed(&compacted_folder(&record.id))? {
                delete_if_there(self.out, &key)?;
            }
            self.delete_superseded(record)?;
            let mark = format!("{{\"layout_version\":{LAYOUT_VERSION}}}\n");
            self.out.put(&compaction_done_key(record.number), mark.as_bytes())?;
        }
        Ok(())
    }

    /// Deletes files that were just put in place though another run had done so before, and had retired them since.
    fn delete_superseded(&self, record: &CompactionRecord) -> Result<(), Error> {
        if !self.is_done(record)? {
            return Ok(());
        }
        let compactions = Compactions::read(self.out)?;
        let retired = compactions.retired();
        let mut superseded = record.outputs.iter().filter(|o| retired.contains(o.key.as_str()));
        Ok(superseded.try_for_each(|o| delete_if_there(self.out, &o.key))?)
    }

    /// Whether another run has put all files in place.
    fn is_done(&self, record: &CompactionRecord) -> Result<bool, Error> {
        Ok(self.bytes_of(&compaction_done_key(record.number))?.is_some())
    }

    fn point(&self, places: &BTreeMap<String, String>) -> Result<(), Error> {
        let Some(pointers) = self.pointers else { return Ok(()) };
        pointers.point(places).map_err(Error::Catalog)?;
        let mut left = self.grace;
        while !left.is_zero() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let step = left.min(STOP_CHECK);
            std::thread::sleep(step);
            left -= step;
        }
        Ok(())
    }

    /// Makes the folder of files aside hold all that the partition holds: whoever is pointed there sees nothing else.
    fn complete_aside(&self, record: &CompactionRecord) -> Result<(), Error> {
        let retired: HashSet<&str> = record.retired.iter().map(|f| f.key.as_str()).collect();
        for output in &record.outputs {
            let aside = compacted_key(&record.id, &output.key);
            if self.bytes_of(&aside)? == Some(output.bytes) {
                continue;
            }
            match self.copy(&output.key, &aside, output.bytes) {
                Err(Error::CompactedFileGone { .. }) if self.is_done(record)? => {}
                other => other?,
            }
        }
        let mut others = Vec::new();
        for key in self.listed(&record.partition)? {
            let name = key.strip_prefix(&record.partition).unwrap_or(&key).trim_start_matches('/');
            let is_ours = record.outputs.iter().any(|o| o.key == key);
            if name.ends_with(".parquet")
                && !name.contains('/')
                && !is_ours
                && !retired.contains(key.as_str())
            {
                others.push(key);
            }
        }
        for key in others {
            match self.out.copy(&key, &compacted_key(&record.id, &key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts the new files under their own keys, and makes sure that they are there.
    fn put(&self, record: &CompactionRecord) -> Result<(), Error> {
        for output in &record.outputs {
            if self.bytes_of(&output.key)? == Some(output.bytes) {
                continue;
            }
            let copied = self.copy(&compacted_key(&record.id, &output.key), &output.key, output.bytes);
            match copied {
                Err(Error::CompactedFileGone { .. }) if self.is_done(record)? => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn copy(&self, from: &str, to: &str, bytes: u64) -> Result<(), Error> {
        match self.out.copy(from, to) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        match self.bytes_of(to)? {
            Some(found) if found == bytes => Ok(()),
            _ => Err(Error::CompactedFileGone { url: self.out.url(from), bytes }),
        }
    }

    fn bytes_of(&self, key: &str) -> Result<Option<u64>, Error> {
        match self.out.head(key) {
            Ok(meta) => Ok(Some(meta.bytes)),
            // S3 tells only who may list the bucket that an object is not there.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn listed(&self, folder: &str) -> Result<Vec<String>, Error> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        match self.out.folder(&prefix, usize::MAX) {
            Ok(found) => {
                Ok(found.map(|f| f.objects).unwrap_or_default().into_iter().map(|o| o.key).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes retired files that a slow run has put once more after they were deleted.
    pub(crate) fn sweep(&self, retired: &HashSet<&str>) -> Result<(), Error> {
        if retired.is_empty() {
            return Ok(());
        }
        let mut left = Vec::new();
        self.out.list_each("", &mut |object| {
            if !object.key.starts_with(RECORDS) && retired.contains(object.key.as_str()) {
                left.push(object.key);
            }
        })?;
        left.iter().try_for_each(|key| delete_if_there(self.out, key))?;
        Ok(())
    }
}
