//! Text columns: dictionary pages from keys that exist, plain pages where a dictionary does not pay.

use arrow_array::{Array, StringArray};
use arrow_buffer::NullBuffer;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::chunk::{Chunk, ChunkWriter, PageSummary, boundary_order};
use crate::encoder::Scratch;
use crate::integers::{key_bounds, push_keys};
use crate::pages::{PageRows, page, present};
use crate::sort::gathered;
use crate::{Error, PAGE_BYTES, PAGE_ROWS, rle};

/// Longest bound in statistics and page index. Ids and addresses are shorter; only tags and ARNs are cut.
const BOUND_BYTES_MAX: usize = 64;

/// Largest dictionary page. Readers hold it in memory whole, for each column they read.
const DICTIONARY_BYTES_MAX: usize = 16 << 20;

/// Encodes a column of text, its rows in `order` if there is one.
pub(crate) fn encode_ordered(
    keys: &[u32],
    validity: Option<&NullBuffer>,
    order: Option<&[u32]>,
    values: &Values<'_>,
    writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    let Some(order) = order else { return encode(keys, validity, values, writer, scratch) };
    let mut ordered = std::mem::take(&mut scratch.ordered_keys);
    let validity = gathered(keys, validity, order, &mut ordered);
    let chunk = encode(&ordered, validity.as_ref(), values, writer, scratch);
    scratch.ordered_keys = ordered;
    chunk
}

/// Encodes a column of text: keys into `values`, of which `validity` tells which are not null.
fn encode(
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
        let mut plain = Vec::with_capacity(values.array.value_data().len() * 2);
        values.order.iter().for_each(|key| values.push_plain(*key, &mut plain));
        writer.dictionary(plain, values.order.len(), true);
    }
    let mut page_bounds = Vec::new();
    let (mut start, mut taken) = (0, 0);
    while start < keys.len() {
        let rows = match has_dictionary {
            true => PAGE_ROWS.min(keys.len() - start),
            false => values.plain_rows(&present[taken..], validity, start, keys.len()),
        };
        let PageRows { validity, present: range, .. } = page(start, rows, validity, taken);
        let page = &present[range];
        let ranks = &mut scratch.keys;
        ranks.clear();
        ranks.extend(page.iter().map(|key| values.ranks[*key as usize]));
        let (least, most) = key_bounds(ranks);
        let body = writer.begin_page(rows, validity.as_ref());
        let encoding = if has_dictionary && !page.is_empty() {
            push_keys(ranks, most, body);
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
    let statistics = ValueStatistics::new(bytes(min), bytes(max), None, Some(nulls as u64), false)
        .with_min_is_exact(min_is_exact)
        .with_max_is_exact(max_is_exact);
    writer.finish(Statistics::from(statistics), order)
}

/// The distinct values of a column, sorted: the dictionary that is written compresses better for it, and bounds of pages
/// are bounds of ranks.
pub(crate) struct Values<'a> {
    array: &'a StringArray,
    /// Keys in the order of their values.
    order: Vec<u32>,
    /// The place of each key in `order`.
    ranks: Vec<u32>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(array: &'a StringArray) -> Self {
        let (order, ranks) = ranks(array);
        Self { array, order, ranks }
    }

    /// The place of each key among the sorted values.
    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    fn get(&self, key: u32) -> &'a [u8] {
        self.array.value(key as usize).as_bytes()
    }

    fn of_rank(&self, rank: u32) -> &'a [u8] {
        self.get(self.order[rank as usize])
    }

    fn push_plain(&self, key: u32, out: &mut Vec<u8>) {
        let value = self.get(key);
        let len = u32::try_from(value.len()).expect("a line is at most LINE_BYTES_MAX long");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(value);
    }

    /// Whether a dictionary of these values and keys in it are smaller than plain values.
    fn dictionary_pays(&self, keys: &[u32]) -> bool {
        let dictionary_bytes = self.array.value_data().len() + 4 * self.array.len();
        if keys.is_empty() || dictionary_bytes > DICTIONARY_BYTES_MAX {
            return false;
        }
        let width = rle::bit_width(self.array.len() as u32 - 1) as usize;
        let packed_bytes = dictionary_bytes + keys.len() * width / 8;
        // Sure without a look at each key where even the shortest value is longer than its key, and mostly so.
        if packed_bytes < keys.len() * 4 {
            return true;
        }
        let offsets = self.array.value_offsets();
        let of = |k: &u32| 4 + (offsets[*k as usize + 1] - offsets[*k as usize]) as usize;
        packed_bytes < keys.iter().map(of).sum()
    }

    /// Rows of the next plain page: up to [`PAGE_ROWS`] rows or [`PAGE_BYTES`] bytes, at least one row.
    fn plain_rows(&self, keys: &[u32], validity: Option<&NullBuffer>, start: usize, end: usize) -> usize {
        let (mut rows, mut count, mut bytes) = (0, 0, 0);
        while rows < PAGE_ROWS && start + rows < end && (rows == 0 || bytes < PAGE_BYTES) {
            if validity.is_none_or(|v| v.is_valid(start + rows)) {
                bytes += 4 + self.get(keys[count]).len();
                count += 1;
            }
            rows += 1;
        }
        rows
    }
}

/// The keys of `values` in the order of the values, and the place of each key in that order.
fn ranks(values: &StringArray) -> (Vec<u32>, Vec<u32>) {
    let get = |key: u32| values.value(key as usize).as_bytes();
    // What all values begin with (`eni-`, `10.`) tells nothing.
    let mut common = values.iter().flatten().next().unwrap_or_default().as_bytes();
    for key in 1..values.len() as u32 {
        let same = common.iter().zip(get(key)).take_while(|(a, b)| a == b).count();
        common = &common[..same];
    }
    let common = common.len();
    let mut sorted: Vec<(u128, u32)> = (0..values.len() as u32)
        .map(|key| {
            // Big-endian, zeros behind a shorter value: these compare as the values do, up to equality.
            let rest = &get(key)[common..];
            let mut bytes = [0; 16];
            let len = rest.len().min(16);
            bytes[..len].copy_from_slice(&rest[..len]);
            (u128::from_be_bytes(bytes), key)
        })
        .collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| get(a.1).cmp(get(b.1))));
    let mut ranks = vec![0; sorted.len()];
    for (rank, (_, key)) in sorted.iter().enumerate() {
        ranks[*key as usize] = rank as u32;
    }
    (sorted.into_iter().map(|(_, key)| key).collect(), ranks)
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
