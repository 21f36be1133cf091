//! The table as Glue's `TableInput`: for the call, and as the JSON that `aws glue create-table --table-input` takes.

use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};
use serde::Serialize;
use serde_json::json;

use crate::partitions::PartitionPlace;
use crate::table::{DESCRIPTION, TableDefinition, hive_type, partition_comment};

pub(crate) const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
pub(crate) const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
pub(crate) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// What Glue says of a table that is not a view.
pub(crate) const TABLE_TYPE: &str = "EXTERNAL_TABLE";

/// A column as both forms have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GlueColumn<'a> {
    name: &'a str,
    r#type: &'static str,
    comment: &'a str,
}

impl GlueColumn<'_> {
    fn to_sdk(&self) -> Column {
        let column = Column::builder().name(self.name).r#type(self.r#type).comment(self.comment);
        column.build().expect("it has a name")
    }
}

fn columns(table: &TableDefinition) -> impl Iterator<Item = GlueColumn<'_>> {
    table.columns.iter().map(|c| GlueColumn {
        name: &c.name,
        r#type: hive_type(c.column_type),
        comment: &c.comment,
    })
}

fn partition_keys(table: &TableDefinition) -> impl Iterator<Item = GlueColumn<'_>> {
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

/// The table for `CreateTable`.
pub(crate) fn table_input(table: &TableDefinition) -> TableInput {
    let input = TableInput::builder()
        .name(table.name.as_str())
        .description(DESCRIPTION)
        .table_type(TABLE_TYPE)
        .set_parameters(Some(parameters(table).into_iter().collect()))
        .set_partition_keys(Some(partition_keys(table).map(|c| c.to_sdk()).collect()))
        .storage_descriptor(storage(&sdk_columns(table), &table.location));
    input.build().expect("it has a name")
}

/// The columns as the SDK has them.
pub(crate) fn sdk_columns(table: &TableDefinition) -> Vec<Column> {
    columns(table).map(|c| c.to_sdk()).collect()
}

/// Where a table or a partition lies, and how it is read.
pub(crate) fn storage(columns: &[Column], location: &str) -> StorageDescriptor {
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1");
    StorageDescriptor::builder()
        .set_columns(Some(columns.to_vec()))
        .location(location)
        .input_format(INPUT_FORMAT)
        .output_format(OUTPUT_FORMAT)
        .serde_info(serde.build())
        .build()
}

/// A partition for the calls that make or change one.
pub(crate) fn partition_input(
    columns: &[Column],
    place: &PartitionPlace,
) -> aws_sdk_glue::types::PartitionInput {
    aws_sdk_glue::types::PartitionInput::builder()
        .set_values(Some(place.values.clone()))
        .storage_descriptor(storage(columns, &place.location))
        .build()
}

/// What `UpdateTable` takes to leave a table as it is.
pub(crate) fn input_of(table: &Table) -> TableInput {
    let input = TableInput::builder()
        .name(table.name())
        .set_description(table.description.clone())
        .set_owner(table.owner.clone())
        .set_last_access_time(table.last_access_time)
        .set_last_analyzed_time(table.last_analyzed_time)
        .retention(table.retention)
        .set_storage_descriptor(table.storage_descriptor.clone())
        .set_partition_keys(table.partition_keys.clone())
        .set_view_original_text(table.view_original_text.clone())
        .set_view_expanded_text(table.view_expanded_text.clone())
        .set_table_type(table.table_type.clone())
        .set_parameters(table.parameters.clone())
        .set_target_table(table.target_table.clone());
    input.build().expect("a table has a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::definition;

    #[test]
    fn json_is_what_the_call_takes() {
        let table = definition("${srcaddr} ${start} ${bytes}", "date");
        let json: serde_json::Value = serde_json::from_str(&table_input_json(&table)).expect("JSON");
        let input = table_input(&table);
        let storage = input.storage_descriptor().expect("it has one");
        assert_eq!(json["Name"], input.name());
        assert_eq!(json["StorageDescriptor"]["Location"], storage.location().expect("it has one"));
        let names: Vec<_> = storage
            .columns()
            .iter()
            .map(|c| format!("{} {}", c.name(), c.r#type().expect("it has one")))
            .collect();
        assert_eq!(names, ["srcaddr string", "start timestamp", "bytes bigint", "srcaddr_bin binary"]);
        let told = json["StorageDescriptor"]["Columns"].as_array().expect("a list").iter();
        assert!(
            told.map(|c| format!(
                "{} {}",
                c["Name"].as_str().unwrap_or(""),
                c["Type"].as_str().unwrap_or("")
            ))
            .eq(names)
        );
        assert_eq!(json["PartitionKeys"][0]["Name"], "date");
    }
}
