//! The sweep on AVX2: two loads and four compares for 64 bytes.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{__m256i, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_set1_epi8};

use super::{Delimiters, STEP, sweep};
use crate::x86::{assert_avx2, load32};

pub(super) fn locate(text: &[u8], found: &mut Delimiters) {
    assert_avx2();
    // SAFETY: the features are there, checked on the line above.
    unsafe { locate_avx2(text, found) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn locate_avx2(text: &[u8], found: &mut Delimiters) {
    sweep(text, found, |step| {
        let (low, high) = step.split_at(STEP / 2);
        let half = |bytes: &[u8]| load32(bytes.try_into().expect("a step has two halves"));
        let (low, high) = (half(low), half(high));
        (mask(low, high, b' '), mask(low, high, b'\n'))
    });
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask(low: __m256i, high: __m256i, byte: u8) -> u64 {
    let pattern = _mm256_set1_epi8(byte.cast_signed());
    let of = |v| u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, pattern)).cast_unsigned());
    of(low) | of(high) << 32
}
