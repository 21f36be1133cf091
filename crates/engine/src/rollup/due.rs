//! Which partitions of a roll-up are to be made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowquet_store::Store;
use flowquet_table::{FileCheck, LiveFile, Log, TableState};

use super::layout::Layout;
use super::{RolledUpTable, RollupRequest};
use crate::error::Error;
use crate::partitions::{check_partitions, folder_of, is_chosen};

/// A partition that is to be made anew, or taken away where its source has none.
pub(super) struct Due {
    pub(super) folder: String,
    /// Files of the source.
    pub(super) files: Vec<LiveFile>,
    /// Files that were made of it before.
    pub(super) old: Vec<LiveFile>,
    /// Digest of what is made of which files.
    pub(super) of: String,
}

impl Due {
    /// Bytes of the source's files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.output.bytes).sum()
    }

    /// Their rows.
    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.output.rows).sum()
    }
}

/// The source of a roll-up, what is made of it, and the roll-up's own log where it is there.
pub(super) struct Opened {
    pub(super) source: Log,
    pub(super) layout: Layout,
    pub(super) log: Option<Log>,
}

impl Opened {
    /// Reads both tables, the source last: so whatever the roll-up has been made of, this is no older.
    pub(super) fn of(request: &RollupRequest) -> Result<Self, Error> {
        check_places(&request.source, &request.out)?;
        let log = match Log::find_contract(request.out.as_ref())? {
            Some(contract) => {
                let mut log = Log::of(&request.out, contract)?;
                log.ask(|state| state.read_files())?;
                Some(log)
            }
            None => None,
        };
        let source = Log::open_with_files(&request.source)?;
        if source.state().is_rollup() {
            return Err(Error::SourceIsRollup { url: request.source.url("") });
        }
        let layout = Layout::of(source.state(), &request.by)?;
        if let Some(log) = &log {
            let differences = log.state().contract().differences(&layout.contract_options());
            if !differences.is_empty() {
                return Err(Error::Log(flowquet_table::Error::Contract(differences)));
            }
        }
        Ok(Self { source, layout, log })
    }
}

/// Neither table may lie in the other.
fn check_places(source: &Arc<dyn Store>, out: &Arc<dyn Store>) -> Result<(), Error> {
    let (url, out) = (source.url(""), out.url(""));
    if url == out {
        return Err(Error::RolledUpIntoItself { url });
    }
    let is_within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    if is_within(&url, &out) || is_within(&out, &url) {
        return Err(Error::NotRolledUp(format!("one of `{url}` and `{out}` lies within the other")));
    }
    Ok(())
}

/// A table that holds anything else than a roll-up of `source` by `by` is left alone.
pub(super) fn check_table(state: &TableState, source: &str, by: &str) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::NotRolledUp(why));
    if state.last_plan() > 0 {
        return refuse("the table has records that were converted into it".to_owned());
    }
    let files = state.files().all()?;
    let is_rollup = files.iter().any(|file| file.output.rollup.is_some());
    for file in files {
        match &file.output.rollup {
            // Of several files of a compaction, earlier programs said so of the first one alone.
            None if is_rollup => {}
            None => return refuse(format!("`{}` is not a file of a roll-up", file.output.key)),
            Some(rollup) if rollup.source != source => {
                return refuse(format!("the table is a roll-up of `{}`", rollup.source));
            }
            Some(rollup) if rollup.by != by => {
                return refuse(format!("the table is a roll-up by {}", rollup.by));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The partitions among those that are asked for whose files changed, in the source or in the roll-up at `log`. Counts those that were
/// looked at.
pub(super) fn due(
    request: &RollupRequest,
    source: &Log,
    layout: &Layout,
    log: Option<(&Log, &FileCheck)>,
    done: &mut RolledUpTable,
) -> Result<Vec<Due>, Error> {
    let mut sources = source.state().files().partitions()?;
    let (mut made, mut damaged) = (BTreeMap::new(), BTreeSet::new());
    if let Some((log, check)) = log {
        made = log.state().files().partitions()?;
        damaged.extend(check.lost.iter().chain(&check.truncated).map(|file| folder_of(&file.key)));
        damaged.extend(log.state().files().lost().map(|lost| folder_of(&lost.file.output.key)));
    }
    let known: BTreeMap<String, ()> = sources.keys().chain(made.keys()).map(|f| (f.clone(), ())).collect();
    check_partitions(&known, &request.partitions)?;
    let mut due = Vec::new();
    (done.partitions, done.unchanged) = (0, 0);
    for folder in known.into_keys().filter(|folder| is_chosen(folder, &request.partitions)) {
        let files = sources.remove(&folder).unwrap_or_default();
        let old = made.remove(&folder).unwrap_or_default();
        done.partitions += u64::from(!files.is_empty());
        let of = layout.digest(request.source.url("").as_str(), &files);
        let is_made_of = |file: &LiveFile| file.output.rollup.as_ref().is_some_and(|r| r.of == of);
        if !old.is_empty() && old.iter().all(is_made_of) && !damaged.contains(folder.as_str()) {
            // Some of them may have been made by this run, before it looked anew.
            done.unchanged += u64::from(!done.folders.contains(&folder));
        } else if !old.is_empty() || !files.is_empty() {
            due.push(Due { folder, files, old, of });
        }
    }
    Ok(due)
}
