//! Times of the events that lines came in, beside the lines themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::time::{TIME_MIN_S, TIME_NUMBER_MAX};

/// Times of events by the numbers of their lines, from where framing is taken off to where rows are made. Clones are one and the same.
///
/// Lines stand as they are on this way, and so their times go beside them. They are told in order, and forgotten in order.
#[derive(Debug, Clone, Default)]
pub struct EventTimes(Arc<Mutex<VecDeque<(u64, i64)>>>);

impl EventTimes {
    fn with<T>(&self, each: impl FnOnce(&mut VecDeque<(u64, i64)>) -> T) -> T {
        each(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The event of line `line`, a later one than those before, was at this time.
    pub fn push(&self, line: u64, ms: i64) {
        self.with(|times| times.push_back((line, ms)));
    }

    /// Milliseconds since 1970 of the events of some lines, `None` where it is not known.
    pub fn of(&self, lines: impl Iterator<Item = u64>) -> Vec<Option<i64>> {
        self.with(|times| {
            let of = |line: u64| {
                let place = times.partition_point(|(known, _)| *known < line);
                times.get(place).filter(|(known, _)| *known == line).map(|(_, ms)| *ms)
            };
            lines.map(of).collect()
        })
    }

    /// Lines up to `line` are done.
    pub fn forget(&self, line: u64) {
        self.with(|times| {
            let done = times.partition_point(|(known, _)| *known <= line);
            times.drain(..done);
        });
    }
}

/// Milliseconds since 1970 of an event's time, as CloudWatch writes it: thirteen digits, or a time with a zone. `None` outside 2000 to 2100.
pub fn event_ms(text: &str) -> Option<i64> {
    let is_number = text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit());
    let ms = if is_number { text.parse().ok()? } else { text.parse::<Timestamp>().ok()?.as_millisecond() };
    (TIME_MIN_S * 1000..=TIME_NUMBER_MAX).contains(&ms).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_their_lines() {
        let times = EventTimes::default();
        let clone = times.clone();
        for (line, ms) in [(2, 20), (3, 30), (5, 50)] {
            times.push(line, ms);
        }
        assert_eq!(clone.of(1..7), [None, Some(20), Some(30), None, Some(50), None]);
        clone.forget(3);
        assert_eq!(times.of(2..6), [None, None, None, Some(50)]);
    }

    #[test]
    fn times_as_cloudwatch_writes_them() {
        for (text, expected) in [
            ("1704067200123", Some(1_704_067_200_123)),
            ("2024-01-01T00:00:00.123Z", Some(1_704_067_200_123)),
            ("2024-01-01T01:00:00+01:00", Some(1_704_067_200_000)),
            ("2024-01-01T00:00:00", None),
            ("1704067200", None),
            ("0000000000000", None),
            ("9999999999999", None),
            ("", None),
        ] {
            assert_eq!(event_ms(text), expected, "{text}");
        }
    }
}
