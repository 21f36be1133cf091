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
use crate::task_id::TaskId;

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
    pub task: TaskId,
}

impl FailedClaim {
    pub(crate) fn new(object: SourceObject, cause: Cause, options: Arc<Options>, task: TaskId) -> Self {
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
    /// Its id as a number.
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
            task: claim.task.number(),
        }))
    }

    fn decode(bytes: &[u8], words: &Words) -> Result<Vec<Self>, RecordError> {
        let forms: Vec<FailedForm> = from_lines(bytes)?;
        let claim = |form: FailedForm| {
            Ok(Self::new(form.object, form.cause, words.get(form.options)?, form.task.into()))
        };
        forms.into_iter().map(claim).collect()
    }
}

/// An id, and a number that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) id: ObjectId,
    /// Of a converted object: a hash of its etag as it was listed, 0 where it has none.
    pub(crate) etag: u32,
    /// Of a converted object: its size as it was listed.
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
    fn of(object: &SourceObject) -> Self {
        Self { id: object.id(), etag: etag_hash(object.etag()), number: object.bytes }
    }

    /// Whether the object that was taken is not the one that is listed now. An etag is compared where both have one.
    fn differs(&self, now: &SourceObject) -> bool {
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

/// Objects in the table that a sorted listing names: enough to find out about their past.
const FIRST_KNOWN_MAX: usize = 1_000;

/// A listing, sorted out against what a table holds. Each object is in one of these.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// To be planned.
    pub new: Vec<SourceObject>,
    /// In the table already.
    pub known: u64,
    /// The first of these.
    pub first_known: Vec<ObjectId>,
    /// In a task that has no commit.
    pub open: Vec<ObjectId>,
    /// Of those known or in such a task: changed since. The size that they had then is given, which may be the same. What they
    /// hold now is not in the table.
    pub changed: Vec<(SourceObject, u64)>,
    /// Could not be read before, and nothing has changed since.
    pub failed: Vec<(SourceObject, Cause)>,
    /// Could not be read before, for a reason that only a look at them can tell to be gone.
    pub to_look_at: Vec<(SourceObject, Cause)>,
}

/// What an object is to a table.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// It could not be read.
    Failed(&'a Cause),
    /// No task has it.
    New,
    /// A live task has it.
    Taken {
        /// Whether it is another one now, by size or etag.
        has_changed: bool,
    },
}

impl Known {
    /// What the object is to the table.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub fn standing(&self, object: &SourceObject) -> Result<Standing<'_>, Error> {
        let id = object.id();
        if let Some(then) = self.taken.get(&id)? {
            return Ok(Standing::Taken { has_changed: then.differs(object) });
        }
        let failed = self
            .failed
            .get(&id)?
            .filter(|claim| (claim.object.bytes, claim.object.etag()) == (object.bytes, object.etag()));
        Ok(failed.map_or(Standing::New, |claim| Standing::Failed(&claim.cause)))
    }

    /// A live task holds the object. Returns whether no other one does, as far as is known: what a checkpoint tells is seen to
    /// once it is read.
    pub(crate) fn take(&mut self, object: &SourceObject) -> bool {
        self.taken.add(Numbered::of(object))
    }

    /// A live task holds the object, which another one may hold, or this one as it was before.
    pub(crate) fn take_again(&mut self, object: &SourceObject) {
        self.taken.put(Numbered::of(object));
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
    pub(crate) fn forget_failures_of(&mut self, tasks: &HashSet<TaskId>) -> Result<(), Error> {
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
            if let Some(then) = self.taken.get(&id)? {
                if open.contains(&id) {
                    sorted.open.push(id);
                } else {
                    sorted.known += 1;
                    if sorted.first_known.len() < FIRST_KNOWN_MAX {
                        sorted.first_known.push(id);
                    }
                }
                if then.differs(&object) {
                    sorted.changed.push((object, then.number));
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
