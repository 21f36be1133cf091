//! Hashes of rows, for digests of records: a column at a time, each distinct text once.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use flowquet_format::{ColumnHash, hash_text, mixed_row};

use crate::schema::MADE_OF_OTHERS;

/// Hashes of the rows of one batch at a time; keeps its memory.
#[derive(Debug, Default)]
pub struct RowHashes {
    rows: Vec<u64>,
    /// Hashes of a dictionary's values, by key.
    of_values: Vec<u64>,
}

impl RowHashes {
    /// Hashes the rows of a batch that [`crate::Columns`] made. Twins and derived columns are made of others, and are left out.
    ///
    /// This is a hot loop: a few instructions a value.
    pub fn take(&mut self, batch: &RecordBatch) {
        self.rows.clear();
        self.rows.resize(batch.num_rows(), 0);
        // What every row gets, since no value of a column is null.
        let mut all = 0_u64;
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if field.metadata().contains_key(MADE_OF_OTHERS) {
                continue;
            }
            let column = ColumnHash::of(field.name());
            let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
            if nulls.is_none() {
                all = all.wrapping_add(column.offset);
            }
            let offset = if nulls.is_none() { 0 } else { column.offset };
            let hash = |word: u64| column.factor.wrapping_mul(word).wrapping_add(offset);
            match array.data_type() {
                DataType::Int32 => {
                    let values = array.as_primitive::<Int32Type>().values();
                    add(&mut self.rows, values, nulls, |value| hash(i64::from(*value) as u64));
                }
                DataType::Int64 => {
                    let values = array.as_primitive::<Int64Type>().values();
                    add(&mut self.rows, values, nulls, |value| hash(*value as u64));
                }
                DataType::Timestamp(_, _) => {
                    let values = array.as_primitive::<TimestampMillisecondType>().values();
                    add(&mut self.rows, values, nulls, |value| hash(*value as u64));
                }
                DataType::Dictionary(_, _) => {
                    let array = array.as_dictionary::<UInt32Type>();
                    self.hash_values(array.values().as_string::<i32>(), hash);
                    let keys = array.keys().values();
                    match self.of_values.first_chunk::<SHORT_KEYS>() {
                        _ if array.values().is_empty() => {}
                        Some(table) if array.values().len() <= SHORT_KEYS => {
                            add(&mut self.rows, keys, nulls, |key| table[*key as u16 as usize]);
                        }
                        _ => {
                            let table = self.of_values.as_slice();
                            add(&mut self.rows, keys, nulls, |key| table[*key as usize]);
                        }
                    }
                }
                other => unreachable!("flowquet-arrow makes no {other}"),
            }
        }
        if all != 0 {
            self.rows.iter_mut().for_each(|row| *row = row.wrapping_add(all));
        }
    }

    /// Hashes the values of a dictionary.
    fn hash_values(&mut self, values: &StringArray, hash: impl Fn(u64) -> u64) {
        let (offsets, bytes) = (values.value_offsets(), values.value_data());
        if self.of_values.len() < values.len().max(SHORT_KEYS) {
            self.of_values.resize(values.len().max(SHORT_KEYS), 0);
        }
        for (hashed, place) in self.of_values.iter_mut().zip(offsets.windows(2)) {
            *hashed = hash(hash_text(&bytes[place[0] as usize..place[1] as usize]));
        }
    }

    /// The digest of some of the rows.
    pub fn digest(&self, rows: Range<usize>) -> u64 {
        self.rows[rows].iter().fold(0, |sum: u64, row| sum.wrapping_add(mixed_row(*row)))
    }
}

/// Keys of dictionaries that have no more values are as short as two bytes, and need no check of their bounds.
const SHORT_KEYS: usize = 1 << 16;

/// Adds the hash of each value that is not null to its row.
///
/// Where few are null, all are added and those are taken away again: there is no question for each value.
#[inline]
fn add<T>(rows: &mut [u64], values: &[T], nulls: Option<&NullBuffer>, hash: impl Fn(&T) -> u64) {
    let is_sparse = nulls.is_some_and(|nulls| nulls.null_count() > rows.len() / 2);
    if !is_sparse {
        rows.iter_mut().zip(values).for_each(|(row, value)| *row = row.wrapping_add(hash(value)));
    }
    let Some(nulls) = nulls else { return };
    let words = nulls.inner().bit_chunks();
    for ((rows, values), word) in rows.chunks_mut(64).zip(values.chunks(64)).zip(words.iter_padded()) {
        let mut left = if is_sparse { word } else { !word & (u64::MAX >> (64 - rows.len())) };
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            let hashed = hash(&values[i]);
            rows[i] = if is_sparse { rows[i].wrapping_add(hashed) } else { rows[i].wrapping_sub(hashed) };
            left &= left - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::grown;
    use flowquet_format::Types;
    use flowquet_parse::Backend;

    /// The digest of lines, by the definition: value by value.
    fn naive(format: &str, lines: &[&str], scale: u64) -> u64 {
        let names: Vec<&str> = format.split(' ').collect();
        lines.iter().fold(0, |sum: u64, line| {
            let row = line.split(' ').zip(&names).filter(|(value, _)| *value != "-").map(|(value, name)| {
                let is_text = ["srcaddr", "vpc-id"].contains(name);
                let word =
                    if is_text { hash_text(value.as_bytes()) } else { value.parse().expect("a number") };
                let word = if *name == "start" { word * scale } else { word };
                ColumnHash::of(&name.replace('-', "_")).hash(word)
            });
            sum.wrapping_add(mixed_row(row.fold(0, u64::wrapping_add)))
        })
    }

    fn digest(format: &str, lines: &[&str], types: Types) -> u64 {
        let text = format!("{}\n", lines.join("\n"));
        let mut columns = grown(format, &text, types, Backend::Scalar);
        let mut hashes = RowHashes::default();
        hashes.take(&columns.finish());
        let all = hashes.digest(0..lines.len());
        let cut = lines.len() / 3;
        assert_eq!(hashes.digest(0..cut).wrapping_add(hashes.digest(cut..lines.len())), all);
        all
    }

    #[test]
    fn digests_are_as_defined() {
        let format = "srcaddr vpc-id srcport bytes start";
        let line = |i: u64| match i % 4 {
            0 => format!("- - - - {}", 1_705_276_800 + i),
            1 => format!("10.0.{}.1 - {i} {} -", i % 7, i << 33),
            _ => format!("10.0.{}.1 vpc-{} 0 {} {}", i % 9, i % 3, i * 40, 1_705_276_800 + i),
        };
        let lines: Vec<String> = (0..500).map(line).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let expected = naive(format, &lines, 1);
        assert_eq!(digest(format, &lines, Types::Aws), expected);
        // Twins are left out, and times are milliseconds.
        assert_eq!(digest(format, &lines, Types::Rich), naive(format, &lines, 1000));
        lines.reverse();
        assert_eq!(digest(format, &lines, Types::Aws), expected, "order does not count");
        lines.pop();
        assert_ne!(digest(format, &lines, Types::Aws), expected);
        // No nulls at all, and nothing but nulls.
        let format = "srcaddr srcport";
        for lines in [["10.0.0.1 1", "10.0.0.2 0"], ["- -", "- -"], ["10.0.0.1 -", "- 2"]] {
            assert_eq!(digest(format, &lines, Types::Aws), naive(format, &lines, 1), "{lines:?}");
            assert_eq!(digest(format, &lines, Types::Rich), naive(format, &lines, 1000), "{lines:?}");
        }
    }
}
