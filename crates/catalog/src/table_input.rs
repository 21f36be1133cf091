//! The table as Glue's `TableInput`, in the JSON that `aws glue create-table --table-input` takes.

use serde::Serialize;
use serde_json::json;

use crate::table::{DESCRIPTION, TableDefinition, hive_type, partition_comment};

pub(crate) const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
pub(crate) const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
pub(crate) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// What Glue says of a table that is not a view.
pub(crate) const TABLE_TYPE: &str = "EXTERNAL_TABLE";

/// A column as Glue has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GlueColumn<'a> {
    pub(crate) name: &'a str,
    pub(crate) r#type: &'static str,
    pub(crate) comment: &'a str,
}

/// The columns of files.
pub(crate) fn columns(table: &TableDefinition) -> impl Iterator<Item = GlueColumn<'_>> {
    table.columns.iter().map(|c| GlueColumn {
        name: &c.name,
        r#type: hive_type(c.column_type),
        comment: &c.comment,
    })
}

/// The columns of partitions.
pub(crate) fn partition_keys(table: &TableDefinition) -> impl Iterator<Item = GlueColumn<'_>> {
    let key = |c: &flowquet_format::PartitionColumn| GlueColumn {
        name: c.name(),
        r#type: "string",
        comment: partition_comment(*c),
    };
    table.partition_by.columns().iter().map(key)
}

/// The table's properties as Glue has them.
pub(crate) fn parameters(table: &TableDefinition) -> Vec<(String, String)> {
    let mut all = table.properties();
    all.push(("EXTERNAL".to_owned(), "TRUE".to_owned()));
    all
}

/// The table as JSON, for `aws glue create-table --database-name D --table-input file://…`.
pub fn table_input_json(table: &TableDefinition) -> String {
    format!("{}\n", serde_json::to_string_pretty(&table_input_value(table)).expect("plain values"))
}

/// The same as a value.
pub(crate) fn table_input_value(table: &TableDefinition) -> serde_json::Value {
    let parameters: std::collections::BTreeMap<_, _> = parameters(table).into_iter().collect();
    json!({
        "Name": table.name.as_str(),
        "Description": DESCRIPTION,
        "TableType": TABLE_TYPE,
        "Parameters": parameters,
        "PartitionKeys": partition_keys(table).collect::<Vec<_>>(),
        "StorageDescriptor": {
            "Columns": columns(table).collect::<Vec<_>>(),
            "Location": table.location,
            "InputFormat": INPUT_FORMAT,
            "OutputFormat": OUTPUT_FORMAT,
            "SerdeInfo": { "SerializationLibrary": SERDE, "Parameters": { "serialization.format": "1" } },
        },
    })
}
