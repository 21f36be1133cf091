//! Parquet files read as lines of a flow log: AWS's own delivery, and files that others wrote.
//!
//! A line is what the flow log had: values separated by blanks, `-` for null. So rows of files take the same way as lines of
//! text, with the same checks and the same accounting. A value that is not what its field holds is spelt as it is, and its line
//! is a reject that names it.

mod guard;
pub(crate) mod kind;
mod lines;
mod pages;
pub(crate) mod slices;
mod spell;
mod thrift;
mod values;
mod window;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::TWIN_SUFFIX;
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader as _;

use crate::Error;
use crate::inspect::{FileLayout, layout_of};
pub(crate) use guard::guarded;
use kind::Kind;
use lines::{Place, columns_of};
use pages::{Decoded, PREFIXED_ROWS, column_reader, has_prefixes};
use slices::{Slices, ranges_of};
use thrift::is_sound_footer;
use values::Values;
use window::Window;

pub use lines::{RowLines, Wanted};

/// First and last bytes of a Parquet file.
pub const MAGIC: &[u8] = b"PAR1";

/// Rows that are read of each column before lines are made of them.
const BATCH_ROWS: usize = 4_096;

/// Bytes at a file's end that are read first: most footers fit.
const FOOTER_BYTES: u64 = 64 << 10;

/// Longest footer that is read: of thousands of row groups.
pub(crate) const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// What stands at a file's end: the footer's length, and the magic bytes.
const END_BYTES: u64 = 8;

/// Most rows for each byte of a file, beside the first million: rows that are all the same take next to nothing, and there may
/// be as many of them as text compresses to a byte.
const ROWS_PER_BYTE_MAX: u64 = 1_000;
const ROWS_FREE: u64 = 1_000_000;

/// Bytes of lines that are handed on at once, apart from the last of them.
const LINES_BYTES_MAX: usize = 1 << 20;

/// Longest line that is made: far longer than one that is no reject. Of a longer one the beginning is made.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Bytes that are read ahead of all columns of a row group. One that is not larger is read whole, in few requests.
const AHEAD_BYTES: u64 = 32 << 20;

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
    /// Of the file.
    len: u64,
    /// Bytes of all columns that are read ahead: [`AHEAD_BYTES`], fewer in tests.
    ahead: u64,
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
    /// [`RowsError::File`] where it is not a Parquet file.
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
        check_rows(&meta, len).map_err(RowsError::File)?;
        Ok(Self { meta, columns, len, ahead: AHEAD_BYTES })
    }

    /// The columns in the file's order, without twins.
    pub fn columns(&self) -> &[RowColumn] {
        &self.columns
    }

    /// What the file is made of.
    pub fn layout(&self) -> FileLayout {
        layout_of(&self.meta)
    }

    /// Whether flowquet wrote it, as its metadata say: it is a file of a table, not a raw log.
    pub fn is_of_table(&self) -> bool {
        let metadata = self.meta.file_metadata().key_value_metadata();
        metadata.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == "flowquet.layout_version"))
    }

    /// Rows of all row groups.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.meta.file_metadata().num_rows()).unwrap_or_default()
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
        for group in self.meta.row_groups() {
            let mut values = self.values_of(group, &lines.places, ranges)?;
            let mut left = usize::try_from(group.num_rows()).unwrap_or_default();
            let is_prefixed =
                |place: &Place| matches!(place, Place::Column { index, .. } if has_prefixes(group, *index));
            let batch = if lines.places.iter().any(is_prefixed) { PREFIXED_ROWS } else { BATCH_ROWS };
            while left > 0 {
                let rows = ready_rows(&mut values, left.min(batch), ranges)?;
                let mut made = 0;
                while made < rows {
                    text.clear();
                    let push = guarded(|| push_lines(&mut values, rows - made, &mut text));
                    made += push.map_err(RowsError::File)?;
                    each(&text).map_err(RowsError::Other)?;
                }
                left -= rows;
            }
        }
        Ok(())
    }

    /// Readers of the columns of a row group, one a place.
    fn values_of<E>(
        &self,
        group: &RowGroupMetaData,
        places: &[Place],
        ranges: Ranges<'_, E>,
    ) -> Result<Vec<Option<Values>>, RowsError<E>> {
        let mut chunks = Vec::new();
        for place in places {
            let Place::Column { index, .. } = place else { continue };
            let (start, length) = guarded(|| group.column(*index).byte_range()).map_err(RowsError::File)?;
            let end = start.saturating_add(length);
            if end > self.len {
                return Err(RowsError::File(format!(
                    "expected columns within the file's {} bytes, found one that ends at {end}",
                    self.len
                )));
            }
            chunks.push(start..end);
        }
        let columns = chunks.len();
        let bytes: u64 = chunks.iter().map(|chunk| chunk.end - chunk.start).sum();
        let whole = if bytes <= self.ahead {
            let part = |range: Range<u64>| Ok((range.start, ranges(range).map_err(RowsError::Other)?));
            Some(Slices(ranges_of(chunks).into_iter().map(part).collect::<Result<_, _>>()?))
        } else {
            None
        };
        let window = |index: usize| -> Result<Window, ParquetError> {
            let (start, length) = group.column(index).byte_range();
            match &whole {
                Some(slices) => Ok(Window::whole(start, slices.get_bytes(start, usize::try_from(length)?)?)),
                None => Ok(Window::ahead(start..start + length, self.ahead / columns as u64)),
            }
        };
        let decoded = Arc::new(Decoded::default());
        let values = |place: &Place| match *place {
            Place::Empty => Ok(None),
            Place::Column { index, kind, meaning } => {
                let reader = guarded(|| column_reader(window(index)?, group, index, &decoded));
                let reader = reader.map_err(RowsError::File)?.map_err(|e| damaged(&e))?;
                Ok(Some(Values::new(reader, kind, meaning)))
            }
        };
        places.iter().map(values).collect()
    }
}

/// Reads the footer of a file of `len` bytes.
pub(crate) fn footer<E>(len: u64, ranges: Ranges<'_, E>) -> Result<ParquetMetaData, RowsError<E>> {
    let mut start = len.saturating_sub(FOOTER_BYTES);
    loop {
        let tail = ranges(start..len).map_err(RowsError::Other)?;
        check_footer(&tail, len).map_err(RowsError::File)?;
        let mut reader = ParquetMetaDataReader::new();
        match guarded(|| reader.try_parse_sized(&tail, len)).map_err(RowsError::File)? {
            Ok(()) => return reader.finish().map_err(|e| damaged(&e)),
            Err(ParquetError::NeedMoreData(needed)) if start > 0 => {
                start = len.saturating_sub((needed as u64).max(FOOTER_BYTES * 2));
            }
            Err(error) => return Err(damaged(&error)),
        }
    }
}

/// Has some of the next rows be there of each column, at most so many, and bytes of the file that their pages stand in. Returns how many
/// there are: columns are read as far as each one's pages go, and lines are made as far as all are.
fn ready_rows<E>(
    values: &mut [Option<Values>],
    most: usize,
    ranges: Ranges<'_, E>,
) -> Result<usize, RowsError<E>> {
    let mut rows = most;
    for values in values.iter_mut().flatten() {
        let ready = loop {
            let ready = guarded(|| values.ready(most)).and_then(|ready| ready).map_err(RowsError::File)?;
            let Some(range) = values.wanted().filter(|_| ready == 0) else { break ready };
            let (start, wanted) = (range.start, range.end - range.start);
            let bytes = ranges(range).map_err(RowsError::Other)?;
            if bytes.len() as u64 != wanted {
                let found = bytes.len();
                return Err(RowsError::File(format!("expected {wanted} bytes at {start}, found {found}")));
            }
            values.put(start, bytes);
            if values.wanted().is_some_and(|again| again.end - start <= wanted) {
                return Err(RowsError::File(format!("expected a page at {start}, found none that ends")));
            }
        };
        rows = rows.min(ready);
    }
    Ok(rows)
}

/// Makes lines of the next rows until there are `rows`, or enough bytes to hand on. Returns how many.
fn push_lines(values: &mut [Option<Values>], rows: usize, lines: &mut Vec<u8>) -> usize {
    for made in 0..rows {
        if lines.len() >= LINES_BYTES_MAX {
            return made;
        }
        let start = lines.len();
        for (i, values) in values.iter_mut().enumerate() {
            if i > 0 {
                lines.push(b' ');
            }
            match values {
                Some(values) if lines.len() - start < LINE_BYTES_MAX => values.push_next(lines),
                Some(values) => values.skip_next(),
                None => lines.push(b'-'),
            }
        }
        lines.push(b'\n');
    }
    rows
}

/// Checks the end of a file as far as `tail` holds it, before a decoder takes its word.
pub(crate) fn check_footer(tail: &[u8], len: u64) -> Result<(), String> {
    let Some((rest, end)) = tail.split_last_chunk::<8>() else { return Ok(()) };
    let [a, b, c, d, ..] = *end;
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer > FOOTER_BYTES_MAX.min(len.saturating_sub(END_BYTES)) {
        return Err(format!("expected a whole Parquet file, found a footer of {footer} bytes"));
    }
    // Of a longer one more is asked for.
    let Some(start) = rest.len().checked_sub(footer as usize) else { return Ok(()) };
    if !tail.ends_with(MAGIC) || is_sound_footer(&rest[start..]) {
        return Ok(());
    }
    Err("expected a whole Parquet file, found a footer that is damaged or too deep".to_owned())
}

/// Checks that a file may have as many rows as it says.
fn check_rows(meta: &ParquetMetaData, len: u64) -> Result<(), String> {
    let max = len.saturating_mul(ROWS_PER_BYTE_MAX).saturating_add(ROWS_FREE);
    let mut rows: u64 = 0;
    for group in meta.row_groups() {
        let of_group = u64::try_from(group.num_rows());
        rows = rows.saturating_add(of_group.map_err(|_| "expected rows, found less than none".to_owned())?);
    }
    if rows > max {
        return Err(format!("expected at most {max} rows in a file of {len} bytes, found {rows}"));
    }
    let told = meta.file_metadata().num_rows();
    if u64::try_from(told) == Ok(rows) {
        return Ok(());
    }
    // A footer that lost a row group, or gained one.
    Err(format!("expected {told} rows as the footer says, found {rows} in its row groups"))
}

fn damaged<E>(error: &Error) -> RowsError<E> {
    RowsError::File(format!("expected a whole Parquet file, found {error}"))
}

#[cfg(test)]
mod tests;
