//! Vector loads from slices: the one place where the hot loops of x86-64 touch a pointer.
#![allow(unsafe_code, reason = "vector loads from a pointer; each gains what its caller's benchmark shows")]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, __mmask64, _mm_loadu_si128, _mm_maskz_loadu_epi8, _mm256_loadu_si256,
    _mm256_storeu_si256, _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_loadu_si512, _mm512_storeu_si512,
};

/// Panics unless this machine has what [`crate::Backend::Avx2`] stands for. A cached load, once a column of a block.
pub(crate) fn assert_avx2() {
    assert!(has_avx2(), "Backend::Avx2 comes from Backend::detect");
}

/// Whether this machine has what [`crate::Backend::Avx2`] stands for: the sweep and the dictionaries want the bit operations
/// that came with it, too.
pub(crate) fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("popcnt")
}

/// Panics unless this machine has what [`crate::Backend::Avx512`] stands for.
pub(crate) fn assert_avx512() {
    assert!(has_avx512(), "Backend::Avx512 comes from Backend::detect");
}

/// Whether this machine has what [`crate::Backend::Avx512`] stands for, which is more than what [`crate::Backend::Avx2`] does.
pub(crate) fn has_avx512() -> bool {
    has_avx2()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vbmi2")
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 readable bytes, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load64(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 readable bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store16(values: __m512i, out: &mut [u32; 16]) {
    // SAFETY: 64 writable bytes, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), values) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store4(values: __m256i, out: &mut [i64; 4]) {
    // SAFETY: 32 writable bytes, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), values) }
}

/// The values at four places of `text`, each at the end of a quarter, zeros before it, and the mask of their bytes; `None` unless
/// each has 1 to 16 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn load_endings(text: &[u8], [a, b, c, d]: [(usize, usize); 4]) -> Option<(__m512i, __mmask64)> {
    let of = |(start, end): (usize, usize)| end.wrapping_sub(start).wrapping_sub(1);
    let (len_a, len_b, len_c, len_d) = (of(a), of(b), of(c), of(d));
    // One branch for all lengths, and one for all ends.
    if len_a | len_b | len_c | len_d > 15 || a.1.max(b.1).max(c.1.max(d.1)) > text.len() {
        return None;
    }
    let mask = |len: usize| u16::MAX << (15 - len);
    // SAFETY: the bytes that a mask keeps are those from start to end, which lie in the text; the others are not touched, so that
    // the pointer may lie before it.
    let load = |end: usize, mask| unsafe {
        _mm_maskz_loadu_epi8(mask, text.as_ptr().wrapping_add(end).wrapping_sub(16).cast())
    };
    let values = _mm512_castsi128_si512(load(a.1, mask(len_a)));
    let values = _mm512_inserti32x4::<1>(values, load(b.1, mask(len_b)));
    let values = _mm512_inserti32x4::<2>(values, load(c.1, mask(len_c)));
    let values = _mm512_inserti32x4::<3>(values, load(d.1, mask(len_d)));
    let low = u64::from(mask(len_a)) | u64::from(mask(len_b)) << 16;
    Some((values, low | u64::from(mask(len_c)) << 32 | u64::from(mask(len_d)) << 48))
}
