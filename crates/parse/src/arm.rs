//! Vector loads for the hot loops of ARM: the one place where they touch a pointer.
#![allow(unsafe_code, reason = "vector loads from a pointer; each gains what its caller's benchmark shows")]

use std::arch::aarch64::{uint8x16_t, vld1q_u8};

/// Panics unless this machine has what [`crate::Backend::Neon`] stands for. Nothing at all where the compiler takes it for granted.
pub(crate) fn assert_neon() {
    assert!(has_neon(), "Backend::Neon comes from Backend::detect");
}

/// Whether this machine has what [`crate::Backend::Neon`] stands for: every one with an operating system.
pub(crate) fn has_neon() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn load16(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: 16 readable bytes, and the load asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
