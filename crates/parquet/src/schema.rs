//! The schema of a file, and how its columns are laid out.

use std::sync::Arc;

use flowquet_format::{ADDRESS_BYTES, ColumnType};
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type, TypePtr};

use crate::{PAGE_ROWS, SORTED_PAGE_ROWS};

/// The Parquet schema of a file: optional flat columns; and how they are laid out.
#[derive(Debug, Clone)]
pub struct FileSchema {
    pub(crate) root: TypePtr,
    types: Vec<ColumnType>,
    descriptor: Arc<SchemaDescriptor>,
    /// The column of a batch that each column comes from; `None` for one that is null in all rows.
    sources: Vec<Option<usize>>,
    pub(crate) sort: Vec<usize>,
    filtered: Vec<usize>,
    made_of_others: Vec<usize>,
}

impl FileSchema {
    /// A schema of these columns, in order.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> Self {
        let field = |(name, column_type): (&str, ColumnType)| -> TypePtr {
            let time = LogicalType::timestamp(true, TimeUnit::MILLIS);
            let (physical, logical) = match column_type {
                ColumnType::Address => (PhysicalType::FIXED_LEN_BYTE_ARRAY, None),
                ColumnType::Int32 => (PhysicalType::INT32, None),
                ColumnType::Int64 => (PhysicalType::INT64, None),
                ColumnType::String => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
                ColumnType::TimestampMs => (PhysicalType::INT64, Some(time)),
            };
            let length = if column_type == ColumnType::Address { ADDRESS_BYTES as i32 } else { -1 };
            let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
            let builder = builder.with_length(length);
            Arc::new(builder.with_logical_type(logical).build().expect("these types are valid Parquet"))
        };
        let columns: Vec<(&str, ColumnType)> = columns.into_iter().collect();
        let types = columns.iter().map(|(_, column_type)| *column_type).collect();
        let fields: Vec<TypePtr> = columns.into_iter().map(field).collect();
        let sources = (0..fields.len()).map(Some).collect();
        let root = Type::group_type_builder("schema").with_fields(fields).build();
        let root = Arc::new(root.expect("a group of valid fields"));
        Self {
            descriptor: Arc::new(SchemaDescriptor::new(root.clone())),
            root,
            types,
            sources,
            sort: Vec::new(),
            filtered: Vec::new(),
            made_of_others: Vec::new(),
        }
    }

    /// Only the columns that `keep` chooses by their names, in the same order, without twins and columns that are null in all rows.
    pub fn keeping(&self, keep: impl Fn(&str) -> bool) -> Self {
        let is_kept = |i: &usize| {
            self.sources[*i].is_some() && self.types[*i] != ColumnType::Address && keep(self.name(*i))
        };
        Self::new((0..self.columns()).filter(is_kept).map(|i| (self.name(i), self.types[i])))
    }

    /// For batches that have only the columns of these names, in this order: the others are null in all rows.
    pub fn for_batches_of<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let columns = self.root.get_fields().iter();
        self.sources = columns.map(|c| names.iter().position(|n| *n == c.name())).collect();
        self
    }

    /// With the rows of each row group ordered by the columns of these names, as far as it has them: nulls first,
    /// then ascending. Pages are small then: where the order serves a query, it reads few of them.
    pub fn sorted_by<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.sort = self.positions(names);
        self
    }

    /// With a bloom filter for each of these columns, as far as it has them.
    pub fn filtered_by<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.filtered = self.positions(names);
        self
    }

    /// With the values of these columns made of those of others of the row: digests leave them out.
    pub fn made_of_others<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.made_of_others = self.positions(names);
        self
    }

    fn positions<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
        let columns = self.root.get_fields();
        names.into_iter().filter_map(|n| columns.iter().position(|c| c.name() == n)).collect()
    }

    /// Most rows of a page.
    pub(crate) fn page_rows(&self) -> usize {
        let is_sorted = self.sort.iter().any(|column| self.sources[*column].is_some());
        if is_sorted { SORTED_PAGE_ROWS } else { PAGE_ROWS }
    }

    /// Whether a column has a bloom filter.
    pub(crate) fn has_filter(&self, column: usize) -> bool {
        self.filtered.contains(&column)
    }

    /// Positions in a batch of the columns by which rows are ordered: one that is null in all rows orders nothing.
    pub(crate) fn sort(&self) -> Vec<usize> {
        self.sort.iter().filter_map(|column| self.sources[*column]).collect()
    }

    /// Positions among the columns of those by which rows are ordered.
    pub(crate) fn sort_columns(&self) -> Vec<usize> {
        self.sort.iter().copied().filter(|column| self.sources[*column].is_some()).collect()
    }

    /// Whether the digest of rows leaves a column out.
    pub fn is_made_of_others(&self, column: usize) -> bool {
        self.made_of_others.contains(&column)
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.types.len()
    }

    /// The position of the column of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.root.get_fields().iter().position(|column| column.name() == name)
    }

    /// The type of a column.
    pub fn column_type(&self, i: usize) -> ColumnType {
        self.types[i]
    }

    /// The name of a column.
    pub fn name(&self, i: usize) -> &str {
        self.root.get_fields()[i].name()
    }

    /// The position in a batch of each column; `None` for one that is null in all rows.
    pub(crate) fn sources(&self) -> &[Option<usize>] {
        &self.sources
    }

    pub(crate) fn column(&self, i: usize) -> ColumnDescPtr {
        self.descriptor.column(i)
    }
}

impl std::fmt::Display for FileSchema {
    /// The schema in Parquet's message syntax.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        parquet::schema::printer::print_schema(&mut text, &self.root);
        f.write_str(String::from_utf8_lossy(&text).trim_end())
    }
}
