//! Lines that may be headers, told by their first bytes.

use flowquet_format::{Catalogue, LogFormat};

/// The first bytes of lines that may be headers, to find one among records at the price of a table look-up a line.
///
/// What passes goes down the careful path, which reads the whole line; so false matches cost time only.
#[derive(Debug, Default)]
pub(crate) struct HeaderStarts {
    /// By the low five bits of the first letter: the first bytes of names as a word, and which of them count.
    by_letter: [Vec<(u64, u64)>; 32],
}

impl HeaderStarts {
    pub(crate) fn of(catalogue: &Catalogue, format: &LogFormat) -> Self {
        let mut by_letter = [const { Vec::new() }; 32];
        let first = format.fields().iter().take(1).map(|f| f.name());
        for name in catalogue.fields().iter().map(|f| f.name.as_str()).chain(first) {
            let len = name.len().min(8);
            let mask = if len == 8 { u64::MAX } else { (1 << (8 * len)) - 1 };
            let start = (fold(first_word(name.as_bytes())) & mask, mask);
            let same_letter: &mut Vec<_> = &mut by_letter[usize::from(name.as_bytes()[0] & 31)];
            if !same_letter.contains(&start) {
                same_letter.push(start);
            }
        }
        Self { by_letter }
    }

    /// Whether `line` may be a header. Letters are compared without case and `_` equals `-`.
    #[inline]
    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        let Some(first) = line.first() else { return false };
        if !first.is_ascii_alphabetic() {
            return false;
        }
        let word = fold(first_word(line));
        self.by_letter[usize::from(first & 31)].iter().any(|(start, mask)| word & mask == *start)
    }
}

/// The first eight bytes, zeros behind a shorter text.
#[inline]
fn first_word(text: &[u8]) -> u64 {
    match text.first_chunk::<8>() {
        Some(first) => u64::from_le_bytes(*first),
        None => {
            let mut padded = [0; 8];
            padded[..text.len()].copy_from_slice(text);
            u64::from_le_bytes(padded)
        }
    }
}

/// Maps upper to lower case and `_` and `-` to one value, at the price of some false matches that the careful path
/// sorts out: sets bit 5, which makes `A` an `a` and `_` a DEL, and bits 1, 4 and 6, which makes `-` a DEL too.
#[inline]
fn fold(word: u64) -> u64 {
    word | 0x7272_7272_7272_7272
}
