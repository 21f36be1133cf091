//! Faults that somebody planted in a table are found, by the cheapest level that can tell, and nothing else is blamed.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_engine::{Change, Choice, Fault, Finding, Level, Trouble};
use flowquet_store::Store as _;
use flowquet_table::{Log, Reading};
use flowquet_testkit::gzip;

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, keys, live};
use crate::world::{self, V2, World, key};

/// Numbers that look random: the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.next(all.len())]
    }
}

/// Tables with different pasts.
fn tables() -> Vec<World> {
    let convert = || {
        let world = World::new();
        let late = world.logs.get(&key(1, 16, 7)).expect("made above");
        world.logs.delete(&key(1, 16, 7)).expect("made above");
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        world.put(&key(1, 16, 7), &late);
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        world
    };
    let compacted = convert();
    compacted.compact(&compacted.lake_store(), None).expect("undisturbed");
    let reconverted = convert();
    let mut choice = Choice::default();
    choice.set_objects(&["**/*T0900Z*".to_owned()]).expect("globs");
    reconverted.reconvert(&reconverted.lake_store(), choice, Change::default()).expect("undisturbed");
    let both = convert();
    both.compact(&both.lake_store(), None).expect("undisturbed");
    let change = Change { reading: Some(Reading::new(None, Some(V2)).expect("valid")), ..Change::default() };
    let mut choice = Choice::default();
    choice.set_objects(&["headerless.log".to_owned(), "**/*T0700Z*".to_owned()]).expect("globs");
    both.reconvert(&both.lake_store(), choice, change).expect("undisturbed");
    vec![convert(), compacted, reconverted, both]
}

#[test]
fn whole_tables_give_no_alarm() {
    for (i, world) in tables().iter().enumerate() {
        let verified = world.verify(Depth::Deep);
        assert_nothing_found(&verified, &format!("table {i}"));
        let objects = verified.records.objects;
        assert_eq!(verified.deep.as_ref().map(|d| (d.objects, d.without_digest)), Some((objects, 0)));
        let data = verified.data.as_ref().expect("read");
        assert_eq!((data.files, data.rows), (data.of, verified.records.records));
        assert!(verified.records.has_digests);
        // The damaged object and the one without a header are not in the table; of the others every line is proven.
        assert_eq!(verified.safe.len() as u64, objects, "{:?}", verified.not_safe);
        world.assert_no_alarm("whole");
    }
}

/// A fault that was planted: by which level it is to be found, as what, and where.
#[derive(Debug)]
struct Planted {
    level: Level,
    faults: &'static [Fault],
    place: String,
    depth: Depth,
}

const OF_FILES: &[Fault] = &[
    Fault::FileDamaged,
    Fault::FileOfAnother,
    Fault::FileBytes,
    Fault::RowsDiffer,
    Fault::StatisticsLie,
    Fault::OrderBroken,
    Fault::PartitionWrong,
    Fault::DigestDiffers,
];

fn plant(world: &World, random: &mut Random) -> Option<Planted> {
    let planted =
        |level, faults, place: &str, depth| Some(Planted { level, faults, place: place.to_owned(), depth });
    let files = live(world);
    let file = random.one_of(&files).clone();
    let bytes = world.lake.get(&file).expect("there").to_vec();
    match random.next(13) {
        0 => {
            world.lake.delete(&file).expect("there");
            planted(Level::Listing, &[Fault::FileGone], &file, Depth::Footers)
        }
        1 => {
            world.put_in_table(&file, &bytes[..random.next(bytes.len())]);
            planted(Level::Listing, &[Fault::FileSize], &file, Depth::Footers)
        }
        2..=5 => {
            let mut bytes = bytes;
            let at = random.next(bytes.len());
            bytes[at] ^= 1 << random.next(8);
            world.put_in_table(&file, &bytes);
            planted(Level::Data, OF_FILES, &file, Depth::Data)
        }
        6 => {
            let names =
                ["date=2024-01-15/copy.parquet", "date=2024-01-17/0123456789abcdef-0000.parquet", "x.csv"];
            let copy = *random.one_of(&names);
            world.put_in_table(copy, &bytes);
            planted(Level::Listing, &[Fault::FileStray], copy, Depth::Footers)
        }
        7 => {
            let records = [keys(world, "_flowquet/commits/"), keys(world, "_flowquet/compactions/")].concat();
            let records: Vec<String> = records.into_iter().filter(|k| k.ends_with(".json")).collect();
            let record = random.one_of(&records).clone();
            let mut bytes = world.lake.get(&record).expect("there").to_vec();
            let at = random.next(bytes.len());
            bytes[at] ^= 1 << random.next(8);
            world.put_in_table(&record, &bytes);
            let faults = &[Fault::RecordEdited, Fault::RecordUnreadable, Fault::RecordDoubled];
            planted(Level::Records, faults, &record, Depth::Footers)
        }
        8 => {
            let records = [
                keys(world, "_flowquet/commits/"),
                keys(world, "_flowquet/compactions/0"),
                keys(world, "_flowquet/plans/"),
            ];
            let records = records.concat();
            let records: Vec<String> = records.into_iter().filter(|k| !k.ends_with(".done")).collect();
            let record = random.one_of(&records).clone();
            world.lake.delete(&record).expect("there");
            let faults = &[Fault::CommitGone, Fault::RecordGone, Fault::TaskUnfinished];
            planted(Level::Records, faults, &record, Depth::Footers)
        }
        9 => {
            let records = keys(world, "_flowquet/commits/by-plan/");
            let record = random.one_of(&records).clone();
            let copies = [
                "_flowquet/commits/by-plan/00000001-0123456789abcdef.json".to_owned(),
                record.replace("by-plan/0000000", "by-plan/0000001"),
                format!("_flowquet/commits/{}", record.rsplit('-').next().unwrap_or_default()),
            ];
            let copy = random.one_of(&copies).clone();
            world.put_in_table(&copy, &world.lake.get(&record).expect("there"));
            planted(Level::Records, &[Fault::RecordDoubled], &copy, Depth::Footers)
        }
        10 => {
            let log = Log::open(&world.lake_store()).expect("a table");
            let rejects: Vec<String> = log.state().totals().reject_files().collect();
            let kept = random.one_of(&rejects).clone();
            world.lake.delete(&kept).expect("there");
            planted(Level::Records, &[Fault::RejectsGone], &kept, Depth::Footers)
        }
        11 => {
            let kept = random.one_of(&keys(world, "_flowquet/rejects/")).clone();
            let bytes = world.lake.get(&kept).expect("there");
            world.put_in_table(&kept, &other_rejects(&bytes, random));
            planted(Level::Data, &[Fault::RejectsDiffer], &kept, Depth::Data)
        }
        _ => {
            // A line of a raw log is gone, or another.
            let logs = world.logs.snapshot();
            let objects: Vec<&String> =
                logs.keys().filter(|k| k.starts_with("AWSLogs/000000000001/")).collect();
            let object = (*random.one_of(&objects)).clone();
            let text = flowquet_testkit::gunzip(&logs[&object]);
            let mut lines: Vec<&str> = std::str::from_utf8(&text).expect("text").lines().collect();
            let line = 1 + random.next(lines.len() - 1);
            if random.next(2) == 0 {
                lines.remove(line);
            } else {
                lines[line] = lines[line - 1];
            }
            world.put(&object, &gzip(format!("{}\n", lines.join("\n")).as_bytes()));
            let depth = if random.next(2) == 0 { Depth::Source } else { Depth::Deep };
            planted(Level::Source, &[Fault::ObjectChanged], &format!("s3://logs/{object}"), depth)
        }
    }
}

/// Kept rejected lines that are not what they were.
fn other_rejects(kept: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = kept.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let place = random.next(lines.len());
    match random.next(5) {
        0 => return Vec::new(),
        1 => return kept[..random.next(kept.len() - 1)].to_vec(),
        2 => drop(lines.remove(place)),
        3 => lines.push(lines[place].clone()),
        _ => {
            let mut line: serde_json::Value = serde_json::from_slice(&lines[place]).expect("a reject");
            let raw = line["raw"].as_str().expect("text");
            line["raw"] = format!("{raw} ").into();
            lines[place] = format!("{line}\n").into_bytes();
        }
    }
    lines.concat()
}

/// As many as make a fault of each kind, at many places of each kind of record and file.
const FAULTS: usize = 600;

#[test]
fn each_random_fault_is_found_and_nothing_else_is_blamed() {
    let worlds = tables();
    let mut random = Random(0x5eed_cafe_f00d);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..FAULTS {
        let world = &worlds[n % worlds.len()];
        let (before, logs) = (world.snapshot(), world.logs.snapshot());
        let Some(planted) = plant(world, &mut random) else { continue };
        let when = format!("fault {n}: {planted:?}");
        let verified = world.verify(planted.depth);
        let findings: Vec<&Finding> = verified
            .findings
            .iter()
            .filter(|f| f.fault != Fault::ObjectMissing || f.place == planted.place)
            .collect();
        assert!(!findings.is_empty(), "{when}: nothing was found");
        for finding in &findings {
            let is_named = finding.place == planted.place && planted.faults.contains(&finding.fault);
            // A record that another rests on cannot be gone by; then all that can be said is said.
            let is_level = finding.level == planted.level;
            assert!(is_named && is_level, "{when}: {findings:#?}");
            *found.entry(finding.fault.name()).or_default() += 1;
        }
        assert!(verified.trouble() < Trouble::None, "{when}");
        assert!(!verified.safe.contains(&planted.place), "{when}");
        world.restore(&before);
        world.logs.restore(logs);
    }
    let kinds: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    for kind in [
        "file-gone",
        "file-size",
        "file-damaged",
        "file-bytes",
        "file-stray",
        "record-edited",
        "commit-gone",
        "record-gone",
        "task-unfinished",
        "record-doubled",
        "rejects-gone",
        "rejects-differ",
        "object-changed",
    ] {
        assert!(kinds.contains(kind), "{kind} was never found: {found:?}");
    }
}

#[test]
fn a_file_in_the_place_of_another_is_found() {
    let worlds = tables();
    let world = &worlds[0];
    let files = live(world);
    let (a, b) = (&files[0], &files[1]);
    let bytes = world.lake.get(a).expect("there");
    world.put_in_table(b, &bytes);
    let findings = world.verify(Depth::Data).findings;
    assert!(findings.iter().all(|f| f.place == *b), "{findings:#?}");
}

#[test]
fn what_is_lost_is_repaired() {
    use flowquet_engine::{Event, repair};
    for (i, world) in tables().iter().enumerate() {
        let rows = world.rows();
        let files = live(world);
        let mut damaged = world.lake.get(&files[1]).expect("there").to_vec();
        // Of bytes that no value depends on it would be written anew without raw logs.
        damaged[8..40].iter_mut().for_each(|byte| *byte ^= 1);
        world.put_in_table(&files[1], &damaged);
        world.lake.delete(&files[0]).expect("there");
        let verified = world.verify(Depth::Data);
        let request = || world.reconvert_request(&world.lake_store(), Choice::default(), Change::default());
        let stop = std::sync::atomic::AtomicBool::new(false);
        // A raw log that is gone: nothing is changed.
        let (before, logs) = (world.snapshot(), world.logs.snapshot());
        for key in logs.keys() {
            world.logs.delete(key).expect("there");
        }
        let done = repair(request(), &verified, None, &|_: &Event<'_>| {}, &stop).expect("nothing fails");
        assert!(done.repaired.is_none() && done.error.is_some());
        assert_eq!(done.beyond, files[..2].iter().cloned().collect());
        let files_of = |s: &BTreeMap<String, bytes::Bytes>| -> Vec<String> {
            s.keys().filter(|k| k.ends_with(".parquet")).cloned().collect()
        };
        assert_eq!(files_of(&world.lake.snapshot()), files_of(&before.0), "table {i}");
        world.restore(&before);
        world.logs.restore(logs);
        let repaired =
            repair(request(), &verified, None, &|_: &Event<'_>| {}, &stop).expect("logs are there");
        let repaired = repaired.repaired.expect("files were lost");
        assert_eq!(repaired.files, {
            let mut two = files[..2].to_vec();
            two.sort();
            two
        });
        assert_eq!(world.rows(), rows, "table {i}");
        assert_nothing_found(&world.verify(Depth::Deep), &format!("table {i}"));
        assert!(
            repair(request(), &world.verify(Depth::Data), None, &|_: &Event<'_>| {}, &stop)
                .expect("whole")
                .repaired
                .is_none()
        );
    }
}

#[test]
fn rejected_lines_are_made_anew_byte_by_byte() {
    use flowquet_engine::{Event, LossRequest};
    use flowquet_table::lost_rejects;
    let stop = std::sync::atomic::AtomicBool::new(false);
    for (i, world) in tables().iter().enumerate() {
        let (before, logs) = (world.snapshot(), world.logs.snapshot());
        let request = world.reconvert_request(&world.lake_store(), Choice::default(), Change::default());
        let (budget, stores) = (request.budget, request.stores);
        let losses = LossRequest { out: world.lake_store(), stores, grace: std::time::Duration::ZERO };
        let restore = |verified| {
            losses.restore_rejects(verified, budget, &|_: &Event<'_>| {}, &stop).expect("nothing fails")
        };
        let mut rejects = keys(world, "_flowquet/rejects/");
        rejects.sort();
        let bytes = world.lake.get(&rejects[0]).expect("there");
        world.put_in_table(&rejects[0], &other_rejects(&bytes, &mut Random(7)));
        for key in &rejects[1..] {
            world.lake.delete(key).expect("there");
        }
        let verified = world.verify(Depth::Data);
        let places: BTreeSet<&String> = verified.findings.iter().map(|f| &f.place).collect();
        assert_eq!(places, rejects.iter().collect(), "table {i}");

        // Raw logs are gone: they can be done without, and be had back.
        for key in logs.keys() {
            world.logs.delete(key).expect("there");
        }
        let done = restore(&verified);
        assert_eq!(done.beyond, rejects.iter().cloned().collect(), "table {i}");
        assert!(done.files.is_empty() && done.error.is_some());
        let loss = flowquet_table::Loss { reason: "gone".to_owned(), accepted_at: String::new() };
        let accepted = losses.accept(&verified, &loss, None, None, &|_: &Event<'_>| {}, &stop);
        let mut accepted = accepted.expect("nothing fails").expect("something is lost").reject_files;
        accepted.sort();
        assert_eq!(accepted, rejects, "table {i}");
        let verified = world.verify(Depth::Data);
        assert_eq!((verified.findings.len(), verified.lost_rejects.len()), (0, rejects.len()), "table {i}");

        world.logs.restore(logs);
        let done = restore(&verified);
        assert_eq!(done.files.iter().collect::<BTreeSet<_>>(), rejects.iter().collect(), "table {i}");
        assert!(done.beyond.is_empty() && done.error.is_none());
        assert!(lost_rejects(world.lake_store().as_ref()).expect("a store").is_empty());
        let after = world.snapshot();
        for key in &rejects {
            assert_eq!(after.0[key], before.0[key], "table {i}: {key}");
        }
        assert_nothing_found(&world.verify(Depth::Deep), &format!("table {i}"));
    }
}

/// Runs that go on while a table is verified are no finding: what they replace, put and delete.
#[test]
fn runs_that_go_on_meanwhile_give_no_alarm() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    let is_done = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 10..34_u32 {
                let text =
                    format!("{}\n{}", V2.replace("${", "").replace('}', ""), world::v2_lines(15, n, 9));
                world.put(&key(1, 15, n), &gzip(text.as_bytes()));
                world.convert(&world.lake_store(), world.options()).expect("undisturbed");
                if n % 3 == 0 {
                    world.compact(&world.lake_store(), None).expect("undisturbed");
                }
                if n % 7 == 0 {
                    let mut choice = Choice::default();
                    choice.set_objects(&[format!("**/*T{n:02}00Z*")]).expect("globs");
                    world.reconvert(&world.lake_store(), choice, Change::default()).expect("undisturbed");
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let mut looks = 0;
        while !is_done.load(Ordering::Relaxed) {
            let depth = if looks % 2 == 0 { Depth::Data } else { Depth::Footers };
            let verified = world.verify(depth);
            assert!(verified.trouble() >= Trouble::Left, "look {looks}: {:#?}", verified.findings);
            looks += 1;
        }
        looks
    });
    assert!(looks > 5, "{looks}");
    assert_nothing_found(&world.verify(Depth::Deep), "afterwards");
}

#[test]
fn what_is_no_record_keeps_nothing_from_being_compared() {
    let world = World::new();
    world.convert(&world.lake_store(), world.options()).expect("undisturbed");
    world.compact(&world.lake_store(), None).expect("undisturbed");
    let places = |world: &World| -> Vec<(Fault, String)> {
        let verified = world.verify(Depth::Footers);
        verified.findings.iter().map(|finding| (finding.fault, finding.place.clone())).collect()
    };
    world.put_in_table("_flowquet/rejects/notes.txt", b"junk");
    let junk = (Fault::RecordUnknown, "_flowquet/rejects/notes.txt".to_owned());
    assert_eq!(places(&world), std::slice::from_ref(&junk));

    // A file that was merged says that it has other rows, and there is no seal that tells.
    let record = keys(&world, "_flowquet/compactions/")
        .into_iter()
        .find(|key| key.ends_with(".json"))
        .expect("compacted");
    let mut json: serde_json::Value =
        serde_json::from_slice(&world.lake.get(&record).expect("listed")).expect("JSON");
    json.as_object_mut().expect("a record").remove("crc32");
    let digest = &mut json["outputs"][0]["digest"];
    let text = digest.as_str().expect("of this version").to_owned();
    let other = if text.starts_with('0') { '1' } else { '0' };
    *digest = format!("{other}{}", &text[1..]).into();
    world.put_in_table(&record, &serde_json::to_vec(&json).expect("plain values"));
    let found = places(&world);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.contains(&junk) && found.iter().any(|(fault, _)| *fault == Fault::RecordsBroken),
        "{found:?}"
    );
}
