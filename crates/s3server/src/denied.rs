//! What nobody may do.

use clap::Args;
use s3s::{S3Error, S3Result, s3_error};

/// What is denied.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Denied {
    /// Keys below which nobody may read: `BUCKET/PREFIX`
    #[arg(long)]
    deny_reads: Vec<String>,

    /// Keys below which nobody may write: `BUCKET/PREFIX`
    #[arg(long)]
    deny_writes: Vec<String>,

    /// Deny objects that are not there, as S3 does to who may list some prefixes only
    #[arg(long)]
    hide_missing: bool,
}

impl Denied {
    pub(crate) fn check_read(&self, bucket: &str, key: &str) -> S3Result<()> {
        check(&self.deny_reads, bucket, key)
    }

    pub(crate) fn check_write(&self, bucket: &str, key: &str) -> S3Result<()> {
        check(&self.deny_writes, bucket, key)
    }

    /// The answer to who asks for an object that is not there.
    pub(crate) fn missing(&self) -> S3Error {
        if self.hide_missing { s3_error!(AccessDenied, "Access Denied") } else { s3_error!(NoSuchKey) }
    }
}

fn check(denied: &[String], bucket: &str, key: &str) -> S3Result<()> {
    let place = format!("{bucket}/{key}");
    if denied.iter().any(|prefix| place.starts_with(prefix)) {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    }
    Ok(())
}
