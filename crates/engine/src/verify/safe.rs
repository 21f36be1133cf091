//! Which raw logs are proven to be in the table, line by line.
//!
//! An object is proven if each of these holds:
//!
//! - it is listed, and is the one that was converted, by size and etag or modification time;
//! - its commit accounts for all of its lines, and its rejected lines are kept whole in the table, with the digest that its commit tells;
//! - its records and the rows that were written of them have the same digest, in its commit and in all compactions since, and none
//!   of these left out rows that may differ from those that it kept;
//! - every live file that may hold its rows was read in this run, and its rows have the digest that its record tells;
//! - no level has found anything about it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flowquet_table::{Dedup, Log, TaskId};

use super::finding::Trouble;
use super::rejects::WholeRejects;
use super::report::Verified;
use super::source::{Listed, mark_of};
use crate::error::Error;

/// Finds the objects that are proven. `proven` are the keys of files that hold what they should.
pub(super) fn find_safe(
    log: &Log,
    listed: &Listed,
    proven: &BTreeSet<String>,
    verified: &mut Verified,
) -> Result<(), Error> {
    let told: HashSet<String> = verified.findings.iter().map(|f| f.place.clone()).collect();
    let is_sound = verified.findings.iter().all(|f| f.fault.trouble() != Trouble::Records);
    let without_rows = without_rows(log)?;
    // Of each task, why files that hold its rows do not prove them, if they do not.
    let mut tasks: HashMap<TaskId, Option<&'static str>> = HashMap::new();
    for file in log.state().files().all()? {
        let reason = if !proven.contains(&file.output.key) {
            Some("files")
        } else if without_rows.contains(&file.output.key) {
            Some("duplicates")
        } else {
            None
        };
        for task in file.tasks.iter() {
            let found = tasks.entry(*task).or_default();
            *found = found.or(reason);
        }
    }
    for lost in log.state().files().lost() {
        tasks.extend(lost.file.tasks.iter().map(|task| (*task, Some("files"))));
    }
    let (mut safe, mut not_safe) = (Vec::new(), BTreeMap::<&'static str, u64>::new());
    let has_digests = verified.records.has_digests;
    log.read_live_commits(|_, commit| {
        // Records that no file is told to hold are proven by none.
        let of_files =
            tasks.get(&commit.task).copied().unwrap_or((commit.counts.records > 0).then_some("files"));
        let mut rejects = None;
        for input in commit.inputs.iter().filter(|input| input.failed.is_none()) {
            let Some(object) = listed.get(&input.object.id()) else { continue };
            let reason = if !is_sound {
                Some("records")
            } else if object.mark != mark_of(&input.object) || told.contains(input.object.url()) {
                Some("changed")
            } else if input.damaged.is_some() {
                Some("damaged")
            } else if input.digest.is_none() || !has_digests {
                Some("no-digest")
            } else if of_files.is_some() {
                of_files
            } else if input.object.url().contains(char::is_control) {
                // A list of a URL a line would name others.
                Some("name")
            } else if input.counts.rejects > 0 {
                if rejects.is_none() {
                    rejects = Some(WholeRejects::of(log.out().as_ref(), commit.task)?);
                }
                let are_kept = rejects.as_ref().is_some_and(|kept| kept.has_all_of(input));
                (!are_kept).then_some("rejects")
            } else {
                None
            };
            match reason {
                None => safe.push(input.object.url().to_owned()),
                Some(reason) => *not_safe.entry(reason).or_default() += 1,
            }
        }
        Ok::<(), Error>(())
    })?;
    safe.sort();
    (verified.safe, verified.not_safe) = (safe, not_safe);
    Ok(())
}

/// Keys of files that may lack rows which no file has: `flow` leaves out records that differ from the kept one in action or counts. What
/// `exact` leaves out stands in a file as it was.
fn without_rows(log: &Log) -> Result<HashSet<String>, Error> {
    let mut found = HashSet::new();
    log.read_compactions(|record| {
        // A file that is lost may be regained, and lacks then what it lacked.
        if record.is_of_losses() {
            return Ok(());
        }
        let before = found.len();
        record.retired.iter().for_each(|file| {
            found.remove(&file.key);
        });
        let left_out_now = record.options.dedup == Some(Dedup::Flow) && record.left_out() > 0;
        // Later compactions carry the count on, whatever they look for themselves.
        if left_out_now || found.len() < before {
            found.extend(record.outputs.into_iter().map(|output| output.key));
        }
        Ok(())
    })?;
    Ok(found)
}
