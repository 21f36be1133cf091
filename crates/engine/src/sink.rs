//! A task's sink: takes the pieces of its units in unit order and makes files of them.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowquet_arrow::Columns;
use flowquet_format::utc_text;
use flowquet_parquet::{EncodedRowGroup, Encoder, FileWriter};
use flowquet_plan::inputs_digest;
use flowquet_store::{PART_BYTES, Staged, Store};
use flowquet_table::{
    CommitRecord, Counts, Digest, Duplicates, OutputRecord, Task, TimeRange, output_name, rejects_key,
    written_by,
};

use crate::budget::{CARRY_BYTES_MAX, OPEN_FILES_MAX, PARKED_BYTES_MAX, UNSENT_BYTES_MAX};
use crate::commit::ClosedTask;
use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::file::{EndedFile, StagedFile, file_metadata};
use crate::goal::{Goal, PlannedTask};
use crate::rejects::Kept;
use crate::unit::{Destination, Piece, PieceRows, Times, UnitCounts, merged};
use crate::worker::describe;

/// How long a worker that waits for its turn sleeps before it looks whether the run has ended.
const WAIT: Duration = Duration::from_millis(50);

/// Rejects that a message shows.
pub(crate) const REJECTS_TOLD_MAX: usize = 3;

/// Takes pieces of units, in whatever order they arrive, and applies them in unit order.
pub(crate) struct TaskSink {
    state: Mutex<State>,
    turned: Condvar,
    /// Units ahead of the one whose turn it is that may be worked on.
    ahead_max: usize,
}

struct State {
    /// The unit whose pieces are applied.
    turn: usize,
    units: usize,
    parked: BTreeMap<usize, Parked>,
    files: TaskFiles,
    void: Option<String>,
}

#[derive(Default)]
struct Parked {
    pieces: Vec<Item>,
    bytes: usize,
    ended: Option<UnitCounts>,
}

enum Item {
    Piece(Piece),
    Rejects(Vec<u8>),
}

impl TaskSink {
    pub(crate) fn new(
        planned: &PlannedTask,
        out: Arc<dyn Store>,
        units: usize,
        ahead_max: usize,
    ) -> Result<Self, Error> {
        let files = TaskFiles::new(planned, out)?;
        let state = State { turn: 0, units, parked: BTreeMap::new(), files, void: None };
        Ok(Self { state: Mutex::new(state), turned: Condvar::new(), ahead_max })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A worker that panicked has set the stop flag; what it left is thrown away with the task.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(
        &self,
        stop: &AtomicBool,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        while !ready(&state) {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            state = self.turned.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(state)
    }

    /// Waits until `unit` may be worked on. Returns whether there is need to.
    pub(crate) fn admit(&self, unit: usize, stop: &AtomicBool) -> Result<bool, Error> {
        let state = self.wait_until(stop, |s| unit <= s.turn + self.ahead_max || s.void.is_some())?;
        Ok(state.void.is_none())
    }

    pub(crate) fn piece(&self, unit: usize, piece: Piece, stop: &AtomicBool) -> Result<(), Error> {
        let bytes = piece.bytes();
        self.put(unit, Item::Piece(piece), bytes, stop)
    }

    pub(crate) fn rejects(&self, unit: usize, lines: Vec<u8>, stop: &AtomicBool) -> Result<(), Error> {
        let bytes = lines.len();
        self.put(unit, Item::Rejects(lines), bytes, stop)
    }

    fn put(&self, unit: usize, item: Item, bytes: usize, stop: &AtomicBool) -> Result<(), Error> {
        let has_room = |s: &State| {
            s.parked.get(&unit).is_none_or(|p| p.bytes + bytes <= PARKED_BYTES_MAX || p.bytes == 0)
        };
        let mut state = self.wait_until(stop, |s| s.turn == unit || has_room(s) || s.void.is_some())?;
        if state.void.is_some() {
            return Ok(());
        }
        if state.turn == unit {
            return state.files.apply(item);
        }
        let parked = state.parked.entry(unit).or_default();
        parked.pieces.push(item);
        parked.bytes += bytes;
        Ok(())
    }

    /// Ends a unit. Returns whether it was the task's last one to end.
    pub(crate) fn end_unit(&self, unit: usize, counts: UnitCounts) -> Result<bool, Error> {
        let mut state = self.lock();
        state.parked.entry(unit).or_default().ended = Some(counts);
        state.drain()?;
        self.turned.notify_all();
        Ok(state.turn == state.units)
    }

    /// Voids the task, from within `unit`. Returns whether it was the task's last unit to end.
    pub(crate) fn void(&self, unit: usize, reason: String) -> Result<bool, Error> {
        self.lock().void.get_or_insert(reason);
        self.end_unit(unit, UnitCounts::default())
    }

    /// Ends the task's files after all its units have ended. `check` sees the record, and the first rejects, before it is
    /// written; where it refuses, the rejects are kept all the same.
    pub(crate) fn close(
        &self,
        check: impl FnOnce(&CommitRecord, &[String]) -> Result<(), Error>,
    ) -> Result<ClosedTask, Error> {
        let mut state = self.lock();
        let void = state.void.take();
        state.files.close(void, check)
    }
}

impl State {
    /// Applies what is parked for the unit whose turn it is, and for those after it that have ended.
    fn drain(&mut self) -> Result<(), Error> {
        while let Some(parked) = self.parked.get_mut(&self.turn) {
            let pieces = std::mem::take(&mut parked.pieces);
            parked.bytes = 0;
            let ended = parked.ended.take();
            if self.void.is_none() {
                pieces.into_iter().try_for_each(|item| self.files.apply(item))?;
            }
            let Some(counts) = ended else { return Ok(()) };
            self.files.count(counts);
            self.parked.remove(&self.turn);
            self.turn += 1;
        }
        Ok(())
    }
}

struct OpenFile {
    key: String,
    writer: FileWriter<StagedFile>,
    times: Times,
    digest: Digest,
    /// Counts up with each use; the smallest is the least recently used.
    used: u64,
}

struct Carried {
    columns: Columns,
    format: Arc<FormatContext>,
    times: Times,
    digest: Digest,
}

/// The files of one task, and its counts.
struct TaskFiles {
    task: Task,
    digest: String,
    plan_number: u64,
    goal: Goal,
    plan: Arc<PlanContext>,
    out: Arc<dyn Store>,
    encoder: Encoder,
    carried: BTreeMap<Destination, Carried>,
    carried_bytes: usize,
    open: BTreeMap<Destination, OpenFile>,
    uses: u64,
    /// Files begun in each partition.
    begun: HashMap<Arc<str>, usize>,
    done: Vec<(OutputRecord, Box<dyn Staged>)>,
    rejects: Option<Box<dyn Staged>>,
    rejects_kept: Kept,
    /// The first lines of rejects, for a message.
    first_rejects: Vec<String>,
    totals: UnitCounts,
    /// Digest of rows that are not wanted.
    digest_elsewhere: Digest,
}

impl TaskFiles {
    fn new(planned: &PlannedTask, out: Arc<dyn Store>) -> Result<Self, Error> {
        let PlannedTask { plan_number, goal, context: plan, task } = planned;
        Ok(Self {
            task: task.clone(),
            digest: inputs_digest(&task.objects),
            plan_number: *plan_number,
            goal: goal.clone(),
            encoder: Encoder::new(plan.compression)?,
            plan: plan.clone(),
            out,
            carried: BTreeMap::new(),
            carried_bytes: 0,
            open: BTreeMap::new(),
            uses: 0,
            begun: HashMap::new(),
            done: Vec::new(),
            rejects: None,
            rejects_kept: Kept::new(plan.rejects_max),
            first_rejects: Vec::new(),
            totals: UnitCounts::default(),
            digest_elsewhere: Digest::default(),
        })
    }

    fn apply(&mut self, item: Item) -> Result<(), Error> {
        match item {
            Item::Rejects(lines) => {
                let key = self.goal.place(&rejects_key(&self.task.id));
                if self.rejects.is_none() {
                    self.rejects = Some(self.out.stage(&key)?);
                }
                let more = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
                let more = more.take(REJECTS_TOLD_MAX - self.first_rejects.len());
                self.first_rejects.extend(more.map(|line| String::from_utf8_lossy(line).into_owned()));
                let staged = self.rejects.as_mut().expect("staged above");
                let written = staged.write_all(self.rejects_kept.first_of(&lines));
                let url = || self.out.url(&key);
                Ok(written.map_err(|e| flowquet_store::Error::write(url(), e))?)
            }
            Item::Piece(piece) if !self.goal.wants(&piece.to.folder) => {
                self.totals.rows_elsewhere += piece.rows() as u64;
                self.digest_elsewhere = self.digest_elsewhere.with(piece.digest);
                Ok(())
            }
            Item::Piece(Piece { to, format, times, digest, rows: PieceRows::Encoded(group) }) => {
                self.append(&to, &format, times, digest, group)
            }
            Item::Piece(Piece { to, format, times, digest, rows: PieceRows::Few(batch) }) => {
                let full = |c: &Carried| c.columns.rows() + batch.num_rows() > self.plan.row_group_rows;
                if self.carried.get(&to).is_some_and(full) {
                    self.write_carried(&to)?;
                }
                let carried = self.carried.entry(to).or_insert_with(|| {
                    let columns = Columns::new(format.schema.clone());
                    self.carried_bytes += columns.bytes();
                    Carried { columns, format, times: None, digest: Digest::default() }
                });
                let before = carried.columns.bytes();
                carried.columns.append_batch(&batch);
                carried.times = merged(carried.times, times);
                carried.digest = carried.digest.with(digest);
                self.carried_bytes = self.carried_bytes + carried.columns.bytes() - before;
                while self.carried_bytes > CARRY_BYTES_MAX {
                    let largest =
                        self.carried.iter().max_by_key(|(_, c)| c.columns.bytes()).map(|(to, _)| to.clone());
                    self.write_carried(&largest.expect("bytes are carried by some"))?;
                }
                Ok(())
            }
        }
    }

    fn write_carried(&mut self, to: &Destination) -> Result<(), Error> {
        let mut carried = self.carried.remove(to).expect("named by the caller from what is carried");
        self.carried_bytes -= carried.columns.bytes();
        let group = self.encoder.encode(&carried.columns.finish(), &carried.format.file_schema)?;
        self.append(to, &carried.format, carried.times, carried.digest, group)
    }

    fn append(
        &mut self,
        to: &Destination,
        format: &FormatContext,
        times: Times,
        digest: Digest,
        group: EncodedRowGroup,
    ) -> Result<(), Error> {
        if !self.open.contains_key(to) {
            self.begin_file(to, format)?;
        }
        self.uses += 1;
        let file = self.open.get_mut(to).expect("begun above");
        file.used = self.uses;
        file.times = merged(file.times, times);
        file.digest = file.digest.with(digest);
        file.writer.append(group)?;
        if file.writer.bytes() >= self.plan.file_bytes {
            self.end_file(to)?;
        }
        let unsent = |f: &OpenFile| f.writer.bytes() as usize % PART_BYTES;
        while self.open.values().map(unsent).sum::<usize>() > UNSENT_BYTES_MAX {
            let most = self.open.iter().max_by_key(|(_, f)| unsent(f)).map(|(to, _)| to.clone());
            self.end_file(&most.expect("bytes are unsent by some"))?;
        }
        Ok(())
    }

    fn begin_file(&mut self, to: &Destination, format: &FormatContext) -> Result<(), Error> {
        if self.open.len() == OPEN_FILES_MAX {
            let oldest = self.open.iter().min_by_key(|(_, f)| f.used).map(|(to, _)| to.clone());
            self.end_file(&oldest.expect("there are many"))?;
        }
        let sequence = self.begun.entry(to.folder.clone()).or_default();
        let key = output_name(&to.folder, &self.task.id, *sequence);
        *sequence += 1;
        let metadata = file_metadata(
            &format.text,
            [("flowquet.task", &self.task.id), ("flowquet.inputs_sha256", &self.digest)],
        );
        let sink = StagedFile::begin(self.out.as_ref(), &self.goal.place(&key))?;
        let writer = FileWriter::new(sink, &format.file_schema, &metadata)?;
        self.open
            .insert(to.clone(), OpenFile { key, writer, times: None, digest: Digest::default(), used: 0 });
        Ok(())
    }

    fn end_file(&mut self, to: &Destination) -> Result<(), Error> {
        let OpenFile { key, writer, times, digest, .. } =
            self.open.remove(to).expect("named by the caller from what is open");
        let rows = writer.rows();
        let EndedFile { bytes, crc32, staged } =
            writer.finish()?.end(self.out.as_ref(), &self.goal.place(&key))?;
        let text = |t| utc_text(t).expect("within 2000 to 2100");
        let record = OutputRecord {
            key,
            partition: to.folder.clone(),
            rows,
            bytes,
            time: times.map(|(min, max)| TimeRange { min: text(min), max: text(max) }),
            format: to.format.clone(),
            digest: Some(digest),
            duplicates: Duplicates::default(),
            rollup: None,
            crc32: Some(crc32),
        };
        self.done.push((record, staged));
        Ok(())
    }

    fn count(&mut self, counts: UnitCounts) {
        let totals = &mut self.totals;
        totals.inputs.extend(counts.inputs);
        for (status, n) in counts.records_by_status {
            *totals.records_by_status.entry(status).or_default() += n;
        }
        for (reason, n) in counts.rejects_by_reason {
            *totals.rejects_by_reason.entry(reason).or_default() += n;
        }
        totals.times_out_of_range += counts.times_out_of_range;
        totals.times_missing += counts.times_missing;
        totals.rows_elsewhere += counts.rows_elsewhere;
    }

    fn close(
        &mut self,
        void: Option<String>,
        check: impl FnOnce(&CommitRecord, &[String]) -> Result<(), Error>,
    ) -> Result<ClosedTask, Error> {
        let (out, layout_version) = (self.out.clone(), self.goal.layout_version());
        let closed = |record, files| ClosedTask { out, layout_version, record, files };
        if void.is_some() {
            self.totals = UnitCounts::default();
            return Ok(closed(self.record(void, Vec::new())?, Vec::new()));
        }
        while let Some((to, _)) = self.carried.first_key_value() {
            self.write_carried(&to.clone())?;
        }
        while let Some((to, _)) = self.open.first_key_value() {
            self.end_file(&to.clone())?;
        }
        let mut files = std::mem::take(&mut self.done);
        files.sort_by(|a, b| a.0.key.cmp(&b.0.key));
        let (outputs, mut staged): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let record = self.record(None, outputs)?;
        if let Err(error) = check(&record, &self.first_rejects) {
            if let Some(mut rejects) = self.rejects.take() {
                rejects.seal()?;
                rejects.commit()?;
            }
            return Err(error);
        }
        staged.extend(self.rejects.take());
        Ok(closed(record, staged))
    }

    /// The commit record; this is where lines are checked against rows.
    fn record(&mut self, void: Option<String>, outputs: Vec<OutputRecord>) -> Result<CommitRecord, Error> {
        let totals = std::mem::take(&mut self.totals);
        let mut counts = Counts::default();
        totals.inputs.iter().for_each(|i| counts.add(&i.counts));
        let rows: u64 = outputs.iter().map(|o| o.rows).sum::<u64>() + totals.rows_elsewhere;
        let by_status: u64 = totals.records_by_status.values().sum();
        let by_reason: u64 = totals.rejects_by_reason.values().sum();
        if !counts.balances()
            || rows != counts.records
            || by_status != counts.records
            || by_reason != counts.rejects
        {
            let found = describe(&counts);
            return Err(Error::Accounting(format!(
                "{found}; {rows} rows in files, {by_status} by status, {by_reason} rejects by reason, in task {}",
                self.task.id
            )));
        }
        let read = Digest::sum(totals.inputs.iter().filter(|i| i.failed.is_none()).map(|i| i.digest));
        let written = outputs.iter().map(|o| o.digest).chain([Some(self.digest_elsewhere)]);
        let written = Digest::sum(written);
        if read != written {
            let found = format!("records of digest {read:?} became rows of {written:?}");
            return Err(Error::Accounting(format!("{found}, in task {}", self.task.id)));
        }
        // They come in unit order, so that the same are kept whatever the threads are.
        let Some(rejects_not_kept) = counts.rejects.checked_sub(self.rejects_kept.lines()) else {
            let (kept, id) = (self.rejects_kept.lines(), &self.task.id);
            return Err(Error::Accounting(format!("{kept} of {by_reason} rejects kept, in task {id}")));
        };
        Ok(CommitRecord {
            layout_version: self.goal.layout_version().unwrap_or(flowquet_table::LAYOUT_VERSION),
            written_by: written_by(),
            task: self.task.id,
            plan: self.plan_number,
            void,
            inputs: totals.inputs,
            outputs,
            counts,
            records_by_status: totals.records_by_status,
            rejects_by_reason: totals.rejects_by_reason.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            rejects_not_kept,
            times_out_of_range: totals.times_out_of_range,
            times_missing: totals.times_missing,
        })
    }
}
