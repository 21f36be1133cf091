//! What may be wrong with a file, and where.

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The row group, counted from 0; none where it is the whole file's.
    pub row_group: Option<usize>,
    /// The column.
    pub column: Option<String>,
    /// The page among the column's pages in the row group, counted from 0; none where it is not one page's.
    pub page: Option<usize>,
    /// The row among those of the row group, counted from 0, where it is one row's.
    pub row: Option<usize>,
    /// What.
    pub kind: FileFaultKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFaultKind {
    /// Bytes that cannot be decoded.
    Damaged {
        /// What was expected and found.
        what: String,
    },
    /// Rows do not stand in the order that the file declares.
    Order,
    /// Numbers of rows that differ.
    Rows {
        /// Rows that are told.
        told: u64,
        /// Rows that are there.
        found: u64,
    },
    /// Statistics that are not those of the values: readers that prune by them miss rows.
    Statistics {
        /// `minimum`, `maximum` or `nulls`.
        of: &'static str,
        /// What they tell.
        told: String,
        /// What is there.
        found: String,
    },
    /// A twin of an address is another address.
    Twin,
}

impl FileFault {
    pub(super) fn of_file(kind: FileFaultKind) -> Self {
        Self { row_group: None, column: None, page: None, row: None, kind }
    }

    pub(super) fn of_group(row_group: usize, kind: FileFaultKind) -> Self {
        Self { row_group: Some(row_group), ..Self::of_file(kind) }
    }

    pub(super) fn of_column(row_group: usize, column: &str, kind: FileFaultKind) -> Self {
        Self { column: Some(column.to_owned()), ..Self::of_group(row_group, kind) }
    }
}
