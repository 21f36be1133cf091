//! Reading a table whose files are replaced meanwhile, more often than a file is looked for that is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowquet_engine::{Event, Order, RecordFilter, TopRequest, top};
use flowquet_store::Memory;
use flowquet_testkit::gzip;

use crate::world::found::live;
use crate::world::watched::Watched;
use crate::world::{V2, World, key, v2_lines};

/// How often files are replaced.
const TIMES: usize = 9;

fn converted() -> World {
    let world = World { lake: Memory::new("s3://source"), ..World::new() };
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world
}

/// What replaces all files of a table between the look at its records and that at its files, as often as [`TIMES`].
fn replacing(table: &World) -> impl Fn(&Event<'_>) + Sync {
    let done = AtomicUsize::new(0);
    move |event| {
        if !matches!(event, Event::Planned { .. }) {
            return;
        }
        let time = done.fetch_add(1, Ordering::Relaxed);
        if time < TIMES {
            table.compact_by(["srcaddr", "bytes"][time % 2]).expect("undisturbed");
        }
    }
}

fn flows(table: &World, observer: &(dyn Fn(&Event<'_>) + Sync)) -> Result<u64, flowquet_engine::Error> {
    let request = TopRequest {
        out: table.lake_store(),
        filter: RecordFilter::default(),
        by: vec!["srcaddr".into()],
        order: Order::Flows,
        rows: 10,
        workers: 1,
    };
    top(&request, &observer, &AtomicBool::new(false)).map(|top| top.total.flows)
}

#[test]
fn a_look_goes_on_while_files_are_replaced() {
    let world = converted();
    let expected = flows(&world, &|_: &Event<'_>| {}).expect("undisturbed");
    assert_eq!(flows(&world, &replacing(&world)).expect("read in the end"), expected);
}

#[test]
fn a_roll_up_goes_on_while_files_are_replaced() {
    let (source, undisturbed, made) = (converted(), World::new(), World::new());
    undisturbed.rollup(&source, &undisturbed.lake_store()).expect("undisturbed");
    made.rollup_beside(&source.lake_store(), &made.lake_store(), &replacing(&source))
        .expect("made in the end");
    assert_eq!(made.rows(), undisturbed.rows());
}

/// Records of two of the days that the table has.
fn convert_more(table: &World) {
    for day in [15, 16] {
        let text = format!("{}\n{}", V2.replace("${", "").replace('}', ""), v2_lines(day, 11, 6));
        table.put(&key(1, day, 11), &gzip(text.as_bytes()));
    }
    table.convert(&table.lake_store(), table.options()).expect("undisturbed");
}

/// What another run makes of more records is newer than what one made that began before it, at whatever moment it comes.
#[test]
fn a_slow_roll_up_leaves_a_newer_one() {
    for is_before_source in [false, true] {
        let (source, made) = (Arc::new(converted()), Arc::new(World::new()));
        made.rollup(&source, &made.lake_store()).expect("undisturbed");
        let (other, its) = (source.clone(), made.clone());
        let meanwhile = move || {
            convert_more(&other);
            its.rollup(&other, &its.lake_store()).expect("undisturbed");
        };
        let (mut from, mut to) = (source.lake_store(), made.lake_store());
        let watched = if is_before_source { &mut from } else { &mut to };
        *watched = Watched::store(watched.clone(), meanwhile);
        made.rollup_beside(&from, &to, &|_: &Event<'_>| {}).expect("undisturbed");
        let expected = World::new();
        expected.rollup(&source, &expected.lake_store()).expect("undisturbed");
        assert_eq!(made.rows(), expected.rows(), "{is_before_source}");
    }
}

#[test]
fn a_compaction_of_the_roll_up_leaves_no_partition_out() {
    let (source, made) = (converted(), World::new());
    made.rollup(&source, &made.lake_store()).expect("undisturbed");
    convert_more(&source);
    let is_done = AtomicBool::new(false);
    let compacting = |event: &Event<'_>| {
        if matches!(event, Event::Planned { .. }) && !is_done.swap(true, Ordering::Relaxed) {
            made.compact_by("action").expect("undisturbed");
        }
    };
    let done =
        made.rollup_beside(&source.lake_store(), &made.lake_store(), &compacting).expect("made in the end");
    let expected = World::new();
    expected.rollup(&source, &expected.lake_store()).expect("undisturbed");
    assert_eq!((done.by_another, made.rows()), (0, expected.rows()));
}

#[test]
fn a_file_that_is_lost_is_told() {
    let world = converted();
    let lost = live(&world)[0].clone();
    world.lake_store().delete(&lost).expect("there");
    let error = flows(&world, &|_: &Event<'_>| {}).expect_err("a file is lost").to_string();
    assert!(error.contains(&lost) && error.contains("expected the file, found none"), "{error}");
}
