//! IPv4 addresses as one word each: what is one word is compared and looked up without its text.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::backend::Backend;
use crate::block::FieldColumn;

/// Longest text that fits: `255.255.255.255`.
const LEN_MAX: usize = 15;

const UNPACKED: PackedAddress = PackedAddress(0);

/// A text of 1 to 15 digits and dots, four bits a character, or the one value that stands for every other text.
///
/// Character `2 i` is the high half of byte `i`, character `2 i + 1` its low half; a digit is its value and a dot 14. The
/// low half of byte 7 holds the length. Two texts that pack are equal if and only if their words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PackedAddress(u64);

impl PackedAddress {
    /// Whether this stands for a text that does not pack: null, IPv6, or no address at all.
    #[inline]
    pub fn is_unpacked(self) -> bool {
        self == UNPACKED
    }

    /// The word; not zero where the text packs.
    #[inline]
    pub fn word(self) -> u64 {
        self.0
    }

    /// What [`Self::word`] gave.
    #[inline]
    pub fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Appends the text to `out`; nothing where it does not pack.
    pub fn push_text(self, out: &mut Vec<u8>) {
        let len = (self.0 >> 56 & 0x0f) as usize;
        let bytes = self.0.to_le_bytes();
        let chars: [u8; 16] = std::array::from_fn(|i| {
            let nibble = if i % 2 == 0 { bytes[i / 2] >> 4 } else { bytes[i / 2] & 0x0f };
            if nibble == 14 { b'.' } else { b'0' + nibble }
        });
        out.extend_from_slice(&chars[..len]);
    }
}

/// Puts the packed form of each value of `column` into `out`, which has as many places.
///
/// This is a hot loop: two loads of offsets, one of text, and some ten vector operations a value.
pub fn pack_addresses(column: FieldColumn<'_>, out: &mut [PackedAddress]) {
    assert_eq!(column.len(), out.len(), "a place for each value");
    match column.backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 | Backend::Avx2 => avx2::pack(column, out),
        #[cfg(target_arch = "aarch64")]
        Backend::Neon => neon::pack(column, out),
        Backend::Scalar => {
            for ((start, end), packed) in column.bounds().zip(out) {
                *packed = pack_address(&column.text[start..end]);
            }
        }
    }
}

/// The scalar twin and oracle: one text, a character at a time.
pub fn pack_address(text: &[u8]) -> PackedAddress {
    if text.is_empty() || text.len() > LEN_MAX {
        return UNPACKED;
    }
    let mut word = (text.len() as u64) << 56;
    for (i, byte) in text.iter().enumerate() {
        let nibble = match byte {
            b'0'..=b'9' => byte - b'0',
            b'.' => 14,
            _ => return UNPACKED,
        };
        let shift = 8 * (i / 2) + if i % 2 == 0 { 4 } else { 0 };
        word |= u64::from(nibble) << shift;
    }
    PackedAddress(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::with_column;
    use proptest::prelude::*;

    #[track_caller]
    fn check(fields: &[&str]) {
        with_column(fields, |column| {
            let mut packed = vec![PackedAddress(7); fields.len()];
            pack_addresses(column, &mut packed);
            for (packed, field) in packed.iter().zip(fields) {
                assert_eq!(*packed, pack_address(field.as_bytes()), "{:?} {field:?}", column.backend);
                let mut text = Vec::new();
                packed.push_text(&mut text);
                let is_packed =
                    (1..=15).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                assert_eq!(packed.is_unpacked(), !is_packed, "{field:?}");
                if is_packed {
                    assert_eq!(text, field.as_bytes());
                }
            }
        });
    }

    #[test]
    fn addresses_and_what_is_none() {
        check(&["10.0.0.1", "255.255.255.255", "1", ".", "0", "00", "0.0.0.0", "-", "::1", "", "10.0.0.1/8"]);
        check(&["1234567890123456", "123456789012345", "2001:db8::1", "10.0.0.ä", "..............."]);
        for byte in (0..128u8).filter(|b| !matches!(b, b' ' | b'\n')) {
            for len in 1..=17 {
                for at in 0..len {
                    let mut text = "1".repeat(len).into_bytes();
                    text[at] = byte;
                    check(&[std::str::from_utf8(&text).expect("ASCII")]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn fast_equals_scalar(fields in proptest::collection::vec("[0-9.]{1,16}|[-0-9a-f:./]{0,40}", 1..20)) {
            check(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
