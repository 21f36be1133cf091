//! Entries that hold for a time: which one counts when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

/// An entry that holds from `from_ms` to before `to_ms`, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// The higher counts before the lower; of two alike, what began last.
    pub(crate) rank: u8,
    pub(crate) row: u32,
}

/// Which entry counts from some time until the next span begins; `None` where none does.
pub(crate) type Span = (i64, Option<u32>);

/// Which of some entries counts when, between the first and the last time of `range`. The first span begins no later than that, and no two neighbours
/// have one entry.
///
/// Times are gone through in order. A heap has what has begun, what counts on top; what has ended is taken away when it comes to the top.
pub(crate) fn spans(entries: impl Iterator<Item = Holding>, range: &RangeInclusive<i64>) -> Vec<Span> {
    let mut entries: Vec<Holding> = entries
        .filter(|e| e.from_ms < e.to_ms && e.from_ms <= *range.end() && e.to_ms > *range.start())
        .collect();
    entries.sort_by_key(|e| e.from_ms);
    let mut times: Vec<i64> = entries.iter().flat_map(|e| [e.from_ms, e.to_ms]).collect();
    times.retain(|time| range.contains(time));
    times.push(*range.start());
    times.sort_unstable();
    times.dedup();
    let mut begun: BinaryHeap<(u8, i64, Reverse<u32>, i64)> = BinaryHeap::new();
    let mut next = entries.iter().peekable();
    let mut spans: Vec<Span> = Vec::new();
    for time in times {
        while let Some(entry) = next.next_if(|e| e.from_ms <= time) {
            begun.push((entry.rank, entry.from_ms, Reverse(entry.row), entry.to_ms));
        }
        while begun.peek().is_some_and(|(.., to_ms)| *to_ms <= time) {
            begun.pop();
        }
        let row = begun.peek().map(|(_, _, Reverse(row), _)| *row);
        if spans.last().is_none_or(|(_, last)| *last != row) {
            spans.push((time, row));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What counts at a time, looked for among all.
    fn naive(entries: &[Holding], time: i64) -> Option<u32> {
        let holds = entries.iter().filter(|e| e.from_ms <= time && time < e.to_ms);
        holds.max_by_key(|e| (e.rank, e.from_ms, Reverse(e.row))).map(|e| e.row)
    }

    proptest! {
        #[test]
        fn as_each_time_is_looked_for(
            held in proptest::collection::vec((0_i64..20, 0_i64..20, 0_u8..3), 0..12),
            first in 0_i64..20, length in 0_i64..20,
        ) {
            let of = |(row, (from_ms, to_ms, rank)): (usize, &(i64, i64, u8))| {
                Holding { from_ms: *from_ms, to_ms: *to_ms, rank: *rank, row: row as u32 }
            };
            let entries: Vec<Holding> = held.iter().enumerate().map(of).collect();
            let range = first..=first + length;
            let spans = spans(entries.iter().copied(), &range);
            for time in range {
                let place = spans.partition_point(|(from, _)| *from <= time) - 1;
                prop_assert_eq!(spans[place].1, naive(&entries, time), "{}", time);
            }
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 != pair[1].1));
        }
    }
}
