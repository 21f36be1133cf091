//! `flowquet inspect`: what is this file?

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use flowquet_format::{Catalogue, LogFormat, ObjectKey, utc_text};
use flowquet_input::{Compression, Framing, first_lines, head};
use flowquet_parquet::FileLayout;
use flowquet_parse::{ObjectError, Parser, Step};
use indicatif::{HumanBytes, HumanCount};

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::output::{Failure, counted, put, say};
use crate::schema::{Formats, plain_table, table_text};

/// Text that is looked at, at most.
const TEXT_BYTES_MAX: usize = 4 << 20;

pub(crate) fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    let formats = Formats::resolve(&args.format)?;
    let mut exit = Exit::Success;
    for (i, path) in args.files.iter().enumerate() {
        if i > 0 {
            put("\n")?;
        }
        match describe(path, &formats, args.rows) {
            Ok(text) => put(&text)?,
            Err(message) => {
                say(&format!("error: inspect `{}`: {message}", path.display()));
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

fn describe(path: &Path, formats: &Formats, rows: usize) -> Result<String, String> {
    let open = || std::fs::File::open(path).map_err(|e| e.to_string());
    let file = open()?;
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if meta.is_dir() {
        return Err("expected a file, found a folder".to_owned());
    }
    let mut text = format!("{}\n", path.display());
    let (compression, content) = head(Box::new(file), TEXT_BYTES_MAX).map_err(|e| format!("damaged: {e}"))?;
    if content.starts_with(b"PAR1") {
        let layout = flowquet_parquet::inspect(open()?).map_err(|e| e.to_string())?;
        parquet_text(&layout, meta.len(), &mut text);
        return Ok(text);
    }
    let is_whole = content.len() < TEXT_BYTES_MAX;
    let lines = first_lines(&content, is_whole, &Arc::new(formats.catalogue.clone()));
    let (framing, content) = lines.map_err(|e| e.to_string())?;
    let framed = if framing == Framing::Lines { String::new() } else { format!(", {}", framing.name()) };
    line(&mut text, "kind", &format!("flow log, {}{framed}, {}", compression.name(), HumanBytes(meta.len())));
    key_text(path, &mut text);
    flow_log_text(&content, compression, formats, rows, &mut text)?;
    Ok(text)
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<12} {value}").expect("a string takes all");
}

fn key_text(path: &Path, text: &mut String) {
    let key = ObjectKey::parse(&path.canonicalize().unwrap_or_else(|_| path.to_owned()).to_string_lossy());
    let delivery = key.delivery.and_then(|d| {
        let time = utc_text(d.unix_s)?;
        Some(if d.has_hour { time } else { time[..10].to_owned() })
    });
    for (name, value) in [
        ("account", key.account),
        ("region", key.region),
        ("flow log", key.flow_log_id),
        ("delivered", delivery),
    ] {
        if let Some(value) = value {
            line(text, name, &value);
        }
    }
}

fn flow_log_text(
    content: &[u8],
    compression: Compression,
    formats: &Formats,
    rows: usize,
    text: &mut String,
) -> Result<(), String> {
    let is_whole = content.len() < TEXT_BYTES_MAX;
    // Of a part of the text the last line is a part too.
    let end = if is_whole { None } else { content.iter().rposition(|b| *b == b'\n') };
    let content = &content[..end.map_or(content.len(), |n| n + 1)];
    let guessed = || guess(content, &formats.catalogue).into_iter().collect();
    let given = if formats.given.is_empty() { guessed() } else { formats.given.clone() };
    let mut parser = Parser::new(Arc::new(formats.catalogue.clone()), given);
    let mut rejects = Vec::new();
    let mut shown = Vec::new();
    let mut records = 0;
    let mut at = 0;
    loop {
        let step = match parser.next_block(&content[at..], true, &mut rejects) {
            Err(ObjectError::NoFormat(first)) => {
                unknown_format(content, &first, text);
                return Ok(());
            }
            step => step.map_err(|e| format!("{e}\nhint: {}", e.hint()))?,
        };
        match step {
            Step::Done | Step::NeedMore => break,
            Step::Skipped(len) => at += len,
            Step::Block { consumed, block } => {
                at += consumed;
                records += block.rows().len();
                for row in block.rows().iter().take(rows - shown.len().min(rows)) {
                    let values = (0..block.format().fields().len()).map(|f| block.field(*row, f));
                    shown.push(values.map(|v| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>());
                }
            }
        }
    }
    let Some(format) = parser.format() else {
        line(text, "lines", "none");
        return Ok(());
    };
    let found = match (parser.has_header(), !formats.given.is_empty()) {
        (true, _) => "from its header line",
        (false, true) => "as given by --format",
        (false, false) => "a guess, no header line: give it to convert as --format",
    };
    line(text, "log format", &format!("{} fields, {found}", format.fields().len()));
    line(text, "", &named(format, &formats.catalogue).unwrap_or_else(|| format.to_string()));
    let of =
        if is_whole { String::new() } else { format!(" in the first {}", HumanBytes(content.len() as u64)) };
    let lines = parser.counts().lines;
    line(
        text,
        "lines",
        &format!(
            "{}{of}: {} with the right number of fields, {} without",
            HumanCount(lines),
            HumanCount(records as u64),
            HumanCount(rejects.len() as u64)
        ),
    );
    if compression == Compression::Plain && !is_whole {
        line(text, "", "gzip would make it about eight times smaller");
    }
    for warning in format.warnings(&formats.catalogue) {
        line(text, "warning", &warning);
    }
    for reject in rejects.iter().take(3) {
        line(text, "reject", &format!("line {}: {}", reject.line, reject.detail));
    }
    text.push_str(&records_text(format, &shown));
    Ok(())
}

/// What can be said of lines whose format is not known.
fn unknown_format(content: &[u8], first: &str, text: &mut String) {
    let lines = content.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty());
    let count =
        |line: &[u8]| line.split(|b| *b == b' ').filter(|w| !w.trim_ascii().is_empty()).count() as u64;
    let counts: Vec<u64> = lines.map(count).collect();
    let fields = counts.first().copied().unwrap_or_default();
    line(text, "log format", "not known: no header line, and the values of the lines fit no default format");
    line(text, "", "give it as the flow log has it: --format '${version} ${account-id} …'");
    let alike = counts.iter().filter(|n| **n == fields).count() as u64;
    line(
        text,
        "lines",
        &format!(
            "{}: {} of {}",
            HumanCount(counts.len() as u64),
            HumanCount(alike),
            counted(fields, "value")
        ),
    );
    line(text, "first line", first);
}

/// Records as columns, fields as rows: a record has more fields than a terminal has width.
fn records_text(format: &LogFormat, records: &[Vec<String>]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let numbers: Vec<String> = (1..=records.len()).map(|n| format!("RECORD {n}")).collect();
    let mut header = vec!["FIELD"];
    header.extend(numbers.iter().map(String::as_str));
    let mut table = plain_table(&header);
    for (i, field) in format.fields().iter().enumerate() {
        let values = records.iter().map(|r| r.get(i).cloned().unwrap_or_default());
        table.add_row(std::iter::once(field.name().to_owned()).chain(values));
    }
    format!("\n{}", table_text(&table))
}

/// Lines whose values a guess rests on.
const GUESS_LINES: usize = 20;

/// The default format that the first lines fit, in number and in the kinds of their values, if there is one.
fn guess(content: &[u8], catalogue: &Catalogue) -> Option<Arc<LogFormat>> {
    let lines = content.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).take(GUESS_LINES);
    let lines: Vec<Vec<&[u8]>> =
        lines.map(|line| line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect()).collect();
    let fits = |format: &LogFormat| {
        let of_format = |line: &&Vec<&[u8]>| line.len() == format.fields().len();
        lines.first().is_some_and(|first| of_format(&first))
            && lines.iter().filter(of_format).all(|line| format.may_have(line))
    };
    let formats = catalogue.format_names().into_iter().filter_map(|n| LogFormat::parse(&n, catalogue).ok());
    formats.into_iter().find(|format| fits(format)).map(Arc::new)
}

/// The name of the default format that `format` is, if it is one.
fn named(format: &LogFormat, catalogue: &Catalogue) -> Option<String> {
    let fields: Vec<&str> = format.fields().iter().map(|f| f.name()).collect();
    let name = catalogue
        .format_names()
        .into_iter()
        .find(|n| catalogue.named_format(n).as_deref() == Some(&fields))?;
    Some(format!("{name} (a default): {format}"))
}

fn parquet_text(layout: &FileLayout, bytes: u64, text: &mut String) {
    line(text, "kind", &format!("Parquet, {}", HumanBytes(bytes)));
    line(text, "written by", &layout.created_by);
    let groups: Vec<String> = layout.row_groups.iter().map(|r| HumanCount(*r as u64).to_string()).collect();
    line(
        text,
        "rows",
        &format!("{} in {}", HumanCount(layout.rows as u64), counted(groups.len() as u64, "row group")),
    );
    if !groups.is_empty() {
        line(text, "row groups", &groups.join(" + "));
    }
    for (key, value) in &layout.metadata {
        line(text, "metadata", &format!("{key} = {value}"));
    }
    let mut table = plain_table(&[
        "COLUMN",
        "TYPE",
        "CODEC",
        "ENCODINGS",
        "BYTES",
        "PLAIN",
        "NULLS",
        "INDEX",
        "MIN",
        "MAX",
    ]);
    let shown = |bound: &Option<String>| bound.as_deref().unwrap_or("").chars().take(40).collect::<String>();
    for column in &layout.columns {
        table.add_row([
            column.name.clone(),
            column.physical_type.clone(),
            column.compression.clone(),
            column.encodings.join(" "),
            HumanCount(column.compressed_bytes as u64).to_string(),
            HumanCount(column.uncompressed_bytes as u64).to_string(),
            column.nulls.map(|n| HumanCount(n).to_string()).unwrap_or_default(),
            if column.has_page_index { "pages" } else { "" }.to_owned(),
            shown(&column.min),
            shown(&column.max),
        ]);
    }
    text.push('\n');
    text.push_str(&table_text(&table));
}
