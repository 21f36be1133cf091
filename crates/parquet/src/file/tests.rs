//! What is written is read back by the `parquet` crate's own reader, and its layout and statistics are checked.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use proptest::prelude::*;

use super::*;
use crate::compression::Compression;
use crate::encoder::Encoder;
use crate::{PAGE_ROWS, SORTED_PAGE_ROWS};
use flowquet_format::ColumnType;

/// One row: an INT32, an INT64 and a text.
type Row = (Option<i32>, Option<i64>, Option<String>);

fn batch(rows: &[Row]) -> RecordBatch {
    let mut values: Vec<&str> = Vec::new();
    let mut by_value = std::collections::HashMap::new();
    let keys: UInt32Array = rows
        .iter()
        .map(|r| {
            r.2.as_deref().map(|v| {
                *by_value.entry(v).or_insert_with(|| {
                    values.push(v);
                    values.len() as u32 - 1
                })
            })
        })
        .collect();
    let text =
        DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(StringArray::from(values))).expect("valid");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(text),
    ];
    let fields: Vec<Field> = ["a", "b", "c"]
        .iter()
        .zip(&columns)
        .map(|(n, c)| Field::new(*n, c.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("valid")
}

fn write(row_groups: &[&[Row]], compression: Compression) -> Bytes {
    let schema =
        FileSchema::new([("a", ColumnType::Int32), ("b", ColumnType::Int64), ("c", ColumnType::String)]);
    let mut encoder = Encoder::new(compression).expect("a compressor");
    let mut file = FileWriter::new(Vec::new(), &schema, &[("k".into(), "v".into())]).expect("a vector");
    for rows in row_groups {
        file.append(encoder.encode(&batch(rows), &schema).expect("encodes")).expect("a vector");
    }
    assert_eq!(file.rows(), row_groups.iter().map(|g| g.len() as u64).sum::<u64>());
    file.finish().expect("a vector").into()
}

/// Writes, reads back, and compares values, statistics and page index with the rows.
#[track_caller]
fn check(row_groups: &[&[Row]], compression: Compression) {
    let file = write(row_groups, compression);
    let reader = SerializedFileReader::new(file.clone()).expect("a Parquet file");
    let read: Vec<Row> = reader
        .get_row_iter(None)
        .expect("rows")
        .map(|row| {
            let row = row.expect("a row");
            (row.get_int(0).ok(), row.get_long(1).ok(), row.get_string(2).ok().cloned())
        })
        .collect();
    assert!(read == row_groups.concat(), "values differ");
    let policy = PageIndexPolicy::Required;
    let meta = ParquetMetaDataReader::new()
        .with_page_index_policy(policy)
        .parse_and_finish(&file)
        .expect("metadata");
    assert_eq!(meta.num_row_groups(), row_groups.len());
    for (g, rows) in row_groups.iter().enumerate() {
        let group = meta.row_group(g);
        let stats = |c: usize| group.column(c).statistics().expect("statistics");
        let pages = meta.page_index_for_row_group(g).num_data_pages(0).expect("an offset index");
        assert_eq!(pages, rows.len().div_ceil(PAGE_ROWS));
        fn range<T: Ord>(values: impl Iterator<Item = T> + Clone) -> (Option<T>, Option<T>) {
            (values.clone().min(), values.max())
        }
        use parquet::file::statistics::Statistics;
        let (Statistics::Int32(a), Statistics::Int64(b)) = (stats(0), stats(1)) else {
            panic!("typed statistics")
        };
        assert_eq!((a.min_opt().copied(), a.max_opt().copied()), range(rows.iter().filter_map(|r| r.0)));
        assert_eq!((b.min_opt().copied(), b.max_opt().copied()), range(rows.iter().filter_map(|r| r.1)));
        assert_eq!(a.null_count_opt(), Some(nulls(rows, |r| r.0.is_none())));
        assert_eq!(b.null_count_opt(), Some(nulls(rows, |r| r.1.is_none())));
        let (min, max) = range(rows.iter().filter_map(|r| r.2.as_deref()));
        let bytes = |b: Option<&[u8]>| b.map(|b| b.to_vec());
        assert!(
            min.is_none()
                || bytes(stats(2).min_bytes_opt()).expect("a bound")
                    <= min.expect("some").as_bytes().to_vec()
        );
        assert!(
            max.is_none()
                || bytes(stats(2).max_bytes_opt()).expect("a bound")
                    >= max.expect("some").as_bytes().to_vec()
        );
        assert_eq!(stats(2).null_count_opt(), Some(nulls(rows, |r| r.2.is_none())));
        check_page_bounds(&meta, g, rows);
    }
}

fn nulls(rows: &[Row], is_null: impl Fn(&Row) -> bool) -> u64 {
    rows.iter().filter(|r| is_null(r)).count() as u64
}

/// Each page's bounds hold its rows: a reader that prunes by them loses nothing.
fn check_page_bounds(meta: &parquet::file::metadata::ParquetMetaData, g: usize, rows: &[Row]) {
    use parquet::file::page_index::column_index::ColumnIndexMetaData;
    for c in 0..3 {
        let page_index = meta.page_index_for_row_group(g);
        let index = page_index.column_index(c).expect("a column index");
        let locations = page_index.page_locations(c).expect("an offset index");
        for (p, location) in locations.iter().enumerate() {
            let start = location.first_row_index as usize;
            let end = locations.get(p + 1).map_or(rows.len(), |l| l.first_row_index as usize);
            let page = &rows[start..end];
            match index {
                ColumnIndexMetaData::INT32(i) => {
                    assert_eq!(i.min_value(p).copied(), page.iter().filter_map(|r| r.0).min());
                    assert_eq!(i.max_value(p).copied(), page.iter().filter_map(|r| r.0).max());
                }
                ColumnIndexMetaData::INT64(i) => {
                    assert_eq!(i.min_value(p).copied(), page.iter().filter_map(|r| r.1).min());
                    assert_eq!(i.max_value(p).copied(), page.iter().filter_map(|r| r.1).max());
                }
                ColumnIndexMetaData::BYTE_ARRAY(i) => {
                    let texts = || page.iter().filter_map(|r| r.2.as_deref());
                    assert_eq!(i.is_null_page(p), texts().next().is_none());
                    for text in texts() {
                        assert!(i.min_value(p).expect("a bound") <= text.as_bytes());
                        assert!(i.max_value(p).expect("a bound") >= text.as_bytes());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn rows(count: usize, of: impl Fn(usize) -> Row) -> Vec<Row> {
    (0..count).map(of).collect()
}

#[test]
fn shapes_of_columns() {
    let constant = rows(40_000, |_| (Some(6), Some(1_566_328_660), Some("eni-1".into())));
    let distinct = rows(40_000, |i| {
        (
            Some(i32::MAX - i as i32),
            Some(i as i64 * 1_000_003),
            Some(format!("10.0.{}.{}-{}", i % 250, i / 250, "x".repeat(i % 90))),
        )
    });
    let null = rows(40_000, |_| (None, None, None));
    let mixed = rows(40_000, |i| {
        (
            (i % 3 > 0).then_some(i as i32 % 700),
            (i > 20_000).then_some(i64::MAX - i as i64 % 2),
            (i % 17_000 > 900).then(|| format!("10.0.0.{}", i * 31 % 251)),
        )
    });
    let extreme = rows(3, |i| {
        (Some([0, i32::MAX, 1][i]), Some([0, i64::MAX, 1][i]), Some(["", "ä", "\u{10ffff}"][i].into()))
    });
    let one = rows(1, |_| (Some(0), None, Some("-".into())));
    for compression in [Compression::Zstd(1), Compression::Snappy, Compression::Gzip, Compression::None] {
        check(&[&constant, &distinct, &null, &mixed, &extreme, &one], compression);
    }
    check(&[], Compression::None);
}

#[test]
fn encodings_follow_the_values() {
    let close =
        rows(20_000, |i| (Some(i as i32 % 100), Some(i as i64 % 100), Some(format!("eni-{}", i % 100))));
    let apart = rows(20_000, |i| (Some(i as i32 * 1000), Some(i as i64 * 1000), Some(format!("task/{i}"))));
    // One value in `every` lies far above the others.
    let few_apart = |every: usize| {
        rows(20_000, move |i| {
            let value = if i % every == 7 { 1 << 20 | i } else { i * 7919 % 1000 };
            (Some(value as i32), Some((value as i64) << 3), Some(format!("eni-{}", i % 100)))
        })
    };
    let (few, many) = (few_apart(40), few_apart(20));
    check(&[&few, &many], Compression::Zstd(1));
    let integers_of =
        |rows: Vec<Row>| -> Vec<Row> { rows.into_iter().map(|row| (row.0, row.1, None)).collect() };
    for (rows, dictionary) in
        [(close, true), (apart, false), (integers_of(few), true), (integers_of(many), false)]
    {
        let file = write(&[&rows], Compression::None);
        let meta = ParquetMetaDataReader::new().parse_and_finish(&file).expect("metadata");
        for column in meta
            .row_group(0)
            .columns()
            .iter()
            .filter(|column| column.statistics().is_some_and(|s| s.min_bytes_opt().is_some()))
        {
            let has = column.encodings().any(|e| e == Encoding::RLE_DICTIONARY);
            assert_eq!((has, column.dictionary_page_offset().is_some()), (dictionary, dictionary));
        }
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let rows = rows(30_000, |i| (Some(i as i32 % 7), None, Some(format!("{}", i % 1000))));
    assert_eq!(write(&[&rows], Compression::Zstd(3)), write(&[&rows], Compression::Zstd(3)));
}

proptest! {
    #[test]
    fn reads_back(rows in proptest::collection::vec((
        proptest::option::of(prop_oneof![40 => 0..5i32, 1 => 0..i32::MAX]),
        proptest::option::of(prop_oneof![40 => 0..300i64, 1 => 0..i64::MAX]),
        proptest::option::of("[ab]{0,2}|\\PC{0,90}"),
    ), 1..200)) {
        check(&[&rows], Compression::Zstd(1));
    }
}

/// Times and addresses, their keys and values.
fn rich_batch(times: &[Option<i64>], addresses: &[Option<[u8; 16]>]) -> RecordBatch {
    let mut values: Vec<[u8; 16]> = addresses.iter().flatten().copied().collect();
    // Not in order: the encoder's ranks are.
    values.sort_by_key(|v| std::cmp::Reverse(*v));
    values.dedup();
    let key =
        |a: &Option<[u8; 16]>| a.map(|a| values.iter().position(|v| *v == a).expect("one of them") as u32);
    let keys: UInt32Array = addresses.iter().map(key).collect();
    let values = FixedSizeBinaryArray::new(16, values.concat().into(), None);
    let addresses = DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(values)).expect("valid");
    let times = times.iter().copied().collect::<TimestampMillisecondArray>().with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![Arc::new(times), Arc::new(addresses)];
    let fields =
        ["t", "t_bin"].iter().zip(&columns).map(|(n, c)| Field::new(*n, c.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("valid")
}

#[test]
fn timestamps_addresses_and_filters() {
    let address = |i: usize| {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&((i * 7919 % 5_000) as u16).to_be_bytes());
        bytes
    };
    let times: Vec<_> =
        (0..9_000).map(|i| (i % 10 > 0).then_some(1_566_328_660_000 + i * 31 % 400 * 1000)).collect();
    let addresses: Vec<_> = (0..9_000).map(|i| (i % 11 > 0).then(|| address(i))).collect();
    let schema = FileSchema::new([("t", ColumnType::TimestampMs), ("t_bin", ColumnType::Address)]);
    let schema = schema.sorted_by(["t_bin"]).filtered_by(["t", "t_bin"]);
    let mut encoder = Encoder::new(Compression::Zstd(1)).expect("a compressor");
    let mut file = FileWriter::new(Vec::new(), &schema, &[]).expect("a vector");
    let batch = rich_batch(&times, &addresses);
    file.append(encoder.encode(&batch, &schema).expect("encodes")).expect("a vector");
    // What is not a whole second has no dictionary of seconds.
    let odd: Vec<_> = times.iter().map(|t| t.map(|t| t + 1)).chain([Some(i64::MAX), Some(0)]).collect();
    let odd = rich_batch(&odd, &[addresses.clone(), vec![None; 2]].concat());
    file.append(encoder.encode(&odd, &schema).expect("encodes")).expect("a vector");
    let file = Bytes::from(file.finish().expect("a vector"));
    let meta = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    let meta = meta.parse_and_finish(&file).expect("metadata");
    let group = meta.row_group(0);
    let bounds = |c: usize| {
        let stats = group.column(c).statistics().expect("statistics");
        [stats.min_bytes_opt(), stats.max_bytes_opt()].map(|b| b.expect("a bound").to_vec())
    };
    let of =
        |times: &mut dyn Iterator<Item = i64>| times.fold((i64::MAX, 0), |(a, b), t| (a.min(t), b.max(t)));
    let (min, max) = of(&mut times.iter().flatten().copied());
    assert_eq!(bounds(0), [min, max].map(|t| t.to_le_bytes().to_vec()));
    let least = addresses.iter().flatten().min().expect("some").to_vec();
    assert_eq!(bounds(1), [least, addresses.iter().flatten().max().expect("some").to_vec()]);
    let pages = meta.page_index_for_row_group(0).num_data_pages(1).expect("an offset index");
    assert_eq!(pages, 9_000_usize.div_ceil(SORTED_PAGE_ROWS));
    let has_dictionary = |g: usize| meta.row_group(g).column(0).dictionary_page_offset().is_some();
    assert_eq!([0, 1].map(has_dictionary), [true, false]);
    let filter = |c: usize| {
        let chunk = group.column(c);
        parquet::bloom_filter::Sbbf::read_from_column_chunk(chunk, &file)
            .expect("a filter")
            .expect("a filter")
    };
    let (by_time, by_address) = (filter(0), filter(1));
    assert!(times.iter().flatten().all(|t| by_time.check(t)));
    assert!(addresses.iter().flatten().all(|a| by_address.check(&a[..])));
    let absent =
        (0..2_000u16).filter(|i| by_address.check(&[&[1; 14][..], &i.to_be_bytes()].concat()[..])).count();
    assert!(absent < 100, "{absent} of 2000 taken for present");
}

/// A file of two row groups whose batches have `a`, `b` and `c`, as columns of `columns`.
fn write_widened(columns: &[(&str, ColumnType)], rows: &[Row], sort: &[&str]) -> Bytes {
    let schema = FileSchema::new(columns.iter().copied())
        .for_batches_of(["a", "b", "c"])
        .sorted_by(sort.iter().copied())
        .filtered_by(["n_text", "c"]);
    let mut encoder = Encoder::new(Compression::default()).expect("a compressor");
    let mut writer = FileWriter::new(Vec::new(), &schema, &[]).expect("a vector takes all");
    for _ in 0..2 {
        let group = encoder.encode(&batch(rows), &schema).expect("encodes");
        writer.append(group).expect("appends");
    }
    writer.finish().expect("finishes").into()
}

/// Metadata of a file with its page index.
fn indexed(file: &Bytes) -> parquet::file::metadata::ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(file).expect("metadata")
}

const WIDENED: [(&str, ColumnType); 8] = [
    ("n_text", ColumnType::String),
    ("c", ColumnType::String),
    ("n_int32", ColumnType::Int32),
    ("a", ColumnType::Int32),
    ("n_time", ColumnType::TimestampMs),
    ("b", ColumnType::Int64),
    ("n_int64", ColumnType::Int64),
    ("n_text_bin", ColumnType::Address),
];

#[test]
fn columns_that_a_batch_lacks_are_null() {
    let rows = rows(40_000, |i| (Some(i as i32 % 7), Some(i as i64), Some(format!("v{}", i % 100))));
    for sort in [&[][..], &["n_text", "a", "c"]] {
        let file = write_widened(&WIDENED, &rows, sort);
        let reader = SerializedFileReader::new(file.clone()).expect("a Parquet file");
        let metadata = indexed(&file);
        let mut numbers: Vec<i64> = Vec::new();
        for row in reader.get_row_iter(None).expect("rows") {
            let row = row.expect("a row");
            let nulls = [0, 2, 4, 6, 7]
                .map(|i| matches!(row.get_column_iter().nth(i), Some((_, parquet::record::Field::Null))));
            assert_eq!(nulls, [true; 5]);
            let b = row.get_long(5).expect("an INT64");
            assert_eq!(row.get_int(3).expect("an INT32"), b as i32 % 7);
            assert_eq!(row.get_string(1).expect("a text"), &format!("v{}", b % 100));
            numbers.push(b);
        }
        let expected: Vec<i64> = (0..2).flat_map(|_| 0..40_000).collect();
        match sort.is_empty() {
            true => assert_eq!(numbers, expected),
            false => assert_eq!(numbers.iter().sum::<i64>(), expected.iter().sum::<i64>()),
        }
        for g in 0..2 {
            let group = reader.metadata().row_group(g);
            for (i, (name, _)) in WIDENED.iter().enumerate() {
                let chunk = group.column(i);
                let statistics = chunk.statistics().expect("statistics");
                let is_null = name.starts_with("n_");
                assert_eq!(statistics.null_count_opt(), Some(if is_null { 40_000 } else { 0 }), "{name}");
                assert_eq!(statistics.min_bytes_opt().is_none(), is_null, "{name}");
                assert_eq!(chunk.bloom_filter_offset().is_some(), *name == "c");
                if is_null {
                    assert!(chunk.compressed_size() < 40, "{name}: {}", chunk.compressed_size());
                    assert_eq!(metadata.page_index_for_row_group(g).num_data_pages(i), Some(1), "{name}");
                }
            }
            let sorting = group.sorting_columns().map(|s| s.iter().map(|c| c.column_idx).collect::<Vec<_>>());
            assert_eq!(sorting, (!sort.is_empty()).then(|| vec![0, 3, 1]));
            let pages = metadata.page_index_for_row_group(g).num_data_pages(3);
            let page_rows = if sort.is_empty() { PAGE_ROWS } else { SORTED_PAGE_ROWS };
            assert_eq!(pages, Some(40_000_usize.div_ceil(page_rows)));
        }
    }
    // A column that orders nothing makes no small pages.
    let file = write_widened(&WIDENED, &rows, &["n_text"]);
    assert_eq!(indexed(&file).page_index_for_row_group(0).num_data_pages(3), Some(3));
}

#[test]
fn a_null_chunk_is_tens_of_bytes() {
    let rows = rows(500_000, |i| (Some(i as i32), None, None));
    let own: Vec<(&str, ColumnType)> =
        vec![("a", ColumnType::Int32), ("b", ColumnType::Int64), ("c", ColumnType::String)];
    let plain = write_widened(&own, &rows, &[]).len();
    let names: Vec<String> = (0..50).map(|i| format!("column-{i:02}")).collect();
    let more = names.iter().map(|n| (n.as_str(), ColumnType::String));
    let wide = write_widened(&own.iter().copied().chain(more).collect::<Vec<_>>(), &rows, &[]).len();
    // The chunk with its metadata and page index, and a 50th of what is written once: a column's name and type.
    let bytes = (wide - plain) / (50 * 2);
    assert!(bytes < 160, "{bytes} bytes");
}
