//! Rules of a bucket that end uploads which nobody finished.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

/// Whether a rule ends unfinished uploads of all keys that begin with `prefix`. Such rules cannot be bound to tags or sizes.
/// Source: docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html.
pub(crate) fn ends_uploads(rule: &LifecycleRule, prefix: &str) -> bool {
    let filter = rule.filter();
    let among = filter.and_then(|filter| filter.and());
    #[expect(deprecated, reason = "older rules have their prefix here")]
    let old = rule.prefix();
    let of = filter
        .and_then(|filter| filter.prefix())
        .or(among.and_then(|and| and.prefix()))
        .or(old)
        .unwrap_or_default();
    let ends = rule.abort_incomplete_multipart_upload().is_some_and(|a| a.days_after_initiation().is_some());
    *rule.status() == ExpirationStatus::Enabled && ends && prefix.starts_with(of)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleFilter};

    use super::*;

    #[test]
    fn rules() {
        let abort = || AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
        let rule = |prefix: &str, status, abort| {
            LifecycleRule::builder()
                .status(status)
                .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
                .set_abort_incomplete_multipart_upload(abort)
                .build()
                .expect("it has a status")
        };
        for (found, expected) in [
            (rule("", ExpirationStatus::Enabled, Some(abort())), true),
            (rule("lake/", ExpirationStatus::Enabled, Some(abort())), true),
            (rule("lake/table/x", ExpirationStatus::Enabled, Some(abort())), false),
            (rule("logs/", ExpirationStatus::Enabled, Some(abort())), false),
            (rule("", ExpirationStatus::Disabled, Some(abort())), false),
            (rule("", ExpirationStatus::Enabled, None), false),
        ] {
            assert_eq!(ends_uploads(&found, "lake/table/"), expected, "{found:?}");
        }
    }
}
