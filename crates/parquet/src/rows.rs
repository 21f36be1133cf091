//! Parquet files read as lines of a flow log: AWS's own delivery, and files that others wrote.
//!
//! A line is what the flow log had: values separated by blanks, `-` for null. So rows of files take the same way as lines of
//! text, with the same checks and the same accounting. A value that is not what its field holds is spelt as it is, and its line
//! is a reject that names it.

pub(crate) mod kind;
mod lines;
pub(crate) mod slices;
mod spell;
mod values;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::TWIN_SUFFIX;
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::RowGroupReader;
use parquet::file::serialized_reader::SerializedRowGroupReader;

use crate::Error;
use kind::Kind;
use lines::{Place, columns_of};
use slices::{Slices, ranges_of};
use values::Values;

pub use lines::{RowLines, Wanted};

/// First and last bytes of a Parquet file.
pub const MAGIC: &[u8] = b"PAR1";

/// Rows that are read of each column before lines are made of them.
const BATCH_ROWS: usize = 4_096;

/// Bytes at a file's end that are read first: most footers fit.
const FOOTER_BYTES: u64 = 64 << 10;

/// Most bytes of a row group's columns that are read at once.
const ROW_GROUP_BYTES_MAX: u64 = 1 << 30;

/// Why a file cannot be read as a flow log.
#[derive(Debug)]
pub enum RowsError<E> {
    /// The file is damaged, or has columns that no flow log has; the message says which.
    File(String),
    /// Whoever gives bytes or takes lines failed.
    Other(E),
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowColumn {
    /// Its name in lower case, underscores for dashes.
    pub name: String,
    /// Its name as the file has it.
    original: String,
    /// Of its first leaf.
    index: usize,
    /// What it holds, or why its values cannot stand in a line.
    kind: Result<Kind, String>,
}

/// A Parquet file whose rows are read as lines.
pub struct RowReader {
    meta: ParquetMetaData,
    columns: Vec<RowColumn>,
}

impl std::fmt::Debug for RowReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowReader").field("columns", &self.columns).finish()
    }
}

/// Gives bytes of a file.
pub type Ranges<'a, E> = &'a dyn Fn(Range<u64>) -> Result<Bytes, E>;

impl RowReader {
    /// Reads the footer of a file of `len` bytes.
    ///
    /// # Errors
    /// [`RowsError::File`] where it is no Parquet file.
    pub fn open<E>(len: u64, ranges: Ranges<'_, E>) -> Result<Self, RowsError<E>> {
        let meta = footer(len, ranges)?;
        let schema = meta.file_metadata().schema_descr();
        let mut columns = columns_of(schema);
        // A twin is made anew of its address.
        columns.retain(|column| {
            let is_binary = schema.column(column.index).physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY;
            !is_binary || !column.name.ends_with(TWIN_SUFFIX)
        });
        if columns.is_empty() {
            return Err(RowsError::File("expected columns, found none".to_owned()));
        }
        Ok(Self { meta, columns })
    }

    /// The columns in the file's order, without twins.
    pub fn columns(&self) -> &[RowColumn] {
        &self.columns
    }

    /// The lines that the rows of a file are read as, whoever wrote it.
    ///
    /// # Errors
    /// Where the file is none of flow logs, or a wanted column cannot be read: what was expected and found.
    pub fn lines(&self, wanted: &Wanted) -> Result<RowLines, String> {
        RowLines::wanted(&self.columns, wanted)
    }

    /// Calls `each` with whole `lines`, some thousand at a time, each ending in a newline. Columns that do not stand in them are not
    /// read.
    ///
    /// # Errors
    /// [`RowsError::File`] where the file is damaged: what came before has been handed out.
    pub fn read_lines<E>(
        &self,
        lines: &RowLines,
        ranges: Ranges<'_, E>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), RowsError<E>> {
        let mut text = Vec::new();
        for (number, group) in self.meta.row_groups().iter().enumerate() {
            let mut values = values_of(number, group, &lines.places, ranges)?;
            let mut left = usize::try_from(group.num_rows()).unwrap_or_default();
            while left > 0 {
                let rows = left.min(BATCH_ROWS);
                for values in values.iter_mut().flatten() {
                    values.read(rows).map_err(RowsError::File)?;
                }
                text.clear();
                push_lines(&mut values, rows, &mut text);
                each(&text).map_err(RowsError::Other)?;
                left -= rows;
            }
        }
        Ok(())
    }
}

/// Reads the footer of a file of `len` bytes.
pub(crate) fn footer<E>(len: u64, ranges: Ranges<'_, E>) -> Result<ParquetMetaData, RowsError<E>> {
    let mut start = len.saturating_sub(FOOTER_BYTES);
    loop {
        let tail = ranges(start..len).map_err(RowsError::Other)?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&tail, len) {
            Ok(()) => return reader.finish().map_err(|e| damaged(&e)),
            Err(ParquetError::NeedMoreData(needed)) if start > 0 => {
                start = len.saturating_sub((needed as u64).max(FOOTER_BYTES * 2));
            }
            Err(error) => return Err(damaged(&error)),
        }
    }
}

/// Readers of the columns of a row group, one a place.
fn values_of<E>(
    number: usize,
    group: &RowGroupMetaData,
    places: &[Place],
    ranges: Ranges<'_, E>,
) -> Result<Vec<Option<Values>>, RowsError<E>> {
    let chunks = places.iter().filter_map(|place| match place {
        Place::Empty => None,
        Place::Column { index, .. } => {
            let (start, len) = group.column(*index).byte_range();
            Some(start..start.saturating_add(len))
        }
    });
    let needed = ranges_of(chunks.collect());
    let bytes: u64 = needed.iter().map(|range| range.end - range.start).sum();
    if bytes > ROW_GROUP_BYTES_MAX {
        return Err(RowsError::File(format!(
            "expected row groups of at most {ROW_GROUP_BYTES_MAX} bytes, found one of {bytes}"
        )));
    }
    let part = |range: Range<u64>| Ok((range.start, ranges(range).map_err(RowsError::Other)?));
    let parts = needed.into_iter().map(part).collect::<Result<Vec<(u64, Bytes)>, _>>()?;
    let slices = Arc::new(Slices(parts));
    let properties = Arc::new(ReaderProperties::builder().build());
    let no_index = RowGroupPageIndex::new(number, None);
    let reader = SerializedRowGroupReader::new(slices, group, no_index, properties);
    let reader = reader.map_err(|e| damaged(&e))?;
    let values = |place: &Place| match *place {
        Place::Empty => Ok(None),
        Place::Column { index, kind, meaning } => {
            let reader = reader.get_column_reader(index).map_err(|e| damaged(&e))?;
            Ok(Some(Values::new(reader, kind, meaning)))
        }
    };
    places.iter().map(values).collect()
}

fn push_lines(values: &mut [Option<Values>], rows: usize, lines: &mut Vec<u8>) {
    for _ in 0..rows {
        for (i, values) in values.iter_mut().enumerate() {
            if i > 0 {
                lines.push(b' ');
            }
            match values {
                Some(values) => values.push_next(lines),
                None => lines.push(b'-'),
            }
        }
        lines.push(b'\n');
    }
}

fn damaged<E>(error: &Error) -> RowsError<E> {
    RowsError::File(format!("expected a whole Parquet file, found {error}"))
}

#[cfg(test)]
mod tests;
