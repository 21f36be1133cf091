//! Arguments of `flowquet inspect`.

use clap::Args;
use flowquet_sources::Source;

use crate::args::FormatArgs;
use crate::places::{FilterArgs, S3Args, source};

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Files, folders, S3 objects and prefixes (s3://BUCKET/PREFIX) to look at; `-` for standard input
    #[arg(required = true, value_name = "PATH", value_parser = source)]
    pub(crate) places: Vec<Source>,

    /// Records to show of a file or object
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rows: usize,

    /// Print as JSON (schemas/inspect.schema.json), with all that the text shortens
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}
