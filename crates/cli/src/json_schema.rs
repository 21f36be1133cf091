//! Columns as a JSON Schema of a row: what a program that gets rows as JSON checks them by.

use flowquet_format::{ColumnSource, ColumnType, Enrichments, FormatColumn, LogFormat};
use serde_json::{Map, Value, json};

/// A JSON Schema of rows that have these columns. Each is there, and null where the log format lacks it or the log has `-`.
pub(crate) fn json_schema(format: &LogFormat, columns: &[FormatColumn], enrich: &Enrichments) -> String {
    let mut properties = Map::new();
    for column in columns {
        let mut property = of_type(column.column_type);
        let doc = match column.source {
            ColumnSource::Added(added) => Some(added.spec().doc.clone()),
            ColumnSource::Enriched(column) => Some(enrich.doc_of(column)),
            ColumnSource::Field(field) | ColumnSource::Twin(field) => {
                format.fields()[field].spec().map(|spec| spec.doc.clone())
            }
        };
        if let Some(doc) = doc {
            property["description"] = json!(doc);
        }
        properties.insert(column.name.clone(), property);
    }
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A flow log record, as flowquet converts it",
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    });
    format!("{}\n", serde_json::to_string_pretty(&schema).expect("plain values with text keys"))
}

fn of_type(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Address => {
            // 16 bytes as base64.
            json!({ "type": ["string", "null"], "contentEncoding": "base64", "minLength": 24, "maxLength": 24 })
        }
        ColumnType::Int32 | ColumnType::Int64 => {
            json!({ "type": ["integer", "null"], "minimum": 0, "maximum": column_type.integer_max() })
        }
        ColumnType::String => json!({ "type": ["string", "null"] }),
        ColumnType::TimestampMs => json!({ "type": ["string", "null"], "format": "date-time" }),
    }
}
