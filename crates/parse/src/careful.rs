//! The careful path: what a line is that has not simply the right number of fields.

use flowquet_format::{
    Between, Catalogue, ColumnType, Field, HeaderLine, LogFormat, NAME_BYTES_MAX, event_ms, header_between,
    is_known_name, may_be, put_back,
};

use crate::reject::RejectReason;

/// UTF-8's byte-order mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Longest word that may be the last value of one record and the first of the next.
const SEAM_BYTES_MAX: usize = 64;

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Nothing but blanks.
    Blank,
    /// A header, or several without a newline between them.
    Header(HeaderLine),
    /// A header that is not understood, which says only that the lines behind it are not read as those before it.
    StrangeHeader,
    /// A record and, in the same line, the header of the next file, which was joined to it without a newline. The record is
    /// appended to the output.
    Glued(HeaderLine),
    /// A record, if read with single blanks between its fields, as appended to the output.
    Record,
    /// So many records, which were joined without a newline between them. They are appended to the output, a line each.
    Records(u64),
    /// No record.
    Reject {
        /// Why.
        reason: RejectReason,
        /// The field at fault, where one is.
        field: Option<String>,
        /// What was expected and found.
        detail: String,
    },
}

/// Looks at one line (without its newline), in which values have tabs if it `is_row`. Where it is a record, appends it to `clean`, put
/// right, with a newline.
pub(crate) fn classify(
    line: &[u8],
    is_row: bool,
    format: &LogFormat,
    catalogue: &Catalogue,
    clean: &mut Vec<u8>,
) -> LineKind {
    let fields = format.fields().len();
    let line = if is_row { unmarked(line) } else { trimmed(line) };
    if is_blank(line) {
        return LineKind::Blank;
    }
    match header_between(line, std::iter::once(format), catalogue) {
        Some(Between::Header(header)) => return LineKind::Header(header),
        Some(Between::Strange) => return LineKind::StrangeHeader,
        None => {}
    }
    if let Err(error) = std::str::from_utf8(line) {
        let at = error.valid_up_to();
        let detail = format!("expected UTF-8, found byte 0x{:02x} at byte {at} of the line", line[at]);
        return LineKind::Reject { reason: RejectReason::InvalidUtf8, field: None, detail };
    }
    let start = clean.len();
    if line.split(|b| *b == b' ').count() == fields {
        clean.extend_from_slice(line);
        clean.push(b'\n');
        return LineKind::Record;
    }
    let mut found = 0;
    let is_between = |b: &u8| *b == b' ' || (*b == b'\t' && !is_row);
    for word in line.split(is_between).filter(|w| !w.is_empty()) {
        if found > 0 {
            clean.push(b' ');
        }
        clean.extend_from_slice(word);
        found += 1;
    }
    if found == fields {
        clean.push(b'\n');
        return LineKind::Record;
    }
    clean.truncate(start);
    if let Some(record) = behind_time(line, format) {
        clean.extend_from_slice(&record.join(&b' '));
        clean.push(b'\n');
        return LineKind::Record;
    }
    if let Some((record, header)) = glued(line, fields, catalogue) {
        clean.extend_from_slice(record);
        clean.push(b'\n');
        return LineKind::Glued(header);
    }
    match push_joined(line, format, clean) {
        Some(records) => LineKind::Records(records),
        None => wrong_count(found, fields),
    }
}

/// Sorts out a row of a file or document that is not UTF-8 as it stands: bytes are carried in it, or a value is none. It is
/// appended as it is.
pub(crate) fn classify_row(line: &[u8], format: &LogFormat, clean: &mut Vec<u8>) -> LineKind {
    /// A value is quoted up to so many characters; the whole line is kept beside it.
    const QUOTED_MAX: usize = 40;
    for (field, carried) in format.fields().iter().zip(line.split(|b| *b == b' ')) {
        let mut value = carried.to_owned();
        put_back(&mut value);
        if std::str::from_utf8(&value).is_err() {
            let shown: String = String::from_utf8_lossy(&value).chars().take(QUOTED_MAX).collect();
            let detail = format!("expected UTF-8 in `{}`, found `{shown}`", field.name());
            let field = Some(field.name().to_owned());
            return LineKind::Reject { reason: RejectReason::InvalidUtf8, field, detail };
        }
    }
    let (found, fields) = (line.split(|b| *b == b' ').count(), format.fields().len());
    if found != fields {
        return wrong_count(found, fields);
    }
    clean.extend_from_slice(line);
    clean.push(b'\n');
    LineKind::Record
}

pub(crate) fn wrong_count(found: usize, fields: usize) -> LineKind {
    let reason = if found < fields { RejectReason::TooFewFields } else { RejectReason::TooManyFields };
    let detail = format!("expected {fields} fields, found {found}");
    LineKind::Reject { reason, field: None, detail }
}

/// A record of `fields` fields whose last value runs into the header line of the next file, which was joined to it without a newline:
/// the record, and that header.
pub(crate) fn glued<'a>(
    line: &'a [u8],
    fields: usize,
    catalogue: &Catalogue,
) -> Option<(&'a [u8], HeaderLine)> {
    let blanks: Vec<usize> = line.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(i, _)| i).collect();
    let start = if fields == 1 { 0 } else { blanks.get(fields - 2)? + 1 };
    let end = *blanks.get(fields - 1)?;
    // The longest name that the word ends in and that leaves a value: `pkt-srcaddr` rather than `srcaddr`. Its quotes, and a mark
    // before it, are the header's.
    let first = end.saturating_sub(NAME_BYTES_MAX).max(start + 1);
    let at = (first..end).find(|at| is_known_name(&line[*at..end], catalogue))?;
    let header = HeaderLine::read(&line[at..], catalogue).filter(|h| h.format.fields().len() > 1)?;
    Some((&line[..at], header))
}

/// The values of a record behind the time of its event, as lines of a CloudWatch export have it that was joined to other files.
fn behind_time<'a>(line: &'a [u8], format: &LogFormat) -> Option<Vec<&'a [u8]>> {
    let (time, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
    // Not thirteen digits: they may be a value.
    let is_time = std::str::from_utf8(time).is_ok_and(|time| time.contains('T') && event_ms(time).is_some());
    let words: Vec<&[u8]> = rest.split(|b| *b == b' ').filter(|word| !word.is_empty()).collect();
    (is_time && format.may_have(&words)).then_some(words)
}

/// Appends the records of a line of several, a line each, which were joined without a newline between them: by files whose last line has
/// none, or by a stream that writes none. Returns how many.
///
/// ```text
/// … 1704067260 ACCEPT OK2 111122223333 eni-…    two, `OK` and `2`
/// … 84017040672001704067260                     none: numbers may end anywhere
/// ```
///
/// Each word that two of them share must come apart in one way alone by the kinds of its two values, and each record must be one by the
/// kinds of all.
fn push_joined(line: &[u8], format: &LogFormat, clean: &mut Vec<u8>) -> Option<u64> {
    let (first, last) = (format.fields().first()?, format.fields().last()?);
    let step = format.fields().len() - 1;
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').filter(|word| !word.is_empty()).collect();
    if step == 0 || words.len() <= step + 1 || !(words.len() - 1).is_multiple_of(step) {
        return None;
    }
    let mut records: Vec<Vec<&[u8]>> = vec![vec![words[0]]];
    for (i, word) in words.iter().enumerate().skip(1) {
        let record = records.last_mut()?;
        if i % step == 0 && i + 1 < words.len() {
            let (end, begin) = seam(word, last, first)?;
            record.push(end);
            records.push(vec![begin]);
        } else {
            record.push(word);
        }
    }
    if !records.iter().all(|record| format.may_have(record)) {
        return None;
    }
    for record in &records {
        clean.extend_from_slice(&record.join(&b' '));
        clean.push(b'\n');
    }
    Some(records.len() as u64)
}

/// A word as a value of `last` and one of `first`, if it can be that in one way alone.
fn seam<'a>(word: &'a [u8], last: &Field, first: &Field) -> Option<(&'a [u8], &'a [u8])> {
    // What may be anything tells nothing.
    let has_form = |field: &Field| !may_be(field, b"?");
    if word.len() > SEAM_BYTES_MAX || !has_form(last) || !has_form(first) {
        return None;
    }
    let is_value = |field: &Field, value: &[u8]| {
        let is_padded = field.column_type() != ColumnType::String && value.len() > 1 && value[0] == b'0';
        may_be(field, value) && !is_padded
    };
    let mut ways = (1..word.len())
        .map(|at| word.split_at(at))
        .filter(|(end, begin)| is_value(last, end) && is_value(first, begin));
    ways.next().filter(|_| ways.next().is_none())
}

/// A line without what stands at its ends and belongs to no value: tabs that indent it, and zeros that a crash left.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let is_none = |b: &u8| matches!(b, b'\t' | 0);
    let line = unmarked(line);
    let start = line.iter().position(|b| !is_none(b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !is_none(b)).map_or(start, |last| last + 1);
    unmarked(&line[start..end])
}

fn unmarked(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// Whether a line holds nothing: blanks, tabs, carriage returns, zeros and old ends of files (Ctrl-Z) only.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | 0 | 0x1a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: LineKind, clean: &str) {
        let mut out = Vec::new();
        let format = LogFormat::parse("vpc-id action type", Catalogue::builtin()).expect("valid");
        assert_eq!(
            classify(line.as_bytes(), false, &format, Catalogue::builtin(), &mut out),
            expected,
            "{line:?}"
        );
        assert_eq!(String::from_utf8(out).expect("text"), clean, "{line:?}");
    }

    #[test]
    fn lines() {
        check("", LineKind::Blank, "");
        check("  \t\r", LineKind::Blank, "");
        check("a b c", LineKind::Record, "a b c\n");
        check("a b c\r", LineKind::Record, "a b c\n");
        check("a b c ", LineKind::Record, "a b c\n");
        check(" a  b   c  \r", LineKind::Record, "a b c\n");
        check("a  c", LineKind::Record, "a  c\n");
        check("\u{feff}a b c", LineKind::Record, "a b c\n");
        let reject = |reason, found| LineKind::Reject {
            reason,
            field: None,
            detail: format!("expected 3 fields, found {found}"),
        };
        let few = |n| reject(RejectReason::TooFewFields, n);
        check("a", few(1), "");
        check("bytes", few(1), "");
        check("  a    b   ", few(2), "");
        check("a b c d", reject(RejectReason::TooManyFields, 4), "");
        let header = |line: &str| HeaderLine::read(line.as_bytes(), Catalogue::builtin()).expect("a header");
        for (line, next, record) in [
            ("a b csrcaddr pkt-srcaddr", "srcaddr pkt-srcaddr", "a b c\n"),
            ("a b -pkt-srcaddr srcaddr", "pkt-srcaddr srcaddr", "a b -\n"),
            ("a b -TCP_FLAGS type\r", "TCP_FLAGS type", "a b -\n"),
            ("a b c\u{feff}bytes start", "bytes start", "a b c\n"),
            ("a b c\u{feff}\u{feff}\"bytes\" \"start\"", "bytes start", "a b c\n"),
            ("a b c`start` `bytes`", "start bytes", "a b c\n"),
            ("a b c#start bytes", "#start bytes", "a b c\n"),
            ("a b cstart bytesend start", "start bytesend start", "a b c\n"),
        ] {
            check(line, LineKind::Glued(header(next)), record);
        }
        let marked = header("${start} ${bytes}");
        check("a b c${start} ${bytes}", LineKind::Glued(marked.clone()), "a b c\n");
        check("${start} ${bytes}", LineKind::Header(marked), "");
        check("srcaddr new-name other-name dstaddr some-name", LineKind::StrangeHeader, "");
        check("network action category", LineKind::StrangeHeader, "");
        check("\"srcaddr\" \"dstaddr\"", LineKind::Header(header("srcaddr dstaddr")), "");
        check("\u{feff}srcaddr dstaddr\r", LineKind::Header(header("srcaddr dstaddr")), "");
        check("start bytesend start", LineKind::Header(header("start bytesend start")), "");
    }

    #[test]
    fn what_stands_around_lines_and_between_values() {
        check("\t\0a b c\t\r", LineKind::Record, "a b c\n");
        check("a\tb\t \tc", LineKind::Record, "a b c\n");
        check("\0\0\x1a", LineKind::Blank, "");
        check("2024-01-01T00:00:00.000Z vpc-1 ACCEPT -", LineKind::Record, "vpc-1 ACCEPT -\n");
        // In rows tabs are a value's.
        let mut out = Vec::new();
        let format = LogFormat::parse("vpc-id action type", Catalogue::builtin()).expect("valid");
        let row = classify(b"\ta b c\t", true, &format, Catalogue::builtin(), &mut out);
        assert_eq!((row, &out[..]), (LineKind::Record, &b"\ta b c\t\n"[..]));
    }

    #[test]
    fn records_joined_without_a_newline() {
        let many = |found| wrong_count(found, 3);
        for (line, expected, clean) in [
            (
                "vpc-1 ACCEPT IPv4vpc-2 REJECT IPv6",
                LineKind::Records(2),
                "vpc-1 ACCEPT IPv4\nvpc-2 REJECT IPv6\n",
            ),
            ("vpc-1 - -vpc-2 -  EFA- - -", LineKind::Records(3), "vpc-1 - -\nvpc-2 - EFA\n- - -\n"),
            // Values that no record has, or no seam.
            ("vpc-1 ACCEPT IPv4vpc-2 OTHER IPv6", many(5), ""),
            ("vpc-1 ACCEPT IPv4 REJECT IPv6", many(5), ""),
            ("vpc-1 ACCEPT IPv4vpc-2 REJECT", many(4), ""),
        ] {
            check(line, expected, clean);
        }
        let joined = |format: &str, line: &str| {
            let format = LogFormat::parse(format, Catalogue::builtin()).expect("valid");
            push_joined(line.as_bytes(), &format, &mut Vec::new())
        };
        assert_eq!(joined("version log-status", "2 OK3 NODATA11 -2 -"), Some(4));
        assert_eq!(joined("version start", "2 17040672002 1704067200"), Some(2));
        // They could come apart in two ways, or anywhere.
        assert_eq!(joined("version bytes", "2 8412 7"), None);
        assert_eq!(joined("version instance-tag", "2 a2 b"), None);
        assert_eq!(joined("version", "2 2"), None);
    }
}
