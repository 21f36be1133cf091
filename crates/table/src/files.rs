//! What a table consists of: its live files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::aside::aside_key;
use crate::compaction::CompactionRecord;
use crate::error::Error;
use crate::layout::{is_data_key, task_of_output};
use crate::objects::{UrlDigest, url_digest};
use crate::options::Options;
use crate::records::OutputRecord;

/// A file that is part of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// As its record has it.
    pub output: OutputRecord,
    /// Options that it was written with.
    pub options: Arc<Options>,
    /// Whether a compaction wrote it.
    pub is_compacted: bool,
    /// Tasks whose rows it holds, by their ids as numbers, sorted.
    pub tasks: Arc<[u64]>,
}

/// What a data file is to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Part of it.
    Live,
    /// Replaced, or of a task that was given up: it may be deleted.
    Left,
    /// Of a task without a commit.
    UnderWay,
    /// No record tells of it.
    Foreign,
}

/// Live files, and what happened to others.
#[derive(Debug, Clone, Default)]
pub struct Files {
    live: BTreeMap<String, LiveFile>,
    /// Compactions and reconversions whose files are not all in place, by number.
    open: BTreeMap<u64, CompactionRecord>,
    /// Digests of the keys of files that were replaced.
    retired: HashSet<UrlDigest>,
    /// Ids of tasks that were given up.
    void: HashSet<u64>,
    last_compaction: u64,
    reconversions: u64,
    words: HashSet<Arc<str>>,
}

/// An id as a number.
pub(crate) fn id_number(id: &str) -> u64 {
    u64::from_str_radix(id, 16).unwrap_or(u64::MAX)
}

fn broken(invariant: &'static str, what: String) -> Error {
    Error::Broken { invariant, what }
}

impl Files {
    /// Partitions and formats repeat: each is kept once.
    fn intern(&mut self, word: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return known.clone();
        }
        self.words.insert(word.clone());
        word.clone()
    }

    fn add(
        &mut self,
        mut output: OutputRecord,
        named_after: &str,
        options: &Arc<Options>,
        is_compacted: bool,
        tasks: &Arc<[u64]>,
    ) -> Result<(), Error> {
        let key = output.key.clone();
        if !is_data_key(&key) || task_of_output(&key) != Some(named_after) {
            return Err(broken("L8", format!("`{key}` is no name of a file of `{named_after}`")));
        }
        output.partition = self.intern(&output.partition);
        output.format = self.intern(&output.format);
        let file = LiveFile { output, options: options.clone(), is_compacted, tasks: tasks.clone() };
        match self.live.insert(key, file) {
            None => Ok(()),
            Some(file) => Err(broken("L4", format!("`{}` was added twice", file.output.key))),
        }
    }

    /// A task is given up.
    pub(crate) fn void(&mut self, task: &str) {
        self.void.insert(id_number(task));
    }

    /// A task is committed.
    pub(crate) fn settle(
        &mut self,
        task: &str,
        options: &Arc<Options>,
        outputs: Vec<OutputRecord>,
    ) -> Result<(), Error> {
        let tasks: Arc<[u64]> = Arc::new([id_number(task)]);
        outputs.into_iter().try_for_each(|output| self.add(output, task, options, false, &tasks))
    }

    /// Files were replaced.
    pub(crate) fn replace(&mut self, record: CompactionRecord, is_in_place: bool) -> Result<(), Error> {
        if record.number != self.last_compaction + 1 {
            let what = format!("compaction {} follows {}", record.number, self.last_compaction);
            return Err(broken("L2", what));
        }
        let (before, after) = record.rows();
        if record.reconversion.is_none() && before != after {
            let what = format!("compaction {} made {after} rows of {before}", record.number);
            return Err(broken("L6", what));
        }
        self.last_compaction = record.number;
        let mut tasks: Vec<u64> = Vec::new();
        for file in &record.retired {
            let Some(live) = self.live.remove(&file.key) else {
                let what = format!("compaction {} retires `{}`, which is not live", record.number, file.key);
                return Err(broken("L4", what));
            };
            tasks.extend(live.tasks.iter());
            self.retired.insert(url_digest(&file.key));
        }
        tasks.sort_unstable();
        tasks.dedup();
        let (tasks, options) = (tasks.into(), Arc::new(record.options.clone()));
        for output in &record.outputs {
            self.add(output.clone(), &record.id, &options, true, &tasks)?;
        }
        if let Some(reconversion) = &record.reconversion {
            self.reconversions += 1;
            for task in &reconversion.tasks {
                self.settle(&task.commit.task, &Arc::new(task.options.clone()), task.commit.outputs.clone())?;
            }
            for task in &reconversion.rewritten {
                let (options, tasks) = (Arc::new(task.options.clone()), Arc::new([id_number(&task.task)]));
                for output in &task.outputs {
                    // Named after the rewriting, which no commit tells of.
                    let name = task_of_output(&output.key).unwrap_or_default().to_owned();
                    self.add(output.clone(), &name, &options, false, &(tasks.clone() as Arc<[u64]>))?;
                }
            }
        }
        if !is_in_place {
            self.open.insert(record.number, record);
        }
        Ok(())
    }

    /// The files of compaction `number` are in place.
    pub(crate) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Number of the newest compaction or reconversion; 0 without any.
    pub fn last_compaction(&self) -> u64 {
        self.last_compaction
    }

    /// Reconversions among them.
    pub fn reconversions(&self) -> u64 {
        self.reconversions
    }

    /// Compactions and reconversions whose files are not all in place, in order.
    pub fn open(&self) -> impl Iterator<Item = &CompactionRecord> {
        self.open.values()
    }

    /// Whether a compaction of this partition is committed and not through: a catalog may point at its files aside.
    pub fn is_moving(&self, folder: &str) -> bool {
        self.open().any(|record| crate::aside::aside_folders(record).contains_key(folder))
    }

    /// Live files, in key order.
    pub fn iter(&self) -> impl Iterator<Item = &LiveFile> {
        self.live.values()
    }

    /// Number of live files.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The live file under a key.
    pub fn get(&self, key: &str) -> Option<&LiveFile> {
        self.live.get(key)
    }

    /// Live files by partition folder, each in key order.
    pub fn partitions(&self) -> BTreeMap<String, Vec<LiveFile>> {
        let mut partitions: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
        for file in self.iter() {
            partitions.entry(file.output.partition.to_string()).or_default().push(file.clone());
        }
        partitions
    }

    /// The key under which a live file is to be read now: that of a compaction that is not through may not be in place yet.
    pub fn key_now(&self, file: &LiveFile) -> String {
        let record = self.open().find(|r| r.all_outputs().any(|o| o.key == file.output.key));
        record.map_or_else(|| file.output.key.clone(), |record| aside_key(record, &file.output))
    }

    /// Each log format that files have, with the options that they were written with.
    pub fn formats(&self) -> Vec<(String, Arc<Options>)> {
        let mut found: Vec<(Arc<str>, Arc<Options>)> = Vec::new();
        let mut seen: HashMap<(*const u8, *const Options), ()> = HashMap::new();
        for file in self.iter() {
            // Both are kept once: most files differ in neither.
            if seen.insert((file.output.format.as_ptr(), Arc::as_ptr(&file.options)), ()).is_some() {
                continue;
            }
            let known = |(format, options): &(Arc<str>, Arc<Options>)| {
                *format == file.output.format && *options == file.options
            };
            if !found.iter().any(known) {
                found.push((file.output.format.clone(), file.options.clone()));
            }
        }
        found.into_iter().map(|(format, options)| (format.to_string(), options)).collect()
    }

    /// What a data file of this key is to the table, apart from tasks without a commit.
    pub(crate) fn kind_of(&self, key: &str) -> FileKind {
        let is_void = || task_of_output(key).is_some_and(|id| self.void.contains(&id_number(id)));
        if self.live.contains_key(key) {
            FileKind::Live
        } else if self.retired.contains(&url_digest(key)) || is_void() {
            FileKind::Left
        } else {
            FileKind::Foreign
        }
    }

    /// Whether a task was given up.
    pub fn is_void(&self, task: &str) -> bool {
        self.void.contains(&id_number(task))
    }

    /// Whether files were given up or replaced at all: else none can be left.
    pub fn may_have_left(&self) -> bool {
        !self.void.is_empty() || !self.retired.is_empty()
    }
}
