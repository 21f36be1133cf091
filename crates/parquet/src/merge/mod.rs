//! Rows of files of ours, merged column by column: they are decoded, put in order and encoded, and no value is looked at on the
//! way but to compare it. So whatever a file holds is in the merged one, byte for byte.
//!
//! | step | holds |
//! |---|---|
//! | [`MergeFile::open`] | where the columns of each row group stand |
//! | [`Merge::add`] | their bytes, as they are in the files |
//! | [`Merge::order`] | the columns that are sorted by, and the order of all rows |
//! | [`Merge::column`] | one column: keys into one sorted dictionary, or integers |
//! | [`Column::encode`] | some of its rows, encoded |
//!
//! One column at a time is in memory, beside compressed bytes: an eighth of what all columns would be. Dictionaries that are
//! sorted already are merged into one, so that keys compare as values do; what a row group has of it is sorted too.

mod column;
mod decode;
mod dictionary;
mod hashes;
mod hybrid;
mod row_keys;
mod source;

use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::NullBuffer;
use flowquet_format::{ColumnType, TWIN_SUFFIX};
use parquet::basic::Encoding;
use parquet::column::page::PageReader;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::Error;
use crate::integer::Integer;
use crate::rows::guarded;
use crate::rows::slices::Slices;
use crate::schema::FileSchema;
use crate::sort::{SortKeys, order_by};
use decode::Validity;
use dictionary::{Run, merged};

pub use column::Column;
pub(crate) use column::Data;
pub(crate) use decode::NULL;
pub use hashes::MergedHashes;
pub use row_keys::{RowKeyMaker, RowKeys};
use source::GroupChunks;
pub use source::{MergeFile, Weight};

/// Why rows were not merged.
#[derive(Debug)]
pub enum MergeError {
    /// A file is damaged, or is none of ours.
    File {
        /// As [`Merge::add`] was told.
        source: usize,
        /// What was expected and found.
        what: String,
    },
    /// The distinct values of a column are more bytes than may be held.
    Distinct {
        /// Its name.
        column: String,
    },
    /// A compressor failed.
    Encoder(Error),
}

impl From<Error> for MergeError {
    fn from(error: Error) -> Self {
        Self::Encoder(error)
    }
}

/// Why a column of a row group was not decoded.
enum Fault {
    Damaged(String),
    Distinct,
}

impl Fault {
    fn encoding(found: Encoding) -> Self {
        Self::Damaged(format!("expected pages as flowquet writes them, found some encoded as {found}"))
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

/// A row group with its bytes.
struct Group {
    source: usize,
    bytes: Arc<Slices>,
    columns: GroupChunks,
}

/// The order of all rows, and what it was made of.
#[derive(Debug)]
pub struct Order {
    /// The numbers of the rows, in the schema's order: rows that are equal in it stand as they came.
    pub rows: Vec<u32>,
    columns: Vec<(usize, Column)>,
}

impl Order {
    /// Takes a column that was decoded for the order.
    pub fn take(&mut self, i: usize) -> Option<Column> {
        let place = self.columns.iter().position(|(known, _)| *known == i)?;
        Some(self.columns.swap_remove(place).1)
    }
}

/// The pages, rows and level of a column chunk, or the rows of a row group that has none.
type ChunkPages<'a> = Result<(&'a mut dyn PageReader, usize, i16), usize>;

/// The places among `rows` rows of at most `rows_max` rows each that make row groups of even size.
pub fn even_row_groups(rows: usize, rows_max: usize) -> Vec<Range<usize>> {
    let groups = rows.div_ceil(rows_max.max(1));
    (0..groups).map(|g| rows * g / groups..rows * (g + 1) / groups).collect()
}

/// Rows that become one file.
pub struct Merge<'a> {
    schema: &'a FileSchema,
    groups: Vec<Group>,
    rows: usize,
    distinct_bytes_max: usize,
}

impl std::fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("groups", &self.groups.len()).field("rows", &self.rows).finish()
    }
}

impl<'a> Merge<'a> {
    /// No rows yet, for a file of `schema`. The distinct values of a column may be `distinct_bytes_max` bytes.
    pub fn new(schema: &'a FileSchema, distinct_bytes_max: usize) -> Self {
        let distinct_bytes_max = distinct_bytes_max.min(i32::MAX as usize);
        Self { schema, groups: Vec::new(), rows: 0, distinct_bytes_max }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns of the schema that have to be merged: all but those that are null in all rows, and twins. Those that are sorted
    /// by come first, since they are in memory.
    pub fn columns(&self) -> Vec<usize> {
        let columns = 0..self.schema.columns();
        let mut columns: Vec<usize> =
            columns.filter(|i| self.schema.sources()[*i].is_some() && !self.is_twin(*i)).collect();
        let by = self.schema.sort_columns();
        columns.sort_by_key(|i| !by.contains(i) && self.twin_of(*i).is_none_or(|twin| !by.contains(&twin)));
        columns
    }

    /// The columns of the schema that no row has a value of.
    pub fn nulls(&self) -> Vec<usize> {
        (0..self.schema.columns()).filter(|i| self.schema.sources()[*i].is_none()).collect()
    }

    /// The position of the twin of a column, if it has one.
    pub fn twin_of(&self, column: usize) -> Option<usize> {
        let name = self.schema.name(column);
        (0..self.schema.columns()).find(|i| {
            self.is_twin(*i)
                && self.schema.sources()[*i].is_some()
                && self.schema.name(*i).strip_suffix(TWIN_SUFFIX) == Some(name)
        })
    }

    fn is_twin(&self, column: usize) -> bool {
        self.schema.column_type(column) == ColumnType::Address
    }

    /// Decodes the columns that the schema sorts by, and puts all rows in order.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn order(&self) -> Result<Order, MergeError> {
        let by = self.schema.sort_columns();
        let mut columns: Vec<(usize, Column)> = Vec::new();
        for i in &by {
            // Of a twin the text is kept.
            let text = (0..*i).find(|text| self.twin_of(*text) == Some(*i)).unwrap_or(*i);
            if columns.iter().all(|(known, _)| *known != text) {
                columns.push((text, self.column(text)?));
            }
        }
        let of = |i: usize| columns.iter().find(|(known, _)| *known == i).map(|(_, column)| column);
        let keys = |place: usize| match of(by[place]) {
            Some(column) => column.sort_keys(),
            None => {
                let text = columns.iter().find(|(text, _)| self.twin_of(*text) == Some(by[place]));
                text.map_or_else(SortKeys::default, |(_, text)| text.twin().sort_keys())
            }
        };
        let rows = order_by(self.rows, by.len(), keys);
        Ok(Order { rows, columns })
    }

    /// All rows of a column, as they came.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn column(&self, i: usize) -> Result<Column, MergeError> {
        let data = match self.schema.column_type(i) {
            ColumnType::Int32 => {
                let (values, nulls) = self.integers(i)?;
                Data::Int32(values, nulls)
            }
            ColumnType::Int64 | ColumnType::TimestampMs => {
                let (values, nulls) = self.integers(i)?;
                Data::Int64(values, nulls)
            }
            ColumnType::String => self.text(i)?,
            ColumnType::Address => unreachable!("a twin is made of its column"),
        };
        Ok(Column::new(data, self.schema.column_type(i)))
    }

    fn integers<T: Integer>(&self, i: usize) -> Result<(Vec<T>, Option<NullBuffer>), MergeError> {
        let (mut values, mut validity) = (Vec::with_capacity(self.rows), Validity::default());
        self.each_chunk(i, |chunk| match chunk {
            Ok((pages, rows, level)) => decode::integers(pages, rows, level, &mut values, &mut validity),
            Err(rows) => {
                values.resize(values.len() + rows, T::default());
                validity.append_nulls(rows);
                Ok(())
            }
        })?;
        Ok((values, validity.finish()))
    }

    fn text(&self, i: usize) -> Result<Data, MergeError> {
        let (mut keys, mut runs) = (Vec::with_capacity(self.rows), Vec::new());
        self.each_chunk(i, |chunk| {
            runs.push(match chunk {
                Ok((pages, rows, level)) => {
                    decode::text(pages, rows, level, self.distinct_bytes_max, &mut keys)?
                }
                Err(rows) => {
                    keys.resize(keys.len() + rows, decode::NULL);
                    Run::default()
                }
            });
            Ok(())
        })?;
        let (dictionary, new_keys) =
            merged(&runs, self.distinct_bytes_max).ok_or_else(|| self.distinct(i))?;
        drop(runs);
        let mut left = keys.as_mut_slice();
        for (group, new_keys) in self.groups.iter().zip(new_keys) {
            let (own, rest) = left.split_at_mut(group.columns.rows);
            // Null is no key.
            let new = |key: u32| new_keys.get(key as usize).copied().unwrap_or(decode::NULL);
            own.iter_mut().for_each(|key| *key = new(*key));
            left = rest;
        }
        Ok(Data::Text { keys, dictionary })
    }

    /// Calls `each` with the pages, rows and level of a column in each row group, or with the rows that have none of it.
    fn each_chunk(
        &self,
        i: usize,
        mut each: impl FnMut(ChunkPages<'_>) -> Result<(), Fault>,
    ) -> Result<(), MergeError> {
        for group in &self.groups {
            let told = |fault: Fault| match fault {
                Fault::Damaged(what) => {
                    let what = format!("column `{}`: {what}", self.schema.name(i));
                    MergeError::File { source: group.source, what }
                }
                Fault::Distinct => self.distinct(i),
            };
            let Some(chunk) = &group.columns.chunks[i] else {
                each(Err(group.columns.rows)).map_err(told)?;
                continue;
            };
            let rows = group.columns.rows;
            // A bit that flipped on a disk must not end the program.
            let read = guarded(|| {
                let pages = chunk
                    .metadata(rows)
                    .and_then(|m| SerializedPageReader::new(group.bytes.clone(), &m, rows, None));
                let mut pages =
                    pages.map_err(|e| Fault::Damaged(format!("expected whole pages, found {e}")))?;
                each(Ok((&mut pages, rows, chunk.max_level())))
            });
            read.unwrap_or_else(|what| Err(Fault::Damaged(what))).map_err(told)?;
        }
        Ok(())
    }

    fn distinct(&self, i: usize) -> MergeError {
        MergeError::Distinct { column: self.schema.name(i).to_owned() }
    }

    /// The bytes of row groups of a file; `source` names it in errors.
    ///
    /// # Errors
    /// A message, where the file has a column of another type than the schema's, or a chunk outside of `bytes`.
    pub fn add(
        &mut self,
        source: usize,
        file: &MergeFile,
        groups: Range<usize>,
        parts: Vec<(u64, bytes::Bytes)>,
    ) -> Result<(), String> {
        let bytes = Arc::new(Slices(parts));
        for columns in file.chunks(groups, self.schema)? {
            self.rows += columns.rows;
            self.groups.push(Group { source, bytes: bytes.clone(), columns });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
