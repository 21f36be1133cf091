//! Lines that are several, as files or records were joined without a newline between them.

use flowquet_format::{
    Catalogue, ColumnType, Field, FieldKind, HeaderLine, LogFormat, NAME_BYTES_MAX, is_known_name, may_be,
};

/// Longest word that may be the last value of one record and the first of the next.
const SEAM_BYTES_MAX: usize = 64;

/// Most words of a header, or of several, that ends a line.
const HEADER_WORDS_MAX: usize = 1 << 10;

/// A line whose end is a header, which was joined to it without a newline.
pub(crate) struct Joined<'a> {
    /// What stands before the header: a record, or one that was cut.
    pub(crate) record: &'a [u8],
    /// The header; `None` where it cannot be told where it begins, behind a name that nobody knows: what its lines have is not known then.
    pub(crate) header: Option<HeaderLine>,
}

/// Least known names of a header whose beginning is not known: others end lines of other texts.
const KNOWN_MIN: usize = 3;

/// The header line of the next file that ends a line, which was joined to it without a newline. A file that was cut ends anywhere in a record.
///
/// ```text
/// 2 10.0.0.5 840version srcaddr bytes       the record ends where it should
/// 2 10.0version bytes srcaddr               it does not
/// 2 10.0.0.5 840 #Fields: version srcaddr   a blank and marks stand between
/// 2 10.0.0.5 840new-name version srcaddr    it is not known where the header begins
/// ```
pub(crate) fn before_header<'a>(
    line: &'a [u8],
    format: &LogFormat,
    catalogue: &Catalogue,
) -> Option<Joined<'a>> {
    if let Some((record, header)) = after_last_value(line, format, catalogue) {
        return Some(Joined { record, header: Some(header) });
    }
    // Files that are joined mostly begin with one name: a value may end in another, as `frontend` does.
    let is_likely = |(_, header): &(usize, HeaderLine)| {
        header.format.fields().first().map(Field::name) == format.fields().first().map(Field::name)
    };
    let mut found = headers_behind(line, catalogue);
    let at = found.iter().position(is_likely).unwrap_or(0);
    let (at, header) = (at < found.len()).then(|| found.swap_remove(at))?;
    let record = without_marks(&line[..at]);
    let words: Vec<&[u8]> = record.split(|b| *b == b' ').filter(|word| !word.is_empty()).collect();
    let (first, last) = (*words.first()?, *words.last()?);
    let is_value = format
        .fields()
        .get(words.len() - 1)
        .is_some_and(|field| if record.len() < at { may_be(field, last) } else { may_begin(field, last) });
    if is_value {
        return Some(Joined { record, header: Some(header) });
    }
    let is_record = header.known() >= KNOWN_MIN && may_be(format.fields().first()?, first);
    is_record.then_some(Joined { record: line, header: None })
}

/// Whether a line that is shaped like a header begins as a record does: with a value of the first field, which is no name.
pub(crate) fn begins_as_record(line: &[u8], format: &LogFormat, catalogue: &Catalogue) -> bool {
    let first = line.split(|b| *b == b' ').find(|word| !word.is_empty()).unwrap_or_default();
    let has_form = |field: &&Field| !may_be(field, b"?");
    format.fields().first().filter(has_form).is_some_and(|field| may_be(field, first))
        && !is_known_name(first, catalogue)
}

/// Whether values of `field` may begin so.
fn may_begin(field: &Field, begin: &[u8]) -> bool {
    let is_address = field.spec().is_some_and(|spec| spec.kind == FieldKind::Address);
    match field.name() {
        _ if begin == b"-" => true,
        _ if field.column_type() != ColumnType::String => begin.iter().all(u8::is_ascii_digit),
        _ if is_address => begin.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':')),
        "action" | "log-status" => begin.iter().all(u8::is_ascii_uppercase),
        // What ends in a dash was no value, but an id without its digits.
        _ => {
            begin.strip_suffix(b"-").is_none_or(|id| !id.is_empty() && id.iter().all(u8::is_ascii_lowercase))
        }
    }
}

/// Where headers may begin that go on to the end of a line, with or without a blank before: the first one of each word, those that are surely headers.
fn headers_behind(line: &[u8], catalogue: &Catalogue) -> Vec<(usize, HeaderLine)> {
    let begins = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'"' | b'\'' | b'`' | b'$' | b'#' | 0xef);
    let is_of_name = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'_' | b'"' | b'\'' | b'`' | b'$' | b'{' | b'}' | b'\r' | b'\t')
    };
    // From the last word back: words of names, and one that may end in the first of them.
    let mut words = Vec::new();
    let mut end = line.len();
    while words.len() < HEADER_WORDS_MAX {
        let start = line[..end].iter().rposition(|b| *b == b' ').map_or(0, |blank| blank + 1);
        words.push((start, end));
        let word = &line[start..end];
        let is_name = word.first().is_none_or(|b| begins(*b)) && word.iter().all(is_of_name);
        if start == 0 || !is_name {
            break;
        }
        end = start - 1;
    }
    if words.len() < 2 {
        return Vec::new();
    }
    let header_in = |(start, end): &(usize, usize)| {
        let first = end.saturating_sub(NAME_BYTES_MAX).max(*start).max(1);
        let at = (first..*end).find(|at| begins(line[*at]) && is_known_name(&line[*at..*end], catalogue))?;
        Some((at, HeaderLine::read(&line[at..], catalogue).filter(HeaderLine::is_sure)?))
    };
    words.iter().rev().filter_map(header_in).collect()
}

/// A text without the blanks and marks at its end by which the header behind it is a comment, or labelled.
fn without_marks(text: &[u8]) -> &[u8] {
    const LABEL: &[u8] = b"#fields:";
    let text = text.trim_ascii_end();
    let (before, end) = text.split_at(text.len().saturating_sub(LABEL.len()));
    let text = if end.eq_ignore_ascii_case(LABEL) { before } else { text };
    let end = text.iter().rposition(|b| !matches!(b, b' ' | b'#')).map_or(0, |last| last + 1);
    let text = &text[..end];
    text.strip_suffix(crate::line::BYTE_ORDER_MARK).unwrap_or(text)
}

/// The record of `format` whose last value runs into such a header.
fn after_last_value<'a>(
    line: &'a [u8],
    format: &LogFormat,
    catalogue: &Catalogue,
) -> Option<(&'a [u8], HeaderLine)> {
    let fields = format.fields().len();
    let blanks: Vec<usize> = line.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(i, _)| i).collect();
    let start = if fields == 1 { 0 } else { blanks.get(fields - 2)? + 1 };
    let end = *blanks.get(fields - 1)?;
    // The longest name that the word ends in and that leaves a value: `pkt-srcaddr` rather than `srcaddr`. Its quotes, and a mark
    // before it, are the header's.
    let first = end.saturating_sub(NAME_BYTES_MAX).max(start + 1);
    let at = (first..end).find(|at| is_known_name(&line[*at..end], catalogue))?;
    let header = HeaderLine::read(&line[at..], catalogue).filter(|h| h.format.fields().len() > 1)?;
    may_begin(format.fields().last()?, &line[start..at]).then_some((&line[..at], header))
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
pub(crate) fn push_joined(line: &[u8], format: &LogFormat, clean: &mut Vec<u8>) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::careful::{LineKind, classify, wrong_count};
    use crate::reject::RejectReason;

    #[track_caller]
    fn check(line: &str, expected: LineKind, clean: &str) {
        let mut out = Vec::new();
        let format = LogFormat::parse("vpc-id action type", Catalogue::builtin()).expect("valid");
        let found = classify(line.as_bytes(), false, &format, Catalogue::builtin(), &mut out);
        assert_eq!(found, expected, "{line:?}");
        assert_eq!(String::from_utf8(out).expect("text"), clean, "{line:?}");
    }

    #[test]
    fn headers_behind_what_was_cut() {
        let next = "version bytes srcaddr";
        for (format, record, header, fault) in [
            // Wherever it was cut, also where both have as many words as a record.
            ("version bytes srcaddr", "2", next, Some(RejectReason::TooFewFields)),
            ("version bytes srcaddr", "2 1", next, Some(RejectReason::TooFewFields)),
            ("version bytes srcaddr", "2 1 10.0", next, None),
            ("version bytes srcaddr", "2 1 10.0.0.1 ", next, None),
            ("version start end srcaddr bytes", "2 170406 17", next, Some(RejectReason::TooFewFields)),
            ("version start end srcaddr bytes", "2 1704067", next, Some(RejectReason::TooFewFields)),
            ("version start end srcaddr bytes", "2 ", next, Some(RejectReason::TooFewFields)),
            ("vpc-id action type", "vpc-1 ACC", next, Some(RejectReason::TooFewFields)),
            ("interface-id vpc-id bytes", "eni-0a vpc-", next, Some(RejectReason::TooFewFields)),
            ("action bytes log-status", "ACCEPT 7 OK# ", next, None),
            ("action bytes log-status", "ACCEPT 7 OK #Fields: ", next, None),
            ("action bytes log-status", "ACCEPT 7 OK#fields:", next, None),
            ("action bytes log-status", "ACCEPT\u{feff}", next, Some(RejectReason::TooFewFields)),
            (
                "action bytes log-status",
                "ACCEPT",
                "\"version\" \"srcaddr\"",
                Some(RejectReason::TooFewFields),
            ),
            ("action bytes log-status", "ACCEPT", "${version} ${srcaddr}", Some(RejectReason::TooFewFields)),
            // A value that ends in a name.
            ("version bytes instance-tag asg-tag", "2 7 frontend ", next, Some(RejectReason::TooFewFields)),
        ] {
            let line = format!("{record}{header}");
            let format = LogFormat::parse(format, Catalogue::builtin()).expect("valid");
            let mut out = Vec::new();
            match classify(line.as_bytes(), false, &format, Catalogue::builtin(), &mut out) {
                LineKind::Glued { end, header: found, fault: why } => {
                    let expected = HeaderLine::read(header.as_bytes(), Catalogue::builtin());
                    assert_eq!(found.format, expected.expect("a header").format, "{line}");
                    assert_eq!(why.map(|(reason, _)| reason), fault, "{line}");
                    assert!(record.starts_with(&line[..end]), "{line}");
                    assert_eq!(out.is_empty(), fault.is_some(), "{line}");
                }
                kind => panic!("{line}: {kind:?}"),
            }
        }
    }

    #[test]
    fn headers_that_begin_nobody_knows_where() {
        for (line, is_one) in [
            ("2 10.0.0.1 7new-name version bytes srcaddr", true),
            ("2 10.0.0.1 my-version bytes srcaddr", true),
            ("2 10.0.0.1 7 8 version bytes srcaddr", true),
            // Lines of other texts.
            ("3 of srcaddr dstaddr", false),
            ("done: see version bytes srcaddr", false),
        ] {
            let format = LogFormat::parse("version srcaddr bytes", Catalogue::builtin()).expect("valid");
            let kind = classify(line.as_bytes(), false, &format, Catalogue::builtin(), &mut Vec::new());
            let is_unknown = matches!(kind, LineKind::Reject { reason: RejectReason::UnknownHeader, .. });
            assert_eq!(is_unknown, is_one, "{line}: {kind:?}");
        }
    }

    #[test]
    fn records_that_end_in_names_are_records() {
        for (format, line) in [
            ("version instance-tag asg-tag", "2 srcaddr dstaddr"),
            ("version instance-tag asg-tag", "x srcaddr dstaddr"),
        ] {
            let format = LogFormat::parse(format, Catalogue::builtin()).expect("valid");
            let kind = classify(line.as_bytes(), false, &format, Catalogue::builtin(), &mut Vec::new());
            let is_record = kind == LineKind::Record;
            assert_eq!(is_record, line.starts_with('2'), "{kind:?}");
        }
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
