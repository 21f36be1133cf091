//! Text straight to dictionary keys: one column.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, UInt32Array};
use flowquet_format::percent_decoded;
use flowquet_parse::{AS_BEFORE_LAST, AS_LAST, FieldColumn, repeats};

use crate::growing::{Growing, Nullable};
use crate::values::ValueTable;

/// A growing dictionary column. Keys count up from 0 in the order in which values first appear.
#[derive(Debug, Default)]
pub(crate) struct DictionaryBuilder {
    keys: Growing<u32>,
    values: ValueTable,
    /// Where values are not kept as they are written.
    decoder: Option<Box<Decoder>>,
}

/// Values as they are written, each once, and the keys of what they mean.
#[derive(Debug, Default)]
struct Decoder {
    written: ValueTable,
    keys: Vec<u32>,
}

impl Decoder {
    /// Puts the keys of decoded values, which `values` holds, for those of written ones.
    fn decode(&mut self, keys: &mut [u32], values: &mut ValueTable) {
        for id in self.keys.len()..self.written.len() {
            let written = std::str::from_utf8(self.written.value(id as u32));
            let value = percent_decoded(written.expect("blocks hold whole lines of UTF-8"));
            self.keys.push(values.id_of(value.as_bytes(), 0, value.len()));
        }
        for key in keys.iter_mut().filter(|key| **key != u32::NULL) {
            *key = self.keys[*key as usize];
        }
    }
}

/// Flags of rows that are looked at together.
const STRIDE: usize = 16;

impl DictionaryBuilder {
    /// A column whose values are kept without the percent-encoding that they are written in.
    pub(crate) fn decoding() -> Self {
        Self { decoder: Some(Box::default()), ..Self::default() }
    }

    /// Whether values are kept as they are written.
    pub(crate) fn is_kept_as_written(&self) -> bool {
        self.decoder.is_none()
    }

    /// Appends the values of `column`; `-` is null. `flags` is scratch.
    ///
    /// This is a hot loop: values that stand again where they just stood take the key from there, sixteen rows at once where
    /// nothing changes; only others are looked up.
    pub(crate) fn append(&mut self, column: FieldColumn<'_>, flags: &mut Vec<u8>) {
        repeats(column, flags);
        let Self { keys, values, decoder } = self;
        let written = decoder.as_mut().map_or(&mut *values, |decoder| &mut decoder.written);
        let mut has_nulls = false;
        let out = keys.open();
        let before = out.len();
        out.reserve(flags.len());
        let (mut last, mut before_last) = (u32::NULL, u32::NULL);
        for (stride, flags) in flags.chunks(STRIDE).enumerate() {
            if flags.len() == STRIDE && flags.iter().fold(AS_LAST, |all, flag| all & flag) == AS_LAST {
                out.extend([last; STRIDE]);
                before_last = last;
                continue;
            }
            for (i, flag) in flags.iter().enumerate() {
                let key = match *flag {
                    flag if flag & AS_LAST != 0 => last,
                    flag if flag & AS_BEFORE_LAST != 0 => before_last,
                    _ => {
                        let (start, end) = column.bounds_at(stride * STRIDE + i);
                        if end - start == 1 && column.text()[start] == b'-' {
                            has_nulls = true;
                            u32::NULL
                        } else {
                            written.id_of(column.text(), start, end - start)
                        }
                    }
                };
                (before_last, last) = (last, key);
                out.push(key);
            }
        }
        if let Some(decoder) = decoder {
            decoder.decode(&mut out[before..], values);
        }
        if has_nulls {
            keys.note_nulls();
        }
    }

    /// The key of the value `text[start..end]`, as it is written and kept alike; that of null where it is `-`.
    pub(crate) fn key_of(&mut self, text: &[u8], start: usize, end: usize) -> u32 {
        if text[start..end] == *b"-" { u32::NULL } else { self.values.id_of(text, start, end - start) }
    }

    /// Appends the key that `keys` has for each of `ids`.
    pub(crate) fn extend_mapped(&mut self, ids: &[u32], keys: &[u32]) {
        let has_nulls = keys.contains(&u32::NULL);
        self.keys.extend(ids.iter().map(|id| keys[*id as usize]), has_nulls);
    }

    /// Appends one value, as it is kept, so many times; null if it is `None`.
    pub(crate) fn append_run(&mut self, value: Option<&str>, rows: usize) {
        let key = value.map_or(u32::NULL, |v| self.values.id_of(v.as_bytes(), 0, v.len()));
        self.keys.extend(std::iter::repeat_n(key, rows), value.is_none());
    }

    /// Appends all of another dictionary column, whose values are as they are kept.
    pub(crate) fn append_array(&mut self, array: &dyn Array) {
        let Self { keys, values, .. } = self;
        append_mapped(keys, array, |value| values.id_of(value, 0, value.len()));
    }

    /// Bytes that the column holds, by lengths and not by capacities, so that it depends on the values alone.
    pub(crate) fn bytes(&self) -> usize {
        let written = self.decoder.as_ref().map_or(0, |decoder| decoder.written.size());
        self.keys.bytes() + self.values.size() + written
    }

    /// The column so far. Leaves this empty.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        if let Some(decoder) = &mut self.decoder {
            decoder.written.clear();
            decoder.keys.clear();
        }
        dictionary(&mut self.keys, self.values.finish())
    }
}

/// Appends the rows of the dictionary column `array`, whose values have the keys that `key_of` says.
pub(crate) fn append_mapped(
    keys: &mut Growing<u32>,
    array: &dyn Array,
    mut key_of: impl FnMut(&[u8]) -> u32,
) {
    let array = array.as_dictionary::<UInt32Type>();
    let values = array.values().as_string::<i32>().iter();
    let mapped: Vec<u32> =
        values.map(|v| key_of(v.expect("dictionaries hold no nulls").as_bytes())).collect();
    let key = |key: Option<u32>| key.map_or(u32::NULL, |key| mapped[key as usize]);
    keys.extend(array.keys().iter().map(key), array.null_count() > 0);
}

/// Keys and their values as one column. Leaves `keys` empty.
pub(crate) fn dictionary(keys: &mut Growing<u32>, values: StringArray) -> ArrayRef {
    let (keys, nulls) = keys.finish();
    let keys = UInt32Array::new(keys, nulls);
    Arc::new(DictionaryArray::try_new(keys, Arc::new(values)).expect("keys count the values"))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use flowquet_format::{Catalogue, Types, tag_entries};
    use flowquet_parse::Backend;

    use crate::testing::{check, grown_of, texts};
    use proptest::prelude::*;

    /// Rows of one text column between two others.
    #[track_caller]
    fn check_values(values: &[String]) {
        let rows: Vec<Vec<String>> =
            values.iter().map(|v| vec!["2".into(), v.clone(), "OK".into()]).collect();
        check("version vpc-id log-status", &rows);
    }

    #[test]
    fn lengths_around_the_word_limit() {
        let lengths = (0..200).flat_map(|len| ["a", "b"].map(|c| c.repeat(len)));
        let values: Vec<String> = lengths.chain(["-", "--", "-", "ä"].map(str::to_owned)).collect();
        check_values(&[values.clone(), values].concat());
    }

    #[test]
    fn runs_around_a_stride() {
        for run in 1..40 {
            let values: Vec<String> =
                (0..200).map(|i| ["a", "b", "-", "c"][i / run % 4].to_owned()).collect();
            check_values(&values);
        }
    }

    #[test]
    fn many_values_grow_the_table() {
        let values: Vec<_> = (0..50_000).map(|i| format!("v.{}.{}.{}", i % 7, i / 251, i % 251)).collect();
        check_values(&values);
        check_values(&["-".into(), "-".into()]);
    }

    #[test]
    fn values_are_decoded_once_and_stand_once() {
        let list =
            Catalogue::builtin().extended(&tag_entries(&[], true, Catalogue::builtin()).expect("no keys"));
        let catalogue = list.expect("entries of a field list");
        let rows = ["a%20b 1", "a%2520b 2", "- 3", "a%20b 4", "%61%20b 5", "%2D 6", "%ff 7"];
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let mut columns = grown_of(&catalogue, "instance-tag bytes", &text, Types::Aws, Backend::Scalar);
        let batch = columns.finish();
        let expected = ["a b", "a%20b", "-", "a b", "a b", "-", "%ff"];
        assert_eq!(texts(batch.column(0)), expected);
        assert!(batch.column(0).is_null(2) && !batch.column(0).is_null(5));
        assert_eq!(batch.column(0).as_any_dictionary().values().len(), 4);
        // Rows that are carried on are not decoded again, and what was written before does not count.
        columns.append_batch(&batch);
        assert_eq!(texts(columns.finish().column(0)), expected);
    }

    proptest! {
        #[test]
        fn equals_the_naive_column(values in proptest::collection::vec("-|[ab]{0,3}|[a-c0-9.]{0,70}", 1..300)) {
            check_values(&values);
        }
    }
}
