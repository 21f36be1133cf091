//! Rows of files, added up and told apart by what records say of them: how many they are, and their digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowquet_table::{Digest, OutputRecord, TimeRange};

/// These files as one for each log format.
pub(super) fn by_format<'a>(outputs: impl Iterator<Item = &'a OutputRecord>) -> Vec<OutputRecord> {
    let mut all: BTreeMap<Arc<str>, OutputRecord> = BTreeMap::new();
    for output in outputs {
        let Some(sum) = all.get_mut(&output.format) else {
            all.insert(output.format.clone(), OutputRecord { crc32: None, ..output.clone() });
            continue;
        };
        sum.rows += output.rows;
        sum.bytes += output.bytes;
        sum.digest = Digest::sum([sum.digest, output.digest]);
        sum.time = match (sum.time.take(), output.time.clone()) {
            (Some(a), Some(b)) => Some(TimeRange { min: a.min.min(b.min), max: a.max.max(b.max) }),
            (a, b) => a.or(b),
        };
    }
    all.into_values().collect()
}

/// These files without the rows of others, one for each log format; nothing where the others cannot hold some of the same rows.
pub(super) fn without<'a>(
    outputs: &[OutputRecord],
    others: impl Iterator<Item = &'a OutputRecord>,
) -> Option<Vec<OutputRecord>> {
    let mut left = by_format(outputs.iter());
    for output in by_format(others) {
        let of = left.iter_mut().find(|lost| lost.format == output.format)?;
        of.rows = of.rows.checked_sub(output.rows)?;
        of.digest = of.digest.zip(output.digest).map(|(all, some)| all.without(some));
    }
    let is_sound = |left: &OutputRecord| left.rows > 0 || left.digest.is_none_or(|d| d == Digest::default());
    if !left.iter().all(is_sound) {
        return None;
    }
    left.retain(|output| output.rows > 0);
    Some(left)
}
