//! Arguments of `flowquet convert` and `flowquet plan`: what is converted into which table.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flowquet_engine::RejectLimit;
use flowquet_format::{PartitionSpec, Types};
use flowquet_parquet::Compression;
use flowquet_sources::Source;
use flowquet_store::{Location, Retrieval};
use flowquet_table::ROW_GROUP_ROWS_MAX;

use crate::args::{AddArgs, FormatArgs, GlueArgs};
use crate::places::{FilterArgs, S3Args, Target, source, target};
use crate::plan_file::SHARDS_MAX;
use crate::prices::DOLLARS_PER_VCPU_HOUR;
use crate::shard::ShardArg;
use crate::size::{parse_bytes, whole};

/// What `--sort` without fields sorts by, those that the log format has: the interface of VPC flow logs, the attachment of
/// Transit Gateway ones.
const DEFAULT_SORT: &str = "interface-id,tgw-attachment-id,srcaddr,dstaddr,start";

/// Sources of a plan: standard input is read once, by the run that converts it.
const PLANNED: &str =
    "Files, folders and S3 prefixes (s3://BUCKET/PREFIX) to convert; standard input cannot be planned";

/// What is converted into which table.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// Files, folders and S3 prefixes (s3://BUCKET/PREFIX) to convert; `-` for standard input
    #[arg(required_unless_present_any = ["manifest", "plan"], value_name = "SOURCE", value_parser = source)]
    pub(crate) sources: Vec<Source>,

    /// Folder or S3 prefix of the Parquet table; created if missing
    #[arg(long, short, value_name = "TABLE", required_unless_present = "plan", value_parser = Location::parse)]
    pub(crate) out: Option<Location>,

    /// Take the objects that this file or S3 object names, instead of listing: the manifest.json of an S3 Inventory (CSV), or
    /// one URL or path per line
    #[arg(long, value_name = "FILE", value_parser = Location::parse, help_heading = "Choosing objects")]
    pub(crate) manifest: Vec<Location>,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// What to do with copies of objects that the table has from another place, such as a bucket that was replicated, or a file that
    /// was unpacked beside its original. The names that AWS gives once tell them
    #[arg(long, value_enum, value_name = "WHAT", default_value = "skip", help_heading = "Choosing objects")]
    pub(crate) copies: CopiesArg,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    #[command(flatten)]
    pub(crate) add: AddArgs,

    /// Partition columns: account, region, log, date, hour, comma-separated, or none [default: the table's, or date]
    #[arg(long, value_name = "COLUMNS", help_heading = "Table")]
    pub(crate) partition_by: Option<PartitionSpec>,

    /// Where records of VPCs and Transit Gateways go: `one` table with the columns of both, or `split` into the folders log=vpc and
    /// log=tgw, each usable as its own table (same as --partition-by log,…) [default: the table's, or one]
    #[arg(long, value_enum, value_name = "LAYOUT", hide_possible_values = true, help_heading = "Table")]
    pub(crate) table_layout: Option<TableLayout>,

    /// Field whose UTC time chooses date and hour [default: the table's, or start]
    #[arg(long, value_enum, help_heading = "Table")]
    pub(crate) partition_time: Option<PartitionTimeArg>,

    /// Types of columns: `aws`, as in AWS's own Parquet delivery; `rich`, with times as timestamps, and a 16-byte binary twin
    /// of each address, so that queries for networks skip data [default: the table's, or aws]
    #[arg(long, value_name = "TYPES", help_heading = "Table")]
    pub(crate) types: Option<Types>,

    /// Columns that get a bloom filter, comma-separated: queries for one value skip row groups that do not have it
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Table")]
    pub(crate) bloom_filter: Vec<String>,

    /// Order the rows of each row group by these fields: smaller files, and pages that queries for an interface or address
    /// can skip; takes about a fifth longer. Without FIELDS by interface, source, destination and start [default: the
    /// table's, or unsorted]
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_SORT,
        help_heading = "Table"
    )]
    pub(crate) sort: Option<Vec<String>>,

    /// Compression: zstd, zstd:N (level 1 to 22), snappy, gzip or none
    #[arg(long, value_name = "CODEC", default_value = "zstd", help_heading = "Table")]
    pub(crate) compression: Compression,

    /// Maximum rows in a row group; most have about half as many
    #[arg(long, value_name = "ROWS", default_value_t = 1_048_576, value_parser = whole::<u64, 1, ROW_GROUP_ROWS_MAX>, help_heading = "Table")]
    pub(crate) row_group_rows: u64,

    /// File size at which the next file begins, such as 256M
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = parse_bytes, help_heading = "Table")]
    pub(crate) file_bytes: u64,

    /// Keep the whole lines of a damaged object instead of leaving the object out
    #[arg(long, help_heading = "Bad input")]
    pub(crate) salvage: bool,

    /// Keep at most this much of the rejected lines of each task (about one file's worth of input), the first ones, such as 64M or
    /// 0; all are counted
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_bytes, help_heading = "Bad input")]
    pub(crate) rejects_max: u64,

    /// Memory limit, such as 512M; with less, fewer threads run; at least 208M, with S3 up to 320M [default: 240M per thread + 32M; with
    /// S3 32M per thread + 80M more]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Run one shard of the plan in this file or S3 object, as `flowquet plan` saved or printed it
    #[arg(
        long,
        value_name = "FILE",
        value_parser = Location::parse,
        conflicts_with_all = ["sources", "manifest", "dry_run"],
        help_heading = "Shards of a plan"
    )]
    pub(crate) plan: Option<Location>,

    /// Run shard I of N, with I from 0 to N-1; omit /N if the plan was made with --shards [default: taken from the job array of
    /// AWS Batch, Kubernetes or Slurm]
    #[arg(long, alias = "task", value_name = "I/N", help_heading = "Shards of a plan")]
    pub(crate) shard: Option<ShardArg>,

    /// Leave what an earlier run has planned and not converted, unless it is listed now: for a job that runs while the shards of
    /// a backfill are converted. Without it any run finishes all that is planned
    #[arg(long, conflicts_with = "plan", help_heading = "Choosing objects")]
    pub(crate) only_listed: bool,

    /// Fail if more lines than this are rejected: a count (`100`) or a share (`1%`); checked before each task is committed
    /// [default: no limit]
    #[arg(long, value_name = "N|P%", help_heading = "Bad input")]
    pub(crate) max_rejects: Option<RejectLimit>,

    /// Ask S3 to restore archived objects that are not being restored yet: bulk (in 5 to 48 hours), standard (3 to 12 hours) or
    /// expedited (minutes, not from deep archives). It costs money: `flowquet plan` shows how much. Run the same command again
    /// later to convert what has been restored by then
    #[arg(long, value_name = "HOW", conflicts_with = "dry_run", help_heading = "Archived objects")]
    pub(crate) restore: Option<Retrieval>,

    /// Days that restored copies are kept
    #[arg(
        long,
        value_name = "N",
        default_value_t = 7,
        value_parser = whole::<u16, 1, 3650>,
        help_heading = "Archived objects"
    )]
    pub(crate) restore_days: u16,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Register the table in the Glue Data Catalog: the partitions that this run wrote to, and all of them the first time
    #[arg(long, conflicts_with = "dry_run", help_heading = "Glue Data Catalog")]
    pub(crate) register: bool,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Show what would be done; write nothing
    #[arg(long, help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Write the summary as JSON to this file or S3 object (`-` for standard output); schemas/report.schema.json describes it
    #[arg(long, value_name = "FILE", value_parser = target, help_heading = "Reports")]
    pub(crate) report: Option<Target>,

    /// Write metrics to this file, such as `flowquet.prom`, in the text format of Prometheus: every 15 seconds, and at the end
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run", help_heading = "Reports")]
    pub(crate) metrics: Option<PathBuf>,

    /// Print errors only, and one line if something is wrong
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(mut_arg("sources", |sources| sources.help(PLANNED)))]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Divide the plan into this many shards of about the same size, each for a machine of its own: `flowquet convert --plan`
    #[arg(long, value_name = "N", value_parser = whole::<u32, 1, SHARDS_MAX>, help_heading = "Shards of a plan")]
    pub(crate) shards: Option<u32>,

    /// Convert this much as a sample, in memory, to estimate records, bytes and time; 0 estimates from sizes alone
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_bytes, help_heading = "Estimates")]
    pub(crate) sample: u64,

    /// Dollars for an hour of a core [default: 0.04937, AWS Fargate's in us-east-1, x86, with 2 GB of memory]
    #[arg(
        long,
        value_name = "DOLLARS",
        default_value = DOLLARS_PER_VCPU_HOUR,
        hide_default_value = true,
        value_parser = dollars,
        help_heading = "Estimates"
    )]
    pub(crate) price_vcpu_hour: f64,

    /// Worker threads to assume for the conversion [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Write the plan to this file or S3 object, for `flowquet convert --plan`
    #[arg(long, value_name = "FILE", value_parser = Location::parse, help_heading = "Shards of a plan")]
    pub(crate) save: Option<Location>,

    /// Print a line of JSON for each task, or with --shards for each shard that has tasks: `plan` and `shard` are what `flowquet
    /// convert` takes
    #[arg(long, requires = "save", conflicts_with = "json", help_heading = "Shards of a plan")]
    pub(crate) jsonl: bool,

    /// Print the plan as JSON, for `flowquet convert --plan`
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    // `JobArgs` names it; a plan is not made from a plan.
    #[arg(long, hide = true, value_parser = no_plan)]
    plan: Option<String>,
}

fn dollars(text: &str) -> Result<f64, String> {
    let found = text.parse::<f64>().ok().filter(|dollars| dollars.is_finite() && *dollars >= 0.0);
    found.ok_or_else(|| format!("expected dollars, such as 0.05, found `{text}`"))
}

fn no_plan(_: &str) -> Result<String, String> {
    Err("`flowquet plan` makes a plan from sources, not from a plan".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartitionTimeArg {
    /// When the first packet of the record arrived
    Start,
    /// When its last packet arrived
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CopiesArg {
    /// Count them as objects that are in the table
    Skip,
    /// Convert them, so that the table has their records twice
    Convert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableLayout {
    /// Records of all flow logs in one table
    One,
    /// A folder for each kind of flow log
    Split,
}
