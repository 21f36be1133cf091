//! Tables and partitions as the calls of Glue have them, in JSON. What we know nothing of is kept as it is.
//!
//! Sources: docs.aws.amazon.com/glue/latest/webapi/API_Table.html, …/API_TableInput.html, …/API_Partition.html.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::partitions::PartitionPlace;
use crate::table::{DESCRIPTION, TableDefinition, hive_type, partition_comment};

pub(crate) const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
pub(crate) const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
pub(crate) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// What Glue says of a table that is not a view.
pub(crate) const TABLE_TYPE: &str = "EXTERNAL_TABLE";

/// What `UpdateTable` takes of what `GetTable` tells, beside the fields of [`Table`].
const KEPT: [&str; 9] = [
    "Description",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Owner",
    "Retention",
    "TableType",
    "TargetTable",
    "ViewExpandedText",
    "ViewOriginalText",
];

/// A table, as `GetTable` tells it, and `CreateTable` and `UpdateTable` take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Told, and not taken.
    #[serde(skip_serializing)]
    pub(crate) version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_descriptor: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition_keys: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameters: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// A column of files or partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<String>,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// Where a table or a partition lies, and how it is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Storage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// A partition, as it is told and taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Partition {
    pub(crate) values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_descriptor: Option<Storage>,
}

impl Table {
    /// One of which no more is said than its name.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version_id: None,
            storage_descriptor: None,
            partition_keys: None,
            parameters: None,
            others: Map::new(),
        }
    }

    /// What `UpdateTable` takes to leave this table as it is.
    pub(crate) fn input(&self) -> Self {
        let mut input = Self { version_id: None, ..self.clone() };
        input.others.retain(|name, _| KEPT.contains(&name.as_str()));
        input
    }

    /// The columns of its files.
    pub(crate) fn columns(&self) -> &[Column] {
        self.storage_descriptor.as_ref().map_or(&[], Storage::columns)
    }
}

impl Column {
    fn new(name: &str, r#type: &str, comment: &str) -> Self {
        Self {
            name: name.to_owned(),
            r#type: Some(r#type.to_owned()),
            others: Map::from_iter([("Comment".to_owned(), comment.into())]),
        }
    }
}

impl Storage {
    /// That of Parquet files with these columns.
    pub(crate) fn new(columns: Vec<Column>, location: &str) -> Self {
        let serde = json!({ "SerializationLibrary": SERDE, "Parameters": { "serialization.format": "1" } });
        let others = [
            ("InputFormat", INPUT_FORMAT.into()),
            ("OutputFormat", OUTPUT_FORMAT.into()),
            ("SerdeInfo", serde),
        ];
        Self {
            columns: Some(columns),
            location: Some(location.to_owned()),
            others: others.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        }
    }

    pub(crate) fn columns(&self) -> &[Column] {
        self.columns.as_deref().unwrap_or_default()
    }
}

impl Partition {
    /// One with these columns.
    pub(crate) fn new(columns: &[Column], place: &PartitionPlace) -> Self {
        let storage = Storage::new(columns.to_vec(), &place.location);
        Self { values: place.values.clone(), storage_descriptor: Some(storage) }
    }
}

/// The table for `CreateTable`.
pub(crate) fn table_input(table: &TableDefinition) -> Table {
    let key = |c: &flowquet_format::PartitionColumn| Column::new(c.name(), "string", partition_comment(*c));
    let others = [("Description", DESCRIPTION.into()), ("TableType", TABLE_TYPE.into())];
    Table {
        name: table.name.to_string(),
        version_id: None,
        storage_descriptor: Some(Storage::new(columns(table), &table.location)),
        partition_keys: Some(table.partition_by.columns().iter().map(key).collect()),
        parameters: Some(parameters(table).into_iter().collect()),
        others: others.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
    }
}

/// The columns of files.
pub(crate) fn columns(table: &TableDefinition) -> Vec<Column> {
    table.columns.iter().map(|c| Column::new(&c.name, hive_type(c.column_type), &c.comment)).collect()
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

/// The table as a JSON value.
pub(crate) fn table_input_value(table: &TableDefinition) -> Value {
    serde_json::to_value(table_input(table)).expect("plain values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::definition;

    #[test]
    fn a_table_as_the_call_takes_it() {
        let table = definition("${srcaddr} ${bytes}", "date");
        let input = table_input_value(&table);
        assert_eq!(
            (&input["Name"], &input["Description"], &input["TableType"]),
            (&json!(table.name.as_str()), &json!(DESCRIPTION), &json!("EXTERNAL_TABLE"))
        );
        let storage = &input["StorageDescriptor"];
        assert_eq!(storage["Location"], json!(table.location));
        assert_eq!(storage["SerdeInfo"]["Parameters"], json!({ "serialization.format": "1" }));
        let told = storage["Columns"].as_array().expect("a list").iter();
        let told: Vec<_> = told.map(|c| (c["Name"].as_str(), c["Type"].as_str())).collect();
        let expected = [("srcaddr", "string"), ("bytes", "bigint"), ("srcaddr_bin", "binary")];
        assert_eq!(told, expected.map(|(name, kind)| (Some(name), Some(kind))));
        assert!(storage["Columns"][0]["Comment"].is_string());
        assert_eq!(input["PartitionKeys"][0]["Name"], "date");
        assert_eq!(input["Parameters"]["EXTERNAL"], "TRUE");
    }

    #[test]
    fn what_others_set_is_kept_and_what_is_only_told_is_not_sent() {
        let told = json!({
            "Name": "flows", "DatabaseName": "lake", "CreateTime": 1.7e9, "VersionId": "7", "CreatedBy": "somebody", "CatalogId": "1",
            "IsRegisteredWithLakeFormation": false, "Owner": "somebody", "Retention": 3, "LastAccessTime": 1_600_000_000.5,
            "Parameters": { "a": "b" }, "PartitionKeys": [{ "Name": "date", "Parameters": { "c": "d" } }],
            "StorageDescriptor": { "Compressed": true, "Columns": [{ "Name": "x", "Type": "int", "Comment": "y" }], "SerdeInfo": { "Name": "z" } },
        });
        let table: Table = serde_json::from_value(told.clone()).expect("a table");
        assert_eq!(table.version_id.as_deref(), Some("7"));
        let mut expected = told;
        for name in [
            "DatabaseName",
            "CreateTime",
            "VersionId",
            "CreatedBy",
            "CatalogId",
            "IsRegisteredWithLakeFormation",
        ] {
            expected.as_object_mut().expect("an object").remove(name);
        }
        assert_eq!(serde_json::to_value(table.input()).expect("plain values"), expected);
        assert_eq!(serde_json::to_value(Table::named("x")).expect("plain values"), json!({ "Name": "x" }));
    }
}
