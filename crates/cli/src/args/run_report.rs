//! Arguments of the report and the metrics of a run, for commands that print their result as JSON with `--json`.

use std::path::PathBuf;

use clap::Args;

use crate::places::{Target, target};

#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct RunReportArgs {
    /// Write a JSON report of the run to this file or S3 object (`-` for standard output);
    /// schemas/run-report.schema.json describes it
    #[arg(long, value_name = "FILE", value_parser = target)]
    pub(crate) report: Option<Target>,

    /// Write metrics to this file, such as `flowquet.prom`, in the text format of Prometheus: every 15 seconds, and at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
}
