//! How chosen objects are read from now on.

use flowquet_format::{AddedColumns, Enrichments};
use flowquet_table::{Options, Reading};

/// Options that chosen objects get; what is `None` stays as it was for each.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Field list and log formats; each that is not given stays too.
    pub reading: Option<Reading>,
    /// Columns to keep.
    pub columns: Option<Vec<String>>,
    /// Columns to add to those that are there.
    pub add: AddedColumns,
    /// Files that fill columns; one of a name takes the place of what the objects had.
    pub enrich: Enrichments,
    /// Whether the whole lines of a damaged object are kept.
    pub salvage: Option<bool>,
    /// Bytes of rejects that are kept of a task.
    pub rejects_max: Option<u64>,
}

impl Change {
    /// Whether objects are read as they were.
    pub(super) fn is_none(&self) -> bool {
        let Self { reading, columns, add, enrich, salvage, rejects_max } = self;
        let none = Self::default();
        reading.is_none()
            && columns.is_none()
            && *add == none.add
            && *enrich == none.enrich
            && salvage.is_none()
            && rejects_max.is_none()
    }

    /// These options with what was asked for.
    pub(super) fn apply(&self, options: &Options) -> Options {
        Options {
            reading: match &self.reading {
                Some(reading) => reading.completed_by(&options.reading),
                None => options.reading.clone(),
            },
            columns: self.columns.clone().or_else(|| options.columns.clone()),
            add: options.add.clone().with(&self.add),
            enrich: options.enrich.clone().with(&self.enrich),
            salvage: self.salvage.unwrap_or(options.salvage),
            rejects_max: self.rejects_max.unwrap_or(options.rejects_max),
            ..options.clone()
        }
    }
}
