//! Seals: a checksum at the end of a record, by which one that was edited or damaged is found without another copy of it.
//!
//! ```text
//! {
//!   "layout_version": 5,
//!   …,
//!   "crc32": "1c291ca3"
//! }
//! ```
//!
//! The checksum is that of the record's text without the last entry. A run reads a record whether or not its seal is whole, since
//! somebody may have had a reason to change it; `verify` tells.

use crate::digest::Crc32;

/// What stands before the checksum, and behind it.
const BEFORE: &[u8] = b",\n  \"crc32\": \"";
const BEHIND: &[u8] = b"\"\n}\n";

/// How a record without a seal ends.
const END: &[u8] = b"\n}\n";

/// The entry of a seal.
pub(crate) const ENTRY: &str = "crc32";

/// Whether a record is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It was changed.
    Broken,
    /// Its program knew no seals, or it has been taken off.
    Absent,
    /// It is as it was written.
    Whole,
}

/// Seals the text of a record.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc32 = Crc32(crc32fast::hash(&bytes));
    bytes.truncate(bytes.len() - END.len());
    bytes.extend_from_slice(BEFORE);
    bytes.extend_from_slice(crc32.to_string().as_bytes());
    bytes.extend_from_slice(BEHIND);
    bytes
}

/// A record's text without its seal.
pub(crate) fn unsealed(bytes: &[u8]) -> (Option<Vec<u8>>, Seal) {
    let parts = bytes.strip_suffix(BEHIND).and_then(|rest| rest.split_last_chunk::<8>());
    let Some((digits, body)) = parts.and_then(|(rest, digits)| Some((digits, rest.strip_suffix(BEFORE)?)))
    else {
        return (None, Seal::Absent);
    };
    let body = [body, END].concat();
    let is_whole = Crc32(crc32fast::hash(&body)).to_string().as_bytes() == digits;
    (Some(body), if is_whole { Seal::Whole } else { Seal::Broken })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{CommitRecord, from_json, to_json};

    fn record() -> CommitRecord {
        CommitRecord::void(0x0123_4567_89ab_cdef.into(), 7, crate::LAYOUT_VERSION, "why".into())
    }

    #[test]
    fn a_changed_record_is_found_and_read() {
        let text = sealed(to_json(&record()));
        assert_eq!(unsealed(&text), (Some(to_json(&record())), Seal::Whole));
        assert_eq!(unsealed(&to_json(&record())), (None, Seal::Absent));
        assert_eq!(from_json::<CommitRecord>(&text).expect("as written"), record());
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(unsealed(&changed).1, Seal::Whole, "bit {bit} of byte {at}");
            }
        }
        let edited = String::from_utf8(text.clone()).expect("text").replace("why", "because");
        assert_eq!(unsealed(edited.as_bytes()).1, Seal::Broken);
        assert_eq!(
            from_json::<CommitRecord>(edited.as_bytes()).expect("JSON").void.as_deref(),
            Some("because")
        );
        // As other programs write JSON.
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let short = serde_json::to_vec(&value).expect("plain values");
        assert_eq!(unsealed(&short).1, Seal::Absent);
        assert_eq!(from_json::<CommitRecord>(&short).expect("JSON"), record());
    }
}
