//! Which listed objects are new to a table.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Retry};
use crate::error::Error;
use crate::names::{Likeness, likeness, name_of};
use crate::numbered::Numbered;
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

/// Objects that a table's live tasks hold.
#[derive(Debug, Clone)]
pub struct Known {
    /// Converted, or about to be.
    pub(crate) taken: Shelf<Numbered>,
    /// Could not be read. Where a task without a commit tries again, it holds the object too.
    pub(crate) failed: Shelf<FailedClaim>,
    /// What is kept of the names of those taken. Of several that have one, the last.
    pub(crate) named: Shelf<Numbered>,
}

impl Default for Known {
    fn default() -> Self {
        Self { taken: Shelf::new("L1"), failed: Shelf::new("L1"), named: Shelf::new("names") }
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
    /// No task has it, and a live one has another of its name from another place.
    Copy,
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
        Ok(match failed {
            _ if self.is_copy(object)? => Standing::Copy,
            Some(claim) => Standing::Failed(&claim.cause),
            None => Standing::New,
        })
    }

    /// Whether the table has the object from another place.
    ///
    /// # Errors
    /// As the store reports; [`Error::Checkpoint`].
    pub(crate) fn is_copy(&self, object: &SourceObject) -> Result<bool, Error> {
        let name = name_of(object);
        let same = self.named.get(&name.id)?;
        Ok(object.bytes > 0 && same.is_some_and(|same| likeness(same, &name) == Likeness::Copy))
    }

    /// A live task holds the object. Returns whether no other one does, as far as is known: what a checkpoint tells is seen to
    /// once it is read.
    pub(crate) fn take(&mut self, object: &SourceObject) -> bool {
        self.named.put(name_of(object));
        self.taken.add(Numbered::of(object))
    }

    /// A live task holds the object, which another one may hold, or this one as it was before.
    pub(crate) fn take_again(&mut self, object: &SourceObject) {
        self.named.put(name_of(object));
        self.taken.put(Numbered::of(object));
    }

    /// The object was tried and could be read: that it could not be before counts no more.
    pub(crate) fn convert(&mut self, object: &SourceObject) {
        self.failed.discard(&object.id());
    }

    /// The object was tried and could not be read.
    pub(crate) fn fail(&mut self, claim: FailedClaim) {
        self.free(&claim.object);
        self.failed.put(claim);
    }

    /// No task holds the object. That it could not be read by an earlier one still counts.
    pub(crate) fn free(&mut self, object: &SourceObject) {
        self.taken.discard(&object.id());
        self.named.discard(&name_of(object).id);
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
        self.named.keep_only(std::iter::empty());
    }

    /// Has what a checkpoint tells of these objects, and of the names of those that no task holds, be in memory.
    pub(crate) fn prepare(&self, objects: &[SourceObject]) -> Result<(), Error> {
        self.taken.prepare(objects.iter().map(SourceObject::id))?;
        self.failed.prepare(objects.iter().map(SourceObject::id))?;
        let mut named = Vec::new();
        for object in objects {
            if self.taken.get(&object.id())?.is_none() {
                named.push(name_of(object).id);
            }
        }
        self.named.prepare(named.into_iter())
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
        2 * size_of::<Numbered>() * (self.taken.held() + self.named.held()) + CLAIM_BYTES * self.failed.held()
    }
}
