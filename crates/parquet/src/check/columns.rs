//! Columns of a file that somebody asks for, and no others.

use std::ops::Range;

use arrow_buffer::NullBuffer;
use flowquet_format::ColumnType;

use super::bounds::{Bounds, Value};
use super::footer::CheckedFile;
use crate::merge::{Data, Merge, MergeError, NULL};
use crate::rows::{Ranges, RowsError};
use crate::schema::FileSchema;
use crate::text::Dictionary;

/// Most bytes of the distinct values of a column in a row group.
const DISTINCT_BYTES_MAX: usize = 512 << 20;

/// A column of a row group.
#[derive(Debug)]
pub enum ColumnValues {
    /// Numbers; those of timestamps are milliseconds since 1970.
    Integers {
        /// One a row, whatever where it is null.
        values: Vec<i64>,
        /// Which are not null; all without it.
        nulls: Option<NullBuffer>,
        /// Whether they are timestamps.
        is_time_ms: bool,
    },
    /// Text, by keys into its distinct values.
    Text(TextValues),
}

/// A column of text: each row has the key of its value.
pub struct TextValues {
    /// One a row; [`TextValues::NULL`] for null.
    pub keys: Vec<u32>,
    dictionary: Dictionary,
}

impl std::fmt::Debug for TextValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextValues").field("rows", &self.keys.len()).finish()
    }
}

impl TextValues {
    /// The key of a row without a value.
    pub const NULL: u32 = NULL;

    /// How many distinct values; keys are less.
    pub fn distinct(&self) -> usize {
        self.dictionary.len()
    }

    /// The value of a key. They are in order: keys compare as values do.
    pub fn value(&self, key: u32) -> &[u8] {
        self.dictionary.value(key)
    }
}

/// What statistics tell of a column in a row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBounds {
    /// The smallest and the largest number; of timestamps in milliseconds.
    Integers(i64, i64),
    /// No row has a value.
    Nulls,
    /// The smallest and the largest text or bytes; long ones are cut, the smallest downwards and the largest upwards.
    Texts(Vec<u8>, Vec<u8>),
}

/// What a column takes in a row group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColumnSize {
    /// In the file.
    pub bytes: u64,
    /// Before compression.
    pub uncompressed_bytes: u64,
}

impl CheckedFile {
    /// Names of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        (0..self.schema.columns()).map(|i| self.schema.name(i))
    }

    /// Whether a column is one of timestamps; none if the file does not have it.
    pub fn is_time(&self, column: &str) -> Option<bool> {
        let i = self.schema.position(column)?;
        Some(self.schema.column_type(i) == ColumnType::TimestampMs)
    }

    /// Rows of a row group.
    pub fn group_rows(&self, group: usize) -> u64 {
        u64::try_from(self.meta.row_group(group).num_rows()).unwrap_or_default()
    }

    /// What statistics tell of a column in a row group; none where they, or the file, do not have it.
    pub fn group_bounds(&self, group: usize, column: &str) -> Option<GroupBounds> {
        let place = self.schema.position(column)?;
        let bounds = Bounds::of_chunk(self.meta.row_group(group).column(place).statistics()?);
        match (bounds.min, bounds.max) {
            (Some(Value::Integer(min)), Some(Value::Integer(max))) => Some(GroupBounds::Integers(min, max)),
            (Some(Value::Text(min)), Some(Value::Text(max))) => Some(GroupBounds::Texts(min, max)),
            _ => (bounds.nulls == Some(self.group_rows(group))).then_some(GroupBounds::Nulls),
        }
    }

    /// What the columns of a row group take, in order.
    pub fn column_sizes(&self, group: usize) -> impl Iterator<Item = (&str, ColumnSize)> {
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        self.meta.row_group(group).columns().iter().enumerate().map(move |(i, chunk)| {
            let bytes = size(chunk.compressed_size());
            (self.schema.name(i), ColumnSize { bytes, uncompressed_bytes: size(chunk.uncompressed_size()) })
        })
    }

    /// The ranges of the file that hold some columns of a row group.
    fn column_ranges(&self, group: usize, schema: &FileSchema) -> Result<Vec<Range<u64>>, String> {
        self.merge.ranges(group..group + 1, schema)
    }

    /// Reads columns of a row group; none of one that the file does not have. Returns the bytes that were read, too.
    ///
    /// # Errors
    /// [`RowsError::File`] where one is damaged.
    pub fn read_columns<E>(
        &self,
        group: usize,
        names: &[&str],
        ranges: Ranges<'_, E>,
    ) -> Result<(Vec<Option<ColumnValues>>, u64), RowsError<E>> {
        let wanted: Vec<(&str, ColumnType)> = names
            .iter()
            .filter_map(|name| Some((*name, self.schema.column_type(self.schema.position(name)?))))
            .collect();
        let schema = FileSchema::new(wanted);
        let mut parts = Vec::new();
        let mut bytes_read = 0;
        for range in self.column_ranges(group, &schema).map_err(RowsError::File)? {
            let bytes = ranges(range.clone()).map_err(RowsError::Other)?;
            bytes_read += bytes.len() as u64;
            parts.push((range.start, bytes));
        }
        let mut merge = Merge::new(&schema, DISTINCT_BYTES_MAX);
        merge.add(0, &self.merge, group..group + 1, parts).map_err(RowsError::File)?;
        let column = |name: &&str| {
            let Some(i) = schema.position(name) else { return Ok(None) };
            let column = merge.column(i).map_err(|error| match error {
                MergeError::File { what, .. } => RowsError::File(what),
                MergeError::Distinct { column } => {
                    RowsError::File(format!("column `{column}` has more distinct values than fit the memory"))
                }
                MergeError::Encoder(error) => RowsError::File(error.to_string()),
            })?;
            let is_time_ms = schema.column_type(i) == ColumnType::TimestampMs;
            Ok(Some(match column.data {
                Data::Int32(values, nulls) => {
                    let values = values.into_iter().map(i64::from).collect();
                    ColumnValues::Integers { values, nulls, is_time_ms }
                }
                Data::Int64(values, nulls) => ColumnValues::Integers { values, nulls, is_time_ms },
                Data::Text { keys, dictionary } => ColumnValues::Text(TextValues { keys, dictionary }),
            }))
        };
        let columns: Result<Vec<_>, RowsError<E>> = names.iter().map(column).collect();
        Ok((columns?, bytes_read))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{DictionaryArray, Int32Array, Int64Array, RecordBatch, UInt32Array};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;

    use super::*;
    use crate::{Compression, Encoder, FileWriter};

    fn file() -> Vec<u8> {
        let columns = [
            ("srcaddr", ColumnType::String),
            ("dstport", ColumnType::Int32),
            ("bytes", ColumnType::Int64),
            ("vpc_id", ColumnType::String),
        ];
        let schema = FileSchema::new(columns).for_batches_of(["srcaddr", "dstport", "bytes"]);
        let text = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        let fields = Schema::new(vec![
            Field::new("srcaddr", text, true),
            Field::new("dstport", DataType::Int32, true),
            Field::new("bytes", DataType::Int64, true),
        ]);
        let values = Arc::new(arrow_array::StringArray::from(vec!["10.0.0.2", "10.0.0.1"]));
        let keys = UInt32Array::from(vec![Some(0), Some(1), None, Some(0)]);
        let batch = RecordBatch::try_new(
            Arc::new(fields),
            vec![
                Arc::new(DictionaryArray::new(keys, values)),
                Arc::new(Int32Array::from(vec![Some(22), None, Some(443), Some(22)])),
                Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            ],
        );
        let mut encoder = Encoder::new("zstd:3".parse::<Compression>().expect("a codec")).expect("a codec");
        let mut file = FileWriter::new(Vec::new(), &schema, &[]).expect("memory takes all");
        for _ in 0..2 {
            let group = encoder.encode(batch.as_ref().expect("columns"), &schema).expect("a row group");
            file.append(group).expect("memory takes all");
        }
        file.finish().expect("memory takes all")
    }

    #[test]
    fn columns_that_are_asked_for() {
        let bytes = Bytes::from(file());
        let ranges = |range: Range<u64>| {
            Ok::<_, std::convert::Infallible>(bytes.slice(range.start as usize..range.end as usize))
        };
        let file = CheckedFile::open(bytes.len() as u64, &ranges).expect("a file of ours");
        assert_eq!(file.columns().collect::<Vec<_>>(), ["srcaddr", "dstport", "bytes", "vpc_id"]);
        assert_eq!(file.group_bounds(1, "dstport"), Some(GroupBounds::Integers(22, 443)));
        assert_eq!(file.group_bounds(0, "vpc_id"), Some(GroupBounds::Nulls));
        let texts = GroupBounds::Texts(b"10.0.0.1".to_vec(), b"10.0.0.2".to_vec());
        assert_eq!((file.group_bounds(0, "srcaddr"), file.group_bounds(0, "x")), (Some(texts), None));
        let (columns, read) =
            file.read_columns(1, &["dstport", "x", "srcaddr", "vpc_id"], &ranges).expect("whole pages");
        assert!(read > 0 && read < bytes.len() as u64);
        let Some(ColumnValues::Integers { values, nulls: Some(nulls), is_time_ms: false }) = &columns[0]
        else {
            panic!("{columns:?}")
        };
        let found: Vec<_> = (0..4).map(|row| nulls.is_valid(row).then_some(values[row])).collect();
        assert_eq!(found, [Some(22), None, Some(443), Some(22)]);
        assert!(columns[1].is_none());
        let Some(ColumnValues::Text(text)) = &columns[2] else { panic!("{columns:?}") };
        let found: Vec<_> =
            text.keys.iter().map(|key| (*key != TextValues::NULL).then(|| text.value(*key))).collect();
        let (one, two): (&[u8], &[u8]) = (b"10.0.0.1", b"10.0.0.2");
        assert_eq!((found, text.distinct()), (vec![Some(two), Some(one), None, Some(two)], 2));
        let Some(ColumnValues::Text(text)) = &columns[3] else { panic!("{columns:?}") };
        assert_eq!((text.keys.as_slice(), text.distinct()), ([TextValues::NULL; 4].as_slice(), 0));
        let sizes: Vec<_> = file.column_sizes(0).collect();
        assert!(sizes.len() == 4 && sizes.iter().all(|(_, size)| size.bytes > 0));
    }

    #[test]
    fn a_page_that_is_damaged_is_told() {
        let mut bytes = file();
        for byte in &mut bytes[8..60] {
            *byte ^= 0x55;
        }
        let bytes = Bytes::from(bytes);
        let ranges = |range: Range<u64>| {
            Ok::<_, std::convert::Infallible>(bytes.slice(range.start as usize..range.end as usize))
        };
        let file = CheckedFile::open(bytes.len() as u64, &ranges).expect("the footer is whole");
        assert!(matches!(file.read_columns(0, &["srcaddr"], &ranges), Err(RowsError::File(_))));
    }
}
