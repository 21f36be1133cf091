//! Integer columns: a sorted dictionary where values lie close together, differences or plain values elsewhere.

use arrow_buffer::{ArrowNativeType, NullBuffer};
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::AsBytes;
use parquet::file::statistics::Statistics;

use crate::chunk::{Chunk, ChunkWriter, PageSummary, boundary_order};
use crate::pages::{PageRows, pages, present};
use crate::scratch::Scratch;
use crate::scratch::gathered;
use crate::{Error, delta, rle};

/// Widest span of values for which a table indexed by value is kept: 1 MiB of it, which an L2 cache holds. Ports, flags,
/// and the times of a day lie within; byte counts do, but for few.
const SPAN_MAX: i64 = 1 << 18;

/// Of so many values one may lie apart from the others: it is looked up by searching.
const APART_SHARE: usize = 32;

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
    let page_rows = writer.page_rows();
    let mut dictionary = None;
    if let Some((min, max)) = bounds {
        dictionary = Dictionary::of(present, min.widened(), max.widened(), step, &mut scratch.table);
    }
    let sample = if dictionary.as_ref().is_some_and(|d| !d.has_apart()) {
        Vec::new()
    } else {
        sample(present, page_rows)
    };
    if let Some(found) = dictionary.take_if(|dictionary| dictionary.has_apart())
        && found.pays(&sample, present.len(), &scratch.table, &mut writer)?
    {
        dictionary = Some(found);
    }
    match &dictionary {
        Some(dictionary) => {
            let values: Vec<T> = dictionary.values.iter().map(|v| T::narrowed(*v)).collect();
            writer.filter(values.len(), values.iter());
        }
        None => writer.filter(present.len(), present.iter()),
    }
    let plan = match dictionary {
        Some(dictionary) => {
            let mut plain = Vec::with_capacity(dictionary.values.len() * T::BYTES);
            for value in &dictionary.values {
                T::narrowed(*value).push_plain(&mut plain);
            }
            writer.dictionary(plain, dictionary.values.len(), true);
            Plan::Dictionary(dictionary)
        }
        None if delta_pays(&sample, &mut writer)? => Plan::Delta,
        None => Plan::Plain,
    };
    let mut page_bounds = Vec::new();
    for PageRows { rows, validity, present: range } in pages(values.len(), page_rows, validity) {
        let page = &present[range];
        let body = writer.begin_page(rows, validity.as_ref());
        let (encoding, of_page) = match &plan {
            _ if page.is_empty() => (Encoding::PLAIN, None),
            Plan::Dictionary(dictionary) => {
                let keys = &mut scratch.keys;
                dictionary.keys(page, &scratch.table, keys);
                // The dictionary is sorted: the smallest key is that of the smallest value.
                let (least, most) = key_bounds(keys);
                push_keys(keys, most, body);
                let value = |key: u32| T::narrowed(dictionary.values[key as usize]);
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
    /// The first of those that the table by value does not reach.
    apart_from: usize,
}

impl Dictionary {
    /// The dictionary of `values`, if they lie close together, in steps of `step`, but for few that lie above the others, and it
    /// makes the column smaller than plain values. Then `table[(value - min) / step]` is the key of one of those that lie close.
    fn of<T: Integer>(values: &[T], min: i64, max: i64, step: i64, table: &mut Vec<u32>) -> Option<Self> {
        let span = max.checked_sub(min)? / step;
        let mut apart = Vec::new();
        if span >= SPAN_MAX {
            apart = Self::apart(values, min.checked_add(SPAN_MAX)?, step)?;
        }
        if step > 1 && values.iter().any(|v| (v.widened() - min) % step != 0) {
            return None;
        }
        table.clear();
        table.resize(span.min(SPAN_MAX - 1) as usize + 1, 0);
        // Nearly all columns have steps of 1, where a division would cost more than all else.
        match step {
            1 if apart.is_empty() => values.iter().for_each(|v| table[(v.widened() - min) as usize] = 1),
            1 => {
                for value in values {
                    if let Some(key) = table.get_mut((value.widened() - min) as usize) {
                        *key = 1;
                    }
                }
            }
            _ => values.iter().for_each(|v| table[((v.widened() - min) / step) as usize] = 1),
        }
        let mut distinct = Vec::new();
        for (offset, key) in table.iter_mut().enumerate() {
            if *key == 1 {
                *key = distinct.len() as u32;
                distinct.push(min + offset as i64 * step);
            }
        }
        let apart_from = distinct.len();
        distinct.append(&mut apart);
        let width = rle::bit_width(distinct.len() as u32 - 1);
        let packed_bits = distinct.len() * T::BYTES * 8 + values.len() * width as usize;
        let is_smaller = packed_bits < values.len() * T::BYTES * 8;
        is_smaller.then_some(Self { min, step, values: distinct, apart_from })
    }

    /// The distinct ones of `values` from `least` on, in ascending order; `None` where they are not few.
    fn apart<T: Integer>(values: &[T], least: i64, step: i64) -> Option<Vec<i64>> {
        let share_max = values.len() / APART_SHARE;
        let is_apart = |value: &i64| *value >= least;
        if step > 1 || values.iter().filter(|value| is_apart(&value.widened())).count() > share_max {
            return None;
        }
        let mut apart: Vec<i64> = values.iter().map(|value| value.widened()).filter(is_apart).collect();
        apart.sort_unstable();
        apart.dedup();
        Some(apart)
    }

    fn has_apart(&self) -> bool {
        self.apart_from < self.values.len()
    }

    /// Puts the keys of `values` into `keys`.
    ///
    /// This is a hot loop.
    fn keys<T: Integer>(&self, values: &[T], table: &[u32], keys: &mut Vec<u32>) {
        let Self { min, step, values: distinct, apart_from } = self;
        keys.clear();
        match step {
            1 if !self.has_apart() => {
                keys.extend(values.iter().map(|v| table[(v.widened() - min) as usize]));
            }
            1 => {
                let apart = &distinct[*apart_from..];
                let key_apart = |value| apart_from + apart.partition_point(|found| *found < value);
                keys.extend(values.iter().map(|value| {
                    let key = table.get((value.widened() - min) as usize);
                    key.copied().unwrap_or_else(|| key_apart(value.widened()) as u32)
                }));
            }
            _ => keys.extend(values.iter().map(|v| table[((v.widened() - min) / step) as usize])),
        }
    }

    /// Whether a column of `count` values, of which `sample` is a sample, is smaller by its keys than by its values, both
    /// compressed. Where all values lie close together it always was.
    fn pays<T: Integer>(
        &self,
        sample: &[T],
        count: usize,
        table: &[u32],
        writer: &mut ChunkWriter<'_>,
    ) -> Result<bool, Error> {
        let (mut keys, mut packed, mut plain, mut dictionary) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.keys(sample, table, &mut keys);
        push_keys(&keys, self.values.len() as u32 - 1, &mut packed);
        sample.iter().for_each(|value| value.push_plain(&mut plain));
        self.values.iter().for_each(|value| T::narrowed(*value).push_plain(&mut dictionary));
        let of_all = |of_sample: usize| of_sample * count / sample.len();
        let by_keys = of_all(writer.compressed_len(&packed)?) + writer.compressed_len(&dictionary)?;
        Ok(by_keys < of_all(writer.compressed_len(&plain)?))
    }
}
