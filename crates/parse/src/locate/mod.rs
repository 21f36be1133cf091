//! Finds every delimiter of a block: blanks and newlines, 64 bytes a step.
//!
//! Each instruction set gives one function, the masks of 64 bytes; the sweep around it is the same. The scalar one is
//! the oracle of the others.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;

use crate::backend::Backend;

/// Offsets of the delimiters of one block.
///
/// Buffers are reused from block to block; their lengths are kept apart from what is filled.
#[derive(Debug, Default)]
pub struct Delimiters {
    /// `ends[0]` is a sentinel, `u32::MAX`: the delimiter before the first byte. Then each delimiter's offset.
    ends: Vec<u32>,
    ends_len: usize,
    /// For each newline its index in `ends`.
    line_ends: Vec<u32>,
}

impl Delimiters {
    /// The sentinel and each delimiter's offset, ascending.
    #[inline]
    pub fn ends(&self) -> &[u32] {
        &self.ends[..self.ends_len]
    }

    /// For each newline its index in [`Self::ends`].
    #[inline]
    pub fn line_ends(&self) -> &[u32] {
        &self.line_ends
    }

    /// Adds a newline behind the text, for a last line that has none.
    pub fn push_virtual_newline(&mut self, text_len: usize) {
        self.ends.truncate(self.ends_len);
        self.ends.push(offset(text_len));
        self.line_ends.push(offset(self.ends_len));
        self.ends_len += 1;
    }

    /// Forgets all delimiters behind the last newline.
    pub fn truncate_to_lines(&mut self) {
        self.ends_len = self.line_ends.last().map_or(1, |&i| i as usize + 1);
    }
}

/// Blocks are far smaller than 4 GiB; offsets into them are 32 bits to keep the tables in the cache.
#[inline]
fn offset(n: usize) -> u32 {
    u32::try_from(n).expect("blocks are limited to LINE_BYTES_MAX")
}

impl Backend {
    /// Fills `found` with the delimiters of `text`.
    #[inline]
    pub fn locate(self, text: &[u8], found: &mut Delimiters) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::locate(text, found),
            Self::Scalar => scalar::locate(text, found),
        }
    }
}

/// Bytes that one step looks at.
const STEP: usize = 64;

/// The sweep: `masks` gives the blanks and the newlines of 64 bytes as bits, lowest first.
#[inline(always)]
fn sweep(text: &[u8], found: &mut Delimiters, masks: impl Fn(&[u8; STEP]) -> (u64, u64)) {
    found.line_ends.clear();
    if found.ends.is_empty() {
        found.ends.resize(1 + STEP, 0);
    }
    found.ends[0] = u32::MAX;
    let mut len = 1;
    let mut base = 0;
    let (steps, tail) = text.as_chunks::<STEP>();
    for step in steps {
        let (blanks, newlines) = masks(step);
        emit(found, &mut len, base, blanks | newlines, newlines);
        base += STEP;
    }
    if !tail.is_empty() {
        let mut step = [0; STEP];
        step[..tail.len()].copy_from_slice(tail);
        let (blanks, newlines) = masks(&step);
        emit(found, &mut len, base, blanks | newlines, newlines);
    }
    found.ends_len = len;
}

#[inline(always)]
fn emit(found: &mut Delimiters, len: &mut usize, base: usize, mut all: u64, mut newlines: u64) {
    if found.ends.len() < *len + STEP {
        let doubled = found.ends.len() * 2 + STEP;
        found.ends.resize(doubled, 0);
    }
    while newlines != 0 {
        let before = all & (newlines & newlines.wrapping_neg()).wrapping_sub(1);
        found.line_ends.push((*len + before.count_ones() as usize) as u32);
        newlines &= newlines - 1;
    }
    let out = &mut found.ends[*len..*len + STEP];
    let count = all.count_ones() as usize;
    // Four at a time without a branch each; what is written past `count` is overwritten by the next step.
    let mut at = 0;
    while at < count {
        for slot in &mut out[at..at + 4] {
            *slot = (base + (all.trailing_zeros() & 63) as usize) as u32;
            all &= all.wrapping_sub(1);
        }
        at += 4;
    }
    *len += count;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(text: &[u8]) -> (Vec<u32>, Vec<u32>) {
        let mut ends = vec![u32::MAX];
        let mut line_ends = Vec::new();
        for (i, b) in text.iter().enumerate() {
            if *b == b'\n' {
                line_ends.push(ends.len() as u32);
            }
            if matches!(b, b' ' | b'\n') {
                ends.push(i as u32);
            }
        }
        (ends, line_ends)
    }

    #[track_caller]
    fn check(text: &[u8]) {
        let (ends, line_ends) = naive(text);
        for backend in Backend::available() {
            let mut found = Delimiters::default();
            // Twice: buffers must not remember.
            backend.locate(b"a b\nc \n\n x", &mut found);
            backend.locate(text, &mut found);
            assert_eq!(
                (found.ends(), found.line_ends()),
                (&ends[..], &line_ends[..]),
                "{backend:?} {text:?}"
            );
        }
    }

    #[test]
    fn each_seed_at_every_offset() {
        for seed in ["", " ", "\n", " \n", "ab", "2 123 - x\n", "\n\n\n", "\u{a0} \u{20ac}\n"] {
            for offset in 0..130 {
                let text =
                    ["x".repeat(offset).as_bytes(), seed.as_bytes(), "y".repeat(130 - offset).as_bytes()]
                        .concat();
                check(&text);
            }
        }
        check(&[b' '; 1000]);
        check(&[b'\n'; 1000]);
        // Bytes that differ from a delimiter in one bit only, and those next to it.
        check(&(0..=255).collect::<Vec<u8>>());
        check(&[0x1f, 0x21, 0x20 | 0x80, 0x0a | 0x80, 0x0b, 0x09, 0x0a, 0x20].repeat(40));
    }

    proptest! {
        #[test]
        fn every_text(text in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'\n'), any::<u8>()], 0..600)) {
            check(&text);
        }
    }
}
