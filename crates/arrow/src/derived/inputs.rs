//! The columns that derived ones are computed from, with one value for null, made once a batch for all rules.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use flowquet_format::{parsed_address, time_ms};

use super::pairs::{Own, Pair, compare};
use super::times::within_limit;
use crate::growing::Nullable;

/// A batch's arrays so far, and what was made of them.
pub(crate) struct Inputs<'a> {
    arrays: &'a [ArrayRef],
    rows: usize,
    small: HashMap<usize, Rc<[i32]>>,
    times: HashMap<usize, Rc<[i64]>>,
    addresses: HashMap<usize, Rc<[Option<IpAddr>]>>,
    pairs: HashMap<(usize, usize), Rc<[Pair]>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(arrays: &'a [ArrayRef], rows: usize) -> Self {
        Self {
            arrays,
            rows,
            small: HashMap::new(),
            times: HashMap::new(),
            addresses: HashMap::new(),
            pairs: HashMap::new(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// An INT32 column; negative where null.
    pub(super) fn int32(&mut self, place: usize) -> Rc<[i32]> {
        let array = self.arrays[place].as_primitive::<Int32Type>();
        self.small.entry(place).or_insert_with(|| with_nulls(array.values(), array.nulls())).clone()
    }

    /// A time in milliseconds; negative where null or no time that a timestamp holds.
    pub(super) fn times_ms(&mut self, place: usize) -> Rc<[i64]> {
        let array = &self.arrays[place];
        let made = || {
            let ms: Vec<i64> = match array.data_type() {
                DataType::Int64 => {
                    let numbers = array.as_primitive::<Int64Type>().values();
                    numbers.iter().map(|number| within_limit(time_ms(*number))).collect()
                }
                _ => {
                    let times = array.as_primitive::<TimestampMillisecondType>().values();
                    times.iter().map(|ms| within_limit(*ms)).collect()
                }
            };
            with_nulls(&ms, array.nulls())
        };
        self.times.entry(place).or_insert_with(made).clone()
    }

    /// The keys of a column of addresses, and what each value spells.
    pub(super) fn addresses(&mut self, place: usize) -> (Rc<[u32]>, Rc<[Option<IpAddr>]>) {
        let (keys, values) = self.text(place);
        let parsed = || values.iter().map(|value| value.and_then(parsed_address)).collect();
        (keys_with_nulls(keys), self.addresses.entry(place).or_insert_with(parsed).clone())
    }

    /// The keys and values of a text column; [`Nullable::NULL`] where null.
    pub(super) fn texts(&self, place: usize) -> (Rc<[u32]>, &'a StringArray) {
        let (keys, values) = self.text(place);
        (keys_with_nulls(keys), values)
    }

    /// The keys and values of a text column.
    fn text(&self, place: usize) -> (&'a UInt32Array, &'a StringArray) {
        let array = self.arrays[place].as_dictionary::<UInt32Type>();
        (array.keys(), array.values().as_string::<i32>())
    }

    /// Of each row, which of `words` a text column holds, counted from 1; 0 for none and null.
    pub(super) fn words(&self, place: usize, words: &[&str]) -> Vec<u8> {
        let (keys, values) = self.text(place);
        let code = |value: Option<&str>| {
            value.and_then(|v| words.iter().position(|w| *w == v)).map_or(0, |i| i as u8 + 1)
        };
        let codes: Vec<u8> = values.iter().map(code).collect();
        keys_with_nulls(keys)
            .iter()
            .map(|key| codes.get(*key as usize).copied().unwrap_or_default())
            .collect()
    }

    /// Of each row, whether the addresses in two columns are the same.
    pub(super) fn pair(&mut self, own: usize, packet: usize) -> Rc<[Pair]> {
        if let Some(known) = self.pairs.get(&(own, packet)) {
            return known.clone();
        }
        let (keys, parsed) = self.addresses(own);
        let own_column = Own { keys, values: self.text(own).1, parsed };
        let (packet_keys, values) = self.text(packet);
        let pairs: Rc<[Pair]> = compare(&own_column, &keys_with_nulls(packet_keys), values).into();
        self.pairs.insert((own, packet), pairs.clone());
        pairs
    }
}

/// The keys of a text column; [`Nullable::NULL`] where null, which is past all values.
fn keys_with_nulls(keys: &UInt32Array) -> Rc<[u32]> {
    with_nulls(keys.values(), keys.nulls())
}

/// Values with [`Nullable::NULL`] where `nulls` says so: they are few, and looked for a word at a time.
fn with_nulls<T: Nullable>(values: &[T], nulls: Option<&NullBuffer>) -> Rc<[T]> {
    let mut values: Rc<[T]> = values.into();
    let Some(nulls) = nulls else { return values };
    let out = Rc::get_mut(&mut values).expect("nobody else has it yet");
    let words = nulls.inner().bit_chunks();
    for (rows, word) in out.chunks_mut(64).zip(words.iter_padded()) {
        let mut left = !word & (u64::MAX >> (64 - rows.len()));
        while left != 0 {
            rows[left.trailing_zeros() as usize] = T::NULL;
            left &= left - 1;
        }
    }
    values
}
