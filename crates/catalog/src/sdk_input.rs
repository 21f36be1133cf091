//! The table as the calls of the SDK take it.

use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};

use crate::partitions::PartitionPlace;
use crate::table::{DESCRIPTION, TableDefinition};
use crate::table_input::{
    GlueColumn, INPUT_FORMAT, OUTPUT_FORMAT, SERDE, TABLE_TYPE, columns, parameters, partition_keys,
};

fn column(column: &GlueColumn<'_>) -> Column {
    let made = Column::builder().name(column.name).r#type(column.r#type).comment(column.comment);
    made.build().expect("it has a name")
}

/// The table for `CreateTable`.
pub(crate) fn table_input(table: &TableDefinition) -> TableInput {
    let input = TableInput::builder()
        .name(table.name.as_str())
        .description(DESCRIPTION)
        .table_type(TABLE_TYPE)
        .set_parameters(Some(parameters(table).into_iter().collect()))
        .set_partition_keys(Some(partition_keys(table).map(|c| column(&c)).collect()))
        .storage_descriptor(storage(&sdk_columns(table), &table.location));
    input.build().expect("it has a name")
}

/// The columns as the SDK has them.
pub(crate) fn sdk_columns(table: &TableDefinition) -> Vec<Column> {
    columns(table).map(|c| column(&c)).collect()
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
    use crate::table_input::table_input_json;

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
