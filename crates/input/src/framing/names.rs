//! Names of fields as tables and documents spell them.

use flowquet_format::{Catalogue, ColumnType, field_of_column, fields_of_columns, push_carried};

/// Names of values that hold a whole line.
const MESSAGES: [&str; 3] = ["message", "@message", "Message"];

/// Whether a value of this name holds a whole line.
pub(super) fn is_message(name: &str) -> bool {
    MESSAGES.contains(&name)
}

/// The fields that values of these names are, each once, if at least half of them are known ones; `None` for a value that is left
/// out, such as `@timestamp`. A name that is shaped like a field may be a new one.
pub(super) fn fields_of(names: &[&str], catalogue: &Catalogue) -> Option<Vec<Option<String>>> {
    let known = names.iter().filter(|name| field_of_column(name, catalogue).is_some()).count();
    if known == 0 || 2 * known < names.len() {
        return None;
    }
    let is_shaped = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    let is_kept = |name: &str| is_shaped(name) || field_of_column(name, catalogue).is_some();
    let kept: Vec<&str> = names.iter().copied().filter(|name| is_kept(name)).collect();
    let mut fields = fields_of_columns(&kept, catalogue).into_iter();
    Some(names.iter().map(|name| is_kept(name).then(|| fields.next().flatten()).flatten()).collect())
}

/// Whether the field's values are numbers: blanks around them say nothing.
pub(super) fn is_number(field: &str, catalogue: &Catalogue) -> bool {
    catalogue.field(field).is_some_and(|spec| spec.parquet != ColumnType::String)
}

/// Appends a value of a line; `carried` where a mark before the first line says so, so that its blanks are its own.
pub(super) fn push_value(value: &[u8], is_number: bool, carried: bool, out: &mut Vec<u8>) {
    match (is_number, carried) {
        (true, true) => push_carried(value.trim_ascii(), out),
        (false, true) => push_carried(value, out),
        (_, false) => out.extend(value.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b })),
    }
}

/// Lines as tests show them: without the mark, carried blanks as `␣`.
#[cfg(test)]
pub(super) fn shown(lines: &[u8]) -> String {
    let lines = lines.strip_prefix(flowquet_format::ROWS_MARK).unwrap_or(lines);
    let mut text = Vec::new();
    for b in lines {
        match b {
            0xfc => text.extend_from_slice("␣".as_bytes()),
            0xfd => text.extend_from_slice("⏎".as_bytes()),
            b => text.push(*b),
        }
    }
    String::from_utf8(text).expect("text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_any_spelling() {
        let fields = |names: &[&str]| {
            let fields = fields_of(names, Catalogue::builtin());
            fields.map(|f| f.iter().map(|f| f.as_deref().unwrap_or("/")).collect::<Vec<_>>().join(" "))
        };
        let found = fields(&["srcaddr", "log_status", "endTime", "@timestamp", "new_field", "Other Name"]);
        assert_eq!(found.as_deref(), Some("srcaddr log-status end / new-field /"));
        assert_eq!(fields(&["start", "startTime"]).as_deref(), Some("start starttime"), "each field once");
        assert_eq!(fields(&["a", "b", "srcaddr"]), None);
        assert_eq!(fields(&[]), None);
    }
}
