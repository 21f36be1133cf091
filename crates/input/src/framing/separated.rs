//! Tables whose values are separated by commas, tabs, semicolons, bars or Ctrl-A, with quotes or without, or by blanks, all in quotes: what
//! the console of CloudWatch, Logs Insights, Athena and spreadsheets save.

use std::sync::Arc;

use flowquet_format::{
    Catalogue, EventTimes, NAME_BYTES_MAX, event_ms, header_format, is_known_name, is_message,
    message_column, seconds_of,
};

use super::exports::is_time;
use super::names::{Fields, fields_of, fields_of_table, is_event_time, is_like_record, only_record};
use super::values::{CARRIED_MARK, Meaning, Spelling, push_value};
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Bytes of a row, quoted line breaks and all.
const ROW_BYTES_MAX: usize = 1 << 20;

/// Words of a column's name.
const NAME_WORDS_MAX: usize = 4;

/// What Hive and Athena separate values by, unless they are asked for something else.
pub(super) const CTRL_A: u8 = 1;

/// What the time of an event is called.
/// What the rows of the table are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// The first one is not read yet.
    Unknown,
    /// A value of the next one is a line, and so are those below it: that of the column which is called so, or the only one.
    Below(Option<usize>),
    /// This value of each holds a line.
    Message(usize),
    /// Each is a line, of those values that are kept.
    Fields(Vec<Option<Meaning>>),
    /// Each is a line.
    All,
    /// Behind a header that names some fields and others that nobody knows: no records, up to the next header.
    Lost,
}

/// Makes lines of rows.
#[derive(Debug)]
pub(super) struct Separated {
    separator: u8,
    catalogue: Arc<Catalogue>,
    rows: Rows,
    /// The last header as it stands: the next file begins with it, where files were joined.
    header: Vec<u8>,
    has_begun: bool,
    /// Lines that were made.
    lines: u64,
    /// The value of each row that is the time of its event.
    time: Option<usize>,
    /// Who is told these times.
    events: Option<EventTimes>,
}

impl Separated {
    pub(super) fn new(separator: u8, catalogue: Arc<Catalogue>, events: Option<EventTimes>) -> Self {
        Self {
            separator,
            catalogue,
            rows: Rows::Unknown,
            header: Vec::new(),
            has_begun: false,
            lines: 0,
            time: None,
            events,
        }
    }

    fn row(&mut self, row: &[u8], out: &mut Vec<u8>) {
        if !self.has_begun {
            out.extend_from_slice(CARRIED_MARK);
            self.has_begun = true;
        }
        // A last row may run into the header of the next file, which was joined to it without a newline; and a file may have no more.
        let (mut row, mut headers) = (row, 0);
        while !self.header.is_empty()
            && row.len() > self.header.len()
            && let Some(last) = row.strip_suffix(&*self.header)
        {
            row = without_end(last.strip_suffix(BYTE_ORDER_MARK).unwrap_or(last));
            headers += 1;
        }
        // Or into another one, wherever it was cut.
        if let Some(at) = self.header_at(row) {
            self.single_row(without_end(&row[..at]), out);
            row = &row[at..];
        }
        self.single_row(row, out);
        if headers > 0 {
            let header = self.header.clone();
            (0..headers).for_each(|_| self.single_row(&header, out));
        }
    }

    /// Where in a row of a table the header of another one begins, which was joined to it: all values from there on are names, and the first may stand behind
    /// what was cut.
    fn header_at(&self, row: &[u8]) -> Option<usize> {
        let columns = match &self.rows {
            Rows::Fields(columns) => columns.len(),
            Rows::Message(_) if !self.header.is_empty() => values_of(&self.header, self.separator).len(),
            _ => return None,
        };
        let begins = |value: &[u8]| value.iter().find(|b| **b != b'"').is_some_and(u8::is_ascii_alphabetic);
        let mut starts = vec![0];
        starts.extend(row.iter().enumerate().filter(|(_, b)| **b == self.separator).map(|(i, _)| i + 1));
        let is_value = |at: usize| starts.get(at).is_some_and(|start| !begins(&row[*start..]));
        // Rows have a number where others have names.
        let told = match &self.rows {
            Rows::Fields(columns) => {
                columns.iter().rposition(|m| matches!(m, Some(Meaning::Integer | Meaning::Time)))
            }
            _ => None,
        };
        if starts.len() == columns && told.is_none_or(|at| at == 0 || is_value(at)) {
            return None;
        }
        let first_name = (1..starts.len()).rev().take_while(|i| begins(&row[starts[*i]..])).last()?;
        // A header alone, and what may stand before one: a mark, a value without a name.
        let is_alone = first_name == 1 && begins(row);
        if is_alone || row.first().is_none_or(|b| *b == self.separator || *b == b'#') {
            return None;
        }
        // From the value before those that begin as names do.
        (first_name - 1..starts.len() - 1).find_map(|i| {
            let end = starts[i + 1] - 1;
            let first = end.saturating_sub(NAME_BYTES_MAX).max(starts[i]).max(1);
            let at = (first..end).find(|at| {
                let name = row[*at..end].trim_ascii();
                begins(&row[*at..*at + 1]) && is_known_name(name, &self.catalogue)
                    || std::str::from_utf8(name).is_ok_and(|n| is_message(n) || is_event_time(n))
            })?;
            let at = if row[..at].ends_with(b"\"") && row[at..end].ends_with(b"\"") { at - 1 } else { at };
            let values = values_of(&row[at..], self.separator);
            let names: Vec<&str> =
                values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
            let has_message = || names.len() > 1 && names.iter().any(|name| is_message(name));
            (may_be_names(&values) && (is_sure(&fields_of(&names, &self.catalogue)) || has_message()))
                .then_some(at)
        })
    }

    /// A row that no other one is joined to.
    fn single_row(&mut self, row: &[u8], out: &mut Vec<u8>) {
        if row.trim_ascii().is_empty() {
            out.push(b'\n');
            self.lines += 1;
            return;
        }
        if matches!(self.rows, Rows::Unknown | Rows::All)
            && let Some(line) = json_string(row)
            && is_line(&line, &self.catalogue, self.rows == Rows::All)
        {
            self.rows = Rows::All;
            self.lines += 1;
            push_raw(line.trim_ascii().as_bytes(), out);
            return;
        }
        let mut values = values_of(row, self.separator);
        if let Rows::Fields(columns) = &self.rows {
            // Some programs end each row with a separator, and not the header.
            while values.len() > columns.len() && values.last().is_some_and(Vec::is_empty) {
                values.pop();
            }
        }
        if let Rows::Below(named) = self.rows {
            let at = named.filter(|at| is_like_record_at(&values, *at)).or_else(|| only_record(&values));
            self.rows = at.map_or(Rows::All, Rows::Message);
        }
        if (self.rows == Rows::Unknown || may_be_names(&values)) && self.is_header(row, &values, out) {
            return;
        }
        // What a spreadsheet makes of a row without cells.
        if matches!(&self.rows, Rows::Fields(columns) if columns.len() > 1)
            && values.len() > 1
            && values.iter().all(|value| value.trim_ascii().is_empty())
        {
            out.push(b'\n');
            self.lines += 1;
            return;
        }
        self.lines += 1;
        if let (Some(events), Some(time)) = (&self.events, self.time.and_then(|at| values.get(at)))
            && let Some(ms) = std::str::from_utf8(time).ok().and_then(event_ms)
        {
            events.push(self.lines, ms);
        }
        match &self.rows {
            Rows::Message(at) => match values.get(*at) {
                Some(message) => push_raw(message.trim_ascii(), out),
                // No row of this table: a reject says so.
                None => push_raw(row, out),
            },
            // A spreadsheet has written fewer digits than it was given: nobody knows the number.
            Rows::Fields(columns) if columns.iter().zip(&values).any(|(m, value)| is_rounded(*m, value)) => {
                push_raw(row, out);
            }
            Rows::Fields(columns) if columns.len() == values.len() => {
                let kept =
                    values.iter().zip(columns).filter_map(|(value, meaning)| Some((value, (*meaning)?)));
                push_values(kept, out);
            }
            // A table by its header alone.
            Rows::Fields(columns) if values.len() == 1 && columns.iter().all(Option::is_some) => {
                push_raw(row, out)
            }
            Rows::Lost => push_raw(row, out),
            Rows::All => push_row(&values, out),
            Rows::Fields(_) | Rows::Below(_) | Rows::Unknown => {
                push_values(values.iter().map(|value| (value, Meaning::Text)), out);
            }
        }
    }

    /// Sees what rows are, by one that may be a header, and makes a header line of it where it is one. Returns whether it is no row
    /// itself.
    fn is_header(&mut self, row: &[u8], values: &[Vec<u8>], out: &mut Vec<u8>) -> bool {
        let names: Vec<&str> = values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
        let time = names.iter().position(|name| is_event_time(name));
        let message = names.iter().position(|name| is_message(name));
        let found = fields_of_table(&names, &self.catalogue);
        if let Some(at) = message {
            self.rows = Rows::Message(at);
            self.time = time;
            row.clone_into(&mut self.header);
            return true;
        }
        if is_sure(&found) {
            let fields: Vec<&str> = found.fields.iter().flatten().map(String::as_str).collect();
            out.extend_from_slice(fields.join(" ").as_bytes());
            out.push(b'\n');
            self.lines += 1;
            // What is kept as a field is none of an event's.
            self.time = time.filter(|at| found.fields[*at].is_none());
            let meaning =
                |field: &Option<String>| field.as_ref().map(|name| Meaning::of(name, &self.catalogue));
            self.rows = Rows::Fields(found.fields.iter().map(meaning).collect());
            row.clone_into(&mut self.header);
            return true;
        }
        if self.rows == Rows::Unknown {
            // Somebody saw a line in the row below it, or this is a row that has one.
            let is_names = may_be_names(values);
            // A title above the header is no record.
            if is_names
                && message_column(&names).is_none()
                && names.iter().filter(|n| !n.is_empty()).count() == 1
            {
                push_raw(row, out);
                self.lines += 1;
                return true;
            }
            let line = line_of_row(row, values);
            self.rows = match is_names {
                true => Rows::Below(message_column(&names)),
                false => line.map_or(Rows::All, Rows::Message),
            };
            if is_names {
                self.time = time;
                row.clone_into(&mut self.header);
                return true;
            }
        } else if found.known >= 2 {
            self.rows = Rows::Lost;
            self.time = None;
        }
        false
    }
}

impl Unframe for Separated {
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut at = 0;
        while at < text.len() && out.len() < max {
            let rest = &text[at..];
            let Some(end) = end_of_row(rest, is_last) else { break };
            let row = &rest[..end];
            let row = row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row);
            self.row(without_end(row), out);
            at += end;
        }
        Ok(at)
    }
}

/// Lines above a header that may be a title: what a spreadsheet or a report puts there.
const TITLE_LINES_MAX: usize = 8;

/// Bytes of such a line.
const TITLE_BYTES_MAX: usize = 1 << 10;

/// The separator of a text that has the header of a table below a title.
pub(super) fn separator_below_title(text: &[u8], catalogue: &Catalogue) -> Option<u8> {
    let mut lines = text.split(|b| *b == b'\n').take(TITLE_LINES_MAX);
    // Not below what is a log by itself.
    let is_title = |line: &&[u8]| {
        line.len() <= TITLE_BYTES_MAX
            && std::str::from_utf8(line).is_ok_and(|line| !is_like_record(line))
            && header_format(line, catalogue).is_none()
    };
    lines.next().filter(is_title)?;
    lines.take_while(is_title).find_map(|line| named_separator(line.trim_ascii_end(), catalogue))
}

/// The separator of a line that surely is a header of fields.
fn named_separator(line: &[u8], catalogue: &Catalogue) -> Option<u8> {
    let separator = line.iter().copied().find(is_separator)?;
    let values = values_of(line, separator);
    let names: Vec<&str> = values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
    (may_be_names(&values) && is_sure(&fields_of(&names, catalogue))).then_some(separator)
}

fn is_separator(byte: &u8) -> bool {
    matches!(*byte, b',' | b'\t' | b';' | b'|' | CTRL_A)
}

/// The separator of a text that begins with the header of a table, or a row of one without a header.
pub(super) fn separator_of(text: &[u8], catalogue: &Catalogue) -> Option<u8> {
    let (line, below) = text.split_at(text.iter().position(|b| *b == b'\n').unwrap_or(text.len()));
    let line = line.trim_ascii_end();
    if json_string(line).is_some_and(|string| is_line(&string, catalogue, false)) {
        return Some(b',');
    }
    // Blanks are no separators but of values in quotes.
    if below.trim_ascii_start().split(|b| *b == b'\n').next().is_some_and(has_quoted_word)
        && (are_quoted_words(line) || header_format(line, catalogue).is_some())
    {
        return Some(b' ');
    }
    let Some(separator) = line.iter().copied().find(is_separator) else {
        // A table of one column.
        let value = values_of(line, b',').swap_remove(0);
        let value = std::str::from_utf8(&value).ok()?;
        return (is_message(value) || has_line_below(&[value], below, b',')).then_some(b',');
    };
    let values = values_of(line, separator);
    let names: Vec<&str> = values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
    let is_header = names.iter().any(|name| is_message(name)) || is_sure(&fields_of(&names, catalogue));
    let has_line = || may_be_names(&values) && has_line_below(&names, below, separator);
    (is_header || is_row(&names) || line_of_row(line, &values).is_some() || has_line()).then_some(separator)
}

/// Whether each word of a line is in quotes, of at least two.
fn are_quoted_words(line: &[u8]) -> bool {
    let is_quoted = |word: &[u8]| word.len() > 1 && word.starts_with(b"\"") && word.ends_with(b"\"");
    line.contains(&b' ') && line.split(|b| *b == b' ').all(is_quoted)
}

fn has_quoted_word(line: &[u8]) -> bool {
    line.contains(&b' ') && line.split(|b| *b == b' ').any(|word| word.starts_with(b"\""))
}

/// A line in quotes, as `jq` prints it: a string of JSON, with its escapes, and nothing else.
fn json_string(line: &[u8]) -> Option<String> {
    let line = line.trim_ascii();
    if !(line.starts_with(b"\"") && line.ends_with(b"\"")) {
        return None;
    }
    serde_json::from_slice(line).ok()
}

/// Whether a string is a line: it is like a record or a header, or, behind one that was, anything but a value.
fn is_line(string: &str, catalogue: &Catalogue, is_behind_one: bool) -> bool {
    let words: Vec<&str> = string.split_ascii_whitespace().collect();
    (is_behind_one && !string.is_empty()) || is_like_record(string) || is_sure(&fields_of(&words, catalogue))
}

/// Whether the row below these names has a line where one of them may be that of a column of lines, or surely has one anywhere.
fn has_line_below(names: &[&str], below: &[u8], separator: u8) -> bool {
    let below = below.trim_ascii_start();
    let Some(end) = end_of_row(below, true) else { return false };
    let values = values_of(without_end(&below[..end]), separator);
    let has_named = || message_column(names).is_some_and(|at| is_like_record_at(&values, at));
    let are_names = || names.len() > 1 && names.iter().all(|n| n.split(' ').count() <= NAME_WORDS_MAX);
    let has_only = || are_names() && only_record(&values).is_some();
    values.len() == names.len() && (has_named() || has_only())
}

/// The place of the line in a row of a table without a header. A flow log's own values may hold commas: so the row is in quotes, or begins
/// with a time and a separator.
fn line_of_row(row: &[u8], values: &[Vec<u8>]) -> Option<usize> {
    let is_of_event = |value: &Vec<u8>| {
        is_time(value) || std::str::from_utf8(value).is_ok_and(|text| event_ms(text).is_some())
    };
    let is_table = row.starts_with(b"\"") || values.first().is_some_and(is_of_event);
    only_record(values).filter(|_| values.len() > 1 && is_table)
}

fn is_like_record_at(values: &[Vec<u8>], at: usize) -> bool {
    values.get(at).is_some_and(|value| std::str::from_utf8(value).is_ok_and(is_like_record))
}

/// Whether names are surely those of a flow log's table.
fn is_sure(names: &Fields) -> bool {
    names.is_sure || names.is_all
}

/// Whether these are the values of a flow log's record: at least three, none of which has blanks, and among them an address or a time,
/// or word that there is no data. The time of an event may stand before them.
fn is_row(values: &[&str]) -> bool {
    let values = if values.first().is_some_and(|v| is_time(v.as_bytes())) { &values[1..] } else { values };
    let is_number = |v: &str| v.bytes().all(|b| b.is_ascii_digit());
    let is_seconds = |v: &str| matches!(v.len(), 10 | 13) && is_number(v);
    let is_address = |v: &str| v.parse::<std::net::IpAddr>().is_ok();
    // Of ids, and of tags, whose other characters are encoded.
    let is_of_word = |b: u8| b.is_ascii_alphanumeric() || b"-:/_.%+=@".contains(&b);
    let is_word = |v: &str| v.bytes().all(is_of_word);
    values.len() >= 3
        && values.iter().all(|v| is_word(v) || is_address(v) || *v == "\\N")
        && values.iter().any(|v| is_address(v) || is_seconds(v) || matches!(*v, "NODATA" | "SKIPDATA"))
}

/// Whether values may be names: none begins with a digit, or stands for no value.
fn may_be_names(values: &[Vec<u8>]) -> bool {
    let is_name = |v: &Vec<u8>| v.first().is_none_or(|b| b.is_ascii_alphabetic() || matches!(b, b'@' | b'_'));
    values.iter().all(is_name) && values.iter().any(|v| !v.is_empty())
}

/// Whether a value is a number as a spreadsheet shows one that is too long for its cell: `1.70E+09`.
fn is_rounded(meaning: Option<Meaning>, value: &[u8]) -> bool {
    let is_number = matches!(meaning, Some(Meaning::Account | Meaning::Integer | Meaning::Time));
    let is_of_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'E' | b'+');
    is_number && value.windows(2).any(|two| two == b"E+") && value.iter().all(is_of_number)
}

/// A row without a header: all its values, but the time of its event before them. Where none of them is a number of seconds, times are.
fn push_row(values: &[Vec<u8>], out: &mut Vec<u8>) {
    let is_seconds = |value: &Vec<u8>| matches!(value.len(), 10 | 13) && value.iter().all(u8::is_ascii_digit);
    let is_written = |value: &Vec<u8>| is_time(value) && !is_seconds(value);
    let has_seconds = values.iter().any(is_seconds);
    let is_behind_time = has_seconds && values.len() > 1 && is_written(&values[0]);
    let meaning = |value: &Vec<u8>| {
        let is_time = !has_seconds && std::str::from_utf8(value).is_ok_and(|v| seconds_of(v).is_some());
        if is_time { Meaning::Time } else { Meaning::Text }
    };
    push_values(values[usize::from(is_behind_time)..].iter().map(|value| (value, meaning(value))), out);
}

fn push_values<'a>(values: impl Iterator<Item = (&'a Vec<u8>, Meaning)>, out: &mut Vec<u8>) {
    for (i, (value, meaning)) in values.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        push_value(value, meaning, Spelling::Cell, out);
    }
    out.push(b'\n');
}

/// A row without what ends its line. A tab there is a value's.
fn without_end(row: &[u8]) -> &[u8] {
    let end = row.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | b' ')).map_or(0, |last| last + 1);
    &row[..end]
}

/// A row as one line, in which no byte stands for another.
fn push_raw(row: &[u8], out: &mut Vec<u8>) {
    let is_text = std::str::from_utf8(row).is_ok();
    out.extend(row.iter().map(|b| match b {
        b'\n' | b'\r' => b' ',
        0xfc.. if !is_text => 0xff,
        b => *b,
    }));
    out.push(b'\n');
}

/// Where a row ends, its line break included, if that can be told. A quoted line break is no end; a quote that is not closed within
/// the longest row ends with its line.
fn end_of_row(text: &[u8], is_last: bool) -> Option<usize> {
    let is_long = text.len() >= ROW_BYTES_MAX;
    let text = &text[..text.len().min(ROW_BYTES_MAX)];
    let Some(first) = text.iter().position(|b| *b == b'\n') else {
        return (is_long || is_last).then_some(text.len());
    };
    if !text[..first].contains(&b'"') || json_string(&text[..first]).is_some() {
        return Some(first + 1);
    }
    let mut is_quoted = false;
    for (i, b) in text.iter().enumerate() {
        match b {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return Some(i + 1),
            _ => {}
        }
    }
    match (is_long, is_last) {
        (false, false) => None,
        (false, true) if !is_quoted => Some(text.len()),
        _ => Some(first + 1),
    }
}

/// The values of a row, without their quotes.
pub(super) fn values_of(row: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut values = vec![Vec::new()];
    let mut is_quoted = false;
    // Up to where the value is kept, whatever blanks it ends in.
    let mut kept = 0;
    let trim = |value: &mut Vec<u8>, kept: usize| {
        let end = value.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
        value.truncate(end.max(kept));
    };
    let mut bytes = row.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let value = values.last_mut().expect("begins with one");
        match b {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                value.push(b'"');
            }
            b'"' if is_quoted => (is_quoted, kept) = (false, value.len()),
            b'"' if value.is_empty() => is_quoted = true,
            _ if b == separator && !is_quoted => {
                trim(value, kept);
                kept = 0;
                values.push(Vec::new());
            }
            // Blanks around a value without quotes are none of it.
            b' ' if !is_quoted && value.is_empty() => {}
            _ => value.push(b),
        }
    }
    if !is_quoted {
        trim(values.last_mut().expect("begins with one"), kept);
    }
    values
}

#[cfg(test)]
mod tests;
