//! What a command says of a table that others change at the same time, at any two of its operations.

use std::sync::Arc;

use flowquet_store::{Memory, Store};
use flowquet_table::{Log, check_files};
use flowquet_testkit::gzip;

use crate::world::watched::Watched;
use crate::world::{Snapshot, V2, World, header, key, v2_lines};

/// What another process does.
type Step = fn(&World);

fn convert_more(world: &World) {
    let text = format!("{}\n{}", header(V2), v2_lines(15, 20, 6));
    world.put(&key(1, 15, 20), &gzip(text.as_bytes()));
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
}

fn compact(world: &World) {
    world.compact_by("srcaddr").expect("undisturbed");
}

fn compact_otherwise(world: &World) {
    world.compact_by("bytes").expect("undisturbed");
}

/// What two others do, one after the other.
const TWO: [(Step, Step); 2] = [(convert_more, compact), (compact, compact_otherwise)];

/// Calls `act` with a store behind which [`TWO`] happen, each before any of its operations.
fn at_each_two(act: impl Fn(Arc<dyn Store>, &str)) {
    let world = World::new();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    let before = world.lake.snapshot();
    for (i, (one, other)) in TWO.into_iter().enumerate() {
        world.lake.restore(before.clone());
        let [one, other] = [one, other].map(|step| {
            step(&world);
            world.lake.snapshot()
        });
        let mut at = (0, 0);
        loop {
            let lake = Arc::new(Memory::new("s3://lake"));
            lake.restore(before.clone());
            let become_of = |then: &Snapshot| {
                let (lake, then) = (lake.clone(), then.clone());
                Box::new(move || lake.restore(then))
            };
            let out = Watched::twice(lake.clone(), (at.0, become_of(&one)), (at.1, become_of(&other)));
            act(out.clone(), &format!("{i}, before operations {} and {}", at.0, at.1));
            match out.left() {
                0 => at.1 += 1,
                1 => at = (at.0 + 1, at.0 + 1),
                _ => break,
            }
        }
    }
}

#[test]
fn a_table_that_others_change_is_whole() {
    at_each_two(|out, when| {
        let mut log = Log::open(&out).expect("a table");
        let check = check_files(&mut log).expect("undisturbed");
        assert!(check.is_whole(), "{when}: {check:?}");
    });
}
