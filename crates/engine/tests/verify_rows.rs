//! What is wrong with rows, where sizes, counts and checksums say nothing: found by the cheapest level that can tell it, and by none
//! before.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowquet_arrow::{BatchSchema, Columns, Selection};
use flowquet_engine::{Fault, Finding, Level};
use flowquet_format::{Catalogue, LogFormat, Types};
use flowquet_parquet::{Compression, Encoder, FileSchema, FileWriter};
use flowquet_parse::{IntegerColumns, Parser, Step};
use flowquet_store::Store as _;
use flowquet_table::task_of_output;

use crate::world::checks::Depth;
use crate::world::found::{assert_nothing_found, keys, live};
use crate::world::{self, V2, World};

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
fn a_file_that_says_that_it_belongs_elsewhere_is_found() {
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
    let mut theirs = theirs.map(|r| r["inputs"][0]["digest"].as_str().expect("a digest").to_owned());
    let theirs = theirs.rfind(|d| *d != digest).expect("another");
    // The table is as a conversion of the other line would have made it: only the raw log tells otherwise.
    small.replace(&lines, &[]);
    let record = small.world.lake.get(&small.record).expect("there");
    let record = std::str::from_utf8(&record).expect("text").replace(&digest, &theirs);
    small.world.put_in_table(&small.record, record.as_bytes());
    let finding = small.check(Depth::Deep, Level::Deep, Fault::RecordsDiffer);
    assert_eq!(finding.place, url);
    assert_eq!(small.world.verify(Depth::Deep).safe, Vec::<String>::new());
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
