//! The columns of a table as the engine has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use flowquet_catalog::{Conflict, FormatUse, union_columns};
use flowquet_format::{ADDRESS_BYTES, ColumnSource, ColumnType, LogFormat, PartitionSpec, TWIN_SUFFIX};
use flowquet_table::Options;

/// The zone of all times.
pub(crate) const UTC: &str = "UTC";

/// What files and folders of a table have.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Those of files.
    pub(crate) files: SchemaRef,
    /// Those that folders tell, all text.
    pub(crate) partitions: Vec<FieldRef>,
    /// Columns of addresses that have a twin of bytes in every file that has them, so that the twin's bounds speak for them.
    pub(crate) twinned: BTreeSet<String>,
}

impl Columns {
    /// The columns of files of these formats.
    ///
    /// # Errors
    /// [`Conflict`] where files contradict each other, or there are none.
    pub(crate) fn of(
        formats: &[(String, Arc<Options>)],
        partition_by: &PartitionSpec,
    ) -> Result<Self, Conflict> {
        let uses: Vec<FormatUse<'_>> =
            formats.iter().map(|(format, options)| FormatUse { format, options }).collect();
        let columns = union_columns(&uses, partition_by)?;
        let fields: Vec<Field> =
            columns.iter().map(|c| Field::new(&c.name, data_type(c.column_type), true)).collect();
        let partitions = partition_by.columns().iter();
        let partitions = partitions.map(|c| Arc::new(Field::new(c.name(), DataType::Utf8, true))).collect();
        Ok(Self { files: Arc::new(Schema::new(fields)), partitions, twinned: twinned(formats)? })
    }
}

fn data_type(of: ColumnType) -> DataType {
    match of {
        ColumnType::Address => DataType::FixedSizeBinary(ADDRESS_BYTES as i32),
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::String => DataType::Utf8View,
        ColumnType::TimestampMs => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
    }
}

fn twinned(formats: &[(String, Arc<Options>)]) -> Result<BTreeSet<String>, Conflict> {
    let (mut with, mut without) = (BTreeSet::new(), BTreeSet::new());
    for (format, options) in formats {
        let format = LogFormat::parse(format, options.catalogue())
            .map_err(|error| Conflict::Format(error.to_string()))?;
        let columns = options.columns_of(&format);
        for column in columns.iter().filter(|c| matches!(c.source, ColumnSource::Field(_))) {
            let twin = format!("{}{TWIN_SUFFIX}", column.name);
            let has = columns.iter().any(|c| c.name == twin && matches!(c.source, ColumnSource::Twin(_)));
            if has { &mut with } else { &mut without }.insert(column.name.clone());
        }
    }
    Ok(with.difference(&without).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(types: &[&str]) -> Columns {
        let formats: Vec<(String, Arc<Options>)> = types
            .iter()
            .zip(["${srcaddr} ${start} ${protocol}", "${srcaddr} ${bytes} ${region}"])
            .map(|(types, format)| {
                let types = types.parse().expect("valid");
                (format.to_owned(), Arc::new(Options { types, ..Options::default() }))
            })
            .collect();
        Columns::of(&formats, &"region,date".parse().expect("valid")).expect("types agree")
    }

    #[test]
    fn all_formats_and_partitions_have_their_columns() {
        let columns = of(&["rich", "rich"]);
        let names: Vec<&str> = columns.files.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["srcaddr", "protocol", "bytes", "start", "srcaddr_bin"]);
        let partitions: Vec<&str> = columns.partitions.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(partitions, ["region", "date"]);
        assert_eq!(columns.twinned, BTreeSet::from(["srcaddr".to_owned()]));
    }

    #[test]
    fn a_twin_that_some_files_lack_speaks_for_none() {
        let formats = [("rich", "${srcaddr}"), ("aws", "${srcaddr} ${bytes}")].map(|(types, format)| {
            let types = types.parse().expect("valid");
            (format.to_owned(), Arc::new(Options { types, ..Options::default() }))
        });
        let columns = Columns::of(&formats, &PartitionSpec::date()).expect("types agree");
        assert!(columns.twinned.is_empty() && columns.files.column_with_name("srcaddr_bin").is_some());
    }
}
