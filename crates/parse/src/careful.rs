//! The careful path: what a line is that has not simply the right number of fields.

use flowquet_format::{
    Between, Catalogue, HeaderLine, LogFormat, NAME_BYTES_MAX, header_between, is_known_name, put_back,
};

use crate::reject::RejectReason;

/// UTF-8's byte-order mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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

/// Looks at one line (without its newline). Where it is a record, appends it to `clean`, put right, with a newline.
pub(crate) fn classify(
    line: &[u8],
    format: &LogFormat,
    catalogue: &Catalogue,
    clean: &mut Vec<u8>,
) -> LineKind {
    let fields = format.fields().len();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
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
    for word in line.split(|b| *b == b' ').filter(|w| !w.is_empty()) {
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
    if let Some((record, header)) = glued(line, fields, catalogue) {
        clean.extend_from_slice(record);
        clean.push(b'\n');
        return LineKind::Glued(header);
    }
    wrong_count(found, fields)
}

/// The same for a row of a file or document that is not UTF-8 as it stands: bytes are carried in it, or a value is none. It is
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

/// Whether a line holds nothing: blanks, tabs and carriage returns only.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: LineKind, clean: &str) {
        let mut out = Vec::new();
        let format = LogFormat::parse("vpc-id action type", Catalogue::builtin()).expect("valid");
        assert_eq!(classify(line.as_bytes(), &format, Catalogue::builtin(), &mut out), expected, "{line:?}");
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
}
