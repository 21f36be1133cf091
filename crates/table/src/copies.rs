//! Objects that a table has from another place: what they are called tells.
//!
//! An object is known by its URL, so that a bucket that was replicated, a folder that was copied and a file that was unpacked beside
//! the one that it came from hold new objects with records that the table has. Senders give a name once: an object of
//! such a name is a copy of the one that has it, if its size or form says so. Of other names, the same key below its source with the same size only looks like it.

use std::collections::HashMap;

use crate::error::Error;
use crate::known::Known;
use crate::names::{Likeness, likeness, name_of};
use crate::objects::SourceObject;

/// Objects that are told of, of each kind.
const TOLD_MAX: usize = 3;

/// New objects of a listing, without copies.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// To be planned.
    pub new: Vec<SourceObject>,
    /// Copies of objects that live tasks hold, or of others of the listing.
    pub copies: SomeObjects,
    /// Of those new: they look like copies, and nothing tells for certain.
    pub alike: SomeObjects,
}

/// How many objects, and the URLs of the first ones.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SomeObjects {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl SomeObjects {
    fn add(&mut self, object: &SourceObject) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(object.url().to_owned());
        }
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.count += others.count;
        let room = TOLD_MAX - self.first.len();
        self.first.extend(others.first.into_iter().take(room));
    }
}

impl Known {
    /// Sorts copies out of objects that no live task holds: of those that are copies of each other the first stays, or the packed one.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn sift(&self, new: Vec<SourceObject>) -> Result<Sifted, Error> {
        let mut sifted = Sifted::default();
        // By half of a digest, since there may be very many.
        let mut seen: HashMap<u64, u32> = HashMap::new();
        for object in new {
            let name = name_of(&object);
            let half = u64::from_le_bytes(*name.id.digest.first_chunk().expect("a digest is longer"));
            let of_table = self.named.get(&name.id)?.copied();
            let earlier = seen.get(&half).map(|at| *at as usize).filter(|_| of_table.is_none());
            let same = of_table.or_else(|| earlier.map(|at| name_of(&sifted.new[at])));
            let same = same.filter(|same| same.id == name.id && object.bytes > 0);
            match same.map(|same| (likeness(&same, &name), likeness(&name, &same))) {
                Some((Likeness::Copy, _)) => {
                    sifted.copies.add(&object);
                    continue;
                }
                Some((Likeness::Alike, inverse)) => {
                    if let (Likeness::Copy, Some(at)) = (inverse, earlier) {
                        let unpacked = std::mem::replace(&mut sifted.new[at], object);
                        sifted.copies.add(&unpacked);
                        continue;
                    }
                    sifted.alike.add(&object);
                }
                None => {}
            }
            seen.entry(half).or_insert(u32::try_from(sifted.new.len()).expect("fewer fit the memory"));
            sifted.new.push(object);
        }
        Ok(sifted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: &str = "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f2e3d4c";

    fn object(source: &str, key: &str, bytes: u64) -> SourceObject {
        SourceObject::new(format!("{source}/{key}"), key, bytes, "")
    }

    fn urls(objects: &[SourceObject]) -> Vec<&str> {
        objects.iter().map(SourceObject::url).collect()
    }

    #[test]
    fn copies_are_told_from_what_looks_like_them() {
        let name = format!("2024/{AWS}.log.gz");
        let mut known = Known::default();
        known.take(&object("s3://a", &name, 7));
        known.take(&object("s3://a", "flow.log", 7));
        let sifted = known
            .sift(vec![
                object("s3://b", &name, 7),
                object("s3://b", &format!("other/{AWS}.log"), 70),
                object("s3://c", &name, 8),
                object("s3://b", "flow.log", 7),
                object("s3://b", "flow.log", 8),
                object("s3://b", "other/flow.log", 7),
                object("s3://b", &format!("{AWS} (1).log.gz"), 7),
                object("s3://b", &format!("{AWS}-mended.log.gz"), 9),
            ])
            .expect("in memory");
        let copies = [name.clone(), format!("other/{AWS}.log"), format!("{AWS} (1).log.gz")]
            .map(|key| format!("s3://b/{key}"));
        assert_eq!(sifted.copies.first, copies);
        assert_eq!((sifted.copies.count, sifted.alike.count), (3, 3));
        let mended = format!("s3://b/{AWS}-mended.log.gz");
        assert_eq!(sifted.alike.first, [&*format!("s3://c/{name}"), "s3://b/flow.log", &mended]);
        let new = ["s3://b/flow.log", "s3://b/flow.log", "s3://b/other/flow.log", &mended];
        assert_eq!(urls(&sifted.new)[1..], new);
    }

    #[test]
    fn of_copies_in_one_listing_the_first_stays() {
        let (packed, unpacked) = (format!("{AWS}.log.gz"), format!("{AWS}.log"));
        let listing = vec![
            object("file:///x", &unpacked, 70),
            object("file:///x", &packed, 7),
            object("file:///x", &format!("copy/{packed}"), 7),
            object("file:///x", "empty.log", 0),
            object("file:///y", "empty.log", 0),
            object("file:///y", "flow.log", 9),
            object("file:///z", "flow.log", 9),
        ];
        let sifted = Known::default().sift(listing).expect("in memory");
        assert_eq!(sifted.copies.count, 2);
        assert_eq!(sifted.alike, SomeObjects { count: 1, first: vec!["file:///z/flow.log".to_owned()] });
        // What was unpacked may be a part.
        assert_eq!(urls(&sifted.new)[0], format!("file:///x/{packed}"));
        assert_eq!(sifted.new.len(), 5);
    }

    #[test]
    fn what_was_unpacked_is_no_proof_of_the_whole() {
        let (packed, plain) = (format!("{AWS}.log.gz"), format!("{AWS}.log"));
        let mut known = Known::default();
        known.take(&object("s3://a", &plain, 70));
        let sifted =
            known.sift(vec![object("s3://b", &packed, 20), object("s3://b", &plain, 70)]).expect("in memory");
        assert_eq!((urls(&sifted.new), sifted.copies.count), (vec![&*format!("s3://b/{packed}")], 1));
        assert_eq!(sifted.alike.count, 1);
        // Pieces of one object.
        for sizes in [[70, 70], [70, 60]] {
            let piece = |(ending, size)| object("s3://a", &format!("{AWS}.log.{ending}"), size);
            let pieces = ["aa", "ab"].into_iter().zip(sizes).map(piece).collect();
            assert_eq!(Known::default().sift(pieces).expect("in memory").new.len(), 2, "{sizes:?}");
        }
    }

    #[test]
    fn what_no_task_holds_any_more_has_no_copies() {
        let name = format!("{AWS}.log.gz");
        let (original, copy) = (object("s3://a", &name, 7), object("s3://b", &name, 7));
        let mut known = Known::default();
        known.take(&original);
        assert!(known.is_copy(&copy).expect("in memory"));
        known.free(&original);
        assert!(!known.is_copy(&copy).expect("in memory"));
        assert_eq!(known.sift(vec![copy]).expect("in memory").new.len(), 1);
    }
}
