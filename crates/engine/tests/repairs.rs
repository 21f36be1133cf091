//! Files that are mended without raw logs, and repairs that other runs get ahead of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowquet_engine::{Change, Choice, Error, Event, Fault as Found, Observer, Repair, Trouble, repair};
use flowquet_store::{Failing, Fault, Store, Then, When};

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, live};
use crate::world::{V2, World, header, key, v2_lines};

/// Two objects of two days, each with a task of its own.
fn two_tasks() -> World {
    let world = World::new();
    world.logs.restore(BTreeMap::new());
    for day in [15, 16] {
        world.put(&key(1, day, 5), format!("{}\n{}", header(V2), v2_lines(day, 5, 9)).as_bytes());
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    }
    world
}

/// Changes a byte of a file that no value depends on.
fn change_a_byte(world: &World, file: &str) {
    let mut bytes = world.lake.get(file).expect("there").to_vec();
    let name = b"flowquet.version";
    let at = bytes.windows(name.len()).position(|found| found == name).expect("in the footer");
    bytes[at] ^= 1;
    world.put_in_table(file, &bytes);
    let found = world.verify(Depth::Data).findings.into_iter().map(|f| (f.fault, f.place));
    let found: Vec<(Found, String)> = found.filter(|(_, place)| place == file).collect();
    assert_eq!(found, [(Found::FileBytes, file.to_owned())]);
}

fn repair_in(world: &World, out: &Arc<dyn Store>, observer: &dyn Observer) -> Result<Repair, Error> {
    let request = world.reconvert_request(out, Choice::default(), Change::default());
    repair(request, &world.verify(Depth::Data), None, observer, &AtomicBool::new(false))
}

#[test]
fn a_file_of_which_only_bytes_changed_is_written_anew_without_raw_logs() {
    for is_compacted in [false, true] {
        for is_gone in [false, true] {
            let world = two_tasks();
            if is_compacted {
                world.compact(&world.lake_store(), None).expect("undisturbed");
            }
            let (all, files) = (world.rows(), live(&world));
            change_a_byte(&world, &files[0]);
            if is_gone {
                world.logs.restore(BTreeMap::new());
            }
            let done = repair_in(&world, &world.lake_store(), &|_: &Event<'_>| {}).expect("undisturbed");
            let rewritten = if is_gone { &files[..1] } else { &[] };
            assert_eq!(done.rewritten, rewritten, "compacted: {is_compacted}");
            assert_eq!(done.repaired.is_none(), is_gone);
            assert!(done.beyond.is_empty() && done.error.is_none(), "{:?}", done.error);
            assert!(world.rows() == all && !live(&world).contains(&files[0]));
            assert!(live(&world).contains(&files[1]), "the other file stays");
            world.assert_in_place();
            assert_nothing_found(&world.verify(Depth::Data), "written anew");
            world.compact_by("dstaddr").expect("undisturbed");
            assert!(world.rows() == all);
        }
    }
}

#[test]
fn a_file_whose_values_changed_is_not_written_anew_of_them() {
    let world = two_tasks();
    let files = live(&world);
    change_a_byte(&world, &files[0]);
    let mut bytes = world.lake.get(&files[1]).expect("there").to_vec();
    bytes[8..40].iter_mut().for_each(|byte| *byte ^= 1);
    world.put_in_table(&files[1], &bytes);
    world.logs.restore(BTreeMap::new());
    let done = repair_in(&world, &world.lake_store(), &|_: &Event<'_>| {}).expect("undisturbed");
    assert_eq!(done.rewritten, files[..1]);
    assert_eq!(done.beyond.into_iter().collect::<Vec<_>>(), files[1..]);
    let error = done.error.expect("a raw log is gone").to_string();
    assert!(error.starts_with("not rebuilt: 1 of 2 lost or damaged files: "), "{error}");
    assert_eq!(world.verify(Depth::Data).trouble(), Trouble::Files);
}

#[test]
fn a_fault_while_a_file_is_written_anew_changes_nothing_for_good() {
    let world = two_tasks();
    let (all, files) = (world.rows(), live(&world));
    change_a_byte(&world, &files[0]);
    world.logs.restore(BTreeMap::new());
    let act = |out: &Arc<dyn Store>| repair_in(&world, out, &|_: &Event<'_>| {}).map(drop);
    let before = world.snapshot();
    let counting = Arc::new(Failing::counting(world.lake_store()));
    let out: Arc<dyn Store> = counting.clone();
    act(&out).expect("undisturbed");
    world.restore(&before);
    for at in 1..=counting.operations() {
        for (when, then) in
            [(When::Before, Then::Dead), (When::After, Then::Dead), (When::After, Then::Alive)]
        {
            world.restore(&before);
            let fault = Fault { at, when, then };
            let failing: Arc<dyn Store> = Arc::new(Failing::new(world.lake_store(), fault));
            drop(act(&failing));
            act(&world.lake_store()).unwrap_or_else(|error| panic!("operation {at}: {error}"));
            // What the record retired is deleted by whoever finds it open.
            world.compact(&world.lake_store(), None).expect("undisturbed");
            assert!(world.rows() == all, "operation {at}");
            world.assert_checkpoints_change_nothing();
            world.assert_in_place();
            assert_nothing_found(&world.verify(Depth::Data), &format!("operation {at}"));
        }
    }
}

/// Calls `act` when work has been planned, the first `times` times.
fn beside(times: usize, act: impl Fn(usize) + Sync) -> impl Fn(&Event<'_>) + Sync {
    let done = AtomicUsize::new(0);
    move |event| {
        if matches!(event, Event::Planned { .. }) {
            let time = done.fetch_add(1, Ordering::Relaxed);
            if time < times {
                act(time);
            }
        }
    }
}

#[test]
fn a_reconversion_that_others_get_ahead_of_goes_on_and_says_so_in_the_end() {
    let compact = |world: &World, time: usize| {
        world.compact_by(["srcaddr", "bytes"][time % 2]).expect("undisturbed");
    };
    for (times, is_done) in [(3, true), (9, false)] {
        let world = two_tasks();
        let all = world.rows();
        let mut choice = Choice::default();
        choice.set_objects(&["**".to_owned()]).expect("a glob");
        let ahead = beside(times, |time| compact(&world, time));
        let done = world.reconvert_beside(&world.lake_store(), choice, Change::default(), &ahead);
        assert_eq!(done.is_ok(), is_done, "{done:?}");
        if let Err(error) = done {
            assert!(matches!(error, Error::Overtaken(_)), "{error}");
            assert_eq!(error.kind(), "overtaken");
        }
        assert!(world.rows() == all);
        world.assert_in_place();
    }
}

#[test]
fn a_damaged_file_that_another_run_replaces_is_mended() {
    for is_before in [true, false] {
        let world = two_tasks();
        let (all, files) = (world.rows(), live(&world));
        let half = world.lake.get(&files[0]).expect("there");
        world.put_in_table(&files[0], &half[..half.len() / 2]);
        let of_file = || {
            let mut choice = Choice::default();
            choice.partitions = vec![files[0].split_once('/').expect("in a partition").0.to_owned()];
            world.reconvert(&world.lake_store(), choice, Change::default()).expect("raw logs are there");
        };
        let verified = world.verify(Depth::Data);
        let ahead = beside(1, |_| of_file());
        if is_before {
            of_file();
        }
        let request = world.reconvert_request(&world.lake_store(), Choice::default(), Change::default());
        let none = |_: &Event<'_>| {};
        let observer: &dyn Observer = if is_before { &none } else { &ahead };
        let done = repair(request, &verified, None, observer, &AtomicBool::new(false)).expect("mended");
        assert_eq!(
            (done.replaced.into_iter().collect::<Vec<_>>(), done.repaired),
            (files[..1].to_vec(), None)
        );
        assert!(done.beyond.is_empty() && done.error.is_none());
        assert!(world.rows() == all);
        world.assert_in_place();
        assert_nothing_found(&world.verify(Depth::Data), "replaced");
    }
}
