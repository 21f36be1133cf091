//! What objects are called, so that copies of one are known wherever they lie.

use flowquet_format::{NamedForm, UniqueName};

use crate::numbered::Numbered;
use crate::objects::{ObjectId, SourceObject};

/// What one object is to another of the same name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It holds the same lines.
    Copy,
    /// It may.
    Alike,
}

// Forms of objects, in place of a hash of an etag. Checkpoints rest on them.

/// Of any form: others may have the name.
const ANYBODYS: u32 = 0;
const OTHER: u32 = 1;
const PLAIN: u32 = 2;
const PACKED: u32 = 3;

/// What is kept of an object's name: an id made from it, the size of the object, and its form.
pub(crate) fn name_of(object: &SourceObject) -> Numbered {
    let (path, form) = match UniqueName::of(object.key()) {
        Some(UniqueName { path, form: NamedForm::Other }) => (path, OTHER),
        Some(UniqueName { path, form: NamedForm::Plain }) => (path, PLAIN),
        Some(UniqueName { path, form: NamedForm::Packed }) => (path, PACKED),
        None => (format!("{}\0{}", object.key(), object.bytes), ANYBODYS),
    };
    Numbered { id: ObjectId::of(&path), etag: form, number: object.bytes }
}

/// What an object is to one of the same name that is to be in the table. Of what was packed the unpacked text has at most the lines; what is plain may
/// be a part of what was packed, and of another size anything may be a part of anything.
pub(crate) fn likeness(kept: &Numbered, other: &Numbered) -> Likeness {
    let is_same = match (kept.etag, other.etag) {
        (ANYBODYS, _) | (_, ANYBODYS) => false,
        // Pieces of one size.
        (OTHER, OTHER) => false,
        (PACKED, PLAIN) => true,
        _ => kept.number == other.number,
    };
    if is_same && kept.number > 0 { Likeness::Copy } else { Likeness::Alike }
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
            (20_240_101, "3f90".to_owned(), PACKED, 7)
        );
        assert_eq!(named("flow.log"), (0x811c_9dc5, "3a89".to_owned(), ANYBODYS, 7));
    }
}
