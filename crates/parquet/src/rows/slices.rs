//! Parts of a file, of which columns are read.

use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Bytes between two chunks that are read with them: less than another request costs.
const GAP_BYTES_MAX: u64 = 1 << 20;

/// Ranges that hold all `chunks`.
pub(crate) fn ranges_of(mut chunks: Vec<Range<u64>>) -> Vec<Range<u64>> {
    chunks.sort_unstable_by_key(|chunk| (chunk.start, chunk.end));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for chunk in chunks {
        match ranges.last_mut() {
            Some(last) if chunk.start <= last.end.saturating_add(GAP_BYTES_MAX) => {
                last.end = last.end.max(chunk.end);
            }
            _ => ranges.push(chunk),
        }
    }
    ranges
}

/// Parts of a file: where each starts, and its bytes.
pub(crate) struct Slices(pub(crate) Vec<(u64, Bytes)>);

impl Length for Slices {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }
}

impl ChunkReader for Slices {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        use bytes::Buf as _;
        Ok(self.from(start).ok_or_else(|| outside(start, 0))?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let rest = self.from(start).filter(|rest| rest.len() >= length);
        Ok(rest.ok_or_else(|| outside(start, length))?.slice(..length))
    }
}

impl Slices {
    /// The bytes of a part from `start` on.
    fn from(&self, start: u64) -> Option<Bytes> {
        self.0.iter().find_map(|(at, bytes)| {
            let skipped = usize::try_from(start.checked_sub(*at)?).ok()?;
            (skipped <= bytes.len()).then(|| bytes.slice(skipped..))
        })
    }
}

fn outside(start: u64, length: usize) -> ParquetError {
    ParquetError::EOF(format!("{length} bytes at {start} lie outside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_chunks_are_read_at_once() {
        let far = GAP_BYTES_MAX + 30;
        let ranges = ranges_of(vec![far..far + 5, 10..20, 4..8, 15..16]);
        assert_eq!(ranges, [4..20, far..far + 5]);
        assert!(ranges_of(Vec::new()).is_empty());
        let part = |start, len| (start, Bytes::from(vec![start as u8; len]));
        let slices = Slices(vec![part(4, 16), part(100, 5)]);
        assert_eq!(slices.get_bytes(101, 4).expect("inside"), [100u8; 4][..]);
        assert!(slices.get_bytes(101, 5).is_err() && slices.get_bytes(3, 1).is_err());
        assert!(slices.get_bytes(21, 1).is_err());
    }
}
