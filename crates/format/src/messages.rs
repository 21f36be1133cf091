//! Names under which documents, tables and Parquet files have whole lines of a log.

/// Names of values that hold a whole line, in any case.
const MESSAGES: [&str; 2] = ["message", "@message"];

/// Names under which programs that ship logs put a whole line, among others that mean something else; in any case, too.
const MAY_BE_MESSAGES: [&str; 9] = ["_raw", "body", "event", "line", "log", "msg", "original", "raw", "text"];

/// Whether a value of this name holds a whole line.
pub fn is_message(name: &str) -> bool {
    MESSAGES.iter().any(|message| message.eq_ignore_ascii_case(name))
}

/// Whether a value of this name may hold a whole line, if it is shaped like a record.
pub fn may_be_message(name: &str) -> bool {
    MAY_BE_MESSAGES.iter().any(|message| message.eq_ignore_ascii_case(name))
}

/// The place of the only name under which a table may hold whole lines, whatever its case and whatever it is part of, such as `_source.message`.
pub fn message_column(names: &[&str]) -> Option<usize> {
    let is_like_message = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        may_be_message(last) || is_message(last)
    };
    let mut found = names.iter().enumerate().filter(|(_, name)| is_like_message(name)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_lines() {
        for (names, expected) in [
            ("_time _raw", Some(1)),
            ("Time Line", Some(1)),
            ("_source.message @timestamp", Some(0)),
            ("log msg", None),
            ("start end", None),
        ] {
            let names: Vec<&str> = names.split(' ').collect();
            assert_eq!(message_column(&names), expected, "{names:?}");
        }
    }
}
