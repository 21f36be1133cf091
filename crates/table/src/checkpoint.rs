//! Checkpoints: what a table's records add up to, so that the next run reads only those after it.
//!
//! Nothing rests on them. Whoever deletes them all has the next run read all records, and finds the same. A checkpoint is a small
//! record and segments: sorted pieces of what is known of objects and files, each named after its bytes, which are read when they
//! are asked for and written when something in them has changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use flowquet_store::{ErrorKind, Store};
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;
use crate::aside::ASIDE_IDLE_MIN;
use crate::checked;
use crate::compaction::CompactionRecord;
use crate::contract::TableContract;
use crate::error::Error;
use crate::files::{Files, LiveFileForm, LostFile};
use crate::formats::TableFormats;
use crate::known::Known;
use crate::layout::{CHECKPOINTS, SEGMENTS, checkpoint_key, checkpoint_number};
use crate::loss::Loss;
use crate::objects::ObjectId;
use crate::options::Options;
use crate::reading::delete_if_there;
use crate::records::{Counts, Record, RecordError, Task, from_json, to_json, written_by};
use crate::segment_name::digest;
use crate::shelf::{Entry, Segment, Shelf, Source, Words};
use crate::state::{PlanFacts, TableState, Totals};
use crate::task_id::TaskId;

/// Version of what checkpoints hold and of how they are made. Those of another version are passed over.
pub(crate) const VERSION: u32 = 4;

/// Plans of a table, at most: one an hour for a thousand years. Of each something is in memory, so that a number alone, which a
/// damaged checkpoint tells, must not decide how much.
const PLANS_MAX: u64 = 10_000_000;

/// Checkpoints that are kept, so that a run that began with one can read its segments while others go on. A multiple of it are
/// there at most.
const KEPT: u64 = 8;

/// What a checkpoint tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointRecord {
    layout_version: u32,
    written_by: String,
    version: u32,
    /// From 1, without gaps.
    pub(crate) number: u64,
    /// The last compaction or reconversion that it knows.
    compaction: u64,
    /// Plans that it knows: the last one is the last of these.
    plans: Vec<PlanRange>,
    /// Tasks without a commit.
    open: Vec<OpenTasks>,
    /// Compactions and reconversions whose files are not all in place.
    open_compactions: Vec<u64>,
    reconversions: u64,
    tasks: u64,
    void: u64,
    objects: u64,
    bytes_in: u64,
    counts: Counts,
    /// Ids of tasks that have rejects.
    with_rejects: Vec<TaskId>,
    /// Damaged objects that were read in part, by tasks.
    damaged: BTreeMap<TaskId, u64>,
    formats: Vec<WrittenFormat>,
    flow_logs: Vec<String>,
    /// Options that are named by their place. More are added behind.
    options: Vec<Options>,
    taken: Vec<StoredSegment>,
    failed: Vec<StoredSegment>,
    /// Names of those taken.
    named: Vec<StoredSegment>,
    left: Vec<StoredSegment>,
    live: Vec<StoredSegment>,
    /// Records that accept a loss, or take that back. Programs that do not know them pass such a checkpoint over, and find those records.
    #[serde(skip_serializing_if = "is_zero", default)]
    losses: u64,
    /// Files whose loss was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    lost: Vec<StoredLoss>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Record for CheckpointRecord {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// Plans, one after the other, that have the same options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanRange {
    plans: u64,
    options: u32,
    layout_version: u32,
    formats: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenTasks {
    plan: u64,
    tasks: Vec<TaskId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFormat {
    format: Arc<str>,
    options: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSegment {
    /// Its name below the folder of segments.
    #[serde(deserialize_with = "checked::segment")]
    name: String,
    /// Key of its first entry; of objects, shelf and digest in hexadecimal digits.
    first: String,
    entries: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLoss {
    file: LiveFileForm,
    loss: Loss,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    inputs: Vec<u32>,
}

/// How the key of an entry is written in a checkpoint.
trait KeyText: Sized {
    fn to_text(&self) -> String;
    fn from_text(text: &str) -> Option<Self>;
}

impl KeyText for String {
    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl KeyText for ObjectId {
    fn to_text(&self) -> String {
        format!("{:08x}{:032x}", self.shelf, u128::from_be_bytes(self.digest))
    }

    fn from_text(text: &str) -> Option<Self> {
        let (shelf, digest) = text.split_at_checked(8)?;
        let digest = u128::from_str_radix(digest, 16).ok()?.to_be_bytes();
        Some(Self { shelf: u32::from_str_radix(shelf, 16).ok()?, digest })
    }
}

/// Puts the segments of a shelf that are only in memory.
fn save<E: Entry<Key: KeyText>>(
    shelf: &mut Shelf<E>,
    kind: &str,
    words: &mut Words,
    out: &dyn Store,
) -> Result<Vec<StoredSegment>, Error> {
    shelf.seal()?;
    let mut stored = Vec::with_capacity(shelf.segments().len());
    for segment in shelf.segments_mut() {
        if let Some(entries) = segment.unsaved() {
            let bytes = E::encode(entries, words);
            let key = format!("{SEGMENTS}/{kind}-{}", digest(&bytes));
            out.put(&key, &bytes)?;
            segment.name = Some(key);
        }
        let name =
            segment.name.as_deref().and_then(|key| key.rsplit('/').next()).unwrap_or_default().to_owned();
        stored.push(StoredSegment { name, first: segment.first.to_text(), entries: segment.entries });
    }
    Ok(stored)
}

/// The shelf of a checkpoint.
fn shelf<E: Entry<Key: KeyText>>(
    stored: Vec<StoredSegment>,
    invariant: &'static str,
    source: &Source,
) -> Result<Shelf<E>, RecordError> {
    let segment = |s: StoredSegment| {
        let wrong = || RecordError::Wrong(format!("expected a segment, found {s:?}"));
        let first = E::Key::from_text(&s.first).filter(|_| s.entries > 0).ok_or_else(wrong)?;
        Ok(Segment::stored(first, s.entries, format!("{SEGMENTS}/{}", s.name)))
    };
    let segments = stored.into_iter().map(segment).collect::<Result<Vec<_>, RecordError>>()?;
    if segments.windows(2).any(|two| two[0].first >= two[1].first) {
        return Err(RecordError::Wrong("expected segments in order".to_owned()));
    }
    Ok(Shelf::stored(invariant, segments, source.clone()))
}

/// Puts what `state` is as checkpoint `number`, unless there is one; then nothing is lost.
///
/// # Errors
/// As the store reports; [`Error::Broken`].
pub(crate) fn put(
    state: &mut TableState,
    number: u64,
    out: &Arc<dyn Store>,
    put_if_absent: impl FnOnce(&str, &[u8]) -> Result<(), flowquet_store::Error>,
) -> Result<(), Error> {
    let mut words = state.words.as_ref().clone();
    let store = out.as_ref();
    let taken = save(&mut state.known.taken, "taken", &mut words, store)?;
    let failed = save(&mut state.known.failed, "failed", &mut words, store)?;
    let named = save(&mut state.known.named, "named", &mut words, store)?;
    let left = save(&mut state.files.left, "left", &mut words, store)?;
    let live = save(&mut state.files.live, "files", &mut words, store)?;
    let mut plans: Vec<PlanRange> = Vec::new();
    let mut last: Option<&PlanFacts> = None;
    for plan in state.plans() {
        let is_same = |last: &PlanFacts| {
            Arc::ptr_eq(&last.options, &plan.options)
                && Arc::ptr_eq(&last.formats, &plan.formats)
                && last.layout_version == plan.layout_version
        };
        match plans.last_mut() {
            Some(range) if last.is_some_and(is_same) => range.plans += 1,
            _ => plans.push(PlanRange {
                plans: 1,
                options: words.place(&plan.options),
                layout_version: plan.layout_version,
                formats: plan.formats.to_vec(),
            }),
        }
        last = Some(plan);
    }
    let mut flow_logs: Vec<String> = state.formats.flow_logs().cloned().collect();
    flow_logs.sort();
    let formats = state.formats.written().iter();
    let formats =
        formats.map(|(f, o)| WrittenFormat { format: f.clone(), options: words.place(o) }).collect();
    let lost = state.files.lost.values();
    let lost = lost
        .map(|lost| StoredLoss {
            file: LiveFileForm::of(&lost.file, &mut words),
            loss: lost.loss.as_ref().clone(),
            inputs: lost.inputs.to_vec(),
        })
        .collect();
    let open = state
        .open_by_plan()
        .iter()
        .map(|(plan, tasks)| OpenTasks { plan: *plan, tasks: tasks.iter().map(|t| t.id).collect() });
    let Totals { tasks, void, objects, bytes_in, ref counts, ref with_rejects, ref damaged } = state.totals;
    let record = CheckpointRecord {
        layout_version: LAYOUT_VERSION,
        written_by: written_by(),
        version: VERSION,
        number,
        compaction: state.files.last_compaction,
        plans,
        open: open.collect(),
        open_compactions: state.files.open.keys().copied().collect(),
        reconversions: state.files.reconversions,
        tasks,
        void,
        objects,
        bytes_in,
        counts: counts.clone(),
        with_rejects: with_rejects.iter().copied().collect(),
        damaged: damaged.clone(),
        formats,
        flow_logs,
        options: words.all().iter().map(|o| o.as_ref().clone()).collect(),
        taken,
        failed,
        named,
        left,
        live,
        losses: state.files.losses,
        lost,
    };
    let source = Source { out: out.clone(), words: Arc::new(words) };
    state.words = source.words.clone();
    state.known.taken.set_source(&source);
    state.known.failed.set_source(&source);
    state.known.named.set_source(&source);
    state.files.left.set_source(&source);
    state.files.live.set_source(&source);
    match put_if_absent(&checkpoint_key(number), &to_json(&record)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    if number.is_multiple_of(KEPT) {
        remove_old(store, number)?;
    }
    Ok(())
}

impl CheckpointRecord {
    fn segments(&self) -> impl Iterator<Item = &str> {
        [&self.taken, &self.failed, &self.named, &self.left, &self.live]
            .into_iter()
            .flatten()
            .map(|s| s.name.as_str())
    }

    /// The number of the last plan that it knows.
    fn last_plan(&self) -> u64 {
        self.plans.iter().fold(0, |sum, range| sum.saturating_add(range.plans))
    }

    /// Plans that have tasks without a commit.
    pub(crate) fn open_plans(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|open| open.plan)
    }

    /// Compactions and reconversions whose files are not all in place.
    pub(crate) fn open_compactions(&self) -> &[u64] {
        &self.open_compactions
    }

    /// The state that it tells of. `plans` are the tasks of its open plans, `compactions` its open compactions.
    ///
    /// # Errors
    /// [`RecordError`] where it contradicts itself or those.
    pub(crate) fn state(
        self,
        contract: TableContract,
        out: &Arc<dyn Store>,
        mut plans: BTreeMap<u64, Vec<Task>>,
        compactions: Vec<CompactionRecord>,
    ) -> Result<TableState, RecordError> {
        let words = Arc::new(Words::new(self.options.into_iter().map(Arc::new).collect()));
        let source = Source { out: out.clone(), words: words.clone() };
        let mut facts = Vec::new();
        for range in self.plans {
            let formats: Arc<[String]> = range.formats.into();
            let plan = PlanFacts {
                options: words.get(range.options)?,
                layout_version: range.layout_version,
                formats,
            };
            facts.extend(std::iter::repeat_n(plan, range.plans as usize));
        }
        for open in self.open {
            let ids: HashSet<TaskId> = open.tasks.iter().copied().collect();
            let tasks = plans.entry(open.plan).or_default();
            tasks.retain(|task| ids.contains(&task.id));
            if tasks.len() != ids.len() || open.plan > facts.len() as u64 {
                return Err(RecordError::Wrong(format!(
                    "expected {} tasks in plan {}",
                    ids.len(),
                    open.plan
                )));
            }
        }
        let totals = Totals {
            tasks: self.tasks,
            void: self.void,
            objects: self.objects,
            bytes_in: self.bytes_in,
            counts: self.counts,
            with_rejects: self.with_rejects.into_iter().collect(),
            damaged: self.damaged,
        };
        let mut state = TableState::stored(contract, facts, plans, totals);
        state.known = Known {
            taken: shelf(self.taken, "L1", &source)?,
            failed: shelf(self.failed, "L1", &source)?,
            named: shelf(self.named, "names", &source)?,
        };
        state.files = Files::of(shelf(self.live, "L4", &source)?, shelf(self.left, "L4", &source)?);
        state.files.last_compaction = self.compaction;
        state.files.reconversions = self.reconversions;
        state.files.losses = self.losses;
        for StoredLoss { file, loss, inputs } in self.lost {
            let (file, loss, inputs) = (file.file(&words)?, Arc::new(loss), inputs.into());
            state.files.lost.insert(file.output.key.clone(), LostFile { file, loss, inputs });
        }
        state.files.open = compactions.into_iter().map(|record| (record.number, record)).collect();
        let written = self.formats.into_iter().map(|f| Ok((f.format, words.get(f.options)?)));
        let written = written.collect::<Result<Vec<_>, RecordError>>()?;
        state.formats = TableFormats::stored(written, self.flow_logs.into_iter().collect());
        state.words = words;
        Ok(state)
    }
}

/// Numbers of checkpoints, ascending.
pub(crate) fn numbers(out: &dyn Store) -> Result<Vec<u64>, Error> {
    let found = match out.folder(&format!("{CHECKPOINTS}/"), usize::MAX) {
        Ok(level) => level.map(|l| l.objects).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut numbers: Vec<u64> = found.iter().filter_map(|o| checkpoint_number(&o.key)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Checkpoint `number`, if it is one that this program can use.
pub(crate) fn read(out: &dyn Store, number: u64) -> Result<Option<CheckpointRecord>, Error> {
    let bytes = match out.get(&checkpoint_key(number)) {
        Ok(bytes) => bytes,
        Err(error) if error.may_be_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // One that cannot be understood is no reason to stop: the records are there.
    let record = from_json::<CheckpointRecord>(&bytes).ok();
    Ok(record
        .filter(|r| r.version == VERSION && r.number == number && (1..=PLANS_MAX).contains(&r.last_plan())))
}

/// Removes old checkpoints, and the segments that only they have.
fn remove_old(out: &dyn Store, newest: u64) -> Result<(), Error> {
    let (old, kept): (Vec<u64>, Vec<u64>) = numbers(out)?.into_iter().partition(|n| n + KEPT <= newest);
    let names = |numbers: &[u64]| -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for number in numbers {
            names.extend(read(out, *number)?.iter().flat_map(CheckpointRecord::segments).map(str::to_owned));
        }
        Ok(names)
    };
    let doomed = names(&old)?;
    // The records first: one that is there has its segments.
    for number in old {
        delete_if_there(out, &checkpoint_key(number))?;
    }
    let kept = names(&kept)?;
    for name in doomed.difference(&kept) {
        delete_if_there(out, &format!("{SEGMENTS}/{name}"))?;
    }
    // Of runs that were killed before their checkpoint.
    for key in out.idle(&format!("{SEGMENTS}/"), ASIDE_IDLE_MIN)? {
        let name = key.rsplit('/').next().unwrap_or_default();
        if checked::is_segment(name) && !kept.contains(name) {
            delete_if_there(out, &key)?;
        }
    }
    Ok(())
}
