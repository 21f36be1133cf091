//! `flowquet convert`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use flowquet_command::machine::threads;
use flowquet_engine::{Error, Planned, Request, Resume, Run, Summary, convert, perform_shard, plan, restore};
use flowquet_format::ObjectKey;
use flowquet_sources::{Source, SourceSet};
use flowquet_table::{Options, PlanRecord};
use indicatif::{HumanBytes, HumanCount};

use crate::args::ConvertArgs;
use crate::catalog::catalogued;
use crate::exit::Exit;
use crate::failure::{diagnose, exit_of};
use crate::job::Prepared;
use crate::logs::has_bar;
use crate::metrics::Measured;
use crate::output::{Diagnostic, Failure, counted, put, say, shown};
use crate::plan_file::PlanFile;
use crate::register::{after_run, registered_to, text as registered_text};
use crate::report::{ConversionFacts, hints_of_copies, json, nothing_listed, quiet_text, text};
use crate::reporter::{Reporter, Work};
use crate::run_report::{RunReport, Started};
use crate::shard::tasks_of_shard;
use crate::signals::{listen_for_signals, stop};
use crate::text_table::{plain_table, table_text};

pub(crate) fn run(args: ConvertArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    if args.shard.is_some() && args.plan.is_none() {
        let hint = Some("make a plan with `flowquet plan`; without one, all that is new is converted");
        return Err(Failure::message(
            Exit::Usage,
            "--shard needs the plan that it is a part of: --plan",
            hint,
        ));
    }
    let started = Started::now();
    let stores = args.job.s3.stores();
    let shared = args.plan.as_ref().map(|file| PlanFile::read(&stores, file)).transpose()?;
    let shard = shared.as_ref().map(|file| tasks_of_shard(args.shard, file, &variable)).transpose()?;
    let prepared = Prepared::new(&args.job, threads(args.threads), stores.clone(), shared.as_ref())?;
    if args.dry_run && prepared.sources.contains(&Source::Stdin) {
        return Err(Failure::message(
            Exit::Usage,
            "--dry-run reads files, folders or S3 prefixes, not standard input (`-`)",
            None,
        ));
    }
    let (mut options, out, location) =
        (prepared.options.clone(), prepared.out_text.clone(), prepared.location.clone());
    if args.register {
        // Better told before hours of work than after.
        catalogued(&location)?;
        registered_to(&args.glue, &args.job.s3, prepared.out.as_ref())?;
    }
    let sources: Vec<String> = prepared.sources.iter().map(source_text).collect();
    let resume = if args.only_listed { Resume::Listed } else { Resume::All };
    let filters = args.job.filter.text();
    let request_of =
        |prepared: Prepared| Request { max_rejects: args.max_rejects, resume, ..prepared.request() };
    let mut request = request_of(prepared);
    let reporter = Reporter::new(Work::Converting, args.quiet || args.dry_run, has_bar());
    let targets = (args.report.as_ref(), args.metrics.as_deref());
    let run_report = RunReport::begin(Measured::Convert, targets, args.dry_run, out, started, &stores)?;
    let mut planned = None;
    let observer = run_report.observer(&reporter);
    let ran = if args.dry_run {
        plan(&request, &observer, stop()).map(|Planned { summary, plan, .. }| {
            planned = plan;
            Run { summary, workers: request.budget.workers, error: None }
        })
    } else if let Some((file, shard)) = shared.zip(shard) {
        match file.plan {
            Some(plan) => perform_shard(&request, &plan, &shard, &observer, stop()),
            None => Ok(Run { summary: Summary::default(), workers: 0, error: None }),
        }
    } else {
        let ran = convert(&request, &mut std::io::stdin(), &observer, stop());
        let is_stale = matches!(ran, Err(Error::StaleContract(_)));
        if is_stale && !request.sources.contains(&Source::Stdin) {
            // Its contract is right now, and tells what is not typed.
            let prepared = Prepared::new(&args.job, threads(args.threads), stores.clone(), None)?;
            options = prepared.options.clone();
            request = request_of(prepared);
            convert(&request, &mut std::io::stdin(), &observer, stop())
        } else {
            ran
        }
    };
    drop(observer);
    reporter.finish();
    let (mut run, begun) = match ran {
        Ok(run) => (run, true),
        Err(error) => (Run { summary: Summary::default(), workers: 0, error: Some(error) }, false),
    };
    if let Some(retrieval) = args.restore
        && !run.summary.archived_objects.is_empty()
    {
        let urls: Vec<&str> = run.summary.archived_objects.iter().map(|o| o.url.as_str()).collect();
        let sources = SourceSet::new(stores.clone());
        run.summary.restores = Some(restore(&sources, &urls, retrieval, args.restore_days, stop()));
    }
    // What is committed is registered also where an error stopped the rest.
    let registered =
        (args.register && begun).then(|| after_run(&args.glue, &args.job.s3, &location, &touched(&run)));
    let (registered, not_registered) = match registered.transpose() {
        Ok(registered) => (registered, None),
        Err(Failure::Error(error)) => (None, Some(Diagnostic { kind: Some("register"), ..error })),
        Err(Failure::BrokenPipe) => (None, None),
    };
    let exit = match (&not_registered, exit_of(&run)) {
        (Some(error), Exit::Success | Exit::ObjectsLeft | Exit::FilesDamaged) => error.exit,
        (_, exit) => exit,
    };
    let stopped = run.error.as_ref().map(diagnose);
    let ended = run_report.ended(exit, stopped.as_ref().or(not_registered.as_ref()));
    let facts = ConversionFacts {
        ended: &ended,
        is_stopped: stopped.is_some(),
        registered: registered.as_ref().map(|(registered, _)| registered),
        is_shard: args.plan.is_some(),
        sources: &sources,
        filters: &filters,
        options: &options,
        threads: run.workers,
        records_read: reporter.records_read(),
    };
    run_report.converted(&run.summary);
    let reported = run_report.write(&ended, Vec::new(), || json(&run.summary, &facts));
    if args.dry_run && begun {
        put(&plan_text(&run.summary, planned.as_ref(), &options, &filters))?;
        if !args.quiet {
            hints_of_copies(&run.summary, &ended.out).iter().for_each(|hint| say(&format!("hint: {hint}")));
        }
    } else if begun && !args.quiet {
        say(text(&run.summary, &facts).trim_end());
    } else if begun && let Some(line) = quiet_text(&run.summary, &facts) {
        say(&line);
    }
    if let Some((registered, name)) = &registered
        && !args.quiet
    {
        say(&registered_text(registered, name));
    }
    if let Some(error) = not_registered {
        say(&error.to_string());
        say(&format!("hint: the table is written; run `flowquet register {location}` to register it"));
    }
    match stopped {
        Some(error) => Err(error.into()),
        // What stopped the run is reported before what nobody reads.
        None => reported.map(|()| exit),
    }
}

/// Folders of the partitions that a run wrote to.
fn touched(run: &Run) -> BTreeSet<String> {
    let folders = run.summary.outputs.iter().filter_map(|o| o.key.rsplit_once('/'));
    folders.map(|(folder, _)| folder.to_owned()).collect()
}

/// A source as it is named.
fn source_text(source: &Source) -> String {
    match source {
        Source::At(location) | Source::Manifest(location) => location.to_string(),
        Source::Stdin => "-".to_owned(),
    }
}

/// A variable of the environment, of those that schedulers set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What `--dry-run` prints: a line a task, then the sums.
fn plan_text(summary: &Summary, plan: Option<&PlanRecord>, options: &Options, filters: &str) -> String {
    let mut text = String::new();
    if plan.is_none() && summary.objects.listed == 0 && summary.tasks_left == 0 {
        return format!("would convert nothing: {}; nothing was written\n", nothing_listed(summary, filters));
    }
    if let Some(plan) = plan {
        text.push_str(&tasks_text(plan, options));
    }
    let objects = &summary.objects;
    let new: Vec<_> = plan.iter().flat_map(|p| &p.tasks).flat_map(|t| &t.objects).collect();
    writeln!(
        text,
        "would convert {}, {}, in {}; {} already in the table, {} unreadable; nothing was written",
        counted(new.len() as u64, "object"),
        HumanBytes(new.iter().map(|o| o.bytes).sum()),
        counted(summary.tasks_left, "task"),
        HumanCount(objects.known),
        HumanCount(objects.failed)
    )
    .expect("a string takes all");
    text
}

fn tasks_text(plan: &PlanRecord, options: &Options) -> String {
    let partitions = &options.partition_by;
    let mut table = plain_table(&["TASK", "OBJECTS", "BYTES", "PARTITION", "FIRST OBJECT"]);
    for task in &plan.tasks {
        let first = &task.objects[0];
        let key = ObjectKey::parse(first.url());
        let has_delivery = key.delivery.is_some();
        let folder = has_delivery.then(|| partitions.delivery_folder(&key));
        table.add_row([
            task.id.to_string(),
            HumanCount(task.objects.len() as u64).to_string(),
            HumanBytes(task.objects.iter().map(|o| o.bytes).sum()).to_string(),
            folder.unwrap_or_else(|| "by the records' times".to_owned()),
            shown(first.key()).into_owned(),
        ]);
    }
    table_text(&table)
}
