//! Sections that are tables: who talks, what is refused, what lines were rejected, what columns cost.

use flowquet_engine::{TableReport, TopRow};
use maud::{Markup, html};

use crate::chart::{bar, span, strip, time_name};
use crate::words::{bytes, count, counted, day, length, minute, percent, protocol, share, shown};

/// Flow logs whose strips are shown: those with most gaps.
const STRIPS_MAX: usize = 40;

/// Gaps of a flow log that are named.
const GAPS_MAX: usize = 10;

/// The share of rows that has to be the same for leaving a column out to be proposed.
const MOSTLY: f64 = 0.9;

/// A table that can be scrolled where it is too wide, by keys too.
fn wide(label: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

fn number(text: impl maud::Render) -> Markup {
    html! { td.number { (text) } }
}

fn measured(row: &TopRow) -> String {
    format!("{}{}", if row.targets_estimated { "about " } else { "" }, count(row.targets))
}

/// Rows by a measure: a name of a value, what its other ends are called, and how much of its measure it has.
struct Ranking<'a> {
    label: &'a str,
    heads: &'a [&'a str],
    /// Empty where they are not counted.
    others: &'a str,
    rows: &'a [TopRow],
    measure: fn(&TopRow) -> u64,
    class: &'a str,
}

fn ranking(ranking: &Ranking<'_>) -> Markup {
    let most = ranking.rows.first().map_or(0, ranking.measure);
    if ranking.rows.is_empty() {
        return html! { p { "None." } };
    }
    wide(
        ranking.label,
        html! {
            table {
                thead { tr {
                    @for head in ranking.heads { th scope="col" { (head) } }
                    th.number scope="col" { "Flows" }
                    th.number scope="col" { "Refused" }
                    th.number scope="col" { "Bytes" }
                    @if !ranking.others.is_empty() { th.number scope="col" { (ranking.others) } }
                    th scope="col" { "First" }
                    th scope="col" { "Last" }
                    th.wide scope="col" { span.hidden { "Share of the first" } }
                } }
                tbody { @for row in ranking.rows { tr {
                    @for (i, value) in row.values.iter().enumerate() {
                        @let text = if ranking.heads[i] == "Protocol" { protocol(value) } else { shown(value) };
                        @if i == 0 { th scope="row" { bdi { (text) } } } @else { td { bdi { (text) } } }
                    }
                    (number(count(row.tally.flows)))
                    (number(count(row.tally.refused)))
                    (number(bytes(row.tally.bytes)))
                    @if !ranking.others.is_empty() { (number(measured(row))) }
                    td { (row.tally.first_s.map_or_else(String::new, minute)) }
                    td { (row.tally.last_s.map_or_else(String::new, minute)) }
                    td { (bar(share((ranking.measure)(row), most), ranking.class)) }
                } } }
            }
        },
    )
}

pub(crate) fn talkers(report: &TableReport) -> Markup {
    html! {
        h3 { "Sources, by bytes" }
        (ranking(&Ranking { label: "Sources by bytes", heads: &["Source"], others: "", rows: &report.sources, measure: |row| row.tally.bytes, class: "accepted" }))
        h3 { "Targets, by bytes" }
        (ranking(&Ranking { label: "Targets by bytes", heads: &["Target"], others: "Sources", rows: &report.targets, measure: |row| row.tally.bytes, class: "accepted" }))
    }
}

pub(crate) fn ports(report: &TableReport) -> Markup {
    ranking(&Ranking {
        label: "Ports that are refused",
        heads: &["Protocol", "Port"],
        others: "Sources",
        rows: &report.refused_ports,
        measure: |row| row.tally.flows,
        class: "refused",
    })
}

pub(crate) fn scanners(report: &TableReport) -> Markup {
    ranking(&Ranking {
        label: "Sources by their different targets",
        heads: &["Source"],
        others: "Targets",
        rows: &report.scanners,
        measure: |row| row.targets,
        class: "refused",
    })
}

/// What is in each time, in numbers.
pub(crate) fn times(report: &TableReport) -> Markup {
    wide(
        "Traffic over time",
        html! {
            table {
                thead { tr {
                    th scope="col" { "From (UTC)" }
                    @for head in ["Accepted flows", "Refused flows", "Other flows", "Accepted bytes", "Refused bytes", "NODATA", "SKIPDATA"] {
                        th.number scope="col" { (head) }
                    }
                } }
                tbody { @for at in &report.times { @let t = &at.traffic; tr {
                    th scope="row" { (time_name(at.start_s, report.step_s)) }
                    (number(count(t.accepted_flows)))
                    (number(count(t.refused_flows)))
                    (number(count(t.other_flows)))
                    (number(bytes(t.accepted_bytes)))
                    (number(bytes(t.refused_bytes)))
                    (number(count(t.nodata)))
                    (number(count(t.skipdata)))
                } } }
            }
        },
    )
}

pub(crate) fn flow_logs(report: &TableReport) -> Markup {
    let mut logs: Vec<_> = report.flow_logs.iter().collect();
    logs.sort_by(|a, b| b.gap_count.cmp(&a.gap_count).then_with(|| a.name.cmp(&b.name)));
    let (told, rest) = logs.split_at(logs.len().min(STRIPS_MAX));
    html! {
        (wide("Deliveries by flow log", html! {
            table {
                thead { tr {
                    th scope="col" { "Flow log" }
                    th.number scope="col" { "Objects" }
                    th scope="col" { "First delivery" }
                    th scope="col" { "Last delivery" }
                    th scope="col" { "Usually every" }
                    th.number scope="col" { "Gaps" }
                    th.wide scope="col" { "Covered" }
                } }
                tbody { @for log in told { tr {
                    th scope="row" { bdi { (shown(&log.name)) } }
                    (number(count(log.objects)))
                    td { (log.first_s.map_or_else(String::new, minute)) }
                    td { (log.last_s.map_or_else(String::new, minute)) }
                    td { (log.usual_s.map_or_else(String::new, length)) }
                    (number(count(log.gap_count)))
                    td { (strip(&log.shares, &format!("{}: {}", shown(&log.name), counted(log.gap_count, "gap")))) }
                } } }
            }
        }))
        @if !rest.is_empty() { p { (counted(rest.len() as u64, "more flow log")) " with fewer gaps." } }
        @if report.other_objects > 0 { p { (counted(report.other_objects, "object")) " of further flow logs are not looked at here." } }
        @for log in told.iter().filter(|log| log.gap_count > 0) {
            details {
                summary { "Gaps of " bdi { (shown(&log.name)) } " (" (count(log.gap_count)) ")" }
                ul { @for (from, to) in log.gaps.iter().take(GAPS_MAX) {
                    li { (minute(*from)) " to " (minute(*to)) " UTC: " (length(to - from)) " without a delivery" }
                } }
                @if log.gap_count > GAPS_MAX as u64 { p { "and " (count(log.gap_count - GAPS_MAX as u64)) " more" } }
            }
        }
    }
}

pub(crate) fn rejects(report: &TableReport) -> Markup {
    if report.rejected.is_empty() {
        return html! { p { "None: every line is a record, a header or blank." } };
    }
    let most = report.rejected.first().map_or(0, |rejected| rejected.count);
    html! {
        (wide("Rejected lines by reason", html! {
            table {
                thead { tr {
                    th scope="col" { "Reason" }
                    th.number scope="col" { "Lines" }
                    th.wide scope="col" { span.hidden { "Share of the first" } }
                } }
                tbody { @for rejected in &report.rejected { tr {
                    th scope="row" { (shown(&rejected.reason)) }
                    (number(count(rejected.count)))
                    td { (bar(share(rejected.count, most), "refused")) }
                } } }
            }
        }))
        @for rejected in report.rejected.iter().filter(|rejected| !rejected.examples.is_empty()) {
            details {
                summary { "Examples of " (shown(&rejected.reason)) }
                @for example in &rejected.examples {
                    dl.example {
                        dt { bdi { (shown(&example.object)) } ", line " (count(example.line)) }
                        dd { (shown(&example.detail)) @if let Some(field) = &example.field { " (" (shown(field)) ")" } }
                        dd { code { (shown(&example.raw)) } }
                    }
                }
            }
        }
    }
}

pub(crate) fn formats(report: &TableReport, name_of: &dyn Fn(&str) -> String) -> Markup {
    let first = report.formats.iter().filter_map(|span| span.first_s).min();
    let last = report.formats.iter().filter_map(|span| span.last_s).max();
    let place = |at: Option<i64>| match (first, last, at) {
        (Some(first), Some(last), Some(at)) if last > first => (at - first) as f64 / (last - first) as f64,
        _ => 0.0,
    };
    wide(
        "Log formats over time",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Format" }
                    th.number scope="col" { "Files" }
                    th.number scope="col" { "Records" }
                    th.number scope="col" { "Bytes" }
                    th scope="col" { "From" }
                    th scope="col" { "To" }
                    th.wide scope="col" { span.hidden { "Span" } }
                } }
                tbody { @for of in &report.formats { tr {
                    th scope="row" { bdi { (shown(&name_of(&of.format))) } }
                    (number(count(of.files)))
                    (number(count(of.rows)))
                    (number(bytes(of.bytes)))
                    td { (of.first_s.map_or_else(String::new, day)) }
                    td { (of.last_s.map_or_else(String::new, day)) }
                    td { (span(place(of.first_s), place(of.last_s))) }
                } } }
            }
        },
    )
}

pub(crate) fn cost(report: &TableReport) -> Markup {
    let cost = &report.cost;
    let most = cost.columns.first().map_or(0, |column| column.bytes);
    html! {
        (wide("Bytes by column", html! {
            table {
                thead { tr {
                    th scope="col" { "Column" }
                    th.number scope="col" { "Share" }
                    th.number scope="col" { "Bytes" }
                    th.number scope="col" { "Uncompressed" }
                    th.number scope="col" { "Table without it" }
                    th.wide scope="col" { span.hidden { "Share of the first" } }
                } }
                tbody {
                    @for column in &cost.columns { tr {
                        th scope="row" { bdi { (shown(&column.name)) } }
                        (number(percent(cost.share(column))))
                        (number(bytes(column.bytes)))
                        (number(bytes(column.uncompressed_bytes)))
                        (number(bytes(cost.bytes.saturating_sub(column.bytes))))
                        td { (bar(share(column.bytes, most), "accepted")) }
                    } }
                    tr {
                        th scope="row" { "footers and page indexes" }
                        (number(percent(share(cost.other_bytes, cost.bytes))))
                        (number(bytes(cost.other_bytes)))
                        td {} td {} td {}
                    }
                }
            }
        }))
        @for same in &cost.same {
            @let often = share(same.same, same.rows);
            @if often >= MOSTLY {
                p {
                    code { (shown(&same.column)) } " equals " code { (shown(&same.other)) } " in " (percent(often)) " of "
                    (counted(same.rows, "row")) " looked at: leaving it out (" code { "--columns" } ") saves "
                    (percent(cost.columns.iter().find(|c| c.name == same.column).map_or(0.0, |c| cost.share(c)))) "."
                }
            }
        }
    }
}
