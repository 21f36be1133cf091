//! Repeats on AVX2: a value of up to 32 bytes is one load, and the two before it stay in registers.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_setzero_si256,
};

use super::{AS_BEFORE_LAST, AS_LAST, LEN_MAX};
use crate::block::FieldColumn;
use crate::x86::{Loads, assert_avx2, load32};

/// `MASKS[len]` keeps the first `len` bytes.
const MASKS: [[u8; 32]; LEN_MAX + 1] = masks();

const fn masks() -> [[u8; 32]; LEN_MAX + 1] {
    let mut all = [[0; 32]; LEN_MAX + 1];
    let mut len = 0;
    while len <= LEN_MAX {
        let mut byte = 0;
        while byte < len {
            all[len][byte] = 0xff;
            byte += 1;
        }
        len += 1;
    }
    all
}

/// Stand for lengths that no value has: where there was none, and where it is too long.
const NONE: usize = usize::MAX;
const LONG: usize = usize::MAX - 1;

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
    let (mut last, mut last_len) = (_mm256_setzero_si256(), NONE);
    let (mut before, mut before_len) = (_mm256_setzero_si256(), NONE);
    for ((start, end), code) in bounds.zip(out) {
        let len = end - start;
        let (value, len) = match loads.at(start) {
            Some(bytes) if len <= LEN_MAX => (_mm256_and_si256(bytes, load32(&MASKS[len])), len),
            _ if len <= LEN_MAX => (load_end(&text[start..end]), len),
            _ => (_mm256_setzero_si256(), LONG),
        };
        let as_last = equals(value, last) & (len == last_len);
        let as_before = equals(value, before) & (len == before_len);
        *code = if as_last { AS_LAST } else { u8::from(as_before) * AS_BEFORE_LAST };
        (before, before_len) = (last, last_len);
        // What is too long to be compared repeats nothing, and nothing repeats it.
        (last, last_len) = (value, if len == LONG { NONE } else { len });
    }
}

/// A value at the text's end, where a whole load would reach past it.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx2")]
fn load_end(value: &[u8]) -> __m256i {
    let mut padded = [0; LEN_MAX];
    padded[..value.len()].copy_from_slice(value);
    load32(&padded)
}

#[inline]
#[target_feature(enable = "avx2")]
fn equals(a: __m256i, b: __m256i) -> bool {
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)) == -1
}
