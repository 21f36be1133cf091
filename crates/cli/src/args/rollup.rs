//! Arguments of `flowquet rollup`.

use clap::Args;
use flowquet_store::Location;

use super::{GlueArgs, RunReportArgs};
use crate::places::S3Args;
use crate::size::{parse_bytes, whole};

pub(crate) const ABOUT: &str = "Group and sum the records of a table into a second, smaller one";

pub(crate) const LONG_ABOUT: &str = "Groups the records of the table SOURCE by a time bucket and by columns, and writes the groups as the table of --out: number of flows, sums of packets and bytes, \
the first start, the last end, and all TCP flags together. It has the partitions of SOURCE; a partition is rebuilt when its files in SOURCE have changed, and \
replaced as `flowquet compact` replaces one. Sums are exact, and compared with those of SOURCE before anything is replaced. docs/ROLLUP.md describes the columns.";

pub(crate) const EXAMPLES: &str = "Examples:\n  \
    flowquet rollup lake/vpc_flow_logs --by hour,interface_id,srcaddr,dstaddr,dstport,protocol,action --out lake/vpc_hourly\n  \
    flowquet rollup s3://lake/vpc_flow_logs/ --by day,srcaddr,dstaddr --out s3://lake/vpc_daily/ --partition 'date=2024-01-*'";

#[derive(Debug, Args)]
pub(crate) struct RollupArgs {
    /// Folder or S3 prefix of the table whose records are grouped
    #[arg(value_name = "SOURCE", value_parser = Location::parse)]
    pub(crate) source: Location,

    /// What records are grouped by, comma-separated: a time bucket (minute, 5min, hour or day) and columns of the table
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
    pub(crate) by: Vec<String>,

    /// Folder or S3 prefix of the roll-up; created if missing
    #[arg(long, value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Partitions to roll up, by folder name: `date=2024-01-15`, `date=2024-01-*`; may be repeated [default: all]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) partition: Vec<String>,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Seconds to wait before replaced files are deleted, so that running queries can finish, where a catalog points at the table
    /// of --out
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = whole::<u16, 0, 3600>, help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Memory limit, such as 2G [default: 1G]; with less, fewer threads run
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Show which partitions would be rebuilt, and their size; write nothing
    #[arg(long, conflicts_with = "metrics", help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Print what was done, or would be, as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) run_report: RunReportArgs,

    /// Print errors only
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}
