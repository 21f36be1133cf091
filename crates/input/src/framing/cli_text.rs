//! What `aws logs … --output text` prints: events of a line each, whose values tabs separate, or nothing but messages with tabs
//! between them. Only messages have blanks.

use super::{Refused, Unframe};

/// Blanks of a value that is a message.
const BLANKS_MIN: usize = 3;

/// A line of so many bytes goes on before its end is there.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Whether a line is one of those.
pub(super) fn is_of_cli(line: &[u8]) -> bool {
    let has_messages = line.contains(&b'\t') && line.split(|b| *b == b'\t').any(is_message);
    has_messages || is_about_events(line)
}

fn is_message(value: &[u8]) -> bool {
    value.iter().filter(|b| **b == b' ').count() >= BLANKS_MIN
}

/// A line without events: the tokens of a page, the streams that were searched.
fn is_about_events(line: &[u8]) -> bool {
    let mut values = line.split(|b| *b == b'\t');
    let first = values.next().unwrap_or_default();
    let is_token = |value: &[u8], letter: u8| value.len() > 2 && value[0] == letter && value[1] == b'/';
    first == b"SEARCHEDLOGSTREAMS"
        || (is_token(first, b'b') && values.next().is_some_and(|v| is_token(v, b'f')))
}

/// Takes messages out of lines. A line without one stays as it is.
#[derive(Debug)]
pub(super) struct CliText;

impl Unframe for CliText {
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut at = 0;
        while at < text.len() && out.len() < max {
            let rest = &text[at..];
            let newline = rest.iter().position(|b| *b == b'\n').map(|n| n + 1);
            let is_whole = is_last || rest.len() > LINE_BYTES_MAX;
            let Some(end) = newline.or(is_whole.then_some(rest.len())) else { break };
            at += end;
            let line = rest[..end].trim_ascii_end();
            if is_about_events(line) {
                continue;
            }
            if !line.split(|b| *b == b'\t').any(is_message) {
                out.extend_from_slice(line);
                out.push(b'\n');
                continue;
            }
            for message in line.split(|b| *b == b'\t').filter(|value| is_message(value)) {
                out.extend_from_slice(message.trim_ascii());
                out.push(b'\n');
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_between_tabs() {
        for (text, expected) in [
            ("b/1/s\tf/2/s\nEVENTS\t17\t2 1 eni-1 - -\t16\n", "2 1 eni-1 - -\n"),
            (
                "EVENTS\t38\t17\teni-1-all\t2 1 eni-1 -\t16\nSEARCHEDLOGSTREAMS\teni-1-all\tTrue\n",
                "2 1 eni-1 -\n",
            ),
            ("2 1 eni-1 -\t2 2 eni-2 -\n", "2 1 eni-1 -\n2 2 eni-2 -\n"),
            ("1704067200000\t2 1 eni-1 -\noops\n\n", "2 1 eni-1 -\noops\n\n"),
        ] {
            assert!(is_of_cli(text.lines().next().unwrap_or_default().as_bytes()), "{text}");
            let mut out = Vec::new();
            assert_eq!(CliText.push(text.as_bytes(), true, usize::MAX, &mut out), Ok(text.len()));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        for line in ["version\tsrcaddr", "2 1 eni-1 -", "Log Status\tSource Address", "b/1"] {
            assert!(!is_of_cli(line.as_bytes()), "{line}");
        }
    }
}
