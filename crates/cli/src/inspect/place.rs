//! A folder or prefix in words: a row for each flow log, gaps, and what is no flow log.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_engine::{Other, OtherKind, SurveyedLog, ToldBy};
use flowquet_format::{KeyOrigin, LogFormat, name_of_format, utc_text};
use flowquet_input::{Compression, Framing};
use flowquet_plan::{Gap, Scale, strip};
use indicatif::{HumanBytes, HumanCount};

use crate::inspect::{Inspector, Place};
use crate::output::counted;
use crate::terminal::{Column, shortened, table, table_width, width};

/// Characters of a strip: as many as there is room for, not more than are read at a glance.
pub(super) const STRIP_CHARS: usize = 48;
const STRIP_CHARS_ENOUGH: usize = 24;
const STRIP_CHARS_MIN: usize = 12;

/// Gaps that the text shows, and flow logs beside one.
const GAPS_SHOWN: usize = 10;
const FLOW_LOGS_SHOWN: usize = 3;

/// Characters of a flow log's id where there is no room.
const ID_CHARS_MIN: usize = 12;

/// Characters of a detail.
const DETAIL_CHARS: usize = 120;

/// The columns that are left out first where a terminal is narrow.
const LEFT_OUT: [&str; 6] = ["FIRST", "SIZE", "LAST", "REGION", "OBJECTS", "ACCOUNT"];

pub(super) fn text(place: &Place, inspector: &Inspector<'_>) -> String {
    let survey = &place.survey;
    let mut text = head(place);
    let custom = custom_formats(&survey.logs, inspector);
    if !survey.logs.is_empty() {
        text.push_str(&logs_text(&survey.logs, &custom, inspector));
    }
    for (format, number) in &custom {
        text.push_str(&format!("  format {number}: {format}\n"));
    }
    text.push_str(&gaps_text(&survey.logs));
    for log in survey.logs.iter().filter(|log| log.archived > 0) {
        let objects = counted(log.archived, "object");
        let name = name_in_text(log);
        text.push_str(&format!("  {name}: {objects} in an archive class, which can be read once restored\n"));
    }
    text.push_str(&others_text(place));
    if survey.left_out > 0 {
        text.push_str(&format!("  {} left out by the filters\n", counted(survey.left_out, "object")));
    }
    for found in &survey.tables {
        let objects = counted(found.objects, "object");
        let at = below(&found.url, &place.url);
        let at = if at.is_empty() { "this is" } else { &format!("{at} is") };
        text.push_str(&format!(
            "  {at} a flowquet table of {objects}, and no source: see `flowquet status`\n"
        ));
    }
    if let Some(next) = next(place, inspector) {
        text.push_str(&format!("next: {next}\n"));
    }
    text
}

fn head(place: &Place) -> String {
    let survey = &place.survey;
    let ranges = || survey.logs.iter().filter_map(|log| log.deliveries.range());
    let range = ranges().map(|r| r.0).min().zip(ranges().map(|r| r.1).max());
    let has_hours = survey.logs.iter().any(|log| log.deliveries.has_hours());
    let delivered = range.map_or_else(String::new, |(first, last)| {
        format!(", delivered {} to {} UTC", minute(first, has_hours), minute(last, has_hours))
    });
    let objects = counted(survey.objects, "object");
    format!("{}: {objects}, {}{delivered}\n", place.name, HumanBytes(survey.bytes))
}

/// `2024-01-15 00:05`, or the day alone.
fn minute(unix_s: i64, has_hours: bool) -> String {
    let text = utc_text(unix_s).unwrap_or_default();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    if has_hours { format!("{day} {}", time.get(..5).unwrap_or_default()) } else { day.to_owned() }
}

/// Formats that have no name, numbered in the order in which they come.
fn custom_formats(logs: &[SurveyedLog], inspector: &Inspector<'_>) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for format in logs.iter().flat_map(|log| &log.formats) {
        let text = format.to_string();
        let is_new = !found.iter().any(|(f, _)| *f == text);
        if is_new && name_of_format(format, &inspector.formats.catalogue).is_none() {
            found.push((text, found.len() + 1));
        }
    }
    found
}

/// What the log is called: its id, stream, export or folder.
pub(super) fn called(log: &SurveyedLog) -> String {
    match (&log.group.flow_log_id, &log.group.origin) {
        (Some(id), _) => id.clone(),
        (None, KeyOrigin::Export(at)) => format!("export {at}"),
        (None, KeyOrigin::Firehose(stream)) => format!("stream {stream}"),
        (None, KeyOrigin::Folder(folder)) if folder.is_empty() => {
            let is_told = log.group.account.is_some() || log.group.region.is_some();
            if is_told { String::new() } else { "./".to_owned() }
        }
        (None, KeyOrigin::Folder(folder)) => format!("{folder}/"),
    }
}

fn format_cell(log: &SurveyedLog, custom: &[(String, usize)], inspector: &Inspector<'_>) -> String {
    let of = |format: &LogFormat| match name_of_format(format, &inspector.formats.catalogue) {
        Some(name) => name,
        None => {
            let text = format.to_string();
            let number = custom.iter().find(|(f, _)| *f == text).map_or(0, |(_, number)| *number);
            format!("format {number}")
        }
    };
    let mut parts: Vec<String> = log.formats.iter().map(|f| of(f)).collect();
    match (log.told_by, &*log.formats) {
        (None, _) => parts.push("unknown: no header".to_owned()),
        (Some(ToldBy::Guess), _) => parts = vec![format!("{}? (no header)", parts.join(", "))],
        (_, [format]) => parts.push(counted(format.fields().len() as u64, "field")),
        _ => {}
    }
    match (log.shape.compression, log.shape.framing) {
        (Some(Compression::Parquet), _) => parts.push("Parquet".to_owned()),
        (_, Some(Framing::Exports)) => parts.push("CloudWatch export".to_owned()),
        (_, Some(Framing::Documents)) => parts.push("JSON".to_owned()),
        (_, Some(Framing::Separated(b'\t'))) => parts.push("TSV".to_owned()),
        (_, Some(Framing::Separated(_))) => parts.push("CSV".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

fn logs_text(logs: &[SurveyedLog], custom: &[(String, usize)], inspector: &Inspector<'_>) -> String {
    let of = |cell: &dyn Fn(&SurveyedLog) -> String| logs.iter().map(cell).collect::<Vec<_>>();
    let time = |log: &SurveyedLog, at: Option<i64>| {
        at.map(|at| minute(at, log.deliveries.has_hours())).unwrap_or_default()
    };
    let mut columns = vec![
        Column::text("ACCOUNT", of(&|l| l.group.account.clone().unwrap_or_default())),
        Column::text("REGION", of(&|l| l.group.region.clone().unwrap_or_default())),
        Column::text("FLOW LOG", of(&called)),
        Column::text("FORMAT", of(&|l| format_cell(l, custom, inspector))),
        Column::number("OBJECTS", of(&|l| HumanCount(l.objects).to_string())),
        Column::number("SIZE", of(&|l| HumanBytes(l.bytes).to_string())),
        Column::text("FIRST", of(&|l| time(l, l.deliveries.range().map(|r| r.0)))),
        Column::text("LAST", of(&|l| time(l, l.deliveries.range().map(|r| r.1)))),
    ];
    columns.retain(|column| !column.is_empty());
    let has_strip = logs.iter().any(|log| log.rhythm.deliveries > 1);
    let needed = if has_strip { STRIP_CHARS_ENOUGH + 2 } else { 0 };
    let width = width();
    if let Some(width) = width {
        for head in LEFT_OUT {
            if table_width(&columns) + needed <= width {
                break;
            }
            columns.retain(|c| c.head != head);
        }
        let too_wide = (table_width(&columns) + needed).saturating_sub(width);
        if too_wide > 0
            && let Some(ids) = columns.iter_mut().find(|c| c.head == "FLOW LOG")
        {
            let longest = ids.cells.iter().map(|c| c.chars().count()).max().unwrap_or_default();
            ids.shorten(longest.saturating_sub(too_wide).max(ID_CHARS_MIN));
        }
    }
    if has_strip {
        let room = width.map_or(STRIP_CHARS, |width| width.saturating_sub(table_width(&columns) + 2));
        if let Some(scale) = scale(logs, room.clamp(STRIP_CHARS_MIN, STRIP_CHARS)) {
            let of_char = format!("1 char = {}", span(scale.bucket_s));
            let head = format!("COVERAGE ({of_char})");
            let head = if head.chars().count() <= room { head } else { of_char };
            let strips = of(&|l| strip(&l.deliveries.coverage(&scale, &l.rhythm)));
            columns.push(Column::text(&head, strips));
        }
    }
    table(&columns)
}

/// One scale for all strips of a place.
pub(super) fn scale(logs: &[SurveyedLog], chars: usize) -> Option<Scale> {
    let ranges = || logs.iter().filter_map(|log| log.deliveries.range());
    Some(Scale::new(ranges().map(|r| r.0).min()?, ranges().map(|r| r.1).max()?, chars))
}

/// A span of time as people say it: `15 min`, `3 h 15 min`, `2 days`.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    let days_text = || counted(u64::try_from(days).unwrap_or_default(), "day");
    match (days, hours, minutes) {
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => days_text(),
        _ => format!("{} {hours} h", days_text()),
    }
}

/// Gaps, each with the flow logs that have it: what stops one delivery often stops others.
fn gaps_text(logs: &[SurveyedLog]) -> String {
    let mut gaps: BTreeMap<Gap, Vec<&SurveyedLog>> = BTreeMap::new();
    for log in logs {
        log.rhythm.gaps.iter().for_each(|gap| gaps.entry(*gap).or_default().push(log));
    }
    let mut text = String::new();
    // The longest are shown, in the order of time.
    let mut by_length: Vec<Gap> = gaps.keys().copied().collect();
    by_length.sort_by_key(|gap| (std::cmp::Reverse(gap.length_s()), gap.from_s));
    let shown: BTreeSet<Gap> = by_length.into_iter().take(GAPS_SHOWN).collect();
    for (gap, logs) in gaps.iter().filter(|(gap, _)| shown.contains(gap)) {
        let has_hours = logs.iter().any(|log| log.deliveries.has_hours());
        let (from, to) = (minute(gap.from_s, has_hours), minute(gap.to_s, has_hours));
        let same_day = has_hours && from[..10] == to[..10];
        let to = if same_day { &to[11..] } else { &to };
        let names: Vec<String> = logs.iter().take(FLOW_LOGS_SHOWN).map(|log| name_in_text(log)).collect();
        let more = logs.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let usual = logs.iter().filter_map(|log| log.rhythm.usual_s).max().map(span).unwrap_or_default();
        text.push_str(&format!(
            "  gap {from} to {to}  {}{more}: {} without a delivery, usually every {usual}\n",
            names.join(", "),
            span(gap.length_s())
        ));
    }
    let all: u64 = logs.iter().map(|log| log.rhythm.gap_count).sum();
    let told: u64 =
        gaps.iter().filter(|(gap, _)| shown.contains(gap)).map(|(_, logs)| logs.len() as u64).sum();
    if all > told {
        text.push_str(&format!("  and {} more; --json names them\n", counted(all - told, "gap")));
    }
    let partial = logs.iter().filter(|log| log.deliveries.is_partial()).count() as u64;
    if partial > 0 {
        text.push_str(&format!(
            "  {} with more days than are remembered: no coverage is told; look at a part with --since and --until\n",
            counted(partial, "flow log")
        ));
    }
    text
}

/// What a log is called where no table tells account and region.
fn name_in_text(log: &SurveyedLog) -> String {
    let name = called(log);
    if !name.is_empty() {
        return name;
    }
    let parts = [&log.group.account, &log.group.region].into_iter().flatten();
    parts.cloned().collect::<Vec<_>>().join(" ")
}

fn others_text(place: &Place) -> String {
    let others = &place.survey.others;
    let kinds: Vec<String> = others.iter().map(|other| kind_text(&other.kind)).collect();
    let widest = kinds.iter().map(|k| k.chars().count()).max().unwrap_or_default();
    let width = width().unwrap_or(usize::MAX);
    let mut text = String::new();
    for (other, kind) in others.iter().zip(kinds) {
        let count =
            if other.objects == 0 { "not listed".to_owned() } else { counted(other.objects, "object") };
        let line = format!("  {kind:<widest$}  {count}: {}", example_text(other, &place.url));
        text.push_str(&shortened(&line, width));
        text.push('\n');
    }
    text
}

fn example_text(other: &Other, url: &str) -> String {
    let example = below(&other.example, url);
    let detail: String = other.detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let detail = if detail.is_empty() { detail } else { format!(": {}", shortened(&detail, DETAIL_CHARS)) };
    let such_as = if other.objects > 1 { "such as " } else { "" };
    format!("{such_as}{example}{detail}")
}

fn kind_text(kind: &OtherKind) -> String {
    match kind {
        OtherKind::Service(service) => format!("{service}, by name"),
        OtherKind::Empty => "empty".to_owned(),
        OtherKind::Marker => "permission check of CloudWatch".to_owned(),
        OtherKind::NotLookedAt => "not looked at".to_owned(),
        OtherKind::NotConverted(cause) => match *cause {
            "archived" => "in an archive",
            "denied" => "may not be read",
            "no-header" => "no header line",
            "no-line-fits" => "does not fit --format",
            "not-a-log" => "no flow log",
            "unlistable" => "cannot be read",
            other => other,
        }
        .to_owned(),
    }
}

/// A URL without that of the folder that it lies below.
fn below<'a>(url: &'a str, folder: &str) -> &'a str {
    url.strip_prefix(folder).unwrap_or(url)
}

/// The command that converts what was found.
pub(super) fn next(place: &Place, inspector: &Inspector<'_>) -> Option<String> {
    let logs = &place.survey.logs;
    if logs.is_empty() {
        return None;
    }
    let mut words = vec!["flowquet".to_owned(), "convert".to_owned(), quoted(&place.name)];
    words.extend(["--out".to_owned(), "TABLE".to_owned()]);
    words.extend(inspector.args.filter.words().iter().map(|word| quoted(word)));
    let untold = logs.iter().filter(|log| matches!(log.told_by, None | Some(ToldBy::Guess)));
    let guesses: BTreeSet<Option<String>> = untold
        .map(|log| match (log.told_by, &*log.formats) {
            (Some(ToldBy::Guess), [format]) => Some(
                name_of_format(format, &inspector.formats.catalogue).unwrap_or_else(|| format.to_string()),
            ),
            _ => None,
        })
        .collect();
    let given = inspector.args.format.format.clone();
    let mut give = |format: &str| words.extend(["--format".to_owned(), format.to_owned()]);
    match (given.as_slice(), guesses.len(), guesses.into_iter().next().flatten()) {
        ([_, ..], ..) => given.iter().for_each(|format| give(&quoted(format))),
        ([], 0, _) => {}
        ([], 1, Some(guess)) => give(&quoted(&guess)),
        ([], ..) => give("FORMAT"),
    }
    Some(words.join(" "))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_as_people_do() {
        for (seconds, expected) in [
            (300, "5 min"),
            (3_600, "1 h"),
            (11_700, "3 h 15 min"),
            (86_400, "1 day"),
            (2 * 86_400, "2 days"),
            (90_000, "1 day 1 h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("s3://b/x", "s3://b/x"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("**/x", "'**/x'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
