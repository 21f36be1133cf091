//! What digests of records are made of: a number for each value, for each row, and for all of them.
//!
//! A digest tells whether two sets of records are the same, in whatever order, files and row groups they stand:
//!
//! ```text
//! word   = XXH3-64 of the bytes of a text; an integer or time itself, modulo 2^64
//! hash   = factor(column) * word + offset(column)         0 for null
//! row    = the sum of the hashes of its values
//! digest = the sum of mix(row) over all rows              all modulo 2^64
//! ```
//!
//! Null adds nothing, so that a column that a file lacks and one that is null in it are the same. Factors are odd, so that a row with
//! one value changed never has the hash that it had; where several change, and for rows, it is as with any hash of 64 bits. It is no
//! defence against somebody who means to deceive.

use twox_hash::XxHash3_64;

/// What the values of a column are hashed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnHash {
    /// Odd.
    pub factor: u64,
    /// Added for each value.
    pub offset: u64,
}

impl ColumnHash {
    /// Of the column of this name.
    pub fn of(column: &str) -> Self {
        let name = hash_text(column.as_bytes());
        Self { factor: name | 1, offset: mixed_row(name) }
    }

    /// The hash of a value.
    #[inline]
    pub fn hash(self, word: u64) -> u64 {
        self.factor.wrapping_mul(word).wrapping_add(self.offset)
    }
}

/// The word of a text.
#[inline]
pub fn hash_text(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// What a row adds to a digest: SplitMix64 of the sum of its hashes.
#[inline]
pub fn mixed_row(row: u64) -> u64 {
    let mut mixed = row.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests stand in records of tables.
    #[test]
    fn digests_never_change() {
        assert_eq!(hash_text(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(mixed_row(0), 0xe220_a839_7b1d_cdaf);
        let column = ColumnHash::of("srcaddr");
        let found = [column.factor, column.offset, column.hash(hash_text(b"10.0.0.1"))];
        assert_eq!(
            found.map(|n| format!("{n:016x}")),
            ["70ddbb285e5469d3", "3baafe19551b94a7", "9b0bd012bc8b9659"]
        );
    }
}
