//! Reading a table whose files are replaced meanwhile, more often than a file is looked for that is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowquet_engine::{Event, Order, RecordFilter, TopRequest, top};
use flowquet_store::Memory;

use crate::world::World;
use crate::world::found::live;

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
    made.rollup_beside(&source, &made.lake_store(), &replacing(&source)).expect("made in the end");
    assert_eq!(made.rows(), undisturbed.rows());
}

#[test]
fn a_file_that_is_lost_is_told() {
    let world = converted();
    let lost = live(&world)[0].clone();
    world.lake_store().delete(&lost).expect("there");
    let error = flows(&world, &|_: &Event<'_>| {}).expect_err("a file is lost").to_string();
    assert!(error.contains(&lost) && error.contains("expected the file, found none"), "{error}");
}
