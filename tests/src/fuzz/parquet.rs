//! Any bytes as a Parquet file, of others and of ours: its rows are lines, as many as it says, or it is told what is wrong with it.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::{Catalogue, ColumnType, Types};
use flowquet_parquet::{FileSchema, Merge, MergeError, MergeFile, RowReader, RowsError, Wanted};
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::world::of_table;

/// Bytes of lines that are handed on together, at most: a limit of the program and its longest line.
const LINES_BYTES_MAX: usize = 6 << 20;

/// Bytes of distinct values that a merge may hold here.
const DISTINCT_BYTES_MAX: usize = 1 << 20;

/// Files of the table, and of another writer: plain, by dictionary, by differences; with and without checksums.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let ours = of_table("date=").into_iter().take(3).map(|(_, bytes)| bytes.to_vec());
    let plain = || WriterProperties::builder().set_dictionary_enabled(false);
    let others = [
        WriterProperties::builder().build(),
        WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_data_page_row_count_limit(3)
            .build(),
        plain().set_compression(Compression::ZSTD(Default::default())).build(),
        plain()
            .set_encoding(Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("srcaddr".into(), Encoding::DELTA_BYTE_ARRAY)
            .set_column_encoding("vpc_id".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .build(),
        plain().set_write_page_header_statistics(true).set_compression(Compression::LZ4_RAW).build(),
    ];
    ours.chain(others.into_iter().map(other)).collect()
}

/// A file of eight rows.
fn other(properties: WriterProperties) -> Vec<u8> {
    let message = "message schema { REQUIRED INT32 version; OPTIONAL BYTE_ARRAY srcaddr (STRING); OPTIONAL BYTE_ARRAY vpc_id (STRING); REQUIRED INT64 start (TIMESTAMP(MILLIS,true)); OPTIONAL INT64 bytes; }";
    let schema = Arc::new(parse_message_type(message).expect("a schema"));
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("a vector");
    let mut group = file.next_row_group().expect("a vector");
    let mut column = 0;
    while let Some(mut writer) = group.next_column().expect("a vector") {
        let levels = [1, 1, 0, 1, 1, 1, 0, 1];
        let texts: Vec<ByteArray> =
            (0..6).map(|i| ByteArray::from(format!("10.0.{}.7", i / 2).as_str())).collect();
        let written = match column {
            0 => writer.typed::<Int32Type>().write_batch(&[2; 8], None, None),
            1 | 2 => writer.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None),
            3 => writer.typed::<Int64Type>().write_batch(&[1_705_276_800_000; 8], None, None),
            _ => writer.typed::<Int64Type>().write_batch(&[1, 2, 3, 1 << 40, 5, 6], Some(&levels), None),
        };
        written.expect("a vector");
        writer.close().expect("a vector");
        column += 1;
    }
    group.close().expect("a vector");
    file.into_inner().expect("a vector")
}

pub(super) fn run(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let range = |range: Range<u64>| -> Result<Bytes, Infallible> {
        assert!(range.start <= range.end && range.end <= data.len() as u64, "{range:?} of {}", data.len());
        Ok(bytes.slice(range.start as usize..range.end as usize))
    };
    rows(data.len() as u64, &range);
    merged(data.len() as u64, &range);
}

type Ranges<'a> = &'a dyn Fn(Range<u64>) -> Result<Bytes, Infallible>;

fn rows(len: u64, range: Ranges<'_>) {
    let reader = match RowReader::open(len, range) {
        Ok(reader) => reader,
        Err(RowsError::File(what)) => return check(&what),
    };
    let wanted = Wanted::all(Arc::new(Catalogue::builtin().clone()), Types::Rich);
    let lines = match reader.lines(&wanted) {
        Ok(lines) => lines,
        Err(what) => return check(&what),
    };
    let mut count = 0;
    let read = reader.read_lines(&lines, range, &mut |text| {
        assert!(text.ends_with(b"\n") && text.len() <= LINES_BYTES_MAX, "{} bytes of lines", text.len());
        count += text.iter().filter(|b| **b == b'\n').count() as u64;
        Ok(())
    });
    match read {
        Ok(()) => assert_eq!(count, reader.rows()),
        Err(RowsError::File(what)) => {
            assert!(count < reader.rows() || count == 0, "{count} lines of a damaged file");
            check(&what);
        }
    }
}

/// Columns of it as a compaction reads them.
fn merged(len: u64, range: Ranges<'_>) {
    let file = match MergeFile::open(len, range) {
        Ok(file) => file,
        Err(RowsError::File(what)) => return check(&what),
    };
    let columns = [
        ("version", ColumnType::Int32),
        ("srcaddr", ColumnType::String),
        ("bytes", ColumnType::Int64),
        ("start", ColumnType::Int64),
        ("log_status", ColumnType::String),
    ];
    let schema = FileSchema::new(columns).sorted_by(["srcaddr", "start"]);
    let groups = 0..file.row_groups();
    let ranges = match file.ranges(groups.clone(), &schema) {
        Ok(ranges) => ranges,
        Err(what) => return check(&what),
    };
    let part = |part: Range<u64>| (part.start, range(part).unwrap_or_else(|never| match never {}));
    let mut merge = Merge::new(&schema, DISTINCT_BYTES_MAX);
    if let Err(what) = merge.add(0, &file, groups, ranges.into_iter().map(part).collect()) {
        return check(&what);
    }
    for column in merge.columns() {
        match merge.column(column) {
            Err(MergeError::File { what, .. }) => return check(&what),
            Err(MergeError::Distinct { .. } | MergeError::Encoder(_)) => return,
            Ok(_) => {}
        }
    }
    match merge.order() {
        Ok(order) => assert_eq!(order.rows.len(), merge.rows()),
        Err(MergeError::File { what, .. }) => check(&what),
        Err(MergeError::Distinct { .. } | MergeError::Encoder(_)) => {}
    }
}

/// What is wrong is said in words.
fn check(what: &str) {
    assert!(what.len() > 8, "{what:?}");
}
