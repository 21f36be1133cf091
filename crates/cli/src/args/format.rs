//! Arguments that say how objects are read, which commands share.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Log format: '${version} ${account-id} …' in single quotes, bare names, a default (v2, v3, v4, v5, v7 to v11, tgw), or @FILE
    ///
    /// Also as Terraform, CloudFormation, CDK and scripts have it ($${…}, ${!…}, \${…}, join, !Sub, lists), and the JSON of `aws ec2
    /// describe-flow-logs`. @FILE finds the format in a template, a program or a raw log; @FILE#NAME takes one of several.
    ///
    /// Lines behind a header have the format that it names. Given several times, each line without a header has the format that it
    /// fits in number and kinds of values; a line that fits two differently is a reject.
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true, help_heading = "Log format")]
    pub(crate) format: Vec<String>,

    /// Take the log formats of all flow logs in FILE, the output of `aws ec2 describe-flow-logs`, as if each were given by --format
    #[arg(long, value_name = "FILE", help_heading = "Log format")]
    pub(crate) describe_flow_logs: Option<PathBuf>,

    /// File of `[[field]]` entries that extend the field list, in the form of schemas/fields.toml
    #[arg(long, value_name = "FILE", help_heading = "Log format")]
    pub(crate) fields: Option<PathBuf>,

    /// Columns to keep, comma-separated: fewer columns, smaller files [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Log format")]
    pub(crate) columns: Option<Vec<String>>,
}
