//! What a verification comes to.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use flowquet_table::{AcceptedLoss, LostRejects};
use serde::Serialize;

use super::finding::{Finding, Trouble};
use crate::error::Error;
use crate::summary::is_zero;

/// What was looked at, and what was found. A level that was not asked for, or could not be reached, is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Records.
    pub records: RecordLevel,
    /// Files by a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing: Option<ListingLevel>,
    /// Files by their footers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footers: Option<FooterLevel>,
    /// Files by all that they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataLevel>,
    /// Sources by a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLevel>,
    /// Sources by all that they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<DeepLevel>,
    /// What was found, in the order of levels and places.
    pub findings: Vec<Finding>,
    /// Files whose loss somebody accepted: they are no part of the table, though its objects count their records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_losses: Vec<AcceptedLoss>,
    /// Rejected lines whose loss somebody accepted: the table does not keep them any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_rejects: Vec<LostRejects>,
    /// Why the sources could not be listed, where they could not: what was found of the table is told all the same.
    #[serde(skip)]
    pub unlisted: Option<Unlisted>,
    /// URLs of objects whose every line is proven to be in the table.
    #[serde(skip)]
    pub safe: Vec<String>,
    /// Objects that are in the table and not proven, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub not_safe: BTreeMap<&'static str, u64>,
    /// Of a roll-up, the table that it was made of and by what. Its files are made anew of that one, and not of raw logs.
    #[serde(skip)]
    pub rollup_of: Option<[String; 2]>,
}

/// Why sources could not be listed.
#[derive(Debug, Clone)]
pub struct Unlisted(Arc<Error>);

impl Unlisted {
    pub(super) fn new(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

impl Deref for Unlisted {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0
    }
}

impl PartialEq for Unlisted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Unlisted {}

impl Verified {
    /// The worst of what was found.
    pub fn trouble(&self) -> Trouble {
        self.findings.iter().map(|f| f.fault.trouble()).min().unwrap_or(Trouble::None)
    }

    /// Adds findings about files, in place of what was found about these that somebody may want to know.
    pub fn amend(&mut self, findings: &[Finding]) {
        let is_told = |place: &str| findings.iter().any(|f| f.place == place);
        self.findings.retain(|f| f.fault.trouble() != Trouble::None || !is_told(&f.place));
        self.findings.extend_from_slice(findings);
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        self.findings.sort();
        self.findings.dedup();
    }
}

/// What was read of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecordLevel {
    /// Plan records.
    pub plans: u64,
    /// Commit records.
    pub commits: u64,
    /// Records of compactions and reconversions.
    pub compactions: u64,
    /// Objects that are in the table.
    pub objects: u64,
    /// Their records.
    pub records: u64,
    /// Whether what was read and what was written is compared by digests; else some of it was converted by a program that had none.
    pub has_digests: bool,
}

/// What a listing was compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListingLevel {
    /// Files of the table.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was read of footers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FooterLevel {
    /// Files whose footers were read.
    pub files: u64,
    /// Rows of all files, as footers tell.
    pub rows: u64,
}

/// What was read of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DataLevel {
    /// Files that were read whole.
    pub files: u64,
    /// Of so many.
    pub of: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Rows that were decoded.
    pub rows: u64,
    /// Rejected lines that the table keeps, and that were read.
    pub rejects: u64,
    /// Of the files, those whose records have no digest: what they hold is compared with rows and statistics alone.
    pub without_digest: u64,
}

/// What a listing of the sources was compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceLevel {
    /// Objects that were listed: `in_table + missing + changed + ignored`.
    pub listed: u64,
    /// Those that are in the table, unchanged.
    pub in_table: u64,
    /// Of those: the table has them from another place, as their names tell.
    #[serde(skip_serializing_if = "is_zero")]
    pub copies: u64,
    /// Those that are not.
    pub missing: u64,
    /// Those that changed since.
    pub changed: u64,
    /// Those that could not be read or changed since, of which somebody said that nobody needs to be told.
    pub ignored: u64,
}

/// What was read of the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeepLevel {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their records.
    pub records: u64,
    /// Objects that are not there any more, and cannot be compared.
    pub gone: u64,
    /// Objects whose records have no digest: their counts alone were compared.
    pub without_digest: u64,
}
