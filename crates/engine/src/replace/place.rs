//! Putting files in place of those that their record retired.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_store::{ErrorKind, Store};
use flowquet_table::{
    CompactionRecord, Error as LogError, FileKind, Log, TableState, aside_folders, aside_key,
    compacted_folder, compaction_done_key, delete_if_there, end_loss_of_rejects, rejects_key,
};

use crate::error::Error;
use crate::events::{Event, Observer};

/// How often a wait looks whether it is asked to stop.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// A catalog that knows where partitions are.
pub trait Pointers {
    /// Points partitions, by folder, at the places of these URLs. Those that it does not know are left alone.
    ///
    /// # Errors
    /// As the catalog reports.
    fn point(
        &self,
        places: &BTreeMap<String, String>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Puts files in place.
pub(crate) struct Placing<'a> {
    pub(crate) log: &'a Log,
    pub(crate) pointers: Option<&'a dyn Pointers>,
    pub(crate) grace: Duration,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a AtomicBool,
}

impl Placing<'_> {
    /// Puts the files of committed compactions in place, as described in [`mod@crate::replace`]. May be done twice.
    pub(crate) fn place(&self, records: &[&CompactionRecord]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        if self.pointers.is_some() {
            let mut half = Vec::new();
            for record in records {
                if !self.is_alone_in_place(record)? {
                    // Who went only half the way last time may have deleted the first of the old files: then the new ones are in place.
                    self.complete_aside(record)?;
                    half.push(*record);
                }
            }
            self.point(&aside(self.log.out().as_ref(), &half))?;
        }
        for record in records {
            self.put(record)?;
            // What is there under the key of a file that was lost may be that file, found again: who accepts a loss deletes what is damaged.
            if record.loss.is_some() {
                continue;
            }
            for file in &record.retired {
                delete_if_there(self.log.out().as_ref(), &file.key)?;
            }
        }
        if let Some(pointers) = self.pointers {
            let url = |partition: String| {
                let slash = if partition.is_empty() { "" } else { "/" };
                let url = format!("{}{slash}", self.log.out().url(&partition));
                (partition, url)
            };
            let partitions = records.iter().flat_map(|record| aside_folders(record).into_keys());
            let places = partitions.map(url).collect();
            self.point(&places)?;
            // Another run that found these records open may have pointed aside meanwhile.
            pointers.point(&places).map_err(Error::Catalog)?;
        }
        for record in records {
            for key in self.log.aside(&record.id)? {
                delete_if_there(self.log.out().as_ref(), &key)?;
            }
            self.delete_superseded(record)?;
            self.log.mark_in_place(record.number)?;
        }
        Ok(())
    }

    /// Whether the new files are in place and all old ones gone: then nobody is pointed aside again, where another run that came as far
    /// deletes what stands.
    fn is_alone_in_place(&self, record: &CompactionRecord) -> Result<bool, Error> {
        for output in record.all_outputs() {
            if self.bytes_of(&output.key)? != Some(output.bytes) {
                return Ok(false);
            }
        }
        for file in &record.retired {
            if self.bytes_of(&file.key)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes files that were just put in place though another run had done so before, and had retired them since.
    fn delete_superseded(&self, record: &CompactionRecord) -> Result<(), Error> {
        if !self.is_done(record)? {
            return Ok(());
        }
        let mut retired = HashSet::new();
        for output in record.all_outputs() {
            if self.log.state().kind_of(&output.key)? == FileKind::Left {
                retired.insert(output.key.clone());
            }
        }
        self.log.retire_since(&mut retired)?;
        let mut superseded = record.all_outputs().filter(|o| retired.contains(&o.key));
        Ok(superseded.try_for_each(|o| delete_if_there(self.log.out().as_ref(), &o.key))?)
    }

    /// Whether another run has put all files in place.
    fn is_done(&self, record: &CompactionRecord) -> Result<bool, Error> {
        Ok(self.bytes_of(&compaction_done_key(record.number))?.is_some())
    }

    fn point(&self, places: &BTreeMap<String, String>) -> Result<(), Error> {
        let Some(pointers) = self.pointers.filter(|_| !places.is_empty()) else { return Ok(()) };
        pointers.point(places).map_err(Error::Catalog)?;
        let mut left = self.grace;
        let mut told = None;
        while !left.is_zero() {
            if told != Some(left.as_secs()) {
                told = Some(left.as_secs());
                self.observer.event(&Event::Waiting { whole: self.grace, left });
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let step = left.min(STOP_CHECK);
            std::thread::sleep(step);
            left -= step;
        }
        Ok(())
    }

    /// Makes the folders of files aside hold all that the partitions hold: whoever is pointed there sees nothing else.
    fn complete_aside(&self, record: &CompactionRecord) -> Result<(), Error> {
        let retired: HashSet<&str> = record.retired.iter().map(|f| f.key.as_str()).collect();
        for output in record.all_outputs() {
            let aside = aside_key(record, output);
            if self.bytes_of(&aside)? == Some(output.bytes) {
                continue;
            }
            match self.copy(&output.key, &aside, output.bytes) {
                Err(Error::CompactedFileGone { .. }) if self.is_done(record)? => {}
                other => other?,
            }
        }
        for (partition, folder) in aside_folders(record) {
            let mut others = Vec::new();
            for key in self.listed(&partition)? {
                let name = key.strip_prefix(&partition).unwrap_or(&key).trim_start_matches('/');
                let is_ours = record.all_outputs().any(|o| o.key == key);
                if name.ends_with(".parquet")
                    && !name.contains('/')
                    && !is_ours
                    && !retired.contains(key.as_str())
                {
                    others.push((format!("{folder}/{name}"), key));
                }
            }
            for (aside, key) in others {
                self.copy_if_there(&key, &aside)?;
            }
        }
        Ok(())
    }

    /// Puts the new files under their own keys, and makes sure that they are there.
    fn put(&self, record: &CompactionRecord) -> Result<(), Error> {
        for output in record.all_outputs() {
            if self.bytes_of(&output.key)? == Some(output.bytes) {
                continue;
            }
            let copied = self.copy(&aside_key(record, output), &output.key, output.bytes);
            match copied {
                Err(Error::CompactedFileGone { .. }) if self.is_done(record)? => {}
                other => other?,
            }
        }
        self.put_rejects(record)
    }

    /// Puts the rejects of a reconversion in place of those that its objects gave before.
    fn put_rejects(&self, record: &CompactionRecord) -> Result<(), Error> {
        let Some(reconversion) = &record.reconversion else { return Ok(()) };
        let out = self.log.out();
        for task in reconversion.tasks.iter().filter(|t| t.commit.counts.rejects > 0) {
            let key = rejects_key(&task.commit.task);
            // Those that are not there are in place already.
            self.copy_if_there(&format!("{}/{key}", compacted_folder(&record.id)), &key)?;
        }
        for task in &reconversion.superseded {
            delete_if_there(out.as_ref(), &rejects_key(&task.task))?;
            end_loss_of_rejects(out.as_ref(), task.task)?;
        }
        Ok(())
    }

    fn copy(&self, from: &str, to: &str, bytes: u64) -> Result<(), Error> {
        self.copy_if_there(from, to)?;
        match self.bytes_of(to)? {
            Some(found) if found == bytes => Ok(()),
            _ => Err(Error::CompactedFileGone { url: self.log.out().url(from), bytes }),
        }
    }

    /// Copies an object, unless there is none.
    fn copy_if_there(&self, from: &str, to: &str) -> Result<(), Error> {
        let Err(error) = self.log.out().copy(from, to) else { return Ok(()) };
        // What is denied may be to write: then there is something to copy.
        let is_missing =
            error.kind() == ErrorKind::NotFound || (error.may_be_missing() && self.bytes_of(from)?.is_none());
        if is_missing { Ok(()) } else { Err(error.into()) }
    }

    fn bytes_of(&self, key: &str) -> Result<Option<u64>, Error> {
        match self.log.out().head(key) {
            Ok(meta) => Ok(Some(meta.bytes)),
            Err(error) if error.may_be_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn listed(&self, folder: &str) -> Result<Vec<String>, Error> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        match self.log.out().folder(&prefix, usize::MAX) {
            Ok(found) => {
                Ok(found.map(|f| f.objects).unwrap_or_default().into_iter().map(|o| o.key).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Puts the files of compactions and reconversions in place left by an earlier run unfinished. Returns how many.
pub(crate) fn finish_open(
    log: &mut Log,
    pointers: Option<&dyn Pointers>,
    grace: Duration,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<u64, Error> {
    let open: Vec<CompactionRecord> = log.state().files().open().cloned().collect();
    Placing { log, pointers, grace, observer, stop }.place(&open.iter().collect::<Vec<_>>())?;
    open.iter().for_each(|record| log.state_mut().close_compaction(record.number));
    Ok(open.len() as u64)
}

/// Folders of compactions whose files are aside, by partition: for catalogs.
fn aside(out: &dyn Store, records: &[&CompactionRecord]) -> BTreeMap<String, String> {
    let folders = records.iter().flat_map(|record| aside_folders(record));
    folders.map(|(partition, folder)| (partition, format!("{}/", out.url(&folder)))).collect()
}

/// Whether the files of these keys are all live.
pub(crate) fn are_live<'a>(
    state: &TableState,
    keys: impl Iterator<Item = &'a str>,
) -> Result<bool, LogError> {
    for key in keys {
        if state.files().get(key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
