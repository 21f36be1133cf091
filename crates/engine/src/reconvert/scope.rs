//! How far a reconversion reaches: the tasks that are superseded, the files that are replaced, and the rows of others in them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_sources::{SourceSet, is_remote};
use flowquet_store::ErrorKind;
use flowquet_table::{
    CommitRecord, Digest, FailedClaim, LiveFile, Log, Loss, LostFile, Options, OutputRecord, ReturnedObjects,
    SourceObject, StillLost, TaskId, output_name,
};

use crate::error::Error;
use crate::reconvert::choice::Chosen;
use crate::reconvert::rows::without;
use crate::take::LOOKS_AHEAD;
use crate::words::{counted, grouped};

/// A task whose chosen objects and companions are converted anew.
pub(crate) struct Superseded {
    pub(crate) id: TaskId,
    pub(crate) options: Arc<Options>,
    pub(crate) commit: CommitRecord,
    /// What it had converted, and whether that is chosen.
    pub(crate) objects: Vec<(SourceObject, bool)>,
}

/// A task that goes on counting, some of whose rows are written anew.
pub(crate) struct Neighbour {
    pub(crate) id: TaskId,
    pub(crate) options: Arc<Options>,
    pub(crate) objects: Vec<SourceObject>,
    /// Partition folders of those rows.
    pub(crate) partitions: BTreeSet<String>,
    /// Whether rows of other partitions are written anew too, of other objects.
    pub(crate) is_part: bool,
    /// Files that its commit told of there.
    outputs: Vec<OutputRecord>,
    /// Whether all of these rows are lost, and why that was accepted.
    loss: Option<Arc<Loss>>,
}

/// How many rows there are, and their digest, where it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    rows: u64,
    digest: Option<Digest>,
}

impl Rows {
    /// Those of files, by partition.
    pub(crate) fn of(outputs: &[OutputRecord]) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for output in outputs {
            let none = Self { rows: 0, digest: Some(Digest::default()) };
            let of_partition = all.entry(output.partition.to_string()).or_insert(none);
            of_partition.rows += output.rows;
            of_partition.digest = Digest::sum([of_partition.digest, output.digest]);
        }
        all
    }

    /// Whether these may be the same rows.
    fn may_be(&self, other: &Self) -> bool {
        let differ = self.digest.zip(other.digest).is_some_and(|(ours, theirs)| ours != theirs);
        self.rows == other.rows && !differ
    }
}

impl Neighbour {
    /// Its rows by partition.
    fn rows(&self) -> BTreeMap<String, Rows> {
        Rows::of(&self.outputs)
    }

    /// Its rows as lost ones, in files of these names.
    pub(crate) fn still_lost(&self, name: TaskId) -> Option<StillLost> {
        let mut outputs = self.outputs.clone();
        for (sequence, output) in outputs.iter_mut().enumerate() {
            output.key = output_name(&output.partition, &name, sequence);
        }
        let (task, options) = (self.id, (*self.options).clone());
        Some(StillLost { task, options, loss: self.loss.as_deref()?.clone(), outputs, inputs: Vec::new() })
    }
}

/// How far a reconversion reaches.
pub(crate) struct Scope {
    pub(crate) superseded: Vec<Superseded>,
    pub(crate) neighbours: Vec<Neighbour>,
    /// Neighbours whose rows stay lost.
    pub(crate) still_lost: Vec<Neighbour>,
    /// Live files that are replaced, in key order.
    pub(crate) retired: Vec<LiveFile>,
    /// Chosen objects that had failed.
    pub(crate) failed: Vec<FailedClaim>,
    /// Objects of superseded tasks that had failed, and are not chosen.
    pub(crate) failed_companions: Vec<FailedClaim>,
}

impl Scope {
    pub(crate) fn new(log: &Log, chosen: Chosen) -> Result<Self, Error> {
        let superseded: HashSet<TaskId> = chosen.tasks.keys().copied().collect();
        let files = log.state().files();
        // Tasks count the rows of files whose loss was accepted, which become part of the table again with theirs. Where it is known of which objects
        // these are, they may stay lost beside others of the same task.
        let is_reached = |lost: &&LostFile| {
            lost.inputs.is_empty() || lost.file.tasks.iter().any(|t| superseded.contains(t))
        };
        let lost = files.lost().filter(is_reached).map(|lost| &lost.file);
        let (retired, others) = reach(files.all()?.into_iter().chain(lost), &superseded);
        let Chosen { failed, tasks: chosen } = chosen;
        let is_companion = |claim: &FailedClaim| {
            superseded.contains(&claim.task) && !failed.iter().any(|f| f.object.url() == claim.object.url())
        };
        let all_failed = log.state().failed()?.into_iter();
        let failed_companions = all_failed.filter(|claim| is_companion(claim)).cloned().collect();
        let mut scope = Self {
            superseded: Vec::new(),
            neighbours: Vec::new(),
            still_lost: Vec::new(),
            retired,
            failed,
            failed_companions,
        };
        let mut wanted: HashMap<TaskId, Option<BTreeSet<String>>> =
            superseded.iter().map(|id| (*id, None)).collect();
        wanted.extend(others.into_iter().map(|(id, partitions)| (id, Some(partitions))));
        scope.read_tasks(log, wanted, &chosen)?;
        Ok(scope)
    }

    /// Finds the tasks of these ids in the log: those to be superseded, and neighbours with their partitions.
    fn read_tasks(
        &mut self,
        log: &Log,
        mut wanted: HashMap<TaskId, Option<BTreeSet<String>>>,
        chosen: &BTreeMap<TaskId, HashSet<usize>>,
    ) -> Result<(), Error> {
        let commits = commits_of(log, &|id| wanted.contains_key(id))?;
        for (options, commit) in commits {
            let id = commit.task;
            let Some(partitions) = wanted.remove(&id) else { continue };
            match partitions {
                Some(partitions) => {
                    self.neighbours.extend(neighbours_of(log, &self.retired, &options, &commit, partitions)?);
                }
                None => {
                    // Indices are those of the task's objects, which a commit's inputs follow.
                    let indices = &chosen[&id];
                    let inputs = commit.inputs.iter().enumerate().filter(|(_, i)| i.failed.is_none());
                    let objects = inputs.map(|(n, i)| (i.object.clone(), indices.contains(&n))).collect();
                    self.superseded.push(Superseded { id, options, commit, objects });
                }
            }
        }
        if let Some(id) = wanted.keys().next() {
            let what = format!("no record mentions task {id}, whose rows are in the table");
            return Err(Error::Accounting(what));
        }
        self.superseded.sort_by_key(|task| task.id);
        self.neighbours.sort_by(|a, b| (a.id, &a.partitions).cmp(&(b.id, &b.partitions)));
        Ok(())
    }

    /// Those of some tasks that have to be read: whose rows are not lost already as far as they are reached.
    pub(crate) fn needed_of(&self, tasks: &BTreeSet<TaskId>) -> BTreeSet<TaskId> {
        let may_stay = |task: &TaskId| self.neighbours.iter().any(|n| n.id == *task && n.loss.is_some());
        tasks.iter().filter(|task| !may_stay(task)).copied().collect()
    }

    /// Neighbours of these tasks stay lost as they are, where they may.
    pub(crate) fn keep_lost(&mut self, tasks: &BTreeSet<TaskId>) {
        let stays = |n: &Neighbour| n.loss.is_some() && tasks.contains(&n.id);
        (self.still_lost, self.neighbours) =
            std::mem::take(&mut self.neighbours).into_iter().partition(stays);
    }

    /// Chosen objects that are in the table.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = &SourceObject> {
        self.superseded.iter().flat_map(|t| &t.objects).filter(|(_, chosen)| *chosen).map(|(o, _)| o)
    }

    /// Objects of the same tasks that are not chosen.
    pub(crate) fn companions(&self) -> impl Iterator<Item = &SourceObject> {
        self.superseded.iter().flat_map(|t| &t.objects).filter(|(_, chosen)| !*chosen).map(|(o, _)| o)
    }

    /// Only objects with rejects stay chosen.
    pub(crate) fn keep_rejects(&mut self) {
        for task in &mut self.superseded {
            let rejects: HashSet<&str> =
                task.commit.inputs.iter().filter(|i| i.counts.rejects > 0).map(|i| i.object.url()).collect();
            for (object, is_chosen) in &mut task.objects {
                *is_chosen &= rejects.contains(object.url());
            }
        }
    }

    /// Takes objects as they are now: all that are files, since their modification times may have changed without their bytes, and of those in
    /// buckets what is chosen. The others must be what they were, and are asked for by their etags anyway.
    pub(crate) fn refresh(&mut self, sources: &SourceSet, stop: &AtomicBool) -> Result<(), Error> {
        let of_tasks = self.superseded.iter_mut().flat_map(|t| t.objects.iter_mut().map(|o| (t.id, o)));
        let of_tasks = of_tasks.filter(|(_, (o, is_chosen))| *is_chosen || !is_remote(o));
        let of_tasks = of_tasks.map(|(id, (o, _))| (true, id, o));
        let of_neighbours = self.neighbours.iter_mut().flat_map(|n| n.objects.iter_mut().map(|o| (n.id, o)));
        let of_neighbours = of_neighbours.filter(|(_, o)| !is_remote(o)).map(|(id, o)| (true, id, o));
        // What failed in a bucket fails again where it is gone, and costs nobody else.
        let of_failed = self.failed.iter_mut().map(|claim| (claim.task, &mut claim.object));
        let of_failed = of_failed.map(|(id, o)| (!is_remote(o), id, o));
        let of_companions = self.failed_companions.iter_mut();
        let of_companions = of_companions.map(|claim| (false, claim.task, &mut claim.object));
        let mut objects: Vec<(bool, TaskId, &mut SourceObject)> =
            of_tasks.chain(of_neighbours).chain(of_failed).chain(of_companions).collect();
        let each = objects.len().div_ceil(LOOKS_AHEAD).max(1);
        let unreadable = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for some in objects.chunks_mut(each) {
                let unreadable = &unreadable;
                scope.spawn(move || {
                    for (is_needed, task, object) in
                        some.iter_mut().take_while(|_| !stop.load(Ordering::Relaxed))
                    {
                        match sources.current(object) {
                            Ok((bytes, etag)) if !object.etag().is_empty() || is_remote(object) => {
                                **object =
                                    SourceObject::new(object.url().to_owned(), object.key(), bytes, &etag);
                            }
                            Ok(_) => {}
                            Err(_) if !*is_needed => {}
                            Err(error) => unreadable.lock().unwrap_or_else(PoisonError::into_inner).push((
                                object.url().to_owned(),
                                *task,
                                error,
                            )),
                        }
                    }
                });
            }
        });
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut unreadable = unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
        unreadable.sort_by(|a, b| a.0.cmp(&b.0));
        // A store that does not answer says nothing about raw logs.
        if let Some(at) = unreadable.iter().position(|(.., error)| !is_gone(error.kind())) {
            return Err(unreadable.swap_remove(at).2.into());
        }
        let tasks = unreadable.iter().map(|(_, task, _)| *task).collect();
        let count = counted(unreadable.len() as u64, "raw log");
        match unreadable.first() {
            None => Ok(()),
            Some((.., first)) => {
                let why = format!("{count} needed for it cannot be read: {first}");
                Err(Error::RawLogsDiffer { tasks, why })
            }
        }
    }

    /// Objects of superseded tasks that are gone, or are not chosen and not what they were, and why the first of them is: where a task was given up,
    /// one of them is the reason, or an object changed while it was read.
    pub(crate) fn unlike(&self, sources: &SourceSet) -> Result<(BTreeSet<TaskId>, String), Error> {
        let (mut tasks, mut why) = (BTreeSet::new(), String::new());
        for (task, (object, is_chosen)) in
            self.superseded.iter().flat_map(|task| task.objects.iter().map(|object| (task.id, object)))
        {
            let differs = match sources.current(object) {
                Ok((bytes, etag)) => {
                    let is_same =
                        bytes == object.bytes && (*etag == *object.etag() || object.etag().is_empty());
                    (!is_same && !is_chosen).then(|| format!("`{}` changed", object.url()))
                }
                Err(error) if is_gone(error.kind()) => Some(format!("`{}` is gone: {error}", object.url())),
                Err(error) => return Err(error.into()),
            };
            if let Some(differs) = differs {
                tasks.insert(task);
                why = if why.is_empty() { differs } else { why };
            }
        }
        Ok((tasks, why))
    }

    /// Checks that neighbours gave the rows that they gave before: rows of retired files are those of superseded tasks and theirs.
    /// `rewritten` are rows of neighbours now, by task and partition.
    pub(crate) fn check_rows(
        &self,
        rewritten: &BTreeMap<TaskId, BTreeMap<String, Rows>>,
    ) -> Result<(), Error> {
        let none = BTreeMap::new();
        let differs = |n: &&Neighbour| {
            let (before, now) = (n.rows(), rewritten.get(&n.id).unwrap_or(&none));
            before.len() != now.keys().filter(|partition| n.partitions.contains(*partition)).count()
                || before.iter().any(|(partition, rows)| !now.get(partition).is_some_and(|r| r.may_be(rows)))
        };
        let differing: Vec<&Neighbour> = self.neighbours.iter().filter(differs).collect();
        if let Some(first) = differing.first() {
            let sum = |rows: &BTreeMap<String, Rows>| rows.values().map(|r| r.rows).sum();
            let (had, has) = (sum(&first.rows()), sum(rewritten.get(&first.id).unwrap_or(&none)));
            let has = match has == had {
                true => "as many others now".to_owned(),
                false => format!("{} now", grouped(has)),
            };
            let one_of = if first.objects.len() == 1 { "" } else { ", or another raw log of its task," };
            let url = first.objects.first().map_or_else(String::new, |object| object.url().to_owned());
            return Err(Error::RecordsDiffer {
                url,
                why: format!(
                    "{one_of} had {} in the same files when it was converted, and has {has}",
                    counted(had, "record")
                ),
                tasks: differing.iter().map(|n| n.id).collect(),
            });
        }
        let mut before: BTreeMap<String, u64> = BTreeMap::new();
        for file in &self.retired {
            *before.entry(file.output.partition.to_string()).or_default() +=
                file.output.rows + file.output.duplicates.rows;
        }
        let mut after: BTreeMap<String, u64> = BTreeMap::new();
        let still_lost: Vec<_> = self.still_lost.iter().map(Neighbour::rows).collect();
        for (partition, rows) in rewritten.values().chain(&still_lost).flatten() {
            *after.entry(partition.clone()).or_default() += rows.rows;
        }
        for output in self.superseded.iter().flat_map(|t| &t.commit.outputs) {
            *after.entry(output.partition.to_string()).or_default() += output.rows;
        }
        before.retain(|_, rows| *rows > 0);
        after.retain(|_, rows| *rows > 0);
        if before == after {
            return Ok(());
        }
        let what = format!("retired files have other rows than their tasks: {before:?}, {after:?}");
        Err(Error::Accounting(what))
    }
}

/// A neighbour, of which rows of these partitions stand in `retired` files. Where rows of some of its objects are lost apart, these stay lost as they are,
/// and partitions where others do are done by themselves: what is lost in one may stand in a file of another.
fn neighbours_of(
    log: &Log,
    retired: &[LiveFile],
    options: &Arc<Options>,
    commit: &CommitRecord,
    partitions: BTreeSet<String>,
) -> Result<Vec<Neighbour>, Error> {
    let id = commit.task;
    let is_apart = |lost: &&LostFile| !lost.inputs.is_empty() && lost.file.tasks.contains(&id);
    let apart: Vec<&LostFile> = log.state().files().lost().filter(is_apart).collect();
    let mut by_lost: BTreeMap<BTreeSet<u32>, (BTreeSet<String>, Vec<OutputRecord>)> = BTreeMap::new();
    for partition in partitions {
        let is_of = |output: &OutputRecord| *output.partition == *partition;
        let lost: Vec<_> = apart.iter().filter(|lost| is_of(&lost.file.output)).collect();
        let mut outputs: Vec<_> = commit.outputs.iter().filter(|output| is_of(output)).cloned().collect();
        if !lost.is_empty() {
            let left = without(&outputs, lost.iter().map(|lost| &lost.file.output));
            let what = || format!("more of task {id} is lost in `{partition}` than it had");
            outputs = left.ok_or_else(|| Error::Accounting(what()))?;
        }
        let inputs = lost.iter().flat_map(|lost| lost.inputs.iter().copied()).collect();
        let (of_all, outputs_of_all) = by_lost.entry(inputs).or_default();
        of_all.insert(partition);
        outputs_of_all.extend(outputs);
    }
    let loss = lost_rows(log, retired, id);
    let is_part = by_lost.len() > 1;
    let neighbour = |(lost, (partitions, outputs)): (BTreeSet<u32>, _)| {
        let read = commit.inputs.iter().enumerate().filter(|(_, input)| input.failed.is_none());
        let read = read.filter(|(place, _)| !lost.contains(&(*place as u32)));
        let objects = read.map(|(_, input)| input.object.clone()).collect();
        Neighbour { id, options: options.clone(), objects, partitions, is_part, outputs, loss: loss.clone() }
    };
    Ok(by_lost.into_iter().map(neighbour).collect())
}

/// The commits of the tasks that are wanted, with their options, each with its objects as they were last.
pub(super) fn commits_of(
    log: &Log,
    is_wanted: &dyn Fn(&TaskId) -> bool,
) -> Result<Vec<(Arc<Options>, CommitRecord)>, Error> {
    let mut commits: Vec<(Arc<Options>, CommitRecord)> = Vec::new();
    let mut returned = ReturnedObjects::default();
    log.read_compactions(|record| {
        if let Some(reconversion) = record.reconversion {
            returned.add(&reconversion);
            let tasks = reconversion.tasks.into_iter().filter(|task| is_wanted(&task.commit.task));
            commits.extend(tasks.map(|task| (Arc::new(task.options), task.commit)));
        }
        Ok(())
    })?;
    let mut planned: Vec<(TaskId, u64)> = Vec::new();
    log.read_plans(|plan| {
        let ids = plan.tasks.into_iter().map(|t| t.id).filter(|id| is_wanted(id));
        planned.extend(ids.map(|id| (id, plan.number)));
        Ok(())
    })?;
    for (id, plan) in planned {
        commits.push((log.state().options_of(plan).clone(), log.read_commit(&id, plan)?));
    }
    commits.iter_mut().for_each(|(_, commit)| returned.apply(commit));
    Ok(commits)
}

/// Why it was accepted that rows of a task are lost, where all files of `retired` that hold some are.
fn lost_rows(log: &Log, retired: &[LiveFile], task: TaskId) -> Option<Arc<Loss>> {
    let files = log.state().files();
    let mut of_task =
        retired.iter().filter(|f| f.tasks.contains(&task)).map(|f| files.lost_at(&f.output.key));
    let first = of_task.next()??.loss.clone();
    of_task.all(|lost| lost.is_some()).then_some(first)
}

/// Whether an object that a store answers so for cannot be read: S3 denies what is not there to whoever may not list the bucket.
pub(crate) fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Denied
            | ErrorKind::Folder
            | ErrorKind::NoBucket
            | ErrorKind::NotAFile
            | ErrorKind::NotAFolder
            | ErrorKind::NotFound
    )
}

/// The live files that are replaced if these tasks are superseded, and the tasks whose rows stand in them too, with the partitions.
///
/// Of a task, the rows of a partition are done anew together: which of its files there held which of them nobody knows.
pub(super) fn reach<'a>(
    files: impl Iterator<Item = &'a LiveFile>,
    superseded: &HashSet<TaskId>,
) -> (Vec<LiveFile>, BTreeMap<TaskId, BTreeSet<String>>) {
    let mut by_partition: BTreeMap<&str, Vec<&LiveFile>> = BTreeMap::new();
    for file in files {
        by_partition.entry(&file.output.partition).or_default().push(file);
    }
    let mut retired: Vec<LiveFile> = Vec::new();
    let mut others: BTreeMap<TaskId, BTreeSet<String>> = BTreeMap::new();
    for (partition, files) in by_partition {
        let mut tasks: HashSet<TaskId> = superseded.clone();
        let mut rest = files;
        loop {
            let (reached, left): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|f| f.tasks.iter().any(|t| tasks.contains(t)));
            rest = left;
            if reached.is_empty() {
                break;
            }
            for file in reached {
                for task in file.tasks.iter().filter(|t| !superseded.contains(*t)) {
                    tasks.insert(*task);
                    others.entry(*task).or_default().insert(partition.to_owned());
                }
                retired.push(file.clone());
            }
        }
    }
    retired.sort_by(|a, b| a.output.key.cmp(&b.output.key));
    (retired, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_table::Duplicates;

    fn file(key: &str, partition: &str, tasks: &[u64]) -> LiveFile {
        let output = OutputRecord {
            key: key.into(),
            partition: partition.into(),
            rows: 1,
            bytes: 1,
            time: None,
            format: "".into(),
            digest: None,
            duplicates: Duplicates::default(),
            rollup: None,
            crc32: None,
        };
        LiveFile {
            output,
            options: Arc::default(),
            is_compacted: tasks.len() > 1,
            tasks: tasks.iter().copied().map(TaskId::from).collect(),
        }
    }

    #[test]
    fn a_reconversion_reaches_as_far_as_rows_stand_together() {
        let files = [
            file("a1", "d1", &[1]),
            file("a2", "d2", &[1, 2]),
            file("b2", "d2", &[2, 3]),
            file("c2", "d2", &[4]),
            file("c3", "d3", &[2]),
        ];
        let (retired, others) = reach(files.iter(), &HashSet::from([1.into()]));
        let keys: Vec<&str> = retired.iter().map(|f| f.output.key.as_str()).collect();
        // Task 2 shares a file with task 1 in d2, and another with task 3 there. What it has in d3 stays.
        assert_eq!(keys, ["a1", "a2", "b2"]);
        let of = |p: &str| BTreeSet::from([p.to_owned()]);
        assert_eq!(others, BTreeMap::from([(2.into(), of("d2")), (3.into(), of("d2"))]));
        let (retired, others) = reach(files.iter(), &HashSet::from([4.into()]));
        assert_eq!((retired.len(), others.len()), (1, 0));
    }
}
