//! `flowquet schema`.

use std::sync::Arc;

use flowquet_arrow::BatchSchema;
use flowquet_catalog::{
    Dialect, FormatUse, TableDefinition, athena, cloudformation, computed_column, duckdb, pandas, polars,
    pyspark, spark, table_input_json, terraform, trino, trino_view,
};
use flowquet_format::{
    AddedColumn, AddedColumns, Catalogue, ColumnSource, ColumnType, Enrichments, FormatColumn, LogFormat,
    PartitionSpec, Types, union_fields,
};
use flowquet_parquet::FileSchema;
use flowquet_plan::{merged_format, merged_options};
use flowquet_store::{Location, S3_SCHEME};
use flowquet_table::{Error as LogError, LiveFile, Log, Options, TableState};
use serde_json::json;

use crate::args::{SchemaArgs, SchemaCommand, SchemaForm};
use crate::catalog::{Naming, defined, definition, places};
use crate::described::Asked;
use crate::enrich::enriching;
use crate::exit::Exit;
use crate::failure::{ENRICH, log_failure};
use crate::formats::Formats;
use crate::json_schema::json_schema;
use crate::output::{Failure, put, say};
use crate::places::{absolute, quoted, table_store};
use crate::schema_diff;
use crate::signals::listen_for_signals;
use crate::text_table::{plain_table, table_text};

pub(crate) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    if let Some(SchemaCommand::Diff(diff)) = &args.command {
        return schema_diff::run(diff);
    }
    let formats = Formats::resolve(&args.format, &Asked::of(&args.s3, &[], &[]))?;
    let log = match &args.source {
        None => None,
        Some(place) => {
            listen_for_signals();
            let out = table_store(&args.s3.stores(), place);
            Some(Log::open_with_files(&out).map_err(|error| not_opened(error, place, &formats))?)
        }
    };
    let state = log.as_ref().map(Log::state);
    for format in &formats.given {
        for warning in format.warnings(&formats.catalogue) {
            say(&format!("warning: {warning}"));
        }
    }
    let (_, enrich) = enriching(&args.add.enrich, &formats, &args.s3.stores())?;
    let text = match args.form {
        SchemaForm::Athena
        | SchemaForm::CloudFormation
        | SchemaForm::Duckdb
        | SchemaForm::GlueJson
        | SchemaForm::Pandas
        | SchemaForm::Polars
        | SchemaForm::Pyspark
        | SchemaForm::Spark
        | SchemaForm::Terraform
        | SchemaForm::Trino => statement(args, &formats, &enrich, log.as_ref())?,
        SchemaForm::Table
        | SchemaForm::Arrow
        | SchemaForm::Json
        | SchemaForm::JsonSchema
        | SchemaForm::Parquet => columns(args, &formats, &enrich, state)?,
    };
    put(&text)?;
    Ok(Exit::Success)
}

/// Why a table cannot be opened, which a log format is often taken for.
fn not_opened(error: LogError, place: &Location, formats: &Formats) -> Failure {
    let text = place.to_string();
    let is_format = || LogFormat::given(&text, &formats.catalogue).is_ok();
    if !matches!(error, LogError::NoTable(_)) || place.is_s3() || !is_format() {
        return log_failure(error);
    }
    let hint = format!("for the columns of a log format: `flowquet schema --format {}`", quoted(&text));
    Failure::new(Exit::Failed, &error, Some(hint))
}

/// The columns themselves, in some form.
fn columns(
    args: &SchemaArgs,
    formats: &Formats,
    enrich: &Enrichments,
    state: Option<&TableState>,
) -> Result<String, Failure> {
    let types = types(args, state)?;
    let of_table = state.map(|s| s.formats().added()).unwrap_or_default();
    let added = formats.added(&args.add)?.with(&of_table);
    let of_table = state.map(|s| s.formats().enrichments()).unwrap_or_default();
    let enrich = &of_table.with(enrich);
    let format = match (formats.given.as_slice(), state) {
        ([given], _) => given.clone(),
        ([_, ..], _) => {
            let fields = union_fields(formats.given.iter().map(Arc::as_ref), &formats.catalogue);
            let too_many =
                || Failure::message(Exit::Usage, "the log formats have more than 256 fields", None);
            Arc::new(LogFormat::of(fields).ok_or_else(too_many)?)
        }
        ([], Some(state)) => {
            let files = state.files().all().map_err(log_failure)?;
            let files: Vec<LiveFile> = files.into_iter().cloned().collect();
            let options = merged_options(&files, &schema_options(formats, types, &added, enrich));
            let merged = options.map_err(|e| e.to_string()).and_then(|o| merged_format(&files, &o));
            let expected = |e: String| {
                Failure::message(Exit::Failed, &format!("expected files in the table: {e}"), None)
            };
            Arc::new(merged.map_err(expected)?)
        }
        ([], None) => Arc::new(all_fields(&formats.catalogue)),
    };
    let schema = BatchSchema::of_file(format.clone(), &formats.selection, types, &added);
    let schema = schema.of_file_enriched_by(enrich);
    let columns = schema.columns();
    Ok(match args.form {
        SchemaForm::Arrow => {
            let logical = schema.logical();
            logical.fields().iter().map(|f| format!("{}: {}\n", f.name(), f.data_type())).collect()
        }
        SchemaForm::Json => json_text(&format, columns, enrich),
        SchemaForm::JsonSchema => json_schema(&format, columns, enrich),
        SchemaForm::Parquet => {
            let columns = columns.iter().map(|c| (c.name.as_str(), c.column_type));
            format!("{}\n", FileSchema::new(columns))
        }
        _ => table(&format, columns, enrich),
    })
}

fn types(args: &SchemaArgs, state: Option<&TableState>) -> Result<Types, Failure> {
    match (args.types, state.map(|s| s.contract().types)) {
        (Some(asked), Some(told)) if asked != told => {
            let message = format!("the table has --types {told}, not {asked}");
            Err(Failure::message(Exit::Usage, &message, Some("drop --types: the table knows its own")))
        }
        (asked, told) => Ok(asked.or(told).unwrap_or_default()),
    }
}

/// Options of files that would be written from a log format: what decides columns.
fn schema_options(formats: &Formats, types: Types, added: &AddedColumns, enrich: &Enrichments) -> Options {
    Options {
        types,
        add: added.clone(),
        enrich: enrich.clone(),
        columns: formats.selection.names().map(|names| names.map(str::to_owned).collect()),
        reading: formats.reading.clone(),
        ..Options::default()
    }
}

/// What makes a table of the columns in an engine.
fn statement(
    args: &SchemaArgs,
    formats: &Formats,
    enrich: &Enrichments,
    log: Option<&Log>,
) -> Result<String, Failure> {
    let state = log.map(Log::state);
    let added = formats.added(&args.add)?;
    let options = schema_options(formats, types(args, state)?, &added, enrich);
    let location = match (&args.location, &args.source) {
        (Some(location), _) => location.clone(),
        (None, Some(Location::Local(path))) => format!("file://{}", absolute(path).display()),
        (None, Some(s3)) => s3.to_string(),
        (None, None) => {
            let hint = "say where the table's files are, or will be: --location s3://BUCKET/PREFIX/";
            return Err(Failure::message(Exit::Usage, "a statement needs --location or a table", Some(hint)));
        }
    };
    let needs_s3 = matches!(
        args.form,
        SchemaForm::Athena | SchemaForm::CloudFormation | SchemaForm::GlueJson | SchemaForm::Terraform
    );
    if needs_s3 && !location.starts_with(S3_SCHEME) {
        let message = format!("Athena and Glue read only S3, and the location is `{location}`");
        let hint = "give --location s3://BUCKET/PREFIX/, where the files will be";
        return Err(Failure::message(Exit::Usage, &message, Some(hint)));
    }
    let naming =
        Naming { database: &args.database, table: &args.table, location, partitions: args.partitions };
    let given: Vec<String> = formats.given.iter().map(|f| f.to_string()).collect();
    let more: Vec<FormatUse<'_>> =
        given.iter().map(|format| FormatUse { format, options: &options }).collect();
    let table = match (state, more.is_empty()) {
        (Some(state), _) => definition(state, &more, &naming)?,
        (None, is_empty) => {
            let all = all_fields(&formats.catalogue).to_string();
            let all = [FormatUse { format: &all, options: &options }];
            let by = args.partition_by.clone().unwrap_or_else(PartitionSpec::date);
            defined(if is_empty { &all } else { &more }, by, &naming)?
        }
    };
    // Of a table that is there, those that no file has.
    let is_missing = |column: &AddedColumn| table.columns.iter().all(|c| c.name != column.name());
    let missing: Vec<AddedColumn> = added.iter().filter(is_missing).collect();
    let computed = |dialect| computed(&missing, &table, dialect);
    let can_compute = matches!(args.form, SchemaForm::Athena | SchemaForm::Duckdb | SchemaForm::Trino);
    if !can_compute && !missing.is_empty() {
        return Err(no_column(&missing));
    }
    let is_missing = |name: &String| table.columns.iter().all(|c| c.name != *name);
    let missing_of_files: Vec<String> =
        enrich.columns().map(|column| enrich.name_of(column)).filter(is_missing).collect();
    if !missing_of_files.is_empty() {
        return Err(no_column_of_files(&missing_of_files));
    }
    let partitions =
        state.map(|s| s.files().partitions()).transpose().map_err(log_failure)?.unwrap_or_default();
    let listed = places(&table.location, partitions.keys(), |_| false);
    Ok(match args.form {
        SchemaForm::Athena => athena(&table, &listed) + &trino_view(&table, true, &computed(Dialect::Trino)?),
        SchemaForm::CloudFormation => cloudformation(&table),
        SchemaForm::Duckdb => {
            let keys_now = |log: &Log| -> Result<Vec<String>, LogError> {
                let (out, files) = (log.out().as_ref(), log.state().files());
                Ok(files.all()?.into_iter().map(|file| files.places(file).now(out)).collect())
            };
            let files = log.filter(|_| args.exact).map(keys_now).transpose().map_err(log_failure)?;
            duckdb(&table, files.as_deref(), &computed(Dialect::DuckDb)?)
        }
        SchemaForm::GlueJson => table_input_json(&table),
        SchemaForm::Pandas => pandas(&table),
        SchemaForm::Polars => polars(&table),
        SchemaForm::Pyspark => pyspark(&table),
        SchemaForm::Spark => spark(&table),
        SchemaForm::Terraform => terraform(&table, given.first().map(String::as_str)),
        _ => trino(&table) + &trino_view(&table, false, &computed(Dialect::Trino)?),
    })
}

/// Expressions of columns that a table does not have.
fn computed(
    missing: &[AddedColumn],
    table: &TableDefinition,
    dialect: Dialect,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let expression = |column: &AddedColumn| match computed_column(*column, table, dialect) {
        Some(expression) => Ok((column.name(), expression)),
        None => Err(no_column(&[*column])),
    };
    missing.iter().map(expression).collect()
}

fn no_column_of_files(missing: &[String]) -> Failure {
    let message =
        format!("the table has no column {}, and the statement cannot compute it", missing.join(", "));
    let hint =
        format!("`flowquet reconvert TABLE --object '**' {ENRICH} NAME=FILE` fills it from the raw logs");
    Failure::message(Exit::Failed, &message, Some(&hint))
}

fn no_column(missing: &[AddedColumn]) -> Failure {
    let names: Vec<&str> = missing.iter().map(|column| column.name()).collect();
    let names = names.join(", ");
    let hint = format!(
        "`flowquet reconvert TABLE --object '**' --add {}` computes it from the raw logs",
        names.replace(' ', "")
    );
    let message = format!("the table has no column {names}, and the statement cannot compute it");
    Failure::message(Exit::Failed, &message, Some(&hint))
}

/// Every field of the catalogue, as one format: what a table of all formats would hold.
fn all_fields(catalogue: &Catalogue) -> LogFormat {
    let names: Vec<&str> = catalogue.fields().iter().map(|f| f.name.as_str()).collect();
    LogFormat::parse(&names.join(" "), catalogue).expect("the catalogue's names are unique and valid")
}

fn table(format: &LogFormat, columns: &[FormatColumn], enrich: &Enrichments) -> String {
    let mut table = plain_table(&["COLUMN", "TYPE", "SINCE", "KIND", "UNIT", "MEANING"]);
    for column in columns {
        let beside = match column.source {
            ColumnSource::Added(added) => {
                let spec = added.spec();
                Some((kind_of(added), spec.unit.clone().unwrap_or_default(), spec.doc.clone()))
            }
            ColumnSource::Enriched(of) => Some((ENRICHED, String::new(), enrich.doc_of(of))),
            ColumnSource::Field(_) | ColumnSource::Twin(_) => None,
        };
        if let Some((kind, unit, doc)) = beside {
            let column_type = column.column_type.to_string();
            table.add_row([column.name.clone(), column_type, "-".to_owned(), kind.to_owned(), unit, doc]);
            continue;
        }
        let spec = column.field().and_then(|field| format.fields()[field].spec());
        let is_time = column.column_type == ColumnType::TimestampMs;
        let unit = spec.and_then(|s| s.unit.clone()).unwrap_or_default();
        table.add_row([
            column.name.clone(),
            column.column_type.to_string(),
            spec.map_or_else(|| "?".to_owned(), |s| s.since.to_string()),
            spec.map_or("text", |s| s.kind.name()).to_owned(),
            if is_time { "ms".to_owned() } else { unit },
            spec.map_or_else(|| "Unknown field, kept as text.".to_owned(), |s| s.doc.clone()),
        ]);
    }
    table_text(&table)
}

/// What a column is that a file fills, among kinds of fields.
const ENRICHED: &str = "enriched";

/// What an added column is, among kinds of fields.
fn kind_of(added: AddedColumn) -> &'static str {
    if added.is_derived() { "derived" } else { "provenance" }
}

fn json_text(format: &LogFormat, columns: &[FormatColumn], enrich: &Enrichments) -> String {
    let columns: Vec<_> = columns
        .iter()
        .map(|c| {
            let beside = match c.source {
                ColumnSource::Added(added) => {
                    let spec = added.spec();
                    let (unit, doc, source) = (spec.unit.clone(), spec.doc.clone(), json!(spec.source));
                    Some((kind_of(added), unit, doc, json!(spec.from), source))
                }
                ColumnSource::Enriched(of) => {
                    let file = &enrich.files()[of.file];
                    let source = format!("{}, SHA-256 {}", file.name, file.sha256);
                    Some((ENRICHED, None, enrich.doc_of(of), json!(of.looked.fields()), json!(source)))
                }
                ColumnSource::Field(_) | ColumnSource::Twin(_) => None,
            };
            if let Some((kind, unit, doc, from, source)) = beside {
                return json!({
                    "column": c.name,
                    "field": null,
                    "type": c.column_type.name(),
                    "nullable": true,
                    "known": true,
                    "since": null,
                    "kind": kind,
                    "unit": unit,
                    "doc": doc,
                    "from": from,
                    "source": source,
                });
            }
            let field = c.field().map(|field| &format.fields()[field]);
            let spec = field.and_then(|field| field.spec());
            json!({
                "column": c.name,
                "field": field.map(|field| field.name()),
                "type": c.column_type.name(),
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
