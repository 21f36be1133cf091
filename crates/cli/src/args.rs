//! The command line as it is typed.

mod doctor;
mod enrich;
mod format;
mod inspect;
mod job;
mod look;
mod rollup;
mod run_report;
mod schema;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use flowquet_catalog::TableName;
use flowquet_command::sql::{self, SqlArgs};
use flowquet_format::Types;
use flowquet_parquet::Compression;
use flowquet_store::Location;
use flowquet_table::{Dedup, ROW_GROUP_ROWS_MAX};

pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::enrich::EnrichArg;
pub(crate) use self::format::{AddArgs, FormatArgs};
pub(crate) use self::inspect::InspectArgs;
pub(crate) use self::job::{ConvertArgs, CopiesArg, JobArgs, PartitionTimeArg, PlanArgs, TableLayout};
pub(crate) use self::look::{CostArgs, ReportArgs, TopArgs};
pub(crate) use self::rollup::RollupArgs;
pub(crate) use self::run_report::RunReportArgs;
pub(crate) use self::schema::{PartitionsArg, SchemaArgs, SchemaCommand, SchemaDiffArgs, SchemaForm};
pub(crate) use self::verify::VerifyArgs;
use crate::logs::LogArgs;
use crate::places::{S3Args, endpoint, flow_log_id, reason};
use crate::signals::StopArgs;
use crate::size::{parse_bytes, whole};
use crate::version::VERSION;

/// Converts raw AWS flow logs into date-partitioned Parquet.
#[derive(Debug, Parser)]
#[command(
    name = "flowquet",
    version = VERSION,
    about = "Convert raw AWS flow logs (VPC, Transit Gateway) into date-partitioned Parquet",
    long_about = "Converts raw AWS flow logs (VPC and Transit Gateway) into date-partitioned Parquet that DuckDB, Polars, Spark, \
                  Trino and Athena read as one table. Accounts for every input line; run it again, and it converts only new \
                  objects.",
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 too many rejects, 4 some objects not converted, 5 files of the table lost \
                  or damaged, 6 records of the table damaged, 7 raw logs differ from the table, 75 a service is unavailable (try again), \
                  130 interrupted",
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    /// Configuration file; `flowquet COMMAND @JOB` applies a job from it [default: flowquet.toml, if a job is named]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) stop: StopArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert flow logs, in folders or S3 prefixes, into a Parquet table
    #[command(
        long_about = "Converts flow logs in files, folders or S3 prefixes into a Parquet table on disk or in S3. Reads gzip, zstd and plain \
                      text, and Parquet. Skips what is already in the table, so you can run the same command every hour; the \
                      next run finishes one that was killed.",
        after_long_help = "Examples:\n  \
            flowquet convert logs/AWSLogs --out lake/vpc_flow_logs\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --since 2024-01-01 --until 2024-01-31\n  \
            flowquet convert --plan s3://lake/plans/2024.json --shard 17/100\n  \
            flowquet convert old.log.gz --out lake/old --format v2\n  \
            flowquet convert logs --out lake/narrow --columns srcaddr,dstaddr,bytes,start\n  \
            zcat *.gz | flowquet convert - --out lake/piped"
    )]
    Convert(Box<ConvertArgs>),
    /// Show what a conversion would do and cost: objects, formats, partitions, tasks, requests
    #[command(
        long_about = "Lists the sources, looks at one object of each flow log, and shows what a conversion would do: objects, \
                      bytes, log formats, partitions, tasks, requests to S3 and what they cost. Writes nothing \
                      except the plan file given with --save, which lets several machines each run a shard: flowquet convert \
                      --plan FILE --shard I/N.",
        after_long_help = "Examples:\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --json > plan.json\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --save s3://lake/plans/2024.json --shards 100\n  \
            flowquet plan s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --save s3://lake/plans/2024.json --jsonl > tasks.jsonl"
    )]
    Plan(Box<PlanArgs>),
    /// Show what a table holds: converted, unfinished, unreadable, rejected, lost
    #[command(
        long_about = "Compares a table's records with a listing of its files. Shows what is converted, what is unfinished or could \
                      not be read, and which files are lost, truncated or not the table's own. Exits with 0 if the table is \
                      complete, 4 if something is missing or left over, 5 if files are lost or damaged.",
        after_long_help = "Examples:\n  \
            flowquet status lake/vpc_flow_logs\n  \
            flowquet status s3://lake/vpc_flow_logs/ --json"
    )]
    Status(Box<StatusArgs>),
    #[command(alias = "check", about = verify::ABOUT, long_about = verify::LONG_ABOUT, after_help = verify::EXITS,
        after_long_help = format!("{}\n\n{}", verify::EXITS, verify::EXAMPLES))]
    Verify(Box<VerifyArgs>),
    /// Show top talkers: flows, bytes, targets and times by source, port or any other field
    #[command(
        long_about = "Counts the records of a table by the values of a column, or of several, and shows the largest, with flows, refused \
                      flows, bytes, distinct peer addresses, and first and last time. Reads only the columns it needs, from files and row groups that can match, in \
                      bounded memory: docs/LOOKING.md says what happens if there are more values than fit. Writes nothing.",
        after_long_help = "Examples:\n  \
            flowquet top lake/vpc_flow_logs\n  \
            flowquet top lake/vpc_flow_logs --port 22 --action REJECT --order targets\n  \
            flowquet top lake/vpc_flow_logs --by dstaddr,dstport --order bytes --since 7d\n  \
            flowquet top s3://lake/vpc_flow_logs/ --by interface_id --src 10.0.0.0/8 --json"
    )]
    Top(Box<TopArgs>),
    #[command(alias = "query", about = sql::ABOUT, long_about = sql::LONG_ABOUT, after_long_help = sql::EXAMPLES)]
    Sql(Box<SqlArgs>),
    /// Show what each column of a table or file costs, and what leaving it out would save
    #[command(
        long_about = "Shows the bytes of each column of a table or of a Parquet file, read from footers only, largest first; for a table, also by \
                      log format, and how often packet and flow addresses are equal, sampled from some row groups of each log format. Writes nothing.",
        after_long_help = "Examples:\n  \
            flowquet cost lake/vpc_flow_logs\n  \
            flowquet cost s3://lake/vpc_flow_logs/date=2024-01-15/0a1b….parquet\n  \
            flowquet cost lake/vpc_flow_logs --json | jq '.columns[0]'"
    )]
    Cost(Box<CostArgs>),
    /// Write a self-contained HTML report of a table, with charts
    #[command(
        long_about = "Writes a page that shows what a table holds: flows and bytes over time, accepted and refused; top talkers; refused ports; \
                      scanners; days covered, with gaps and SKIPDATA; rejected lines with examples; log formats; what each \
                      column costs; files. The page is one file without scripts, loads nothing from anywhere, and is made for light and dark screens, \
                      paper and screen readers. Reads the columns it needs of all records, in bounded memory.",
        after_long_help = "Examples:\n  \
            flowquet report lake/vpc_flow_logs -o report.html\n  \
            flowquet report s3://lake/vpc_flow_logs/ -o s3://lake/reports/week.html --since 7d\n  \
            flowquet report lake/vpc_flow_logs --json | jq '.scanners[0]'"
    )]
    Report(Box<ReportArgs>),
    /// Convert objects of a table again: with another format, more columns, a newer field list
    #[command(
        long_about = "Converts objects of a table again with other options, such as the right --format, more --columns or a newer \
                      field list, and replaces their rows in one step. Does not touch other objects. The raw logs must still be \
                      there.",
        after_long_help = "Examples:\n  \
            flowquet reconvert lake/vpc_flow_logs --object '**/old/*.log.gz' --format v3\n  \
            flowquet reconvert s3://lake/vpc_flow_logs/ --rejects --format v5\n  \
            flowquet reconvert s3://lake/vpc_flow_logs/ --partition 'date=2024-01-*' --columns srcaddr,dstaddr,bytes,start"
    )]
    Reconvert(Box<ReconvertArgs>),
    /// Stop reporting an object that is unreadable or changed
    #[command(
        long_about = "Ignores objects of a table that are unreadable, or changed after they were converted: `convert` and `status` still \
                      count them, but neither list them nor exit with 4 for them. Unreadable ones are tried again only once they change, or after `--not`.",
        after_long_help = "Examples:\n  \
            flowquet ignore lake/vpc_flow_logs s3://logs/AWSLogs/…/cut.log.gz --reason 'cut short, AWS case 123'\n  \
            flowquet ignore lake/vpc_flow_logs s3://logs/AWSLogs/…/cut.log.gz --not"
    )]
    Ignore(Box<IgnoreArgs>),
    /// Show what files, folders and S3 prefixes contain: flow logs, formats, coverage, gaps, and other objects
    #[command(
        long_about = "Shows what an input contains. For a file, an S3 object or standard input: compression, log format, lines, and the \
                      first records; for a Parquet file its layout too; for a damaged one what could be read before the damage. For a folder or prefix: a row \
                      for each flow log with its format, objects, first and last delivery, a strip of when objects were delivered, and gaps; then \
                      the objects that are not flow logs, and why. Lists as `convert` does, with the same filters, and reads one object of each flow log. Writes \
                      nothing.\n\n\
                      A strip has one character for each span of time: `█` covered, lower blocks for less, `·` nothing. A pause between two \
                      deliveries is a gap if it is longer than three times the flow log's median pause and longer than twice its 90th-percentile \
                      pause; at least twelve deliveries are needed. If keys give only days, a day is missing if nine in ten pauses are \
                      shorter.",
        after_help = "Exit codes: 0 inspected; 1 a named path cannot be opened; 4 an object is unreadable (damaged, archived, denied), or a named file \
                      is not a flow log",
        after_long_help = "Exit codes: 0 inspected; 1 a named path cannot be opened; 4 an object is unreadable (damaged, archived, denied), or a named file \
                      is not a flow log\n\nExamples:\n  \
            flowquet inspect logs\n  \
            flowquet inspect s3://logs/AWSLogs/ --since 2024-01-01\n  \
            flowquet inspect s3://logs/AWSLogs/ --json | jq '.results[].logs[] | select(.gap_count > 0)'\n  \
            flowquet inspect s3://logs/AWSLogs/…/flow.log.gz --rows 1 --columns srcaddr,dstaddr,start\n  \
            zcat flow.log.gz | flowquet inspect -"
    )]
    Inspect(Box<InspectArgs>),
    /// Show the columns of a log format or table, or the statement that creates the table in Athena, Spark, Trino or DuckDB
    #[command(
        long_about = "Shows the columns of a log format or of a table's files: as text, Arrow, Parquet or JSON; as the statement that \
                      creates the table in Athena, Spark, Trino (its Hive connector) or DuckDB; as Glue's TableInput; or as the \
                      call that reads the table with Polars, pandas or PySpark.",
        after_long_help = "Examples:\n  \
            flowquet schema --format v5\n  \
            flowquet schema --format @main.tf\n  \
            flowquet schema diff v5 @main.tf\n  \
            flowquet schema --format v5 --as athena --location s3://lake/vpc_flow_logs/\n  \
            flowquet schema s3://lake/vpc_flow_logs/ --as athena --database lake --table vpc_flow_logs\n  \
            flowquet schema lake/vpc_flow_logs --as duckdb | duckdb -init /dev/stdin"
    )]
    Schema(Box<SchemaArgs>),
    /// Register a table in the Glue Data Catalog, for Athena, Spark, Trino and Redshift Spectrum
    #[command(
        long_about = "Registers a table in S3 with the Glue Data Catalog: the columns of all its log formats, and its partitions. \
                      Adds columns, never removes or retypes one; refuses an entry that describes another table and shows both \
                      sides. Run it as often as you like.",
        after_long_help = "Examples:\n  \
            flowquet register s3://lake/vpc_flow_logs/ --database lake --table vpc_flow_logs --create-database\n  \
            flowquet convert s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --register --database lake --table vpc_flow_logs"
    )]
    Register(Box<RegisterArgs>),
    /// Merge small files of a table into few sorted ones
    #[command(
        long_about = "Merges the files of each partition into few sorted files with small pages, so that a query for an address \
                      reads little. Counts rows before and after. Deletes the old files once the new ones are in place; \
                      docs/SEMANTICS.md says what a reader sees at each moment. The next run finishes one that was killed.",
        after_long_help = "Examples:\n  \
            flowquet compact lake/vpc_flow_logs\n  \
            flowquet compact lake/vpc_flow_logs --dedup exact\n  \
            flowquet compact s3://lake/vpc_flow_logs/ --partition 'date=2024-01-*' --database lake --table vpc_flow_logs\n  \
            flowquet compact s3://lake/vpc_flow_logs/ --in s3://logs/AWSLogs/ --types rich"
    )]
    Compact(Box<CompactArgs>),
    #[command(about = self::rollup::ABOUT, long_about = self::rollup::LONG_ABOUT, after_long_help = self::rollup::EXAMPLES)]
    Rollup(Box<RollupArgs>),
    #[command(about = self::doctor::ABOUT, long_about = self::doctor::LONG_ABOUT, after_help = self::doctor::EXITS,
        after_long_help = format!("{}\n\n{}", self::doctor::EXITS, self::doctor::EXAMPLES))]
    Doctor(Box<DoctorArgs>),
    /// Print the script that completes flowquet's commands and options in a shell
    #[command(after_long_help = "Examples:\n  \
            flowquet completions bash > ~/.local/share/bash-completion/completions/flowquet\n  \
            flowquet completions zsh > ~/.zfunc/_flowquet\n  \
            flowquet completions fish > ~/.config/fish/completions/flowquet.fish")]
    Completions(CompletionsArgs),
    /// Print a manual page
    #[command(after_long_help = "Examples:\n  \
            flowquet man | man -l -\n  \
            flowquet man convert > ~/.local/share/man/man1/flowquet-convert.1")]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Command that the page is about, such as `convert` or `schema diff` [default: all of flowquet]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReconvertArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Objects to convert again, by globs of their URLs or of their keys below the source; `*` stays within a folder, `**`
    /// crosses folders
    #[arg(long, value_name = "GLOB", help_heading = "Choosing objects")]
    pub(crate) object: Vec<String>,

    /// Objects that gave rows to these partitions: `date=2024-01-15`, `date=2024-01-*`
    #[arg(long, value_name = "FOLDER", help_heading = "Choosing objects")]
    pub(crate) partition: Vec<String>,

    /// Objects that have rejected lines
    #[arg(long, help_heading = "Choosing objects")]
    pub(crate) rejects: bool,

    /// With --rejects, go on even if fewer records come of it
    #[arg(long, requires = "rejects", help_heading = "Choosing objects")]
    pub(crate) fewer_records: bool,

    /// Objects whose files are lost or truncated
    #[arg(long, help_heading = "Choosing objects")]
    pub(crate) lost: bool,

    /// Objects whose files are lost, and whose loss was accepted with `flowquet verify --accept-loss`; those whose raw logs cannot be read
    /// stay lost, and keep no others from returning
    #[arg(long, help_heading = "Choosing objects")]
    pub(crate) accepted: bool,

    /// Objects of these flow logs (fl-…), comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = flow_log_id, help_heading = "Choosing objects")]
    pub(crate) flow_log_id: Vec<String>,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    #[command(flatten)]
    pub(crate) add: AddArgs,

    /// Keep the whole lines of a damaged object instead of leaving the object out
    #[arg(long, help_heading = "Log format")]
    pub(crate) salvage: bool,

    /// Keep at most this much of each task's rejected lines (the first ones), such as 64M or 0; all are counted [default: as when the
    /// objects were converted]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Log format")]
    pub(crate) rejects_max: Option<u64>,

    /// Memory limit, such as 512M; with less, fewer threads run
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Seconds to wait before replaced files are deleted, so that running queries can finish, where a catalog points at the table
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = whole::<u16, 0, 3600>, help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    /// Show what would be done; write nothing
    #[arg(long, conflicts_with = "metrics", help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Print what was done, or would be, as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) run_report: RunReportArgs,

    /// Print errors only, and one line if something is wrong
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

    /// Objects, by the URLs that `flowquet status` shows, or by paths of existing files
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,

    /// Why they are ignored
    #[arg(long, value_name = "TEXT", value_parser = reason, required_unless_present = "not")]
    pub(crate) reason: Option<String>,

    /// Stop ignoring them
    #[arg(long, conflicts_with = "reason")]
    pub(crate) not: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
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

    /// Endpoint of a catalog other than AWS's
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub(crate) glue_endpoint_url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) source: Location,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Create the database if missing
    #[arg(long, help_heading = "Glue Data Catalog")]
    pub(crate) create_database: bool,

    /// Let Athena derive partitions (`projected`), or register each of them (`listed`)
    #[arg(long, value_enum, default_value = "listed", help_heading = "Glue Data Catalog")]
    pub(crate) partitions: PartitionsArg,

    /// Print what was done as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Partitions to compact, by folder name: `date=2024-01-15`, `date=2024-01-*`, `account=1/date=…`; may be repeated
    /// [default: all]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) partition: Vec<String>,

    /// First convert new logs from here into the table, such as the Parquet files that AWS delivered; may be repeated
    #[arg(long = "in", value_name = "SOURCE", value_parser = Location::parse)]
    pub(crate) sources: Vec<Location>,

    /// Types of columns of a table that `--in` creates: aws or rich
    #[arg(long, value_name = "TYPES", requires = "sources")]
    pub(crate) types: Option<Types>,

    /// Sort order of each file [default: those of srcaddr,dstaddr,start that exist]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Files")]
    pub(crate) sort: Option<Vec<String>>,

    /// Keep only the first of duplicate records within a partition and count the rest: exact (all fields equal, where --columns left
    /// none out) or flow (equal interface, addresses, ports, protocol, start and end)
    #[arg(long, value_name = "exact|flow", help_heading = "Files")]
    pub(crate) dedup: Option<Dedup>,

    /// Columns that get a bloom filter, comma-separated
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', help_heading = "Files")]
    pub(crate) bloom_filter: Vec<String>,

    /// Compression: zstd, zstd:N (level 1 to 22), snappy, gzip or none
    #[arg(long, value_name = "CODEC", default_value = "zstd:3", help_heading = "Files")]
    pub(crate) compression: Compression,

    /// Maximum rows in a row group
    #[arg(long, value_name = "ROWS", default_value_t = 524_288, value_parser = whole::<u64, 1, ROW_GROUP_ROWS_MAX>, help_heading = "Files")]
    pub(crate) row_group_rows: u64,

    /// Target file size; files of at least half this size are left alone
    #[arg(long, value_name = "BYTES", default_value = "128M", value_parser = parse_bytes, help_heading = "Files")]
    pub(crate) file_bytes: u64,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Seconds to wait before replaced files are deleted, so that running queries can finish, where a catalog points at the table
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = whole::<u16, 0, 3600>, help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    /// Memory limit, such as 2G [default: 512M]; with more, more large files are merged at once
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Show what would be done; write nothing
    #[arg(long, conflicts_with_all = ["metrics", "sources"], help_heading = "Reports")]
    pub(crate) dry_run: bool,

    /// Print what was done as JSON
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) run_report: RunReportArgs,

    /// Print errors only, and one line if something is wrong
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}
