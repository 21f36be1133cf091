//! The table as engines and the Glue Data Catalog see it: the columns of all its log formats ([`union_columns`]), statements
//! that make it in Athena, Spark, Trino and DuckDB, resources of Terraform and CloudFormation, calls that read it in Python, and its registration in Glue ([`Glue`]).
//!
//! This crate knows no store and no Parquet: it is told what a table holds. All but [`Glue`] are values and pure functions.
//!
//! ```
//! use flowquet_catalog::{FormatUse, TableDefinition, duckdb, union_columns};
//! use flowquet_format::PartitionSpec;
//! use flowquet_table::Options;
//!
//! let (options, by) = (Options::default(), PartitionSpec::date());
//! let formats = ["${srcaddr} ${bytes}", "${bytes} ${vpc-id}"];
//! let uses = formats.map(|format| FormatUse { format, options: &options });
//! let table = TableDefinition {
//!     database: "lake".parse().expect("a name"),
//!     name: "flow_logs".parse().expect("a name"),
//!     location: "s3://lake/flow_logs/".to_owned(),
//!     columns: union_columns(&uses, &by).expect("types agree"),
//!     partition_by: by,
//!     projection: None,
//! };
//! assert!(duckdb(&table, None, &[]).starts_with("CREATE OR REPLACE VIEW \"flow_logs\""));
//! ```

mod computed;
mod error;
mod glue;
mod glue_table;
mod infrastructure;
mod partitions;
mod projection;
mod python;
mod register;
mod registered;
mod statements;
mod table;
mod trial;
mod union;

pub use computed::{Dialect, computed_column};
pub use error::{Error, ErrorKind};
pub use glue::Glue;
pub use glue_table::table_input_json;
pub use infrastructure::{cloudformation, terraform};
pub use partitions::PartitionPlace;
pub use projection::Projection;
pub use python::{pandas, polars, pyspark};
pub use registered::{Registered, TableChange};
pub use statements::{athena, duckdb, spark, trino, trino_view};
pub use table::{NameError, TableColumn, TableDefinition, TableName};
pub use union::{Conflict, FormatUse, union_columns};
