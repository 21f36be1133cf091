//! Runs as those see them who do not watch: by metrics while a run goes on, and by a report, which is written also where it failed.
//!
//! `convert` puts its summary into the report of [`crate::report`]; what the other commands print with `--json` goes into
//! [`CommandReport`].

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flowquet_engine::{Event, Observer, Summary};
use flowquet_store::{Location, Stores, random_name};
use serde::Serialize;

use crate::args::RunReportArgs;
use crate::beside;
use crate::clock::{now_s, time_text};
use crate::exit::Exit;
use crate::metrics::{Measured, Metrics, Sample};
use crate::output::{Diagnostic, Failure, put};
use crate::places::Target;
use crate::reporter::Reporter;
use crate::version::VERSION;

/// Version of the report's form; `schemas/run-report.schema.json` describes it.
const REPORT_VERSION: u32 = 1;

/// Version of the form of what is [printed].
const PRINTED_VERSION: u32 = 1;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a, T> {
    /// Changes when members change their meaning or go away, not when some are added.
    version: u32,
    flowquet: &'static str,
    #[serde(flatten)]
    done: &'a T,
}

/// What a command did, as `--json` prints it.
pub(crate) fn printed(done: &impl Serialize) -> String {
    let printed = Printed { version: PRINTED_VERSION, flowquet: VERSION, done };
    format!("{}\n", serde_json::to_string_pretty(&printed).expect("plain values"))
}

/// What `--report` writes for commands other than `convert`.
#[derive(Serialize)]
struct CommandReport<'a, T> {
    report_version: u32,
    command: &'static str,
    #[serde(flatten)]
    ended: &'a Ended,
    /// What `--json` prints, without the versions; of what failed nothing is known.
    done: Option<&'a T>,
}

/// How a run ended: what its report, its metrics and its last lines have in common.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    flowquet: &'static str,
    /// Name of the exit code.
    outcome: &'static str,
    exit_code: u8,
    /// What stopped the run.
    error: Option<String>,
    /// The kind of it, in a word that stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'static str>,
    dry_run: bool,
    /// Of this run and no other.
    run_id: String,
    started_at: String,
    finished_at: String,
    pub(crate) seconds: f64,
    pub(crate) out: String,
    /// Requests to S3, each attempt; of these, how many were tried again, and how many were throttled.
    pub(crate) s3_requests: u64,
    pub(crate) s3_retries: u64,
    pub(crate) s3_throttles: u64,
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// What to do about what stopped the run.
    #[serde(skip)]
    pub(crate) hint: Option<String>,
}

/// When a run began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    at: Instant,
    /// Seconds since 1970.
    at_s: i64,
}

impl Started {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), at_s: now_s() }
    }
}

/// A run whose end will be reported.
pub(crate) struct RunReport {
    command: Measured,
    dry_run: bool,
    run_id: String,
    out: String,
    started: Started,
    stores: Arc<Stores>,
    report: Option<Target>,
    metrics: Option<Metrics>,
}

impl RunReport {
    /// Begins a run. Files that cannot be written are told now, before hours of work.
    pub(crate) fn begin(
        command: Measured,
        (report, metrics): (Option<&Target>, Option<&Path>),
        dry_run: bool,
        out: String,
        started: Started,
        stores: &Arc<Stores>,
    ) -> Result<Self, Failure> {
        if let Some(Target::At(report)) = report {
            beside::check_place(report, "--report", "report")?;
        }
        let run_id = random_name();
        let metrics = metrics
            .map(|file| Metrics::begin(file, command, &run_id, &out, started.at_s, stores))
            .transpose()?;
        let (report, stores) = (report.cloned(), stores.clone());
        Ok(Self { command, dry_run, run_id, out, started, stores, report, metrics })
    }

    /// As [`Self::begin`], of a command that takes [`RunReportArgs`].
    pub(crate) fn of_command(
        command: Measured,
        args: &RunReportArgs,
        dry_run: bool,
        out: &Location,
        stores: &Arc<Stores>,
    ) -> Result<Self, Failure> {
        let targets = (args.report.as_ref(), args.metrics.as_deref());
        Self::begin(command, targets, dry_run, out.to_string(), Started::now(), stores)
    }

    /// One who observes for a person and for the metrics.
    pub(crate) fn observer<'a>(&'a self, reporter: &'a Reporter) -> impl Observer + 'a {
        move |event: &Event<'_>| {
            reporter.event(event);
            self.metrics.iter().for_each(|metrics| metrics.event(event));
        }
    }

    /// Takes note of a conversion that is the run, or that it began with.
    pub(crate) fn converted(&self, summary: &Summary) {
        self.metrics.iter().for_each(|metrics| metrics.converted(summary));
    }

    /// How the run has ended, with the error that stopped it.
    pub(crate) fn ended(&self, exit: Exit, error: Option<&Diagnostic>) -> Ended {
        let (elapsed, traffic) = (self.started.at.elapsed(), self.stores.traffic());
        Ended {
            flowquet: VERSION,
            outcome: exit.name(),
            exit_code: exit.code(),
            error: error.map(|error| error.message.clone()),
            error_kind: error.and_then(|error| error.kind),
            dry_run: self.dry_run,
            run_id: self.run_id.clone(),
            started_at: time_text(self.started.at_s),
            finished_at: time_text(self.started.at_s.saturating_add_unsigned(elapsed.as_secs())),
            seconds: elapsed.as_secs_f64(),
            out: self.out.clone(),
            s3_requests: traffic.requests(),
            s3_retries: traffic.retries(),
            s3_throttles: traffic.throttled(),
            exit,
            hint: error.and_then(|error| error.hint.clone()),
        }
    }

    /// Writes metrics and report for the last time. `samples` are numbers of what the command came to.
    pub(crate) fn write(
        self,
        ended: &Ended,
        samples: Vec<Sample>,
        report: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if let Some(metrics) = self.metrics {
            metrics.end(samples, ended.exit);
        }
        match &self.report {
            None => Ok(()),
            Some(Target::Stdout) => put(&report()),
            Some(Target::At(location)) => beside::write(&self.stores, location, &report()),
        }
    }

    /// Reports how the run of a command other than `convert` ended, and returns that. `done` is what `--json` prints and `samples`
    /// are its numbers as metrics, as far as the command came to anything.
    pub(crate) fn end(
        self,
        result: Result<Exit, Failure>,
        done: Option<&impl Serialize>,
        samples: Vec<Sample>,
    ) -> Result<Exit, Failure> {
        let ended = match &result {
            Ok(exit) => self.ended(*exit, None),
            Err(Failure::Error(error)) => self.ended(error.exit, Some(error)),
            Err(Failure::BrokenPipe) => self.ended(Exit::Success, None),
        };
        let command = self.command.name();
        let written = self.write(&ended, samples, || {
            let report = CommandReport { report_version: REPORT_VERSION, command, ended: &ended, done };
            format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys"))
        });
        // What stopped the run is reported before what nobody reads.
        result.and_then(|exit| written.map(|()| exit))
    }
}
