//! Buffers that are used again from column to column, and values put into another order in them.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use crate::chunk::ChunkBuffers;

/// Buffers that live from column to column.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Values of a column that are not null.
    pub(crate) int32: Vec<i32>,
    pub(crate) int64: Vec<i64>,
    pub(crate) present_keys: Vec<u32>,
    /// Values of a column in the order in which they are written.
    pub(crate) ordered_int32: Vec<i32>,
    pub(crate) ordered_int64: Vec<i64>,
    pub(crate) ordered_keys: Vec<u32>,
    /// Keys of a page.
    pub(crate) keys: Vec<u32>,
    /// Keys of integers by value.
    pub(crate) table: Vec<u32>,
    pub(crate) buffers: ChunkBuffers,
}

/// `values` in `order`, in `scratch`, and which of them are not null.
///
/// This is a hot loop of whatever is sorted: a word of marks is gathered at a time.
pub(crate) fn gathered<T: Copy>(
    values: &[T],
    nulls: Option<&NullBuffer>,
    order: &[u32],
    scratch: &mut Vec<T>,
) -> Option<NullBuffer> {
    scratch.clear();
    scratch.extend(order.iter().map(|&row| values[row as usize]));
    let marks = nulls?.inner();
    let (bytes, offset) = (marks.values(), marks.offset());
    let is_valid = |row: u32| {
        let at = row as usize + offset;
        u64::from(bytes[at / 8] >> (at % 8) & 1)
    };
    let word = |rows: &[u32]| rows.iter().rev().fold(0, |word, row| word << 1 | is_valid(*row));
    let words: Vec<u64> = order.chunks(64).map(word).collect();
    Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, order.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gathers_as_one_by_one(
            valid in proptest::collection::vec(any::<bool>(), 1..300),
            cut in any::<proptest::sample::Index>(),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..300),
        ) {
            // Marks that begin within a byte, as those of a slice do.
            let cut = cut.index(valid.len());
            let nulls = NullBuffer::from(valid.clone()).slice(cut, valid.len() - cut);
            let values: Vec<i64> = (0..nulls.len() as i64).collect();
            let order: Vec<u32> = picks.iter().map(|pick| pick.index(nulls.len()) as u32).collect();
            let mut found = vec![7];
            let marks = gathered(&values, Some(&nulls), &order, &mut found).expect("there were marks");
            prop_assert_eq!(marks.len(), order.len());
            for (i, row) in order.iter().enumerate() {
                prop_assert_eq!((found[i], marks.is_valid(i)), (i64::from(*row), valid[cut + *row as usize]));
            }
            prop_assert_eq!(gathered(&values, None, &order, &mut found), None);
        }
    }
}
