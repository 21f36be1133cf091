//! Tasks of a reconversion, and the record that puts what they made in place of what was there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flowquet_plan::plan_tasks;
use flowquet_sources::SourceSet;
use flowquet_table::{
    CommitRecord, CompactionRecord, LAYOUT_VERSION, LAYOUT_VERSION_OF_LOSSES, Log, Options, Reconversion,
    ReconvertedTask, RetiredFile, RewrittenTask, SourceObject, SupersededTask, Task, TaskId,
};

use super::change::Change;
use super::choice::Choice;
use super::id::digest_of;
use super::scope::{Neighbour, Rows, Scope};
use crate::enrich::EnrichmentFiles;
use crate::error::Error;
use crate::goal::{Goal, PlannedTask};
use crate::take::check_columns;
use crate::union::formats_of;

/// Tasks of a reconversion, and what each is for.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) planned: Vec<PlannedTask>,
    /// Options of new tasks, by id.
    options: HashMap<TaskId, Options>,
    /// The neighbour that a task writes rows of anew, by the id of the task that does.
    pub(super) rewrites: HashMap<TaskId, TaskId>,
    /// URLs of objects of superseded tasks that must give the records that they gave.
    pub(super) restored: HashSet<String>,
}

impl Draft {
    pub(super) fn new(
        log: &Log,
        scope: &Scope,
        change: &Change,
        is_restored: bool,
        enrichments: &mut EnrichmentFiles<'_>,
    ) -> Result<Self, Error> {
        let mut restored = HashSet::new();
        let mut words =
            vec!["reconversion".to_owned(), LAYOUT_VERSION.to_string(), log.state().last_plan().to_string()];
        words.extend(scope.retired.iter().map(|f| f.output.key.clone()));
        // With the same options an object is chosen or a companion, and gives the same.
        let mut by_options: BTreeMap<String, (Options, Vec<SourceObject>)> = BTreeMap::new();
        for task in &scope.superseded {
            for (object, is_chosen) in &task.objects {
                let options = if *is_chosen { change.apply(&task.options) } else { (*task.options).clone() };
                // A task without files may be older than what files of the table have in common.
                let options = log.state().contract().completed(options);
                if (is_restored || !*is_chosen) && options == *task.options {
                    restored.insert(object.url().to_owned());
                }
                let key = serde_json::to_string(&options).expect("plain values");
                by_options.entry(key).or_insert_with(|| (options, Vec::new())).1.push(object.clone());
            }
            words.push(task.id.to_string());
        }
        words.extend(by_options.keys().cloned());
        words.extend(scope.still_lost.iter().map(|n| format!("still lost {}", n.id)));
        let digest = digest_of(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let id = format!("{digest:016x}");
        let (options, rewrites) = (HashMap::new(), HashMap::new());
        let mut draft = Self { planned: Vec::new(), options, rewrites, restored, id };
        for (key, (options, objects)) in by_options {
            if change.columns.is_some() {
                let written = log.state().formats();
                let written = written.written().iter().map(|(format, _)| format.to_string());
                let given = options.reading.formats().iter().map(|f| f.to_string());
                check_columns(&options, written.chain(given).collect())?;
            }
            let seed = format!("reconversion {} {key}", draft.id);
            for task in plan_tasks(objects, &seed, &options) {
                draft.options.insert(task.id, options.clone());
                draft.push(log, task, &options, None, enrichments)?;
            }
        }
        for neighbour in &scope.neighbours {
            let task = draft.rewriting_of(neighbour);
            draft.rewrites.insert(task, neighbour.id);
            draft.options.insert(task, (*neighbour.options).clone());
            let partitions = Some(Arc::new(neighbour.partitions.clone()));
            let task = Task { id: task, objects: neighbour.objects.clone() };
            draft.push(log, task, &neighbour.options, partitions, enrichments)?;
        }
        Ok(draft)
    }

    /// The name of what a neighbour's rows are written anew as.
    fn rewriting_of(&self, neighbour: &Neighbour) -> TaskId {
        let mut words = vec!["rewriting", self.id.as_str(), &neighbour.id];
        if neighbour.is_part {
            words.extend(neighbour.partitions.iter().map(String::as_str));
        }
        TaskId::from(digest_of(&words))
    }

    /// What tasks that were given up come to. Objects of neighbours, and of others that are not chosen, are asked for as they were; what else changed
    /// did so while it was read, and is taken as it is then by another try.
    pub(super) fn changed(
        &self,
        scope: &Scope,
        sources: &SourceSet,
        void: HashMap<TaskId, String>,
    ) -> Result<Error, Error> {
        let of = |task: &TaskId| self.rewrites.get(task).copied();
        let tasks: BTreeSet<TaskId> = void.keys().filter_map(of).collect();
        if tasks.is_empty() {
            let (tasks, why) = scope.unlike(sources)?;
            let changed = || Error::Overtaken(void.into_values().min().unwrap_or_default());
            return Ok(if tasks.is_empty() { changed() } else { Error::RawLogsDiffer { tasks, why } });
        }
        let why = void.into_iter().filter(|(task, _)| of(task).is_some()).map(|(_, why)| why).min();
        Ok(Error::RawLogsDiffer { tasks, why: why.unwrap_or_default() })
    }

    /// What would be lost: objects that gave records until now, and cannot be read with the options that were asked for.
    pub(super) fn loss(&self, scope: &Scope, commits: &[CommitRecord]) -> Option<Error> {
        let inputs = scope.superseded.iter().flat_map(|t| t.commit.inputs.iter().map(|input| (t.id, input)));
        let gave = inputs.filter(|(_, i)| i.counts.records > 0).map(|(task, i)| (i.object.url(), task));
        let gave: HashMap<&str, TaskId> = gave.collect();
        let anew = commits.iter().filter(|c| !self.rewrites.contains_key(&c.task)).flat_map(|c| &c.inputs);
        let failed = anew.filter_map(|input| Some((input.object.url(), input.failed.as_ref()?)));
        let lost: Vec<_> = failed.filter_map(|(url, cause)| Some((url, cause, *gave.get(url)?))).collect();
        let (url, cause, _) = lost.first()?;
        Some(Error::RecordsLost {
            objects: lost.len() as u64,
            url: (*url).to_owned(),
            why: cause.to_string(),
            tasks: lost.iter().map(|(.., task)| *task).collect(),
        })
    }

    /// Where rejects were to be mended and fewer records would come of it: mostly a format that is missing.
    pub(super) fn fewer(&self, scope: &Scope, commits: &[CommitRecord], choice: &Choice) -> Option<Error> {
        if !choice.rejects || choice.fewer_records {
            return None;
        }
        let anew = commits.iter().filter(|c| !self.rewrites.contains_key(&c.task));
        let before = scope.superseded.iter().map(|t| t.commit.counts.records).sum();
        let after = anew.map(|c| c.counts.records).sum();
        (after < before).then_some(Error::FewerRecords { before, after })
    }

    fn push(
        &mut self,
        log: &Log,
        task: Task,
        options: &Options,
        partitions: Option<Arc<BTreeSet<String>>>,
        enrichments: &mut EnrichmentFiles<'_>,
    ) -> Result<(), Error> {
        let formats = formats_of(&log.state().formats(), &BTreeSet::new(), options)?;
        self.planned.push(PlannedTask {
            plan_number: log.state().last_plan(),
            goal: Goal::Aside { id: self.id.clone(), partitions, is_whole: false },
            context: enrichments.context(log, options, &formats)?,
            task,
        });
        Ok(())
    }

    /// The record that replaces what stood there before by what was put aside.
    pub(super) fn record(
        &self,
        log: &Log,
        scope: &Scope,
        mut commits: Vec<CommitRecord>,
        change: &Change,
    ) -> Result<CompactionRecord, Error> {
        commits.sort_by_key(|commit| commit.task);
        let mut reconversion = Reconversion {
            plan: log.state().last_plan(),
            superseded: scope
                .superseded
                .iter()
                .map(|t| SupersededTask {
                    task: t.id,
                    objects: t.commit.inputs.iter().filter(|i| i.failed.is_none()).count() as u64,
                    bytes_in: t
                        .commit
                        .inputs
                        .iter()
                        .filter(|i| i.failed.is_none())
                        .map(|i| i.object.bytes)
                        .sum(),
                    counts: t.commit.counts.clone(),
                })
                .collect(),
            tasks: Vec::new(),
            rewritten: Vec::new(),
            still_lost: scope
                .still_lost
                .iter()
                .filter_map(|neighbour| neighbour.still_lost(self.rewriting_of(neighbour)))
                .collect(),
        };
        let mut rewritten: BTreeMap<TaskId, BTreeMap<String, Rows>> = BTreeMap::new();
        for commit in commits {
            let options = self.options[&commit.task].clone();
            match self.rewrites.get(&commit.task) {
                None => reconversion.tasks.push(ReconvertedTask { options, commit }),
                Some(neighbour) => {
                    rewritten.entry(*neighbour).or_default().extend(Rows::of(&commit.outputs));
                    let (task, outputs) = (*neighbour, commit.outputs);
                    reconversion.rewritten.push(RewrittenTask {
                        task,
                        options,
                        outputs,
                        objects: Vec::new(),
                    });
                }
            }
        }
        scope.check_rows(&rewritten)?;
        let first = scope.superseded.first().map(|t| (*t.options).clone()).unwrap_or_default();
        let layout_version =
            if scope.still_lost.is_empty() { LAYOUT_VERSION } else { LAYOUT_VERSION_OF_LOSSES };
        let retired = scope.retired.iter().map(|f| RetiredFile::of(&f.output)).collect();
        let (id, options) = (self.id.clone(), change.apply(&first));
        Ok(CompactionRecord::of_reconversion(layout_version, id, options, retired, reconversion))
    }
}
