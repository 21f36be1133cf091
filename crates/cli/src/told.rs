//! What a run tells those who do not watch it: metrics, and a report that is written also where it failed.
//!
//! Of `compact`, `reconvert`, `rollup` and `verify`; `convert` has a report of its own, whose form is older.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use flowquet_engine::{Error, Event, Observer, Summary};
use flowquet_store::{Location, Stores, random_name};
use serde::Serialize;

use crate::args::ToldArgs;
use crate::beside;
use crate::clock::{now_s, time_text};
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::metrics::{Measured, Metrics, Sample};
use crate::output::{Failure, put};
use crate::places::Target;
use crate::reporter::Reporter;

/// Version of the report's form; `schemas/run-report.schema.json` describes it.
const REPORT_VERSION: u32 = 1;

/// What `--report` writes.
#[derive(Serialize)]
struct Report<'a, T> {
    report_version: u32,
    flowquet: &'static str,
    command: &'static str,
    outcome: &'static str,
    exit_code: u8,
    /// What stopped the run.
    error: Option<&'a str>,
    /// The kind of it, in a word that stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'static str>,
    dry_run: bool,
    run_id: &'a str,
    started_at: String,
    finished_at: String,
    seconds: f64,
    out: &'a str,
    s3_requests: u64,
    s3_retries: u64,
    s3_throttles: u64,
    /// What `--json` prints; of what failed nothing is known.
    done: Option<&'a T>,
}

/// A run that others hear of.
pub(crate) struct Told {
    command: Measured,
    dry_run: bool,
    run_id: String,
    out: String,
    started: Instant,
    started_s: i64,
    stores: Arc<Stores>,
    report: Option<Target>,
    metrics: Option<Metrics>,
    /// The kind of the error that stopped it.
    error_kind: Mutex<Option<&'static str>>,
}

impl Told {
    /// Begins a run. Files that cannot be written are told now, before hours of work.
    pub(crate) fn begin(
        command: Measured,
        args: &ToldArgs,
        dry_run: bool,
        out: &Location,
        stores: &Arc<Stores>,
    ) -> Result<Self, Failure> {
        if let Some(Target::At(report)) = &args.report {
            beside::check_place(report, "--report", "report")?;
        }
        let (started, started_s, run_id, out) = (Instant::now(), now_s(), random_name(), out.to_string());
        let metrics = args.metrics.as_ref();
        let metrics = metrics
            .map(|file| Metrics::begin(file, command, &run_id, &out, started_s, stores))
            .transpose()?;
        Ok(Self {
            command,
            dry_run,
            run_id,
            out,
            started,
            started_s,
            stores: stores.clone(),
            report: args.report.clone(),
            metrics,
            error_kind: Mutex::default(),
        })
    }

    /// One who observes for a person and for the metrics.
    pub(crate) fn observer<'a>(&'a self, reporter: &'a Reporter) -> impl Observer + 'a {
        move |event: &Event<'_>| {
            reporter.event(event);
            self.metrics.iter().for_each(|metrics| metrics.event(event));
        }
    }

    /// Takes note of a conversion that the command began with.
    pub(crate) fn converted(&self, summary: &Summary) {
        self.metrics.iter().for_each(|metrics| metrics.converted(summary));
    }

    /// How an error is told.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        *self.error_kind.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.kind());
        engine_failure(error)
    }

    /// Tells how the run ended, and returns that. `done` is what `--json` prints and `samples` the same as metrics, as far as the
    /// command came to anything.
    pub(crate) fn end(
        self,
        ended: Result<Exit, Failure>,
        done: Option<&impl Serialize>,
        samples: Vec<Sample>,
    ) -> Result<Exit, Failure> {
        let (exit, message) = match &ended {
            Ok(exit) => (*exit, None),
            Err(Failure::Told(exit, message)) => (*exit, Some(message)),
            Err(Failure::BrokenPipe) => (Exit::Success, None),
        };
        if let Some(metrics) = self.metrics {
            metrics.end(samples, exit);
        }
        let Some(report) = self.report else { return ended };
        let elapsed = self.started.elapsed();
        let traffic = self.stores.traffic();
        let text = Report {
            report_version: REPORT_VERSION,
            flowquet: env!("CARGO_PKG_VERSION"),
            command: self.command.name(),
            outcome: exit.name(),
            exit_code: exit.code(),
            error: message.map(|message| sentence(message)),
            error_kind: *self.error_kind.lock().unwrap_or_else(PoisonError::into_inner),
            dry_run: self.dry_run,
            run_id: &self.run_id,
            started_at: time_text(self.started_s),
            finished_at: time_text(self.started_s.saturating_add_unsigned(elapsed.as_secs())),
            seconds: elapsed.as_secs_f64(),
            out: &self.out,
            s3_requests: traffic.requests(),
            s3_retries: traffic.retries(),
            s3_throttles: traffic.throttled(),
            done,
        };
        let text = format!("{}\n", serde_json::to_string_pretty(&text).expect("plain values with text keys"));
        let written = match &report {
            Target::Stdout => put(&text),
            Target::At(location) => beside::write(&self.stores, location, &text),
        };
        // What stopped the run is told before what nobody reads.
        ended.and_then(|exit| written.map(|()| exit))
    }
}

/// An error's message without its mark and hint.
fn sentence(message: &str) -> &str {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    message.split_once("\nhint: ").map_or(message, |(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_sentence() {
        assert_eq!(sentence("error: read `a`: denied\nhint: check"), "read `a`: denied");
        assert_eq!(sentence("read `a`"), "read `a`");
    }
}
