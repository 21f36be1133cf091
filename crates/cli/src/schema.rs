//! `flowquet schema`, and the log-format options that all commands share.

use std::path::Path;
use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};
use flowquet_arrow::{BatchSchema, Selection};
use flowquet_format::{Catalogue, Field, LogFormat};
use flowquet_parquet::FileSchema;
use serde_json::json;

use crate::args::{FormatArgs, SchemaArgs, SchemaForm};
use crate::exit::Exit;
use crate::output::{Failure, put, say};

/// Log-format options, resolved.
pub(crate) struct Formats {
    pub(crate) catalogue: Catalogue,
    /// Text of the file that extends the catalogue.
    pub(crate) fields: Option<String>,
    pub(crate) given: Option<Arc<LogFormat>>,
    pub(crate) selection: Selection,
}

impl Formats {
    pub(crate) fn resolve(args: &FormatArgs) -> Result<Self, Failure> {
        let fields = args.fields.as_deref().map(read_text).transpose()?;
        let catalogue = match &fields {
            Some(text) => Catalogue::builtin().extended(text).map_err(|e| {
                let path = args.fields.as_deref().unwrap_or(Path::new("")).display();
                Failure::message(Exit::Usage, &format!("read --fields `{path}`: {e}"), None)
            })?,
            None => Catalogue::builtin().clone(),
        };
        let given = args.format.as_deref().map(|text| {
            LogFormat::parse(text, &catalogue).map_err(|e| {
                let message = format!("read --format: {e}\n{}", e.pointer());
                Failure::message(Exit::Usage, &message, e.hint_text())
            })
        });
        let given = given.transpose()?.map(Arc::new);
        let selection = match &args.columns {
            None => Selection::all(),
            Some(names) => select(names, &catalogue, given.as_deref())?,
        };
        Ok(Self { catalogue, fields, given, selection })
    }

    /// Checks `--sort` and gives its columns, each once.
    pub(crate) fn sort_columns(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        let use_of_unknown = "sorted by where an object has it";
        check_names("--sort", use_of_unknown, names, &self.catalogue, self.given.as_deref())?;
        let mut columns: Vec<String> = Vec::new();
        for name in names {
            let column = name.trim().to_ascii_lowercase().replace('-', "_");
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        Ok(columns)
    }
}

/// Checks `--columns`.
fn select(names: &[String], catalogue: &Catalogue, given: Option<&LogFormat>) -> Result<Selection, Failure> {
    check_names("--columns", "kept where an object has it", names, catalogue, given)?;
    Ok(Selection::of(names.iter().map(String::as_str)))
}

/// Checks names that an option gives: one that no format can have is most likely a slip.
fn check_names(
    option: &str,
    use_of_unknown: &str,
    names: &[String],
    catalogue: &Catalogue,
    given: Option<&LogFormat>,
) -> Result<(), Failure> {
    for name in names {
        let field = name.trim().to_ascii_lowercase().replace('_', "-");
        let is_given = given.is_some_and(|f| f.position(&field).is_some());
        if field.is_empty() {
            let message = format!("expected column names in {option}, found an empty one");
            return Err(Failure::message(Exit::Usage, &message, None));
        }
        if !is_given && catalogue.field(&field).is_none() {
            let near =
                catalogue.nearest_field(&field).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            say(&format!("warning: column `{name}` is not in the catalogue, {use_of_unknown}{near}"));
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::message(Exit::Usage, &format!("read `{}`: {e}", path.display()), None))
}

pub(crate) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let formats = Formats::resolve(&args.format)?;
    let format = match formats.given {
        Some(format) => format,
        None => Arc::new(all_fields(&formats.catalogue)),
    };
    for warning in format.warnings(&formats.catalogue) {
        say(&format!("warning: {warning}"));
    }
    let schema = BatchSchema::new(format.clone(), &formats.selection);
    let fields: Vec<&Field> = schema.columns().iter().map(|c| &format.fields()[c.field]).collect();
    let text = match args.form {
        SchemaForm::Table => table(&fields),
        SchemaForm::Arrow => {
            let logical = schema.logical();
            logical.fields().iter().map(|f| format!("{}: {}\n", f.name(), f.data_type())).collect()
        }
        SchemaForm::Parquet => {
            let columns = schema.columns().iter().map(|c| (c.name.as_str(), c.column_type));
            format!("{}\n", FileSchema::new(columns))
        }
        SchemaForm::Json => json_text(&format, &fields),
    };
    put(&text)?;
    Ok(Exit::Success)
}

/// Every field of the catalogue, as one format: what a table of all formats would hold.
fn all_fields(catalogue: &Catalogue) -> LogFormat {
    let names: Vec<&str> = catalogue.fields().iter().map(|f| f.name.as_str()).collect();
    LogFormat::parse(&names.join(" "), catalogue).expect("the catalogue's names are unique and valid")
}

/// A table without lines, as wide as the terminal.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}

/// The table's text without blanks at line ends.
pub(crate) fn table_text(table: &Table) -> String {
    table.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

fn table(fields: &[&Field]) -> String {
    let mut table = plain_table(&["COLUMN", "TYPE", "SINCE", "KIND", "UNIT", "MEANING"]);
    for field in fields {
        let spec = field.spec();
        table.add_row([
            field.column().to_owned(),
            field.column_type().to_string(),
            spec.map_or_else(|| "?".to_owned(), |s| s.since.to_string()),
            spec.map_or("text", |s| s.kind.name()).to_owned(),
            spec.and_then(|s| s.unit.clone()).unwrap_or_default(),
            spec.map_or_else(|| "Not in the catalogue.".to_owned(), |s| s.doc.clone()),
        ]);
    }
    table_text(&table)
}

fn json_text(format: &LogFormat, fields: &[&Field]) -> String {
    let columns: Vec<_> = fields
        .iter()
        .map(|f| {
            let spec = f.spec();
            json!({
                "column": f.column(),
                "field": f.name(),
                "type": f.column_type().name(),
                "nullable": true,
                "known": spec.is_some(),
                "since": spec.map(|s| s.since),
                "kind": spec.map_or("text", |s| s.kind.name()),
                "unit": spec.and_then(|s| s.unit.clone()),
                "doc": spec.map(|s| s.doc.clone()),
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "log_format": format.to_string(), "columns": columns }));
    format!("{}\n", text.expect("plain values"))
}
