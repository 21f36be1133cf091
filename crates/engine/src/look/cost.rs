//! What each column of a table, or of a file, costs: told by footers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_parquet::{CheckedFile, FileLayout, TextValues};
use flowquet_store::Store;
use flowquet_table::{LiveFile, Log};
use serde::Serialize;

use super::filter::RecordFilter;
use super::scan::{Scan, with_log};
use super::spread::spread;
use super::values::Columns;
use crate::error::Error;
use crate::events::Observer;
use crate::table_files::Stop;

/// Columns that are mostly the same as another.
const PAIRS: [(&str, &str); 2] = [("pkt_srcaddr", "srcaddr"), ("pkt_dstaddr", "dstaddr")];

/// Log formats, files of each and row groups of each file in which these are compared.
const FORMATS_COMPARED: usize = 16;
const FILES_COMPARED: usize = 4;
const GROUPS_COMPARED: usize = 3;

/// What a column takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnCost {
    /// Its name.
    pub name: String,
    /// In files.
    pub bytes: u64,
    /// Before compression.
    pub uncompressed_bytes: u64,
}

/// What files of one log format take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatCost {
    /// The log format, as text.
    pub format: String,
    /// Its files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Columns, the dearest first.
    pub columns: Vec<ColumnCost>,
}

/// How often a column is the same as another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Same {
    /// The column.
    pub column: String,
    /// The other.
    pub other: String,
    /// Rows that were looked at: of some row groups of each format.
    pub rows: u64,
    /// Rows among them in which both are the same.
    pub same: u64,
}

/// What a table or a file takes, by column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Files.
    pub files: u64,
    /// Row groups.
    pub row_groups: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes among them that are no column's: footers and page indexes.
    pub other_bytes: u64,
    /// Columns, the dearest first.
    pub columns: Vec<ColumnCost>,
    /// Costs by log format, the dearest first. Empty of a file.
    pub formats: Vec<FormatCost>,
    /// Columns that are mostly the same as others.
    pub same: Vec<Same>,
}

impl Cost {
    /// The share of a column, of 1.
    pub fn share(&self, column: &ColumnCost) -> f64 {
        if self.bytes == 0 { 0.0 } else { column.bytes as f64 / self.bytes as f64 }
    }
}

/// What is added up.
#[derive(Debug, Default)]
pub(super) struct CostSum {
    cost: Cost,
    columns: Sizes,
    formats: BTreeMap<String, (FormatCost, Sizes)>,
}

/// Bytes in files and before compression, by column.
type Sizes = BTreeMap<String, (u64, u64)>;

fn add(sizes: &mut Sizes, column: &str, bytes: u64, uncompressed_bytes: u64) {
    let sum = sizes.entry(column.to_owned()).or_default();
    *sum = (sum.0 + bytes, sum.1 + uncompressed_bytes);
}

fn columns_of(sizes: Sizes) -> Vec<ColumnCost> {
    let column = |(name, (bytes, uncompressed_bytes))| ColumnCost { name, bytes, uncompressed_bytes };
    let mut columns: Vec<ColumnCost> = sizes.into_iter().map(column).collect();
    columns.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    columns
}

impl CostSum {
    pub(super) fn add(&mut self, file: &LiveFile, footer: &CheckedFile) {
        let output = &file.output;
        let entry = self.formats.entry(output.format.to_string());
        let (format, sizes) = entry.or_insert_with(|| {
            let columns = Vec::new();
            let format =
                FormatCost { format: output.format.to_string(), files: 0, rows: 0, bytes: 0, columns };
            (format, Sizes::new())
        });
        format.files += 1;
        format.rows += output.rows;
        format.bytes += output.bytes;
        self.cost.files += 1;
        self.cost.row_groups += footer.row_groups() as u64;
        self.cost.rows += output.rows;
        self.cost.bytes += output.bytes;
        for group in 0..footer.row_groups() {
            for (name, size) in footer.column_sizes(group) {
                add(sizes, name, size.bytes, size.uncompressed_bytes);
                add(&mut self.columns, name, size.bytes, size.uncompressed_bytes);
            }
        }
    }

    pub(super) fn finish(self, same: Vec<Same>) -> Cost {
        let columns = columns_of(self.columns);
        let of_columns: u64 = columns.iter().map(|column| column.bytes).sum();
        let format = |(format, sizes)| FormatCost { columns: columns_of(sizes), ..format };
        let mut formats: Vec<FormatCost> = self.formats.into_values().map(format).collect();
        formats.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.format.cmp(&b.format)));
        let other_bytes = self.cost.bytes.saturating_sub(of_columns);
        Cost { columns, formats, same, other_bytes, ..self.cost }
    }
}

/// What the columns of a table cost. Reads footers, and some row groups of each log format to compare addresses.
///
/// # Errors
/// As stores report.
pub fn cost(
    out: &Arc<dyn Store>,
    workers: usize,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Cost, Error> {
    with_log(out, |log| {
        let filter = RecordFilter::default();
        let scan = Scan { out: out.as_ref(), filter: &filter, names: &[], workers, observer, stop };
        let mut sum = CostSum::default();
        scan.footers(log, |file, footer| sum.add(file, footer))?;
        Ok(sum.finish(same(&scan, log)?))
    })
}

/// What the columns of a file of `bytes` bytes cost, whoever wrote it.
pub fn cost_of_layout(layout: &FileLayout, bytes: u64) -> Cost {
    let of = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
    let mut sizes = Sizes::new();
    for column in &layout.columns {
        add(&mut sizes, &column.name, of(column.compressed_bytes), of(column.uncompressed_bytes));
    }
    let sum = CostSum {
        cost: Cost {
            files: 1,
            row_groups: layout.row_groups.len() as u64,
            rows: of(layout.rows),
            bytes,
            ..Cost::default()
        },
        columns: sizes,
        ..CostSum::default()
    };
    sum.finish(Vec::new())
}

/// How often pairs of columns are the same, in some row groups of each log format: they lie apart, since rows may be sorted.
pub(super) fn same(scan: &Scan<'_>, log: &Log) -> Result<Vec<Same>, Stop> {
    let names: Vec<&str> = PAIRS.into_iter().flat_map(|(column, other)| [column, other]).collect();
    let mut formats: BTreeMap<&str, Vec<&LiveFile>> = BTreeMap::new();
    for file in log.state().files().all()? {
        formats.entry(&file.output.format).or_default().push(file);
    }
    let mut found: Vec<Same> = Vec::new();
    for files in formats.values().take(FORMATS_COMPARED) {
        for file in spread(files.len(), FILES_COMPARED) {
            for columns in scan.some_groups(log, files[file], &names, GROUPS_COMPARED)? {
                add_same(&columns, &mut found);
            }
        }
    }
    Ok(found)
}

fn add_same(columns: &Columns, found: &mut Vec<Same>) {
    for (column, other) in PAIRS {
        let (Some(one), Some(two)) = (columns.text(column), columns.text(other)) else { continue };
        // A file has null columns of what other formats have.
        if one.distinct() == 0 {
            continue;
        }
        let (rows, same) = compare(one, two);
        match found.iter_mut().find(|same| same.column == column) {
            Some(sum) => (sum.rows, sum.same) = (sum.rows + rows, sum.same + same),
            None => found.push(Same { column: column.to_owned(), other: other.to_owned(), rows, same }),
        }
    }
}

/// Rows that have a value in `one`, and those among them in which both are the same. A merged file has rows of formats without the column.
fn compare(one: &TextValues, two: &TextValues) -> (u64, u64) {
    let mut twins: Vec<u32> = vec![TextValues::NULL; one.distinct()];
    let mut other = 0;
    // Both are in order.
    for (key, twin) in twins.iter_mut().enumerate() {
        let value = one.value(key as u32);
        while (other as usize) < two.distinct() && two.value(other) < value {
            other += 1;
        }
        if (other as usize) < two.distinct() && two.value(other) == value {
            *twin = other;
        }
    }
    let is_same = |a: u32, b: u32| b != TextValues::NULL && twins.get(a as usize) == Some(&b);
    let rows = one.keys.iter().zip(&two.keys).filter(|(a, _)| **a != TextValues::NULL);
    rows.fold((0, 0), |(rows, same), (a, b)| (rows + 1, same + u64::from(is_same(*a, *b))))
}
