//! The summary of a run: as text, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowquet_catalog::Registered;
use flowquet_command::failure::hint_of_permission;
use flowquet_engine::{Restores, Summary};
use flowquet_table::Options;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::cost::format_name;
use crate::exit::Exit;
use crate::failure::object_hints;
use crate::output::{counted, parts_of_lines, shown};
use crate::run_report::Ended;
use crate::table_files::{NAMED_MAX, NOT_WHOLE, lost_text, stray_text, truncated_text};

/// Version of the report's form; `schemas/report.schema.json` describes it.
const REPORT_VERSION: u32 = 2;

/// What `--report` writes.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    report_version: u32,
    #[serde(flatten)]
    ended: &'a Ended,
    /// What was listed, as it was named.
    sources: &'a [String],
    options: &'a Options,
    threads: usize,
    records_per_second: f64,
    /// With `--register`: what was done in the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<&'a Registered>,
    /// What to do about what stopped the run, and about objects that could not be read.
    hints: Vec<String>,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// What the report and the last lines of a conversion need beside its summary.
#[derive(Debug)]
pub(crate) struct ConversionFacts<'a> {
    pub(crate) ended: &'a Ended,
    /// Whether an error stopped the conversion; where only the catalog failed, it is whole.
    pub(crate) is_stopped: bool,
    pub(crate) registered: Option<&'a Registered>,
    /// Whether it ran a shard of a plan.
    pub(crate) is_shard: bool,
    pub(crate) sources: &'a [String],
    /// Filters as they are typed; empty without any.
    pub(crate) filters: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) threads: usize,
    /// Records that were read, also of tasks that were not finished.
    pub(crate) records_read: u64,
}

/// The report as JSON, ending in a newline.
pub(crate) fn json(summary: &Summary, facts: &ConversionFacts<'_>) -> String {
    let report = Report {
        report_version: REPORT_VERSION,
        ended: facts.ended,
        sources: facts.sources,
        options: facts.options,
        threads: facts.threads,
        records_per_second: per_second(summary.counts.records, facts),
        registered: facts.registered,
        hints: facts.ended.hint.iter().cloned().chain(hints(summary, &facts.ended.out)).collect(),
        summary,
    };
    format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys"))
}

fn per_second(n: u64, facts: &ConversionFacts<'_>) -> f64 {
    // A run of microseconds has no rate worth dividing by zero for.
    n as f64 / facts.ended.seconds.max(1e-6)
}

/// The summary as text. Its last line tells what happened in counts.
pub(crate) fn text(summary: &Summary, facts: &ConversionFacts<'_>) -> String {
    let count = |n: u64| HumanCount(n).to_string();
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "  {name:<11} {}", shown(&value)).expect("a string takes all")
    };
    row("objects", objects_text(summary));
    let c = &summary.counts;
    if c.lines > 0 || !summary.outputs.is_empty() {
        work_text(summary, facts, &mut row);
    }
    row_of_requests(facts.ended, &mut row);
    if let Some(restores) = &summary.restores {
        row("restore", restores_text(restores));
    }
    for (name, objects) in [
        ("archived", &summary.archived_objects),
        ("unreadable", &summary.failed_objects),
        ("changed", &summary.changed_objects),
    ] {
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
    for table in &summary.left_out_tables {
        row("left out", format!("`{}`, a flowquet table ({})", table.url, counted(table.objects, "object")));
    }
    let files = &summary.files;
    files.lost.iter().for_each(|file| row("lost", lost_text(file)));
    files.truncated.iter().for_each(|file| row("truncated", truncated_text(file)));
    files.stray.iter().for_each(|file| row("stray", stray_text(file)));
    for hint in hints(summary, &facts.ended.out) {
        writeln!(text, "hint: {hint}").expect("a string takes all");
    }
    text.push_str(&last_line(summary, facts));
    text.push('\n');
    text
}

/// How S3 answered, where it did not answer each request at once: what took so long.
fn row_of_requests(ended: &Ended, row: &mut impl FnMut(&str, String)) {
    let parts = [(ended.s3_retries, "retried"), (ended.s3_throttles, "throttled")];
    let parts: String = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!(", {} {what}", HumanCount(*n)))
        .collect();
    if !parts.is_empty() {
        row("requests", format!("{} to S3{parts}", HumanCount(ended.s3_requests)));
    }
}

/// What to do about objects that are not in the table. Who asks for what is archived needs no hint to do so.
fn hints(summary: &Summary, out: &str) -> Vec<String> {
    let mut hints = object_hints(&summary.failed_objects);
    if summary.restores.is_none() {
        hints.extend(object_hints(&summary.archived_objects));
    }
    let mut hints: Vec<String> = hints.into_iter().map(str::to_owned).collect();
    let lacking = summary.restores.as_ref().and_then(|restores| restores.lacking);
    hints.extend(lacking.map(hint_of_permission));
    if !summary.changed_objects.is_empty() {
        hints.push(format!(
            "the table has changed objects as they were: `flowquet reconvert {} --object URL` converts one as it is now",
            shown(out)
        ));
    }
    hints.extend(hints_of_copies(summary, out));
    let other = &summary.read_otherwise;
    if other.objects > 0 {
        let (was, keep) = if other.objects == 1 { ("was", "keeps") } else { ("were", "keep") };
        let formats: Vec<String> = other.formats.iter().map(|format| format_name(format)).collect();
        hints.push(format!(
            "{} without a header line {was} converted with another --format ({}) and {keep} it: `flowquet reconvert {} \
             --object URL --format FORMAT` converts one again",
            counted(other.objects, "object"),
            formats.join("; "),
            shown(out)
        ));
    }
    if summary.new_columns > 0 {
        hints.push(format!(
            "older files of the table lack {} of another log format, which engines that read files by themselves may not see: `flowquet schema {} \
             --as duckdb` shows how to, and `flowquet compact {}` gives all files all columns",
            counted(summary.new_columns, "column"),
            shown(out),
            shown(out)
        ));
    }
    hints
}

/// `bulk, kept for 7 days: 12 requested, 3 being restored`.
fn restores_text(restores: &Restores) -> String {
    let parts = [
        (restores.requested, "requested"),
        (restores.ongoing, "being restored"),
        (restores.restored, "restored: the next run converts them"),
        (restores.refused, "refused"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", HumanCount(*n))).collect();
    let why = restores.refusal.as_ref().map(|why| format!(", such as {why}")).unwrap_or_default();
    let days = counted(u64::from(restores.days), "day");
    format!("{}, kept for {days}: {}{why}", restores.retrieval, parts.join(", "))
}

/// What was read and written.
fn work_text(summary: &Summary, facts: &ConversionFacts<'_>, row: &mut impl FnMut(&str, String)) {
    let count = |n: u64| HumanCount(n).to_string();
    let c = &summary.counts;
    row("lines", format!("{} = {}", count(c.lines), parts_of_lines(c)));
    if c.records > 0 {
        row("records", tally(&summary.records_by_status, |s| if s == "-" { "without status" } else { s }));
    }
    if c.rejects > 0 {
        row("rejects", tally(&summary.rejects_by_reason, |r| r));
        let files = &summary.reject_files;
        let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
        if summary.rejects_not_kept < c.rejects {
            row(
                "",
                format!("kept in {}/{}{more}", facts.ended.out, files.first().map_or("", String::as_str)),
            );
        }
        if summary.rejects_not_kept > 0 {
            let kept = match summary.rejects_not_kept {
                all if all >= c.rejects => "none of them kept".to_owned(),
                some => format!("{} of them not kept", count(some)),
            };
            row("", format!("{kept} (over --rejects-max per task)"));
        }
    }
    if summary.times_out_of_range > 0 {
        row(
            "times",
            format!(
                "{} outside 2000 to 2100: partitioned by delivery date if the key has one",
                count(summary.times_out_of_range)
            ),
        );
    }
    if summary.times_missing > 0 {
        row(
            "times",
            format!(
                "{} missing: partitioned by delivery date if the key has one",
                count(summary.times_missing)
            ),
        );
    }
    row(
        "written",
        format!(
            "{} in {} of {}, {}",
            counted(summary.outputs.len() as u64, "file"),
            counted(summary.partitions, "partition"),
            facts.ended.out,
            HumanBytes(summary.bytes_out)
        ),
    );
    row(
        "read",
        format!(
            "{} ({} of text) in {:.1} s",
            HumanBytes(summary.bytes_in),
            HumanBytes(summary.text_bytes),
            facts.ended.seconds
        ),
    );
}

/// What to do about objects that are copies of others, or look like it.
pub(crate) fn hints_of_copies(summary: &Summary, out: &str) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(first) = summary.copies.first.first() {
        let (is, was) = match summary.copies.count {
            1 => ("is a copy of one", "was"),
            _ => ("are copies of ones", "were"),
        };
        hints.push(format!(
            "{} {is} that the table has from another place, as the names that AWS gives tell, and {was} not read (`{first}`): --copies convert \
             converts such objects, too",
            counted(summary.copies.count, "object")
        ));
    }
    if let Some(first) = summary.alike.first.first() {
        let (looks, is, its) = match summary.alike.count {
            1 => ("looks like one", "it is a copy", "its"),
            _ => ("look like ones", "they are copies", "their"),
        };
        hints.push(format!(
            "{} {looks} that the table has from another place (`{first}`): if {is}, `flowquet compact {} --dedup` takes {its} rows out",
            counted(summary.alike.count, "object"),
            shown(out)
        ));
    }
    hints
}

/// `5,000 listed = 3,319 converted + 1,678 already in the table + 3 unreadable (12 filtered out)`.
fn objects_text(summary: &Summary) -> String {
    let count = |n: u64| HumanCount(n).to_string();
    let o = &summary.objects;
    let resumed = if o.resumed > 0 {
        format!(" + {} resumed from an earlier run", count(o.resumed))
    } else {
        String::new()
    };
    let mut parts = vec![format!("{} converted", count(o.converted))];
    for (n, what) in
        [(o.known, "already in the table"), (o.failed, "unreadable"), (o.left, "left for the next run")]
    {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    }
    let mut text = format!("{} listed{resumed} = {}", count(o.listed), parts.join(" + "));
    let notes: Vec<String> = [
        (o.left_out, "filtered out"),
        (o.repeated, "listed again, taken once"),
        (o.copies, if o.copies == 1 { "in the table as a copy" } else { "in the table as copies" }),
        (o.ignored, "of the unreadable ignored"),
        (o.archived, "of those left archived"),
        (
            o.changed,
            if o.changed == 1 {
                "changed since it was converted"
            } else {
                "changed since they were converted"
            },
        ),
        (o.changed_ignored, "of the changed ignored"),
        (o.damaged, "damaged, whole lines kept"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", count(n)))
    .collect();
    if !notes.is_empty() {
        text.push_str(&format!(" ({})", notes.join(", ")));
    }
    text
}

/// What happened, in counts.
fn last_line(summary: &Summary, facts: &ConversionFacts<'_>) -> String {
    let (o, c) = (&summary.objects, &summary.counts);
    let count = |n: u64| HumanCount(n).to_string();
    let nothing = c.lines == 0 && o.converted == 0 && o.left == o.archived;
    if facts.is_stopped {
        let again = match facts.records_read.saturating_sub(c.records) {
            0 => "the next run reads the unfinished ones again".to_owned(),
            n => format!("{} of the unfinished ones will be read again", counted(n, "record")),
        };
        return format!(
            "stopped: {} of {} tasks finished, {} written; {again}",
            count(summary.tasks),
            count(summary.tasks + summary.tasks_left),
            counted(c.records, "record")
        );
    }
    if !summary.files.is_whole() {
        return NOT_WHOLE.to_owned();
    }
    if nothing && o.listed == 0 && facts.is_shard {
        return "done: nothing to do, the shard has no tasks".to_owned();
    }
    if nothing && o.listed == 0 {
        return format!("done: nothing to do: {}", nothing_listed(summary, facts.filters));
    }
    if nothing {
        let head = if o.known > 0 { "nothing new" } else { "nothing converted" };
        let parts = [(o.known, "already in the table"), (o.failed, "unreadable"), (o.archived, "archived")];
        let mut parts = parts.into_iter().filter(|(n, _)| *n > 0);
        // The first one names what is counted.
        let first = parts.next().map(|(n, what)| format!("; {} {what}", counted(n, "object")));
        let others: String = parts.map(|(n, what)| format!(", {} {what}", count(n))).collect();
        return format!("done: {head}{}{others}", first.unwrap_or_default());
    }
    let mut parts = vec![
        format!("{} read", counted(c.lines, "line")),
        format!("{} written", counted(c.records, "record")),
        format!("{} rejected", count(c.rejects)),
    ];
    if o.known > 0 {
        parts.push(format!("{} already in the table", counted(o.known, "object")));
    }
    if o.failed > 0 {
        parts.push(format!("{} unreadable", count(o.failed)));
    }
    if o.left > 0 {
        parts.push(format!("{} left for the next run", count(o.left)));
    }
    parts.push(format!("{} records/s", count(per_second(c.records, facts) as u64)));
    format!("done: {}", parts.join(", "))
}

/// Why nothing was listed that is wanted. `filters` are as they are typed: what they leave out is not always listed, so it has no count.
pub(crate) fn nothing_listed(summary: &Summary, filters: &str) -> String {
    match (filters, summary.objects.left_out) {
        ("", 0) => "no object was found".to_owned(),
        ("", n) => format!("{} found, of other AWS services", counted(n, "object")),
        (filters, _) => format!("no object matches {filters}"),
    }
}

/// The one line that `--quiet` leaves: what is wrong, if anything is.
pub(crate) fn quiet_text(summary: &Summary, facts: &ConversionFacts<'_>) -> Option<String> {
    let (o, out) = (&summary.objects, &facts.ended.out);
    let code = facts.ended.exit.code();
    match facts.ended.exit {
        Exit::FilesDamaged => Some(format!(
            "flowquet: files of {out} are lost, damaged or foreign (exit {code}); `flowquet status` lists them"
        )),
        Exit::ObjectsLeft => {
            let missing = o.failed - o.ignored + o.archived + o.set_aside;
            let mut parts = Vec::new();
            if missing > 0 {
                let verb = if missing == 1 { "is" } else { "are" };
                parts.push(format!("{} {verb} not in {out}", counted(missing, "object")));
            }
            let changed = o.changed - o.changed_ignored;
            if changed > 0 {
                let since = if changed == 1 { "it was" } else { "they were" };
                parts.push(format!("{} changed since {since} converted", counted(changed, "object")));
            }
            // Records tell what is missing; what changed only a listing does.
            let named_by = if missing > 0 {
                "`flowquet status` names them"
            } else {
                "--report names them, and so does a run without --quiet"
            };
            Some(format!("flowquet: {} (exit {code}); {named_by}", parts.join(", ")))
        }
        _ => None,
    }
}

fn tally<'a>(counts: &'a BTreeMap<String, u64>, name: impl Fn(&'a str) -> &'a str) -> String {
    let mut by_count: Vec<_> = counts.iter().collect();
    by_count.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let parts: Vec<String> =
        by_count.iter().map(|(k, n)| format!("{} {}", HumanCount(**n), name(k))).collect();
    parts.join(", ")
}
