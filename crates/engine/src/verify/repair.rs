//! Repair: objects whose rows stood in files that are lost or wrong are converted anew.

use std::collections::BTreeSet;

use serde::Serialize;

use super::report::Verified;
use crate::error::Error;
use crate::events::Observer;
use crate::reconvert::{ReconvertRequest, Reconverted, reconvert};
use crate::replace::Pointers;
use std::sync::atomic::AtomicBool;

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Files that were replaced because of what was found.
    pub files: Vec<String>,
    /// What was converted anew.
    pub reconverted: Reconverted,
}

/// Converts anew what stood in the files that `verified` found lost or wrong. `request` says how; its choice is set here. Nothing is
/// done where nothing can be mended so.
///
/// A file is replaced in the way of a reconversion: its record is put once all that is to take its place has been written from the raw
/// logs, so that the table has the right rows at every moment from then on, and is as it was where a raw log is gone.
///
/// # Errors
/// As [`reconvert`]; then the table is as it was.
pub fn repair(
    mut request: ReconvertRequest,
    verified: &Verified,
    pointers: Option<&dyn Pointers>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<Repaired>, Error> {
    let files: BTreeSet<String> =
        verified.findings.iter().filter(|f| f.fault.is_mendable()).map(|f| f.place.clone()).collect();
    if files.is_empty() {
        return Ok(None);
    }
    request.choice.files = Some(files.clone());
    let reconverted = reconvert(&request, pointers, observer, stop)?;
    Ok(Some(Repaired { files: files.into_iter().collect(), reconverted }))
}
