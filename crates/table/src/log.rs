//! The one reader and writer of a table's records.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_store::{Error as StoreError, ErrorKind, Store};

use crate::checkpoint;
use crate::compaction::CompactionRecord;
use crate::contract::TableContract;
use crate::error::Error;
use crate::ignored;
use crate::known::Sorted;
use crate::layout::{
    COMMITS, COMMITS_BY_PLAN, COMPACTIONS, CONTRACT_KEY, IGNORED, PLANS, before_commits_of, commit_key,
    compaction_done_key, compaction_done_number, compaction_key, compaction_number, plan_key, plan_number,
    plan_of_commit, task_of_commit,
};
use crate::objects::SourceObject;
use crate::options::Options;
use crate::reading::{decode, decode_commit, decode_plan, keys_of, put_record, read_each, read_if_there};
use crate::records::{CommitRecord, PlanRecord, plan_to_gzip, to_json};
use crate::seal::sealed;
use crate::settled::Settled;
use crate::state::TableState;
use crate::task_id::TaskId;

/// Records after the newest checkpoint that are worth another one: each is a request of every run to come.
const CHECKPOINT_AFTER: u64 = 8;

/// Open tasks whose commits are asked for one by one. Of more, all commits since the first of their plans are listed.
const ASKED_MAX: usize = 16;

/// A table's log: its records as they were read, and the store to read more of them and to put new ones.
#[derive(Debug)]
pub struct Log {
    out: Arc<dyn Store>,
    state: TableState,
    /// The contract as it is stored.
    pub(crate) stored: TableContract,
    /// The newest checkpoint that is there; 0 without any.
    checkpoint: u64,
    /// The checkpoint that the state began with; 0 where it began with the first record.
    began_with: u64,
    /// Records that the state has and the checkpoint has not.
    records_since: u64,
    /// Commits that were put here and that the state does not have yet.
    own: Mutex<Vec<(TaskId, Settled)>>,
}

/// What became of a commit.
#[derive(Debug)]
pub enum CommitPut {
    /// It is there.
    Ours,
    /// Another run's was there before.
    Theirs(Box<CommitRecord>),
}

impl Log {
    /// The contract of the table in `out`, if there is a table.
    ///
    /// # Errors
    /// [`Error::Record`] where it cannot be understood; others as the store reports.
    pub fn find_contract(out: &dyn Store) -> Result<Option<TableContract>, Error> {
        match out.get(CONTRACT_KEY) {
            Ok(bytes) => decode(out, CONTRACT_KEY, &bytes).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotAFolder) => Ok(None),
            // S3 tells only who may list the whole bucket that an object is not there, and denies it to others.
            Err(error) if error.kind() == ErrorKind::Denied => match out.list(CONTRACT_KEY) {
                Err(listed) if listed.kind() == ErrorKind::NotFound => Ok(None),
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a table with `options`, unless another run makes it at this moment; then that one's contract must agree.
    ///
    /// # Errors
    /// [`Error::Contract`]; others as the store reports.
    pub fn make(out: &Arc<dyn Store>, options: &Options, single_writer: bool) -> Result<Self, Error> {
        let wanted = TableContract { single_writer, ..TableContract::of(options) };
        let contract = match out.put_if_absent(CONTRACT_KEY, &to_json(&wanted)) {
            Ok(()) => wanted,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::find_contract(out.as_ref())?.unwrap_or(wanted)
            }
            Err(error) => return Err(error.into()),
        };
        let differences = contract.differences(options);
        if differences.is_empty() { Self::of(out, contract) } else { Err(Error::Contract(differences)) }
    }

    /// Reads the log of the table in `out`.
    ///
    /// # Errors
    /// [`Error::NoTable`] where there is none; others as the store reports.
    pub fn open(out: &Arc<dyn Store>) -> Result<Self, Error> {
        let contract = Self::find_contract(out.as_ref())?.ok_or_else(|| Error::NoTable(out.url("")))?;
        Self::of(out, contract)
    }

    /// Opens the log of a table, with all that checkpoints hold about files and unreadable objects in memory.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with_files(out: &Arc<dyn Store>) -> Result<Self, Error> {
        let mut log = Self::open(out)?;
        log.ask(TableState::read_files)?;
        Ok(log)
    }

    /// Reads the log of the table with this contract.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`], [`Error::Record`].
    pub fn of(out: &Arc<dyn Store>, contract: TableContract) -> Result<Self, Error> {
        let mut log = Self::absent(out, contract);
        log.reopen()?;
        Ok(log)
    }

    /// Opens the log of a table without looking at checkpoints: all records are read.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`], [`Error::Record`].
    pub fn of_records(out: &Arc<dyn Store>, contract: TableContract) -> Result<Self, Error> {
        let mut log = Self::absent(out, contract);
        log.read_new()?;
        Ok(log)
    }

    /// The log of a table that is not there yet.
    pub fn absent(out: &Arc<dyn Store>, contract: TableContract) -> Self {
        let (out, state) = (out.clone(), TableState::new(contract.clone()));
        Self {
            out,
            state,
            stored: contract,
            checkpoint: 0,
            began_with: 0,
            records_since: 0,
            own: Mutex::default(),
        }
    }

    /// Begins anew with the newest checkpoint that can be used, and reads the records after it. A checkpoint that turned out not
    /// to be usable after all is not tried again.
    fn reopen(&mut self) -> Result<(), Error> {
        loop {
            let unusable = std::mem::take(&mut self.began_with);
            self.begin(unusable)?;
            match self.read_new() {
                Err(Error::Checkpoint { .. }) if self.began_with > 0 => {}
                read => return read,
            }
        }
    }

    /// Has the state be that of the newest checkpoint after `unusable` that can be used; without one, that of an empty table.
    fn begin(&mut self, unusable: u64) -> Result<(), Error> {
        let numbers = checkpoint::numbers(self.out.as_ref())?;
        self.checkpoint = numbers.last().copied().unwrap_or_default();
        self.state = TableState::new(self.state.contract().clone());
        self.records_since = 0;
        self.own.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // Older ones are kept for their segments. That the newest cannot be used is a rare thing.
        for number in numbers.into_iter().rev().take_while(|n| *n > unusable).take(2) {
            let Some(record) = checkpoint::read(self.out.as_ref(), number)? else { continue };
            if let Some(state) = self.state_of(record)? {
                (self.state, self.began_with) = (state, number);
                break;
            }
        }
        Ok(())
    }

    /// The state that a checkpoint tells of; none where it cannot be used.
    fn state_of(&self, record: checkpoint::CheckpointRecord) -> Result<Option<TableState>, Error> {
        let out = self.out.as_ref();
        let mut plans = BTreeMap::new();
        let keys: Vec<String> = record.open_plans().map(plan_key).collect();
        read_each(out, &keys, |key, bytes| {
            let plan = decode_plan(out, key, &bytes)?;
            plans.insert(plan.number, plan.tasks);
            Ok(())
        })?;
        let mut compactions = Vec::new();
        let keys: Vec<String> = record.open_compactions().iter().map(|n| compaction_key(*n)).collect();
        read_each(out, &keys, |key, bytes| {
            compactions.push(decode(out, key, &bytes)?);
            Ok(())
        })?;
        Ok(record.state(self.state.contract().clone(), &self.out, plans, compactions).ok())
    }

    /// Asks the state something that may read what a checkpoint tells. Where that turns out not to be usable, or another run has
    /// removed it since, begins anew and asks again.
    ///
    /// # Errors
    /// Those of `ask`; as the store reports.
    pub fn ask<T>(&mut self, mut ask: impl FnMut(&TableState) -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match ask(&self.state) {
                Err(Error::Checkpoint { .. }) if self.began_with > 0 => self.reopen()?,
                answer => return answer,
            }
        }
    }

    /// Sorts out a listing for a run with `options`. What was read for others of a checkpoint is let go.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`].
    pub fn sort_out(&mut self, listing: Vec<SourceObject>, options: &Options) -> Result<Sorted, Error> {
        self.state.known.keep_only(&listing);
        let ready = self.ask(|state| state.read_known(&listing));
        ready.and_then(|()| self.state.sort_out(listing, options))
    }

    /// Puts a checkpoint, where enough was put since the last one. The log is to be read anew before. A run whose checkpoint
    /// could not be put has done its work all the same.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`].
    pub fn checkpoint_if_due(&mut self) -> Result<(), Error> {
        if self.records_since < CHECKPOINT_AFTER { Ok(()) } else { self.checkpoint() }
    }

    /// Puts a checkpoint of what is known.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`].
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        if self.state.last_plan() == 0 {
            return Ok(());
        }
        loop {
            let Self { out, state, checkpoint, .. } = self;
            let (number, single_writer) = (*checkpoint + 1, state.contract().single_writer);
            let put = |key: &str, bytes: &[u8]| put_record(out.as_ref(), single_writer, key, bytes);
            match checkpoint::put(state, number, out, put) {
                Err(Error::Checkpoint { .. }) if self.began_with > 0 => self.reopen()?,
                Err(error) => return Err(error),
                Ok(()) => {
                    tracing::info!(number, "put a checkpoint");
                    (self.checkpoint, self.began_with, self.records_since) = (number, number, 0);
                    return Ok(());
                }
            }
        }
    }

    /// What the records add up to, as far as they were read.
    pub fn state(&self) -> &TableState {
        &self.state
    }

    /// What the records add up to, to be changed by a caller that has done what a record would say.
    pub fn state_mut(&mut self) -> &mut TableState {
        &mut self.state
    }

    /// The store of the table.
    pub fn out(&self) -> &Arc<dyn Store> {
        &self.out
    }

    /// Reads what was put since the last time.
    ///
    /// # Errors
    /// As the store reports; [`Error::Broken`], [`Error::Record`].
    pub fn refresh(&mut self) -> Result<(), Error> {
        match self.read_new() {
            Err(Error::Checkpoint { .. }) if self.began_with > 0 => self.reopen(),
            read => read,
        }
    }

    fn read_new(&mut self) -> Result<(), Error> {
        let out = self.out.clone();
        let out = out.as_ref();
        // In this order, each listed when the one before is: see `TableState`.
        let compactions = self.list_compactions()?;
        let plans = self.list_plans()?;
        self.add_own()?;
        let (asked, commits) = self.list_commits()?;
        read_if_there(out, &asked, |key, bytes| self.add_commit(key, bytes))?;
        read_each(out, &commits, |key, bytes| self.add_commit(key, &bytes))?;
        read_each(out, &plans, |key, bytes| {
            self.records_since += 1;
            self.state.add_plan(decode_plan(out, key, &bytes)?)
        })?;
        read_each(out, &compactions.new, |key, bytes| {
            let record: CompactionRecord = decode(out, key, &bytes)?;
            let is_in_place = compactions.done.contains(&record.number);
            self.records_since += 1;
            self.state.add_compaction(record, is_in_place)
        })?;
        compactions.done.iter().for_each(|number| self.state.close_compaction(*number));
        let ignored = keys_of(out, IGNORED)?;
        self.state.set_ignored(ignored.iter().filter_map(|key| ignored::digest_of(key)).collect());
        Ok(())
    }

    fn add_commit(&mut self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let commit = decode_commit(self.out.as_ref(), key, bytes)?;
        let task = commit.task;
        self.records_since += 1;
        self.state.add_commit(task, Settled::of(commit)?)
    }

    /// Adds the commits that were put here.
    fn add_own(&mut self) -> Result<(), Error> {
        for (task, settled) in std::mem::take(self.own.get_mut().unwrap_or_else(PoisonError::into_inner)) {
            self.records_since += 1;
            self.state.add_commit(task, settled)?;
        }
        Ok(())
    }

    fn after(&self, folder: &str, after: &str) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        self.out.list_after(folder, after, &mut |object| found.push(object.key))?;
        // S3's directory buckets list in no order.
        found.sort_unstable();
        Ok(found)
    }

    fn list_plans(&self) -> Result<Vec<String>, Error> {
        let mut found = self.after(PLANS, &plan_key(self.state.last_plan()))?;
        found.retain(|key| plan_number(key).is_some());
        Ok(found)
    }

    fn list_compactions(&self) -> Result<ListedCompactions, Error> {
        let files = self.state.files();
        let last = files.last_compaction();
        // The mark of completion sorts before the record; of those that are open it is still to come.
        let first = files.open().next().map_or(last + 1, |r| r.number);
        let mut listed = ListedCompactions::default();
        for key in self.after(COMPACTIONS, &compaction_key(first - 1))? {
            match compaction_number(&key) {
                Some(number) if number > last => listed.new.push(key),
                Some(_) => {}
                None => listed.done.extend(compaction_done_number(&key)),
            }
        }
        Ok(listed)
    }

    /// Keys of commits that may be there, and of such that are.
    fn list_commits(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        let state = &self.state;
        let few = state.open_tasks().take(ASKED_MAX + 1).count() <= ASKED_MAX;
        let first = if few { state.last_plan() + 1 } else { state.first_open_plan() };
        let mut found = self.after(COMMITS_BY_PLAN, &before_commits_of(first))?;
        let asked = state.open_tasks().filter(|_| few);
        let asked = asked.map(|t| commit_key(&t.task.id, t.plan, t.layout_version)).collect();
        // Those of layout 4 stand in no order.
        let is_new_to_all = state.last_plan() == 0;
        let old = state.open_tasks().filter(|t| t.layout_version < 5).count();
        if is_new_to_all || old > ASKED_MAX {
            let keys = self.out.folder(&format!("{COMMITS}/"), usize::MAX);
            let keys = match keys {
                Ok(folder) => folder.map(|f| f.objects).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            found.extend(keys.into_iter().map(|o| o.key));
        }
        let open: HashSet<&str> = state.open_tasks().map(|t| t.task.id.as_str()).collect();
        let is_open_or_new = |key: &String| {
            let Some(task) = task_of_commit(key) else { return false };
            is_new_to_all || open.contains(task) || plan_of_commit(key).is_some_and(|p| p > state.last_plan())
        };
        found.retain(is_open_or_new);
        Ok((asked, found))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        put_record(self.out.as_ref(), self.state.contract().single_writer, key, bytes)
    }

    /// Puts what `build` makes of the state under the key that `key` tells. Where another run's record is there already,
    /// reads what is new and asks again, until it is put or `build` has nothing to put. `number` tells how far the state is.
    fn append<R>(
        &mut self,
        build: &mut dyn FnMut(&TableState) -> Result<Option<R>, Error>,
        place: fn(&R) -> (u64, String, Vec<u8>),
        last: fn(&TableState) -> u64,
    ) -> Result<Option<R>, Error> {
        loop {
            let Some(record) = self.ask(&mut *build)? else { return Ok(None) };
            let (number, key, bytes) = place(&record);
            match self.put(&key, &bytes) {
                Ok(()) => return Ok(Some(record)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    tracing::info!(
                        record = key,
                        "another run put this record first: reads it and decides again"
                    );
                    self.refresh()?;
                    if last(&self.state) < number {
                        let what =
                            format!("`{}` is taken, and no record is listed there", self.out.url(&key));
                        return Err(Error::Broken { invariant: "L2", what });
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts the plan that `build` makes of the state, numbered as the next. Returns its number; `None` where `build` made none.
    ///
    /// # Errors
    /// Those of `build`; as the store reports.
    pub fn append_plan(
        &mut self,
        build: &mut dyn FnMut(&TableState) -> Result<Option<PlanRecord>, Error>,
    ) -> Result<Option<u64>, Error> {
        let put = self.append(
            build,
            |plan| (plan.number, plan_key(plan.number), plan_to_gzip(plan)),
            TableState::last_plan,
        )?;
        let Some(plan) = put else { return Ok(None) };
        let number = plan.number;
        self.records_since += 1;
        self.state.add_plan(plan)?;
        self.keep_contract()?;
        Ok(Some(number))
    }

    /// Puts a plan that was made before, unless it is there. Several processes that perform shards of one plan all do so.
    ///
    /// # Errors
    /// [`Error::StalePlan`] where the table has other plans since.
    pub fn take_plan(&mut self, plan: &PlanRecord) -> Result<(), Error> {
        let number = plan.number;
        if number == self.state.last_plan() + 1 {
            let mut build = |state: &TableState| {
                if state.last_plan() >= number {
                    return Ok(None);
                }
                // Before it is put, since it is a file of somebody's: a table with a wrong record is none.
                state.clone().add_plan(plan.clone())?;
                Ok(Some(plan.clone()))
            };
            if self.append_plan(&mut build)?.is_some() {
                return Ok(());
            }
        }
        if number > self.state.last_plan() {
            return Err(Error::StalePlan { number });
        }
        let is_last = number == self.state.last_plan();
        let is_there = match is_last.then(|| self.state.last_plan_is(plan)).flatten() {
            Some(is_there) => is_there,
            // Of an older plan, or of one that a checkpoint tells of, only the record says what it was.
            None => {
                let key = plan_key(number);
                decode_plan(self.out.as_ref(), &key, &self.out.get(&key)?)? == *plan
            }
        };
        if is_there { Ok(()) } else { Err(Error::StalePlan { number }) }
    }

    /// Puts the compaction or reconversion that `build` makes of the state, numbered as the next. `None` where it made none.
    ///
    /// # Errors
    /// Those of `build`; as the store reports.
    pub fn append_compaction(
        &mut self,
        build: &mut dyn FnMut(&TableState) -> Result<Option<CompactionRecord>, Error>,
    ) -> Result<Option<CompactionRecord>, Error> {
        let put = self.append(
            build,
            |record| (record.number, compaction_key(record.number), sealed(to_json(record))),
            |state| state.files().last_compaction(),
        )?;
        if let Some(record) = &put {
            self.records_since += 1;
            match self.state.add_compaction(record.clone(), false) {
                Err(Error::Checkpoint { .. }) if self.began_with > 0 => self.reopen()?,
                added => added?,
            }
        }
        Ok(put)
    }

    /// Says that the files of compaction `number` are in place. May be said twice.
    ///
    /// # Errors
    /// As the store reports.
    pub fn mark_in_place(&self, number: u64) -> Result<(), Error> {
        let mark = format!("{{\"layout_version\":{}}}\n", crate::LAYOUT_VERSION);
        Ok(self.out.put(&compaction_done_key(number), mark.as_bytes())?)
    }

    /// Commits a task of a plan of layout `layout_version`, unless another run has. The state learns of it when it is refreshed.
    ///
    /// # Errors
    /// As the store reports.
    pub fn commit(&self, record: &CommitRecord, layout_version: u32) -> Result<CommitPut, Error> {
        let key = commit_key(&record.task, record.plan, layout_version);
        match self.put(&key, &sealed(to_json(record))) {
            Ok(()) => {
                let (files, records) = (record.outputs.len(), record.counts.records);
                tracing::info!(
                    task = record.task.as_str(),
                    files,
                    records,
                    void = record.void,
                    "committed a task"
                );
                let own = (record.task, Settled::of(record.clone())?);
                self.own.lock().unwrap_or_else(PoisonError::into_inner).push(own);
                Ok(CommitPut::Ours)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                tracing::info!(task = record.task.as_str(), "another run committed this task first");
                let theirs = decode_commit(self.out.as_ref(), &key, &self.out.get(&key)?)?;
                Ok(CommitPut::Theirs(Box::new(theirs)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Commits a task, unless another run has, and tells the state. Returns whether the task is void.
    pub(crate) fn settle(&mut self, record: CommitRecord, layout_version: u32) -> Result<bool, Error> {
        let settled = match self.commit(&record, layout_version)? {
            CommitPut::Ours => record,
            CommitPut::Theirs(theirs) => *theirs,
        };
        let (task, is_void) = (settled.task, settled.void.is_some());
        self.records_since += 1;
        self.state.add_commit(task, Settled::of(settled)?)?;
        Ok(is_void)
    }

    /// Adds to `retired` the keys of files that were retired by records that the state does not know yet, and takes those out that became part
    /// of the table again.
    ///
    /// # Errors
    /// As the store reports; [`Error::Record`].
    pub fn retire_since(&self, retired: &mut HashSet<String>) -> Result<(), Error> {
        let listed = self.list_compactions()?;
        let out = self.out.as_ref();
        read_each(out, &listed.new, |key, bytes| {
            let record: CompactionRecord = decode(out, key, &bytes)?;
            for key in &record.regained {
                retired.remove(key);
            }
            retired.extend(record.retired.into_iter().map(|f| f.key));
            Ok(())
        })
    }

    /// The commit record of a task of a plan.
    ///
    /// # Errors
    /// As the store reports; [`Error::Record`].
    pub fn read_commit(&self, task: &str, plan: u64) -> Result<CommitRecord, Error> {
        let key = commit_key(task, plan, self.state.layout_of(plan));
        decode_commit(self.out.as_ref(), &key, &self.out.get(&key)?)
    }

    /// Calls `each` with all plan records, in order.
    ///
    /// # Errors
    /// Those of `each`; as the store reports.
    pub fn read_plans(&self, mut each: impl FnMut(PlanRecord) -> Result<(), Error>) -> Result<(), Error> {
        let keys: Vec<String> = (1..=self.state.last_plan()).map(plan_key).collect();
        let out = self.out.as_ref();
        read_each(out, &keys, |key, bytes| each(decode_plan(out, key, &bytes)?))
    }

    /// Calls `each` with all records of compactions and reconversions, in order.
    ///
    /// # Errors
    /// Those of `each`; as the store reports.
    pub fn read_compactions(
        &self,
        mut each: impl FnMut(CompactionRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let keys: Vec<String> = (1..=self.state.files().last_compaction()).map(compaction_key).collect();
        let out = self.out.as_ref();
        read_each(out, &keys, |key, bytes| each(decode(out, key, &bytes)?))
    }
}

#[derive(Debug, Default)]
struct ListedCompactions {
    new: Vec<String>,
    done: HashSet<u64>,
}
