//! Merged files against those that the road over text gives: the same rows as lines, sorted naively, parsed and encoded anew.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_arrow::Columns;
use flowquet_format::{ColumnType, Field, LogFormat, Types};
use flowquet_parquet::{Encoder, FileWriter};
use flowquet_parse::{IntegerColumns, Parser, Step};
use flowquet_plan::{Merging, mergings_due};
use flowquet_store::{Memory as MemoryStore, Store};
use flowquet_table::{
    CompactionRecord, Duplicates, LiveFile, Options, OutputRecord, RolledUp, RollupSums, compacted_key,
};
use proptest::prelude::*;

use super::memory::Memory;
use super::merge::{DISTINCT_BYTES_MAX, FILE_MEMORY};
use super::merger::Merger;
use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::events::Event;
use crate::file::file_metadata;
use crate::partitions::is_chosen;

/// Formats that meet in a partition; the first and the second have the same fields.
const FORMATS: [&str; 4] = [
    "${srcaddr} ${dstaddr} ${start} ${bytes}",
    "${start} ${bytes} ${srcaddr} ${dstaddr}",
    "${srcport} ${pkt-srcaddr} ${srcaddr} ${start} ${team-tag} ${log-status}",
    "${team-tag} ${end} ${tcp-flags} ${dstaddr}",
];

/// Lines of one format, values in its order.
#[derive(Debug, Clone)]
struct Given {
    format: usize,
    rows: Vec<Vec<String>>,
}

/// Encodes lines of `format` as row groups.
fn encoded(
    format: &Arc<LogFormat>,
    plan: &PlanContext,
    groups: &[&[Vec<String>]],
    metadata: &[(String, String)],
) -> Vec<u8> {
    let context = FormatContext::new(format, plan);
    let mut integers = IntegerColumns::new(context.integers.clone());
    let mut encoder = Encoder::new(plan.compression).expect("a compressor");
    let mut writer = FileWriter::new(Vec::new(), &context.file_schema, metadata).expect("a vector");
    for rows in groups {
        let text: String = rows.iter().map(|row| row.join(" ") + "\n").collect();
        let mut parser = Parser::new(plan.catalogue.clone(), Some(format.clone()));
        let mut columns = Columns::new(context.schema.clone());
        let (mut at, mut rejects) = (0, Vec::new());
        while at < text.len() {
            match parser.next_block(&text.as_bytes()[at..], true, &mut rejects).expect("a flow log") {
                Step::Block { consumed, block } => {
                    assert!(!integers.parse(&block));
                    columns.append(&block, &integers, 0..block.rows().len());
                    at += consumed;
                }
                Step::Skipped(len) => at += len,
                other => panic!("{other:?}"),
            }
        }
        assert!(rejects.is_empty(), "{rejects:?}");
        writer
            .append(encoder.encode_sorted(&columns.finish(), &context.file_schema).expect("encodes"))
            .expect("a vector");
    }
    writer.finish().expect("a vector")
}

/// Rows of all files as lines of the merged format, in order.
fn naive(given: &[Given], merging: &Merging, sort: &[String]) -> Vec<Vec<String>> {
    let fields = merging.format.fields();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for Given { format, rows: own } in given {
        let format = LogFormat::parse(FORMATS[*format], merging.options.catalogue()).expect("valid");
        let value = |row: &Vec<String>, field: &Field| {
            format.position(field.name()).map_or_else(|| "-".to_owned(), |place| row[place].clone())
        };
        rows.extend(own.iter().map(|row| fields.iter().map(|field| value(row, field)).collect()));
    }
    let by: Vec<usize> =
        sort.iter().filter_map(|name| fields.iter().position(|f| f.column() == name)).collect();
    let compare = |place: usize, a: &str, b: &str| match (a, b) {
        ("-", "-") => Ordering::Equal,
        ("-", _) => Ordering::Less,
        (_, "-") => Ordering::Greater,
        _ if fields[place].column_type() == ColumnType::String => a.cmp(b),
        _ => a.parse::<u64>().expect("a number").cmp(&b.parse::<u64>().expect("a number")),
    };
    rows.sort_by(|a, b| {
        let by = by.iter().map(|place| compare(*place, &a[*place], &b[*place]));
        by.fold(Ordering::Equal, Ordering::then)
    });
    rows
}

/// Files of these rows, in a store.
fn files_of(given: &[Given], types: Types) -> (MemoryStore, Vec<LiveFile>) {
    let store = MemoryStore::new("s3://lake");
    let own = Options { types, ..Options::default() };
    let plan = PlanContext::new(&own).expect("valid").with_union(&FORMATS.map(str::to_owned)).expect("valid");
    let mut live = Vec::new();
    for (i, Given { format, rows }) in given.iter().enumerate() {
        let format = Arc::new(LogFormat::parse(FORMATS[*format], own.catalogue()).expect("valid"));
        let groups: Vec<&[Vec<String>]> = rows.chunks(7).collect();
        let bytes = encoded(&format, &plan, &groups, &[]);
        let key = format!("date=2024-01-15/{i:016x}-0000.parquet");
        store.put(&key, &bytes).expect("memory takes all");
        let output = OutputRecord {
            key,
            partition: "date=2024-01-15".into(),
            rows: rows.len() as u64,
            bytes: bytes.len() as u64,
            time: None,
            format: format.to_string().into(),
            digest: None,
            duplicates: Duplicates::default(),
            rollup: None,
            crc32: None,
        };
        let options = Arc::new(own.clone());
        live.push(LiveFile { output, options, is_compacted: false, tasks: Arc::new([]) });
    }
    (store, live)
}

/// Merges within so many bytes of memory.
fn merge(
    store: &MemoryStore,
    merging: &Merging,
    memory: usize,
    distinct_bytes_max: usize,
) -> Result<Option<CompactionRecord>, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be made");
    let merger = Merger {
        out: store,
        pool: &pool,
        memory: &Memory::new(memory),
        distinct_bytes_max,
        written: &FORMATS.map(|format| (format.to_owned(), None)),
        observer: &|_: &Event<'_>| {},
        stop: &AtomicBool::new(false),
    };
    merger.merge("date=2024-01-15", merging)
}

#[track_caller]
fn check(given: &[Given], types: Types, sort: &[&str], row_group_rows: u64) {
    let sort: Vec<String> = sort.iter().map(|name| (*name).to_owned()).collect();
    let wanted = Options {
        types,
        sort,
        row_group_rows,
        compression: "zstd:3".into(),
        bloom_filter: vec!["team_tag".into()],
        ..Options::default()
    };
    let (store, live) = files_of(given, types);
    let [merging] = &mergings_due(&live, &wanted).expect("whole records")[..] else {
        panic!("all fit one file")
    };
    let record =
        merge(&store, merging, FILE_MEMORY, DISTINCT_BYTES_MAX).expect("merges").expect("files are raw");
    let [output] = &record.outputs[..] else { panic!("one file") };
    let snapshot = store.snapshot();
    let found = &snapshot[&compacted_key(&record.id, &output.key)];
    // The same over text.
    let plan = PlanContext::new(&merging.options).expect("valid").with_union(&record.formats).expect("valid");
    let rows = naive(given, merging, &wanted.sort);
    let groups = rows.len().div_ceil(row_group_rows as usize);
    let groups: Vec<&[Vec<String>]> =
        (0..groups).map(|g| &rows[rows.len() * g / groups..rows.len() * (g + 1) / groups]).collect();
    let metadata = file_metadata(&merging.format.to_string(), [("flowquet.compaction", &record.id)]);
    let expected = encoded(&Arc::new(merging.format.clone()), &plan, &groups, &metadata);
    assert!(found[..] == expected[..], "other bytes");
    assert_eq!((output.rows, output.bytes), (rows.len() as u64, expected.len() as u64));
}

#[test]
fn a_row_group_that_fits_no_memory_is_told() {
    let rows = (0..5).map(|i| vec![format!("{i}"), "1".into(), "2".into(), "d".repeat(i * 50 + 1)]).collect();
    let (store, live) = files_of(&[Given { format: 3, rows }], Types::Aws);
    let mergings = mergings_due(&live, &Options::default()).expect("whole records");
    match merge(&store, &mergings[0], 1_000, 100) {
        Err(Error::TooDistinct { url, column, memory }) => {
            assert_eq!((column.as_str(), memory), ("dstaddr", 1_000));
            assert!(url.ends_with("0000000000000000-0000.parquet"), "{url}");
        }
        other => panic!("{other:?}"),
    }
    let record = merge(&store, &mergings[0], 10_000, 100).expect("enough").expect("one file");
    assert_eq!(record.rows(), (5, 5));
}

#[test]
fn row_groups_with_too_many_values_for_one_file_become_several() {
    let row = |file: u32, i: u32| {
        vec![format!("value {file} {i}").replace(' ', "-"), "1".into(), "2".into(), "10.0.0.1".into()]
    };
    let given: Vec<Given> =
        (0..3).map(|file| Given { format: 3, rows: (0..20).map(|i| row(file, i)).collect() }).collect();
    let (store, live) = files_of(&given, Types::Aws);
    let mergings = mergings_due(&live, &Options::default()).expect("whole records");
    let files = |distinct_bytes_max| {
        let record =
            merge(&store, &mergings[0], FILE_MEMORY, distinct_bytes_max).expect("merges").expect("raw");
        assert_eq!(record.rows(), (60, 60));
        record.outputs.len()
    };
    // Row groups of seven rows, whose tags are 9 to 10 bytes.
    assert_eq!([files(1_000), files(400), files(75)], [1, 2, 9]);
}

#[test]
fn all_files_that_come_of_a_roll_up_are_of_it() {
    let row = |i: u32| vec![format!("value-{i}"), "1".into(), "2".into(), "10.0.0.1".into()];
    let given: Vec<Given> =
        (0..2).map(|file| Given { format: 3, rows: (0..20).map(|i| row(file * 20 + i)).collect() }).collect();
    let (store, mut live) = files_of(&given, Types::Aws);
    let rolled_up = |flows| {
        let sums = RollupSums { flows, packets: 2, bytes: 3 };
        RolledUp { source: "s3://lake/t".into(), by: "hour".into(), of: "0123456789abcdef".into(), sums }
    };
    for (file, flows) in live.iter_mut().zip([50, 70]) {
        file.output.rollup = Some(Box::new(rolled_up(flows)));
    }
    let mergings = mergings_due(&live, &Options::default()).expect("whole records");
    let record = merge(&store, &mergings[0], FILE_MEMORY, 100).expect("merges").expect("raw");
    let found: Vec<RolledUp> =
        record.outputs.iter().map(|output| *output.rollup.clone().expect("of a roll-up")).collect();
    assert!(found.len() > 1);
    let none = RolledUp { sums: RollupSums::default(), ..rolled_up(0) };
    assert!(found.iter().map(|of| RolledUp { sums: none.sums, ..of.clone() }).all(|of| of == none));
    let sums = RollupSums::sum(found.iter().map(|of| of.sums));
    assert_eq!(sums, RollupSums { flows: 120, packets: 4, bytes: 6 });
}

fn value(field: &Field) -> BoxedStrategy<String> {
    match (field.column_type(), field.is_address()) {
        (ColumnType::String, true) => "-|10\\.0\\.0\\.[0-9]{1,2}|2001:db8::[1-9a-f]{1,3}|unknown".boxed(),
        (ColumnType::String, false) => "-|[a-d]{1,3}|ä漢[0-9]{1,40}|[a-d]{70,80}".boxed(),
        _ if field.name() == "start" || field.name() == "end" => {
            prop_oneof![1_705_276_800..1_705_276_900i64, 0..3i64].prop_map(|n| n.to_string()).boxed()
        }
        _ => "-|[0-9]|[1-9][0-9]{1,4}".boxed(),
    }
}

fn given() -> impl Strategy<Value = Given> {
    (0..FORMATS.len()).prop_flat_map(|format| {
        let fields =
            LogFormat::parse(FORMATS[format], &flowquet_format::Catalogue::builtin().clone()).expect("valid");
        let row: Vec<BoxedStrategy<String>> = fields.fields().iter().map(value).collect();
        proptest::collection::vec(row, 1..30).prop_map(move |rows| Given { format, rows })
    })
}

#[test]
fn partitions_are_chosen_by_parts() {
    let folder = "account=1/date=2024-01-15";
    for (wanted, expected) in [
        (&[][..], true),
        (&["date=2024-01-15"], true),
        (&["date=2024-01-*"], true),
        (&["account=1/date=2024-01-15"], true),
        (&["account=2/date=2024-01-15"], false),
        (&["date=2024-01-16", "account=1"], true),
        (&["date=2024-01-1"], false),
    ] {
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        assert_eq!(is_chosen(folder, &wanted), expected, "{wanted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_road_over_text_gives_the_same_bytes(
        given in proptest::collection::vec(given(), 1..6),
        is_rich: bool,
        sort in 0..3usize,
        row_group_rows in 1..60u64,
    ) {
        let types = if is_rich { Types::Rich } else { Types::Aws };
        let sort = [&["srcaddr", "dstaddr", "start"][..], &["team_tag", "bytes"], &[]][sort];
        check(&given, types, sort, row_group_rows);
    }
}
