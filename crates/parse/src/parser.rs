//! The push parser: an object's inflated bytes in, blocks and rejects out.

mod front;
mod several;

use std::sync::Arc;

use flowquet_format::{Catalogue, GIVEN_MAX, LogFormat, put_back};

use crate::backend::Backend;
use crate::block::{Block, Row};
use crate::careful::{LineKind, classify, classify_row, unknown_header, wrong_count};
use crate::locate::Delimiters;
use crate::met::MetFormats;
use crate::object_error::ObjectError;
use crate::odd::{begins_as_value, may_be_names, told_by};
use crate::reject::{Reject, RejectReason, raw_line};

use self::several::Sorted;

/// Most bytes of a block of more than one line. With its tables and the typed values it fits an L2 cache of 1 MiB:
/// some 600 records of 21 fields.
pub const BLOCK_BYTES: usize = 128 << 10;

/// Longest line that is read. AWS's longest records are some kilobytes; the limit is for what is no flow log at all.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes a window must hold unless it is the object's last: one line of the largest length and its newline.
pub const WINDOW_BYTES_MIN: usize = LINE_BYTES_MAX + 2;

/// Lines that are neither records nor rejects, and all lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// All lines; the last one counts without its newline if it is not empty.
    pub lines: u64,
    /// Header lines.
    pub headers: u64,
    /// Lines of nothing but blanks.
    pub blanks: u64,
}

/// What [`Parser::next_block`] did.
#[derive(Debug)]
pub enum Step<'a> {
    /// Took this many bytes from the window's start; `block` holds the lines among them that may be records.
    Block {
        /// Bytes to drop from the window's start; none where another block of the same lines follows, in another format.
        consumed: usize,
        /// The located lines.
        block: Block<'a>,
    },
    /// All of the last window is read.
    Done,
    /// The window is shorter than [`WINDOW_BYTES_MIN`] and not the last.
    NeedMore,
    /// Took this many bytes without finding a record: headers, blank lines, the rest of an over-long line.
    Skipped(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the first line that is not blank.
    Start,
    Lines,
    /// Lines without a header, each of one of several formats.
    Several,
    /// Inside a line that is too long, and already rejected; behind it the lines go on as before it.
    TooLong {
        of_several: bool,
    },
}

/// Reads one object. Buffers are reused by [`Parser::start`] for the next one.
#[derive(Debug)]
pub struct Parser {
    catalogue: Arc<Catalogue>,
    backend: Backend,
    /// For objects without a header; where there are several, each line has its own.
    given: Vec<Arc<LogFormat>>,
    /// Lines of [`Self::given`] formats that are not handed on yet.
    sorted: Sorted,
    phase: Phase,
    format: Option<Arc<LogFormat>>,
    /// Another header inside the object: its format holds from the next block on.
    upcoming: Option<Arc<LogFormat>>,
    met: MetFormats,
    from_header: bool,
    /// Behind a header that is not understood: no line is a record until there is another header.
    is_lost: bool,
    /// Whether [`Self::is_lost`] holds from the next block on.
    will_be_lost: bool,
    /// Lines that were two, without a newline between them.
    glued: u64,
    /// Whether the lines are rows of a file, in which bytes are carried.
    are_rows: bool,
    /// Bytes before the first line that say so, which are none of the object's.
    mark_bytes: u64,
    counts: LineCounts,
    offset: u64,
    found: Delimiters,
    rows: Vec<Row>,
    line_starts: Vec<u32>,
    /// Indexes of lines for the careful path.
    odd: Vec<u32>,
    clean: Vec<u8>,
}

impl Parser {
    /// A parser for objects whose headers name fields of `catalogue`; objects without a header have the `given` format, or each
    /// line of theirs has one of them; at most [`GIVEN_MAX`], as [`Self::give`] checks.
    pub fn new(catalogue: Arc<Catalogue>, given: impl IntoIterator<Item = Arc<LogFormat>>) -> Self {
        let mut parser = Self {
            catalogue,
            backend: Backend::detect(),
            given: Vec::new(),
            sorted: Sorted::default(),
            phase: Phase::Start,
            format: None,
            upcoming: None,
            met: MetFormats::default(),
            from_header: false,
            is_lost: false,
            will_be_lost: false,
            glued: 0,
            are_rows: false,
            mark_bytes: 0,
            counts: LineCounts::default(),
            offset: 0,
            found: Delimiters::default(),
            rows: Vec::new(),
            line_starts: Vec::new(),
            odd: Vec::new(),
            clean: Vec::new(),
        };
        parser.give(given);
        parser
    }

    /// The `given` formats from the next object on.
    ///
    /// # Panics
    /// With more than [`GIVEN_MAX`] formats.
    pub fn give(&mut self, given: impl IntoIterator<Item = Arc<LogFormat>>) {
        self.given.clear();
        self.given.extend(given);
        assert!(self.given.len() <= GIVEN_MAX, "at most {GIVEN_MAX} formats are given");
    }

    /// Whether each line of an object without a header has one of several formats.
    pub fn has_several(&self) -> bool {
        self.given.len() > 1
    }

    /// Uses `backend` instead of the best one: for tests and benchmarks.
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Begins another object.
    pub fn start(&mut self) {
        self.phase = Phase::Start;
        self.format = None;
        self.upcoming = None;
        self.from_header = false;
        (self.is_lost, self.will_be_lost, self.glued) = (false, false, 0);
        self.are_rows = false;
        self.mark_bytes = 0;
        self.sorted = Sorted::default();
        self.counts = LineCounts::default();
        self.offset = 0;
    }

    /// Lines so far in this object.
    pub fn counts(&self) -> LineCounts {
        self.counts
    }

    /// The log format of the lines being read; `None` before the first line.
    pub fn format(&self) -> Option<&Arc<LogFormat>> {
        self.upcoming.as_ref().or(self.format.as_ref())
    }

    /// Whether the object declared its format in a header line.
    pub fn has_header(&self) -> bool {
        self.from_header
    }

    /// Reads the next block from the start of `window`, which holds all bytes not consumed yet; `last` says that no
    /// more will follow. Lines that are no records go to `rejects`.
    ///
    /// # Errors
    /// [`ObjectError`], at the object's start only, where it is no flow log or its format is unknown.
    pub fn next_block<'a>(
        &'a mut self,
        window: &'a [u8],
        last: bool,
        rejects: &mut Vec<Reject>,
    ) -> Result<Step<'a>, ObjectError> {
        if window.is_empty() && last {
            return Ok(Step::Done);
        }
        if self.sorted.is_open() {
            return Ok(self.next_format(window));
        }
        if window.len() < WINDOW_BYTES_MIN && !last {
            return Ok(Step::NeedMore);
        }
        if let Some(format) = self.upcoming.take() {
            self.format = Some(format);
            self.is_lost = false;
        }
        self.is_lost |= std::mem::take(&mut self.will_be_lost);
        let consumed = match self.phase {
            Phase::Start => self.read_start(window, last, rejects)?,
            Phase::TooLong { of_several } => self.skip_line(window, of_several),
            Phase::Lines | Phase::Several => {
                let Some(len) = self.locate(window, rejects) else {
                    self.offset += LINE_BYTES_MAX as u64;
                    return Ok(Step::Skipped(LINE_BYTES_MAX));
                };
                return Ok(match self.phase {
                    Phase::Several => self.take_several(&window[..len], rejects),
                    _ => self.take_block(&window[..len], rejects),
                });
            }
        };
        self.offset += consumed as u64;
        Ok(Step::Skipped(consumed))
    }

    /// Ends the object at a line whose end is lost, `rest`: it is rejected, since even a whole-looking line may lack its
    /// end. Not for the rest of a line that was too long, which is rejected already.
    pub fn cut_short(&mut self, rest: &[u8], rejects: &mut Vec<Reject>) {
        if rest.is_empty() || matches!(self.phase, Phase::TooLong { .. }) {
            return;
        }
        self.counts.lines += 1;
        rejects.push(Reject {
            line: self.counts.lines - self.glued,
            offset: self.place(),
            reason: RejectReason::CutShort,
            field: None,
            detail: "expected the rest of the line, found the end of the readable part of a damaged object"
                .to_owned(),
            raw: rest[..rest.len().min(LINE_BYTES_MAX)].to_owned(),
        });
        self.offset += rest.len() as u64;
    }

    /// Whether no line was read but blank ones.
    fn is_at_front(&self) -> bool {
        self.counts.lines == self.counts.blanks
    }

    /// Bytes of the object's lines so far.
    fn place(&self) -> u64 {
        self.offset.saturating_sub(self.mark_bytes)
    }

    fn skip_line(&mut self, window: &[u8], of_several: bool) -> usize {
        match window.iter().position(|b| *b == b'\n') {
            Some(newline) => {
                self.phase = if of_several { Phase::Several } else { Phase::Lines };
                newline + 1
            }
            None => window.len(),
        }
    }

    /// Locates the block at the window's start and returns its length; `None` where the first line is too long.
    fn locate(&mut self, window: &[u8], rejects: &mut Vec<Reject>) -> Option<usize> {
        let limit = window.len().min(BLOCK_BYTES);
        self.backend.locate(&window[..limit], &mut self.found);
        let newline = self.found.line_ends().last().map(|&i| self.found.ends()[i as usize] as usize);
        match newline {
            // The object's end without a newline: its last line ends there all the same.
            _ if limit == window.len() && newline != Some(limit - 1) => {
                self.found.push_virtual_newline(limit);
                Some(limit)
            }
            Some(newline) => {
                self.found.truncate_to_lines();
                Some(newline + 1)
            }
            None => self.locate_long_line(window, limit, rejects),
        }
    }

    fn locate_long_line(
        &mut self,
        window: &[u8],
        searched: usize,
        rejects: &mut Vec<Reject>,
    ) -> Option<usize> {
        let newline = window.iter().take(LINE_BYTES_MAX + 1).skip(searched).position(|b| *b == b'\n');
        if let Some(newline) = newline {
            let len = searched + newline + 1;
            self.backend.locate(&window[..len], &mut self.found);
            return Some(len);
        }
        if window.len() <= LINE_BYTES_MAX {
            self.backend.locate(window, &mut self.found);
            self.found.push_virtual_newline(window.len());
            return Some(window.len());
        }
        self.counts.lines += 1;
        self.phase = Phase::TooLong { of_several: self.phase == Phase::Several };
        rejects.push(Reject {
            line: self.counts.lines - self.glued,
            offset: self.place(),
            reason: RejectReason::LineTooLong,
            field: None,
            detail: format!(
                "expected a line of at most {LINE_BYTES_MAX} bytes, found a longer one; kept its beginning"
            ),
            raw: window[..LINE_BYTES_MAX].to_owned(),
        });
        None
    }

    fn take_block<'a>(&'a mut self, original: &'a [u8], rejects: &mut Vec<Reject>) -> Step<'a> {
        let offset = self.place();
        let format = self.format.clone().expect("set before the first line");
        self.check_lines(original, &format);
        let mut lines = self.found.line_ends().len();
        let is_clean = self.odd.is_empty();
        let mut glued = 0;
        if !is_clean {
            (lines, glued) = self.put_right(original, &format, rejects);
        }
        let consumed = (self.line_starts[lines] as usize).min(original.len());
        let block = Block {
            text: if is_clean { original } else { &self.clean },
            ends: self.found.ends(),
            rows: &mut self.rows,
            original,
            line_starts: &self.line_starts,
            first_line: self.counts.lines - self.glued + 1,
            offset,
            format: self.format.as_ref().expect("set above"),
            // Either all lines were found to be records, or the copy has nothing but records.
            is_even: true,
            are_rows: self.are_rows,
            backend: self.backend,
        };
        self.counts.lines += lines as u64 + glued;
        self.glued += glued;
        self.offset += consumed as u64;
        Step::Block { consumed, block }
    }

    /// Fills `line_starts`, and `odd` with the lines that are not plainly records of `format`; where there are none, `rows` with all.
    fn check_lines(&mut self, text: &[u8], format: &LogFormat) {
        self.rows.clear();
        self.odd.clear();
        self.line_starts.clear();
        let is_ascii = text.is_ascii();
        // No line has so many.
        let fields = if self.is_lost { usize::MAX } else { format.fields().len() };
        let told_by = told_by(format);
        let (ends, line_ends) = (self.found.ends(), self.found.line_ends());
        self.line_starts.push(0);
        self.line_starts.extend(line_ends.iter().map(|newline| ends[*newline as usize] + 1));
        let (mut before, mut start) = (0, 0);
        for (line, &newline) in line_ends.iter().enumerate() {
            let end = ends[newline as usize] as usize;
            // Where a number belongs a name tells of a header, which may be joined to a record that was cut.
            let is_record = (newline - before) as usize == fields
                && end > start
                // A tab there is none of a value's, neither is a zero.
                && text[end - 1] > b'\r'
                && text[start] > b' '
                && (text
                    .get(ends[before as usize + told_by].wrapping_add(1) as usize)
                    .is_some_and(|b| begins_as_value(*b))
                    || told_by == 0 && !may_be_names(text, &ends[before as usize..newline as usize]))
                && (is_ascii || text[start..end].is_ascii());
            if !is_record {
                self.odd.push(line as u32);
            }
            before = newline;
            start = end + 1;
        }
        if self.odd.is_empty() {
            let rows = (0..line_ends.len() as u32).map(|line| Row { first: line * fields as u32 + 1, line });
            self.rows.extend(rows);
        }
        // A virtual newline stands behind the text; the last line still ends with the text.
        if let Some(end) = self.line_starts.last_mut() {
            *end = (*end).min(text.len() as u32);
        }
    }

    /// The reject that a line of the block is, or its beginning, `raw`.
    fn reject_of(
        &self,
        line: usize,
        raw: &[u8],
        reason: RejectReason,
        field: Option<String>,
        detail: String,
    ) -> Reject {
        Reject {
            line: self.counts.lines - self.glued + line as u64 + 1,
            offset: self.place() + u64::from(self.line_starts[line]),
            reason,
            field,
            detail,
            raw: raw_line(raw, self.are_rows),
        }
    }

    /// Copies the block's records, odd lines put right, and locates the copy. Returns how many lines it covers, all, or up to a
    /// header with other fields; and how many of them are two.
    fn put_right(&mut self, original: &[u8], format: &LogFormat, rejects: &mut Vec<Reject>) -> (usize, u64) {
        let fields = format.fields().len();
        let lines = self.found.line_ends().len();
        self.clean.clear();
        self.rows.clear();
        let mut odd = self.odd.iter().copied().peekable();
        let (mut covered, mut glued) = (lines, 0);
        for line in 0..lines {
            let raw = &original[self.line_starts[line] as usize..self.line_starts[line + 1] as usize];
            let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
            let mut records = 1;
            if odd.next_if_eq(&(line as u32)).is_some() {
                let start = self.clean.len();
                let kind = if self.are_rows && std::str::from_utf8(raw).is_err() {
                    classify_row(raw, format, &mut self.clean)
                } else {
                    classify(raw, self.are_rows, format, &self.catalogue, &mut self.clean)
                };
                let kind = match kind {
                    LineKind::Record | LineKind::Records(_) | LineKind::Reject { .. } if self.is_lost => {
                        self.clean.truncate(start);
                        let (reason, detail) = unknown_header();
                        LineKind::Reject { reason, field: None, detail }
                    }
                    LineKind::Glued { end, header, .. } if self.is_lost => {
                        self.clean.truncate(start);
                        LineKind::Glued { end, header, fault: Some(unknown_header()) }
                    }
                    // At the front words of any text were no header, as nothing bore them out.
                    LineKind::Header(header)
                        if line == 0 && self.is_at_front() && header.is_doubtful(&[format]) =>
                    {
                        wrong_count(header.format.fields().len(), fields)
                    }
                    kind => kind,
                };
                match kind {
                    LineKind::Record => {}
                    LineKind::Records(joined) => (records, glued) = (joined, glued + joined - 1),
                    LineKind::Glued { end, header, fault } => {
                        if let Some((reason, detail)) = fault {
                            records = 0;
                            rejects.push(self.reject_of(line, &raw[..end], reason, None, detail));
                        }
                        self.counts.headers += header.count;
                        glued += header.count;
                        self.upcoming = Some(self.met.shared(header.format));
                        covered = line + 1;
                    }
                    LineKind::StrangeHeader => {
                        self.counts.headers += 1;
                        records = 0;
                        self.will_be_lost = true;
                        covered = line + 1;
                    }
                    LineKind::Blank => {
                        self.counts.blanks += 1;
                        records = 0;
                    }
                    LineKind::Header(header) => {
                        self.counts.headers += header.count;
                        glued += header.count - 1;
                        records = 0;
                        if header.format != *format || self.is_lost || header.count > 1 {
                            self.upcoming = Some(self.met.shared(header.format));
                            covered = line + 1;
                        }
                    }
                    LineKind::Reject { reason, field, detail } => {
                        records = 0;
                        if reason == RejectReason::UnknownHeader && !self.is_lost {
                            self.will_be_lost = true;
                            covered = line + 1;
                        }
                        rejects.push(self.reject_of(line, raw, reason, field, detail));
                    }
                }
            } else {
                self.clean.extend_from_slice(raw);
                self.clean.push(b'\n');
            }
            for _ in 0..records {
                self.rows.push(Row { first: (self.rows.len() * fields) as u32 + 1, line: line as u32 });
            }
            if covered == line + 1 {
                break;
            }
        }
        self.backend.locate(&self.clean, &mut self.found);
        debug_assert_eq!(
            self.found.ends().len(),
            self.rows.len() * fields + 1,
            "each line put right has all fields"
        );
        if self.are_rows {
            // Where fields end is known by now.
            put_back(&mut self.clean);
        }
        (covered, glued)
    }
}

#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod tests;
