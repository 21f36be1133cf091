//! The table at the destination: its contract, plans and commits.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use flowquet_plan::{
    COMMITS, CONTRACT_KEY, CommitRecord, Counts, Known, LAYOUT_VERSION, Options, PLANS, PlanRecord, RECORDS,
    SPOOL, SortedOut, SourceObject, TableContract, Task, from_json, plan_from_gzip, plan_key, plan_number,
    plan_tasks, plan_to_gzip, rejects_key, task_of_output, to_json,
};
use flowquet_store::{Error as StoreError, ErrorKind, Fetch, Store};

use crate::error::Error;
use crate::source::spool_key;
use crate::union::{Looks, TableFormats};

/// Records that are read at once.
const RECORDS_AHEAD: usize = 64;

/// Tasks of one plan that have no commit.
#[derive(Debug)]
pub(crate) struct OpenPlan {
    pub(crate) number: u64,
    pub(crate) options: Options,
    /// Log formats whose columns their files have.
    pub(crate) formats: Vec<String>,
    pub(crate) tasks: Vec<Task>,
}

/// What the commits of a table say in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committed {
    pub(crate) tasks: u64,
    pub(crate) void: u64,
    pub(crate) objects: u64,
    pub(crate) bytes_in: u64,
    pub(crate) counts: Counts,
    pub(crate) files: u64,
    pub(crate) bytes_out: u64,
    pub(crate) partitions: HashSet<String>,
    /// Objects that could not be read, and why.
    pub(crate) failed: Vec<(String, String)>,
    pub(crate) reject_files: Vec<String>,
    pub(crate) formats: HashSet<String>,
}

/// A table's records as they were read.
#[derive(Debug)]
pub(crate) struct Table {
    contract: TableContract,
    last_plan: u64,
    known: Known,
    /// In the order of their numbers.
    pub(crate) open: Vec<OpenPlan>,
    void: HashSet<String>,
    /// Spool keys of tasks that are committed.
    spooled: Vec<String>,
    formats: TableFormats,
    pub(crate) committed: Committed,
}

pub(crate) fn list_or_none(out: &dyn Store, prefix: &str) -> Result<Vec<String>, Error> {
    match out.list(&format!("{prefix}/")) {
        Ok(found) => Ok(found.into_iter().map(|o| o.key).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Reads records, several at once, in order.
pub(crate) fn read_each(
    out: &dyn Store,
    keys: &[String],
    mut each: impl FnMut(&str, Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut ahead: VecDeque<(&String, Box<dyn Fetch>)> = VecDeque::new();
    let mut keys = keys.iter();
    loop {
        while ahead.len() < RECORDS_AHEAD
            && let Some(key) = keys.next()
        {
            ahead.push_back((key, out.fetch(key, "", 0..0, true)));
        }
        let Some((key, fetch)) = ahead.pop_front() else { return Ok(()) };
        each(key, fetch.wait(&|| false)?)?;
    }
}

/// The table's contract, if there is a table.
///
/// # Errors
/// [`Error::Record`] where it cannot be understood; others as the store reports.
pub fn find_contract(out: &dyn Store) -> Result<Option<TableContract>, Error> {
    match out.get(CONTRACT_KEY) {
        Ok(bytes) => from_json(&bytes).map(Some).map_err(|e| Error::Record(out.url(CONTRACT_KEY), e)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotAFolder) => Ok(None),
        // S3 tells only who may list the whole bucket that an object is not there, and denies it to others.
        Err(error) if error.kind() == ErrorKind::Denied => match out.list(CONTRACT_KEY) {
            Err(listed) if listed.kind() == ErrorKind::NotFound => Ok(None),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The table's contract, if there is a table, checked against what a run wants.
pub(crate) fn check_contract(out: &dyn Store, options: &Options) -> Result<Option<TableContract>, Error> {
    let Some(found) = find_contract(out)? else { return Ok(None) };
    let differences = found.differences(&TableContract::of(options));
    if differences.is_empty() { Ok(Some(found)) } else { Err(Error::Contract(differences)) }
}

/// Makes a table: its contract, unless another run makes it at this moment.
pub(crate) fn make_contract(
    out: &dyn Store,
    options: &Options,
    single_writer: bool,
) -> Result<TableContract, Error> {
    let wanted = TableContract { single_writer, ..TableContract::of(options) };
    match out.put_if_absent(CONTRACT_KEY, &to_json(&wanted)) {
        Ok(()) => Ok(wanted),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok(check_contract(out, options)?.unwrap_or(wanted))
        }
        Err(error) => Err(error.into()),
    }
}

/// Deletes an object that another run may have deleted already.
pub(crate) fn delete_if_there(out: &dyn Store, key: &str) -> Result<(), StoreError> {
    match out.delete(key) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts a record unless there is one. Where the store does not honour conditions a look comes first, which is enough for one
/// writer at a time.
pub(crate) fn put_record(
    out: &dyn Store,
    key: &str,
    bytes: &[u8],
    single_writer: bool,
) -> Result<(), StoreError> {
    if single_writer && let Ok(there) = out.get(key) {
        // A run that was killed may have put it just before.
        return if there == bytes { Ok(()) } else { Err(StoreError::exists(out.url(key))) };
    }
    out.put_if_absent(key, bytes)
}

impl Table {
    /// A table without plans.
    pub(crate) fn new(contract: &TableContract) -> Self {
        Self {
            contract: contract.clone(),
            last_plan: 0,
            known: Known::default(),
            open: Vec::new(),
            void: HashSet::new(),
            spooled: Vec::new(),
            formats: TableFormats::default(),
            committed: Committed::default(),
        }
    }

    /// Reads all plans and commits.
    pub(crate) fn read(out: &dyn Store, contract: &TableContract) -> Result<Self, Error> {
        // A task that is committed meanwhile seems open; whoever performs it finds its commit.
        let (plans, commits, spooled) = std::thread::scope(|scope| {
            let [plans, commits] = [PLANS, COMMITS].map(|p| scope.spawn(move || list_or_none(out, p)));
            let spooled = list_or_none(out, SPOOL);
            let joined =
                |listed: std::thread::ScopedJoinHandle<'_, _>| listed.join().expect("no panic while waiting");
            (joined(plans), joined(commits), spooled)
        });
        let (mut plans, mut commit_keys, is_spooling) = (plans?, commits?, !spooled?.is_empty());
        plans.retain(|k| plan_number(k).is_some());
        plans.sort_by_key(|k| plan_number(k));
        commit_keys.retain(|k| k.ends_with(".json"));
        let mut table = Self::new(contract);
        let mut commits = HashMap::new();
        read_each(out, &commit_keys, |key, bytes| {
            let mut commit: CommitRecord = from_json(&bytes).map_err(|e| Error::Record(out.url(key), e))?;
            table.committed.add(&commit);
            table.formats.add_commit(&commit);
            // Of a history of years only what decides the next plan is kept in memory.
            commit.inputs.retain(|i| i.failed.is_some());
            commit.outputs = Vec::new();
            if commit.void.is_some() {
                table.void.insert(commit.task.clone());
            }
            commits.insert(commit.task.clone(), commit);
            Ok(())
        })?;
        read_each(out, &plans, |key, bytes| {
            let plan = plan_from_gzip(&bytes).map_err(|e| Error::Record(out.url(key), e))?;
            table.known.add(&plan, &commits);
            table.formats.add_plan(&plan, &commits);
            table.last_plan = plan.number;
            let (done, tasks): (Vec<Task>, Vec<Task>) =
                plan.tasks.into_iter().partition(|t| commits.contains_key(&t.id));
            if is_spooling {
                table.spooled.extend(done.iter().flat_map(|t| &t.objects).filter_map(spool_key));
            }
            if !tasks.is_empty() {
                let (number, options, formats) = (plan.number, plan.options, plan.formats);
                table.open.push(OpenPlan { number, options, formats, tasks });
            }
            Ok(())
        })?;
        Ok(table)
    }

    /// Removes what killed runs left: data files and rejects of void tasks, since such a run could not see that its task was
    /// void, and what was spooled for tasks that are committed.
    ///
    /// Only a table that has void tasks is walked.
    pub(crate) fn sweep(&self, out: &dyn Store) -> Result<(), Error> {
        for key in &self.spooled {
            delete_if_there(out, key)?;
        }
        if self.void.is_empty() {
            return Ok(());
        }
        for id in &self.void {
            delete_if_there(out, &rejects_key(id))?;
        }
        let mut left = Vec::new();
        out.list_each("", &mut |object| {
            let is_record = object.key.starts_with(RECORDS);
            if !is_record && task_of_output(&object.key).is_some_and(|id| self.void.contains(id)) {
                left.push(object.key);
            }
        })?;
        for key in left {
            delete_if_there(out, &key)?;
        }
        Ok(())
    }

    /// Whether only one process may write at a time.
    pub(crate) fn is_single_writer(&self) -> bool {
        self.contract.single_writer
    }

    /// Objects that the table's plans hold.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// Number of the newest plan; 0 without any.
    pub(crate) fn last_plan(&self) -> u64 {
        self.last_plan
    }

    /// Sorts out a listing against the plans.
    pub(crate) fn sort_out(&self, listing: Vec<SourceObject>, options: &Options) -> SortedOut {
        self.known.sort_out(listing, options)
    }

    /// The plan that takes `new` objects into the table.
    pub(crate) fn plan(
        &self,
        new: Vec<SourceObject>,
        options: &Options,
        looks: &Looks<'_>,
    ) -> Result<PlanRecord, Error> {
        let number = self.last_plan + 1;
        let formats = self.formats.of_union(&new, options, looks)?;
        let tasks = plan_tasks(new, number, options, &formats, &options.partition_spec()?);
        Ok(PlanRecord { layout_version: LAYOUT_VERSION, number, options: options.clone(), formats, tasks })
    }

    /// Takes the new objects of `listing` into the table. Where another run takes some at the same moment, reads what it
    /// took and takes the rest. Returns what was sorted out, without what is new, and the plan's number if there was any.
    pub(crate) fn take(
        &mut self,
        out: &dyn Store,
        listing: Vec<SourceObject>,
        options: &Options,
        looks: &Looks<'_>,
    ) -> Result<(SortedOut, Option<u64>), Error> {
        let mut sorted = self.sort_out(listing, options);
        while !sorted.new.is_empty() {
            let plan = self.plan(std::mem::take(&mut sorted.new), options, looks)?;
            match put_record(out, &plan_key(plan.number), &plan_to_gzip(&plan), self.is_single_writer()) {
                Ok(()) => {
                    let number = plan.number;
                    self.add(plan);
                    return Ok((sorted, Some(number)));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    *self = Self::read(out, &self.contract)?;
                    let again = plan.tasks.into_iter().flat_map(|t| t.objects).collect();
                    let rest = self.sort_out(again, options);
                    sorted.new = rest.new;
                    sorted.known += rest.known;
                    sorted.known_bytes += rest.known_bytes;
                    sorted.changed.extend(rest.changed);
                    sorted.failed.extend(rest.failed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((sorted, None))
    }

    fn add(&mut self, plan: PlanRecord) {
        self.last_plan = plan.number;
        let PlanRecord { number, options, formats, tasks, .. } = plan;
        self.open.push(OpenPlan { number, options, formats, tasks });
    }

    /// Takes a plan that was made before into the table, unless it is there. Several processes that perform shares of one
    /// plan all do so.
    ///
    /// # Errors
    /// [`Error::StalePlan`] where the table has other plans since.
    pub(crate) fn take_plan(&mut self, out: &dyn Store, plan: PlanRecord) -> Result<(), Error> {
        let number = plan.number;
        let stale = || Error::StalePlan { number };
        if number == self.last_plan + 1 {
            match put_record(out, &plan_key(number), &plan_to_gzip(&plan), self.is_single_writer()) {
                Ok(()) => {
                    self.add(plan);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    *self = Self::read(out, &self.contract)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if number > self.last_plan {
            return Err(stale());
        }
        let there = out.get(&plan_key(number))?;
        let there = plan_from_gzip(&there).map_err(|e| Error::Record(out.url(&plan_key(number)), e))?;
        if there == plan { Ok(()) } else { Err(stale()) }
    }
}

impl Committed {
    fn add(&mut self, commit: &CommitRecord) {
        if commit.void.is_some() {
            self.void += 1;
            return;
        }
        self.tasks += 1;
        self.counts.add(&commit.counts);
        for input in &commit.inputs {
            match &input.failed {
                Some(reason) => self.failed.push((input.object.url().to_owned(), reason.clone())),
                None => {
                    self.objects += 1;
                    self.bytes_in += input.object.bytes;
                }
            }
        }
        for output in &commit.outputs {
            self.files += 1;
            self.bytes_out += output.bytes;
            self.partitions.insert(output.partition.clone());
            self.formats.insert(output.format.clone());
        }
        if commit.counts.rejects > 0 {
            self.reject_files.push(rejects_key(&commit.task));
        }
    }
}
