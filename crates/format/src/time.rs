//! Times: what their numbers mean, the days and hours they fall into, and how they are spelt.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// Earliest record time that chooses a partition: 2000-01-01. Before it lie lost digits.
pub const TIME_MIN_S: i64 = 946_684_800;

/// First record time past those that choose a partition: 2100-01-01. Behind it lie milliseconds.
pub const TIME_MAX_S: i64 = 4_102_444_800;

pub(crate) const DAY_S: i64 = 86_400;
pub(crate) const HOUR_S: i64 = 3_600;

/// First number that is no time in seconds but in milliseconds: as seconds it would be the year 10000, as milliseconds 1978.
/// AWS documents seconds; milliseconds have been seen.
pub const TIME_MS_MIN: i64 = 253_402_300_800;

/// Largest number that a [`crate::ColumnType::TimestampMs`] holds: the last millisecond before 2100.
pub const TIME_NUMBER_MAX: i64 = TIME_MAX_S * 1000 - 1;

/// A day or an hour of UTC, or null: what the time columns of a partition hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSlot(i64);

impl TimeSlot {
    /// No time.
    pub const NULL: Self = Self(i64::MIN);

    /// Added to a midnight to say that the hour is unknown; no slot of a known hour has odd seconds.
    const HOUR_UNKNOWN_S: i64 = 1;

    /// The slot that begins at `unix_s`.
    pub(crate) fn at(unix_s: i64) -> Self {
        Self(unix_s)
    }

    /// The day of this slot, of which the hour is not known.
    pub(crate) fn without_hour(self) -> Self {
        Self(self.0 + Self::HOUR_UNKNOWN_S)
    }

    pub(crate) fn date(self) -> Option<String> {
        let text = utc_text((self != Self::NULL).then_some(self.0)?)?;
        Some(text[..10].to_owned())
    }

    pub(crate) fn hour(self) -> Option<String> {
        let known = self != Self::NULL && self.0.rem_euclid(HOUR_S) == 0;
        known.then(|| format!("{:02}", self.0.rem_euclid(DAY_S) / HOUR_S))
    }
}

/// The midnight that `date` begins with, in Unix seconds of UTC.
pub(crate) fn midnight(date: Date) -> Option<i64> {
    let midnight = jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(midnight.as_second())
}

/// `unix_s` as `YYYY-MM-DDTHH:MM:SSZ`; `None` outside the years 0 to 9999.
pub fn utc_text(unix_s: i64) -> Option<String> {
    let text = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(unix_s)).ok()?.to_string();
    (text.len() == 20).then_some(text)
}

/// Seconds since 1970 of a time such as `2024-01-01T00:00:00Z`, `2024-01-01 02:00:00.000+02:00` or, as Athena, Trino and BigQuery
/// print them, `2024-01-01 00:00:00.000 UTC`; `None` without a zone, or with a part of a second.
pub fn seconds_of(text: &str) -> Option<i64> {
    let time: Timestamp = match text.strip_suffix(" UTC") {
        Some(clock) => format!("{clock}Z").parse(),
        None => text.parse(),
    }
    .ok()?;
    (time.subsec_nanosecond() == 0).then(|| time.as_second())
}

/// A number of a flow log's time field as milliseconds.
#[inline]
pub fn time_ms(number: i64) -> i64 {
    if number < TIME_MS_MIN { number * 1000 } else { number }
}

/// The number of a flow log's time field that [`time_ms`] makes `ms` of.
#[inline]
pub fn time_number(ms: i64) -> i64 {
    if ms % 1000 == 0 && ms / 1000 < TIME_MS_MIN { ms / 1000 } else { ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_a_zone() {
        for text in [
            "2024-01-01T00:00:00Z",
            "2024-01-01T02:00:00.000+02:00",
            "2024-01-01 00:00:00+00:00",
            "2024-01-01 00:00:00 UTC",
            "2024-01-01 00:00:00.000 UTC",
        ] {
            assert_eq!(seconds_of(text), Some(1_704_067_200), "{text}");
        }
        for text in [
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.5Z",
            "2024-01-01 00:00:00.500 UTC",
            "2024-01-01 02:00:00+02:00 UTC",
            "2024-01-01 00:00:00Z UTC",
            "2024-01-01 00:00:00UTC",
            "2024-01-01 UTC",
            " UTC",
            "2024-01-01",
            "1704067200",
            "",
        ] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }

    #[test]
    fn times_as_text() {
        assert_eq!(utc_text(1_566_328_660).as_deref(), Some("2019-08-20T19:17:40Z"));
        assert_eq!(utc_text(i64::MAX), None);
    }

    #[test]
    fn times_in_seconds_and_milliseconds() {
        for (number, ms) in
            [(0, 0), (1_566_328_660, 1_566_328_660_000), (1_566_328_660_123, 1_566_328_660_123)]
        {
            assert_eq!((time_ms(number), time_number(ms)), (ms, number));
        }
        // Whole seconds in milliseconds are spelt as seconds: the same instant.
        assert_eq!(time_number(time_ms(1_566_328_660_000)), 1_566_328_660);
        assert_eq!(time_ms(TIME_MS_MIN - 1), (TIME_MS_MIN - 1) * 1000);
        assert_eq!(time_number(time_ms(TIME_MS_MIN - 1)), TIME_MS_MIN - 1);
        assert_eq!(time_ms(TIME_MS_MIN), TIME_MS_MIN);
    }
}
