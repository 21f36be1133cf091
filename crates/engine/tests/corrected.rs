//! What somebody got wrong the first time, and does right the second.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowquet_engine::{Change, Choice, Error, Fault as Found, Request, Run};
use flowquet_sources::Source;
use flowquet_store::{Failing, Fault, Location, Store, Then, When};
use flowquet_table::{Error as LogError, Log, Options, Reading, Status, ignore, status};
use flowquet_testkit::gzip;

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, live};
use crate::world::watched::Watched;
use crate::world::{V2, World, header, key, v2_lines};

fn by_hour(world: &World) -> Options {
    Options { partition_by: "date,hour".parse().expect("columns"), ..world.options() }
}

fn told(world: &World) -> Status {
    status(&mut Log::open(&world.lake_store()).expect("a table")).expect("in memory")
}

fn partition_by(world: &World) -> String {
    let contract = Log::find_contract(world.lake_store().as_ref()).expect("in memory");
    contract.expect("a table").partition_by.to_string()
}

fn is_refused<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Log(LogError::Contract(_))))
}

#[test]
fn a_table_without_a_file_takes_the_options_of_the_next_run() {
    let world = World::new();
    let logs = world.logs.snapshot();
    // Nothing in it can be read without a format.
    world.logs.restore(
        logs.iter().filter(|(k, _)| *k == "headerless.log").map(|(k, v)| (k.clone(), v.clone())).collect(),
    );
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    assert_eq!((partition_by(&world), live(&world).len()), ("date".to_owned(), 0));
    world.logs.restore(logs);
    world.convert(&world.lake_store(), by_hour(&world)).expect("the table has no files");
    assert_eq!(partition_by(&world), "date,hour");
    assert!(world.rows().keys().all(|folder| folder.contains("/hour=")));
    world.assert_checkpoints_change_nothing();
    assert_nothing_found(&world.verify(Depth::Deep), "converted");

    // From now on it has them, for whatever is tried once more, too.
    let before = world.records_and_files();
    assert!(is_refused(&world.convert(&world.lake_store(), world.options())));
    assert!(world.records_and_files() == before);
    let change = Change { reading: Some(Reading::new(None, Some(V2)).expect("valid")), ..Change::default() };
    let mut choice = Choice::default();
    choice.set_objects(&["headerless.log".to_owned()]).expect("globs");
    world.reconvert(&world.lake_store(), choice, change).expect("undisturbed");
    assert!(world.rows().keys().all(|folder| folder.contains("/hour=")));
    assert_eq!(partition_by(&world), "date,hour");
}

#[test]
fn tasks_of_a_table_without_a_file_are_planned_anew_with_other_options() {
    let world = World::new();
    let expected = {
        let other = World::new();
        other.convert(&other.lake_store(), by_hour(&other)).expect("undisturbed");
        other.rows()
    };
    let counting = Arc::new(Failing::counting(world.lake_store()));
    let before = world.snapshot();
    let out: Arc<dyn Store> = counting.clone();
    world.convert(&out, world.options()).expect("undisturbed");
    let (mut taken, mut refused, mut with_open) = (0, 0, 0);
    for at in 1..=counting.operations() {
        world.restore(&before);
        let fault = Fault { at, when: When::After, then: Then::Dead };
        let out: Arc<dyn Store> = Arc::new(Failing::new(world.lake_store(), fault));
        drop(world.convert(&out, world.options()));
        let has_table = Log::find_contract(world.lake_store().as_ref()).expect("in memory").is_some();
        let has_files = has_table && !live(&world).is_empty();
        with_open += u64::from(has_table && !has_files && !told(&world).open_tasks.is_empty());
        let again = world.convert(&world.lake_store(), by_hour(&world));
        assert_eq!(is_refused(&again), has_files, "operation {at}");
        if has_files {
            refused += 1;
            continue;
        }
        again.expect("undisturbed");
        taken += 1;
        assert_eq!(
            (partition_by(&world), world.rows()),
            ("date,hour".to_owned(), expected.clone()),
            "operation {at}"
        );
        world.assert_in_place();
        world.assert_checkpoints_change_nothing();
    }
    assert!(taken > 0 && refused > 0 && with_open > 0, "{taken} {refused} {with_open}");
}

#[test]
fn of_two_runs_with_different_options_one_makes_the_table() {
    let world = World::new();
    let logs = world.logs.snapshot();
    world.logs.restore(BTreeMap::from([("headerless.log".to_owned(), logs["headerless.log"].clone())]));
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.logs.restore(logs);
    let other = world.same();
    let out = Watched::before_record(world.lake_store(), "/plans/", move || {
        other.convert(&other.lake_store(), by_hour(&other)).expect("undisturbed");
    });
    let run = world.convert(&out, world.options());
    assert!(is_refused(&run), "{run:?}");
    assert!(world.rows().keys().all(|folder| folder.contains("/hour=")));
    assert_eq!(partition_by(&world), "date,hour");
    assert_nothing_found(&world.verify(Depth::Data), "one of them");
}

#[test]
fn nobody_is_told_of_an_ignored_object_that_changed() {
    let world = World::new();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    let convert = || world.convert(&world.lake_store(), world.options()).expect("undisturbed").summary;
    let before = convert().objects.to_be_told();
    world.put(&key(1, 15, 0), &world.logs.get(&key(1, 15, 7)).expect("made with the world"));
    let changed = convert();
    assert_eq!((changed.objects.changed, changed.objects.to_be_told()), (1, before + 1));
    let url = changed.changed_objects[0].url.clone();
    let has_changed = |depth| world.verify(depth).findings.iter().any(|f| f.fault == Found::ObjectChanged);
    assert!(has_changed(Depth::Source));

    ignore(world.lake_store().as_ref(), &url, "written twice").expect("in memory");
    let ignored = convert();
    assert_eq!((ignored.objects.changed, ignored.objects.changed_ignored), (1, 1));
    assert_eq!((ignored.changed_objects.len(), ignored.objects.to_be_told()), (0, before));
    for depth in [Depth::Source, Depth::Deep] {
        let verified = world.verify(depth);
        assert!(verified.findings.iter().all(|f| f.fault != Found::ObjectChanged), "{depth:?}");
        assert!(!verified.safe.contains(&url));
    }
}

#[test]
fn a_status_tells_the_formats_that_logs_had_and_what_was_salvaged() {
    let world = World::new();
    world.convert(&world.lake_store(), Options { salvage: true, ..world.options() }).expect("undisturbed");
    let before = told(&world);
    assert_eq!((before.formats.len(), before.damaged_objects), (2, 1));
    world.compact(&world.lake_store(), None).expect("undisturbed");
    let after = told(&world);
    assert_eq!((&after.formats, after.damaged_objects), (&before.formats, 1));
    world.assert_checkpoints_change_nothing();
    // What is converted again is counted as it is then.
    world.put(&key(2, 16, 3), &world.logs.get(&key(2, 15, 3)).expect("made with the world"));
    let mut choice = Choice::default();
    choice.set_objects(&[key(2, 16, 3)]).expect("globs");
    world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
    assert_eq!(told(&world).damaged_objects, 0);
    world.assert_checkpoints_change_nothing();
}

#[test]
fn a_run_with_another_format_and_nothing_new_tells_what_was_read_otherwise() {
    let world = World::new();
    let swapped = V2.replace("${srcaddr} ${dstaddr}", "${dstaddr} ${srcaddr}");
    world.convert(&world.lake_store(), world.with_format(&swapped)).expect("it fits");
    let otherwise = |options: Options| {
        let found = world.convert(&world.lake_store(), options).expect("undisturbed").summary.read_otherwise;
        (found.objects, found.formats.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(otherwise(world.with_format(&swapped)).0, 0);
    assert_eq!(otherwise(world.options()).0, 0, "none is given");
    // One object has no header line.
    assert_eq!(otherwise(world.with_format(V2)), (1, vec![swapped.clone()]));
    let change = Change { reading: Some(Reading::new(None, Some(V2)).expect("valid")), ..Change::default() };
    let mut choice = Choice::default();
    choice.set_objects(&["headerless.log".to_owned()]).expect("globs");
    world.reconvert(&world.lake_store(), choice, change).expect("undisturbed");
    assert_eq!(otherwise(world.with_format(V2)).0, 0);
    // As it was read last, whatever its plan said.
    assert_eq!(otherwise(world.with_format(&swapped)), (1, vec![V2.to_owned()]));
}

#[test]
fn a_run_that_another_with_other_options_overtakes_is_told_at_most_once() {
    let world = World::new();
    let other = world.same();
    let out = Watched::before_record(world.lake_store(), "/commits/", move || {
        other.convert(&other.lake_store(), other.with_format(V2)).expect("undisturbed");
    });
    let run = world.convert(&out, world.options()).expect("undisturbed");
    let told: Vec<&String> = run.summary.warnings.iter().filter(|w| w.contains("run")).collect();
    assert!(told.len() <= 1, "{told:?}");
    assert_eq!(run.summary.objects.left, 0, "{:?}", run.summary.objects);
    assert_nothing_found(&world.verify(Depth::Deep), "overtaken");
    world.assert_in_place();
}

/// A header alone; what it grows by.
fn grown(lines: u32) -> Vec<u8> {
    gzip(format!("{}\n{}", header(V2), v2_lines(15, 12, lines)).as_bytes())
}

#[test]
fn an_object_that_gave_no_rows_is_converted_again_with_what_files_have_in_common() {
    let world = World::new();
    let logs = world.logs.snapshot();
    let empty = key(1, 15, 12);
    world.logs.restore(BTreeMap::new());
    world.put(&empty, &grown(0));
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    assert!(live(&world).is_empty());
    world.logs.restore(logs);
    world.put(&empty, &grown(5));
    world.convert(&world.lake_store(), by_hour(&world)).expect("the table has no files");
    let mut choice = Choice::default();
    choice.set_objects(std::slice::from_ref(&empty)).expect("globs");
    world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
    assert!(world.rows().keys().all(|folder| folder.contains("/hour=")), "{:?}", world.rows().keys());
    assert_nothing_found(&world.verify(Depth::Deep), "converted again");
    world.compact(&world.lake_store(), None).expect("undisturbed");
}

#[test]
fn objects_that_cannot_be_read_are_told_after_others_of_their_task_were_converted_again() {
    let unreadable = |world: &World| -> Vec<String> {
        told(world).unreadable.into_iter().map(|object| object.url).collect()
    };
    for is_lost in [false, true] {
        let world = World::new();
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        let before = unreadable(&world);
        assert_eq!(before.len(), 2);
        let mut choice = Choice::default();
        if is_lost {
            world.lake.delete(&live(&world)[0]).expect("there");
            choice.lost = true;
        } else {
            choice.set_objects(&[key(1, 15, 0)]).expect("globs");
        }
        world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
        assert_eq!(unreadable(&world), before, "{is_lost}");
        world.assert_checkpoints_change_nothing();
    }
}

#[test]
fn what_is_lost_is_not_made_anew_of_other_records() {
    let world = World::new();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.lake.delete(&live(&world)[0]).expect("there");
    let before = world.snapshot();
    let lost = || {
        let mut choice = Choice::default();
        choice.lost = true;
        choice
    };
    for lines in [5, 9] {
        world.put(&key(1, 15, 0), &grown(lines));
        let done = world.reconvert(&world.lake_store(), lost(), Change::default());
        let Err(Error::RecordsDiffer { url, tasks, .. }) = &done else { panic!("{done:?}") };
        assert_eq!((url.as_str(), tasks.len()), (format!("s3://logs/{}", key(1, 15, 0)).as_str(), 1));
        assert!(world.snapshot() == before, "the table is as it was");
    }
    // By name it is taken as it is.
    let mut choice = Choice::default();
    choice.set_objects(&[key(1, 15, 0)]).expect("globs");
    world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
    assert_nothing_found(&world.verify(Depth::Deep), "taken as it is");
    // And with the bytes that it had, whenever they were put.
    world.lake.delete(&live(&world)[0]).expect("there");
    world.put(&key(1, 15, 0), &grown(9));
    world.reconvert(&world.lake_store(), lost(), Change::default()).expect("undisturbed");
}

/// A run that was killed when it had planned all objects; and another one, of the one object at `key`.
fn after_a_plan(world: &World, key: &str, options: Options) -> Run {
    let plan = world.plan();
    let mut log = Log::make(&world.lake_store(), &world.options(), false).expect("memory does not fail");
    log.take_plan(&plan).expect("there is none");
    let source = Location::parse(&format!("s3://logs/{key}")).expect("a location");
    let request = world.request(&world.lake_store(), options);
    world.run(&Request { sources: vec![Source::At(source)], ..request }).expect("undisturbed")
}

#[test]
fn unfinished_tasks_of_another_source_are_planned_anew_for_a_table_of_other_options() {
    for by_format in [false, true] {
        let world = World::new();
        let format = if by_format { world.with_format(V2) } else { world.options() };
        let run =
            after_a_plan(&world, &key(1, 15, 0), Options { reading: format.reading, ..by_hour(&world) });
        assert!(world.rows().keys().all(|folder| folder.contains("/hour=")), "{:?}", world.rows().keys());
        let objects = run.summary.objects.clone();
        assert!(objects.resumed > 0, "{objects:?}");
        // Nothing is left but what the run gave up to read it otherwise, and said so.
        let told = run.summary.warnings.iter().any(|warning| warning.contains("gave up unfinished tasks"));
        let again = world.convert(&world.lake_store(), by_hour(&world)).expect("undisturbed").summary;
        assert_eq!(again.objects.converted > 0, told, "{by_format}: {:?}", run.summary.warnings);
        assert!(!told || by_format);
        assert_nothing_found(&world.verify(Depth::Deep), "planned anew");
    }
}

#[test]
fn objects_of_tasks_that_were_given_up_and_that_nobody_lists_are_told() {
    let world = World::new();
    let plan = world.plan();
    let task = plan.tasks.iter().find(|task| task.objects.len() > 1).expect("tasks of several objects");
    let left = task.objects.len() as u64 - 1;
    let run = after_a_plan(&world, task.objects[0].key(), world.with_format(V2));
    let told: Vec<&String> = run.summary.warnings.iter().filter(|w| w.contains("gave up")).collect();
    assert!(told.len() == 1 && told[0].contains(&format!("does not list {left} object")), "{told:?}");
    let run = world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    assert_eq!(run.summary.objects.converted + run.summary.objects.failed, left + 2, "two cannot be read");
    assert!(!run.summary.warnings.iter().any(|w| w.contains("gave up")));
    assert_nothing_found(&world.verify(Depth::Deep), "all are listed");
}
