//! A look at a table as one page of HTML: no server, no script, nothing from elsewhere.
//!
//! This crate knows no stores, no Parquet, no clock and no command line: it is given a [`TableReport`] and returns text.
//!
//! Names, fields and lines in a report are chosen by others. They are put into the page by `maud`, which escapes whatever is put in, and
//! the page forbids all scripts, and styles other than its own by their digest, so that nothing that a value says is ever run. Charts are
//! SVG made in the same way: their colours are classes, which a style has for light, dark and paper. Each stands beside its numbers.
//!
//! ```
//! use flowquet_page::{PageFacts, page};
//!
//! let facts = PageFacts { made_at: "2024-01-15T10:31:40Z", made_by: "flowquet 1", name_of_format: &|text| text.to_owned() };
//! let text = page(&flowquet_engine::TableReport::default(), &facts);
//! assert!(text.starts_with("<!DOCTYPE html>") && !text.contains("<script"));
//! ```

mod calendar;
mod chart;
mod tables;
mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowquet_engine::{TableReport, TrafficAt};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::chart::{Stacked, stacked};
use crate::words::{bytes, count, counted, length, minute, percent, share, short, short_bytes, shown};

/// Colours and sizes. Nothing in it comes from a table.
const STYLE: &str = include_str!("style.css");

/// What a page says of itself.
pub struct PageFacts<'a> {
    /// When it was made.
    pub made_at: &'a str,
    /// By which program.
    pub made_by: &'a str,
    /// What a log format is called.
    pub name_of_format: &'a dyn Fn(&str) -> String,
}

impl std::fmt::Debug for PageFacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageFacts").field("made_at", &self.made_at).finish()
    }
}

/// Nothing is loaded and nothing is run, whatever values say.
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")
}

/// Sections: a place on the page, and what it is called.
const SECTIONS: [(&str, &str); 9] = [
    ("time", "Over time"),
    ("talkers", "Top talkers"),
    ("refused", "Ports refused"),
    ("scanners", "Scanners"),
    ("coverage", "Coverage"),
    ("rejects", "Rejected lines"),
    ("formats", "Log formats"),
    ("columns", "Bytes by column"),
    ("files", "Files"),
];

/// The page of a report.
pub fn page(report: &TableReport, facts: &PageFacts<'_>) -> String {
    let title = format!("Flow logs in {}", shown(&report.url));
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content=(facts.made_by);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip-link href="#main" { "Skip to the content" }
                header {
                    h1 { (title) }
                    p {
                        @match report.range {
                            Some((first, last)) => { "Records from " (minute(first)) " to " (minute(last + 3_600)) " UTC." }
                            None => { "No records with a time." }
                        }
                        " Made " (facts.made_at) " by " (facts.made_by) "."
                    }
                    nav aria-label="Sections" { ul {
                        @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (name) } } }
                    } }
                }
                main id="main" {
                    (tiles(report))
                    (notes(report))
                    @for (id, name) in SECTIONS {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (name) }
                            (section(id, report, facts))
                        }
                    }
                }
                footer {
                    p {
                        "A flow is a record that is neither NODATA nor SKIPDATA. Times are UTC, and those that the table is partitioned by. "
                        "Read: columns of " (count(report.reading.files_read)) " of " (counted(report.reading.files, "file")) ", "
                        (bytes(report.reading.bytes_read)) " of " (bytes(report.reading.bytes)) "."
                    }
                }
            }
        }
    };
    markup.into_string()
}

fn section(id: &str, report: &TableReport, facts: &PageFacts<'_>) -> Markup {
    match id {
        "time" => over_time(report),
        "talkers" => tables::talkers(report),
        "refused" => html! {
            p.soft { "Destination ports of flows that were refused, by flows." }
            (tables::ports(report))
        },
        "scanners" => html! {
            p.soft { "Sources by how many different addresses they sent to. One that is refused by most of many targets is looking for something." }
            (tables::scanners(report))
        },
        "coverage" => html! {
            h3 { "Calendar" }
            (calendar::calendar(&calendar::days_of(report)))
            h3 { "Deliveries by flow log" }
            (tables::flow_logs(report))
        },
        "rejects" => tables::rejects(report),
        "formats" => tables::formats(report, facts.name_of_format),
        "columns" => html! {
            p.soft { "What leaving a column out of a conversion (" code { "--columns" } ") would save." }
            (tables::cost(report))
        },
        _ => files(report),
    }
}

/// A figure at the top: what it is, and what it says besides.
fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) @if !more.is_empty() { small { (more) } } } } }
}

fn tiles(report: &TableReport) -> Markup {
    let (sizes, total) = (&report.sizes, &report.total);
    let gaps: u64 = report.flow_logs.iter().map(|log| log.gap_count).sum();
    let skipdata = report.days.iter().map(|at| at.traffic.skipdata).sum::<u64>() + report.timeless.skipdata;
    let gap_logs = report.flow_logs.iter().filter(|log| log.gap_count > 0).count() as u64;
    html! {
        dl.tiles {
            (tile("Flows", &count(total.flows), &format!("from {}", counted(report.source_count, "source"))))
            (tile("Bytes in flows", &bytes(total.bytes), &counted(total.packets, "packet")))
            (tile("Refused", &percent(share(total.refused, total.flows)), &counted(total.refused, "flow")))
            (tile("Gaps", &count(gaps), &format!("in {}", counted(gap_logs, "flow log"))))
            (tile("SKIPDATA", &count(skipdata), "each marks records that AWS skipped"))
            (tile("Rejected lines", &count(sizes.rejects), &format!("of {}", counted(sizes.lines, "line"))))
            (tile("Raw logs", &bytes(sizes.delivered_bytes), &format!("{}, {} of text", counted(sizes.objects, "object"), bytes(sizes.text_bytes))))
            (tile("Table", &bytes(sizes.file_bytes), &format!("{} of the raw logs", percent(share(sizes.file_bytes, sizes.delivered_bytes)))))
        }
    }
}

fn notes(report: &TableReport) -> Markup {
    let sizes = &report.sizes;
    let mut notes: Vec<String> = Vec::new();
    if sizes.unreadable > 0 {
        notes.push(format!(
            "{} unreadable and not in the table; `flowquet status` names them.",
            counted_is(sizes.unreadable, "object")
        ));
    }
    if sizes.lost_records > 0 {
        notes.push(format!(
            "{} lost with files whose loss was accepted; `flowquet status` says when and why.",
            counted_is(sizes.lost_records, "record")
        ));
    }
    if sizes.unfinished > 0 {
        notes.push(format!(
            "{} not finished: a run is in progress or was interrupted.",
            counted_is(sizes.unfinished, "task")
        ));
    }
    let timeless = report.timeless.flows();
    if timeless > 0 {
        notes.push(format!(
            "{} without a time between 2000 and 2100: counted in totals, not in charts over time.",
            counted(timeless, "flow")
        ));
    }
    if report.reading.timeless > 0 {
        notes.push(format!(
            "{} left out: no time between 2000 and 2100.",
            counted_is(report.reading.timeless, "flow")
        ));
    }
    if report.forgotten.values > 0 {
        notes.push(format!(
            "Too many distinct values to count all exactly: counts of sources, targets and ports may be up to {} too low.",
            count(report.forgotten.most)
        ));
    }
    let lists = [&report.scanners, &report.targets, &report.refused_ports];
    if lists.into_iter().flatten().any(|row| row.targets_estimated) {
        notes.push("Numbers with \u{201c}about\u{201d} are estimated, within about 3 %.".to_owned());
    }
    html! { @for note in notes { p.note { (note) } } }
}

/// `1 object is`, `2 objects are`.
fn counted_is(n: u64, noun: &str) -> String {
    format!("{} {}", counted(n, noun), if n == 1 { "is" } else { "are" })
}

fn over_time(report: &TableReport) -> Markup {
    if report.times.is_empty() {
        return html! { p { "No records with a time." } };
    }
    let values =
        |of: &dyn Fn(&TrafficAt) -> [u64; 3]| report.times.iter().map(|at| (at.start_s, of(at))).collect();
    let busiest = |of: &dyn Fn(&TrafficAt) -> u64| {
        report.times.iter().max_by_key(|at| of(at)).map_or(0, |at| at.start_s)
    };
    let each = format!("Each bar is {}.", length(report.step_s));
    let flows = Stacked {
        id: "flows",
        title: "Flows over time, accepted and refused",
        description: &format!(
            "{} in all; most from {}. {each}",
            counted(report.total.flows, "flow"),
            minute(busiest(&|at| at.traffic.flows()))
        ),
        times: values(&|at| [at.traffic.accepted_flows, at.traffic.refused_flows, at.traffic.other_flows]),
        step_s: report.step_s,
        words: |n| counted(n, "flow"),
        mark: short,
        is_binary: false,
    };
    let traffic = Stacked {
        id: "bytes",
        title: "Bytes over time, accepted and refused",
        description: &format!(
            "{} in all; most from {}. {each}",
            bytes(report.total.bytes),
            minute(busiest(&|at| at.traffic.bytes()))
        ),
        times: values(&|at| [at.traffic.accepted_bytes, at.traffic.refused_bytes, at.traffic.other_bytes]),
        step_s: report.step_s,
        words: bytes,
        mark: short_bytes,
        is_binary: true,
    };
    html! {
        @for (chart, name) in [(&flows, "Flows"), (&traffic, "Bytes")] {
            figure {
                figcaption { h3 { (name) } p.soft { (chart.description) } }
                div.scroll tabindex="0" role="region" aria-label={ (name) " over time" } { (stacked(chart)) }
            }
        }
        details {
            summary { "The same in numbers" }
            (tables::times(report))
        }
    }
}

fn files(report: &TableReport) -> Markup {
    let (sizes, cost) = (&report.sizes, &report.cost);
    let a_group = cost.rows.checked_div(cost.row_groups).unwrap_or(0);
    html! {
        p {
            (counted(sizes.files, "file")) " in " (counted(sizes.partitions, "partition")) ", partitioned by " (shown(&report.partition_by)) ": "
            "the smallest " (bytes(sizes.smallest_file_bytes)) ", the median " (bytes(sizes.median_file_bytes)) ", the largest "
            (bytes(sizes.largest_file_bytes)) ". " (counted(cost.row_groups, "row group")) " of " (count(a_group)) " rows on average."
        }
        p {
            (count(sizes.records)) " records of " (counted(sizes.objects, "object")) ": " (bytes(sizes.delivered_bytes)) " as delivered, "
            (bytes(sizes.text_bytes)) " of text, " (bytes(sizes.file_bytes)) " in the table."
        }
    }
}

#[cfg(test)]
mod tests;
