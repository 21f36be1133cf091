//! Values of tables and documents, as flow logs spell them.

use flowquet_format::{
    Catalogue, ColumnType, FieldKind, is_null_cell, is_null_word, lost_zeros, push_carried, seconds_of,
    whole_number,
};

/// Before the first line: values of the lines may hold blanks, which are carried. No line of its own.
pub(super) use flowquet_format::CARRIED_MARK;

/// What a field makes of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Ids of accounts: numbers regain the zeros that they begin with.
    Account,
    /// Whole numbers, whatever point stands behind them.
    Integer,
    /// Seconds since 1970, which may be written as a time with its zone.
    Time,
    /// Whatever stands there.
    Text,
}

impl Meaning {
    /// Of the field of this name.
    pub(super) fn of(field: &str, catalogue: &Catalogue) -> Self {
        match catalogue.field(field) {
            _ if field.ends_with("account-id") => Self::Account,
            Some(spec) if spec.kind == FieldKind::Time => Self::Time,
            Some(spec) if !matches!(spec.parquet, ColumnType::String | ColumnType::Address) => Self::Integer,
            _ => Self::Text,
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A number or word of JSON, without quotes.
    Bare,
    /// A cell of a table, whose quotes say nothing.
    Cell,
    /// A string of JSON.
    Quoted,
}

/// Appends a value as a line has it: what stands for none as `-`, blanks and line breaks carried, numbers whole.
pub(super) fn push_value(value: &[u8], meaning: Meaning, spelling: Spelling, out: &mut Vec<u8>) {
    let value = if meaning == Meaning::Text { value } else { value.trim_ascii() };
    let is_null = if meaning == Meaning::Text { is_null_cell(value) } else { is_null_word(value) };
    if value.is_empty() || is_null && spelling != Spelling::Quoted {
        return out.push(b'-');
    }
    // Cells have lost the zeros where a spreadsheet took ids for numbers.
    let is_number = spelling == Spelling::Bare;
    let has_lost = spelling == Spelling::Cell && value.iter().all(u8::is_ascii_digit);
    match (meaning, whole_number(value)) {
        (Meaning::Integer | Meaning::Time, Some(number)) => {
            out.extend_from_slice(number.to_string().as_bytes())
        }
        (Meaning::Time, None) => match std::str::from_utf8(value).ok().and_then(seconds_of) {
            Some(seconds) => out.extend_from_slice(seconds.to_string().as_bytes()),
            None => push_carried(value, out),
        },
        (Meaning::Account, Some(number)) if is_number => push_account(number.to_string().as_bytes(), out),
        (Meaning::Account, None) if is_number || has_lost => push_account(value, out),
        _ => push_carried(value, out),
    }
}

/// Whether a value is a whole number, or stands for none.
pub(super) fn is_integer(value: &str) -> bool {
    let value = value.trim();
    matches!(value, "" | "-")
        || is_null_word(value.as_bytes())
        || value.bytes().all(|b| b.is_ascii_digit())
        || whole_number(value.as_bytes()).is_some()
}

fn push_account(digits: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(lost_zeros(digits));
    push_carried(digits, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_flow_logs_spell_them() {
        for (value, meaning, spelling, expected) in [
            ("443.0", Meaning::Integer, Spelling::Bare, "443"),
            ("8.4e2", Meaning::Integer, Spelling::Bare, "840"),
            ("-0.0", Meaning::Integer, Spelling::Bare, "0"),
            ("1.5", Meaning::Integer, Spelling::Bare, "1.5"),
            ("1e300", Meaning::Integer, Spelling::Bare, "1e300"),
            ("9223372036854775807", Meaning::Integer, Spelling::Bare, "9223372036854775807"),
            ("2024-01-01T00:00:00Z", Meaning::Time, Spelling::Cell, "1704067200"),
            ("2024-01-01T00:00:00", Meaning::Time, Spelling::Cell, "2024-01-01T00:00:00"),
            ("2024-01-01 00:00:00.000 UTC", Meaning::Time, Spelling::Quoted, "1704067200"),
            ("1.7040672E9", Meaning::Time, Spelling::Bare, "1704067200"),
            (" 2 ", Meaning::Integer, Spelling::Cell, "2"),
            ("1.0", Meaning::Text, Spelling::Cell, "1.0"),
            ("1234567890", Meaning::Account, Spelling::Bare, "001234567890"),
            ("1234567890.0", Meaning::Account, Spelling::Bare, "001234567890"),
            ("1234567890", Meaning::Account, Spelling::Cell, "001234567890"),
            ("1234567890", Meaning::Account, Spelling::Quoted, "1234567890"),
            ("unknown", Meaning::Account, Spelling::Cell, "unknown"),
            ("unknown", Meaning::Account, Spelling::Bare, "unknown"),
            ("", Meaning::Text, Spelling::Cell, "-"),
            ("null", Meaning::Text, Spelling::Bare, "-"),
            ("null", Meaning::Text, Spelling::Quoted, "null"),
            ("nan", Meaning::Integer, Spelling::Cell, "-"),
            ("\\N", Meaning::Text, Spelling::Cell, "-"),
        ] {
            let mut out = Vec::new();
            push_value(value.as_bytes(), meaning, spelling, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{value}");
        }
        let mut out = Vec::new();
        push_value(b" a b", Meaning::Text, Spelling::Cell, &mut out);
        assert_eq!(out.len(), 4);
        assert!(!out.contains(&b' '));
        let of = |field| Meaning::of(field, Catalogue::builtin());
        assert_eq!(
            [of("bytes"), of("tgw-src-vpc-account-id"), of("srcaddr"), of("team")],
            [Meaning::Integer, Meaning::Account, Meaning::Text, Meaning::Text]
        );
    }
}
