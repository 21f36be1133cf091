//! Names of segments, which tell their bytes.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Half of the SHA-256 digest of a segment's bytes, in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in &Sha256::digest(bytes)[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether these are the bytes that a segment's key tells.
pub(crate) fn is_named_after(key: &str, bytes: &[u8]) -> bool {
    key.rsplit_once('-').is_some_and(|(_, name)| name == digest(bytes))
}
