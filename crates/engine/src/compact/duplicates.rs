//! Which rows of a partition's files are duplicates of others.
//!
//! Rows have keys of 128 bits that are equal where the rows are (`RowKeyMaker`). Keys are divided by their first bits into as many
//! passes as the memory asks for; each pass reads the compared columns of all files, a row group at a time, and sorts its keys with
//! the numbers of their rows. What comes of all passes is one bit a row, whatever the memory was.
//!
//! ```text
//! row number = rows of the files before it + its place in its file      files in the order of their first times, then by name
//! duplicate  = a row whose key an earlier row has
//! ```

use std::ops::Range;

use flowquet_parquet::{FileSchema, Merge, MergeError, MergeFile, RowKeyMaker, RowKeys, Weight};
use flowquet_table::OutputRecord;

use super::merger::Merger;
use crate::error::Error;

/// Bytes of a key and the number of its row.
const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;

/// Entries of a pass, at least.
const ENTRIES_MIN: u64 = 1 << 20;

/// A key, its halves, and the number of its row.
type Entry = [u64; 3];

/// Rows that are duplicates of others, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    bits: Vec<u64>,
}

impl LeftOut {
    fn of_rows(rows: u64) -> Self {
        Self { bits: vec![0; rows.div_ceil(64) as usize] }
    }

    fn add(&mut self, row: u64) {
        self.bits[row as usize / 64] |= 1 << (row % 64);
    }

    /// Whether a row is one of them.
    pub(super) fn has(&self, row: u64) -> bool {
        self.bits.get(row as usize / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }
}

/// Finds the duplicates among `rows` rows. `scan` hands out the keys of all of them: the number of a row, and the keys of it and
/// those that follow. It is called once for each of `passes`, and about `entries` keys are held at once.
fn find<E>(
    rows: u64,
    passes: u64,
    entries: usize,
    mut scan: impl FnMut(&mut dyn FnMut(u64, &[u128])) -> Result<(), E>,
) -> Result<LeftOut, E> {
    let mut found = LeftOut::of_rows(rows);
    for pass in 0..passes {
        let mut held: Vec<Entry> = Vec::new();
        let mut limit = entries.max(1);
        scan(&mut |first, keys| {
            for (row, key) in (first..).zip(keys) {
                let [high, low] = [(key >> 64) as u64, *key as u64];
                if (u128::from(high) * u128::from(passes)) >> 64 != u128::from(pass) {
                    continue;
                }
                if held.len() >= limit {
                    settle(&mut held, &mut found);
                    // Keys that are all different are evenly divided, so that a pass has no more of them than it was given room for.
                    limit = limit.max(held.len() + held.len() / 4);
                }
                held.push([high, low, row]);
            }
        })?;
        settle(&mut held, &mut found);
    }
    Ok(found)
}

/// Leaves one entry a key in `held`, that of the first row, and adds the others to `found`.
fn settle(held: &mut Vec<Entry>, found: &mut LeftOut) {
    held.sort_unstable();
    held.dedup_by(|entry, before| {
        let is_duplicate = entry[..2] == before[..2];
        if is_duplicate {
            found.add(entry[2]);
        }
        is_duplicate
    });
}

/// A file of the partition whose rows are compared.
struct Compared<'a> {
    output: &'a OutputRecord,
    file: MergeFile,
    first_row: u64,
}

impl Merger<'_> {
    /// Finds the duplicates among the rows of files, compared by the columns of `schema`, in the order of `outputs`.
    pub(super) fn duplicates<'a>(
        &self,
        outputs: impl Iterator<Item = &'a OutputRecord>,
        schema: &FileSchema,
    ) -> Result<LeftOut, Error> {
        let (mut files, mut rows, mut group_bytes) = (Vec::new(), 0, 0);
        for output in outputs {
            let file = self.open(output)?;
            for group in 0..file.row_groups() {
                let mut weight = Weight::default();
                let added = weight.add(&file, group, schema);
                added.map_err(|what| Error::TableFile { url: self.out.url(&output.key), what })?;
                let keys = weight.rows() * size_of::<u128>() as u64;
                group_bytes = group_bytes.max(weight.bytes(schema, true) + keys);
            }
            files.push(Compared { output, file, first_row: rows });
            rows += output.rows;
        }
        // A quarter more, since passes are not all of one size.
        let wanted = rows.saturating_mul(ENTRY_BYTES + ENTRY_BYTES / 4);
        let bytes = usize::try_from(wanted.saturating_add(group_bytes)).unwrap_or(usize::MAX);
        let held = self.memory.hold(bytes, self.stop)?;
        let room = (held.bytes() as u64).saturating_sub(group_bytes).max(ENTRIES_MIN * ENTRY_BYTES);
        let (passes, entries) = (wanted.div_ceil(room).max(1), (room / ENTRY_BYTES) as usize);
        let maker = RowKeyMaker::default();
        find(rows, passes, entries, |add| {
            for file in &files {
                let mut first_row = file.first_row;
                for group in 0..file.file.row_groups() {
                    let keys = self.row_keys(file, group..group + 1, schema, &maker)?;
                    add(first_row, keys.keys());
                    first_row += keys.keys().len() as u64;
                }
            }
            Ok(())
        })
    }

    /// The keys of the rows of row groups.
    fn row_keys<'m>(
        &self,
        Compared { output, file, .. }: &Compared<'_>,
        groups: Range<usize>,
        schema: &FileSchema,
        maker: &'m RowKeyMaker,
    ) -> Result<RowKeys<'m>, Error> {
        let url = || self.out.url(&output.key);
        let damaged = |what| Error::TableFile { url: url(), what };
        let ranges = file.ranges(groups.clone(), schema).map_err(damaged)?;
        let fetch = |range: Range<u64>| (range.start, self.out.fetch(&output.key, "", range, false));
        let fetches: Vec<_> = ranges.into_iter().map(fetch).collect();
        let mut parts = Vec::with_capacity(fetches.len());
        for (start, fetch) in fetches {
            parts.push((start, fetch.wait(&|| self.is_stopped())?));
        }
        let mut merge = Merge::new(schema, self.memory.all() / 4);
        merge.add(0, file, groups, parts).map_err(damaged)?;
        let mut keys = RowKeys::new(maker, merge.rows());
        let all = || -> Result<(), MergeError> {
            for i in merge.columns() {
                keys.add(schema.name(i), &merge.column(i)?);
            }
            Ok(())
        };
        self.pool.install(all).map_err(|error| match error {
            MergeError::File { what, .. } => damaged(what),
            MergeError::Distinct { column } => {
                Error::TooDistinct { url: url(), column, memory: self.memory.all() }
            }
            MergeError::Encoder(error) => error.into(),
        })?;
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the memory and the row groups: the rows that a set has seen before.
        #[test]
        fn what_was_seen_before_is_a_duplicate(
            values in proptest::collection::vec(prop_oneof![0..4_u64, 0..200_u64], 0..300),
            group in 1..50_usize,
            passes in 1..7_u64,
            entries in 1..60_usize,
        ) {
            let key = |value: &u64| u128::from(flowquet_format::mixed_row(*value)) << 64 | u128::from(*value);
            let keys: Vec<u128> = values.iter().map(key).collect();
            let found = find(keys.len() as u64, passes, entries, |add| {
                keys.chunks(group).enumerate().for_each(|(i, keys)| add((i * group) as u64, keys));
                Ok::<_, Infallible>(())
            });
            let Ok(found) = found;
            let mut seen = HashSet::new();
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(found.has(row as u64), !seen.insert(value), "row {}", row);
            }
            prop_assert_eq!(found.is_empty(), seen.len() == values.len());
        }
    }
}
