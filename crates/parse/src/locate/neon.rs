//! The sweep on NEON: four loads and eight compares for 64 bytes.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vdupq_n_u8, vgetq_lane_u64, vpaddq_u8, vreinterpretq_u64_u8,
};

use super::{Delimiters, STEP, sweep};
use crate::arm::{assert_neon, load16};

/// The bit of each byte in those of its eight.
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

pub(super) fn locate(text: &[u8], found: &mut Delimiters) {
    assert_neon();
    // SAFETY: the feature is there, checked on the line above.
    unsafe { locate_neon(text, found) }
}

#[target_feature(enable = "neon")]
fn locate_neon(text: &[u8], found: &mut Delimiters) {
    sweep(text, found, |step: &[u8; STEP]| {
        let (quarters, _) = step.as_chunks();
        let quarters =
            [load16(&quarters[0]), load16(&quarters[1]), load16(&quarters[2]), load16(&quarters[3])];
        (mask(quarters, b' '), mask(quarters, b'\n'))
    });
}

/// There is no operation that draws bits from bytes: each byte that equals gives its bit, and neighbours are added until eight are one.
#[inline]
#[target_feature(enable = "neon")]
fn mask([a, b, c, d]: [uint8x16_t; 4], byte: u8) -> u64 {
    let (pattern, bits) = (vdupq_n_u8(byte), load16(&BITS));
    let of = |v| vandq_u8(vceqq_u8(v, pattern), bits);
    let fours = vpaddq_u8(vpaddq_u8(of(a), of(b)), vpaddq_u8(of(c), of(d)));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)))
}
