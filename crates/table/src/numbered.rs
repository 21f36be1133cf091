//! Ids of objects and numbers that go with them, as checkpoints keep many.

use crate::objects::{ObjectId, SourceObject};
use crate::records::RecordError;
use crate::shelf::{Entry, Words};

/// An id, and a number that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) id: ObjectId,
    /// Of a converted object: a hash of its etag as it was listed, 0 where it has none. Of a name: the object's form.
    pub(crate) etag: u32,
    /// Of a converted object, and of one that has a name: its size as it was listed.
    pub(crate) number: u64,
}

/// A hash of an etag that is never 0, unless the etag is empty: FNV-1a of 64 bits, folded. Checkpoints rest on it.
///
/// Of four billion objects that change without changing their size one goes unnoticed.
fn etag_hash(etag: &str) -> u32 {
    if etag.is_empty() {
        return 0;
    }
    let hash = etag
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

impl Numbered {
    /// What is kept of an object that is taken.
    pub(crate) fn of(object: &SourceObject) -> Self {
        Self { id: object.id(), etag: etag_hash(object.etag()), number: object.bytes }
    }

    /// Whether the object that was taken is not the one that is listed now. An etag is compared where both have one.
    pub(crate) fn differs(&self, now: &SourceObject) -> bool {
        let etag = etag_hash(now.etag());
        self.number != now.bytes || (self.etag != etag && self.etag != 0 && etag != 0)
    }
}

/// On disk, integers little-endian: of each shelf its number (u32), how many entries it has (u32), their digests (16 bytes each),
/// their numbers (u64 each) and their hashes of etags (u32 each).
impl Entry for Numbered {
    type Key = ObjectId;
    const SEGMENT_MAX: usize = 65_536;

    fn key(&self) -> &ObjectId {
        &self.id
    }

    fn encode(entries: &[Self], _: &mut Words) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(entries.len() * 28 + 64);
        for shelf in entries.chunk_by(|a, b| a.id.shelf == b.id.shelf) {
            bytes.extend(shelf[0].id.shelf.to_le_bytes());
            bytes.extend(u32::try_from(shelf.len()).expect("no more than a segment").to_le_bytes());
            shelf.iter().for_each(|entry| bytes.extend(entry.id.digest));
            shelf.iter().for_each(|entry| bytes.extend(entry.number.to_le_bytes()));
            shelf.iter().for_each(|entry| bytes.extend(entry.etag.to_le_bytes()));
        }
        bytes
    }

    fn decode(mut bytes: &[u8], _: &Words) -> Result<Vec<Self>, RecordError> {
        fn part<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], RecordError> {
            bytes.split_off(..length).ok_or_else(|| RecordError::Wrong("it ends too early".to_owned()))
        }
        let mut entries = Vec::with_capacity(bytes.len() / 28);
        while !bytes.is_empty() {
            let mut word = || -> Result<u32, RecordError> {
                Ok(u32::from_le_bytes(*part(&mut bytes, 4)?.first_chunk().expect("four bytes")))
            };
            let (shelf, count) = (word()?, word()? as usize);
            let digests = part(&mut bytes, 16 * count)?.as_chunks::<16>().0;
            let numbers = part(&mut bytes, 8 * count)?.as_chunks::<8>().0;
            let etags = part(&mut bytes, 4 * count)?.as_chunks::<4>().0;
            entries.extend(digests.iter().zip(numbers).zip(etags).map(|((digest, number), etag)| Self {
                id: ObjectId { shelf, digest: *digest },
                etag: u32::from_le_bytes(*etag),
                number: u64::from_le_bytes(*number),
            }));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_keep_their_bytes() {
        let entry = |shelf, digest, number| {
            let id = ObjectId { shelf, digest: [digest; 16] };
            Numbered { id, etag: 256 * u32::from(digest), number }
        };
        let entries = [entry(20_190_820, 1, 7), entry(20_190_820, 2, 8), entry(1 << 31, 0, u64::MAX)];
        let bytes = Numbered::encode(&entries, &mut Words::default());
        let mut expected = Vec::new();
        expected.extend(20_190_820_u32.to_le_bytes());
        expected.extend([2, 0, 0, 0]);
        expected.extend([[1; 16], [2; 16]].concat());
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 1, 0, 0, 0, 2, 0, 0]);
        expected.extend([0, 0, 0, 128, 1, 0, 0, 0]);
        expected.extend([[0; 16].as_slice(), &[255; 8], &[0; 4]].concat());
        assert_eq!(bytes, expected);
        assert_eq!(Numbered::decode(&bytes, &Words::default()).expect("as written"), entries);
        assert!(Numbered::decode(&bytes[..bytes.len() - 1], &Words::default()).is_err());
    }

    #[test]
    fn hashes_of_etags_never_change() {
        for (etag, hash) in [("", 0), ("a", 0x2962_30c0), ("1705276800000000000", 0xc920_a755)] {
            assert_eq!(etag_hash(etag), hash, "{etag}: {:#x}", etag_hash(etag));
        }
    }

    #[test]
    fn what_changed_is_told_by_size_or_etag() {
        let object = |bytes, etag| SourceObject::new("s3://logs/a".to_owned(), "a", bytes, etag);
        let then = Numbered::of(&object(7, "x"));
        for (bytes, etag, differs) in
            [(7, "x", false), (8, "x", true), (7, "y", true), (7, "", false), (8, "", true)]
        {
            assert_eq!(then.differs(&object(bytes, etag)), differs, "{bytes} {etag}");
        }
        // An inventory without etags took it.
        assert!(!Numbered::of(&object(7, "")).differs(&object(7, "y")));
    }
}
