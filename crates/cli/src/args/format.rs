//! Arguments that say how objects are read, which commands share.

use std::path::PathBuf;

use clap::Args;

use super::enrich::EnrichArg;
use crate::described::ASK;

#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Log format: '${version} ${account-id} …' in single quotes, bare names, a default (v2, v3, v4, v5, v7 to v11, tgw), or @FILE
    ///
    /// Also as Terraform, CloudFormation, CDK and scripts have it ($${…}, ${!…}, \${…}, join, !Sub, lists), and the JSON of `aws ec2
    /// describe-flow-logs`. @FILE finds the format in a template, a program or a raw log; @FILE#NAME takes one of several.
    ///
    /// A header line overrides this. If given several times, each line without a header gets the format that matches the number and
    /// kinds of its values; a line that fits two of them with different meanings is a reject.
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true, help_heading = "Log format")]
    pub(crate) format: Vec<String>,

    /// Use the log formats of all flow logs, as if each were given by --format: those EC2 reports for the region, or those in FILE, the
    /// output of `aws ec2 describe-flow-logs`
    ///
    /// EC2 is asked in the configured region, in each of --flow-region, or in those of `aws:REGION,REGION`, with the credentials that S3 is
    /// read with; they need ec2:DescribeFlowLogs. --flow-log-id and --log-group leave out other flow logs. Lines without a header, in an
    /// object whose key names a flow log, have the format of that flow log.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = ASK,
        help_heading = "Log format"
    )]
    pub(crate) describe_flow_logs: Option<String>,

    /// With --describe-flow-logs, use only flow logs that deliver to these CloudWatch log groups, comma-separated
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "describe_flow_logs",
        help_heading = "Log format"
    )]
    pub(crate) log_group: Vec<String>,

    /// File of `[[field]]` entries that extend the field list, in the form of schemas/fields.toml
    #[arg(long, value_name = "FILE", help_heading = "Log format")]
    pub(crate) fields: Option<PathBuf>,

    /// Tag key that a field holds, such as instance-tag=Team: its column is instance_tag_team instead of instance_tag
    ///
    /// Lines do not name the tags that they hold; --describe-flow-logs provides them. FIELD is instance-tag, instance-tag-2,
    /// interface-tag, interface-tag-2, asg-tag or asg-tag-2. `FIELD=` leaves the field its own name.
    #[arg(long, value_name = "FIELD=KEY", help_heading = "Log format")]
    pub(crate) tag_key: Vec<String>,

    /// Keep tag values percent-decoded: `a b` for `a%20b`
    #[arg(long, help_heading = "Log format")]
    pub(crate) decode_tags: bool,

    /// Columns to keep, comma-separated: fewer columns, smaller files [default: all; with `reconvert`, those that objects had]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Log format")]
    pub(crate) columns: Option<Vec<String>>,
}

/// Columns that fields and their log formats do not have.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Columns to add, comma-separated, such as protocol_name,initiator,source_object; `derived` for all that are computed from fields,
    /// `provenance` for all columns about a record's origin; docs/COLUMNS.md lists them. Later runs add what the table already has
    ///
    /// Computed: protocol_name, src_service_name, dst_service_name, tcp_flag_names, direction, traffic_path_name, initiator, is_nat, start_time,
    /// end_time, duration_s, src_scope, dst_scope. A value that cannot be determined is null. Provenance: source_object, source_line, flow_log_id,
    /// source_account, source_region, delivered_at, event_time.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Table")]
    pub(crate) add: Vec<String>,

    /// Add columns src_NAME_… and dst_NAME_… from a lookup file: a list of networks (CSV, JSON), AWS's ip-ranges.json, or a
    /// MaxMind database; interface_NAME_… if it lists interfaces. A path or s3://BUCKET/KEY. Later runs keep using it
    ///
    /// In lists, a column cidr, network, prefix, address, ip, eni or interface_id says what an entry describes, columns `from` and `to` say when it is
    /// valid, and the others become columns. The longest network wins. The table keeps a copy, so that the same logs give the same bytes; `reconvert` takes
    /// another file of the same name. docs/COLUMNS.md says more.
    #[arg(long, value_name = "NAME=FILE", help_heading = "Table")]
    pub(crate) enrich: Vec<EnrichArg>,
}
