//! Lists of names with something beside each: a filter pattern of CloudWatch Logs, the columns of a table in SQL.

use std::borrow::Cow;

use crate::catalogue::{Catalogue, is_field_name};
use crate::foreign::field_of_column;
use crate::spelling::grammar::Named;

/// Columns of a statement are a log format if so many at least, and half of them, are known.
const COLUMNS_MIN: usize = 3;

/// The names of a filter pattern that has conditions: `[version, srcaddr, dstport = 443, action = "REJECT"]`.
///
/// Without conditions it is a list of names like any other.
pub(super) fn filter_pattern(text: &str) -> Option<Vec<Named<'_>>> {
    let shown = text.trim().trim_matches('\'').trim();
    let inner = shown.strip_prefix('[')?.strip_suffix(']')?;
    let mut has_condition = false;
    let mut names = Vec::new();
    for part in parts(inner, ',') {
        let named = name(text, part)?;
        let behind = part.trim_start()[named.len..].trim_start();
        has_condition |= !behind.is_empty();
        if !(behind.is_empty() || behind.starts_with(['=', '!', '<', '>'])) {
            return None;
        }
        names.push(named);
    }
    has_condition.then_some(names)
}

/// The columns of `CREATE TABLE name (version int, …)`, if they are fields of a flow log and lie in text: columns of other files stand
/// in any order.
pub(super) fn columns<'a>(text: &'a str, catalogue: &Catalogue) -> Option<Vec<Named<'a>>> {
    let lower = text.to_ascii_lowercase();
    let create = lower.find("create ")?;
    let table = create + lower[create..].find("table")?;
    let open = table + text[table..].find('(')?;
    let is_statement = lower[create + 7..table]
        .split_whitespace()
        .all(|w| matches!(w, "external" | "or" | "replace" | "temporary"));
    if !is_statement || lower.contains("parquet") || lower.contains("orc") {
        return None;
    }
    let mut depth = 0;
    let close = text[open..].find(|c: char| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    let names: Vec<Named<'_>> =
        parts(&text[open + 1..open + close], ',').map(|part| name(text, part)).collect::<Option<_>>()?;
    let known = names.iter().filter(|n| field_of_column(&n.name, catalogue).is_some()).count();
    (known >= COLUMNS_MIN && 2 * known >= names.len()).then_some(names)
}

/// What stands between signs, such as commas, that are in no quotes and no brackets.
pub(super) fn parts(text: &str, sign: char) -> impl Iterator<Item = &str> {
    let (mut quote, mut depth) = (None, 0);
    text.split(move |c: char| {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '<') => depth += 1,
            (None, ')' | '>') => depth -= 1,
            _ => {}
        }
        c == sign && quote.is_none() && depth <= 0
    })
}

/// The name that `part`, a piece of `text`, begins with; it may be quoted.
fn name<'a>(text: &'a str, part: &'a str) -> Option<Named<'a>> {
    let shown = part.trim_start();
    let bare = shown.trim_start_matches(['`', '"']);
    let len =
        bare.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(bare.len());
    let name = &bare[..len];
    // A piece of the text lies within it.
    let at = bare.as_ptr() as usize - text.as_ptr() as usize;
    is_field_name(name).then_some(Named { name: Cow::Borrowed(name), at, len, is_marked: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: Option<Vec<Named<'_>>>) -> String {
        names.map_or("none".to_owned(), |n| n.iter().map(|n| n.name.as_ref()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn names_with_conditions() {
        for (text, expected) in [
            ("[version=2, srcaddr, bytes > 1000]", "version srcaddr bytes"),
            (" '[ srcaddr != \"10.0.0.1, x\" , action=\"REJECT\" ]' ", "srcaddr action"),
            ("[version, srcaddr]", "none"),
            ("[version, ..., action=\"REJECT\"]", "none"),
            ("[version int, action=\"REJECT\"]", "none"),
            ("[${version}, action=1]", "none"),
            ("version=2", "none"),
            ("[", "none"),
        ] {
            assert_eq!(shown(filter_pattern(text)), expected, "{text}");
        }
        let text = "[version, srcaddr=\"é\", end]";
        for named in filter_pattern(text).expect("a pattern") {
            assert_eq!(&text[named.at..named.at + named.len], named.name);
        }
    }

    #[test]
    fn columns_of_statements() {
        for (text, expected) in [
            (
                "CREATE EXTERNAL TABLE x (\n  `end` bigint,\n srcaddr string COMMENT 'from, where',\n n struct<a:int,b:int>,\n bytes decimal(20,0))\nPARTITIONED BY (d date)",
                "end srcaddr n bytes",
            ),
            ("create table t (end int, bytes int)", "none"),
            ("create table t (end int, bytes int, type int, a int, b int, c int, d int)", "none"),
            ("create table t (end int, bytes int, type int) stored as parquet", "none"),
            ("create a new table (end, bytes, type)", "none"),
            ("create table t (end int", "none"),
        ] {
            assert_eq!(shown(columns(text, Catalogue::builtin())), expected, "{text}");
        }
    }
}
