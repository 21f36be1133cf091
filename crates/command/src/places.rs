//! Places of tables, and how S3 is spoken to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use flowquet_aws::AwsOptions;
use flowquet_store::{Location, S3Options, Store, Stores};
use flowquet_table::STAGING;

use crate::size::whole;
use crate::stop::stop;

/// How S3 is spoken to. Credentials come from where AWS's tools take them.
#[derive(Debug, Args)]
#[command(next_help_heading = "S3")]
pub struct S3Args {
    /// Region of the buckets [default: detected] and of the Glue Data Catalog
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Profile of the shared AWS configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Role to assume
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,

    /// Endpoint of a store other than AWS's
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    endpoint_url: Option<String>,

    /// Use path-style URLs; automatic where the endpoint is an IP address
    #[arg(long)]
    path_style: bool,

    /// Read requester-pays buckets, at your cost
    #[arg(long)]
    requester_pays: bool,

    /// Server-side encryption of written objects: AES256, aws:kms or aws:kms:dsse [default: the bucket's]
    #[arg(long, value_name = "KIND", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    sse: Option<String>,

    /// KMS key of that encryption
    #[arg(long, value_name = "KEY", requires = "sse")]
    sse_kms_key_id: Option<String>,

    /// Timeout of a request in seconds, not counting the transfer
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = whole::<u16, 1, 600>)]
    request_timeout: u16,
}

impl S3Args {
    /// How the Glue Data Catalog is spoken to: as the store is, but at an endpoint of its own.
    pub fn glue(&self, endpoint_url: Option<String>) -> AwsOptions {
        let (region, profile, role_arn) = (self.region.clone(), self.profile.clone(), self.role_arn.clone());
        AwsOptions { endpoint_url, region, profile, role_arn }
    }

    /// The endpoint of a store other than AWS's, if one is given.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint_url.as_deref()
    }

    /// Stores that speak to S3 so, until this process is asked to end.
    pub fn stores(&self) -> Arc<Stores> {
        let mut options = S3Options::new(stop().clone());
        options.region = self.region.clone();
        options.profile = self.profile.clone();
        options.role_arn = self.role_arn.clone();
        options.endpoint_url = self.endpoint_url.clone();
        options.path_style = self.path_style;
        options.requester_pays = self.requester_pays;
        options.sse = self.sse.clone();
        options.sse_kms_key_id = self.sse_kms_key_id.clone();
        options.timeout = Duration::from_secs(u64::from(self.request_timeout));
        Arc::new(Stores::new(options))
    }
}

/// Where what a command makes goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file or an object.
    At(Location),
    /// Standard output.
    Stdout,
}

/// `-`, a path or an S3 URL.
///
/// # Errors
/// What was expected, in words.
pub fn target(text: &str) -> Result<Target, String> {
    if text == "-" { Ok(Target::Stdout) } else { Location::parse(text).map(Target::At) }
}

/// The URL of a service.
///
/// # Errors
/// What was expected, in words. Without this the SDK would find it out with the first request.
pub fn endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err(format!("expected http://HOST or https://HOST, found `{text}`")),
    }
}

/// The store of a table.
pub fn table_store(stores: &Stores, out: &Location) -> Arc<dyn Store> {
    match out {
        Location::Local(path) => stores.at(&Location::Local(absolute(path)), STAGING),
        s3 => stores.at(s3, STAGING),
    }
}

/// Opens a device or a pipe, `/dev/null` for one, to be written to as it is: a file that is renamed to its name would take its place. `None`
/// where the path is neither.
pub fn open_special(path: &Path) -> Option<io::Result<File>> {
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    is_special.then(|| OpenOptions::new().write(true).open(path))
}

/// A path from the root on.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
