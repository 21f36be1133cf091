//! `flowquet convert`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flowquet_engine::{Budget, Error, Request, Run, Source, Summary, convert};
use flowquet_format::{ObjectKey, PartitionSpec};
use flowquet_plan::{Options, PlanRecord, STAGING};
use flowquet_store::{ErrorKind, LocalStore, Store};
use indicatif::{HumanBytes, HumanCount};

use crate::args::{ConvertArgs, PartitionTimeArg};
use crate::exit::Exit;
use crate::output::{Failure, counted, error_text, put, say};
use crate::report::{RunFacts, json, text};
use crate::reporter::Reporter;
use crate::schema::{Formats, plain_table, table_text};

/// Set by Ctrl-C and SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: ConvertArgs) -> Result<Exit, Failure> {
    let formats = Formats::resolve(&args.format)?;
    let threads = args
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from);
    let memory = args.memory.map(|m| usize::try_from(m).unwrap_or(usize::MAX));
    let budget = Budget::new(threads, memory).map_err(|e| Failure::new(Exit::Usage, &e, e.hint()))?;
    let options = options(&args, &formats)?;
    let sources = sources(&args.sources);
    if args.dry_run && sources.contains(&Source::Stdin) {
        return Err(Failure::message(
            Exit::Usage,
            "expected files or folders with --dry-run, found `-`",
            None,
        ));
    }
    let request = Request {
        sources,
        out: LocalStore::new(absolute(&args.out), STAGING),
        options,
        budget,
        max_rejects: args.max_rejects,
        dry_run: args.dry_run,
    };
    let reporter = Reporter::new(args.quiet || args.dry_run, std::io::stderr().is_terminal());
    listen_for_signals();
    let started = Instant::now();
    let ran = convert(&request, &mut std::io::stdin(), &reporter, &STOP);
    reporter.finish();
    let (run, begun) = match ran {
        Ok(run) => (run, true),
        Err(error) => (Run { summary: Summary::default(), plan: None, error: Some(error) }, false),
    };
    let exit = exit_of(&run);
    let facts = RunFacts {
        exit,
        error: run.error.as_ref().map(ToString::to_string),
        dry_run: args.dry_run,
        out: args.out.display().to_string(),
        options: &request.options,
        threads: budget.workers,
        elapsed: started.elapsed(),
    };
    if let Some(report) = &args.report {
        write_report(report, &json(&run.summary, &facts))?;
    }
    if args.dry_run && begun {
        put(&plan_text(&run, &request.options))?;
    } else if begun && !args.quiet {
        say(text(&run.summary, &facts).trim_end());
    }
    match &run.error {
        Some(error) => Err(Failure::Told(exit, error_text(error, hint_of(error, begun).as_deref()))),
        None => Ok(exit),
    }
}

fn options(args: &ConvertArgs, formats: &Formats) -> Result<Options, Failure> {
    Ok(Options {
        partition_by: args.partition_by.to_string(),
        partition_time: match args.partition_time {
            PartitionTimeArg::Start => "start".to_owned(),
            PartitionTimeArg::End => "end".to_owned(),
        },
        columns: formats.selection.names().map(|names| names.map(str::to_owned).collect()),
        sort: args.sort.as_deref().map_or(Ok(Vec::new()), |names| formats.sort_columns(names))?,
        compression: args.compression.to_string(),
        row_group_rows: args.row_group_rows,
        file_bytes: args.file_bytes,
        format: formats.given.as_ref().map(|f| f.to_string()),
        fields: formats.fields.clone(),
        salvage: args.salvage,
    })
}

fn sources(paths: &[PathBuf]) -> Vec<Source> {
    let of = |p: &PathBuf| if p.as_os_str() == "-" { Source::Stdin } else { Source::Path(p.clone()) };
    paths.iter().map(of).collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn listen_for_signals() {
    // A second signal does not wait for the workers.
    let listening = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
    if listening.is_err() {
        say("warning: cannot listen for Ctrl-C; a kill is safe, the next run goes on where this one stopped");
    }
}

fn exit_of(run: &Run) -> Exit {
    let objects = &run.summary.objects;
    match &run.error {
        Some(Error::Interrupted) => Exit::Interrupted,
        Some(Error::TooManyRejects { .. }) => Exit::TooManyRejects,
        Some(Error::MemoryTooSmall { .. }) => Exit::Usage,
        Some(_) => Exit::Failed,
        None if objects.failed + objects.changed + objects.set_aside > 0 => Exit::ObjectsLeft,
        None => Exit::Success,
    }
}

fn hint_of(error: &Error, begun: bool) -> Option<String> {
    let hint = error.hint();
    match error {
        // A place that cannot be written to is the destination; sources are only read.
        Error::Store(e) if e.kind() == ErrorKind::Denied && !begun => {
            Some("check the owner and permissions of the folder, or choose another --out".to_owned())
        }
        _ => hint,
    }
}

fn write_report(path: &Path, report: &str) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        return put(report);
    }
    let path = absolute(path);
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("report.json").to_owned();
    let folder = path.parent().unwrap_or(Path::new("/"));
    let store = LocalStore::new(folder, ".flowquet-staging");
    store
        .put(&name, report.as_bytes())
        .map_err(|e| Failure::new(Exit::Failed, &e, e.hint().map(str::to_owned)))
}

/// What `--dry-run` prints: a line a task, then the sums.
fn plan_text(run: &Run, options: &Options) -> String {
    let mut text = String::new();
    if let Some(plan) = &run.plan {
        text.push_str(&tasks_text(plan, options));
    }
    let objects = &run.summary.objects;
    let new: Vec<_> = run.plan.iter().flat_map(|p| &p.tasks).flat_map(|t| &t.objects).collect();
    writeln!(
        text,
        "would convert {}, {}, in {}; {} in the table already, {} unreadable; nothing was written",
        counted(new.len() as u64, "object"),
        HumanBytes(new.iter().map(|o| o.bytes).sum()),
        counted(run.summary.tasks_left, "task"),
        HumanCount(objects.known),
        HumanCount(objects.failed)
    )
    .expect("a string takes all");
    text
}

fn tasks_text(plan: &PlanRecord, options: &Options) -> String {
    let partitions: Option<PartitionSpec> = options.partition_by.parse().ok();
    let mut table = plain_table(&["TASK", "OBJECTS", "BYTES", "PARTITION", "FIRST OBJECT"]);
    for task in &plan.tasks {
        let first = &task.objects[0];
        let key = ObjectKey::parse(&first.url);
        let folder = partitions
            .as_ref()
            .filter(|_| key.delivery.is_some())
            .map(|p| p.folder(&key, p.delivery_slot(&key)));
        table.add_row([
            task.id.clone(),
            HumanCount(task.objects.len() as u64).to_string(),
            HumanBytes(task.objects.iter().map(|o| o.bytes).sum()).to_string(),
            folder.unwrap_or_else(|| "by the records' times".to_owned()),
            first.key.clone(),
        ]);
    }
    table_text(&table)
}
