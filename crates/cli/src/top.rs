//! `flowquet top`: who talks most.

use std::fmt::Write as _;

use flowquet_command::machine::threads;
use flowquet_engine::{Order, Top, TopRequest, TopRow, top};
use indicatif::{HumanBytes, HumanCount};

use crate::args::TopArgs;
use crate::clock::time_text;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::output::{Failure, counted, put, shown};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::resources::look_threads;
use crate::signals::{listen_for_signals, stop};
use crate::text_table::{plain_table, table_text};

/// Characters of the longest bar.
const BAR: usize = 22;

pub(crate) fn run(args: &TopArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let request = TopRequest {
        out: table_store(&args.s3.stores(), &args.table),
        filter: args.filter.filter()?,
        by: args.by.clone(),
        order: args.order.order(),
        rows: args.limit as usize,
        workers: look_threads(threads(args.threads), args.table.is_s3()),
    };
    let reporter = Reporter::new(Work::Verifying, !has_bar(), has_bar());
    let found = top(&request, &reporter, stop());
    reporter.finish();
    let found = found.map_err(|e| engine_failure(&e))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&found).expect("plain values with text keys")))?;
    } else {
        put(&text(&found))?;
    }
    Ok(Exit::Success)
}

/// What a column is called at the head of its values, and of one and several of them.
fn heading(column: &str) -> (String, String) {
    let (head, noun) = match column {
        "srcaddr" => ("SOURCE", "source"),
        "dstaddr" => ("TARGET", "target"),
        "dstport" => ("PORT", "port"),
        _ => return (column.to_uppercase(), "value".to_owned()),
    };
    (head.to_owned(), noun.to_owned())
}

fn measure(order: Order, row: &TopRow) -> u64 {
    match order {
        Order::Bytes => row.tally.bytes,
        Order::Flows => row.tally.flows,
        Order::Packets => row.tally.packets,
        Order::Targets => row.targets,
    }
}

/// `2026-11-21 23:50`.
fn minute(at: Option<i64>) -> String {
    let text = at.map(time_text).unwrap_or_default();
    text.get(..16).map_or_else(|| "-".to_owned(), |t| t.replace('T', " "))
}

fn text(top: &Top) -> String {
    let mut heads: Vec<String> = top.by.iter().map(|column| heading(column).0).collect();
    heads.extend(["FLOWS", "REFUSED", "BYTES"].map(str::to_owned));
    if top.order == Order::Packets {
        heads.push("PACKETS".to_owned());
    }
    heads.extend(top.other.map(|other| format!("{}S", heading(other).0)));
    heads.extend(["FIRST", "LAST", ""].map(str::to_owned));
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = plain_table(&heads);
    let most = top.rows.first().map_or(0, |row| measure(top.order, row));
    for row in &top.rows {
        let mut cells: Vec<String> = row.values.iter().map(|value| shown(value).into_owned()).collect();
        cells.push(HumanCount(row.tally.flows).to_string());
        cells.push(HumanCount(row.tally.refused).to_string());
        cells.push(HumanBytes(row.tally.bytes).to_string());
        if top.order == Order::Packets {
            cells.push(HumanCount(row.tally.packets).to_string());
        }
        if top.other.is_some() {
            let about = if row.targets_estimated { "~" } else { "" };
            cells.push(format!("{about}{}", HumanCount(row.targets)));
        }
        cells.extend([minute(row.tally.first_s), minute(row.tally.last_s)]);
        let length = (measure(top.order, row) as f64 / most.max(1) as f64 * BAR as f64).round() as usize;
        cells.push("█".repeat(length.max(usize::from(most > 0 && measure(top.order, row) > 0))));
        table.add_row(cells);
    }
    let mut text = if top.rows.is_empty() { String::new() } else { table_text(&table) };
    let noun = match top.by.as_slice() {
        [column] => heading(column).1,
        _ => "combination".to_owned(),
    };
    let reading = &top.reading;
    writeln!(
        text,
        "{} in all, {}, {}; columns of {} of {} read, {}",
        counted(top.groups, &noun),
        counted(top.total.flows, "flow"),
        HumanBytes(top.total.bytes),
        HumanCount(reading.files_read),
        counted(reading.files, "file"),
        HumanBytes(reading.bytes_read),
    )
    .expect("a string takes all");
    if reading.timeless > 0 {
        let left_out = counted(reading.timeless, "flow");
        writeln!(text, "note: left out {left_out} whose time is not between 2000 and 2100; leave out --since and --until to count all")
            .expect("a string takes all");
    }
    if top.forgotten.values > 0 {
        let what = match top.order {
            Order::Bytes => "bytes",
            Order::Flows => "flows",
            Order::Packets => "packets",
            Order::Targets => "targets",
        };
        writeln!(
            text,
            "note: too many distinct values: each count may be up to {} {what} too low, and the number of values is an overestimate; \
             choose fewer records with --since, --port, --src or --dst",
            HumanCount(top.forgotten.most)
        )
        .expect("a string takes all");
    }
    if top.rows.iter().any(|row| row.targets_estimated) {
        text.push_str("note: numbers with a ~ are estimated, within about 3 %\n");
    }
    text
}
