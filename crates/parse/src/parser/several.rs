//! Lines of several log formats in one stream without headers, as CloudWatch interleaves the flow logs of a log group: each line
//! has the format that it fits, in number and in the kinds of its values.
//!
//! A block of such lines is handed on once for each format that they have, so that everything behind the parser sees blocks of one
//! format. What fits two formats and means two things is a reject, never a guess.

use std::sync::Arc;

use flowquet_format::{Between, Field, HeaderLine, LogFormat, header_between};

use super::{Parser, Phase, Step};
use crate::block::{Block, Row};
use crate::careful::unknown_header;
use crate::joined::{Joined, before_header};
use crate::line::{is_blank, trimmed};
use crate::reject::{Reject, RejectReason, raw_line};

/// Values that a message quotes are cut to so many characters.
const QUOTED_MAX: usize = 40;

/// Lines of one block, sorted by format, until all are handed on.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Which of the given formats each line has; `None` for one that is no record.
    formats: Vec<Option<u8>>,
    /// The format whose lines are handed on next.
    next: u8,
    /// Bytes of the lines.
    len: usize,
    first_line: u64,
    offset: u64,
    /// Bytes of the last line before the header that was joined to it without a newline.
    glued_at: Option<usize>,
    then: Then,
}

impl Sorted {
    pub(super) fn is_open(&self) -> bool {
        !self.formats.is_empty()
    }

    fn lines_of(&self, format: u8) -> impl Iterator<Item = usize> + '_ {
        self.formats.iter().enumerate().filter(move |(_, of)| **of == Some(format)).map(|(line, _)| line)
    }

    fn next_present(&self, from: u8) -> Option<u8> {
        self.formats.iter().flatten().copied().filter(|f| *f >= from).min()
    }
}

/// How the lines behind a block are read.
#[derive(Debug, Default)]
enum Then {
    /// Each by itself.
    #[default]
    Several,
    /// As their header says.
    Format(Arc<LogFormat>),
    /// Not at all: their header is not understood.
    Lost,
}

/// What a line is.
enum Line {
    Blank,
    Header(HeaderLine),
    StrangeHeader,
    Record(u8),
    /// A record of so many bytes, and the header of the next file.
    Glued(u8, usize, HeaderLine),
    /// So many bytes of a record that was cut, and the header of the next file.
    Cut(usize, HeaderLine),
    Reject(RejectReason, Option<String>, String),
}

impl Parser {
    /// Sorts the located lines of `original` by format, and hands on those of the first one.
    pub(super) fn take_several<'a>(&'a mut self, original: &'a [u8], rejects: &mut Vec<Reject>) -> Step<'a> {
        self.line_starts.clear();
        self.line_starts.push(0);
        let ends = self.found.ends();
        let starts = self.found.line_ends().iter().map(|&newline| ends[newline as usize] + 1);
        // A virtual newline stands behind the text.
        self.line_starts.extend(starts.map(|start| start.min(original.len() as u32)));
        let first_line = self.counts.lines - self.glued + 1;
        let mut sorted = Sorted { first_line, offset: self.place(), ..Sorted::default() };
        let mut words = Vec::new();
        for line in 0..self.line_starts.len() - 1 {
            let (start, end) = (self.line_starts[line] as usize, self.line_starts[line + 1] as usize);
            let raw = original[start..end].strip_suffix(b"\n").unwrap_or(&original[start..end]);
            let is_first = line == 0 && self.is_at_front();
            self.counts.lines += 1;
            sorted.len = end;
            let mut format = None;
            match self.look_at(trimmed(raw), is_first, &mut words) {
                Line::Blank => self.counts.blanks += 1,
                Line::Header(header) => {
                    self.counts.headers += header.count;
                    self.counts.lines += header.count - 1;
                    self.glued += header.count - 1;
                    sorted.then = Then::Format(self.met.shared(header.format));
                }
                Line::StrangeHeader => {
                    self.counts.headers += 1;
                    sorted.then = Then::Lost;
                }
                Line::Record(of) => format = Some(of),
                Line::Glued(of, len, header) => {
                    self.counts.headers += header.count;
                    self.counts.lines += header.count;
                    self.glued += header.count;
                    format = Some(of);
                    sorted.glued_at = Some(len);
                    sorted.then = Then::Format(self.met.shared(header.format));
                }
                Line::Cut(len, header) => {
                    self.counts.headers += header.count;
                    self.counts.lines += header.count;
                    self.glued += header.count;
                    sorted.then = Then::Format(self.met.shared(header.format));
                    rejects.push(Reject {
                        line: first_line + line as u64,
                        offset: self.place() + start as u64,
                        reason: RejectReason::FitsNoFormat,
                        field: None,
                        detail: "expected a record of one log format, found one that the header of the next file cuts short".to_owned(),
                        raw: raw_line(&trimmed(raw)[..len], false),
                    });
                }
                Line::Reject(reason, field, detail) => {
                    if reason == RejectReason::UnknownHeader {
                        sorted.then = Then::Lost;
                    }
                    rejects.push(Reject {
                        line: first_line + line as u64,
                        offset: self.place() + start as u64,
                        reason,
                        field,
                        detail,
                        raw: raw_line(raw, false),
                    });
                }
            }
            sorted.formats.push(format);
            if !matches!(sorted.then, Then::Several) {
                break;
            }
        }
        self.sorted = sorted;
        self.next_format(original)
    }

    /// Hands on the lines of the next format that some have. `window` begins with the lines that were sorted.
    pub(super) fn next_format<'a>(&'a mut self, window: &'a [u8]) -> Step<'a> {
        let len = self.sorted.len;
        let Some(format) = self.sorted.next_present(self.sorted.next) else {
            self.close_sorted();
            return Step::Skipped(len);
        };
        let original = &window[..len];
        self.copy_lines(original, format);
        let (first_line, offset) = (self.sorted.first_line, self.sorted.offset);
        let consumed = match self.sorted.next_present(format + 1) {
            Some(next) => {
                self.sorted.next = next;
                0
            }
            None => {
                self.close_sorted();
                len
            }
        };
        let block = Block {
            text: &self.clean,
            ends: self.found.ends(),
            rows: &mut self.rows,
            original,
            line_starts: &self.line_starts,
            first_line,
            offset,
            format: &self.given[usize::from(format)],
            is_even: true,
            are_rows: false,
            backend: self.backend,
        };
        Step::Block { consumed, block }
    }

    fn close_sorted(&mut self) {
        let sorted = std::mem::take(&mut self.sorted);
        self.offset += sorted.len as u64;
        match sorted.then {
            Then::Several => {}
            Then::Format(format) => {
                self.phase = Phase::Lines;
                self.upcoming = Some(format);
            }
            Then::Lost => {
                self.phase = Phase::Lines;
                self.will_be_lost = true;
            }
        }
    }

    /// Copies the lines of one format, with single blanks between their fields, and locates the copy.
    fn copy_lines(&mut self, original: &[u8], format: u8) {
        let fields = self.given[usize::from(format)].fields().len();
        let last = self.sorted.formats.len() - 1;
        self.clean.clear();
        self.rows.clear();
        for line in self.sorted.lines_of(format) {
            let raw = &original[self.line_starts[line] as usize..self.line_starts[line + 1] as usize];
            let mut text = trimmed(raw.strip_suffix(b"\n").unwrap_or(raw));
            if let Some(len) = self.sorted.glued_at.filter(|_| line == last) {
                text = &text[..len];
            }
            if text.split(|b| *b == b' ').count() == fields {
                self.clean.extend_from_slice(text);
            } else {
                for (i, word) in words_of(text).enumerate() {
                    self.clean.extend_from_slice(if i > 0 { b" " } else { b"" });
                    self.clean.extend_from_slice(word);
                }
            }
            self.clean.push(b'\n');
            self.rows.push(Row { first: (self.rows.len() * fields) as u32 + 1, line: line as u32 });
        }
        self.backend.locate(&self.clean, &mut self.found);
        debug_assert_eq!(
            self.found.ends().len(),
            self.rows.len() * fields + 1,
            "each line that was sorted has all fields of its format"
        );
    }

    fn look_at<'t>(&self, line: &'t [u8], is_first: bool, words: &mut Vec<&'t [u8]>) -> Line {
        if is_blank(line) {
            return Line::Blank;
        }
        if let Err(error) = std::str::from_utf8(line) {
            let at = error.valid_up_to();
            let detail = format!("expected UTF-8, found byte 0x{:02x} at byte {at} of the line", line[at]);
            return Line::Reject(RejectReason::InvalidUtf8, None, detail);
        }
        let given = || self.given.iter().map(AsRef::as_ref);
        match header_between(line, given(), &self.catalogue) {
            // At the front words of any text were no header, as nothing bore them out.
            Some(Between::Header(header)) if is_first && header.is_doubtful(&given().collect::<Vec<_>>()) => {
            }
            Some(Between::Header(header)) => return Line::Header(header),
            Some(Between::Strange) => return Line::StrangeHeader,
            None => {}
        }
        let judged = self.judge(line, words);
        if let Ok(format) = judged {
            return Line::Record(format);
        }
        let mut cut = None;
        for format in &self.given {
            let Some(Joined { record, header }) = before_header(line, format, &self.catalogue) else {
                continue;
            };
            let Some(header) = header else {
                let (reason, detail) = unknown_header();
                return Line::Reject(reason, None, detail);
            };
            if let Ok(format) = self.judge(record, words) {
                return Line::Glued(format, record.len(), header);
            }
            cut = cut.or(Some((record.len(), header)));
        }
        if let Some((len, header)) = cut {
            return Line::Cut(len, header);
        }
        let (reason, field, detail) = judged.expect_err("records are taken above");
        Line::Reject(reason, field, detail)
    }

    /// The one format that a line fits, or why there is none. Values are what stands between blanks; where none fits so, runs of
    /// blanks are one.
    fn judge<'t>(
        &self,
        line: &'t [u8],
        words: &mut Vec<&'t [u8]>,
    ) -> Result<u8, (RejectReason, Option<String>, String)> {
        words.clear();
        words.extend(line.split(|b| *b == b' '));
        let mut fitting = self.fitting(words);
        if fitting.is_empty() && words.iter().any(|w| w.is_empty()) {
            words.retain(|w| !w.is_empty());
            fitting = self.fitting(words);
        }
        let Some(first) = fitting.first().copied() else { return Err(self.misfit(words)) };
        let one = &self.given[usize::from(first)];
        for other in fitting[1..].iter().map(|f| &self.given[usize::from(*f)]) {
            if let Some(field) = one.reads_otherwise(other, words) {
                let shown = |format: &LogFormat| match format.value_of(field, words) {
                    Some(value) => format!("`{}`", quoted(value)),
                    None => "no such field".to_owned(),
                };
                let detail = format!(
                    "expected a record of one log format, found one of {}: in one its `{field}` is {}, in another {}",
                    fitting.len(),
                    shown(one),
                    shown(other)
                );
                return Err((RejectReason::FitsSeveralFormats, Some(field.to_owned()), detail));
            }
        }
        Ok(first)
    }

    fn fitting(&self, words: &[&[u8]]) -> Vec<u8> {
        let formats = (0..).zip(&self.given);
        formats.filter(|(_, format)| format.may_have(words)).map(|(index, _)| index).collect()
    }

    fn misfit(&self, words: &[&[u8]]) -> (RejectReason, Option<String>, String) {
        let expected = format!("expected a record of one of {} log formats", self.given.len());
        let mut as_long = self.given.iter().filter(|f| f.fields().len() == words.len());
        let (reason, found, of) = (RejectReason::FitsNoFormat, words.len(), words.len());
        let Some(format) = as_long.next() else {
            return (reason, None, format!("{expected}, found {found} fields, which none of them has"));
        };
        let field: Option<&Field> = format.misfit(words).filter(|_| as_long.next().is_none());
        let Some(field) = field else {
            return (reason, None, format!("{expected}, found values that none with {of} fields can have"));
        };
        let value = format.value_of(field.name(), words).unwrap_or_default();
        let detail = format!("{expected}, found `{}` in `{}`", quoted(value), field.name());
        (reason, Some(field.name().to_owned()), detail)
    }
}

fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| *b == b' ').filter(|w| !w.is_empty())
}

fn quoted(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    match text.char_indices().nth(QUOTED_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}
