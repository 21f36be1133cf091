//! Metrics of a run, in the text format of Prometheus, for node_exporter's textfile collector.
//!
//! The file is replaced as a whole, at intervals and at the end. Counters count from the beginning of the run. What is told of the
//! last success and of the newest record is taken over from the file that is there, so that a run that fails or finds nothing new
//! does not forget it. Each number says of which command and table it is: the collector refuses files that tell the same thing
//! twice.
//!
//! Source: prometheus.io/docs/instrumenting/exposition_formats, prometheus.io/docs/practices/naming.

mod list;
mod numbers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flowquet_engine::{Event, Summary};
use flowquet_format::seconds_of;
use flowquet_store::{Location, Stores, Traffic};

use self::list::{Kind, Metric};
pub(crate) use self::list::{Measured, Sample};
pub(crate) use self::numbers::{of_compaction, of_reconversion, of_rollup, of_verification};
use crate::beside;
use crate::clock::now_s;
use crate::exit::Exit;
use crate::output::{Failure, say};
use crate::version::VERSION;

/// Between two writings while a run goes on: as often as Prometheus usually looks.
const EVERY: Duration = Duration::from_secs(15);

/// What is known of a run so far.
#[derive(Debug, Default, Clone)]
struct Known {
    /// What a conversion has come to, if one is part of the command.
    conversion: Vec<Sample>,
    newest_record_s: Option<i64>,
    /// What the command came to.
    done: Vec<Sample>,
    /// Read, also of tasks that are not settled.
    read_bytes: u64,
    read_records: u64,
    read_objects: u64,
    planned_bytes: u64,
    planned_objects: u64,
    planned_tasks: u64,
}

impl Known {
    fn converted(&mut self, summary: &Summary) {
        self.conversion = numbers::of_conversion(summary);
        self.newest_record_s = summary.newest_record_at.as_deref().and_then(seconds_of);
    }
}

/// What does not change while a run goes on.
#[derive(Debug)]
struct Facts {
    location: Location,
    command: Measured,
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
        command: Measured,
        run_id: &str,
        out: &str,
        started_s: i64,
        stores: &Arc<Stores>,
    ) -> Result<Self, Failure> {
        let location = Location::Local(PathBuf::from(file));
        beside::check_place(&location, "--metrics", "metrics")?;
        let before = std::fs::read_to_string(file).unwrap_or_default();
        let mut facts = Facts {
            location,
            command,
            run_id: run_id.to_owned(),
            out: out.to_owned(),
            started_s,
            traffic: stores.traffic().clone(),
            last_success_s: None,
            newest_record_s: None,
        };
        facts.last_success_s = value_of(&before, &list::LAST_SUCCESS, &facts);
        facts.newest_record_s = value_of(&before, &list::NEWEST_RECORD, &facts);
        let facts = Arc::new(facts);
        let mut known = Known::default();
        if command == Measured::Convert {
            known.converted(&Summary::default());
        }
        // A folder that may not be written to is told before hours of work.
        let text = text(&facts, &known, None, now_s());
        beside::write(stores, &facts.location, &text)?;
        let known = Arc::new(Mutex::new(known));
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
            // Of a reconversion only what has replaced something counts, which is known at the end.
            Event::Settled(summary) => match self.facts.command {
                Measured::Compact | Measured::Convert => known.converted(summary),
                Measured::Reconvert | Measured::Rollup | Measured::Verify => {}
            },
            Event::Listed { .. } | Event::Waiting { .. } | Event::Warning(_) => {}
        }
    }

    /// Takes note of what a conversion came to.
    pub(crate) fn converted(&self, summary: &Summary) {
        lock(&self.known).converted(summary);
    }

    /// Writes what the run has come to. The work is done by then: that nobody hears of it is told, and is no reason to do it again.
    pub(crate) fn end(mut self, done: Vec<Sample>, exit: Exit) {
        if let Some((ended, writer)) = self.writer.take() {
            drop(ended);
            let _ = writer.join();
        }
        let mut known = lock(&self.known).clone();
        known.done = done;
        let text = text(&self.facts, &known, Some(exit), now_s());
        if let Err(Failure::Error(error)) = beside::write(&self.stores, &self.facts.location, &text) {
            say(&error.warning("no metrics were written"));
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until(end: &Receiver<()>, facts: &Facts, known: &Mutex<Known>, stores: &Stores) {
    let mut has_failed = false;
    while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let text = text(facts, &lock(known).clone(), None, now_s());
        if let Err(Failure::Error(error)) = beside::write(stores, &facts.location, &text)
            && !has_failed
        {
            has_failed = true;
            say(&error.warning("no metrics are written"));
        }
    }
}

/// Labels of a number: whose it is, then those of its metric.
fn labels(facts: &Facts, metric: &Metric, values: &[String]) -> String {
    let mut text = format!("{{command=\"{}\",out=\"{}\"", facts.command.name(), escaped(&facts.out));
    for (label, value) in metric.labels.iter().zip(values) {
        write!(text, ",{label}=\"{}\"", escaped(value)).expect("a string takes all");
    }
    text.push('}');
    text
}

/// A value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The value of a metric without labels of its own in a file that a run of the same command on the same table wrote before.
fn value_of(text: &str, metric: &Metric, facts: &Facts) -> Option<i64> {
    let begins = format!("{}{} ", metric.name, labels(facts, metric, &[]));
    text.lines().find_map(|line| line.strip_prefix(&begins)?.trim().parse().ok())
}

fn text(facts: &Facts, known: &Known, ended: Option<Exit>, now_s: i64) -> String {
    let samples = samples(facts, known, ended, now_s);
    let mut text = String::new();
    for metric in list::ALL {
        let mut of_it = samples.iter().filter(|sample| std::ptr::eq(sample.metric, *metric)).peekable();
        if of_it.peek().is_none() {
            continue;
        }
        let Metric { name, kind, help, .. } = metric;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name()).expect("a string takes all");
        for sample in of_it {
            let labels = labels(facts, metric, &sample.labels);
            writeln!(text, "{name}{labels} {}", sample.value).expect("a string takes all");
        }
    }
    text
}

/// Adds numbers to others: counters of two works of a command add up, and of gauges the later one is right.
fn add(samples: &mut Vec<Sample>, more: &[Sample]) {
    for sample in more {
        let same = |s: &&mut Sample| std::ptr::eq(s.metric, sample.metric) && s.labels == sample.labels;
        match samples.iter_mut().find(same) {
            Some(there) if there.metric.kind == Kind::Counter => there.value += sample.value,
            Some(there) => there.value = sample.value,
            None => samples.push(sample.clone()),
        }
    }
}

fn samples(facts: &Facts, known: &Known, ended: Option<Exit>, now_s: i64) -> Vec<Sample> {
    let time = |metric: &'static Metric, value| Sample { metric, labels: Vec::new(), value };
    let traffic = &facts.traffic;
    let mut samples = vec![
        list::RUN_INFO.at(&[VERSION, &facts.run_id], 1),
        list::RUN_ACTIVE.is(u64::from(ended.is_none())),
        time(&list::RUN_STARTED, facts.started_s),
        time(&list::UPDATED, now_s),
        list::READ_BYTES.is(known.read_bytes),
        list::READ_RECORDS.is(known.read_records),
        list::READ_OBJECTS.is(known.read_objects),
        list::PLANNED_BYTES.is(known.planned_bytes),
        list::PLANNED_OBJECTS.is(known.planned_objects),
        list::PLANNED_TASKS.is(known.planned_tasks),
        list::S3_REQUESTS.is(traffic.requests()),
        list::S3_RETRIES.is(traffic.retries()),
        list::S3_THROTTLES.is(traffic.throttled()),
    ];
    samples.extend(ended.map(|exit| list::EXIT_CODE.is(exit.code().into())));
    let last_success_s = if ended == Some(Exit::Success) { Some(now_s) } else { facts.last_success_s };
    samples.extend(last_success_s.map(|at| time(&list::LAST_SUCCESS, at)));
    if let Some(newest) = known.newest_record_s.max(facts.newest_record_s) {
        samples.extend([time(&list::NEWEST_RECORD, newest), time(&list::LAG, now_s - newest)]);
    }
    add(&mut samples, &known.conversion);
    add(&mut samples, &known.done);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(last_success_s: Option<i64>, newest_record_s: Option<i64>) -> Facts {
        Facts {
            location: Location::parse("x.prom").expect("a path"),
            command: Measured::Convert,
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
            [&list::LAST_SUCCESS, &list::NEWEST_RECORD, &list::LAG]
                .map(|metric| value_of(&text, metric, facts))
        };
        let (before, newer) = (1_705_270_000, 1_705_299_000);
        assert_eq!(told(&facts(None, None), &known, None), [None, None, None]);
        assert_eq!(
            told(&facts(Some(1), Some(before)), &known, Some(Exit::Failed)),
            [Some(1), Some(before), Some(30_000)]
        );
        known.newest_record_s = Some(newer);
        assert_eq!(
            told(&facts(Some(1), Some(before)), &known, Some(Exit::Success)),
            [Some(1_705_300_000), Some(newer), Some(1_000)]
        );
        // Old logs do not make the table older.
        assert_eq!(told(&facts(None, Some(newer + 1)), &known, Some(Exit::Success))[1], Some(newer + 1));
    }

    #[test]
    fn another_table_and_another_command_are_not_remembered() {
        let text = text(&facts(Some(7), None), &Known::default(), None, 9);
        let other = |change: fn(&mut Facts)| {
            let mut facts = facts(None, None);
            change(&mut facts);
            value_of(&text, &list::LAST_SUCCESS, &facts)
        };
        assert_eq!(other(|_| {}), Some(7));
        assert_eq!(other(|facts| facts.command = Measured::Verify), None);
        assert_eq!(other(|facts| facts.out.push('2')), None);
    }

    #[test]
    fn labels_are_escaped() {
        let text = text(&facts(None, None), &Known::default(), Some(Exit::Unavailable), 0);
        let whose = r#"{command="convert",out="s3://lake/a\"b\\c"#;
        assert!(text.contains(&format!("\nflowquet_run_exit_code{whose}\"}} 75\n")), "{text}");
        assert!(text.contains(&format!("{whose}\",version=")), "{text}");
    }

    #[test]
    fn numbers_of_two_works_add_up() {
        let known = Known {
            conversion: vec![list::WRITTEN_FILES.is(3), list::TABLE_FILES.at(&["lost"], 1)],
            done: vec![list::WRITTEN_FILES.is(2), list::TABLE_FILES.at(&["lost"], 0)],
            ..Known::default()
        };
        let mut facts = facts(None, None);
        facts.out = "t".to_owned();
        let text = text(&facts, &known, None, 0);
        assert!(text.contains("written_files_total{command=\"convert\",out=\"t\"} 5\n"), "{text}");
        assert!(text.contains("table_files{command=\"convert\",out=\"t\",state=\"lost\"} 0\n"), "{text}");
        assert_eq!(text.matches("# TYPE flowquet_written_files_total").count(), 1);
    }
}
