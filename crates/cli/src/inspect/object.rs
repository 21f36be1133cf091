//! One object in words.

use std::fmt::Write as _;

use flowquet_engine::{Found, Lines, ToldBy};
use flowquet_format::{
    Catalogue, FieldKind, LogFormat, ObjectKey, name_of_format, normalised_column, utc_text,
};
use flowquet_input::{Compression, Framing};
use flowquet_parquet::FileLayout;
use flowquet_table::Cause;
use indicatif::{HumanBytes, HumanCount};

use crate::inspect::{Inspector, Object};
use crate::output::{counted, parts_of_lines};
use crate::terminal::{Column, shortened, table, table_width, width};

/// Rejects that the text shows.
const REJECTS_SHOWN: usize = 3;

/// Characters of a bound of a column that are shown.
const BOUND_CHARS: usize = 40;

/// Where Arrow's writers put a schema of their own: bytes, which tell a reader of this text nothing.
pub(super) const ARROW_SCHEMA: &str = "ARROW:schema";

/// Where our own files have the log format of their records.
const LOG_FORMAT: &str = "flowquet.log_format";

pub(super) fn text(object: &Object, inspector: &Inspector<'_>) -> String {
    let (look, catalogue) = (&object.look, &inspector.formats.catalogue);
    let mut text = format!("{}\n", object.name);
    let mut row =
        |name: &str, value: &str| writeln!(text, "  {name:<12} {value}").expect("a string takes all");
    let what = match &look.found {
        Found::Log(_) => "flow log",
        Found::Nothing if look.shape.framing == Some(Framing::Marker) => {
            "CloudWatch's permission check, no lines"
        }
        Found::Nothing => "nothing in it but blanks",
        Found::NotConverted(Cause::NoHeader(_)) => "lines of a format that is not known",
        Found::NotConverted(_) => "not a flow log that can be converted",
    };
    let what = if object.bytes == Some(0) { "empty file" } else { what };
    let mut kind = vec![what.to_owned()];
    match (look.shape.compression, look.shape.framing) {
        (Some(Compression::Parquet), _) => kind.insert(0, "Parquet".to_owned()),
        (Some(compression), framing) if object.bytes != Some(0) => {
            kind.extend(framing.filter(|f| *f != Framing::Lines).map(|f| f.name().to_owned()));
            kind.push(compression.name().to_owned());
        }
        _ => {}
    }
    kind.extend(object.bytes.map(|bytes| HumanBytes(bytes).to_string()));
    row("kind", &kind.join(", "));
    for (name, value) in told_by_key(&object.key) {
        row(name, &value);
    }
    if let Some(damage) = &look.damage {
        row("damaged", damage);
    }
    match &look.found {
        Found::Log(lines) => {
            for (name, value) in of_lines(lines, look.layout.as_ref(), catalogue) {
                row(name, &value);
            }
        }
        Found::NotConverted(Cause::NoHeader(first)) => {
            row("log format", "not known: no header line, and the values of the lines fit no default format");
            row("", "give it as the flow log has it: --format '${version} ${account-id} …'");
            row("first line", first);
        }
        Found::NotConverted(cause) if look.damage.is_none() => row("because", &cause.to_string()),
        Found::NotConverted(_) | Found::Nothing => {}
    }
    let mut tables = String::new();
    if let Some(layout) = &look.layout {
        for (name, value) in of_layout(layout) {
            row(name, &value);
        }
        tables.push_str(&format!("\n{}", columns_text(layout, inspector)));
    }
    if let Found::Log(lines) = &look.found
        && !lines.records.is_empty()
        && let Some(format) = lines.formats.first()
    {
        tables.push_str(&format!("\n{}", records_text(format, lines, inspector)));
    }
    text.push_str(&tables);
    text
}

/// What a key tells, as rows.
fn told_by_key(key: &ObjectKey) -> Vec<(&'static str, String)> {
    let names = ["account", "region", "flow log", "delivered"];
    let values = [key.account.clone(), key.region.clone(), key.flow_log_id.clone(), delivered(key)];
    names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// When an object was delivered, as far as its key tells.
pub(super) fn delivered(key: &ObjectKey) -> Option<String> {
    let delivery = key.delivery?;
    let time = utc_text(delivery.unix_s)?;
    Some(if delivery.has_hour { time } else { time[..10].to_owned() })
}

fn of_lines(
    lines: &Lines,
    layout: Option<&FileLayout>,
    catalogue: &Catalogue,
) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let is_ours = layout.is_some_and(|layout| layout.metadata.iter().any(|(key, _)| key == LOG_FORMAT));
    let told = match lines.told_by {
        ToldBy::Columns if is_ours => {
            "from its columns, those of all log formats of its table; flowquet.log_format below is that of its records"
        }
        ToldBy::Columns => "from its columns",
        ToldBy::Given => "as given by --format",
        ToldBy::Guess => "a guess by the kinds of values, no header line: give it to convert as --format",
        ToldBy::Header => "from its header line",
    };
    for (i, format) in lines.formats.iter().enumerate() {
        let told = if i == 0 { told } else { "from another header line" };
        rows.push(("log format", format!("{}, {told}", counted(format.fields().len() as u64, "field"))));
        rows.push(("", described(format, catalogue)));
        rows.extend(format.warnings(catalogue).into_iter().map(|warning| ("warning", warning)));
    }
    // Of a Parquet file only the rows that are shown were read.
    if layout.is_none() {
        let c = &lines.counts;
        let of = if lines.is_whole {
            String::new()
        } else {
            format!(" in the first {}", HumanBytes(lines.text_bytes))
        };
        rows.push(("lines", format!("{}{of} = {}", HumanCount(c.lines), parts_of_lines(c))));
        if !lines.statuses.is_empty() {
            let by = lines.statuses.iter().map(|(word, n)| format!("{} {word}", HumanCount(*n)));
            rows.push(("log-status", by.collect::<Vec<_>>().join(", ")));
        }
        let times = lines.times.and_then(|(first, last)| Some((utc_text(first)?, utc_text(last)?)));
        rows.extend(times.map(|(first, last)| ("times", format!("{first} to {last}"))));
    }
    let rejects = lines.rejects.iter().take(REJECTS_SHOWN);
    rows.extend(rejects.map(|r| ("reject", format!("line {}: {}", HumanCount(r.line), r.detail))));
    rows
}

/// A format by its name, if it has one, and as AWS has it.
fn described(format: &LogFormat, catalogue: &Catalogue) -> String {
    match name_of_format(format, catalogue) {
        Some(name) => format!("{name} (a default): {format}"),
        None => format.to_string(),
    }
}

fn of_layout(layout: &FileLayout) -> Vec<(&'static str, String)> {
    let groups: Vec<String> = layout.row_groups.iter().map(|r| HumanCount(*r as u64).to_string()).collect();
    let count = counted(groups.len() as u64, "row group");
    let mut rows = vec![
        ("written by", layout.created_by.clone()),
        ("rows", format!("{} in {count}", HumanCount(layout.rows as u64))),
    ];
    if groups.len() > 1 {
        rows.push(("row groups", groups.join(" + ")));
    }
    rows.extend(layout.metadata.iter().map(|(key, value)| {
        let is_text = key != ARROW_SCHEMA;
        let value = if is_text {
            value.clone()
        } else {
            format!("{}, not shown", counted(value.len() as u64, "byte"))
        };
        ("metadata", format!("{key} = {value}"))
    }));
    rows
}

/// The columns of a Parquet file, those that --columns names.
fn columns_text(layout: &FileLayout, inspector: &Inspector<'_>) -> String {
    let all: i64 = layout.columns.iter().map(|c| c.compressed_bytes).sum();
    let shown = layout.columns.iter().filter(|c| inspector.shows(&c.name)).collect::<Vec<_>>();
    let bound = |bound: &Option<String>| shortened(bound.as_deref().unwrap_or(""), BOUND_CHARS);
    let of =
        |cell: &dyn Fn(&flowquet_parquet::ColumnLayout) -> String| shown.iter().map(|c| cell(c)).collect();
    let columns = vec![
        Column::text("COLUMN", of(&|c| c.name.clone())),
        Column::text("TYPE", of(&|c| c.physical_type.clone())),
        Column::text("CODEC", of(&|c| c.compression.clone())),
        Column::text("ENCODINGS", of(&|c| c.encodings.join(" "))),
        Column::number("COMPRESSED", of(&|c| HumanCount(c.compressed_bytes as u64).to_string())),
        Column::number(
            "SHARE",
            of(&|c| format!("{:.1} %", 100.0 * c.compressed_bytes as f64 / all.max(1) as f64)),
        ),
        Column::number("UNCOMPRESSED", of(&|c| HumanCount(c.uncompressed_bytes as u64).to_string())),
        Column::number("NULLS", of(&|c| c.nulls.map(|n| HumanCount(n).to_string()).unwrap_or_default())),
        Column::text("INDEX", of(&|c| if c.has_page_index { "pages" } else { "" }.to_owned())),
        Column::text("MIN", of(&|c| bound(&c.min))),
        Column::text("MAX", of(&|c| bound(&c.max))),
    ];
    fitted(columns, &["CODEC", "INDEX", "ENCODINGS", "UNCOMPRESSED", "TYPE", "NULLS", "MAX", "MIN"])
}

/// Records as columns, fields as rows: a record has more fields than a terminal has width.
fn records_text(format: &LogFormat, lines: &Lines, inspector: &Inspector<'_>) -> String {
    let shown = format.fields().iter().enumerate().filter(|(_, f)| inspector.shows(f.column()));
    let (indexes, names): (Vec<usize>, Vec<String>) = shown.map(|(i, f)| (i, f.name().to_owned())).unzip();
    if names.is_empty() {
        return "  no field of --columns is in this log format\n".to_owned();
    }
    let mut columns = vec![Column::text("FIELD", names)];
    for (n, record) in lines.records.iter().enumerate() {
        let cells = indexes.iter().map(|i| {
            let value = record.get(*i).cloned().unwrap_or_default();
            let is_time = format.fields()[*i].spec().is_some_and(|s| s.kind == FieldKind::Time);
            let time = is_time.then(|| value.parse().ok().and_then(utc_text)).flatten();
            time.map_or(value.clone(), |time| format!("{value} ({time})"))
        });
        columns.push(Column::text(&format!("RECORD {}", n + 1), cells.collect()));
    }
    // The last records go first, and one stays.
    let heads: Vec<String> = columns.iter().skip(2).rev().map(|c| c.head.clone()).collect();
    fitted(columns, &heads.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A table that fits the terminal: columns are left out in the order of `first`, and what is left is shortened.
fn fitted(mut columns: Vec<Column>, first: &[&str]) -> String {
    if let Some(width) = width() {
        for head in first {
            if table_width(&columns) <= width {
                break;
            }
            columns.retain(|c| c.head != *head);
        }
        let others: usize = columns.len().checked_sub(1).map_or(0, |last| table_width(&columns[..last]));
        if let Some(last) = columns.last_mut() {
            last.shorten(width.saturating_sub(others + 2).max(8));
        }
    }
    table(&columns)
}

impl Inspector<'_> {
    /// Whether a column is shown: all, or those that --columns names.
    pub(super) fn shows(&self, column: &str) -> bool {
        let column = normalised_column(column);
        self.options.columns.as_ref().is_none_or(|columns| columns.contains(&column))
    }
}
