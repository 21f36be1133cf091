//! Integers on NEON: up to sixteen digits in one load that ends where the field ends, and three multiplications.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vdupq_n_u8, vdupq_n_u16, vdupq_n_u32, vdupq_n_u64, vgetq_lane_u64, vmaxvq_u8,
    vmulq_u8, vmulq_u16, vmulq_u32, vpaddlq_u8, vpaddlq_u16, vpaddlq_u32, vreinterpretq_u8_u16,
    vreinterpretq_u16_u32, vreinterpretq_u32_u64, vsubq_u8,
};

use super::{BAD, parse_integer};
use crate::arm::{assert_neon, load16};
use crate::block::FieldColumn;
use crate::loads::{Loads, last_bytes};

/// Digits of one load.
const DIGITS_MAX: usize = 16;

/// `MASKS[len]` keeps the last `len` bytes.
const MASKS: [[u8; 16]; DIGITS_MAX + 1] = last_bytes();

pub(super) fn parse(column: FieldColumn<'_>, max: i64, out: &mut [i64]) -> i64 {
    assert_neon();
    // SAFETY: the feature is there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => parse_neon(column.text, bounds, max, out),
            None => parse_neon(column.text, column.bounds(), max, out),
        }
    }
}

#[target_feature(enable = "neon")]
fn parse_neon(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, max: i64, out: &mut [i64]) -> i64 {
    let loads = Loads::<16>::of(text);
    let mut least = 0;
    for (out, (start, end)) in out.iter_mut().zip(bounds) {
        let len = end - start;
        // Where the text begins with less than a load, this wraps around to no place at all.
        let digits = match loads.at(end.wrapping_sub(16)) {
            Some(bytes) if len.wrapping_sub(1) < DIGITS_MAX => {
                sixteen_digits(load16(bytes), load16(&MASKS[len]))
            }
            _ => None,
        };
        let value = match digits {
            Some(value) => value,
            None => parse_integer(&text[start..end]),
        };
        *out = if value > max { BAD } else { value };
        least = least.min(*out);
    }
    least
}

/// The number that those bytes of `text` spell that `mask` keeps, if all are digits.
#[inline]
#[target_feature(enable = "neon")]
fn sixteen_digits(text: uint8x16_t, mask: uint8x16_t) -> Option<i64> {
    let digits = vandq_u8(vsubq_u8(text, vdupq_n_u8(b'0')), mask);
    if vmaxvq_u8(digits) > 9 {
        return None;
    }
    // Each step joins neighbours: the one in front counts 10, 100, 10,000 times.
    let tens = vreinterpretq_u8_u16(vdupq_n_u16(10 | 1 << 8));
    let hundreds = vreinterpretq_u16_u32(vdupq_n_u32(100 | 1 << 16));
    let ten_thousands = vreinterpretq_u32_u64(vdupq_n_u64(10_000 | 1 << 32));
    let pairs = vpaddlq_u8(vmulq_u8(digits, tens));
    let fours = vpaddlq_u16(vmulq_u16(pairs, hundreds));
    let eights = vpaddlq_u32(vmulq_u32(fours, ten_thousands));
    let value = vgetq_lane_u64::<0>(eights) * 100_000_000 + vgetq_lane_u64::<1>(eights);
    Some(value.cast_signed())
}
