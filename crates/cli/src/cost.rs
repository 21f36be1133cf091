//! `flowquet cost`: what each column takes, and what leaving it out saves.

use std::fmt::Write as _;

use flowquet_command::machine::threads;
use flowquet_engine::{ColumnCost, Cost, Error, FormatCost, Same, cost, cost_of_layout, named_object};
use flowquet_format::{Catalogue, LogFormat, name_of_format};
use flowquet_parquet::{RowReader, RowsError};
use flowquet_sources::SourceSet;
use indicatif::{HumanBytes, HumanCount};

use crate::args::CostArgs;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::output::{Failure, counted, put, shown};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::resources::look_threads;
use crate::signals::{listen_for_signals, stop};
use crate::text_table::{plain_table, table_text};

/// Columns that are named one by one for each log format.
const NAMED: usize = 5;

/// The share of rows that has to be the same for leaving a column out to be proposed.
const MOSTLY: f64 = 0.9;

pub(crate) fn run(args: &CostArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let found = match of_file(args)? {
        Some(found) => found,
        None => {
            let out = table_store(&args.s3.stores(), &args.table);
            let workers = look_threads(threads(args.threads), args.table.is_s3());
            let reporter = Reporter::new(Work::Verifying, !has_bar(), has_bar());
            let found = cost(&out, workers, &reporter, stop());
            reporter.finish();
            found.map_err(|e| engine_failure(&e))?
        }
    };
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&found).expect("plain values with text keys")))?;
    } else {
        put(&text(&found))?;
    }
    Ok(Exit::Success)
}

/// Of a single file; `None` where a folder or prefix is named.
fn of_file(args: &CostArgs) -> Result<Option<Cost>, Failure> {
    let sources = SourceSet::new(args.s3.stores());
    let object = match named_object(&sources, &args.table) {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(None),
        Err(error) => return Err(engine_failure(&error)),
    };
    let reader = RowReader::open(object.bytes, &|range| sources.range(&object, range));
    let reader = reader.map_err(|error| match error {
        RowsError::Other(error) => engine_failure(&Error::from(error)),
        RowsError::File(what) => Failure::message(
            Exit::Failed,
            &format!("read `{}`: {}", args.table, shown(&what)),
            Some("give a table, or a Parquet file"),
        ),
    })?;
    Ok(Some(cost_of_layout(&reader.layout(), object.bytes)))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn text(cost: &Cost) -> String {
    let mut table = plain_table(&["COLUMN", "SHARE", "BYTES", "UNCOMPRESSED", "A ROW", "WITHOUT IT"]);
    let a_row = |bytes: u64| format!("{:.2} B", bytes as f64 / cost.rows.max(1) as f64);
    for column in &cost.columns {
        table.add_row([
            shown(&column.name).into_owned(),
            percent(cost.share(column)),
            HumanBytes(column.bytes).to_string(),
            HumanBytes(column.uncompressed_bytes).to_string(),
            a_row(column.bytes),
            HumanBytes(cost.bytes - column.bytes.min(cost.bytes)).to_string(),
        ]);
    }
    let mut text = if cost.columns.is_empty() { String::new() } else { table_text(&table) };
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes all");
    line(format!(
        "{} in {}, {}: {} a row; footers and page indexes {}",
        counted(cost.rows, "row"),
        counted(cost.files, "file"),
        HumanBytes(cost.bytes),
        a_row(cost.bytes),
        HumanBytes(cost.other_bytes),
    ));
    if cost.formats.len() > 1 {
        cost.formats.iter().for_each(|format| line(of_format(format)));
    }
    cost.same.iter().filter_map(|same| of_same(cost, same)).for_each(line);
    text
}

/// The name that AWS's default formats have, or the format itself.
pub(crate) fn format_name(text: &str) -> String {
    let format = LogFormat::parse(text, Catalogue::builtin());
    let name = format.ok().and_then(|format| name_of_format(&format, Catalogue::builtin()));
    let fields = text.split_whitespace().count();
    match name {
        Some(name) => format!("{name} ({})", counted(fields as u64, "field")),
        None => format!("{} {}", counted(fields as u64, "field"), shown(text)),
    }
}

fn of_format(format: &FormatCost) -> String {
    let share = |column: &ColumnCost| percent(column.bytes as f64 / format.bytes.max(1) as f64);
    let dear = format.columns.iter().filter(|column| column.bytes > 0).take(NAMED);
    let dear: Vec<String> = dear.map(|c| format!("{} {}", shown(&c.name), share(c))).collect();
    format!(
        "{}: {}, {}, {:.2} B a row; {}",
        format_name(&format.format),
        counted(format.rows, "row"),
        HumanBytes(format.bytes),
        format.bytes as f64 / format.rows.max(1) as f64,
        dear.join(", "),
    )
}

fn of_same(cost: &Cost, same: &Same) -> Option<String> {
    let share = same.same as f64 / same.rows.max(1) as f64;
    let column = cost.columns.iter().find(|c| c.name == same.column).filter(|_| share >= MOSTLY)?;
    Some(format!(
        "{} equals {} in {} of {} looked at: leaving it out (--columns) saves {}",
        same.column,
        same.other,
        percent(share),
        HumanCount(same.rows).to_string() + " rows",
        percent(cost.share(column)),
    ))
}
