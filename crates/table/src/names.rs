//! What objects are called, so that copies of one are known wherever they lie.

use flowquet_format::UniqueName;

use crate::numbered::{Numbered, etag_hash};
use crate::objects::{ObjectId, SourceObject};

/// What one object is to another of the same name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Copy,
    Alike,
}

/// In place of a hash: others may have the name.
const ANYBODYS: u32 = 0;

/// In place of a hash: how an object of the name is packed is not known.
const UNKNOWN: u32 = 1;

/// What is kept of an object's name: an id made from it, the size of the object, and a hash of how it is packed.
pub(crate) fn name_of(object: &SourceObject) -> Numbered {
    match UniqueName::of(object.key()) {
        Some(UniqueName { path, packing }) => {
            // A plain one has a hash too.
            let etag = packing.map_or(UNKNOWN, |packing| etag_hash(&format!("log{packing}")));
            Numbered { id: ObjectId::of(&path), etag, number: object.bytes }
        }
        None => {
            let path = format!("{}\0{}", object.key(), object.bytes);
            Numbered { id: ObjectId::of(&path), etag: ANYBODYS, number: object.bytes }
        }
    }
}

/// What an object is to one of the same name. One of another size, unless it is packed otherwise, was not read to its end or was changed.
pub(crate) fn likeness(one: &Numbered, other: &Numbered) -> Likeness {
    let packings = [one.etag, other.etag];
    let is_packed_otherwise = one.etag != other.etag && !packings.contains(&UNKNOWN);
    if !packings.contains(&ANYBODYS) && (one.number == other.number || is_packed_otherwise) {
        Likeness::Copy
    } else {
        Likeness::Alike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checkpoints rest on them.
    #[test]
    fn names_never_change() {
        let named = |key: &str| {
            let object = SourceObject::new(format!("s3://a/{key}"), key, 7, "");
            let Numbered { id, etag, number } = name_of(&object);
            (id.shelf, format!("{:02x}{:02x}", id.digest[0], id.digest[15]), etag, number)
        };
        assert_eq!(
            named("x/111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f2e3d4c.log.gz"),
            (20_240_101, "3f90".to_owned(), 0x21b4_744c, 7)
        );
        assert_eq!(named("flow.log"), (0x811c_9dc5, "3a89".to_owned(), 0, 7));
    }
}
