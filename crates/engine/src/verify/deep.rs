//! The deep level: raw logs are read as a conversion reads them, and compared with what their commits say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flowquet_format::Enrichments;
use flowquet_sources::{Fetcher, SourceSet, is_remote};
use flowquet_store::{Error as StoreError, ErrorKind};
use flowquet_table::{Cause, Digest, InputRecord, Log, Options, SourceObject};

use super::finding::{Fault, Finding, Level};
use super::rejects::complete;
use super::report::{DeepLevel, Verified};
use super::source::Listed;
use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::unit::{Fetched, Piece, Taker};
use crate::words::counted;
use crate::worker::{UnitError, Worker};

/// Objects that are read together: as many as take little memory, and keep all workers busy.
const BATCH_OBJECTS: usize = 20_000;

/// Objects that are to be read.
pub(super) struct Deep<'a> {
    pub(super) sources: &'a SourceSet,
    pub(super) budget: Budget,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
    /// Digests of what was read, by partition.
    pub(super) partitions: Mutex<BTreeMap<String, Digest>>,
}

/// An object, how it was read, and what became of it.
struct Expected {
    context: Arc<PlanContext>,
    input: InputRecord,
}

/// What an object gives now.
enum Outcome {
    Read(Box<InputRecord>),
    Changed(String),
    Gone,
    /// Nobody can tell whether it is there.
    Unread(String),
}

impl Deep<'_> {
    /// Reads all objects of the table, or those that are in `listed`. Returns the digests of their records by partition, if all of
    /// them could be read.
    pub(super) fn check(
        &self,
        log: &Log,
        listed: Option<&Listed>,
        verified: &mut Verified,
    ) -> Result<Option<BTreeMap<String, Digest>>, Error> {
        let totals = log.state().totals();
        let (objects, bytes) = match listed {
            Some(listed) => (listed.len() as u64, listed.values().map(|o| o.bytes).sum()),
            None => (totals.objects, totals.bytes_in),
        };
        self.observer.event(&Event::Planned { tasks: 1, objects, bytes, left_over: 0 });
        let (mut level, mut findings) = (DeepLevel::default(), Vec::new());
        let mut contexts: BTreeMap<String, Arc<PlanContext>> = BTreeMap::new();
        let mut batch: Vec<Expected> = Vec::new();
        log.read_live_commits(|options, mut commit| {
            complete(log.out().as_ref(), &mut commit)?;
            let context = context_of(options, &mut contexts)?;
            let is_wanted = |input: &InputRecord| {
                input.failed.is_none() && listed.is_none_or(|listed| listed.contains_key(&input.object.id()))
            };
            let inputs = commit.inputs.into_iter().filter(is_wanted);
            batch.extend(inputs.map(|input| Expected { context: context.clone(), input }));
            if batch.len() >= BATCH_OBJECTS {
                self.compare(&std::mem::take(&mut batch), &mut level, &mut findings)?;
            }
            Ok::<(), Error>(())
        })?;
        self.compare(&batch, &mut level, &mut findings)?;
        findings.retain(|finding: &Finding| {
            let object = || SourceObject::new(finding.place.clone(), &finding.place, 0, "");
            finding.fault != Fault::ObjectChanged || !log.state().is_ignored(&object())
        });
        let is_all = level.objects == totals.objects && findings.is_empty();
        verified.deep = Some(level);
        verified.findings.extend(findings);
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(is_all.then_some(partitions))
    }

    fn compare(
        &self,
        batch: &[Expected],
        level: &mut DeepLevel,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        let outcomes = self.read(batch)?;
        for (Expected { input: told, .. }, outcome) in batch.iter().zip(outcomes) {
            let url = told.object.url();
            let found = match outcome {
                Outcome::Gone => {
                    level.gone += 1;
                    findings.push(Finding::new(Level::Deep, Fault::ObjectGone, url));
                    continue;
                }
                Outcome::Changed(what) => {
                    findings.push(Finding::new(Level::Deep, Fault::ObjectChanged, url).says(what));
                    continue;
                }
                Outcome::Unread(what) => {
                    findings.push(Finding::new(Level::Deep, Fault::RecordsDiffer, url).says(what));
                    continue;
                }
                Outcome::Read(found) => found,
            };
            level.objects += 1;
            level.bytes += told.object.bytes;
            level.records += found.counts.records;
            level.without_digest += u64::from(told.digest.is_none());
            let finding = Finding::new(Level::Deep, Fault::RecordsDiffer, url);
            if let Some(cause) = &found.failed {
                // A program of layout 4 took an object of which no line fits, with nothing but rejects.
                let rejects = told.counts.rejects;
                let is_same = matches!(cause, Cause::NoLineFits { lines, .. } if *lines == rejects);
                if is_same && told.counts.records == 0 {
                    continue;
                }
                findings.push(finding.says(cause.to_string()));
            } else if found.counts != told.counts {
                let text = |input: &InputRecord| {
                    format!("{} records of {} lines", input.counts.records, input.counts.lines)
                };
                findings.push(finding.differs(text(told), text(&found)));
            } else if told.digest.is_some() && found.digest != told.digest {
                let text = |input: &InputRecord| input.digest.map(|d| d.to_string()).unwrap_or_default();
                findings.push(finding.differs(text(told), text(&found)));
            } else if told.rejects_digest.is_some() && found.rejects_digest != told.rejects_digest {
                let rejects = counted(told.counts.rejects, "rejected line");
                findings.push(finding.differs(rejects, "as many others"));
            }
        }
        Ok(())
    }

    /// Reads objects, several at once.
    fn read(&self, batch: &[Expected]) -> Result<Vec<Outcome>, Error> {
        let mut objects: Vec<Result<SourceObject, Outcome>> = Vec::with_capacity(batch.len());
        for Expected { input, .. } in batch {
            let bytes = input.object.bytes;
            objects.push(match as_it_is(&input.object, self.sources) {
                Ok(now) if now.bytes != bytes => {
                    Err(Outcome::Changed(format!("{bytes} bytes then, {} now", now.bytes)))
                }
                Ok(now) => Ok(now),
                Err(error) if error.kind() == ErrorKind::NotFound => Err(Outcome::Gone),
                Err(error) => Err(Outcome::Unread(error.to_string())),
            });
        }
        let fetched: Vec<&[SourceObject]> =
            objects.iter().map(|o| o.as_ref().map_or(&[][..], std::slice::from_ref)).collect();
        let reading = Reading {
            deep: self,
            batch,
            objects: &objects,
            fetcher: Fetcher::new(self.sources, fetched, self.budget.workers),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            done: Mutex::new(Vec::with_capacity(batch.len())),
            error: Mutex::new(None),
        };
        std::thread::scope(|scope| {
            for _ in 0..self.budget.workers {
                scope.spawn(|| reading.work());
            }
        });
        let Reading { done, error, .. } = reading;
        if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        let mut read = done.into_iter().map(|(_, outcome)| outcome);
        let of = |object: Result<SourceObject, Outcome>| match object {
            Ok(_) => read.next().expect("each was read"),
            Err(outcome) => outcome,
        };
        Ok(objects.into_iter().map(of).collect())
    }
}

/// An object as it is to be read: a local one as it is now, since its modification time may have changed without its bytes.
pub(super) fn as_it_is(object: &SourceObject, sources: &SourceSet) -> Result<SourceObject, StoreError> {
    if is_remote(object) || object.etag().is_empty() {
        return Ok(object.clone());
    }
    let (bytes, etag) = sources.current(object)?;
    Ok(SourceObject::new(object.url().to_owned(), object.key(), bytes, &etag))
}

pub(super) fn context_of(
    options: &Arc<Options>,
    contexts: &mut BTreeMap<String, Arc<PlanContext>>,
) -> Result<Arc<PlanContext>, Error> {
    let key = serde_json::to_string(options.as_ref()).expect("plain values");
    if let Some(context) = contexts.get(&key) {
        return Ok(context.clone());
    }
    // Nothing but digests is asked for, which leave columns out that are made of others.
    let enrich = Enrichments::default();
    let options = &Options { add: options.add.provenance(), enrich, ..Options::clone(options) };
    let context = Arc::new(PlanContext::new(options)?);
    contexts.insert(key, context.clone());
    Ok(context)
}

/// Objects on their way through workers.
struct Reading<'a, 'b> {
    deep: &'a Deep<'b>,
    batch: &'a [Expected],
    objects: &'a [Result<SourceObject, Outcome>],
    fetcher: Fetcher<'a>,
    next: AtomicUsize,
    failed: AtomicBool,
    done: Mutex<Vec<(usize, Outcome)>>,
    error: Mutex<Option<Error>>,
}

impl Reading<'_, '_> {
    fn is_ended(&self) -> bool {
        self.deep.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    fn work(&self) {
        let mut worker: Option<Worker> = None;
        while !self.is_ended() {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(object), Some(expected)) = (self.objects.get(place), self.batch.get(place)) else {
                return;
            };
            let Ok(object) = object else { continue };
            match self.one(place, object, &expected.context, &mut worker) {
                Ok(outcome) => {
                    self.done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome))
                }
                Err(error) => {
                    self.failed.store(true, Ordering::Relaxed);
                    let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                    if first.is_none() && !matches!(error, Error::Interrupted) {
                        *first = Some(error);
                    }
                }
            }
            self.fetcher.forget(place);
        }
    }

    fn one(
        &self,
        place: usize,
        object: &SourceObject,
        context: &Arc<PlanContext>,
        worker: &mut Option<Worker>,
    ) -> Result<Outcome, Error> {
        let worker = match worker {
            Some(w) if Arc::ptr_eq(w.plan(), context) => w,
            other => other.insert(Worker::counting(context.clone(), self.deep.budget.inflate_bytes_max)?),
        };
        let ahead = Ahead { reading: self, place };
        let sources = self.deep.sources;
        let read = worker.run_unit(
            std::slice::from_ref(object),
            None,
            sources,
            &ahead,
            &mut Nobody { reading: self },
        );
        match read {
            Ok(mut counts) => {
                let input = counts.inputs.pop().expect("one object was read");
                Ok(Outcome::Read(Box::new(input)))
            }
            Err(UnitError::Denied(error)) => Err(error.into()),
            Err(UnitError::Run(error)) => Err(error),
            Err(UnitError::Changed(what)) => {
                let is_gone = sources.current(object).is_err_and(|e| e.kind() == ErrorKind::NotFound);
                Ok(if is_gone { Outcome::Gone } else { Outcome::Changed(what) })
            }
        }
    }
}

struct Ahead<'a, 'b, 'c> {
    reading: &'a Reading<'b, 'c>,
    place: usize,
}

impl Fetched for Ahead<'_, '_, '_> {
    fn take(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        let unclaimed = self.reading.next.load(Ordering::Relaxed);
        self.reading.fetcher.take((self.place, index), unclaimed, &|| self.reading.is_ended())
    }

    fn again(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        self.reading.fetcher.again((self.place, index), &|| self.reading.is_ended())
    }
}

/// Takes rows and lets them go: only their digests are wanted.
struct Nobody<'a, 'b, 'c> {
    reading: &'a Reading<'b, 'c>,
}

impl Taker for Nobody<'_, '_, '_> {
    fn piece(&mut self, piece: Piece) -> Result<(), Error> {
        let mut partitions = self.reading.deep.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = partitions.entry(piece.to.folder.to_string()).or_default();
        *sum = sum.with(piece.digest);
        Ok(())
    }

    fn rejects(&mut self, _: Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.reading.is_ended() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn progress(&mut self, bytes: u64, records: u64, objects: u64) {
        self.reading.deep.observer.event(&Event::Progress { bytes, records, objects });
    }

    fn warning(&mut self, _: &str) {}
}
