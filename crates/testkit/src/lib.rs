//! Flow logs made up for tests and benchmarks, and a naive reader that shares no code with the parser.

pub mod generate;
pub mod naive;

use std::io::Write as _;

/// `bytes` as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}
