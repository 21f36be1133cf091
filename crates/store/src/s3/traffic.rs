//! How often S3 was asked.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ErrorKind;

/// Requests to S3, of all buckets, since the process began.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
}

impl Traffic {
    /// Requests that were sent and answered, or given up; each attempt is one.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Of these, so many were tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Requests that were answered with a call for fewer.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// An attempt has ended, with a failure of this kind if any.
    pub(crate) fn ended(&self, failed: Option<ErrorKind>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.throttled.fetch_add(u64::from(failed == Some(ErrorKind::Throttled)), Ordering::Relaxed);
    }

    /// It is tried again.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}
