//! What tasks of one plan share: its options, resolved once.

use std::sync::Arc;

use flowquet_arrow::{BatchSchema, Selection};
use flowquet_enrich::Enriching;
use flowquet_format::{
    AddedColumns, Catalogue, ColumnType, FIELDS_MAX, Field, FieldKind, FormatColumn, LogFormat, LogKind,
    PartitionColumn, PartitionSpec, PartitionTime, Types, added_columns, columns_of, enriched_columns,
    union_fields,
};
use flowquet_parquet::{Compression, FileSchema, Wanted};
use flowquet_table::{Options, Reading};

use crate::error::Error;

/// A plan's options, as typed values. Immutable.
#[derive(Debug)]
pub(crate) struct PlanContext {
    pub(crate) catalogue: Arc<Catalogue>,
    /// Log formats of objects without a header.
    pub(crate) reading: Reading,
    /// Log formats whose columns all files have.
    pub(crate) union: Vec<LogFormat>,
    pub(crate) partitions: PartitionSpec,
    pub(crate) time: PartitionTime,
    /// Whether records' own regions choose partitions.
    pub(crate) own_region: bool,
    pub(crate) types: Types,
    pub(crate) selection: Selection,
    /// Columns that are added to those of the fields.
    pub(crate) added: AddedColumns,
    /// Files that fill columns; not read where these are carried and not computed.
    pub(crate) enriching: Enriching,
    /// Columns of Parquet files that are looked at: selected ones, and what chooses the partition.
    pub(crate) wanted: Wanted,
    /// Columns that have a bloom filter.
    pub(crate) bloom_filter: Vec<String>,
    /// Columns by which row groups are sorted.
    pub(crate) sort: Vec<String>,
    pub(crate) compression: Compression,
    pub(crate) row_group_rows: usize,
    pub(crate) file_bytes: u64,
    pub(crate) salvage: bool,
    /// Bytes of rejects that are kept of a task.
    pub(crate) rejects_max: u64,
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
            reading: options.reading.clone(),
            union: Vec::new(),
            catalogue: options.catalogue().clone(),
            partitions: options.partition_by.clone(),
            time: options.partition_time,
            own_region: options.own_region,
            types: options.types,
            selection: columns.map_or_else(Selection::all, |c| Selection::of(c.iter().map(String::as_str))),
            added: options.add.clone(),
            enriching: Enriching::named(options.enrich.clone()),
            wanted: wanted_columns(options),
            sort: options.sort.clone(),
            bloom_filter: options.bloom_filter.clone(),
            compression: options.compression.parse().map_err(|e| wrong("compression", &e))?,
            row_group_rows: rows.map_err(|e| wrong("row_group_rows", &e))?,
            file_bytes: options.file_bytes,
            salvage: options.salvage,
            rejects_max: options.rejects_max,
        })
    }

    /// With the columns of all `formats` in each file, which a plan record or a compaction names.
    ///
    /// # Errors
    /// [`Error::Options`] where a record was edited.
    pub(crate) fn with_union(mut self, formats: &[String]) -> Result<Self, Error> {
        let parsed = formats.iter().map(|format| LogFormat::parse(format, &self.catalogue));
        self.union = parsed.collect::<Result<_, _>>().map_err(|e| Error::Options(format!("formats: {e}")))?;
        Ok(self)
    }

    /// Whether engines that take values from the names of folders see something else than the column of `field` has.
    pub(crate) fn hides(&self, field: &Field) -> bool {
        let is_partition = self.partitions.columns().iter().any(|column| column.name() == field.column());
        let is_same = self.own_region && field.column() == PartitionColumn::Region.name();
        is_partition && !is_same && self.selection.contains(field.column())
    }

    /// With the files that fill columns, so that these are computed.
    pub(crate) fn enriched_by(mut self, enriching: Enriching) -> Self {
        debug_assert_eq!(enriching.of(), self.enriching.of());
        self.enriching = enriching;
        self
    }
}

/// The columns of Parquet files that `options` look at.
pub(crate) fn wanted_columns(options: &Options) -> Wanted {
    let all = Wanted::all(options.catalogue().clone(), options.types);
    let Some(columns) = &options.columns else { return all };
    let time = options.partition_by.slot_s().map(|_| options.partition_time.field());
    let region = options.own_region.then_some("region");
    all.only(columns.iter().map(String::as_str).chain(time).chain(region))
}

/// A log format as a plan's options have it converted.
#[derive(Debug)]
pub(crate) struct FormatContext {
    pub(crate) schema: Arc<BatchSchema>,
    pub(crate) file_schema: FileSchema,
    /// AWS's text of the format: orders and names formats.
    pub(crate) text: String,
    /// The kind of flow log that has it.
    pub(crate) kind: LogKind,
    /// Field position and largest value of the integer columns that are read: selected ones, and the partition time.
    pub(crate) integers: Vec<(usize, i64)>,
    /// Which of `integers` is the partition time, if the format has it and partitions need it.
    pub(crate) time: Option<usize>,
    /// Columns of the schema that hold values of tags.
    pub(crate) tags: Vec<usize>,
    /// Position of `log-status`.
    pub(crate) status: Option<usize>,
    /// Position of `region`, where it chooses the partition.
    pub(crate) region: Option<usize>,
}

impl FormatContext {
    pub(crate) fn new(format: &Arc<LogFormat>, plan: &PlanContext) -> Self {
        let schema = BatchSchema::with_added(format.clone(), &plan.selection, plan.types, &plan.added);
        let schema = Arc::new(schema.enriched_by(&plan.enriching));
        let time_field = plan.partitions.slot_s().and_then(|_| format.position(plan.time.field()));
        let selected = |field: usize| schema.columns().iter().any(|c| c.field() == Some(field));
        let fields = format.fields().iter().enumerate();
        let integers: Vec<(usize, i64)> = fields
            .filter(|(i, _)| selected(*i) || time_field == Some(*i))
            .filter_map(|(i, f)| Some((i, plan.types.column_type(f).integer_max()?)))
            .collect();
        // Only tags are free text.
        let is_tag = |field: usize| format.fields()[field].spec().is_some_and(|s| s.kind == FieldKind::Text);
        let tags = (0..schema.columns().len()).filter(|i| schema.columns()[*i].field().is_some_and(is_tag));
        let tags = tags.collect();
        let columns = file_columns(format, &schema, plan);
        let file_schema =
            FileSchema::new(columns.iter().map(|(name, column_type)| (name.as_str(), *column_type)))
                .for_batches_of(schema.columns().iter().map(|c| c.name.as_str()))
                .sorted_by(plan.sort.iter().map(String::as_str))
                .filtered_by(plan.bloom_filter.iter().map(String::as_str))
                .made_of_others(
                    schema.columns().iter().filter(|c| c.is_made_of_others()).map(|c| c.name.as_str()),
                );
        Self {
            file_schema,
            text: format.to_string(),
            kind: format.kind(),
            tags,
            time: time_field.and_then(|t| integers.iter().position(|(f, _)| *f == t)),
            status: format.position("log-status"),
            region: plan.own_region.then(|| format.position("region")).flatten(),
            integers,
            schema,
        }
    }
}

/// The columns of a file of rows of `format`: its own, and those of the other formats of the union, which are null in all rows; then those that are
/// added, null too where the format lacks what they are computed from. Where kinds of flow logs lie in folders of their own, the formats of its kind alone.
fn file_columns(format: &LogFormat, schema: &BatchSchema, plan: &PlanContext) -> Vec<(String, ColumnType)> {
    let is_split = plan.partitions.contains(PartitionColumn::Log);
    let of_kind = plan.union.iter().filter(|f| !is_split || f.kind() == format.kind());
    let mut fields = union_fields(of_kind.chain([format]), &plan.catalogue);
    // Whatever formats turn up in a table, a file has no more columns than a log format may have fields: the last are left out,
    // which are unknown ones.
    let mut room = FIELDS_MAX - format.fields().len();
    fields.retain(|field| {
        let is_own = format.position(field.name()).is_some();
        let fits = is_own || room > 0;
        room -= usize::from(fits && !is_own);
        fits
    });
    let columns = columns_of(&fields, plan.types).into_iter();
    let kept = columns.filter(|c| c.field().is_some_and(|f| plan.selection.contains(fields[f].column())));
    let with_own_type = |name: String, column_type| {
        let own = schema.columns().iter().find(|c| c.name == name);
        (name, own.map_or(column_type, |own| own.column_type))
    };
    let mut columns: Vec<FormatColumn> = kept.collect();
    columns.extend(added_columns(&columns, &plan.added));
    columns.extend(enriched_columns(&columns, plan.enriching.of()));
    columns.into_iter().map(|c| with_own_type(c.name, c.column_type)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            types: Types::Rich,
            sort: vec!["interface_id".into(), "srcaddr".into()],
            row_group_rows: 1000,
            file_bytes: 1000,
            ..Options::default()
        }
    }

    #[track_caller]
    fn check(format: &str, union: &[&str], columns: Option<&[&str]>, expected: &str) {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<String>>();
        let options = Options { columns: columns.map(owned), ..options() };
        let plan = PlanContext::new(&options).expect("valid").with_union(&owned(union)).expect("valid");
        let format = Arc::new(LogFormat::parse(format, &plan.catalogue).expect("valid"));
        let context = FormatContext::new(&format, &plan);
        let columns = file_columns(&format, &context.schema, &plan);
        let columns: Vec<String> = columns.iter().map(|(n, t)| format!("{n} {t}")).collect();
        assert_eq!(columns.join(", "), expected);
    }

    #[test]
    fn files_have_the_columns_of_all_formats() {
        let own = "bytes INT64, start TIMESTAMP";
        check("${bytes} ${start}", &[], None, own);
        check("${bytes} ${start}", &["${bytes} ${start}"], None, own);
        let all = "srcaddr STRING, bytes INT64, start TIMESTAMP, x STRING, srcaddr_bin ADDRESS";
        check("${bytes} ${start}", &["${bytes} ${start}", "${x} ${srcaddr}"], None, all);
        check("${x} ${srcaddr}", &["${bytes} ${start}", "${x} ${srcaddr}"], None, all);
        // One that turns up only now.
        check("${x} ${srcaddr}", &["${bytes} ${start}"], None, all);
        check(
            "${bytes} ${start}",
            &["${x} ${srcaddr}"],
            Some(&["srcaddr", "bytes"]),
            "srcaddr STRING, bytes INT64, srcaddr_bin ADDRESS",
        );
        // Added columns stand last, whether the format can tell them or not.
        let add = AddedColumns::of(["start_time", "is_nat", "source_line"]).expect("known");
        let options = Options { add, ..options() };
        let plan =
            PlanContext::new(&options).expect("valid").with_union(&["${x}".to_owned()]).expect("valid");
        let format = Arc::new(LogFormat::parse("${start} ${is-nat}", &plan.catalogue).expect("valid"));
        let schema = FormatContext::new(&format, &plan).schema;
        let names = |columns: Vec<(String, ColumnType)>| {
            columns.into_iter().map(|c| c.0).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(file_columns(&format, &schema, &plan)), "start is_nat x start_time source_line");
        // A field that has the name of a twin.
        check("${srcaddr}", &["${srcaddr-bin}"], None, "srcaddr STRING, srcaddr_bin ADDRESS");
    }

    #[test]
    fn there_is_a_limit() {
        let many = |letter: char| {
            let fields: Vec<String> = (0..200).map(|i| format!("${{{letter}-{i:03}}}")).collect();
            fields.join(" ")
        };
        let plan = PlanContext::new(&options()).expect("valid").with_union(&[many('a'), many('b')]);
        let plan = plan.expect("valid");
        let format = Arc::new(LogFormat::parse("${bytes} ${z}", &plan.catalogue).expect("valid"));
        let columns = file_columns(&format, &FormatContext::new(&format, &plan).schema, &plan);
        assert_eq!((columns.len(), columns[0].0.as_str(), columns[255].0.as_str()), (256, "bytes", "z"));
        assert_eq!(columns[254].0, "b_053");
    }
}
