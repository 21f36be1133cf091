//! The sweep on AVX-512: one load, two compares, and offsets drawn together by their mask, for 64 bytes.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::x86_64::{
    __m128i, __m512i, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_set1_epi32,
};

use super::{At, Delimiters, STEP, padded};
use crate::x86::{assert_avx512, load64, store16};

/// The offset of each byte of a step.
const OFFSETS: [u8; STEP] = {
    let mut offsets = [0; STEP];
    let mut i = 0;
    while i < STEP {
        offsets[i] = i as u8;
        i += 1;
    }
    offsets
};

pub(super) fn locate(text: &[u8], found: &mut Delimiters) {
    assert_avx512();
    // SAFETY: the features are there, checked on the line above.
    unsafe { locate_avx512(text, found) }
}

// One loop, the last step's too: a step that stands in two places is called and keeps nothing in registers.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi2")]
fn locate_avx512(text: &[u8], found: &mut Delimiters) {
    let mut at = At::begin(found);
    let (steps, tail) = text.as_chunks::<STEP>();
    let last = padded(tail);
    for i in 0..text.len().div_ceil(STEP) {
        let bytes = load64(steps.get(i).unwrap_or(&last));
        let newlines = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\n'.cast_signed()));
        let all = newlines | _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b' '.cast_signed()));
        // Whether a step has a newline is not to be foreseen: one is written in any case, and kept if it is one. A second one is
        // rare.
        let line = at.ends + blanks_before(newlines, all);
        found.line_ends.room(at.lines)[0] = line as u32;
        at.lines += usize::from(newlines != 0);
        let mut more = newlines & newlines.wrapping_sub(1);
        while more != 0 {
            found.line_ends.room(at.lines)[0] = (at.ends + blanks_before(more, all)) as u32;
            at.lines += 1;
            more &= more - 1;
        }
        let offsets = _mm512_maskz_compress_epi8(all, load64(&OFFSETS));
        let base = _mm512_set1_epi32(at.base.cast_signed());
        let (out, _) = found.ends.room(at.ends).as_chunks_mut::<16>();
        let count = all.count_ones();
        // What is written past `count` is overwritten by the next step.
        put(_mm512_castsi512_si128(offsets), base, &mut out[0]);
        if count > 16 {
            put(_mm512_extracti32x4_epi32::<1>(offsets), base, &mut out[1]);
        }
        if count > 32 {
            put(_mm512_extracti32x4_epi32::<2>(offsets), base, &mut out[2]);
            put(_mm512_extracti32x4_epi32::<3>(offsets), base, &mut out[3]);
        }
        at.ends += count as usize;
        at.base += STEP as u32;
    }
    at.end(found);
}

/// Delimiters before the first of `newlines`.
#[inline(always)]
fn blanks_before(newlines: u64, all: u64) -> usize {
    (all & (newlines & newlines.wrapping_neg()).wrapping_sub(1)).count_ones() as usize
}

/// Puts sixteen offsets from `base` on into `out`.
#[inline]
#[target_feature(enable = "avx512f")]
fn put(offsets: __m128i, base: __m512i, out: &mut [u32; 16]) {
    store16(_mm512_add_epi32(_mm512_cvtepu8_epi32(offsets), base), out);
}
