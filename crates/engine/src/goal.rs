//! A task that is to be performed, and what its files are for.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowquet_table::{Task, compacted_folder};

use crate::context::PlanContext;

/// A task without a commit.
#[derive(Debug, Clone)]
pub(crate) struct PlannedTask {
    pub(crate) plan_number: u64,
    pub(crate) goal: Goal,
    pub(crate) context: Arc<PlanContext>,
    pub(crate) task: Task,
}

/// What a task's files are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// They are part of the table once the task is committed.
    Commit {
        /// Layout version of the task's plan, which decides the name of its commit.
        layout_version: u32,
    },
    /// They stand aside until the record of a reconversion makes them part of the table.
    Aside {
        /// The reconversion.
        id: String,
        /// The partition folders whose rows are wanted; all if `None`. Rows of others are counted and dropped.
        partitions: Option<Arc<BTreeSet<String>>>,
        /// Whether digests of inputs are those of all of their rows, also of those that are dropped.
        is_whole: bool,
    },
}

impl Goal {
    /// Where the file of this key is put.
    pub(crate) fn place(&self, key: &str) -> String {
        match self {
            Self::Commit { .. } => key.to_owned(),
            Self::Aside { id, .. } => format!("{}/{key}", compacted_folder(id)),
        }
    }

    /// Layout version of the task's plan; none where it is of no plan.
    pub(crate) fn layout_version(&self) -> Option<u32> {
        match self {
            Self::Commit { layout_version } => Some(*layout_version),
            Self::Aside { .. } => None,
        }
    }

    /// Whether the task is of a plan.
    pub(crate) fn is_commit(&self) -> bool {
        matches!(self, Self::Commit { .. })
    }

    /// The partition folders of which anything is made; all if `None`.
    pub(crate) fn partitions(&self) -> Option<&Arc<BTreeSet<String>>> {
        match self {
            Self::Aside { partitions, is_whole: false, .. } => partitions.as_ref(),
            Self::Aside { .. } | Self::Commit { .. } => None,
        }
    }

    /// Whether rows of this partition folder are wanted.
    pub(crate) fn wants(&self, folder: &str) -> bool {
        match self {
            Self::Aside { partitions: Some(wanted), .. } => wanted.contains(folder),
            Self::Aside { .. } | Self::Commit { .. } => true,
        }
    }
}
