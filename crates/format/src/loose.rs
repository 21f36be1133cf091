//! Numbers, and words for no value, as programs write them that have no integers and no nulls.

/// Whole numbers below it have a float of 64 bits each; from here on several are one.
pub const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether a text stands for no value, as programs write it that turn all into text: databases `NULL` and `\N`, pandas `nan`, `None` and `<NA>`.
pub fn is_null_word(text: &[u8]) -> bool {
    is_null_cell(text) || matches!(text, b"None" | b"<NA>")
}

/// Whether a cell of a table has no value, whatever its column: of words that people may mean, none.
pub fn is_null_cell(text: &[u8]) -> bool {
    matches!(text, b"null" | b"NULL" | b"nan" | b"NaN" | b"\\N")
}

/// A number that is written with a point or an exponent and is whole: `443.0`, `8.4e2`.
pub fn whole_number(text: &[u8]) -> Option<i64> {
    let is_floating = |b: &u8| matches!(b, b'.' | b'e' | b'E');
    let is_of_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+') || is_floating(b);
    if text.len() > 32 || !text.iter().any(is_floating) || !text.iter().all(is_of_number) {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < EXACT_MAX).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_whole() {
        for (text, number) in [
            ("443.0", Some(443)),
            ("8.4e2", Some(840)),
            ("-0.0", Some(0)),
            ("443", None),
            ("1.5", None),
            ("1e300", None),
            ("9007199254740992.0", None),
            ("eni-0e", None),
            ("", None),
        ] {
            assert_eq!(whole_number(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn words_for_no_value() {
        assert!(
            ["null", "NULL", "nan", "NaN", "\\N", "None", "<NA>"].iter().all(|w| is_null_word(w.as_bytes()))
        );
        assert!(!["", "-", "none", "0", "N"].iter().any(|w| is_null_word(w.as_bytes())));
        assert!(!is_null_cell(b"None"), "a tag may have it");
    }
}
