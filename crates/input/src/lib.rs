//! Bytes of an object to windows of lines: how it is compressed, and what its lines are framed in, are told by its first bytes.
//!
//! Two small axes: [`Compression`] (also one in the other) and [`Framing`] (lines; lines behind a time; JSON documents; tables with
//! separators). The third, the log format, is the parser's. This crate knows no stores, no tables, no Arrow and no command line.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flowquet_format::Catalogue;
//! use flowquet_input::{Compression, Framing, first_lines, head};
//!
//! let export = b"2024-01-01T00:00:00.000Z 2 111122223333 eni-1 - - - - - - - 1 2 - NODATA\n";
//! let (compression, text) = head(Box::new(&export[..]), 1 << 20).expect("bytes in memory");
//! assert_eq!(compression, Compression::Plain);
//! let (framing, lines) = first_lines(&text, true, &Arc::new(Catalogue::builtin().clone())).expect("a log");
//! assert_ne!(framing, Framing::Lines);
//! assert!(lines.starts_with(b"2 111122223333 eni-1"));
//! ```

mod compression;
mod framing;
pub mod inflate;
mod object;
mod parquet_lines;
mod reader;

pub use compression::{Compression, head, text_of};
pub use framing::{Framing, Refused, first_lines};
pub use object::{Consume, Input, Open, Position, Range, ReadError, WINDOW_BYTES};
pub use reader::{Reader, Shape};
