//! Lines behind the time of their event, as exports of CloudWatch log groups and `aws logs tail` write them.

use std::borrow::Cow;

use flowquet_format::{EventTimes, event_ms};

use super::{Refused, Unframe};

/// Begins what colours a terminal's text.
const ESCAPE: u8 = 0x1b;

/// Digits of the time in milliseconds since 1970.
const MILLISECONDS_DIGITS: usize = 13;

/// A line of so many bytes goes on before its end is there.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Takes the time before each line away. Lines without one stay as they are.
#[derive(Debug, Default)]
pub(super) struct Exports {
    /// Inside a line that is too long to wait for.
    is_inside: bool,
    /// Lines that have begun.
    lines: u64,
    /// Who is told their times.
    events: Option<EventTimes>,
}

impl Exports {
    pub(super) fn new(events: Option<EventTimes>) -> Self {
        Self { events, ..Self::default() }
    }

    /// Appends a message, and those that were joined to it with their times and without a newline.
    fn messages(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let mut rest = message;
        while let Some(at) = joined_at(rest) {
            out.extend_from_slice(&rest[..at]);
            out.push(b'\n');
            self.begin_line(&rest[at..]);
            rest = message_of(&rest[at..]).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }

    /// A line begins, which may stand behind a time.
    fn begin_line(&mut self, line: &[u8]) {
        self.lines += 1;
        if let Some(events) = &self.events
            && let Some((time, _)) = parts_of(line)
            && let Some(ms) = std::str::from_utf8(time).ok().and_then(event_ms)
        {
            events.push(self.lines, ms);
        }
    }
}

impl Unframe for Exports {
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut at = 0;
        while at < text.len() && out.len() < max {
            let rest = &text[at..];
            let newline = rest.iter().position(|b| *b == b'\n').map(|n| n + 1);
            let goes_on = self.is_inside || rest.len() > LINE_BYTES_MAX;
            let Some(end) = newline.or((is_last || goes_on).then_some(rest.len())) else { break };
            let line = &rest[..end];
            let plain = if line.contains(&ESCAPE) { Cow::from(uncoloured(line)) } else { Cow::from(line) };
            if !self.is_inside {
                self.begin_line(&plain);
            }
            if self.is_inside {
                out.extend_from_slice(line);
            } else {
                self.messages(message_of(&plain).unwrap_or(&plain), out);
            }
            self.is_inside = newline.is_none();
            at += end;
        }
        Ok(at)
    }
}

/// What stands behind the time of a line: `2024-01-01T00:00:00.000Z 2 1111…` or `1704067200000 2 1111…`; `aws logs tail` names the
/// stream after it.
pub(super) fn message_of(line: &[u8]) -> Option<&[u8]> {
    parts_of(line).map(|(_, message)| message)
}

/// Whether a text is a time, and a tag or not, as fluentd writes them before a document, and `aws logs tail` a stream:
/// `2024-01-01T00:00:00Z\tvpc.flow\t`.
pub(super) fn is_tag(text: &[u8]) -> bool {
    let is_one = |tag: &[u8]| !tag.trim_ascii_end().iter().any(u8::is_ascii_whitespace);
    matches!(text.last(), Some(b'\t' | b' ')) && timed(text).is_some_and(|(_, tag)| is_one(tag))
}

/// Where in a message the time of the next one begins, which was joined to it without a newline: `… OK2024-01-01T00:00:00.000Z 2 …`.
fn joined_at(message: &[u8]) -> Option<usize> {
    const DAY: usize = b"2024-01-01".len();
    let begins = |at: &usize| {
        let (before, rest) = message.split_at(*at - DAY);
        let word = rest.split(|b| *b == b' ').next().unwrap_or_default();
        before.last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && word.len() < rest.len()
            && word.len() > MILLISECONDS_DIGITS
            && is_time(word)
    };
    (DAY + 1..message.len()).filter(|at| message[*at] == b'T').find(begins).map(|at| at - DAY)
}

/// The time of a line, empty where it has none, and what stands behind it.
fn parts_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(line);
    timed(line).or_else(|| behind_names(line))
}

/// Behind the names of a log group and a stream, as `awslogs get` writes them, with a time or without.
fn behind_names(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // A log group's name has a slash more often than not; a record has none that begins so.
    if !line.starts_with(b"/") {
        return None;
    }
    let (_, rest) = word_of(line);
    let (_, rest) = word_of(rest.get(1..)?);
    let rest = rest.get(1..)?;
    timed(rest).or_else(|| begins_record(rest).then_some((&line[..0], rest)))
}

/// Whether a text surely begins with a record of the default format: version, account and interface.
fn begins_record(text: &[u8]) -> bool {
    let mut words = text.split(|b| *b == b' ');
    let mut next = || words.next().unwrap_or_default();
    let is_number = |word: &[u8], digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&word.len()) && word.iter().all(u8::is_ascii_digit)
    };
    let (version, account, interface) = (next(), next(), next());
    is_number(version, 1..=2)
        && (is_number(account, 12..=12) || account == b"unknown")
        && interface.starts_with(b"eni-")
}

/// The time that a line begins with, and what stands behind it.
fn timed(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // Logs Insights has a blank between day and time.
    let start = if line.get(10) == Some(&b' ') && is_day(&line[..10]) { 11 } else { 0 };
    let blank = start + line[start..].iter().take(40).position(|b| matches!(b, b' ' | b'\t'))?;
    let (time, message) = (&line[..blank], &line[blank + 1..]);
    let is_number = |word: &[u8]| word.len() == MILLISECONDS_DIGITS && word.iter().all(u8::is_ascii_digit);
    // Two times that follow each other are fields.
    let is_followed = message.split(|b| *b == b' ').next().is_some_and(is_number);
    if !is_time(time) || (is_number(time) && is_followed) {
        return None;
    }
    let (word, behind) = word_of(message);
    // Containers' runtimes write `stdout F` before a line, or `P` where it goes on in the next one.
    if matches!(word, b"stdout" | b"stderr")
        && let (b"F" | b"P", behind) = word_of(behind.get(1..).unwrap_or_default())
    {
        return Some((time, behind.get(1..).unwrap_or_default()));
    }
    let is_stream = (word.starts_with(b"eni-") || word.starts_with(b"tgw-"))
        && [&b"-all"[..], b"-accept", b"-reject"].iter().any(|end| word.ends_with(end));
    // A stream may have any name.
    let is_stream = is_stream
        || (!word.first().is_none_or(u8::is_ascii_digit) && behind.get(1..).is_some_and(begins_record));
    Some((time, if is_stream { behind.get(1..).unwrap_or_default() } else { message }))
}

/// The first word of a text, and what stands behind it.
fn word_of(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| *b == b' ').unwrap_or(text.len()))
}

/// A line without what colours it, as `aws logs tail --color on` writes it.
pub(super) fn uncoloured(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.iter().position(|b| *b == ESCAPE) {
        out.extend_from_slice(&rest[..at]);
        let code = &rest[at + 1..];
        let end = code.iter().position(|b| *b == b'm').filter(|_| code.starts_with(b"["));
        rest = end.map_or(code, |end| &code[end + 1..]);
    }
    out.extend_from_slice(rest);
    out
}

fn is_day(text: &[u8]) -> bool {
    fits(text, b"0000-00-00")
}

/// Whether `text` has digits where `pattern` has zeros, and is the same elsewhere.
fn fits(text: &[u8], pattern: &[u8]) -> bool {
    text.iter().zip(pattern).all(|(b, p)| if *p == b'0' { b.is_ascii_digit() } else { b == p })
}

/// `2024-01-01T00:00:00.000Z`, with or without its fraction and zone, or thirteen digits. A comma is one of the fraction only before three
/// digits, as Python's logs have it: else it separates values.
pub(super) fn is_time(word: &[u8]) -> bool {
    if word.len() == MILLISECONDS_DIGITS {
        return word.iter().all(u8::is_ascii_digit);
    }
    let pattern = b"0000-00-00T00:00:00";
    let Some((time, rest)) = word.split_at_checked(pattern.len()) else { return false };
    let is_between = time[10] == b'T' || time[10] == b' ';
    is_day(&time[..10]) && is_between && fits(&time[11..], &pattern[11..]) && is_zone(without_fraction(rest))
}

fn without_fraction(rest: &[u8]) -> &[u8] {
    let digits = rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    match rest.first() {
        Some(b'.') if digits > 0 => &rest[1 + digits..],
        Some(b',') if digits == 3 => &rest[1 + digits..],
        _ => rest,
    }
}

/// `Z`, `+00:00` and the like, or nothing.
fn is_zone(zone: &[u8]) -> bool {
    let digits = zone.get(1..).unwrap_or_default();
    match zone.first() {
        None => true,
        Some(b'Z') => digits.is_empty(),
        Some(b'+' | b'-') => {
            (2..=6).contains(&digits.len()) && digits.iter().all(|b| b.is_ascii_digit() || *b == b':')
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_lines() {
        for (line, expected) in [
            ("2024-01-01T00:00:00.000Z 2 1111 eni-1", Some("2 1111 eni-1")),
            ("2024-01-01T00:00:00Z 2 1111", Some("2 1111")),
            ("2024-01-01T00:00:00.123456+00:00 eni-0a-all 2 1111", Some("2 1111")),
            ("2024-01-01T00:00:00 2 1111", Some("2 1111")),
            ("1704067200000 2 1111", Some("2 1111")),
            ("2024-01-01T00:00:00.000000000Z stdout F 2 1111", Some("2 1111")),
            ("2024-01-01T00:00:00Z stdout X 2", Some("stdout X 2")),
            ("1704067200000 ", Some("")),
            ("1704067200000\t2 1111", Some("2 1111")),
            ("2024-01-01 00:00:00.000 2 1111", Some("2 1111")),
            ("2024-01-01T00:00:00,123 2 1111", Some("2 1111")),
            // Streams of any name, and groups before them.
            ("2024-01-01T00:00:00Z my-stream 2 111122223333 eni-1 -", Some("2 111122223333 eni-1 -")),
            ("2024-01-01T00:00:00Z eni-1 10.0.0.5 2", Some("eni-1 10.0.0.5 2")),
            ("/vpc/flow eni-1-all 2 111122223333 eni-1 -", Some("2 111122223333 eni-1 -")),
            ("/vpc/flow eni-1-all 2024-01-01T00:00:00Z 2 1 -", Some("2 1 -")),
            ("/vpc/flow eni-1-all hello", None),
            // Values of a table.
            ("2024-01-01T00:00:00.000Z,2 1111", None),
            ("2024-01-01T00:00:00,2 1111", None),
            ("2024-01-01 00:00:00.000,2 1111", None),
            ("2024-01-01T00:00:00Z- 1111", None),
            ("1704067200123 1704067260123 10.0.0.1", None),
            ("123456789012 2 1111", None),
            ("2 1111 eni-1", None),
            ("2024-01-01 2 1111", None),
            ("", None),
        ] {
            let found = message_of(line.as_bytes()).map(|m| String::from_utf8_lossy(m).into_owned());
            assert_eq!(found.as_deref(), expected, "{line}");
        }
        assert_eq!(joined_at(b"2 a OK2024-01-01T00:00:00.000Z 2 b"), Some(6));
        for text in
            [&b"2 a OK 2024-01-01T00:00:00.000Z 2 b"[..], b"2 a OK2024-01-01T00:00:00.000Z", b"2024-01-01T"]
        {
            assert_eq!(joined_at(text), None);
        }
        for tag in [
            &b"2024-01-01T00:00:00+00:00\tvpc.flow\t"[..],
            b"2024-01-01T00:00:00Z eni-1-all ",
            b"1704067200000 ",
        ] {
            assert!(is_tag(tag), "{tag:?}");
        }
        assert!(!is_tag(b"2024-01-01T00:00:00Z\t2 1\t") && !is_tag(b"a\tb\t"));
        let coloured = b"\x1b[32m2024-01-01T00:00:00\x1b[0m \x1b[36meni-0a-all\x1b[0m 2 1111";
        assert_eq!(uncoloured(coloured), b"2024-01-01T00:00:00 eni-0a-all 2 1111");
    }

    #[test]
    fn times_go_beside_the_lines_that_stand_behind_them() {
        let events = EventTimes::default();
        let mut exports = Exports::new(Some(events.clone()));
        let text = b"2024-01-01T00:00:00.123Z 2 a\n2 b\n1704067200000 2 c2024-01-01T00:00:07Z 2 g\n2024-01-01T00:00:00 2 d\n2024-01-01T00:00:02Z 2 e";
        let (mut out, mut at) = (Vec::new(), 0);
        for end in [10, 40, text.len()] {
            at += exports.push(&text[at..end], end == text.len(), usize::MAX, &mut out).expect("lines");
        }
        assert_eq!(out, b"2 a\n2 b\n2 c\n2 g\n2 d\n2 e");
        let at = |ms: i64| Some(1_704_067_200_000 + ms);
        assert_eq!(events.of(1..7), [at(123), None, at(0), at(7000), None, at(2000)]);
    }
}
