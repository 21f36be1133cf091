//! Addresses on AVX2: sixteen bytes checked and packed in a few operations, without a branch on what they are.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_maddubs_epi16, _mm_min_epu8, _mm_or_si128,
    _mm_packus_epi16, _mm_set1_epi8, _mm_set1_epi16, _mm_sub_epi8, _mm_testc_si128,
};

use super::{LEN_MAX, PackedAddress, UNPACKED, pack_address};
use crate::block::FieldColumn;
use crate::loads::{Loads, first_bytes};
use crate::x86::{assert_avx2, load16};

/// `MASKS[len]` keeps the first `len` bytes.
const MASKS: [[u8; 16]; LEN_MAX + 1] = first_bytes(0);

pub(super) fn pack(column: FieldColumn<'_>, out: &mut [PackedAddress]) {
    assert_avx2();
    // SAFETY: the features are there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => pack_avx2(column.text, bounds, out),
            None => pack_avx2(column.text, column.bounds(), out),
        }
    }
}

// A plain loop, for the reason that `repeats` has one.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn pack_avx2(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, out: &mut [PackedAddress]) {
    let loads = Loads::<16>::of(text);
    for (packed, (start, end)) in out.iter_mut().zip(bounds) {
        let len = end - start;
        *packed = match loads.at(start) {
            // One compare: no length at all is past all of them.
            Some(bytes) if len.wrapping_sub(1) < LEN_MAX => sixteen(load16(bytes), load16(&MASKS[len]), len),
            _ => pack_address(&text[start..end]),
        };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(text: __m128i, mask: __m128i, len: usize) -> PackedAddress {
    let digits = _mm_sub_epi8(text, _mm_set1_epi8(b'0'.cast_signed()));
    let is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
    let is_dot = _mm_cmpeq_epi8(text, _mm_set1_epi8(b'.'.cast_signed()));
    if _mm_testc_si128(_mm_or_si128(is_digit, is_dot), mask) == 0 {
        return UNPACKED;
    }
    let nibbles = _mm_and_si128(_mm_and_si128(text, mask), _mm_set1_epi8(0x0f));
    let bytes = _mm_maddubs_epi16(nibbles, _mm_set1_epi16(16 | 1 << 8));
    let word = _mm_cvtsi128_si64(_mm_packus_epi16(bytes, bytes)).cast_unsigned();
    PackedAddress(word | (len as u64) << 56)
}
