//! Partitions as a catalog knows them: values, and the place of their files.

use flowquet_format::HIVE_NULL;

/// A partition and where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlace {
    /// Values of the partition columns, in their order.
    pub values: Vec<String>,
    /// URL of its folder; ends in a slash.
    pub location: String,
    /// Whether its files may be about to move: then one that points below `_flowquet/` is left alone.
    pub may_move: bool,
}

/// Whether a value is that of no value.
pub(crate) fn is_null(value: &str) -> bool {
    value == HIVE_NULL
}
