//! What a table's records say: done, to be done, rejected.

use flowquet_plan::{Counts, SourceObject};
use flowquet_store::Store;
use serde::Serialize;

use crate::error::Error;
use crate::inventory::Compactions;
use crate::table::{Table, find_contract};

/// A task that is planned and not committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenTask {
    /// Its id.
    pub id: String,
    /// The plan that holds it.
    pub plan: u64,
    /// Its objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them.
    pub first_object: String,
}

/// An object that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The object.
    pub url: String,
    /// Why.
    pub reason: String,
}

/// A table as its records tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Partition columns.
    pub partition_by: String,
    /// Columns by which row groups are sorted.
    pub sort: Vec<String>,
    /// Whether only one process may write at a time.
    pub single_writer: bool,
    /// Plans.
    pub plans: u64,
    /// Committed tasks.
    pub tasks: u64,
    /// Tasks that were given up, because an object changed; their objects are planned anew.
    pub void_tasks: u64,
    /// Tasks without a commit: under way, or left by a run that ended early.
    pub open_tasks: Vec<OpenTask>,
    /// Converted objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Lines of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Compactions of partitions.
    pub compactions: u64,
    /// Partitions of which a compaction is committed and its files are not all in place: under way, or left by a run that ended
    /// early.
    pub open_compactions: Vec<String>,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Partition folders.
    pub partitions: u64,
    /// The first and the last of them, in order.
    pub partition_range: Option<(String, String)>,
    /// Log formats, as text.
    pub formats: Vec<String>,
    /// Objects that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Keys of reject files.
    pub reject_files: Vec<String>,
}

/// Reads what the records of the table in `out` say.
///
/// # Errors
/// [`Error::NoTable`] where there is none; others as the store reports.
pub fn status(out: &dyn Store) -> Result<Status, Error> {
    let contract = find_contract(out)?.ok_or_else(|| Error::NoTable(out.url("")))?;
    let table = Table::read(out, &contract)?;
    let open_tasks = table.open.iter().flat_map(|plan| {
        plan.tasks.iter().map(|task| OpenTask {
            id: task.id.clone(),
            plan: plan.number,
            objects: task.objects.len() as u64,
            bytes: task.objects.iter().map(|o| o.bytes).sum(),
            first_object: task.objects.first().map(SourceObject::url).unwrap_or_default().to_owned(),
        })
    });
    let committed = &table.committed;
    let compactions = Compactions::read(out)?;
    let (mut files, mut bytes_out) = (committed.files, committed.bytes_out);
    for record in &compactions.records {
        files = (files + record.outputs.len() as u64).saturating_sub(record.retired.len() as u64);
        let written = record.outputs.iter().map(|o| o.bytes).sum::<u64>();
        bytes_out = (bytes_out + written).saturating_sub(record.retired.iter().map(|f| f.bytes).sum());
    }
    let open_compactions = compactions.open_records().map(|r| r.partition.clone()).collect();
    let mut formats: Vec<String> = committed.formats.iter().cloned().collect();
    formats.sort();
    let mut reject_files = committed.reject_files.clone();
    reject_files.sort();
    let mut unreadable: Vec<Unreadable> = committed
        .failed
        .iter()
        .map(|(url, reason)| Unreadable { url: url.clone(), reason: reason.clone() })
        .collect();
    unreadable.sort_by(|a, b| a.url.cmp(&b.url));
    let range =
        || Some((committed.partitions.iter().min()?.clone(), committed.partitions.iter().max()?.clone()));
    Ok(Status {
        partition_by: contract.partition_by.clone(),
        sort: contract.sort.clone(),
        single_writer: contract.single_writer,
        plans: table.last_plan(),
        tasks: committed.tasks,
        void_tasks: committed.void,
        open_tasks: open_tasks.collect(),
        objects: committed.objects,
        bytes_in: committed.bytes_in,
        counts: committed.counts.clone(),
        compactions: compactions.records.len() as u64,
        open_compactions,
        files,
        bytes_out,
        partitions: committed.partitions.len() as u64,
        partition_range: range(),
        formats,
        unreadable,
        reject_files,
    })
}
