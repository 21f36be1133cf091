//! Repeats on AVX2: a value of up to 31 bytes is one load, and the two before it stay in registers.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{__m256i, _mm256_and_si256, _mm256_set1_epi8, _mm256_testz_si256, _mm256_xor_si256};

use super::{AS_BEFORE_LAST, AS_LAST, FRESH, LEN_MAX, MASKS, padded};
use crate::block::FieldColumn;
use crate::loads::Loads;
use crate::x86::{assert_avx2, load32};

pub(super) fn repeats(column: FieldColumn<'_>, out: &mut [u8]) {
    assert_avx2();
    // SAFETY: the features are there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => repeats_avx2(column.text, bounds, out),
            None => repeats_avx2(column.text, column.bounds(), out),
        }
    }
}

// A plain loop: the adapters of iterators have no AVX2, so what is handed to them as a closure would be called and not
// become part of the loop.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn repeats_avx2(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, out: &mut [u8]) {
    let loads = Loads::<32>::of(text);
    // No value: text has no such bytes.
    let none = _mm256_set1_epi8(-1);
    let (mut last, mut before_last) = (none, none);
    for (code, (start, end)) in out.iter_mut().zip(bounds) {
        let len = end - start;
        let value = match loads.at(start) {
            Some(bytes) if len <= LEN_MAX => _mm256_and_si256(load32(bytes), load32(&MASKS[len])),
            _ if len <= LEN_MAX => load32(&padded(&text[start..end], text.get(end))),
            _ => {
                // What is too long to be compared repeats nothing, and nothing repeats it.
                *code = FRESH;
                (before_last, last) = (last, none);
                continue;
            }
        };
        let (as_last, as_before_last) = (equals(value, last), equals(value, before_last));
        *code = (u8::from(as_last) * AS_LAST) | (u8::from(as_before_last) * AS_BEFORE_LAST);
        (before_last, last) = (last, value);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn equals(a: __m256i, b: __m256i) -> bool {
    let difference = _mm256_xor_si256(a, b);
    _mm256_testz_si256(difference, difference) == 1
}
