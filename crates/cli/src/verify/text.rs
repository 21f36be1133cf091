//! What verification came to, in words.

use std::fmt::Write as _;

use flowquet_engine::{Fault, Finding, Level, Trouble, Verified};
use indicatif::HumanBytes;

use super::{Mended, command, grouped, objects};
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::failure::ENRICH;
use crate::output::{counted, shown};
use crate::table_files::{NAMED_MAX, accepted_sum, accepted_texts, lost_rejects_texts};

/// Levels in the order of their rows.
const LEVELS: [Level; 6] =
    [Level::Records, Level::Listing, Level::Footers, Level::Data, Level::Source, Level::Deep];

/// All of it.
pub(super) fn of(args: &VerifyArgs, verified: &Verified, mended: &Mended, exit: Exit) -> String {
    let mut text = String::new();
    for level in LEVELS {
        let findings: Vec<&Finding> = verified.findings.iter().filter(|f| f.level == level).collect();
        if let Some((name, said)) = row(verified, level) {
            let count = findings.len() as u64;
            push(
                &mut text,
                name,
                &if count == 0 { said } else { format!("{said}; {}:", counted(count, "finding")) },
            );
        }
        for finding in findings.iter().take(NAMED_MAX) {
            push(&mut text, "", &finding_text(finding));
        }
        if findings.len() > NAMED_MAX {
            let more = grouped((findings.len() - NAMED_MAX) as u64);
            push(&mut text, "", &format!("and {more} more; --json names them all"));
        }
    }
    if let Some(error) = &verified.unlisted {
        push(&mut text, "source", &format!("not listed: {}", **error));
    }
    if let Some(path) = args.list_safe.as_ref().filter(|_| verified.unlisted.is_none()) {
        let safe = objects(verified.safe.len() as u64);
        push(&mut text, "safe", &format!("{safe} proven line by line, listed in {}", path.display()));
        for (reason, count) in &verified.not_safe {
            push(&mut text, "", &format!("{} not: {}", objects(*count), not_safe(reason)));
        }
    }
    let lost_rejects = lost_rejects_texts(&verified.lost_rejects).into_iter().take(NAMED_MAX);
    let losses = accepted_texts(&verified.accepted_losses).into_iter().chain(lost_rejects);
    for (i, loss) in losses.enumerate() {
        push(&mut text, if i == 0 { "accepted" } else { "" }, &loss);
    }
    push_mended(&mut text, args, mended);
    text.push_str(&last_line(args, verified, mended, exit));
    text.push('\n');
    text
}

/// What was done about what was found.
fn push_mended(text: &mut String, args: &VerifyArgs, mended: &Mended) {
    if !mended.regained.files.is_empty() {
        let files = mended.regained.files.len() as u64;
        push(text, "regained", &format!("{} found again and counted again", counted(files, "file")));
    }
    if !mended.restored.files.is_empty() {
        let files = mended.restored.files.len() as u64;
        push(text, "restored", &format!("{} of rejected lines made anew", counted(files, "file")));
    }
    if let Some(accepted) = &mended.accepted {
        let (files, there) = (accepted.files.len() as u64, accepted.rebuildable.len() as u64);
        if files > 0 {
            let (records, files) = (counted(accepted.records, "record"), counted(files, "file"));
            let reason = args.accept_loss.as_deref().unwrap_or_default();
            push(text, "accepted", &format!("{records} in {files} lost: {reason}"));
        }
        if !accepted.reject_files.is_empty() {
            let lines = counted(accepted.rejects, "rejected line");
            let reason = args.accept_loss.as_deref().unwrap_or_default();
            push(text, if files > 0 { "" } else { "accepted" }, &format!("{lines} lost: {reason}"));
        }
        if there > 0 && !args.repair {
            let files = counted(there, "file");
            push(
                text,
                "",
                &format!("not the loss of {files} whose raw logs are there: add --repair to rebuild"),
            );
        }
    }
    if let Some(repaired) = &mended.repaired {
        let done = &repaired.reconverted;
        let said = format!(
            "{} replaced by {}: {} converted again",
            counted(done.files_in, "file"),
            grouped(done.files_out),
            objects(done.objects + done.companions)
        );
        push(text, "repaired", &said);
    }
    if !mended.rewritten.is_empty() {
        let files = counted(mended.rewritten.len() as u64, "file");
        push(text, "rewritten", &format!("{files} from the records in the table"));
    }
    if !mended.replaced.is_empty() {
        let files = counted(mended.replaced.len() as u64, "file");
        push(text, "replaced", &format!("{files} by another run meanwhile"));
    }
}

fn push(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<11} {}", shown(value)).expect("a string takes all");
}

/// What a level looked at.
fn row(verified: &Verified, level: Level) -> Option<(&'static str, String)> {
    Some(match level {
        Level::Records => {
            let r = &verified.records;
            let read = format!(
                "{}, {}, {} read",
                counted(r.plans, "plan"),
                counted(r.commits, "commit"),
                counted(r.compactions, "compaction")
            );
            let no_digest = if r.has_digests || r.commits == 0 {
                ""
            } else {
                "; some without a digest, written before flowquet had them"
            };
            ("records", format!("{read}{no_digest}"))
        }
        Level::Listing => {
            let l = verified.listing.as_ref()?;
            ("listing", format!("{}, {}", counted(l.files, "file"), HumanBytes(l.bytes)))
        }
        Level::Footers => {
            let f = verified.footers.as_ref().filter(|f| f.files > 0)?;
            let all = verified.listing.as_ref().is_some_and(|l| l.files == f.files);
            let r = &verified.records;
            let rows = counted(f.rows, "row");
            let sum = if all && f.rows == r.records {
                format!("{rows} = {} of {}", counted(r.records, "record"), objects(r.objects))
            } else {
                rows
            };
            ("footers", format!("of {}: {sum}", counted(f.files, "file")))
        }
        Level::Data => {
            let d = verified.data.as_ref()?;
            let no_digest = match d.without_digest {
                0 => String::new(),
                n => format!("; {} without a digest, written before flowquet had them", counted(n, "file")),
            };
            let read =
                format!("{} of {} read, {}", counted(d.files, "file"), grouped(d.of), HumanBytes(d.bytes));
            let rejects = match d.rejects {
                0 => String::new(),
                n => format!(", {}", counted(n, "rejected line")),
            };
            ("data", format!("{read}, {}{rejects}{no_digest}", counted(d.rows, "row")))
        }
        Level::Source => {
            let s = verified.source.as_ref()?;
            let copies = if s.copies > 0 {
                format!(" ({} of them from another place)", grouped(s.copies))
            } else {
                String::new()
            };
            let mut parts = vec![format!("{} in the table, unchanged{copies}", grouped(s.in_table))];
            for (n, what) in
                [(s.changed, "changed since"), (s.missing, "not in the table"), (s.ignored, "ignored")]
            {
                if n > 0 {
                    parts.push(format!("{} {what}", grouped(n)));
                }
            }
            ("source", format!("{} listed = {}", objects(s.listed), parts.join(" + ")))
        }
        Level::Deep => {
            let d = verified.deep.as_ref()?;
            let mut said = format!(
                "{} read, {}, {}",
                objects(d.objects),
                HumanBytes(d.bytes),
                counted(d.records, "record")
            );
            if d.gone > 0 {
                said.push_str(&format!("; {} gone, and not compared", grouped(d.gone)));
            }
            if d.without_digest > 0 {
                let count = objects(d.without_digest);
                said.push_str(&format!("; {count} without a digest: lines were counted, not compared"));
            }
            ("deep", said)
        }
    })
}

/// A finding: where, and what.
pub(super) fn finding_text(finding: &Finding) -> String {
    let mut place = finding.place.clone();
    if let Some(group) = finding.row_group {
        place.push_str(&format!(", row group {group}"));
    }
    if let Some(column) = &finding.column {
        place.push_str(&format!(", column {column}"));
    }
    if let Some(page) = finding.page {
        place.push_str(&format!(", page {page}"));
    }
    if let Some(row) = finding.row {
        place.push_str(&format!(", row {}", grouped(row as u64)));
    }
    format!("{place}: {}", what(finding))
}

fn what(finding: &Finding) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (expected, found, said) = (text(&finding.expected), text(&finding.found), text(&finding.what));
    match finding.fault {
        Fault::CommitGone => format!("missing, but other records depend on it ({said})"),
        Fault::RecordEdited => "changed after it was written".to_owned(),
        Fault::RecordDoubled => format!("a copy of {said}"),
        Fault::RecordGone => "missing, but later records exist".to_owned(),
        Fault::RecordOrphan => "no plan names its task".to_owned(),
        Fault::RecordUnreadable => said,
        Fault::RecordUnknown => "not a flowquet record (harmless)".to_owned(),
        Fault::RecordsBroken if said.is_empty() => {
            format!("what was read has the digest {expected}, the rows of all files {found}")
        }
        Fault::RecordsBroken => format!("records contradict each other: {said}"),
        Fault::RejectsGone => format!("gone, with {expected} rejected lines"),
        Fault::RejectsDiffer if said.is_empty() => format!("{found} rejected lines, recorded {expected}"),
        Fault::RejectsDiffer => said,
        Fault::TaskUnfinished => {
            format!(
                "not committed: {} in progress or left by an interrupted run",
                objects(said.parse().unwrap_or(0))
            )
        }
        Fault::FileGone => format!("gone, with {}", counted(said.parse().unwrap_or(0), "row")),
        Fault::FileSize => {
            let bytes = |text: &str| HumanBytes(text.parse().unwrap_or(0)).to_string();
            format!("{} ({found} bytes), recorded {} ({expected} bytes)", bytes(&found), bytes(&expected))
        }
        Fault::FileStray => "not the table's; readers that list the folder count its rows".to_owned(),
        Fault::FileFoundAgain if !found.is_empty() => {
            format!(
                "there again with {found} bytes of {expected}, though its loss was accepted; once it is whole, --repair counts its rows again"
            )
        }
        Fault::FileFoundDamaged => {
            "there again, though its loss was accepted, but damaged or not whole: its rows are not counted"
                .to_owned()
        }
        Fault::FileFoundAgain => {
            "there again, though its loss was accepted; --repair counts its rows again if it is whole"
                .to_owned()
        }
        Fault::FileLeft => "replaced; `flowquet compact` deletes it".to_owned(),
        Fault::FileAside => {
            "left by an interrupted run; `flowquet compact`, or `rollup` of a roll-up, deletes it".to_owned()
        }
        Fault::EnrichmentGone => format!("the table's copy of the file of `{said}` is gone"),
        Fault::EnrichmentDamaged => {
            format!("the table's copy of the file of `{said}` is not what its name says, its SHA-256")
        }
        Fault::FileDamaged | Fault::ObjectGone if said.is_empty() => "gone".to_owned(),
        Fault::FileDamaged => format!("damaged: {said}"),
        Fault::FileOfAnother => format!("a copy of another file: it says that {found} wrote it"),
        Fault::FileBytes => {
            format!(
                "its bytes changed (CRC-32 {found}, recorded {expected}): rows match the raw logs, but enriched or computed columns may differ"
            )
        }
        Fault::RowsDiffer => format!("{found} rows, recorded {expected}"),
        Fault::StatisticsLie => {
            let said = if said.is_empty() { "range".to_owned() } else { said };
            format!("statistics say {said} {expected}, values {found}: readers that prune miss rows")
        }
        Fault::PartitionDiffers => {
            format!("its rows are not those that its raw logs give (digest {found}, of raw logs {expected})")
        }
        Fault::OrderBroken => "not in the declared sort order".to_owned(),
        Fault::TwinDiffers => "does not match its address column".to_owned(),
        Fault::PartitionWrong => format!("holds a time of {found} (partition {expected})"),
        Fault::SumsDiffer => format!("its files hold {found}, and {expected} were rolled up"),
        Fault::DigestDiffers => {
            format!("its rows are not those that were converted (digest {found}, recorded {expected})")
        }
        Fault::ObjectMissing if said == "unfinished" => {
            "not in the table yet: its task is unfinished".to_owned()
        }
        Fault::ObjectMissing if said.is_empty() => "not in the table: new".to_owned(),
        Fault::ObjectMissing => format!("not in the table: {said}"),
        Fault::ObjectChanged if said.is_empty() => "changed since it was converted".to_owned(),
        Fault::ObjectChanged => format!("changed since it was converted: {said}"),
        Fault::ObjectGone => said,
        Fault::RecordsDiffer if said.is_empty() => format!("gives {found}, the table has {expected}"),
        Fault::RecordsDiffer => format!("cannot be read as it was: {said}"),
    }
}

fn not_safe(reason: &str) -> &'static str {
    match reason {
        "changed" => "changed since it was converted, or found otherwise above",
        "damaged" => "read in part, with --salvage",
        "name" => "a line break or another control character in the name, which no list of names can hold",
        "duplicates" => "--dedup flow left out records that may differ from the kept ones",
        "files" => "files that hold its rows were not read, or are not right",
        "no-digest" => "converted by a version of flowquet that stored no digests",
        "records" => "records of the table are not right",
        "rejects" => "rejected lines of it are not all kept whole in the table",
        _ => "not proven",
    }
}

/// What was found, in a few words.
pub(super) fn sum(verified: &Verified) -> String {
    let count = |is: &dyn Fn(&Finding) -> bool| verified.findings.iter().filter(|f| is(f)).count() as u64;
    let of = |trouble| count(&|f: &Finding| f.fault.trouble() == trouble);
    let parts: Vec<String> = [
        (of(Trouble::Records), "fault", " in records"),
        (of(Trouble::Files), "fault", " in files"),
        (of(Trouble::Sources), "raw log", " differing"),
        (count(&|f: &Finding| f.fault == Fault::ObjectMissing), "object", " not in the table"),
        (count(&|f: &Finding| f.fault == Fault::TaskUnfinished), "unfinished task", ""),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, noun, rest)| format!("{}{rest}", counted(count, noun)))
    .collect();
    if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") }
}

/// What to do about files of which no raw log is converted again.
fn other_advice(args: &VerifyArgs, verified: &Verified) -> String {
    let has = |fault| verified.findings.iter().any(|f| f.fault == fault);
    let copies = verified
        .findings
        .iter()
        .filter(|f| f.fault == Fault::EnrichmentGone || f.fault == Fault::EnrichmentDamaged);
    let mut names: Vec<&str> = copies.filter_map(|f| f.what.as_deref()).collect();
    names.dedup();
    let mut advice = Vec::new();
    if let (true, Some([source, by])) = (has(Fault::SumsDiffer), &verified.rollup_of) {
        let source = source.strip_prefix("file://").unwrap_or(source);
        let out = &args.out;
        advice.push(format!(
            "Delete the files of these partitions: `flowquet rollup {source} --by {by} --out {out}` rebuilds them"
        ));
    }
    if has(Fault::FileFoundDamaged) {
        advice.push("Delete what is there again and damaged, or put a whole copy in its place".to_owned());
    }
    if has(Fault::FileStray) {
        advice.push("Move what is not the table's out of its folders".to_owned());
    }
    if !names.is_empty() {
        let given: Vec<String> = names.iter().map(|name| format!("{ENRICH} {name}=FILE")).collect();
        let table = &args.out;
        advice.push(format!(
            "Delete what is not right, and give `flowquet convert SOURCE --out {table}` the same files once more with {}: it puts copies again",
            given.join(" ")
        ));
    }
    advice.join(". ")
}

/// What it all comes to, and what to do.
fn last_line(args: &VerifyArgs, verified: &Verified, mended: &Mended, exit: Exit) -> String {
    let table = &args.out;
    let code = exit.code();
    if exit == Exit::Success && mended.is_any() {
        let accepted = mended.accepted.as_ref().filter(|accepted| accepted.is_any());
        let accepted = accepted.map(|a| match a.files.len() {
            0 => format!("the loss of {} is accepted", counted(a.rejects, "rejected line")),
            _ => format!("the loss of {} is accepted", counted(a.records, "record")),
        });
        let is_repaired = mended.repaired.is_some()
            || !mended.rewritten.is_empty()
            || !mended.replaced.is_empty()
            || !mended.regained.files.is_empty()
            || !mended.restored.files.is_empty();
        let repaired = is_repaired.then(|| "repaired".to_owned());
        let done: Vec<String> = repaired.into_iter().chain(accepted).collect();
        let proves = if is_repaired { "proves it" } else { "checks the rest" };
        return format!("{}; `{}` {proves}", done.join(", and "), command(table, " --read-data"));
    }
    match exit {
        Exit::Failed => "no problems found in the table, but the sources could not be listed".to_owned(),
        Exit::Success => {
            let accepted = accepted_sum(&verified.accepted_losses);
            if args.read_data && args.deep && !args.source.is_empty() {
                return match accepted {
                    Some(accepted) => format!("no problems found except {accepted}"),
                    None => "whole: no problems found".to_owned(),
                };
            }
            let except = accepted.map(|accepted| format!(" except {accepted}")).unwrap_or_default();
            let further = if args.read_data || args.deep {
                ""
            } else if args.read_data_subset.is_some() {
                "; use another --read-data-subset for the remaining files"
            } else {
                "; add --read-data to check page contents"
            };
            format!("no problems found{except}{further}")
        }
        Exit::RecordsDamaged => format!(
            "table damaged: {} (exit {code}). Keep the raw logs, and restore the records from a copy or an older version of the object",
            sum(verified)
        ),
        Exit::FilesDamaged => {
            let is_mendable = verified.findings.iter().any(|f| f.fault.is_mendable());
            // What only pages tell is found again only by reading them.
            let reads = args.read_data || args.read_data_subset.is_some();
            let options = if reads { " --read-data --repair" } else { " --repair" };
            let advice = if let (true, Some([source, by])) = (is_mendable, &verified.rollup_of) {
                let source = source.strip_prefix("file://").unwrap_or(source);
                format!(
                    "Delete these files: `flowquet rollup {source} --by {by} --out {table}` rebuilds them"
                )
            } else if is_mendable && !args.repair {
                format!("Keep the raw logs: `{}` converts them again", command(table, options))
            } else if is_mendable {
                "Keep the raw logs".to_owned()
            } else {
                other_advice(args, verified)
            };
            format!("table damaged: {} (exit {code}). {advice}", sum(verified))
        }
        Exit::SourcesDiffer => format!(
            "not proven: {} (exit {code}). Keep these raw logs; `flowquet reconvert {table} --object URL` takes them as they are now",
            sum(verified)
        ),
        _ => {
            let left = verified.findings.iter().filter(|f| f.fault.trouble() == Trouble::Left);
            let is_new = |f: &&Finding| {
                f.what.as_deref().is_none_or(|w| w == "unfinished") || f.fault == Fault::TaskUnfinished
            };
            let advice = if left.clone().any(|f| is_new(&f)) {
                "; `flowquet convert` takes what is new or unfinished"
            } else {
                ""
            };
            format!("{} (exit {code}){advice}", sum(verified))
        }
    }
}
