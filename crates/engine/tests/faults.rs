//! Every operation of every command fails once, in every way: after the next run the table is as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flowquet_engine::{Change, Choice, Error, Event, Pointers};
use flowquet_store::{Failing, Fault, Memory, Store, Then, When};
use flowquet_table::{Dedup, Log, Reading};

use crate::world::{self, Catalog, V2, World, each_fault};

/// A table that two runs made, the second with what was new.
fn converted() -> World {
    let world = World::new();
    let late = world.logs.get(&world::key(1, 16, 7)).expect("made above");
    world.logs.delete(&world::key(1, 16, 7)).expect("made above");
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.put(&world::key(1, 16, 7), &late);
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world
}

#[test]
fn s1_convert() {
    let world = World::new();
    let convert = |out: &Arc<dyn Store>| world.convert(out, world.options()).map(drop);
    let undisturbed = World::new();
    undisturbed.convert(&undisturbed.lake_store(), undisturbed.options()).expect("undisturbed");
    let expected = undisturbed.records_and_files();
    let operations = each_fault(&world, convert, |fault| {
        world.convert(&world.lake_store(), world.options()).unwrap_or_else(|e| panic!("{fault}: {e}"));
        let found = world.records_and_files();
        let names = |s: &std::collections::BTreeMap<String, _>| s.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{fault}");
        assert!(found == expected, "{fault}: other bytes");
    });
    assert!(operations > 20, "{operations} operations: too few for a run that means something");
    world.assert_in_place();
}

/// A run that goes on with another's tasks finds that an object of one is gone. Whatever stops it then is told, and objects add up.
#[test]
fn s1_convert_goes_on_with_a_task_whose_object_is_gone() {
    let world = World::new();
    let plan = world.plan();
    world.shard(&world.lake_store(), &plan, 0, 2).expect("undisturbed");
    let log = Log::open(&world.lake_store()).expect("made above");
    let several = log.state().open_tasks().find(|t| t.task.objects.len() > 1).expect("a task of several");
    let gone = several.task.objects[0].key();
    world.logs.delete(gone).expect("made above");
    let right = World::new();
    right.logs.delete(gone).expect("made above");
    right.convert(&right.lake_store(), right.options()).expect("undisturbed");
    each_fault(
        &world,
        |out| {
            let run = world.convert(out, world.options());
            assert!(!matches!(run, Err(Error::Accounting(_))), "{run:?}");
            run.map(drop)
        },
        |fault| {
            world.convert(&world.lake_store(), world.options()).unwrap_or_else(|e| panic!("{fault}: {e}"));
            assert_eq!(world.rows(), right.rows(), "{fault}");
            world.assert_in_place();
        },
    );
}

#[test]
fn s2_shards_of_a_plan() {
    let world = World::new();
    let plan = world.plan();
    assert!(plan.tasks.len() >= 4, "shards have something to share");
    let other = World::new();
    for index in 0..2 {
        other.shard(&other.lake_store(), &plan, index, 2).expect("undisturbed");
    }
    let expected = other.records_and_files();
    each_fault(
        &world,
        |out| world.shard(out, &plan, 0, 2).map(drop),
        |fault| {
            for index in [1, 0] {
                let run = world.shard(&world.lake_store(), &plan, index, 2);
                run.unwrap_or_else(|e| panic!("{fault}: {e}"));
            }
            assert!(world.records_and_files() == expected, "{fault}");
        },
    );
}

/// One object of a plan is gone when its shard is performed, and one is written again: the others of their tasks are converted all the same.
#[test]
fn s2_objects_that_are_not_as_they_were_planned() {
    let spoil = |world: &World| {
        world.logs.delete(&world::key(1, 15, 7)).expect("made above");
        world.put(&world::key(1, 16, 7), world::v2_lines(16, 7, 2).as_bytes());
    };
    let world = World::new();
    let plan = world.plan();
    spoil(&world);
    let right = World::new();
    spoil(&right);
    right.convert(&right.lake_store(), right.options()).expect("undisturbed");
    let shard = |out: &Arc<dyn Store>| world.shard(out, &plan, 0, 1);
    let operations = each_fault(
        &world,
        |out| shard(out).map(drop),
        |fault| {
            for again in [false, true] {
                let run = shard(&world.lake_store()).unwrap_or_else(|e| panic!("{fault}: {e}"));
                let objects = &run.summary.objects;
                assert_eq!((objects.left, objects.set_aside), (0, 0), "{fault}");
                assert!(run.summary.failed_objects.iter().any(|o| o.cause == "gone"), "{fault}");
                assert!(!again || objects.converted == 0, "{fault}");
            }
            assert_eq!(world.rows(), right.rows(), "{fault}");
            world.assert_in_place();
        },
    );
    assert!(operations > 20, "{operations} operations");
}

#[test]
fn s3_compact() {
    let world = converted();
    let rows = world.rows();
    let other = converted();
    other.compact(&other.lake_store(), None).expect("undisturbed");
    let expected = other.unnumbered();
    let operations = each_fault(
        &world,
        |out| world.compact(out, None),
        |fault| {
            // Before the next run a reader that goes by the records sees each row once.
            assert_eq!(world.rows(), rows, "{fault}");
            let sums = World { lake: Memory::new("s3://sums"), ..World::new() };
            sums.rollup(&world, &sums.lake_store()).unwrap_or_else(|e| panic!("read after {fault}: {e}"));
            world.compact(&world.lake_store(), None).unwrap_or_else(|e| panic!("{fault}: {e}"));
            assert!(world.unnumbered() == expected, "{fault}");
            world.assert_in_place();
        },
    );
    assert!(operations > 20, "{operations} operations");
    world.assert_in_place();
}

#[test]
fn s3_compact_without_duplicates() {
    let delivered_twice = || {
        let world = converted();
        for (day, n) in [(15, 0), (16, 7)] {
            let object = world.logs.get(&world::key(1, day, n)).expect("made above");
            world.put(&world::key(3, day, n), &object);
        }
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        world
    };
    let (world, other) = (delivered_twice(), delivered_twice());
    let dedup = Some(Dedup::Exact);
    other.compact_with(&other.lake_store(), None, dedup).expect("undisturbed");
    let (expected, rows) = (other.unnumbered(), other.rows());
    let count = |rows: &BTreeMap<String, Vec<String>>| rows.values().map(Vec::len).sum::<usize>();
    assert_eq!(count(&world.rows()) - count(&rows), 18, "two objects of nine lines");
    each_fault(
        &world,
        |out| world.compact_with(out, None, dedup),
        |fault| {
            world.compact_with(&world.lake_store(), None, dedup).unwrap_or_else(|e| panic!("{fault}: {e}"));
            assert_eq!(world.rows(), rows, "{fault}");
            assert!(world.unnumbered() == expected, "{fault}");
            world.assert_in_place();
        },
    );
}

#[test]
fn s10_rollup() {
    let source = World { lake: Memory::new("s3://source"), ..World::new() };
    let late = source.logs.get(&world::key(1, 16, 7)).expect("made above");
    source.logs.delete(&world::key(1, 16, 7)).expect("made above");
    source.convert(&source.lake_store(), source.options()).expect("undisturbed");
    let (world, other) = (World::new(), World::new());
    for world in [&world, &other] {
        world.rollup(&source, &world.lake_store()).expect("undisturbed");
    }
    // Some partitions have changed since.
    source.put(&world::key(1, 16, 7), &late);
    source.convert(&source.lake_store(), source.options()).expect("undisturbed");
    let before = other.rows();
    other.rollup(&source, &other.lake_store()).expect("undisturbed");
    let (expected, rows) = (other.unnumbered(), other.rows());
    assert_ne!(before, rows);
    let operations = each_fault(
        &world,
        |out| world.rollup(&source, out),
        |fault| {
            world.rollup(&source, &world.lake_store()).unwrap_or_else(|e| panic!("{fault}: {e}"));
            assert_eq!(world.rows(), rows, "{fault}");
            assert!(world.unnumbered() == expected, "{fault}");
            world.assert_in_place();
        },
    );
    assert!(operations > 10, "{operations} operations");
}

#[test]
fn s4_compact_a_registered_table() {
    let world = converted();
    let names = |world: &World| {
        let log = Log::open(&world.lake_store()).expect("a table");
        log.state()
            .files()
            .all()
            .expect("in memory")
            .iter()
            .map(|f| (f.output.key.clone(), f.output.rows))
            .collect::<Vec<_>>()
    };
    let partitions: Vec<String> = world.rows().into_keys().collect();
    let total: u64 = names(&world).iter().map(|(_, rows)| rows).sum();
    for folder in &partitions {
        let url = format!("s3://lake/{folder}/");
        world.catalog.put(&format!("partitions/{folder}"), url.as_bytes()).expect("memory takes all");
    }
    let other = converted();
    other.compact(&other.lake_store(), None).expect("undisturbed");
    let expected = other.unnumbered();
    let mut rows_of_name = std::collections::HashMap::new();
    for (key, rows) in names(&world).into_iter().chain(names(&other)) {
        let (folder, name) = key.rsplit_once('/').expect("partitioned");
        rows_of_name.insert((folder.to_owned(), name.to_owned()), rows);
    }
    // What a reader sees who asks the catalog where each partition is, and lists there.
    let seen_by_catalog = || -> u64 {
        let mut seen = 0;
        for folder in &partitions {
            let url = world.catalog.get(&format!("partitions/{folder}")).expect("registered");
            let url = String::from_utf8(url).expect("text");
            let prefix = url.strip_prefix("s3://lake/").expect("in the lake").to_owned();
            for key in world.lake.snapshot().into_keys().filter(|k| k.starts_with(&prefix)) {
                let name = key.rsplit('/').next().expect("a name").to_owned();
                seen += rows_of_name[&(folder.clone(), name)];
            }
        }
        seen
    };
    let act = |out: &Arc<dyn Store>| {
        // The catalog fails with the store: both are one process's calls.
        let both = Catalog(Arc::new(Both { counts: out.clone(), catalog: world.catalog.clone() }));
        world.compact(out, Some(&both))
    };
    each_fault(&world, act, |fault| {
        assert_eq!(seen_by_catalog(), total, "{fault}");
        let catalog = Catalog(Arc::new(world.catalog.clone()));
        world.compact(&world.lake_store(), Some(&catalog)).unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert!(world.unnumbered() == expected, "{fault}");
        assert_eq!(seen_by_catalog(), total, "{fault}");
        for folder in &partitions {
            let url = world.catalog.get(&format!("partitions/{folder}")).expect("registered");
            assert_eq!(url, format!("s3://lake/{folder}/").as_bytes(), "{fault}");
        }
    });
}

/// A catalog that does something when it is called.
struct Beside<F>(F);

impl<F: Fn(&BTreeMap<String, String>)> Pointers for Beside<F> {
    fn point(
        &self,
        places: &BTreeMap<String, String>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        (self.0)(places);
        Ok(())
    }
}

/// Another compaction comes while readers are given time to leave the files aside: it must not send them back there.
#[test]
fn s4_files_in_place_are_not_pointed_aside_again() {
    let (world, calls) = (converted(), AtomicU32::new(0));
    let rows = world.rows();
    let other = Beside(|places: &BTreeMap<String, String>| {
        assert!(places.values().all(|url| !url.contains("/_flowquet/")), "{places:?}");
    });
    let one = Beside(|_: &BTreeMap<String, String>| {
        // First aside, then back.
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            world.compact(&world.lake_store(), Some(&other)).expect("undisturbed");
        }
    });
    world.compact(&world.lake_store(), Some(&one)).expect("undisturbed");
    assert_eq!((calls.into_inner(), world.rows() == rows), (3, true));
    world.assert_in_place();
}

/// A catalog whose calls are operations of the process that fails.
#[derive(Debug)]
struct Both {
    counts: Arc<dyn Store>,
    catalog: flowquet_store::Memory,
}

/// Only `put` is ever called.
mod both {
    use super::Both;
    use flowquet_store::{Error, Fetch, Folder, ObjectMeta, Staged, Store};
    use std::io::Read;
    use std::ops::Range;

    impl Store for Both {
        fn create(&self) -> Result<(), Error> {
            self.catalog.create()
        }
        fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
            self.catalog.list_each(prefix, each)
        }
        fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
            self.catalog.folder(prefix, folders_max)
        }
        fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
            self.catalog.head(key)
        }
        fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
            self.catalog.fetch(key, etag, range, whole)
        }
        fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
            self.catalog.copy(from, to)
        }
        fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
            self.catalog.rename(from, to)
        }
        fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
            self.catalog.get(key)
        }
        fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
            self.catalog.read(key)
        }
        fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
            // An operation of the process: it fails here, or is performed.
            self.counts.honours_conditions()?;
            self.catalog.put(key, bytes)
        }
        fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
            self.catalog.put_if_absent(key, bytes)
        }
        fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
            self.catalog.stage(key)
        }
        fn delete(&self, key: &str) -> Result<(), Error> {
            self.catalog.delete(key)
        }
        fn url(&self, key: &str) -> String {
            self.catalog.url(key)
        }
    }
}

fn choice(globs: &[&str]) -> Choice {
    let mut choice = Choice::default();
    choice.set_objects(&globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()).expect("globs");
    choice
}

/// A table whose headerless object was read with a wrong format that fits, and what the right one would have been.
fn misread(is_compacted: bool) -> (World, World) {
    let wrong = V2.replace("${srcaddr} ${dstaddr}", "${dstaddr} ${srcaddr}");
    let make = |format: &str| {
        let world = World::new();
        world.convert(&world.lake_store(), world.with_format(format)).expect("undisturbed");
        if is_compacted {
            world.compact(&world.lake_store(), None).expect("undisturbed");
        }
        world
    };
    (make(&wrong), make(V2))
}

fn v2() -> Change {
    Change { reading: Some(Reading::new(None, Some(V2)).expect("valid")), ..Change::default() }
}

#[test]
fn s5_reconvert_gives_what_a_right_conversion_would_have_given() {
    for is_compacted in [false, true] {
        let (world, right) = misread(is_compacted);
        assert_ne!(world.rows(), right.rows());
        let before = world.snapshot();
        let of_object = || choice(&["headerless.log"]);
        let of_partition = || {
            let mut choice = Choice::default();
            choice.partitions = vec!["date=2024-01-16".into()];
            choice
        };
        for choice in [&of_object as &dyn Fn() -> Choice, &of_partition] {
            world.restore(&before);
            let done = world.reconvert(&world.lake_store(), choice(), v2()).expect("undisturbed");
            assert!(done.objects > 0);
            assert_eq!(world.rows(), right.rows(), "compacted: {is_compacted}");
            world.assert_in_place();
            let (a, b) = (Log::open(&world.lake_store()), Log::open(&right.lake_store()));
            let (a, b) = (a.expect("a table"), b.expect("a table"));
            let counts = |log: &Log| log.state().totals().counts.clone();
            assert_eq!(counts(&a), counts(&b));
            // And nothing is new to the next run.
            let run = world.convert(&world.lake_store(), world.with_format(V2)).expect("undisturbed");
            assert_eq!((run.summary.objects.converted, run.summary.objects.known), (0, 7));
        }
    }
}

#[test]
fn s6_reconvert_under_faults() {
    let (world, right) = misread(true);
    let wrong = world.rows();
    let act = |out: &Arc<dyn Store>| world.reconvert(out, choice(&["headerless.log"]), v2()).map(drop);
    each_fault(&world, act, |fault| {
        let rows = world.rows();
        assert!(rows == wrong || rows == right.rows(), "{fault}: neither as before nor as after");
        act(&world.lake_store()).unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert_eq!(world.rows(), right.rows(), "{fault}");
        world.assert_in_place();
    });
}

#[test]
fn s7_rejects_are_mended() {
    let world = World::new();
    // Half of the lines fit a format that is wrong.
    let short = "10.0.0.1 10.0.0.2 1705276900\n10.0.0.1 10.0.0.2 1705276900 7\n";
    world.put("mixed.log", short.as_bytes());
    let three = "${srcaddr} ${dstaddr} ${start}";
    world.convert(&world.lake_store(), world.with_format(three)).expect("undisturbed");
    let four = Reading::new(None, Some("${srcaddr} ${dstaddr} ${start} ${bytes}")).expect("valid");
    let mut rejects = choice(&["mixed.log"]);
    rejects.rejects = true;
    let change = Change { reading: Some(four), ..Change::default() };
    let done = world.reconvert(&world.lake_store(), rejects, change).expect("undisturbed");
    assert_eq!((done.objects, done.summary.counts.rejects), (1, 1 + done.rejects_before - 1));
    world.assert_in_place();
}

/// Both work in the same folder aside; one is killed at any moment while the other is under way.
#[test]
fn s5_equal_reconversions_at_once() {
    let (world, right) = misread(false);
    let before = world.snapshot();
    let of_object = || choice(&["headerless.log"]);
    let is_through = AtomicBool::new(false);
    let mut at = 0;
    while !is_through.load(Ordering::Relaxed) {
        at += 1;
        world.restore(&before);
        let has_begun = AtomicBool::new(false);
        let fault = Fault { at, when: When::After, then: Then::Dead };
        let failing: Arc<dyn Store> = Arc::new(Failing::new(world.lake_store(), fault));
        let beside = |event: &Event<'_>| {
            if matches!(event, Event::Planned { .. }) && !has_begun.swap(true, Ordering::Relaxed) {
                let other = world.reconvert(&failing, of_object(), v2());
                is_through.store(other.is_ok(), Ordering::Relaxed);
            }
        };
        let one = world.reconvert_beside(&world.lake_store(), of_object(), v2(), &beside);
        assert!(matches!(one, Ok(_) | Err(Error::Overtaken(_))), "operation {at}: {one:?}");
        assert_eq!(world.rows(), right.rows(), "operation {at}");
        world.compact(&world.lake_store(), None).unwrap_or_else(|e| panic!("operation {at}: {e}"));
        assert_eq!(world.rows(), right.rows(), "operation {at}");
        world.assert_in_place();
    }
    assert!(at > 10, "{at} operations");
}

#[test]
fn s8_nothing_is_changed_where_raw_logs_are_gone() {
    let (world, _) = misread(true);
    let before = world.snapshot();
    world.logs.delete(&world::key(1, 16, 0)).expect("made above");
    let done = world.reconvert(&world.lake_store(), choice(&["headerless.log"]), v2());
    assert!(matches!(done, Err(Error::RawLogsDiffer { .. })), "{done:?}");
    assert!(world.snapshot() == before, "the table is as it was");
}

#[test]
fn s9_a_lost_answer_is_not_taken_for_a_refusal_of_ours() {
    // Every put-if-absent of a run is done and its answer lost, one after another.
    let world = World::new();
    let counting = Arc::new(Failing::counting(world.lake_store()));
    let out: Arc<dyn Store> = counting.clone();
    world.convert(&out, world.options()).expect("undisturbed");
    let rows = world.rows();
    world.lake.restore(Default::default());
    for at in 1..=counting.operations() {
        let fault = Fault { at, when: When::After, then: Then::Alive };
        let failing: Arc<dyn Store> = Arc::new(Failing::new(world.lake_store(), fault));
        let _ = world.convert(&failing, world.options());
    }
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    assert_eq!(world.rows(), rows);
}

#[test]
fn l10_a_checkpoint_changes_nothing_whatever_happens_while_it_is_put() {
    // Runs that put few records each, until the next one has a checkpoint to put.
    let world = World::new();
    let make = |world: &World| {
        let keys: Vec<String> = world.logs.snapshot().into_keys().collect();
        let late: Vec<_> = keys.iter().map(|k| (k, world.logs.get(k).expect("there"))).collect();
        late.iter().for_each(|(key, _)| world.logs.delete(key).expect("there"));
        for (key, bytes) in late {
            let is_last = world.checkpoints() == 0 && world.records() >= 6;
            world.put(key, &bytes);
            if is_last {
                return;
            }
            world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        }
        panic!("too few objects for a checkpoint");
    };
    make(&world);
    let other = World::new();
    make(&other);
    other.convert(&other.lake_store(), other.options()).expect("undisturbed");
    assert_eq!(other.checkpoints(), 1);
    let expected = other.records_and_files();
    each_fault(
        &world,
        |out| world.convert(out, world.options()).map(drop),
        |fault| {
            world.convert(&world.lake_store(), world.options()).unwrap_or_else(|e| panic!("{fault}: {e}"));
            assert!(world.records_and_files() == expected, "{fault}");
            assert_eq!(world.checkpoints(), 1, "{fault}");
        },
    );
    // Whatever is done with them later, nothing changes.
    let run = world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    let objects = run.summary.objects.clone();
    for key in world.lake.snapshot().into_keys().filter(|k| k.contains("/checkpoints/")) {
        let bytes = world.lake.get(&key).expect("there");
        for spoilt in [None, Some(&bytes[..bytes.len() / 2]), Some(&b"{}"[..])] {
            match spoilt {
                None => world.lake.delete(&key).expect("there"),
                Some(bytes) => world.put_in_table(&key, bytes),
            }
            let run = world.convert(&world.lake_store(), world.options()).expect("undisturbed");
            assert_eq!(run.summary.objects, objects, "{key}");
            assert!(world.records_and_files() == expected, "{key}");
            world.put_in_table(&key, &bytes);
        }
    }
}
