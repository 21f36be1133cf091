//! A unit on a worker: its objects read, parsed and routed.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowquet_format::{AddedColumn, ObjectKey, Origin};
use flowquet_input::{Input, Position, Reader, WINDOW_BYTES};
use flowquet_parse::{ObjectError, Parser, Reject, Step, WINDOW_BYTES_MIN};
use flowquet_sources::{SourceSet, is_remote};
use flowquet_store::{Error as StoreError, ErrorKind};
use flowquet_table::{Cause, Counts, InputRecord, SourceObject};

use crate::consumer::ConsumerError;
use crate::context::PlanContext;
use crate::error::Error;
use crate::rejects::{digest_of, push_json_lines};
use crate::router::Router;
use crate::unit::{Fetched, Taker, UnitCounts};

/// A window holds what the parser asks for, and more.
const _: () = assert!(WINDOW_BYTES >= 2 * WINDOW_BYTES_MIN);

/// Why an object's lines were not taken.
type ReadError = flowquet_input::ReadError<StoreError, ConsumerError>;

/// Why a unit did not end.
#[derive(Debug)]
pub(crate) enum UnitError {
    /// An object is not what was planned: the task is void.
    Changed(String),
    /// An object of a bucket may not be read.
    Denied(StoreError),
    /// The run must end.
    Run(Error),
}

impl From<Error> for UnitError {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

/// For the progress of a stream: flow logs compress about eight to one.
const TEXT_PER_COMPRESSED_BYTE: u64 = 8;

/// Rejects that are held before they are handed on as JSON lines, and of an object that has no record yet.
const REJECTS_HELD_MAX: usize = 1_000;

/// One worker's state for tasks of one plan; buffers live from object to object.
pub(crate) struct Worker {
    whole_max: usize,
    reader: Reader,
    lines: LineTaker,
}

/// What windows of text are pushed to.
struct LineTaker {
    parser: Parser,
    router: Router,
    rejects: Vec<Reject>,
    holding: Holding,
}

/// Rejects of an object are held until a line of it fits its format. If none does, it is not converted: a format that was given
/// is wrong more often than a whole object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// No line has fitted so far; so many rejects were dropped, since there were too many to hold.
    Dropped(u64),
    /// They are handed on.
    Off,
}

impl Worker {
    pub(crate) fn new(plan: Arc<PlanContext>, whole_max: usize) -> Result<Self, Error> {
        let parser = Parser::new(plan.catalogue.clone(), plan.reading.formats().to_vec());
        let mut reader = Reader::new(plan.catalogue.clone(), plan.wanted.clone());
        let has_events = plan.added.iter().any(|c| c == AddedColumn::Provenance(Origin::EventTime));
        let (router, rejects) = (Router::new(plan)?, Vec::new());
        if has_events {
            reader.tell_events(router.events.clone());
        }
        let lines = LineTaker { parser, router, rejects, holding: Holding::Off };
        Ok(Self { whole_max, reader, lines })
    }

    /// One that encodes nothing: what it reads is counted, and its digests are told.
    pub(crate) fn counting(plan: Arc<PlanContext>, whole_max: usize) -> Result<Self, Error> {
        let mut worker = Self::new(plan, whole_max)?;
        worker.lines.router.only_count();
        Ok(worker)
    }

    pub(crate) fn plan(&self) -> &Arc<PlanContext> {
        self.lines.router.plan()
    }

    /// Converts the objects of one unit, handing pieces to `taker`; of all their rows, or only those of some partitions.
    pub(crate) fn run_unit(
        &mut self,
        objects: &[SourceObject],
        partitions: Option<&Arc<BTreeSet<String>>>,
        sources: &SourceSet,
        ahead: &dyn Fetched,
        taker: &mut dyn Taker,
    ) -> Result<UnitCounts, UnitError> {
        self.lines.router.start(partitions);
        for (index, object) in objects.iter().enumerate() {
            let input = self.run_object(index, object, sources, ahead, taker)?;
            self.lines.router.counts.inputs.push(input);
        }
        Ok(self.lines.router.finish(taker)?)
    }

    fn run_object(
        &mut self,
        index: usize,
        object: &SourceObject,
        sources: &SourceSet,
        ahead: &dyn Fetched,
        taker: &mut dyn Taker,
    ) -> Result<InputRecord, UnitError> {
        let mut input = InputRecord::unread(object.clone());
        let key = ObjectKey::parse(object.url());
        self.lines.router.begin_object(object.url(), &key);
        let mut reported = 0;
        let mut read = self.read_object(
            index,
            object,
            &key,
            Holding::Dropped(0),
            &mut input,
            &mut reported,
            (sources, ahead, taker),
        );
        if matches!(read, Err(ReadError::Consumer(ConsumerError::Again))) {
            // A line fits behind more rejects than are held. Nothing was taken yet.
            input = InputRecord::unread(object.clone());
            read = self.read_object(
                index,
                object,
                &key,
                Holding::Off,
                &mut input,
                &mut reported,
                (sources, ahead, taker),
            );
        }
        let lines = &mut self.lines;
        match read {
            Ok(damaged) => input.damaged = damaged,
            Err(ReadError::Consumer(ConsumerError::Object(cause))) => input.failed = Some(cause),
            Err(ReadError::Consumer(ConsumerError::Again)) => {
                unreachable!("nothing is held the second time")
            }
            Err(ReadError::Damaged(what)) => input.failed = Some(Cause::Damaged(what)),
            Err(ReadError::Refused(what)) => input.failed = Some(Cause::NotALog(what.0)),
            Err(ReadError::Consumer(ConsumerError::Run(error))) => return Err(error.into()),
            Err(ReadError::Source(error)) if error.kind() == ErrorKind::Archived => {
                input.failed = Some(Cause::Archived);
            }
            Err(ReadError::Source(error)) => return Err(store_error(object, error)),
        }
        if input.failed.is_none() {
            input.failed = lines.misfit();
            if input.failed.is_some() {
                input.damaged = None;
            } else {
                lines.hand_rejects_on(&mut input, taker).map_err(|error| match error {
                    ConsumerError::Run(error) => UnitError::Run(error),
                    other => unreachable!("handing on does not look at lines: {other:?}"),
                })?;
            }
        }
        // What was read is what was planned, whole or damaged, only if it still is what was listed.
        check_unchanged(object, sources)?;
        if input.failed.is_none() {
            let counts = lines.parser.counts();
            input.counts.lines = counts.lines;
            input.counts.headers = counts.headers;
            input.counts.blanks = counts.blanks;
            if !input.counts.balances() {
                return Err(
                    Error::Accounting(format!("{} of `{}`", describe(&input.counts), object.url())).into()
                );
            }
        } else if input.counts != Counts::default() {
            // Damage is found out before the first line is taken, and what is no flow log at its first line.
            return Err(
                Error::Accounting(format!("lines of the unreadable `{}` were taken", object.url())).into()
            );
        } else {
            input.text_bytes = 0;
        }
        taker.progress(object.bytes - reported, input.counts.records, 1);
        Ok(input)
    }

    /// Reads an object's lines. Returns where it is damaged, if it is and the plan salvages.
    #[expect(
        clippy::too_many_arguments,
        reason = "what an object is read with, and what is kept of a first reading"
    )]
    fn read_object(
        &mut self,
        index: usize,
        object: &SourceObject,
        key: &ObjectKey,
        holding: Holding,
        input: &mut InputRecord,
        reported: &mut u64,
        (sources, ahead, taker): (&SourceSet, &dyn Fetched, &mut dyn Taker),
    ) -> Result<Option<String>, ReadError> {
        let lines = &mut self.lines;
        let plan = lines.router.plan().clone();
        let salvage = plan.salvage;
        if plan.reading.tells_flow_logs_apart() {
            lines.parser.give(plan.reading.formats_of(key.flow_log_id.as_deref()).iter().cloned());
        }
        lines.parser.start();
        lines.rejects.clear();
        lines.holding = holding;
        let fetched = if holding == Holding::Off { ahead.again(index) } else { ahead.take(index) };
        let input_bytes = Input {
            fetched: fetched.map_err(ReadError::Source)?,
            again: &|| ahead.again(index),
            open: &|| sources.open(object),
            range: &|range| sources.range(object, range),
        };
        let read =
            self.reader.read(input_bytes, object.bytes, self.whole_max, salvage, &mut |window, position| {
                let used = lines.consume(window, position, key, input, taker)?;
                lines.router.events.forget(lines.parser.counts().lines);
                input.text_bytes += used as u64;
                // How far a stream is, guessed from the text so far; exact at the end of the object.
                if position == Position::More && *reported < object.bytes {
                    let step = (used as u64 / TEXT_PER_COMPRESSED_BYTE).min(object.bytes - *reported);
                    taker.progress(step, 0, 0);
                    *reported += step;
                }
                Ok(used)
            });
        if read.is_ok() && self.reader.shape().is_of_table {
            taker.warning(&warning_of_table(object.url()));
        }
        read
    }
}

/// What is said of a file of a table among raw logs; once for all files of one table.
fn warning_of_table(url: &str) -> String {
    let folder = url.rfind('/').map_or(url, |end| &url[..=end]);
    // Above the folders of partitions.
    let partition = folder.split_inclusive('/').position(|part| part.contains('='));
    let table: String = folder.split_inclusive('/').take(partition.unwrap_or(usize::MAX)).collect();
    format!(
        "`{table}` has Parquet files that flowquet wrote, which are converted like raw logs: records whose raw logs are converted too are counted twice"
    )
}

impl LineTaker {
    /// Why an object that was read to its end is not converted: it has lines, and none of them fits the format that was given.
    fn misfit(&self) -> Option<Cause> {
        let Holding::Dropped(dropped) = self.holding else { return None };
        // A header names the format: then the lines are bad, and no other format would do.
        let first = self.rejects.first().filter(|_| self.parser.counts().headers == 0)?;
        let first = format!("line {}: {}", first.line, first.detail);
        Some(Cause::NoLineFits { lines: dropped + self.rejects.len() as u64, first })
    }

    /// Takes all of `window` that can be taken. Returns the bytes used.
    fn consume(
        &mut self,
        window: &[u8],
        position: Position,
        key: &ObjectKey,
        input: &mut InputRecord,
        taker: &mut dyn Taker,
    ) -> Result<usize, ConsumerError> {
        taker.go_on().map_err(ConsumerError::Run)?;
        // Of a text that is cut off only whole lines are taken.
        let whole = match position {
            Position::Cut => window.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1),
            _ => window.len(),
        };
        let mut at = 0;
        loop {
            let is_by_lines = self.parser.has_several() && !self.parser.has_header();
            let step =
                self.parser.next_block(&window[at..whole], position != Position::More, &mut self.rejects);
            match step.map_err(|e| ConsumerError::Object(cause_of(e)))? {
                Step::Done | Step::NeedMore => break,
                Step::Skipped(len) => at += len,
                Step::Block { consumed, mut block } => {
                    at += consumed;
                    let may_have_records = matches!(self.holding, Holding::Dropped(0) | Holding::Off);
                    let has_taken = input.counts.records + input.counts.rejects > 0;
                    let records = match self.router.format_of(block.format(), taker) {
                        Ok(place) => self.router.take_block(
                            place,
                            &mut block,
                            key,
                            &mut self.rejects,
                            may_have_records,
                            taker,
                        )?,
                        // An object is all or nothing until its first lines are taken.
                        Err(refusal) if has_taken || is_by_lines => {
                            block.reject_rows(refusal.reason(), &refusal.detail(), &mut self.rejects);
                            0
                        }
                        Err(refusal) => return Err(ConsumerError::Object(refusal.cause())),
                    };
                    if records > 0 {
                        self.holding = Holding::Off;
                    }
                    input.counts.records += records;
                }
            }
            if self.rejects.len() >= REJECTS_HELD_MAX {
                self.hold_or_hand_on(input, taker)?;
            }
        }
        if position == Position::Cut {
            self.parser.cut_short(&window[whole..], &mut self.rejects);
            at = window.len();
        }
        self.hold_or_hand_on(input, taker)?;
        Ok(at)
    }

    fn hold_or_hand_on(
        &mut self,
        input: &mut InputRecord,
        taker: &mut dyn Taker,
    ) -> Result<(), ConsumerError> {
        if self.parser.counts().headers > 0 {
            match self.holding {
                Holding::Dropped(0) => self.holding = Holding::Off,
                Holding::Dropped(_) => return Err(ConsumerError::Again),
                Holding::Off => {}
            }
        }
        if let Holding::Dropped(dropped) = &mut self.holding {
            *dropped += self.rejects.len().saturating_sub(REJECTS_HELD_MAX) as u64;
            self.rejects.truncate(REJECTS_HELD_MAX);
            return Ok(());
        }
        self.hand_rejects_on(input, taker)
    }

    fn hand_rejects_on(
        &mut self,
        input: &mut InputRecord,
        taker: &mut dyn Taker,
    ) -> Result<(), ConsumerError> {
        if self.rejects.is_empty() {
            return Ok(());
        }
        input.counts.rejects += self.rejects.len() as u64;
        let mut lines = Vec::new();
        push_json_lines(input.object.url(), &self.rejects, &mut lines);
        let digest = input.rejects_digest.get_or_insert_default();
        for reject in self.rejects.drain(..) {
            *digest = digest.with(digest_of(reject.line, &reject.raw));
            *self.router.counts.rejects_by_reason.entry(reject.reason.name()).or_default() += 1;
        }
        taker.rejects(lines).map_err(ConsumerError::Run)
    }
}

pub(crate) fn cause_of(error: ObjectError) -> Cause {
    match error {
        ObjectError::NoFormat(line) => Cause::NoHeader(line),
        ObjectError::Binary | ObjectError::CarriageReturns | ObjectError::Json | ObjectError::Parquet => {
            Cause::NotALog(error.to_string())
        }
    }
}

pub(crate) fn describe(counts: &Counts) -> String {
    let Counts { lines, records, rejects, headers, blanks } = counts;
    format!("{lines} lines, but {records} records + {rejects} rejects + {headers} headers + {blanks} blanks")
}

fn check_unchanged(object: &SourceObject, sources: &SourceSet) -> Result<(), UnitError> {
    // A remote object is asked for by its etag, every time.
    if object.etag().is_empty() || is_remote(object) {
        return Ok(());
    }
    let (bytes, etag) = sources.current(object).map_err(|e| store_error(object, e))?;
    if (bytes, etag.as_str()) != (object.bytes, object.etag()) {
        let what = format!(
            "`{}` changed after it was listed ({} bytes then, {bytes} now)",
            object.url(),
            object.bytes
        );
        return Err(UnitError::Changed(what));
    }
    Ok(())
}

fn store_error(object: &SourceObject, error: flowquet_store::Error) -> UnitError {
    match error.kind() {
        ErrorKind::Changed => UnitError::Changed(error.to_string()),
        ErrorKind::NotFound => UnitError::Changed(format!("`{}` is gone: {error}", object.url())),
        ErrorKind::Folder | ErrorKind::NotAFile => {
            UnitError::Changed(format!("`{}` is no file any more: {error}", object.url()))
        }
        // A file that may not be read could be when it was planned.
        ErrorKind::Denied if !is_remote(object) => UnitError::Changed(error.to_string()),
        ErrorKind::Denied => UnitError::Denied(error),
        _ => UnitError::Run(error.into()),
    }
}
