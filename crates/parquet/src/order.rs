//! Values put into another order: of all rows of a row group, or of some of many.

use std::cell::OnceCell;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Rows in the order in which they are written.
pub(crate) struct RowOrder<'a> {
    rows: &'a [u32],
    /// Whether they are all rows, each once.
    is_whole: bool,
    /// Where each row is written, of all rows.
    places: OnceCell<Vec<u32>>,
}

impl<'a> RowOrder<'a> {
    /// Of all rows, each once.
    pub(crate) fn whole(rows: &'a [u32]) -> Self {
        Self { rows, is_whole: true, places: OnceCell::new() }
    }

    /// Of some rows.
    pub(crate) fn part(rows: &'a [u32]) -> Self {
        Self { rows, is_whole: false, places: OnceCell::new() }
    }

    fn places(&self) -> &[u32] {
        self.places.get_or_init(|| {
            let mut places = vec![0; self.rows.len()];
            self.rows.iter().zip(0..).for_each(|(row, place)| places[*row as usize] = place);
            places
        })
    }
}

/// Values of a column, copied to where a cache holds more of them.
#[derive(Debug, Default)]
pub(crate) struct Narrow {
    bits8: Vec<u8>,
    bits16: Vec<u16>,
    bits32: Vec<u32>,
}

/// A number as its bits.
pub(crate) trait Bits: Copy {
    fn bits(self) -> u64;
    /// Of what [`Self::bits`] made of a number.
    fn of_bits(bits: u64) -> Self;
}

macro_rules! bits {
    ($($number:ty as $unsigned:ty,)*) => {$(
        impl Bits for $number {
            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }

            fn of_bits(bits: u64) -> Self {
                bits as Self
            }
        }
    )*};
}
bits! { i32 as u32, i64 as u64, u32 as u32, }

/// Null marks are gathered one by one where more than one row in so many is null; else those few are marked at their places.
const FEW_NULLS: usize = 16;

/// `values` in `order`, in `out`, and which of them are not null.
///
/// This is a hot loop of whatever is sorted. Nearly each value comes from another line of the cache, so what counts is how many of them lie in it: values
/// mostly differ in a few of their lowest bits only, and those are copied together first.
pub(crate) fn gathered<T: Bits>(
    values: &[T],
    nulls: Option<&NullBuffer>,
    order: &RowOrder<'_>,
    narrow: &mut Narrow,
    out: &mut Vec<T>,
) -> Option<NullBuffer> {
    out.clear();
    let first = values.first().map_or(0, |value| value.bits());
    // Of some rows the values of all others would be copied in vain.
    let differing = match order.is_whole {
        true => values.iter().fold(0, |bits, value| bits | (value.bits() ^ first)),
        false => u64::MAX,
    };
    let Narrow { bits8, bits16, bits32 } = narrow;
    let rows = order.rows;
    match u64::BITS - differing.leading_zeros() {
        0 => out.extend_from_slice(values),
        1..=8 => through(values, first, rows, bits8, |bits| bits as u8, out),
        9..=16 => through(values, first, rows, bits16, |bits| bits as u16, out),
        17..=32 if size_of::<T>() > size_of::<u32>() => {
            through(values, first, rows, bits32, |bits| bits as u32, out);
        }
        _ => out.extend(rows.iter().map(|row| values[*row as usize])),
    }
    nulls.map(|nulls| gathered_marks(nulls, order))
}

/// `values` in the order of `rows` by way of `narrow`, which holds the bits in which they differ from `first`.
#[inline]
fn through<T: Bits, N: Copy + Into<u64>>(
    values: &[T],
    first: u64,
    rows: &[u32],
    narrow: &mut Vec<N>,
    narrowed: impl Fn(u64) -> N,
    out: &mut Vec<T>,
) {
    narrow.clear();
    narrow.extend(values.iter().map(|value| narrowed(value.bits() ^ first)));
    let narrow = narrow.as_slice();
    out.extend(rows.iter().map(|row| T::of_bits(narrow[*row as usize].into() ^ first)));
}

/// The marks of rows in an order.
fn gathered_marks(nulls: &NullBuffer, order: &RowOrder<'_>) -> NullBuffer {
    let len = order.rows.len();
    let marks = nulls.inner();
    let words = if order.is_whole && nulls.null_count() <= len / FEW_NULLS {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        for row in (!marks).set_indices() {
            let place = order.places()[row] as usize;
            words[place / 64] &= !(1 << (place % 64));
        }
        words
    } else {
        let (bytes, offset) = (marks.values(), marks.offset());
        let is_valid = |row: u32| {
            let at = row as usize + offset;
            u64::from(bytes[at / 8] >> (at % 8) & 1)
        };
        let word = |rows: &[u32]| rows.iter().rev().fold(0, |word, row| word << 1 | is_valid(*row));
        order.rows.chunks(64).map(word).collect()
    };
    NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Some values, which of them are null, and numbers that tell an order.
    fn rows() -> impl Strategy<Value = Vec<(u64, bool, u32)>> {
        let values = prop_oneof![
            Just((7, 0)),
            Just((0, 0xff)),
            Just((1_700_000_000, 0xff)),
            Just((0, 0xffff)),
            Just((0, 0xffff_ffff)),
            Just((u64::MAX << 33, 0xffff_ffff)),
            Just((0, u64::MAX)),
        ];
        (values, 0..=100_u32).prop_flat_map(|((base, mask), percent)| {
            let row = (any::<u64>(), 0..100_u32, any::<u32>());
            let row = row.prop_map(move |(bits, valid, n)| (base ^ (bits & mask), valid >= percent, n));
            proptest::collection::vec(row, 1..300)
        })
    }

    #[track_caller]
    fn check<T: Bits + PartialEq + std::fmt::Debug>(rows: &[(u64, bool, u32)], cut: usize) {
        // Marks that begin within a byte, as those of a slice do.
        let marks: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let nulls = NullBuffer::from(marks).slice(cut, rows.len() - cut);
        let rows = &rows[cut..];
        let values: Vec<T> = rows.iter().map(|row| T::of_bits(row.0)).collect();
        let mut sorted: Vec<u32> = (0..rows.len() as u32).collect();
        sorted.sort_by_key(|row| rows[*row as usize].2);
        let picked: Vec<u32> = rows.iter().map(|row| row.2 % rows.len() as u32).collect();
        for order in
            [RowOrder::whole(&sorted), RowOrder::part(&picked), RowOrder::part(&picked[..picked.len() / 2])]
        {
            let (mut narrow, mut found) = (Narrow::default(), vec![T::of_bits(1)]);
            let marks =
                gathered(&values, Some(&nulls), &order, &mut narrow, &mut found).expect("there were marks");
            assert_eq!((marks.len(), found.len()), (order.rows.len(), order.rows.len()));
            for (i, row) in order.rows.iter().enumerate() {
                let row = *row as usize;
                assert_eq!((found[i], marks.is_valid(i)), (values[row], rows[row].1), "row {row}");
            }
            assert_eq!(gathered(&values, None, &order, &mut narrow, &mut found), None);
        }
    }

    proptest! {
        #[test]
        fn gathers_as_one_by_one(rows in rows(), cut in any::<proptest::sample::Index>()) {
            let cut = cut.index(rows.len());
            check::<i64>(&rows, cut);
            check::<i32>(&rows, cut);
            check::<u32>(&rows, cut);
        }
    }
}
