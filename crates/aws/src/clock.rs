//! How far this machine's clock is off, by what services say of the time. Most take a signature for five minutes, S3 for fifteen.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds by which signatures may be off.
const OFF_MAX_S: u64 = 240;

/// The time as a service has it, as far as it has told.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Seconds that this machine's clock is ahead.
    ahead_s: AtomicI64,
}

impl Clock {
    /// What the service's clock shows now.
    pub(crate) fn now(&self) -> SystemTime {
        let ahead_s = self.ahead_s.load(Ordering::Relaxed);
        let off = Duration::from_secs(ahead_s.unsigned_abs());
        if ahead_s < 0 { now() + off } else { now() - off }
    }

    /// Sets the clock by the date of an answer that refuses. Returns whether it was off by so much that this may be why.
    pub(crate) fn set_by<B>(&self, answer: &http::Response<B>) -> bool {
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let Some(told_s) = date.and_then(seconds_of_date).filter(|_| answer.status().is_client_error())
        else {
            return false;
        };
        let ahead_s = now_s() - told_s;
        let is_off = ahead_s.abs_diff(self.ahead_s.load(Ordering::Relaxed)) > OFF_MAX_S;
        if is_off {
            self.ahead_s.store(ahead_s, Ordering::Relaxed);
        }
        is_off
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures tell the time; no data depends on it")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970 by this machine's clock.
pub fn now_s() -> i64 {
    let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Seconds since 1970 of a date as HTTP spells it: `Thu, 26 Nov 2026 23:24:52 GMT`.
pub fn seconds_of_date(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_sets_the_clock_once() {
        assert_eq!(seconds_of_date("Mon, 15 Jan 2024 10:30:05 GMT"), Some(1_705_314_605));
        assert_eq!(seconds_of_date("soon"), None);
        let clock = Clock::default();
        let answer = |status: u16, date: &str| {
            http::Response::builder().status(status).header("date", date).body(()).expect("an answer")
        };
        let long_ago = "Mon, 15 Jan 2024 10:30:05 GMT";
        assert!(!clock.set_by(&answer(200, long_ago)) && !clock.set_by(&answer(400, "soon")));
        assert!(clock.set_by(&answer(400, long_ago)) && !clock.set_by(&answer(400, long_ago)));
        let told = clock.now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert!(told.abs_diff(1_705_314_605) < 60, "{told}");
    }
}
