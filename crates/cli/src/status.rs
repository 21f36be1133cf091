//! `flowquet status`: what a table's records say.

use std::fmt::Write as _;

use flowquet_engine::{Status, status};
use indicatif::{HumanBytes, HumanCount};

use crate::args::StatusArgs;
use crate::convert::{engine_failure, listen_for_signals};
use crate::exit::Exit;
use crate::output::{Failure, counted, put};
use crate::places::table_store;

/// Tasks and objects that the text names.
const NAMED_MAX: usize = 10;

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let out = table_store(&args.s3.stores(), &args.table);
    let found = status(out.as_ref()).map_err(|e| engine_failure(&e))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&found).expect("plain values with text keys")))?;
    } else {
        put(&text(&found))?;
    }
    let is_whole =
        found.open_tasks.is_empty() && found.open_compactions.is_empty() && found.unreadable.is_empty();
    Ok(if is_whole { Exit::Success } else { Exit::ObjectsLeft })
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let mut row =
        |name: &str, value: String| writeln!(text, "  {name:<11} {value}").expect("a string takes all");
    let mut table = format!("partitioned by {}", status.partition_by);
    if !status.sort.is_empty() {
        table.push_str(&format!(", row groups sorted by {}", status.sort.join(", ")));
    }
    if status.single_writer {
        table.push_str(", one writer at a time: the store ignores conditions");
    }
    row("table", table);
    row("committed", format!("{} of {}", counted(status.tasks, "task"), counted(status.plans, "plan")));
    let c = &status.counts;
    row("objects", format!("{} converted, {}", HumanCount(status.objects), HumanBytes(status.bytes_in)));
    row(
        "lines",
        format!(
            "{} = {} records + {} rejects + {} headers + {} blanks",
            HumanCount(c.lines),
            HumanCount(c.records),
            HumanCount(c.rejects),
            HumanCount(c.headers),
            HumanCount(c.blanks)
        ),
    );
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
    if status.compactions > 0 {
        row("compacted", counted(status.compactions, "time"));
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
    named(
        "missing",
        status
            .open_tasks
            .iter()
            .map(|t| {
                format!(
                    "task {} of plan {}: {} from `{}`",
                    t.id,
                    t.plan,
                    counted(t.objects, "object"),
                    t.first_object
                )
            })
            .collect(),
    );
    named(
        "unfinished",
        status
            .open_compactions
            .iter()
            .map(|folder| format!("compaction of `{folder}`: `flowquet compact` goes on with it"))
            .collect(),
    );
    named("unreadable", status.unreadable.iter().map(|u| format!("`{}`: {}", u.url, u.reason)).collect());
    let open = status.open_tasks.len() as u64;
    let last = match (open, status.unreadable.len() as u64) {
        (0, 0) => "whole: every planned object is in the table".to_owned(),
        (0, n) => format!("whole but for {}", counted(n, "unreadable object")),
        (n, _) => format!(
            "{} without a commit: under way, or left by a run that ended early; `flowquet convert` finishes them",
            counted(n, "task")
        ),
    };
    text.push_str(&last);
    text.push('\n');
    text
}
