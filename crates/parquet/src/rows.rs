//! Parquet files read as lines of a flow log: AWS's own delivery, and files of ours that are merged.
//!
//! A line is what the flow log had: values separated by blanks, `-` for null. So rows of files take the same way as lines of
//! text, with the same checks and the same accounting.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::{TWIN_SUFFIX, time_number};
use parquet::basic::{LogicalType, TimeUnit, Type as PhysicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedRowGroupReader;
use parquet::schema::types::ColumnDescriptor;

use crate::Error;

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

/// How values of a column become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    /// A timestamp, and how many of its unit make a second.
    Time(i64),
}

/// A column that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowColumn {
    /// Its name in lower case, underscores for dashes.
    pub name: String,
    index: usize,
    kind: Kind,
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
    /// [`RowsError::File`] where it is no Parquet file, or has a column that no flow log has.
    pub fn open<E>(len: u64, ranges: Ranges<'_, E>) -> Result<Self, RowsError<E>> {
        let mut start = len.saturating_sub(FOOTER_BYTES);
        let meta = loop {
            let tail = ranges(start..len).map_err(RowsError::Other)?;
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&tail, len) {
                Ok(()) => break reader.finish().map_err(|e| damaged(&e))?,
                Err(ParquetError::NeedMoreData(needed)) if start > 0 => {
                    start = len.saturating_sub((needed as u64).max(FOOTER_BYTES * 2));
                }
                Err(error) => return Err(damaged(&error)),
            }
        };
        let schema = meta.file_metadata().schema_descr();
        let mut columns = Vec::new();
        for (index, column) in schema.columns().iter().enumerate() {
            let name = column.name().to_ascii_lowercase().replace('-', "_");
            // A twin is made anew of its address.
            if column.physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY && name.ends_with(TWIN_SUFFIX) {
                continue;
            }
            let Some(kind) = kind(column) else {
                return Err(RowsError::File(format!(
                    "expected flat columns of integers, text or timestamps, found `{}`, {}",
                    column.path().string(),
                    column.physical_type()
                )));
            };
            columns.push(RowColumn { name, index, kind });
        }
        if columns.is_empty() {
            return Err(RowsError::File("expected columns, found none".to_owned()));
        }
        Ok(Self { meta, columns })
    }

    /// The columns that can be read, in the file's order.
    pub fn columns(&self) -> &[RowColumn] {
        &self.columns
    }

    /// Rows of all row groups.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.meta.file_metadata().num_rows()).unwrap_or_default()
    }

    /// Calls `each` with whole lines, some thousand at a time, each ending in a newline: the columns of these names, `-` where
    /// the file does not have one.
    ///
    /// # Errors
    /// [`RowsError::File`] where the file is damaged: what came before has been handed out.
    pub fn read<E>(
        &self,
        names: &[&str],
        ranges: Ranges<'_, E>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), RowsError<E>> {
        let wanted: Vec<Option<&RowColumn>> =
            names.iter().map(|name| self.columns.iter().find(|c| c.name == *name)).collect();
        let mut lines = Vec::new();
        for (number, group) in self.meta.row_groups().iter().enumerate() {
            let mut readers: Vec<Option<Values>> = wanted.iter().map(|_| None).collect();
            if let Some(range) = byte_range(group, wanted.iter().flatten().map(|c| c.index)) {
                let len = range.end.saturating_sub(range.start);
                if len > ROW_GROUP_BYTES_MAX {
                    let message = format!(
                        "expected row groups of at most {ROW_GROUP_BYTES_MAX} bytes, found one of {len}"
                    );
                    return Err(RowsError::File(message));
                }
                let bytes = ranges(range.clone()).map_err(RowsError::Other)?;
                let slice = Arc::new(Slice { start: range.start, bytes });
                let properties = Arc::new(ReaderProperties::builder().build());
                let no_index = RowGroupPageIndex::new(number, None);
                let reader = SerializedRowGroupReader::new(slice, group, no_index, properties);
                let reader = reader.map_err(|e| damaged(&e))?;
                for (values, column) in readers.iter_mut().zip(&wanted) {
                    if let Some(column) = column {
                        let reader = reader.get_column_reader(column.index).map_err(|e| damaged(&e))?;
                        *values = Some(Values::new(reader, column.kind));
                    }
                }
            }
            let mut left = usize::try_from(group.num_rows()).unwrap_or_default();
            while left > 0 {
                let rows = left.min(BATCH_ROWS);
                for values in readers.iter_mut().flatten() {
                    values.read(rows).map_err(RowsError::File)?;
                }
                lines.clear();
                push_lines(&mut readers, rows, &mut lines);
                each(&lines).map_err(RowsError::Other)?;
                left -= rows;
            }
        }
        Ok(())
    }
}

fn push_lines(readers: &mut [Option<Values>], rows: usize, lines: &mut Vec<u8>) {
    for _ in 0..rows {
        for (i, values) in readers.iter_mut().enumerate() {
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

fn kind(column: &ColumnDescriptor) -> Option<Kind> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 || column.path().parts().len() > 1 {
        return None;
    }
    match (column.physical_type(), column.logical_type_ref()) {
        (PhysicalType::INT64, Some(LogicalType::Timestamp(time))) => Some(Kind::Time(match time.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        })),
        (PhysicalType::INT32 | PhysicalType::INT64, None | Some(LogicalType::Integer { .. })) => {
            Some(Kind::Integer)
        }
        (PhysicalType::BYTE_ARRAY, None | Some(LogicalType::String | LogicalType::Enum)) => Some(Kind::Text),
        _ => None,
    }
}

/// Where the chunks of some columns of a row group lie; `None` of no columns.
fn byte_range(group: &RowGroupMetaData, columns: impl Iterator<Item = usize>) -> Option<Range<u64>> {
    let ranges = columns.map(|c| group.column(c).byte_range());
    let range = ranges.map(|(start, len)| start..start.saturating_add(len));
    range.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
}

/// Some bytes of a file.
struct Slice {
    start: u64,
    bytes: Bytes,
}

impl Length for Slice {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Slice {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        use bytes::Buf as _;
        let len = self.len().saturating_sub(start) as usize;
        Ok(self.get_bytes(start, len)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let at = start.checked_sub(self.start).map(|at| at as usize);
        let range = at.and_then(|at| Some(at..at.checked_add(length)?));
        let range = range.filter(|r| r.end <= self.bytes.len());
        let range =
            range.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start} lie outside")))?;
        Ok(self.bytes.slice(range))
    }
}

/// Some rows of a column, and where the next one is.
struct Values {
    reader: ColumnReader,
    kind: Kind,
    integers32: Vec<i32>,
    integers64: Vec<i64>,
    texts: Vec<ByteArray>,
    /// 1 where a row has a value; empty where all have.
    levels: Vec<i16>,
    row: usize,
    value: usize,
}

impl Values {
    fn new(reader: ColumnReader, kind: Kind) -> Self {
        Self {
            reader,
            kind,
            integers32: Vec::new(),
            integers64: Vec::new(),
            texts: Vec::new(),
            levels: Vec::new(),
            row: 0,
            value: 0,
        }
    }

    fn read(&mut self, rows: usize) -> Result<(), String> {
        (self.row, self.value) = (0, 0);
        self.levels.clear();
        let levels = &mut self.levels;
        let read = match &mut self.reader {
            ColumnReader::Int32ColumnReader(reader) => fill(reader, rows, levels, &mut self.integers32),
            ColumnReader::Int64ColumnReader(reader) => fill(reader, rows, levels, &mut self.integers64),
            ColumnReader::ByteArrayColumnReader(reader) => fill(reader, rows, levels, &mut self.texts),
            _ => unreachable!("other types have no kind"),
        };
        match read {
            Ok(found) if found == rows => Ok(()),
            Ok(found) => Err(format!("expected {rows} more rows of a column, found {found}")),
            Err(error) => Err(format!("expected a whole Parquet file, found {error}")),
        }
    }

    fn push_next(&mut self, out: &mut Vec<u8>) {
        let is_there = self.levels.get(self.row).is_none_or(|level| *level == 1);
        self.row += 1;
        if !is_there {
            out.push(b'-');
            return;
        }
        let value = self.value;
        self.value += 1;
        let number = match (&self.reader, self.kind) {
            (_, Kind::Text) => return push_text(self.texts[value].data(), out),
            (ColumnReader::Int32ColumnReader(_), _) => i64::from(self.integers32[value]),
            (_, Kind::Integer) => self.integers64[value],
            (_, Kind::Time(per_second)) => match self.integers64[value] {
                value if per_second >= 1_000 => time_number(value.div_euclid(per_second / 1_000)),
                value => value,
            },
        };
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// A text that no flow log could have held makes its line one that does not fit its format, which is told of as a reject. An
/// empty one is no value.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'-');
        return;
    }
    out.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<usize, Error> {
    values.clear();
    let mut found = 0;
    // A call ends with a page.
    while found < rows {
        let (records, _, _) = reader.read_records(rows - found, Some(levels), None, values)?;
        if records == 0 {
            break;
        }
        found += records;
    }
    Ok(found)
}
