//! Bytes of an object to windows of lines: how it is compressed, and what its lines are framed in, are told by its first bytes.
//!
//! Two small axes: [`Compression`] (also one in the other) and [`Framing`] (lines; lines behind a time; JSON documents; tables with
//! separators). The third, the log format, is the parser's. This crate knows no stores, no tables, no Arrow and no command line.

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
