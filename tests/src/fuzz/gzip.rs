//! Any bytes as gzip members: what libdeflate makes of them, a limit on its output included, is what zlib-rs makes of them.

use std::io::Read;

use flowquet_input::inflate::GzipInflater;

pub(super) fn run(data: &[u8]) {
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
}

/// Members of different kinds.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let member = |text: &[u8]| flowquet_testkit::gzip(text);
    let text = super::world::log(20, true).into_bytes();
    let two = [member(&text), member(b"more\n")].concat();
    vec![member(b""), member(&text), two.clone(), [two, vec![0; 9]].concat(), member(&vec![b'a'; 100_000])]
}
