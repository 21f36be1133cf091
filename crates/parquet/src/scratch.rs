//! Buffers that are used again from column to column, and values put into another order in them.

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};

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
    /// A page before compression.
    pub(crate) raw: Vec<u8>,
}

/// `values` in `order`, in `scratch`, and which of them are not null.
pub(crate) fn gathered<T: Copy>(
    values: &[T],
    nulls: Option<&NullBuffer>,
    order: &[u32],
    scratch: &mut Vec<T>,
) -> Option<NullBuffer> {
    scratch.clear();
    scratch.extend(order.iter().map(|&row| values[row as usize]));
    nulls.map(|nulls| {
        let mut bits = BooleanBufferBuilder::new(order.len());
        order.iter().for_each(|&row| bits.append(nulls.is_valid(row as usize)));
        NullBuffer::new(bits.finish())
    })
}
