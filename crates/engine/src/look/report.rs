//! All that a page tells of a table.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_store::Store;
use serde::Serialize;

use super::cost::{Cost, CostSum, same};
use super::count::{TALLIED, counted_by, key_of, keyed, parted};
use super::filter::RecordFilter;
use super::groups::{Forgotten, Groups, Order, Part, Tally};
use super::history::{Coverage, FormatSpan, History, Rejected, Sizes};
use super::scan::{Group, Reading, Scan, with_log};
use super::timeline::{Timeline, Traffic, TrafficAt, flows_of};
use super::top::{TopRow, without_doubles};
use crate::error::Error;
use crate::events::Observer;

/// Rows of a table on the page.
const ROWS: usize = 20;

/// What is reported on.
#[derive(Debug)]
pub struct ReportRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Which records are counted; what is told of files, deliveries and rejects is of all.
    pub filter: RecordFilter,
    /// Threads.
    pub workers: usize,
}

/// All that a page tells of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableReport {
    /// URL of the table.
    pub url: String,
    /// Partition columns.
    pub partition_by: String,
    /// What became of the raw logs.
    pub sizes: Sizes,
    /// All flows that were counted.
    pub total: Tally,
    /// The first and the last hour of them, in Unix seconds.
    pub range: Option<(i64, i64)>,
    /// Seconds of each of `times`.
    pub step_s: i64,
    /// Traffic over time.
    pub times: Vec<TrafficAt>,
    /// Traffic by day of UTC.
    pub days: Vec<TrafficAt>,
    /// Records without a time between 2000 and 2100.
    pub timeless: Traffic,
    /// Sources, by bytes.
    pub sources: Vec<TopRow>,
    /// Targets, by bytes.
    pub targets: Vec<TopRow>,
    /// Sources, by their different targets.
    pub scanners: Vec<TopRow>,
    /// Protocols and destination ports of refused flows, by flows.
    pub refused_ports: Vec<TopRow>,
    /// Different sources; those that were forgotten count each time they were.
    pub source_count: u64,
    /// Sources, targets or ports that were forgotten, since there were too many.
    pub forgotten: Forgotten,
    /// Deliveries by flow log.
    pub flow_logs: Vec<Coverage>,
    /// Objects of flow logs past those that are told apart.
    pub other_objects: u64,
    /// Rejected lines by reason.
    pub rejected: Vec<Rejected>,
    /// Log formats over time.
    pub formats: Vec<FormatSpan>,
    /// What columns take.
    pub cost: Cost,
    /// How much was read.
    pub reading: Reading,
}

/// What a row group comes to.
struct Counted {
    timeline: Timeline,
    total: Tally,
    sources: Part,
    scanners: Part,
    targets: Part,
    ports: Part,
}

/// The rows among those that are wanted whose action is `REJECT`.
fn refused_of(group: &Group<'_>, flows: &[bool]) -> Vec<bool> {
    let actions = group.columns.text("action");
    let refused = key_of(actions, "REJECT");
    let is_refused = |row: usize| refused.is_some() && actions.map(|actions| actions.keys[row]) == refused;
    flows.iter().enumerate().map(|(row, is_flow)| *is_flow && is_refused(row)).collect()
}

fn count(group: &Group<'_>) -> Counted {
    let timeline = Timeline::of(group, group.file.options.partition_time.field());
    let flows = group.among(flows_of(group));
    let by = |group: &Group<'_>, by: &[&str], other| {
        let (keys, values) = keyed(group, by);
        counted_by(group, &keys, values, other)
    };
    let (scanners, _) = by(&flows, &["srcaddr"], Some("dstaddr"));
    let (targets, _) = by(&flows, &["dstaddr"], Some("srcaddr"));
    let refused = group.among(refused_of(group, flows.wanted.as_deref().unwrap_or_default()));
    let (ports, _) = by(&refused, &["protocol", "dstport"], Some("srcaddr"));
    // Flows without a source are flows too.
    let all = vec![0; group.columns.rows];
    let (_, total) = counted_by(&flows, &all, vec![Box::default()], None);
    Counted { timeline, total, sources: scanners.without_others(), scanners, targets, ports }
}

/// Reports on a table. Nothing is written.
///
/// # Errors
/// As stores report.
pub fn report_on(
    request: &ReportRequest,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<TableReport, Error> {
    let own = ["srcaddr", "dstaddr", "dstport", "protocol", "log_status"];
    with_log(&request.out, |log| {
        let history = History::read(log)?;
        let names: Vec<&str> = own.into_iter().chain(TALLIED).collect();
        let scan = Scan {
            out: request.out.as_ref(),
            filter: &request.filter,
            names: &without_doubles(&names),
            workers: request.workers,
            observer,
            stop,
        };
        let mut costs = CostSum::default();
        scan.footers(log, |file, footer| costs.add(file, footer))?;
        let cost = costs.finish(same(&scan, log)?);
        let (mut timeline, mut total) = (Timeline::default(), Tally::default());
        let [mut sources, mut scanners, mut targets, mut ports] =
            [Order::Bytes, Order::Targets, Order::Bytes, Order::Flows].map(Groups::new);
        let reading = scan.run(log, count, |counted| {
            let mut parts: [Vec<Part>; 4] = Default::default();
            for one in counted {
                timeline.add(&one.timeline);
                total.add(&one.total);
                let own = [one.sources, one.scanners, one.targets, one.ports];
                parts.iter_mut().zip(own).for_each(|(all, part)| all.push(part));
            }
            let groups = [&mut sources, &mut scanners, &mut targets, &mut ports];
            groups.into_iter().zip(parts).for_each(|(groups, parts)| groups.add(parts));
        })?;
        let rows = |groups: &Groups, order| {
            let rows = groups.top(order, ROWS).into_iter().map(|row| TopRow {
                values: parted(&row.value),
                tally: row.tally,
                targets: row.others,
                targets_estimated: row.is_estimated,
            });
            rows.collect()
        };
        let all = [&sources, &scanners, &targets, &ports];
        let forgotten = Forgotten {
            values: all.iter().map(|groups| groups.forgotten().values).sum(),
            most: all.iter().map(|groups| groups.forgotten().most).max().unwrap_or(0),
        };
        let (step_s, times) = timeline.times();
        Ok(TableReport {
            url: request.out.url(""),
            partition_by: log.state().contract().partition_by.to_string(),
            sizes: history.sizes,
            total,
            range: timeline.range(),
            step_s,
            times,
            days: timeline.days(),
            timeless: timeline.timeless,
            sources: rows(&sources, Order::Bytes),
            targets: rows(&targets, Order::Bytes),
            scanners: rows(&scanners, Order::Targets),
            refused_ports: rows(&ports, Order::Flows),
            source_count: sources.len() + sources.forgotten().values,
            forgotten,
            flow_logs: history.flow_logs,
            other_objects: history.other_objects,
            rejected: history.rejected,
            formats: history.formats,
            cost,
            reading,
        })
    })
}
