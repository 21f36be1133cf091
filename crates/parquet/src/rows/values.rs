//! Values of one column, some rows at a time.

use std::ops::Range;

use bytes::Bytes;
use flowquet_format::EXACT_MAX;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
    Int96Type,
};

use super::LINE_BYTES_MAX;
use super::kind::Kind;
use super::pages::Reading;
use super::spell::{self, Meaning};
use crate::Error;

/// Some rows of a column, and where the next one is.
pub(super) struct Values {
    stored: Stored,
    kind: Kind,
    meaning: Meaning,
    /// 1 where a row has a value; empty where all have.
    levels: Vec<i16>,
    row: usize,
    value: usize,
    /// Rows that are read.
    rows: usize,
    reading: Reading,
}

enum Stored {
    Boolean(Buffered<BoolType>),
    Bytes(Buffered<ByteArrayType>),
    Double(Buffered<DoubleType>),
    Fixed(Buffered<FixedLenByteArrayType>),
    Float(Buffered<FloatType>),
    Int32(Buffered<Int32Type>),
    Int64(Buffered<Int64Type>),
    Int96(Buffered<Int96Type>),
}

/// Values of one physical type.
struct Buffered<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
}

impl<T: DataType> Buffered<T> {
    fn new(reader: ColumnReaderImpl<T>) -> Self {
        Self { reader, values: Vec::new() }
    }

    fn fill(&mut self, rows: usize, levels: &mut Vec<i16>) -> Result<usize, Error> {
        self.values.clear();
        let mut found = 0;
        // A call ends with a page.
        while found < rows {
            let (records, _, _) =
                self.reader.read_records(rows - found, Some(levels), None, &mut self.values)?;
            if records == 0 {
                break;
            }
            found += records;
        }
        Ok(found)
    }
}

/// A text as far as it is spelt: one that is longer makes its line a reject anyway.
fn beginning(text: &[u8]) -> &[u8] {
    if text.len() <= LINE_BYTES_MAX {
        return text;
    }
    // Not in the midst of a character.
    let is_inside = |at: &usize| text[*at] & 0xc0 == 0x80;
    let cut = (LINE_BYTES_MAX - 3..=LINE_BYTES_MAX).rev().find(|at| !is_inside(at));
    &text[..cut.unwrap_or(LINE_BYTES_MAX)]
}

impl Values {
    pub(super) fn new((reader, reading): (ColumnReader, Reading), kind: Kind, meaning: Meaning) -> Self {
        let stored = match reader {
            ColumnReader::BoolColumnReader(reader) => Stored::Boolean(Buffered::new(reader)),
            ColumnReader::ByteArrayColumnReader(reader) => Stored::Bytes(Buffered::new(reader)),
            ColumnReader::DoubleColumnReader(reader) => Stored::Double(Buffered::new(reader)),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => Stored::Fixed(Buffered::new(reader)),
            ColumnReader::FloatColumnReader(reader) => Stored::Float(Buffered::new(reader)),
            ColumnReader::Int32ColumnReader(reader) => Stored::Int32(Buffered::new(reader)),
            ColumnReader::Int64ColumnReader(reader) => Stored::Int64(Buffered::new(reader)),
            ColumnReader::Int96ColumnReader(reader) => Stored::Int96(Buffered::new(reader)),
        };
        Self { stored, kind, meaning, levels: Vec::new(), row: 0, value: 0, rows: 0, reading }
    }

    /// The bytes of the file that the next page waits for, if it does.
    pub(super) fn wanted(&self) -> Option<Range<u64>> {
        self.reading.wanted()
    }

    /// Takes bytes that were wanted, which stand at `start` of the file.
    pub(super) fn put(&self, start: u64, bytes: Bytes) {
        self.reading.put(start, bytes);
    }

    /// Has some of the next `rows` rows be there, of which there are as many in the file. Returns how many there are: fewer where
    /// they stand in many bytes of pages, those that are left of an earlier reading first, and none where bytes are wanted.
    pub(super) fn ready(&mut self, rows: usize) -> Result<usize, String> {
        if self.row == self.rows {
            self.rows = self.read(rows)?;
        }
        Ok(self.rows - self.row)
    }

    fn read(&mut self, rows: usize) -> Result<usize, String> {
        (self.row, self.value) = (0, 0);
        self.levels.clear();
        self.reading.begin();
        let levels = &mut self.levels;
        let read = match &mut self.stored {
            Stored::Boolean(buffered) => buffered.fill(rows, levels),
            Stored::Bytes(buffered) => buffered.fill(rows, levels),
            Stored::Double(buffered) => buffered.fill(rows, levels),
            Stored::Fixed(buffered) => buffered.fill(rows, levels),
            Stored::Float(buffered) => buffered.fill(rows, levels),
            Stored::Int32(buffered) => buffered.fill(rows, levels),
            Stored::Int64(buffered) => buffered.fill(rows, levels),
            Stored::Int96(buffered) => buffered.fill(rows, levels),
        };
        match read {
            Ok(found) if found == rows || self.reading.wanted().is_some() => Ok(found),
            Ok(found) if found > 0 && self.reading.is_full() => Ok(found),
            Ok(found) => Err(format!("expected {rows} more rows of a column, found {found}")),
            Err(error) => Err(format!("expected a whole Parquet file, found {error}")),
        }
    }

    /// Appends the next row's value, `-` where it has none.
    pub(super) fn push_next(&mut self, out: &mut Vec<u8>) {
        let is_there = self.levels.get(self.row).is_none_or(|level| *level == 1);
        self.row += 1;
        if !is_there {
            // A line that is not there is an empty one.
            if self.meaning != Meaning::Line {
                out.push(b'-');
            }
            return;
        }
        let (value, meaning) = (self.value, self.meaning);
        self.value += 1;
        match &self.stored {
            Stored::Boolean(buffered) => {
                out.extend_from_slice(if buffered.values[value] { b"true" } else { b"false" })
            }
            Stored::Bytes(buffered) => self.push_bytes(buffered.values[value].data(), out),
            Stored::Double(buffered) => {
                let number = buffered.values[value];
                spell::push_float(number, number, EXACT_MAX, meaning, out);
            }
            Stored::Fixed(buffered) => self.push_bytes(buffered.values[value].data(), out),
            Stored::Float(buffered) => {
                let number = buffered.values[value];
                spell::push_float(f64::from(number), number, spell::EXACT_32, meaning, out);
            }
            Stored::Int32(buffered) => {
                let number = buffered.values[value];
                match self.kind {
                    Kind::Unsigned => spell::push_unsigned(u64::from(number as u32), meaning, out),
                    _ => self.push_number(i64::from(number), out),
                }
            }
            Stored::Int64(buffered) => {
                let number = buffered.values[value];
                match self.kind {
                    Kind::Unsigned => spell::push_unsigned(number as u64, meaning, out),
                    _ => self.push_number(number, out),
                }
            }
            Stored::Int96(buffered) => {
                let (seconds, nanos) = spell::split_int96(buffered.values[value].data());
                spell::push_timestamp(seconds, nanos, true, meaning, out);
            }
        }
    }

    /// Passes the next row's value over.
    pub(super) fn skip_next(&mut self) {
        let is_there = self.levels.get(self.row).is_none_or(|level| *level == 1);
        self.row += 1;
        self.value += usize::from(is_there);
    }

    fn push_number(&self, number: i64, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Date => spell::push_date(number, out),
            Kind::Decimal(scale) => spell::push_decimal(&number.to_be_bytes(), scale, self.meaning, out),
            Kind::Time(per_second) => {
                let (seconds, nanos) = spell::split(number, per_second);
                spell::push_time(seconds, nanos, out);
            }
            Kind::Timestamp { per_second, utc } => {
                let (seconds, nanos) = spell::split(number, per_second);
                spell::push_timestamp(seconds, nanos, utc, self.meaning, out);
            }
            _ => spell::push_integer(number, self.meaning, out),
        }
    }

    fn push_bytes(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match (self.kind, bytes) {
            (Kind::Decimal(scale), _) => spell::push_decimal(bytes, scale, self.meaning, out),
            (Kind::Half, &[low, high]) => {
                let number = spell::half(u16::from_le_bytes([low, high]));
                spell::push_float(number, number, EXACT_MAX, self.meaning, out);
            }
            (Kind::Interval, _) => spell::push_interval(bytes, out),
            (Kind::Uuid, _) => spell::push_uuid(bytes, out),
            _ => spell::push_text(beginning(bytes), self.meaning, out),
        }
    }
}
