//! Files that are lost with the raw logs that they came from: somebody accepts it, and everything goes on without them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_engine::{
    AcceptedLosses, Change, Choice, Error, Event, Fault as Found, LossRequest, Pointers, Trouble, Verified,
};
use flowquet_store::{Failing, Fault, Store, Then, When};
use flowquet_table::{Log, Loss, check_files};

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, live};
use crate::world::watched::Watched;
use crate::world::{Catalog, World, key};

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
    are_beyond_repair: bool,
    pointers: Option<&dyn Pointers>,
) -> Result<Option<AcceptedLosses>, Error> {
    let stop = AtomicBool::new(false);
    request(world, out).accept(verified, &loss(), are_beyond_repair, pointers, &|_: &Event<'_>| {}, &stop)
}

fn accept(world: &World) -> AcceptedLosses {
    let verified = world.verify(Depth::Data);
    let accepted = accept_with(world, &world.lake_store(), &verified, false, None);
    accepted.expect("undisturbed").expect("something is lost")
}

fn regain(world: &World) -> Vec<String> {
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
    let accepted = accept_with(&world, &world.lake_store(), &verified, true, None).expect("undisturbed");
    assert_eq!(accepted.expect("a file is lost").files, [file]);
    assert_eq!(world.rows(), expected);
    assert_nothing_found(&world.verify(Depth::Data), "accepted");
}

#[test]
fn a_file_that_returns_is_counted_again_once_somebody_asks_for_it() {
    let world = world(true);
    let all = world.rows();
    let (file, bytes, expected) = one_file(&world);
    lose(&world, &file, false);
    accept(&world);

    // Something else under its name is left over from then.
    world.put_in_table(&file, b"not it");
    assert!(regain(&world).is_empty());
    let mut log = Log::open(&world.lake_store()).expect("a table");
    assert_eq!(check_files(&mut log).expect("in memory").left.len(), 1);
    // Of its size, and damaged.
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    world.put_in_table(&file, &damaged);
    assert!(regain(&world).is_empty());

    world.put_in_table(&file, &bytes);
    let verified = world.verify(Depth::Data);
    let found: Vec<(Found, &str)> = verified.findings.iter().map(|f| (f.fault, f.place.as_str())).collect();
    assert_eq!(found, [(Found::FileFoundAgain, file.as_str())]);
    assert_eq!(verified.trouble(), Trouble::None);
    // Neither lost nor part of the table: nobody deletes it.
    world.compact(&world.lake_store(), None).expect("undisturbed");
    assert_eq!(world.rows(), expected);
    assert_eq!(regain(&world), std::slice::from_ref(&file));
    assert_eq!(world.rows(), all);
    assert!(regain(&world).is_empty());
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
            accept_with(&world, out, &verified, false, Some(&catalog)).map(drop)
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
    assert_eq!(regain(&world), [file]);
    assert_eq!(world.rows(), all);
    assert_nothing_found(&world.verify(Depth::Data), "regained");
}

#[test]
fn a_slow_run_leaves_a_file_that_was_found_again() {
    let world = World::new();
    let other = World { logs: world.logs.clone(), lake: world.lake.clone(), catalog: world.catalog.clone() };
    let out = Watched::before_record(world.lake_store(), "/commits/", move || {
        other.convert(&other.lake_store(), other.options()).expect("undisturbed");
        let logs = other.logs.snapshot();
        let (file, bytes, _) = one_file(&other);
        lose(&other, &file, false);
        accept(&other);
        other.put_in_table(&file, &bytes);
        assert_eq!(regain(&other), [file]);
        other.logs.restore(logs);
    });
    world.convert(&out, world.options()).expect("undisturbed");
    let undisturbed = World::new();
    undisturbed.convert(&undisturbed.lake_store(), undisturbed.options()).expect("undisturbed");
    assert_eq!(world.rows(), undisturbed.rows());
    world.assert_in_place();
}
