//! The sweep on eight bytes at a time, for every machine.

use super::{Delimiters, STEP, sweep};

pub(super) fn locate(text: &[u8], found: &mut Delimiters) {
    sweep(text, found, |step| (mask(step, b' '), mask(step, b'\n')));
}

/// One bit a byte of `step` that equals `byte`, lowest first.
#[inline(always)]
fn mask(step: &[u8; STEP], byte: u8) -> u64 {
    const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const HIGH: u64 = !LOW7;
    let pattern = u64::from_ne_bytes([byte; 8]);
    let (words, _) = step.as_chunks::<8>();
    let mut bits = 0;
    for (i, word) in words.iter().enumerate() {
        let x = u64::from_le_bytes(*word) ^ pattern;
        // The high bit of each byte that is zero, exactly: no carry crosses a byte.
        let zero = !(((x & LOW7) + LOW7) | x) & HIGH;
        // Gathers the eight high bits: each partial product puts one of them into the top byte.
        let gathered = (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * i);
    }
    bits
}
