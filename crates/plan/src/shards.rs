//! A plan's tasks in shards: what each of several processes performs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::str::FromStr;

use flowquet_table::Task;

/// Which part of a plan a process performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// Processes.
    pub of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("expected I/N with I from 0 to N-1, found `{text}`");
        let (index, of) = text.split_once('/').ok_or_else(error)?;
        let (index, of) = (index.parse().map_err(|_| error())?, of.parse().map_err(|_| error())?);
        if index < of { Ok(Self { index, of }) } else { Err(error()) }
    }
}

/// The places of `tasks` in each of `of` shards, balanced by bytes: the largest task first, each to the shard that has least.
///
/// Shards are in the order of their first tasks, and those of a shard in the plan's; so shard `i` of as many as there are tasks is
/// task `i`. Shards without tasks are not among the answer, whose length is at most that of `tasks`. The same tasks give
/// the same shards.
pub fn divide(tasks: &[Task], of: u64) -> Vec<Vec<usize>> {
    let count = usize::try_from(of).unwrap_or(usize::MAX).min(tasks.len());
    let bytes_of = |task: &Task| task.objects.iter().map(|o| o.bytes).sum::<u64>();
    let mut largest: Vec<(Reverse<u64>, usize)> =
        tasks.iter().enumerate().map(|(place, task)| (Reverse(bytes_of(task)), place)).collect();
    largest.sort_unstable();
    let mut shards: Vec<Vec<usize>> = vec![Vec::new(); count];
    // Of shards of the same bytes the one with fewer tasks, since empty objects take their requests too.
    let mut least: BinaryHeap<Reverse<(u64, usize, usize)>> =
        (0..count).map(|shard| Reverse((0, 0, shard))).collect();
    for (Reverse(task_bytes), place) in largest {
        let Reverse((bytes, held, shard)) = least.pop().expect("a shard for each of the tasks, or one");
        shards[shard].push(place);
        least.push(Reverse((bytes.saturating_add(task_bytes), held + 1, shard)));
    }
    shards.iter_mut().for_each(|shard| shard.sort_unstable());
    shards.sort_unstable();
    shards
}

#[cfg(test)]
mod tests {
    use flowquet_table::SourceObject;
    use proptest::prelude::*;

    use super::*;

    fn task(bytes: u64) -> Task {
        let object = SourceObject::new(format!("s3://logs/{bytes}"), "key", bytes, "etag");
        Task { id: bytes.into(), objects: vec![object] }
    }

    fn tasks(bytes: &[u64]) -> Vec<Task> {
        bytes.iter().copied().map(task).collect()
    }

    #[test]
    fn shards_are_balanced_and_in_the_order_of_the_plan() {
        assert_eq!(divide(&tasks(&[1, 9, 3, 5, 2]), 2), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(divide(&tasks(&[5, 5, 5]), 1), [vec![0, 1, 2]]);
        assert_eq!(divide(&[], 7), Vec::<Vec<usize>>::new());
        // Also where they have no bytes, and where there are more shards than tasks.
        for of in [4, 1_000, u64::MAX] {
            assert_eq!(divide(&tasks(&[0, 7, 0, 3]), of), [[0], [1], [2], [3]]);
        }
    }

    proptest! {
        #[test]
        fn every_task_is_in_one_shard(bytes in prop::collection::vec(0_u64..1_000, 1..60), of in 1_u64..20) {
            let tasks = tasks(&bytes);
            let shards = divide(&tasks, of);
            prop_assert_eq!(shards.len() as u64, of.min(tasks.len() as u64));
            prop_assert!(shards.iter().all(|shard| !shard.is_empty()));
            let mut places: Vec<usize> = shards.iter().flatten().copied().collect();
            places.sort_unstable();
            prop_assert_eq!(places, (0..tasks.len()).collect::<Vec<_>>());
            // What the largest shard has more than its fair part is less than the largest task.
            let largest = shards.iter().map(|s| s.iter().map(|p| bytes[*p]).sum::<u64>()).max().unwrap_or(0);
            let (all, task) = (bytes.iter().sum::<u64>(), bytes.iter().max().copied().unwrap_or(0));
            prop_assert!(largest <= all / shards.len() as u64 + task, "{} of {}", largest, all);
        }
    }

    #[test]
    fn shards_as_they_are_typed() {
        assert_eq!("3/100".parse(), Ok(Shard { index: 3, of: 100 }));
        for text in ["", "3", "3/", "/3", "3/3", "-1/3", "0/0", "1/2/3", "1 / 3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
