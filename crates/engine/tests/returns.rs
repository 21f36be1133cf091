//! Records whose loss was accepted return for some objects of a task while raw logs of its other objects are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_engine::{Change, Choice, Error, Event, LossRequest, Reconverted};
use flowquet_store::Store;
use flowquet_table::{Log, Loss, Options};

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, live};
use crate::world::watched::Watched;
use crate::world::{V2, World, each_fault, header, key, v2_lines};

type Rows = BTreeMap<String, Vec<String>>;

const DAYS: [&str; 2] = ["date=2024-01-15", "date=2024-01-16"];

/// How a table came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// One task gave a file to each day.
    ByOneTask,
    /// Its files are merged with those of another task.
    Merged,
}

/// Three objects of one task: `a` and `c` of two days, `b` of the first. Another task has `d`, of the first day, and `e`, of the second.
struct Shared {
    world: World,
    keys: BTreeMap<char, String>,
    /// The raw logs.
    logs: BTreeMap<String, bytes::Bytes>,
    all: Rows,
}

impl Shared {
    fn new(made: Made) -> Self {
        let world = World::new();
        world.logs.restore(BTreeMap::new());
        let mut keys = BTreeMap::new();
        let put = |keys: &mut BTreeMap<char, String>, name: char, minute: u32, days: &[u32]| {
            let lines: String = days.iter().map(|day| v2_lines(*day, minute, 3 + minute)).collect();
            let rejected = if name == 'b' { "no record\n" } else { "" };
            let key = key(1, 15, minute);
            world.put(&key, format!("{}\n{lines}{rejected}", header(V2)).as_bytes());
            keys.insert(name, key);
        };
        let options = Options { file_bytes: 1 << 20, ..world.options() };
        put(&mut keys, 'a', 1, &[15, 16]);
        put(&mut keys, 'b', 2, &[15]);
        put(&mut keys, 'c', 3, &[15, 16]);
        world.convert(&world.lake_store(), options.clone()).expect("undisturbed");
        put(&mut keys, 'd', 4, &[15]);
        put(&mut keys, 'e', 5, &[16]);
        world.convert(&world.lake_store(), options).expect("undisturbed");
        if made == Made::Merged {
            world.compact(&world.lake_store(), None).expect("undisturbed");
        }
        let mut log = Log::open(&world.lake_store()).expect("a table");
        log.ask(flowquet_table::TableState::read_all).expect("in memory");
        assert_eq!(log.state().totals().tasks, 2);
        let (logs, all) = (world.logs.snapshot().into_iter().collect(), world.rows());
        Self { world, keys, logs, all }
    }

    /// Only these raw logs are there.
    fn with(&self, names: &str) -> &Self {
        self.world.logs.restore(BTreeMap::new());
        for name in names.chars() {
            self.world.put(&self.keys[&name], &self.logs[&self.keys[&name]]);
        }
        self
    }

    /// Files of these days are lost while all raw logs are gone, and that is accepted.
    fn lose(&self, days: &[&str]) -> &Self {
        self.with("");
        for file in live(&self.world).iter().filter(|file| days.iter().any(|day| file.starts_with(day))) {
            self.world.lake.delete(file).expect("there");
        }
        accept(&self.world);
        self
    }

    /// The rows of the table if only these objects' rows of these days are in it, and all of the other days.
    fn rows_with(&self, names: &str, days: &[&str]) -> Rows {
        let world = World::new();
        world.logs.restore(BTreeMap::new());
        for name in names.chars() {
            world.put(&self.keys[&name], &self.logs[&self.keys[&name]]);
        }
        if !names.is_empty() {
            world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        }
        let some = if names.is_empty() { Rows::new() } else { world.rows() };
        let mut expected = self.all.clone();
        expected.retain(|day, _| !days.contains(&day.as_str()));
        expected.extend(some.into_iter().filter(|(day, _)| days.contains(&day.as_str())));
        expected
    }

    #[track_caller]
    fn assert_is(&self, names: &str, days: &[&str], when: &str) {
        assert!(
            self.world.rows() == self.rows_with(names, days),
            "{when}: other rows than those of `{names}`"
        );
        self.world.assert_in_place();
        if !self.world.is_to_be_checked(&format!("{names} {days:?}")) {
            return;
        }
        self.world.assert_checkpoints_change_nothing();
        let verified = self.world.verify(Depth::Data);
        assert_nothing_found(&verified, when);
        assert!(verified.records.has_digests, "{when}");
        let count = |rows: &Rows| rows.values().map(Vec::len).sum::<usize>() as u64;
        let lost: u64 = verified.accepted_losses.iter().map(|loss| loss.rows).sum();
        assert_eq!(lost, count(&self.all) - count(&self.world.rows()), "{when}");
        assert!(verified.accepted_losses.iter().all(|loss| loss.reason == "a disk broke"), "{when}");
    }

    fn accepted(&self) -> Result<Reconverted, Error> {
        self.accepted_in(&self.world.lake_store())
    }

    fn accepted_in(&self, out: &Arc<dyn Store>) -> Result<Reconverted, Error> {
        let mut choice = Choice::default();
        choice.accepted = true;
        self.world.reconvert(out, choice, Change::default())
    }

    fn named(&self, names: &str, is_accepted: bool) -> Result<Reconverted, Error> {
        let mut choice = Choice::default();
        choice.accepted = is_accepted;
        let globs: Vec<String> = names.chars().map(|name| self.keys[&name].clone()).collect();
        choice.set_objects(&globs).expect("globs");
        self.world.reconvert(&self.world.lake_store(), choice, Change::default())
    }
}

fn accept(world: &World) {
    let stop = AtomicBool::new(false);
    let loss = Loss { reason: "a disk broke".to_owned(), accepted_at: "2024-02-01T00:00:00Z".to_owned() };
    let request = LossRequest { out: world.lake_store(), stores: world.stores(), grace: Duration::ZERO };
    let verified = world.verify(Depth::Data);
    let accepted = request.accept(&verified, &loss, None, None, &|_: &Event<'_>| {}, &stop);
    assert!(accepted.expect("undisturbed").is_some_and(|accepted| !accepted.files.is_empty()));
}

fn regain(world: &World) -> Vec<String> {
    let stop = AtomicBool::new(false);
    let request = LossRequest { out: world.lake_store(), stores: world.stores(), grace: Duration::ZERO };
    let verified = world.verify(Depth::Footers);
    request.regain(&verified, &|_: &Event<'_>| {}, &stop).expect("undisturbed").files
}

#[test]
fn objects_return_one_after_the_other_while_others_of_their_task_are_gone() {
    for made in [Made::ByOneTask, Made::Merged] {
        for days in [&DAYS[..1], &DAYS[1..], &DAYS[..]] {
            let shared = Shared::new(made);
            shared.lose(days).assert_is("", days, "lost");
            let before = shared.world.snapshot();
            assert!(matches!(shared.accepted(), Err(Error::RawLogsDiffer { .. })), "none is there");
            assert!(shared.world.snapshot() == before, "the table is as it was");

            let done = shared.with("a").accepted().expect("a is there");
            assert_eq!((done.objects, done.still_lost), (1, 4), "{made:?} {days:?}");
            assert!(done.still_lost_why.is_some());
            shared.assert_is("a", days, "a returned");

            // Nothing is doubled.
            let before = shared.world.snapshot();
            assert!(shared.accepted().is_err(), "nothing else is there");
            assert!(shared.world.snapshot() == before, "the table is as it was");

            // Later work goes on with what is there.
            shared.world.compact_by("dstaddr").expect("undisturbed");
            shared.assert_is("a", days, "compacted");
            shared.with("c").accepted().expect("c is there, and a is not any more");
            shared.assert_is("ac", days, "c returned");
            shared.with("abcde").accepted().expect("all are there");
            assert!(shared.world.rows() == shared.all, "{made:?} {days:?}");
            shared.world.assert_in_place();
            shared.world.assert_checkpoints_change_nothing();
            let verified = shared.world.verify(Depth::Deep);
            assert_nothing_found(&verified, "all are there");
            assert!(verified.accepted_losses.is_empty());
            assert_eq!(verified.safe.len() as u64, verified.records.objects, "{:?}", verified.not_safe);
        }
    }
}

#[test]
fn objects_that_are_named_return_alone() {
    for is_accepted in [false, true] {
        let days = &DAYS[..1];
        let shared = Shared::new(Made::ByOneTask);
        shared.lose(days);
        let before = shared.world.snapshot();
        assert!(shared.with("ac").named("b", is_accepted).is_err(), "b is gone");
        assert!(shared.world.snapshot() == before, "the table is as it was");
        let done = shared.named("c", is_accepted).expect("c is there");
        assert_eq!((done.objects, done.still_lost), (1, 0));
        shared.assert_is("c", days, "c returned");
    }
}

#[test]
fn a_raw_log_that_is_not_what_it_was_stays_lost() {
    let days = &DAYS[..1];
    let shared = Shared::new(Made::Merged);
    shared.lose(days);
    let before = shared.world.snapshot();
    let other = v2_lines(15, 1, 4) + &v2_lines(16, 1, 4).replace("ACCEPT", "REJECT");
    let other = format!("{}\n{other}", header(V2));
    for others in [&other, "no log any more\n"] {
        shared.with("").world.put(&shared.keys[&'a'], others.as_bytes());
        assert!(shared.accepted().is_err(), "nothing is as it was");
        assert!(shared.named("a", false).is_err(), "a is not as it was");
        let records = |snapshot: &crate::world::Snapshot| snapshot.keys().cloned().collect::<Vec<_>>();
        assert_eq!(records(&shared.world.snapshot().0), records(&before.0));
        shared.with("c").world.put(&shared.keys[&'a'], others.as_bytes());
        let done = shared.accepted().expect("c is as it was");
        assert_eq!((done.objects, done.still_lost), (1, 4));
        shared.assert_is("c", days, "c returned");
        shared.world.restore(&before);
    }
}

#[test]
fn rows_of_a_task_in_other_files_are_left_as_they_are() {
    let shared = Shared::new(Made::ByOneTask);
    let other: Vec<String> = live(&shared.world).into_iter().filter(|f| f.starts_with(DAYS[1])).collect();
    shared.lose(&DAYS[..1]).with("a").accepted().expect("a is there");
    let live = live(&shared.world);
    assert!(other.iter().all(|file| live.contains(file)), "{live:?}");
}

#[test]
fn a_file_of_what_returned_may_be_lost_once_more() {
    let days = &DAYS[..1];
    let shared = Shared::new(Made::Merged);
    shared.lose(days).with("a").accepted().expect("a is there");
    shared.lose(days).assert_is("", days, "a is lost once more");
    shared.with("ac").accepted().expect("both are there");
    shared.assert_is("ac", days, "both returned");
    shared.with("bd").accepted().expect("the others are there");
    shared.assert_is("abcd", days, "all returned");
}

#[test]
fn other_tasks_are_reconverted_beside_objects_that_stay_lost() {
    let days = &DAYS[..1];
    for is_merged in [false, true] {
        let shared = Shared::new(Made::ByOneTask);
        // The second task's file of that day stays.
        let second =
            live(&shared.world).into_iter().filter(|f| f.starts_with(days[0])).nth(1).expect("two files");
        let bytes = shared.world.lake.get(&second).expect("there");
        shared.lose(days).world.put_in_table(&second, &bytes);
        assert_eq!(regain(&shared.world), [second]);
        let (first, other) =
            if shared.world.rows() == shared.rows_with("d", days) { ("a", "d") } else { ("d", "a") };
        assert_eq!(first, "a", "files of a day are in the order of their names: choose other minutes");
        shared.with("a").accepted().expect("a is there");
        if is_merged {
            shared.world.compact_by("dstaddr").expect("undisturbed");
        }
        // With `a` in the same file, whose task's other objects are lost apart. In files of the other day they may stand, too.
        if is_merged {
            assert!(matches!(shared.with("ade").named(other, false), Err(Error::RawLogsDiffer { .. })));
        }
        shared.with(if is_merged { "abcde" } else { "ade" });
        shared.named(other, false).unwrap_or_else(|e| panic!("merged: {is_merged}: {e}"));
        shared.assert_is("ad", days, "d was converted again");
        shared.with("abcde").accepted().expect("all are there");
        assert!(shared.world.rows() == shared.all);
    }
}

#[test]
fn a_file_that_was_found_again_is_not_divided() {
    let days = &DAYS[..1];
    let shared = Shared::new(Made::Merged);
    let file = live(&shared.world).into_iter().find(|file| file.starts_with(days[0])).expect("a file a day");
    let bytes = shared.world.lake.get(&file).expect("there");
    shared.lose(days).world.put_in_table(&file, &bytes);
    assert!(shared.with("a").accepted().is_err());
    assert_eq!(regain(&shared.world), [file]);
    assert!(shared.world.rows() == shared.all);
}

#[test]
fn a_file_that_is_found_again_while_some_of_its_rows_return_keeps_all() {
    let days = &DAYS[..1];
    let shared = Shared::new(Made::Merged);
    let file = live(&shared.world).into_iter().find(|file| file.starts_with(days[0])).expect("a file a day");
    let bytes = shared.world.lake.get(&file).expect("there");
    shared.lose(days).with("a");
    let other = shared.world.same();
    let out = Watched::before_record(shared.world.lake_store(), "/compactions/", move || {
        other.put_in_table(&file, &bytes);
        assert_eq!(regain(&other), [file]);
    });
    let done = shared.accepted_in(&out);
    assert!(done.is_err(), "nothing is lost any more: {done:?}");
    assert!(shared.world.rows() == shared.all);
    shared.world.assert_in_place();
    assert_nothing_found(&shared.world.verify(Depth::Data), "found again");
}

#[test]
fn a_fault_while_some_objects_return_changes_nothing_for_good() {
    let days = &DAYS[..1];
    let shared = Shared::new(Made::Merged);
    shared.lose(days).with("ad");
    let (wrong, right) = (shared.world.rows(), shared.rows_with("ad", days));
    let act = |out: &Arc<dyn Store>| shared.accepted_in(out).map(drop);
    each_fault(&shared.world, act, |fault| {
        let rows = shared.world.rows();
        assert!(rows == wrong || rows == right, "{fault}: neither as before nor as after");
        // What is done already cannot be done again.
        if let Err(error) = act(&shared.world.lake_store()) {
            assert!(rows == right, "{fault}: {error}");
        }
        shared.assert_is("ad", days, fault);
    });
}

#[test]
fn other_runs_beside_one_that_brings_objects_back_neither_lose_nor_double_rows() {
    type Other = fn(&Shared);
    let days = &DAYS[..1];
    let others: [(&str, Other); 4] = [
        ("ad", |shared| drop(shared.accepted())),
        ("adc", |shared| drop(shared.named("c", true))),
        ("ad", |shared| shared.world.compact_by("dstaddr").expect("undisturbed")),
        ("abcd", |shared| drop(shared.with("abcde").accepted())),
    ];
    for (number, (names, act)) in others.into_iter().enumerate() {
        let shared = Arc::new(Shared::new(Made::Merged));
        shared.lose(days);
        let before = shared.world.snapshot();
        for at in 0.. {
            shared.world.restore(&before);
            shared.with(if number == 1 { "acd" } else { "ad" });
            // Only what is named returns, so that the other run has something left to bring back.
            let other = shared.clone();
            let beside = Box::new(move || act(&other));
            let watched =
                Watched::twice(shared.world.lake_store(), (at, beside), (usize::MAX, Box::new(|| ())));
            let out: Arc<dyn Store> = watched.clone();
            let mut choice = Choice::default();
            choice.accepted = true;
            choice.set_objects(&[shared.keys[&'a'].clone(), shared.keys[&'d'].clone()]).expect("globs");
            let done = shared.world.reconvert(&out, choice, Change::default());
            if watched.left() > 1 {
                break;
            }
            let when = format!("other {number} at operation {at}: {:?}", done.err());
            // Open work of either is gone on with.
            shared.world.compact(&shared.world.lake_store(), None).expect("undisturbed");
            shared.assert_is(names, days, &when);
        }
    }
}
