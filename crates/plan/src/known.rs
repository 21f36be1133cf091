//! Which listed objects are new to a table.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::options::Options;
use crate::records::{CommitRecord, PlanRecord, SourceObject};

#[derive(Debug, Clone)]
enum State {
    /// In a plan; converted, or about to be.
    Taken { bytes: u64 },
    /// In a committed task, where it could not be read.
    Failed(Box<Failed>),
}

#[derive(Debug, Clone)]
struct Failed {
    bytes: u64,
    etag: String,
    options: Options,
    reason: String,
}

/// Objects that a table's plans hold. Their URLs are kept as digests: a table of years holds millions.
#[derive(Debug, Default)]
pub struct Known {
    by_url: HashMap<[u8; 16], State>,
}

/// A listing, sorted out against what a table holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SortedOut {
    /// To be planned.
    pub new: Vec<SourceObject>,
    /// Taken already: how many, and their bytes.
    pub known: u64,
    /// Bytes of `known`.
    pub known_bytes: u64,
    /// Taken already at another size, which is given: what they hold now is not in the table.
    pub changed: Vec<(SourceObject, u64)>,
    /// Could not be read before, for the reason given, and nothing has changed since.
    pub failed: Vec<(SourceObject, String)>,
}

/// Half of a SHA-256 digest: no two URLs that anybody has share it.
fn digest(url: &str) -> [u8; 16] {
    *Sha256::digest(url.as_bytes()).first_chunk().expect("a digest is longer")
}

impl Known {
    /// What one plan holds.
    pub fn of(plan: &PlanRecord, commits: &HashMap<String, CommitRecord>) -> Self {
        let mut known = Self::default();
        known.add(plan, commits);
        known
    }

    /// Adds what a plan holds, after those before it, with the commit record of each task that has one.
    pub fn add(&mut self, plan: &PlanRecord, commits: &HashMap<String, CommitRecord>) {
        for task in &plan.tasks {
            let commit = commits.get(&task.id);
            if commit.is_some_and(|c| c.void.is_some()) {
                continue;
            }
            for object in &task.objects {
                self.by_url.insert(digest(object.url()), State::Taken { bytes: object.bytes });
            }
            let inputs = commit.into_iter().flat_map(|c| &c.inputs);
            for (object, reason) in inputs.filter_map(|i| Some((&i.object, i.failed.clone()?))) {
                let failed = Failed {
                    bytes: object.bytes,
                    etag: object.etag().to_owned(),
                    options: plan.options.clone(),
                    reason,
                };
                self.by_url.insert(digest(object.url()), State::Failed(Box::new(failed)));
            }
        }
    }

    /// Sorts out `listing` for a run with `options`.
    pub fn sort_out(&self, listing: Vec<SourceObject>, options: &Options) -> SortedOut {
        let mut sorted = SortedOut::default();
        for object in listing {
            match self.by_url.get(&digest(object.url())) {
                None => sorted.new.push(object),
                Some(State::Taken { bytes }) => {
                    sorted.known += 1;
                    sorted.known_bytes += object.bytes;
                    if *bytes != object.bytes {
                        sorted.changed.push((object, *bytes));
                    }
                }
                Some(State::Failed(then)) => {
                    let is_changed = (object.bytes, object.etag()) != (then.bytes, then.etag.as_str());
                    if is_changed || options.reads_otherwise(&then.options) {
                        sorted.new.push(object);
                    } else {
                        sorted.failed.push((object, then.reason.clone()));
                    }
                }
            }
        }
        sorted
    }

    /// Objects.
    pub fn len(&self) -> usize {
        self.by_url.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }
}
