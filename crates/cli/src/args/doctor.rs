//! Arguments of `flowquet doctor`.

use clap::Args;
use flowquet_store::Location;

use crate::places::S3Args;

pub(crate) const ABOUT: &str =
    "Check what a conversion needs: credentials, permissions, region, clock, disk, memory";

pub(crate) const LONG_ABOUT: &str = "Checks in advance what converting SOURCE into the table of --out needs: the identity behind the credentials; list \
and read access to the source; put, conditional put, read and delete access to the table; the bucket's lifecycle rule for incomplete uploads; the database and \
table of the Glue Data Catalog; the clock, free disk, memory and processors. Prints a line for each check; a missing permission is shown as an IAM policy statement. \
It writes one temporary object, `.flowquet-doctor-…`, and removes it; nothing else is touched.";

pub(crate) const EXITS: &str =
    "Exit codes: 0 no check failed; 1 a check failed; 75 a service is unavailable (try again)";

pub(crate) const EXAMPLES: &str = "Examples:\n  \
    flowquet doctor s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/\n  \
    flowquet doctor s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --database lake --table vpc_flow_logs\n  \
    flowquet doctor --out s3://lake/vpc_flow_logs/ --json | jq '.lines[].policy // empty'";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Folders, files or S3 prefixes that are to be converted
    #[arg(value_name = "SOURCE", value_parser = Location::parse)]
    pub(crate) source: Vec<Location>,

    /// Folder or S3 prefix of the table, which need not exist
    #[arg(long, value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Option<Location>,

    #[command(flatten)]
    pub(crate) glue: DoctorGlueArgs,

    /// Print as JSON (schemas/doctor.schema.json)
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// The names of the catalog; a database may be checked without a table.
#[derive(Debug, Args)]
#[command(next_help_heading = "Glue Data Catalog")]
pub(crate) struct DoctorGlueArgs {
    /// Database of the Glue Data Catalog
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<flowquet_catalog::TableName>,

    /// Table of that database
    #[arg(long, value_name = "NAME", requires = "database")]
    pub(crate) table: Option<flowquet_catalog::TableName>,

    /// Endpoint of a catalog other than AWS's
    #[arg(long, value_name = "URL")]
    pub(crate) glue_endpoint_url: Option<String>,
}
