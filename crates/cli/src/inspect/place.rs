//! A folder or prefix in words: a row for each flow log, gaps, and what is no flow log.

use std::collections::BTreeSet;

use flowquet_engine::{Other, OtherKind, SurveyedLog, ToldBy};
use flowquet_format::{LogFormat, name_of_format};
use flowquet_input::{Compression, Framing};
use indicatif::HumanBytes;

use crate::inspect::{Inspector, Place};
use crate::log_rows::{LogRow, gaps_text, minute, name_in_text, rows_text};
use crate::output::counted;
use crate::places::quoted;
use crate::terminal::{shortened, width};

/// Characters of a detail.
const DETAIL_CHARS: usize = 120;

pub(super) fn text(place: &Place, inspector: &Inspector<'_>) -> String {
    let survey = &place.survey;
    let mut text = head(place);
    let custom = custom_formats(&survey.logs, inspector);
    if !survey.logs.is_empty() {
        let rows: Vec<LogRow<'_>> =
            survey.logs.iter().map(|log| row(log, format_cell(log, &custom, inspector))).collect();
        text.push_str(&rows_text(&rows));
    }
    for (format, number) in &custom {
        text.push_str(&format!("  format {number}: {format}\n"));
    }
    text.push_str(&gaps_text(&survey.logs.iter().map(|log| row(log, String::new())).collect::<Vec<_>>()));
    for (log, (class, objects)) in
        survey.logs.iter().flat_map(|log| log.classes.iter().map(move |c| (log, c)))
    {
        let objects = counted(*objects, "object");
        let what = if class.is_archive() {
            "an archive class, which can be read once restored"
        } else {
            "some of which may be in its archive tiers, which a listing does not show"
        };
        text.push_str(&format!("  {}: {objects} in {}, {what}\n", name_in_text(&log.group), class.name()));
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

fn row(log: &SurveyedLog, format: String) -> LogRow<'_> {
    let SurveyedLog { group, objects, bytes, deliveries, rhythm, .. } = log;
    LogRow { group, format, objects: *objects, bytes: *bytes, deliveries, rhythm }
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
            "not-a-log" => "not a flow log",
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
