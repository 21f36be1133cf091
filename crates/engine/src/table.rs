//! The table at the destination: its contract, plans and commits.

use std::collections::{HashMap, HashSet};

use flowquet_plan::{
    COMMITS, CONTRACT_KEY, CommitRecord, Known, LAYOUT_VERSION, Options, PLANS, PlanRecord, RECORDS,
    SortedOut, SourceObject, TableContract, from_json, plan_key, plan_number, plan_tasks, rejects_key,
    task_of_output, to_json,
};
use flowquet_store::{ErrorKind, Store};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A table's records as they were read.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) plans: Vec<PlanRecord>,
    /// By task, without outputs and without inputs that could be read.
    pub(crate) commits: HashMap<String, CommitRecord>,
}

fn read_record<T: DeserializeOwned>(out: &dyn Store, key: &str) -> Result<T, Error> {
    from_json(&out.get(key)?).map_err(|e| Error::Record(key.to_owned(), e))
}

fn list_or_none(out: &dyn Store, prefix: &str) -> Result<Vec<String>, Error> {
    match out.list(prefix) {
        Ok(found) => Ok(found.into_iter().map(|o| o.key).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Checks the table's contract against what a run wants; makes the contract where there is none, if `make`.
pub(crate) fn check_contract(out: &dyn Store, options: &Options, make: bool) -> Result<(), Error> {
    let wanted = TableContract::of(options);
    if make {
        match out.put_if_absent(CONTRACT_KEY, &to_json(&wanted)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    } else if list_or_none(out, CONTRACT_KEY)?.is_empty() {
        return Ok(());
    }
    let found: TableContract = read_record(out, CONTRACT_KEY)?;
    let differences = found.differences(&wanted);
    if differences.is_empty() { Ok(()) } else { Err(Error::Contract(differences)) }
}

/// Deletes an object that another run may have deleted already.
pub(crate) fn delete_if_there(out: &dyn Store, key: &str) -> Result<(), Error> {
    match out.delete(key) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

impl Table {
    /// Reads all plans and commits.
    pub(crate) fn read(out: &dyn Store) -> Result<Self, Error> {
        // Plans first: a commit always belongs to a plan that was there before it.
        let mut plans = Vec::new();
        for key in list_or_none(out, PLANS)?.iter().filter(|k| plan_number(k).is_some()) {
            plans.push(read_record::<PlanRecord>(out, key)?);
        }
        plans.sort_by_key(|p| p.number);
        let mut commits = HashMap::new();
        for key in list_or_none(out, COMMITS)?.iter().filter(|k| k.ends_with(".json")) {
            let mut commit: CommitRecord = read_record(out, key)?;
            // Of a history of years only what decides the next plan is kept in memory.
            commit.inputs.retain(|i| i.failed.is_some());
            commit.outputs.clear();
            commits.insert(commit.task.clone(), commit);
        }
        Ok(Self { plans, commits })
    }

    /// Removes data files and rejects of void tasks: a run that was killed before it could see that its task was void left them.
    ///
    /// Only a table that has void tasks is walked.
    pub(crate) fn sweep(&self, out: &dyn Store) -> Result<(), Error> {
        let void: HashSet<&str> =
            self.commits.values().filter(|c| c.void.is_some()).map(|c| c.task.as_str()).collect();
        if void.is_empty() {
            return Ok(());
        }
        for id in &void {
            delete_if_there(out, &rejects_key(id))?;
        }
        for object in out.list("")? {
            let is_record = object.key.starts_with(RECORDS);
            if !is_record && task_of_output(&object.key).is_some_and(|id| void.contains(id)) {
                delete_if_there(out, &object.key)?;
            }
        }
        Ok(())
    }

    /// Sorts out a listing against the plans.
    pub(crate) fn sort_out(&self, listing: &[SourceObject], options: &Options) -> SortedOut {
        Known::of(&self.plans, &self.commits).sort_out(listing, options)
    }

    /// Number of the next plan.
    pub(crate) fn next_number(&self) -> u64 {
        self.plans.last().map_or(1, |p| p.number + 1)
    }

    /// The plan that takes `new` objects into the table.
    pub(crate) fn plan(&self, new: Vec<SourceObject>, options: &Options) -> Result<PlanRecord, Error> {
        let number = self.next_number();
        let spec = options.partition_spec()?;
        let tasks = plan_tasks(new, number, options, &spec);
        Ok(PlanRecord { layout_version: LAYOUT_VERSION, number, options: options.clone(), tasks })
    }

    /// Takes the new objects of `listing` into the table. Where another run takes some at the same moment, reads what it
    /// took and takes the rest. Returns what was sorted out, and the plan if there was anything new.
    pub(crate) fn take(
        &mut self,
        out: &dyn Store,
        listing: &[SourceObject],
        options: &Options,
    ) -> Result<(SortedOut, Option<u64>), Error> {
        loop {
            let mut sorted = self.sort_out(listing, options);
            if sorted.new.is_empty() {
                return Ok((sorted, None));
            }
            let plan = self.plan(std::mem::take(&mut sorted.new), options)?;
            match out.put_if_absent(&plan_key(plan.number), &to_json(&plan)) {
                Ok(()) => {
                    let number = plan.number;
                    self.plans.push(plan);
                    return Ok((sorted, Some(number)));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => *self = Self::read(out)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
