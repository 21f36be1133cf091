//! Metrics of a run, in the text format of Prometheus, for node_exporter's textfile collector.
//!
//! The file is replaced as a whole, at intervals and at the end. Counters count from the beginning of the run. What is told of the
//! last success and of the newest record is taken over from the file that is there, so that a run that fails or finds nothing new
//! does not forget it.
//!
//! Source: prometheus.io/docs/instrumenting/exposition_formats, prometheus.io/docs/practices/naming.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flowquet_engine::{Event, Objects, Restores, Summary};
use flowquet_format::seconds_of;
use flowquet_store::{Location, Stores, Traffic};
use flowquet_table::Counts;

use crate::beside;
use crate::clock::now_s;
use crate::exit::Exit;
use crate::output::{Failure, say};

/// Between two writings while a run goes on: as often as Prometheus usually looks.
const EVERY: Duration = Duration::from_secs(15);

const LAST_SUCCESS: &str = "flowquet_last_success_timestamp_seconds";
const NEWEST_RECORD: &str = "flowquet_newest_record_timestamp_seconds";

/// What is known of a run so far.
#[derive(Debug, Default, Clone)]
struct Known {
    reached: Reached,
    /// Read, also of tasks that are not settled.
    read_bytes: u64,
    read_records: u64,
    read_objects: u64,
    planned_bytes: u64,
    planned_objects: u64,
    planned_tasks: u64,
}

/// The numbers of a summary, whose lists may be long.
#[derive(Debug, Default, Clone)]
struct Reached {
    objects: Objects,
    counts: Counts,
    rejects_by_reason: BTreeMap<String, u64>,
    newest_record_at: Option<String>,
    restores: Option<Restores>,
    tasks: u64,
    tasks_left: u64,
    bytes_in: u64,
    text_bytes: u64,
    bytes_out: u64,
}

impl Reached {
    fn of(summary: &Summary) -> Self {
        Self {
            objects: summary.objects.clone(),
            counts: summary.counts.clone(),
            rejects_by_reason: summary.rejects_by_reason.clone(),
            newest_record_at: summary.newest_record_at.clone(),
            restores: summary.restores.clone(),
            tasks: summary.tasks,
            tasks_left: summary.tasks_left,
            bytes_in: summary.bytes_in,
            text_bytes: summary.text_bytes,
            bytes_out: summary.bytes_out,
        }
    }
}

/// What does not change while a run goes on.
#[derive(Debug)]
struct Facts {
    location: Location,
    run_id: String,
    out: String,
    started_s: i64,
    traffic: Arc<Traffic>,
    /// As an earlier run wrote them.
    last_success_s: Option<i64>,
    newest_record_s: Option<i64>,
}

/// Metrics of a run that goes on.
pub(crate) struct Metrics {
    facts: Arc<Facts>,
    known: Arc<Mutex<Known>>,
    stores: Arc<Stores>,
    writer: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Metrics {
    /// Writes metrics to `file` from now on.
    pub(crate) fn begin(
        file: &Path,
        run_id: &str,
        out: &str,
        started_s: i64,
        stores: &Arc<Stores>,
    ) -> Result<Self, Failure> {
        let location = Location::Local(PathBuf::from(file));
        beside::check_place(&location, "--metrics", "metrics")?;
        let before = std::fs::read_to_string(file).unwrap_or_default();
        let facts = Arc::new(Facts {
            location,
            run_id: run_id.to_owned(),
            out: out.to_owned(),
            started_s,
            traffic: stores.traffic().clone(),
            last_success_s: value_of(&before, LAST_SUCCESS),
            newest_record_s: value_of(&before, NEWEST_RECORD),
        });
        let known = Arc::new(Mutex::new(Known::default()));
        // A folder that may not be written to is told before hours of work.
        let text = text(&facts, &Known::default(), None, now_s());
        beside::write(stores, &facts.location, &text)?;
        let (ended, end) = channel();
        let writer = {
            let (facts, known, stores) = (facts.clone(), known.clone(), stores.clone());
            std::thread::spawn(move || write_until(&end, &facts, &known, &stores))
        };
        Ok(Self { facts, known, stores: stores.clone(), writer: Some((ended, writer)) })
    }

    /// Takes note of an event.
    pub(crate) fn event(&self, event: &Event<'_>) {
        let mut known = lock(&self.known);
        match event {
            Event::Planned { tasks, objects, bytes, .. } => {
                known.planned_tasks += tasks;
                known.planned_objects += objects;
                known.planned_bytes += bytes;
            }
            Event::Progress { bytes, records, objects } => {
                known.read_bytes += bytes;
                known.read_records += records;
                known.read_objects += objects;
            }
            Event::Settled(summary) => known.reached = Reached::of(summary),
            Event::Listed { .. } | Event::Waiting { .. } | Event::Warning(_) => {}
        }
    }

    /// Writes what the run has come to.
    pub(crate) fn end(mut self, summary: &Summary, exit: Exit) -> Result<(), Failure> {
        if let Some((ended, writer)) = self.writer.take() {
            drop(ended);
            let _ = writer.join();
        }
        let mut known = lock(&self.known).clone();
        known.reached = Reached::of(summary);
        beside::write(&self.stores, &self.facts.location, &text(&self.facts, &known, Some(exit), now_s()))
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until(end: &Receiver<()>, facts: &Facts, known: &Mutex<Known>, stores: &Stores) {
    let mut has_failed = false;
    while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let text = text(facts, &lock(known).clone(), None, now_s());
        if let Err(Failure::Told(_, message)) = beside::write(stores, &facts.location, &text)
            && !has_failed
        {
            has_failed = true;
            say(&format!("warning: no metrics are written: {}", message.trim_start_matches("error: ")));
        }
    }
}

/// The value of a metric without labels in a file that was written before.
fn value_of(text: &str, name: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// A value of a label.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The text of one metric after the other.
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str, values: &[(&str, i64)]) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
        for (labels, value) in values {
            writeln!(self.0, "{name}{labels} {value}").expect("a string takes all");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.metric(name, "gauge", help, &[("", value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, &[(String::new(), value)]);
    }

    fn counters(&mut self, name: &str, help: &str, values: &[(String, u64)]) {
        let values: Vec<(&str, i64)> =
            values.iter().map(|(labels, n)| (&**labels, i64::try_from(*n).unwrap_or(i64::MAX))).collect();
        self.metric(name, "counter", help, &values);
    }
}

fn text(facts: &Facts, known: &Known, ended: Option<Exit>, now_s: i64) -> String {
    let mut text = Text(String::new());
    let reached = &known.reached;
    let info = format!(
        "{{version=\"{}\",run_id=\"{}\",out=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        label(&facts.run_id),
        label(&facts.out)
    );
    text.metric("flowquet_run_info", "gauge", "The run that these metrics are of.", &[(&info, 1)]);
    text.gauge(
        "flowquet_run_active",
        "1 while the run goes on, 0 when it has ended.",
        i64::from(ended.is_none()),
    );
    text.gauge("flowquet_run_started_timestamp_seconds", "When the run began.", facts.started_s);
    text.gauge("flowquet_updated_timestamp_seconds", "When these metrics were written.", now_s);
    if let Some(exit) = ended {
        text.gauge("flowquet_run_exit_code", "Exit code of the run.", i64::from(exit.code()));
    }
    let last_success_s = if ended == Some(Exit::Success) { Some(now_s) } else { facts.last_success_s };
    if let Some(time) = last_success_s {
        text.gauge(LAST_SUCCESS, "When a run last ended with exit code 0.", time);
    }
    let newest = reached.newest_record_at.as_deref().and_then(seconds_of).max(facts.newest_record_s);
    if let Some(time) = newest {
        text.gauge(NEWEST_RECORD, "The latest time of a record that was converted.", time);
        text.gauge(
            "flowquet_lag_seconds",
            "From that time to when these metrics were written.",
            now_s - time,
        );
    }
    let o = &reached.objects;
    let states = [
        ("converted", o.converted),
        ("known", o.known),
        ("failed", o.failed),
        ("left", o.left),
        ("ignored", o.ignored),
        ("changed", o.changed),
        ("set_aside", o.set_aside),
        ("archived", o.archived),
        ("damaged", o.damaged),
    ];
    let states = states.map(|(state, n)| (format!("{{state=\"{state}\"}}"), n));
    text.metric(
        "flowquet_objects",
        "gauge",
        "Source objects of the run by state; `ignored` are some of `failed`, `set_aside` and `archived` of `left`, `damaged` of `converted`, `changed` of `known`.",
        &states.iter().map(|(labels, n)| (&**labels, i64::try_from(*n).unwrap_or(i64::MAX))).collect::<Vec<_>>(),
    );
    if let Some(restores) = &reached.restores {
        let states = [
            ("requested", restores.requested),
            ("ongoing", restores.ongoing),
            ("restored", restores.restored),
            ("refused", restores.refused),
        ];
        let states = states.map(|(state, n)| (format!("{{state=\"{state}\"}}"), n));
        let values: Vec<(&str, i64)> =
            states.iter().map(|(labels, n)| (&**labels, i64::try_from(*n).unwrap_or(i64::MAX))).collect();
        text.metric(
            "flowquet_restores",
            "gauge",
            "Archived objects by what came of asking that they be restored.",
            &values,
        );
    }
    text.gauge(
        "flowquet_tasks_left",
        "Tasks that are not finished.",
        i64::try_from(reached.tasks_left).unwrap_or(i64::MAX),
    );
    text.counter("flowquet_tasks_total", "Tasks that the run committed.", reached.tasks);
    text.counter("flowquet_lines_total", "Lines of converted objects.", reached.counts.lines);
    text.counter("flowquet_records_total", "Records that were written.", reached.counts.records);
    let rejects = &reached.rejects_by_reason;
    let rejects: Vec<(String, u64)> =
        rejects.iter().map(|(reason, n)| (format!("{{reason=\"{}\"}}", label(reason)), *n)).collect();
    text.counters("flowquet_rejects_total", "Rejected lines by reason.", &rejects);
    text.counter(
        "flowquet_source_bytes_total",
        "Bytes of converted objects, as they are stored.",
        reached.bytes_in,
    );
    text.counter("flowquet_text_bytes_total", "Bytes of their text.", reached.text_bytes);
    text.counter(
        "flowquet_written_bytes_total",
        "Bytes of Parquet files that were written.",
        reached.bytes_out,
    );
    text.counter(
        "flowquet_read_bytes_total",
        "Bytes that were read, also for tasks that are not finished.",
        known.read_bytes,
    );
    text.counter(
        "flowquet_read_records_total",
        "Records that were read, also for tasks that are not finished.",
        known.read_records,
    );
    text.counter(
        "flowquet_read_objects_total",
        "Objects that were read, also for tasks that are not finished.",
        known.read_objects,
    );
    text.counter(
        "flowquet_planned_bytes_total",
        "Bytes that the run is to read, as far as it has planned.",
        known.planned_bytes,
    );
    text.counter("flowquet_planned_objects_total", "Objects that the run is to read.", known.planned_objects);
    text.counter("flowquet_planned_tasks_total", "Tasks that the run is to perform.", known.planned_tasks);
    let traffic = &facts.traffic;
    text.counter("flowquet_s3_requests_total", "Requests to S3, each attempt.", traffic.requests());
    text.counter("flowquet_s3_retries_total", "Requests to S3 that were tried again.", traffic.retries());
    text.counter(
        "flowquet_s3_throttles_total",
        "Requests that S3 answered with a call for fewer.",
        traffic.throttled(),
    );
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(last_success_s: Option<i64>, newest_record_s: Option<i64>) -> Facts {
        Facts {
            location: Location::parse("x.prom").expect("a path"),
            run_id: "r1".to_owned(),
            out: "s3://lake/a\"b\\c".to_owned(),
            started_s: 1_705_276_800,
            traffic: Arc::default(),
            last_success_s,
            newest_record_s,
        }
    }

    #[test]
    fn what_an_earlier_run_reached_is_kept() {
        let mut known = Known::default();
        let told = |facts: &Facts, known: &Known, exit| {
            let text = text(facts, known, exit, 1_705_300_000);
            (
                value_of(&text, LAST_SUCCESS),
                value_of(&text, NEWEST_RECORD),
                value_of(&text, "flowquet_lag_seconds"),
            )
        };
        let (before, newer) = (1_705_270_000, 1_705_299_000);
        assert_eq!(told(&facts(None, None), &known, None), (None, None, None));
        assert_eq!(
            told(&facts(Some(1), Some(before)), &known, Some(Exit::Failed)),
            (Some(1), Some(before), Some(30_000))
        );
        known.reached.newest_record_at = Some("2024-01-15T06:10:00Z".to_owned());
        assert_eq!(
            told(&facts(Some(1), Some(before)), &known, Some(Exit::Success)),
            (Some(1_705_300_000), Some(newer), Some(1_000))
        );
        // Old logs do not make the table older.
        assert_eq!(told(&facts(None, Some(newer + 1)), &known, Some(Exit::Success)).1, Some(newer + 1));
    }

    #[test]
    fn labels_are_escaped() {
        let text = text(&facts(None, None), &Known::default(), Some(Exit::Unavailable), 0);
        assert!(text.contains(r#"out="s3://lake/a\"b\\c"} 1"#), "{text}");
        assert!(text.contains("\nflowquet_run_exit_code 75\n") && text.ends_with("throttles_total 0\n"));
    }
}
