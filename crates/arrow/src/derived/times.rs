//! Times as timestamps, and what lies between them.

use flowquet_format::TIME_NUMBER_MAX;

use crate::growing::Nullable;

const MS_PER_S: i64 = 1000;

/// A time in milliseconds; negative from 2100 on, which no time of a flow log is.
#[inline]
pub(super) fn within_limit(ms: i64) -> i64 {
    if ms <= TIME_NUMBER_MAX { ms } else { i64::NULL }
}

/// Whole seconds from one time to another; negative where either is null, and where the end lies before the start.
pub(super) fn seconds_between<'a>(start: &'a [i64], end: &'a [i64]) -> impl Iterator<Item = i64> + 'a {
    start.iter().zip(end).map(
        |(start, end)| {
            if *start >= 0 && end >= start { (end - start) / MS_PER_S } else { i64::NULL }
        },
    )
}
