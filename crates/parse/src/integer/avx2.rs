//! Integers on AVX2: up to sixteen digits in one load that ends where the field ends, and four multiplications.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cvtsi128_si64, _mm_madd_epi16, _mm_maddubs_epi16, _mm_packus_epi32,
    _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32, _mm_sub_epi8, _mm_subs_epu8, _mm_testz_si128,
};

use super::{BAD, parse_integer};
use crate::block::FieldColumn;
use crate::loads::{Loads, last_bytes};
use crate::x86::{assert_avx2, load16};

/// Digits of one load.
const DIGITS_MAX: usize = 16;

/// `MASKS[len]` keeps the last `len` bytes.
const MASKS: [[u8; 16]; DIGITS_MAX + 1] = last_bytes();

pub(super) fn parse(column: FieldColumn<'_>, max: i64, out: &mut [i64]) -> i64 {
    assert_avx2();
    // SAFETY: the features are there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => parse_avx2(column.text, bounds, max, out),
            None => parse_avx2(column.text, column.bounds(), max, out),
        }
    }
}

// A plain loop, for the reason that `repeats` has one.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn parse_avx2(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, max: i64, out: &mut [i64]) -> i64 {
    let loads = Loads::<16>::of(text);
    let mut least = 0;
    for (out, (start, end)) in out.iter_mut().zip(bounds) {
        *out = value(text, loads, start, end, max);
        least = least.min(*out);
    }
    least
}

/// The value of `text[start..end]`, of at most `max`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn value(text: &[u8], loads: Loads<'_, 16>, start: usize, end: usize, max: i64) -> i64 {
    let len = end - start;
    // Where the text begins with less than a load, this wraps around to no place at all.
    let digits = match loads.at(end.wrapping_sub(16)) {
        Some(bytes) if len.wrapping_sub(1) < DIGITS_MAX => sixteen_digits(load16(bytes), load16(&MASKS[len])),
        _ => None,
    };
    let value = match digits {
        Some(value) => value,
        None => parse_integer(&text[start..end]),
    };
    if value > max { BAD } else { value }
}

/// The number that those bytes of `text` spell that `mask` keeps, if all are digits.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen_digits(text: __m128i, mask: __m128i) -> Option<i64> {
    let digits = _mm_and_si128(_mm_sub_epi8(text, _mm_set1_epi8(b'0'.cast_signed())), mask);
    let above_nine = _mm_subs_epu8(digits, _mm_set1_epi8(9));
    if _mm_testz_si128(above_nine, above_nine) == 0 {
        return None;
    }
    // Each step joins neighbours: the one in front counts 10, 100, 10,000 times.
    let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(10 | 1 << 8));
    let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    let eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(10_000 | 1 << 16));
    let both = _mm_cvtsi128_si64(eights);
    Some((both & 0xffff_ffff) * 100_000_000 + (both >> 32))
}
