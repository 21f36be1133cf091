//! What the pages of a row group hold.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::TWIN_SUFFIX;
use parquet::column::page::PageReader as _;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::FixedLenByteArray;
use parquet::file::serialized_reader::SerializedPageReader;

use super::bounds::Bounds;
use super::fault::{FileFault, FileFaultKind};
use super::footer::CheckedFile;
use crate::merge::{Column, Data, Merge, MergeError, MergedHashes, NULL};
use crate::rows::guarded;
use crate::rows::slices::Slices;

/// Most bytes of the distinct values of a column in a row group. Those of a row group's dictionary are limited where it is written.
const DISTINCT_BYTES_MAX: usize = 512 << 20;

/// What the pages of a row group hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedGroup {
    /// What is wrong.
    pub faults: Vec<FileFault>,
    /// Its rows.
    pub rows: usize,
    /// The digest of its rows; none where not all of its columns can be read.
    pub digest: Option<u64>,
    /// The smallest and largest value within the range that was asked for, and their rows.
    pub times: Option<((i64, usize), (i64, usize))>,
}

impl CheckedFile {
    /// Decodes all values of a row group of these bytes, which stand at `start` in the file, and compares them with all that is told
    /// of them. Of the column `time`, tells the range of values in `within`. The digest leaves the columns of `made_of_others` out.
    pub fn check_group(
        &self,
        row_group: usize,
        (start, bytes): (u64, Bytes),
        time: &str,
        within: &Range<i64>,
        made_of_others: &[String],
    ) -> CheckedGroup {
        let rows = usize::try_from(self.meta.row_group(row_group).num_rows()).unwrap_or_default();
        let mut checked = CheckedGroup { rows, digest: Some(0), ..CheckedGroup::default() };
        let mut merge = Merge::new(&self.schema, DISTINCT_BYTES_MAX);
        let parts = vec![(start, bytes.clone())];
        if let Err(what) = merge.add(0, &self.merge, row_group..row_group + 1, parts) {
            checked.faults.push(FileFault::of_group(row_group, FileFaultKind::Damaged { what }));
            checked.digest = None;
            return checked;
        }
        let slices = Arc::new(Slices(vec![(start, bytes)]));
        let mut hashes = MergedHashes::new(rows);
        let mut sorted: Vec<(usize, Column)> = Vec::new();
        let order = self.declared_order(row_group);
        for i in (0..self.schema.columns()).filter(|i| !self.twins[*i]) {
            let name = self.schema.name(i);
            let column = match merge.column(i) {
                Ok(column) => column,
                Err(error) => {
                    let what = match error {
                        MergeError::File { what, .. } => what,
                        MergeError::Distinct { .. } => "more distinct values than fit the memory".to_owned(),
                        MergeError::Encoder(error) => error.to_string(),
                    };
                    let page = self.bad_page(row_group, i, &slices);
                    let fault = FileFault::of_column(row_group, name, FileFaultKind::Damaged { what });
                    checked.faults.push(FileFault { page, ..fault });
                    checked.digest = None;
                    continue;
                }
            };
            let own_name = self.meta.row_group(row_group).column(i).column_descr().name();
            if !made_of_others.iter().any(|made| made == own_name) {
                hashes.add(own_name, &column);
            }
            self.check_bounds(row_group, i, &column, &mut checked);
            if let Some(twin) = (0..self.schema.columns()).find(|twin| self.is_twin_of(*twin, name)) {
                self.check_twin(row_group, twin, &column, &slices, &mut checked);
            }
            if name == time {
                checked.times = times_of(&column, within);
            }
            if order.iter().any(|by| *by == i || self.is_twin_of(*by, name)) {
                sorted.push((i, column));
            }
        }
        checked.digest = checked.digest.map(|_| hashes.digest());
        self.check_order(row_group, &order, &sorted, &mut checked);
        checked
    }

    fn is_twin_of(&self, twin: usize, column: &str) -> bool {
        self.twins[twin] && self.schema.name(twin).strip_suffix(TWIN_SUFFIX) == Some(column)
    }

    /// The columns by which the rows of a row group stand in order, as it declares.
    fn declared_order(&self, row_group: usize) -> Vec<usize> {
        let declared = self.meta.row_group(row_group).sorting_columns().into_iter().flatten();
        declared
            .filter_map(|c| usize::try_from(c.column_idx).ok())
            .filter(|i| *i < self.schema.columns())
            .collect()
    }

    /// Compares a column with statistics and page index.
    fn check_bounds(&self, row_group: usize, i: usize, column: &Column, checked: &mut CheckedGroup) {
        let (name, rows) = (self.schema.name(i), checked.rows);
        let chunk = self.meta.row_group(row_group).column(i);
        if let Some(statistics) = chunk.statistics() {
            let found = Bounds::of_rows(column, 0..rows);
            for kind in Bounds::of_chunk(statistics).lies(&found) {
                checked.faults.push(FileFault::of_column(row_group, name, kind));
            }
        }
        let index = self.meta.page_index_for_row_group(row_group);
        let (Some(bounds), Some(pages)) = (index.column_index(i), index.page_locations(i)) else { return };
        let start_of = |page: usize| {
            pages.get(page).map_or(rows, |p| usize::try_from(p.first_row_index).unwrap_or(rows)).min(rows)
        };
        for page in 0..pages.len() {
            let (start, end) = (start_of(page), start_of(page + 1));
            if start > end || page as u64 >= bounds.num_pages() {
                let what = "a page index whose pages do not follow each other".to_owned();
                let fault = FileFault::of_column(row_group, name, FileFaultKind::Damaged { what });
                checked.faults.push(FileFault { page: Some(page), ..fault });
                return;
            }
            let found = Bounds::of_rows(column, start..end);
            for kind in Bounds::of_page(bounds, page).lies(&found) {
                let fault = FileFault::of_column(row_group, name, kind);
                checked.faults.push(FileFault { page: Some(page), ..fault });
            }
        }
    }

    /// Compares a twin with its address.
    fn check_twin(
        &self,
        row_group: usize,
        twin: usize,
        column: &Column,
        slices: &Arc<Slices>,
        checked: &mut CheckedGroup,
    ) {
        let name = self.schema.name(twin);
        let expected = column.twin();
        let Data::Text { keys, dictionary } = &expected.data else { return };
        let read = guarded(|| self.read_twin(row_group, twin, slices));
        let found = match read.unwrap_or_else(Err) {
            Ok(found) => found,
            Err(what) => {
                let page = self.bad_page(row_group, twin, slices);
                let fault = FileFault::of_column(row_group, name, FileFaultKind::Damaged { what });
                checked.faults.push(FileFault { page, ..fault });
                return;
            }
        };
        let is_same = |key: &u32, value: &Option<FixedLenByteArray>| match value {
            None => *key == NULL,
            Some(value) => *key != NULL && dictionary.value(*key) == value.data(),
        };
        if let Some(row) = keys.iter().zip(&found).position(|(key, value)| !is_same(key, value)) {
            let fault = FileFault::of_column(row_group, name, FileFaultKind::Twin);
            checked.faults.push(FileFault { row: Some(row), ..fault });
        }
    }

    fn read_twin(
        &self,
        row_group: usize,
        twin: usize,
        slices: &Arc<Slices>,
    ) -> Result<Vec<Option<FixedLenByteArray>>, String> {
        let group = self.meta.row_group(row_group);
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        let words = |e: parquet::errors::ParquetError| format!("expected whole pages, found {e}");
        let pages =
            SerializedPageReader::new(slices.clone(), group.column(twin), rows, None).map_err(words)?;
        let descr = group.column(twin).column_descr_ptr();
        let ColumnReader::FixedLenByteArrayColumnReader(mut reader) =
            get_column_reader(descr, Box::new(pages))
        else {
            return Err("expected addresses of 16 bytes".to_owned());
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut read = 0;
        while read < rows {
            let (more, _, _) =
                reader.read_records(rows - read, Some(&mut levels), None, &mut values).map_err(words)?;
            if more == 0 {
                return Err(format!("expected {rows} rows of a column, found {read}"));
            }
            read += more;
        }
        let mut values = values.into_iter();
        if levels.is_empty() {
            return Ok(values.map(Some).collect());
        }
        Ok(levels.iter().map(|level| if *level == 1 { values.next() } else { None }).collect())
    }

    /// The first page of a column that cannot be read.
    fn bad_page(&self, row_group: usize, column: usize, slices: &Arc<Slices>) -> Option<usize> {
        let group = self.meta.row_group(row_group);
        let rows = usize::try_from(group.num_rows()).ok()?;
        let chunk = group.column(column);
        let found = guarded(|| {
            let mut pages = SerializedPageReader::new(slices.clone(), chunk, rows, None).ok()?;
            let mut data_pages = 0;
            loop {
                match pages.get_next_page() {
                    Ok(Some(page)) => data_pages += usize::from(page.is_data_page()),
                    Ok(None) => return None,
                    Err(_) => return Some(data_pages),
                }
            }
        });
        found.ok().flatten()
    }

    /// Compares the order of the rows with the one that the row group declares: nulls first, then ascending.
    fn check_order(
        &self,
        row_group: usize,
        order: &[usize],
        columns: &[(usize, Column)],
        checked: &mut CheckedGroup,
    ) {
        let mut keys = Vec::with_capacity(order.len());
        for by in order {
            let name = self.schema.name(*by);
            let own = columns.iter().find(|(i, _)| i == by);
            let of_twin = || columns.iter().find(|(i, _)| self.is_twin_of(*by, self.schema.name(*i)));
            match own.or_else(of_twin) {
                Some((i, column)) if i == by => keys.push((name, column.ranks())),
                Some((_, column)) => keys.push((name, column.twin().ranks())),
                // It cannot be read, which is told.
                None => return,
            }
        }
        let less = |row: usize| {
            keys.iter().find_map(|(name, ranks)| match ranks[row - 1].cmp(&ranks[row]) {
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Less => Some(None),
                std::cmp::Ordering::Greater => Some(Some(*name)),
            })
        };
        if let Some((row, name)) = (1..checked.rows).find_map(|row| Some((row, less(row)??))) {
            let fault = FileFault::of_column(row_group, name, FileFaultKind::Order);
            checked.faults.push(FileFault { row: Some(row), ..fault });
        }
    }
}

impl Column {
    /// What rows are compared by: nulls are least.
    fn ranks(&self) -> Vec<i128> {
        let of_integers = |rows: usize, of: &dyn Fn(usize) -> Option<i64>| {
            (0..rows).map(|row| of(row).map_or(i128::MIN, i128::from)).collect()
        };
        match &self.data {
            Data::Int32(values, nulls) => of_integers(values.len(), &|row| {
                nulls.as_ref().is_none_or(|n| n.is_valid(row)).then(|| i64::from(values[row]))
            }),
            Data::Int64(values, nulls) => of_integers(values.len(), &|row| {
                nulls.as_ref().is_none_or(|n| n.is_valid(row)).then(|| values[row])
            }),
            Data::Text { keys, .. } => {
                keys.iter().map(|key| if *key == NULL { i128::MIN } else { i128::from(*key) }).collect()
            }
        }
    }
}

/// The smallest and largest of a column's values within a range, and where they stand.
fn times_of(column: &Column, within: &Range<i64>) -> Option<((i64, usize), (i64, usize))> {
    let is_valid = |nulls: &Option<arrow_buffer::NullBuffer>, row: usize| {
        nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    };
    let mut all: Option<((i64, usize), (i64, usize))> = None;
    let mut add = |value: i64, row: usize| {
        if !within.contains(&value) {
            return;
        }
        let (min, max) = all.get_or_insert(((value, row), (value, row)));
        if value < min.0 {
            *min = (value, row);
        }
        if value > max.0 {
            *max = (value, row);
        }
    };
    match &column.data {
        Data::Int64(values, nulls) => {
            values
                .iter()
                .enumerate()
                .filter(|(row, _)| is_valid(nulls, *row))
                .for_each(|(row, v)| add(*v, row));
        }
        Data::Int32(values, nulls) => {
            let values = values.iter().enumerate().filter(|(row, _)| is_valid(nulls, *row));
            values.for_each(|(row, v)| add(i64::from(*v), row));
        }
        Data::Text { .. } => return None,
    }
    all
}
