//! `flowquet plan`: what a conversion would do and cost, and the plan that machines share.

use std::fmt::Write as _;

use flowquet_command::machine::threads;
use flowquet_engine::{Event, Observer as _, Planned, Summary, UnreadFormats, find_formats, plan};
use flowquet_format::ObjectKey;
use flowquet_plan::estimated_rows;
use flowquet_sources::{Source, SourceSet};
use flowquet_store::{Location, PART_BYTES, RANGE_BYTES, S3_SCHEME};
use flowquet_table::{LAYOUT_VERSION, PlanRecord, SourceObject};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::args::PlanArgs;
use crate::beside;
use crate::exit::Exit;
use crate::failure::{engine_failure, exit_of_summary};
use crate::forecast::{Asked, Forecast, forecast, frozen};
use crate::forecast_text::forecast_text;
use crate::job::Prepared;
use crate::logs::has_bar;
use crate::output::{Failure, counted, put, say, shown};
use crate::places::absolute;
use crate::plan_file::{Estimate, PlanFile, PlanShard, divided};
use crate::plan_rows;
use crate::prices::{DOLLARS_PER_1000_READS, DOLLARS_PER_1000_WRITES, request_dollars};
use crate::report::hints_of_copies;
use crate::reporter::{Reporter, Work};
use crate::signals::{listen_for_signals, stop};
use crate::version::VERSION;

/// Keys of a page of a listing.
const PAGE: u64 = 1_000;

/// Bytes of a record in a Parquet file, for the number of requests.
const PARQUET_BYTES_PER_RECORD: u64 = 24;

/// Partitions that the text shows.
const SHOWN_MAX: usize = 10;

pub(crate) fn run(args: &PlanArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let threads = threads(args.threads);
    let prepared = Prepared::new(&args.job, threads, args.job.s3.stores(), None)?;
    if prepared.sources.contains(&Source::Stdin) {
        return Err(Failure::message(
            Exit::Usage,
            "`flowquet plan` reads files, folders or S3 prefixes, not standard input (`-`)",
            None,
        ));
    }
    if let Some(save) = &args.save {
        beside::check_place(save, "--save", "plan")?;
    }
    let out = match &args.job.out {
        Some(Location::Local(path)) => absolute(path).display().to_string(),
        _ => prepared.out_text.clone(),
    };
    let (options, stores) = (prepared.options.clone(), prepared.stores.clone());
    let request = prepared.request();
    let reporter = Reporter::new(Work::Converting, args.json || args.jsonl, has_bar());
    // What is planned is told below, at length.
    let observer = |event: &Event<'_>| {
        if !matches!(event, Event::Planned { .. }) {
            reporter.event(event);
        }
    };
    let planned = plan(&request, &observer, stop());
    reporter.finish();
    let planned = planned.map_err(|e| engine_failure(&e))?;
    let plan = planned.plan.as_ref();
    if planned.in_open_tasks > 0 && (args.save.is_some() || args.shards.is_some()) {
        let left_out = counted(planned.in_open_tasks, "object");
        let hint = format!("`flowquet convert SOURCE --out {}` finishes the unfinished ones", shown(&out));
        if plan.is_none() {
            return Err(Failure::message(
                Exit::Failed,
                &format!(
                    "nothing to divide: {left_out} in unfinished tasks of earlier runs, which no shard holds"
                ),
                Some(&hint),
            ));
        }
        say(&format!(
            "warning: {left_out} in unfinished tasks of earlier runs, which no shard holds: {hint}"
        ));
    }
    hints_of_copies(&planned.summary, &out).iter().for_each(|hint| say(&format!("hint: {hint}")));
    let sources = SourceSet::new(stores.clone());
    let frozen = frozen(&planned, &sources).map_err(|e| engine_failure(&e))?;
    let objects = || plan.iter().flat_map(|p| &p.tasks).flat_map(|t| &t.objects);
    let estimate = estimate(plan, planned.summary.objects.listed);
    // Sources too: of a plan without objects none tells.
    let from_s3 = request.sources.iter().any(|source| matches!(source, Source::At(at) if at.is_s3()))
        || objects().any(|o| o.url().starts_with(S3_SCHEME));
    let is_remote = [from_s3, out.starts_with(S3_SCHEME)];
    let formats = find_formats(&sources, objects().filter(|object| !frozen.holds(object)), &options)
        .map_err(|e| engine_failure(&e))?;
    let rows = plan_rows::text(objects(), &formats, options.catalogue());
    let shards = args.shards.map(|of| divided(plan, of));
    let asked = Asked {
        request: &request,
        planned: &planned,
        bytes: estimate.bytes,
        shard_bytes_max: shards.as_ref().map(|shards| shards.iter().map(|s| s.bytes).max().unwrap_or(0)),
        tasks: estimate.tasks,
        writes: estimate.list_requests + estimate.put_requests,
        request_dollars: estimate.dollars,
        threads,
        // Of a forecast that nobody sees nothing is tried.
        sample_bytes: if args.jsonl { 0 } else { args.sample },
        dollars_per_vcpu_hour: args.price_vcpu_hour,
        gets: &gets_of,
    };
    // However it is printed.
    let exit = match exit_of_summary(&planned.summary) {
        Exit::Success if formats.unreadable.is_some() => Exit::ObjectsLeft,
        exit => exit,
    };
    let forecast = forecast(&asked, frozen).map_err(|e| engine_failure(&e))?;
    let Planned { summary, plan, in_open_tasks, .. } = planned;
    let mut file = PlanFile {
        formats,
        layout_version: LAYOUT_VERSION,
        flowquet: VERSION.to_owned(),
        out,
        estimate,
        forecast: None,
        plan,
        shards,
    };
    if let Some(save) = &args.save {
        beside::write(&stores, save, &json(&file))?;
        if args.jsonl {
            put(&items(&file, save))?;
            return Ok(exit);
        }
    }
    if args.json {
        file.forecast = Some(forecast);
        put(&json(&file))?;
        return Ok(exit);
    }
    let written = match &args.save {
        Some(save) => format!("nothing was written but the plan, `{save}`\n"),
        None => "nothing was written\n".to_owned(),
    };
    put(&format!("{rows}{}{written}", text(&summary, in_open_tasks, &file, &forecast, is_remote)))?;
    Ok(exit)
}

fn json(file: &PlanFile) -> String {
    format!("{}\n", serde_json::to_string(file).expect("plain values with text keys"))
}

/// What a scheduler hands to a process of its own: a line of `--jsonl`.
#[derive(Debug, Serialize)]
struct Item<'a> {
    /// The plan, for `convert --plan`.
    plan: &'a str,
    /// For `convert --shard`.
    shard: String,
    /// The table.
    out: &'a str,
    /// The task's id, if it is one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    tasks: u64,
    objects: u64,
    bytes: u64,
    /// From sizes alone.
    records: u64,
}

/// A line for each task, or for each shard that has tasks. Shard `i` of as many as there are tasks is task `i`.
fn items(file: &PlanFile, save: &Location) -> String {
    let place = match save {
        Location::Local(path) => absolute(path).display().to_string(),
        s3 => s3.to_string(),
    };
    let Some(plan) = &file.plan else { return String::new() };
    let alone: Vec<PlanShard>;
    let shards = match &file.shards {
        Some(shards) => shards,
        None => {
            alone = (0..plan.tasks.len()).map(|task| PlanShard::of(plan, vec![task])).collect();
            &alone
        }
    };
    let mut lines = String::new();
    for (i, shard) in shards.iter().enumerate().filter(|(_, shard)| !shard.tasks.is_empty()) {
        let item = Item {
            plan: &place,
            shard: format!("{i}/{}", shards.len()),
            out: &file.out,
            task: file.shards.is_none().then(|| plan.tasks[shard.tasks[0]].id.as_str()),
            tasks: shard.tasks.len() as u64,
            objects: shard.objects,
            bytes: shard.bytes,
            records: shard.records,
        };
        lines.push_str(&serde_json::to_string(&item).expect("plain values"));
        lines.push('\n');
    }
    lines
}

/// The shards of a plan, and how even they are.
fn shards_text(shards: &[PlanShard]) -> String {
    let least = shards.iter().map(|s| s.bytes).min().unwrap_or(0);
    let most = shards.iter().map(|s| s.bytes).max().unwrap_or(0);
    let empty = shards.iter().filter(|s| s.tasks.is_empty()).count() as u64;
    let without = if empty > 0 { format!(", {} without tasks", HumanCount(empty)) } else { String::new() };
    let count = HumanCount(shards.len() as u64);
    format!("{count}, from {} to {}{without}", HumanBytes(least), HumanBytes(most))
}

/// What a plan takes, from names and sizes alone.
fn estimate(plan: Option<&PlanRecord>, listed: u64) -> Estimate {
    let mut estimate = Estimate {
        list_requests: listed.div_ceil(PAGE),
        dollars_per_1000_writes: DOLLARS_PER_1000_WRITES,
        dollars_per_1000_reads: DOLLARS_PER_1000_READS,
        ..Estimate::default()
    };
    let Some(plan) = plan else { return estimate };
    let partitions = &plan.options.partition_by;
    estimate.tasks = plan.tasks.len() as u64;
    // The plan's record.
    estimate.put_requests += 1;
    for task in &plan.tasks {
        let mut records = 0;
        for object in &task.objects {
            estimate.objects += 1;
            estimate.bytes += object.bytes;
            records += estimated_rows(object);
            estimate.get_requests += gets_of(object);
            let key = ObjectKey::parse(object.url());
            let has_delivery = key.delivery.is_some();
            let folder = has_delivery.then(|| partitions.delivery_folder(&key));
            *estimate
                .partitions
                .entry(folder.unwrap_or_else(|| "by the records' times".to_owned()))
                .or_default() += 1;
        }
        estimate.records += records;
        // A file goes up in parts, begun and completed by a request each; a small one by one request. Then the commit, which is
        // looked for first.
        let bytes = records * PARQUET_BYTES_PER_RECORD;
        let files = bytes.div_ceil(plan.options.file_bytes.max(1)).max(1);
        let parts = bytes.div_ceil(PART_BYTES as u64);
        estimate.put_requests += if parts > 1 { parts + 2 * files } else { files } + 1;
        estimate.get_requests += 1;
    }
    let writes = estimate.list_requests + estimate.put_requests;
    estimate.dollars = request_dollars(writes as f64, estimate.get_requests as f64);
    estimate
}

/// Requests that read an object. A long one is read twice: once to know that it is whole.
fn gets_of(object: &SourceObject) -> u64 {
    let ranges = object.bytes.div_ceil(RANGE_BYTES).max(1);
    if ranges > 1 { 2 * ranges } else { 1 }
}

/// The plan as text; `is_remote` are the sources and the table.
fn text(
    summary: &Summary,
    in_open_tasks: u64,
    file: &PlanFile,
    forecast: &Forecast,
    is_remote: [bool; 2],
) -> String {
    let PlanFile { estimate, formats, .. } = file;
    let mut text = String::new();
    let mut row =
        |name: &str, value: String| writeln!(text, "  {name:<11} {value}").expect("a string takes all");
    let objects = &summary.objects;
    let archived = match forecast.archived() {
        0 => String::new(),
        n => format!("{} archived, ", HumanCount(n)),
    };
    let unfinished = match in_open_tasks {
        0 => String::new(),
        n => format!("{} in unfinished tasks of earlier runs, ", HumanCount(n)),
    };
    let (new, bytes) = forecast.to_convert();
    row(
        "objects",
        format!(
            "{} to convert of {} listed, {} ({archived}{unfinished}{} already in the table, {} filtered out, {} unreadable)",
            HumanCount(new),
            HumanCount(objects.listed),
            HumanBytes(bytes),
            HumanCount(objects.known),
            HumanCount(objects.left_out),
            HumanCount(objects.failed)
        ),
    );
    for found in &formats.formats {
        let of = format!(
            "{}, {}",
            counted(found.objects, "object"),
            counted(found.flow_logs.len() as u64, "flow log")
        );
        match &found.format {
            Some(format) => row("format", format!("{format} ({of})")),
            None => row("format", format!("unknown ({of}), such as `{}`: give --format", found.example)),
        }
    }
    if formats.not_looked_at > 0 {
        row(
            "",
            format!("and {} without a flow log id, not looked at", counted(formats.not_looked_at, "object")),
        );
    }
    if let Some(UnreadFormats { objects, example, reason }) = &formats.unreadable {
        let cannot = format!("unknown ({}), such as `{example}`: {reason}", counted(*objects, "object"));
        row("format", cannot);
    }
    let partitions = &estimate.partitions;
    row("partitions", format!("{}", HumanCount(partitions.len() as u64)));
    for (folder, objects) in partitions.iter().take(SHOWN_MAX) {
        row("", format!("{folder}: {}", counted(*objects, "object")));
    }
    if partitions.len() > SHOWN_MAX {
        row("", format!("and {} more", partitions.len() - SHOWN_MAX));
    }
    let left_over = summary.tasks_left - estimate.tasks;
    let more =
        if left_over > 0 { format!(", and {left_over} left by an earlier run") } else { String::new() };
    row("tasks", format!("{}{more}", HumanCount(estimate.tasks)));
    if let Some(shards) = &file.shards {
        row("shards", shards_text(shards));
    }
    if is_remote != [false; 2] {
        let sides = if is_remote == [true; 2] { "" } else { ", if both sides were S3" };
        row(
            "requests",
            format!(
                "{} LIST, {} GET, {} PUT{sides}",
                HumanCount(estimate.list_requests),
                HumanCount(estimate.get_requests),
                HumanCount(estimate.put_requests),
            ),
        );
    }
    text.push_str(&forecast_text(forecast, is_remote != [false; 2], file.shards.as_ref().map(Vec::len)));
    text
}
