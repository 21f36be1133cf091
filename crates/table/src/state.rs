//! What a table's records add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::cause::Cause;
use crate::compaction::{CompactionRecord, Reconversion};
use crate::contract::TableContract;
use crate::error::Error;
use crate::files::{FileKind, Files, LiveFile};
use crate::formats::TableFormats;
use crate::known::{FailedClaim, Known, Sorted};
use crate::layout::{rejects_key, task_of_output};
use crate::objects::{ObjectId, SourceObject, UrlDigest, url_digest};
use crate::options::Options;
use crate::records::{Counts, PlanRecord, Task};
use crate::settled::{Settled, check_commit};
use crate::shelf::Words;
use crate::task_id::TaskId;

/// A table at one moment: a fold over its records.
///
/// Records are listed so that whatever one rests on was put before it and is listed after it: compactions, plans, commits. So the
/// state is one that the table had. These hold for it, and a record that breaks one is an error, [`Error::Broken`]; the numbers are
/// those of `docs/SEMANTICS.md`:
///
/// - L1: an object is in at most one live task, one that is neither void nor superseded and did not fail to read it.
/// - L2: plans are numbered from 1 without gaps, and so are compactions and reconversions together.
/// - L3: a task has one commit.
/// - L4: a file is live, retired or lost. It is added once, and retired once, when it is live, or by a reconversion when its loss was
///   accepted; one that is lost is live again once it is regained.
/// - L5: lines add up: in each commit, over its inputs, and with the rows of its files. What was read and what was written have the
///   same digest.
/// - L6: a compaction's files hold as many rows as those that it retires, and have the same digest, each with the duplicates that
///   were left out of them.
/// - L7: a reconversion supersedes live tasks, and takes what they had taken.
/// - L8: a file's key stays inside the table and names the task or compaction that wrote it.
#[derive(Debug, Clone)]
pub struct TableState {
    contract: TableContract,
    last_plan: u64,
    /// What is kept of each plan, by number from 1.
    plans: Vec<PlanFacts>,
    /// What the tasks of the last plan were, unless a checkpoint told of it.
    last_tasks: Option<TasksDigest>,
    open: BTreeMap<u64, Vec<Task>>,
    /// Commits of plans that are not read yet.
    early: HashMap<TaskId, Settled>,
    pub(crate) totals: Totals,
    pub(crate) known: Known,
    pub(crate) files: Files,
    /// Of tasks that are committed.
    pub(crate) formats: TableFormats,
    ignored: HashSet<UrlDigest>,
    /// Options that segments of the checkpoint name by their place.
    pub(crate) words: Arc<Words>,
}

/// What is kept of a plan beside its open tasks.
#[derive(Debug, Clone)]
pub(crate) struct PlanFacts {
    pub(crate) options: Arc<Options>,
    pub(crate) layout_version: u32,
    /// Log formats whose columns its files have.
    pub(crate) formats: Arc<[String]>,
}

/// A digest of a plan's tasks and their objects, so that shards of one plan need not read again what they all have read. It is
/// kept nowhere: another version may compute another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TasksDigest(u64);

impl TasksDigest {
    fn of(tasks: &[Task]) -> Self {
        let mut hasher = DefaultHasher::new();
        for task in tasks {
            (&task.id, task.objects.len()).hash(&mut hasher);
            for object in &task.objects {
                (object.url(), object.key(), object.bytes, object.etag()).hash(&mut hasher);
            }
        }
        Self(hasher.finish())
    }
}

/// Sums over committed tasks that count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tasks.
    pub tasks: u64,
    /// Tasks that were given up.
    pub void: u64,
    /// Converted objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Their lines.
    pub counts: Counts,
    /// Tasks that have rejects.
    pub(crate) with_rejects: BTreeSet<TaskId>,
    /// Objects that are damaged and were read in part, by their tasks.
    pub(crate) damaged: BTreeMap<TaskId, u64>,
}

impl Totals {
    /// Whether a task that counts has rejects.
    pub fn has_rejects(&self, task: TaskId) -> bool {
        self.with_rejects.contains(&task)
    }

    /// Converted objects that are damaged and were read in part.
    pub fn damaged_objects(&self) -> u64 {
        self.damaged.values().sum()
    }

    /// Counts a task that has rejects or damaged objects.
    fn mark(&mut self, task: TaskId, settled: &Settled) {
        if settled.counts.rejects > 0 {
            self.with_rejects.insert(task);
        }
        if settled.damaged > 0 {
            self.damaged.insert(task, settled.damaged);
        }
    }

    /// Keys of files of rejects.
    pub fn reject_files(&self) -> impl Iterator<Item = String> {
        self.with_rejects.iter().map(|id| rejects_key(id))
    }
}

/// A task without a commit.
#[derive(Debug, Clone)]
pub struct OpenTask<'a> {
    /// The plan's number.
    pub plan: u64,
    /// The plan's options.
    pub options: &'a Arc<Options>,
    /// Layout version of the plan.
    pub layout_version: u32,
    /// Log formats whose columns its files have.
    pub formats: &'a Arc<[String]>,
    /// The task.
    pub task: &'a Task,
}

/// Objects that plans took since the checkpoint, and that are not sorted in yet, at most.
const CHANGES_MAX: usize = 1 << 20;

fn broken<T>(invariant: &'static str, what: String) -> Result<T, Error> {
    Err(Error::Broken { invariant, what })
}

impl TableState {
    /// A table without plans.
    pub(crate) fn new(contract: TableContract) -> Self {
        Self {
            contract,
            last_plan: 0,
            plans: Vec::new(),
            last_tasks: None,
            open: BTreeMap::new(),
            early: HashMap::new(),
            totals: Totals::default(),
            known: Known::default(),
            files: Files::default(),
            formats: TableFormats::default(),
            ignored: HashSet::new(),
            words: Arc::default(),
        }
    }

    /// What a checkpoint tells. `open` are the tasks without a commit, by plan.
    pub(crate) fn stored(
        contract: TableContract,
        plans: Vec<PlanFacts>,
        open: BTreeMap<u64, Vec<Task>>,
        totals: Totals,
    ) -> Self {
        let mut state = Self { last_plan: plans.len() as u64, open, totals, ..Self::new(contract) };
        plans.last().iter().for_each(|plan| state.follow(&plan.options));
        Self { plans, ..state }
    }

    /// What is kept of each plan, by number from 1.
    pub(crate) fn plans(&self) -> &[PlanFacts] {
        &self.plans
    }

    /// Whether the last plan is this one; `None` where only its record tells.
    pub(crate) fn last_plan_is(&self, plan: &PlanRecord) -> Option<bool> {
        let PlanFacts { options, layout_version, formats } = self.plans.last()?;
        let tasks = self.last_tasks?;
        let is_number = plan.number == self.last_plan && plan.layout_version == *layout_version;
        let is_same = is_number && plan.options == **options && plan.formats == **formats;
        Some(is_same && TasksDigest::of(&plan.tasks) == tasks)
    }

    /// Tasks without a commit, by plan.
    pub(crate) fn open_by_plan(&self) -> &BTreeMap<u64, Vec<Task>> {
        &self.open
    }

    /// Adds a plan, after those before it.
    pub(crate) fn add_plan(&mut self, plan: PlanRecord) -> Result<(), Error> {
        if plan.number != self.last_plan + 1 {
            return broken("L2", format!("plan {} follows {}", plan.number, self.last_plan));
        }
        self.last_plan = plan.number;
        self.follow(&plan.options);
        self.last_tasks = Some(TasksDigest::of(&plan.tasks));
        // Most plans have the options of the one before.
        let options = match self.plans.last() {
            Some(last) if *last.options == plan.options => last.options.clone(),
            _ => Arc::new(plan.options),
        };
        let formats: Arc<[String]> = match self.plans.last() {
            Some(last) if *last.formats == *plan.formats => last.formats.clone(),
            _ => plan.formats.into(),
        };
        let layout_version = plan.layout_version;
        self.plans.push(PlanFacts { options: options.clone(), layout_version, formats: formats.clone() });
        let mut open = Vec::new();
        for task in plan.tasks {
            let settled = self.early.remove(&task.id);
            if settled.as_ref().is_some_and(|s| s.is_void) {
                self.totals.void += 1;
                self.files.void(&task.id);
                continue;
            }
            for object in &task.objects {
                // A manifest could name an object twice to a program of layout 4.
                if plan.layout_version < 5 {
                    self.known.take_again(object);
                } else if !self.known.take(object) {
                    let what = format!("plan {} takes `{}`, which is taken", plan.number, object.url());
                    return broken("L1", what);
                }
            }
            match settled {
                Some(settled) => self.settle(plan.number, &task, settled)?,
                None => open.push(task),
            }
        }
        if !open.is_empty() {
            self.open.insert(plan.number, open);
        }
        // Sorted and without gaps it takes half as much memory.
        if self.known.taken.changed() <= CHANGES_MAX {
            return Ok(());
        }
        match self.known.taken.seal().and_then(|()| self.known.named.seal()) {
            // Nothing has changed then, and it can wait.
            Err(Error::Checkpoint { .. }) => Ok(()),
            sealed => sealed,
        }
    }

    /// Adds a commit. That of a plan that is not known yet waits for it; one that is known already is passed over.
    pub(crate) fn add_commit(&mut self, task: TaskId, settled: Settled) -> Result<(), Error> {
        if settled.plan > self.last_plan {
            self.early.insert(task, settled);
            return Ok(());
        }
        let Some(open) = self.open.get_mut(&settled.plan) else { return Ok(()) };
        let Some(place) = open.iter().position(|t| t.id == task) else { return Ok(()) };
        let task = open.remove(place);
        if open.is_empty() {
            self.open.remove(&settled.plan);
        }
        if settled.is_void {
            self.totals.void += 1;
            self.files.void(&task.id);
            task.objects.iter().for_each(|object| self.known.free(object));
            return Ok(());
        }
        self.settle(settled.plan, &task, settled)
    }

    /// A task of a plan is committed; its objects are taken already.
    fn settle(&mut self, plan: u64, task: &Task, settled: Settled) -> Result<(), Error> {
        let options = self.options_of(plan).clone();
        self.totals.mark(task.id, &settled);
        self.totals.tasks += 1;
        self.totals.objects += settled.objects;
        self.totals.bytes_in += settled.bytes_in;
        self.totals.counts.add(&settled.counts);
        self.learn_formats(&settled, task.objects.iter(), &options);
        task.objects.iter().for_each(|object| self.known.convert(object));
        self.fail_objects(settled.failed, &options, task.id);
        self.files.settle(task.id, &options, settled.outputs)
    }

    fn learn_formats<'a>(
        &mut self,
        settled: &Settled,
        objects: impl Iterator<Item = &'a SourceObject>,
        options: &Arc<Options>,
    ) {
        settled.outputs.iter().for_each(|output| self.formats.add(&output.format, options));
        let failed: HashSet<&str> = settled.failed.iter().map(|(o, _)| o.url()).collect();
        objects.filter(|o| !failed.contains(o.url())).for_each(|o| self.formats.add_flow_log_of(o));
    }

    fn fail_objects(&mut self, failed: Vec<(SourceObject, Cause)>, options: &Arc<Options>, task: TaskId) {
        for (object, cause) in failed {
            self.known.fail(FailedClaim::new(object, cause, options.clone(), task));
        }
    }

    /// Adds a compaction or reconversion, after those before it.
    pub(crate) fn add_compaction(
        &mut self,
        record: CompactionRecord,
        is_in_place: bool,
    ) -> Result<(), Error> {
        if let Some(reconversion) = &record.reconversion {
            self.add_reconversion(reconversion)?;
        }
        if record.rollup.is_some() {
            // No commit tells of them.
            let options = Arc::new(record.options.clone());
            record.outputs.iter().for_each(|output| self.formats.add(&output.format, &options));
        }
        self.files.replace(record, is_in_place)
    }

    fn add_reconversion(&mut self, reconversion: &Reconversion) -> Result<(), Error> {
        let ids = reconversion.superseded.iter().map(|t| t.task).collect();
        self.known.forget_failures_of(&ids)?;
        let totals = &mut self.totals;
        for task in &reconversion.superseded {
            let all = [
                (&mut totals.tasks, 1),
                (&mut totals.objects, task.objects),
                (&mut totals.bytes_in, task.bytes_in),
                (&mut totals.counts.lines, task.counts.lines),
                (&mut totals.counts.records, task.counts.records),
                (&mut totals.counts.rejects, task.counts.rejects),
                (&mut totals.counts.headers, task.counts.headers),
                (&mut totals.counts.blanks, task.counts.blanks),
            ];
            for (sum, less) in all {
                let Some(left) = sum.checked_sub(less) else {
                    return broken("L7", format!("task {} counts more than the table", task.task));
                };
                *sum = left;
            }
            totals.with_rejects.remove(&task.task);
            totals.damaged.remove(&task.task);
        }
        for object in reconversion.rewritten.iter().flat_map(|task| &task.objects) {
            if !self.known.is_taken(object)? {
                return broken("L7", format!("rows of `{}` return, which is not taken", object.url()));
            }
            self.known.take_again(object);
        }
        for task in &reconversion.tasks {
            check_commit(&task.commit)?;
            for input in &task.commit.inputs {
                if !self.known.is_taken(&input.object)? {
                    return broken("L7", format!("`{}` was reconverted, but not taken", input.object.url()));
                }
                // As it is now: it may have changed since it was taken.
                self.known.take_again(&input.object);
            }
            let options = Arc::new(task.options.clone());
            let settled = Settled::of(task.commit.clone())?;
            self.totals.mark(task.commit.task, &settled);
            self.totals.tasks += 1;
            self.totals.objects += settled.objects;
            self.totals.bytes_in += settled.bytes_in;
            self.totals.counts.add(&settled.counts);
            self.learn_formats(&settled, task.commit.inputs.iter().map(|i| &i.object), &options);
            self.fail_objects(settled.failed, &options, task.commit.task);
        }
        Ok(())
    }

    /// The files of compaction `number` are in place.
    pub fn close_compaction(&mut self, number: u64) {
        self.files.close(number);
    }

    pub(crate) fn set_ignored(&mut self, ignored: HashSet<UrlDigest>) {
        self.ignored = ignored;
    }

    /// Files have in common what the newest plan does.
    pub(crate) fn follow(&mut self, options: &Options) {
        self.contract.follow(options);
    }

    /// The table contract.
    pub fn contract(&self) -> &TableContract {
        &self.contract
    }

    /// Number of the newest plan; 0 without any.
    pub fn last_plan(&self) -> u64 {
        self.last_plan
    }

    /// Whether the table is a roll-up, whose rows are groups of another's records: it alone has compactions and no plan.
    pub fn is_rollup(&self) -> bool {
        self.last_plan == 0 && self.files.last_compaction() > 0
    }

    /// Options of plan `number`, which must be one of the table's.
    pub fn options_of(&self, number: u64) -> &Arc<Options> {
        &self.plans[number as usize - 1].options
    }

    /// Layout version of plan `number`, which must be one of the table's.
    pub fn layout_of(&self, number: u64) -> u32 {
        self.plans[number as usize - 1].layout_version
    }

    /// Tasks without a commit, in the order of their plans.
    pub fn open_tasks(&self) -> impl Iterator<Item = OpenTask<'_>> {
        let of_plan = |(&plan, tasks)| -> Vec<OpenTask<'_>> {
            let tasks: &Vec<Task> = tasks;
            let PlanFacts { options, layout_version, formats } = &self.plans[plan as usize - 1];
            let layout_version = *layout_version;
            tasks.iter().map(|task| OpenTask { plan, options, layout_version, formats, task }).collect()
        };
        self.open.iter().flat_map(of_plan)
    }

    /// The first plan that has tasks without a commit; the next one where there is none.
    pub(crate) fn first_open_plan(&self) -> u64 {
        self.open.keys().next().copied().unwrap_or(self.last_plan + 1)
    }

    /// Sums over committed tasks.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Objects that the table's tasks hold.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Objects that could not be read, apart from those that a task without a commit tries again.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn failed(&self) -> Result<Vec<&FailedClaim>, Error> {
        let open: HashSet<&str> =
            self.open.values().flatten().flat_map(|t| &t.objects).map(SourceObject::url).collect();
        let mut failed = self.known.failed.all()?;
        failed.retain(|claim| !open.contains(claim.object.url()));
        Ok(failed)
    }

    /// Log formats of the table, and of what open tasks are about to write.
    pub fn formats(&self) -> TableFormats {
        let mut formats = self.formats.clone();
        // Their objects were looked at when they were planned, if their program did so.
        for open in self.open_tasks().filter(|t| !t.formats.is_empty()) {
            open.formats.iter().for_each(|format| formats.add(&format.as_str().into(), open.options));
            open.task.objects.iter().for_each(|object| formats.add_flow_log_of(object));
        }
        formats
    }

    /// What the table consists of.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Whether somebody said that nobody needs to be told of the object.
    pub fn is_ignored(&self, object: &SourceObject) -> bool {
        self.ignored.contains(&url_digest(object.url()))
    }

    /// Has what a checkpoint tells of files, and of objects that could not be read, be in memory: to be asked of
    /// [`crate::Log::ask`] before it is used.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`], [`Error::Broken`].
    pub fn read_files(&self) -> Result<(), Error> {
        self.files.live.all()?;
        self.files.left.all()?;
        self.known.failed.all().map(drop)
    }

    /// Reads all that a checkpoint holds into memory, to be asked of [`crate::Log::ask`] before it is used.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`], [`Error::Broken`].
    pub fn read_all(&self) -> Result<(), Error> {
        self.known.taken.all()?;
        self.known.named.all()?;
        self.read_files()
    }

    /// Reads what a checkpoint holds about these objects into memory, to be asked of [`crate::Log::ask`] before it is used.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`], [`Error::Broken`].
    pub fn read_known(&self, listing: &[SourceObject]) -> Result<(), Error> {
        self.known.prepare(listing)
    }

    /// Sorts out a listing for a run with `options`.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`], [`Error::Broken`].
    pub fn sort_out(&self, listing: Vec<SourceObject>, options: &Options) -> Result<Sorted, Error> {
        let open: HashSet<ObjectId> =
            self.open.values().flatten().flat_map(|t| &t.objects).map(SourceObject::id).collect();
        self.known.sort_out(listing, options, &open)
    }

    /// All that it holds, as text: states that are the same have the same.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`], [`Error::Broken`].
    pub fn dump(&self) -> Result<String, Error> {
        let json = |options: &Options| serde_json::to_string(options).expect("plain values");
        let mut text = format!("{:?}\n{:?}\n", self.contract, self.totals);
        for plan in &self.plans {
            let _ = writeln!(text, "{} {:?} {}", plan.layout_version, plan.formats, json(&plan.options));
        }
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.open_tasks().map(|t| format!("open {} {}", t.plan, t.task.id)));
        lines.extend(self.known.taken.all()?.iter().map(|entry| format!("taken {entry:?}")));
        lines.extend(self.known.named.all()?.iter().map(|entry| format!("named {entry:?}")));
        lines.extend(self.known.failed.all()?.iter().map(|claim| {
            let FailedClaim { object, cause, options, task, .. } = claim;
            format!("failed {object:?} {cause:?} {task} {}", json(options))
        }));
        lines.extend(self.files.left.all()?.iter().map(|entry| format!("left {entry:?}")));
        lines.extend(self.files.live.all()?.iter().map(|file| {
            let LiveFile { output, options, is_compacted, tasks } = file;
            format!("live {output:?} {is_compacted} {tasks:?} {}", json(options))
        }));
        lines.extend(self.files.lost.values().map(|lost| {
            let LiveFile { output, options, is_compacted, tasks } = &lost.file;
            let options = json(options);
            format!("lost {output:?} {is_compacted} {tasks:x?} {options} {:?} {:?}", lost.loss, lost.inputs)
        }));
        lines.extend(self.files.open.keys().map(|number| format!("moving {number}")));
        lines.extend(self.formats.flow_logs().map(|id| format!("flow log {id}")));
        lines.extend(self.formats.written().iter().map(|(f, o)| format!("format {f} {}", json(o))));
        lines.extend(self.ignored.iter().map(|digest| format!("ignored {digest:?}")));
        let Files { last_compaction, reconversions, losses, .. } = &self.files;
        lines.push(format!("compactions {last_compaction} {reconversions} {losses}"));
        lines.sort();
        text.push_str(&lines.join("\n"));
        Ok(text)
    }

    /// What a data file of this key is to the table.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn kind_of(&self, key: &str) -> Result<FileKind, Error> {
        Ok(match self.files.kind_of(key)? {
            FileKind::Foreign => {
                let id = task_of_output(key);
                let is_open = self.open.values().flatten().any(|t| id == Some(t.id.as_str()));
                if is_open { FileKind::UnderWay } else { FileKind::Foreign }
            }
            kind => kind,
        })
    }
}
