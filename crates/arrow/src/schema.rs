//! The Arrow schema of a log format.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use flowquet_enrich::Enriching;
use flowquet_format::{
    ADDRESS_BYTES, AddedColumns, ColumnSource, ColumnType, Enrichments, FormatColumn, LogFormat, Types,
    added_columns, enriched_columns,
};

/// A key in the metadata of columns whose values are made of those of others, which digests leave out.
pub(crate) const MADE_OF_OTHERS: &str = "flowquet.made_of_others";

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
    enriching: Enriching,
}

impl BatchSchema {
    /// The selected columns of `format`, a twin where its address is. May be empty, where the selection names none of its
    /// fields.
    pub fn new(format: Arc<LogFormat>, selection: &Selection, types: Types) -> Self {
        Self::with_added(format, selection, types, &AddedColumns::default())
    }

    /// The selected columns of `format`, and those of `added` that have values where these columns are kept.
    pub fn with_added(
        format: Arc<LogFormat>,
        selection: &Selection,
        types: Types,
        added: &AddedColumns,
    ) -> Self {
        let has =
            |name: &str| format.fields().iter().any(|f| f.name() == name && selection.contains(f.column()));
        let tells = added.iter().filter(|column| column.can_tell(has)).collect();
        Self::of_file(format.clone(), selection, types, &tells)
    }

    /// The selected columns of `format` and all of `added`: the columns that a file has. Those that cannot have values are null in all its rows, and no columns of batches.
    pub fn of_file(
        format: Arc<LogFormat>,
        selection: &Selection,
        types: Types,
        added: &AddedColumns,
    ) -> Self {
        let is_kept =
            |c: &FormatColumn| c.field().is_some_and(|f| selection.contains(format.fields()[f].column()));
        let mut columns: Vec<FormatColumn> = format.columns(types).into_iter().filter(is_kept).collect();
        let added = added_columns(&columns, added);
        columns.extend(added);
        Self::of_columns(format, columns, Enriching::default())
    }

    fn of_columns(format: Arc<LogFormat>, columns: Vec<FormatColumn>, enriching: Enriching) -> Self {
        let field = |c: &FormatColumn| {
            let field = ArrowField::new(&c.name, batch_type(c.column_type), true);
            match c.is_made_of_others() {
                true => field.with_metadata([(MADE_OF_OTHERS.to_owned(), String::new())]),
                false => field,
            }
        };
        let fields: Vec<ArrowField> = columns.iter().map(field).collect();
        Self { format, columns, arrow: Arc::new(Schema::new(fields)), enriching }
    }

    /// With those columns of `enriching` that have values where these columns are kept.
    #[must_use]
    pub fn enriched_by(self, enriching: &Enriching) -> Self {
        let fields = self.format.fields();
        let has = |name: &str| fields.iter().any(|field| field.name() == name);
        let is_kept = |name: &str| {
            self.columns.iter().filter_map(FormatColumn::field).any(|f| fields[f].name() == name)
        };
        let tells = |c: &FormatColumn| match c.source {
            ColumnSource::Enriched(column) => enriching.of().can_tell(column, has, is_kept),
            _ => false,
        };
        let more: Vec<FormatColumn> =
            enriched_columns(&self.columns, enriching.of()).into_iter().filter(tells).collect();
        let columns = self.columns.into_iter().chain(more).collect();
        Self::of_columns(self.format, columns, enriching.clone())
    }

    /// With all columns that `enrichments` fill: those that a file has.
    #[must_use]
    pub fn of_file_enriched_by(self, enrichments: &Enrichments) -> Self {
        let more = enriched_columns(&self.columns, enrichments);
        let columns = self.columns.into_iter().chain(more).collect();
        Self::of_columns(self.format, columns, Enriching::default())
    }

    /// The files that fill columns.
    pub(crate) fn enriching(&self) -> &Enriching {
        &self.enriching
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
