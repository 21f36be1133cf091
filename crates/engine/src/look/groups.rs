//! Records counted by a value of theirs, such as flows by source, in bounded memory.
//!
//! Values are divided among shards by their hashes, so that row groups are added on all threads, and always in the order of the files:
//! whatever the number of threads, the counts are the same. A shard that has more values than it may hold forgets the half of them that
//! count least, and keeps in mind how much the largest of these counted: so much may be missing from a count that is shown.

use std::collections::HashMap;

use flowquet_format::hash_text;
use rayon::prelude::*;
use serde::Serialize;

use super::distinct::{Distinct, SKETCH_VALUES};

const SHARDS: usize = 16;

/// Values that are held, at most, with their counts: about 100 bytes each.
pub(super) const KEYS_MAX: usize = 1 << 20;

/// Distinct values of all counters together that are held, at most: about 20 bytes each, a sketch as much as [`SKETCH_VALUES`] of them.
const DISTINCT_MAX: usize = 1 << 22;

/// What values are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Bytes of all flows.
    Bytes,
    /// How many flows.
    #[default]
    Flows,
    /// Packets of all flows.
    Packets,
    /// Different addresses at the other end.
    Targets,
}

/// What records come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records.
    pub flows: u64,
    /// Records among them whose action is `REJECT`.
    pub refused: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their packets.
    pub packets: u64,
    /// The earliest start, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_s: Option<i64>,
    /// The latest end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_s: Option<i64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.refused += other.refused;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.packets = self.packets.saturating_add(other.packets);
        self.first_s = [self.first_s, other.first_s].into_iter().flatten().min();
        self.last_s = self.last_s.max(other.last_s);
    }
}

/// A value, its tally, and hashes of the other ends, each once.
type Entry = (Box<[u8]>, Tally, Vec<u64>);

/// Counts of a row group by value: of each its tally, and hashes of the other ends, each once.
#[derive(Debug, Default)]
pub(super) struct Part {
    shards: Vec<Vec<Entry>>,
}

impl Part {
    /// These counts without the other ends.
    pub(super) fn without_others(&self) -> Self {
        let of = |shard: &Vec<Entry>| {
            shard.iter().map(|(value, tally, _)| (value.clone(), *tally, Vec::new())).collect()
        };
        Self { shards: self.shards.iter().map(of).collect() }
    }

    pub(super) fn push(&mut self, value: Box<[u8]>, tally: Tally, others: Vec<u64>) {
        self.shards.resize_with(SHARDS, Vec::new);
        self.shards[hash_text(&value) as usize % SHARDS].push((value, tally, others));
    }
}

#[derive(Debug, Default)]
struct Counted {
    tally: Tally,
    others: Distinct,
}

#[derive(Debug, Default)]
struct Shard {
    counted: HashMap<Box<[u8]>, Counted>,
    distinct: usize,
    forgotten: u64,
    /// The largest count that was forgotten, of each time that some were.
    forgotten_most: u64,
}

/// Counts by value.
#[derive(Debug)]
pub(super) struct Groups {
    order: Order,
    shards: Vec<Shard>,
    keys_max: usize,
    distinct_max: usize,
}

/// A value, and what was counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) value: Box<[u8]>,
    pub(super) tally: Tally,
    pub(super) others: u64,
    pub(super) is_estimated: bool,
}

/// Values that were forgotten, since there were more than are held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// How often one was.
    pub values: u64,
    /// How much may be missing from a count of what the order is by.
    pub most: u64,
}

impl Groups {
    pub(super) fn new(order: Order) -> Self {
        Self::with_limits(order, KEYS_MAX, DISTINCT_MAX)
    }

    fn with_limits(order: Order, keys_max: usize, distinct_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { order, shards, keys_max: keys_max / SHARDS, distinct_max: distinct_max / SHARDS }
    }

    /// Adds row groups in their order.
    pub(super) fn add(&mut self, parts: Vec<Part>) {
        let mut by_shard: Vec<Vec<Vec<Entry>>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for part in parts {
            for (i, shard) in part.shards.into_iter().enumerate() {
                by_shard[i].push(shard);
            }
        }
        let (order, keys_max, distinct_max) = (self.order, self.keys_max, self.distinct_max);
        self.shards.par_iter_mut().zip(by_shard).for_each(|(shard, parts)| {
            for part in parts {
                for (value, tally, others) in part {
                    let counted = shard.counted.entry(value).or_default();
                    counted.tally.add(&tally);
                    let before = counted.others.kept();
                    others.into_iter().for_each(|hash| {
                        counted.others.add(hash);
                    });
                    shard.distinct = shard.distinct + counted.others.kept() - before;
                }
                shard.shrink(order, keys_max, distinct_max);
            }
        });
    }

    /// Values that are held.
    pub(super) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.counted.len() as u64).sum()
    }

    pub(super) fn forgotten(&self) -> Forgotten {
        Forgotten {
            values: self.shards.iter().map(|shard| shard.forgotten).sum(),
            most: self.shards.iter().map(|shard| shard.forgotten_most).max().unwrap_or(0),
        }
    }

    /// Those that count most, by value where they count the same.
    pub(super) fn top(&self, order: Order, count: usize) -> Vec<Row> {
        let mut all: Vec<(u64, &[u8], &Counted)> = Vec::new();
        for shard in &self.shards {
            all.extend(shard.counted.iter().map(|(v, c)| (measure(order, c), v.as_ref(), c)));
            // Of each shard no more than are wanted in all.
            if all.len() > 2 * count.max(1) {
                sort(&mut all, count);
            }
        }
        sort(&mut all, count);
        all.into_iter()
            .map(|(_, value, counted)| Row {
                value: value.into(),
                tally: counted.tally,
                others: counted.others.count(),
                is_estimated: counted.others.is_estimated(),
            })
            .collect()
    }
}

fn sort(all: &mut Vec<(u64, &[u8], &Counted)>, count: usize) {
    all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    all.truncate(count);
}

fn measure(order: Order, counted: &Counted) -> u64 {
    match order {
        Order::Bytes => counted.tally.bytes,
        Order::Flows => counted.tally.flows,
        Order::Packets => counted.tally.packets,
        Order::Targets => counted.others.count(),
    }
}

impl Shard {
    /// Has it stay within its limits.
    fn shrink(&mut self, order: Order, keys_max: usize, distinct_max: usize) {
        if self.distinct > distinct_max {
            // Of those that hold more a sketch takes less.
            for counted in self.counted.values_mut().filter(|c| c.others.kept() > SKETCH_VALUES) {
                self.distinct -= counted.others.kept() - SKETCH_VALUES;
                counted.others.estimate();
            }
        }
        while self.counted.len() > keys_max || self.distinct > distinct_max {
            if self.counted.len() <= 1 {
                return;
            }
            let mut all: Vec<(u64, Box<[u8]>)> =
                self.counted.iter().map(|(value, c)| (measure(order, c), value.clone())).collect();
            all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let lost = all.split_off(all.len() / 2);
            self.forgotten_most += lost.first().map_or(0, |(count, _)| *count);
            self.forgotten += lost.len() as u64;
            for (_, value) in lost {
                if let Some(counted) = self.counted.remove(&value) {
                    self.distinct -= counted.others.kept();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn part(records: &[(u16, u16)]) -> Part {
        let mut counted: BTreeMap<u16, (Tally, BTreeSet<u16>)> = BTreeMap::new();
        for (value, other) in records {
            let (tally, others) = counted.entry(*value).or_default();
            tally.add(&Tally { flows: 1, bytes: u64::from(*other), ..Tally::default() });
            others.insert(*other);
        }
        let mut part = Part::default();
        for (value, (tally, others)) in counted {
            let hashes = others.iter().map(|other| hash_text(&other.to_be_bytes())).collect();
            part.push(value.to_be_bytes().into(), tally, hashes);
        }
        part
    }

    proptest! {
        #[test]
        fn equals_naive_counts(
            groups in proptest::collection::vec(proptest::collection::vec((0u16..50, 0u16..90), 0..200), 0..6),
        ) {
            let mut expected: BTreeMap<u16, (u64, BTreeSet<u16>)> = BTreeMap::new();
            for (value, other) in groups.iter().flatten() {
                let (flows, others) = expected.entry(*value).or_default();
                *flows += 1;
                others.insert(*other);
            }
            let mut found = Groups::new(Order::Flows);
            found.add(groups.iter().map(|records| part(records)).collect());
            prop_assert_eq!((found.len(), found.forgotten()), (expected.len() as u64, Forgotten::default()));
            let rows: BTreeMap<u16, (u64, u64)> = found
                .top(Order::Flows, 1000)
                .iter()
                .map(|row| {
                    let value = u16::from_be_bytes([row.value[0], row.value[1]]);
                    (value, (row.tally.flows, row.others))
                })
                .collect();
            let naive: BTreeMap<u16, (u64, u64)> =
                expected.iter().map(|(v, (flows, others))| (*v, (*flows, others.len() as u64))).collect();
            prop_assert_eq!(rows, naive);
            let top = found.top(Order::Targets, 3);
            prop_assert!(top.windows(2).all(|two| two[0].others >= two[1].others));
        }

        /// However many values there are, and whether their other ends are counted or estimated.
        #[test]
        fn other_ends_take_bounded_memory(values in 1u16..300, others in 1u16..700) {
            let held = 4 * SKETCH_VALUES;
            let mut found = Groups::with_limits(Order::Flows, SHARDS << 10, held * SHARDS);
            for value in 0..values {
                let records: Vec<(u16, u16)> = (0..others).map(|other| (value, other)).collect();
                found.add(vec![part(&records)]);
            }
            for shard in &found.shards {
                let kept: usize = shard.counted.values().map(|counted| counted.others.kept()).sum();
                prop_assert_eq!(kept, shard.distinct);
                prop_assert!(kept <= held, "{kept}");
                let sketches = shard.counted.values().filter(|counted| counted.others.is_estimated()).count();
                prop_assert!(sketches * SKETCH_VALUES <= held, "{sketches}");
            }
        }

        #[test]
        fn what_is_missing_is_at_most_what_is_told(
            groups in proptest::collection::vec(proptest::collection::vec((0u16..900, 0u16..9), 0..400), 1..8),
        ) {
            let mut found = Groups::with_limits(Order::Flows, 10 * SHARDS, 20 * SHARDS);
            for records in &groups {
                found.add(vec![part(records)]);
            }
            prop_assert!(found.len() <= 10 * SHARDS as u64);
            let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
            groups.iter().flatten().for_each(|(value, _)| *expected.entry(*value).or_default() += 1);
            let most = found.forgotten().most;
            let rows = found.top(Order::Flows, usize::MAX / 4);
            let shown: BTreeMap<u16, u64> = rows
                .iter()
                .map(|row| (u16::from_be_bytes([row.value[0], row.value[1]]), row.tally.flows))
                .collect();
            for (value, flows) in expected {
                let found = shown.get(&value).copied().unwrap_or(0);
                prop_assert!(found <= flows && flows <= found + most, "{value}: {found} of {flows}, {most}");
            }
        }
    }
}
