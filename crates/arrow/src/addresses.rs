//! The address columns of a log format, looked up together.
//!
//! The same addresses stand in all of them: in `pkt-srcaddr` mostly that of `srcaddr`, and in the next row, which is the
//! same flow the other way, those of this one with their places changed. So the columns share one table of ids, go through
//! it row by row, and each keeps its own keys by id. IPv4 addresses, which nearly all are, are one word each
//! ([`PackedAddress`]): a look-up is one probe that compares words.

use arrow_array::{Array, ArrayRef};
use flowquet_parse::{Block, FieldColumn, PackedAddress, pack_address, pack_addresses};

use std::ops::Range;

use crate::dictionary::{append_mapped, dictionary};
use crate::growing::{Growing, Nullable};
use crate::values::{ValueTable, offset, strings};

/// Slots of an empty table.
const SLOTS_MIN: usize = 1024;

/// A slot of the open table; the word of an address is never 0, so 0 is an empty slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    word: u64,
    id: u32,
}

/// An address by id.
#[derive(Debug, Clone, Copy)]
enum Address {
    Packed(PackedAddress),
    /// Its id in the table of values that do not pack.
    Other(u32),
}

/// One of the columns.
#[derive(Debug, Default)]
struct Column {
    /// Position in the log format.
    field: usize,
    keys: Growing<u32>,
    /// Key + 1 by id; 0, or past the end, where the column has not had the address yet.
    key_of: Vec<u32>,
    /// The id of each key.
    ids: Vec<u32>,
}

/// All address columns of one log format, growing.
#[derive(Debug)]
pub(crate) struct AddressColumns {
    columns: Vec<Column>,
    table: AddressTable,
    /// Scratch: the values of a block, column by column.
    packed: Vec<PackedAddress>,
    /// Scratch: their ids.
    block_ids: Vec<u32>,
}

impl AddressColumns {
    /// Columns for the fields at these positions.
    pub(crate) fn new(fields: impl Iterator<Item = usize>) -> Self {
        Self {
            columns: fields.map(|field| Column { field, ..Column::default() }).collect(),
            table: AddressTable::default(),
            packed: Vec::new(),
            block_ids: Vec::new(),
        }
    }

    /// Appends the addresses of the rows `range`; `-` is null.
    ///
    /// This is a hot loop. The first part packs, column by column; the second finds ids, row by row, comparing with the last
    /// two addresses before it looks one up; the third turns ids into each column's keys.
    pub(crate) fn append(&mut self, block: &Block<'_>, range: Range<usize>) {
        let rows = range.len();
        if rows == 0 || self.columns.is_empty() {
            return;
        }
        self.packed.resize(rows * self.columns.len(), PackedAddress::default());
        self.block_ids.resize(self.packed.len(), 0);
        let fields: Vec<FieldColumn<'_>> =
            self.columns.iter().map(|c| block.column(c.field, range.clone())).collect();
        for (field, packed) in fields.iter().zip(self.packed.chunks_exact_mut(rows)) {
            pack_addresses(*field, packed);
        }
        let (mut last, mut last_id) = (PackedAddress::default(), u32::NULL);
        let (mut before_last, mut before_last_id) = (PackedAddress::default(), u32::NULL);
        for row in 0..rows {
            for (c, field) in fields.iter().enumerate() {
                let at = c * rows + row;
                let packed = self.packed[at];
                let id = if packed.is_unpacked() {
                    let (start, end) = field.bounds_at(row);
                    self.table.other_id(field.text(), start, end - start)
                } else if packed == last {
                    last_id
                } else if packed == before_last {
                    before_last_id
                } else {
                    (before_last, before_last_id) = (last, last_id);
                    (last, last_id) = (packed, self.table.packed_id(packed));
                    last_id
                };
                self.block_ids[at] = id;
            }
        }
        let known = self.table.addresses.len();
        for (column, ids) in self.columns.iter_mut().zip(self.block_ids.chunks_exact(rows)) {
            column.append(ids, known);
        }
    }

    /// Appends all of a dictionary column to the `c`-th one.
    pub(crate) fn append_array(&mut self, c: usize, array: &dyn Array) {
        let (table, column) = (&mut self.table, &mut self.columns[c]);
        let (key_of, ids) = (&mut column.key_of, &mut column.ids);
        append_mapped(&mut column.keys, array, |value| {
            let packed = pack_address(value);
            let id = if packed.is_unpacked() {
                table.value_id(value, 0, value.len())
            } else {
                table.packed_id(packed)
            };
            key_of.resize(table.addresses.len(), 0);
            key(key_of, ids, id)
        });
    }

    /// Bytes that the columns hold, by lengths and not by capacities, so that it depends on the values alone.
    pub(crate) fn bytes(&self) -> usize {
        let of = |c: &Column| c.keys.bytes() + c.ids.len() * size_of::<u32>();
        let known = self.table.addresses.len();
        let slots = (known * 2).next_power_of_two().max(SLOTS_MIN);
        slots * size_of::<Slot>()
            + known * (size_of::<Address>() + self.columns.len() * size_of::<u32>())
            + self.table.others.size()
            + self.columns.iter().map(of).sum::<usize>()
    }

    /// The columns so far, in order. Leaves this empty.
    pub(crate) fn finish(&mut self) -> Vec<ArrayRef> {
        let table = &self.table;
        let arrays = self.columns.iter_mut().map(|column| {
            let (mut offsets, mut bytes) = (vec![0], Vec::new());
            for id in column.ids.drain(..) {
                match table.addresses[id as usize] {
                    Address::Packed(packed) => packed.push_text(&mut bytes),
                    Address::Other(id) => bytes.extend_from_slice(table.others.value(id)),
                }
                offsets.push(offset(&bytes));
            }
            column.key_of.clear();
            dictionary(&mut column.keys, strings(offsets, bytes))
        });
        let arrays = arrays.collect();
        self.table.clear();
        arrays
    }
}

impl Column {
    /// Appends the keys of `ids`, or nulls; there are ids up to `known`.
    #[inline]
    fn append(&mut self, ids: &[u32], known: usize) {
        self.key_of.resize(known, 0);
        let (key_of, members) = (&mut self.key_of, &mut self.ids);
        let mut has_nulls = false;
        let keys = ids.iter().map(|&id| {
            if id == u32::NULL {
                has_nulls = true;
                return u32::NULL;
            }
            key(key_of, members, id)
        });
        self.keys.open().extend(keys);
        if has_nulls {
            self.keys.note_nulls();
        }
    }
}

/// The key of the address `id` in a column, a new one where it comes for the first time.
#[inline]
fn key(key_of: &mut [u32], ids: &mut Vec<u32>, id: u32) -> u32 {
    let key = &mut key_of[id as usize];
    if *key == 0 {
        ids.push(id);
        *key = ids.len() as u32;
    }
    *key - 1
}

/// The addresses of all columns, numbered from 0.
#[derive(Debug)]
struct AddressTable {
    /// The open table of those that pack: a power of two of slots.
    slots: Vec<Slot>,
    addresses: Vec<Address>,
    packed: usize,
    others: ValueTable,
    /// Ids of the others by their ids among themselves.
    other_ids: Vec<u32>,
}

impl Default for AddressTable {
    fn default() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS_MIN],
            addresses: Vec::new(),
            packed: 0,
            others: ValueTable::default(),
            other_ids: Vec::new(),
        }
    }
}

impl AddressTable {
    /// The id of an address that packs.
    #[inline]
    fn packed_id(&mut self, packed: PackedAddress) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = hash(packed) & mask;
        loop {
            let found = self.slots[slot];
            if found.word == packed.word() {
                return found.id;
            }
            if found.word == 0 {
                return self.insert(slot, packed);
            }
            slot = (slot + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, packed: PackedAddress) -> u32 {
        let id = self.addresses.len() as u32;
        self.addresses.push(Address::Packed(packed));
        self.slots[slot] = Slot { word: packed.word(), id };
        self.packed += 1;
        if self.packed * 2 > self.slots.len() {
            let doubled = vec![Slot::default(); self.slots.len() * 2];
            let mask = doubled.len() - 1;
            let old = std::mem::replace(&mut self.slots, doubled);
            for found in old.into_iter().filter(|s| s.word != 0) {
                let Address::Packed(packed) = self.addresses[found.id as usize] else {
                    unreachable!("slots hold addresses that pack")
                };
                let mut slot = hash(packed) & mask;
                while self.slots[slot].word != 0 {
                    slot = (slot + 1) & mask;
                }
                self.slots[slot] = found;
            }
        }
        id
    }

    /// The id of a text that does not pack, [`Nullable::NULL`] of `-`.
    #[cold]
    fn other_id(&mut self, text: &[u8], start: usize, len: usize) -> u32 {
        if len == 1 && text[start] == b'-' {
            return u32::NULL;
        }
        self.value_id(text, start, len)
    }

    /// The id of a value that does not pack.
    fn value_id(&mut self, text: &[u8], start: usize, len: usize) -> u32 {
        let other = self.others.id_of(text, start, len);
        if other as usize == self.other_ids.len() {
            self.other_ids.push(self.addresses.len() as u32);
            self.addresses.push(Address::Other(other));
        }
        self.other_ids[other as usize]
    }

    /// Forgets all addresses; the tables keep their memory.
    fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.addresses.clear();
        self.packed = 0;
        self.others.clear();
        self.other_ids.clear();
    }
}

/// A folded multiplication. Not for adversaries: a table that they fill gets slow, not wrong.
#[inline]
fn hash(packed: PackedAddress) -> usize {
    let product = u128::from(packed.word()) * 0x9e37_79b9_7f4a_7c15;
    (product as u64 ^ (product >> 64) as u64) as usize
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use proptest::prelude::*;

    const FOUR: &str = "srcaddr dstaddr pkt-srcaddr pkt-dstaddr";

    #[test]
    fn pairs_turns_and_what_does_not_pack() {
        let texts =
            ["10.0.0.1", "10.0.0.2", "-", "2001:db8::1", "::1", "10.0.0.01", "unknown", "1", "9.9.9.9"];
        let rows: Vec<Vec<String>> = (0..3000)
            .map(|i| (0..4).map(|c| texts[(i * 7 + i / 5 * c) % texts.len()].to_owned()).collect())
            .collect();
        check(FOUR, &rows);
    }

    #[test]
    fn many_addresses_grow_the_table() {
        let address = |i: usize| format!("10.{}.{}.{}", i % 7, i / 251 % 251, i % 251);
        let rows: Vec<Vec<String>> =
            (0..30_000).map(|i| [i, i * 3, i * 5, i / 2].map(address).to_vec()).collect();
        check(FOUR, &rows);
    }

    proptest! {
        #[test]
        fn equals_the_naive_columns(rows in proptest::collection::vec(
            proptest::collection::vec("-|10\\.0\\.0\\.[0-4]|[0-9.]{1,16}|[0-9a-f:]{1,40}", 2), 1..100)) {
            check("srcaddr dstaddr", &rows);
        }
    }
}
