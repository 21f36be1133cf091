//! Whether a table holds what was converted: records, files, what is in them, and the raw logs that they came from.
//!
//! | level | reads | finds |
//! |---|---|---|
//! | records | all records | edited, lost and doubled ones, sums that do not hold |
//! | listing | one listing of the table | files that are gone, of another size, or not the table's |
//! | footers | the end of each file | damaged footers, other rows, statistics that cannot be so |
//! | data | each byte of files | damaged pages, values beside their statistics, partition or order, rows that were lost or changed |
//! | source | one listing of the sources | objects that are not in the table, or changed since |
//! | deep | each byte of raw logs | lines that the table has not, or otherwise |
//!
//! Each level takes for granted what the one before has found right, so that a fault is told once, by the cheapest level that can tell
//! it. Runs that go on meanwhile change nothing: what is gone is looked for in the log again before anything is said.

mod accept;
mod beside;
mod data;
mod deep;
mod file;
mod finding;
mod listing;
mod record;
mod rejects;
mod repair;
mod report;
mod restore;
mod run;
mod safe;
mod share;
mod source;
mod sums;

pub use accept::{AcceptedLosses, LossRequest, Regained};
pub use finding::{Fault, Finding, Level, Trouble};
pub use repair::{Repair, Repaired, repair};
pub use report::{DataLevel, DeepLevel, FooterLevel, ListingLevel, RecordLevel, SourceLevel, Verified};
pub use restore::RestoredRejects;
pub use run::{VerifyRequest, verify};
pub use share::{Share, ShareError};
