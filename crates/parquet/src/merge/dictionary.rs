//! Dictionaries of many row groups as one.
//!
//! Those that were written here are sorted, so that they are merged as sorted runs are, without hashing a value.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use bytes::Bytes;

use crate::text::{Dictionary, word};

/// The distinct values of one row group's column, by their local keys.
#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Bytes,
    /// Where each value begins and how long it is.
    places: Vec<(u32, u32)>,
    /// The keys in the order of their values; empty where that is their own.
    order: Vec<u32>,
}

impl Run {
    /// Values at `places` of `bytes`, by keys.
    pub(super) fn new(bytes: Bytes, places: Vec<(u32, u32)>) -> Self {
        let mut run = Self { bytes, places, order: Vec::new() };
        if !(1..run.places.len()).all(|key| run.value(key - 1) <= run.value(key)) {
            let mut order: Vec<u32> = (0..run.places.len() as u32).collect();
            order.sort_unstable_by_key(|key| run.value(*key as usize));
            run.order = order;
        }
        run
    }

    /// How many values.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The value of a key.
    fn value(&self, key: usize) -> &[u8] {
        let (start, len) = self.places[key];
        &self.bytes[start as usize..][..len as usize]
    }

    fn key_at(&self, place: usize) -> u32 {
        if self.order.is_empty() { place as u32 } else { self.order[place] }
    }
}

/// The next value of a run.
struct Head<'a> {
    /// The value's bytes behind those that all values begin with.
    word: u128,
    value: &'a [u8],
    run: usize,
    place: usize,
}

impl<'a> Head<'a> {
    fn of(runs: &'a [Run], run: usize, place: usize, common: usize) -> Option<Self> {
        if place == runs[run].len() {
            return None;
        }
        let value = runs[run].value(runs[run].key_at(place) as usize);
        Some(Self { word: word(&value[common..]), value, run, place })
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.word.cmp(&other.word).then_with(|| self.value.cmp(other.value))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Head<'_> {}

/// All values of `runs` in order, each once, and for each run the new key of each of its keys. `None` where they are more than
/// `bytes_max` bytes.
pub(super) fn merged(runs: &[Run], bytes_max: usize) -> Option<(Dictionary, Vec<Vec<u32>>)> {
    let common = common_bytes(runs);
    let mut heap: BinaryHeap<Reverse<Head<'_>>> =
        (0..runs.len()).filter_map(|run| Head::of(runs, run, 0, common)).map(Reverse).collect();
    let mut keys: Vec<Vec<u32>> = runs.iter().map(|run| vec![0; run.len()]).collect();
    let mut dictionary = Dictionary { offsets: vec![0], ..Dictionary::default() };
    let mut last: Option<&[u8]> = None;
    while let Some(mut top) = heap.peek_mut() {
        let Reverse(head) = &*top;
        if last != Some(head.value) {
            dictionary.bytes.extend_from_slice(head.value);
            let end = i32::try_from(dictionary.bytes.len()).ok()?;
            if dictionary.bytes.len() > bytes_max {
                return None;
            }
            dictionary.offsets.push(end);
            last = Some(head.value);
        }
        let (run, place) = (head.run, head.place);
        keys[run][runs[run].key_at(place) as usize] = dictionary.len() as u32 - 1;
        match Head::of(runs, run, place + 1, common) {
            Some(next) => *top = Reverse(next),
            None => drop(PeekMut::pop(top)),
        }
    }
    Some((dictionary, keys))
}

/// Bytes that all values begin with (`eni-`, `10.`): those of the first and the last value of each run.
fn common_bytes(runs: &[Run]) -> usize {
    let ends = runs
        .iter()
        .filter(|run| run.len() > 0)
        .flat_map(|run| [0, run.len() - 1].map(|place| run.value(run.key_at(place) as usize)));
    let mut common: Option<&[u8]> = None;
    for value in ends {
        let before = common.unwrap_or(value);
        let same = before.iter().zip(value).take_while(|(a, b)| a == b).count();
        common = Some(&before[..same]);
    }
    common.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn run(values: &[String]) -> Run {
        let mut places = Vec::new();
        let mut bytes = Vec::new();
        for value in values {
            places.push((bytes.len() as u32, value.len() as u32));
            bytes.extend_from_slice(value.as_bytes());
        }
        Run::new(bytes.into(), places)
    }

    proptest! {
        #[test]
        fn equals_a_set(runs in proptest::collection::vec(proptest::collection::vec("[ab]{0,3}|10\\.[0-9.]{0,30}|\\PC{0,20}", 0..30), 0..6)) {
            let expected: BTreeSet<&String> = runs.iter().flatten().collect();
            let made: Vec<Run> = runs.iter().map(|values| run(values)).collect();
            let (dictionary, keys) = merged(&made, usize::MAX).expect("few");
            let value = |key: usize| {
                &dictionary.bytes[dictionary.offsets[key] as usize..dictionary.offsets[key + 1] as usize]
            };
            let found: Vec<&[u8]> = (0..dictionary.len()).map(value).collect();
            prop_assert_eq!(found, expected.iter().map(|v| v.as_bytes()).collect::<Vec<_>>());
            for (values, keys) in runs.iter().zip(keys) {
                for (own, key) in values.iter().zip(keys) {
                    prop_assert_eq!(value(key as usize), own.as_bytes());
                }
            }
            let bytes = expected.iter().map(|v| v.len()).sum::<usize>();
            prop_assert!(bytes == 0 || merged(&made, bytes - 1).is_none());
        }
    }
}
