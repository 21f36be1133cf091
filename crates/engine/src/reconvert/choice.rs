//! Which objects of a table are converted anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use flowquet_format::ObjectKey;
use flowquet_table::{FailedClaim, LiveFile, Log, SourceObject, TableState, TaskId, check_files};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::Error;
use crate::partitions::{check_partitions, is_chosen};

/// Which objects; those that satisfy each kind of condition that is set, and of several of one kind any.
#[derive(Debug, Default)]
pub struct Choice {
    objects: Option<GlobSet>,
    /// Parts of partition folders, such as `date=2024-01-15` or `date=2024-01-*`: objects that gave rows to them.
    pub partitions: Vec<String>,
    /// Objects that have rejects.
    pub rejects: bool,
    /// Whether fewer records may come of objects that have rejects.
    pub fewer_records: bool,
    /// Objects of tasks whose files are lost or truncated.
    pub lost: bool,
    /// Objects of tasks whose files are lost, and whose loss was accepted.
    pub accepted: bool,
    /// Objects of tasks that have rows in these files, by their keys.
    pub files: Option<BTreeSet<String>>,
    /// Flow log ids.
    pub flow_log_ids: Vec<String>,
}

/// What a choice comes to: objects of each task, by the task's id as records spell it.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Ids of tasks to indices of their objects.
    pub(crate) tasks: BTreeMap<TaskId, HashSet<usize>>,
    /// Objects that had failed.
    pub(crate) failed: Vec<FailedClaim>,
}

impl Choice {
    /// Chooses objects whose URL, or key below the source, matches one of these globs; `*` stays within a folder.
    ///
    /// # Errors
    /// A message, where one is no glob.
    pub fn set_objects(&mut self, globs: &[String]) -> Result<(), String> {
        if globs.is_empty() {
            return Ok(());
        }
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(|e| e.to_string())?);
        }
        self.objects = Some(set.build().map_err(|e| e.to_string())?);
        Ok(())
    }

    /// Whether no condition is set.
    pub fn is_empty(&self) -> bool {
        self.objects.is_none()
            && self.partitions.is_empty()
            && self.flow_log_ids.is_empty()
            && !self.rejects
            && !self.lost
            && !self.accepted
            && self.files.is_none()
    }

    fn admits(&self, object: &SourceObject) -> bool {
        let by_name =
            self.objects.as_ref().is_none_or(|set| set.is_match(object.url()) || set.is_match(object.key()));
        let by_flow_log = || {
            let key = ObjectKey::parse(object.url());
            self.flow_log_ids.is_empty() || key.flow_log_id.is_some_and(|id| self.flow_log_ids.contains(&id))
        };
        by_name && by_flow_log()
    }

    /// The objects of a table that this chooses.
    pub(crate) fn choose(&self, log: &mut Log, dry_run: bool) -> Result<Chosen, Error> {
        log.ask(TableState::read_all)?;
        // Of tasks, where files tell.
        let mut of_files: Option<HashSet<TaskId>> = None;
        let mut narrow = |tasks: HashSet<TaskId>| {
            let both = |before: HashSet<TaskId>| before.intersection(&tasks).copied().collect();
            of_files = Some(of_files.take().map_or_else(|| tasks.clone(), both));
        };
        if self.lost {
            let check = check_files(log)?;
            let lost: HashSet<&str> =
                check.lost.iter().chain(&check.truncated).map(|f| f.key.as_str()).collect();
            let files =
                log.state().files().all()?.into_iter().filter(|f| lost.contains(f.output.key.as_str()));
            narrow(files.flat_map(|f| f.tasks.iter().copied()).collect());
        }
        if self.accepted {
            narrow(log.state().files().lost().flat_map(|lost| lost.file.tasks.iter().copied()).collect());
        }
        if let Some(keys) = &self.files {
            let files = log.state().files().all()?.into_iter().filter(|f| keys.contains(&f.output.key));
            narrow(files.flat_map(|f| f.tasks.iter().copied()).collect());
        }
        if !self.partitions.is_empty() {
            let files = log.state().files();
            let lost = files.lost().map(|lost| &lost.file);
            let all: Vec<&LiveFile> = files.all()?.into_iter().chain(lost).collect();
            let folders = all.iter().map(|f| (f.output.partition.to_string(), ())).collect();
            check_partitions(&folders, &self.partitions)?;
            let files = all.into_iter().filter(|f| is_chosen(&f.output.partition, &self.partitions));
            narrow(files.flat_map(|f| f.tasks.iter().copied()).collect());
        }
        let mut chosen = Chosen::default();
        let mut superseded: HashSet<TaskId> = HashSet::new();
        let mut tasks: Vec<(TaskId, Vec<SourceObject>)> = Vec::new();
        let open: HashSet<TaskId> = log.state().open_tasks().map(|t| t.task.id).collect();
        let is_wanted =
            |id: TaskId| !open.contains(&id) && of_files.as_ref().is_none_or(|tasks| tasks.contains(&id));
        let mut take = |id: TaskId, objects: Vec<SourceObject>| {
            if is_wanted(id) && objects.iter().any(|o| self.admits(o)) {
                tasks.push((id, objects));
            }
        };
        log.read_compactions(|record| {
            if let Some(reconversion) = record.reconversion {
                superseded.extend(reconversion.superseded.into_iter().map(|t| t.task));
                for task in reconversion.tasks {
                    take(task.commit.task, task.commit.inputs.into_iter().map(|i| i.object).collect());
                }
            }
            Ok(())
        })?;
        log.read_plans(|plan| {
            plan.tasks.into_iter().for_each(|task| take(task.id, task.objects));
            Ok(())
        })?;
        let totals = log.state().totals();
        let known = log.state().known();
        for (id, objects) in tasks {
            let is_left_out = superseded.contains(&id) || self.rejects && !totals.has_rejects(id);
            if is_left_out || log.state().files().is_void(&id)? {
                continue;
            }
            let mut indices = HashSet::new();
            for (i, object) in objects.iter().enumerate().filter(|(_, o)| self.admits(o)) {
                if known.is_taken(object)? {
                    indices.insert(i);
                }
            }
            if !indices.is_empty() {
                chosen.tasks.insert(id, indices);
            }
        }
        if !self.rejects && of_files.is_none() {
            chosen.failed =
                log.state().failed()?.into_iter().filter(|c| self.admits(&c.object)).cloned().collect();
            chosen.failed.sort_by(|a, b| a.object.url().cmp(b.object.url()));
        }
        // What a dry run cannot finish may hide some.
        let may_be_hidden = dry_run && log.state().files().open().next().is_some();
        if chosen.tasks.is_empty() && chosen.failed.is_empty() && !may_be_hidden {
            return Err(Error::NothingChosen);
        }
        Ok(chosen)
    }

    /// Whether objects are chosen for the sake of files, whose rows are to be what they were, and not by name, to be taken as they are now.
    pub(crate) fn restores(&self) -> bool {
        let is_by_name = self.objects.is_some() || !self.flow_log_ids.is_empty();
        !is_by_name && (self.lost || self.accepted || self.files.is_some())
    }

    /// Whether objects are chosen for their accepted loss: those that cannot be read may stay lost.
    pub(crate) fn may_leave_lost(&self) -> bool {
        self.accepted && self.restores()
    }

    /// Whether records of chosen objects whose loss was accepted may return while those of others of their tasks stay lost.
    pub(crate) fn may_leave_part(&self) -> bool {
        !self.rejects && !self.lost && self.files.is_none()
    }

    /// Whether only objects with rejects are wanted.
    pub(crate) fn wants_rejects(&self) -> bool {
        self.rejects
    }
}
