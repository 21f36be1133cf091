//! Faults that somebody planted in a table are found, by the cheapest level that can tell, and nothing else is blamed.

#[expect(dead_code, reason = "what faults need")]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowquet_arrow::{BatchSchema, Columns, Selection};
use flowquet_engine::{Change, Choice, Fault, Finding, Level, Trouble, Verified};
use flowquet_format::{Catalogue, LogFormat, Types};
use flowquet_parquet::{Compression, Encoder, FileSchema, FileWriter};
use flowquet_parse::{IntegerColumns, Parser, Step};
use flowquet_store::Store as _;
use flowquet_table::{Log, Reading, task_of_output};
use flowquet_testkit::gzip;
use world::checks::Depth;
use world::{V2, World, key};

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

/// Keys of live files.
fn live(world: &World) -> Vec<String> {
    let log = Log::open(&world.lake_store()).expect("a table");
    log.state().files().all().expect("in memory").iter().map(|f| f.output.key.clone()).collect()
}

fn keys(world: &World, prefix: &str) -> Vec<String> {
    world.lake.snapshot().into_keys().filter(|k| k.starts_with(prefix)).collect()
}

#[track_caller]
fn assert_nothing_found(verified: &Verified, when: &str) {
    let findings: Vec<&Finding> =
        verified.findings.iter().filter(|f| f.fault != Fault::ObjectMissing).collect();
    assert!(findings.is_empty(), "{when}: {findings:#?}");
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
    match random.next(12) {
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
        assert!(!verified.safe.iter().any(|url| *url == planted.place), "{when}");
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
        "object-changed",
    ] {
        assert!(kinds.contains(kind), "{kind} was never found: {found:?}");
    }
}

/// A file of these lines of version 2, as a conversion writes it.
fn file_of(lines: &[String], task: &str, sort: &[&str]) -> Vec<u8> {
    let catalogue = Catalogue::builtin();
    let format = Arc::new(LogFormat::parse(V2, catalogue).expect("valid"));
    let schema = Arc::new(BatchSchema::new(format.clone(), &Selection::all(), Types::Aws));
    let fields = format.fields().iter().enumerate();
    let integers = fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?))).collect();
    let mut integers = IntegerColumns::new(integers);
    let mut parser = Parser::new(Arc::new(catalogue.clone()), Some(format.clone()));
    let mut columns = Columns::new(schema.clone());
    let text = format!("{}\n", lines.join("\n"));
    let (mut at, mut rejects) = (0, Vec::new());
    parser.start();
    while at < text.len() {
        match parser.next_block(&text.as_bytes()[at..], true, &mut rejects).expect("a flow log") {
            Step::Block { consumed, block } => {
                assert!(!integers.parse(&block));
                columns.append(&block, &integers, 0..block.rows().len());
                at += consumed;
            }
            Step::Skipped(n) => at += n,
            other => panic!("{other:?}"),
        }
    }
    let own = schema.columns().iter().map(|c| (c.name.as_str(), c.column_type));
    let declared = FileSchema::new(own.clone()).sorted_by(sort.iter().copied());
    let metadata = [
        ("flowquet.task".to_owned(), task.to_owned()),
        ("flowquet.log_format".to_owned(), format.to_string()),
    ];
    let mut file = FileWriter::new(Vec::new(), &declared, &metadata).expect("memory");
    // Rows stand as they come, whatever the file declares.
    let mut encoder = Encoder::new(Compression::None).expect("no codec");
    file.append(encoder.encode_sorted(&columns.finish(), &declared).expect("encoded")).expect("memory");
    file.finish().expect("memory")
}

/// A table of one file, and what stands in it.
struct Small {
    world: World,
    key: String,
    record: String,
    lines: Vec<String>,
}

impl Small {
    fn new() -> Self {
        let world = World::new();
        world.logs.restore(BTreeMap::new());
        let lines: Vec<String> = world::v2_lines(15, 3, 40).lines().map(str::to_owned).skip(5).collect();
        let header = V2.replace("${", "").replace('}', "");
        world.put("AWSLogs/a.log", format!("{header}\n{}\n", lines.join("\n")).as_bytes());
        world.convert(&world.lake_store(), world.options()).expect("undisturbed");
        let files = live(&world);
        assert_eq!(files.len(), 1, "{files:?}");
        let record = keys(&world, "_flowquet/commits/").remove(0);
        let small = Self { key: files[0].clone(), record, world, lines };
        // As this test writes files: then one that differs in a row differs in that row alone.
        small.replace(&small.lines, &[]);
        assert_nothing_found(&small.world.verify(Depth::Deep), "as it was");
        small
    }

    fn replace(&self, lines: &[String], sort: &[&str]) {
        self.put(&file_of(lines, task_of_output(&self.key).expect("named"), sort));
    }

    /// Puts a file, and has the record tell its size and checksum, so that neither tells that it is another.
    fn put(&self, bytes: &[u8]) {
        self.world.put_in_table(&self.key, bytes);
        let record = self.world.lake.get(&self.record).expect("there");
        let mut record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        record["outputs"][0]["bytes"] = bytes.len().into();
        record["outputs"][0]["crc32"] = format!("{:08x}", crc32fast::hash(bytes)).into();
        record.as_object_mut().expect("a record").remove("crc32");
        let record: flowquet_table::CommitRecord = serde_json::from_value(record).expect("a record");
        self.world.put_in_table(&self.record, &flowquet_table::to_json(&record));
    }

    /// Expects exactly one finding, which no cheaper depth has.
    #[track_caller]
    fn check(&self, depth: Depth, level: Level, fault: Fault) -> Finding {
        let cheaper = match depth {
            Depth::Footers => None,
            Depth::Data => Some(Depth::Footers),
            Depth::Source | Depth::Deep => Some(Depth::Data),
        };
        if let Some(cheaper) = cheaper {
            assert_nothing_found(&self.world.verify(cheaper), "cheaper");
        }
        let findings = self.world.verify(depth).findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!((findings[0].level, findings[0].fault), (level, fault), "{findings:#?}");
        findings[0].clone()
    }
}

#[test]
fn rows_that_were_lost_doubled_changed_or_moved_are_found() {
    let small = Small::new();
    let mut lines = small.lines.clone();
    lines.remove(7);
    small.replace(&lines, &[]);
    let finding = small.check(Depth::Footers, Level::Footers, Fault::RowsDiffer);
    assert_eq!((finding.expected.as_deref(), finding.found.as_deref()), (Some("35"), Some("34")));
    let mut lines = small.lines.clone();
    lines.push(lines[3].clone());
    small.replace(&lines, &[]);
    small.check(Depth::Footers, Level::Footers, Fault::RowsDiffer);
    // One is lost and another doubled: as many rows, the same statistics.
    let mut lines = small.lines.clone();
    lines[7] = lines[8].clone();
    small.replace(&lines, &[]);
    small.check(Depth::Data, Level::Data, Fault::DigestDiffers);
    // A port changed.
    let mut lines = small.lines.clone();
    assert!(lines[9].contains(" 443 "));
    lines[9] = lines[9].replace(" 443 ", " 444 ");
    small.replace(&lines, &[]);
    let finding = small.check(Depth::Data, Level::Data, Fault::DigestDiffers);
    assert_eq!(finding.place, small.key);
    // Two rows exchanged a value.
    let mut lines = small.lines.clone();
    let mut fields: Vec<Vec<&str>> = small.lines[10..12].iter().map(|l| l.split(' ').collect()).collect();
    let (a, b) = fields.split_at_mut(1);
    std::mem::swap(&mut a[0][3], &mut b[0][3]);
    (lines[10], lines[11]) = (fields[0].join(" "), fields[1].join(" "));
    assert_ne!(lines[10], small.lines[10]);
    small.replace(&lines, &[]);
    small.check(Depth::Data, Level::Data, Fault::DigestDiffers);
    // A row of the next day.
    let mut lines = small.lines.clone();
    let start: i64 = lines[12].split(' ').nth(10).expect("start").parse().expect("a number");
    lines[12] = lines[12].replace(&start.to_string(), &(start + 86_400).to_string());
    small.replace(&lines, &[]);
    let finding = small.check(Depth::Footers, Level::Footers, Fault::PartitionWrong);
    assert_eq!(finding.found.as_deref(), Some("date=2024-01-16"));
    // As it was, in any order.
    let mut lines = small.lines.clone();
    lines.reverse();
    small.replace(&lines, &[]);
    assert_nothing_found(&small.world.verify(Depth::Deep), "another order");
}

#[test]
fn an_order_that_is_declared_and_not_kept_is_found() {
    let small = Small::new();
    let mut lines = small.lines.clone();
    lines.reverse();
    small.replace(&lines, &["start"]);
    let finding = small.check(Depth::Data, Level::Data, Fault::OrderBroken);
    assert_eq!(
        (finding.row_group, finding.row, finding.column.as_deref()),
        (Some(0), Some(1), Some("start"))
    );
}

#[test]
fn statistics_that_lie_are_found_where_they_stand() {
    let small = Small::new();
    let bytes = small.world.lake.get(&small.key).expect("there").to_vec();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().expect("four bytes"));
    let footer = bytes.len() - 8 - footer as usize;
    let ports =
        small.lines.iter().map(|l| l.split(' ').nth(5).expect("srcport").parse::<i32>().expect("a number"));
    let (min, max) = (ports.clone().min().expect("some"), ports.max().expect("some"));
    for (told, lie, of) in [(min, min + 1, "minimum"), (max, max - 1, "maximum")] {
        // In the footer: statistics of the chunk. Before it: those of the page.
        for (range, page) in [(footer..bytes.len(), None), (4..footer, Some(0))] {
            let mut changed = bytes.clone();
            let places: Vec<usize> = (range.start..range.end - 4)
                .filter(|at| changed[*at..*at + 4] == told.to_le_bytes())
                .filter(|at| page.is_none() || *at > footer * 3 / 4)
                .collect();
            assert!(!places.is_empty());
            places.iter().for_each(|at| changed[*at..*at + 4].copy_from_slice(&lie.to_le_bytes()));
            small.put(&changed);
            let finding = small.check(Depth::Data, Level::Data, Fault::StatisticsLie);
            let found = (finding.row_group, finding.column.as_deref(), finding.page, finding.what.as_deref());
            assert_eq!(found, (Some(0), Some("srcport"), page, Some(of)), "{finding:?}");
        }
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
    let small = Small::new();
    small.put(&file_of(&small.lines, "0123456789abcdef", &[]));
    small.check(Depth::Footers, Level::Footers, Fault::FileOfAnother);
}

#[test]
fn a_raw_line_that_changed_behind_the_back_of_its_etag_is_found_by_the_deep_level() {
    let small = Small::new();
    let url = "s3://logs/AWSLogs/a.log";
    // The record says that another line was read.
    let record = small.world.lake.get(&small.record).expect("there");
    let text = std::str::from_utf8(&record).expect("text");
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let digest = value["inputs"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(Some(digest.as_str()), value["outputs"][0]["digest"].as_str());
    let mut lines = small.lines.clone();
    lines[4] = lines[4].replace(" 443 ", " 444 ");
    let other = Small::new();
    other.world.logs.restore(BTreeMap::new());
    let header = V2.replace("${", "").replace('}', "");
    other.world.put("AWSLogs/b.log", format!("{header}\n{}\n", lines.join("\n")).as_bytes());
    other.world.convert(&other.world.lake_store(), other.world.options()).expect("undisturbed");
    let records = keys(&other.world, "_flowquet/commits/");
    let records = records.iter().map(|k| other.world.lake.get(k).expect("there"));
    let theirs = records.map(|r| serde_json::from_slice::<serde_json::Value>(&r).expect("JSON"));
    let theirs = theirs.map(|r| r["inputs"][0]["digest"].as_str().expect("a digest").to_owned());
    let theirs = theirs.filter(|d| *d != digest).last().expect("another");
    // The table is as a conversion of the other line would have made it: only the raw log tells otherwise.
    small.replace(&lines, &[]);
    let record = small.world.lake.get(&small.record).expect("there");
    let record = std::str::from_utf8(&record).expect("text").replace(&digest, &theirs);
    small.world.put_in_table(&small.record, record.as_bytes());
    let finding = small.check(Depth::Deep, Level::Deep, Fault::RecordsDiffer);
    assert_eq!(finding.place, url);
    assert_eq!(small.world.verify(Depth::Deep).safe, Vec::<String>::new());
}

#[test]
fn what_is_lost_is_repaired() {
    use flowquet_engine::{Budget, Event, ReconvertRequest, repair};
    for (i, world) in tables().iter().enumerate() {
        let rows = world.rows();
        let files = live(world);
        let mut damaged = world.lake.get(&files[1]).expect("there").to_vec();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        world.put_in_table(&files[1], &damaged);
        world.lake.delete(&files[0]).expect("there");
        let verified = world.verify(Depth::Data);
        let request = || ReconvertRequest {
            out: world.lake_store(),
            stores: world.stores(),
            choice: Choice::default(),
            change: Change::default(),
            budget: Budget::new(1, None, true, false).expect("enough"),
            grace: std::time::Duration::ZERO,
            dry_run: false,
        };
        let stop = std::sync::atomic::AtomicBool::new(false);
        // A raw log that is gone: nothing is changed.
        let (before, logs) = (world.snapshot(), world.logs.snapshot());
        for key in logs.keys() {
            world.logs.delete(key).expect("there");
        }
        repair(request(), &verified, None, &|_: &Event<'_>| {}, &stop).expect_err("nothing to convert");
        let files_of = |s: &BTreeMap<String, bytes::Bytes>| -> Vec<String> {
            s.keys().filter(|k| k.ends_with(".parquet")).cloned().collect()
        };
        assert_eq!(files_of(&world.lake.snapshot()), files_of(&before.0), "table {i}");
        world.restore(&before);
        world.logs.restore(logs);
        let repaired =
            repair(request(), &verified, None, &|_: &Event<'_>| {}, &stop).expect("logs are there");
        let repaired = repaired.expect("files were lost");
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
                .is_none()
        );
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

/// Records of a program that stored no digests: partitions are compared as a whole.
#[test]
fn without_digests_partitions_are_compared_with_all_raw_logs() {
    let small = Small::new();
    let strip = || {
        let record = small.world.lake.get(&small.record).expect("there");
        let mut record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        for part in ["inputs", "outputs"] {
            let entry = record[part][0].as_object_mut().expect("an entry");
            entry.remove("digest");
            entry.remove("crc32");
        }
        let record: flowquet_table::CommitRecord = serde_json::from_value(record).expect("a record");
        small.world.put_in_table(&small.record, &flowquet_table::to_json(&record));
    };
    strip();
    let verified = small.world.verify(Depth::Deep);
    assert_nothing_found(&verified, "as it was");
    assert_eq!(verified.not_safe, BTreeMap::from([("no-digest", 1)]));
    let mut lines = small.lines.clone();
    lines[7] = lines[8].clone();
    small.replace(&lines, &[]);
    strip();
    let finding = small.check(Depth::Deep, Level::Deep, Fault::PartitionDiffers);
    assert_eq!(finding.place, "date=2024-01-15");
}
