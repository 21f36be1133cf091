//! Whether the rejected lines that a table keeps are those that were rejected.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_store::Store;
use flowquet_table::{CommitRecord, InputRecord, Log, TaskId, rejects_key};
use rayon::prelude::*;

use super::finding::{Fault, Finding, Level};
use super::report::Verified;
use super::share::Share;
use crate::error::Error;
use crate::rejects::{KeptRejects, OfObject};
use crate::threads::pool;

/// Files of rejects that are read at once.
const FILES_AT_ONCE: usize = 16;

/// What a commit tells of its rejected lines.
struct Told {
    task: TaskId,
    /// So many of them are in the file.
    kept: u64,
    /// Whether that is not all.
    is_full: bool,
    /// Of those that have some.
    inputs: Vec<InputRecord>,
}

impl Told {
    fn of(commit: &CommitRecord) -> Self {
        Self {
            task: commit.task,
            kept: commit.rejects_kept(),
            is_full: commit.rejects_not_kept > 0,
            inputs: commit.inputs.iter().filter(|input| input.counts.rejects > 0).cloned().collect(),
        }
    }

    /// What is wrong with the file, if anything is.
    fn compare(&self, kept: &KeptRejects) -> Option<Finding> {
        let finding = Finding::new(Level::Data, Fault::RejectsDiffer, rejects_key(&self.task));
        if let Some(line) = kept.wrong {
            return Some(finding.says(format!("line {line} is not a rejected line")));
        }
        if kept.lines != self.kept {
            return Some(finding.differs(self.kept, kept.lines));
        }
        let mut told: HashMap<&str, &InputRecord> =
            self.inputs.iter().map(|input| (input.object.url(), input)).collect();
        let mut kept: Vec<(&String, &OfObject)> = kept.objects.iter().collect();
        kept.sort_unstable_by_key(|(url, _)| *url);
        for (url, kept) in kept {
            let is_right = told.remove(url.as_str()).is_some_and(|input| {
                let is_part = self.is_full && kept.lines < input.counts.rejects;
                is_part || is_whole(input, kept)
            });
            if !is_right {
                return Some(finding.says(format!("rejected lines of `{url}` are not those that it had")));
            }
        }
        // Without that, the sum tells.
        let missing = told.into_keys().min().filter(|_| !self.is_full)?;
        Some(finding.says(format!("rejected lines of `{missing}` are gone")))
    }
}

/// Whether all rejected lines of an object are kept, as far as its record tells.
fn is_whole(input: &InputRecord, kept: &OfObject) -> bool {
    kept.lines == input.counts.rejects && input.rejects_digest.is_none_or(|digest| digest == kept.digest)
}

/// Compares the kept rejected lines of those tasks that are in `share` with what their commits tell. `chosen` are the data files that are in it.
pub(super) fn check_rejects(
    log: &Log,
    (share, chosen): (Share, &BTreeSet<&str>),
    workers: usize,
    stop: &AtomicBool,
    verified: &mut Verified,
) -> Result<(), Error> {
    if log.state().totals().reject_files().next().is_none() {
        return Ok(());
    }
    let Verified { data, findings, .. } = verified;
    let level = data.get_or_insert_default();
    let out = log.out().as_ref();
    let pool = pool(FILES_AT_ONCE.min(workers * 4), "flowquet-verify");
    let mut batch = Vec::with_capacity(FILES_AT_ONCE);
    let mut compare = |batch: &mut Vec<Told>| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let one = |told: &Told| -> Result<Option<(u64, Option<Finding>)>, Error> {
            // What is gone was found with the records, or another run has just replaced it.
            let kept = KeptRejects::read(out, told.task)?;
            Ok(kept.map(|kept| (kept.lines, told.compare(&kept))))
        };
        let found: Result<Vec<_>, Error> =
            pool.install(|| batch.par_iter().with_max_len(1).map(one).collect());
        for (lines, finding) in found?.into_iter().flatten() {
            level.rejects += lines;
            findings.extend(finding);
        }
        batch.clear();
        Ok(())
    };
    log.read_live_commits(|_, commit| {
        if commit.counts.rejects > 0 && share.has(&rejects_key(&commit.task), chosen) {
            batch.push(Told::of(&commit));
        }
        if batch.len() == FILES_AT_ONCE { compare(&mut batch) } else { Ok(()) }
    })?;
    compare(&mut batch)
}

/// Whether the file of a task's rejects is there, and is what its commit tells.
pub(super) fn are_right(out: &dyn Store, commit: &CommitRecord) -> Result<bool, Error> {
    let kept = KeptRejects::read(out, commit.task)?;
    Ok(kept.is_some_and(|kept| Told::of(commit).compare(&kept).is_none()))
}

/// Which objects of a task have all their rejected lines in the table, from their beginning to their end.
pub(super) struct WholeRejects(Option<KeptRejects>);

impl WholeRejects {
    pub(super) fn of(out: &dyn Store, task: TaskId) -> Result<Self, Error> {
        // Of a line that is none nobody knows whose it was.
        Ok(Self(KeptRejects::read(out, task)?.filter(|kept| kept.wrong.is_none())))
    }

    pub(super) fn has_all_of(&self, input: &InputRecord) -> bool {
        let kept = self.0.as_ref().and_then(|kept| kept.objects.get(input.object.url()));
        kept.is_some_and(|kept| !kept.is_cut && is_whole(input, kept))
    }
}

/// Fills in the digests of rejected lines that the record does not tell, from those that are kept.
pub(super) fn complete(out: &dyn Store, commit: &mut CommitRecord) -> Result<(), Error> {
    let lacks_one = |input: &InputRecord| input.counts.rejects > 0 && input.rejects_digest.is_none();
    if !commit.inputs.iter().any(lacks_one) {
        return Ok(());
    }
    let Some(kept) = KeptRejects::read(out, commit.task)? else { return Ok(()) };
    for input in commit.inputs.iter_mut().filter(|input| lacks_one(input)) {
        let kept = kept.objects.get(input.object.url()).filter(|kept| is_whole(input, kept));
        input.rejects_digest = kept.map(|kept| kept.digest);
    }
    Ok(())
}
