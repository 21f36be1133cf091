//! Tables whose values are separated by commas, tabs, semicolons, bars or Ctrl-A, with quotes or without, or by blanks, all in quotes: what
//! the console of CloudWatch, Logs Insights, Athena and spreadsheets save.

use std::sync::Arc;

use flowquet_format::{Catalogue, EventTimes, event_ms, is_message, message_column};

use super::names::{Fields, fields_of, is_like_record, only_record};
use super::values::{CARRIED_MARK, Meaning, Spelling, push_value};
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Bytes of a row, quoted line breaks and all.
const ROW_BYTES_MAX: usize = 1 << 20;

/// Words of a column's name.
const NAME_WORDS_MAX: usize = 4;

/// What Hive and Athena separate values by, unless they are asked for something else.
pub(super) const CTRL_A: u8 = 1;

/// What the time of an event is called.
const TIMES: [&str; 2] = ["timestamp", "@timestamp"];

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
        self.single_row(row, out);
        if headers > 0 {
            let header = self.header.clone();
            (0..headers).for_each(|_| self.single_row(&header, out));
        }
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
        let values = values_of(row, self.separator);
        if let Rows::Below(named) = self.rows {
            let at = named.filter(|at| is_like_record_at(&values, *at)).or_else(|| only_record(&values));
            self.rows = at.map_or(Rows::All, Rows::Message);
        }
        if (self.rows == Rows::Unknown || may_be_names(&values)) && self.is_header(row, &values, out) {
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
            Rows::Fields(_) | Rows::All | Rows::Below(_) | Rows::Unknown => {
                push_values(values.iter().map(|value| (value, Meaning::Text)), out);
            }
        }
    }

    /// Sees what rows are, by one that may be a header, and makes a header line of it where it is one. Returns whether it is no row
    /// itself.
    fn is_header(&mut self, row: &[u8], values: &[Vec<u8>], out: &mut Vec<u8>) -> bool {
        let names: Vec<&str> = values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
        let is_time = |name: &&str| TIMES.iter().any(|time| time.eq_ignore_ascii_case(name));
        let time = names.iter().position(is_time);
        let message = names.iter().position(|name| is_message(name));
        let found = fields_of(&names, &self.catalogue);
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

/// The separator of a text that begins with the header of a table, or a row of one without a header.
pub(super) fn separator_of(text: &[u8], catalogue: &Catalogue) -> Option<u8> {
    let (line, below) = text.split_at(text.iter().position(|b| *b == b'\n').unwrap_or(text.len()));
    let line = line.trim_ascii_end();
    if json_string(line).is_some_and(|string| is_line(&string, catalogue, false)) {
        return Some(b',');
    }
    // Blanks are no separators but of values in quotes.
    if are_quoted_words(line)
        && below.trim_ascii_start().split(|b| *b == b'\n').next().is_some_and(has_quoted_word)
    {
        return Some(b' ');
    }
    let is_separator = |b: &u8| matches!(*b, b',' | b'\t' | b';' | b'|' | CTRL_A);
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
    let is_time = |value: &Vec<u8>| std::str::from_utf8(value).is_ok_and(|text| event_ms(text).is_some());
    let is_table = row.starts_with(b"\"") || values.first().is_some_and(is_time);
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
/// or word that there is no data.
fn is_row(values: &[&str]) -> bool {
    let is_number = |v: &str| v.bytes().all(|b| b.is_ascii_digit());
    let is_time = |v: &str| matches!(v.len(), 10 | 13) && is_number(v);
    let is_address = |v: &str| v.parse::<std::net::IpAddr>().is_ok();
    let is_word =
        |v: &str| v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'/' | b'_'));
    values.len() >= 3
        && values.iter().all(|v| is_word(v) || is_address(v) || *v == "\\N")
        && values.iter().any(|v| is_address(v) || is_time(v) || matches!(*v, "NODATA" | "SKIPDATA"))
}

/// Whether values may be names: none begins with a digit, or stands for no value.
fn may_be_names(values: &[Vec<u8>]) -> bool {
    let is_name = |v: &Vec<u8>| v.first().is_none_or(|b| b.is_ascii_alphabetic() || matches!(b, b'@' | b'_'));
    values.iter().all(is_name) && values.iter().any(|v| !v.is_empty())
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
mod tests {
    use flowquet_format::put_back;

    use super::*;

    fn lines_at_once(text: &str, separator: u8) -> String {
        let mut whole = Vec::new();
        let mut unframe = Separated::new(separator, Arc::new(Catalogue::builtin().clone()), None);
        assert_eq!(unframe.push(text.as_bytes(), true, usize::MAX, &mut whole).expect("a table"), text.len());
        let mut lines = whole.strip_prefix(CARRIED_MARK).unwrap_or(&whole).to_vec();
        put_back(&mut lines);
        String::from_utf8(lines).expect("text")
    }

    fn lines(text: &str, separator: u8) -> String {
        let whole = lines_at_once(text, separator);
        let catalogue = Arc::new(Catalogue::builtin().clone());
        // The same, byte by byte.
        let (mut unframe, mut pieces, mut at) = (Separated::new(separator, catalogue, None), Vec::new(), 0);
        for end in 1..=text.len() {
            let is_last = end == text.len();
            at += unframe.push(&text.as_bytes()[at..end], is_last, usize::MAX, &mut pieces).expect("a table");
        }
        let mut pieces = pieces.strip_prefix(CARRIED_MARK).unwrap_or(&pieces).to_vec();
        put_back(&mut pieces);
        assert_eq!(String::from_utf8(pieces).expect("text"), whole);
        whole
    }

    #[test]
    fn tables() {
        let line = "2 1 10.0.0.5 443 6 -";
        let expected_line = format!("{line}\n");
        for (text, separator) in [
            (format!("when,what\n1,{line}\n"), b','),
            (format!("1704067200000,{line}\n"), b','),
            (format!("\"x\";\"{line}\"\n"), b';'),
        ] {
            assert_eq!(separator_of(text.as_bytes(), Catalogue::builtin()), Some(separator), "{text}");
            assert_eq!(lines(&text, separator), expected_line, "{text}");
        }
        // Lines whose own values have commas.
        for text in [format!("{line} a,b\n{line} a,b\n"), format!("a,b {line}\n{line} a,b\n")] {
            assert_eq!(separator_of(text.as_bytes(), Catalogue::builtin()), None, "{text}");
        }
        for (text, separator, expected) in [
            ("version\x01srcaddr\x01start\n2\x01\\N\x011\n", 1, "version srcaddr start\n2 - 1\n"),
            (
                "\"version\" \"srcaddr\" \"start\"\n2 \"10.0.0.1\" 1\n",
                b' ',
                "version srcaddr start\n2 10.0.0.1 1\n",
            ),
            (
                " version | srcaddr | start\n 2 | 10.0.0.1 | 1\n",
                b'|',
                "version srcaddr start\n2 10.0.0.1 1\n",
            ),
            ("timestamp,message\n1704067200000,\"2 1 eni-1\"\n", b',', "2 1 eni-1\n"),
            ("timestamp,message\n1,\"2 1\n\"\n2,\"a \"\"b\"\"\"", b',', "2 1\na \"b\"\n"),
            (
                "version,account_id,srcAddr\n2,1,10.0.0.1\n2,,\r\n",
                b',',
                "version account-id srcaddr\n2 1 10.0.0.1\n2 - -\n",
            ),
            (
                "@timestamp,srcAddr,dstAddr\n2024-01-01 00:00:00.000,10.0.0.1,10.0.0.2\n",
                b',',
                "srcaddr dstaddr\n10.0.0.1 10.0.0.2\n",
            ),
            ("version\taccount-id\tend\n2\t1\t\n\n", b'\t', "version account-id end\n2 1 -\n\n"),
            (
                "\u{feff}\"version\", \"account-id\", \"end\"\n\"2\", \"1\", \"3\"\n",
                b',',
                "version account-id end\n2 1 3\n",
            ),
            ("2,1,eni-1,10.0.0.1,10.0.0.2,1,2,6,3\n", b',', "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3\n"),
            ("start,srcaddr\n2,10.0.0.1,more\n", b',', "start srcaddr\n2 10.0.0.1 more\n"),
            (
                "start,srcaddr,team\n2.0,10.0.0.1,\"a, b\"\n\\N,nan,\" x\"\n",
                b',',
                "start srcaddr team\n2 10.0.0.1 a, b\n- -  x\n",
            ),
            // Files that were joined, with a newline or without.
            (
                "timestamp,message\n1,2 atimestamp,message\n2,2 b\nmessage,timestamp\n2 c,3\n",
                b',',
                "2 a\n2 b\n2 c\n",
            ),
            ("start,srcaddr\n1,aBstart,srcaddr\n2,b\n", b',', "start srcaddr\n1 aB\nstart srcaddr\n2 b\n"),
            (
                "x,start,srcaddr\n7,1,a\nsrcaddr,x,start\nb,7,2\n",
                b',',
                "x start srcaddr\n7 1 a\nsrcaddr x start\nb 7 2\n",
            ),
            // A header that nobody understands ends the one before it.
            (
                "start,end,srcaddr\n1,2,a\nsource,to,start,end,at,now,then\nb,1\nsrcaddr,start\nc,3\n",
                b',',
                "start end srcaddr\n1 2 a\nsource,to,start,end,at,now,then\nb,1\nsrcaddr start\nc 3\n",
            ),
            ("message\n2 a\n", b',', "2 a\n"),
            ("message\n2 amessagemessage\n2 b\n", b',', "2 a\n2 b\n"),
            ("start,srcaddr,action\n1 a b\n", b',', "start srcaddr action\n1 a b\n"),
            ("timestamp|message\n1|2 a\n", b'|', "2 a\n"),
            ("timestamp,message\n1,\"2 1\n2,\"2 2\"\n", b',', "2 1\n2 2\n"),
            // A column of lines by another name, and lines in quotes.
            ("\"_time\",\"_raw\"\n\"1\",\"2 1 10.0.0.1\"\n2,x\n", b',', "2 1 10.0.0.1\nx\n"),
            ("Time;_source.message\n1;2 1 10.0.0.1\n", b';', "2 1 10.0.0.1\n"),
            ("\"log\"\n\"2 1 - - NODATA\"\n", b',', "2 1 - - NODATA\n"),
            ("\"2 1 10.0.0.1\"\n\"2 - -\"\n\n", b',', "2 1 10.0.0.1\n2 - -\n\n"),
            (
                r#""2 a,b \"\u00fc\" \\ 10.0.0.1"
"2 x"
"#,
                b',',
                "2 a,b \"ü\" \\ 10.0.0.1\n2 x\n",
            ),
        ] {
            assert_eq!(lines(text, separator), expected, "{text:?}");
        }
    }

    #[test]
    fn times_of_events() {
        for (text, expected) in [
            (
                "timestamp,message\n1704067200001,\"2 1 a\"\n\nx,2 1 b\n2024-01-01T00:00:00.002Z,2 1 c\n",
                vec![Some(1), None, None, Some(2)],
            ),
            // Joined without a newline, and with another order of columns.
            (
                "timestamp,message\n1704067200001,2 atimestamp,message\n1704067200002,2 b\nmessage,timestamp\n2 c,1704067200003\n",
                vec![Some(1), Some(2), Some(3)],
            ),
            ("message\n2 a\n", vec![None]),
            // The header is a line where rows have fields; a time without a zone is none.
            (
                "@timestamp,srcAddr,dstAddr\n2024-01-01 00:00:00.000,10.0.0.1,10.0.0.2\n1704067200005,10.0.0.1,10.0.0.2\n",
                vec![None, None, Some(5)],
            ),
        ] {
            let events = EventTimes::default();
            let catalogue = Arc::new(Catalogue::builtin().clone());
            let mut unframe = Separated::new(b',', catalogue, Some(events.clone()));
            let mut out = Vec::new();
            unframe.push(text.as_bytes(), true, usize::MAX, &mut out).expect("a table");
            let lines = out.iter().filter(|b| **b == b'\n').count() as u64;
            let expected: Vec<Option<i64>> =
                expected.into_iter().map(|ms: Option<i64>| ms.map(|ms| 1_704_067_200_000 + ms)).collect();
            assert_eq!(events.of(1..lines + 1), expected, "{text:?}");
        }
    }

    #[test]
    fn separators() {
        for (line, expected) in [
            ("timestamp,message", Some(b',')),
            ("@message", Some(b',')),
            ("version;srcaddr;start", Some(b';')),
            ("srcaddr|start", Some(b'|')),
            ("2,10.0.0.1,-,1704067200,1704067260", Some(b',')),
            ("2\t-\teni-1\tNODATA", Some(b'\t')),
            ("name,version", None),
            ("start,end", None),
            ("region,vpc_id,cidr", None),
            ("1.1,2,3", None),
            ("_time,_raw\n1,2 1 10.0.0.1\n", Some(b',')),
            ("_time,_raw\n1,GET /\n", None),
            ("_time,_raw", None),
            ("_raw\r\n2 1 10.0.0.1", Some(b',')),
            ("\"2 1 10.0.0.1\"", Some(b',')),
            ("\"version srcaddr start\"", Some(b',')),
            ("\"hello my world\"", None),
            (r#""2 a,b \" 10.0.0.1""#, Some(b',')),
            ("version srcaddr", None),
            ("hello, world", None),
        ] {
            assert_eq!(separator_of(line.as_bytes(), Catalogue::builtin()), expected, "{line}");
        }
    }

    #[test]
    fn headers_that_are_joined_again_and_again() {
        let text = format!("message\n{}\n2 a\n", "message".repeat(100_000));
        assert_eq!(lines_at_once(&text, b','), "2 a\n");
    }
}
