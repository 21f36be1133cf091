//! Hashes of rows that are merged or checked, for their digest: a column at a time, each distinct text once.

use arrow_buffer::NullBuffer;
use flowquet_format::{ColumnHash, hash_text, mixed_row};

use super::column::{Column, Data};
use super::decode::NULL;

/// Hashes of rows, as far as their columns were added.
#[derive(Debug)]
pub struct MergedHashes(Vec<u64>);

impl MergedHashes {
    /// Of so many rows, without columns yet.
    pub fn new(rows: usize) -> Self {
        Self(vec![0; rows])
    }

    /// Adds a column, which has as many rows. Twins are not to be added.
    pub fn add(&mut self, name: &str, column: &Column) {
        let hash = ColumnHash::of(name);
        match &column.data {
            Data::Int32(values, nulls) => {
                self.add_integers(values, nulls.as_ref(), |value| hash.hash(i64::from(*value) as u64));
            }
            Data::Int64(values, nulls) => {
                self.add_integers(values, nulls.as_ref(), |value| hash.hash(*value as u64));
            }
            Data::Text { keys, dictionary } => {
                let of = |key: u32| hash.hash(hash_text(dictionary.value(key)));
                let of_values: Vec<u64> = (0..dictionary.len() as u32).map(of).collect();
                self.add_keys(keys, &of_values);
            }
        }
    }

    fn add_integers<T>(&mut self, values: &[T], nulls: Option<&NullBuffer>, hash: impl Fn(&T) -> u64) {
        for (i, (row, value)) in self.0.iter_mut().zip(values).enumerate() {
            if nulls.is_none_or(|nulls| nulls.is_valid(i)) {
                *row = row.wrapping_add(hash(value));
            }
        }
    }

    /// Adds a column of keys of values with these hashes; no key is null.
    fn add_keys(&mut self, keys: &[u32], of_values: &[u64]) {
        const _: () = assert!(NULL == u32::MAX, "no value has the key of null");
        for (row, key) in self.0.iter_mut().zip(keys) {
            *row = row.wrapping_add(of_values.get(*key as usize).copied().unwrap_or_default());
        }
    }

    /// The digest of these rows.
    pub fn digest_of(&self, rows: &[u32]) -> u64 {
        rows.iter().fold(0, |sum: u64, row| sum.wrapping_add(mixed_row(self.0[*row as usize])))
    }

    /// The digest of all rows.
    pub fn digest(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, row| sum.wrapping_add(mixed_row(*row)))
    }
}
