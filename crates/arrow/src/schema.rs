//! The Arrow schema of a log format.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use flowquet_format::{ADDRESS_BYTES, ColumnType, FormatColumn, LogFormat, Types};

/// Which columns to keep: all, or those of some names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Option<BTreeSet<String>>);

impl Selection {
    /// Every column.
    pub fn all() -> Self {
        Self(None)
    }

    /// The columns of these names, spelt as fields (`pkt-srcaddr`) or as columns (`pkt_srcaddr`).
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Some(names.into_iter().map(|n| n.trim().to_ascii_lowercase().replace('-', "_")).collect()))
    }

    /// Whether the column is kept.
    pub fn contains(&self, column: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(column))
    }

    /// The names that were given, as columns, sorted; `None` where all columns are kept.
    pub fn names(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.as_ref().map(|names| names.iter().map(String::as_str))
    }
}

/// The columns that a log format becomes, in the format's order, twins of addresses behind them. All are nullable: `-` is null
/// everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSchema {
    format: Arc<LogFormat>,
    columns: Vec<FormatColumn>,
    arrow: SchemaRef,
}

impl BatchSchema {
    /// The selected columns of `format`, a twin where its address is. May be empty, where the selection names none of its
    /// fields.
    pub fn new(format: Arc<LogFormat>, selection: &Selection, types: Types) -> Self {
        let columns: Vec<FormatColumn> = format
            .columns(types)
            .into_iter()
            .filter(|c| selection.contains(format.fields()[c.field].column()))
            .collect();
        let fields: Vec<ArrowField> =
            columns.iter().map(|c| ArrowField::new(&c.name, batch_type(c.column_type), true)).collect();
        Self { format, columns, arrow: Arc::new(Schema::new(fields)) }
    }

    /// The log format.
    pub fn format(&self) -> &Arc<LogFormat> {
        &self.format
    }

    /// The columns in order.
    pub fn columns(&self) -> &[FormatColumn] {
        &self.columns
    }

    /// The schema of the batches that [`crate::Columns`] makes: text as dictionaries.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The schema as readers of the files see it: without dictionaries.
    pub fn logical(&self) -> Schema {
        let of = |c: &FormatColumn| match batch_type(c.column_type) {
            DataType::Dictionary(_, values) => ArrowField::new(&c.name, *values, true),
            other => ArrowField::new(&c.name, other, true),
        };
        Schema::new(self.columns.iter().map(of).collect::<Vec<_>>())
    }
}

fn batch_type(column_type: ColumnType) -> DataType {
    let dictionary = |values| DataType::Dictionary(Box::new(DataType::UInt32), Box::new(values));
    match column_type {
        ColumnType::Address => dictionary(DataType::FixedSizeBinary(ADDRESS_BYTES as i32)),
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::String => dictionary(DataType::Utf8),
        ColumnType::TimestampMs => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_format::Catalogue;

    #[test]
    fn columns_of_a_format() {
        let format =
            LogFormat::parse("${bytes} ${pkt-srcaddr} ${new-field} ${srcport}", Catalogue::builtin());
        let format = Arc::new(format.expect("valid"));
        let names = |s: &Selection| {
            let schema = BatchSchema::new(format.clone(), s, Types::Rich);
            schema.columns().iter().map(|c| format!("{} {}", c.name, c.column_type)).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&Selection::all()),
            [
                "bytes INT64",
                "pkt_srcaddr STRING",
                "new_field STRING",
                "srcport INT32",
                "pkt_srcaddr_bin ADDRESS"
            ]
        );
        assert_eq!(
            names(&Selection::of(["new-field", "Bytes", "srcaddr"])),
            ["bytes INT64", "new_field STRING"]
        );
    }
}
