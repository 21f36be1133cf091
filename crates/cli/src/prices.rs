//! What AWS takes for what a conversion does, and how long a restore takes. Estimates rest on it, and nothing else.
//!
//! Prices are list prices of us-east-1 without taxes, free tiers and discounts, as they stood in 2026.
//!
//! Sources: aws.amazon.com/s3/pricing; aws.amazon.com/fargate/pricing;
//! docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html for times.
//! Restores from Flexible Retrieval, expedited ones too: repost.aws/knowledge-center/s3-manage-data-retrieval. Bytes from Deep Archive: as
//! usage.ai/blogs/aws/storage-cost/glacier-deep-archive-pricing cites AWS's page in 2026. Not confirmed for 2026: what requests
//! cost that restore from Deep Archive, which are as people cited that page in 2023 (gist.github.com/casouri/56e1e634e50d1ae023f3bb8ea4d053de).

use flowquet_store::{ArchiveTier, Retrieval};
use serde::Serialize;

/// The region and the time of these prices, for reports.
pub(crate) const PRICED: &str = "us-east-1, 2026";

/// Dollars for a thousand PUT, POST and LIST of S3 Standard.
pub(crate) const DOLLARS_PER_1000_WRITES: f64 = 0.005;

/// Dollars for a thousand GET and HEAD of S3 Standard.
pub(crate) const DOLLARS_PER_1000_READS: f64 = 0.0004;

/// Dollars for a month of a GB in S3 Standard, of the first 50 TB.
pub(crate) const DOLLARS_PER_GB_MONTH: f64 = 0.023;

/// Dollars for an hour of a core with 2 GB of memory: Fargate on x86, $0.04048 and twice $0.004445. In text, since it is the default of an option.
pub(crate) const DOLLARS_PER_VCPU_HOUR: &str = "0.04937";

/// What S3 calls a GB in prices.
const GB: f64 = (1_u64 << 30) as f64;

const DAYS_OF_A_MONTH: f64 = 30.0;

/// A way to restore objects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Restoring {
    /// `bulk`, `standard` or `expedited`.
    pub(crate) retrieval: &'static str,
    /// Seconds that it typically takes, at least and at most.
    pub(crate) seconds: [u64; 2],
    /// For requests and retrieved bytes.
    pub(crate) dollars: f64,
    /// For the copies, while they are kept.
    pub(crate) copies_dollars: f64,
}

/// Dollars for a thousand requests, dollars for a GB, and seconds; `None` where S3 does not restore so.
fn of(tier: ArchiveTier, retrieval: Retrieval) -> Option<(f64, f64, [u64; 2])> {
    const HOUR: u64 = 3_600;
    let is_deep = matches!(tier, ArchiveTier::Deep | ArchiveTier::TieringDeep);
    let seconds = match retrieval {
        Retrieval::Bulk if is_deep => [0, 48 * HOUR],
        Retrieval::Bulk => [5 * HOUR, 12 * HOUR],
        Retrieval::Standard if is_deep => [0, 12 * HOUR],
        Retrieval::Standard => [3 * HOUR, 5 * HOUR],
        Retrieval::Expedited => [60, 300],
    };
    let (per_1000, per_gb) = match (tier, retrieval) {
        _ if !tier.offers(retrieval) => return None,
        (_, Retrieval::Expedited) => (10.0, 0.03),
        (ArchiveTier::Deep, Retrieval::Bulk) => (0.025, 0.0025),
        (ArchiveTier::Deep, Retrieval::Standard) => (0.10, 0.02),
        (ArchiveTier::Flexible, Retrieval::Standard) => (0.05, 0.01),
        (ArchiveTier::Flexible | ArchiveTier::TieringAccess | ArchiveTier::TieringDeep, _) => (0.0, 0.0),
    };
    Some((per_1000, per_gb, seconds))
}

/// The ways to restore `objects` of `bytes` from a tier, with copies that are kept for `days`.
pub(crate) fn restorings(tier: ArchiveTier, objects: u64, bytes: u64, days: u16) -> Vec<Restoring> {
    let gb = bytes as f64 / GB;
    let copies_gb = if tier.is_copied() { gb } else { 0.0 };
    let way = |retrieval: Retrieval| {
        let (per_1000, per_gb, seconds) = of(tier, retrieval)?;
        Some(Restoring {
            retrieval: retrieval.name(),
            seconds,
            dollars: objects as f64 / 1_000.0 * per_1000 + gb * per_gb,
            copies_dollars: copies_gb * DOLLARS_PER_GB_MONTH * f64::from(days) / DAYS_OF_A_MONTH,
        })
    };
    Retrieval::ALL.into_iter().filter_map(way).collect()
}

/// Dollars for a month of so many bytes.
pub(crate) fn storage_dollars(bytes: f64) -> f64 {
    bytes / GB * DOLLARS_PER_GB_MONTH
}

/// Dollars for requests.
pub(crate) fn request_dollars(writes: f64, reads: f64) -> f64 {
    (writes * DOLLARS_PER_1000_WRITES + reads * DOLLARS_PER_1000_READS) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_aws() {
        // repost.aws/knowledge-center/s3-manage-data-retrieval: 15,000,000 objects of 100 TB from Glacier Flexible Retrieval.
        let ways = restorings(ArchiveTier::Flexible, 15_000_000, 102_400 << 30, 7);
        let dollars: Vec<(&str, f64)> = ways.iter().map(|way| (way.retrieval, way.dollars.round())).collect();
        assert_eq!(dollars, [("bulk", 0.0), ("standard", 1_774.0), ("expedited", 153_072.0)]);
        let deep = restorings(ArchiveTier::Deep, 1_000, 1 << 30, 30);
        assert_eq!(deep.iter().map(|way| way.retrieval).collect::<Vec<_>>(), ["bulk", "standard"]);
        assert!((deep[0].dollars - 0.0275).abs() < 1e-9 && (deep[0].copies_dollars - 0.023).abs() < 1e-9);
        assert_eq!(restorings(ArchiveTier::TieringDeep, 1_000, 1 << 30, 30)[0].copies_dollars, 0.0);
    }
}
