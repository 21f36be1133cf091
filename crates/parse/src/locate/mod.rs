//! Finds every delimiter of a block: blanks and newlines, 64 bytes a step.
//!
//! Most instruction sets give one function, the masks of 64 bytes; the sweep around it is the same. The scalar one is the oracle
//! of the others.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use crate::backend::Backend;

/// Offsets of the delimiters of one block.
#[derive(Debug, Default)]
pub struct Delimiters {
    /// First a sentinel, `u32::MAX`: the delimiter before the first byte. Then each delimiter's offset.
    ends: Table,
    /// For each newline its index in `ends`.
    line_ends: Table,
}

/// Numbers that are written a step at a time. The buffer is reused from block to block; its length is kept apart from what is
/// filled.
#[derive(Debug, Default)]
struct Table {
    places: Vec<u32>,
    filled: usize,
}

impl Table {
    fn filled(&self) -> &[u32] {
        &self.places[..self.filled]
    }

    /// The places of a step behind the first `filled` ones.
    #[inline(always)]
    fn room(&mut self, filled: usize) -> &mut [u32; STEP] {
        if self.places.len() < filled + STEP {
            let doubled = self.places.len() * 2 + STEP;
            self.places.resize(doubled.max(filled + STEP), 0);
        }
        self.places[filled..].first_chunk_mut().expect("made above")
    }

    fn push(&mut self, number: u32) {
        self.room(self.filled)[0] = number;
        self.filled += 1;
    }
}

impl Delimiters {
    /// The sentinel and each delimiter's offset, ascending.
    #[inline]
    pub fn ends(&self) -> &[u32] {
        self.ends.filled()
    }

    /// For each newline its index in [`Self::ends`].
    #[inline]
    pub fn line_ends(&self) -> &[u32] {
        self.line_ends.filled()
    }

    /// Adds a newline behind the text, for a last line that has none.
    pub fn push_virtual_newline(&mut self, text_len: usize) {
        self.line_ends.push(offset(self.ends.filled));
        self.ends.push(offset(text_len));
    }

    /// Forgets all delimiters behind the last newline.
    pub fn truncate_to_lines(&mut self) {
        self.ends.filled = self.line_ends().last().map_or(1, |&i| i as usize + 1);
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
            Self::Avx512 => avx512::locate(text, found),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::locate(text, found),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::locate(text, found),
            Self::Scalar => scalar::locate(text, found),
        }
    }
}

/// Bytes that one step looks at.
const STEP: usize = 64;

/// The sweep: `masks` gives the blanks and the newlines of 64 bytes as bits, lowest first.
#[inline(always)]
fn sweep(text: &[u8], found: &mut Delimiters, masks: impl Fn(&[u8; STEP]) -> (u64, u64)) {
    let mut at = At::begin(found);
    let (steps, tail) = text.as_chunks::<STEP>();
    for step in steps {
        let (blanks, newlines) = masks(step);
        emit(found, &mut at, blanks | newlines, newlines);
    }
    if !tail.is_empty() {
        let (blanks, newlines) = masks(&padded(tail));
        emit(found, &mut at, blanks | newlines, newlines);
    }
    at.end(found);
}

/// How far a sweep is.
struct At {
    /// Bytes before the step.
    base: u32,
    ends: usize,
    lines: usize,
}

impl At {
    #[inline(always)]
    fn begin(found: &mut Delimiters) -> Self {
        found.ends.room(0)[0] = u32::MAX;
        Self { base: 0, ends: 1, lines: 0 }
    }

    #[inline(always)]
    fn end(self, found: &mut Delimiters) {
        (found.ends.filled, found.line_ends.filled) = (self.ends, self.lines);
    }
}

/// A last step, of less than 64 bytes.
fn padded(tail: &[u8]) -> [u8; STEP] {
    let mut step = [0; STEP];
    step[..tail.len()].copy_from_slice(tail);
    step
}

#[inline(always)]
fn emit(found: &mut Delimiters, at: &mut At, mut all: u64, mut newlines: u64) {
    while newlines != 0 {
        let before = all & (newlines & newlines.wrapping_neg()).wrapping_sub(1);
        found.line_ends.room(at.lines)[0] = (at.ends + before.count_ones() as usize) as u32;
        at.lines += 1;
        newlines &= newlines - 1;
    }
    let out = found.ends.room(at.ends);
    let count = all.count_ones() as usize;
    // Four at a time without a branch each; what is written past `count` is overwritten by the next step.
    let mut i = 0;
    while i < count {
        for slot in &mut out[i..i + 4] {
            *slot = at.base + (all.trailing_zeros() & 63);
            all &= all.wrapping_sub(1);
        }
        i += 4;
    }
    at.ends += count;
    at.base += STEP as u32;
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
