//! A verification from its cheapest level on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_format::KeyFilter;
use flowquet_sources::{Source, SourceSet};
use flowquet_store::{Store, Stores};
use flowquet_table::{COMPACTIONS, CompactionRecord, Digest, LiveFile, from_json, task_of_output};

use super::accept::partitions_with_losses;
use super::beside::{check_aside, check_copies};
use super::data::{Files, Proven};
use super::deep::Deep;
use super::finding::{Fault, Finding, Level, Trouble};
use super::listing::check_listing;
use super::record::check_records;
use super::rejects::check_rejects;
use super::report::{Unlisted, Verified};
use super::safe::find_safe;
use super::share::Share;
use super::source::Sources;
use super::sums::check_sums;
use crate::budget::Budget;
use crate::error::Error;
use crate::events::Observer;

/// What is verified.
#[derive(Debug)]
pub struct VerifyRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Stores of the sources.
    pub stores: Arc<Stores>,
    /// Sources that are compared with the table; none if empty.
    pub sources: Vec<Source>,
    /// Which of their objects.
    pub filter: KeyFilter,
    /// Which files are read whole.
    pub data: Option<Share>,
    /// Whether raw logs are read: those of `sources`, or all that the table came from.
    pub deep: bool,
    /// Workers and memory.
    pub budget: Budget,
}

/// Verifies a table. Nothing is written.
///
/// # Errors
/// As stores report; what is wrong with the table is no error.
pub fn verify(
    request: &VerifyRequest,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Verified, Error> {
    let mut verified = Verified::default();
    let Some(mut log) = check_records(&request.out, &mut verified)? else {
        verified.settle();
        return Ok(verified);
    };
    // Without the record of a compaction nothing can be said of the files that it replaced, and of those that took their place.
    let is_compaction = |place: &str| place.starts_with(COMPACTIONS);
    if verified.findings.iter().any(|f| f.fault == Fault::RecordGone && is_compaction(&f.place)) {
        verified.settle();
        return Ok(verified);
    }
    let distrusted = distrusted(request.out.as_ref(), &verified);
    let mut right = check_listing(&mut log, &mut verified)?;
    if verified.trouble() == Trouble::Records {
        // What a record that is wrong says of files says nothing about these.
        let is_distrusted = |key: &str| task_of_output(key).is_some_and(|id| distrusted.contains(id));
        let is_ours = |key: &str| task_of_output(key).is_some();
        let says_nothing =
            |f: &Finding| is_distrusted(&f.place) || f.fault == Fault::FileStray && is_ours(&f.place);
        verified.findings.retain(|f| f.level != Level::Listing || !says_nothing(f));
        right.retain(|key| !is_distrusted(key));
    }
    check_copies(&log, request.data.is_some(), &mut verified)?;
    check_aside(&log, &mut verified)?;
    let live: Vec<LiveFile> = log.state().files().all()?.into_iter().cloned().collect();
    let of_rollup = live.iter().find_map(|file| file.output.rollup.as_ref());
    verified.rollup_of = of_rollup.map(|rollup| [rollup.source.clone(), rollup.by.clone()]);
    let log = Mutex::new(log);
    let files = Files { log: &log, workers: request.budget.workers, observer, stop };
    // A file that is read whole is judged by its footer too.
    let chosen = request.data.map(|share| share.choose(&live.iter().collect::<Vec<_>>()));
    let mut only_footers = right.clone();
    only_footers.retain(|key| chosen.as_ref().is_none_or(|chosen| !chosen.contains(key.as_str())));
    let mut proven = Proven::default();
    files.footers(&live, &mut only_footers, &mut verified)?;
    if let (Some(share), Some(chosen)) = (request.data, &chosen) {
        let whole: Vec<&LiveFile> = live
            .iter()
            .filter(|f| right.contains(&f.output.key) && chosen.contains(f.output.key.as_str()))
            .collect();
        proven = files.data(&whole, live.len() as u64, &mut right, &mut verified)?;
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        check_rejects(&log, (share, chosen), request.budget.workers, stop, &mut verified)?;
        check_sums(request.out.as_ref(), log.state(), &live, &proven.files, &mut verified, stop)?;
    }
    let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
    let set = SourceSet::new(request.stores.clone());
    let mut listed = None;
    if !request.sources.is_empty() {
        let sources = Sources {
            sources: &request.sources,
            filter: &request.filter,
            set: &set,
            memory_max: request.budget.listing_bytes_max(),
            observer,
            stop,
        };
        match sources.check(&mut log, &mut verified) {
            Ok(found) => listed = Some(found),
            Err(error @ (Error::Sources(_) | Error::Store(_))) if !stop.load(Ordering::Relaxed) => {
                verified.unlisted = Some(Unlisted::new(error));
            }
            Err(error) => return Err(error),
        }
    }
    // Raw logs of sources that cannot be listed are not read.
    if request.deep && verified.unlisted.is_none() {
        let deep =
            Deep { sources: &set, budget: request.budget, observer, stop, partitions: Mutex::default() };
        let read = deep.check(&log, listed.as_ref(), &mut verified)?;
        // Where files and objects have digests of their own, these say the same, and more exactly.
        if let Some(read) = read.filter(|_| !verified.records.has_digests && proven.read == live.len() as u64)
        {
            let lossy = partitions_with_losses(&log);
            compare_partitions(&read, &proven.partitions, &lossy, &mut verified);
        }
    }
    if let Some(listed) = &listed {
        find_safe(&log, listed, &proven.files, &mut verified)?;
    }
    verified.settle();
    Ok(verified)
}

/// Compares what all raw logs give with what all files hold, apart from partitions with an accepted loss.
fn compare_partitions(
    read: &BTreeMap<String, Digest>,
    written: &BTreeMap<String, Digest>,
    lossy: &HashSet<String>,
    verified: &mut Verified,
) {
    let folders = read.keys().chain(written.keys()).filter(|folder| !lossy.contains(*folder));
    let folders: BTreeSet<&String> = folders.collect();
    for folder in folders {
        let of = |sums: &BTreeMap<String, Digest>| sums.get(folder).copied().unwrap_or_default();
        if of(read) != of(written) {
            let finding = Finding::new(Level::Deep, Fault::PartitionDiffers, folder.as_str());
            verified.findings.push(finding.differs(of(read), of(written)));
        }
    }
}

/// Ids of tasks and compactions whose records are wrong, as far as they can be told.
fn distrusted(out: &dyn Store, verified: &Verified) -> HashSet<String> {
    let mut ids = HashSet::new();
    for finding in verified.findings.iter().filter(|f| f.fault.trouble() == Trouble::Records) {
        let name = finding.place.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        ids.insert(name.rsplit('-').next().unwrap_or_default().to_owned());
        let record = out.get(&finding.place).ok().and_then(|b| from_json::<CompactionRecord>(&b).ok());
        if let Some(record) = record {
            ids.extend(record.all_outputs().filter_map(|o| task_of_output(&o.key)).map(str::to_owned));
            ids.insert(record.id);
        }
    }
    ids
}
