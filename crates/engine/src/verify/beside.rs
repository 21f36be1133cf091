//! What stands beside the data files: copies of files that fill columns, and what runs that ended early have left aside.

use flowquet_enrich::DATABASE_BYTES_MAX;
use flowquet_plan::hex;
use flowquet_table::{Log, enrichment_key};
use sha2::{Digest as _, Sha256};

use super::finding::{Fault, Finding, Level};
use super::report::Verified;
use crate::error::Error;

/// Looks for the table's copies of the files that later runs look into: of each name the latest. `reads` reads them too.
pub(super) fn check_copies(log: &Log, reads: bool, verified: &mut Verified) -> Result<(), Error> {
    for file in log.state().formats().enrichments().files() {
        let key = enrichment_key(&file.sha256);
        let Some(bytes) = log.enrichment_bytes(&file.sha256)? else {
            let finding = Finding::new(Level::Listing, Fault::EnrichmentGone, key);
            verified.findings.push(finding.says(&file.name));
            continue;
        };
        // None is longer: what is, is another file.
        let is_right = bytes <= DATABASE_BYTES_MAX as u64
            && (!reads
                || log
                    .enrichment(&file.sha256, DATABASE_BYTES_MAX)?
                    .is_none_or(|copy| hex(&Sha256::digest(copy)) == file.sha256));
        if !is_right {
            let finding = Finding::new(Level::Data, Fault::EnrichmentDamaged, key);
            verified.findings.push(finding.says(&file.name));
        }
    }
    Ok(())
}

/// Tells what stands aside for no record, and has for so long that no run is at work on it.
pub(super) fn check_aside(log: &Log, verified: &mut Verified) -> Result<(), Error> {
    for key in log.left_aside()? {
        verified.findings.push(Finding::new(Level::Listing, Fault::FileAside, key));
    }
    Ok(())
}
