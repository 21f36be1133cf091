//! Text straight to dictionary keys.
//!
//! Each value is compared with the last two distinct ones first, since flows come in pairs and many columns hardly ever
//! change; only then is it hashed and looked up in an open table. Values of up to 32 bytes (every address, interface or
//! VPC id) are handled as four words in registers; longer ones byte by byte.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, UInt32Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::validity::Validity;

/// Longest value that is handled as words.
const SHORT_MAX: usize = 32;

/// Slots of an empty table: small, since most columns have few values and a table must stay in the cache.
const SLOTS_MIN: usize = 256;

type Words = [u64; SHORT_MAX / 8];

/// A short value as words, on a cache line of its own half: one miss checks a candidate.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Entry(Words);

/// In a slot, the length of a value that is too long to be an [`Entry`].
const LONG: u64 = 63;

/// `MASKS[len]` keeps the first `len` bytes of [`Words`].
const MASKS: [Words; SHORT_MAX + 1] = masks();

const fn masks() -> [Words; SHORT_MAX + 1] {
    let mut all = [[0; 4]; SHORT_MAX + 1];
    let mut len = 0;
    while len <= SHORT_MAX {
        let mut word = 0;
        while word < 4 {
            let kept = len.saturating_sub(word * 8);
            all[len][word] = if kept >= 8 { u64::MAX } else { (1 << (8 * kept)) - 1 };
            word += 1;
        }
        len += 1;
    }
    all
}

/// A distinct value that was just seen.
#[derive(Debug, Clone, Copy)]
struct Recent {
    words: Words,
    /// `usize::MAX` where there is none; only values of up to [`SHORT_MAX`] bytes are kept here.
    len: usize,
    key: u32,
}

const NO_RECENT: Recent = Recent { words: [0; 4], len: usize::MAX, key: 0 };

/// A growing dictionary column. Keys count up from 0 in the order in which values first appear.
#[derive(Debug)]
pub(crate) struct DictionaryBuilder {
    keys: Vec<u32>,
    validity: Validity,
    /// The open table: 26 bits of hash, 6 of length, 32 of key + 1; 0 is an empty slot. A power of two of them.
    slots: Vec<u64>,
    /// Each value as words; those of long ones are not used.
    entries: Vec<Entry>,
    /// Value `k` is `bytes[offsets[k]..offsets[k + 1]]`; [`SHORT_MAX`] zeros stand behind the last one.
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    recent: [Recent; 2],
}

impl Default for DictionaryBuilder {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            validity: Validity::default(),
            slots: vec![0; SLOTS_MIN],
            entries: Vec::new(),
            offsets: vec![0],
            bytes: vec![0; SHORT_MAX],
            recent: [NO_RECENT; 2],
        }
    }
}

impl DictionaryBuilder {
    /// Appends `text[start..end]`; `-` is null. Loads may reach past `end` inside `text`.
    #[inline]
    pub(crate) fn append_at(&mut self, text: &[u8], start: usize, end: usize) {
        let len = end - start;
        if len == 1 && text[start] == b'-' {
            self.append_null();
            return;
        }
        self.append_value(text, start, len);
    }

    #[inline]
    pub(crate) fn append_null(&mut self) {
        self.keys.push(0);
        self.validity.push(false);
    }

    #[inline]
    pub(crate) fn append_value(&mut self, text: &[u8], start: usize, len: usize) {
        let key = self.key_of(text, start, len);
        self.keys.push(key);
        self.validity.push(true);
    }

    /// Appends `count` times the value or null that `dictionary` holds at each of `array`'s places.
    pub(crate) fn append_array(&mut self, array: &dyn Array) {
        let array = array.as_dictionary::<UInt32Type>();
        let values = array.values().as_string::<i32>();
        let mapped: Vec<u32> = values
            .iter()
            .map(|v| {
                let value = v.expect("dictionaries hold no nulls").as_bytes();
                self.key_of(value, 0, value.len())
            })
            .collect();
        for key in array.keys() {
            match key {
                Some(key) => {
                    self.keys.push(mapped[key as usize]);
                    self.validity.push(true);
                }
                None => self.append_null(),
            }
        }
    }

    /// Bytes that the column holds, by lengths and not by capacities, so that it depends on the values alone.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * 4
            + self.validity.len() / 8
            + self.slots.len() * 8
            + self.offsets.len() * (4 + SHORT_MAX)
            + self.bytes.len()
    }

    /// The column so far. Leaves this empty.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let Self { keys, mut validity, offsets, mut bytes, .. } = std::mem::take(self);
        bytes.truncate(bytes.len() - SHORT_MAX);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = StringArray::try_new(offsets, Buffer::from_vec(bytes), None)
            .expect("rows are checked for UTF-8 before they are appended");
        let mut keys = keys;
        if values.is_empty() && !keys.is_empty() {
            // All null: Arrow wants no key to point outside, and 0 would.
            keys.fill(0);
        }
        let keys = UInt32Array::new(ScalarBuffer::from(keys), validity.finish());
        Arc::new(DictionaryArray::try_new(keys, Arc::new(values)).expect("keys count the values"))
    }

    #[inline]
    fn key_of(&mut self, text: &[u8], start: usize, len: usize) -> u32 {
        if len > SHORT_MAX {
            return self.long_key(&text[start..start + len]);
        }
        let words = load(text, start, len);
        for recent in &self.recent {
            if recent.len == len && recent.words == words {
                return recent.key;
            }
        }
        let key = self.short_key(words, len);
        self.recent[1] = self.recent[0];
        self.recent[0] = Recent { words, len, key };
        key
    }

    fn short_key(&mut self, words: Words, len: usize) -> u32 {
        let hash = hash(words, len as u64);
        let tag = tag(hash, len as u64);
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                let mut value = [0; SHORT_MAX];
                for (bytes, word) in value.as_chunks_mut::<8>().0.iter_mut().zip(words) {
                    *bytes = word.to_le_bytes();
                }
                return self.insert(slot, tag, words, &value[..len]);
            }
            let key = (found as u32).wrapping_sub(1);
            if found & TAG == tag && self.entries[key as usize].0 == words {
                return key;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn long_key(&mut self, value: &[u8]) -> u32 {
        let hash = long_hash(value);
        let tag = tag(hash, LONG);
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return self.insert(slot, tag, [0; 4], value);
            }
            let key = (found as u32 - 1) as usize;
            if found & TAG == tag
                && &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize] == value
            {
                return key as u32;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, tag: u64, words: Words, value: &[u8]) -> u32 {
        let key = (self.offsets.len() - 1) as u32;
        self.bytes.truncate(self.bytes.len() - SHORT_MAX);
        self.bytes.extend_from_slice(value);
        let end = i32::try_from(self.bytes.len()).expect("row groups are limited to far less than 2 GiB");
        self.offsets.push(end);
        self.bytes.resize(self.bytes.len() + SHORT_MAX, 0);
        self.slots[slot] = tag | u64::from(key + 1);
        self.entries.push(Entry(words));
        if self.offsets.len() * 3 > self.slots.len() * 2 {
            self.grow();
        }
        key
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        let mask = self.slots.len() - 1;
        for found in old.into_iter().filter(|f| *f != 0) {
            let key = (found as u32 - 1) as usize;
            let value = &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize];
            let hash = match value.len() {
                len @ 0..=SHORT_MAX => hash(self.entries[key].0, len as u64),
                _ => long_hash(value),
            };
            let mut slot = hash as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = found;
        }
    }
}

/// The part of a slot that is compared before its entry.
const TAG: u64 = u64::MAX << 32;

/// The high 26 bits of a hash, and a length; the low bits of the hash have chosen the slot already.
#[inline]
fn tag(hash: u64, len: u64) -> u64 {
    hash >> 38 << 38 | len << 32
}

/// The hash of a value of more than [`SHORT_MAX`] bytes.
fn long_hash(value: &[u8]) -> u64 {
    let starts = (0..value.len()).step_by(SHORT_MAX);
    starts.fold(value.len() as u64, |state, start| {
        hash(load(value, start, SHORT_MAX.min(value.len() - start)), state)
    })
}

/// The first `len` bytes at `start`, at most [`SHORT_MAX`], zeros behind them.
#[inline]
fn load(text: &[u8], start: usize, len: usize) -> Words {
    let mask = &MASKS[len];
    let of = |bytes: &[u8; SHORT_MAX]| {
        let (chunks, _) = bytes.as_chunks::<8>();
        std::array::from_fn(|i| u64::from_le_bytes(chunks[i]) & mask[i])
    };
    match text.get(start..start + SHORT_MAX) {
        Some(bytes) => of(bytes.try_into().expect("as many as asked for")),
        None => {
            let mut padded = [0; SHORT_MAX];
            padded[..len].copy_from_slice(&text[start..start + len]);
            of(&padded)
        }
    }
}

/// Two folded multiplications, in the manner of wyhash. Not for adversaries: a table that they fill gets slow, not wrong.
#[inline]
fn hash(words: Words, seed: u64) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let low = fold(words[0] ^ 0xa076_1d64_78bd_642f ^ seed, words[1] ^ 0xe703_7ed1_a0b4_28db);
    let high = fold(words[2] ^ 0x8ebc_6af0_9c88_c6e3, words[3] ^ 0x5899_65cc_7537_4cc3 ^ seed);
    fold(low ^ 0x1d8e_4e27_c47d_124f, high ^ 0xeb44_acca_b455_d165)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Appends values from one text, so that loads see their neighbours; a plain vector is the oracle.
    #[track_caller]
    fn check(values: &[Option<String>]) {
        let mut text = Vec::new();
        let places: Vec<(usize, usize)> = values
            .iter()
            .map(|v| {
                let start = text.len();
                text.extend_from_slice(v.as_deref().unwrap_or("-").as_bytes());
                let end = text.len();
                text.push(b' ');
                (start, end)
            })
            .collect();
        let mut builder = DictionaryBuilder::default();
        for &(start, end) in &places {
            builder.append_at(&text, start, end);
        }
        let array = builder.finish();
        let read = |array: &ArrayRef| {
            let typed = array.as_dictionary::<UInt32Type>().downcast_dict::<StringArray>().expect("text");
            typed.into_iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(read(&array), values);
        let distinct: std::collections::HashSet<_> = values.iter().flatten().collect();
        assert_eq!(array.as_dictionary::<UInt32Type>().values().len(), distinct.len());
        // Once more through the path of merged batches, behind other values.
        let mut merged = DictionaryBuilder::default();
        merged.append_at(b"before", 0, 6);
        merged.append_array(&array);
        merged.append_array(&array);
        let expected: Vec<_> =
            std::iter::once(Some("before".to_owned())).chain([values, values].concat()).collect();
        assert_eq!(read(&merged.finish()), expected);
    }

    #[test]
    fn lengths_around_the_word_limit() {
        let values: Vec<Option<String>> = (0..200)
            .flat_map(|len| ["a", "b"].map(|c| Some(c.repeat(len))))
            .chain([None, Some("--".into()), None, Some("ä".into())])
            .collect();
        let again = [values.clone(), values].concat();
        check(&again);
    }

    #[test]
    fn zeros_are_not_padding() {
        check(&[
            Some("a".into()),
            Some("a\0".into()),
            Some("a\0\0".into()),
            Some("\0".into()),
            Some("\0\0".into()),
        ]);
    }

    #[test]
    fn many_values_grow_the_table() {
        let values: Vec<_> =
            (0..50_000).map(|i| Some(format!("10.{}.{}.{}", i % 7, i / 251, i % 251))).collect();
        check(&values);
        check(&[None, None]);
        check(&[]);
    }

    proptest! {
        #[test]
        fn equals_the_naive_column(values in proptest::collection::vec(
            prop_oneof![Just(None), "[ab]{0,3}|[a-c0-9.]{0,70}".prop_filter("null token", |s| s != "-").prop_map(Some)], 0..300)) {
            check(&values);
        }
    }
}
