//! The command line as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flowquet_engine::{RejectLimit, Share, Source};
use flowquet_format::PartitionSpec;
use flowquet_parquet::Compression;
use flowquet_store::Location;

use crate::places::{FilterArgs, S3Args, source};
use crate::size::parse_bytes;

/// Raw AWS flow logs to date-partitioned Parquet.
#[derive(Debug, Parser)]
#[command(
    name = "flowquet",
    version,
    about = "Raw AWS flow logs (VPC, Transit Gateway) to date-partitioned Parquet",
    long_about = "Turns raw AWS flow logs, VPC and Transit Gateway, into date-partitioned Parquet that Athena, Spark, \
                  DuckDB and Polars read as one table. Every input line is accounted for; run again and only new files \
                  are converted.",
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 too many rejects, 4 some objects left out, 130 interrupted",
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert flow logs, in folders or S3 prefixes, into a Parquet table
    #[command(
        long_about = "Converts flow logs in folders, files or S3 prefixes, compressed with gzip or zstd or not at all, into a \
                      Parquet table on disk or in S3. What is in the table already is skipped, so the same command can be run \
                      every hour; a run that was killed is finished by the next one.",
        after_long_help = "Examples:\n  \
            flowquet convert logs/AWSLogs --out lake/vpc_flow_logs\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --since 2024-01-01 --until 2024-01-31\n  \
            flowquet convert --plan plan.json --task $AWS_BATCH_JOB_ARRAY_INDEX/100\n  \
            flowquet convert old.log.gz --out lake/old --format v2\n  \
            flowquet convert logs --out lake/narrow --columns srcaddr,dstaddr,bytes,start\n  \
            zcat *.gz | flowquet convert - --out lake/piped"
    )]
    Convert(Box<ConvertArgs>),
    /// Show what a conversion would do and cost: objects, formats, partitions, tasks, requests
    #[command(
        long_about = "Lists the sources, looks at one object of each flow log, and shows what a conversion would do: objects, \
                      bytes, log formats, partitions, tasks, requests to S3 and what they cost. Writes nothing. With --json the \
                      plan itself, of which any number of machines perform shares: flowquet convert --plan FILE --task I/N.",
        after_long_help = "Examples:\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --json > plan.json"
    )]
    Plan(Box<PlanArgs>),
    /// Show what a table holds: committed, missing, rejected
    Status(Box<StatusArgs>),
    /// Show what a file is: log format and first records, or the layout of a Parquet file
    Inspect(InspectArgs),
    /// Show the schema that a log format becomes
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Log format: `${version} ${account-id} …`, bare names, or a default (v2, v3, v4, v5, v7 to v11, tgw)
    #[arg(long, value_name = "FORMAT", help_heading = "Log format")]
    pub(crate) format: Option<String>,

    /// File of `[[field]]` entries that extend the catalogue, in the form of schemas/fields.toml
    #[arg(long, value_name = "FILE", help_heading = "Log format")]
    pub(crate) fields: Option<PathBuf>,

    /// Columns to keep, comma-separated; all by default
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Log format")]
    pub(crate) columns: Option<Vec<String>>,
}

/// What `--sort` without fields sorts by, as far as a log format has it: the interface of VPC flow logs, the attachment of
/// Transit Gateway ones.
const DEFAULT_SORT: &str = "interface-id,tgw-attachment-id,srcaddr,dstaddr,start";

/// What is converted into which table.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// Files, folders and S3 prefixes (s3://BUCKET/PREFIX) to convert; `-` for standard input
    #[arg(required_unless_present_any = ["manifest", "plan"], value_name = "SOURCE", value_parser = source)]
    pub(crate) sources: Vec<Source>,

    /// Folder or S3 prefix of the Parquet table; made if it does not exist
    #[arg(long, short, value_name = "PLACE", required_unless_present = "plan", value_parser = Location::parse)]
    pub(crate) out: Option<Location>,

    /// Take the objects that this file or S3 object names instead of listing: the manifest.json of an S3 Inventory (CSV), or a
    /// URL or path a line
    #[arg(long, value_name = "FILE", value_parser = Location::parse, help_heading = "Choosing objects")]
    pub(crate) manifest: Vec<Location>,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Partition columns: account, region, date, hour, comma-separated, or none
    #[arg(long, value_name = "COLUMNS", default_value = "date", help_heading = "Table")]
    pub(crate) partition_by: PartitionSpec,

    /// Field whose UTC time chooses date and hour
    #[arg(long, value_enum, default_value = "start", help_heading = "Table")]
    pub(crate) partition_time: PartitionTimeArg,

    /// Order the rows of each row group by these fields: smaller files, and pages that queries for an interface or address
    /// can skip; takes about a quarter longer. Without FIELDS by interface, source, destination and start
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

    /// Most rows of a row group
    #[arg(long, value_name = "ROWS", default_value_t = 524_288, value_parser = clap::value_parser!(u64).range(1..=16_777_216), help_heading = "Table")]
    pub(crate) row_group_rows: u64,

    /// Size at which a file is closed and the next one begun, such as 256M
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = parse_bytes, help_heading = "Table")]
    pub(crate) file_bytes: u64,

    /// Keep the whole lines of a damaged object instead of leaving the object out
    #[arg(long, help_heading = "Bad input")]
    pub(crate) salvage: bool,

    /// Memory to stay within, such as 512M; 240M a thread and 32M by default, with S3 32M a thread and 80M more. Less memory runs fewer threads
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Perform a share of the plan in this file or S3 object, which `flowquet plan --json` made
    #[arg(
        long,
        value_name = "FILE",
        value_parser = Location::parse,
        requires = "task",
        conflicts_with_all = ["sources", "manifest", "dry_run"],
        help_heading = "Shares of a plan"
    )]
    pub(crate) plan: Option<Location>,

    /// Which share: I of N, with I from 0 to N-1
    #[arg(long, value_name = "I/N", requires = "plan", help_heading = "Shares of a plan")]
    pub(crate) task: Option<Share>,

    /// Rejects to bear, as lines (`100`) or share (`1%`); checked before each task is committed. Any number by default
    #[arg(long, value_name = "N|P%", help_heading = "Bad input")]
    pub(crate) max_rejects: Option<RejectLimit>,

    /// Worker threads; as many as cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Show what would be done and write nothing
    #[arg(long, help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Write the summary as JSON to this file (`-` for standard output); schemas/report.schema.json describes it
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) report: Option<PathBuf>,

    /// Say nothing but errors
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// The plan as JSON, for `flowquet convert --plan`
    #[arg(long)]
    pub(crate) json: bool,

    // `JobArgs` names it; a plan is not made from a plan.
    #[arg(long, hide = true, value_parser = no_plan)]
    plan: Option<String>,
}

fn no_plan(_: &str) -> Result<String, String> {
    Err("expected sources: a plan is made from a listing".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) table: Location,

    /// As JSON, with every open task and unreadable object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartitionTimeArg {
    /// When the record's first packet was seen
    Start,
    /// When its last packet was seen
    End,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Files to look at: flow logs or Parquet
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Records to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rows: usize,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Form of the schema
    #[arg(long = "as", value_enum, default_value = "table")]
    pub(crate) form: SchemaForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaForm {
    /// A table to read, with what each field means
    Table,
    /// Arrow field names and types
    Arrow,
    /// Parquet's message syntax
    Parquet,
    /// JSON, with all that the catalogue knows
    Json,
}
