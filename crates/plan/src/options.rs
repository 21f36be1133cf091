//! Options that decide what a table's files hold, and the contract that keeps them together.

use std::fmt;

use flowquet_format::{Catalogue, PartitionSpec, PartitionTime, Types};
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;

/// All options that decide the bytes of a task's files. Threads and memory are not among them.
///
/// They stand in the plan record, so that a run that finishes another's tasks writes what that one would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Partition columns, such as `date` or `account,region,date`.
    pub partition_by: String,
    /// `start` or `end`.
    pub partition_time: String,
    /// `aws` or `rich`.
    pub types: String,
    /// Columns to keep, sorted; absent for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub columns: Option<Vec<String>>,
    /// Columns by which the rows of a row group are ordered; absent where they stand as they came.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sort: Vec<String>,
    /// Columns that have a bloom filter.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub bloom_filter: Vec<String>,
    /// Compression of pages, such as `zstd:1`.
    pub compression: String,
    /// Most rows of a row group.
    pub row_group_rows: u64,
    /// Size at which a file is closed and the next one begun.
    pub file_bytes: u64,
    /// Log format of objects without a header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub format: Option<String>,
    /// Text of the file that extends the catalogue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<String>,
    /// Whether the whole lines of a damaged object are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub salvage: bool,
}

impl Options {
    /// The partition columns.
    ///
    /// # Errors
    /// [`OptionsError`] where a record was edited.
    pub fn partition_spec(&self) -> Result<PartitionSpec, OptionsError> {
        self.partition_by.parse().map_err(|e| OptionsError(format!("partition_by: {e}")))
    }

    /// The time that chooses date and hour.
    ///
    /// # Errors
    /// [`OptionsError`] where a record was edited.
    pub fn partition_time(&self) -> Result<PartitionTime, OptionsError> {
        match self.partition_time.as_str() {
            "start" => Ok(PartitionTime::Start),
            "end" => Ok(PartitionTime::End),
            other => Err(OptionsError(format!("partition_time: expected `start` or `end`, found `{other}`"))),
        }
    }

    /// The types of columns.
    ///
    /// # Errors
    /// [`OptionsError`] where a record was edited.
    pub fn types(&self) -> Result<Types, OptionsError> {
        self.types.parse().map_err(|e| OptionsError(format!("types: {e}")))
    }

    /// The catalogue, with what `fields` adds.
    ///
    /// # Errors
    /// [`OptionsError`] where a record was edited.
    pub fn catalogue(&self) -> Result<Catalogue, OptionsError> {
        let builtin = Catalogue::builtin();
        match &self.fields {
            Some(text) => builtin.extended(text).map_err(|e| OptionsError(format!("fields: {e}"))),
            None => Ok(builtin.clone()),
        }
    }

    /// Whether an object that could not be read under `other` options may be readable under these.
    pub fn reads_otherwise(&self, other: &Self) -> bool {
        (&self.format, &self.fields, self.salvage) != (&other.format, &other.fields, other.salvage)
    }
}

/// An option in a record that this program does not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError(String);

impl OptionsError {
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

/// What all files of a table have in common. Written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableContract {
    /// [`LAYOUT_VERSION`] of the program that made the table.
    pub layout_version: u32,
    /// Partition columns.
    pub partition_by: String,
    /// `start` or `end`.
    pub partition_time: String,
    /// `aws`: INT32, INT64 and STRING as in AWS's own Parquet delivery; `rich`: timestamps, and twins of addresses.
    pub types: String,
    /// Columns by which the rows of each row group are ordered; none: as they came.
    pub sort: Vec<String>,
    /// Whether only one process may write the table at a time: its store ignores the condition of a put-if-absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub single_writer: bool,
}

impl TableContract {
    /// The contract of a table that is made with `options`.
    pub fn of(options: &Options) -> Self {
        Self {
            single_writer: false,
            layout_version: LAYOUT_VERSION,
            partition_by: options.partition_by.clone(),
            partition_time: options.partition_time.clone(),
            types: options.types.clone(),
            sort: options.sort.clone(),
        }
    }

    /// One line a difference between this contract and what a run asks for: both sides, and the option to change.
    pub fn differences(&self, wanted: &Self) -> Vec<String> {
        let pairs = [
            ("layout version", self.layout_version.to_string(), wanted.layout_version.to_string()),
            ("--partition-by", self.partition_by.clone(), wanted.partition_by.clone()),
            ("--partition-time", self.partition_time.clone(), wanted.partition_time.clone()),
            ("--types", self.types.clone(), wanted.types.clone()),
            ("--sort", self.sort.join(","), wanted.sort.join(",")),
        ];
        pairs
            .into_iter()
            .filter(|(_, a, b)| a != b)
            .map(|(name, table, run)| format!("{name}: the table has `{table}`, this run asks for `{run}`"))
            .collect()
    }
}
