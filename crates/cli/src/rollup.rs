//! `flowquet rollup`.

use std::time::{Duration, Instant};

use flowquet_command::machine::{memory, threads};
use flowquet_engine::{Pointers, ROLLUP_MEMORY_MIN, RolledUpTable, RollupRequest, rollup};
use indicatif::{HumanBytes, HumanCount};

use crate::args::RollupArgs;
use crate::catalog::{catalogued, glue};
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::output::{Failure, counted, put, say};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::signals::{listen_for_signals, stop};

/// Memory where none is given: groups of one file, and several row groups at once.
const MEMORY_DEFAULT: usize = 1 << 30;

pub(crate) fn run(args: &RollupArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let stores = args.s3.stores();
    let out = table_store(&stores, &args.out);
    let pointers = glue(&args.glue, &args.s3, out.as_ref())?;
    if pointers.is_some() {
        catalogued(&args.out)?;
    }
    let request = RollupRequest {
        source: table_store(&stores, &args.source),
        out,
        by: args.by.clone(),
        partitions: args.partition.clone(),
        workers: threads(args.threads),
        // A machine with less runs it all the same.
        memory: match args.memory {
            Some(_) => memory(args.memory, MEMORY_DEFAULT),
            None => memory(None, MEMORY_DEFAULT).max(ROLLUP_MEMORY_MIN),
        },
        grace: Duration::from_secs(u64::from(args.grace)),
    };
    let reporter = Reporter::new(Work::RollingUp, args.quiet, has_bar());
    let started = Instant::now();
    let done = rollup(&request, pointers.as_ref().map(|p| p as &dyn Pointers), &reporter, stop());
    reporter.finish();
    let done = done.map_err(|e| engine_failure(&e))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&done).expect("plain values")))?;
    } else if !args.quiet {
        say(text(&done, started.elapsed()).trim_end());
    }
    Ok(Exit::Success)
}

/// The summary; its last line tells what happened in counts.
fn text(done: &RolledUpTable, elapsed: Duration) -> String {
    let mut text = String::new();
    let mut row = |count: u64, name: &str, what: &str| {
        if count > 0 {
            text.push_str(&format!("  {name:<11} {} {what}\n", counted(count, "partition")));
        }
    };
    row(done.finished, "finished", "that an earlier run had left");
    row(done.by_another, "skipped", "that another run made meanwhile");
    row(done.removed, "removed", "that the table has no records of any more");
    row(done.unchanged, "unchanged", "whose files are as they were");
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
