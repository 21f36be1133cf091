//! A table: its name, place, columns and partition columns.

use std::fmt;
use std::str::FromStr;

use flowquet_format::{ColumnType, PartitionColumn, PartitionSpec};

use crate::projection::Projection;

/// Longest name of a database or table in Glue, in bytes (docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html).
const NAME_BYTES_MAX: usize = 255;

/// Name of a database or table: lower-case letters, digits and underscores, which every engine takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

/// A text that names no database or table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.0;
        write!(
            f,
            "expected 1 to {NAME_BYTES_MAX} lower-case letters, digits and underscores, found `{found}`"
        )
    }
}

impl std::error::Error for NameError {}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError(text.to_owned()))
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TableName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type in files.
    pub column_type: ColumnType,
    /// What it means.
    pub comment: String,
}

/// A table as engines are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Its database.
    pub database: TableName,
    /// Its name.
    pub name: TableName,
    /// URL of its root; ends in a slash.
    pub location: String,
    /// Its columns, without those of partitions.
    pub columns: Vec<TableColumn>,
    /// Its partition columns, all text: other types are not pushed down to Glue.
    pub partition_by: PartitionSpec,
    /// How Athena computes partitions instead of looking them up.
    pub projection: Option<Projection>,
}

/// What the table is, for people who find it.
pub(crate) const DESCRIPTION: &str = "AWS flow logs, kept by flowquet.";

/// What a partition column means.
pub(crate) fn partition_comment(column: PartitionColumn) -> &'static str {
    match column {
        PartitionColumn::Account => "Account in the path of the flow log.",
        PartitionColumn::Date => "UTC date of the record, YYYY-MM-DD.",
        PartitionColumn::Hour => "UTC hour of the record, 00 to 23.",
        PartitionColumn::Log => "Kind of the flow log: vpc or tgw.",
        PartitionColumn::Region => "Region of the record, or of the path where it names none.",
    }
}

/// The type as Hive, Glue and Athena's DDL name it.
pub(crate) fn hive_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Address => "binary",
        ColumnType::Int32 => "int",
        ColumnType::Int64 => "bigint",
        ColumnType::String => "string",
        ColumnType::TimestampMs => "timestamp",
    }
}

/// The type as Trino names it.
pub(crate) fn trino_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Address => "varbinary",
        ColumnType::Int32 => "integer",
        ColumnType::Int64 => "bigint",
        ColumnType::String => "varchar",
        ColumnType::TimestampMs => "timestamp(3)",
    }
}

impl TableDefinition {
    /// Properties of the table, in order.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![("classification".to_owned(), "parquet".to_owned())];
        if let Some(projection) = &self.projection {
            properties.extend(projection.properties(&self.partition_by, &self.location));
        }
        properties
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::union::{FormatUse, union_columns};
    use flowquet_table::Options;

    pub(crate) fn options(types: &str) -> Options {
        Options { types: types.parse().expect("valid"), ..Options::default() }
    }

    pub(crate) fn definition(format: &str, by: &str) -> TableDefinition {
        let partition_by: PartitionSpec = by.parse().expect("valid");
        let options = options("rich");
        let columns =
            union_columns(&[FormatUse { format, options: &options }], &partition_by).expect("no conflict");
        TableDefinition {
            database: "lake".parse().expect("a name"),
            name: "vpc_flow_logs".parse().expect("a name"),
            location: "s3://lake/vpc_flow_logs/".into(),
            columns,
            partition_by,
            projection: None,
        }
    }

    #[test]
    fn names() {
        for name in ["a", "vpc_flow_logs_2024"] {
            assert_eq!(name.parse::<TableName>().expect("valid").as_str(), name);
        }
        for name in ["", "A", "a-b", "a b", "a;drop", "ä", &"x".repeat(256)] {
            assert!(name.parse::<TableName>().is_err(), "{name}");
        }
    }
}
