//! Comments before the first line: lines that begin with `#`, and the line by which Excel is told the separator.

use std::sync::Arc;

use flowquet_format::{Catalogue, EventTimes, header_format};

use super::separated::separator_of;
use super::{BYTE_ORDER_MARK, Framing, Refused, Unframe};

/// A line of so many bytes is no comment, and tells how what follows is framed before its end is there.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Whether a line is a comment.
pub(super) fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#") || (line.len() == 5 && line.starts_with(b"sep="))
}

/// Drops comments up to the first other line. What follows is taken out of a framing of its own. A comment that is a header (`#version
/// srcaddr …`) is the header of a text that begins without one.
pub(super) struct Comments {
    catalogue: Arc<Catalogue>,
    events: Option<EventTimes>,
    /// What the last comment would be as a header line, with its newline.
    header: Vec<u8>,
    state: State,
}

enum State {
    Comments,
    Lines,
    Framed(Box<dyn Unframe>),
}

impl Comments {
    pub(super) fn new(catalogue: Arc<Catalogue>, events: Option<EventTimes>) -> Self {
        Self { catalogue, events, header: Vec::new(), state: State::Comments }
    }

    fn comment(&mut self, line: &[u8]) {
        let marks = line.iter().take_while(|b| **b == b'#').count();
        let text = line[marks..].trim_ascii();
        let text = text.strip_prefix(b"Fields:").unwrap_or(text).trim_ascii();
        let is_header = header_format(text, &self.catalogue).is_some_and(|format| format.fields().len() > 1)
            || separator_of(text, &self.catalogue).is_some();
        if is_header {
            self.header = [text, b"\n"].concat();
        }
    }

    /// Sees how what follows the comments is framed, by its first line; a header that was a comment comes before it.
    fn begin(&mut self, text: &[u8], line: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
        let header = std::mem::take(&mut self.header);
        let has_header = header_format(line, &self.catalogue).is_some()
            || is_named(line, &self.catalogue)
            || header.is_empty();
        let framing = Framing::of_line(if has_header { text } else { &header }, &self.catalogue)?;
        self.state = State::Lines;
        if let Some(mut unframe) = framing.unframer(&self.catalogue, self.events.as_ref()) {
            if !has_header {
                unframe.push(&header, false, max, out)?;
            }
            self.state = State::Framed(unframe);
        } else if !has_header {
            out.extend_from_slice(&header);
        }
        Ok(())
    }
}

/// Whether a line is the header of a table.
fn is_named(line: &[u8], catalogue: &Catalogue) -> bool {
    line.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'"' | b'@'))
        && separator_of(line, catalogue).is_some()
}

impl Unframe for Comments {
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut at = 0;
        while matches!(self.state, State::Comments) && at < text.len() {
            let rest = &text[at..];
            let newline = rest.iter().position(|b| *b == b'\n').map(|n| n + 1);
            let is_whole = is_last || rest.len() > LINE_BYTES_MAX;
            let Some(end) = newline.or(is_whole.then_some(rest.len())) else { return Ok(at) };
            let line = rest[..end].strip_prefix(BYTE_ORDER_MARK).unwrap_or(&rest[..end]).trim_ascii();
            if is_comment(line) {
                self.comment(line);
                at += end;
            } else if line.is_empty() {
                at += end;
            } else {
                self.begin(rest, line, max, out)?;
            }
        }
        match &mut self.state {
            State::Comments => Ok(at),
            State::Framed(unframe) => Ok(at + unframe.push(&text[at..], is_last, max, out)?),
            State::Lines => {
                let taken = (text.len() - at).min(max.saturating_sub(out.len()));
                out.extend_from_slice(&text[at..at + taken]);
                Ok(at + taken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flowquet_format::CARRIED_MARK;

    use super::*;

    #[test]
    fn what_stands_behind_comments() {
        for (text, expected) in [
            ("# a\n#b\nversion srcaddr\n2 -\n", "version srcaddr\n2 -\n"),
            ("#version srcaddr start\n2 - 1\n", "version srcaddr start\n2 - 1\n"),
            ("#Version: 2\n#Fields: version srcaddr start\n2 - 1\n", "version srcaddr start\n2 - 1\n"),
            ("# version start\nversion srcaddr\n2 -\n", "version srcaddr\n2 -\n"),
            ("# a\nversion,srcaddr,start\n2,,1\n", "version srcaddr start\n2 - 1\n"),
            ("#version,srcaddr,start\n2,,1\n", "version srcaddr start\n2 - 1\n"),
            ("sep=;\r\ntimestamp;message\r\n1;2 a\r\n", "2 a\n"),
            ("#TYPE X\n\"Message\",\"Timestamp\"\n\"2 a\",\"1\"\n", "2 a\n"),
            ("# a\n{\"message\":\"2 a\"}", "2 a\n"),
            ("# a\n2024-01-01T00:00:00Z 2 a\n", "2 a\n"),
            ("#\n\n2 a", "2 a"),
        ] {
            let catalogue = Arc::new(Catalogue::builtin().clone());
            for step in [text.len(), 1, 5] {
                let (mut unframe, mut out, mut at, mut end) =
                    (Comments::new(catalogue.clone(), None), Vec::new(), 0, 0);
                while end < text.len() {
                    end = (end + step).min(text.len());
                    let is_last = end == text.len();
                    at += unframe
                        .push(&text.as_bytes()[at..end], is_last, usize::MAX, &mut out)
                        .expect("a log");
                }
                assert_eq!(at, text.len(), "{text}");
                let out = out.strip_prefix(CARRIED_MARK).unwrap_or(&out);
                assert_eq!(String::from_utf8_lossy(out), expected, "{text} by {step}");
            }
        }
    }
}
