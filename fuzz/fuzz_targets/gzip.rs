//! Any bytes as gzip members: what libdeflate makes of them, a limit on its output included, is what zlib-rs makes of them.
#![no_main]

use std::io::Read;

use flowquet_input::inflate::GzipInflater;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    const MAX: usize = 1 << 20;
    let mut out = Vec::new();
    let inflated = GzipInflater::new().inflate(data, &mut out, MAX);
    assert!(out.len() <= MAX, "the limit bounds the buffer");
    let Ok(len) = inflated else { return };
    // Zeros behind the last member are padding, which the other reader does not know.
    let end = data.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
    for end in end..=data.len() {
        let mut expected = Vec::new();
        if flate2::read::MultiGzDecoder::new(&data[..end]).read_to_end(&mut expected).is_ok() {
            assert!(out[..len] == expected, "texts differ");
            return;
        }
    }
    assert!(len == 0, "only one of them can read it");
});
