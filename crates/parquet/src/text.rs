//! Text columns, and addresses as bytes: dictionary pages from keys that exist, plain pages where a dictionary does not pay.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::chunk::{Chunk, ChunkWriter, PageSummary, boundary_order};
use crate::integers::key_bounds;
use crate::order::{RowOrder, gathered};
use crate::pages::{PageRows, page, present};
use crate::scratch::Scratch;
use crate::{Error, PAGE_BYTES, rle};

/// Longest bound in statistics and page index. Ids and addresses are shorter; only tags and ARNs are cut.
const BOUND_BYTES_MAX: usize = 64;

/// Largest dictionary page. Readers hold it in memory whole, for each column they read.
const DICTIONARY_BYTES_MAX: usize = 16 << 20;

/// Encodes a column of text, its rows in `order` if there is one.
pub(crate) fn encode_ordered(
    keys: &[u32],
    validity: Option<&NullBuffer>,
    order: Option<&RowOrder<'_>>,
    values: &Values<'_>,
    writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    let Some(order) = order else { return encode(keys, validity, values, writer, scratch) };
    let mut ordered = std::mem::take(&mut scratch.ordered_keys);
    let validity = gathered(keys, validity, order, &mut scratch.narrow, &mut ordered);
    let chunk = encode(&ordered, validity.as_ref(), values, writer, scratch);
    scratch.ordered_keys = ordered;
    chunk
}

/// Encodes a column of text: keys into `values`, of which `validity` tells which are not null.
pub(crate) fn encode(
    keys: &[u32],
    validity: Option<&NullBuffer>,
    values: &Values<'_>,
    mut writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    let validity = validity.filter(|n| n.null_count() > 0);
    let mut compact = std::mem::take(&mut scratch.present_keys);
    let present = present(keys, validity, &mut compact);
    let has_dictionary = values.dictionary_pays(present);
    if has_dictionary {
        let mut plain = Vec::with_capacity(values.plain_bytes());
        values.order.iter().for_each(|key| values.push_plain(*key, &mut plain));
        writer.dictionary(plain, values.order.len(), true);
    }
    writer.filter(values.order.len(), values.order.iter().map(|key| values.get(*key)));
    let page_rows = writer.page_rows();
    let mut page_bounds = Vec::new();
    let (mut start, mut taken) = (0, 0);
    while start < keys.len() {
        let rows = match has_dictionary {
            true => page_rows.min(keys.len() - start),
            false => values.plain_rows(&present[taken..], validity, start, keys.len(), page_rows),
        };
        let PageRows { validity, present: range, .. } = page(start, rows, validity, taken);
        let page = &present[range];
        let ranks = &mut scratch.keys;
        ranks.clear();
        ranks.extend(page.iter().map(|key| values.ranks[*key as usize]));
        let (least, most) = key_bounds(ranks);
        let body = writer.begin_page(rows, validity.as_ref());
        let encoding = if has_dictionary && !page.is_empty() {
            writer.push_keys(ranks, most)?;
            Encoding::RLE_DICTIONARY
        } else {
            page.iter().for_each(|k| values.push_plain(*k, body));
            Encoding::PLAIN
        };
        let bounds = (!page.is_empty()).then_some((least, most));
        page_bounds.extend(bounds);
        let bounds = bounds
            .map(|(least, most)| (lower_bound(values.of_rank(least)).0, upper_bound(values.of_rank(most)).0));
        taken += page.len();
        writer.end_page(PageSummary { rows, nulls: rows - page.len(), encoding, bounds })?;
        start += rows;
    }
    let order = if page_bounds.is_empty() { BoundaryOrder::UNORDERED } else { boundary_order(&page_bounds) };
    let min = page_bounds.iter().map(|b| b.0).min().map(|rank| lower_bound(values.of_rank(rank)));
    let max = page_bounds.iter().map(|b| b.1).max().map(|rank| upper_bound(values.of_rank(rank)));
    let nulls = keys.len() - present.len();
    scratch.present_keys = compact;
    let is_exact = |bound: &Option<(Vec<u8>, bool)>| bound.as_ref().is_some_and(|b| b.1);
    let (min_is_exact, max_is_exact) = (is_exact(&min), is_exact(&max));
    let bytes = |bound: Option<(Vec<u8>, bool)>| bound.map(|(b, _)| ByteArray::from(b));
    let (min, max) = (bytes(min), bytes(max));
    let nulls = Some(nulls as u64);
    let statistics = if values.width.is_some() {
        let [min, max] = [min, max].map(|bound| bound.map(FixedLenByteArray::from));
        Statistics::from(ValueStatistics::new(min, max, None, nulls, false))
    } else {
        let statistics = ValueStatistics::new(min, max, None, nulls, false);
        statistics.with_min_is_exact(min_is_exact).with_max_is_exact(max_is_exact).into()
    };
    writer.finish(statistics, order)
}

/// The distinct values of a column, sorted: the dictionary that is written compresses better for it, and bounds of pages
/// are bounds of ranks.
pub(crate) struct Values<'a> {
    bytes: &'a [u8],
    /// Value `k` is `bytes[offsets[k]..offsets[k + 1]]`; none where all have one width.
    offsets: &'a [i32],
    /// Bytes of each value, where all have as many; then plain values have no length before them.
    width: Option<usize>,
    /// Bytes of the values in `order`.
    value_bytes: usize,
    /// Keys in the order of their values.
    order: Vec<u32>,
    /// The place of each key in `order`; without meaning for one that is not there.
    ranks: Vec<u32>,
}

impl<'a> Values<'a> {
    /// The values of a dictionary: text, or bytes of one width.
    pub(crate) fn new(array: &'a ArrayRef) -> Self {
        let (bytes, offsets, width): (&[u8], &[i32], _) = match array.data_type() {
            DataType::FixedSizeBinary(width) => {
                (array.as_fixed_size_binary().value_data(), &[], Some(*width as usize))
            }
            _ => {
                let array = array.as_string::<i32>();
                (array.value_data(), array.value_offsets(), None)
            }
        };
        let value_bytes = bytes.len();
        let mut values = Self { bytes, offsets, width, value_bytes, order: Vec::new(), ranks: Vec::new() };
        (values.order, values.ranks) = values.sorted(array.len());
        values
    }

    /// Those of `dictionary`, whose values are sorted, that `keys` has: [`u32::MAX`] is none.
    pub(crate) fn used(dictionary: &'a Dictionary, keys: &[u32]) -> Self {
        const UNUSED: u32 = u32::MAX;
        let mut ranks = vec![UNUSED; dictionary.len()];
        for key in keys {
            if let Some(rank) = ranks.get_mut(*key as usize) {
                *rank = 0;
            }
        }
        let mut order = Vec::new();
        for (key, rank) in ranks.iter_mut().enumerate().filter(|(_, rank)| **rank != UNUSED) {
            *rank = order.len() as u32;
            order.push(key as u32);
        }
        let Dictionary { bytes, offsets, width } = dictionary;
        let mut values = Self { bytes, offsets, width: *width, value_bytes: 0, order, ranks };
        values.value_bytes = values.order.iter().map(|key| values.get(*key).len()).sum();
        values
    }

    /// The place of each key among the sorted values.
    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// How many values.
    fn len(&self) -> usize {
        self.order.len()
    }

    /// Bytes of all values as a dictionary page has them.
    fn plain_bytes(&self) -> usize {
        self.value_bytes + self.prefix_bytes() * self.len()
    }

    #[inline]
    fn get(&self, key: u32) -> &'a [u8] {
        let key = key as usize;
        match self.width {
            None => &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize],
            Some(width) => &self.bytes[key * width..(key + 1) * width],
        }
    }

    /// Bytes before each plain value.
    fn prefix_bytes(&self) -> usize {
        if self.width.is_some() { 0 } else { size_of::<u32>() }
    }

    fn of_rank(&self, rank: u32) -> &'a [u8] {
        self.get(self.order[rank as usize])
    }

    fn push_plain(&self, key: u32, out: &mut Vec<u8>) {
        let value = self.get(key);
        if self.width.is_none() {
            let len = u32::try_from(value.len()).expect("a line is at most LINE_BYTES_MAX long");
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(value);
    }

    /// Whether a dictionary of these values and keys in it are smaller than plain values.
    fn dictionary_pays(&self, keys: &[u32]) -> bool {
        let dictionary_bytes = self.plain_bytes();
        if keys.is_empty() || dictionary_bytes > DICTIONARY_BYTES_MAX {
            return false;
        }
        let width = rle::bit_width(self.len() as u32 - 1) as usize;
        let packed_bytes = dictionary_bytes + keys.len() * width / 8;
        // Sure without a look at each key where even the shortest value is longer than its key, and mostly so.
        if packed_bytes < keys.len() * 4 {
            return true;
        }
        let of = |k: &u32| self.prefix_bytes() + self.get(*k).len();
        packed_bytes < keys.iter().map(of).sum()
    }

    /// Rows of the next plain page: up to `rows_max` rows or [`PAGE_BYTES`] bytes, at least one row.
    fn plain_rows(
        &self,
        keys: &[u32],
        validity: Option<&NullBuffer>,
        start: usize,
        end: usize,
        rows_max: usize,
    ) -> usize {
        let (mut rows, mut count, mut bytes) = (0, 0, 0);
        while rows < rows_max && start + rows < end && (rows == 0 || bytes < PAGE_BYTES) {
            if validity.is_none_or(|v| v.is_valid(start + rows)) {
                bytes += self.prefix_bytes() + self.get(keys[count]).len();
                count += 1;
            }
            rows += 1;
        }
        rows
    }

    /// The keys in the order of their `len` values, and the place of each key in that order.
    fn sorted(&self, len: usize) -> (Vec<u32>, Vec<u32>) {
        // What all values begin with (`eni-`, `10.`) tells nothing.
        let mut common = if len > 0 { self.get(0) } else { &[] };
        for key in 1..len as u32 {
            let same = common.iter().zip(self.get(key)).take_while(|(a, b)| a == b).count();
            common = &common[..same];
        }
        let common = common.len();
        let mut sorted: Vec<(u128, u32)> =
            (0..len as u32).map(|key| (word(&self.get(key)[common..]), key)).collect();
        // By words first, which is one comparison; few values differ only behind them.
        sorted.sort_unstable_by_key(|(word, _)| *word);
        for same in sorted.chunk_by_mut(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            same.sort_unstable_by_key(|(_, key)| self.get(*key));
        }
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, key)) in sorted.iter().enumerate() {
            ranks[*key as usize] = rank as u32;
        }
        (sorted.into_iter().map(|(_, key)| key).collect(), ranks)
    }
}

/// The distinct values of a column, sorted.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    pub(crate) bytes: Vec<u8>,
    /// Value `k` is `bytes[offsets[k]..offsets[k + 1]]`; none where all have one width.
    pub(crate) offsets: Vec<i32>,
    /// Bytes of each value, where all have as many.
    pub(crate) width: Option<usize>,
}

impl Dictionary {
    /// How many values.
    pub(crate) fn len(&self) -> usize {
        self.width.map_or(self.offsets.len().saturating_sub(1), |width| self.bytes.len() / width)
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: u32) -> &[u8] {
        let key = key as usize;
        match self.width {
            Some(width) => &self.bytes[key * width..(key + 1) * width],
            None => &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize],
        }
    }
}

/// The first 16 bytes of a value as a number, big-endian, zeros behind a shorter value: these compare as the values do, up to
/// equality.
pub(crate) fn word(value: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = value.len().min(16);
    bytes[..len].copy_from_slice(&value[..len]);
    u128::from_be_bytes(bytes)
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
