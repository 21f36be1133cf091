//! Header lines: the first line of a delivered object names its fields.

use crate::catalogue::{Catalogue, is_field_name, normalised};
use crate::log_format::LogFormat;

/// The log format that `line` declares, if it is a header line.
///
/// A header is a line whose every word is shaped like a field and of whose words at least half are in the catalogue. No
/// record can pass: it would have to hold only words, most of them spelt like fields. `line` may end in blanks or a
/// carriage return, and its words may be quoted.
pub fn header_format(line: &[u8], catalogue: &Catalogue) -> Option<LogFormat> {
    let (words, known) = names(line, catalogue)?;
    if words.is_empty() || known * 2 < words.len() {
        return None;
    }
    LogFormat::parse(&words.join(" "), catalogue).ok()
}

/// Whether `line` is a header of mostly new names: at least five words, all of them lower case and shaped like fields, of which the
/// first and another one are in the catalogue, at least a third of them, but less than half. Words of a sentence, of which fields have
/// some (`start`, `end`, `action`), are none: the lines behind such a header are no records.
pub fn is_strange_header(line: &[u8], catalogue: &Catalogue) -> bool {
    let is_plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_');
    names(line, catalogue).is_some_and(|(words, known)| {
        let is_some = known >= 2 && known * 3 >= words.len() && known * 2 < words.len();
        words.len() >= 5
            && is_some
            && words.iter().all(is_plain)
            && catalogue.field(&normalised(words[0])).is_some()
    })
}

/// The words of a line that are all shaped like fields, and how many of them are in the catalogue.
fn names<'a>(line: &'a [u8], catalogue: &Catalogue) -> Option<(Vec<&'a str>, usize)> {
    let text = std::str::from_utf8(line).ok()?.trim_matches([' ', '\r', '\n', '\t']);
    let words = text.split(' ').filter(|w| !w.is_empty()).map(|w| w.trim_matches(['"', '\'', '`']));
    let mut found = Vec::new();
    let mut known = 0;
    for word in words {
        if !is_field_name(word) {
            return None;
        }
        known += usize::from(catalogue.field(&normalised(word)).is_some());
        found.push(word);
    }
    Some((found, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_records() {
        for (line, expected) in [
            ("version account-id interface-id", Some(3)),
            ("version account_id new-field\r", Some(3)),
            ("instance-id interface-id srcaddr ", Some(3)),
            ("srcaddr", Some(1)),
            ("2 123456789010 eni-1235b8ca - - NODATA", None),
            ("- eni-1235b8ca123456789 10.0.1.5", None),
            ("ACCEPT OK", None),
            ("", None),
            ("   ", None),
            ("one two three version", None),
            ("version version", Some(2)),
            ("\"version\" \"account-id\"", Some(2)),
        ] {
            let found = header_format(line.as_bytes(), Catalogue::builtin()).map(|f| f.fields().len());
            assert_eq!(found, expected, "{line:?}");
        }
        for (line, expected) in [
            ("version account-id one two three", true),
            ("version one two three four account-id", true),
            ("version account-id one two", false),
            ("one version account-id two three", false),
            ("log of the end of the action", false),
            ("version account-id one two Three", false),
            ("version srcaddr", false),
        ] {
            assert_eq!(is_strange_header(line.as_bytes(), Catalogue::builtin()), expected, "{line}");
        }
        assert!(header_format(b"version \xff", Catalogue::builtin()).is_none());
    }
}
