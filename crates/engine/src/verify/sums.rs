//! Sums of roll-ups: what their files hold is what their records say, and so what their source held.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_parquet::{CheckedFile, ColumnValues, RowsError};
use flowquet_store::{Error as StoreError, Store};
use flowquet_table::{LiveFile, RollupSums, TableState};

use super::finding::{Fault, Finding, Level};
use super::report::Verified;
use crate::error::Error;

/// Sums of a partition as they are in its files, exactly.
type Found = (i128, i128, i128);

/// Compares the sums of each partition whose files are all in `right`, which were read whole, with those of its records.
pub(super) fn check_sums(
    out: &dyn Store,
    state: &TableState,
    files: &[LiveFile],
    right: &BTreeSet<String>,
    verified: &mut Verified,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let mut partitions: BTreeMap<&str, Vec<&LiveFile>> = BTreeMap::new();
    for file in files {
        partitions.entry(&file.output.partition).or_default().push(file);
    }
    for (folder, files) in partitions {
        let told: Vec<RollupSums> =
            files.iter().filter_map(|f| f.output.rollup.as_ref()).map(|r| r.sums).collect();
        if told.is_empty() || files.iter().any(|file| !right.contains(&file.output.key)) {
            continue;
        }
        let Some(found) = sums_of_partition(out, state, &files, stop)? else { continue };
        let told = RollupSums::sum(told);
        let expected: Found = (told.flows.into(), told.packets, told.bytes);
        if found != expected {
            let text =
                |(flows, packets, bytes): Found| format!("{flows} flows, {packets} packets, {bytes} bytes");
            let finding = Finding::new(Level::Data, Fault::SumsDiffer, folder);
            verified.findings.push(finding.differs(text(expected), text(found)));
        }
    }
    Ok(())
}

/// Sums over the files of a partition; none where one has been replaced meanwhile.
fn sums_of_partition(
    out: &dyn Store,
    state: &TableState,
    files: &[&LiveFile],
    stop: &AtomicBool,
) -> Result<Option<Found>, Error> {
    let mut found: Found = (0, 0, 0);
    for file in files {
        let read = |key: &str| {
            let range = |range: Range<u64>| -> Result<Bytes, StoreError> {
                if range.is_empty() {
                    return Ok(Bytes::new());
                }
                out.fetch(key, "", range, false).wait(&|| stop.load(Ordering::Relaxed))
            };
            sums_of(file, &range).map_err(|error| match error {
                RowsError::Other(error) => Error::from(error),
                RowsError::File(what) => Error::TableFile { url: out.url(key), what },
            })
        };
        let is_missing = |error: &Error| matches!(error, Error::Store(error) if error.may_be_missing());
        let (flows, packets, bytes) = match state.files().places(file).read(read, is_missing) {
            Ok(sums) => sums,
            // It was just read as a whole, so that whoever is denied it now finds it gone.
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        found = (found.0 + flows, found.1 + packets, found.2 + bytes);
    }
    Ok(Some(found))
}

fn sums_of(
    file: &LiveFile,
    range: &dyn Fn(Range<u64>) -> Result<Bytes, StoreError>,
) -> Result<Found, RowsError<StoreError>> {
    let footer = CheckedFile::open(file.output.bytes, &|r| range(r))?;
    let mut found: Found = (0, 0, 0);
    for group in 0..footer.row_groups() {
        let (columns, _) = footer.read_columns(group, &["flows", "packets", "bytes"], &|r| range(r))?;
        let sum = |i: usize| match columns.get(i) {
            Some(Some(ColumnValues::Integers { values, nulls, .. })) => {
                let is_valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                let values = values.iter().enumerate().filter(|(row, _)| is_valid(*row));
                values.map(|(_, value)| i128::from(*value)).sum()
            }
            _ => 0,
        };
        found = (found.0 + sum(0), found.1 + sum(1), found.2 + sum(2));
    }
    Ok(found)
}
