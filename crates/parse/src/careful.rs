//! The careful path: what a line is that has not simply the right number of fields.

use flowquet_format::{Between, Catalogue, HeaderLine, LogFormat, event_ms, header_between, put_back};

use crate::joined::{Joined, before_header, begins_as_record, push_joined};
use crate::line::{is_blank, trimmed, unmarked};
use crate::odd::{begins_as_value, told_by};
use crate::reject::RejectReason;

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Nothing but blanks.
    Blank,
    /// A header, or several without a newline between them.
    Header(HeaderLine),
    /// A header that is not understood, which says only that the lines behind it are not read as those before it.
    StrangeHeader,
    /// A record, or one that was cut, and in the same line the header of the next file, which was joined to it without a newline.
    Glued {
        /// Bytes of the line up to the end of what stands before the header.
        end: usize,
        /// The header, or several.
        header: HeaderLine,
        /// Why that is no record; else it is appended to the output.
        fault: Option<(RejectReason, String)>,
    },
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
    let whole = line;
    let line = if is_row { unmarked(line) } else { trimmed(line) };
    if is_blank(line) {
        return LineKind::Blank;
    }
    let untimed = without_time(line).unwrap_or(line);
    match header_between(untimed, std::iter::once(format), catalogue) {
        Some(Between::Header(_)) if begins_as_record(line, format, catalogue) => {}
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
    let words = || line.split(|b| *b == b' ');
    if words().count() == fields {
        // Of a record that was cut, and the header of the next file, there may be as many.
        if !words().nth(told_by(format)).and_then(|word| word.first()).is_some_and(|b| begins_as_value(*b))
            && let Some(glued) = glued(whole, line, format, catalogue, clean)
            && !format.may_have(&words().collect::<Vec<_>>())
        {
            return glued;
        }
        clean.truncate(start);
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
    if let Some(glued) = glued(whole, line, format, catalogue, clean) {
        return glued;
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

/// What a line is whose end is a header, and before it a record, which is appended to `clean`, or one that was cut. `line` is the `whole` line
/// without what stands around it.
fn glued(
    whole: &[u8],
    line: &[u8],
    format: &LogFormat,
    catalogue: &Catalogue,
    clean: &mut Vec<u8>,
) -> Option<LineKind> {
    let fields = format.fields().len();
    let Joined { record, header } = before_header(line, format, catalogue)?;
    let Some(header) = header else {
        let detail = "expected a record, found one and a header of which it is not known where it begins";
        let (reason, detail) = (RejectReason::UnknownHeader, detail.to_owned());
        return Some(LineKind::Reject { reason, field: None, detail });
    };
    let end = line.as_ptr() as usize - whole.as_ptr() as usize + record.len();
    let words: Vec<&[u8]> = match record.split(|b| *b == b' ').collect::<Vec<_>>() {
        words if words.len() == fields => words,
        words => words.into_iter().filter(|word| !word.is_empty()).collect(),
    };
    let reason = if words.len() < fields { RejectReason::TooFewFields } else { RejectReason::TooManyFields };
    let fault = (words.len() != fields).then(|| {
        (reason, format!("expected {fields} fields, found {} and the header of the next file", words.len()))
    });
    if fault.is_none() {
        clean.extend_from_slice(&words.join(&b' '));
        clean.push(b'\n');
    }
    Some(LineKind::Glued { end, header, fault })
}

/// Why a line behind a header that is not understood is no record.
pub(crate) fn unknown_header() -> (RejectReason, String) {
    let detail = "expected a header of known fields, as the last one was not understood";
    (RejectReason::UnknownHeader, detail.to_owned())
}

pub(crate) fn wrong_count(found: usize, fields: usize) -> LineKind {
    let reason = if found < fields { RejectReason::TooFewFields } else { RejectReason::TooManyFields };
    let detail = format!("expected {fields} fields, found {found}");
    LineKind::Reject { reason, field: None, detail }
}

/// What stands behind the time of its event, as lines of a CloudWatch export have it that was joined to other files.
fn without_time(line: &[u8]) -> Option<&[u8]> {
    let (time, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
    // Not thirteen digits: they may be a value.
    let is_time = std::str::from_utf8(time).is_ok_and(|time| time.contains('T') && event_ms(time).is_some());
    is_time.then(|| rest.trim_ascii_start())
}

/// The values of a record behind the time of its event.
fn behind_time<'a>(line: &'a [u8], format: &LogFormat) -> Option<Vec<&'a [u8]>> {
    let words: Vec<&[u8]> =
        without_time(line)?.split(|b| *b == b' ').filter(|word| !word.is_empty()).collect();
    format.may_have(&words).then_some(words)
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
            let end = record.len() - 1;
            check(line, LineKind::Glued { end, header: header(next), fault: None }, record);
        }
        let marked = header("${start} ${bytes}");
        let glued = LineKind::Glued { end: 5, header: marked.clone(), fault: None };
        check("a b c${start} ${bytes}", glued, "a b c\n");
        check("${start} ${bytes}", LineKind::Header(marked), "");
        check("srcaddr new-name other-name dstaddr some-name", LineKind::StrangeHeader, "");
        check("network action category", LineKind::StrangeHeader, "");
        check("\"srcaddr\" \"dstaddr\"", LineKind::Header(header("srcaddr dstaddr")), "");
        check("\u{feff}srcaddr dstaddr\r", LineKind::Header(header("srcaddr dstaddr")), "");
        check("start bytesend start", LineKind::Header(header("start bytesend start")), "");
        check("2024-01-01T00:00:00.000Z srcaddr dstaddr", LineKind::Header(header("srcaddr dstaddr")), "");
        check(
            "2024-01-01T00:00:00.000Z srcaddr end start bytes",
            LineKind::Header(header("srcaddr end start bytes")),
            "",
        );
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
}
