//! Groups of records, by the values of some columns, and their sums.
//!
//! A group's key is its values, one after the other, so that keys compare as rows do:
//!
//! | value | bytes |
//! |---|---|
//! | null | `00` |
//! | number | `01`, then eight bytes, its sign flipped, the highest first |
//! | text | `01`, then its bytes, of which `00` becomes `00 ff`, then `00 00` |

use std::collections::HashMap;

use flowquet_format::hash_text;

/// What a group takes beside its key: its sums, and its place in a table that is half full.
const GROUP_BYTES: usize = 240;

/// What null, a number, and a text beside its own bytes take in a key.
pub(super) const NULL_BYTES: usize = 1;
pub(super) const NUMBER_BYTES: usize = 9;
pub(super) const TEXT_BYTES: usize = 3;

/// Sums over the records of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) flows: i64,
    pub(super) packets: Option<i64>,
    pub(super) bytes: Option<i64>,
    pub(super) first_start: Option<i64>,
    pub(super) last_end: Option<i64>,
    pub(super) tcp_flags: Option<i64>,
}

impl Sums {
    /// Those of both; or the column whose sum is more than 64 bits hold.
    pub(super) fn with(self, other: Self) -> Result<Self, &'static str> {
        let sum = |a: Option<i64>, b: Option<i64>, column| match (a, b) {
            (Some(a), Some(b)) => a.checked_add(b).map(Some).ok_or(column),
            (a, b) => Ok(a.or(b)),
        };
        Ok(Self {
            flows: self.flows.checked_add(other.flows).ok_or("flows")?,
            packets: sum(self.packets, other.packets, "packets")?,
            bytes: sum(self.bytes, other.bytes, "bytes")?,
            first_start: [self.first_start, other.first_start].into_iter().flatten().min(),
            last_end: self.last_end.max(other.last_end),
            tcp_flags: match (self.tcp_flags, other.tcp_flags) {
                (Some(a), Some(b)) => Some(a | b),
                (a, b) => a.or(b),
            },
        })
    }
}

/// A group: its key and its sums.
pub(super) type Group = (Box<[u8]>, Sums);

/// A group of which a sum is more than 64 bits hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooLarge {
    /// Its key.
    pub(super) key: Box<[u8]>,
    /// The column.
    pub(super) column: &'static str,
}

/// The groups of a pass: those whose keys have hashes of its share.
#[derive(Debug)]
pub(super) struct Groups {
    pass: u64,
    passes: u64,
    bytes_max: usize,
    bytes: usize,
    sums: HashMap<Box<[u8]>, Sums>,
    too_large: Option<TooLarge>,
}

impl Groups {
    /// No groups yet.
    pub(super) fn new(pass: u64, passes: u64, bytes_max: usize) -> Self {
        Self { pass, passes, bytes_max, bytes: 0, sums: HashMap::new(), too_large: None }
    }

    /// No groups yet, of the same pass.
    pub(super) fn like(&self) -> Self {
        Self::new(self.pass, self.passes, self.bytes_max)
    }

    /// What so many groups take, at most, with keys of so many bytes.
    pub(super) fn bytes_of(&self, groups: usize, key_bytes: usize) -> usize {
        groups.saturating_mul(key_bytes + GROUP_BYTES).min(self.bytes_max)
    }

    /// Adds records of a group, if it is one of the pass.
    pub(super) fn add(&mut self, key: &[u8], sums: Sums) {
        let hash = u128::from(hash_text(key));
        if (hash * u128::from(self.passes)) >> u64::BITS == u128::from(self.pass) {
            self.put(key, sums);
        }
    }

    fn put(&mut self, key: &[u8], sums: Sums) {
        if self.are_too_many() {
            return;
        }
        match self.sums.get_mut(key) {
            Some(own) => match own.with(sums) {
                Ok(sum) => *own = sum,
                Err(column) => self.tell_too_large(TooLarge { key: key.into(), column }),
            },
            None => {
                self.bytes += key.len() + GROUP_BYTES;
                self.sums.insert(key.into(), sums);
            }
        }
    }

    /// Of several the first by its key is told, whatever came first.
    fn tell_too_large(&mut self, group: TooLarge) {
        if self.too_large.as_ref().is_none_or(|known| group.key < known.key) {
            self.too_large = Some(group);
        }
    }

    /// Adds the groups of others of the same pass.
    pub(super) fn take(&mut self, others: Self) {
        if let Some(group) = others.too_large.clone() {
            self.tell_too_large(group);
        }
        if others.are_too_many() {
            self.bytes = self.bytes.max(others.bytes);
        }
        others.sums.iter().for_each(|(key, sums)| self.put(key, *sums));
    }

    /// Whether there are more than may be held; what was added since is not there.
    pub(super) fn are_too_many(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// All, in order.
    pub(super) fn sorted(self) -> Result<Vec<Group>, TooLarge> {
        if let Some(group) = self.too_large {
            return Err(group);
        }
        let mut all: Vec<Group> = self.sums.into_iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}

/// Adds a number to a key.
pub(super) fn push_number(key: &mut Vec<u8>, value: Option<i64>) {
    let Some(value) = value else { return key.push(0) };
    key.push(1);
    key.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
}

/// Adds a text to a key.
pub(super) fn push_text(key: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else { return key.push(0) };
    key.push(1);
    for byte in value {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

/// Takes a number off the front of a key.
pub(super) fn pop_number(key: &mut &[u8]) -> Option<i64> {
    let (first, rest) = key.split_first()?;
    *key = rest;
    if *first == 0 {
        return None;
    }
    let (bytes, rest) = key.split_first_chunk::<8>()?;
    *key = rest;
    Some(i64::from_be_bytes(*bytes) ^ i64::MIN)
}

/// Takes a text off the front of a key.
pub(super) fn pop_text(key: &mut &[u8]) -> Option<Vec<u8>> {
    let (first, mut rest) = key.split_first()?;
    let mut value = Vec::new();
    if *first == 0 {
        *key = rest;
        return None;
    }
    loop {
        match rest {
            [0, 0xff, more @ ..] => {
                value.push(0);
                rest = more;
            }
            [0, 0, more @ ..] => {
                *key = more;
                return Some(value);
            }
            [byte, more @ ..] => {
                value.push(*byte);
                rest = more;
            }
            [] => {
                *key = rest;
                return Some(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<Vec<u8>>, Option<i64>);

    fn row() -> impl Strategy<Value = Row> {
        let number = || proptest::option::of(prop_oneof![-3..3_i64, any::<i64>()]);
        let text = proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), Just(b'a')], 0..4);
        (number(), proptest::option::of(text), number())
    }

    fn key((a, b, c): &Row) -> Vec<u8> {
        let mut key = Vec::new();
        push_number(&mut key, *a);
        push_text(&mut key, b.as_deref());
        push_number(&mut key, *c);
        key
    }

    proptest! {
        #[test]
        fn keys_are_rows(one in row(), other in row()) {
            let key_of_one = key(&one);
            let mut left = key_of_one.as_slice();
            let found = (pop_number(&mut left), pop_text(&mut left), pop_number(&mut left));
            prop_assert_eq!(&found, &one);
            prop_assert!(left.is_empty());
            prop_assert_eq!(key(&one).cmp(&key(&other)), one.cmp(&other));
        }

        /// Whatever the passes and however the rows are divided: what a map gives.
        #[test]
        fn groups_are_those_of_a_map(
            rows in proptest::collection::vec((0..9_i64, proptest::option::of(-5..100_i64)), 0..200),
            passes in 1..5_u64,
            part in 1..40_usize,
        ) {
            let sums = |bytes: Option<i64>| Sums {
                flows: 1,
                packets: bytes,
                bytes: None,
                first_start: bytes,
                last_end: bytes,
                tcp_flags: bytes.map(|b| b & 7),
            };
            let mut expected: BTreeMap<Vec<u8>, Vec<Option<i64>>> = BTreeMap::new();
            let mut found = BTreeMap::new();
            for (group, bytes) in &rows {
                expected.entry(key(&(Some(*group), None, None))).or_default().push(*bytes);
            }
            for pass in 0..passes {
                let mut all = Groups::new(pass, passes, usize::MAX);
                for rows in rows.chunks(part) {
                    let mut some = all.like();
                    rows.iter().for_each(|(group, bytes)| some.add(&key(&(Some(*group), None, None)), sums(*bytes)));
                    all.take(some);
                }
                found.extend(all.sorted().expect("small").into_iter().map(|(key, sums)| (key.to_vec(), sums)));
            }
            let naive = |values: &Vec<Option<i64>>| {
                let known = || values.iter().flatten().copied();
                let any = known().next().is_some();
                Sums {
                    flows: values.len() as i64,
                    packets: any.then(|| known().sum()),
                    bytes: None,
                    first_start: known().min(),
                    last_end: known().max(),
                    tcp_flags: any.then(|| known().fold(0, |all, value| all | value & 7)),
                }
            };
            let expected: BTreeMap<Vec<u8>, Sums> =
                expected.into_iter().map(|(key, values)| (key, naive(&values))).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn too_many_and_too_large_are_told() {
        let one = Sums { flows: 1, bytes: Some(i64::MAX), ..Sums::default() };
        let mut groups = Groups::new(0, 1, 3 * GROUP_BYTES);
        assert_eq!([1, 9].map(|count| groups.bytes_of(count, 60)), [GROUP_BYTES + 60, 3 * GROUP_BYTES]);
        (0..10_u8).for_each(|i| groups.add(&[i], one));
        assert!(groups.are_too_many());
        let mut all = groups.like();
        all.take(groups);
        assert!(all.are_too_many());
        let mut groups = Groups::new(0, 1, usize::MAX);
        for key in [b"a", b"c", b"b", b"c", b"b"] {
            groups.add(key, one);
        }
        let mut all = groups.like();
        all.add(b"a", Sums { bytes: Some(0), ..one });
        all.take(groups);
        let expected = TooLarge { key: b"b".as_slice().into(), column: "bytes" };
        assert_eq!(all.sorted(), Err(expected), "the first of those that do not fit, and what does not");
    }
}
