//! Tables whose values are separated by commas, tabs or semicolons, with quotes or without: what the console of CloudWatch, Logs
//! Insights and spreadsheets save.

use std::sync::Arc;

use flowquet_format::{Catalogue, ROWS_MARK};

use super::names::{fields_of, is_message, is_number, push_value};
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Bytes of a row, quoted line breaks and all.
const ROW_BYTES_MAX: usize = 1 << 20;

/// What the rows of the table are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// The first one is not read yet.
    Unknown,
    /// This value of each holds a line.
    Message(usize),
    /// Each is a line, of those values that are kept; of each of them whether it is a number.
    Fields(Vec<Option<bool>>),
    /// Each is a line.
    All,
}

/// Makes lines of rows.
#[derive(Debug)]
pub(super) struct Separated {
    separator: u8,
    catalogue: Arc<Catalogue>,
    rows: Rows,
    /// Whether no line was handed on yet: only then can a mark say that values are carried, blanks and all.
    is_first: bool,
    /// Whether they are.
    carries: bool,
}

impl Separated {
    pub(super) fn new(separator: u8, catalogue: Arc<Catalogue>) -> Self {
        Self { separator, catalogue, rows: Rows::Unknown, is_first: true, carries: false }
    }

    fn row(&mut self, row: &[u8], out: &mut Vec<u8>) {
        self.line_of(row, out);
        self.is_first &= out.is_empty();
    }

    fn line_of(&mut self, row: &[u8], out: &mut Vec<u8>) {
        if row.trim_ascii().is_empty() {
            out.push(b'\n');
            return;
        }
        let values = values_of(row, self.separator);
        if self.rows == Rows::Unknown && self.is_header(&values, out) {
            return;
        }
        match &self.rows {
            Rows::Message(at) => match values.get(*at) {
                Some(message) => {
                    out.extend_from_slice(message.trim_ascii());
                    out.push(b'\n');
                }
                // No row of this table: a reject says so.
                None => push_raw(row, out),
            },
            Rows::Fields(columns) if columns.len() == values.len() => {
                let fields =
                    values.iter().zip(columns).filter_map(|(value, number)| Some((value, (*number)?)));
                for (i, (value, is_number)) in fields.enumerate() {
                    if i > 0 {
                        out.push(b' ');
                    }
                    push_value(null_of(value), is_number, self.carries, out);
                }
                out.push(b'\n');
            }
            Rows::Fields(_) | Rows::All | Rows::Unknown => {
                push_values(values.iter().map(Vec::as_slice), out);
            }
        }
    }

    /// Sees what rows are, by the first one, and makes a header line of it where it is one. Returns whether it is no row itself.
    fn is_header(&mut self, values: &[Vec<u8>], out: &mut Vec<u8>) -> bool {
        let names: Vec<&str> = values.iter().map(|v| std::str::from_utf8(v).unwrap_or_default()).collect();
        if let Some(at) = names.iter().position(|name| is_message(name)) {
            self.rows = Rows::Message(at);
            return true;
        }
        let Some(fields) = fields_of(&names, &self.catalogue) else {
            self.rows = Rows::All;
            return false;
        };
        self.carries = self.is_first;
        if self.carries {
            out.extend_from_slice(ROWS_MARK);
        }
        push_values(fields.iter().flatten().map(String::as_bytes), out);
        let kinds = fields.iter().map(|f| f.as_deref().map(|name| is_number(name, &self.catalogue)));
        self.rows = Rows::Fields(kinds.collect());
        true
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
            self.row(without_break(row), out);
            at += end;
        }
        Ok(at)
    }
}

/// A row as one line.
fn push_raw(row: &[u8], out: &mut Vec<u8>) {
    out.extend(row.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
    out.push(b'\n');
}

/// A row without its line break. Tabs at its end are separators.
fn without_break(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

/// What stands for a value: `-` where it is none.
fn null_of(value: &[u8]) -> &[u8] {
    match value {
        b"" | b"null" | b"NULL" => b"-",
        value => value,
    }
}

fn push_values<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        push_value(null_of(value), false, false, out);
    }
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
    if !text[..first].contains(&b'"') {
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
    let mut values: Vec<Vec<u8>> = vec![Vec::new()];
    // Whether it is quoted now, and whether it was at all.
    let (mut is_quoted, mut was_quoted) = (false, false);
    let mut bytes = row.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let value = values.last_mut().expect("begins with one");
        match b {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                value.push(b'"');
            }
            b'"' if is_quoted => is_quoted = false,
            b'"' if value.is_empty() => (is_quoted, was_quoted) = (true, true),
            _ if b == separator && !is_quoted => {
                end_value(value, was_quoted);
                values.push(Vec::new());
                was_quoted = false;
            }
            // Blanks around a value are none of its own, unless they are quoted.
            b' ' if !is_quoted && (value.is_empty() || was_quoted) => {}
            _ => value.push(b),
        }
    }
    end_value(values.last_mut().expect("begins with one"), was_quoted);
    values
}

fn end_value(value: &mut Vec<u8>, was_quoted: bool) {
    if !was_quoted {
        value.truncate(value.trim_ascii_end().len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::shown;
    use super::*;

    fn lines(text: &str, separator: u8) -> String {
        let mut whole = Vec::new();
        let catalogue = Arc::new(Catalogue::builtin().clone());
        let mut unframe = Separated::new(separator, catalogue.clone());
        assert_eq!(unframe.push(text.as_bytes(), true, usize::MAX, &mut whole).expect("a table"), text.len());
        // The same, byte by byte.
        let (mut unframe, mut pieces, mut at) = (Separated::new(separator, catalogue), Vec::new(), 0);
        for end in 1..=text.len() {
            let is_last = end == text.len();
            at += unframe.push(&text.as_bytes()[at..end], is_last, usize::MAX, &mut pieces).expect("a table");
        }
        assert_eq!(pieces, whole);
        shown(&whole)
    }

    #[test]
    fn tables() {
        for (text, separator, expected) in [
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
            ("version\taccount-id\n2\t1\n\n", b'\t', "version account-id\n2 1\n\n"),
            ("version\tsrcaddr\tx\r\n2\t\t\r\n\t\ty\n", b'\t', "version srcaddr x\n2 - -\n- - y\n"),
            (
                "version,instance_tag,x\n 2 ,my team , a\n\" 3 \",\" my  team \",\"b\nc\" \n",
                b',',
                "version instance-tag x\n2 my␣team a\n3 ␣my␣␣team␣ b⏎c\n",
            ),
            // A mark cannot stand behind lines: blanks part values then.
            ("\nversion,instance_tag\n2,my team\n", b',', "\nversion instance-tag\n2 my team\n"),
            ("\u{feff}\"version\", \"account-id\"\n\"2\", \"1\"\n", b',', "version account-id\n2 1\n"),
            ("2,1,eni-1,10.0.0.1,10.0.0.2,1,2,6,3\n", b',', "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3\n"),
            ("version,srcaddr\n2,10.0.0.1,more\n", b',', "version srcaddr\n2 10.0.0.1 more\n"),
            ("timestamp,message\n1,\"2 1\n2,\"2 2\"\n", b',', "2 1\n2 2\n"),
        ] {
            assert_eq!(lines(text, separator), expected, "{text:?}");
        }
    }
}
