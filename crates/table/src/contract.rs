//! The table contract: what all files of a table have in common.

use flowquet_format::{PartitionColumn, PartitionSpec, PartitionTime, Types};
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;
use crate::options::{Options, text};
use crate::records::Record;

/// What all files of a table have in common. Once it has a file that never changes; before, it is what the newest plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableContract {
    /// [`LAYOUT_VERSION`] of the program that made the table.
    pub layout_version: u32,
    /// Partition columns.
    #[serde(with = "text")]
    pub partition_by: PartitionSpec,
    /// The field whose time chooses date and hour.
    #[serde(with = "text")]
    pub partition_time: PartitionTime,
    /// `aws`: INT32, INT64 and STRING as in AWS's own Parquet delivery; `rich`: timestamps, and twins of addresses.
    #[serde(with = "text")]
    pub types: Types,
    /// Columns by which the rows of each row group are ordered; none: as they came.
    pub sort: Vec<String>,
    /// Whether only one process may write the table at a time: its store ignores the condition of a put-if-absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub single_writer: bool,
}

impl Record for TableContract {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// An option that a run asks for and the table has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The option's name as records spell it: `partition_by`.
    pub option: &'static str,
    /// What the table has; empty for nothing.
    pub table: String,
    /// What the run asks for.
    pub asked: String,
}

impl TableContract {
    /// The contract of a table that is made with `options`.
    pub fn of(options: &Options) -> Self {
        Self {
            single_writer: false,
            layout_version: LAYOUT_VERSION,
            partition_by: options.partition_by.clone(),
            partition_time: options.partition_time,
            types: options.types,
            sort: options.sort.clone(),
        }
    }

    /// Has files have in common what `options` say.
    pub(crate) fn follow(&mut self, options: &Options) {
        self.partition_by = options.partition_by.clone();
        self.partition_time = options.partition_time;
        self.types = options.types;
        self.sort.clone_from(&options.sort);
    }

    /// These options with what all files of the table have in common.
    pub fn completed(&self, options: Options) -> Options {
        let own_region = if options.partition_by == self.partition_by {
            options.own_region
        } else {
            self.partition_by.contains(PartitionColumn::Region)
        };
        Options {
            own_region,
            partition_by: self.partition_by.clone(),
            partition_time: self.partition_time,
            types: self.types,
            sort: self.sort.clone(),
            ..options
        }
    }

    /// What a run with `options` asks for otherwise than the table has it.
    pub fn differences(&self, options: &Options) -> Vec<Difference> {
        let pairs = [
            ("partition_by", self.partition_by.to_string(), options.partition_by.to_string()),
            ("partition_time", self.partition_time.to_string(), options.partition_time.to_string()),
            ("types", self.types.to_string(), options.types.to_string()),
            ("sort", self.sort.join(","), options.sort.join(",")),
        ];
        let differ = pairs.into_iter().filter(|(_, table, asked)| table != asked);
        differ.map(|(option, table, asked)| Difference { option, table, asked }).collect()
    }
}
