//! What a run tells while it goes on.

use std::time::Duration;

use crate::summary::Summary;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many objects are listed so far.
    Listed {
        /// Objects.
        objects: u64,
    },
    /// The tasks to perform are known.
    Planned {
        /// Tasks.
        tasks: u64,
        /// Their objects.
        objects: u64,
        /// Their bytes, as stored: of source objects, or of the table's files if these are read.
        bytes: u64,
        /// Tasks among them that an earlier run left.
        left_over: u64,
    },
    /// This much more was read since the last such event.
    Progress {
        /// Bytes of source objects.
        bytes: u64,
        /// Records.
        records: u64,
        /// Objects.
        objects: u64,
    },
    /// A task is settled, and this is what the run has come to so far; its lists are in no order.
    Settled(&'a Summary),
    /// Replaced files are still there for queries that began before: told when the wait begins, and each second.
    Waiting {
        /// The whole wait.
        whole: Duration,
        /// What is left of it.
        left: Duration,
    },
    /// Something to know.
    Warning(&'a str),
}

/// Hears events, from any thread.
pub trait Observer: Sync {
    /// Called for each event.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Sync> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}
