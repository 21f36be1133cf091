//! The level of listing.

use std::collections::BTreeSet;

use flowquet_table::{Log, check_files};

use super::finding::{Fault, Finding, Level};
use super::report::{ListingLevel, Verified};
use crate::error::Error;

/// Compares the records with a listing of the table. Returns the keys of files that are as recorded, as far as it tells.
pub(super) fn check_listing(log: &mut Log, verified: &mut Verified) -> Result<BTreeSet<String>, Error> {
    let mut check = check_files(log)?;
    verified.accepted_losses = std::mem::take(&mut check.accepted_losses);
    let files = log.state().files().all()?;
    let mut level = ListingLevel { files: files.len() as u64, bytes: 0 };
    let mut right: BTreeSet<String> = BTreeSet::new();
    for file in files {
        level.bytes += file.output.bytes;
        right.insert(file.output.key.clone());
    }
    verified.listing = Some(level);
    let mut push = |fault, file: &flowquet_table::Misplaced| {
        right.remove(&file.key);
        let finding = Finding::new(Level::Listing, fault, file.key.as_str());
        verified.findings.push(match fault {
            Fault::FileGone => finding.says(file.rows.to_string()),
            Fault::FileSize => finding.differs(file.expected_bytes, file.bytes),
            Fault::FileFoundAgain if file.bytes != file.expected_bytes => {
                finding.differs(file.expected_bytes, file.bytes)
            }
            _ => finding,
        });
    };
    check.lost.iter().for_each(|file| push(Fault::FileGone, file));
    check.truncated.iter().for_each(|file| push(Fault::FileSize, file));
    check.stray.iter().for_each(|file| push(Fault::FileStray, file));
    check.found_again.iter().for_each(|file| push(Fault::FileFoundAgain, file));
    check.left.iter().for_each(|file| push(Fault::FileLeft, file));
    Ok(right)
}
