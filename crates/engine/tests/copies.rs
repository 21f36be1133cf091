//! A run that finds objects which the table has from another place.

use std::collections::BTreeMap;

use flowquet_engine::{Copies, Request, Run};
use flowquet_sources::Source;
use flowquet_store::Location;
use flowquet_table::Log;

use crate::world::checks::Depth;
use crate::world::found::assert_nothing_found;
use crate::world::{World, key};

/// Converts what lies under `prefix` of the bucket.
fn convert_prefix(world: &World, prefix: &str, copies: Copies) -> Run {
    let sources = vec![Source::At(Location::parse(&format!("s3://logs/{prefix}")).expect("a location"))];
    let request = Request { sources, copies, ..world.request(&world.lake_store(), world.options()) };
    world.run(&request).expect("undisturbed")
}

/// The bucket of the world under two prefixes: `old/` and `new/`.
fn copied() -> World {
    let world = World::new();
    let logs = world.logs.snapshot();
    let under = |prefix: &'static str| logs.iter().map(move |(k, v)| (format!("{prefix}/{k}"), v.clone()));
    world.logs.restore(under("old").chain(under("new")).collect());
    world
}

fn rows(world: &World) -> usize {
    world.rows().values().map(Vec::len).sum()
}

#[test]
fn a_bucket_that_was_copied_brings_no_record_twice() {
    let world = copied();
    let first = convert_prefix(&world, "old/", Copies::Skip).summary;
    assert_eq!((first.objects.converted, first.objects.failed, first.objects.copies), (6, 2, 0));
    let before = rows(&world);
    // Once with all records, once with a checkpoint.
    for _ in 0..2 {
        let run = convert_prefix(&world, "new/", Copies::Skip).summary;
        let o = &run.objects;
        // What could not be read is tried at its new place, and fails there.
        assert_eq!((o.listed, o.known, o.copies, o.failed, o.alike), (8, 6, 6, 2, 0), "{o:?}");
        assert_eq!(run.copies.first.len(), 3);
        assert_eq!(rows(&world), before);
        Log::open(&world.lake_store()).expect("a table").checkpoint().expect("in memory");
    }
    world.assert_checkpoints_change_nothing();
    assert_nothing_found(&world.verify(Depth::Deep), "converted");

    let run = convert_prefix(&world, "new/", Copies::Convert).summary;
    assert_eq!((run.objects.converted, run.objects.known, run.objects.copies), (6, 0, 0));
    assert_eq!(rows(&world), 2 * before);
    assert_nothing_found(&world.verify(Depth::Deep), "converted twice");
}

#[test]
fn of_copies_in_one_listing_one_is_converted() {
    let (both, one) = (copied(), copied());
    let run = convert_prefix(&both, "", Copies::Skip).summary;
    convert_prefix(&one, "new/", Copies::Skip);
    // That of the damaged one waits, until it is known that the first cannot be read.
    assert_eq!((run.objects.listed, run.objects.known, run.objects.copies), (16, 7, 7));
    assert_eq!(rows(&both), rows(&one));
}

#[test]
fn a_copy_stands_in_for_what_could_not_be_read() {
    let world = World::new();
    let (damaged, whole) = (key(2, 16, 3), key(2, 15, 3));
    let text = world.logs.snapshot()[&whole].clone();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    let before = rows(&world);
    world.put(&format!("copy/{damaged}"), &text);
    let run = convert_prefix(&world, "copy/", Copies::Skip).summary;
    assert_eq!((run.objects.converted, run.objects.copies), (1, 0));
    let after = rows(&world);
    assert!(after > before);
    // The first one is mended, and brings nothing any more.
    world.put(&damaged, &text);
    let run = convert_prefix(&world, "AWSLogs/", Copies::Skip).summary;
    assert_eq!((run.objects.converted, run.objects.copies), (0, 1), "{:?}", run.objects);
    assert_eq!(rows(&world), after);
}

#[test]
fn what_only_looks_like_a_copy_is_converted_and_told() {
    let world = World::new();
    world.logs.restore(BTreeMap::new());
    for key in ["old/flow.log", "new/flow.log", "new/other.log"] {
        world.put(key, b"srcaddr\n10.0.0.1\n");
    }
    convert_prefix(&world, "old/", Copies::Skip);
    let run = convert_prefix(&world, "new/", Copies::Skip).summary;
    assert_eq!((run.objects.converted, run.objects.copies, run.objects.alike), (2, 0, 1));
    assert_eq!(run.alike.first, ["s3://logs/new/flow.log"]);
    assert_eq!(rows(&world), 3);
}
