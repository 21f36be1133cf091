//! Blocks to Arrow: the schema of a log format, and the builders that turn located fields into columns.
//!
//! This crate knows no files, no compression, no partitions and no storage.
//!
//! Text becomes dictionary keys right where it is read: [`Columns`] hands out record batches whose text columns are
//! dictionary arrays, one dictionary a column, so that nothing behind it has to hash a value again.

mod addresses;
mod columns;
mod dictionary;
mod growing;
mod schema;
#[cfg(test)]
mod testing;
mod twins;
mod values;

pub use columns::Columns;
pub use schema::{BatchSchema, Selection};
