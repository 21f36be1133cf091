//! The rows of a row group in the order of some of its columns.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::text::Values;

/// What rows are compared by: one number a row, 0 for null, and how many bits those have.
#[derive(Default)]
pub(crate) struct SortKeys {
    values: Vec<u64>,
    bits: u32,
}

impl SortKeys {
    pub(crate) fn of<'a, T: Copy + 'a>(
        values: impl ExactSizeIterator<Item = &'a T>,
        nulls: Option<&NullBuffer>,
        number: impl Fn(T) -> u64,
    ) -> Self {
        let mut values: Vec<u64> = values.map(|v| number(*v)).collect();
        if let Some(nulls) = nulls {
            // Few are, of most columns.
            (!nulls.inner()).set_indices().for_each(|row| values[row] = 0);
        }
        let bits = u64::BITS - values.iter().fold(0, |bits, v| bits | v).leading_zeros();
        Self { values, bits }
    }

    /// One more than the distance from the smallest value, since 0 is null.
    pub(crate) fn of_integers<T: Copy + Into<i64>>(values: &[T], nulls: Option<&NullBuffer>) -> Self {
        let min = values.iter().map(|v| (*v).into()).min().unwrap_or_default();
        let distance = |v: T| v.into().wrapping_sub(min).cast_unsigned();
        Self::of(values.iter(), nulls, |v| distance(v).saturating_add(1))
    }

    fn of_column(array: &dyn Array, text: Option<&Values<'_>>) -> Self {
        match array.data_type() {
            DataType::Int32 => {
                let array = array.as_primitive::<Int32Type>();
                Self::of_integers(array.values(), array.nulls())
            }
            DataType::Int64 => {
                let array = array.as_primitive::<Int64Type>();
                Self::of_integers(array.values(), array.nulls())
            }
            DataType::Timestamp(_, _) => {
                let array = array.as_primitive::<TimestampMillisecondType>();
                Self::of_integers(array.values(), array.nulls())
            }
            _ => {
                let array = array.as_dictionary::<UInt32Type>();
                let ranks = text.expect("made for each text column that is sorted by").ranks();
                let rank = |key: u32| ranks.get(key as usize).map_or(0, |rank| u64::from(*rank) + 1);
                Self::of(array.keys().values().iter(), array.nulls(), rank)
            }
        }
    }
}

/// The numbers of the rows of `batch`, ordered by its columns at `by`: nulls first, then ascending, equal rows as they came.
/// `texts` has the values of each text column among them, by column.
pub(crate) fn order(batch: &RecordBatch, by: &[usize], texts: &[Option<Values<'_>>]) -> Vec<u32> {
    let keys = |i: usize| SortKeys::of_column(batch.column(by[i]), texts[by[i]].as_ref());
    order_by(batch.num_rows(), by.len(), keys)
}

/// The numbers of `rows` rows, ordered by `columns` columns whose keys `keys` makes, from the last one to the first, each once.
pub(crate) fn order_by(rows: usize, columns: usize, mut keys: impl FnMut(usize) -> SortKeys) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    let mut left = columns;
    let mut next = None;
    // From the last column to the first, as many at once as fit into a word; each sort keeps the order of equals.
    while left > 0 || next.is_some() {
        let SortKeys { values: mut words, mut bits } = next.take().unwrap_or_else(|| {
            left -= 1;
            keys(left)
        });
        while left > 0 && bits < u64::BITS {
            left -= 1;
            let more = keys(left);
            if bits + more.bits > u64::BITS {
                next = Some(more);
                break;
            }
            for (word, value) in words.iter_mut().zip(&more.values) {
                *word |= value << bits;
            }
            bits += more.bits;
        }
        sort_by_words(&mut order, words, bits);
    }
    order
}

/// A row number and the word that it is sorted by, its low half first: 12 bytes, where a pair would take 16.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    word: [u32; 2],
    row: u32,
}

impl Entry {
    fn word(&self) -> u64 {
        u64::from(self.word[0]) | u64::from(self.word[1]) << 32
    }
}

/// Bits of a digit: its counters fit the L1 cache.
const DIGIT_MAX: u32 = 11;

/// Sorts row numbers by the words of their rows, of `bits` bits; keeps the order of equals.
///
/// This is a hot loop of whatever is sorted: a radix sort from the highest digit on. The first digit is that of the first column, and what has the same one
/// fits into a cache, where the others are sorted by.
fn sort_by_words(order: &mut Vec<u32>, words: Vec<u64>, bits: u32) {
    let rest = bits - DIGIT_MAX.min(bits);
    let digit = |word: u64| (word.checked_shr(rest).unwrap_or(0) & mask(DIGIT_MAX)) as usize;
    let mut ends = vec![0_u32; 1 << DIGIT_MAX];
    words.iter().for_each(|word| ends[digit(*word)] += 1);
    let most = ends.iter().copied().max().unwrap_or(0);
    starts(&mut ends);
    let mut entries = vec![Entry::default(); words.len()];
    for row in order.iter().copied() {
        let word = words[row as usize];
        let end = &mut ends[digit(word)];
        entries[*end as usize] = Entry { word: [word as u32, (word >> 32) as u32], row };
        *end += 1;
    }
    drop(words);
    let mut scratch = vec![Entry::default(); most as usize];
    let (mut start, mut counts) = (0, Vec::new());
    for end in ends {
        let same = &mut entries[start..end as usize];
        start = end as usize;
        sort_entries(same, &mut scratch[..same.len()], rest, &mut counts);
    }
    order.clear();
    order.extend(entries.iter().map(|entry| entry.row));
}

/// Counts of digits become the places where they start.
fn starts(counts: &mut [u32]) {
    let mut start = 0;
    for count in counts {
        start += std::mem::replace(count, start);
    }
}

/// The lowest `bits` bits.
fn mask(bits: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0)
}

/// Sorts entries by the lowest `bits` bits of their words; keeps the order of equals. `scratch` is as long as they are; `ends` may hold
/// what others need.
///
/// This is a hot loop, as [`sort_by_words`] is.
fn sort_entries(entries: &mut [Entry], scratch: &mut [Entry], mut bits: u32, ends: &mut Vec<u32>) {
    /// So few are inserted one by one.
    const FEW: usize = 24;
    while bits > 0 && entries.len() > FEW {
        // No more digits than there are entries.
        let digit_bits = DIGIT_MAX.min(entries.len().ilog2()).min(bits);
        bits -= digit_bits;
        let digit = |entry: &Entry| (entry.word() >> bits & mask(digit_bits)) as usize;
        let own = ends.len();
        ends.resize(own + (1 << digit_bits), 0);
        let counts = &mut ends[own..];
        entries.iter().for_each(|entry| counts[digit(entry)] += 1);
        if counts[digit(&entries[0])] as usize == entries.len() {
            ends.truncate(own);
            continue;
        }
        starts(counts);
        for entry in &*entries {
            let end = &mut counts[digit(entry)];
            scratch[*end as usize] = *entry;
            *end += 1;
        }
        entries.copy_from_slice(scratch);
        let mut start = 0;
        for place in own..own + (1 << digit_bits) {
            let end = ends[place] as usize;
            if bits > 0 && end - start > 1 {
                sort_entries(&mut entries[start..end], &mut scratch[start..end], bits, ends);
            }
            start = end;
        }
        ends.truncate(own);
        return;
    }
    let key = |entry: &Entry| entry.word() & mask(bits);
    for at in 1..entries.len() {
        let entry = entries[at];
        let mut place = at;
        while place > 0 && key(&entries[place - 1]) > key(&entry) {
            entries[place] = entries[place - 1];
            place -= 1;
        }
        entries[place] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_std_does(
            words in proptest::collection::vec(prop_oneof![0..5u64, any::<u64>(), (0..40u64).prop_map(|n| n << 50 | 7)], 0..5_000),
        ) {
            let bits = u64::BITS - words.iter().fold(0, |bits, w| bits | w).leading_zeros();
            let mut found: Vec<u32> = (0..words.len() as u32).collect();
            let mut expected = found.clone();
            sort_by_words(&mut found, words.clone(), bits);
            expected.sort_by_key(|row| words[*row as usize]);
            prop_assert_eq!(found, expected);
        }
    }
}
