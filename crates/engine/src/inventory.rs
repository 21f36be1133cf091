//! What a table consists of: its live files, by partition, from its records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use flowquet_plan::{
    COMMITS, COMPACTIONS, CommitRecord, CompactionRecord, LiveFile, Options, OutputRecord, PLANS,
    TableContract, compacted_key, compaction_done_key, compaction_number, from_json, plan_from_gzip,
    plan_number,
};
use flowquet_store::Store;

use crate::error::Error;
use crate::table::{find_contract, list_or_none, read_each};

/// Compactions of a table, in order.
#[derive(Debug, Default)]
pub(crate) struct Compactions {
    pub(crate) records: Vec<CompactionRecord>,
    /// Numbers of those whose files are not all in place.
    pub(crate) open: Vec<u64>,
}

impl Compactions {
    pub(crate) fn read(out: &dyn Store) -> Result<Self, Error> {
        let mut keys = list_or_none(out, COMPACTIONS)?;
        let all: HashSet<String> = keys.iter().cloned().collect();
        keys.retain(|key| compaction_number(key).is_some());
        keys.sort_by_key(|key| compaction_number(key));
        let mut found = Self::default();
        read_each(out, &keys, |key, bytes| {
            let record: CompactionRecord = from_json(&bytes).map_err(|e| Error::Record(out.url(key), e))?;
            if !all.contains(&compaction_done_key(record.number)) {
                found.open.push(record.number);
            }
            found.records.push(record);
            Ok(())
        })?;
        Ok(found)
    }

    /// Those whose files are not all in place.
    pub(crate) fn open_records(&self) -> impl Iterator<Item = &CompactionRecord> {
        self.records.iter().filter(|r| self.open.contains(&r.number))
    }

    /// Number of the newest; 0 without any.
    pub(crate) fn last(&self) -> u64 {
        self.records.last().map_or(0, |r| r.number)
    }

    /// Keys of files that are no part of the table any more.
    pub(crate) fn retired(&self) -> HashSet<&str> {
        self.records.iter().flat_map(|r| &r.retired).map(|f| f.key.as_str()).collect()
    }
}

/// A table's live files.
#[derive(Debug)]
pub struct Inventory {
    /// The table contract.
    pub contract: TableContract,
    /// Live files, by partition folder.
    pub partitions: BTreeMap<String, Vec<LiveFile>>,
    /// Each log format that tasks wrote files of, with the options of their plan; no matter what compactions made of them.
    pub(crate) written: Vec<(String, Arc<Options>)>,
    pub(crate) compactions: Compactions,
}

impl Inventory {
    /// Reads the records of the table in `out`.
    ///
    /// # Errors
    /// [`Error::NoTable`] where there is none; others as the store reports.
    pub fn read(out: &dyn Store) -> Result<Self, Error> {
        let contract = find_contract(out)?.ok_or_else(|| Error::NoTable(out.url("")))?;
        // Commits first: the plan of each that is found is there by then.
        let mut commits = list_or_none(out, COMMITS)?;
        commits.retain(|key| key.ends_with(".json"));
        let mut committed: Vec<(u64, OutputRecord)> = Vec::new();
        read_each(out, &commits, |key, bytes| {
            let commit: CommitRecord = from_json(&bytes).map_err(|e| Error::Record(out.url(key), e))?;
            committed.extend(commit.outputs.into_iter().map(|output| (commit.plan, output)));
            Ok(())
        })?;
        let mut plans = list_or_none(out, PLANS)?;
        plans.retain(|key| plan_number(key).is_some());
        let mut options: HashMap<u64, Arc<Options>> = HashMap::new();
        read_each(out, &plans, |key, bytes| {
            let plan = plan_from_gzip(&bytes).map_err(|e| Error::Record(out.url(key), e))?;
            options.insert(plan.number, Arc::new(plan.options));
            Ok(())
        })?;
        let mut files: Vec<LiveFile> = Vec::with_capacity(committed.len());
        for (plan, output) in committed {
            let Some(options) = options.get(&plan) else {
                let what = format!("`{}` is of plan {plan}, which is not there", output.key);
                return Err(Error::Options(what));
            };
            files.push(LiveFile { output, options: options.clone(), is_compacted: false });
        }
        let written = distinct_formats(files.iter());
        // Read after the commits: a file that is retired meanwhile is found to be.
        let compactions = Compactions::read(out)?;
        for record in &compactions.records {
            let options = Arc::new(record.options.clone());
            let live = |output| LiveFile { output, options: options.clone(), is_compacted: true };
            files.extend(record.outputs.iter().cloned().map(live));
        }
        let retired = compactions.retired();
        let mut partitions: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
        for file in files.into_iter().filter(|f| !retired.contains(f.output.key.as_str())) {
            partitions.entry(file.output.partition.clone()).or_default().push(file);
        }
        for files in partitions.values_mut() {
            files.sort_by(|a, b| a.output.key.cmp(&b.output.key));
        }
        Ok(Self { contract, partitions, written, compactions })
    }

    /// Whether a compaction of this partition is committed and not through: a catalog may point at its files aside.
    pub fn is_moving(&self, folder: &str) -> bool {
        self.compactions.open_records().any(|r| r.partition == folder)
    }

    /// All live files.
    pub fn files(&self) -> impl Iterator<Item = &LiveFile> {
        self.partitions.values().flatten()
    }

    /// The key under which a live file is to be read now: that of a compaction that is not through may not be in place yet.
    pub fn key_now(&self, file: &LiveFile) -> String {
        let id = self.compactions.open_records().find(|r| r.outputs.contains(&file.output)).map(|r| &r.id);
        id.map_or_else(|| file.output.key.clone(), |id| compacted_key(id, &file.output.key))
    }

    /// Each log format that files have, with the options that they were written with.
    pub fn formats(&self) -> Vec<(String, Arc<Options>)> {
        distinct_formats(self.files())
    }
}

fn distinct_formats<'a>(files: impl Iterator<Item = &'a LiveFile>) -> Vec<(String, Arc<Options>)> {
    let mut found: Vec<(String, Arc<Options>)> = Vec::new();
    for file in files {
        let is_known = |(format, options): &(String, Arc<Options>)| {
            *format == file.output.format && (Arc::ptr_eq(options, &file.options) || *options == file.options)
        };
        if !found.iter().any(is_known) {
            found.push((file.output.format.clone(), file.options.clone()));
        }
    }
    found
}
