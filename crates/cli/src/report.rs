//! The summary of a run: as text, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use flowquet_catalog::Registered;
use flowquet_engine::Summary;
use flowquet_plan::Options;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::counted;

/// Version of the report's form; `schemas/report.schema.json` describes it.
const REPORT_VERSION: u32 = 1;

/// Unreadable or changed objects that the summary names.
const NAMED_MAX: usize = 10;

/// What `--report` writes.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    report_version: u32,
    flowquet: &'static str,
    /// Name of the exit code.
    outcome: &'static str,
    exit_code: u8,
    /// What stopped the run.
    error: Option<String>,
    dry_run: bool,
    out: String,
    options: &'a Options,
    threads: usize,
    seconds: f64,
    records_per_second: f64,
    /// With `--register`: what was done in the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<&'a Registered>,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// What a report needs beside the summary.
#[derive(Debug)]
pub(crate) struct RunFacts<'a> {
    pub(crate) exit: Exit,
    pub(crate) error: Option<String>,
    pub(crate) registered: Option<&'a Registered>,
    pub(crate) dry_run: bool,
    pub(crate) out: String,
    pub(crate) options: &'a Options,
    pub(crate) threads: usize,
    pub(crate) elapsed: Duration,
}

impl RunFacts<'_> {
    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }
}

/// The report as JSON, ending in a newline.
pub(crate) fn json(summary: &Summary, facts: &RunFacts<'_>) -> String {
    let report = Report {
        report_version: REPORT_VERSION,
        flowquet: env!("CARGO_PKG_VERSION"),
        outcome: facts.exit.name(),
        exit_code: facts.exit.code(),
        error: facts.error.clone(),
        dry_run: facts.dry_run,
        out: facts.out.clone(),
        options: facts.options,
        threads: facts.threads,
        seconds: facts.seconds(),
        records_per_second: per_second(summary.counts.records, facts),
        registered: facts.registered,
        summary,
    };
    format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys"))
}

fn per_second(n: u64, facts: &RunFacts<'_>) -> f64 {
    // A run of microseconds has no rate worth dividing by zero for.
    n as f64 / facts.seconds().max(1e-6)
}

/// The summary as text. Its last line tells what happened in counts.
pub(crate) fn text(summary: &Summary, facts: &RunFacts<'_>) -> String {
    let count = |n: u64| HumanCount(n).to_string();
    let mut text = String::new();
    let mut row =
        |name: &str, value: String| writeln!(text, "  {name:<11} {value}").expect("a string takes all");
    let o = &summary.objects;
    let mut objects = format!("{} converted of {} listed", count(o.converted), count(o.listed));
    for (n, what) in [
        (o.left_out, "left out"),
        (o.known, "in the table already"),
        (o.failed, "unreadable"),
        (o.changed, "changed since they were converted"),
        (o.set_aside, "set aside"),
        (o.damaged, "damaged"),
    ] {
        if n > 0 {
            objects.push_str(&format!(", {} {what}", count(n)));
        }
    }
    row("objects", objects);
    let c = &summary.counts;
    row(
        "lines",
        format!(
            "{} = {} records + {} rejects + {} headers + {} blanks",
            count(c.lines),
            count(c.records),
            count(c.rejects),
            count(c.headers),
            count(c.blanks)
        ),
    );
    if c.records > 0 {
        row("records", tally(&summary.records_by_status, |s| if s == "-" { "without status" } else { s }));
    }
    if c.rejects > 0 {
        row("rejects", tally(&summary.rejects_by_reason, |r| r));
        let files = &summary.reject_files;
        let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
        row("", format!("kept in {}/{}{more}", facts.out, files.first().map_or("", String::as_str)));
    }
    if summary.times_out_of_range > 0 {
        row(
            "times",
            format!(
                "{} outside 2000 to 2100: partitioned by delivery date",
                count(summary.times_out_of_range)
            ),
        );
    }
    if summary.times_missing > 0 {
        row("times", format!("{} missing: partitioned by delivery date", count(summary.times_missing)));
    }
    row(
        "written",
        format!(
            "{} in {}, {}",
            counted(summary.outputs.len() as u64, "file"),
            counted(summary.partitions, "partition"),
            HumanBytes(summary.bytes_out)
        ),
    );
    row(
        "read",
        format!(
            "{} ({} of text) in {:.1} s",
            HumanBytes(summary.bytes_in),
            HumanBytes(summary.text_bytes),
            facts.seconds()
        ),
    );
    for (name, objects) in [("unreadable", &summary.failed_objects), ("changed", &summary.changed_objects)] {
        for object in objects.iter().take(NAMED_MAX) {
            row(name, format!("`{}`: {}", object.url, object.reason));
        }
        if objects.len() > NAMED_MAX {
            row(
                "",
                format!("and {} more; --report names them all", count((objects.len() - NAMED_MAX) as u64)),
            );
        }
    }
    for hint in &summary.hints {
        writeln!(text, "hint: {hint}").expect("a string takes all");
    }
    let verb = match facts.exit {
        Exit::Success | Exit::ObjectsLeft => "done",
        _ => "stopped",
    };
    let nothing = c.records == 0 && o.known > 0 && o.converted == 0 && verb == "done";
    let note = if nothing { " (nothing new)" } else { "" };
    writeln!(
        text,
        "{verb}{note}: {} records read, {} written, {} rejected, {} objects skipped, {} records/s",
        count(c.records + c.rejects),
        count(c.records),
        count(c.rejects),
        count(o.known + o.failed + o.set_aside),
        count(per_second(c.records, facts) as u64)
    )
    .expect("a string takes all");
    text
}

fn tally<'a>(counts: &'a BTreeMap<String, u64>, name: impl Fn(&'a str) -> &'a str) -> String {
    let mut by_count: Vec<_> = counts.iter().collect();
    by_count.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let parts: Vec<String> =
        by_count.iter().map(|(k, n)| format!("{} {}", HumanCount(**n), name(k))).collect();
    parts.join(", ")
}
