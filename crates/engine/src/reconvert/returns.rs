//! Records whose loss was accepted return for those objects of a task whose raw logs are there, while its others' stay lost.
//!
//! No task is superseded, and nothing that is in the table is touched: the record retires files whose loss was accepted alone, and says of their rows
//! which are there again, in files of their own, and which are lost still. It is put only while these files are lost as they were.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_sources::is_remote;
use flowquet_store::ErrorKind;
use flowquet_table::{
    CommitRecord, CompactionRecord, InputRecord, LAYOUT_VERSION, LAYOUT_VERSION_OF_LOSSES,
    LAYOUT_VERSION_OF_RETURNS, Log, OutputRecord, Reconversion, RetiredFile, RewrittenTask, SourceObject,
    StillLost, TableState, Task, TaskId, aside_key, output_name,
};

use super::choice::Chosen;
use super::differ::has_other_rejects;
use super::done::Reconverted;
use super::id::digest_of;
use super::part::{Group, LostParts};
use super::performing::run;
use super::request::{ATTEMPTS_MAX, Means};
use super::scope::is_gone;
use crate::convert::checkpoint;
use crate::enrich::EnrichmentFiles;
use crate::error::Error;
use crate::events::Event;
use crate::goal::{Goal, PlannedTask};
use crate::replace::{Late, Placing};
use crate::take::LOOKS_AHEAD;
use crate::union::formats_of;
use crate::words::counted;

/// An input of a task's commit, by its place.
type Place = (TaskId, u32);

/// Objects that are there as they were, and why others are not.
struct There {
    objects: BTreeMap<Place, SourceObject>,
    /// How many chosen objects of each task stay as they are.
    still_lost: BTreeMap<TaskId, u64>,
    why: Option<String>,
}

impl Means<'_> {
    /// Brings back what can be of the chosen objects, or of those of the tasks `only`, after what `done` tells. Nothing, if nothing can be.
    ///
    /// # Errors
    /// As stores report; unless the record is put, the table is as it was.
    pub(super) fn restore(
        self,
        log: &mut Log,
        only: Option<&HashSet<TaskId>>,
        done: &Reconverted,
    ) -> Result<Option<Reconverted>, Error> {
        let mut differing: HashMap<Place, String> = HashMap::new();
        let mut attempts = 1;
        loop {
            log.refresh()?;
            let mut chosen = match self.request.choice.choose(log, self.request.dry_run) {
                Err(Error::NothingChosen) => return Ok(None),
                chosen => chosen?,
            };
            chosen.tasks.retain(|task, _| only.is_none_or(|only| only.contains(task)));
            let mut parts = LostParts::of(log, &chosen.tasks.keys().copied().collect())?;
            self.leave_found(log, &mut parts)?;
            let there = self.there(&parts, &chosen, &differing)?;
            // Objects that are named, and not chosen for their loss, return all or not at all.
            let is_whole = there.still_lost.is_empty() && chosen.failed.is_empty();
            if there.objects.is_empty() || !self.request.choice.accepted && !is_whole {
                return Ok(None);
            }
            match self.restore_once(log, &parts, there, done.clone())? {
                Once::Done(done) => return Ok(Some(*done)),
                Once::Differing(found) => differing.extend(found),
                Once::Overtaken(_) if attempts < ATTEMPTS_MAX => attempts += 1,
                Once::Overtaken(why) => return Err(Error::Overtaken(why)),
            }
        }
    }

    /// Leaves out files that are there again, with all their rows: they can be made part of the table as they are.
    fn leave_found(self, log: &Log, parts: &mut LostParts) -> Result<(), Error> {
        let mut left = Vec::new();
        for group in std::mem::take(&mut parts.groups) {
            let mut is_found = false;
            for file in &group.files {
                match log.out().head(&file.file.output.key) {
                    Ok(_) => is_found = true,
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if !is_found {
                left.push(group);
            }
        }
        parts.groups = left;
        Ok(())
    }

    /// Looks for the raw logs of what is chosen and lost.
    fn there(
        self,
        parts: &LostParts,
        chosen: &Chosen,
        differing: &HashMap<Place, String>,
    ) -> Result<There, Error> {
        let mut asked: Vec<(Place, &SourceObject)> = Vec::new();
        let (mut still_lost, mut why) = (BTreeMap::new(), None);
        for (task, places) in &chosen.tasks {
            let lost = parts.inputs_of(*task);
            if lost.is_empty() {
                still_lost.insert(*task, places.len() as u64);
                continue;
            }
            let (_, commit) = &parts.tasks[task];
            for place in places.iter().map(|place| *place as u32).filter(|place| lost.contains(place)) {
                match differing.get(&(*task, place)) {
                    Some(differs) => {
                        *still_lost.entry(*task).or_default() += 1;
                        why.get_or_insert_with(|| differs.clone());
                    }
                    None => asked.push(((*task, place), &commit.inputs[place as usize].object)),
                }
            }
        }
        asked.sort_by_key(|(place, _)| *place);
        let (found, failed) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
        let each = asked.len().div_ceil(LOOKS_AHEAD).max(1);
        std::thread::scope(|scope| {
            for some in asked.chunks(each) {
                let (found, failed) = (&found, &failed);
                scope.spawn(move || {
                    for (place, object) in some.iter().take_while(|_| !self.stop.load(Ordering::Relaxed)) {
                        match self.sources.current(object) {
                            Ok((bytes, etag)) => {
                                let now = if object.etag().is_empty() && !is_remote(object) {
                                    (*object).clone()
                                } else {
                                    SourceObject::new(object.url().to_owned(), object.key(), bytes, &etag)
                                };
                                found.lock().unwrap_or_else(PoisonError::into_inner).insert(*place, now);
                            }
                            Err(error) => {
                                failed.lock().unwrap_or_else(PoisonError::into_inner).push((*place, error));
                            }
                        }
                    }
                });
            }
        });
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.sort_by_key(|(place, _)| *place);
        // A store that does not answer says nothing about raw logs.
        if let Some(at) = failed.iter().position(|(_, error)| !is_gone(error.kind())) {
            return Err(failed.swap_remove(at).1.into());
        }
        for ((task, _), _) in &failed {
            *still_lost.entry(*task).or_default() += 1;
        }
        if let Some((_, first)) = failed.first() {
            let count = counted(failed.len() as u64, "raw log");
            why = Some(format!("{count} needed for it cannot be read: {first}"));
        }
        Ok(There { objects: found.into_inner().unwrap_or_else(PoisonError::into_inner), still_lost, why })
    }

    fn restore_once(
        self,
        log: &mut Log,
        parts: &LostParts,
        there: There,
        mut done: Reconverted,
    ) -> Result<Once, Error> {
        let draft = Draft::new(parts, there.objects, log.state().last_plan());
        done.objects += draft.objects.len() as u64;
        done.still_lost = there.still_lost.values().sum();
        done.still_lost_why = there.why.or(done.still_lost_why).filter(|_| done.still_lost > 0);
        done.files_in += draft.groups.iter().map(|group| group.files.len() as u64).sum::<u64>();
        let partitions = draft.groups.iter().map(|group| group.partition.clone());
        done.partitions =
            done.partitions.into_iter().chain(partitions).collect::<BTreeSet<_>>().into_iter().collect();
        let records: u64 = draft.objects.keys().map(|place| parts.input(*place).counts.records).sum();
        done.records_before += records;
        if self.request.dry_run {
            return Ok(Once::Done(Box::new(done)));
        }
        let mut enrichments = EnrichmentFiles::new(&[]);
        let planned = draft.planned(log, parts, &mut enrichments)?;
        let budget = enrichments.left_of(self.request.budget);
        let performed = run(log, budget, &planned, self, &mut done.summary)?;
        // An equal run works in the same folder aside.
        let mut late = Late::default();
        late.add(draft.id.clone());
        let differing = draft.differing(parts, &performed.aside);
        if !differing.is_empty() || !performed.void.is_empty() {
            log.refresh()?;
            late.clear(log)?;
            return Ok(match performed.void.into_values().min() {
                Some(why) if differing.is_empty() => Once::Overtaken(why),
                _ => Once::Differing(differing),
            });
        }
        let record = draft.record(log, parts, performed.aside)?;
        let reconversions = log.state().files().reconversions();
        let is_right = |state: &TableState| {
            let files = state.files();
            // A file that was found again has all rows of its objects.
            let are_lost = record.retired.iter().all(|file| files.lost_at(&file.key).is_some());
            are_lost && files.reconversions() == reconversions
        };
        // One that could not read all any more has cleared the folder, and so has one that is through.
        let aside: HashSet<String> = log.aside(&draft.id)?.into_iter().collect();
        if record.all_outputs().any(|output| !aside.contains(&aside_key(&record, output))) {
            log.refresh()?;
            if !is_right(log.state()) {
                late.clear(log)?;
            }
            let why = "a concurrent run with the same options removed its files";
            return Ok(Once::Overtaken(why.to_owned()));
        }
        let put = log.append_compaction(&mut |state| {
            let number = state.files().last_compaction() + 1;
            Ok(is_right(state).then(|| CompactionRecord { number, ..record.clone() }))
        })?;
        let Some(record) = put else {
            late.clear(log)?;
            return Ok(Once::Overtaken("another run replaced some of its files meanwhile".to_owned()));
        };
        done.records_after += records;
        done.files_out += record.all_outputs().count() as u64;
        let Self { request, pointers, observer, stop, .. } = self;
        Placing { log, pointers, grace: request.grace, observer, stop }.place(&[&record])?;
        log.state_mut().close_compaction(record.number);
        log.refresh()?;
        // Objects that are gone may have had no rows in what was lost.
        let is_lost = |task| log.state().files().lost().any(|lost| lost.file.tasks.contains(task));
        done.still_lost =
            there.still_lost.iter().filter(|(task, _)| is_lost(task)).map(|(_, count)| count).sum();
        done.still_lost_why = done.still_lost_why.filter(|_| done.still_lost > 0);
        if let Some(warning) = checkpoint(log) {
            observer.event(&Event::Warning(&warning));
            done.summary.warnings.push(warning);
        }
        done.summary.settle();
        Ok(Once::Done(Box::new(done)))
    }
}

/// What came of a try.
enum Once {
    Done(Box<Reconverted>),
    /// Raw logs that can be read, and are not what they were; how they differ.
    Differing(HashMap<Place, String>),
    /// Another run got ahead, or a raw log changed while it was read: how.
    Overtaken(String),
}

impl LostParts {
    fn input(&self, (task, place): Place) -> &InputRecord {
        &self.tasks[&task].1.inputs[place as usize]
    }
}

/// What returns: objects of a task whose rows are lost in the same partitions.
struct Returned {
    task: TaskId,
    /// The task's name for what is written of them.
    name: TaskId,
    places: Vec<u32>,
    partitions: BTreeSet<String>,
}

struct Draft<'a> {
    id: String,
    objects: BTreeMap<Place, SourceObject>,
    returned: Vec<Returned>,
    /// Those of which something returns.
    groups: Vec<&'a Group>,
}

impl<'a> Draft<'a> {
    fn new(parts: &'a LostParts, objects: BTreeMap<Place, SourceObject>, last_plan: u64) -> Self {
        let mut together: BTreeMap<(TaskId, BTreeSet<String>), Vec<u32>> = BTreeMap::new();
        for (task, place) in objects.keys() {
            let partitions = parts.partitions_of(*task, *place);
            together.entry((*task, partitions)).or_default().push(*place);
        }
        let returns = |group: &&Group| {
            let has =
                |(task, place): &Place| group.tasks.get(task).is_some_and(|rows| rows.inputs.contains(place));
            objects.keys().any(has)
        };
        let groups: Vec<&Group> = parts.groups.iter().filter(returns).collect();
        let mut words = vec!["return".to_owned(), LAYOUT_VERSION.to_string(), last_plan.to_string()];
        words.extend(groups.iter().flat_map(|group| &group.files).map(|lost| lost.file.output.key.clone()));
        words.extend(objects.values().map(|o| format!("{} {} {}", o.url(), o.bytes, o.etag())));
        let id = format!("{:016x}", digest_of(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut returned: Vec<Returned> = Vec::new();
        for ((task, partitions), places) in together {
            let name = digest_of(&["returned", &id, &task, &returned.len().to_string()]);
            returned.push(Returned { task, name: TaskId::from(name), places, partitions });
        }
        Self { id, objects, returned, groups }
    }

    fn planned(
        &self,
        log: &Log,
        parts: &LostParts,
        enrichments: &mut EnrichmentFiles<'_>,
    ) -> Result<Vec<PlannedTask>, Error> {
        let mut planned = Vec::new();
        for returned in &self.returned {
            let (options, _) = &parts.tasks[&returned.task];
            let formats = formats_of(&log.state().formats(), &BTreeSet::new(), options)?;
            let objects = returned.places.iter().map(|place| self.objects[&(returned.task, *place)].clone());
            planned.push(PlannedTask {
                plan_number: log.state().last_plan(),
                goal: Goal::Aside {
                    id: self.id.clone(),
                    partitions: Some(Arc::new(returned.partitions.clone())),
                    is_whole: true,
                },
                context: enrichments.context(log, options, &formats)?,
                task: Task { id: returned.name, objects: objects.collect() },
            });
        }
        Ok(planned)
    }

    /// Objects that gave other lines than they had given.
    fn differing(&self, parts: &LostParts, commits: &[CommitRecord]) -> HashMap<Place, String> {
        let anew: HashMap<&str, &InputRecord> =
            commits.iter().flat_map(|c| &c.inputs).map(|input| (input.object.url(), input)).collect();
        let mut differing = HashMap::new();
        for place in self.objects.keys() {
            let before = parts.input(*place);
            // Its task was given up.
            let Some(now) = anew.get(before.object.url()) else { continue };
            let is_same = now.failed.is_none()
                && now.counts.records == before.counts.records
                && (before.digest.is_none() || now.digest == before.digest)
                && !has_other_rejects(before, now);
            if !is_same {
                let url = before.object.url();
                differing.insert(*place, format!("`{url}` is not what it was when it was converted"));
            }
        }
        differing
    }

    fn record(
        &self,
        log: &Log,
        parts: &LostParts,
        mut commits: Vec<CommitRecord>,
    ) -> Result<CompactionRecord, Error> {
        commits.sort_by_key(|commit| commit.task);
        let outputs: HashMap<TaskId, &[OutputRecord]> =
            commits.iter().map(|commit| (commit.task, commit.outputs.as_slice())).collect();
        let mut still_lost = Vec::new();
        for group in &self.groups {
            for (task, rows) in &group.tasks {
                let of_task = || self.returned.iter().filter(|returned| returned.task == *task);
                let written = of_task().flat_map(|returned| outputs[&returned.name]);
                let written: Vec<_> = written.filter(|o| *o.partition == *group.partition).collect();
                let returned: BTreeSet<u32> = of_task().flat_map(|r| r.places.iter().copied()).collect();
                let inputs: Vec<u32> = rows.inputs.difference(&returned).copied().collect();
                let left = rows.without(&written).filter(|left| left.is_empty() || !inputs.is_empty());
                let Some(mut left) = left else {
                    let what =
                        format!("rows that return to `{}` are not those of task {task}", group.partition);
                    return Err(Error::Accounting(what));
                };
                if left.is_empty() {
                    continue;
                }
                let name = TaskId::from(digest_of(&["lost still", &self.id, task]));
                for (sequence, output) in left.iter_mut().enumerate() {
                    output.key = output_name(&group.partition, &name, sequence);
                }
                let is_told = rows.is_told || inputs.len() < rows.inputs.len();
                still_lost.push(StillLost {
                    task: *task,
                    options: (*parts.tasks[task].0).clone(),
                    loss: (*rows.loss).clone(),
                    outputs: left,
                    inputs: if is_told { inputs } else { Vec::new() },
                });
            }
        }
        let rewritten: Vec<RewrittenTask> = self
            .returned
            .iter()
            .map(|returned| {
                let now = returned.places.iter().map(|place| (returned.task, *place));
                let changed = now.filter(|place| parts.input(*place).object != self.objects[place]);
                RewrittenTask {
                    task: returned.task,
                    options: (*parts.tasks[&returned.task].0).clone(),
                    outputs: outputs[&returned.name].to_vec(),
                    objects: changed.map(|place| self.objects[&place].clone()).collect(),
                }
            })
            .collect();
        let is_new = rewritten.iter().any(|task| !task.objects.is_empty())
            || still_lost.iter().any(|still| !still.inputs.is_empty());
        let layout_version = match (is_new, still_lost.is_empty()) {
            (true, _) => LAYOUT_VERSION_OF_RETURNS,
            (false, false) => LAYOUT_VERSION_OF_LOSSES,
            (false, true) => LAYOUT_VERSION,
        };
        let retired = self.groups.iter().flat_map(|group| &group.files);
        let options = self.returned.first().map(|r| (*parts.tasks[&r.task].0).clone()).unwrap_or_default();
        let reconversion = Reconversion {
            plan: log.state().last_plan(),
            superseded: Vec::new(),
            tasks: Vec::new(),
            rewritten,
            still_lost,
        };
        let retired = retired.map(|lost| RetiredFile::of(&lost.file.output)).collect();
        let id = self.id.clone();
        Ok(CompactionRecord::of_reconversion(layout_version, id, options, retired, reconversion))
    }
}
