//! Arguments of `flowquet verify`.

use clap::Args;
use flowquet_engine::Share;
use flowquet_sources::Source;
use flowquet_store::Location;

use crate::args::{GlueArgs, RunReportArgs};
use crate::places::{FilterArgs, S3Args, reason, source};
use crate::size::{parse_bytes, whole};

pub(crate) const ABOUT: &str =
    "Verify a table: its records, files, contents, and the raw logs they came from";

pub(crate) const LONG_ABOUT: &str = "Checks that a table holds what was converted. Without options it reads all records, lists the table's files and reads \
their footers. --read-data reads every page and compares values with statistics, order and partitions, and rows and kept rejected lines with the digests that the conversion \
stored. --source lists the raw logs and names those that are not in the table or changed since. --deep reads the raw logs again and compares every \
object's lines and digest. Each finding names the record, file, row group, column, page or object. Concurrent runs are not reported as findings. Writes \
nothing, except with --repair, --accept-loss or --list-safe.";

pub(crate) const EXITS: &str = "Exit codes: 0 no problems found; 1 the check could not be completed; 4 objects are not in the table; 5 files of \
the table are lost or damaged; 6 records of the table were edited or are lost; 7 raw logs differ from what the table holds. If several apply, the first of 6, 5, 7, 4";

pub(crate) const EXAMPLES: &str = "Examples:\n  \
    flowquet verify lake/vpc_flow_logs\n  \
    flowquet verify s3://lake/vpc_flow_logs/ --read-data-subset $(date +%-d)/31\n  \
    flowquet verify s3://lake/vpc_flow_logs/ --source s3://logs/AWSLogs/ --read-data --list-safe safe.txt\n  \
    flowquet verify lake/vpc_flow_logs --deep\n  \
    flowquet verify lake/vpc_flow_logs --read-data --repair\n  \
    flowquet verify lake/vpc_flow_logs --repair --accept-loss 'disk failed, raw logs expired'";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) out: Location,

    /// Read every page of every file
    #[arg(long, help_heading = "Depth", conflicts_with = "read_data_subset")]
    pub(crate) read_data: bool,

    /// Read a share of the files: `5%`, one part of several (`3/30`), or about this many bytes (`10G`). The choice is stable; all parts
    /// together cover every file
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Depth")]
    pub(crate) read_data_subset: Option<Share>,

    /// Compare the objects of this folder or S3 prefix with those in the table; may be repeated
    #[arg(long, value_name = "SOURCE", value_parser = source, help_heading = "Depth")]
    pub(crate) source: Vec<Source>,

    /// Read the raw logs again, those of --source or all, and compare them with what the table has of them
    #[arg(long, help_heading = "Depth")]
    pub(crate) deep: bool,

    /// Write the URLs of the objects of --source whose every line is proven to be in the table, one a line; to a file that ends in
    /// .csv, bucket and key as S3 Batch Operations takes them. Deletes nothing
    #[arg(long, value_name = "FILE", requires = "source", requires = "read_data", help_heading = "Actions")]
    pub(crate) list_safe: Option<std::path::PathBuf>,

    /// Rebuild lost or damaged files from the raw logs, those of rejected lines too; count those again that were lost and have come back
    #[arg(long, help_heading = "Actions")]
    pub(crate) repair: bool,

    /// Accept that the records or rejected lines of lost or damaged files are lost, for this reason, where raw logs are gone that could rebuild them; with
    /// --repair, also where they cannot be read any more. Damaged files are deleted. `flowquet reconvert --accepted` brings the records back if the raw
    /// logs return
    #[arg(long, value_name = "REASON", value_parser = reason, help_heading = "Actions")]
    pub(crate) accept_loss: Option<String>,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Print what was found as JSON (schemas/verify.schema.json)
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) run_report: RunReportArgs,

    /// Print errors only, and one line if something is wrong
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    /// Memory limit, such as 512M; with less, fewer threads run
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) glue: GlueArgs,

    /// Seconds to wait before files are deleted by --repair or --accept-loss, where a catalog points at the table
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = whole::<u16, 0, 3600>, help_heading = "Glue Data Catalog")]
    pub(crate) grace: u16,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

fn share(text: &str) -> Result<Share, String> {
    text.parse().or_else(|error: flowquet_engine::ShareError| match parse_bytes(text) {
        Ok(bytes) if bytes > 0 && text.ends_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok(Share::Bytes(bytes))
        }
        _ => Err(error.to_string()),
    })
}
