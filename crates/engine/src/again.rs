//! Tasks that an object spoilt: their other objects are planned anew at once.
//!
//! A task is all or nothing, so that its files have the same bytes whoever performs it. Where an object of it has changed, is gone or may
//! not be read, the task is given up, and its objects are free. Each is looked at here. What is as it was listed is planned anew; what is
//! gone is told; what may not be read is recorded as such, in a task of its own that no other object depends on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_sources::{SourceSet, is_remote};
use flowquet_store::ErrorKind;
use flowquet_table::{Cause, Log, ObjectId, Options, SourceObject};

use crate::error::Error;
use crate::summary::{FailedObject, Summary};
use crate::take::{LOOKS_AHEAD, append_plan, not_taken};

/// An object whose task was given up, and that no other task holds.
#[derive(Debug, Clone)]
pub(crate) struct Freed {
    pub(crate) object: SourceObject,
    /// Those of its plan.
    pub(crate) options: Arc<Options>,
}

/// Whether a file of this machine that has changed since it was planned is taken as it is now. Objects of a bucket always are: there a
/// change is whole once it can be seen, while a file may be in the midst of being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangedFiles {
    /// They are left for a later run.
    Leave,
    /// The plan is older than this run, and so may be the change.
    Take,
}

/// What a look at an object finds.
enum ObjectState {
    AsPlanned,
    Changed(SourceObject),
    Denied(String),
    Gone,
}

/// Plans `freed` objects anew that can be read, and returns the numbers of the new plans.
///
/// The summary is to have each of them among `left` and `set_aside`, where those that are planned stay until their tasks are performed.
pub(crate) fn plan_again(
    log: &mut Log,
    freed: Vec<Freed>,
    changed_files: ChangedFiles,
    sources: &SourceSet,
    stop: &AtomicBool,
    summary: &mut Summary,
) -> Result<BTreeSet<u64>, Error> {
    let mut by_options: Vec<(Arc<Options>, Vec<SourceObject>, Denied)> = Vec::new();
    for (Freed { object, options }, now) in look_at(freed, sources, stop)? {
        let at = by_options.iter().position(|(known, ..)| **known == *options).unwrap_or_else(|| {
            by_options.push((options, Vec::new(), Denied::new()));
            by_options.len() - 1
        });
        let (_, readable, denied) = &mut by_options[at];
        match now {
            ObjectState::AsPlanned => readable.push(object),
            ObjectState::Changed(now) if is_remote(&now) || changed_files == ChangedFiles::Take => {
                readable.push(now)
            }
            // Stays set aside.
            ObjectState::Changed(_) => {}
            ObjectState::Denied(reason) => drop(denied.insert(object.id(), (object, Cause::Denied(reason)))),
            ObjectState::Gone => {
                summary.objects.take_up(1);
                summary.objects.failed += 1;
                summary.failed_objects.push(FailedObject {
                    url: object.url().to_owned(),
                    cause: "gone",
                    reason: "gone since it was listed or planned".to_owned(),
                });
            }
        }
    }
    let mut plans = BTreeSet::new();
    for (options, readable, denied) in by_options {
        let mut planned = 0;
        plans.extend(append_plan(log, &options, &BTreeSet::new(), &mut |state| {
            let free = not_taken(state, &readable)?;
            planned = free.len();
            Ok(free)
        })?);
        // Another run took the others meanwhile.
        let taken = (readable.len() - planned) as u64;
        summary.objects.take_up(taken);
        summary.objects.known += taken;
        record_denied(log, &options, &denied, summary)?;
    }
    Ok(plans)
}

/// Objects that may not be read.
type Denied = HashMap<ObjectId, (SourceObject, Cause)>;

/// Puts objects that may not be read into a plan of their own, whose tasks are committed without being performed.
fn record_denied(
    log: &mut Log,
    options: &Options,
    denied: &Denied,
    summary: &mut Summary,
) -> Result<(), Error> {
    // A file is tried by each run that lists it, which costs nothing.
    let (remote, files): (Vec<_>, Vec<_>) = denied.values().partition(|(object, _)| is_remote(object));
    let mut remote: Vec<SourceObject> = remote.into_iter().map(|(object, _)| object.clone()).collect();
    remote.sort_by(|a, b| a.url().cmp(b.url()));
    let plan = append_plan(log, options, &BTreeSet::new(), &mut |state| not_taken(state, &remote))?;
    if let Some(plan) = plan {
        log.fail_tasks(plan, &|object| denied[&object.id()].1.clone())?;
    }
    summary.objects.take_up(denied.len() as u64);
    let files = files.into_iter().map(|(object, cause)| (object, cause));
    let remote = remote.iter().map(|object| (object, &denied[&object.id()].1));
    for (object, cause) in files.chain(remote) {
        summary.fail(object.url(), cause, log.state().is_ignored(object));
    }
    Ok(())
}

/// Looks at objects, some at once: a request each.
fn look_at(
    freed: Vec<Freed>,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<Vec<(Freed, ObjectState)>, Error> {
    let mut found = Vec::with_capacity(freed.len());
    let mut freed = freed.into_iter().peekable();
    let stopped = || stop.load(Ordering::Relaxed);
    while freed.peek().is_some() {
        let started: Vec<_> = freed
            .by_ref()
            .take(LOOKS_AHEAD)
            .map(|freed| {
                let object = &freed.object;
                let look = is_remote(object).then(|| sources.fetch_range(object, 0..object.bytes.min(1)));
                (freed, look)
            })
            .collect();
        for (freed, look) in started {
            let read = match look {
                Some(look) => look.wait(&stopped).map(drop),
                None => sources.open(&freed.object).map(drop),
            };
            let now = match read {
                // Local reads are not conditional.
                Ok(()) if !is_remote(&freed.object) => as_it_is(&freed.object, sources)?,
                Ok(()) => ObjectState::AsPlanned,
                Err(error) => match error.kind() {
                    // Whoever performs its task records that.
                    ErrorKind::Archived => ObjectState::AsPlanned,
                    ErrorKind::Changed => as_it_is(&freed.object, sources)?,
                    ErrorKind::Denied => ObjectState::Denied(error.to_string()),
                    kind if is_gone(kind) => ObjectState::Gone,
                    _ => return Err(error.into()),
                },
            };
            found.push((freed, now));
        }
    }
    Ok(found)
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Folder | ErrorKind::NotAFile | ErrorKind::NotFound)
}

fn as_it_is(object: &SourceObject, sources: &SourceSet) -> Result<ObjectState, Error> {
    Ok(match sources.current(object) {
        Ok((bytes, etag)) if (bytes, etag.as_str()) == (object.bytes, object.etag()) => {
            ObjectState::AsPlanned
        }
        // Its size alone was planned, as some manifests tell it.
        Ok((bytes, _)) if object.etag().is_empty() && bytes == object.bytes => ObjectState::AsPlanned,
        Ok((bytes, etag)) => {
            ObjectState::Changed(SourceObject::new(object.url().to_owned(), object.key(), bytes, &etag))
        }
        Err(error) if error.kind() == ErrorKind::Denied => ObjectState::Denied(error.to_string()),
        Err(error) if is_gone(error.kind()) => ObjectState::Gone,
        Err(error) => return Err(error.into()),
    })
}
