//! Places on the command line: sources, filters, and how S3 is spoken to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use flowquet_aws::AwsOptions;
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::{Location, S3Options, Store, Stores};
use flowquet_table::STAGING;

use crate::described::Asked;
use crate::exit::Exit;
use crate::output::Failure;
use crate::signals::stop;
use crate::size::whole;

/// Which objects are wanted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Choosing objects")]
pub(crate) struct FilterArgs {
    /// First day of delivery, by the keys: YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE")]
    since: Option<String>,

    /// Last day of delivery, included. Records go to the partitions of their own times
    #[arg(long, value_name = "DATE")]
    until: Option<String>,

    /// Accounts, comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    account: Vec<String>,

    /// Regions of the flow logs, comma-separated
    #[arg(long, value_name = "REGIONS", value_delimiter = ',')]
    flow_region: Vec<String>,

    /// Flow log ids (fl-…), comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    flow_log_id: Vec<String>,

    /// Globs of keys below the source to take; `*` stays within a folder, `**` crosses folders
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// Globs of keys below the source to skip
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> Result<KeyFilter, Failure> {
        let mut filter = KeyFilter::default();
        filter.accounts = self.account.clone();
        filter.regions = self.flow_region.clone();
        filter.flow_log_ids = self.flow_log_id.clone();
        let usage = |message: String| Failure::message(Exit::Usage, &message, None);
        let days = filter.set_days(self.since.as_deref(), self.until.as_deref());
        days.map_err(|message| usage(format!("--since, --until: {message}")))?;
        filter.set_globs(&self.include, &self.exclude).map_err(usage)?;
        Ok(filter)
    }

    /// Regions of the flow logs that are wanted; none for all.
    pub(crate) fn regions(&self) -> &[String] {
        &self.flow_region
    }

    /// Flow logs that are wanted; none for all.
    pub(crate) fn flow_log_ids(&self) -> &[String] {
        &self.flow_log_id
    }

    /// The same filters as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (option, value) in [("--since", &self.since), ("--until", &self.until)] {
            words.extend(value.iter().flat_map(|v| [option.to_owned(), v.clone()]));
        }
        for (option, values) in [
            ("--account", &self.account),
            ("--flow-region", &self.flow_region),
            ("--flow-log-id", &self.flow_log_id),
        ] {
            if !values.is_empty() {
                words.extend([option.to_owned(), values.join(",")]);
            }
        }
        for (option, values) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            words.extend(values.iter().flat_map(|v| [option.to_owned(), v.clone()]));
        }
        words
    }
}

/// How S3 is spoken to. Credentials come from where AWS's tools take them.
#[derive(Debug, Args)]
#[command(next_help_heading = "S3")]
pub(crate) struct S3Args {
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
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// Use path-style URLs; automatic where the endpoint is an IP address
    #[arg(long)]
    path_style: bool,

    /// Read requester-pays buckets, at your cost
    #[arg(long)]
    requester_pays: bool,

    /// Server-side encryption of what is written: AES256, aws:kms or aws:kms:dsse [default: the bucket's]
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
    /// Whom --describe-flow-logs asks: as the store is spoken to, but at the endpoint that environment and profile name.
    pub(crate) fn asked<'a>(&self, regions: &'a [String], ids: &'a [String]) -> Asked<'a> {
        Asked { aws: self.glue(None), regions, ids, stop: stop() }
    }

    /// How the Glue Data Catalog is spoken to: as the store is, but at an endpoint of its own.
    pub(crate) fn glue(&self, endpoint_url: Option<String>) -> AwsOptions {
        let (region, profile, role_arn) = (self.region.clone(), self.profile.clone(), self.role_arn.clone());
        AwsOptions { endpoint_url, region, profile, role_arn }
    }

    /// The endpoint of a store other than AWS's, if one is given.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint_url.as_deref()
    }

    pub(crate) fn stores(&self) -> Arc<Stores> {
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

/// `-`, a path or an S3 URL.
pub(crate) fn source(text: &str) -> Result<Source, String> {
    if text == "-" { Ok(Source::Stdin) } else { Location::parse(text).map(Source::At) }
}

/// Where a report goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    At(Location),
    Stdout,
}

/// `-`, a path or an S3 URL.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    if text == "-" { Ok(Target::Stdout) } else { Location::parse(text).map(Target::At) }
}

/// The store of a table.
pub(crate) fn table_store(stores: &Stores, out: &Location) -> Arc<dyn Store> {
    match out {
        Location::Local(path) => stores.at(&Location::Local(absolute(path)), STAGING),
        s3 => stores.at(s3, STAGING),
    }
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
