//! The flow logs of a plan, as `inspect` shows those of a folder: by what keys tell.

use std::collections::BTreeMap;

use flowquet_engine::Formats;
use flowquet_format::{Catalogue, KeyGroup, LogFormat, name_of_format};
use flowquet_plan::{Deliveries, Rhythm};
use flowquet_table::SourceObject;

use crate::log_rows::{LogRow, gaps_text, rows_text};
use crate::output::counted;

/// Flow logs that the text shows: those with most bytes.
const ROWS_MAX: usize = 30;

/// Days that are remembered, of all flow logs together. Past them no coverage is told.
const DAYS_MAX: usize = 1_000_000;

#[derive(Default)]
struct Log {
    objects: u64,
    bytes: u64,
    deliveries: Deliveries,
    rhythm: Rhythm,
}

/// A row for each flow log that `objects` are of, and the gaps between their deliveries; empty where keys tell no flow log.
pub(crate) fn text<'a>(
    objects: impl Iterator<Item = &'a SourceObject>,
    formats: &Formats,
    catalogue: &Catalogue,
) -> String {
    let mut logs: BTreeMap<KeyGroup, Log> = BTreeMap::new();
    let mut days_left = DAYS_MAX;
    for object in objects {
        let (group, delivery) = KeyGroup::of(object.url(), object.key());
        let log = logs.entry(group).or_default();
        log.objects += 1;
        log.bytes += object.bytes;
        if let Some(time) = delivery {
            log.deliveries.add(time, &mut days_left);
        }
    }
    logs.values_mut().for_each(|log| log.rhythm = log.deliveries.rhythm());
    let is_told =
        |(group, log): &(&KeyGroup, &Log)| group.flow_log_id.is_some() || log.deliveries.range().is_some();
    if !logs.iter().any(|entry| is_told(&entry)) {
        return String::new();
    }
    let mut largest: Vec<&KeyGroup> = logs.keys().collect();
    largest.sort_by_key(|group| std::cmp::Reverse(logs[*group].bytes));
    largest.truncate(ROWS_MAX);
    let rows: Vec<LogRow<'_>> = logs
        .iter()
        .filter(|(group, _)| largest.contains(group))
        .map(|(group, log)| LogRow {
            group,
            format: format_of(group, formats, catalogue),
            objects: log.objects,
            bytes: log.bytes,
            deliveries: &log.deliveries,
            rhythm: &log.rhythm,
        })
        .collect();
    let mut text = rows_text(&rows);
    let more = logs.len() - rows.len();
    if more > 0 {
        text.push_str(&format!("  and {} with fewer bytes\n", counted(more as u64, "flow log")));
    }
    text.push_str(&gaps_text(&rows));
    text
}

/// The name of the log format that was found for a flow log, or how many fields it has.
fn format_of(group: &KeyGroup, formats: &Formats, catalogue: &Catalogue) -> String {
    let Some(id) = &group.flow_log_id else { return String::new() };
    let found = formats.formats.iter().find(|found| found.flow_logs.contains(id));
    let Some(text) = found.and_then(|found| found.format.as_deref()) else { return String::new() };
    let Ok(format) = LogFormat::parse(text, catalogue) else { return String::new() };
    let fields = counted(format.fields().len() as u64, "field");
    name_of_format(&format, catalogue).map_or(fields.clone(), |name| format!("{name}, {fields}"))
}
