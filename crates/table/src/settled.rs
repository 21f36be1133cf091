//! What is kept of commits, once their lines were found to add up.

use crate::cause::Cause;
use crate::error::Error;
use crate::objects::SourceObject;
use crate::records::{CommitRecord, Counts, InputRecord, OutputRecord};

/// What is kept of a commit record.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) plan: u64,
    pub(crate) is_void: bool,
    pub(crate) failed: Vec<(SourceObject, Cause)>,
    pub(crate) outputs: Vec<OutputRecord>,
    pub(crate) objects: u64,
    /// Of these, damaged ones.
    pub(crate) damaged: u64,
    pub(crate) bytes_in: u64,
    pub(crate) counts: Counts,
}

impl Settled {
    /// Checks a commit and keeps what counts.
    pub(crate) fn of(commit: CommitRecord) -> Result<Self, Error> {
        check_commit(&commit)?;
        let (mut objects, mut bytes_in, mut damaged) = (0, 0, 0);
        let mut failed = Vec::new();
        for InputRecord { object, failed: cause, damaged: damage, .. } in commit.inputs {
            match cause {
                Some(cause) => failed.push((object, cause)),
                None => {
                    objects += 1;
                    damaged += u64::from(damage.is_some());
                    bytes_in += object.bytes;
                }
            }
        }
        Ok(Self {
            plan: commit.plan,
            is_void: commit.void.is_some(),
            failed,
            outputs: commit.outputs,
            objects,
            damaged,
            bytes_in,
            counts: commit.counts,
        })
    }
}

/// Checks that a commit's lines add up.
pub(crate) fn check_commit(commit: &CommitRecord) -> Result<(), Error> {
    let mut counts = Counts::default();
    commit.inputs.iter().for_each(|input| counts.add(&input.counts));
    let rows: u64 = commit.outputs.iter().map(|o| o.rows).sum();
    let is_right = counts == commit.counts
        && counts.balances()
        && rows == counts.records
        && commit.digests_agree()
        && commit.outputs.iter().all(|output| output.duplicates.is_none())
        && (commit.void.is_none() || commit.inputs.is_empty() && commit.outputs.is_empty());
    if is_right {
        return Ok(());
    }
    let what = format!("task {}: {:?}, {rows} rows in files", commit.task, commit.counts);
    Err(Error::Broken { invariant: "L5", what })
}
