//! Ids of records that replace files, and names of what they write.

use sha2::{Digest as _, Sha256};

/// A digest of these words, of which ids are made.
pub(crate) fn digest_of(words: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update(b"\n");
    }
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("eight bytes"))
}
