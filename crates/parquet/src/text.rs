//! Text columns: dictionary pages from keys that exist, plain pages where a dictionary does not pay.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, DictionaryArray, StringArray};
use arrow_buffer::NullBuffer;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::chunk::{Chunk, ChunkWriter, PageValues, boundary_order};
use crate::{Error, PAGE_BYTES, PAGE_ROWS, rle};

/// Longest bound in statistics and page index. Ids and addresses are shorter; only tags and ARNs are cut.
const BOUND_BYTES_MAX: usize = 64;

/// Largest dictionary page. Readers hold it in memory whole, for each column they read.
const DICTIONARY_BYTES_MAX: usize = 16 << 20;

/// Encodes a column of text.
pub(crate) fn encode(
    array: &DictionaryArray<UInt32Type>,
    mut writer: ChunkWriter<'_>,
) -> Result<Chunk, Error> {
    let validity = array.nulls().filter(|n| n.null_count() > 0);
    let values = Values::new(array.values().as_string::<i32>());
    let keys = array.keys().values();
    let compact: Vec<u32>;
    let present: &[u32] = match validity {
        None => keys,
        Some(nulls) => {
            compact = nulls.valid_indices().map(|i| keys[i]).collect();
            &compact
        }
    };
    let width = rle::bit_width((values.len() as u32).saturating_sub(1));
    let has_dictionary = values.dictionary_pays(present, width);
    let mut body = Vec::new();
    if has_dictionary {
        (0..values.len()).for_each(|k| values.push_plain(k as u32, &mut body));
        writer.dictionary(&body, values.len(), false)?;
    }
    let mut page_bounds = Vec::new();
    let (mut start, mut taken) = (0, 0);
    while start < array.len() {
        let (rows, count) = if has_dictionary {
            let rows = PAGE_ROWS.min(array.len() - start);
            (rows, validity.map_or(rows, |v| v.slice(start, rows).len() - v.slice(start, rows).null_count()))
        } else {
            values.plain_page(&present[taken..], validity, start, array.len())
        };
        let validity = validity.map(|v| v.slice(start, rows));
        let page = &present[taken..taken + count];
        body.clear();
        let encoding = if has_dictionary && count > 0 {
            body.push(width as u8);
            rle::encode(page, width, &mut body);
            Encoding::RLE_DICTIONARY
        } else {
            page.iter().for_each(|k| values.push_plain(*k, &mut body));
            Encoding::PLAIN
        };
        let bounds = values.bounds(page);
        page_bounds.extend(bounds.map(|(min, max)| (values.get(min), values.get(max))));
        let bounds =
            bounds.map(|(min, max)| (lower_bound(values.get(min)).0, upper_bound(values.get(max)).0));
        writer.data(PageValues { rows, validity: validity.as_ref(), body: &body, encoding, bounds })?;
        start += rows;
        taken += count;
    }
    let order = if page_bounds.is_empty() { BoundaryOrder::UNORDERED } else { boundary_order(&page_bounds) };
    let min = page_bounds.iter().map(|b| b.0).min().map(lower_bound);
    let max = page_bounds.iter().map(|b| b.1).max().map(upper_bound);
    let nulls = validity.map_or(0, NullBuffer::null_count);
    let is_exact = |bound: &Option<(Vec<u8>, bool)>| bound.as_ref().is_some_and(|b| b.1);
    let (min_is_exact, max_is_exact) = (is_exact(&min), is_exact(&max));
    let bytes = |bound: Option<(Vec<u8>, bool)>| bound.map(|(b, _)| ByteArray::from(b));
    let statistics = ValueStatistics::new(bytes(min), bytes(max), None, Some(nulls as u64), false)
        .with_min_is_exact(min_is_exact)
        .with_max_is_exact(max_is_exact);
    writer.finish(Statistics::from(statistics), order)
}

/// The distinct values of a column, with each one's first eight bytes at hand.
struct Values<'a> {
    array: &'a StringArray,
    /// First eight bytes, big-endian, zeros behind a shorter value: these compare as the values do, up to equality.
    prefixes: Vec<u64>,
}

impl<'a> Values<'a> {
    fn new(array: &'a StringArray) -> Self {
        let prefix = |value: &str| {
            let mut bytes = [0; 8];
            let len = value.len().min(8);
            bytes[..len].copy_from_slice(&value.as_bytes()[..len]);
            u64::from_be_bytes(bytes)
        };
        Self { array, prefixes: (0..array.len()).map(|i| prefix(array.value(i))).collect() }
    }

    fn len(&self) -> usize {
        self.array.len()
    }

    fn get(&self, key: u32) -> &'a [u8] {
        self.array.value(key as usize).as_bytes()
    }

    fn push_plain(&self, key: u32, out: &mut Vec<u8>) {
        let value = self.get(key);
        let len = u32::try_from(value.len()).expect("a line is at most LINE_BYTES_MAX long");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(value);
    }

    /// Whether a dictionary of these values and keys of `width` bits are smaller than plain values.
    fn dictionary_pays(&self, keys: &[u32], width: u32) -> bool {
        let dictionary_bytes = self.array.value_data().len() + 4 * self.len();
        if keys.is_empty() || dictionary_bytes > DICTIONARY_BYTES_MAX {
            return false;
        }
        let packed_bytes = dictionary_bytes + keys.len() * width as usize / 8;
        let offsets = self.array.value_offsets();
        let of = |k: &u32| 4 + (offsets[*k as usize + 1] - offsets[*k as usize]) as usize;
        packed_bytes < keys.iter().map(of).sum()
    }

    /// Rows and values of the next plain page: up to [`PAGE_ROWS`] rows or [`PAGE_BYTES`] bytes, at least one row.
    fn plain_page(
        &self,
        keys: &[u32],
        validity: Option<&NullBuffer>,
        start: usize,
        end: usize,
    ) -> (usize, usize) {
        let (mut rows, mut count, mut bytes) = (0, 0, 0);
        while rows < PAGE_ROWS && start + rows < end && (rows == 0 || bytes < PAGE_BYTES) {
            if validity.is_none_or(|v| v.is_valid(start + rows)) {
                bytes += 4 + self.get(keys[count]).len();
                count += 1;
            }
            rows += 1;
        }
        (rows, count)
    }

    /// Keys of the smallest and the largest value.
    fn bounds(&self, keys: &[u32]) -> Option<(u32, u32)> {
        let first = *keys.first()?;
        let (mut min, mut max) = (first, first);
        let (mut min_prefix, mut max_prefix) = (self.prefixes[first as usize], self.prefixes[first as usize]);
        for &key in keys {
            let prefix = self.prefixes[key as usize];
            if prefix <= min_prefix && key != min && (prefix < min_prefix || self.get(key) < self.get(min)) {
                (min, min_prefix) = (key, prefix);
            }
            if prefix >= max_prefix && key != max && (prefix > max_prefix || self.get(key) > self.get(max)) {
                (max, max_prefix) = (key, prefix);
            }
        }
        Some((min, max))
    }
}

/// A lower bound of at most [`BOUND_BYTES_MAX`] bytes, and whether it is the value itself.
fn lower_bound(value: &[u8]) -> (Vec<u8>, bool) {
    let cut = &value[..cut_at(value)];
    (cut.to_vec(), cut.len() == value.len())
}

/// An upper bound of at most [`BOUND_BYTES_MAX`] bytes, and whether it is the value itself.
///
/// A cut value is smaller than the whole one, so the last character that has a successor in ASCII is replaced by it.
fn upper_bound(value: &[u8]) -> (Vec<u8>, bool) {
    let mut cut = value[..cut_at(value)].to_vec();
    if cut.len() == value.len() {
        return (cut, true);
    }
    while let Some(last) = cut.pop() {
        if last < 0x7f {
            cut.push(last + 1);
            return (cut, false);
        }
    }
    (value.to_vec(), true)
}

/// The end of the last whole character within [`BOUND_BYTES_MAX`] bytes.
fn cut_at(value: &[u8]) -> usize {
    if value.len() <= BOUND_BYTES_MAX {
        return value.len();
    }
    (0..=BOUND_BYTES_MAX).rev().find(|i| value[*i] & 0xc0 != 0x80).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_cut_to_valid_text_on_the_right_side() {
        for tail in ["", "x", "ä", "\u{7f}", "ää", "\u{10ffff}"] {
            for len in 58..70 {
                let value = format!("{}{}{}", "a".repeat(len), tail, "bbbbbbbbbb");
                let (low, low_exact) = lower_bound(value.as_bytes());
                let (high, high_exact) = upper_bound(value.as_bytes());
                assert!(low.as_slice() <= value.as_bytes() && high.as_slice() >= value.as_bytes(), "{value}");
                assert!(low.len() <= BOUND_BYTES_MAX && high.len() <= BOUND_BYTES_MAX);
                assert!(std::str::from_utf8(&low).is_ok() && std::str::from_utf8(&high).is_ok(), "{value}");
                assert_eq!((low_exact, high_exact), (low == value.as_bytes(), high == value.as_bytes()));
            }
        }
        let unbounded = "\u{7f}".repeat(80);
        assert_eq!(upper_bound(unbounded.as_bytes()), (unbounded.clone().into_bytes(), true));
    }
}
