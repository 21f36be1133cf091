//! `flowquet reconvert`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowquet_command::machine::threads;
use flowquet_engine::{Change, Choice, Pointers, ReconvertRequest, Reconverted, reconvert};
use flowquet_store::Stores;
use indicatif::HumanCount;

use crate::args::ReconvertArgs;
use crate::catalog::{catalogued, glue};
use crate::described::Asked;
use crate::enrich::enriching;
use crate::exit::Exit;
use crate::failure::{engine_failure, object_hints};
use crate::formats::Formats;
use crate::logs::has_bar;
use crate::metrics::{Measured, of_reconversion};
use crate::output::{Failure, counted, put, say, shown};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::resources::budget;
use crate::run_report::{RunReport, printed};
use crate::signals::{listen_for_signals, stop};
use crate::table_files::NAMED_MAX;

pub(crate) fn run(args: &ReconvertArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let stores = args.s3.stores();
    let run_report =
        RunReport::of_command(Measured::Reconvert, &args.run_report, args.dry_run, &args.out, &stores)?;
    let mut done = None;
    let ended = replace(args, stores, &run_report, &mut done);
    run_report.end(ended, done.as_ref(), done.as_ref().map(of_reconversion).unwrap_or_default())
}

fn replace(
    args: &ReconvertArgs,
    stores: Arc<Stores>,
    run_report: &RunReport,
    came_to: &mut Option<Reconverted>,
) -> Result<Exit, Failure> {
    let mut choice = Choice::default();
    choice
        .set_objects(&args.object)
        .map_err(|e| Failure::message(Exit::Usage, &format!("--object: {e}"), None))?;
    choice.partitions = args.partition.clone();
    choice.rejects = args.rejects;
    choice.fewer_records = args.fewer_records;
    choice.lost = args.lost;
    choice.accepted = args.accepted;
    choice.flow_log_ids = args.flow_log_id.clone();
    if choice.is_empty() {
        let hint = "choose objects with --object, --partition, --flow-log-id, --rejects, --lost or --accepted; `--object '**'` takes all";
        return Err(Failure::message(Exit::Usage, "no objects are chosen", Some(hint)));
    }
    let formats = Formats::resolve(&args.format, &Asked::of(&args.s3, &[], &args.flow_log_id))?;
    let (enrich, enrichments) = enriching(&args.add.enrich, &formats, &stores)?;
    let change = Change {
        reading: (!formats.given.is_empty() || formats.reading.fields().is_some())
            .then(|| formats.reading.clone()),
        columns: formats.selection.names().map(|names| names.map(str::to_owned).collect()),
        add: formats.added(&args.add)?,
        enrich: enrichments,
        salvage: args.salvage.then_some(true),
        rejects_max: args.rejects_max,
    };
    let out = table_store(&stores, &args.out);
    let pointers = glue(&args.glue, &args.s3, out.as_ref())?;
    if pointers.is_some() {
        catalogued(&args.out)?;
    }
    // Which raw logs a table has come from is not known yet: any may be remote.
    let budget = budget(threads(args.threads), args.memory, true, args.out.is_s3())?;
    let grace = Duration::from_secs(u64::from(args.grace));
    let request =
        ReconvertRequest { out, stores, choice, change, enrich, budget, grace, dry_run: args.dry_run };
    let reporter = Reporter::new(Work::Converting, args.quiet || args.dry_run, has_bar());
    let started = Instant::now();
    let pointers = pointers.as_ref().map(|p| p as &dyn Pointers);
    let done = reconvert(&request, pointers, &run_report.observer(&reporter), stop());
    reporter.finish();
    let done = &*came_to.insert(done.map_err(|e| engine_failure(&e))?);
    if args.json {
        put(&printed(done))?;
    } else if args.dry_run {
        let folders: String = done.partitions.iter().map(|folder| format!("{folder}\n")).collect();
        let place = match done.partitions.len() as u64 {
            0 => String::new(),
            n => format!(", in {}", counted(n, "partition")),
        };
        put(&format!("{folders}{}{place}; nothing was written\n", scope_text(done, "would convert")))?;
    }
    if args.dry_run {
        return Ok(Exit::Success);
    }
    let objects = &done.summary.objects;
    let failed = objects.failed - objects.ignored + objects.archived;
    let exit = if failed > 0 { Exit::ObjectsLeft } else { Exit::Success };
    if !args.quiet && !args.json {
        say(&text(done, request.change.reading.is_some(), started.elapsed()));
    } else if failed > 0 {
        let is = if failed == 1 { "is" } else { "are" };
        let objects = counted(failed, "object");
        say(&format!("flowquet: {objects} {is} not in {} (exit {})", args.out, exit.code()));
    }
    Ok(exit)
}

/// What is converted anew, and what with it.
fn scope_text(done: &Reconverted, verb: &str) -> String {
    let mut text = format!("{verb} {} again", counted(done.objects, "object"));
    if done.failed_before > 0 {
        text.push_str(&format!(" and {} that had failed", HumanCount(done.failed_before)));
    }
    if done.companions > 0 {
        text.push_str(&format!(", with {} of the same tasks", counted(done.companions, "other")));
    }
    if done.neighbours > 0 {
        text.push_str(&format!(", and rows of {} in the same files", counted(done.neighbours, "other task")));
    }
    if let Some(why) = &done.still_lost_why {
        let lost = match done.still_lost {
            1 => "1 object stays lost".to_owned(),
            lost => format!("{} stay lost", counted(lost, "object")),
        };
        text.push_str(&format!("; {lost} ({})", shown(why)));
    }
    text
}

fn text(done: &Reconverted, is_read_otherwise: bool, elapsed: Duration) -> String {
    let mut text = String::new();
    if done.finished > 0 {
        let finished = counted(done.finished, "compaction");
        text.push_str(&format!("  finished    {finished} left by an earlier run\n"));
    }
    let summary = &done.summary;
    for object in summary.archived_objects.iter().take(NAMED_MAX) {
        text.push_str(&format!("  archived    `{}`: {}\n", shown(&object.url), shown(&object.reason)));
    }
    for object in summary.failed_objects.iter().take(NAMED_MAX) {
        text.push_str(&format!("  unreadable  `{}`: {}\n", shown(&object.url), shown(&object.reason)));
    }
    if summary.failed_objects.len() > NAMED_MAX {
        let more = HumanCount((summary.failed_objects.len() - NAMED_MAX) as u64);
        text.push_str(&format!("              and {more} more; `flowquet status` names them all\n"));
    }
    for hint in object_hints(&[&summary.failed_objects[..], &summary.archived_objects].concat()) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    if is_read_otherwise && done.rejects_after > 0 && done.rejects_after >= done.rejects_before {
        text.push_str(
            "hint: no fewer lines are rejected than before; if objects mix formats, give --format once for each, \
             including those used before\n",
        );
    }
    text.push_str(&format!(
        "done: {}; {} replaced by {} in {}; {} and {} before, {} and {} read now, {:.1} s",
        scope_text(done, "converted"),
        counted(done.files_in, "file"),
        HumanCount(done.files_out),
        counted(done.partitions.len() as u64, "partition"),
        counted(done.records_before, "record"),
        counted(done.rejects_before, "reject"),
        counted(done.records_after, "record"),
        counted(done.rejects_after, "reject"),
        elapsed.as_secs_f64()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_lost_is_told() {
        let check = |still_lost, expected: &str| {
            let still_lost_why =
                (still_lost > 0).then(|| "1 raw log needed for it cannot be read".to_owned());
            let done = Reconverted { objects: 2, still_lost, still_lost_why, ..Reconverted::default() };
            assert_eq!(scope_text(&done, "converted"), expected);
        };
        check(0, "converted 2 objects again");
        check(1, "converted 2 objects again; 1 object stays lost (1 raw log needed for it cannot be read)");
        check(
            1200,
            "converted 2 objects again; 1,200 objects stay lost (1 raw log needed for it cannot be read)",
        );
    }
}
