//! Random interleavings of several writers over one store, with deaths and lost answers: the log stays one that adds up.
//!
//! Writers run in one thread. At any operation of one of them another may run for a while, and any operation may fail before it
//! is done, or after it with its answer lost; then that writer forgets all that it knew, as a process that dies does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flowquet_store::{Error as StoreError, Fetch, Folder, Memory, ObjectMeta, Staged, Store};
use flowquet_table::{
    Cause, CommitPut, CommitRecord, CompactionRecord, Counts, Crc32, Digest, Duplicates, Error, InputRecord,
    LAYOUT_VERSION, LAYOUT_VERSION_OF_LOSSES, Log, Loss, Options, OutputRecord, PlanRecord, RetiredFile,
    SourceObject, Task, TaskId, written_by,
};

/// As many as the issue of a broken log is worth.
const INTERLEAVINGS: u64 = 1_000;

const WRITERS: usize = 3;

/// Steps that writers take in all.
const STEPS: usize = 24;

/// Objects that there are to convert.
const OBJECTS: u64 = 12;

/// Nested writers: one runs inside an operation of another, and so on.
const DEPTH_MAX: usize = 2;

/// A splitmix64 sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

struct Scheduler {
    random: Random,
    /// A writer that runs is taken out.
    writers: Vec<Option<Writer>>,
    depth: usize,
    failures: u64,
    is_calm: bool,
}

/// A store whose operations other writers may interrupt, and that may fail.
#[derive(Clone)]
struct Shaken {
    memory: Memory,
    scheduler: Arc<Mutex<Scheduler>>,
}

impl std::fmt::Debug for Shaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shaken")
    }
}

impl Shaken {
    fn operation<T>(&self, perform: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.scheduler.lock().expect("one thread").is_calm {
            return perform();
        }
        self.let_another_run();
        let (before, after) = {
            let mut scheduler = self.scheduler.lock().expect("one thread");
            (scheduler.random.one_in(60), scheduler.random.one_in(60))
        };
        let lost = || StoreError::write("memory".to_owned(), std::io::Error::other("lost"));
        if before {
            self.scheduler.lock().expect("one thread").failures += 1;
            return Err(lost());
        }
        let done = perform();
        if after {
            self.scheduler.lock().expect("one thread").failures += 1;
            return Err(lost());
        }
        done
    }

    /// From now on nothing fails and nobody interrupts.
    fn end(&self) -> Vec<Writer> {
        let mut scheduler = self.scheduler.lock().expect("one thread");
        scheduler.is_calm = true;
        scheduler.writers.drain(..).flatten().collect()
    }

    /// With some luck another writer takes a step now.
    fn let_another_run(&self) {
        let mut scheduler = self.scheduler.lock().expect("one thread");
        if scheduler.depth >= DEPTH_MAX || !scheduler.random.one_in(4) {
            return;
        }
        let place = scheduler.random.below(WRITERS as u64) as usize;
        drop(scheduler);
        self.step(place);
    }

    /// Has a writer take a step, unless it is in the midst of one.
    fn step(&self, place: usize) {
        let mut scheduler = self.scheduler.lock().expect("one thread");
        let Some(mut writer) = scheduler.writers[place].take() else { return };
        scheduler.depth += 1;
        let choice = scheduler.random.next();
        drop(scheduler);
        let stepped = writer.step(self, choice);
        let mut scheduler = self.scheduler.lock().expect("one thread");
        scheduler.depth -= 1;
        match stepped {
            Ok(()) => {}
            Err(Error::Store(_)) => writer = Writer::default(),
            Err(error) => panic!("the log does not add up: {error}"),
        }
        scheduler.writers[place] = Some(writer);
    }
}

struct Failed(StoreError);

impl Fetch for Failed {
    fn wait(self: Box<Self>, _: &dyn Fn() -> bool) -> Result<Bytes, StoreError> {
        Err(self.0)
    }
}

impl Store for Shaken {
    fn create(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), StoreError> {
        self.operation(|| self.memory.list_each(prefix, each))
    }
    fn list_after(
        &self,
        prefix: &str,
        after: &str,
        each: &mut dyn FnMut(ObjectMeta),
    ) -> Result<(), StoreError> {
        self.operation(|| self.memory.list_after(prefix, after, each))
    }
    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, StoreError> {
        self.operation(|| self.memory.folder(prefix, folders_max))
    }
    fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.operation(|| self.memory.head(key))
    }
    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        match self.operation(|| Ok(())) {
            Ok(()) => self.memory.fetch(key, etag, range, whole),
            Err(error) => Box::new(Failed(error)),
        }
    }
    fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.operation(|| self.memory.copy(from, to))
    }
    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.operation(|| self.memory.rename(from, to))
    }
    fn get(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        self.operation(|| self.memory.get(key))
    }
    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, StoreError> {
        self.operation(|| self.memory.read(key))
    }
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.operation(|| self.memory.put(key, bytes))
    }
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.operation(|| self.memory.put_if_absent(key, bytes))
    }
    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, StoreError> {
        self.memory.stage(key)
    }
    fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.operation(|| self.memory.delete(key))
    }
    fn url(&self, key: &str) -> String {
        self.memory.url(key)
    }
}

/// A process that converts and compacts, one call of the log at a time.
#[derive(Default)]
struct Writer {
    log: Option<Log>,
}

fn object(n: u64) -> SourceObject {
    SourceObject::new(format!("s3://logs/{n}"), &n.to_string(), n + 1, "etag")
}

/// An id that tells what it is of.
fn id(kind: u64, plan: u64, place: u64) -> TaskId {
    (kind << 48 | plan << 16 | place).into()
}

/// What converting a task gives: each object has as many records as its number; every fifth cannot be read.
fn commit_of(task: &Task, plan: u64) -> CommitRecord {
    let mut counts = Counts::default();
    let input = |object: &SourceObject| {
        let is_bad = object.bytes.is_multiple_of(5);
        let records = if is_bad { 0 } else { object.bytes };
        InputRecord {
            counts: Counts { lines: records, records, ..Counts::default() },
            digest: (!is_bad).then(|| Digest(object.bytes.wrapping_mul(u64::MAX / 7))),
            failed: is_bad.then_some(Cause::Archived),
            ..InputRecord::unread(object.clone())
        }
    };
    let inputs: Vec<InputRecord> = task.objects.iter().map(input).collect();
    inputs.iter().for_each(|i| counts.add(&i.counts));
    let output = OutputRecord {
        key: format!("date=2024-01-0{}/{}-0000.parquet", 1 + plan % 2, task.id),
        partition: format!("date=2024-01-0{}", 1 + plan % 2).into(),
        rows: counts.records,
        bytes: 1,
        time: None,
        format: format!("${{bytes}} ${{f{}}}", plan % 3).into(),
        digest: Digest::sum(inputs.iter().filter(|i| i.failed.is_none()).map(|i| i.digest)),
        duplicates: Duplicates::default(),
        rollup: None,
        crc32: Some(Crc32(plan as u32)),
    };
    CommitRecord {
        inputs,
        outputs: if counts.records > 0 { vec![output] } else { Vec::new() },
        counts,
        void: None,
        ..CommitRecord::void(task.id, plan, LAYOUT_VERSION, String::new())
    }
}

impl Writer {
    fn step(&mut self, store: &Shaken, choice: u64) -> Result<(), Error> {
        let out: Arc<dyn Store> = Arc::new(store.clone());
        let Some(log) = &mut self.log else {
            let log = match Log::open(&out) {
                Err(Error::NoTable(_)) => Log::make(&out, &Options::default(), false)?,
                log => log?,
            };
            self.log = Some(log);
            return Ok(());
        };
        match choice % 8 {
            0 => plan(log, choice / 8),
            1 | 2 => commit(log, choice / 8),
            3 => compact(log, choice / 8),
            4 => log.checkpoint(),
            5 => {
                spoil_checkpoint(&store.memory, choice / 8);
                Ok(())
            }
            6 if (choice / 8).is_multiple_of(4) => lose(log, choice / 32),
            _ => log.refresh(),
        }
    }
}

/// Somebody deletes a checkpoint or one of its segments, or a disk loses a part of it.
fn spoil_checkpoint(memory: &Memory, choice: u64) {
    let all: Vec<(String, Bytes)> =
        memory.snapshot().into_iter().filter(|(k, _)| k.contains("/checkpoints/")).collect();
    let Some((key, bytes)) = all.get(choice as usize / 4 % all.len().max(1)) else { return };
    match choice % 4 {
        0 => memory.delete(key).expect("in memory"),
        1 => memory.put(key, &bytes[..bytes.len() / 2]).expect("in memory"),
        _ => {}
    }
}

fn plan(log: &mut Log, choice: u64) -> Result<(), Error> {
    let first = choice % OBJECTS;
    let listing: Vec<SourceObject> = (first..OBJECTS.min(first + 1 + choice / 16 % 6)).map(object).collect();
    log.append_plan(&mut |state| {
        let sorted = state.sort_out(listing.clone(), &Options::default())?;
        let new: Vec<SourceObject> =
            sorted.new.into_iter().chain(sorted.to_look_at.into_iter().map(|(o, _)| o)).collect();
        let number = state.last_plan() + 1;
        let tasks = new.chunks(2).enumerate();
        let tasks: Vec<Task> =
            tasks.map(|(i, o)| Task { id: id(1, number, i as u64), objects: o.to_vec() }).collect();
        let options = Options::default();
        Ok((!tasks.is_empty()).then_some(PlanRecord {
            layout_version: LAYOUT_VERSION,
            number,
            options,
            formats: vec![format!("${{bytes}} ${{f{}}}", number % 3)],
            tasks,
        }))
    })?;
    Ok(())
}

fn commit(log: &mut Log, choice: u64) -> Result<(), Error> {
    let open: Vec<(u64, Task)> = log.state().open_tasks().map(|t| (t.plan, t.task.clone())).collect();
    if open.is_empty() {
        return log.refresh();
    }
    let (plan, task) = &open[choice as usize % open.len()];
    if (choice / 64).is_multiple_of(8) {
        let void = HashSet::from([task.id]);
        return log.void_tasks(&void, "an object changed").map(drop);
    }
    let record = commit_of(task, *plan);
    if let CommitPut::Theirs(theirs) = log.commit(&record, LAYOUT_VERSION)? {
        assert!(theirs.void.is_some() || *theirs == record, "a task has one result");
    }
    log.refresh()
}

fn compact(log: &mut Log, choice: u64) -> Result<(), Error> {
    let open: Vec<u64> = log.state().files().open().map(|r| r.number).collect();
    if let Some(number) = open.first()
        && choice.is_multiple_of(2)
    {
        log.mark_in_place(*number)?;
        return log.refresh();
    }
    let partitions = log.ask(|state| state.files().partitions())?;
    let Some((partition, files)) = partitions.into_iter().find(|(_, files)| files.len() > 1) else {
        return log.refresh();
    };
    let retired: Vec<RetiredFile> = files.iter().map(|f| RetiredFile::of(&f.output)).collect();
    let name = id(2, choice >> 32, choice & 0xffff);
    let rows: u64 = retired.iter().map(|f| f.rows).sum();
    let digest = Digest::sum(retired.iter().map(|f| f.digest)).expect("each has one");
    // Some leave rows out; what was left out before stays accounted for.
    let less = if rows > 1 { choice >> 8 & 1 } else { 0 };
    let new = Duplicates { rows: less, digest: Digest(less * choice) };
    let output = OutputRecord {
        key: format!("{partition}/{name}-0000.parquet"),
        partition: partition.as_str().into(),
        rows: rows - new.rows,
        digest: Some(Digest(digest.0.wrapping_sub(new.digest.0))),
        duplicates: Duplicates::sum(retired.iter().map(|f| f.duplicates)).with(new),
        ..files[0].output.clone()
    };
    log.append_compaction(&mut |state| {
        for file in &retired {
            if state.files().get(&file.key)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(CompactionRecord {
            layout_version: LAYOUT_VERSION,
            written_by: written_by(),
            number: state.files().last_compaction() + 1,
            id: name.to_string(),
            partition: partition.clone(),
            options: Options::default(),
            formats: Vec::new(),
            retired: retired.clone(),
            outputs: vec![output.clone()],
            reconversion: None,
            rollup: None,
            loss: None,
            regained: Vec::new(),
        }))
    })?;
    Ok(())
}

/// Somebody accepts that a file is lost, or finds one again.
fn lose(log: &mut Log, choice: u64) -> Result<(), Error> {
    let lost: Vec<String> = log.state().files().lost().map(|lost| lost.file.output.key.clone()).collect();
    let regained = lost.into_iter().take(choice as usize % 2).collect::<Vec<_>>();
    let live: Vec<OutputRecord> =
        log.ask(|state| Ok(state.files().all()?.into_iter().map(|file| file.output.clone()).collect()))?;
    let is_loss = regained.is_empty() && !live.is_empty();
    let retired = live.iter().skip(choice as usize / 2 % live.len().max(1)).take(usize::from(is_loss));
    let retired: Vec<RetiredFile> = retired.map(RetiredFile::of).collect();
    if retired.is_empty() && regained.is_empty() {
        return log.refresh();
    }
    let loss = Loss { reason: "a disk broke".to_owned(), accepted_at: "2024-02-01T00:00:00Z".to_owned() };
    log.append_compaction(&mut |state| {
        for file in &retired {
            if state.files().get(&file.key)?.is_none() {
                return Ok(None);
            }
        }
        let are_lost = regained.iter().all(|key| state.files().lost_at(key).is_some());
        Ok(are_lost.then(|| CompactionRecord {
            layout_version: LAYOUT_VERSION_OF_LOSSES,
            written_by: written_by(),
            number: state.files().last_compaction() + 1,
            id: id(3, choice >> 32, choice & 0xffff).to_string(),
            partition: String::new(),
            options: Options::default(),
            formats: Vec::new(),
            retired: retired.clone(),
            outputs: Vec::new(),
            reconversion: None,
            rollup: None,
            loss: is_loss.then(|| loss.clone()),
            regained: regained.clone(),
        }))
    })?;
    Ok(())
}

/// What the records say, read without the log.
fn check_naively(memory: &Memory, log: &Log) {
    let snapshot = memory.snapshot();
    let json = |bytes: &Bytes| -> serde_json::Value { serde_json::from_slice(bytes).expect("JSON") };
    let below = |folder: &str| {
        let prefix = format!("_flowquet/{folder}/");
        snapshot.iter().filter(move |(k, _)| k.starts_with(&prefix)).collect::<Vec<_>>()
    };
    let mut commits: HashMap<String, serde_json::Value> = HashMap::new();
    for (_, bytes) in below("commits") {
        let commit = json(bytes);
        commits.insert(commit["task"].as_str().expect("text").to_owned(), commit);
    }
    let mut live_tasks_of: BTreeMap<String, u64> = BTreeMap::new();
    let mut records = 0;
    for (_, bytes) in below("plans") {
        let plan = flowquet_table::plan_from_gzip(bytes).expect("a plan");
        for task in &plan.tasks {
            let commit = commits.get(task.id.as_str());
            if commit.is_some_and(|c| c.get("void").is_some()) {
                continue;
            }
            let failed: HashSet<&str> = commit
                .iter()
                .flat_map(|c| c["inputs"].as_array().expect("a list"))
                .filter(|i| i.get("failed").is_some())
                .map(|i| i["url"].as_str().expect("text"))
                .collect();
            for object in task.objects.iter().filter(|o| !failed.contains(o.url())) {
                *live_tasks_of.entry(object.url().to_owned()).or_default() += 1;
            }
            records += commit.map_or(0, |c| c["counts"]["records"].as_u64().expect("a number"));
        }
    }
    // L1.
    assert!(live_tasks_of.values().all(|n| *n == 1), "{live_tasks_of:?}");
    // Every record is in exactly one live file, or in one whose loss was accepted.
    let files = log.state().files().all().expect("in memory");
    let lost: Vec<_> = log.state().files().lost().map(|lost| &lost.file).collect();
    let rows = files.iter().chain(&lost).map(|f| f.output.rows + f.output.duplicates.rows).sum::<u64>();
    assert_eq!(rows, records);
    assert_eq!(log.state().totals().counts.records, records);
    let mut retired = HashSet::new();
    for (key, bytes) in below("compactions").into_iter().filter(|(k, _)| k.ends_with(".json")) {
        for file in json(bytes)["retired"].as_array().expect("a list") {
            assert!(retired.insert(file["key"].as_str().expect("text").to_owned()), "L4: {key}");
        }
        for found in json(bytes)["regained"].as_array().into_iter().flatten() {
            assert!(retired.remove(found.as_str().expect("text")), "L4: {key}");
        }
    }
    for file in files {
        assert!(!retired.contains(&file.output.key), "L4: {}", file.output.key);
    }
}

#[test]
fn l1_to_l8_random_interleavings_keep_the_invariants() {
    let (mut failures, mut plans, mut compactions, mut checkpoints) = (0, 0, 0, 0);
    let (mut losses, mut lost) = (0, 0);
    for seed in 0..INTERLEAVINGS {
        let memory = Memory::new("s3://lake");
        let writers = (0..WRITERS).map(|_| Some(Writer::default())).collect();
        let scheduler = Scheduler { random: Random(seed), writers, depth: 0, failures: 0, is_calm: false };
        let store = Shaken { memory: memory.clone(), scheduler: Arc::new(Mutex::new(scheduler)) };
        for _ in 0..STEPS {
            let place = store.scheduler.lock().expect("one thread").random.below(WRITERS as u64) as usize;
            store.step(place);
        }
        let out: Arc<dyn Store> = Arc::new(memory.clone());
        let log = match Log::open(&out) {
            Err(Error::NoTable(_)) => continue,
            log => log.unwrap_or_else(|e| panic!("seed {seed}: {e}")),
        };
        // Checkpoints, whole or spoilt, change nothing.
        let mut log = log;
        let contract = log.state().contract().clone();
        let of_records = Log::of_records(&out, contract).expect("records are right");
        let expected = of_records.state().dump().expect("in memory");
        assert_eq!(log.ask(|state| state.dump()).expect("records are right"), expected, "seed {seed}");
        // What those that went on for long came to know piece by piece is the same.
        for mut log in store.end().into_iter().filter_map(|writer| writer.log) {
            log.refresh().expect("records are right");
            assert_eq!(log.ask(|state| state.dump()).expect("records are right"), expected, "seed {seed}");
        }
        let snapshot = memory.snapshot();
        checkpoints +=
            snapshot.keys().filter(|k| k.ends_with(".json") && k.contains("/checkpoints/")).count();
        check_naively(&memory, &log);
        failures += store.scheduler.lock().expect("one thread").failures;
        plans += log.state().last_plan();
        compactions += log.state().files().last_compaction();
        losses += log.state().files().losses();
        lost += log.state().files().lost().count() as u64;
    }
    // A test that never meets what it is about proves nothing.
    assert!(failures > INTERLEAVINGS && plans > INTERLEAVINGS && compactions > INTERLEAVINGS / 10);
    assert!(checkpoints as u64 > INTERLEAVINGS);
    assert!(lost > INTERLEAVINGS / 10 && losses > lost, "{losses} {lost}");
}
