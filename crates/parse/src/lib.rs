//! Bytes to located fields to typed values.
//!
//! The parser is pushed bytes and never reads: it works alike under threads, over a network and in a fuzzer. It knows
//! no files, no compression, no Arrow and no tables.
//!
//! # How a block is read
//!
//! [`Parser::next_block`] cuts a run of whole lines that fits the L2 cache, locates every blank and newline in one
//! sweep ([`locate`]), checks that each line has as many fields as the log format, and hands out a [`Block`]. Its values
//! are then read one column at a time ([`IntegerColumns`], [`Block::field`]). Lines that do not fit go down a careful
//! path that repairs what may be repaired (runs of blanks, carriage returns) and names the reason of every reject.
//!
//! Where blocks end depends on the bytes alone, never on how many of them the caller happens to hold, so that what
//! follows from blocks (row groups, files) is the same under every memory budget.
//!
//! # Hot loops
//!
//! Four, each with a scalar twin that is its oracle and a file per instruction set beside it: [`locate`], the sweep for
//! delimiters; [`IntegerColumns::parse`]; [`repeats()`], which tells what values stand again where they just stood; and
//! [`pack_addresses`], which makes one word of an IPv4 address. `unsafe` stands in those files (vector loads, and the call
//! behind a feature check), nowhere else.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use flowquet_format::Catalogue;
//! use flowquet_parse::{Parser, Step};
//!
//! let text = b"srcaddr bytes\n10.0.0.1 420\nnot a record\n";
//! let mut parser = Parser::new(Arc::new(Catalogue::builtin().clone()), None);
//! let (mut at, mut rejects, mut sources) = (0, Vec::new(), Vec::new());
//! loop {
//!     match parser.next_block(&text[at..], true, &mut rejects).expect("a header line") {
//!         Step::Done | Step::NeedMore => break,
//!         Step::Skipped(len) => at += len,
//!         Step::Block { consumed, block } => {
//!             at += consumed;
//!             sources.extend(block.rows().iter().map(|row| block.field(*row, 0).to_vec()));
//!         }
//!     }
//! }
//! assert_eq!(sources, [b"10.0.0.1"]);
//! assert_eq!((rejects.len(), rejects[0].line), (1, 3));
//! ```

mod address;
#[cfg(target_arch = "aarch64")]
mod arm;
mod backend;
mod block;
mod careful;
mod integer;
mod joined;
mod line;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod loads;
pub mod locate;
mod met;
mod object_error;
mod odd;
mod parser;
mod reject;
mod repeats;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use address::{PackedAddress, pack_address, pack_addresses};
pub use backend::Backend;
pub use block::{Block, FieldColumn, FieldSpan, Row};
pub use integer::{BAD, IntegerColumns, NULL, parse_integer};
pub use object_error::ObjectError;
pub use parser::{BLOCK_BYTES, LINE_BYTES_MAX, LineCounts, Parser, Step, WINDOW_BYTES_MIN};
pub use reject::{Reject, RejectReason};
pub use repeats::{AS_BEFORE_LAST, AS_LAST, FRESH, repeats};
