//! The time of day, for messages, reports and metrics: no byte of a table depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

use flowquet_format::utc_text;

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "for people's eyes: no byte of a table depends on it")]
pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// `2024-01-15T10:31:40Z`.
pub(crate) fn time_text(unix_s: i64) -> String {
    utc_text(unix_s).unwrap_or_default()
}

/// `10:31:40Z`.
pub(crate) fn time_of_day() -> String {
    let text = time_text(now_s());
    format!("{}Z", text.get(11..19).unwrap_or_default())
}
