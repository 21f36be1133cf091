//! Calls that read the table whole in Python. Files that were written before the table got a log format lack its columns: so the
//! calls name all columns, or have the reader look at all files.

use std::fmt::Write as _;

use flowquet_format::ColumnType;

use crate::statements::{as_glob, folders_glob};
use crate::table::TableDefinition;

/// Polars: `scan_parquet` with the schema.
pub fn polars(table: &TableDefinition) -> String {
    let of = |column_type| match column_type {
        ColumnType::Address => "pl.Binary",
        ColumnType::Int32 => "pl.Int32",
        ColumnType::Int64 => "pl.Int64",
        ColumnType::String => "pl.String",
        ColumnType::TimestampMs => "pl.Datetime(\"ms\", \"UTC\")",
    };
    let files = format!("{}{}*.parquet", as_glob(path(table)), folders_glob(&table.partition_by));
    let mut text =
        format!("import polars as pl\n\nflows = pl.scan_parquet(\n    {},\n    schema={{\n", string(&files));
    for column in &table.columns {
        writeln!(text, "        {}: {},", string(&column.name), of(column.column_type))
            .expect("a string takes all");
    }
    text.push_str("    },\n    missing_columns=\"insert\",\n");
    let keys = table.partition_by.columns().iter();
    let keys: Vec<String> = keys.map(|c| format!("{}: pl.String", string(c.name()))).collect();
    if !keys.is_empty() {
        writeln!(text, "    hive_schema={{{}}},", keys.join(", ")).expect("a string takes all");
    }
    text.push_str(")\n");
    text
}

/// pandas, by way of pyarrow: `read_parquet` with the schema.
pub fn pandas(table: &TableDefinition) -> String {
    let of = |column_type| match column_type {
        ColumnType::Address => "pa.binary(16)",
        ColumnType::Int32 => "pa.int32()",
        ColumnType::Int64 => "pa.int64()",
        ColumnType::String => "pa.string()",
        ColumnType::TimestampMs => "pa.timestamp(\"ms\", \"UTC\")",
    };
    let columns = table.columns.iter().map(|c| (c.name.as_str(), of(c.column_type)));
    let keys = table.partition_by.columns().iter().map(|c| (c.name(), "pa.string()"));
    let place = path(table);
    let place = if place == "/" { "/" } else { place.trim_end_matches('/') };
    let mut text = format!(
        "import pandas as pd\nimport pyarrow as pa\n\nflows = pd.read_parquet(\n    {},\n    engine=\"pyarrow\",\n    schema=pa.schema([\n",
        string(place)
    );
    for (name, column_type) in columns.chain(keys) {
        writeln!(text, "        ({}, {column_type}),", string(name)).expect("a string takes all");
    }
    text.push_str("    ]),\n)\n");
    text
}

/// PySpark: `read.parquet` with the schemas of all files merged. In S3 with the scheme of Hadoop's own file system, which Spark has
/// everywhere; EMR takes it too.
pub fn pyspark(table: &TableDefinition) -> String {
    let place = match table.location.strip_prefix("s3://") {
        Some(rest) => format!("s3a://{rest}"),
        None => table.location.clone(),
    };
    // It reads a glob, as Hadoop does.
    let mut glob = String::with_capacity(place.len());
    for c in place.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            glob.push('\\');
        }
        glob.push(c);
    }
    format!(
        "from pyspark.sql import SparkSession\n\nspark = SparkSession.builder.getOrCreate()\nflows = spark.read.option(\"mergeSchema\", \"true\").parquet({})\n",
        string(&glob)
    )
}

/// The table's root as Python's readers name it: a path, or a URL in S3.
fn path(table: &TableDefinition) -> &str {
    table.location.strip_prefix("file://").unwrap_or(&table.location)
}

/// A string of Python's.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\x{:02x}", u32::from(c)).expect("a string takes all"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::definition;

    const FORMAT: &str = "${srcaddr} ${end} ${srcport} ${bytes}";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn calls_name_all_columns() {
        let table = definition(FORMAT, "region,date");
        check(
            &polars(&table),
            r#"import polars as pl

flows = pl.scan_parquet(
    "s3://lake/vpc_flow_logs/region=*/date=*/*.parquet",
    schema={
        "srcaddr": pl.String,
        "end": pl.Datetime("ms", "UTC"),
        "srcport": pl.Int32,
        "bytes": pl.Int64,
        "srcaddr_bin": pl.Binary,
    },
    missing_columns="insert",
    hive_schema={"region": pl.String, "date": pl.String},
)
"#,
        );
        check(
            &pandas(&table),
            r#"import pandas as pd
import pyarrow as pa

flows = pd.read_parquet(
    "s3://lake/vpc_flow_logs",
    engine="pyarrow",
    schema=pa.schema([
        ("srcaddr", pa.string()),
        ("end", pa.timestamp("ms", "UTC")),
        ("srcport", pa.int32()),
        ("bytes", pa.int64()),
        ("srcaddr_bin", pa.binary(16)),
        ("region", pa.string()),
        ("date", pa.string()),
    ]),
)
"#,
        );
        check(
            &pyspark(&table),
            r#"from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
flows = spark.read.option("mergeSchema", "true").parquet("s3a://lake/vpc_flow_logs/")
"#,
        );
    }

    #[test]
    fn places_on_disk_are_paths() {
        let mut table = definition(FORMAT, "none");
        table.location = "file:///data/a \"b\"/".into();
        assert!(polars(&table).contains(r#""/data/a \"b\"/*.parquet","#), "{}", polars(&table));
        assert!(!polars(&table).contains("hive_schema"));
        assert!(pandas(&table).contains(r#""/data/a \"b\"","#));
        assert!(pyspark(&table).contains(r#"parquet("file:///data/a \"b\"/")"#));
    }
}
