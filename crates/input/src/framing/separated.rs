//! Tables whose values are separated by commas, tabs or semicolons, with quotes or without: what the console of CloudWatch, Logs
//! Insights and spreadsheets save.

use std::sync::Arc;

use flowquet_format::Catalogue;

use super::names::{fields_of, is_message};
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
    /// Each is a line, of those values that are kept.
    Fields(Vec<bool>),
    /// Each is a line.
    All,
}

/// Makes lines of rows.
#[derive(Debug)]
pub(super) struct Separated {
    separator: u8,
    catalogue: Arc<Catalogue>,
    rows: Rows,
}

impl Separated {
    pub(super) fn new(separator: u8, catalogue: Arc<Catalogue>) -> Self {
        Self { separator, catalogue, rows: Rows::Unknown }
    }

    fn row(&mut self, row: &[u8], out: &mut Vec<u8>) {
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
                let fields = values.iter().zip(columns).filter(|(_, is_kept)| **is_kept);
                push_values(fields.map(|(value, _)| value.as_slice()), out);
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
        push_values(fields.iter().flatten().map(String::as_bytes), out);
        self.rows = Rows::Fields(fields.iter().map(Option::is_some).collect());
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
            self.row(row.trim_ascii_end(), out);
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

fn push_values<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        match value {
            b"" | b"null" | b"NULL" => out.push(b'-'),
            value => out.extend(value.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b })),
        }
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
    let mut values = vec![Vec::new()];
    let mut is_quoted = false;
    let mut bytes = row.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let value = values.last_mut().expect("begins with one");
        match b {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                value.push(b'"');
            }
            b'"' if is_quoted => is_quoted = false,
            b'"' if value.is_empty() => is_quoted = true,
            _ if b == separator && !is_quoted => values.push(Vec::new()),
            // Blanks behind a separator are none of the value's.
            b' ' if !is_quoted && value.is_empty() => {}
            _ => value.push(b),
        }
    }
    values
}

#[cfg(test)]
mod tests {
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
        String::from_utf8(whole).expect("text")
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
            ("\u{feff}\"version\", \"account-id\"\n\"2\", \"1\"\n", b',', "version account-id\n2 1\n"),
            ("2,1,eni-1,10.0.0.1,10.0.0.2,1,2,6,3\n", b',', "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3\n"),
            ("version,srcaddr\n2,10.0.0.1,more\n", b',', "version srcaddr\n2 10.0.0.1 more\n"),
            ("timestamp,message\n1,\"2 1\n2,\"2 2\"\n", b',', "2 1\n2 2\n"),
        ] {
            assert_eq!(lines(text, separator), expected, "{text:?}");
        }
    }
}
