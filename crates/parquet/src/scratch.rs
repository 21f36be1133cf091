//! Buffers that are used again from column to column.

use crate::chunk::ChunkBuffers;
use crate::order::Narrow;

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
    pub(crate) narrow: Narrow,
    /// Keys of a page.
    pub(crate) keys: Vec<u32>,
    /// Keys of integers by value.
    pub(crate) table: Vec<u32>,
    pub(crate) buffers: ChunkBuffers,
}
