//! Numbers, times and values as a page shows them.

pub(crate) use flowquet_engine::{counted, grouped as count};
use flowquet_format::{protocol_name, utc_text};

/// Characters of a value that are shown.
const VALUE_CHARACTERS: usize = 160;

/// `3.61 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let (mut size, mut unit) = (n as f64 / 1024.0, 0);
    while size >= 1023.995 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.2} {}", units[unit])
}

/// `1.2k`, for the side of a chart.
pub(crate) fn short(n: f64) -> String {
    for (unit, size) in [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if n >= size {
            return format!("{}{unit}", trimmed(n / size));
        }
    }
    trimmed(n)
}

/// `1.5 MiB`, for the side of a chart.
pub(crate) fn short_bytes(n: f64) -> String {
    for (unit, power) in [("PiB", 5), ("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)] {
        let size = 1024_f64.powi(power);
        if n >= size {
            return format!("{} {unit}", trimmed(n / size));
        }
    }
    format!("{} B", trimmed(n))
}

fn trimmed(n: f64) -> String {
    let text = format!("{n:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// `12.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A part of a whole, of 1.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `2024-01-15 10:30`.
pub(crate) fn minute(unix_s: i64) -> String {
    let text = utc_text(unix_s).unwrap_or_default();
    text.get(..16).unwrap_or_default().replace('T', " ")
}

/// `2024-01-15`.
pub(crate) fn day(unix_s: i64) -> String {
    utc_text(unix_s).unwrap_or_default().get(..10).unwrap_or_default().to_owned()
}

/// `5 minutes`, `3 h 20 min`, `2 days`.
pub(crate) fn length(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    match seconds {
        0..3_600 => counted(seconds / 60, "minute"),
        _ if seconds % 86_400 == 0 => counted(seconds / 86_400, "day"),
        3_600..172_800 if seconds % 3_600 / 60 == 0 => format!("{} h", seconds / 3_600),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => counted(seconds / 86_400, "day"),
    }
}

/// A value that others have chosen: on one line, and without characters that show what follows elsewhere than it stands.
pub(crate) fn shown(value: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut text = String::new();
    for (i, c) in value.chars().enumerate() {
        if i == VALUE_CHARACTERS {
            text.push('…');
            break;
        }
        if steers(c) { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text
}

/// The name of a protocol, where IANA has one.
pub(crate) fn protocol(number: &str) -> String {
    number.parse().ok().and_then(protocol_name).map_or_else(|| shown(number), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (n, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), expected);
        }
        for (n, expected) in [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.00 KiB"), (u64::MAX, "16.00 EiB")] {
            assert_eq!(bytes(n), expected);
        }
        assert_eq!(bytes((1 << 20) - 1), "1.00 MiB");
        for (n, expected) in [(0.0, "0"), (950.0, "950"), (1_500.0, "1.5k"), (2e6, "2M")] {
            assert_eq!(short(n), expected);
        }
        assert_eq!((short_bytes(512.0), short_bytes(1_572_864.0)), ("512 B".into(), "1.5 MiB".into()));
        assert_eq!((counted(1, "flow"), counted(1_200, "flow")), ("1 flow".into(), "1,200 flows".into()));
        assert_eq!((share(1, 0), percent(share(1, 8))), (0.0, "12.5 %".into()));
    }

    #[test]
    fn times() {
        assert_eq!(
            (minute(1_705_314_605), day(1_705_314_605)),
            ("2024-01-15 10:30".into(), "2024-01-15".into())
        );
        for (seconds, expected) in [
            (300, "5 minutes"),
            (12_000, "3 h 20 min"),
            (7_200, "2 h"),
            (86_400, "1 day"),
            (604_800, "7 days"),
            (-5, "0 minutes"),
        ] {
            assert_eq!(length(seconds), expected);
        }
    }

    #[test]
    fn values_of_others() {
        assert_eq!(shown("10.0.0.1"), "10.0.0.1");
        assert_eq!(shown("a\u{202e}b\nc"), r"a\u{202e}b\u{a}c");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), VALUE_CHARACTERS + 1);
        for (number, expected) in [("6", "TCP"), ("132", "SCTP"), ("253", "253"), ("256", "256"), ("x", "x")]
        {
            assert_eq!(protocol(number), expected);
        }
    }
}
