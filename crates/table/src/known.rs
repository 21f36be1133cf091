//! Which listed objects are new to a table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::cause::{Cause, Retry};
use crate::objects::{SourceObject, UrlDigest};
use crate::options::Options;

/// An object that could not be read when a task tried it.
#[derive(Debug, Clone)]
pub struct FailedClaim {
    /// The object as it was then.
    pub object: SourceObject,
    /// Why.
    pub cause: Cause,
    /// Options that it was tried with.
    pub options: Arc<Options>,
    /// The task.
    pub task: u64,
}

/// Objects that a table's live tasks hold.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Converted, or about to be: size as it was listed.
    taken: HashMap<UrlDigest, u64>,
    failed: HashMap<UrlDigest, FailedClaim>,
}

/// A listing, sorted out against what a table holds. Each object is in one of these.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// To be planned.
    pub new: Vec<SourceObject>,
    /// In the table already.
    pub known: u64,
    /// In a task that has no commit: by their digests.
    pub open: Vec<UrlDigest>,
    /// Of those known or in such a task: at another size then, which is given. What they hold now is not in the table.
    pub changed: Vec<(SourceObject, u64)>,
    /// Could not be read before, and nothing has changed since.
    pub failed: Vec<(SourceObject, Cause)>,
    /// Could not be read before, for a reason that only a look at them can tell to be gone.
    pub to_look_at: Vec<(SourceObject, Cause)>,
}

impl Known {
    /// A live task holds the object. Returns whether no other one does.
    pub(crate) fn take(&mut self, object: &SourceObject) -> bool {
        let digest = object.digest();
        self.failed.remove(&digest);
        self.taken.insert(digest, object.bytes).is_none()
    }

    /// The object was tried and could not be read.
    pub(crate) fn fail(&mut self, claim: FailedClaim) {
        let digest = claim.object.digest();
        self.taken.remove(&digest);
        self.failed.insert(digest, claim);
    }

    /// No task holds the object.
    pub(crate) fn free(&mut self, object: &SourceObject) {
        self.taken.remove(&object.digest());
    }

    /// What a task could not read is as if never tried.
    pub(crate) fn forget_failures_of(&mut self, tasks: &HashSet<u64>) {
        self.failed.retain(|_, claim| !tasks.contains(&claim.task));
    }

    /// Sorts out `listing` for a run with `options`. `open` are the objects of tasks without a commit.
    pub(crate) fn sort_out(
        &self,
        listing: Vec<SourceObject>,
        options: &Options,
        open: &HashSet<UrlDigest>,
    ) -> Sorted {
        let mut sorted = Sorted::default();
        for object in listing {
            let digest = object.digest();
            if let Some(bytes) = self.taken.get(&digest) {
                if open.contains(&digest) {
                    sorted.open.push(digest);
                } else {
                    sorted.known += 1;
                }
                if *bytes != object.bytes {
                    sorted.changed.push((object, *bytes));
                }
                continue;
            }
            let Some(claim) = self.failed.get(&digest) else {
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
        sorted
    }

    /// Objects that could not be read, in no order.
    pub fn failed(&self) -> impl Iterator<Item = &FailedClaim> {
        self.failed.values()
    }

    /// Why the object could not be read, if a task tried it and none converted it since.
    pub fn failure_of(&self, object: &SourceObject) -> Option<&FailedClaim> {
        self.failed.get(&object.digest())
    }

    /// What is known of the object of a digest: whether a live task holds it, and if not, why it could not be read.
    pub fn of_digest(&self, digest: &UrlDigest) -> (bool, Option<&FailedClaim>) {
        (self.taken.contains_key(digest), self.failed.get(digest))
    }

    /// Whether a live task holds the object: converted, or about to be.
    pub fn is_taken(&self, object: &SourceObject) -> bool {
        self.taken.contains_key(&object.digest())
    }

    /// Objects.
    pub fn len(&self) -> usize {
        self.taken.len() + self.failed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
