//! The time of day, for messages, reports and metrics: no byte of a table depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

use flowquet_format::utc_text;

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "for people's eyes: no byte of a table depends on it")]
pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// Seconds of an age: `7d`, `36h`, `90m`.
pub(crate) fn age_s(text: &str) -> Option<i64> {
    let (number, unit_s) = match text.as_bytes().last()? {
        b'd' => (text.strip_suffix('d')?, 86_400),
        b'h' => (text.strip_suffix('h')?, 3_600),
        b'm' => (text.strip_suffix('m')?, 60),
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| i64::from(number) * unit_s)
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
