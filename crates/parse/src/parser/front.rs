//! The front of an object: its header, behind blank lines and a title, or its first record.

use flowquet_format::{CARRIED_MARK, Catalogue, HeaderLine, LogFormat, ROWS_MARK, TELLING_LINES};

use super::{LINE_BYTES_MAX, Parser, Phase, WINDOW_BYTES_MIN};
use crate::line::{BYTE_ORDER_MARK, is_blank, trimmed};
use crate::object_error::{ObjectError, check_magic, no_format};
use crate::reject::{Reject, RejectReason, raw_line};

impl Parser {
    /// Up to and with the header line, or up to the first record; up to a line that needs another look with more behind it.
    pub(super) fn read_start(
        &mut self,
        window: &[u8],
        last: bool,
        rejects: &mut Vec<Reject>,
    ) -> Result<usize, ObjectError> {
        let mut at = 0;
        // Columns of a file have names, however few of them are known.
        let mut is_header = false;
        if self.offset == 0 {
            check_magic(window)?;
            let marks = [BYTE_ORDER_MARK, ROWS_MARK, CARRIED_MARK];
            at = marks.iter().find(|m| window.starts_with(m)).map_or(0, |m| m.len());
            is_header = window.starts_with(ROWS_MARK);
            self.are_rows |= is_header || window.starts_with(CARRIED_MARK);
            self.mark_bytes = if self.are_rows { at as u64 } else { 0 };
        }
        while at < window.len() {
            let rest = &window[at..];
            let line_len = rest.iter().take(LINE_BYTES_MAX + 1).position(|b| *b == b'\n');
            let line = &rest[..line_len.unwrap_or(rest.len())];
            let next = (at + line.len() + 1).min(window.len());
            if is_blank(line) {
                self.counts.lines += 1;
                self.counts.blanks += 1;
                at = next;
                continue;
            }
            // A mark may stand behind blank lines, where files were joined.
            let names = trimmed(line);
            let header = match std::str::from_utf8(names) {
                Ok(names) if is_header => LogFormat::parse(names, &self.catalogue).ok().map(|f| (f, 1)),
                _ if line.len() > LINE_BYTES_MAX => None,
                _ => match HeaderLine::read(names, &self.catalogue) {
                    // What is told by the next line may not depend on where the window ends.
                    Some(header)
                        if !header.is_sure() && !last && at > 0 && window.len() - at < WINDOW_BYTES_MIN =>
                    {
                        return Ok(at);
                    }
                    header => {
                        header.filter(|h| self.is_first(h, &window[next..])).map(|h| (h.format, h.count))
                    }
                },
            };
            self.phase = Phase::Lines;
            if let Some((format, count)) = header {
                self.counts.lines += count;
                self.counts.headers += count;
                self.glued += count - 1;
                self.from_header = true;
                self.format = Some(self.met.shared(format));
                return Ok(next);
            }
            let Some(given) = self.given.first().cloned() else {
                if !last && at > 0 && window.len() - at < WINDOW_BYTES_MIN {
                    return Ok(at);
                }
                if line.len() > LINE_BYTES_MAX || !is_title(&window[next..], &self.catalogue) {
                    return Err(no_format(line, &self.catalogue));
                }
                rejects.push(self.title(line, at));
                self.counts.lines += 1;
                (self.phase, at) = (Phase::Start, next);
                continue;
            };
            self.format = Some(given);
            if self.given.len() > 1 {
                self.phase = Phase::Several;
            }
            return Ok(at);
        }
        Ok(at)
    }

    /// The reject of a line above the header.
    fn title(&self, line: &[u8], at: usize) -> Reject {
        Reject {
            line: self.counts.lines - self.glued + 1,
            offset: (self.offset + at as u64).saturating_sub(self.mark_bytes),
            reason: RejectReason::UnknownHeader,
            field: None,
            detail: "expected a header line of field names, found a line above it".to_owned(),
            raw: raw_line(line.strip_suffix(b"\r").unwrap_or(line), self.are_rows),
        }
    }

    /// Whether the first line is a header, and no word or two of another text: by its names, as one that was given, or by a line that
    /// follows in `rest`.
    fn is_first(&self, header: &HeaderLine, rest: &[u8]) -> bool {
        let lines = || rest.split(|b| *b == b'\n').filter(|line| !is_blank(line)).take(TELLING_LINES);
        header.is_sure()
            || self.given.iter().any(|given| **given == header.format)
            || lines().any(|line| header.is_borne_out(line))
    }
}

/// Whether a line at the front of an object is one of a title: a header that is surely one stands in one of the lines below it, `rest`, and has records.
fn is_title(rest: &[u8], catalogue: &Catalogue) -> bool {
    let mut lines =
        rest.split(|b| *b == b'\n').map(trimmed).filter(|line| !is_blank(line)).take(TELLING_LINES);
    let header = lines.find_map(|line| HeaderLine::read(line, catalogue).filter(HeaderLine::is_sure));
    header.is_some_and(|header| lines.any(|line| header.is_borne_out(line)))
}
