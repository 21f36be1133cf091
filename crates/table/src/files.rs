//! What a table consists of: its live files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::aside::{Places, aside_key, partition_of};
use crate::compaction::{CompactionRecord, StillLost};
use crate::error::Error;
use crate::layout::{is_data_key, task_of_output};
use crate::loss::Loss;
use crate::numbered::Numbered;
use crate::objects::ObjectId;
use crate::options::Options;
use crate::records::{OutputRecord, RecordError};
use crate::shelf::{Entry, Shelf, Words, from_lines, to_lines};
use crate::task_id::TaskId;

/// A file that is part of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// As its record has it.
    pub output: OutputRecord,
    /// Options that it was written with.
    pub options: Arc<Options>,
    /// Whether a compaction wrote it.
    pub is_compacted: bool,
    /// Tasks whose rows it holds, sorted.
    pub tasks: Arc<[TaskId]>,
}

/// A file whose loss somebody accepted: it is no part of the table, though its tasks count the rows that it had. It becomes one that was
/// replaced once these are converted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFile {
    /// As it was when it was part of the table.
    pub file: LiveFile,
    /// Why and when that was accepted.
    pub loss: Arc<Loss>,
    /// Places of the inputs of its only task's commit whose rows it had, sorted; empty where nobody knows.
    pub inputs: Arc<[u32]>,
}

/// On disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveFileForm {
    #[serde(flatten)]
    output: OutputRecord,
    options: u32,
    is_compacted: bool,
    /// Their ids as numbers.
    tasks: Vec<u64>,
}

impl LiveFileForm {
    pub(crate) fn of(file: &LiveFile, words: &mut Words) -> Self {
        Self {
            output: file.output.clone(),
            options: words.place(&file.options),
            is_compacted: file.is_compacted,
            tasks: file.tasks.iter().map(|task| task.number()).collect(),
        }
    }

    pub(crate) fn file(self, words: &Words) -> Result<LiveFile, RecordError> {
        let Self { output, options, is_compacted, tasks } = self;
        let tasks = tasks.into_iter().map(TaskId::from).collect();
        Ok(LiveFile { output, options: words.get(options)?, is_compacted, tasks })
    }
}

impl Entry for LiveFile {
    type Key = String;
    const SEGMENT_MAX: usize = 4096;

    fn key(&self) -> &String {
        &self.output.key
    }

    fn encode(entries: &[Self], words: &mut Words) -> Vec<u8> {
        to_lines(entries.iter().map(|file| LiveFileForm::of(file, words)))
    }

    fn decode(bytes: &[u8], words: &Words) -> Result<Vec<Self>, RecordError> {
        let forms: Vec<LiveFileForm> = from_lines(bytes)?;
        let mut repeated = HashSet::new();
        let file = |form: LiveFileForm| {
            let mut file = form.file(words)?;
            file.output.partition = kept_once(&mut repeated, &file.output.partition);
            file.output.format = kept_once(&mut repeated, &file.output.format);
            Ok(file)
        };
        forms.into_iter().map(file).collect()
    }
}

/// Partitions and formats repeat: each is kept once.
fn kept_once(repeated: &mut HashSet<Arc<str>>, word: &Arc<str>) -> Arc<str> {
    if let Some(known) = repeated.get(word) {
        return known.clone();
    }
    repeated.insert(word.clone());
    word.clone()
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
#[derive(Debug, Clone)]
pub struct Files {
    pub(crate) live: Shelf<LiveFile>,
    /// Keys of files that were replaced, and ids of tasks that were given up.
    pub(crate) left: Shelf<Numbered>,
    /// Files whose loss was accepted and whose objects were not converted again since, by key.
    pub(crate) lost: BTreeMap<String, LostFile>,
    /// Compactions and reconversions whose files are not all in place, by number.
    pub(crate) open: BTreeMap<u64, CompactionRecord>,
    pub(crate) last_compaction: u64,
    pub(crate) reconversions: u64,
    /// Records that accept a loss, or take that back.
    pub(crate) losses: u64,
    words: HashSet<Arc<str>>,
}

impl Default for Files {
    fn default() -> Self {
        Self::of(Shelf::new("L4"), Shelf::new("L4"))
    }
}

fn broken(invariant: &'static str, what: String) -> Error {
    Error::Broken { invariant, what }
}

impl Files {
    /// Files of these shelves.
    pub(crate) fn of(live: Shelf<LiveFile>, left: Shelf<Numbered>) -> Self {
        let (lost, open, words) = (BTreeMap::new(), BTreeMap::new(), HashSet::new());
        Self { live, left, lost, open, last_compaction: 0, reconversions: 0, losses: 0, words }
    }

    fn add(
        &mut self,
        mut output: OutputRecord,
        named_after: &str,
        options: &Arc<Options>,
        is_compacted: bool,
        tasks: &Arc<[TaskId]>,
    ) -> Result<(), Error> {
        let key = output.key.clone();
        let is_named = is_data_key(&key) && task_of_output(&key) == Some(named_after);
        if !is_named || *output.partition != *partition_of(&key) {
            return Err(broken("L8", format!("`{key}` is not the name of a file of `{named_after}`")));
        }
        output.partition = kept_once(&mut self.words, &output.partition);
        output.format = kept_once(&mut self.words, &output.format);
        let file = LiveFile { output, options: options.clone(), is_compacted, tasks: tasks.clone() };
        if self.live.add(file) { Ok(()) } else { Err(broken("L4", format!("`{key}` was added twice"))) }
    }

    /// Files of this key, or of the task of this id, are no part of the table any more.
    fn leave(&mut self, path: &str) {
        self.left.put(Numbered { id: ObjectId::of(path), etag: 0, number: 0 });
    }

    /// Rows of a task stay lost, though others are there again that were lost with them.
    fn keep_lost(&mut self, still: &StillLost) -> Result<(), Error> {
        let (options, loss) = (Arc::new(still.options.clone()), Arc::new(still.loss.clone()));
        let tasks: Arc<[TaskId]> = Arc::new([still.task]);
        let inputs: Arc<[u32]> = still.inputs.as_slice().into();
        for output in &still.outputs {
            let key = output.key.clone();
            if !is_data_key(&key)
                || task_of_output(&key).is_none()
                || *output.partition != *partition_of(&key)
            {
                return Err(broken("L8", format!("`{key}` is not the name of a file")));
            }
            let (output, options) = (output.clone(), options.clone());
            let file = LiveFile { output, options, is_compacted: false, tasks: tasks.clone() };
            let lost = LostFile { file, loss: loss.clone(), inputs: inputs.clone() };
            if self.lost.insert(key.clone(), lost).is_some() {
                return Err(broken("L4", format!("`{key}` was lost twice")));
            }
            self.leave(&key);
        }
        Ok(())
    }

    /// A task is given up.
    pub(crate) fn void(&mut self, task: &str) {
        self.leave(task);
    }

    /// A task is committed.
    pub(crate) fn settle(
        &mut self,
        task: TaskId,
        options: &Arc<Options>,
        outputs: Vec<OutputRecord>,
    ) -> Result<(), Error> {
        let tasks: Arc<[TaskId]> = Arc::new([task]);
        outputs.into_iter().try_for_each(|output| self.add(output, &task, options, false, &tasks))
    }

    /// Files were replaced.
    pub(crate) fn replace(&mut self, record: CompactionRecord, is_in_place: bool) -> Result<(), Error> {
        if record.number != self.last_compaction + 1 {
            let what = format!("compaction {} follows {}", record.number, self.last_compaction);
            return Err(broken("L2", what));
        }
        let keeps_rows = record.keeps_rows();
        let has_files = || record.reconversion.is_some() || record.all_outputs().next().is_some();
        if record.is_of_losses() && has_files() {
            return Err(broken("L6", format!("record {} of a loss has new files", record.number)));
        }
        if let Err(what) = record.check_rollup() {
            return Err(broken("L6", format!("roll-up {}: {what}", record.number)));
        }
        let (before, after) = record.rows();
        if keeps_rows && before != after {
            let what = format!("compaction {} made {after} rows of {before}", record.number);
            return Err(broken("L6", what));
        }
        if let (Some(before), Some(after)) = record.digests()
            && keeps_rows
            && before != after
        {
            let what = format!("compaction {} made rows of digest {after} of {before}", record.number);
            return Err(broken("L6", what));
        }
        self.last_compaction = record.number;
        let mut tasks: Vec<TaskId> = Vec::new();
        let loss = record.loss.clone().map(Arc::new);
        for file in &record.retired {
            let retired = match self.live.remove(&file.key)? {
                // Its objects were converted again.
                None if record.reconversion.is_some() => self.lost.remove(&file.key).map(|lost| lost.file),
                live => live,
            };
            let Some(retired) = retired else {
                let what = format!("compaction {} retires `{}`, which is not live", record.number, file.key);
                return Err(broken("L4", what));
            };
            tasks.extend(retired.tasks.iter());
            self.leave(&file.key);
            if let Some(loss) = &loss {
                let lost = LostFile { file: retired, loss: loss.clone(), inputs: Arc::default() };
                self.lost.insert(file.key.clone(), lost);
            }
        }
        for key in &record.regained {
            let Some(lost) = self.lost.remove(key) else {
                let what = format!("record {} regains `{key}`, whose loss nobody accepted", record.number);
                return Err(broken("L4", what));
            };
            self.left.discard(&ObjectId::of(key));
            self.live.put(lost.file);
        }
        self.losses += u64::from(record.is_of_losses());
        if record.rollup.is_some() {
            // The partition was made anew as a whole.
            self.lost.retain(|_, lost| *lost.file.output.partition != *record.partition);
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
                self.settle(task.commit.task, &Arc::new(task.options.clone()), task.commit.outputs.clone())?;
            }
            for task in &reconversion.rewritten {
                let options = Arc::new(task.options.clone());
                let tasks: Arc<[TaskId]> = Arc::new([task.task]);
                for output in &task.outputs {
                    // Named after the rewriting, which no commit tells of.
                    let name = task_of_output(&output.key).unwrap_or_default().to_owned();
                    self.add(output.clone(), &name, &options, false, &tasks)?;
                }
            }
        }
        for still in record.reconversion.iter().flat_map(|r| &r.still_lost) {
            self.keep_lost(still)?;
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

    /// Records among them that accept a loss, or take that back.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Files whose loss was accepted and whose objects were not converted again since, in key order.
    pub fn lost(&self) -> impl Iterator<Item = &LostFile> {
        self.lost.values()
    }

    /// The file of this key, if its loss was accepted.
    pub fn lost_at(&self, key: &str) -> Option<&LostFile> {
        self.lost.get(key)
    }

    /// Whether a reconversion may retire the file of this key: it is live, or its loss was accepted.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn is_replaceable(&self, key: &str) -> Result<bool, Error> {
        Ok(self.lost.contains_key(key) || self.get(key)?.is_some())
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
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn all(&self) -> Result<Vec<&LiveFile>, Error> {
        self.live.all()
    }

    /// The live file under a key.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn get(&self, key: &str) -> Result<Option<&LiveFile>, Error> {
        self.live.get(&key.to_owned())
    }

    /// Live files of a partition folder, in key order.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn of_partition(&self, folder: &str) -> Result<Vec<&LiveFile>, Error> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut files = self.live.starting_at(&prefix, |key| key.starts_with(&prefix))?;
        files.retain(|file| *file.output.partition == *folder);
        Ok(files)
    }

    /// Whether the table has no files, nor any that it may get back: then nothing is fixed that files have in common.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.lost.is_empty() && self.open.is_empty() && self.last_partitions(1)?.is_empty())
    }

    /// The last `count` partition folders in key order, which are the newest where they are named by date alone; perhaps a few
    /// more.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn last_partitions(&self, count: usize) -> Result<BTreeSet<String>, Error> {
        let mut found = BTreeSet::new();
        let firsts = self.live.firsts().rev().cloned().chain([String::new()]);
        for from in firsts {
            found = self
                .live
                .starting_at(&from, |_| true)?
                .iter()
                .map(|f| f.output.partition.to_string())
                .collect();
            if found.len() > count {
                break;
            }
        }
        while found.len() > count {
            found.pop_first();
        }
        Ok(found)
    }

    /// Live files by partition folder, each in key order.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn partitions(&self) -> Result<BTreeMap<String, Vec<LiveFile>>, Error> {
        let mut partitions: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
        for file in self.all()? {
            partitions.entry(file.output.partition.to_string()).or_default().push(file.clone());
        }
        Ok(partitions)
    }

    /// Where a live file may be.
    pub fn places(&self, file: &LiveFile) -> Places {
        let record = self.open().find(|r| r.all_outputs().any(|o| o.key == file.output.key));
        Places::new(record.map(|record| aside_key(record, &file.output)), file.output.key.clone())
    }

    /// Each log format that files have, with the options that they were written with.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn formats(&self) -> Result<Vec<(String, Arc<Options>)>, Error> {
        let mut found: Vec<(Arc<str>, Arc<Options>)> = Vec::new();
        let mut seen: HashMap<(*const u8, *const Options), ()> = HashMap::new();
        for file in self.all()? {
            // Both are mostly kept once: most files differ in neither.
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
        Ok(found.into_iter().map(|(format, options)| (format.to_string(), options)).collect())
    }

    /// What a data file of this key is to the table, apart from tasks without a commit.
    pub(crate) fn kind_of(&self, key: &str) -> Result<FileKind, Error> {
        let is_void = || task_of_output(key).map_or(Ok(false), |id| self.is_void(id));
        Ok(if self.get(key)?.is_some() {
            FileKind::Live
        } else if self.left.get(&ObjectId::of(key))?.is_some() || is_void()? {
            FileKind::Left
        } else {
            FileKind::Foreign
        })
    }

    /// Whether a task was given up.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn is_void(&self, task: &str) -> Result<bool, Error> {
        Ok(self.left.get(&ObjectId::of(task))?.is_some())
    }
}
