//! Any columns, sorted or not, to a file and back through the `parquet` crate's reader: the same rows.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{Field, Schema};
use flowquet_format::ColumnType;
use flowquet_parquet::{Compression, Encoder, FileSchema, FileWriter};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

/// Bytes of descriptions that are looked at.
const RUN_BYTES_MAX: usize = 120;

/// One row: an INT32, an INT64 and a text.
type Row = (Option<i32>, Option<i64>, Option<String>);

/// Rows that bytes describe, two or more bytes a run of equal or rising rows.
fn rows(data: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in data.chunks(3) {
        let [kind, a, b] = [0, 1, 2].map(|i| run.get(i).copied().unwrap_or_default());
        let large = i64::from(a) << (b % 56);
        for i in 0..=i64::from(kind >> 3) * if kind & 128 == 0 { 1 } else { 60 } {
            let step = if kind & 4 == 0 { 0 } else { i };
            rows.push((
                (kind & 3 != 1).then_some(i32::from(a) * 257 + step as i32),
                (kind & 3 != 2).then_some(large + step * i64::from(b)),
                (kind & 3 != 3).then(|| format!("{}{}", "x".repeat(usize::from(b) / 2), i64::from(a) + step)),
            ));
        }
    }
    rows
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut values: Vec<&str> = Vec::new();
    let mut by_value = std::collections::HashMap::new();
    let mut key = |value| {
        *by_value.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as u32 - 1
        })
    };
    let keys: UInt32Array = rows.iter().map(|r| r.2.as_deref().map(&mut key)).collect();
    let text = DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(StringArray::from(values)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(text.expect("keys count the values")),
    ];
    let fields = ["a", "b", "c"].iter().zip(&columns);
    let fields: Vec<Field> = fields.map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("of one length")
}

pub(super) fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    // So many runs make some thousands of rows, which are several pages.
    let mut rows = rows(&data[..data.len().min(RUN_BYTES_MAX)]);
    if rows.is_empty() {
        return;
    }
    let sort: &[&str] = [&[][..], &["a"], &["b", "c"], &["c", "a", "b"]][usize::from(choice & 3)];
    let compression = if choice & 4 == 0 { Compression::None } else { Compression::default() };
    let columns = [("a", ColumnType::Int32), ("b", ColumnType::Int64), ("c", ColumnType::String)];
    let schema = FileSchema::new(columns).sorted_by(sort.iter().copied());
    let group =
        Encoder::new(compression).expect("a compressor").encode(&batch(&rows), &schema).expect("encodes");
    let mut file = FileWriter::new(Vec::new(), &schema, &[]).expect("a vector");
    file.append(group).expect("a vector");
    let bytes = bytes::Bytes::from(file.finish().expect("a vector"));
    let reader = SerializedFileReader::new(bytes).expect("a Parquet file");
    let read = reader.get_row_iter(None).expect("rows").map(|row| {
        let row = row.expect("a row");
        (row.get_int(0).ok(), row.get_long(1).ok(), row.get_string(2).ok().cloned())
    });
    let read: Vec<Row> = read.collect();
    for name in sort.iter().rev() {
        match *name {
            "a" => rows.sort_by_key(|r| r.0),
            "b" => rows.sort_by_key(|r| r.1),
            _ => rows.sort_by(|x, y| x.2.cmp(&y.2)),
        }
    }
    assert!(read == rows, "rows differ");
}

/// Descriptions of rows.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let runs = |kind: u8| (0..40).flat_map(move |i: u8| [kind.wrapping_add(i), i.wrapping_mul(37), i]);
    (0..8).map(|choice: u8| std::iter::once(choice).chain(runs(choice.wrapping_mul(71))).collect()).collect()
}
