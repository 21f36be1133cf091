//! Addresses on NEON: sixteen bytes checked and packed in a few operations, without a branch on what they are.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vcleq_u8, vdupq_n_u8, vdupq_n_u16, vgetq_lane_u64, vminvq_u8, vmulq_u8,
    vornq_u8, vorrq_u8, vpaddq_u8, vreinterpretq_u8_u16, vreinterpretq_u64_u8, vsubq_u8,
};

use super::{LEN_MAX, PackedAddress, UNPACKED, pack_address};
use crate::arm::{assert_neon, load16};
use crate::block::FieldColumn;
use crate::loads::{Loads, first_bytes};

/// `MASKS[len]` keeps the first `len` bytes.
const MASKS: [[u8; 16]; LEN_MAX + 1] = first_bytes(0);

pub(super) fn pack(column: FieldColumn<'_>, out: &mut [PackedAddress]) {
    assert_neon();
    // SAFETY: the feature is there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => pack_neon(column.text, bounds, out),
            None => pack_neon(column.text, column.bounds(), out),
        }
    }
}

#[target_feature(enable = "neon")]
fn pack_neon(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, out: &mut [PackedAddress]) {
    let loads = Loads::<16>::of(text);
    for (packed, (start, end)) in out.iter_mut().zip(bounds) {
        let len = end - start;
        *packed = match loads.at(start) {
            Some(bytes) if len <= LEN_MAX => sixteen(load16(bytes), load16(&MASKS[len]), len),
            _ => pack_address(&text[start..end]),
        };
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn sixteen(text: uint8x16_t, mask: uint8x16_t, len: usize) -> PackedAddress {
    let is_digit = vcleq_u8(vsubq_u8(text, vdupq_n_u8(b'0')), vdupq_n_u8(9));
    let is_dot = vceqq_u8(text, vdupq_n_u8(b'.'));
    if len == 0 || vminvq_u8(vornq_u8(vorrq_u8(is_digit, is_dot), mask)) == 0 {
        return UNPACKED;
    }
    let nibbles = vandq_u8(vandq_u8(text, mask), vdupq_n_u8(0x0f));
    let halves = vmulq_u8(nibbles, vreinterpretq_u8_u16(vdupq_n_u16(16 | 1 << 8)));
    let bytes = vpaddq_u8(halves, halves);
    PackedAddress(vgetq_lane_u64::<0>(vreinterpretq_u64_u8(bytes)) | (len as u64) << 56)
}
