//! Files of rejected lines that are gone or wrong: they are made anew of the raw logs that had the lines, or done without.
//!
//! Rows have no part in that. The objects with rejected lines are read as they were, and what they give is put in place of what is there,
//! if it is what their commit tells.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_sources::SourceSet;
use flowquet_store::{Error as StoreError, Staged};
use flowquet_table::{
    CommitRecord, InputRecord, Log, Loss, accept_loss_of_rejects, delete_if_there, end_loss_of_rejects,
    lost_rejects, rejects_key,
};

use super::accept::{AcceptedLosses, LossRequest};
use super::deep::{as_it_is, context_of};
use super::rejects::are_right;
use super::report::Verified;
use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::reconvert::is_gone;
use crate::rejects::Kept;
use crate::unit::{Fetched, Piece, Taker};
use crate::words::counted;
use crate::worker::{UnitError, Worker};

/// What came of making files of rejected lines anew.
#[derive(Debug, Default)]
pub struct RestoredRejects {
    /// Files that are as they were, by their keys.
    pub files: Vec<String>,
    /// Files of which a raw log is gone.
    pub beyond: BTreeSet<String>,
    /// Why others are not: [`Error::RecordsDiffer`] where a raw log can be read and has other lines than it had, else
    /// [`Error::NotRebuilt`].
    pub error: Option<Error>,
}

impl LossRequest {
    /// Makes the files of rejected lines anew that `verified` found gone or wrong, and those whose loss was accepted, where the raw logs
    /// are there.
    ///
    /// # Errors
    /// As stores report; then files may have been made, each of which is right.
    pub fn restore_rejects(
        &self,
        verified: &Verified,
        budget: Budget,
        observer: &dyn Observer,
        stop: &AtomicBool,
    ) -> Result<RestoredRejects, Error> {
        let found = verified.findings.iter().filter(|f| f.fault.is_of_rejects());
        let found: BTreeSet<String> = found.map(|f| f.place.clone()).collect();
        let mut asked = lost_rejects(self.out.as_ref())?;
        asked.extend(found.iter().cloned());
        let (mut done, mut why) = (RestoredRejects::default(), None);
        if asked.is_empty() {
            return Ok(done);
        }
        let log = self.log(None, observer, stop)?;
        let sources = SourceSet::new(self.stores.clone());
        let mut contexts = BTreeMap::new();
        log.read_live_commits(|options, commit| {
            let key = rejects_key(&commit.task);
            if !asked.contains(&key) {
                return Ok(());
            }
            let out = self.out.as_ref();
            if are_right(out, &commit)? {
                end_loss_of_rejects(out, commit.task)?;
                return Ok(());
            }
            let context = context_of(options, &mut contexts)?;
            let lines = Lines {
                staged: out.stage(&key)?,
                url: out.url(&key),
                kept: Kept::new(options.rejects_max),
                observer,
                stop,
            };
            match lines.restore(&commit, &context, &sources, budget)? {
                Outcome::Made => {
                    end_loss_of_rejects(out, commit.task)?;
                    done.files.push(key);
                }
                // What is accepted to be lost may stay lost.
                Outcome::Gone(url) if found.contains(&key) => {
                    done.beyond.insert(key);
                    why.get_or_insert_with(|| format!("`{url}` cannot be read"));
                }
                Outcome::Gone(_) => {}
                Outcome::Differs(url, why) => {
                    let tasks = BTreeSet::from([commit.task]);
                    done.error.get_or_insert(Error::RecordsDiffer { url, why, tasks });
                }
            }
            Ok::<(), Error>(())
        })?;
        if let (Some(why), None) = (why, &done.error) {
            let files = done.beyond.len() as u64;
            done.error = Some(Error::NotRebuilt { files, of: found.len() as u64, why });
        }
        Ok(done)
    }

    /// Accepts the loss of those of these files that are not right and of which a raw log is gone.
    pub(super) fn accept_rejects(
        &self,
        log: &Log,
        keys: &BTreeSet<&str>,
        loss: &Loss,
        accepted: &mut AcceptedLosses,
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let sources = SourceSet::new(self.stores.clone());
        let out = self.out.as_ref();
        log.read_live_commits(|_, commit| {
            let key = rejects_key(&commit.task);
            if !keys.contains(key.as_str()) || are_right(out, &commit)? {
                return Ok(());
            }
            let mut is_lost = false;
            for input in commit.inputs.iter().filter(|input| input.counts.rejects > 0) {
                match sources.current(&input.object) {
                    Ok(_) => {}
                    Err(error) if is_gone(error.kind()) => is_lost = true,
                    Err(error) => return Err(Error::Store(error)),
                }
            }
            if is_lost {
                let lines = commit.rejects_kept();
                accept_loss_of_rejects(out, commit.task, lines, loss)?;
                delete_if_there(out, &key)?;
                accepted.rejects += lines;
                accepted.reject_files.push(key);
            } else {
                accepted.rebuildable.push(key);
            }
            Ok(())
        })
    }
}

/// What became of a file.
enum Outcome {
    Made,
    /// The raw log of this URL is gone.
    Gone(String),
    /// The raw log of this URL is not what it was, and how.
    Differs(String, String),
}

/// Rejected lines of a task on their way to its file.
struct Lines<'a> {
    staged: Box<dyn Staged>,
    url: String,
    kept: Kept,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

impl Lines<'_> {
    fn restore(
        mut self,
        commit: &CommitRecord,
        context: &Arc<PlanContext>,
        sources: &SourceSet,
        budget: Budget,
    ) -> Result<Outcome, Error> {
        let mut worker = Worker::counting(context.clone(), budget.inflate_bytes_max)?;
        for input in commit.inputs.iter().filter(|input| input.counts.rejects > 0) {
            let url = || input.object.url().to_owned();
            let object = match as_it_is(&input.object, sources) {
                Ok(object) => object,
                Err(error) if is_gone(error.kind()) => return Ok(Outcome::Gone(url())),
                Err(error) => return Err(error.into()),
            };
            let read = worker.run_unit(std::slice::from_ref(&object), None, sources, &Opened, &mut self);
            let found = match read {
                Ok(mut counts) => counts.inputs.pop().expect("one object was read"),
                Err(UnitError::Denied(_)) => return Ok(Outcome::Gone(url())),
                Err(UnitError::Run(error)) => return Err(error),
                Err(UnitError::Changed(why)) => {
                    return match sources.current(&object) {
                        Ok(_) => Ok(Outcome::Differs(url(), format!(": {why}"))),
                        Err(error) if is_gone(error.kind()) => Ok(Outcome::Gone(url())),
                        Err(error) => Err(error.into()),
                    };
                }
            };
            if let Some(why) = difference(input, &found) {
                return Ok(Outcome::Differs(url(), why));
            }
        }
        if self.kept.lines() != commit.rejects_kept() {
            let (kept, task) = (self.kept.lines(), commit.task);
            return Err(Error::Accounting(format!("{kept} rejects kept anew, in task {task}")));
        }
        self.staged.seal()?;
        self.staged.commit()?;
        Ok(Outcome::Made)
    }
}

/// In what an object differs from what it was.
fn difference(before: &InputRecord, found: &InputRecord) -> Option<String> {
    let had = |input: &InputRecord| {
        format!(
            "{} and {}",
            counted(input.counts.records, "record"),
            counted(input.counts.rejects, "rejected line")
        )
    };
    if let Some(cause) = &found.failed {
        return Some(format!(" had {} when it was converted, and cannot be read now: {cause}", had(before)));
    }
    if found.counts != before.counts {
        return Some(format!(" had {} when it was converted, and has {} now", had(before), had(found)));
    }
    let is_other = |before: Option<_>, found| before.is_some() && before != found;
    if is_other(before.digest, found.digest) {
        Some(" has other records now".to_owned())
    } else if is_other(before.rejects_digest, found.rejects_digest) {
        Some(" has other rejected lines now".to_owned())
    } else {
        None
    }
}

/// Nothing is fetched ahead.
struct Opened;

impl Fetched for Opened {
    fn take(&self, _: usize) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    fn again(&self, _: usize) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }
}

impl Taker for Lines<'_> {
    fn piece(&mut self, _: Piece) -> Result<(), Error> {
        Ok(())
    }

    fn rejects(&mut self, lines: Vec<u8>) -> Result<(), Error> {
        let written = self.staged.write_all(self.kept.first_of(&lines));
        written.map_err(|error| StoreError::write(self.url.clone(), error).into())
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn progress(&mut self, bytes: u64, records: u64, objects: u64) {
        self.observer.event(&Event::Progress { bytes, records, objects });
    }

    fn warning(&mut self, _: &str) {}
}
