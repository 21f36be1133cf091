//! Files that are lost with the raw logs that they came from: somebody accepts it, and everything goes on without them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_engine::{
    AcceptedLosses, Change, Choice, Error, Event, Fault as Found, LossRequest, Observer, Pointers,
    Reconverted, Regained, Repair, Trouble, Verified, repair,
};
use flowquet_store::{Failing, Fault, Memory, Store, Then, When};
use flowquet_table::{Dedup, Log, Loss, check_files};

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, live};
use crate::world::watched::Watched;
use crate::world::{Catalog, V2, World, each_fault, header, key, v2_lines};

type Rows = BTreeMap<String, Vec<String>>;

/// A table that was converted in two runs, or compacted since.
fn world(is_compacted: bool) -> World {
    let world = World::new();
    let late = world.logs.get(&key(1, 16, 7)).expect("made with the world");
    world.logs.delete(&key(1, 16, 7)).expect("made with the world");
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.put(&key(1, 16, 7), &late);
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    if is_compacted {
        world.compact(&world.lake_store(), None).expect("undisturbed");
    }
    world
}

fn request(world: &World, out: &Arc<dyn Store>) -> LossRequest {
    LossRequest { out: out.clone(), stores: world.stores(), grace: Duration::ZERO }
}

fn loss() -> Loss {
    Loss { reason: "a disk broke".to_owned(), accepted_at: "2024-02-01T00:00:00Z".to_owned() }
}

fn accept_with(
    world: &World,
    out: &Arc<dyn Store>,
    verified: &Verified,
    tried: Option<&BTreeSet<String>>,
    pointers: Option<&dyn Pointers>,
) -> Result<Option<AcceptedLosses>, Error> {
    let stop = AtomicBool::new(false);
    request(world, out).accept(verified, &loss(), tried, pointers, &|_: &Event<'_>| {}, &stop)
}

fn accept(world: &World) -> AcceptedLosses {
    let verified = world.verify(Depth::Data);
    let accepted = accept_with(world, &world.lake_store(), &verified, None, None);
    accepted.expect("undisturbed").expect("something is lost")
}

fn regain(world: &World) -> Regained {
    let verified = world.verify(Depth::Footers);
    let stop = AtomicBool::new(false);
    request(world, &world.lake_store()).regain(&verified, &|_: &Event<'_>| {}, &stop).expect("undisturbed")
}

/// The last file of the table, its bytes, and the rows of the table without it.
fn one_file(world: &World) -> (String, Vec<u8>, Rows) {
    let file = live(world).pop().expect("a file");
    let bytes = world.lake.get(&file).expect("it is live").to_vec();
    let mut rows = world.rows();
    let (folder, _) = file.rsplit_once('/').expect("in a partition");
    let left = rows.get_mut(folder).expect("a partition");
    for row in crate::world::rows_of(&bytes) {
        let at = left.iter().position(|found| *found == row).expect("a row of the table");
        left.remove(at);
    }
    rows.retain(|_, rows| !rows.is_empty());
    (file, bytes, rows)
}

/// Has a file be lost or cut, and all raw logs be gone.
fn lose(world: &World, file: &str, is_cut: bool) {
    if is_cut {
        let bytes = world.lake.get(file).expect("there");
        world.put_in_table(file, &bytes[..bytes.len() / 2]);
    } else {
        world.lake.delete(file).expect("there");
    }
    world.logs.restore(BTreeMap::new());
}

#[test]
fn an_accepted_loss_is_no_part_of_the_table_any_more() {
    for (is_compacted, is_cut) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = world(is_compacted);
        let logs = world.logs.snapshot();
        let (all, records) = (world.rows(), world.verify(Depth::Footers).records.records);
        let (file, _, expected) = one_file(&world);
        lose(&world, &file, is_cut);
        assert_eq!(world.verify(Depth::Footers).trouble(), Trouble::Files);

        let accepted = accept(&world);
        assert_eq!((&accepted.files[..], &accepted.rebuildable[..]), (&[file.clone()][..], &[][..]));
        assert_eq!(world.rows(), expected);
        world.assert_in_place();
        let verified = world.verify(Depth::Data);
        assert_nothing_found(&verified, "accepted");
        let told = &verified.accepted_losses;
        assert_eq!((told.len(), told[0].key.as_str(), told[0].rows), (1, file.as_str(), accepted.records));
        assert_eq!(
            (told[0].reason.as_str(), told[0].accepted_at.as_str()),
            ("a disk broke", "2024-02-01T00:00:00Z")
        );
        // Objects count what they gave, lost or not.
        assert_eq!((verified.records.records, verified.records.has_digests), (records, true));

        // Later runs go on without the file, with raw logs and without.
        world.compact_by("dstaddr").expect("undisturbed");
        world.logs.restore(logs);
        let run = world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        assert_eq!(run.summary.objects.converted, 0);
        assert_eq!(run.summary.files.accepted_losses, *told);
        assert!(run.summary.files.is_whole());
        assert_eq!(world.rows(), expected);
        world.assert_checkpoints_change_nothing();
        let verified = world.verify(Depth::Deep);
        assert_nothing_found(&verified, "with raw logs");
        let (safe, objects) = (verified.safe.len() as u64, verified.records.objects);
        assert!(safe < objects && verified.not_safe.contains_key("files"), "{safe} of {objects}");

        // With the raw logs there again the records are, too.
        let mut choice = Choice::default();
        choice.accepted = true;
        world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
        assert_eq!(world.rows(), all);
        world.assert_in_place();
        world.assert_checkpoints_change_nothing();
        let verified = world.verify(Depth::Deep);
        assert_nothing_found(&verified, "converted again");
        assert!(verified.accepted_losses.is_empty());
        assert_eq!(verified.safe.len() as u64, verified.records.objects, "{:?}", verified.not_safe);
    }
}

#[test]
fn what_can_be_rebuilt_is_not_accepted_as_lost_unless_that_failed() {
    let world = world(false);
    let (file, _, expected) = one_file(&world);
    world.lake.delete(&file).expect("there");
    let before = world.snapshot();
    let accepted = accept(&world);
    assert_eq!((&accepted.files[..], &accepted.rebuildable[..]), (&[][..], &[file.clone()][..]));
    assert!(world.snapshot() == before, "nothing was written");
    let verified = world.verify(Depth::Footers);
    let tried = BTreeSet::from([file.clone()]);
    let accepted = accept_with(&world, &world.lake_store(), &verified, Some(&tried), None);
    let accepted = accepted.expect("undisturbed");
    assert_eq!(accepted.expect("a file is lost").files, [file]);
    assert_eq!(world.rows(), expected);
    assert_nothing_found(&world.verify(Depth::Data), "accepted");
}

#[test]
fn a_file_that_returns_is_counted_again_once_somebody_asks_for_it() {
    let world = world(true);
    let (all, logs) = (world.rows(), world.logs.snapshot());
    let (file, bytes, expected) = one_file(&world);
    lose(&world, &file, false);
    accept(&world);
    world.logs.restore(logs);

    // Something of another size, perhaps still being copied back, or damaged: it is told of, and stays.
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for found in [&bytes[..middle], &damaged] {
        world.put_in_table(&file, found);
        let mut log = Log::open(&world.lake_store()).expect("a table");
        let check = check_files(&mut log).expect("in memory");
        assert_eq!((check.left.len(), check.found_again[0].bytes), (0, found.len() as u64));
        let Regained { files, damaged } = regain(&world);
        assert!(files.is_empty());
        let told: Vec<(Found, &str)> = damaged.iter().map(|f| (f.fault, f.place.as_str())).collect();
        assert_eq!(told, [(Found::FileFoundDamaged, file.as_str())]);
        let mut verified = world.verify(Depth::Footers);
        verified.amend(&damaged);
        assert_eq!((verified.findings.len(), verified.trouble()), (1, Trouble::Files));
        world.compact(&world.lake_store(), None).expect("undisturbed");
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        assert_eq!(world.lake.get(&file).expect("nobody deletes it"), *found);
    }

    world.put_in_table(&file, &bytes);
    let verified = world.verify(Depth::Data);
    let found: Vec<(Found, &str)> = verified.findings.iter().map(|f| (f.fault, f.place.as_str())).collect();
    assert_eq!(found, [(Found::FileFoundAgain, file.as_str())]);
    assert_eq!(verified.trouble(), Trouble::None);
    // Neither lost nor part of the table: nobody deletes it.
    world.compact(&world.lake_store(), None).expect("undisturbed");
    assert_eq!(world.rows(), expected);
    assert_eq!(regain(&world).files, std::slice::from_ref(&file));
    assert_eq!(world.rows(), all);
    assert_eq!(regain(&world), Regained::default());
    world.assert_in_place();
    world.assert_checkpoints_change_nothing();
    let verified = world.verify(Depth::Data);
    assert_nothing_found(&verified, "regained");
    assert!(verified.accepted_losses.is_empty());

    // And may be lost once more.
    lose(&world, &file, false);
    assert_eq!(accept(&world).files, [file]);
    assert_eq!(world.rows(), expected);
}

#[test]
fn a_fault_at_any_operation_of_accepting_a_loss_changes_nothing_for_good() {
    for is_cut in [false, true] {
        let world = world(false);
        let (file, _, expected) = one_file(&world);
        lose(&world, &file, is_cut);
        let before = world.snapshot();
        let verified = world.verify(Depth::Footers);
        let run = |out: &Arc<dyn Store>| {
            let catalog = Catalog(Arc::new(world.catalog.clone()));
            accept_with(&world, out, &verified, None, Some(&catalog)).map(drop)
        };
        let counting = Arc::new(Failing::counting(world.lake_store()));
        let out: Arc<dyn Store> = counting.clone();
        run(&out).expect("undisturbed");
        let operations = counting.operations();
        for at in 1..=operations {
            for (when, then) in
                [(When::Before, Then::Dead), (When::After, Then::Dead), (When::After, Then::Alive)]
            {
                world.restore(&before);
                let out: Arc<dyn Store> =
                    Arc::new(Failing::new(world.lake_store(), Fault { at, when, then }));
                drop(run(&out));
                world.assert_checkpoints_change_nothing();
                run(&world.lake_store()).expect("undisturbed");
                assert_eq!(world.rows(), expected, "operation {at} of {operations}");
                assert!(world.lake.get(&file).is_err(), "operation {at} of {operations}");
                assert_nothing_found(&world.verify(Depth::Data), &format!("operation {at} of {operations}"));
            }
        }
    }
}

#[test]
fn a_file_that_returns_before_its_loss_is_through_is_not_deleted() {
    let world = world(false);
    let all = world.rows();
    let (file, bytes, _) = one_file(&world);
    lose(&world, &file, false);
    accept(&world);
    // Killed before its mark.
    world.lake.delete("_flowquet/compactions/00000001.done").expect("the loss is through");
    world.put_in_table(&file, &bytes);
    let mut log = Log::open(&world.lake_store()).expect("a table");
    assert_eq!(check_files(&mut log).expect("in memory").found_again.len(), 1);
    world.compact(&world.lake_store(), None).expect("undisturbed");
    assert_eq!(regain(&world).files, [file]);
    assert_eq!(world.rows(), all);
    assert_nothing_found(&world.verify(Depth::Data), "regained");
}

#[test]
fn a_slow_run_leaves_a_file_that_was_found_again() {
    let world = World::new();
    let other = world.same();
    let out = Watched::before_record(world.lake_store(), "/commits/", move || {
        other.convert(&other.lake_store(), other.options()).expect("undisturbed");
        let logs = other.logs.snapshot();
        let (file, bytes, _) = one_file(&other);
        lose(&other, &file, false);
        accept(&other);
        other.put_in_table(&file, &bytes);
        assert_eq!(regain(&other).files, [file]);
        other.logs.restore(logs);
    });
    world.convert(&out, world.options()).expect("undisturbed");
    let undisturbed = World::new();
    undisturbed.convert(&undisturbed.lake_store(), undisturbed.options()).expect("undisturbed");
    assert_eq!(world.rows(), undisturbed.rows());
    world.assert_in_place();
}

/// Rebuilds what is lost or damaged, while `observer` does something beside it.
fn repair_beside(world: &World, observer: &dyn Observer) -> Result<Repair, Error> {
    let request = world.reconvert_request(&world.lake_store(), Choice::default(), Change::default());
    repair(request, &world.verify(Depth::Data), None, observer, &AtomicBool::new(false))
}

fn damage(world: &World, file: &str) {
    let mut bytes = world.lake.get(file).expect("there").to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.put_in_table(file, &bytes);
}

/// Two objects of two days, each with a task of its own: their keys.
fn two_tasks() -> (World, [String; 2]) {
    let world = World::new();
    world.logs.restore(BTreeMap::new());
    let keys = [key(1, 15, 5), key(1, 16, 5)];
    for (day, key) in [(15, &keys[0]), (16, &keys[1])] {
        world.put(key, format!("{}\n{}", header(V2), v2_lines(day, 5, 9)).as_bytes());
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    }
    (world, keys)
}

#[test]
fn a_raw_log_that_is_gone_or_differs_keeps_no_other_file_from_being_rebuilt() {
    for is_gone in [true, false] {
        let (world, [bad, _]) = two_tasks();
        let all = world.rows();
        let files = live(&world);
        files.iter().for_each(|file| damage(&world, file));
        if is_gone {
            world.logs.delete(&bad).expect("made above");
        } else {
            world.put(&bad, b"no log any more\n");
        }
        let done = repair_beside(&world, &|_: &Event<'_>| {}).expect("undisturbed");
        let lost: BTreeSet<String> = files.iter().filter(|f| f.contains("01-15")).cloned().collect();
        assert_eq!(done.beyond, lost, "gone: {is_gone}");
        let error = done.error.expect("a raw log differs").to_string();
        assert!(error.starts_with("not rebuilt: 1 of 2 lost or damaged files: "), "{error}");
        let rebuilt = done.repaired.expect("a raw log is there").files;
        assert!(rebuilt.iter().all(|file| file.contains("01-16")), "{rebuilt:?}");
        // Only what cannot be rebuilt is accepted as lost.
        let verified = world.verify(Depth::Data);
        let accepted = accept_with(&world, &world.lake_store(), &verified, Some(&done.beyond), None);
        let accepted = accepted.expect("undisturbed").expect("something is lost");
        assert_eq!(accepted.files, lost.into_iter().collect::<Vec<_>>());
        let left: Rows = all.into_iter().filter(|(folder, _)| !folder.contains("01-15")).collect();
        assert_eq!(world.rows(), left);
        assert_nothing_found(&world.verify(Depth::Data), "accepted");
    }
}

#[test]
fn a_repair_that_another_run_gets_ahead_of_is_tried_again() {
    let (world, [one, _]) = two_tasks();
    let all = world.rows();
    live(&world).iter().filter(|file| file.contains("01-16")).for_each(|file| damage(&world, file));
    let has_begun = AtomicBool::new(false);
    let beside = |event: &Event<'_>| {
        if matches!(event, Event::Planned { .. }) && !has_begun.swap(true, Ordering::Relaxed) {
            let mut choice = Choice::default();
            choice.set_objects(std::slice::from_ref(&one)).expect("a glob");
            world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
        }
    };
    let done = repair_beside(&world, &beside).expect("raw logs are there");
    assert!(has_begun.load(Ordering::Relaxed) && done.beyond.is_empty() && done.error.is_none());
    assert!(done.repaired.is_some());
    assert_eq!(world.rows(), all);
    assert_nothing_found(&world.verify(Depth::Deep), "repaired");
}

#[test]
fn what_was_put_right_while_it_was_verified_is_not_accepted_as_lost() {
    let world = world(true);
    let all = world.rows();
    let (file, bytes, _) = one_file(&world);
    damage(&world, &file);
    world.logs.restore(BTreeMap::new());
    let verified = world.verify(Depth::Data);
    assert!(verified.findings.iter().any(|f| f.fault.loses_rows()));
    world.put_in_table(&file, &bytes);
    let accepted = accept_with(&world, &world.lake_store(), &verified, None, None).expect("undisturbed");
    assert_eq!(accepted, Some(AcceptedLosses::default()));
    assert_eq!(world.rows(), all);
    assert_nothing_found(&world.verify(Depth::Data), "put right");
}

#[test]
fn objects_with_rows_in_no_file_are_not_safe_once_a_file_is_regained() {
    let world = World::new();
    world.logs.restore(BTreeMap::new());
    let lines = v2_lines(15, 5, 9);
    world.put(&key(1, 15, 5), format!("{}\n{lines}", header(V2)).as_bytes());
    let other = lines.replace("ACCEPT", "REJECT");
    world.put(&key(1, 15, 6), format!("{}\n{other}", header(V2)).as_bytes());
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.compact_with(&world.lake_store(), None, Some(Dedup::Flow)).expect("undisturbed");
    let before = world.verify(Depth::Deep);
    assert_eq!((&before.safe[..], before.not_safe.get("duplicates")), (&[][..], Some(&2)));

    let (file, bytes, _) = one_file(&world);
    let logs = world.logs.snapshot();
    lose(&world, &file, false);
    accept(&world);
    world.put_in_table(&file, &bytes);
    assert_eq!(regain(&world).files, [file]);
    world.logs.restore(logs);
    let after = world.verify(Depth::Deep);
    assert_eq!((after.safe, after.not_safe), (before.safe, before.not_safe));
}

/// `a.log` of one day and `b.log` of two; files of the first day are one: their keys, that of this file and of the other.
fn shared() -> (World, [String; 2], [String; 2]) {
    let world = World::new();
    world.logs.restore(BTreeMap::new());
    let keys = [key(1, 15, 5), key(1, 15, 6)];
    let (first, second) = (v2_lines(15, 6, 9), v2_lines(16, 6, 9));
    for (key, lines) in [(&keys[0], v2_lines(15, 5, 9)), (&keys[1], first + &second)] {
        world.put(key, format!("{}\n{lines}", header(V2)).as_bytes());
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    }
    world.compact(&world.lake_store(), None).expect("undisturbed");
    let files: [String; 2] = live(&world).try_into().expect("a file a day");
    (world, keys, files)
}

#[test]
fn records_that_were_lost_with_others_return_without_them() {
    let (world, [a, b], files) = shared();
    let (all, logs) = (world.rows(), world.logs.snapshot());
    world.logs.delete(&a).expect("made above");
    world.lake.delete(&files[0]).expect("there");
    assert_eq!(accept(&world).files, files[..1]);

    // Another file of the same task is lost later: it can be rebuilt, and what was lost with others returns as well.
    world.lake.delete(&files[1]).expect("there");
    assert_eq!(accept(&world).rebuildable, files[1..]);
    let before = world.snapshot();
    for is_repair in [true, false] {
        world.restore(&before);
        if is_repair {
            let done = repair_beside(&world, &|_: &Event<'_>| {}).expect("b is there");
            assert!(done.repaired.is_some() && done.beyond.is_empty() && done.error.is_none());
        } else {
            let mut choice = Choice::default();
            choice.accepted = true;
            choice.set_objects(std::slice::from_ref(&b)).expect("a glob");
            world.reconvert(&world.lake_store(), choice, Change::default()).expect("b is there");
        }
        let count = |rows: &Rows| rows.values().map(Vec::len).sum::<usize>();
        assert_eq!((count(&all), count(&world.rows())), (27, 18));
        world.assert_in_place();
        world.assert_checkpoints_change_nothing();
        let verified = world.verify(Depth::Data);
        assert_nothing_found(&verified, "b is there");
        assert!(verified.records.has_digests);
        assert_eq!(verified.accepted_losses.iter().map(|loss| loss.rows).sum::<u64>(), 9);
        assert_eq!(verified.accepted_losses[0].reason, "a disk broke");
        world.compact_by("dstaddr").expect("undisturbed");
        assert_nothing_found(&world.verify(Depth::Data), "compacted");
    }

    // What stayed lost returns with its raw log.
    world.logs.restore(logs);
    let mut choice = Choice::default();
    choice.accepted = true;
    world.reconvert(&world.lake_store(), choice, Change::default()).expect("a is there again");
    assert_eq!(world.rows(), all);
    world.assert_in_place();
    world.assert_checkpoints_change_nothing();
    let verified = world.verify(Depth::Deep);
    assert_nothing_found(&verified, "all are there");
    assert!(verified.accepted_losses.is_empty());
}

#[test]
fn a_file_whose_rows_are_read_with_those_of_a_raw_log_that_is_gone_can_be_accepted_as_lost() {
    let (world, [a, _], files) = shared();
    world.logs.delete(&a).expect("made above");
    let half = world.lake.get(&files[1]).expect("there");
    world.put_in_table(&files[1], &half[..half.len() / 2]);
    // `b.log` is there, and the first day, whose file is whole, cannot be written anew without `a.log`.
    let done = repair_beside(&world, &|_: &Event<'_>| {}).expect("undisturbed");
    assert_eq!((done.repaired, done.beyond), (None, BTreeSet::from([files[1].clone()])));
    let accepted = accept(&world);
    assert_eq!((&accepted.files[..], &accepted.rebuildable[..]), (&files[1..], &[][..]));
    assert_nothing_found(&world.verify(Depth::Data), "accepted");
}

#[test]
fn a_fault_while_records_return_without_others_that_were_lost_with_them_changes_nothing_for_good() {
    let (world, [a, b], files) = shared();
    world.logs.delete(&a).expect("made above");
    world.lake.delete(&files[0]).expect("there");
    accept(&world);
    let wrong = world.rows();
    let act = |out: &Arc<dyn Store>| {
        let mut choice = Choice::default();
        choice.set_objects(std::slice::from_ref(&b)).expect("a glob");
        world.reconvert(out, choice, Change::default()).map(drop)
    };
    let before = world.snapshot();
    act(&world.lake_store()).expect("undisturbed");
    let right = world.rows();
    world.restore(&before);
    each_fault(&world, act, |fault| {
        let rows = world.rows();
        assert!(rows == wrong || rows == right, "{fault}: neither as before nor as after");
        act(&world.lake_store()).unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert_eq!(world.rows(), right, "{fault}");
        world.assert_in_place();
        if world.is_to_be_checked("returned") {
            assert_nothing_found(&world.verify(Depth::Data), fault);
        }
    });
}

fn reconvert_accepted(world: &World) -> Result<Reconverted, Error> {
    let mut choice = Choice::default();
    choice.accepted = true;
    world.reconvert(&world.lake_store(), choice, Change::default())
}

#[test]
fn accepted_losses_whose_raw_logs_are_gone_or_differ_keep_no_others_from_returning() {
    for is_gone in [true, false] {
        let (world, [bad, _]) = two_tasks();
        let (all, logs) = (world.rows(), world.logs.snapshot());
        live(&world).iter().for_each(|file| world.lake.delete(file).expect("there"));
        world.logs.restore(BTreeMap::new());
        assert_eq!(accept(&world).files.len(), 2);
        let before = world.snapshot();
        let done = reconvert_accepted(&world);
        assert!(matches!(done, Err(Error::RawLogsDiffer { .. })), "none is there: {done:?}");
        assert!(world.snapshot() == before, "the table is as it was");

        world.logs.restore(logs.clone());
        if is_gone {
            world.logs.delete(&bad).expect("made above");
        } else {
            world.put(&bad, b"no log any more\n");
        }
        let done = reconvert_accepted(&world).expect("one is there");
        assert_eq!((done.objects, done.still_lost), (1, 1), "gone: {is_gone}");
        assert!(done.still_lost_why.is_some_and(|why| why.contains(&bad)));
        let left: Rows = all.clone().into_iter().filter(|(folder, _)| !folder.contains("01-15")).collect();
        assert_eq!(world.rows(), left);
        world.assert_in_place();
        assert_nothing_found(&world.verify(Depth::Data), "one is there");

        world.logs.restore(logs);
        let done = reconvert_accepted(&world).expect("both are there");
        assert_eq!((done.objects, done.still_lost, done.still_lost_why), (1, 0, None));
        assert_eq!(world.rows(), all);
        assert_nothing_found(&world.verify(Depth::Deep), "both are there");
    }
    // Of a file with records of both, those of the other return.
    let (world, [a, _], files) = shared();
    let logs = world.logs.snapshot();
    files.iter().for_each(|file| world.lake.delete(file).expect("there"));
    world.logs.restore(BTreeMap::new());
    assert_eq!(accept(&world).files, files);
    world.logs.restore(logs);
    world.logs.delete(&a).expect("made above");
    let done = reconvert_accepted(&world).expect("b is there");
    assert_eq!((done.objects, done.still_lost), (1, 1));
    assert_eq!(world.rows().values().map(Vec::len).sum::<usize>(), 18);
    world.assert_in_place();
    assert_nothing_found(&world.verify(Depth::Data), "b is there");
}

#[test]
fn a_roll_up_of_a_table_of_which_all_is_lost_is_empty() {
    let (world, _) = two_tasks();
    let made = World { lake: Memory::new("s3://sums"), ..World::new() };
    made.rollup(&world, &made.lake_store()).expect("undisturbed");
    assert_eq!(made.rows().len(), 2);
    live(&world).iter().for_each(|file| world.lake.delete(file).expect("there"));
    world.logs.restore(BTreeMap::new());
    accept(&world);
    made.rollup(&world, &made.lake_store()).expect("there is nothing to roll up");
    assert!(made.rows().is_empty());
    assert_nothing_found(&made.verify(Depth::Data), "renewed");
    let new = World { lake: Memory::new("s3://new"), ..World::new() };
    new.rollup(&world, &new.lake_store()).expect("there is nothing to roll up");
    assert!(new.rows().is_empty());
}
