//! A look at one object: what it is, and what its first lines hold, by the reader and the parser that a conversion uses.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use flowquet_format::{
    CARRIED_MARK, Catalogue, FieldKind, LogFormat, ObjectKey, TIME_MAX_S, TIME_MIN_S, guess_format, put_back,
};
use flowquet_input::{Framing, Input, Position, ReadError, Reader, Shape};
use flowquet_parquet::{FileLayout, Ranges, RowReader, RowsError, Wanted};
use flowquet_parse::{Block, IntegerColumns, NULL, ObjectError, Parser, Reject, Step};
use flowquet_table::{Cause, Counts, Options, Reading, SourceObject};

use crate::context::wanted_columns;
use crate::worker::cause_of;

/// Objects of up to this size are inflated whole, into a text of up to that size: so that what is remote is mostly fetched once. Longer ones
/// are streamed.
const WHOLE_OBJECT_BYTES_MAX: u64 = 4 << 20;
const WHOLE_TEXT_BYTES_MAX: usize = 64 << 20;

/// Rejects that are kept.
const REJECTS_MAX: usize = 100;

/// Log formats of one object that are kept.
const FORMATS_MAX: usize = 8;

/// Words of `log-status` that are counted one by one.
const STATUSES_MAX: usize = 8;

/// Rows are shown of a Parquet file whose first row group has no more bytes than this: it is read as a whole.
const ROW_GROUP_BYTES_MAX: i64 = 64 << 20;

/// How much of an object is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Text that is read, in bytes, give or take a window.
    pub text_bytes: u64,
    /// Records that are kept.
    pub records: usize,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Compression and framing, as far as it came to that.
    pub shape: Shape,
    /// What it holds.
    pub found: Found,
    /// Where it is damaged. What could be read before that is in `found`.
    pub damage: Option<String>,
    /// Of a Parquet file: what it is made of.
    pub layout: Option<FileLayout>,
}

/// What an object holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Lines of a flow log.
    Log(Box<Lines>),
    /// No line, or none but blanks. Test objects and control messages of CloudWatch are such.
    Nothing,
    /// Nothing that a conversion takes, and why.
    NotConverted(Cause),
}

/// How a log format is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToldBy {
    /// The columns of a Parquet file, or of a table in text or JSON.
    Columns,
    /// Whoever asks gave it.
    Given,
    /// Nobody told: its lines fit this default. A conversion has to be given it.
    Guess,
    /// The header line.
    Header,
}

impl ToldBy {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Given => "given",
            Self::Guess => "guess",
            Self::Header => "header",
        }
    }
}

/// Lines of a flow log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The log formats, in the order in which they come; objects that were joined have several.
    pub formats: Vec<Arc<LogFormat>>,
    /// How the first is known.
    pub told_by: ToldBy,
    /// Lines that were read.
    pub counts: Counts,
    /// Whether those are all.
    pub is_whole: bool,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Records by `log-status`.
    pub statuses: BTreeMap<String, u64>,
    /// Smallest and largest time of a record, in Unix seconds.
    pub times: Option<(i64, i64)>,
    /// The first records that have the first format: values in the order of its fields.
    pub records: Vec<Vec<String>>,
    /// The first rejects.
    pub rejects: Vec<Reject>,
}

/// Looks at objects, one after the other.
#[derive(Debug)]
pub struct Looker {
    catalogue: Arc<Catalogue>,
    reading: Reading,
    /// Of the object that is looked at.
    given: Vec<Arc<LogFormat>>,
    wanted: Wanted,
    reader: Reader,
}

impl Looker {
    /// Looks at objects as a conversion with `options` reads them.
    pub fn new(options: &Options) -> Self {
        let (catalogue, reading) = (options.catalogue().clone(), options.reading.clone());
        let (given, wanted) = (reading.formats().to_vec(), wanted_columns(options));
        Self { reader: Reader::new(catalogue.clone(), wanted.clone()), catalogue, reading, given, wanted }
    }

    /// Looks at `object` next, whose key may tell which format it has.
    pub(crate) fn expect(&mut self, object: &SourceObject) {
        self.given = self.reading.formats_of(ObjectKey::flow_log_id_of(object.url())).to_vec();
    }

    /// Looks at an object of text of `bytes` bytes, compressed or not; `u64::MAX` where its size is not known. If `is_part`, what comes behind
    /// the bytes that were fetched is not asked for, and their end is no damage.
    ///
    /// # Errors
    /// As whoever has the object's bytes reports.
    pub fn look<E: StdError + Send + Sync + 'static>(
        &mut self,
        input: Input<'_, E>,
        bytes: u64,
        is_part: bool,
        limits: Limits,
    ) -> Result<Look, E> {
        let mut taker = LineTaker::new(self.catalogue.clone(), self.given.clone(), limits, is_part);
        let whole_max = if bytes <= WHOLE_OBJECT_BYTES_MAX { WHOLE_TEXT_BYTES_MAX } else { 0 };
        let mut take = |window: &[u8], position| taker.take(window, position);
        let read = self.reader.read(input, bytes, whole_max, true, &mut take);
        let shape = self.reader.shape();
        let mut damage = None;
        let mut refused = None;
        match read {
            Ok(damaged) => damage = damaged.filter(|_| !is_part),
            Err(ReadError::Consumer(Ended::Enough)) => {}
            Err(ReadError::Consumer(Ended::NotConverted(cause))) => refused = Some(cause),
            Err(ReadError::Damaged(what)) => refused = Some(Cause::Damaged(what)),
            Err(ReadError::Refused(what)) => refused = Some(Cause::NotALog(what.0)),
            Err(ReadError::Source(error)) => return Err(error),
        }
        let found = match (refused, &damage) {
            (Some(cause), _) => Found::NotConverted(cause),
            (None, None) if taker.lines.counts.lines == taker.lines.counts.blanks => Found::Nothing,
            (None, Some(damage)) if taker.lines.counts.records + taker.lines.counts.headers == 0 => {
                Found::NotConverted(Cause::Damaged(damage.clone()))
            }
            (None, _) if taker.lines.fits_nothing() => Found::NotConverted(taker.lines.no_line_fits()),
            (None, _) => {
                let mut lines = taker.lines;
                let is_table = matches!(shape.framing, Some(Framing::Separated(_) | Framing::Documents));
                if lines.told_by == ToldBy::Header && is_table {
                    lines.told_by = ToldBy::Columns;
                }
                lines.is_whole &= !is_part;
                Found::Log(Box::new(lines))
            }
        };
        Ok(Look { shape, found, damage, layout: None })
    }

    /// Looks at a Parquet file of `bytes` bytes.
    ///
    /// # Errors
    /// As whoever has the file's bytes reports.
    pub fn look_at_parquet<E>(
        &mut self,
        bytes: u64,
        ranges: Ranges<'_, E>,
        limits: Limits,
    ) -> Result<Look, E> {
        let shape = Shape { compression: Some(flowquet_input::Compression::Parquet), ..Shape::default() };
        let not_converted = |cause: Cause, layout| {
            let damage = if let Cause::Damaged(what) = &cause { Some(what.clone()) } else { None };
            Look { shape, found: Found::NotConverted(cause), damage, layout }
        };
        let reader = match RowReader::open(bytes, ranges) {
            Ok(reader) => reader,
            Err(RowsError::File(what)) => return Ok(not_converted(Cause::Damaged(what), None)),
            Err(RowsError::Other(error)) => return Err(error),
        };
        let layout = reader.layout();
        let lines = match reader.lines(&self.wanted) {
            Ok(lines) => lines,
            Err(what) => return Ok(not_converted(Cause::NotALog(what), Some(layout))),
        };
        // Where a column holds whole lines, they say what they are as lines of text do.
        let format = lines.format().cloned().map(Arc::new);
        let given = if format.is_some() { Vec::new() } else { self.given.clone() };
        let mut taker = LineTaker::new(self.catalogue.clone(), given, limits, true);
        let (mut damage, mut refused) = (None, None);
        if limits.records > 0 && reader.rows() > 0 && layout.first_group_bytes <= ROW_GROUP_BYTES_MAX {
            // The first batch of rows is enough, and more than is shown.
            let ranges = |range| ranges(range).map_err(Some);
            let read = reader.read_lines(&lines, &ranges, &mut |text| {
                let is_text = std::str::from_utf8(text).is_ok();
                let text = [&lines.header(!is_text), text].concat();
                if let Err(Ended::NotConverted(cause)) = taker.take(&text, Position::Last) {
                    refused = Some(cause);
                }
                Err(None)
            });
            match read {
                Ok(()) | Err(RowsError::Other(None)) => {}
                Err(RowsError::Other(Some(error))) => return Err(error),
                Err(RowsError::File(what)) => damage = Some(what),
            }
        }
        if let Some(cause) = refused {
            return Ok(not_converted(cause, Some(layout)));
        }
        let mut lines = taker.lines;
        let rows = reader.rows();
        match format {
            Some(format) => {
                lines.formats = vec![format];
                lines.told_by = ToldBy::Columns;
                lines.is_whole = lines.counts.records + lines.counts.rejects == rows;
                lines.counts.headers = 0;
                lines.counts.lines = lines.counts.records + lines.counts.rejects;
            }
            None if lines.fits_nothing() => return Ok(not_converted(lines.no_line_fits(), Some(layout))),
            None => lines.is_whole = lines.counts.lines >= rows,
        }
        Ok(Look { shape, found: Found::Log(Box::new(lines)), damage, layout: Some(layout) })
    }
}

/// Why windows are not taken any more.
enum Ended {
    /// So much was asked for.
    Enough,
    /// A conversion would not take the object.
    NotConverted(Cause),
}

/// Takes windows of lines, and keeps what is told of them.
struct LineTaker {
    catalogue: Arc<Catalogue>,
    parser: Parser,
    limits: Limits,
    /// Nothing is known of what comes behind the last window.
    is_part: bool,
    integers: IntegerColumns,
    /// The format whose integer columns those are.
    integers_of: Option<Arc<LogFormat>>,
    rejects: Vec<Reject>,
    lines: Lines,
}

impl LineTaker {
    fn new(catalogue: Arc<Catalogue>, given: Vec<Arc<LogFormat>>, limits: Limits, is_part: bool) -> Self {
        let lines = Lines {
            formats: Vec::new(),
            told_by: if given.is_empty() { ToldBy::Header } else { ToldBy::Given },
            counts: Counts::default(),
            is_whole: true,
            text_bytes: 0,
            statuses: BTreeMap::new(),
            times: None,
            records: Vec::new(),
            rejects: Vec::new(),
        };
        let parser = Parser::new(catalogue.clone(), given);
        let (integers, rejects) = (IntegerColumns::default(), Vec::new());
        Self { catalogue, parser, limits, is_part, integers, integers_of: None, rejects, lines }
    }

    fn take(&mut self, window: &[u8], position: Position) -> Result<usize, Ended> {
        let last_newline = || window.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        // Of a text that is cut off only whole lines are taken, unless there is none.
        let whole = match position {
            Position::Cut => last_newline(),
            Position::Last if self.is_part && last_newline() > 0 => last_newline(),
            _ => window.len(),
        };
        let mut at = 0;
        loop {
            if self.lines.text_bytes >= self.limits.text_bytes {
                self.lines.is_whole = at == window.len() && position == Position::Last;
                return Err(Ended::Enough);
            }
            let last = position != Position::More;
            let step = match self.parser.next_block(&window[at..whole], last, &mut self.rejects) {
                Err(ObjectError::NoFormat(first)) if self.lines.told_by != ToldBy::Guess => {
                    let lines = &window[at..whole];
                    let lines = lines.strip_prefix(CARRIED_MARK).unwrap_or(lines);
                    let guess = guess_format(lines, &self.catalogue);
                    let guess = guess.ok_or(Ended::NotConverted(Cause::NoHeader(first)))?;
                    self.parser = Parser::new(self.catalogue.clone(), Some(Arc::new(guess)));
                    self.lines.told_by = ToldBy::Guess;
                    continue;
                }
                step => step.map_err(|e| Ended::NotConverted(cause_of(e)))?,
            };
            let taken = match step {
                Step::Done | Step::NeedMore => break,
                Step::Skipped(len) => len,
                Step::Block { consumed, mut block } => {
                    if self.integers_of.as_ref() != Some(block.format()) {
                        let fields = block.format().fields().iter().enumerate();
                        let integers = fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?)));
                        self.integers = IntegerColumns::new(integers.collect());
                        let format = block.format().clone();
                        self.integers_of = Some(format.clone());
                        if self.lines.formats.len() < FORMATS_MAX && !self.lines.formats.contains(&format) {
                            self.lines.formats.push(format);
                        }
                    }
                    if self.integers.parse(&block) {
                        block.reject_bad_integers(&mut self.integers, &mut self.rejects);
                    }
                    self.lines.add(&block, &self.integers, self.limits.records);
                    consumed
                }
            };
            at += taken;
            self.lines.text_bytes += taken as u64;
            self.settle();
        }
        if position == Position::Cut {
            self.parser.cut_short(&window[whole..], &mut self.rejects);
            at = window.len();
        }
        self.settle();
        Ok(if position == Position::More { at } else { window.len() })
    }

    /// Brings counts up to date.
    fn settle(&mut self) {
        let (lines, counts) = (&mut self.lines, self.parser.counts());
        if lines.formats.is_empty()
            && let Some(format) = self.parser.format()
        {
            lines.formats.push(format.clone());
        }
        if self.parser.has_header() && lines.counts.records == 0 && lines.told_by == ToldBy::Given {
            lines.told_by = ToldBy::Header;
        }
        (lines.counts.lines, lines.counts.headers, lines.counts.blanks) =
            (counts.lines, counts.headers, counts.blanks);
        lines.counts.rejects += self.rejects.len() as u64;
        let room = REJECTS_MAX.saturating_sub(lines.rejects.len());
        lines.rejects.extend(self.rejects.drain(..).take(room));
    }
}

impl Lines {
    /// Whether a format was given, and no line fits it.
    fn fits_nothing(&self) -> bool {
        let Counts { records, rejects, headers, .. } = self.counts;
        self.told_by == ToldBy::Given && records == 0 && rejects > 0 && headers == 0
    }

    fn no_line_fits(&self) -> Cause {
        let first = self.rejects.first().map(|r| format!("line {}: {}", r.line, r.detail));
        Cause::NoLineFits { lines: self.counts.rejects, first: first.unwrap_or_default() }
    }

    /// Adds the records of a block, whose integers are parsed.
    fn add(&mut self, block: &Block<'_>, integers: &IntegerColumns, records_max: usize) {
        self.counts.records += block.rows().len() as u64;
        let fields = block.format().fields();
        if let Some(status) = block.format().position("log-status") {
            for row in block.rows() {
                let word = String::from_utf8_lossy(block.field(*row, status));
                let is_full = self.statuses.len() >= STATUSES_MAX && !self.statuses.contains_key(&*word);
                let word = if is_full { "other".to_owned() } else { word.into_owned() };
                *self.statuses.entry(word).or_default() += 1;
            }
        }
        for column in 0..integers.len() {
            let kind = fields[integers.field(column)].spec().map(|s| s.kind);
            if kind == Some(FieldKind::Time) {
                let is_time = |t: &&i64| **t != NULL && (TIME_MIN_S..TIME_MAX_S).contains(*t);
                for time in integers.column(column).iter().filter(is_time) {
                    let (first, last) = self.times.unwrap_or((*time, *time));
                    self.times = Some((first.min(*time), last.max(*time)));
                }
            }
        }
        if self.formats.first() == Some(block.format()) {
            let room = records_max.saturating_sub(self.records.len());
            for row in block.rows().iter().take(room) {
                let values = (0..fields.len()).map(|f| {
                    let mut value = block.field(*row, f).to_vec();
                    put_back(&mut value);
                    String::from_utf8_lossy(&value).into_owned()
                });
                self.records.push(values.collect());
            }
        }
    }
}
