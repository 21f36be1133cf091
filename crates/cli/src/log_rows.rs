//! Flow logs in words: a row for each, when its objects were delivered, and gaps.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_format::{KeyGroup, KeyOrigin, utc_text};
use flowquet_plan::{Deliveries, Gap, Rhythm, Scale, strip};
use indicatif::{HumanBytes, HumanCount};

use crate::output::counted;
use crate::terminal::{Column, table, table_width, width};

/// Characters of a strip: as many as there is room for, not more than are read at a glance.
pub(crate) const STRIP_CHARS: usize = 48;
const STRIP_CHARS_ENOUGH: usize = 24;
const STRIP_CHARS_MIN: usize = 12;

/// Gaps that the text shows, and flow logs beside one.
const GAPS_SHOWN: usize = 10;
const FLOW_LOGS_SHOWN: usize = 3;

/// Characters of a flow log's id where there is no room.
const ID_CHARS_MIN: usize = 12;

/// The columns that are left out first where a terminal is narrow.
const LEFT_OUT: [&str; 6] = ["FIRST", "SIZE", "LAST", "REGION", "OBJECTS", "ACCOUNT"];

/// Objects of one flow log.
#[derive(Debug)]
pub(crate) struct LogRow<'a> {
    /// What their keys tell.
    pub(crate) group: &'a KeyGroup,
    /// Their log format, in words.
    pub(crate) format: String,
    /// How many there are.
    pub(crate) objects: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// When they were delivered.
    pub(crate) deliveries: &'a Deliveries,
    /// How often.
    pub(crate) rhythm: &'a Rhythm,
}

/// `2024-01-15 00:05`, or the day alone.
pub(crate) fn minute(unix_s: i64, has_hours: bool) -> String {
    let text = utc_text(unix_s).unwrap_or_default();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    if has_hours { format!("{day} {}", time.get(..5).unwrap_or_default()) } else { day.to_owned() }
}

/// What the log is called: its id, stream, export or folder.
pub(crate) fn called(group: &KeyGroup) -> String {
    match (&group.flow_log_id, &group.origin) {
        (Some(id), _) => id.clone(),
        (None, KeyOrigin::Export(at)) => format!("export {at}"),
        (None, KeyOrigin::Firehose(stream)) => format!("stream {stream}"),
        (None, KeyOrigin::Folder(folder)) if folder.is_empty() => {
            let is_told = group.account.is_some() || group.region.is_some();
            if is_told { String::new() } else { "./".to_owned() }
        }
        (None, KeyOrigin::Folder(folder)) => format!("{folder}/"),
    }
}

/// A table with a row for each, and a strip of when objects were delivered. It fits the terminal.
pub(crate) fn rows_text(logs: &[LogRow<'_>]) -> String {
    let of = |cell: &dyn Fn(&LogRow<'_>) -> String| logs.iter().map(cell).collect::<Vec<_>>();
    let time = |log: &LogRow<'_>, at: Option<i64>| {
        at.map(|at| minute(at, log.deliveries.has_hours())).unwrap_or_default()
    };
    let mut columns = vec![
        Column::text("ACCOUNT", of(&|l| l.group.account.clone().unwrap_or_default())),
        Column::text("REGION", of(&|l| l.group.region.clone().unwrap_or_default())),
        Column::text("FLOW LOG", of(&|l| called(l.group))),
        Column::text("FORMAT", of(&|l| l.format.clone())),
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
        if let Some(scale) =
            scale(logs.iter().map(|l| l.deliveries), room.clamp(STRIP_CHARS_MIN, STRIP_CHARS))
        {
            let of_char = format!("1 char = {}", span(scale.bucket_s));
            let head = format!("COVERAGE ({of_char})");
            let head = if head.chars().count() <= room { head } else { of_char };
            let strips = of(&|l| strip(&l.deliveries.coverage(&scale, l.rhythm)));
            columns.push(Column::text(&head, strips));
        }
    }
    table(&columns)
}

/// One scale for all strips of a place.
pub(crate) fn scale<'d>(logs: impl Iterator<Item = &'d Deliveries> + Clone, chars: usize) -> Option<Scale> {
    let ranges = || logs.clone().filter_map(Deliveries::range);
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
pub(crate) fn gaps_text(logs: &[LogRow<'_>]) -> String {
    let mut gaps: BTreeMap<Gap, Vec<&LogRow<'_>>> = BTreeMap::new();
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
        let names: Vec<String> =
            logs.iter().take(FLOW_LOGS_SHOWN).map(|log| name_in_text(log.group)).collect();
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
        let verb = if partial == 1 { "spans" } else { "span" };
        text.push_str(&format!(
            "  {} {verb} too many days to show coverage; narrow with --since and --until\n",
            counted(partial, "flow log")
        ));
    }
    text
}

/// What a log is called where no table tells account and region.
pub(crate) fn name_in_text(group: &KeyGroup) -> String {
    let name = called(group);
    if !name.is_empty() {
        return name;
    }
    let parts = [&group.account, &group.region].into_iter().flatten();
    parts.cloned().collect::<Vec<_>>().join(" ")
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
}
