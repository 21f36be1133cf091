//! `flowquet rollup`.

use std::time::{Duration, Instant};

use flowquet_command::machine::{memory, threads};
use flowquet_engine::{Pointers, ROLLUP_MEMORY_MIN, RolledUpTable, RollupRequest, rollup};
use flowquet_store::Stores;
use indicatif::{HumanBytes, HumanCount};

use crate::args::RollupArgs;
use crate::catalog::{catalogued, glue};
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::metrics::{Measured, of_rollup};
use crate::output::{Failure, counted, put, say};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::run_report::{RunReport, printed};
use crate::signals::{listen_for_signals, stop};

/// Memory where none is given: groups of one file, and several row groups at once.
const MEMORY_DEFAULT: usize = 1 << 30;

pub(crate) fn run(args: &RollupArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let stores = args.s3.stores();
    let run_report =
        RunReport::of_command(Measured::Rollup, &args.run_report, args.dry_run, &args.out, &stores)?;
    let mut done = None;
    let ended = roll_up(args, &stores, &run_report, &mut done);
    run_report.end(ended, done.as_ref(), done.as_ref().map(of_rollup).unwrap_or_default())
}

fn roll_up(
    args: &RollupArgs,
    stores: &Stores,
    run_report: &RunReport,
    came_to: &mut Option<RolledUpTable>,
) -> Result<Exit, Failure> {
    let out = table_store(stores, &args.out);
    let pointers = glue(&args.glue, &args.s3, out.as_ref())?;
    if pointers.is_some() {
        catalogued(&args.out)?;
    }
    let request = RollupRequest {
        source: table_store(stores, &args.source),
        out,
        by: args.by.clone(),
        partitions: args.partition.clone(),
        workers: threads(args.threads),
        // A machine with less runs it all the same.
        memory: match args.memory {
            Some(_) => memory(args.memory, MEMORY_DEFAULT),
            None => memory(None, MEMORY_DEFAULT).max(ROLLUP_MEMORY_MIN),
        },
        dry_run: args.dry_run,
        grace: Duration::from_secs(u64::from(args.grace)),
    };
    let reporter = Reporter::new(Work::RollingUp, args.quiet || args.dry_run, has_bar());
    let started = Instant::now();
    let pointers = pointers.as_ref().map(|p| p as &dyn Pointers);
    let done = rollup(&request, pointers, &run_report.observer(&reporter), stop());
    reporter.finish();
    let done = came_to.insert(done.map_err(|e| engine_failure(&e))?);
    if args.json {
        put(&printed(done))?;
    } else if args.dry_run {
        put(&dry_text(done))?;
    } else if !args.quiet {
        say(text(done, started.elapsed()).trim_end());
    }
    Ok(Exit::Success)
}

/// What would be done: a line each partition, and what they come to.
fn dry_text(done: &RolledUpTable) -> String {
    let mut text: String =
        done.folders.iter().map(|f| format!("{}\n", if f.is_empty() { "(the table)" } else { f })).collect();
    let mut parts = vec![format!(
        "would roll up {} of {}: {}, {}",
        HumanCount(done.rolled_up),
        counted(done.partitions, "partition"),
        counted(done.records, "record"),
        HumanBytes(done.bytes_in),
    )];
    for (count, what) in [(done.removed, "would remove"), (done.finished, "would finish")] {
        if count > 0 {
            parts.push(format!("{what} {}", counted(count, "partition")));
        }
    }
    text.push_str(&format!("{}; nothing was written\n", parts.join("; ")));
    text
}

/// The summary; its last line tells what happened in counts.
fn text(done: &RolledUpTable, elapsed: Duration) -> String {
    let mut text = String::new();
    let mut row = |count: u64, name: &str, what: &str| {
        if count > 0 {
            text.push_str(&format!("  {name:<11} {} {what}\n", counted(count, "partition")));
        }
    };
    row(done.finished, "finished", "left by an earlier run");
    row(done.by_another, "skipped", "made by another run in the meantime");
    row(done.removed, "removed", "whose records the table no longer has");
    row(done.unchanged, "unchanged", "whose files are unchanged");
    let all = counted(done.partitions, "partition");
    if done.rolled_up > 0 {
        text.push_str(&format!(
            "done: {} of {all} rolled up, {} to {}, {} to {} in {}, {:.1} s\n",
            HumanCount(done.rolled_up),
            counted(done.records, "record"),
            counted(done.rows, "row"),
            HumanBytes(done.bytes_in),
            HumanBytes(done.bytes_out),
            counted(done.files_out, "file"),
            elapsed.as_secs_f64()
        ));
    } else {
        text.push_str(&format!("nothing to roll up: {all} looked at\n"));
    }
    text
}
