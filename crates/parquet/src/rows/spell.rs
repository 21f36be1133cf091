//! Stored values as text, exactly.

use std::io::Write as _;

use flowquet_format::{
    TIME_MS_MIN, is_null_word, lost_zeros, push_carried, seconds_of, time_number, whole_number,
};

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

const DAY_S: i64 = 86_400;

/// What a field makes of the values of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Ids of accounts: numbers regain the zeros that they begin with.
    Account,
    /// A whole line, or several.
    Line,
    /// A word of a known field, none of which is a word for no value.
    Word,
    /// A whole number.
    Number,
    /// Whatever stands there.
    Plain,
    /// Nothing but what records are counted by.
    Status,
    /// Seconds since 1970, or milliseconds where a column can hold them: other times are spelt so that they are no number.
    Time {
        /// Whether milliseconds can be held.
        millis: bool,
    },
}

pub(super) fn push_integer(number: i64, meaning: Meaning, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    pad_account(meaning, start, out);
}

pub(super) fn push_unsigned(number: u64, meaning: Meaning, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    pad_account(meaning, start, out);
}

/// Whole numbers below it have a float of 32 bits each, as those below [`flowquet_format::EXACT_MAX`] one of 64.
pub(super) const EXACT_32: f64 = 16_777_216.0;

/// A whole number as such, any other in its shortest form that reads back. pandas has NaN for null. From `exact` on several whole numbers are
/// one float: of times and accounts nobody knows then which was meant, and with an exponent it is neither.
pub(super) fn push_float(
    number: f64,
    shortest: impl std::fmt::Display + std::fmt::LowerExp,
    exact: f64,
    meaning: Meaning,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    if number.is_finite()
        && number.abs() >= exact
        && matches!(meaning, Meaning::Account | Meaning::Time { .. })
    {
        return put(out, format_args!("{shortest:e}"));
    }
    if number.is_nan() {
        out.push(b'-');
    } else if number == 0.0 {
        // Zero may have a sign.
        out.push(b'0');
    } else if number.fract() == 0.0 {
        put(out, format_args!("{number:.0}"));
    } else {
        put(out, format_args!("{shortest}"));
    }
    pad_account(meaning, start, out);
}

/// The number of 16 bits: five of exponent, ten of fraction.
pub(super) fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// A number of big-endian bytes in two's complement, its last `scale` digits behind the point; zeros at the end left out.
pub(super) fn push_decimal(bytes: &[u8], scale: u32, meaning: Meaning, out: &mut Vec<u8>) {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut digits = digits(bytes, is_negative);
    let scale = scale as usize;
    if digits.len() <= scale {
        digits.splice(0..0, std::iter::repeat_n(b'0', scale + 1 - digits.len()));
    }
    let point = digits.len() - scale;
    let behind = digits[point..].iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
    let start = out.len();
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[..point]);
    if behind > 0 {
        out.push(b'.');
        out.extend_from_slice(&digits[point..point + behind]);
    }
    pad_account(meaning, start, out);
}

/// The decimal digits of a number's size, by repeated division.
fn digits(bytes: &[u8], is_negative: bool) -> Vec<u8> {
    let mut left: Vec<u8> = bytes.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in left.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let mut digits = Vec::new();
    while let Some(first) = left.iter().position(|b| *b != 0) {
        left.drain(..first);
        let mut rest = 0u32;
        for byte in &mut left {
            let number = rest << 8 | u32::from(*byte);
            *byte = (number / 10) as u8;
            rest = number % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    digits.reverse();
    digits
}

/// A time of `seconds` since 1970 and `nanos` behind them.
pub(super) fn push_timestamp(seconds: i64, nanos: i64, utc: bool, meaning: Meaning, out: &mut Vec<u8>) {
    if let Meaning::Time { millis } = meaning {
        // A number is read as seconds or as milliseconds by its size alone.
        let ms = seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(nanos / 1_000_000));
        let is_held = match ms {
            _ if nanos == 0 => (0..TIME_MS_MIN).contains(&seconds),
            Some(ms) => millis && nanos % 1_000_000 == 0 && ms >= TIME_MS_MIN,
            None => false,
        };
        if is_held {
            return push_integer(ms.map_or(seconds, time_number), Meaning::Plain, out);
        }
    }
    push_date(seconds.div_euclid(DAY_S), out);
    out.push(b'T');
    push_time(seconds.rem_euclid(DAY_S), nanos, out);
    if utc {
        out.push(b'Z');
    }
}

/// The day so many days after 1970-01-01.
pub(super) fn push_date(days: i64, out: &mut Vec<u8>) {
    // Years that begin in March: the day that some lack is their last.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    put(out, format_args!("{year:04}-{month:02}-{day:02}"));
}

/// A time of day.
pub(super) fn push_time(seconds: i64, nanos: i64, out: &mut Vec<u8>) {
    put(out, format_args!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
    if nanos > 0 {
        let digits = format!("{nanos:09}");
        put(out, format_args!(".{}", digits.trim_end_matches('0')));
    }
}

/// Seconds, and nanoseconds behind them.
pub(super) fn split(value: i64, per_second: i64) -> (i64, i64) {
    (value.div_euclid(per_second), value.rem_euclid(per_second) * (NANOS / per_second))
}

/// Seconds, and nanoseconds behind them, of a Julian day and nanoseconds of it.
pub(super) fn split_int96(words: &[u32]) -> (i64, i64) {
    const JULIAN_DAY_OF_1970: i64 = 2_440_588;
    let [low, high, day] = words else { return (0, 0) };
    let nanos = (u64::from(*high) << 32 | u64::from(*low)) as i64;
    let days = i64::from(*day as i32) - JULIAN_DAY_OF_1970;
    (days * DAY_S + nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS))
}

/// Three numbers, as ISO 8601 has durations.
pub(super) fn push_interval(bytes: &[u8], out: &mut Vec<u8>) {
    let (words, _) = bytes.as_chunks::<4>();
    let [months, days, millis] = words else { return out.push(b'-') };
    let [months, days, millis] = [months, days, millis].map(|word| u32::from_le_bytes(*word));
    put(out, format_args!("P{months}M{days}DT{}S", f64::from(millis) / 1000.0));
}

pub(super) fn push_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        put(out, format_args!("{byte:02x}"));
    }
}

/// Text as it is. An empty one is no value.
pub(super) fn push_text(text: &[u8], meaning: Meaning, out: &mut Vec<u8>) {
    match (text, meaning) {
        (_, Meaning::Line) => out.extend_from_slice(text.trim_ascii_end()),
        ([], _) => out.push(b'-'),
        (_, Meaning::Word | Meaning::Number | Meaning::Time { .. } | Meaning::Account)
            if is_null_word(text) =>
        {
            out.push(b'-')
        }
        (_, Meaning::Number) => match whole_number(text.trim_ascii()) {
            Some(number) => put(out, format_args!("{number}")),
            None => push_carried(text.trim_ascii(), out),
        },
        (b"OK" | b"NODATA" | b"SKIPDATA" | b"-", Meaning::Status) => out.extend_from_slice(text),
        (_, Meaning::Status) => out.push(b'?'),
        (_, Meaning::Time { .. }) => {
            let text = text.trim_ascii();
            let seconds = whole_number(text).or_else(|| std::str::from_utf8(text).ok().and_then(seconds_of));
            match seconds {
                Some(seconds) => put(out, format_args!("{seconds}")),
                None => push_carried(text, out),
            }
        }
        _ => push_carried(text, out),
    }
}

/// Puts zeros before the digits from `start` on, where they are an account's.
fn pad_account(meaning: Meaning, start: usize, out: &mut Vec<u8>) {
    if meaning == Meaning::Account {
        let zeros = lost_zeros(&out[start..]);
        out.splice(start..start, zeros.iter().copied());
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes all");
}

#[cfg(test)]
mod tests {
    use flowquet_format::EXACT_MAX;

    use super::*;
    use proptest::prelude::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn floats() {
        let of = |n: f64| text(|out| push_float(n, n, EXACT_MAX, Meaning::Plain, out));
        for (number, expected) in [
            (443.0, "443"),
            (-0.0, "0"),
            (0.5, "0.5"),
            (-7.0, "-7"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (1e23, "99999999999999991611392"),
            (f64::NAN, "-"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(of(number), expected);
        }
        let of = |n: f32| text(|out| push_float(f64::from(n), n, EXACT_32, Meaning::Plain, out));
        assert_eq!([of(1_234_567_936.0), of(0.1)], ["1234567936", "0.1"]);
        for (bits, expected) in [
            (0x5c00, 256.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (1, 2f64.powi(-24)),
            (0, 0.0),
        ] {
            assert_eq!(half(bits), expected);
        }
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f64::NEG_INFINITY);
    }

    #[test]
    fn times() {
        let of = |seconds, nanos, meaning| text(|out| push_timestamp(seconds, nanos, true, meaning, out));
        let (seconds, millis) = (Meaning::Time { millis: false }, Meaning::Time { millis: true });
        assert_eq!(of(1_704_067_200, 0, seconds), "1704067200");
        assert_eq!(of(1_704_067_200, 500_000_000, seconds), "2024-01-01T00:00:00.5Z");
        assert_eq!(of(1_704_067_200, 500_000_000, millis), "1704067200500");
        assert_eq!(of(1_704_067_200, 500_000_001, millis), "2024-01-01T00:00:00.500000001Z");
        assert_eq!(of(1_704_067_200, 0, Meaning::Plain), "2024-01-01T00:00:00Z");
        assert_eq!(of(-1, 0, seconds), "1969-12-31T23:59:59Z");
        // As milliseconds it would be read as seconds.
        assert_eq!(of(1, 500_000_000, millis), "1970-01-01T00:00:01.5Z");
        assert_eq!(of(TIME_MS_MIN, 0, seconds), "10000-01-01T00:00:00Z");
        assert_eq!(text(|out| push_date(19_782, out)), "2024-02-29");
        assert_eq!(split_int96(&[0, 0, 2_460_311]), (1_704_067_200, 0));
        assert_eq!(split_int96(&[7, 0, 2_440_587]), (-86_400, 7));
        assert_eq!(split(-1, 1_000), (-1, 999_000_000));
    }

    #[test]
    fn accounts_and_others() {
        let account = |n| text(|out| push_integer(n, Meaning::Account, out));
        assert_eq!(
            [account(12_345), account(-5), account(1_234_567_890_123)],
            ["000000012345", "-5", "1234567890123"]
        );
        assert_eq!(
            text(|out| push_float(12_345.0, 12_345.0, EXACT_MAX, Meaning::Account, out)),
            "000000012345"
        );
        assert_eq!(text(|out| push_float(f64::NAN, 0, EXACT_MAX, Meaning::Account, out)), "-");
        let interval = [1u32, 2, 3_500].map(u32::to_le_bytes).concat();
        assert_eq!(text(|out| push_interval(&interval, out)), "P1M2DT3.5S");
        let uuid: Vec<u8> = (0..16).collect();
        assert_eq!(text(|out| push_uuid(&uuid, out)), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(text(|out| push_text(b"any thing", Meaning::Status, out)), "?");
        let seconds = Meaning::Time { millis: false };
        for (written, meaning, expected) in [
            ("nan", Meaning::Number, "-"),
            ("44321.0", Meaning::Number, "44321"),
            (" 443 ", Meaning::Number, "443"),
            ("44321.5", Meaning::Number, "44321.5"),
            ("None", Meaning::Word, "-"),
            ("NULL", Meaning::Account, "-"),
            ("<NA>", seconds, "-"),
            ("1704067200.0", seconds, "1704067200"),
            ("2024-01-01T00:00:00Z", seconds, "1704067200"),
            ("nan", Meaning::Plain, "nan"),
            ("None", Meaning::Plain, "None"),
        ] {
            assert_eq!(text(|out| push_text(written.as_bytes(), meaning, out)), expected, "{written}");
        }
        let float = |n: f32, meaning| text(|out| push_float(f64::from(n), n, EXACT_32, meaning, out));
        assert_eq!(float(1_704_067_328.0, seconds), "1.7040673e9");
        assert_eq!(float(16_777_215.0, Meaning::Account), "000016777215");
        for millis in [false, true] {
            for (spelt, expected) in [
                ("1704067200", "1704067200"),
                ("-", "-"),
                ("2024-01-01T00:00:00.000Z", "1704067200"),
                (" 2024-01-01 02:00:00+02 ", "1704067200"),
                ("2024-01-01T00:00:00.000UTC", "2024-01-01T00:00:00.000UTC"),
                ("2024-01-01T00:00:00", "2024-01-01T00:00:00"),
                ("2024-01-01 00:00:00.000 UTC", "1704067200"),
            ] {
                let meaning = Meaning::Time { millis };
                assert_eq!(text(|out| push_text(spelt.as_bytes(), meaning, out)), expected, "{spelt}");
            }
        }
    }

    proptest! {
        #[test]
        fn decimals(number: i128, scale in 0u32..45) {
            let of = |scale| text(|out| push_decimal(&number.to_be_bytes(), scale, Meaning::Plain, out));
            prop_assert_eq!(of(0), number.to_string());
            // The same number by its digits.
            let (sign, digits) = if number < 0 { ("-", number.to_string()[1..].to_owned()) } else { ("", number.to_string()) };
            let padded = format!("{digits:0>width$}", width = scale as usize + 1);
            let (whole, behind) = padded.split_at(padded.len() - scale as usize);
            let behind = behind.trim_end_matches('0');
            let expected = if behind.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{behind}") };
            prop_assert_eq!(of(scale), expected);
        }

        #[test]
        fn dates(days in -700_000i64..2_900_000) {
            let found = text(|out| push_date(days, out));
            if let Some(expected) = flowquet_format::utc_text(days * DAY_S) {
                prop_assert_eq!(found, &expected[..10]);
            }
        }
    }
}
