//! Vector loads from slices: the one place where the hot loops of x86-64 touch a pointer.
#![allow(unsafe_code, reason = "vector loads from a pointer; each gains what its caller's benchmark shows")]

use std::arch::x86_64::{__m128i, __m256i, _mm_loadu_si128, _mm256_loadu_si256};

/// Bytes that are loaded with one bounds check: `N` at `at`, `None` past the end of `text`.
#[inline(always)]
pub(crate) fn chunk<const N: usize>(text: &[u8], at: usize) -> Option<&[u8; N]> {
    text.get(at..)?.first_chunk()
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
