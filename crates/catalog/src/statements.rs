//! Statements that make the table in Athena, Spark, Trino and DuckDB. Each ends in a semicolon and a newline.

use std::fmt::Write as _;

use flowquet_format::PartitionSpec;

use crate::partitions::{PartitionPlace, is_null};
use crate::table::{DESCRIPTION, TableDefinition, hive_type, partition_comment, trino_type};

/// Athena, and Hive: `CREATE EXTERNAL TABLE`, then what it takes to know `partitions`, if they are not projected.
pub fn athena(table: &TableDefinition, partitions: &[PartitionPlace]) -> String {
    let mut text = format!("CREATE EXTERNAL TABLE IF NOT EXISTS `{}`.`{}` (\n", table.database, table.name);
    let columns =
        table.columns.iter().map(|c| (c.name.as_str(), hive_type(c.column_type), c.comment.as_str()));
    text.push_str(&hive_columns(columns));
    write!(text, "\n)\nCOMMENT {}\n", hive_string(DESCRIPTION)).expect("a string takes all");
    if !table.partition_by.columns().is_empty() {
        let keys = table.partition_by.columns().iter().map(|c| (c.name(), "string", partition_comment(*c)));
        write!(text, "PARTITIONED BY (\n{}\n)\n", hive_columns(keys)).expect("a string takes all");
    }
    let properties = table.properties();
    let properties: Vec<String> =
        properties.iter().map(|(k, v)| format!("  {} = {}", hive_string(k), hive_string(v))).collect();
    write!(
        text,
        "STORED AS PARQUET\nLOCATION {}\nTBLPROPERTIES (\n{}\n);\n",
        hive_string(&table.location),
        properties.join(",\n")
    )
    .expect("a string takes all");
    if table.projection.is_none() {
        text.push_str(&hive_partitions(table, partitions));
    }
    text
}

/// Spark: `CREATE TABLE … USING PARQUET`, one statement, which is all that `spark.sql` takes. The search for partitions that has
/// to follow is a comment.
pub fn spark(table: &TableDefinition) -> String {
    let keys = table.partition_by.columns();
    let columns =
        table.columns.iter().map(|c| (c.name.as_str(), hive_type(c.column_type), c.comment.as_str()));
    let columns = columns.chain(keys.iter().map(|c| (c.name(), "string", partition_comment(*c))));
    let mut text = String::new();
    if !keys.is_empty() {
        writeln!(
            text,
            "-- run next, to find the partitions: MSCK REPAIR TABLE `{}`.`{}`",
            table.database, table.name
        )
        .expect("a string takes all");
    }
    write!(
        text,
        "CREATE TABLE IF NOT EXISTS `{}`.`{}` (\n{}\n)\nUSING PARQUET\n",
        table.database,
        table.name,
        hive_columns(columns)
    )
    .expect("a string takes all");
    if !keys.is_empty() {
        let names: Vec<String> = keys.iter().map(|c| format!("`{}`", c.name())).collect();
        writeln!(text, "PARTITIONED BY ({})", names.join(", ")).expect("a string takes all");
    }
    let (comment, location) = (hive_string(DESCRIPTION), hive_string(&table.location));
    write!(text, "COMMENT {comment}\nLOCATION {location};\n").expect("a string takes all");
    text
}

/// Trino's Hive connector, as the catalog `hive`: `CREATE TABLE`, then the search for partitions.
pub fn trino(table: &TableDefinition) -> String {
    let keys = table.partition_by.columns();
    let column = |(name, kind, comment): (&str, &str, &str)| {
        format!("  {} {kind} COMMENT {}", sql_name(name), sql_string(comment))
    };
    let columns =
        table.columns.iter().map(|c| (c.name.as_str(), trino_type(c.column_type), c.comment.as_str()));
    let columns = columns.chain(keys.iter().map(|c| (c.name(), "varchar", partition_comment(*c))));
    let columns: Vec<String> = columns.map(column).collect();
    let mut text = format!(
        "CREATE TABLE IF NOT EXISTS hive.{}.{} (\n{}\n)\nCOMMENT {}\nWITH (\n  format = 'PARQUET',\n  external_location = {}",
        sql_name(table.database.as_str()),
        sql_name(table.name.as_str()),
        columns.join(",\n"),
        sql_string(DESCRIPTION),
        sql_string(&table.location),
    );
    if !keys.is_empty() {
        let names: Vec<String> = keys.iter().map(|c| sql_string(c.name())).collect();
        write!(text, ",\n  partitioned_by = ARRAY[{}]", names.join(", ")).expect("a string takes all");
    }
    text.push_str("\n);\n");
    if !keys.is_empty() {
        let (database, name) = (sql_string(table.database.as_str()), sql_string(table.name.as_str()));
        writeln!(text, "\nCALL hive.system.sync_partition_metadata({database}, {name}, 'FULL');")
            .expect("a string takes all");
    }
    text
}

/// A view of a table of Trino's Hive connector or of Athena that has columns besides: `computed` are their names and expressions. Nothing where
/// there are none.
pub fn trino_view(table: &TableDefinition, is_athena: bool, computed: &[(&str, String)]) -> String {
    if computed.is_empty() {
        return String::new();
    }
    let catalog = if is_athena { "" } else { "hive." };
    let name = |name: &str| format!("{catalog}{}.{}", sql_name(table.database.as_str()), sql_name(name));
    let columns: String =
        computed.iter().map(|(name, is)| format!(",\n  {is} AS {}", sql_name(name))).collect();
    let view = format!("{}{VIEW_SUFFIX}", table.name);
    format!(
        "\nCREATE OR REPLACE VIEW {} AS\nSELECT *{columns}\nFROM {};\n",
        name(&view),
        name(table.name.as_str())
    )
}

/// What the name of a view has behind that of its table.
const VIEW_SUFFIX: &str = "_computed";

/// DuckDB: a view of the files that a glob finds, or of exactly `files`. Where it is the latter, it shows the table as it was
/// when it was printed, whatever happens to it meanwhile. `computed` are names and expressions of columns that the view has besides.
pub fn duckdb(table: &TableDefinition, files: Option<&[String]>, computed: &[(&str, String)]) -> String {
    let keys = table.partition_by.columns();
    let root = as_glob(table.location.strip_prefix("file://").unwrap_or(&table.location));
    let source = match files {
        Some(files) => {
            let files: Vec<String> = files
                .iter()
                .map(|f| format!("    {}", sql_string(&format!("{root}{}", as_glob(f)))))
                .collect();
            format!("[\n{}\n  ]", files.join(",\n"))
        }
        None => sql_string(&format!("{root}{}*.parquet", folders_glob(&table.partition_by))),
    };
    let mut text = format!(
        "CREATE OR REPLACE VIEW {} AS\nSELECT *{} FROM read_parquet(\n  {source},\n  union_by_name = true,\n  hive_partitioning = {}",
        sql_name(table.name.as_str()),
        computed.iter().map(|(name, is)| format!(",\n  {is} AS {}", sql_name(name))).collect::<String>(),
        !keys.is_empty(),
    );
    if !keys.is_empty() {
        let types: Vec<String> = keys.iter().map(|c| format!("{}: VARCHAR", sql_string(c.name()))).collect();
        write!(text, ",\n  hive_types = {{{}}}", types.join(", ")).expect("a string takes all");
    }
    text.push_str("\n);\n");
    text
}

/// A path as a glob that finds it alone, as DuckDB and Polars read globs.
pub(crate) fn as_glob(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => glob.extend(['[', c, ']']),
            c => glob.push(c),
        }
    }
    glob
}

/// Only the folders of partitions, so that nothing below `_flowquet/` is taken for data.
pub(crate) fn folders_glob(by: &PartitionSpec) -> String {
    by.columns().iter().map(|c| format!("{}=*/", c.name())).collect()
}

/// Statements that make Athena know partitions: one by one where they are known, else by a search.
fn hive_partitions(table: &TableDefinition, partitions: &[PartitionPlace]) -> String {
    let keys = table.partition_by.columns();
    if keys.is_empty() {
        return String::new();
    }
    /// Partitions of a statement: it stays far below Athena's limit of 262,144 bytes.
    const AT_ONCE: usize = 500;
    let name = format!("`{}`.`{}`", table.database, table.name);
    if partitions.is_empty() {
        return format!("\nMSCK REPAIR TABLE {name};\n");
    }
    let mut text = String::new();
    for some in partitions.chunks(AT_ONCE) {
        write!(text, "\nALTER TABLE {name} ADD IF NOT EXISTS").expect("a string takes all");
        for partition in some {
            let values = keys
                .iter()
                .zip(&partition.values)
                .map(|(c, v)| format!("`{}` = {}", c.name(), hive_string(v)));
            let values: Vec<String> = values.collect();
            let location = hive_string(&partition.location);
            write!(text, "\n  PARTITION ({}) LOCATION {location}", values.join(", "))
                .expect("a string takes all");
        }
        text.push_str(";\n");
    }
    if partitions.iter().flat_map(|p| &p.values).any(|v| is_null(v)) {
        text.push_str("-- __HIVE_DEFAULT_PARTITION__ holds records of which the value is not known.\n");
    }
    text
}

fn hive_columns<'a>(columns: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let column = |(name, kind, comment)| format!("  `{name}` {kind} COMMENT {}", hive_string(comment));
    columns.map(column).collect::<Vec<_>>().join(",\n")
}

/// A string of Hive's: quotes and backslashes behind a backslash.
fn hive_string(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A string of the SQL standard.
fn sql_string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sql_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;
    use crate::table::tests::definition;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text, expected, "\n{text}");
    }

    const FORMAT: &str = "${srcaddr} ${end}";

    #[test]
    fn athena_projects_or_lists() {
        let mut table = definition(FORMAT, "account,date,hour");
        let places = [PartitionPlace {
            values: ["1", "2024-01-15", "05"].map(str::to_owned).to_vec(),
            location: "s3://lake/vpc_flow_logs/account=1/date=2024-01-15/hour=05/".into(),
            may_move: false,
        }];
        let listed = athena(&table, &places);
        let head = listed.split("TBLPROPERTIES").next().expect("a head");
        check(
            &listed[head.len()..],
            "TBLPROPERTIES (\n  'classification' = 'parquet'\n);\n\nALTER TABLE `lake`.`vpc_flow_logs` ADD IF NOT EXISTS\n  \
             PARTITION (`account` = '1', `date` = '2024-01-15', `hour` = '05') LOCATION \
             's3://lake/vpc_flow_logs/account=1/date=2024-01-15/hour=05/';\n",
        );
        table.projection =
            Some(Projection { accounts: vec!["1".into(), "2".into()], ..Projection::default() });
        check(
            &athena(&table, &places)[head.len()..],
            "TBLPROPERTIES (\n  'classification' = 'parquet',\n  'projection.enabled' = 'true',\n  \
             'projection.account.type' = 'enum',\n  'projection.account.values' = '1,2',\n  \
             'projection.date.type' = 'date',\n  'projection.date.format' = 'yyyy-MM-dd',\n  \
             'projection.date.range' = '2015-06-10,NOW',\n  'projection.hour.type' = 'integer',\n  \
             'projection.hour.range' = '0,23',\n  'projection.hour.digits' = '2',\n  'storage.location.template' = \
             's3://lake/vpc_flow_logs/account=${account}/date=${date}/hour=${hour}/'\n);\n",
        );
        check(
            head,
            "CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`vpc_flow_logs` (\n  `srcaddr` string COMMENT 'Sender as the interface \
             saw it: for outgoing traffic always the primary address of the interface.',\n  `end` timestamp COMMENT \
             'When the last packet of the interval arrived, accurate to about 60 seconds.',\n  `srcaddr_bin` binary COMMENT \
             'srcaddr as 16 bytes, IPv4 mapped into IPv6.'\n)\nCOMMENT 'AWS flow logs, kept by flowquet.'\nPARTITIONED BY \
             (\n  `account` string COMMENT 'Account in the path of the flow log.',\n  `date` string COMMENT 'UTC date of the \
             record, YYYY-MM-DD.',\n  `hour` string COMMENT 'UTC hour of the record, 00 to 23.'\n)\nSTORED AS \
             PARQUET\nLOCATION 's3://lake/vpc_flow_logs/'\n",
        );
        table.projection = None;
        assert!(athena(&table, &[]).ends_with(");\n\nMSCK REPAIR TABLE `lake`.`vpc_flow_logs`;\n"));
        let whole = athena(&definition(FORMAT, "none"), &[]);
        assert!(!whole.contains("PARTITION") && !whole.contains("MSCK"), "{whole}");
        let mut whole = definition(FORMAT, "none");
        whole.projection = Some(Projection::default());
        assert!(!athena(&whole, &[]).contains("projection"));
    }

    #[test]
    fn duckdb_globs_partitions_or_names_files() {
        let table = definition(FORMAT, "region,date");
        check(
            &duckdb(&table, None, &[]),
            "CREATE OR REPLACE VIEW \"vpc_flow_logs\" AS\nSELECT * FROM read_parquet(\n  \
             's3://lake/vpc_flow_logs/region=*/date=*/*.parquet',\n  union_by_name = true,\n  hive_partitioning = true,\n  \
             hive_types = {'region': VARCHAR, 'date': VARCHAR}\n);\n",
        );
        let exact = duckdb(&definition(FORMAT, "none"), Some(&["a'b.parquet".to_owned()]), &[]);
        assert!(
            exact.contains("[\n    's3://lake/vpc_flow_logs/a''b.parquet'\n  ]")
                && exact.contains("hive_partitioning = false")
        );
    }

    #[test]
    fn trino_and_spark() {
        let table = definition(FORMAT, "date");
        let text = trino(&table);
        assert!(text.starts_with("CREATE TABLE IF NOT EXISTS hive.\"lake\".\"vpc_flow_logs\" (\n  \"srcaddr\" varchar COMMENT 'Sender"));
        assert!(
            text.contains("\"end\" timestamp(3) COMMENT 'When the last packet of the interval"),
            "{text}"
        );
        assert!(text.contains("  partitioned_by = ARRAY['date']\n);\n\nCALL hive.system.sync_partition_metadata('lake', 'vpc_flow_logs', 'FULL');\n"));
        let text = spark(&table);
        assert!(text.contains(")\nUSING PARQUET\nPARTITIONED BY (`date`)\nCOMMENT 'AWS flow logs, kept by flowquet.'\nLOCATION 's3://lake/vpc_flow_logs/';\n"), "{text}");
        assert!(text.starts_with("-- run next, to find the partitions: MSCK REPAIR TABLE `lake`.`vpc_flow_logs`\nCREATE TABLE IF NOT EXISTS `lake`.`vpc_flow_logs` (\n"), "{text}");
        assert_eq!(text.matches(';').count(), 1, "one statement, however it is split: {text}");
        assert!(!spark(&definition(FORMAT, "none")).contains("MSCK"));
    }
}
