//! Integers on AVX-512: four values of up to sixteen digits in one vector.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{
    __m256i, __m512i, __mmask64, _mm256_cmpgt_epi64_mask, _mm256_set1_epi64x, _mm512_add_epi64,
    _mm512_castsi512_si256, _mm512_cmpgt_epu8_mask, _mm512_madd_epi16, _mm512_maddubs_epi16,
    _mm512_maskz_sub_epi8, _mm512_mul_epu32, _mm512_packus_epi32, _mm512_permutexvar_epi64, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_srli_epi64,
};

use super::avx2;
use crate::block::{EvenBounds, FieldColumn};
use crate::loads::Loads;
use crate::x86::{assert_avx512, load_endings, store4};

pub(super) fn parse(column: FieldColumn<'_>, max: i64, out: &mut [i64]) -> i64 {
    assert_avx512();
    match column.even_bounds().filter(EvenBounds::are_apart) {
        // SAFETY: the features are there, checked above.
        Some(bounds) => unsafe { parse_avx512(column.text, bounds, max, out) },
        None => avx2::parse(column, max, out),
    }
}

// Plain calls, for the reason that `repeats` has a plain loop.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,avx512f,avx512bw,avx512vl")]
fn parse_avx512(text: &[u8], mut bounds: EvenBounds<'_>, max: i64, out: &mut [i64]) -> i64 {
    let loads = Loads::<16>::of(text);
    let max_of_four = _mm256_set1_epi64x(max);
    let mut least = 0;
    let (fours, tail) = out.as_chunks_mut::<4>();
    for out in fours {
        let four = bounds.next_four().expect("as many as there are places");
        if let Some((bytes, mask)) = load_endings(text, four)
            && let Some(values) = four_values(bytes, mask)
            && _mm256_cmpgt_epi64_mask(values, max_of_four) == 0
        {
            store4(values, out);
            continue;
        }
        for (out, (start, end)) in out.iter_mut().zip(four) {
            *out = avx2::value(text, loads, start, end, max);
            least = least.min(*out);
        }
    }
    for (out, (start, end)) in tail.iter_mut().zip(bounds) {
        *out = avx2::value(text, loads, start, end, max);
        least = least.min(*out);
    }
    least
}

/// The numbers that the bytes of `mask` spell in each quarter of `text`, if all of them are digits.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn four_values(text: __m512i, mask: __mmask64) -> Option<__m256i> {
    let digits = _mm512_maskz_sub_epi8(mask, text, _mm512_set1_epi8(b'0'.cast_signed()));
    if _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(9)) != 0 {
        return None;
    }
    // Each step joins neighbours: the one in front counts 10, 100, 10,000, 100,000,000 times.
    let pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(10 | 1 << 8));
    let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(100 | 1 << 16));
    let eights = _mm512_madd_epi16(_mm512_packus_epi32(fours, fours), _mm512_set1_epi32(10_000 | 1 << 16));
    let high = _mm512_mul_epu32(eights, _mm512_set1_epi64(100_000_000));
    let values = _mm512_add_epi64(high, _mm512_srli_epi64::<32>(eights));
    let quarters = _mm512_setr_epi64(0, 2, 4, 6, 0, 0, 0, 0);
    Some(_mm512_castsi512_si256(_mm512_permutexvar_epi64(quarters, values)))
}
