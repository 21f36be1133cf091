//! Flow logs made up for tests and benchmarks, and a naive reader that shares no code with the parser.
//!
//! ```
//! use flowquet_testkit::{gzip, naive};
//!
//! assert!(gzip(b"text").starts_with(&[0x1f, 0x8b]));
//! let read = naive::read(b"srcaddr bytes\n10.0.0.1 420\n", None);
//! assert_eq!(read.records.len(), 1);
//! ```

pub mod generate;
pub mod naive;

use std::io::{Read as _, Write as _};

/// `bytes` as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// What gzip members hold.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).expect("gzip");
    text
}
