//! Whether the files that records tell of are there, and others are not.

use std::collections::BTreeSet;

use flowquet_store::{Error as StoreError, ErrorKind, FILE_SCHEME, ObjectMeta, Store};
use serde::Serialize;

use crate::error::Error;
use crate::files::{FileKind, LiveFile, LostFile};
use crate::layout::RECORDS;
use crate::log::Log;
use crate::state::TableState;

/// A data file that is not as the records have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misplaced {
    /// Its key below the table root.
    pub key: String,
    /// Rows that the records tell of; 0 where they tell nothing.
    pub rows: u64,
    /// Its size by the records; 0 where they tell nothing.
    pub expected_bytes: u64,
    /// Its size; 0 where it is gone.
    pub bytes: u64,
}

/// A file whose loss somebody accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedLoss {
    /// Its key below the table root.
    pub key: String,
    /// Records that it held.
    pub rows: u64,
    /// Why it was accepted.
    pub reason: String,
    /// When, in UTC.
    pub accepted_at: String,
}

impl AcceptedLoss {
    fn of(lost: &LostFile) -> Self {
        let (output, loss) = (&lost.file.output, &lost.loss);
        let (key, reason) = (output.key.clone(), loss.reason.clone());
        Self { key, rows: output.rows, reason, accepted_at: loss.accepted_at.clone() }
    }
}

/// Records against one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileCheck {
    /// Live files that are not there.
    pub lost: Vec<Misplaced>,
    /// Live files of another size.
    pub truncated: Vec<Misplaced>,
    /// Visible files that no record tells of: readers that list count their rows.
    pub stray: Vec<Misplaced>,
    /// Files that were replaced or given up, and that a slow run put once more: `compact` removes them.
    pub left: Vec<Misplaced>,
    /// Files whose loss was accepted, and that are there again, with the size that they had or another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found_again: Vec<Misplaced>,
    /// All files of the table whose loss was accepted, and whose objects were not converted again since. Objects count their records, which
    /// stand in no file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_losses: Vec<AcceptedLoss>,
}

impl FileCheck {
    /// Whether the files are as the records have them.
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.truncated.is_empty() && self.stray.is_empty()
    }
}

/// Partitions that are listed one by one.
const FOLDERS_MAX: usize = 16;

/// Whether engines see a file of this key.
fn is_visible(key: &str) -> bool {
    !key.split('/').any(|part| part.starts_with(['.', '_']))
}

/// All visible files of a table, apart from its records.
///
/// # Errors
/// As the store reports.
pub fn data_files(out: &dyn Store) -> Result<Vec<ObjectMeta>, StoreError> {
    let mut found = Vec::new();
    let Some(level) = out.folder("", usize::MAX)? else { return Ok(found) };
    found.extend(level.objects.into_iter().filter(|o| is_visible(&o.key)));
    let mut folders = level.folders;
    folders.retain(|folder| is_visible(folder.trim_end_matches('/')));
    // In a bucket a partition costs a request, however few files it has; all that sorts behind the records costs one a page.
    let behind = format!("{RECORDS}0");
    let are_behind = folders.iter().all(|folder| *folder > behind);
    if are_behind && folders.len() > FOLDERS_MAX && !out.url("").starts_with(FILE_SCHEME) {
        out.list_after("", &behind, &mut |object| {
            if object.key.contains('/') && is_visible(&object.key) {
                found.push(object);
            }
        })?;
        return Ok(found);
    }
    for folder in &folders {
        let listed = out.list_each(folder, &mut |object| {
            if is_visible(&object.key) {
                found.push(object);
            }
        });
        match listed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    debug_assert!(found.iter().all(|o| !o.key.starts_with(RECORDS)));
    Ok(found)
}

/// Compares the records of a table with one listing of it. The log is refreshed after the listing, so that a file of a run that
/// goes on meanwhile is not taken for a stray one.
///
/// # Errors
/// As the store reports.
pub fn check_files(log: &mut Log) -> Result<FileCheck, Error> {
    let listed = data_files(log.out().as_ref())?;
    compare(log, listed, None)
}

/// Compares the records of some partitions with a listing of each, one request each.
///
/// # Errors
/// As the store reports.
pub fn check_partitions(log: &mut Log, partitions: &BTreeSet<String>) -> Result<FileCheck, Error> {
    let mut listed = Vec::new();
    for partition in partitions {
        let prefix = if partition.is_empty() { String::new() } else { format!("{partition}/") };
        match log.out().folder(&prefix, usize::MAX) {
            Ok(level) => listed.extend(level.into_iter().flat_map(|l| l.objects)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    listed.retain(|object| is_visible(&object.key));
    compare(log, listed, Some(partitions))
}

/// Compares the live files of some partitions, or of all, with what was listed of those.
fn compare(
    log: &mut Log,
    mut listed: Vec<ObjectMeta>,
    partitions: Option<&BTreeSet<String>>,
) -> Result<FileCheck, Error> {
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    log.refresh()?;
    let mut check = found(log, listed, partitions)?;
    if check.is_whole() {
        return Ok(check);
    }
    // Another run may have replaced a file, and deleted it, after the log was read: what is gone is lost only if the log still has it.
    log.refresh()?;
    log.ask(|state| {
        for gone in [&mut check.lost, &mut check.truncated] {
            let kinds = gone.iter().map(|file| state.kind_of(&file.key)).collect::<Result<Vec<_>, _>>()?;
            let mut kinds = kinds.into_iter();
            gone.retain(|_| kinds.next() == Some(FileKind::Live));
        }
        Ok(check.clone())
    })
}

/// What a listing and the log as it was read thereafter have different.
fn found(
    log: &mut Log,
    listed: Vec<ObjectMeta>,
    partitions: Option<&BTreeSet<String>>,
) -> Result<FileCheck, Error> {
    // What tells of these files is read now, and begun anew with where it cannot be.
    log.ask(|state| {
        live_files(state, partitions)?;
        listed.iter().try_for_each(|object| state.kind_of(&object.key).map(drop))
    })?;
    let (state, out) = (log.state(), log.out().as_ref());
    let files = live_files(state, partitions)?;
    let accepted_losses = state.files().lost().map(AcceptedLoss::of).collect();
    let mut check = FileCheck { accepted_losses, ..FileCheck::default() };
    for file in files {
        let found = listed.binary_search_by(|o| o.key.as_str().cmp(&file.output.key)).ok();
        match found.map(|at| listed[at].bytes) {
            Some(bytes) if bytes == file.output.bytes => {}
            _ if is_there(log, file)? => {}
            Some(bytes) => check.truncated.push(misplaced(file, bytes)),
            None => check.lost.push(misplaced(file, 0)),
        }
    }
    for object in listed {
        let of = |key: String| Misplaced { key, rows: 0, expected_bytes: 0, bytes: object.bytes };
        let lost = state.files().lost_at(&object.key).map(|lost| &lost.file);
        match state.kind_of(&object.key)? {
            FileKind::Live | FileKind::UnderWay => {}
            // Of another size it may be a copy that is still being put back: nobody deletes it.
            FileKind::Left if lost.is_some() => {
                check.found_again.extend(lost.map(|file| misplaced(file, object.bytes)));
            }
            FileKind::Left if state.files().open().any(|r| r.retired.iter().any(|f| f.key == object.key)) => {
            }
            // A run that goes on may just have deleted it.
            FileKind::Left if out.head(&object.key).is_ok() => check.left.push(of(object.key)),
            FileKind::Left => {}
            FileKind::Foreign => check.stray.push(of(object.key)),
        }
    }
    Ok(check)
}

fn live_files<'a>(
    state: &'a TableState,
    partitions: Option<&BTreeSet<String>>,
) -> Result<Vec<&'a LiveFile>, Error> {
    let Some(partitions) = partitions else { return state.files().all() };
    let mut files = Vec::new();
    for partition in partitions {
        files.extend(state.files().of_partition(partition)?);
    }
    Ok(files)
}

fn misplaced(file: &LiveFile, bytes: u64) -> Misplaced {
    let output = &file.output;
    Misplaced { key: output.key.clone(), rows: output.rows, expected_bytes: output.bytes, bytes }
}

/// Whether a file that the listing lacks, or has otherwise, is there all the same: put after it, or still aside.
fn is_there(log: &Log, file: &LiveFile) -> Result<bool, Error> {
    match log.state().files().places(file).read(|key| log.out().head(key), StoreError::may_be_missing) {
        Ok(meta) => Ok(meta.bytes == file.output.bytes),
        Err(error) if error.may_be_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
