//! Which values of a column stand again where they just stood.
//!
//! Flows come in pairs and most identifiers hardly ever change, so most values need not be looked up: they are the last one
//! of their column again, or the one before it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::backend::Backend;
use crate::block::FieldColumn;

/// A value that equals neither of the two rows before it, or one that is not compared.
pub const FRESH: u8 = 0;
/// Bit of a value that equals the one of the row before it.
pub const AS_LAST: u8 = 1;
/// Bit of a value that equals the one two rows before it.
pub const AS_BEFORE_LAST: u8 = 2;

/// Longest value that is compared: with the delimiter behind it, it fills a vector. Interface and VPC ids are shorter. Longer
/// values are [`FRESH`].
const LEN_MAX: usize = 31;

/// `MASKS[len]` keeps the first `len + 1` bytes: a value and the delimiter behind it, which no value holds, so that values of
/// different lengths differ.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
const MASKS: [[u8; LEN_MAX + 1]; LEN_MAX + 1] = crate::loads::first_bytes(1);

/// What a whole load has of a value near the text's end, where it would reach past it.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
#[cold]
#[inline(never)]
fn padded(value: &[u8], delimiter: Option<&u8>) -> [u8; LEN_MAX + 1] {
    let mut padded = [0; LEN_MAX + 1];
    padded[..value.len()].copy_from_slice(value);
    padded[value.len()] = delimiter.copied().unwrap_or(b'\n');
    padded
}

/// Puts [`FRESH`] or the bits [`AS_LAST`] and [`AS_BEFORE_LAST`] for each row of `column` into `out`, in place of what is there.
///
/// This is a hot loop: two loads of offsets, one of text, and two compares a value, without a branch on what it is.
pub fn repeats(column: FieldColumn<'_>, out: &mut Vec<u8>) {
    out.resize(column.len(), FRESH);
    match column.backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 | Backend::Avx2 => avx2::repeats(column, out),
        #[cfg(target_arch = "aarch64")]
        Backend::Neon => neon::repeats(column, out),
        Backend::Scalar => scalar(column, out),
    }
}

/// The scalar twin and oracle.
fn scalar(column: FieldColumn<'_>, out: &mut [u8]) {
    let (mut last, mut before) = (None, None);
    for ((start, end), code) in column.bounds().zip(out) {
        let value = Some(&column.text[start..end]).filter(|v| v.len() <= LEN_MAX);
        let bit = |is_equal: bool, bit: u8| if value.is_some() && is_equal { bit } else { FRESH };
        *code = bit(value == last, AS_LAST) | bit(value == before, AS_BEFORE_LAST);
        (before, last) = (last, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::with_column;
    use proptest::prelude::*;

    #[track_caller]
    fn check(fields: &[&str]) {
        let mut expected = Vec::new();
        for (i, field) in fields.iter().enumerate() {
            let is = |back: usize| i >= back && fields[i - back] == *field && field.len() <= LEN_MAX;
            expected.push((u8::from(is(1)) * AS_LAST) | (u8::from(is(2)) * AS_BEFORE_LAST));
        }
        with_column(fields, |column| {
            let mut found = vec![9; 3];
            repeats(column, &mut found);
            assert_eq!(found, expected, "{:?} {fields:?}", column.backend);
        });
    }

    #[test]
    fn lengths_around_a_load() {
        for len in 0..70 {
            let (a, b) = ("a".repeat(len), format!("{}b", "a".repeat(len)));
            check(&[&a, &a, &b, &a, &b, &b, "-", &a, &b, &a]);
        }
        check(&["a\0", "a", "a\0", "\0", "", "\0\0", ""]);
    }

    proptest! {
        #[test]
        fn fast_equals_scalar(fields in proptest::collection::vec("[ab]{0,2}|[a]{30,34}", 1..40)) {
            check(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
