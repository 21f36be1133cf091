//! Records of a partition, read by the columns that a roll-up needs.

use flowquet_parquet::{CheckedFile, ColumnValues, GroupBounds, TextValues};
use flowquet_table::{LiveFile, Log, RollupSums};
use rayon::prelude::*;

use super::group::{Groups, NULL_BYTES, NUMBER_BYTES, Sums, TEXT_BYTES, push_number, push_text};
use super::layout::{Dimension, Layout};
use crate::table_files::{FILES_AT_ONCE, OpenFile, Stop, TableFiles};

/// Columns that are summed.
const SUMMED: [&str; 5] = ["packets", "bytes", "start", "end", "tcp_flags"];

/// What a text is taken to be long where statistics do not tell.
const UNKNOWN_TEXT_BYTES: usize = 32;

/// Where a partition is read.
pub(super) struct Partition<'a> {
    pub(super) source: &'a Log,
    pub(super) files: TableFiles<'a>,
    pub(super) layout: &'a Layout,
    pub(super) pool: &'a rayon::ThreadPool,
    /// Threads that wait for footers.
    pub(super) requests: &'a rayon::ThreadPool,
    /// Row groups that are counted at once, at most.
    pub(super) workers: usize,
    /// What these may take; one is counted whatever it takes.
    pub(super) memory: usize,
}

impl Partition<'_> {
    /// Adds all records of files to `groups`, unless there are too many groups. Returns sums over all rows that were read, of whatever
    /// pass, counted apart from those of groups.
    pub(super) fn read(&self, files: &[LiveFile], groups: &mut Groups) -> Result<RollupSums, Stop> {
        let mut read = RollupSums::default();
        for files in files.iter().collect::<Vec<_>>().chunks(FILES_AT_ONCE) {
            let opened = self.files.open_all(self.source, files, self.requests)?;
            let mut all: Vec<(&OpenFile<'_>, usize)> = Vec::new();
            for file in &opened {
                all.extend((0..file.footer.row_groups()).map(|group| (file, group)));
            }
            let bytes = all.iter().map(|(file, group)| self.bytes_of(&file.footer, *group, groups));
            for some in all.chunks(at_once(bytes, self.workers, self.memory)) {
                self.row_groups(some, groups, &mut read)?;
                if groups.are_too_many() {
                    return Ok(read);
                }
            }
        }
        Ok(read)
    }

    /// What a row group takes while it is counted, if each of its rows is a group.
    fn bytes_of(&self, footer: &CheckedFile, group: usize, groups: &Groups) -> usize {
        let names = self.names();
        let rows = usize::try_from(footer.group_rows(group)).unwrap_or(usize::MAX);
        let of_columns = footer.column_sizes(group).filter(|(name, _)| names.contains(name));
        let encoded: u64 = of_columns.map(|(_, size)| size.bytes + size.uncompressed_bytes).sum();
        let decoded = rows.saturating_mul(names.len() * size_of::<i64>());
        let key = |dimension: &Dimension| match footer.group_bounds(group, &dimension.column) {
            Some(GroupBounds::Integers(..)) => NUMBER_BYTES,
            Some(GroupBounds::Nulls) => NULL_BYTES,
            Some(GroupBounds::Texts(min, max)) => TEXT_BYTES + min.len().max(max.len()),
            None => TEXT_BYTES + UNKNOWN_TEXT_BYTES,
        };
        let keys = self.layout.dimensions.iter().map(key).sum();
        groups
            .bytes_of(rows, keys)
            .saturating_add(decoded)
            .saturating_add(usize::try_from(encoded).unwrap_or(usize::MAX))
    }

    /// The columns that are read.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.layout.dimensions.iter().map(|d| d.column.as_str()).collect();
        names.extend(SUMMED.iter().filter(|name| !self.layout.dimensions.iter().any(|d| d.column == **name)));
        names
    }

    fn row_groups(
        &self,
        some: &[(&OpenFile<'_>, usize)],
        groups: &mut Groups,
        read: &mut RollupSums,
    ) -> Result<(), Stop> {
        let empty = groups.like();
        let one = |(file, group): &(&OpenFile<'_>, usize)| self.row_group(file, *group, empty.like());
        let counted: Vec<Result<(Groups, RollupSums), Stop>> =
            self.pool.install(|| some.par_iter().with_max_len(1).map(one).collect());
        for counted in counted {
            let (own, sums) = counted?;
            groups.take(own);
            *read = read.with(sums);
        }
        Ok(())
    }

    fn row_group(
        &self,
        file: &OpenFile<'_>,
        group: usize,
        mut groups: Groups,
    ) -> Result<(Groups, RollupSums), Stop> {
        let names = self.names();
        let (columns, rows, _) = self.files.columns(file, group, &names)?;
        let of = |name: &str| names.iter().position(|n| *n == name).and_then(|i| columns[i].as_ref());
        let number = |column: Option<&ColumnValues>, row: usize| match column {
            Some(ColumnValues::Integers { values, nulls, .. }) => {
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
            }
            _ => None,
        };
        let [packets, bytes, start, end, flags] = SUMMED.map(of);
        let mut sums_of_all = RollupSums { flows: rows as u64, ..RollupSums::default() };
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            for (dimension, column) in self.layout.dimensions.iter().zip(&columns) {
                match (column, dimension.bucket_s) {
                    (Some(ColumnValues::Text(text)), _) => {
                        let value = text.keys[row];
                        push_text(&mut key, (value != TextValues::NULL).then(|| text.value(value)));
                    }
                    (Some(ColumnValues::Integers { is_time_ms, .. }), Some(seconds)) => {
                        let unit = if *is_time_ms { 1000 } else { 1 };
                        let bucket = seconds * unit;
                        let begin = |time: i64| time.div_euclid(bucket).saturating_mul(bucket);
                        push_number(&mut key, number(column.as_ref(), row).map(begin));
                    }
                    (column, _) => push_number(&mut key, number(column.as_ref(), row)),
                }
            }
            let sums = Sums {
                flows: 1,
                packets: number(packets, row),
                bytes: number(bytes, row),
                first_start: number(start, row),
                last_end: number(end, row),
                tcp_flags: number(flags, row),
            };
            sums_of_all.packets += i128::from(sums.packets.unwrap_or_default());
            sums_of_all.bytes += i128::from(sums.bytes.unwrap_or_default());
            groups.add(&key, sums);
        }
        Ok((groups, sums_of_all))
    }
}

/// How many row groups that take these bytes each are counted at once.
fn at_once(bytes: impl Iterator<Item = usize>, workers: usize, memory: usize) -> usize {
    workers.min(memory / bytes.max().unwrap_or_default().max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What groups of half a million rows take was measured: some 200 MiB with those that hold them while they grow.
    #[test]
    fn as_many_as_their_groups_and_columns_allow() {
        let groups = Groups::new(0, 1, 192 << 20);
        let rows = 1 << 19;
        let large = groups.bytes_of(rows, 60) + rows * 10 * size_of::<i64>();
        let at_once = |bytes: &[usize], memory| at_once(bytes.iter().copied(), 8, memory);
        assert_eq!(at_once(&[large, 1, large], 672 << 20), 3);
        assert_eq!((at_once(&[1, large], 1), at_once(&[1, 2], 672 << 20), at_once(&[], 0)), (1, 8, 1));
    }
}
