//! Reading all records, one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flowquet_store::{Error as StoreError, Store};

use super::fault::RecordFault;
use super::listed::Listed;
use crate::compaction::CompactionRecord;
use crate::contract::TableContract;
use crate::digest::Digest;
use crate::error::Error;
use crate::layout::{
    commit_key, compaction_key, compaction_number, plan_key, plan_of_commit, rejects_key, rejects_loss_key,
    task_of_output,
};
use crate::log::Log;
use crate::reading::{decode_commit, decode_plan, read_each};
use crate::records::{CommitRecord, OutputRecord, PlanRecord, from_json};
use crate::rejects_loss::{LostRejects, loss_of_rejects};
use crate::seal::{ENTRY, Seal, unsealed};
use crate::settled::check_commit;
use crate::task_id::TaskId;

/// What an audit found.
#[derive(Debug)]
pub struct RecordAudit {
    /// What is wrong, in order.
    pub faults: Vec<RecordFault>,
    /// Plan records that were read.
    pub plans: u64,
    /// Commit records that were read.
    pub commits: u64,
    /// Records of compactions and reconversions that were read.
    pub compactions: u64,
    /// Whether all objects and files have a digest, by which what was read is compared with what was written.
    pub has_digests: bool,
    /// Rejected lines whose loss was accepted.
    pub lost_rejects: Vec<LostRejects>,
    /// The log, read from records alone; none where they contradict each other so that nothing can be said about files.
    pub log: Option<Log>,
}

/// Reads all records of the table in `out`, which has this contract. Runs that go on meanwhile are no fault.
///
/// # Errors
/// As the store reports.
pub fn audit(out: &Arc<dyn Store>, contract: TableContract) -> Result<RecordAudit, Error> {
    // Whatever this knows is in records already, so that these are read later.
    let by_checkpoint = match Log::of(out, contract.clone()) {
        Ok(log) => Some(log),
        Err(Error::Store(error)) if !error.may_be_missing() => return Err(error.into()),
        Err(_) => None,
    };
    let listed = Listed::of(out.as_ref())?;
    let mut reader = Reader::new(out.as_ref(), &listed);
    reader.read_compactions()?;
    reader.read_plans()?;
    reader.find_strays()?;
    reader.compare_with_checkpoint(by_checkpoint.as_ref());
    let Reader {
        mut faults,
        plans,
        commits,
        compactions,
        read,
        has_digests,
        rejects,
        settled,
        superseded,
        ..
    } = reader;
    let log = match Log::of_records(out, contract) {
        Ok(log) => Some(log),
        Err(Error::Broken { invariant, what }) => {
            if faults.iter().all(RecordFault::spoils_nothing) {
                faults.push(RecordFault::Broken { invariant: invariant.to_owned(), what });
            }
            None
        }
        Err(Error::Record { url, error }) => {
            if faults.iter().all(RecordFault::spoils_nothing) {
                faults.push(RecordFault::Unreadable { key: url, what: error.to_string() });
            }
            None
        }
        // One was listed, and is gone.
        Err(Error::Store(error)) if error.may_be_missing() && !faults.is_empty() => None,
        Err(error) => return Err(error),
    };
    let (mut has_digests, mut lost_rejects) = (has_digests, Vec::new());
    if let Some(log) = &log {
        let totals = log.state().totals();
        // A reconversion, which may be what is gone, had replaced the rejects of its objects.
        let may_be_replaced = faults
            .iter()
            .any(|fault| matches!(fault, RecordFault::Gone { key } if compaction_number(key).is_some()));
        for (task, rejects) in rejects.into_iter().filter(|_| !may_be_replaced) {
            let key = rejects_key(&task);
            if !totals.has_rejects(task) || is_there(out.as_ref(), &key)? {
                continue;
            }
            let is_accepted = listed.lost_rejects.contains(task.as_str());
            match if is_accepted { loss_of_rejects(out.as_ref(), task)? } else { None } {
                Some(lost) => lost_rejects.push(lost),
                None => faults.push(RecordFault::RejectsGone { key, rejects }),
            }
        }
        let of = |output: &OutputRecord| output.digest.map(|digest| digest.with(output.duplicates.digest));
        // No object gave the rows of a roll-up.
        let files = if log.state().is_rollup() { Vec::new() } else { log.state().files().all()? };
        // What was lost was written, and its objects were read.
        let lost = log.state().files().lost().filter(|_| !log.state().is_rollup()).map(|lost| &lost.file);
        let written = Digest::sum(files.into_iter().chain(lost).map(|file| of(&file.output)));
        let is_same_moment = totals.tasks == settled && log.state().files().last_compaction() == compactions;
        has_digests &= written.is_some();
        if let (true, true, Some(written)) = (has_digests, is_same_moment, written)
            && written != read
            && faults.iter().all(RecordFault::spoils_nothing)
        {
            faults.push(RecordFault::Sums { read: read.to_string(), written: written.to_string() });
        }
        // Where a record is wrong, what seems to belong to nothing may be its.
        if faults.iter().all(RecordFault::spoils_nothing) {
            faults.extend(rejects_of_nothing(log, &listed, &superseded)?);
        }
    }
    faults.sort();
    faults.dedup();
    Ok(RecordAudit { faults, plans, commits, compactions, has_digests, lost_rejects, log })
}

/// Files of rejected lines that no task has, and what was said of such.
fn rejects_of_nothing(
    log: &Log,
    listed: &Listed,
    superseded: &HashSet<TaskId>,
) -> Result<Vec<RecordFault>, Error> {
    let (state, out) = (log.state(), log.out().as_ref());
    let open: HashSet<TaskId> = state.open_tasks().map(|open| open.task.id).collect();
    let of_lines = listed.rejects.iter().map(|task| (task, rejects_key(task)));
    let of_losses = listed.lost_rejects.iter().map(|task| (task, rejects_loss_key(task)));
    let mut found = Vec::new();
    for (task, key) in of_lines.chain(of_losses) {
        let task = task.as_str();
        let is_known = state.totals().with_rejects.contains(task)
            || open.contains(task)
            // Whoever replaced or gave up a task deletes them.
            || superseded.contains(task)
            || state.files().is_void(task)?;
        if !is_known && is_there(out, &key)? {
            found.push(RecordFault::Unknown { key });
        }
    }
    Ok(found)
}

fn is_there(out: &dyn Store, key: &str) -> Result<bool, Error> {
    match out.head(key) {
        Ok(_) => Ok(true),
        Err(error) if error.may_be_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

struct Reader<'a> {
    out: &'a dyn Store,
    listed: &'a Listed,
    faults: Vec<RecordFault>,
    plans: u64,
    commits: u64,
    compactions: u64,
    /// Tasks that count no more, since a reconversion took their place.
    superseded: HashSet<TaskId>,
    /// Tasks whose files compactions retired.
    rested_on: HashSet<String>,
    /// Tasks of plans, and whether each has a commit that is not void.
    tasks: HashMap<TaskId, Known>,
    /// Keys of commits that belong to tasks of plans.
    used: HashSet<String>,
    /// Committed tasks that count.
    settled: u64,
    /// Digest of what those have read.
    read: Digest,
    has_digests: bool,
    /// Rejects of those that have some in a file.
    rejects: BTreeMap<TaskId, u64>,
}

/// What is known of a task of a plan.
struct Known {
    plan: u64,
    layout_version: u32,
    is_settled: bool,
}

impl<'a> Reader<'a> {
    fn new(out: &'a dyn Store, listed: &'a Listed) -> Self {
        let faults = listed.unknown.iter().map(|key| RecordFault::Unknown { key: key.clone() }).collect();
        Self {
            out,
            listed,
            faults,
            plans: 0,
            commits: 0,
            compactions: 0,
            superseded: HashSet::new(),
            rested_on: HashSet::new(),
            tasks: HashMap::new(),
            used: HashSet::new(),
            settled: 0,
            read: Digest::default(),
            has_digests: true,
            rejects: BTreeMap::new(),
        }
    }

    /// Tells of numbers that are not there though others follow.
    fn find_gaps(&mut self, numbers: &BTreeSet<u64>, key_of: fn(u64) -> String) -> Result<(), Error> {
        let mut expected = 1;
        for number in numbers {
            // A hundred gone are told one by one; a number that somebody made up is none of them.
            for missing in (expected..*number).take(100) {
                let key = key_of(missing);
                // A listing of a folder does not see all that is put meanwhile.
                if !is_there(self.out, &key)? {
                    self.faults.push(RecordFault::Gone { key });
                }
            }
            expected = number + 1;
        }
        Ok(())
    }

    /// Tells of a record that was changed.
    fn check_seal(&mut self, key: &str, bytes: &[u8]) {
        let is_changed = match unsealed(bytes).1 {
            Seal::Broken => true,
            Seal::Whole => false,
            // One that another program wrote anew has the entry elsewhere.
            Seal::Absent => {
                serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|v| v.get(ENTRY).is_some())
            }
        };
        if is_changed {
            self.faults.push(RecordFault::Edited { key: key.to_owned() });
        }
    }

    /// A record that is as it is in the listing, or why it is not.
    fn taken<T>(&mut self, key: &str, read: Result<T, Error>) -> Result<Option<T>, Error> {
        match read {
            Ok(record) => Ok(Some(record)),
            Err(Error::Record { error, .. }) => {
                self.faults.push(RecordFault::Unreadable { key: key.to_owned(), what: error.to_string() });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read_compactions(&mut self) -> Result<(), Error> {
        self.find_gaps(&self.listed.compactions, compaction_key)?;
        for number in self.listed.done.difference(&self.listed.compactions) {
            let key = compaction_key(*number);
            if !is_there(self.out, &key)? {
                self.faults.push(RecordFault::Gone { key });
            }
        }
        let keys: Vec<String> = self.listed.compactions.iter().map(|n| compaction_key(*n)).collect();
        let mut reconverted = Vec::new();
        read_each(self.out, &keys, |key, bytes| {
            self.compactions += 1;
            self.check_seal(key, &bytes);
            let read = from_json::<CompactionRecord>(&bytes)
                .map_err(|error| Error::Record { url: key.to_owned(), error });
            let Some(record) = self.taken(key, read)? else { return Ok(()) };
            if compaction_key(record.number) != key {
                self.faults
                    .push(RecordFault::Doubled { key: key.to_owned(), of: compaction_key(record.number) });
                return Ok(());
            }
            let tasks = record.retired.iter().filter_map(|file| task_of_output(&file.key));
            self.rested_on.extend(tasks.map(str::to_owned));
            if let Some(reconversion) = record.reconversion {
                self.superseded.extend(reconversion.superseded.into_iter().map(|t| t.task));
                let is_done = self.listed.done.contains(&record.number);
                reconverted.extend(reconversion.tasks.into_iter().map(|t| {
                    let sum = digest_of(&t.commit);
                    (t.commit.task, sum, if is_done { t.commit.rejects_kept() } else { 0 })
                }));
            }
            Ok(())
        })?;
        for (task, sum, rejects) in reconverted {
            if !self.superseded.contains(&task) {
                self.settle(task, sum, rejects);
            }
        }
        Ok(())
    }

    /// Counts a task that is committed and not superseded.
    fn settle(&mut self, task: TaskId, read: Option<Digest>, rejects: u64) {
        self.settled += 1;
        match read {
            Some(read) => self.read = self.read.with(read),
            None => self.has_digests = false,
        }
        if rejects > 0 && !self.listed.rejects.contains(&*task) {
            self.rejects.insert(task, rejects);
        }
    }

    fn read_plans(&mut self) -> Result<(), Error> {
        self.find_gaps(&self.listed.plans, plan_key)?;
        let keys: Vec<String> = self.listed.plans.iter().map(|n| plan_key(*n)).collect();
        read_each(self.out, &keys, |key, bytes| {
            self.plans += 1;
            let Some(plan) = self.taken(key, decode_plan(self.out, key, &bytes))? else { return Ok(()) };
            self.read_commits(&plan)
        })
    }

    /// Reads the commits of a plan's tasks.
    fn read_commits(&mut self, plan: &PlanRecord) -> Result<(), Error> {
        let mut keys = Vec::new();
        for task in &plan.tasks {
            let key = commit_key(&task.id, plan.number, plan.layout_version);
            let known = Known { plan: plan.number, layout_version: plan.layout_version, is_settled: false };
            self.tasks.insert(task.id, known);
            if self.listed.commits.contains_key(&key) {
                self.used.insert(key.clone());
                keys.push(key);
            }
        }
        let places: HashMap<TaskId, usize> =
            plan.tasks.iter().enumerate().map(|(i, task)| (task.id, i)).collect();
        read_each(self.out, &keys, |key, bytes| {
            self.commits += 1;
            self.check_seal(key, &bytes);
            let Some(commit) = self.taken(key, decode_commit(self.out, key, &bytes))? else { return Ok(()) };
            let objects = &plan.tasks[places[&commit.task]].objects;
            if let Some(known) = self.tasks.get_mut(&commit.task) {
                known.is_settled = true;
            }
            let is_of_plan = commit.plan == plan.number
                && (commit.void.is_some() || commit.inputs.iter().map(|i| &i.object).eq(objects));
            let wrong = match check_commit(&commit) {
                Err(Error::Broken { what, .. }) => Some(what),
                _ if !is_of_plan => {
                    Some(format!("its inputs are not those of its task in {}", plan_key(plan.number)))
                }
                _ => None,
            };
            if let Some(what) = wrong {
                // Once is enough.
                if unsealed(&bytes).1 != Seal::Broken {
                    self.faults.push(RecordFault::Unreadable { key: key.to_owned(), what });
                }
            } else if commit.void.is_none() && !self.superseded.contains(&commit.task) {
                self.settle(commit.task, digest_of(&commit), commit.rejects_kept());
            }
            Ok(())
        })
    }

    /// Tells of commits that are none of a plan's task.
    fn find_strays(&mut self) -> Result<(), Error> {
        for (key, task) in self.listed.commits.iter().filter(|(key, _)| !self.used.contains(*key)) {
            let stands_for = match self.out.get(key) {
                Ok(bytes) => {
                    from_json::<CommitRecord>(&bytes).map_or_else(|_| task.clone(), |c| c.task.to_string())
                }
                Err(error) if error.may_be_missing() => continue,
                Err(error) => return Err(StoreError::into(error)),
            };
            if let Some(known) = self.tasks.get(stands_for.as_str()) {
                let of = commit_key(&stands_for, known.plan, known.layout_version);
                self.faults.push(RecordFault::Doubled { key: key.clone(), of });
                continue;
            }
            // A run that goes on put the plan and then the commit, and the listing saw the second alone.
            let number = plan_of_commit(key);
            let is_newer = number.is_some_and(|number| !self.listed.plans.contains(&number));
            let plan = plan_key(number.unwrap_or_default());
            if !is_newer {
                self.faults.push(RecordFault::Orphan { key: key.clone() });
            } else if !is_there(self.out, &plan)? {
                self.faults.push(RecordFault::Gone { key: plan });
            }
        }
        Ok(())
    }

    /// Tells of commits that were there, as a checkpoint or a compaction knows.
    fn compare_with_checkpoint(&mut self, log: Option<&Log>) {
        let open: Option<HashSet<TaskId>> =
            log.map(|log| log.state().open_tasks().map(|t| t.task.id).collect());
        for (task, known) in self.tasks.iter().filter(|(_, known)| !known.is_settled) {
            let was_committed = log
                .zip(open.as_ref())
                .is_some_and(|(log, open)| known.plan <= log.state().last_plan() && !open.contains(task));
            let key = commit_key(task, known.plan, known.layout_version);
            if (was_committed || self.rested_on.contains(task.as_str())) && !self.used.contains(&key) {
                self.faults.push(RecordFault::CommitGone { key, task: task.to_string() });
            }
        }
        let Some(log) = log else { return };
        let gone = |numbers: &BTreeSet<u64>, last: u64| last > numbers.last().copied().unwrap_or_default();
        if gone(&self.listed.plans, log.state().last_plan()) {
            self.faults.push(RecordFault::Gone { key: plan_key(log.state().last_plan()) });
        }
        let last = log.state().files().last_compaction();
        if gone(&self.listed.compactions, last) {
            self.faults.push(RecordFault::Gone { key: compaction_key(last) });
        }
    }
}

/// Digest of what a task has read.
fn digest_of(commit: &CommitRecord) -> Option<Digest> {
    Digest::sum(commit.inputs.iter().filter(|i| i.failed.is_none()).map(|i| i.digest))
}
