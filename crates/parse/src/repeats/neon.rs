//! Repeats on NEON: a value of up to 31 bytes is two loads, and the two before it stay in registers.
#![allow(unsafe_code, reason = "the call behind a feature check")]

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vdupq_n_u8, veorq_u8, vmaxvq_u32, vorrq_u8, vreinterpretq_u32_u8,
};

use super::{AS_BEFORE_LAST, AS_LAST, FRESH, LEN_MAX, MASKS, padded};
use crate::arm::{assert_neon, load16};
use crate::block::FieldColumn;
use crate::loads::Loads;

/// The bytes of a value, and zeros.
type Value = [uint8x16_t; 2];

pub(super) fn repeats(column: FieldColumn<'_>, out: &mut [u8]) {
    assert_neon();
    // SAFETY: the feature is there, checked on the line above.
    unsafe {
        match column.even_bounds() {
            Some(bounds) => repeats_neon(column.text, bounds, out),
            None => repeats_neon(column.text, column.bounds(), out),
        }
    }
}

#[target_feature(enable = "neon")]
fn repeats_neon(text: &[u8], bounds: impl Iterator<Item = (usize, usize)>, out: &mut [u8]) {
    let loads = Loads::<32>::of(text);
    // No value: text has no such bytes.
    let none = [vdupq_n_u8(0xff); 2];
    let (mut last, mut before_last) = (none, none);
    for (code, (start, end)) in out.iter_mut().zip(bounds) {
        let len = end - start;
        let value = match loads.at(start) {
            Some(bytes) if len <= LEN_MAX => {
                let ([low, high], [low_mask, high_mask]) = (load32(bytes), load32(&MASKS[len]));
                [vandq_u8(low, low_mask), vandq_u8(high, high_mask)]
            }
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
#[target_feature(enable = "neon")]
fn load32(bytes: &[u8; 32]) -> Value {
    let (halves, _) = bytes.as_chunks();
    [load16(&halves[0]), load16(&halves[1])]
}

#[inline]
#[target_feature(enable = "neon")]
fn equals(a: Value, b: Value) -> bool {
    let difference = vorrq_u8(veorq_u8(a[0], b[0]), veorq_u8(a[1], b[1]));
    vmaxvq_u32(vreinterpretq_u32_u8(difference)) == 0
}
