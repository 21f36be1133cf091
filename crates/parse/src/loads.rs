//! Loads from slices for the hot loops of all instruction sets: the places from which a vector can be loaded.
#![allow(
    unsafe_code,
    reason = "one compare a load in place of a slice's two; what it gains, its callers' benchmarks show"
)]

/// A text from which `N` bytes are loaded at any place where that many are left.
#[derive(Clone, Copy)]
pub(crate) struct Loads<'a, const N: usize> {
    text: &'a [u8],
    /// How many places that are: what a place is compared with.
    places: usize,
}

impl<'a, const N: usize> Loads<'a, N> {
    #[inline]
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self { text, places: (text.len() + 1).saturating_sub(N) }
    }

    /// The bytes at `at`; `None` where fewer are left.
    #[inline(always)]
    pub(crate) fn at(self, at: usize) -> Option<&'a [u8; N]> {
        // SAFETY: `at + N` is at most the text's length, so that these bytes lie inside it.
        (at < self.places).then(|| unsafe { &*self.text.as_ptr().add(at).cast() })
    }
}

/// Masks of which the `i`-th keeps the first `i + more` bytes.
pub(crate) const fn first_bytes<const BYTES: usize, const MASKS: usize>(more: usize) -> [[u8; BYTES]; MASKS] {
    let mut all = [[0; BYTES]; MASKS];
    let mut i = 0;
    while i < MASKS {
        let mut byte = 0;
        while byte < i + more {
            all[i][byte] = 0xff;
            byte += 1;
        }
        i += 1;
    }
    all
}

/// Masks of which the `i`-th keeps the last `i` bytes.
pub(crate) const fn last_bytes<const BYTES: usize, const MASKS: usize>() -> [[u8; BYTES]; MASKS] {
    let mut all = [[0; BYTES]; MASKS];
    let mut i = 0;
    while i < MASKS {
        let mut byte = BYTES - i;
        while byte < BYTES {
            all[i][byte] = 0xff;
            byte += 1;
        }
        i += 1;
    }
    all
}
