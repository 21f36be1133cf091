//! The address columns of a log format, looked up together.
//!
//! The same addresses stand in all of them: in `pkt-srcaddr` mostly that of `srcaddr`, and in the next row, which is the
//! same flow the other way, those of this one with their places changed. So the columns share one table, go through it row
//! by row, and each has its own key there. IPv4 addresses, which nearly all are, are one word each ([`PackedAddress`]): a
//! look-up compares words, and finds the keys of all columns on the same half of a cache line.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use flowquet_parse::{Block, PackedAddress, pack_address, pack_addresses};

use crate::dictionary::{append_mapped, dictionary};
use crate::growing::{Growing, Nullable};
use crate::values::{ValueTable, offset, strings};

/// Most columns that share a table: as many as the log formats of AWS have.
pub(crate) const COLUMNS_MAX: usize = 4;

/// Slots of an empty table.
const SLOTS_MIN: usize = 256;

/// Key + 1 of an address in each column; 0 where the column has not had it yet.
type Keys = [u32; COLUMNS_MAX];

/// A slot of the open table; the word of an address is never 0, so 0 is an empty slot.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
struct Slot {
    word: u64,
    keys: Keys,
}

/// Where the keys of a value stand: the slot of an address that packs, or [`OTHER`] and the id of another value.
type Place = u32;

/// In a place: not a slot, but an id in the table of values that do not pack.
const OTHER: Place = 1 << 31;

/// A distinct value of a column.
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
    /// The value of each key.
    values: Vec<Address>,
}

/// All address columns of one log format, growing.
#[derive(Debug)]
pub(crate) struct AddressColumns {
    columns: Vec<Column>,
    table: AddressTable,
    scratch: Scratch,
}

/// What is known of a block's values while they are looked up.
#[derive(Debug, Default)]
struct Scratch {
    /// The values, column by column.
    packed: Vec<PackedAddress>,
    /// For each value, which one of `fresh` it equals, or [`Nullable::NULL`].
    sources: Vec<u32>,
    /// Values that are not the last two before them again; for one that does not pack, where it stands.
    fresh: Vec<(PackedAddress, usize)>,
    /// The place of each of `fresh`.
    places: Vec<Place>,
}

impl AddressColumns {
    /// Columns for the fields at these positions, at most [`COLUMNS_MAX`].
    pub(crate) fn new(fields: impl Iterator<Item = usize>) -> Self {
        let columns: Vec<Column> = fields.map(|field| Column { field, ..Column::default() }).collect();
        debug_assert!(columns.len() <= COLUMNS_MAX);
        Self { columns, table: AddressTable::default(), scratch: Scratch::default() }
    }

    /// Appends the addresses of the rows `range`; `-` is null.
    ///
    /// This is a hot loop, in parts that each touch little memory or wait for none of it: pack, column by column; find which
    /// values are fresh, row by row; look those up, so that misses of the cache overlap; take each column's keys.
    pub(crate) fn append(&mut self, block: &Block<'_>, range: Range<usize>) {
        let rows = range.len();
        if rows == 0 || self.columns.is_empty() {
            return;
        }
        let Scratch { packed, sources, fresh, places } = &mut self.scratch;
        packed.resize(rows * self.columns.len(), PackedAddress::default());
        for (column, packed) in self.columns.iter().zip(packed.chunks_exact_mut(rows)) {
            pack_addresses(block.column(column.field, range.clone()), packed);
        }
        sources.resize(packed.len(), 0);
        fresh.clear();
        find_fresh(packed, rows, sources, fresh, |c, row| {
            let (start, end) = block.bounds(block.rows()[range.start + row], self.columns[c].field);
            end - start == 1 && block.text()[start] == b'-'
        });
        self.table.find_all(fresh, places, |at| {
            let (column, row) = (&self.columns[at / rows], block.rows()[range.start + at % rows]);
            block.field(row, column.field)
        });
        for (c, (column, sources)) in self.columns.iter_mut().zip(sources.chunks_exact(rows)).enumerate() {
            let Column { keys, values, .. } = column;
            let mut has_nulls = false;
            keys.open().extend(sources.iter().map(|source| match places.get(*source as usize) {
                Some(place) => self.table.key(*place, c, values),
                None => {
                    has_nulls = true;
                    u32::NULL
                }
            }));
            if has_nulls {
                keys.note_nulls();
            }
        }
    }

    /// Appends all of a dictionary column to the `c`-th one.
    pub(crate) fn append_array(&mut self, c: usize, array: &dyn Array) {
        let Column { keys, values, .. } = &mut self.columns[c];
        append_mapped(keys, array, |value| {
            let place = self.table.find(pack_address(value), || value);
            self.table.key(place, c, values)
        });
    }

    /// Bytes that the columns hold, by lengths and not by capacities, so that it depends on the values alone.
    pub(crate) fn bytes(&self) -> usize {
        let of = |c: &Column| c.keys.bytes() + c.values.len() * size_of::<Address>();
        let slots = (self.table.packed * 2).next_power_of_two().max(SLOTS_MIN);
        let others = self.table.others.size() + self.table.other_keys.len() * size_of::<Keys>();
        slots * size_of::<Slot>() + others + self.columns.iter().map(of).sum::<usize>()
    }

    /// Values of the columns, on average: what a twin of one has.
    pub(crate) fn values(&self) -> usize {
        self.columns.iter().map(|c| c.values.len()).sum::<usize>() / self.columns.len().max(1)
    }

    /// The columns so far, in order. Leaves this empty.
    pub(crate) fn finish(&mut self) -> Vec<ArrayRef> {
        let others = &self.table.others;
        let arrays = self.columns.iter_mut().map(|column| {
            let (mut offsets, mut bytes) = (vec![0], Vec::new());
            for value in column.values.drain(..) {
                match value {
                    Address::Packed(packed) => packed.push_text(&mut bytes),
                    Address::Other(id) => bytes.extend_from_slice(others.value(id)),
                }
                offsets.push(offset(&bytes));
            }
            dictionary(&mut column.keys, strings(offsets, bytes))
        });
        let arrays = arrays.collect();
        self.table.clear();
        arrays
    }
}

/// Goes through `rows` rows of the columns in `packed`, and puts into `fresh` what is not one of the last two values
/// before it, with its index in `packed`; `sources` gets which one each value is. What does not pack is fresh too, unless
/// `is_null` of its column and row.
fn find_fresh(
    packed: &[PackedAddress],
    rows: usize,
    sources: &mut [u32],
    fresh: &mut Vec<(PackedAddress, usize)>,
    is_null: impl Fn(usize, usize) -> bool,
) {
    let columns = packed.len() / rows;
    let (mut last, mut last_source) = (PackedAddress::default(), 0);
    let (mut before_last, mut before_last_source) = (PackedAddress::default(), 0);
    for row in 0..rows {
        for c in 0..columns {
            let at = c * rows + row;
            let value = packed[at];
            sources[at] = if value.is_unpacked() {
                if is_null(c, row) {
                    u32::NULL
                } else {
                    fresh.push((value, at));
                    fresh.len() as u32 - 1
                }
            } else if value == last {
                last_source
            } else if value == before_last {
                before_last_source
            } else {
                (before_last, before_last_source) = (last, last_source);
                (last, last_source) = (value, fresh.len() as u32);
                fresh.push((value, at));
                last_source
            };
        }
    }
}

/// The addresses of all columns.
#[derive(Debug)]
struct AddressTable {
    /// The open table of those that pack: a power of two of slots.
    slots: Vec<Slot>,
    packed: usize,
    others: ValueTable,
    other_keys: Vec<Keys>,
}

impl Default for AddressTable {
    fn default() -> Self {
        let slots = vec![Slot::default(); SLOTS_MIN];
        Self { slots, packed: 0, others: ValueTable::default(), other_keys: Vec::new() }
    }
}

impl AddressTable {
    /// Puts the place of each of `fresh` into `places`; `text` gives what does not pack, by its index.
    fn find_all<'a>(
        &mut self,
        fresh: &[(PackedAddress, usize)],
        places: &mut Vec<Place>,
        text: impl Fn(usize) -> &'a [u8],
    ) {
        self.reserve(fresh.len());
        let mask = self.slots.len() - 1;
        // The first slot is mostly the right one. Looking at all of them without a branch lets the loads overlap; which of
        // them were wrong is put right afterwards.
        places.clear();
        places.extend(fresh.iter().map(|(packed, _)| {
            let slot = hash(*packed) & mask;
            let is_found = (self.slots[slot].word == packed.word()) & !packed.is_unpacked();
            if is_found { slot as Place } else { Place::MAX }
        }));
        for (place, (packed, at)) in places.iter_mut().zip(fresh) {
            if *place == Place::MAX {
                *place = self.find(*packed, || text(*at));
            }
        }
    }

    /// The place of an address, or of the `text` that does not pack.
    fn find<'a>(&mut self, packed: PackedAddress, text: impl FnOnce() -> &'a [u8]) -> Place {
        if packed.is_unpacked() {
            let text = text();
            let id = self.others.id_of(text, 0, text.len());
            self.other_keys.resize(self.others.len(), Keys::default());
            return OTHER | id;
        }
        self.reserve(1);
        let mask = self.slots.len() - 1;
        let mut slot = hash(packed) & mask;
        while self.slots[slot].word != packed.word() {
            if self.slots[slot].word == 0 {
                self.slots[slot].word = packed.word();
                self.packed += 1;
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot as Place
    }

    /// Makes room for `more` addresses that pack, so that places stay what they are until then.
    fn reserve(&mut self, more: usize) {
        while (self.packed + more) * 3 > self.slots.len() * 2 {
            let doubled = vec![Slot::default(); self.slots.len() * 2];
            let mask = doubled.len() - 1;
            for slot in std::mem::replace(&mut self.slots, doubled).into_iter().filter(|s| s.word != 0) {
                let mut at = hash_word(slot.word) & mask;
                while self.slots[at].word != 0 {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }

    /// The key in column `c` of what stands at `place`; a new one, which is put into `values`, where the column has not
    /// had it yet.
    #[inline]
    fn key(&mut self, place: Place, c: usize, values: &mut Vec<Address>) -> u32 {
        let (keys, value) = if place & OTHER == 0 {
            let slot = &mut self.slots[place as usize];
            (&mut slot.keys, Address::Packed(PackedAddress::from_word(slot.word)))
        } else {
            (&mut self.other_keys[(place & !OTHER) as usize], Address::Other(place & !OTHER))
        };
        let key = &mut keys[c];
        if *key == 0 {
            values.push(value);
            *key = values.len() as u32;
        }
        *key - 1
    }

    /// Forgets all addresses; the tables keep their memory.
    fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.packed = 0;
        self.others.clear();
        self.other_keys.clear();
    }
}

#[inline]
fn hash(packed: PackedAddress) -> usize {
    hash_word(packed.word())
}

/// A folded multiplication. Not for adversaries: a table that they fill gets slow, not wrong.
#[inline]
fn hash_word(word: u64) -> usize {
    let product = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
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
