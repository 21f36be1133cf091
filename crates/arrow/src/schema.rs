//! The Arrow schema of a log format.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use flowquet_format::{ColumnType, FieldKind, LogFormat};

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

/// A column of a batch and the field it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Position of the field in the log format.
    pub field: usize,
    /// Name of the column.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
}

/// The columns that a log format becomes, in the format's order. All are nullable: `-` is null everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSchema {
    format: Arc<LogFormat>,
    columns: Vec<Column>,
    arrow: SchemaRef,
}

impl BatchSchema {
    /// The selected columns of `format`. May be empty, where the selection names none of its fields.
    pub fn new(format: Arc<LogFormat>, selection: &Selection) -> Self {
        let columns: Vec<Column> = format
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, f)| selection.contains(f.column()))
            .map(|(field, f)| Column { field, name: f.column().to_owned(), column_type: f.column_type() })
            .collect();
        let fields: Vec<ArrowField> =
            columns.iter().map(|c| ArrowField::new(&c.name, batch_type(c.column_type), true)).collect();
        Self { format, columns, arrow: Arc::new(Schema::new(fields)) }
    }

    /// The log format.
    pub fn format(&self) -> &Arc<LogFormat> {
        &self.format
    }

    /// Whether the field at this position of the log format holds addresses.
    pub(crate) fn is_address(&self, field: usize) -> bool {
        let field = &self.format.fields()[field];
        field.column_type() == ColumnType::String
            && field.spec().is_some_and(|spec| spec.kind == FieldKind::Address)
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The schema of the batches that [`crate::Columns`] makes: text as dictionaries.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The schema as readers of the files see it: text as UTF-8.
    pub fn logical(&self) -> Schema {
        let of = |c: &Column| match c.column_type {
            ColumnType::String => ArrowField::new(&c.name, DataType::Utf8, true),
            integer => ArrowField::new(&c.name, batch_type(integer), true),
        };
        Schema::new(self.columns.iter().map(of).collect::<Vec<_>>())
    }
}

fn batch_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::String => DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8)),
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
            let schema = BatchSchema::new(format.clone(), s);
            schema.columns().iter().map(|c| format!("{} {}", c.name, c.column_type)).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&Selection::all()),
            ["bytes INT64", "pkt_srcaddr STRING", "new_field STRING", "srcport INT32"]
        );
        assert_eq!(
            names(&Selection::of(["new-field", "Bytes", "srcaddr"])),
            ["bytes INT64", "new_field STRING"]
        );
    }
}
