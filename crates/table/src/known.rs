//! Which listed objects are new to a table.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Retry};
use crate::error::Error;
use crate::objects::{ObjectId, SourceObject};
use crate::options::Options;
use crate::records::RecordError;
use crate::shelf::{Entry, Shelf, Words, from_lines, to_lines};

/// An object that could not be read when a task tried it.
#[derive(Debug, Clone)]
pub struct FailedClaim {
    id: ObjectId,
    /// The object as it was then.
    pub object: SourceObject,
    /// Why.
    pub cause: Cause,
    /// Options that it was tried with.
    pub options: Arc<Options>,
    /// The task.
    pub task: u64,
}

impl FailedClaim {
    pub(crate) fn new(object: SourceObject, cause: Cause, options: Arc<Options>, task: u64) -> Self {
        Self { id: object.id(), object, cause, options, task }
    }
}

/// On disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailedForm {
    object: SourceObject,
    cause: Cause,
    options: u32,
    task: u64,
}

impl Entry for FailedClaim {
    type Key = ObjectId;
    const SEGMENT_MAX: usize = 4096;

    fn key(&self) -> &ObjectId {
        &self.id
    }

    fn encode(entries: &[Self], words: &mut Words) -> Vec<u8> {
        to_lines(entries.iter().map(|claim| FailedForm {
            object: claim.object.clone(),
            cause: claim.cause.clone(),
            options: words.place(&claim.options),
            task: claim.task,
        }))
    }

    fn decode(bytes: &[u8], words: &Words) -> Result<Vec<Self>, RecordError> {
        let forms: Vec<FailedForm> = from_lines(bytes)?;
        let claim =
            |form: FailedForm| Ok(Self::new(form.object, form.cause, words.get(form.options)?, form.task));
        forms.into_iter().map(claim).collect()
    }
}

/// An id, and a number that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) id: ObjectId,
    /// Of a converted object: its size as it was listed.
    pub(crate) number: u64,
}

/// On disk, integers little-endian: of each shelf its number (u32), how many entries it has (u32), their digests (16 bytes each)
/// and their numbers (u64 each).
impl Entry for Numbered {
    type Key = ObjectId;
    const SEGMENT_MAX: usize = 65_536;

    fn key(&self) -> &ObjectId {
        &self.id
    }

    fn encode(entries: &[Self], _: &mut Words) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(entries.len() * 24 + 64);
        for shelf in entries.chunk_by(|a, b| a.id.shelf == b.id.shelf) {
            bytes.extend(shelf[0].id.shelf.to_le_bytes());
            bytes.extend(u32::try_from(shelf.len()).expect("no more than a segment").to_le_bytes());
            shelf.iter().for_each(|entry| bytes.extend(entry.id.digest));
            shelf.iter().for_each(|entry| bytes.extend(entry.number.to_le_bytes()));
        }
        bytes
    }

    fn decode(mut bytes: &[u8], _: &Words) -> Result<Vec<Self>, RecordError> {
        fn part<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], RecordError> {
            bytes.split_off(..length).ok_or_else(|| RecordError::Wrong("it ends too early".to_owned()))
        }
        let mut entries = Vec::with_capacity(bytes.len() / 24);
        while !bytes.is_empty() {
            let mut word = || -> Result<u32, RecordError> {
                Ok(u32::from_le_bytes(*part(&mut bytes, 4)?.first_chunk().expect("four bytes")))
            };
            let (shelf, count) = (word()?, word()? as usize);
            let digests = part(&mut bytes, 16 * count)?.as_chunks::<16>().0;
            let numbers = part(&mut bytes, 8 * count)?.as_chunks::<8>().0;
            entries.extend(digests.iter().zip(numbers).map(|(digest, number)| Self {
                id: ObjectId { shelf, digest: *digest },
                number: u64::from_le_bytes(*number),
            }));
        }
        Ok(entries)
    }
}

/// Objects that a table's live tasks hold.
#[derive(Debug, Clone)]
pub struct Known {
    /// Converted, or about to be.
    pub(crate) taken: Shelf<Numbered>,
    /// Could not be read. Where a task without a commit tries again, it holds the object too.
    pub(crate) failed: Shelf<FailedClaim>,
}

impl Default for Known {
    fn default() -> Self {
        Self { taken: Shelf::new("L1"), failed: Shelf::new("L1") }
    }
}

/// A listing, sorted out against what a table holds. Each object is in one of these.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// To be planned.
    pub new: Vec<SourceObject>,
    /// In the table already.
    pub known: u64,
    /// In a task that has no commit.
    pub open: Vec<ObjectId>,
    /// Of those known or in such a task: at another size then, which is given. What they hold now is not in the table.
    pub changed: Vec<(SourceObject, u64)>,
    /// Could not be read before, and nothing has changed since.
    pub failed: Vec<(SourceObject, Cause)>,
    /// Could not be read before, for a reason that only a look at them can tell to be gone.
    pub to_look_at: Vec<(SourceObject, Cause)>,
}

impl Known {
    /// A live task holds the object. Returns whether no other one does, as far as is known: what a checkpoint tells is seen to
    /// once it is read.
    pub(crate) fn take(&mut self, object: &SourceObject) -> bool {
        self.taken.add(Numbered { id: object.id(), number: object.bytes })
    }

    /// The same, where another live task may hold it.
    pub(crate) fn take_again(&mut self, object: &SourceObject) {
        self.taken.put(Numbered { id: object.id(), number: object.bytes });
    }

    /// The object was tried and could be read: that it could not be before counts no more.
    pub(crate) fn convert(&mut self, object: &SourceObject) {
        self.failed.discard(&object.id());
    }

    /// The object was tried and could not be read.
    pub(crate) fn fail(&mut self, claim: FailedClaim) {
        self.taken.discard(&claim.id);
        self.failed.put(claim);
    }

    /// No task holds the object. That it could not be read by an earlier one still counts.
    pub(crate) fn free(&mut self, object: &SourceObject) {
        self.taken.discard(&object.id());
    }

    /// What a task could not read is as if never tried.
    pub(crate) fn forget_failures_of(&mut self, tasks: &HashSet<u64>) -> Result<(), Error> {
        let all = self.failed.all()?;
        let ids: Vec<ObjectId> = all.into_iter().filter(|c| tasks.contains(&c.task)).map(|c| c.id).collect();
        ids.iter().for_each(|id| self.failed.discard(id));
        Ok(())
    }

    /// Lets go of what was read of a checkpoint and does not tell of these objects.
    pub(crate) fn keep_only(&mut self, objects: &[SourceObject]) {
        self.taken.keep_only(objects.iter().map(SourceObject::id));
        self.failed.keep_only(objects.iter().map(SourceObject::id));
    }

    /// Sorts out `listing` for a run with `options`. `open` are the objects of tasks without a commit.
    pub(crate) fn sort_out(
        &self,
        listing: Vec<SourceObject>,
        options: &Options,
        open: &HashSet<ObjectId>,
    ) -> Result<Sorted, Error> {
        let mut sorted = Sorted::default();
        for object in listing {
            let id = object.id();
            if let Some(Numbered { number: bytes, .. }) = self.taken.get(&id)? {
                if open.contains(&id) {
                    sorted.open.push(id);
                } else {
                    sorted.known += 1;
                }
                if *bytes != object.bytes {
                    sorted.changed.push((object, *bytes));
                }
                continue;
            }
            let Some(claim) = self.failed.get(&id)? else {
                sorted.new.push(object);
                continue;
            };
            let then = &claim.object;
            let has_changed = (object.bytes, object.etag()) != (then.bytes, then.etag());
            match claim.cause.retry(&claim.options, options) {
                _ if has_changed => sorted.new.push(object),
                Retry::Now => sorted.new.push(object),
                Retry::IfReadable => sorted.to_look_at.push((object, claim.cause.clone())),
                Retry::No => sorted.failed.push((object, claim.cause.clone())),
            }
        }
        Ok(sorted)
    }

    /// Why the object could not be read, if a task tried it and none holds it since.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn failure_of(&self, object: &SourceObject) -> Result<Option<&FailedClaim>, Error> {
        Ok(self.of_id(&object.id())?.1)
    }

    /// What is known of the object of an id: whether a live task holds it, and if not, why it could not be read.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn of_id(&self, id: &ObjectId) -> Result<(bool, Option<&FailedClaim>), Error> {
        let is_taken = self.taken.get(id)?.is_some();
        Ok((is_taken, if is_taken { None } else { self.failed.get(id)? }))
    }

    /// Whether a live task holds the object: converted, or about to be.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn is_taken(&self, object: &SourceObject) -> Result<bool, Error> {
        Ok(self.taken.get(&object.id())?.is_some())
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        /// Of a failed claim with its texts.
        const CLAIM_BYTES: usize = 512;
        2 * size_of::<Numbered>() * self.taken.held() + CLAIM_BYTES * self.failed.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_keep_their_bytes() {
        let entry = |shelf, digest, number| Numbered { id: ObjectId { shelf, digest: [digest; 16] }, number };
        let entries = [entry(20_190_820, 1, 7), entry(20_190_820, 2, 8), entry(1 << 31, 0, u64::MAX)];
        let bytes = Numbered::encode(&entries, &mut Words::default());
        let mut expected = Vec::new();
        expected.extend(20_190_820_u32.to_le_bytes());
        expected.extend([2, 0, 0, 0]);
        expected.extend([[1; 16], [2; 16]].concat());
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 128, 1, 0, 0, 0]);
        expected.extend([[0; 16].as_slice(), &[255; 8]].concat());
        assert_eq!(bytes, expected);
        assert_eq!(Numbered::decode(&bytes, &Words::default()).expect("as written"), entries);
        assert!(Numbered::decode(&bytes[..bytes.len() - 1], &Words::default()).is_err());
    }
}
