//! The command line as it is typed.

mod schema;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flowquet_catalog::TableName;
use flowquet_engine::{RejectLimit, Shard, Source};
use flowquet_format::{PartitionSpec, Types};
use flowquet_parquet::Compression;
use flowquet_store::Location;

pub(crate) use self::schema::{PartitionsArg, SchemaArgs, SchemaCommand, SchemaDiffArgs, SchemaForm};
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
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 too many rejects, 4 some objects not converted, 5 files of the table lost or damaged, 130 interrupted",
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
        long_about = "Converts flow logs in folders, files or S3 prefixes, compressed with gzip or zstd or not at all, and the \
                      Parquet that AWS delivers, into a Parquet table on disk or in S3. What is in the table already is skipped, so the same command can be run \
                      every hour; a run that was killed is finished by the next one.",
        after_long_help = "Examples:\n  \
            flowquet convert logs/AWSLogs --out lake/vpc_flow_logs\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --since 2024-01-01 --until 2024-01-31\n  \
            flowquet convert --plan plan.json --shard $AWS_BATCH_JOB_ARRAY_INDEX/100\n  \
            flowquet convert old.log.gz --out lake/old --format v2\n  \
            flowquet convert logs --out lake/narrow --columns srcaddr,dstaddr,bytes,start\n  \
            zcat *.gz | flowquet convert - --out lake/piped"
    )]
    Convert(Box<ConvertArgs>),
    /// Show what a conversion would do and cost: objects, formats, partitions, tasks, requests
    #[command(
        long_about = "Lists the sources, looks at one object of each flow log, and shows what a conversion would do: objects, \
                      bytes, log formats, partitions, tasks, requests to S3 and what they cost. Writes nothing. With --json the \
                      plan itself, of which any number of machines perform shards: flowquet convert --plan FILE --shard I/N.",
        after_long_help = "Examples:\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --json > plan.json"
    )]
    Plan(Box<PlanArgs>),
    /// Show what a table holds: converted, unfinished, unreadable, rejected, lost
    #[command(
        long_about = "Shows what a table's records say, compared with one listing of its files: what is converted, what is \
                      unfinished or could not be read, and which files are lost, truncated or not the table's own. Exit code 0 \
                      if the table is complete, 4 if something is missing, 5 if files are lost or damaged.",
        after_long_help = "Examples:\n  \
            flowquet status lake/vpc_flow_logs\n  \
            flowquet status s3://lake/vpc_flow_logs/ --json"
    )]
    Status(Box<StatusArgs>),
    /// Convert objects of a table anew: with another format, more columns, a newer field list
    #[command(
        long_about = "Converts objects that are in a table anew, with other options, and replaces what they gave before in one \
                      step: with the right --format, with more --columns, with a field list that knows more. Objects that are \
                      not chosen keep what they have. Their raw logs must still be there; nothing else is read.",
        after_long_help = "Examples:\n  \
            flowquet reconvert lake/vpc_flow_logs --object '**/old/*.log.gz' --format v3\n  \
            flowquet reconvert s3://lake/vpc_flow_logs/ --rejects --format v5\n  \
            flowquet reconvert s3://lake/vpc_flow_logs/ --partition 'date=2024-01-*' --columns srcaddr,dstaddr,bytes,start"
    )]
    Reconvert(Box<ReconvertArgs>),
    /// Say that an object will never be readable, so that nobody is told of it again
    #[command(
        long_about = "Has objects of a table ignored: `convert` and `status` count them and name them no more, and do not exit \
                      with 4 because of them. They are not tried again until `--not` ends it.",
        after_long_help = "Examples:\n  \
            flowquet ignore lake/vpc_flow_logs s3://logs/AWSLogs/…/cut.log.gz --reason 'cut short, AWS case 123'\n  \
            flowquet ignore lake/vpc_flow_logs s3://logs/AWSLogs/…/cut.log.gz --not"
    )]
    Ignore(Box<IgnoreArgs>),
    /// Show what a file is: log format and first records, or the layout of a Parquet file
    Inspect(InspectArgs),
    /// Show the schema that a log format becomes, or the statement that makes a table of it in Athena, Spark, Trino or DuckDB
    #[command(
        long_about = "Shows the columns that a log format, or the files of a table, become: as a table to read, as Arrow, Parquet \
                      or JSON, or as the statement that makes them a table in Athena, Spark, Trino (its Hive connector) or \
                      DuckDB, or as the TableInput of Glue.",
        after_long_help = "Examples:\n  \
            flowquet schema --format v5\n  \
            flowquet schema --format @main.tf\n  \
            flowquet schema diff v5 @main.tf\n  \
            flowquet schema --format v5 --as athena --location s3://lake/vpc_flow_logs/\n  \
            flowquet schema s3://lake/vpc_flow_logs/ --as athena --database lake --table vpc_flow_logs\n  \
            flowquet schema lake/vpc_flow_logs --as duckdb | duckdb -init /dev/stdin"
    )]
    Schema(Box<SchemaArgs>),
    /// Make or update a table's entry in the Glue Data Catalog, for Athena, Spark, Trino and Redshift Spectrum
    #[command(
        long_about = "Makes the Glue Data Catalog know a table in S3: its columns, those of all log formats that its files have, \
                      and its partitions. What is there stays: columns are added, never removed or retyped, and a table that is \
                      another one is an error that shows both sides. Run it as often as you like.",
        after_long_help = "Examples:\n  \
            flowquet register s3://lake/vpc_flow_logs/ --database lake --table vpc_flow_logs --create-database\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --register --database lake --table vpc_flow_logs"
    )]
    Register(Box<RegisterArgs>),
    /// Merge the small files of a table's partitions into few sorted ones
    #[command(
        long_about = "Merges the files of each partition into few files that are sorted as a whole, with small pages, so that a query \
                      for an address reads little. Rows are counted before and after. The old files are retired by a record \
                      once the new ones are written, and deleted once those are in place; docs/SEMANTICS.md says what a reader \
                      sees at each moment. A run that was killed is finished by the next one.",
        after_long_help = "Examples:\n  \
            flowquet compact lake/vpc_flow_logs\n  \
            flowquet compact s3://lake/vpc_flow_logs/ --partition 'date=2024-01-*' --database lake --table vpc_flow_logs\n  \
            flowquet compact s3://lake/vpc_flow_logs/ --in s3://logs/AWSLogs/ --types rich"
    )]
    Compact(Box<CompactArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Log format: '${version} ${account-id} …' in single quotes, bare names, a default (v2, v3, v4, v5, v7 to v11, tgw), or @FILE
    ///
    /// Also as Terraform, CloudFormation, CDK and scripts have it ($${…}, ${!…}, \${…}, join, !Sub, lists), and the JSON of `aws ec2
    /// describe-flow-logs`. @FILE finds the format in a template, a program or a raw log; @FILE#NAME takes one of several.
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true, help_heading = "Log format")]
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

    /// Folder or S3 prefix of the Parquet table; created if missing
    #[arg(long, short, value_name = "TABLE", required_unless_present = "plan", value_parser = Location::parse)]
    pub(crate) out: Option<Location>,

    /// Take the objects that this file or S3 object names instead of listing: the manifest.json of an S3 Inventory (CSV), or a
    /// URL or path a line
    #[arg(long, value_name = "FILE", value_parser = Location::parse, help_heading = "Choosing objects")]
    pub(crate) manifest: Vec<Location>,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Partition columns: account, region, date, hour, comma-separated, or none [default: the table's, or date]
    #[arg(long, value_name = "COLUMNS", help_heading = "Table")]
    pub(crate) partition_by: Option<PartitionSpec>,

    /// Field whose UTC time chooses date and hour [default: the table's, or start]
    #[arg(long, value_enum, help_heading = "Table")]
    pub(crate) partition_time: Option<PartitionTimeArg>,

    /// Types of columns: `aws` as AWS's own Parquet delivery has them; `rich` with times as timestamps, and a 16-byte binary twin
    /// of each address, so that queries for networks skip data [default: the table's, or aws]
    #[arg(long, value_name = "TYPES", help_heading = "Table")]
    pub(crate) types: Option<Types>,

    /// Columns that get a bloom filter, comma-separated: queries for one value skip row groups that do not have it
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Table")]
    pub(crate) bloom_filter: Vec<String>,

    /// Order the rows of each row group by these fields: smaller files, and pages that queries for an interface or address
    /// can skip; takes about a quarter longer. Without FIELDS by interface, source, destination and start [default: the
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

    /// Most rows of a row group
    #[arg(long, value_name = "ROWS", default_value_t = 524_288, value_parser = clap::value_parser!(u64).range(1..=flowquet_table::ROW_GROUP_ROWS_MAX), help_heading = "Table")]
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

    /// Run one shard of the plan in this file or S3 object, which `flowquet plan --json` made
    #[arg(
        long,
        value_name = "FILE",
        value_parser = Location::parse,
        requires = "shard",
        conflicts_with_all = ["sources", "manifest", "dry_run"],
        help_heading = "Shards of a plan"
    )]
    pub(crate) plan: Option<Location>,

    /// Which shard: I of N, with I from 0 to N-1
    #[arg(long, alias = "task", value_name = "I/N", requires = "plan", help_heading = "Shards of a plan")]
    pub(crate) shard: Option<Shard>,

    /// Fail if more lines than this are rejected: a count (`100`) or a share (`1%`); checked before each task is committed. No
    /// limit by default
    #[arg(long, value_name = "N|P%", help_heading = "Bad input")]
    pub(crate) max_rejects: Option<RejectLimit>,

    /// Worker threads; as many as cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Make or update the table's entry in the Glue Data Catalog, with the partitions that this run wrote to
    #[arg(long, conflicts_with = "dry_run", help_heading = "Glue Data Catalog")]
    pub(crate) register: bool,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Show what would be done and write nothing
    #[arg(long, help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Write the summary as JSON to this file (`-` for standard output); schemas/report.schema.json describes it
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) report: Option<PathBuf>,

    /// Print only errors, and one line if something is wrong
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReconvertArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Objects to convert anew, by globs of their URLs or of their keys below the source; `*` stays within a folder, `**` does
    /// not
    #[arg(long, value_name = "GLOB", help_heading = "Choosing objects")]
    pub(crate) object: Vec<String>,

    /// Objects that gave rows to these partitions: `date=2024-01-15`, `date=2024-01-*`
    #[arg(long, value_name = "FOLDER", help_heading = "Choosing objects")]
    pub(crate) partition: Vec<String>,

    /// Objects that have rejected lines
    #[arg(long, help_heading = "Choosing objects")]
    pub(crate) rejects: bool,

    /// Objects whose files are lost or truncated
    #[arg(long, help_heading = "Choosing objects")]
    pub(crate) lost: bool,

    /// Objects of these flow logs (fl-…), comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Choosing objects")]
    pub(crate) flow_log_id: Vec<String>,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Keep the whole lines of a damaged object instead of leaving the object out
    #[arg(long, help_heading = "Log format")]
    pub(crate) salvage: bool,

    /// Memory limit, such as 512M; with less, fewer threads run
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Worker threads; as many as cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Seconds to wait before replaced files are deleted, so that running queries can finish, where a catalog points at the table
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=3600), help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    /// Show what would be done and write nothing
    #[arg(long, help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Print what was done, or would be, as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    /// Print only errors, and one line if something is wrong
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct IgnoreArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) table: Location,

    /// Objects, by the URLs that `flowquet status` shows; paths of files that are there are understood too
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,

    /// Why nobody needs to be told of them
    #[arg(long, value_name = "TEXT", required_unless_present = "not")]
    pub(crate) reason: Option<String>,

    /// Ignore them no more
    #[arg(long, conflicts_with = "reason")]
    pub(crate) not: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
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

    /// Print as JSON, including every open task, unreadable object and lost file
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

/// A table of the Glue Data Catalog.
#[derive(Debug, Args)]
#[command(next_help_heading = "Glue Data Catalog")]
pub(crate) struct GlueArgs {
    /// Database of the Glue Data Catalog
    #[arg(long, value_name = "NAME", requires = "table")]
    pub(crate) database: Option<TableName>,

    /// Table of that database
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<TableName>,

    /// Endpoint of a catalog that is not AWS's
    #[arg(long, value_name = "URL")]
    pub(crate) glue_endpoint_url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) source: Location,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Make the database if there is none
    #[arg(long, help_heading = "Glue Data Catalog")]
    pub(crate) create_database: bool,

    /// Have Athena compute partitions (`projected`), or make each of them known (`listed`)
    #[arg(long, value_enum, default_value = "listed", help_heading = "Glue Data Catalog")]
    pub(crate) partitions: PartitionsArg,

    /// What was done, as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Partitions to compact, by parts of their folders: `date=2024-01-15`, `date=2024-01-*`, `account=1/date=…`; may be repeated,
    /// all by default
    #[arg(long, value_name = "FOLDER")]
    pub(crate) partition: Vec<String>,

    /// First take new logs from here into the table, such as the Parquet files that AWS delivered; may be repeated
    #[arg(long = "in", value_name = "SOURCE", value_parser = Location::parse)]
    pub(crate) sources: Vec<Location>,

    /// Types of columns of a table that `--in` makes: aws or rich
    #[arg(long, value_name = "TYPES", requires = "sources")]
    pub(crate) types: Option<Types>,

    /// Order of the rows of each file [default: srcaddr,dstaddr,start, as far as files have them]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Files")]
    pub(crate) sort: Option<Vec<String>>,

    /// Columns that get a bloom filter, comma-separated
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Files")]
    pub(crate) bloom_filter: Vec<String>,

    /// Compression: zstd, zstd:N (level 1 to 22), snappy, gzip or none
    #[arg(long, value_name = "CODEC", default_value = "zstd:3", help_heading = "Files")]
    pub(crate) compression: Compression,

    /// Most rows of a row group
    #[arg(long, value_name = "ROWS", default_value_t = 524_288, value_parser = clap::value_parser!(u64).range(1..=flowquet_table::ROW_GROUP_ROWS_MAX), help_heading = "Files")]
    pub(crate) row_group_rows: u64,

    /// Size that files are to have; files of half of it stay as they are
    #[arg(long, value_name = "BYTES", default_value = "128M", value_parser = parse_bytes, help_heading = "Files")]
    pub(crate) file_bytes: u64,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// With --database and --table: seconds that queries which began before are given, before files that they may read go away
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=3600), help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    /// Worker threads, each with 900M; as many as cores by default, but no more than 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Memory to stay within, such as 2G: fewer threads
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Show what would be done and write nothing
    #[arg(long, conflicts_with = "sources", help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// What was done, as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    /// Print only errors
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}
