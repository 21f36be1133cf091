//! Which listed objects are new to a table.

use std::collections::HashMap;

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

/// Objects that a table's plans hold, by URL.
#[derive(Debug, Default)]
pub struct Known {
    by_url: HashMap<String, State>,
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

impl Known {
    /// What the plans hold, in order, with the commit record of each task that has one.
    pub fn of<'a>(
        plans: impl IntoIterator<Item = &'a PlanRecord>,
        commits: &HashMap<String, CommitRecord>,
    ) -> Self {
        let mut known = Self::default();
        for plan in plans {
            for task in &plan.tasks {
                if commits.get(&task.id).is_some_and(|c| c.void.is_some()) {
                    continue;
                }
                for object in &task.objects {
                    known.by_url.insert(object.url.clone(), State::Taken { bytes: object.bytes });
                }
                let inputs = commits.get(&task.id).into_iter().flat_map(|c| &c.inputs);
                for (object, reason) in inputs.filter_map(|i| Some((&i.object, i.failed.clone()?))) {
                    let failed = Failed {
                        bytes: object.bytes,
                        etag: object.etag.clone(),
                        options: plan.options.clone(),
                        reason,
                    };
                    known.by_url.insert(object.url.clone(), State::Failed(Box::new(failed)));
                }
            }
        }
        known
    }

    /// Sorts out `listing` for a run with `options`.
    pub fn sort_out(&self, listing: &[SourceObject], options: &Options) -> SortedOut {
        let mut sorted = SortedOut::default();
        for object in listing {
            match self.by_url.get(&object.url) {
                None => sorted.new.push(object.clone()),
                Some(State::Taken { bytes }) => {
                    sorted.known += 1;
                    sorted.known_bytes += object.bytes;
                    if *bytes != object.bytes {
                        sorted.changed.push((object.clone(), *bytes));
                    }
                }
                Some(State::Failed(then)) => {
                    let is_changed = (object.bytes, &object.etag) != (then.bytes, &then.etag);
                    if is_changed || options.reads_otherwise(&then.options) {
                        sorted.new.push(object.clone());
                    } else {
                        sorted.failed.push((object.clone(), then.reason.clone()));
                    }
                }
            }
        }
        sorted
    }
}
