//! Header lines: the first line of a delivered object names its fields.

use crate::catalogue::{Catalogue, is_field_name, normalised};
use crate::log_format::LogFormat;

/// The log format that `line` declares, if it is a header line.
///
/// A header is a line whose every word is shaped like a field and of whose words at least half are in the catalogue. No
/// record can pass: it would have to hold only words, most of them spelt like fields. `line` may end in blanks or a
/// carriage return.
pub fn header_format(line: &[u8], catalogue: &Catalogue) -> Option<LogFormat> {
    let text = std::str::from_utf8(line).ok()?.trim_matches([' ', '\r', '\n', '\t']);
    let mut words = 0;
    let mut known = 0;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        if !is_field_name(word) {
            return None;
        }
        words += 1;
        known += usize::from(catalogue.field(&normalised(word)).is_some());
    }
    if words == 0 || known * 2 < words {
        return None;
    }
    LogFormat::parse(text, catalogue).ok()
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
            ("version version", None),
        ] {
            let found = header_format(line.as_bytes(), Catalogue::builtin()).map(|f| f.fields().len());
            assert_eq!(found, expected, "{line:?}");
        }
        assert!(header_format(b"version \xff", Catalogue::builtin()).is_none());
    }
}
