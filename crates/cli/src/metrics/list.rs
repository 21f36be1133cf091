//! All metrics, each once: what files of metrics say of it, and what docs/OPERATING.md lists.

/// A command that tells metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// `flowquet compact`; with `--in` it converts, too.
    Compact,
    /// `flowquet convert`.
    Convert,
    /// `flowquet reconvert`.
    Reconvert,
    /// `flowquet rollup`.
    Rollup,
    /// `flowquet verify`.
    Verify,
}

impl Measured {
    /// The word that is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Convert => "convert",
            Self::Reconvert => "reconvert",
            Self::Rollup => "rollup",
            Self::Verify => "verify",
        }
    }
}

/// Prometheus's types of metrics that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows while a run goes on, and begins at 0 with the next one.
    Counter,
    /// It is what it is.
    Gauge,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Labels beside `command` and `out`, which all have.
    pub(crate) labels: &'static [&'static str],
    /// Commands that tell it, always or where there is something to tell.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page that lists metrics, which a test makes"))]
    pub(crate) of: &'static [Measured],
    /// One sentence.
    pub(crate) help: &'static str,
}

/// A number of a metric.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) metric: &'static Metric,
    /// Values of the metric's labels, in their order.
    pub(crate) labels: Vec<String>,
    pub(crate) value: i64,
}

impl Metric {
    /// The one number of a metric without labels of its own.
    pub(crate) fn is(&'static self, value: u64) -> Sample {
        self.at(&[], value)
    }

    /// The number for values of its labels.
    pub(crate) fn at(&'static self, labels: &[&str], value: u64) -> Sample {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        Sample { metric: self, labels: labels.iter().map(ToString::to_string).collect(), value }
    }
}

/// Makes a constant of each metric, and the list of all.
macro_rules! metrics {
    ($($id:ident $name:literal $kind:ident [$($label:literal)*] $of:ident $help:literal)*) => {
        $(pub(crate) static $id: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], of: $of, help: $help };)*
        /// All metrics, in the order in which they are written.
        pub(crate) static ALL: &[&Metric] = &[$(&$id),*];
    };
}

use Measured::{Compact, Convert, Reconvert, Rollup, Verify};

const EACH: &[Measured] = &[Convert, Compact, Reconvert, Rollup, Verify];
const NEW: &[Measured] = &[Convert, Compact];
const CONVERTING: &[Measured] = &[Convert, Compact, Reconvert];
const RESTORING: &[Measured] = &[Convert];
const WRITING: &[Measured] = &[Convert, Compact, Reconvert, Rollup];
const BY_PARTITION: &[Measured] = &[Compact, Reconvert, Rollup];
const REPLACING: &[Measured] = &[Compact, Reconvert];
const MERGING: &[Measured] = &[Compact];
const READING_ROWS: &[Measured] = &[Compact, Rollup, Verify];
const WRITING_ROWS: &[Measured] = &[Compact, Rollup];
const CHECKING: &[Measured] = &[Verify];

metrics! {
    RUN_INFO "flowquet_run_info" Gauge ["version" "run_id"] EACH
        "The run that these metrics describe."
    RUN_ACTIVE "flowquet_run_active" Gauge [] EACH
        "1 while the run is active, 0 when it has ended."
    RUN_STARTED "flowquet_run_started_timestamp_seconds" Gauge [] EACH
        "When the run began."
    UPDATED "flowquet_updated_timestamp_seconds" Gauge [] EACH
        "When these metrics were written."
    EXIT_CODE "flowquet_run_exit_code" Gauge [] EACH
        "Exit code of the run, once it has ended."
    LAST_SUCCESS "flowquet_last_success_timestamp_seconds" Gauge [] EACH
        "When a run last ended with exit code 0."
    NEWEST_RECORD "flowquet_newest_record_timestamp_seconds" Gauge [] NEW
        "The latest time of a record that was converted."
    LAG "flowquet_lag_seconds" Gauge [] NEW
        "From that time to when these metrics were written."
    OBJECTS "flowquet_objects" Gauge ["state"] CONVERTING
        "Source objects of the run: `converted`, `known`, `failed`, `left`; and of these `ignored` (of `failed`), `set_aside`, `archived` (of `left`), `damaged` (of `converted`), `changed` (of `known`)."
    RESTORES "flowquet_restores" Gauge ["state"] RESTORING
        "Archived objects by the outcome of asking for them with --restore: `requested`, `ongoing`, `restored`, `refused`."
    TASKS_LEFT "flowquet_tasks_left" Gauge [] NEW
        "Tasks that are not finished."
    TASKS "flowquet_tasks_total" Counter [] CONVERTING
        "Tasks that the run committed."
    LINES "flowquet_lines_total" Counter [] CONVERTING
        "Lines of converted objects."
    RECORDS "flowquet_records_total" Counter [] CONVERTING
        "Records that were written."
    REJECTS "flowquet_rejects_total" Counter ["reason"] CONVERTING
        "Rejected lines by reason."
    SOURCE_BYTES "flowquet_source_bytes_total" Counter [] CONVERTING
        "Bytes of converted objects, as they are stored."
    TEXT_BYTES "flowquet_text_bytes_total" Counter [] CONVERTING
        "Bytes of their text."
    WRITTEN_BYTES "flowquet_written_bytes_total" Counter [] WRITING
        "Bytes of Parquet files that were written."
    WRITTEN_FILES "flowquet_written_files_total" Counter [] WRITING
        "Parquet files that were written."
    PARTITIONS "flowquet_partitions" Gauge ["state"] BY_PARTITION
        "Partitions that were examined: `compacted`, `rolled_up` or `replaced`; `removed`, `unchanged`, `by_another` (which changed them meanwhile), `damaged` (and left as they are)."
    FINISHED "flowquet_finished_total" Counter [] BY_PARTITION
        "Compactions, reconversions and roll-ups of partitions that an earlier run left unfinished and this one finished."
    REPLACED_FILES "flowquet_replaced_files_total" Counter [] REPLACING
        "Parquet files that were replaced."
    REPLACED_BYTES "flowquet_replaced_bytes_total" Counter [] MERGING
        "Bytes of files that were replaced."
    ROWS_READ "flowquet_rows_read_total" Counter [] READING_ROWS
        "Rows of Parquet files that were merged, grouped or checked."
    ROWS_WRITTEN "flowquet_rows_written_total" Counter [] WRITING_ROWS
        "Rows that these became."
    DUPLICATES "flowquet_duplicate_rows_total" Counter [] MERGING
        "Rows that --dedup left out."
    TABLE_FILES "flowquet_table_files" Gauge ["state"] NEW
        "Files of the table that are not as its records have them: `lost`, `truncated`, `stray`."
    FINDINGS "flowquet_findings" Gauge ["level"] CHECKING
        "Problems found, by the level that found them, including repaired ones."
    CHECKED_FILES "flowquet_checked_files" Gauge ["level"] CHECKING
        "Files that were checked, by level."
    CHECKED_OBJECTS "flowquet_checked_objects" Gauge ["level"] CHECKING
        "Source objects that were checked, by level."
    SAFE_OBJECTS "flowquet_safe_objects" Gauge [] CHECKING
        "Source objects whose every line is proven to be in the table, with --list-safe."
    REPAIRED_FILES "flowquet_repaired_files_total" Counter [] CHECKING
        "Files that --repair replaced."
    READ_BYTES "flowquet_read_bytes_total" Counter [] EACH
        "Bytes that were read, also for tasks that are not finished."
    READ_RECORDS "flowquet_read_records_total" Counter [] EACH
        "Records that were read, also for tasks that are not finished."
    READ_OBJECTS "flowquet_read_objects_total" Counter [] EACH
        "Objects, or files of the table, that were read, also for tasks that are not finished."
    PLANNED_BYTES "flowquet_planned_bytes_total" Counter [] EACH
        "Bytes that the run is to read, of what is planned so far."
    PLANNED_OBJECTS "flowquet_planned_objects_total" Counter [] EACH
        "Objects, or files of the table, that the run is to read."
    PLANNED_TASKS "flowquet_planned_tasks_total" Counter [] EACH
        "Tasks, or partitions, that the run is to perform."
    S3_REQUESTS "flowquet_s3_requests_total" Counter [] EACH
        "Requests to S3, each attempt."
    S3_RETRIES "flowquet_s3_retries_total" Counter [] EACH
        "Requests to S3 that were tried again."
    S3_THROTTLES "flowquet_s3_throttles_total" Counter [] EACH
        "Requests that S3 throttled."
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    const BEGINS: &str = "<!-- This table is made from crates/cli/src/metrics/list.rs, by a test of it with FLOWQUET_UPDATE=1 -->\n";
    const ENDS: &str = "<!-- The table ends here -->\n";

    fn table() -> String {
        let mut text = "| metric | of | says |\n|---|---|---|\n".to_owned();
        for metric in ALL {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("{label}=…")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let of: Vec<&str> = metric.of.iter().map(|command| command.name()).collect();
            let of = if metric.of == EACH { "all".to_owned() } else { of.join(", ") };
            writeln!(text, "| `{}{labels}` | {of} | {} |", metric.name, metric.help)
                .expect("a string takes all");
        }
        text
    }

    #[test]
    fn the_page_lists_all_metrics() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPERATING.md");
        let page = std::fs::read_to_string(&path).expect("the page");
        let (before, rest) = page.split_once(BEGINS).expect("where the table begins");
        let (made, after) = rest.split_once(ENDS).expect("where it ends");
        if std::env::var_os("FLOWQUET_UPDATE").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a page of the project, written on request")]
            std::fs::write(&path, format!("{before}{BEGINS}\n{}\n{ENDS}{after}", table())).expect("written");
            return;
        }
        assert_eq!(made.trim(), table().trim(), "run this test with FLOWQUET_UPDATE=1");
    }

    #[test]
    fn names_are_as_prometheus_wants_them() {
        for (nth, metric) in ALL.iter().enumerate() {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
            assert!(ALL[..nth].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
