//! Arguments of `flowquet schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use flowquet_catalog::TableName;
use flowquet_format::{PartitionSpec, Types};
use flowquet_store::Location;

use crate::args::{AddArgs, FormatArgs};
use crate::places::S3Args;

/// Other questions about schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Show how the columns of two log formats differ
    Diff(SchemaDiffArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchemaDiffArgs {
    /// Log format, as --format takes it
    #[arg(value_name = "A", allow_hyphen_values = true)]
    pub(crate) a: String,

    /// The other one
    #[arg(value_name = "B", allow_hyphen_values = true)]
    pub(crate) b: String,

    /// File of `[[field]]` entries that extend the field list, in the form of schemas/fields.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) fields: Option<PathBuf>,

    /// Types of columns: aws or rich
    #[arg(long, value_name = "TYPES")]
    pub(crate) types: Option<Types>,

    /// Print the differences as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SchemaCommand>,

    /// Folder or S3 prefix of a table, whose columns are shown
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) source: Option<Location>,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    #[command(flatten)]
    pub(crate) add: AddArgs,

    /// Types of columns: aws or rich [default: those of TABLE]
    #[arg(long, value_name = "TYPES")]
    pub(crate) types: Option<Types>,

    /// Form of the schema
    #[arg(long = "as", value_enum, default_value = "table")]
    pub(crate) form: SchemaForm,

    /// Database in statements
    #[arg(long, value_name = "NAME", default_value = "default", help_heading = "Statements")]
    pub(crate) database: TableName,

    /// Table in statements
    #[arg(long, value_name = "NAME", default_value = "vpc_flow_logs", help_heading = "Statements")]
    pub(crate) table: TableName,

    /// URL of the table's files [default: that of TABLE]
    #[arg(long, value_name = "URL", help_heading = "Statements")]
    pub(crate) location: Option<String>,

    /// Partition columns [default: those of TABLE, or date]
    #[arg(long, value_name = "COLUMNS", help_heading = "Statements")]
    pub(crate) partition_by: Option<PartitionSpec>,

    /// How Athena and Glue find partitions: derived from the query (`projected`), or registered one by one (`listed`)
    #[arg(long, value_enum, default_value = "projected", help_heading = "Statements")]
    pub(crate) partitions: PartitionsArg,

    /// With `--as duckdb`: name the files of TABLE as it is now, instead of a glob
    #[arg(long, requires = "source", help_heading = "Statements")]
    pub(crate) exact: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartitionsArg {
    /// Registered one by one: works in every engine, includes records without a time
    Listed,
    /// Computed by Athena: nothing to maintain, but Athena only
    Projected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaForm {
    /// Text, with the meaning of each field
    Table,
    /// Arrow field names and types
    Arrow,
    /// Athena's CREATE EXTERNAL TABLE, which Hive and Spark take too
    Athena,
    /// A template of CloudFormation with the AWS::Glue::Table, as JSON
    #[value(name = "cloudformation")]
    CloudFormation,
    /// DuckDB's CREATE VIEW
    Duckdb,
    /// The TableInput that `aws glue create-table` takes, as JSON
    GlueJson,
    /// JSON, with all that the field list knows
    Json,
    /// JSON Schema of a row
    #[value(name = "jsonschema")]
    JsonSchema,
    /// The call that reads all columns into pandas, by pyarrow
    Pandas,
    /// Parquet's message syntax
    Parquet,
    /// The call that scans all columns with Polars
    Polars,
    /// The call that reads all columns with PySpark
    Pyspark,
    /// Spark's CREATE TABLE
    Spark,
    /// Terraform's aws_glue_catalog_table, and with --format the log_format of an aws_flow_log
    Terraform,
    /// Trino's CREATE TABLE, for its Hive connector as the catalog `hive`
    Trino,
}
