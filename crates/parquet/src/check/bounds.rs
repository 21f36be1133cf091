//! Bounds of values, as statistics have them.

use std::ops::Range;

use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::fault::FileFaultKind;
use crate::merge::{Column, Data, NULL};

/// The smallest and largest of some values; integers as such, texts as bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Integer(i64),
    Text(Vec<u8>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Text(text) => f.write_str(&String::from_utf8_lossy(text)),
        }
    }
}

/// What statistics tell of some rows, or what these hold. A bound that is not told is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: Option<Value>,
    pub(super) max: Option<Value>,
    pub(super) nulls: Option<u64>,
}

impl Bounds {
    /// What statistics of a column chunk tell.
    pub(super) fn of_chunk(statistics: &Statistics) -> Self {
        let (min, max) = match statistics {
            Statistics::Int32(s) => (
                s.min_opt().map(|v| Value::Integer(i64::from(*v))),
                s.max_opt().map(|v| Value::Integer(i64::from(*v))),
            ),
            Statistics::Int64(s) => {
                (s.min_opt().map(|v| Value::Integer(*v)), s.max_opt().map(|v| Value::Integer(*v)))
            }
            other => (
                other.min_bytes_opt().map(|v| Value::Text(v.to_vec())),
                other.max_bytes_opt().map(|v| Value::Text(v.to_vec())),
            ),
        };
        Self { min, max, nulls: statistics.null_count_opt() }
    }

    /// What the page index tells of a page.
    pub(super) fn of_page(index: &ColumnIndexMetaData, page: usize) -> Self {
        let (min, max) = match index {
            ColumnIndexMetaData::INT32(i) => (
                i.min_value(page).map(|v| Value::Integer(i64::from(*v))),
                i.max_value(page).map(|v| Value::Integer(i64::from(*v))),
            ),
            ColumnIndexMetaData::INT64(i) => {
                (i.min_value(page).map(|v| Value::Integer(*v)), i.max_value(page).map(|v| Value::Integer(*v)))
            }
            ColumnIndexMetaData::BYTE_ARRAY(i) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(i) => (
                i.min_value(page).map(|v| Value::Text(v.to_vec())),
                i.max_value(page).map(|v| Value::Text(v.to_vec())),
            ),
            _ => (None, None),
        };
        let nulls = index.null_count(page).and_then(|n| u64::try_from(n).ok());
        Self { min, max, nulls }
    }

    /// What some rows of a column hold.
    pub(super) fn of_rows(column: &Column, rows: Range<usize>) -> Self {
        let count = rows.len() as u64;
        let of_integers = |values: &mut dyn Iterator<Item = i64>| {
            let (mut least, mut most, mut present) = (i64::MAX, i64::MIN, 0);
            for value in values {
                (least, most, present) = (least.min(value), most.max(value), present + 1);
            }
            let bound = |value| (present > 0).then_some(Value::Integer(value));
            Self { min: bound(least), max: bound(most), nulls: Some(count - present) }
        };
        match &column.data {
            Data::Int32(values, None) => of_integers(&mut values[rows].iter().map(|v| i64::from(*v))),
            Data::Int64(values, None) => of_integers(&mut values[rows].iter().copied()),
            Data::Int32(values, Some(nulls)) => {
                of_integers(&mut rows.filter(|row| nulls.is_valid(*row)).map(|row| i64::from(values[row])))
            }
            Data::Int64(values, Some(nulls)) => {
                of_integers(&mut rows.filter(|row| nulls.is_valid(*row)).map(|row| values[row]))
            }
            // Keys count sorted values.
            Data::Text { keys, dictionary } => {
                let (mut least, mut most, mut present) = (u32::MAX, 0, 0);
                for key in keys[rows].iter().filter(|key| **key != NULL) {
                    (least, most, present) = (least.min(*key), most.max(*key), present + 1);
                }
                let bound = |key| (present > 0).then(|| Value::Text(dictionary.value(key).to_vec()));
                Self { min: bound(least), max: bound(most), nulls: Some(count - present) }
            }
        }
    }

    /// Where what is told is not so of what was found. A bound may be wider, as one of long text is.
    pub(super) fn lies(&self, found: &Self) -> Vec<FileFaultKind> {
        let text = |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), Value::to_string);
        let lie = |of, told: &Option<Value>, found: &Option<Value>| FileFaultKind::Statistics {
            of,
            told: text(told),
            found: text(found),
        };
        let mut lies = Vec::new();
        if self.min.is_some() && found.min.is_some() && self.min > found.min {
            lies.push(lie("minimum", &self.min, &found.min));
        }
        if self.max.is_some() && found.max.is_some() && self.max < found.max {
            lies.push(lie("maximum", &self.max, &found.max));
        }
        if let (Some(told), Some(found)) = (self.nulls, found.nulls)
            && told != found
        {
            let (told, found) = (told.to_string(), found.to_string());
            lies.push(FileFaultKind::Statistics { of: "nulls", told, found });
        }
        lies
    }
}
