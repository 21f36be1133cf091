//! The distinct values of a column, found by an open table.
//!
//! Values of up to 32 bytes (every address, interface or VPC id) are handled as four words in registers; longer ones byte by
//! byte.

use arrow_array::StringArray;
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

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

/// Distinct values, numbered from 0 in the order in which they first came.
#[derive(Debug)]
pub(crate) struct ValueTable {
    /// The open table: 26 bits of hash, 6 of length, 32 of id + 1; 0 is an empty slot. A power of two of them.
    slots: Vec<u64>,
    /// Each value as words; those of long ones are not used.
    entries: Vec<Entry>,
    /// Value `k` is `bytes[offsets[k]..offsets[k + 1]]`.
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Default for ValueTable {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS_MIN], entries: Vec::new(), offsets: vec![0], bytes: Vec::new() }
    }
}

impl ValueTable {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that the table holds, by the number of values and not by capacities, so that it depends on the values alone.
    pub(crate) fn size(&self) -> usize {
        let slots = (self.len() * 2).next_power_of_two().max(SLOTS_MIN);
        slots * size_of::<u64>() + self.len() * (size_of::<Entry>() + size_of::<i32>()) + self.bytes.len()
    }

    /// The id of `text[start..start + len]`. Loads may reach past its end inside `text`.
    #[inline]
    pub(crate) fn id_of(&mut self, text: &[u8], start: usize, len: usize) -> u32 {
        if len > SHORT_MAX {
            return self.long_id(text, start, len);
        }
        self.short_id(load(text, start, len), len)
    }

    /// The value of an id.
    pub(crate) fn value(&self, id: u32) -> &[u8] {
        &self.bytes[self.offsets[id as usize] as usize..self.offsets[id as usize + 1] as usize]
    }

    /// The values in the order of their ids. Leaves this empty; the table keeps its memory.
    pub(crate) fn finish(&mut self) -> StringArray {
        self.slots.fill(0);
        self.entries.clear();
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        strings(offsets, std::mem::take(&mut self.bytes))
    }

    /// Forgets all values; the table keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(0);
        self.entries.clear();
        self.offsets.truncate(1);
        self.bytes.clear();
    }

    fn short_id(&mut self, words: Words, len: usize) -> u32 {
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
            let id = (found as u32).wrapping_sub(1);
            if found & TAG == tag && self.entries[id as usize].0 == words {
                return id;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn long_id(&mut self, text: &[u8], start: usize, len: usize) -> u32 {
        let hash = long_hash(text, start, len);
        let value = &text[start..start + len];
        let tag = tag(hash, LONG);
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return self.insert(slot, tag, [0; 4], value);
            }
            let id = (found as u32).wrapping_sub(1);
            if found & TAG == tag && self.value(id) == value {
                return id;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, tag: u64, words: Words, value: &[u8]) -> u32 {
        let id = self.entries.len() as u32;
        self.bytes.extend_from_slice(value);
        self.offsets.push(offset(&self.bytes));
        self.slots[slot] = tag | u64::from(id + 1);
        self.entries.push(Entry(words));
        if self.entries.len() * 3 > self.slots.len() * 2 {
            self.grow();
        }
        id
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        let mask = self.slots.len() - 1;
        for found in old.into_iter().filter(|f| *f != 0) {
            let id = found as u32 - 1;
            let value = self.value(id);
            let hash = match value.len() {
                len @ 0..=SHORT_MAX => hash(self.entries[id as usize].0, len as u64),
                len => long_hash(value, 0, len),
            };
            let mut slot = hash as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = found;
        }
    }
}

/// Where a value ends that was just put at the end of `bytes`.
pub(crate) fn offset(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("row groups are limited to far less than 2 GiB")
}

/// Values as Arrow has them: value `k` is `bytes[offsets[k]..offsets[k + 1]]`.
pub(crate) fn strings(offsets: Vec<i32>, bytes: Vec<u8>) -> StringArray {
    StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes), None)
        .expect("rows are checked for UTF-8 before they are appended")
}

/// The part of a slot that is compared before its entry.
const TAG: u64 = u64::MAX << 32;

/// The high 26 bits of a hash, and a length; the low bits of the hash have chosen the slot already.
#[inline]
fn tag(hash: u64, len: u64) -> u64 {
    hash >> 38 << 38 | len << 32
}

/// The hash of `text[start..start + len]`, which is more than [`SHORT_MAX`] bytes. Loads may reach past its end inside `text`.
#[inline]
fn long_hash(text: &[u8], start: usize, len: usize) -> u64 {
    let parts = (0..len).step_by(SHORT_MAX);
    parts.fold(len as u64, |state, part| hash(load(text, start + part, SHORT_MAX.min(len - part)), state))
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
