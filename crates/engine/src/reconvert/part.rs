//! Rows whose loss was accepted, told apart by tasks and objects: so those of some objects can return while those of others of the same
//! task stay lost.
//!
//! Files whose loss was accepted hang together where they held rows of the same tasks. Such a group of a partition can be divided where it is
//! known what each of its tasks had in it: all of its rows of the partition, if no live file has any of these, or what files say that tell of whose
//! rows they were. Otherwise which row was whose nobody knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flowquet_table::{CommitRecord, Log, Loss, LostFile, Options, OutputRecord, TaskId};

use super::rows::{by_format, without};
use super::scope::{commits_of, reach};
use crate::error::Error;

/// Files whose loss was accepted, and that can be divided.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) partition: String,
    pub(super) files: Vec<LostFile>,
    /// What each task had in them.
    pub(super) tasks: BTreeMap<TaskId, LostRows>,
}

/// Rows of a task in files of a group.
#[derive(Debug)]
pub(super) struct LostRows {
    /// Places of the inputs of the task's commit that they came from.
    pub(super) inputs: BTreeSet<u32>,
    /// Whether files say so; else all of the task's rows of the partition are lost.
    pub(super) is_told: bool,
    /// One for each log format.
    pub(super) outputs: Vec<OutputRecord>,
    pub(super) loss: Arc<Loss>,
}

/// What is lost of some tasks, and of those whose rows were in the same files.
#[derive(Debug, Default)]
pub(super) struct LostParts {
    pub(super) groups: Vec<Group>,
    pub(super) tasks: HashMap<TaskId, (Arc<Options>, CommitRecord)>,
}

impl LostParts {
    /// What is lost of these tasks. `log` has all of it in memory.
    pub(super) fn of(log: &Log, tasks: &BTreeSet<TaskId>) -> Result<Self, Error> {
        let files = log.state().files();
        let mut lost: BTreeMap<String, Vec<&LostFile>> = BTreeMap::new();
        for file in files.lost() {
            lost.entry(file.file.output.partition.to_string()).or_default().push(file);
        }
        let mut live: HashMap<String, HashSet<TaskId>> = HashMap::new();
        for file in files.all()?.into_iter().filter(|f| lost.contains_key(&*f.output.partition)) {
            live.entry(file.output.partition.to_string()).or_default().extend(file.tasks.iter());
        }
        let mut together: Vec<(String, Vec<LostFile>)> = Vec::new();
        for (partition, mut files) in lost {
            for task in tasks {
                let (reached, _) = reach(files.iter().map(|lost| &lost.file), &HashSet::from([*task]));
                let reached: HashSet<&str> = reached.iter().map(|f| f.output.key.as_str()).collect();
                let (group, rest): (Vec<_>, Vec<_>) =
                    files.into_iter().partition(|lost| reached.contains(lost.file.output.key.as_str()));
                files = rest;
                if !group.is_empty() {
                    together.push((partition.clone(), group.into_iter().cloned().collect()));
                }
            }
        }
        let of_groups = together.iter().flat_map(|(_, files)| files).flat_map(|f| f.file.tasks.iter());
        let wanted: HashSet<TaskId> = of_groups.copied().collect();
        let commits = commits_of(log, &|id| wanted.contains(id))?;
        let tasks: HashMap<TaskId, (Arc<Options>, CommitRecord)> =
            commits.into_iter().map(|(options, commit)| (commit.task, (options, commit))).collect();
        let mut groups = Vec::new();
        for (partition, files) in together {
            let none = HashSet::new();
            let live = live.get(&partition).unwrap_or(&none);
            groups.extend(divided(partition, files, live, &tasks)?);
        }
        Ok(Self { groups, tasks })
    }

    /// Places of the inputs of a task's commit whose rows are lost and may return.
    pub(super) fn inputs_of(&self, task: TaskId) -> BTreeSet<u32> {
        let rows = self.groups.iter().filter_map(|group| group.tasks.get(&task));
        rows.flat_map(|rows| rows.inputs.iter().copied()).collect()
    }

    /// The partitions in which rows of an input of a task's commit are lost and may return.
    pub(super) fn partitions_of(&self, task: TaskId, input: u32) -> BTreeSet<String> {
        let has = |group: &&Group| group.tasks.get(&task).is_some_and(|rows| rows.inputs.contains(&input));
        self.groups.iter().filter(has).map(|group| group.partition.clone()).collect()
    }
}

/// Tells rows of files apart by their tasks; nothing where nobody can. `live` are the tasks that have live files in the partition.
fn divided(
    partition: String,
    files: Vec<LostFile>,
    live: &HashSet<TaskId>,
    commits: &HashMap<TaskId, (Arc<Options>, CommitRecord)>,
) -> Result<Option<Group>, Error> {
    let all: BTreeSet<TaskId> = files.iter().flat_map(|f| f.file.tasks.iter().copied()).collect();
    let mut tasks = BTreeMap::new();
    for task in all {
        let Some((_, commit)) = commits.get(&task) else {
            let what = format!("no record mentions task {task}, whose rows are lost");
            return Err(Error::Accounting(what));
        };
        let own: Vec<&LostFile> = files.iter().filter(|f| f.file.tasks.contains(&task)).collect();
        let loss = own[0].loss.clone();
        let rows = if !live.contains(&task) {
            let read = commit.inputs.iter().enumerate().filter(|(_, input)| input.failed.is_none());
            let inputs = read.map(|(place, _)| place as u32).collect();
            let outputs = commit.outputs.iter().filter(|output| *output.partition == *partition);
            LostRows { inputs, is_told: false, outputs: by_format(outputs), loss }
        } else if own.iter().all(|file| !file.inputs.is_empty()) {
            let inputs = own.iter().flat_map(|file| file.inputs.iter().copied()).collect();
            let outputs = own.iter().map(|file| &file.file.output);
            LostRows { inputs, is_told: true, outputs: by_format(outputs), loss }
        } else {
            return Ok(None);
        };
        tasks.insert(task, rows);
    }
    let had: u64 = files.iter().map(|f| f.file.output.rows + f.file.output.duplicates.rows).sum();
    let of_tasks: u64 = tasks.values().flat_map(|rows| &rows.outputs).map(|output| output.rows).sum();
    if had != of_tasks {
        let what = format!("lost files of `{partition}` had {had} rows, and their tasks {of_tasks}");
        return Err(Error::Accounting(what));
    }
    Ok(Some(Group { partition, files, tasks }))
}

impl LostRows {
    /// What is lost still once the rows of `returned` are there again; nothing where these cannot be some of them.
    pub(super) fn without(&self, returned: &[&OutputRecord]) -> Option<Vec<OutputRecord>> {
        without(&self.outputs, returned.iter().copied())
    }
}
