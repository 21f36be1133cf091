//! Integer columns: a sorted dictionary where values lie close together, plain values elsewhere.

use arrow_buffer::{ArrowNativeType, NullBuffer};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::file::statistics::Statistics;

use crate::chunk::{Chunk, ChunkWriter, PageValues, boundary_order};
use crate::{Error, PAGE_ROWS, rle};

/// Widest span of values for which a table indexed by value is kept: 1 MiB of it, which an L2 cache holds. Ports, flags,
/// and the times of a day lie within; byte counts do not.
const SPAN_MAX: i64 = 1 << 18;

/// An integer type of Parquet.
pub(crate) trait Integer: ArrowNativeType + Ord {
    /// Bytes of a plain value.
    const BYTES: usize;
    fn widened(self) -> i64;
    /// Of a value within this type's range.
    fn narrowed(value: i64) -> Self;
    fn push_plain(self, out: &mut Vec<u8>);
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;
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

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        Statistics::int32(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
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

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        Statistics::int64(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
    }
}

/// Encodes a column of integers.
pub(crate) fn encode<T: Integer>(
    values: &[T],
    validity: Option<&NullBuffer>,
    mut writer: ChunkWriter<'_>,
) -> Result<Chunk, Error> {
    // Values alone, so that no loop below asks again which are null.
    let compact: Vec<T>;
    let present: &[T] = match validity.filter(|v| v.null_count() > 0) {
        None => values,
        Some(nulls) => {
            compact = nulls.valid_indices().map(|i| values[i]).collect();
            &compact
        }
    };
    let bounds = bounds(present);
    let dictionary = bounds.and_then(|(min, max)| Dictionary::of(present, min.widened(), max.widened()));
    let mut body = Vec::new();
    let mut keys = Vec::new();
    if let Some(dictionary) = &dictionary {
        for value in &dictionary.values {
            T::narrowed(*value).push_plain(&mut body);
        }
        writer.dictionary(&body, dictionary.values.len(), true)?;
    }
    let mut page_bounds = Vec::new();
    let mut taken = 0;
    for start in (0..values.len()).step_by(PAGE_ROWS) {
        let rows = PAGE_ROWS.min(values.len() - start);
        let validity = validity.map(|v| v.slice(start, rows));
        let count = rows - validity.as_ref().map_or(0, NullBuffer::null_count);
        let page = &present[taken..taken + count];
        taken += count;
        body.clear();
        let encoding = match &dictionary {
            Some(dictionary) if count > 0 => {
                keys.clear();
                keys.extend(page.iter().map(|v| dictionary.key(v.widened())));
                body.push(dictionary.width as u8);
                rle::encode(&keys, dictionary.width, &mut body);
                Encoding::RLE_DICTIONARY
            }
            _ => {
                page.iter().for_each(|v| v.push_plain(&mut body));
                Encoding::PLAIN
            }
        };
        let of_page = self::bounds(page);
        page_bounds.extend(of_page);
        let plain = |value: T| {
            let mut bytes = Vec::with_capacity(T::BYTES);
            value.push_plain(&mut bytes);
            bytes
        };
        let bounds = of_page.map(|(min, max)| (plain(min), plain(max)));
        writer.data(PageValues { rows, validity: validity.as_ref(), body: &body, encoding, bounds })?;
    }
    let order = if page_bounds.is_empty() { BoundaryOrder::UNORDERED } else { boundary_order(&page_bounds) };
    let nulls = validity.map_or(0, NullBuffer::null_count);
    writer.finish(T::statistics(bounds, nulls as u64), order)
}

fn bounds<T: Integer>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(min, max), v| (min.min(*v), max.max(*v))))
}

/// Distinct values in ascending order, and each one's key by a table.
struct Dictionary {
    min: i64,
    values: Vec<i64>,
    /// `keys[value - min]`.
    keys: Vec<u32>,
    width: u32,
}

impl Dictionary {
    /// The dictionary of `values`, if they lie close together and it makes the column smaller.
    fn of<T: Integer>(values: &[T], min: i64, max: i64) -> Option<Self> {
        let span = max.checked_sub(min).filter(|s| *s < SPAN_MAX)? as usize + 1;
        let mut keys = vec![0; span];
        for value in values {
            keys[(value.widened() - min) as usize] = 1;
        }
        let mut distinct = Vec::new();
        for (offset, key) in keys.iter_mut().enumerate() {
            if *key == 1 {
                *key = distinct.len() as u32;
                distinct.push(min + offset as i64);
            }
        }
        let width = rle::bit_width(distinct.len() as u32 - 1);
        let packed_bits = distinct.len() * T::BYTES * 8 + values.len() * width as usize;
        (packed_bits < values.len() * T::BYTES * 8).then_some(Self { min, values: distinct, keys, width })
    }

    #[inline]
    fn key(&self, value: i64) -> u32 {
        self.keys[(value - self.min) as usize]
    }
}
