//! Blocks to Arrow: the schema of a log format, and the builders that turn located fields into columns.
//!
//! This crate knows no files, no compression, no partitions and no storage.
//!
//! Text becomes dictionary keys right where it is read: [`Columns`] hands out record batches whose text columns are
//! dictionary arrays, one dictionary a column, so that nothing behind it has to hash a value again.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flowquet_arrow::{BatchSchema, Selection};
//! use flowquet_format::{Catalogue, LogFormat, Types};
//!
//! let format = LogFormat::parse("${srcaddr} ${bytes} ${action}", Catalogue::builtin()).expect("a format");
//! let schema = BatchSchema::new(Arc::new(format), &Selection::of(["srcaddr", "bytes"]), Types::Rich);
//! let names: Vec<&str> = schema.columns().iter().map(|c| c.name.as_str()).collect();
//! assert_eq!(names, ["srcaddr", "bytes", "srcaddr_bin"]);
//! ```

mod addresses;
mod adjacent;
mod columns;
mod derived;
mod dictionary;
mod digest;
mod growing;
mod origin;
mod schema;
#[cfg(test)]
mod testing;
mod twins;
mod values;

pub use columns::Columns;
pub use digest::RowHashes;
pub use origin::RowOrigin;
pub use schema::{BatchSchema, Selection};
