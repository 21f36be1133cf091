//! What a footer tells, and whether it can be so.

use std::ops::Range;

use bytes::Bytes;
use flowquet_format::{ColumnType, normalised_column};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::bounds::{Bounds, Value};
use super::fault::{FileFault, FileFaultKind};
use crate::merge::MergeFile;
use crate::rows::kind::{Kind, kind};
use crate::rows::{Ranges, RowsError, footer, guarded};
use crate::schema::FileSchema;

/// Bytes that are read of what stands behind the rows, at most: page index and footer of a file of thousands of row groups.
const TAIL_BYTES_MAX: u64 = 256 << 20;

/// Where the first column of a file begins.
const HEAD_BYTES: u64 = 4;

/// A file of ours by its footer.
pub struct CheckedFile {
    pub(super) meta: ParquetMetaData,
    pub(super) merge: MergeFile,
    pub(super) schema: FileSchema,
    /// Of each column of the file, whether it is the twin of an address.
    pub(super) twins: Vec<bool>,
    len: u64,
}

impl std::fmt::Debug for CheckedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedFile").field("file", &self.merge).finish()
    }
}

fn damaged(what: String) -> FileFaultKind {
    FileFaultKind::Damaged { what }
}

impl CheckedFile {
    /// Reads the footer of a file of `len` bytes.
    ///
    /// # Errors
    /// [`RowsError::File`] where it cannot be read, or is none of ours.
    pub fn open<E>(len: u64, ranges: Ranges<'_, E>) -> Result<Self, RowsError<E>> {
        Self::of(footer(len, ranges)?, len).map_err(RowsError::File)
    }

    fn of(meta: ParquetMetaData, len: u64) -> Result<Self, String> {
        let merge = MergeFile::of(&meta, len)?;
        let columns = meta.file_metadata().schema_descr().columns();
        let mut types = Vec::with_capacity(columns.len());
        for descr in columns {
            let column_type = match (kind(descr), descr.physical_type()) {
                (Ok(Kind::Integer), PhysicalType::INT32) => ColumnType::Int32,
                (Ok(Kind::Integer), PhysicalType::INT64) => ColumnType::Int64,
                (Ok(Kind::Timestamp { per_second: 1000, .. }), PhysicalType::INT64) => {
                    ColumnType::TimestampMs
                }
                (Ok(Kind::Text), PhysicalType::BYTE_ARRAY) => ColumnType::String,
                (Ok(Kind::Text), PhysicalType::FIXED_LEN_BYTE_ARRAY) => ColumnType::Address,
                (_, found) => {
                    return Err(format!("column `{}` is {found}, as flowquet writes none", descr.name()));
                }
            };
            types.push((normalised_column(descr.name()), column_type));
        }
        let twins = types.iter().map(|(_, column_type)| *column_type == ColumnType::Address).collect();
        let schema = FileSchema::new(types.iter().map(|(name, column_type)| (name.as_str(), *column_type)));
        Ok(Self { meta, merge, schema, twins, len })
    }

    /// Reads what stands behind the rows, page index and footer, for a check of all that the file holds. Returns where it starts,
    /// and its bytes.
    ///
    /// # Errors
    /// As [`CheckedFile::open`].
    pub fn open_whole<E>(len: u64, ranges: Ranges<'_, E>) -> Result<(Self, u64, Bytes), RowsError<E>> {
        let meta = footer(len, ranges)?;
        let ends = meta.row_groups().iter().flat_map(|group| group.columns()).filter_map(|chunk| {
            let start = chunk
                .dictionary_page_offset()
                .unwrap_or(chunk.data_page_offset())
                .min(chunk.data_page_offset());
            u64::try_from(start.checked_add(chunk.compressed_size())?).ok()
        });
        let start = ends.filter(|end| *end <= len).max().unwrap_or(HEAD_BYTES).min(len);
        if len - start > TAIL_BYTES_MAX {
            let what = format!("{} bytes behind the rows, more than page indexes take", len - start);
            return Err(RowsError::File(what));
        }
        let tail = ranges(start..len).map_err(RowsError::Other)?;
        let with_index = guarded(|| {
            let mut reader = ParquetMetaDataReader::new_with_metadata(meta.clone());
            reader = reader.with_page_index_policy(PageIndexPolicy::Optional);
            reader.read_page_indexes_sized(&tail, len).and_then(|()| reader.finish())
        });
        let with_index = with_index.map_err(RowsError::File)?;
        let meta = with_index.map_err(|e| RowsError::File(format!("expected a page index, found {e}")))?;
        Ok((Self::of(meta, len).map_err(RowsError::File)?, start, tail))
    }

    /// Rows of all row groups.
    pub fn rows(&self) -> u64 {
        self.merge.rows()
    }

    /// How many row groups.
    pub fn row_groups(&self) -> usize {
        self.meta.num_row_groups()
    }

    /// The value of an entry of the key-value metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let pairs = self.meta.file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// The smallest and largest value of an integer column, as statistics tell; none where a row group has values and does not tell.
    pub fn integer_bounds(&self, column: &str) -> Option<(i64, i64)> {
        let place = self.schema.position(column)?;
        let mut all: Option<(i64, i64)> = None;
        for group in self.meta.row_groups() {
            let bounds = Bounds::of_chunk(group.column(place).statistics()?);
            match (bounds.min, bounds.max) {
                (Some(Value::Integer(min)), Some(Value::Integer(max))) => {
                    all = Some(all.map_or((min, max), |(a, b)| (a.min(min), b.max(max))));
                }
                _ if bounds.nulls == u64::try_from(group.num_rows()).ok() => {}
                _ => return None,
            }
        }
        all
    }

    /// The bytes of a row group.
    ///
    /// # Errors
    /// A message, where its columns do not stand within the file.
    pub fn range(&self, row_group: usize) -> Result<Range<u64>, String> {
        let chunks = self.meta.row_group(row_group).columns().iter();
        let mut range: Option<Range<u64>> = None;
        for chunk in chunks {
            let (start, length) = guarded(|| chunk.byte_range())?;
            let end = start.saturating_add(length);
            if end > self.len {
                return Err(format!("expected columns within the file, found one that ends at {end}"));
            }
            range = Some(range.map_or(start..end, |r| r.start.min(start)..r.end.max(end)));
        }
        Ok(range.unwrap_or(0..0))
    }

    /// What is wrong with the footer, as far as it tells by itself.
    pub fn footer_faults(&self) -> Vec<FileFault> {
        let mut faults = Vec::new();
        let told = u64::try_from(self.meta.file_metadata().num_rows()).unwrap_or_default();
        let found = self.rows();
        if told != found {
            faults.push(FileFault::of_file(FileFaultKind::Rows { told, found }));
        }
        let mut taken: Vec<Range<u64>> = Vec::new();
        for (g, group) in self.meta.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or_default();
            for chunk in group.columns() {
                let name = chunk.column_descr().name();
                let mut push = |kind| faults.push(FileFault::of_column(g, name, kind));
                let found = u64::try_from(chunk.num_values()).unwrap_or_default();
                if found != rows {
                    push(FileFaultKind::Rows { told: rows, found });
                }
                match guarded(|| chunk.byte_range()) {
                    Ok((start, length)) => taken.push(start..start.saturating_add(length)),
                    Err(what) => push(damaged(what)),
                }
                let Some(statistics) = chunk.statistics() else {
                    push(damaged("no statistics, which flowquet always writes".to_owned()));
                    continue;
                };
                let bounds = Bounds::of_chunk(statistics);
                if bounds.nulls.is_some_and(|nulls| nulls > rows) {
                    let (told, found) = (bounds.nulls.unwrap_or_default().to_string(), rows.to_string());
                    push(FileFaultKind::Statistics { of: "nulls", told, found });
                }
                if let (Some(min), Some(max)) = (&bounds.min, &bounds.max)
                    && min > max
                {
                    let (told, found) = (min.to_string(), max.to_string());
                    push(FileFaultKind::Statistics { of: "minimum", told, found });
                }
            }
        }
        taken.sort_by_key(|range| (range.start, range.end));
        if taken.windows(2).any(|two| two[0].end > two[1].start) {
            faults.push(FileFault::of_file(damaged("columns that overlap".to_owned())));
        }
        faults
    }
}
