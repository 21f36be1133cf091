//! `flowquet compact`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowquet_command::machine::{memory, threads};
use flowquet_engine::{
    COMPACT_MEMORY_MIN, CompactOptions, CompactRequest, Compaction, Copies, Error, Pointers, Request, Resume,
    compact, convert,
};
use flowquet_format::{Catalogue, KeyFilter};
use flowquet_sources::Source;
use flowquet_store::Stores;
use flowquet_table::{Log, Options};
use indicatif::{HumanBytes, HumanCount};

use crate::args::CompactArgs;
use crate::catalog::{catalogued, glue};
use crate::exit::Exit;
use crate::failure::{engine_failure, exit_of};
use crate::formats::columns_of_names;
use crate::logs::has_bar;
use crate::metrics::{Measured, of_compaction};
use crate::output::{Failure, counted, put, say, shown};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::resources::budget;
use crate::run_report::{RunReport, printed};
use crate::signals::{listen_for_signals, stop};
use crate::table_files::{NAMED_MAX, NOT_WHOLE, lost_text, stray_text, truncated_text};

/// Memory where none is given: one file at a time takes most of it, and small ones share it.
const MEMORY_DEFAULT: usize = 512 << 20;

pub(crate) fn run(args: &CompactArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let stores = args.s3.stores();
    let run_report =
        RunReport::of_command(Measured::Compact, &args.run_report, args.dry_run, &args.out, &stores)?;
    let mut done = None;
    let ended = merge(args, &stores, &run_report, &mut done);
    run_report.end(ended, done.as_ref(), done.as_ref().map(of_compaction).unwrap_or_default())
}

fn merge(
    args: &CompactArgs,
    stores: &Arc<Stores>,
    run_report: &RunReport,
    came_to: &mut Option<Compaction>,
) -> Result<Exit, Failure> {
    let threads = threads(args.threads);
    let memory = memory_of(args.memory)?;
    let mut exit = Exit::Success;
    if !args.sources.is_empty() {
        exit = take_in(args, stores, run_report, threads)?;
    }
    let catalogue = Catalogue::builtin();
    let options = CompactOptions {
        sort: args
            .sort
            .as_ref()
            .map(|names| columns_of_names("--sort", "sorted by", names, catalogue, &[]))
            .transpose()?,
        dedup: args.dedup,
        bloom_filter: columns_of_names("--bloom-filter", "filtered", &args.bloom_filter, catalogue, &[])?,
        compression: args.compression.to_string(),
        row_group_rows: args.row_group_rows,
        file_bytes: args.file_bytes,
    };
    let out = table_store(stores, &args.out);
    let pointers = glue(&args.glue, &args.s3, out.as_ref())?;
    if pointers.is_some() {
        catalogued(&args.out)?;
    }
    let request = CompactRequest {
        out,
        options,
        partitions: args.partition.clone(),
        workers: threads,
        memory,
        dry_run: args.dry_run,
        grace: Duration::from_secs(u64::from(args.grace)),
    };
    let reporter = Reporter::new(Work::Compacting, args.quiet || args.dry_run, has_bar());
    let started = Instant::now();
    let pointers = pointers.as_ref().map(|p| p as &dyn Pointers);
    let done = compact(&request, pointers, &run_report.observer(&reporter), stop());
    reporter.finish();
    let done = &*came_to.insert(done.map_err(|e| engine_failure(&e))?);
    if args.json {
        put(&printed(done))?;
    } else if args.dry_run {
        put(&dry_text(done))?;
    } else if !args.quiet {
        say(text(done, started.elapsed()).trim_end());
    } else if !done.check.is_whole() {
        say(&format!("flowquet: {NOT_WHOLE}"));
    }
    Ok(if done.check.is_whole() { exit } else { Exit::FilesDamaged })
}

fn memory_of(given: Option<u64>) -> Result<usize, Failure> {
    let memory = memory(given, MEMORY_DEFAULT);
    if memory < COMPACT_MEMORY_MIN {
        let needed = COMPACT_MEMORY_MIN.div_ceil(1 << 20);
        let there = HumanBytes(memory as u64);
        let message = match given {
            Some(_) => format!("--memory {there} is too small; at least {needed}M is needed"),
            None => format!("a compaction needs {needed}M of memory, but {there} is available"),
        };
        let hint = "give the container 1 GiB of memory, or set --memory at the risk of being killed";
        let hint = given.is_none().then_some(hint);
        return Err(Failure::message(Exit::Usage, &message, hint));
    }
    Ok(memory)
}

/// Converts what `--in` names, as `flowquet convert` with the table's options does.
fn take_in(
    args: &CompactArgs,
    stores: &Arc<Stores>,
    run_report: &RunReport,
    threads: usize,
) -> Result<Exit, Failure> {
    let out = table_store(stores, &args.out);
    let contract = Log::find_contract(out.as_ref()).map_err(|e| engine_failure(&Error::from(e)))?;
    let mut options = Options {
        compression: args.compression.to_string(),
        row_group_rows: args.row_group_rows,
        file_bytes: args.file_bytes,
        ..Options::default()
    };
    if let Some(contract) = &contract {
        options.partition_by = contract.partition_by.clone();
        options.partition_time = contract.partition_time;
        options.types = contract.types;
        options.sort = contract.sort.clone();
    }
    options.types = args.types.unwrap_or(options.types);
    let is_remote = args.sources.iter().any(flowquet_store::Location::is_s3);
    let budget = budget(threads, args.memory, is_remote, args.out.is_s3())?;
    let request = Request {
        sources: args.sources.iter().cloned().map(Source::At).collect(),
        filter: KeyFilter::default(),
        stores: stores.clone(),
        out,
        contract,
        options,
        enrich: Vec::new(),
        budget,
        max_rejects: None,
        resume: Resume::All,
        copies: Copies::Skip,
    };
    let reporter = Reporter::new(Work::Converting, args.quiet, has_bar());
    let run = convert(&request, &mut std::io::empty(), &run_report.observer(&reporter), stop());
    reporter.finish();
    let run = run.map_err(|e| engine_failure(&e))?;
    run_report.converted(&run.summary);
    let exit = exit_of(&run);
    if let Some(error) = &run.error {
        return Err(engine_failure(error));
    }
    let summary = &run.summary;
    if !args.quiet {
        say(&format!(
            "converted {} of {} listed: {}, {}; {} already in the table, {} unreadable",
            counted(summary.objects.converted, "object"),
            HumanCount(summary.objects.listed),
            counted(summary.counts.records, "record"),
            counted(summary.counts.rejects, "reject"),
            HumanCount(summary.objects.known),
            HumanCount(summary.objects.failed)
        ));
        for object in &summary.failed_objects {
            say(&format!("unreadable `{}`: {}", shown(&object.url), shown(&object.reason)));
        }
        for object in &summary.archived_objects {
            say(&format!("archived `{}`: {}", shown(&object.url), shown(&object.reason)));
        }
    }
    Ok(exit)
}

fn files(n: u64, bytes: u64) -> String {
    format!("{}, {}", counted(n, "file"), HumanBytes(bytes))
}

fn dry_text(done: &Compaction) -> String {
    let mut text: String =
        done.folders.iter().map(|f| format!("{}\n", if f.is_empty() { "(the table)" } else { f })).collect();
    text.push_str(&format!(
        "would compact {} of {}: {}, {}; would finish {}; nothing was written\n",
        HumanCount(done.compacted),
        counted(done.partitions, "partition"),
        files(done.files_in, done.bytes_in),
        counted(done.rows, "row"),
        counted(done.finished, "compaction")
    ));
    text
}

/// What became of the rows.
fn rows_text(done: &Compaction) -> String {
    match &done.duplicates {
        None => format!("{} before and after", counted(done.rows, "row")),
        Some(duplicates) => format!(
            "{} = {} kept + {}",
            counted(done.rows, "row"),
            HumanCount(done.rows - duplicates.rows.min(done.rows)),
            counted(duplicates.rows, "duplicate")
        ),
    }
}

/// The summary; its last line tells what happened in counts.
fn text(done: &Compaction, elapsed: Duration) -> String {
    let mut text = String::new();
    if done.finished > 0 {
        text.push_str(&format!(
            "  finished    {} left by an earlier run\n",
            counted(done.finished, "compaction")
        ));
    }
    if done.by_another > 0 {
        text.push_str(&format!(
            "  skipped     {} compacted by another run in the meantime\n",
            counted(done.by_another, "partition")
        ));
    }
    let check = &done.check;
    let mut named = |name: &str, lines: Vec<String>| {
        let more = lines.len().saturating_sub(NAMED_MAX);
        lines.iter().take(NAMED_MAX).for_each(|line| text.push_str(&format!("  {name:<11} {line}\n")));
        if more > 0 {
            text.push_str(&format!("  {:<11} and {more} more; --json names them all\n", ""));
        }
    };
    named("lost", check.lost.iter().map(lost_text).collect());
    named("truncated", check.truncated.iter().map(truncated_text).collect());
    named("stray", check.stray.iter().map(stray_text).collect());
    if done.damaged > 0 {
        let partitions = counted(done.damaged, "partition");
        text.push_str(&format!("  skipped     {partitions} with lost or truncated files\n"));
    }
    for (folder, rows) in done.duplicates.iter().flat_map(|d| &d.by_partition).take(NAMED_MAX) {
        let folder = if folder.is_empty() { "the table" } else { folder };
        text.push_str(&format!("  duplicates  {} in {folder}\n", counted(*rows, "row")));
    }
    let more = done.duplicates.as_ref().map_or(0, |d| d.by_partition.len().saturating_sub(NAMED_MAX));
    if more > 0 {
        text.push_str(&format!("  {:<11} and in {more} more; --json names them all\n", ""));
    }
    let all = counted(done.partitions, "partition");
    text.push_str(&if done.compacted + done.finished > 0 {
        format!(
            "done: {} of {all} compacted, {} to {}, {}, {:.1} s\n",
            HumanCount(done.compacted),
            files(done.files_in, done.bytes_in),
            files(done.files_out, done.bytes_out),
            rows_text(done),
            elapsed.as_secs_f64()
        )
    } else if done.damaged + done.by_another > 0 {
        format!("done: none of {all} compacted\n")
    } else {
        let are = if done.partitions == 1 { "is" } else { "are" };
        format!("nothing to compact: {all} {are} compact already\n")
    });
    if !check.is_whole() {
        text.push_str(NOT_WHOLE);
    }
    text
}
