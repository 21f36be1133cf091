//! A forecast in words: a row for each flow log, then what all of it comes to, by what that is known, and what lies in archives.

use std::fmt::Write as _;

use flowquet_plan::Span;
use indicatif::{HumanBytes, HumanCount};

use crate::forecast::{ArchiveForecast, Forecast, LogForecast, RESTORE_DAYS};
use crate::output::counted;
use crate::terminal::{Column, table, table_width, width};

/// Flow logs that the text shows: those with most bytes.
const ROWS_MAX: usize = 30;

/// The columns that are left out first where a terminal is narrow.
const LEFT_OUT: [&str; 5] = ["SIZE", "CORE TIME", "REGION", "OBJECTS", "ACCOUNT"];

/// The forecast; `is_remote` tells whether S3 takes part, and so whether dollars are worth a line.
pub(crate) fn forecast_text(forecast: &Forecast, is_remote: bool, shards: Option<usize>) -> String {
    let mut text = String::new();
    let mut row =
        |name: &str, value: String| writeln!(text, "  {name:<11} {value}").expect("a string takes all");
    row("records", between(forecast.total.records, &count));
    row("Parquet", between(forecast.total.parquet_bytes, &bytes));
    let threads = counted(forecast.threads as u64, "thread");
    row("time", format!("{} on this machine, with {threads}", between(forecast.seconds, &time)));
    if let (Some(seconds), Some(shards)) = (forecast.shard_seconds, shards) {
        let machines = counted(shards as u64, "machine");
        row("", format!("{} on {machines} like it, one for each shard", between(seconds, &time)));
    }
    row("memory", format!("up to {}", HumanBytes(forecast.memory_bytes)));
    let money = &forecast.dollars;
    if is_remote {
        row(
            "cost",
            format!(
                "{} once: {} for requests, {} for {} of a core at ${} an hour",
                between(money.once, &dollars),
                dollars(money.requests),
                dollars(money.compute.likely),
                time(forecast.total.core_seconds.likely),
                money.per_vcpu_hour
            ),
        );
        row(
            "",
            format!(
                "{} a month to store, at ${} a GB; transfer within a region is free",
                between(money.storage_month, &dollars),
                money.per_gb_month
            ),
        );
        row("", format!("list prices of {}, without taxes and discounts", money.priced));
    }
    row("estimated", by(forecast));
    archives_text(forecast, &mut row);
    text.push_str(&rows_text(&forecast.flow_logs, is_remote));
    text
}

/// By what it is known.
fn by(forecast: &Forecast) -> String {
    let constants = "by measured constants (docs/SCALE.md)";
    let Some(trial) = &forecast.trial else { return format!("{constants}, from sizes alone") };
    let tried = format!(
        "{}, {}, {}",
        counted(trial.objects, "object"),
        HumanBytes(trial.bytes),
        counted(trial.records, "record")
    );
    let speed = if forecast.is_timed { String::new() } else { format!(", and time {constants}") };
    format!("by converting a sample ({tried}){speed}")
}

fn archives_text(forecast: &Forecast, row: &mut impl FnMut(&str, String)) {
    for archive in &forecast.archives {
        let ArchiveForecast { objects, bytes, restored, ongoing, .. } = archive;
        let mut parts =
            vec![format!("{} in {}, {}", counted(*objects, "object"), archive.archive, HumanBytes(*bytes))];
        for (n, what) in [(*restored, "restored"), (*ongoing, "being restored")] {
            if n > 0 {
                parts.push(format!("{} {what}", HumanCount(n)));
            }
        }
        if archive.cold() > 0 {
            parts.push(format!("{} left until restored", HumanCount(archive.cold())));
        }
        row("archived", parts.join(", "));
        for way in &archive.restore {
            let copies = if way.copies_dollars > 0.0 {
                format!(", and {} for {RESTORE_DAYS} days of copies", dollars(way.copies_dollars))
            } else {
                String::new()
            };
            let [least, most] = way.seconds.map(|seconds| time(seconds as f64));
            let takes =
                if way.seconds[0] > 0 { format!("{least} to {most}") } else { format!("up to {most}") };
            row(
                "",
                format!("--restore {:<9} takes {takes}, {}{copies}", way.retrieval, dollars(way.dollars)),
            );
        }
    }
    if forecast.archived_not_looked_at > 0 {
        let objects = counted(forecast.archived_not_looked_at, "object");
        row("", format!("{objects} of these classes not asked whether they are restored"));
    }
}

/// A row for each flow log, and one for all; nothing where there is one alone.
fn rows_text(logs: &[LogForecast], is_remote: bool) -> String {
    if logs.len() < 2 {
        return String::new();
    }
    let mut largest: Vec<usize> = (0..logs.len()).collect();
    largest.sort_by_key(|i| std::cmp::Reverse(logs[*i].bytes));
    largest.truncate(ROWS_MAX);
    largest.sort_unstable();
    let of = |cell: &dyn Fn(&LogForecast) -> String| {
        largest.iter().map(|i| cell(&logs[*i])).collect::<Vec<String>>()
    };
    let mut columns = vec![
        Column::text("ACCOUNT", of(&|l| l.account.clone().unwrap_or_default())),
        Column::text("REGION", of(&|l| l.region.clone().unwrap_or_default())),
        Column::text("FLOW LOG", of(&|l| l.flow_log.clone())),
        Column::number("OBJECTS", of(&|l| count(l.objects as f64))),
        Column::number(
            "ARCHIVED",
            of(&|l| if l.archived > 0 { count(l.archived as f64) } else { String::new() }),
        ),
        Column::number("SIZE", of(&|l| HumanBytes(l.bytes).to_string())),
        Column::number("RECORDS", of(&|l| count(l.expected.records.likely))),
        Column::number("PARQUET", of(&|l| bytes(l.expected.parquet_bytes.likely))),
        Column::number("CORE TIME", of(&|l| time(l.expected.core_seconds.likely))),
    ];
    if is_remote {
        columns.push(Column::number("COST", of(&|l| dollars(l.dollars.likely))));
    }
    columns.retain(|column| !column.is_empty());
    if let Some(width) = width() {
        for head in LEFT_OUT {
            if table_width(&columns) <= width {
                break;
            }
            columns.retain(|column| column.head != head);
        }
    }
    let mut text = table(&columns);
    let more = logs.len() - largest.len();
    if more > 0 {
        text.push_str(&format!("  and {} with fewer bytes\n", counted(more as u64, "flow log")));
    }
    text
}

/// `about 1,200 (1,100 to 1,300)`; what is known stands alone.
fn between(span: Span, shown: &dyn Fn(f64) -> String) -> String {
    let [low, likely, high] = [span.low, span.likely, span.high].map(shown);
    if low != high {
        return format!("about {likely} ({low} to {high})");
    }
    if span.low == span.high || likely.starts_with("less than") { likely } else { format!("about {likely}") }
}

/// A count with as many digits as an estimate deserves; small ones whole.
fn count(n: f64) -> String {
    HumanCount(rounded(n)).to_string()
}

fn bytes(n: f64) -> String {
    HumanBytes(n.round() as u64).to_string()
}

/// Three digits of it.
fn rounded(n: f64) -> u64 {
    let n = n.round() as u64;
    let step = 10_u64.pow(n.checked_ilog10().unwrap_or_default().saturating_sub(2));
    (n + step / 2) / step * step
}

fn dollars(n: f64) -> String {
    match n {
        0.0 => "$0".to_owned(),
        n if n < 0.01 => "less than $0.01".to_owned(),
        n if n < 100.0 => format!("${n:.2}"),
        n => format!("${}", HumanCount(rounded(n))),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "less than 1 s".to_owned(),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 100.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{} h", HumanCount((s / 3_600.0).round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_have_the_digits_that_they_deserve() {
        for (n, expected) in [(0.0, "0"), (999.4, "999"), (1_234.0, "1,230"), (56_789_012.0, "56,800,000")] {
            assert_eq!(count(n), expected);
        }
        let span = Span { low: 900.0, likely: 1_000.0, high: 1_111.0 };
        assert_eq!(between(span, &count), "about 1,000 (900 to 1,110)");
        assert_eq!(between(Span::exactly(12_345.0), &|n| HumanCount(n as u64).to_string()), "12,345");
        let cents = Span { low: 0.001, likely: 0.002, high: 0.003 };
        assert_eq!(between(cents, &dollars), "less than $0.01");
        for (seconds, expected) in
            [(0.2, "less than 1 s"), (59.6, "60 s"), (300.0, "5 min"), (43_200.0, "12 h")]
        {
            assert_eq!(time(seconds), expected);
        }
    }
}
