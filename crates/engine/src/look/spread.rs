//! Some of many, as far from each other.

/// Some numbers below `count`, at most `most`, that lie as far from each other.
pub(super) fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let some = count.min(most);
    (0..some).map(move |i| (2 * i + 1) * count / (2 * some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lie_apart() {
        for (count, most, expected) in [
            (0, 3, vec![]),
            (1, 3, vec![0]),
            (3, 3, vec![0, 1, 2]),
            (9, 3, vec![1, 4, 7]),
            (10, 4, vec![1, 3, 6, 8]),
        ] {
            assert_eq!(spread(count, most).collect::<Vec<_>>(), expected, "{count} {most}");
        }
    }
}
