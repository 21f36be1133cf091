//! Keys of rows, by which rows that are equal in some columns are found.

use std::hash::{BuildHasher as _, RandomState};

use arrow_buffer::NullBuffer;
use flowquet_format::mixed_row;

use super::column::{Column, Data};

/// Makes keys of rows: of 128 bits, by secrets of its own, so that nobody can make up rows that have one key.
///
/// ```text
/// word = two SipHash of a text, or two mixes of a number, each with a secret
/// key  = the sum of secret(column) * word over the values that are not null     modulo 2^128
/// ```
///
/// Rows that are equal have one key. Of n rows that are not, two have one with a chance of n² / 2^129: of a billion rows, 10^-21.
#[derive(Debug, Default)]
pub struct RowKeyMaker {
    halves: [RandomState; 2],
}

impl RowKeyMaker {
    fn text(&self, value: &[u8]) -> u128 {
        self.word(|half| half.hash_one(value))
    }

    fn word(&self, of: impl Fn(&RandomState) -> u64) -> u128 {
        let [high, low] = &self.halves;
        u128::from(of(high)) << 64 | u128::from(of(low))
    }
}

/// Keys of rows, as far as their columns were added.
#[derive(Debug)]
pub struct RowKeys<'a> {
    maker: &'a RowKeyMaker,
    keys: Vec<u128>,
}

impl<'a> RowKeys<'a> {
    /// Of so many rows, without columns yet.
    pub fn new(maker: &'a RowKeyMaker, rows: usize) -> Self {
        Self { maker, keys: vec![0; rows] }
    }

    /// Adds a column, which has as many rows.
    pub fn add(&mut self, name: &str, column: &Column) {
        let factor = self.maker.word(|half| half.hash_one(("column", name))) | 1;
        let secrets = self.maker.word(|half| half.hash_one(("numbers", name)));
        let number = |value: i64| {
            let mixed = |secret: u64| u128::from(mixed_row(value.cast_unsigned() ^ secret));
            factor.wrapping_mul(mixed((secrets >> 64) as u64) << 64 | mixed(secrets as u64))
        };
        match &column.data {
            Data::Int32(values, nulls) => {
                self.add_numbers(values, nulls.as_ref(), |value| number(i64::from(*value)));
            }
            Data::Int64(values, nulls) => self.add_numbers(values, nulls.as_ref(), |value| number(*value)),
            Data::Text { keys, dictionary } => {
                let of = |key: u32| factor.wrapping_mul(self.maker.text(dictionary.value(key)));
                let of_values: Vec<u128> = (0..dictionary.len() as u32).map(of).collect();
                for (row, key) in self.keys.iter_mut().zip(keys) {
                    // Null is no key of a value.
                    *row = row.wrapping_add(of_values.get(*key as usize).copied().unwrap_or_default());
                }
            }
        }
    }

    fn add_numbers<T>(&mut self, values: &[T], nulls: Option<&NullBuffer>, word: impl Fn(&T) -> u128) {
        for (i, (row, value)) in self.keys.iter_mut().zip(values).enumerate() {
            if nulls.is_none_or(|nulls| nulls.is_valid(i)) {
                *row = row.wrapping_add(word(value));
            }
        }
    }

    /// The keys, one a row.
    pub fn keys(&self) -> &[u128] {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use flowquet_format::ColumnType;

    use super::*;
    use crate::merge::decode::NULL;
    use crate::text::Dictionary;

    /// Columns of few values, of every type, so that many rows are equal and others differ in a null, or have the values of
    /// another in other columns.
    #[test]
    fn rows_have_one_key_if_they_are_equal() {
        const ROWS: usize = 5_000;
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = mixed_row(seed);
            seed % below
        };
        let mut rows: Vec<[Option<u64>; 4]> = Vec::new();
        for _ in 0..ROWS {
            rows.push(std::array::from_fn(|_| Some(random(4)).filter(|value| *value > 0)));
        }
        let nulls =
            |c: usize| Some(NullBuffer::from(rows.iter().map(|r| r[c].is_some()).collect::<Vec<_>>()));
        let number = |c: usize| rows.iter().map(move |r| r[c].unwrap_or(99));
        let dictionary = || Dictionary { bytes: b"123".to_vec(), offsets: vec![0, 1, 2, 3], width: None };
        let text = |c: usize| Data::Text {
            keys: rows.iter().map(|r| r[c].map_or(NULL, |value| value as u32 - 1)).collect(),
            dictionary: dictionary(),
        };
        let columns = [
            ("a", Data::Int32(number(0).map(|v| v as i32).collect(), nulls(0)), ColumnType::Int32),
            ("b", Data::Int64(number(1).map(|v| v as i64 - 2).collect(), nulls(1)), ColumnType::Int64),
            ("c", text(2), ColumnType::String),
            ("d", text(3), ColumnType::String),
        ];
        let maker = RowKeyMaker::default();
        let mut keys = RowKeys::new(&maker, ROWS);
        for (name, data, column_type) in columns {
            keys.add(name, &Column::new(data, column_type));
        }
        let mut by_key: BTreeMap<u128, BTreeSet<[Option<u64>; 4]>> = BTreeMap::new();
        keys.keys().iter().zip(&rows).for_each(|(key, row)| {
            by_key.entry(*key).or_default().insert(*row);
        });
        assert!(by_key.values().all(|rows| rows.len() == 1), "a key is that of one row");
        assert_eq!(by_key.len(), rows.iter().collect::<BTreeSet<_>>().len());
    }
}
