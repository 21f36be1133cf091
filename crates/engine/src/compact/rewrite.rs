//! Files whose bytes are not those that were written, though their values are, are written anew of their own rows.
//!
//! That takes no raw logs: the digest of the rows is compared with the one that the record of the file has, as in any compaction. Columns that digests leave
//! out are proven by the bytes alone, so that a file that has some stays as it is.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_plan::{Merging, kept_formats};
use flowquet_table::{Log, TableState};

use super::commit::{Outcome, commit};
use super::memory::Memory;
use super::merge::DISTINCT_BYTES_MAX;
use super::merger::Merger;
use crate::error::Error;
use crate::events::Observer;
use crate::replace::{Late, Placing, Pointers};
use crate::threads::pool;

/// Writes these files anew, as far as their rows are those that were written. Returns which were.
///
/// # Errors
/// As stores report; files that were written anew before stay so.
pub(crate) fn rewrite_files(
    mut log: Log,
    keys: &BTreeSet<String>,
    (workers, memory): (usize, usize),
    grace: Duration,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Vec<String>, Error> {
    log.ask(TableState::read_all)?;
    let out = log.out().clone();
    let pool = pool(workers, "flowquet");
    let written = kept_formats(log.state().formats().written()).map_err(|e| Error::Options(e.to_string()))?;
    let memory = Memory::new(memory);
    let merger = Merger {
        out: out.as_ref(),
        pool: &pool,
        memory: &memory,
        distinct_bytes_max: DISTINCT_BYTES_MAX,
        written: &written,
        observer,
        stop,
    };
    let (mut done, mut late) = (Vec::new(), Late::default());
    for key in keys {
        let Some(file) = log.state().files().get(key)?.cloned() else { continue };
        // Nothing else proves its rows.
        if file.output.digest.is_none() {
            continue;
        }
        let merging = Merging::of(&file).map_err(Error::Options)?;
        let draft = match merger.merge(&file.output.partition, &merging) {
            Ok(Some(draft)) => draft,
            Ok(None)
            | Err(Error::FileDamaged { .. } | Error::PartitionDamaged { .. } | Error::TableFile { .. }) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        match commit(&mut log, draft)? {
            Outcome::Committed(record) => {
                Placing { log: &log, pointers, grace, observer, stop }.place(&[&record])?;
                log.state_mut().close_compaction(record.number);
                done.push(key.clone());
            }
            Outcome::ByAnother(id) => late.add(id),
            Outcome::NoGain => {}
        }
    }
    log.refresh()?;
    late.clear(&log)?;
    Ok(done)
}
