//! The integer types of Parquet that columns have.

use arrow_buffer::ArrowNativeType;
use parquet::data_type::AsBytes;
use parquet::file::statistics::Statistics;

use crate::scratch::Scratch;

/// An integer type of Parquet.
pub(crate) trait Integer: ArrowNativeType + AsBytes + Ord {
    /// Bytes of a plain value.
    const BYTES: usize;
    fn widened(self) -> i64;
    /// Of a value within this type's range.
    fn narrowed(value: i64) -> Self;
    fn push_plain(self, out: &mut Vec<u8>);
    /// Of [`Self::BYTES`] bytes.
    fn from_plain(bytes: &[u8]) -> Self;
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;
    /// The buffer for values that are not null.
    fn present(scratch: &mut Scratch) -> &mut Vec<Self>;
    /// The buffer for values in the order in which they are written.
    fn ordered(scratch: &mut Scratch) -> &mut Vec<Self>;
}

impl Integer for i32 {
    const BYTES: usize = 4;

    fn widened(self) -> i64 {
        i64::from(self)
    }

    fn narrowed(value: i64) -> Self {
        value as Self
    }

    fn push_plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn from_plain(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
    }

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        Statistics::int32(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
    }

    fn present(scratch: &mut Scratch) -> &mut Vec<Self> {
        &mut scratch.int32
    }

    fn ordered(scratch: &mut Scratch) -> &mut Vec<Self> {
        &mut scratch.ordered_int32
    }
}

impl Integer for i64 {
    const BYTES: usize = 8;

    fn widened(self) -> i64 {
        self
    }

    fn narrowed(value: i64) -> Self {
        value
    }

    fn push_plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn from_plain(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
    }

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        Statistics::int64(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
    }

    fn present(scratch: &mut Scratch) -> &mut Vec<Self> {
        &mut scratch.int64
    }

    fn ordered(scratch: &mut Scratch) -> &mut Vec<Self> {
        &mut scratch.ordered_int64
    }
}
