//! Integer columns: a sorted dictionary where values lie close together, differences or plain values elsewhere.

use arrow_buffer::{ArrowNativeType, NullBuffer};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::AsBytes;
use parquet::file::statistics::Statistics;

use crate::chunk::{Chunk, ChunkWriter, PageSummary, boundary_order};
use crate::encoder::Scratch;
use crate::pages::{PageRows, pages, present};
use crate::sort::gathered;
use crate::{Error, delta, rle};

/// Widest span of values for which a table indexed by value is kept: 1 MiB of it, which an L2 cache holds. Ports, flags,
/// and the times of a day lie within; byte counts do not.
const SPAN_MAX: i64 = 1 << 18;

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

/// How the values of a column are encoded.
enum Plan {
    /// By their keys in a sorted dictionary.
    Dictionary(Dictionary),
    /// As differences.
    Delta,
    Plain,
}

/// Encodes a column of integers, its rows in `order` if there is one. Values are mostly multiples of `step`.
pub(crate) fn encode_ordered<T: Integer>(
    values: &[T],
    validity: Option<&NullBuffer>,
    order: Option<&[u32]>,
    step: i64,
    writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    let Some(order) = order else { return encode(values, validity, step, writer, scratch) };
    let mut ordered = std::mem::take(T::ordered(scratch));
    let validity = gathered(values, validity, order, &mut ordered);
    let chunk = encode(&ordered, validity.as_ref(), step, writer, scratch);
    *T::ordered(scratch) = ordered;
    chunk
}

/// Encodes a column of integers.
fn encode<T: Integer>(
    values: &[T],
    validity: Option<&NullBuffer>,
    step: i64,
    mut writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    // Values alone, so that no loop below asks again which are null.
    let mut compact = std::mem::take(T::present(scratch));
    let present = present(values, validity, &mut compact);
    let bounds = bounds(present);
    let mut dictionary = None;
    if let Some((min, max)) = bounds {
        dictionary = Dictionary::of(present, min.widened(), max.widened(), step, &mut scratch.table);
    }
    match &dictionary {
        Some(dictionary) => {
            let values: Vec<T> = dictionary.values.iter().map(|v| T::narrowed(*v)).collect();
            writer.filter(values.len(), values.iter());
        }
        None => writer.filter(present.len(), present.iter()),
    }
    let page_rows = writer.page_rows();
    let plan = match dictionary {
        Some(dictionary) => {
            let mut plain = Vec::with_capacity(dictionary.values.len() * T::BYTES);
            for value in &dictionary.values {
                T::narrowed(*value).push_plain(&mut plain);
            }
            writer.dictionary(plain, dictionary.values.len(), true);
            Plan::Dictionary(dictionary)
        }
        None if delta_pays(&sample(present, page_rows), &mut writer)? => Plan::Delta,
        None => Plan::Plain,
    };
    let mut page_bounds = Vec::new();
    for PageRows { rows, validity, present: range } in pages(values.len(), page_rows, validity) {
        let page = &present[range];
        let body = writer.begin_page(rows, validity.as_ref());
        let (encoding, of_page) = match &plan {
            _ if page.is_empty() => (Encoding::PLAIN, None),
            Plan::Dictionary(Dictionary { min, step, values }) => {
                let keys = &mut scratch.keys;
                keys.clear();
                let table = &scratch.table;
                match step {
                    1 => keys.extend(page.iter().map(|v| table[(v.widened() - min) as usize])),
                    _ => keys.extend(page.iter().map(|v| table[((v.widened() - min) / step) as usize])),
                }
                // The dictionary is sorted: the smallest key is that of the smallest value.
                let (least, most) = key_bounds(keys);
                push_keys(keys, most, body);
                let value = |key: u32| T::narrowed(values[key as usize]);
                (Encoding::RLE_DICTIONARY, Some((value(least), value(most))))
            }
            Plan::Delta => {
                delta::encode(page.iter().map(|v| v.widened()), T::BYTES, body);
                (Encoding::DELTA_BINARY_PACKED, self::bounds(page))
            }
            Plan::Plain => {
                page.iter().for_each(|v| v.push_plain(body));
                (Encoding::PLAIN, self::bounds(page))
            }
        };
        page_bounds.extend(of_page);
        let plain = |value: T| {
            let mut bytes = Vec::with_capacity(T::BYTES);
            value.push_plain(&mut bytes);
            bytes
        };
        let bounds = of_page.map(|(min, max)| (plain(min), plain(max)));
        writer.end_page(PageSummary { rows, nulls: rows - page.len(), encoding, bounds })?;
    }
    let order = if page_bounds.is_empty() { BoundaryOrder::UNORDERED } else { boundary_order(&page_bounds) };
    let nulls = values.len() - present.len();
    *T::present(scratch) = compact;
    writer.finish(T::statistics(bounds, nulls as u64), order)
}

/// Appends a page's keys: their bit width, wide enough for `most`, and the keys in it.
pub(crate) fn push_keys(keys: &[u32], most: u32, out: &mut Vec<u8>) {
    let width = rle::bit_width(most);
    out.push(width as u8);
    rle::encode(keys, width, out);
}

/// Smallest and largest of some keys.
pub(crate) fn key_bounds(keys: &[u32]) -> (u32, u32) {
    keys.iter().fold((u32::MAX, 0), |(min, max), k| (min.min(*k), max.max(*k)))
}

/// About a page of values from all over a column: where rows are sorted, its first page is like no other.
fn sample<T: Integer>(values: &[T], page_rows: usize) -> Vec<T> {
    const PLACES: usize = 8;
    if values.len() <= page_rows {
        return values.to_vec();
    }
    let run = (page_rows / PLACES).max(1);
    let starts = (0..PLACES).map(|i| (values.len() - run) * i / (PLACES - 1));
    starts.flat_map(|start| values[start..start + run].iter().copied()).collect()
}

/// Whether differences are smaller than plain values, both compressed, in a column of which `page` is a sample.
fn delta_pays<T: Integer>(page: &[T], writer: &mut ChunkWriter<'_>) -> Result<bool, Error> {
    if page.is_empty() {
        return Ok(false);
    }
    let (mut delta, mut plain) = (Vec::new(), Vec::new());
    delta::encode(page.iter().map(|v| v.widened()), T::BYTES, &mut delta);
    page.iter().for_each(|v| v.push_plain(&mut plain));
    let plain = writer.compressed_len(&plain)?;
    // Differences hardly compress, which saves the time that plain values cost there: worth a few bytes.
    Ok(delta.len() <= plain + plain / 16 || writer.compressed_len(&delta)? < plain)
}

fn bounds<T: Integer>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(min, max), v| (min.min(*v), max.max(*v))))
}

/// Distinct values in ascending order.
struct Dictionary {
    min: i64,
    /// All values are `min` and a multiple of it.
    step: i64,
    values: Vec<i64>,
}

impl Dictionary {
    /// The dictionary of `values`, if they lie close together, in steps of `step`, and it makes the column smaller. Then the
    /// key of a value is `table[(value - min) / step]`.
    fn of<T: Integer>(values: &[T], min: i64, max: i64, step: i64, table: &mut Vec<u32>) -> Option<Self> {
        let span = max.checked_sub(min).map(|distance| distance / step).filter(|span| *span < SPAN_MAX)?;
        if step > 1 && values.iter().any(|v| (v.widened() - min) % step != 0) {
            return None;
        }
        table.clear();
        table.resize(span as usize + 1, 0);
        // Nearly all columns have steps of 1, where a division would cost more than all else.
        match step {
            1 => values.iter().for_each(|v| table[(v.widened() - min) as usize] = 1),
            _ => values.iter().for_each(|v| table[((v.widened() - min) / step) as usize] = 1),
        }
        let mut distinct = Vec::new();
        for (offset, key) in table.iter_mut().enumerate() {
            if *key == 1 {
                *key = distinct.len() as u32;
                distinct.push(min + offset as i64 * step);
            }
        }
        let width = rle::bit_width(distinct.len() as u32 - 1);
        let packed_bits = distinct.len() * T::BYTES * 8 + values.len() * width as usize;
        (packed_bits < values.len() * T::BYTES * 8).then_some(Self { min, step, values: distinct })
    }
}
