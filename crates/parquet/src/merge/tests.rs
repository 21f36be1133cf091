//! Merged rows against a naive twin: all rows in order by the sort of std, encoded from scratch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use flowquet_format::address_bytes;
use proptest::prelude::*;

use super::*;
use crate::{Compression, EncodedRowGroup, Encoder, FileWriter, RowsError};

/// The columns of merged files; `none` is null in all rows.
const COLUMNS: [(&str, ColumnType); 7] = [
    ("none", ColumnType::String),
    ("srcport", ColumnType::Int32),
    ("bytes", ColumnType::Int64),
    ("start", ColumnType::TimestampMs),
    ("tag", ColumnType::String),
    ("srcaddr", ColumnType::String),
    ("srcaddr_bin", ColumnType::Address),
];

/// Names of the columns that rows have a value of, as texts, in that order.
const OWN: [&str; 5] = ["srcport", "bytes", "start", "tag", "srcaddr"];

type Row = [Option<String>; OWN.len()];

/// A file to be merged: which columns it has, and the rows of its row groups.
#[derive(Debug, Clone)]
struct Given {
    columns: [bool; OWN.len()],
    groups: Vec<Vec<Row>>,
}

fn dictionary<'a, V: ?Sized + Eq + std::hash::Hash + 'a>(
    values: impl Iterator<Item = Option<&'a V>>,
    array: impl FnOnce(&[&'a V]) -> ArrayRef,
) -> ArrayRef {
    let mut distinct: Vec<&V> = Vec::new();
    let mut keys = HashMap::new();
    let mut key = |value: &'a V| {
        *keys.entry(value).or_insert_with(|| {
            distinct.push(value);
            distinct.len() as u32 - 1
        })
    };
    let keys: UInt32Array = values.map(|value| value.map(&mut key)).collect::<Vec<_>>().into();
    Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, array(&distinct)).expect("keys count the values"))
}

/// The columns of these names, of rows.
fn batch(names: &[&str], rows: &[Row]) -> RecordBatch {
    let texts = |name: &str| {
        let own = OWN.iter().position(|own| *own == name).expect("one of them");
        rows.iter().map(move |row| row[own].as_deref())
    };
    let number = |name: &str| texts(name).map(|text| text.map(|text| text.parse::<i64>().expect("a number")));
    let array = |name: &&str| -> ArrayRef {
        match *name {
            "srcport" => Arc::new(number(name).map(|n| n.map(|n| n as i32)).collect::<Int32Array>()),
            "bytes" => Arc::new(number(name).collect::<Int64Array>()),
            "start" => Arc::new(number(name).collect::<TimestampMillisecondArray>().with_timezone("UTC")),
            "srcaddr_bin" => {
                let addresses: Vec<Option<[u8; 16]>> =
                    texts("srcaddr").map(|text| text.and_then(address_bytes)).collect();
                dictionary(addresses.iter().map(|a| a.as_ref()), |distinct| {
                    let bytes = distinct.iter().flat_map(|a| a.iter().copied()).collect::<Vec<u8>>();
                    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
                })
            }
            text => dictionary(texts(text), |distinct| Arc::new(StringArray::from(distinct.to_vec()))),
        }
    };
    let arrays: Vec<ArrayRef> = names.iter().map(array).collect();
    let fields = names.iter().zip(&arrays).map(|(name, a)| Field::new(*name, a.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays)
        .expect("of the same length")
}

fn merged_schema(sort: &[&str]) -> FileSchema {
    let own = COLUMNS.iter().map(|(name, _)| *name).filter(|name| *name != "none");
    FileSchema::new(COLUMNS)
        .for_batches_of(own)
        .sorted_by(sort.iter().copied())
        .filtered_by(["tag", "srcaddr_bin"])
}

fn written(schema: &FileSchema, groups: impl IntoIterator<Item = EncodedRowGroup>) -> Bytes {
    let mut writer = FileWriter::new(Vec::new(), schema, &[]).expect("a vector");
    groups.into_iter().for_each(|group| writer.append(group).expect("a vector"));
    writer.finish().expect("a vector").into()
}

fn file_of(given: &Given, compression: Compression, sort: &[&str]) -> Bytes {
    let is_there = |name: &str| {
        let own = OWN.iter().position(|own| *own == name.trim_end_matches("_bin"));
        own.is_some_and(|own| given.columns[own])
    };
    // In another order than merged ones.
    let columns: Vec<(&str, ColumnType)> =
        COLUMNS.into_iter().rev().filter(|(name, _)| is_there(name)).collect();
    let schema = FileSchema::new(columns.iter().copied()).sorted_by(sort.iter().copied());
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut encoder = Encoder::new(compression).expect("a compressor");
    let groups = given.groups.iter().filter(|rows| !rows.is_empty());
    written(
        &schema,
        groups
            .map(|rows| encoder.encode(&batch(&names, rows), &schema).expect("encodes"))
            .collect::<Vec<_>>(),
    )
}

fn ranges(file: &Bytes) -> impl Fn(Range<u64>) -> Result<Bytes, String> {
    let file = file.clone();
    move |range| {
        let range = range.start as usize..range.end as usize;
        if range.end <= file.len() { Ok(file.slice(range)) } else { Err("outside".to_owned()) }
    }
}

fn told(error: RowsError<String>) -> String {
    match error {
        RowsError::File(what) | RowsError::Other(what) => what,
    }
}

/// Adds all of `file`.
fn add(merge: &mut Merge<'_>, source: usize, file: &Bytes) -> Result<(), String> {
    let opened = MergeFile::open(file.len() as u64, &ranges(file)).map_err(told)?;
    let groups = 0..opened.row_groups();
    let mut parts = Vec::new();
    for range in opened.ranges(groups.clone(), merge.schema)? {
        parts.push((range.start, ranges(file)(range)?));
    }
    merge.add(source, &opened, groups, parts)
}

fn merged_file(
    files: &[Bytes],
    schema: &FileSchema,
    rows_max: usize,
    compression: Compression,
    distinct_bytes_max: usize,
) -> Result<Bytes, String> {
    let mut merge = Merge::new(schema, distinct_bytes_max);
    for (source, file) in files.iter().enumerate() {
        add(&mut merge, source, file)?;
    }
    let all = || -> Result<Bytes, MergeError> {
        let order = merge.order()?.rows;
        let mut encoder = Encoder::new(compression)?;
        let mut groups = Vec::new();
        for places in even_row_groups(merge.rows(), rows_max) {
            let mut columns: Vec<Option<_>> = (0..schema.columns()).map(|_| None).collect();
            for i in merge.columns() {
                let column = merge.column(i)?;
                columns[i] = Some(column.encode(i, &order[places.clone()], schema, &mut encoder)?);
                if let Some(twin) = merge.twin_of(i) {
                    columns[twin] =
                        Some(column.twin().encode(twin, &order[places.clone()], schema, &mut encoder)?);
                }
            }
            for i in merge.nulls() {
                columns[i] = Some(encoder.nulls(i, places.len(), schema)?);
            }
            groups.push(EncodedRowGroup::of(columns.into_iter().flatten(), places.len()));
        }
        Ok(written(schema, groups))
    };
    all().map_err(|error| format!("{error:?}"))
}

/// All rows of `given`, in order by the sort of std, as one batch a row group.
fn naive(
    given: &[Given],
    schema: &FileSchema,
    sort: &[&str],
    rows_max: usize,
    compression: Compression,
) -> Bytes {
    let mut rows: Vec<Row> = Vec::new();
    for Given { columns, groups } in given {
        for row in groups.iter().flatten() {
            rows.push(std::array::from_fn(|own| row[own].clone().filter(|_| columns[own])));
        }
    }
    enum Key {
        Text(Option<String>),
        Number(Option<i64>),
        Address(Option<[u8; 16]>),
    }
    let key = |row: &Row, name: &str| {
        let of = |name: &str| row[OWN.iter().position(|own| *own == name).expect("one of them")].clone();
        match name {
            "tag" | "srcaddr" => Key::Text(of(name)),
            "srcaddr_bin" => Key::Address(of("srcaddr").as_deref().and_then(address_bytes)),
            _ => Key::Number(of(name).map(|text| text.parse().expect("a number"))),
        }
    };
    rows.sort_by(|a, b| {
        let by = sort.iter().filter(|name| **name != "none").map(|name| match (key(a, name), key(b, name)) {
            (Key::Text(a), Key::Text(b)) => a.cmp(&b),
            (Key::Number(a), Key::Number(b)) => a.cmp(&b),
            (Key::Address(a), Key::Address(b)) => a.cmp(&b),
            _ => unreachable!("of one column"),
        });
        by.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| *name != "none").collect();
    let groups = rows.len().div_ceil(rows_max);
    let mut encoder = Encoder::new(compression).expect("a compressor");
    let encoded = (0..groups).map(|g| {
        let rows = &rows[rows.len() * g / groups..rows.len() * (g + 1) / groups];
        encoder.encode_sorted(&batch(&names, rows), schema).expect("encodes")
    });
    let encoded: Vec<EncodedRowGroup> = encoded.collect();
    written(schema, encoded)
}

#[track_caller]
fn check(given: &[Given], sort: &[&str], rows_max: usize) {
    let schema = merged_schema(sort);
    let [from, to] = [Compression::Zstd(1), Compression::Snappy];
    let files: Vec<Bytes> = given
        .iter()
        .enumerate()
        .map(|(i, given)| {
            file_of(
                given,
                if i % 2 == 0 { from } else { Compression::None },
                if i % 3 == 0 { sort } else { &[] },
            )
        })
        .collect();
    let found = merged_file(&files, &schema, rows_max, to, usize::MAX).expect("merges");
    assert!(found == naive(given, &schema, sort, rows_max, to));
}

const SORTS: [&[&str]; 4] = [
    &["srcaddr", "tag", "start"],
    &["srcaddr_bin", "bytes"],
    &["none", "bytes", "start", "srcport", "tag"],
    &[],
];

#[test]
fn many_rows_and_every_encoding() {
    // Dictionaries, plain values, and differences; with nulls here and there, in runs longer than pages, and none.
    let row = |i: usize, few: bool| -> Row {
        let some = |is_there: bool, text: String| is_there.then_some(text);
        [
            some(!i.is_multiple_of(11), (i * 7919 % 60_000).to_string()),
            some(true, if few { (i % 9).to_string() } else { (i * i * 7919 % (1 << 40)).to_string() }),
            some(i > 9_000, (1_705_276_800_000 + i * 1000 + usize::from(!few)).to_string()),
            some(
                i % 5 != 3,
                if few { format!("t{}", i % 30) } else { format!("unique {i} {}", "ä".repeat(i % 40)) },
            ),
            some(
                i % 4 != 2,
                if few { format!("10.0.{}.{}", i % 7, i % 251) } else { format!("2001:db8::{i:x}") },
            ),
        ]
    };
    let group = |from: usize, rows: usize, few: bool| (from..from + rows).map(|i| row(i, few)).collect();
    let given = [
        Given { columns: [true; 5], groups: vec![group(0, 20_000, true), group(5_000, 9_000, false)] },
        Given { columns: [true, false, true, false, true], groups: vec![group(100, 3_000, false)] },
        Given {
            columns: [false, true, false, true, false],
            groups: vec![group(7, 18_000, false), group(9, 1, true)],
        },
    ];
    check(&given, SORTS[0], 20_000);
    check(&given, SORTS[3], 1 << 20);
}

#[test]
fn what_no_line_could_hold_is_kept() {
    let texts = [
        "",
        " ",
        "-",
        "\r",
        "OK\r",
        "a\r\nb",
        "\u{feff}x",
        "\t",
        "a b",
        "version account-id",
        "\0",
        "ä漢🦀",
        "\u{fc}",
    ];
    let row =
        |text: &&str| -> Row { [None, Some("7".into()), None, Some((*text).into()), Some((*text).into())] };
    let rows: Vec<Row> = texts.iter().map(row).chain([[const { None }; 5]]).collect();
    let given = Given { columns: [true; 5], groups: vec![rows.clone(), rows] };
    check(&[given.clone(), given], SORTS[0], 10);
}

#[test]
fn damage_is_told() {
    let row = |i: usize| -> Row { [Some(i.to_string()), None, None, Some(format!("v{i}")), None] };
    let given = Given { columns: [true; 5], groups: vec![(0..500).map(row).collect()] };
    let file = file_of(&given, Compression::None, &[]);
    let schema = merged_schema(&[]);
    let merged =
        |file: &Bytes| merged_file(std::slice::from_ref(file), &schema, 1000, Compression::None, usize::MAX);
    for len in [0, 3, 8, 100, file.len() / 2, file.len() - 1] {
        assert!(merged(&file.slice(..len)).is_err(), "{len} bytes of {}", file.len());
    }
    let places = merged_file(std::slice::from_ref(&file), &schema, 1000, Compression::None, 1000);
    assert!(places.expect_err("too many").contains("Distinct { column: \"tag\" }"));
    // A column of another type.
    let other = FileSchema::new([("tag", ColumnType::Int64), ("srcport", ColumnType::Int32)]);
    let error =
        merged_file(&[file], &other, 1000, Compression::None, usize::MAX).expect_err("text is no number");
    assert_eq!(error, "expected column `tag` as INT64, found BYTE_ARRAY");
}

fn values() -> impl Strategy<Value = Row> {
    let number = |most: i64| proptest::option::of(prop_oneof![0..5i64, 0..most].prop_map(|n| n.to_string()));
    let address = "10\\.0\\.0\\.[0-9]|2001:db8::[0-9a-f]{1,4}|unknown|[ab]{0,2}";
    let tag = "[ab]{0,2}|\\PC{0,9}|[a-c]{60,70}|[ \r\n\t]{1,2}";
    (
        number(65_536),
        number(i64::MAX),
        number(1 << 50),
        proptest::option::of(tag),
        proptest::option::of(address),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e])
}

fn given() -> impl Strategy<Value = Given> {
    let groups = proptest::collection::vec(proptest::collection::vec(values(), 0..40), 0..4);
    let columns = proptest::array::uniform5(prop_oneof![4 => Just(true), 1 => Just(false)]);
    (columns.prop_filter("a file has columns", |columns| columns.contains(&true)), groups)
        .prop_map(|(columns, groups)| Given { columns, groups })
}

proptest! {
    #[test]
    fn equals_the_naive_twin(
        given in proptest::collection::vec(given(), 1..5),
        sort in 0..SORTS.len(),
        rows_max in 1..60usize,
    ) {
        check(&given, SORTS[sort], rows_max);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_other_rows(seed in 0..100_000usize, mask in 1..=255u8) {
        let row = |i: usize| -> Row { [Some(i.to_string()), Some((i * i).to_string()), None, Some(format!("v{}", i % 9)), None] };
        let given = Given { columns: [true; 5], groups: vec![(0..300).map(row).collect()] };
        let mut file = file_of(&given, Compression::None, &[]).to_vec();
        // Pages; what the footer says is checked by the `parquet` crate.
        let footer = u32::from_le_bytes(*file[file.len() - 8..].first_chunk().expect("four bytes")) as usize;
        let at = 4 + seed % (file.len() - 12 - footer);
        file[at] ^= mask;
        let _ = merged_file(&[file.into()], &merged_schema(SORTS[0]), 1000, Compression::None, 1 << 20);
    }
}
