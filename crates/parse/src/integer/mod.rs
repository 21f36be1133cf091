//! Integer columns: whole ASCII digits to numbers, one column at a time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod rows;

use crate::backend::Backend;
use crate::block::{Block, FieldColumn};

/// Stands for `-` in an integer column. Values of flow logs have no sign.
pub const NULL: i64 = -1;

/// Stands for a field that is no number of its column's range.
pub const BAD: i64 = -2;

/// The integer columns of one block, parsed: scratch that is reused and stays in the L2 cache.
#[derive(Debug, Default)]
pub struct IntegerColumns {
    /// Field position and largest value of each column.
    fields: Vec<(usize, i64)>,
    /// One value a row and column: a number, [`NULL`] or [`BAD`].
    columns: Vec<Vec<i64>>,
}

impl IntegerColumns {
    /// Scratch for the fields at the given positions, each with the largest value that fits.
    pub fn new(fields: Vec<(usize, i64)>) -> Self {
        let columns = fields.iter().map(|_| Vec::new()).collect();
        Self { fields, columns }
    }

    /// Parses these columns of all rows of `block`, a column at a time. Returns whether any value is [`BAD`].
    ///
    /// This is a hot loop: what is done per field is two loads of offsets, one or two of text, and arithmetic.
    pub fn parse(&mut self, block: &Block<'_>) -> bool {
        let mut bad = false;
        for ((field, max), column) in self.fields.iter().zip(&mut self.columns) {
            column.resize(block.rows().len(), 0);
            bad |= parse_column(block.column(*field, 0..block.rows().len()), *max, column) == BAD;
        }
        bad
    }

    /// Values of the `i`-th column, one a row.
    pub fn column(&self, i: usize) -> &[i64] {
        &self.columns[i]
    }

    /// Field position of the `i`-th column.
    pub fn field(&self, i: usize) -> usize {
        self.fields[i].0
    }

    /// How many columns.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Keeps the rows for which `keep` is true.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        for column in &mut self.columns {
            let mut keep = keep.iter();
            column.retain(|_| *keep.next().expect("one flag a row"));
        }
    }

    /// Reorders each column so that its `i`-th value is the former `order[i]`-th.
    pub(crate) fn permute(&mut self, order: &[u32], scratch: &mut Vec<i64>) {
        for column in &mut self.columns {
            scratch.clear();
            scratch.extend(order.iter().map(|&i| column[i as usize]));
            std::mem::swap(column, scratch);
        }
    }
}

/// Puts the values of `column`, of at most `max` each, into `out`, which has as many places. Returns the least of them:
/// [`BAD`] if any is.
fn parse_column(column: FieldColumn<'_>, max: i64, out: &mut [i64]) -> i64 {
    match column.backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 => avx512::parse(column, max, out),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => avx2::parse(column, max, out),
        #[cfg(target_arch = "aarch64")]
        Backend::Neon => neon::parse(column, max, out),
        Backend::Scalar => {
            let mut least = 0;
            for ((start, end), out) in column.bounds().zip(out) {
                let value = parse_at(column.text, start, end);
                *out = if value > max { BAD } else { value };
                least = least.min(*out);
            }
            least
        }
    }
}

/// The value of `text[start..end]`, with 8-byte loads that may reach past `end` inside `text`.
#[inline]
fn parse_at(text: &[u8], start: usize, end: usize) -> i64 {
    let len = end - start;
    if len.wrapping_sub(1) < 8 {
        if let Some(word) = load8(text, start) {
            return match digits8(word, len) {
                Some(value) => value.cast_signed(),
                None if len == 1 && text[start] == b'-' => NULL,
                None => BAD,
            };
        }
    } else if len.wrapping_sub(9) < 8
        && let (Some(high), Some(low)) = (load8(text, start), load8(text, end - 8))
    {
        return match (digits8(high, len - 8), digits8(low, 8)) {
            (Some(high), Some(low)) => (high * 100_000_000 + low).cast_signed(),
            _ => BAD,
        };
    }
    parse_integer(&text[start..end])
}

#[inline]
fn load8(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + 8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")))
}

/// The number that the first `len` bytes of `word` (little-endian, 1 to 8 of them) spell, if all are digits.
///
/// Shifts the digits to the top so that missing ones are leading zeros, then joins neighbours in three multiplications:
/// single digits to pairs, pairs to fours, fours to eight.
#[inline]
fn digits8(word: u64, len: usize) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH_NIBBLES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let shift = 64 - 8 * len as u32;
    let filled = (word << shift) | (ZEROS & !(u64::MAX << shift));
    let digits = filled ^ ZEROS;
    // A digit leaves 0 to 9: no high nibble, also not after adding 6.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & HIGH_NIBBLES != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    Some(eight)
}

/// The oracle: a number of at most `i64::MAX`, [`NULL`] for `-`, else [`BAD`].
///
/// A number is whole ASCII digits, leading zeros allowed.
pub fn parse_integer(text: &[u8]) -> i64 {
    if text == b"-" {
        return NULL;
    }
    if text.is_empty() {
        return BAD;
    }
    let mut value: i64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return BAD;
        }
        let Some(next) = value.checked_mul(10).and_then(|v| v.checked_add(i64::from(digit))) else {
            return BAD;
        };
        value = next;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::with_column;
    use proptest::prelude::*;

    #[track_caller]
    fn check(field: &[u8]) {
        let expected = parse_integer(field);
        // Behind the field: a blank and anything, or the end of the text at every distance.
        for behind in [&b" 12345678901234567"[..], b"\nabcdefghijk", b" - - -", b" ", b""] {
            for before in [&b""[..], b"9 ", b"- - "] {
                let text = [before, field, behind].concat();
                let start = before.len();
                assert_eq!(
                    parse_at(&text, start, start + field.len()),
                    expected,
                    "{:?}",
                    String::from_utf8_lossy(&text)
                );
            }
        }
        if let Ok(text) = std::str::from_utf8(field)
            && !text.contains([' ', '\n'])
        {
            with_column(&[text, "1234567890123456", text, "0", text], |column| {
                let mut found = [7; 5];
                let least = parse_column(column, i64::MAX, &mut found);
                assert_eq!(found, [expected, 1_234_567_890_123_456, expected, 0, expected], "{text:?}");
                assert_eq!(least, expected.min(0));
            });
        }
    }

    #[test]
    fn oracle() {
        for (text, expected) in [
            ("0", 0),
            ("-", NULL),
            ("", BAD),
            ("--", BAD),
            ("-1", BAD),
            ("+1", BAD),
            ("1.0", BAD),
            ("12a", BAD),
            ("007", 7),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", BAD),
            ("99999999999999999999", BAD),
            ("00000000000000000000000000000042", 42),
            ("1566328660", 1_566_328_660),
            ("１", BAD),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn every_length_and_every_byte_at_every_place() {
        for len in 1..=21 {
            for fill in [b'0', b'1', b'9'] {
                let field = vec![fill; len];
                check(&field);
                for at in 0..len {
                    for byte in 0..=255u8 {
                        let mut wrong = field.clone();
                        wrong[at] = byte;
                        check(&wrong);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn fast_equals_scalar(text in "[0-9]{0,20}|[-0-9a:.]{0,20}|\\PC{0,10}") {
            check(text.as_bytes());
        }
    }
}
