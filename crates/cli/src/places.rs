//! Places on the command line: sources, and which of their objects are wanted.

use clap::Args;
pub(crate) use flowquet_command::places::{S3Args, Target, absolute, table_store, target};
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::Location;

use crate::exit::Exit;
use crate::output::Failure;

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

/// `-`, a path or an S3 URL.
pub(crate) fn source(text: &str) -> Result<Source, String> {
    if text == "-" { Ok(Source::Stdin) } else { Location::parse(text).map(Source::At) }
}
