//! Columns of a row group by their names, and rows' values of them.

use std::sync::Arc;

use flowquet_format::{TIME_MAX_S, TIME_MIN_S};
use flowquet_parquet::{ColumnValues, TextValues};

/// Columns of a row group.
#[derive(Debug)]
pub(super) struct Columns {
    /// Its rows.
    pub(super) rows: usize,
    names: Arc<[String]>,
    values: Vec<Option<ColumnValues>>,
}

impl Columns {
    /// Columns of these names; none where the file does not have one.
    pub(super) fn new(rows: usize, names: Arc<[String]>, values: Vec<Option<ColumnValues>>) -> Self {
        Self { rows, names, values }
    }

    /// A column.
    pub(super) fn get(&self, name: &str) -> Option<&ColumnValues> {
        self.values[self.names.iter().position(|n| *n == name)?].as_ref()
    }

    /// A column of text.
    pub(super) fn text(&self, name: &str) -> Option<&TextValues> {
        match self.get(name)? {
            ColumnValues::Text(text) => Some(text),
            ColumnValues::Integers { .. } => None,
        }
    }

    /// The numbers of a column; 0 where a row has none.
    pub(super) fn amounts(&self, name: &str) -> Option<impl Fn(usize) -> u64> {
        let numbers = self.numbers(name)?;
        Some(move |row| numbers(row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    /// The numbers of a column.
    pub(super) fn numbers(&self, name: &str) -> Option<impl Fn(usize) -> Option<i64>> {
        match self.get(name)? {
            ColumnValues::Integers { values, nulls, .. } => Some(move |row: usize| {
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
            }),
            ColumnValues::Text(_) => None,
        }
    }

    /// The times of a column, in Unix seconds: numbers outside 2000 to 2100 are none.
    pub(super) fn times(&self, name: &str) -> Option<impl Fn(usize) -> Option<i64>> {
        let is_ms = matches!(self.get(name)?, ColumnValues::Integers { is_time_ms: true, .. });
        let numbers = self.numbers(name)?;
        Some(move |row| {
            let number = numbers(row)?;
            let seconds = if is_ms { number.div_euclid(1000) } else { number };
            (TIME_MIN_S..TIME_MAX_S).contains(&seconds).then_some(seconds)
        })
    }
}
