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
            out.extend_from_slice(if self.is_inside { line } else { message_of(&plain).unwrap_or(&plain) });
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

/// Whether a text is a time and a tag, as fluentd writes them before a document: `2024-01-01T00:00:00Z\tvpc.flow\t`.
pub(super) fn is_tag(text: &[u8]) -> bool {
    let tag = message_of(text).and_then(|tag| tag.strip_suffix(b"\t"));
    tag.is_some_and(|tag| !tag.is_empty() && !tag.iter().any(u8::is_ascii_whitespace))
}

/// The time of a line, and what stands behind it.
fn parts_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(line);
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

/// `2024-01-01T00:00:00.000Z`, with or without its fraction and zone, or thirteen digits.
fn is_time(word: &[u8]) -> bool {
    if word.len() == MILLISECONDS_DIGITS {
        return word.iter().all(u8::is_ascii_digit);
    }
    let pattern = b"0000-00-00T00:00:00";
    let Some((time, rest)) = word.split_at_checked(pattern.len()) else { return false };
    let is_between = time[10] == b'T' || time[10] == b' ';
    is_day(&time[..10])
        && is_between
        && fits(&time[11..], &pattern[11..])
        && rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'Z' | b'+' | b'-' | b':'))
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
            ("1704067200123 1704067260123 10.0.0.1", None),
            ("123456789012 2 1111", None),
            ("2 1111 eni-1", None),
            ("2024-01-01 2 1111", None),
            ("", None),
        ] {
            let found = message_of(line.as_bytes()).map(|m| String::from_utf8_lossy(m).into_owned());
            assert_eq!(found.as_deref(), expected, "{line}");
        }
        assert!(is_tag(b"2024-01-01T00:00:00+00:00\tvpc.flow\t"));
        assert!(!is_tag(b"2024-01-01T00:00:00Z\t2 1\t") && !is_tag(b"a\tb\t"));
        let coloured = b"\x1b[32m2024-01-01T00:00:00\x1b[0m \x1b[36meni-0a-all\x1b[0m 2 1111";
        assert_eq!(uncoloured(coloured), b"2024-01-01T00:00:00 eni-0a-all 2 1111");
    }

    #[test]
    fn times_go_beside_the_lines_that_stand_behind_them() {
        let events = EventTimes::default();
        let mut exports = Exports::new(Some(events.clone()));
        let text = b"2024-01-01T00:00:00.123Z 2 a\n2 b\n1704067200000 2 c\n2024-01-01T00:00:00 2 d\n2024-01-01T00:00:02Z 2 e";
        let (mut out, mut at) = (Vec::new(), 0);
        for end in [10, 40, text.len()] {
            at += exports.push(&text[at..end], end == text.len(), usize::MAX, &mut out).expect("lines");
        }
        assert_eq!(out, b"2 a\n2 b\n2 c\n2 d\n2 e");
        let at = |ms: i64| Some(1_704_067_200_000 + ms);
        assert_eq!(events.of(1..7), [at(123), None, at(0), None, at(2000), None]);
    }
}
