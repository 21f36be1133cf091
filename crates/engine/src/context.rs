//! What tasks of one plan share: its options, resolved once.

use std::sync::Arc;

use flowquet_arrow::{BatchSchema, Selection};
use flowquet_format::{Catalogue, LogFormat, PartitionSpec, PartitionTime, Types};
use flowquet_parquet::{Compression, FileSchema};
use flowquet_table::Options;

use crate::error::Error;

/// A plan's options, as typed values. Immutable.
#[derive(Debug)]
pub(crate) struct PlanContext {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) given: Option<Arc<LogFormat>>,
    pub(crate) partitions: PartitionSpec,
    pub(crate) time: PartitionTime,
    pub(crate) types: Types,
    pub(crate) selection: Selection,
    /// Columns that have a bloom filter.
    pub(crate) bloom_filter: Vec<String>,
    /// Columns by which row groups are sorted.
    pub(crate) sort: Vec<String>,
    pub(crate) compression: Compression,
    pub(crate) row_group_rows: usize,
    pub(crate) file_bytes: u64,
    pub(crate) salvage: bool,
}

impl PlanContext {
    /// Resolves `options`, those of this run or those in a plan record.
    ///
    /// # Errors
    /// [`Error::Options`]. The command line has checked its own; only a record that was edited can be wrong.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let wrong =
            |name: &'static str, error: &dyn std::fmt::Display| Error::Options(format!("{name}: {error}"));
        let columns = options.columns.as_ref();
        let rows = usize::try_from(options.row_group_rows.max(1));
        Ok(Self {
            given: options.reading.format().cloned(),
            catalogue: options.catalogue().clone(),
            partitions: options.partition_by.clone(),
            time: options.partition_time,
            types: options.types,
            selection: columns.map_or_else(Selection::all, |c| Selection::of(c.iter().map(String::as_str))),
            sort: options.sort.clone(),
            bloom_filter: options.bloom_filter.clone(),
            compression: options.compression.parse().map_err(|e| wrong("compression", &e))?,
            row_group_rows: rows.map_err(|e| wrong("row_group_rows", &e))?,
            file_bytes: options.file_bytes,
            salvage: options.salvage,
        })
    }
}

/// A log format as a plan's options have it converted.
#[derive(Debug)]
pub(crate) struct FormatContext {
    pub(crate) schema: Arc<BatchSchema>,
    pub(crate) file_schema: FileSchema,
    /// AWS's text of the format: orders and names formats.
    pub(crate) text: String,
    /// Field position and largest value of the integer columns that are read: selected ones, and the partition time.
    pub(crate) integers: Vec<(usize, i64)>,
    /// Which of `integers` is the partition time, if the format has it and partitions need it.
    pub(crate) time: Option<usize>,
    /// Position of `log-status`.
    pub(crate) status: Option<usize>,
}

impl FormatContext {
    pub(crate) fn new(format: &Arc<LogFormat>, plan: &PlanContext) -> Self {
        let schema = Arc::new(BatchSchema::new(format.clone(), &plan.selection, plan.types));
        let time_field = plan.partitions.slot_s().and_then(|_| format.position(plan.time.field()));
        let selected = |field: usize| schema.columns().iter().any(|c| c.field == field);
        let fields = format.fields().iter().enumerate();
        let integers: Vec<(usize, i64)> = fields
            .filter(|(i, _)| selected(*i) || time_field == Some(*i))
            .filter_map(|(i, f)| Some((i, plan.types.column_type(f).integer_max()?)))
            .collect();
        let columns = schema.columns().iter().map(|c| (c.name.as_str(), c.column_type));
        let file_schema = FileSchema::new(columns)
            .sorted_by(plan.sort.iter().map(String::as_str))
            .filtered_by(plan.bloom_filter.iter().map(String::as_str));
        Self {
            file_schema,
            text: format.to_string(),
            time: time_field.and_then(|t| integers.iter().position(|(f, _)| *f == t)),
            status: format.position("log-status"),
            integers,
            schema,
        }
    }
}
