//! `flowquet status`: what a table's records and one listing of it say.

use std::fmt::Write as _;

use flowquet_engine::Error;
use flowquet_store::{FILE_SCHEME, Location};
use flowquet_table::{Cause, Log, RollupStatus, Status, status};
use indicatif::{HumanBytes, HumanCount};

use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::output::{Failure, counted, parts_of_lines, put, shown};
use crate::places::table_store;
use crate::signals::listen_for_signals;
use crate::table_files::{
    NAMED_MAX, accepted_sum, accepted_texts, found_again_text, lost_rejects_texts, lost_text, stray_text,
    truncated_text,
};

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let out = table_store(&args.s3.stores(), &args.table);
    let found = Log::open(&out).and_then(|mut log| status(&mut log));
    let found = found.map_err(|e| engine_failure(&Error::from(e)))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&found).expect("plain values with text keys")))?;
    } else {
        put(&text(&found, &args.table))?;
    }
    Ok(if !found.check.is_whole() {
        Exit::FilesDamaged
    } else if found.is_complete() && found.check.left.is_empty() {
        Exit::Success
    } else {
        Exit::ObjectsLeft
    })
}

fn text(status: &Status, root: &Location) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "  {name:<11} {}", shown(&value)).expect("a string takes all")
    };
    let mut table = format!("partitioned by {}", status.partition_by);
    if !status.sort.is_empty() {
        table.push_str(&format!(", row groups sorted by {}", status.sort.join(", ")));
    }
    if status.types != "aws" {
        table.push_str(&format!(", types {}", status.types));
    }
    if status.single_writer {
        table.push_str(", one writer at a time: the store does not support conditional writes");
    }
    row("table", table);
    if let Some(catalog) = &status.catalog {
        row("catalog", catalog.clone());
    }
    row("committed", format!("{} of {}", counted(status.tasks, "task"), counted(status.plans, "plan")));
    let c = &status.counts;
    let damaged = match status.damaged_objects {
        0 => String::new(),
        n => format!("; {} damaged, whole lines kept", HumanCount(n)),
    };
    let (objects, bytes) = (HumanCount(status.objects), HumanBytes(status.bytes_in));
    row("objects", format!("{objects} converted, {bytes}{damaged}"));
    row("lines", format!("{} = {}", HumanCount(c.lines), parts_of_lines(c)));
    let range = status.partition_range.as_ref().filter(|(first, _)| !first.is_empty());
    let range = range.map(|(first, last)| format!(" ({first} to {last})")).unwrap_or_default();
    row(
        "files",
        format!(
            "{} in {}{range}, {}",
            HumanCount(status.files),
            counted(status.partitions, "partition"),
            HumanBytes(status.bytes_out)
        ),
    );
    if let Some(rollup) = &status.rollup {
        row(
            "roll-up",
            format!("{} of `{}` by {}", counted(rollup.flows, "record"), rollup.source, rollup.by),
        );
    }
    if status.duplicates > 0 {
        row(
            "duplicates",
            format!("{} left out by `flowquet compact --dedup`", counted(status.duplicates, "record")),
        );
    }
    if status.compactions > 0 {
        row("compacted", counted(status.compactions, "time"));
    }
    if status.reconversions > 0 {
        row("reconverted", counted(status.reconversions, "time"));
    }
    for format in &status.formats {
        row("format", format.clone());
    }
    if let Some(first) = status.reject_files.first() {
        let more = status.reject_files.len() - 1;
        row("rejects", if more > 0 { format!("{first} and {more} more") } else { first.clone() });
    }
    let mut named = |name: &str, lines: Vec<String>| {
        let more = lines.len().saturating_sub(NAMED_MAX);
        lines.into_iter().take(NAMED_MAX).for_each(|line| row(name, line));
        if more > 0 {
            row("", format!("and {more} more; --json names them all"));
        }
    };
    let open = status.open_tasks.iter();
    named(
        "unfinished",
        open.map(|t| {
            let objects = counted(t.objects, "object");
            format!("task {} of plan {}: {objects} from `{}`", t.id, t.plan, t.first_object)
        })
        .collect(),
    );
    let open = status.open_compactions.iter();
    named("unfinished", open.map(|folder| format!("compaction of `{folder}`")).collect());
    let (ignored, told): (Vec<_>, Vec<_>) = status.unreadable.iter().partition(|u| u.ignored.is_some());
    let (archived, told): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|u| u.cause == Cause::Archived.name());
    named("archived", archived.iter().map(|u| format!("`{}`: {}", u.url, u.reason)).collect());
    named("unreadable", told.iter().map(|u| format!("`{}`: {}", u.url, u.reason)).collect());
    let reason = |u: &&flowquet_table::Unreadable| u.ignored.clone().unwrap_or_default();
    named("ignored", ignored.iter().map(|u| format!("`{}`: {}", u.url, reason(u))).collect());
    let accepted = accepted_texts(&status.check.accepted_losses).into_iter();
    named("accepted", accepted.chain(lost_rejects_texts(&status.lost_rejects)).collect());
    let check = &status.check;
    named("lost", check.lost.iter().map(lost_text).collect());
    named("truncated", check.truncated.iter().map(truncated_text).collect());
    named("stray", check.stray.iter().map(stray_text).collect());
    let (found, table) = (check.found_again.iter(), root.to_string());
    named("found again", found.map(|file| found_again_text(file, &table)).collect());
    let left = check.left.iter();
    named("left over", left.map(|f| format!("{}: replaced, `flowquet compact` deletes it", f.key)).collect());
    text.push_str(&last_line(status, root, told.len() as u64, archived.len() as u64));
    text.push('\n');
    text
}

/// What it all comes to.
fn last_line(status: &Status, root: &Location, unreadable: u64, archived: u64) -> String {
    let check = &status.check;
    let (bad, stray) = ((check.lost.len() + check.truncated.len()) as u64, check.stray.len() as u64);
    if bad > 0 {
        let verb = if bad == 1 { "is" } else { "are" };
        let root = root.to_string();
        let table = shown(&root);
        let advice = match &status.rollup {
            Some(RollupStatus { source, by, .. }) => {
                let source = shown(source.strip_prefix(FILE_SCHEME).unwrap_or(source));
                format!("`flowquet rollup {source} --by {by} --out {table}` rebuilds them")
            }
            None => format!(
                "Keep the raw logs: `flowquet reconvert {table} --lost` converts them again; if they are gone for good, \
                 `flowquet verify {table} --accept-loss REASON` accepts that"
            ),
        };
        return format!(
            "table damaged: {} of {} files {verb} lost or damaged. {advice}",
            HumanCount(bad),
            HumanCount(status.files)
        );
    }
    if stray > 0 {
        return format!(
            "table damaged: {} in the table's folders not recorded by flowquet",
            counted(stray, "file")
        );
    }
    let (tasks, moving) = (status.open_tasks.len() as u64, status.open_compactions.len() as u64);
    if tasks > 0 {
        return format!(
            "{} unfinished: a run is in progress or was interrupted; run `flowquet convert` again to finish; if too many rejects \
             stopped it, with the right --format or a higher --max-rejects",
            counted(tasks, "task")
        );
    }
    if moving > 0 {
        return format!(
            "{} unfinished: readers that list may count records twice until `flowquet compact` has run",
            counted(moving, "compaction")
        );
    }
    let left = check.left.len() as u64;
    if left > 0 {
        let is = if left == 1 { "is" } else { "are" };
        let files = counted(left, "replaced file");
        return format!(
            "{files} {is} there again: readers that list count records twice until `flowquet compact` has run"
        );
    }
    let files = counted(status.files, "file");
    let missing = [(unreadable, "unreadable object"), (archived, "archived object")];
    let mut missing: Vec<String> =
        missing.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
    missing.extend(accepted_sum(&status.check.accepted_losses));
    if missing.is_empty() {
        return format!("complete: {} in the table, {files} in place", counted(status.objects, "object"));
    }
    format!("complete except for {}; {files} in place", missing.join(" and "))
}
