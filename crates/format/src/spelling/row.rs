//! Lists of names with a sign between: the head of a table, columns with their types.
//!
//! | in the text | read as |
//! |---|---|
//! | `version\|account-id\|srcaddr`, `version;account-id` | `version account-id srcaddr`, … |
//! | `Version, Account Id, Log Status` | `version account-id log-status` |
//! | `version int, account_id string`, or a line each | `version account_id` |

use std::borrow::Cow;

use crate::catalogue::{Catalogue, is_field_name};
use crate::foreign::field_of_column;
use crate::log_format::FormatError;
use crate::spelling::grammar::Named;
use crate::spelling::pattern::parts;

/// Types of SQL that stand behind a column's name.
const TYPES: [&str; 22] = [
    "bigint",
    "binary",
    "boolean",
    "char",
    "date",
    "decimal",
    "double",
    "float",
    "int",
    "int32",
    "int64",
    "integer",
    "long",
    "number",
    "numeric",
    "real",
    "smallint",
    "string",
    "text",
    "timestamp",
    "tinyint",
    "varchar",
];

/// Quotes around a name, or around all of them.
const QUOTES: [char; 3] = ['"', '\'', '`'];

/// The names of such a list; `None` of what is none, and of names between commas alone, which are a list like any other.
///
/// # Errors
/// [`FormatError`] where several words stand between two signs that are neither names of fields nor one name: taken as names each, fields that the
/// log lacks would shift all others.
pub(super) fn row<'a>(text: &'a str, catalogue: &Catalogue) -> Result<Option<Vec<Named<'a>>>, FormatError> {
    let Some(sign) = sign_of(text) else { return Ok(None) };
    let mut names = Vec::new();
    let (mut has_several, mut all_typed) = (false, true);
    for part in parts(text, sign) {
        let shown = part.trim().trim_matches(QUOTES).trim();
        if shown.is_empty() {
            continue;
        }
        // A piece of the text lies within it.
        let at = shown.as_ptr() as usize - text.as_ptr() as usize;
        let words: Vec<&str> = shown.split_whitespace().collect();
        let named = |name: Cow<'a, str>, len| Named { name, at, len, is_marked: false };
        let first = words[0].trim_matches(QUOTES);
        let is_typed = words.get(1).is_some_and(|word| is_type(word)) && is_field_name(first);
        all_typed &= is_typed;
        has_several |= words.len() > 1;
        let title = words.join("-");
        let found = if is_typed {
            named(Cow::Borrowed(first), words[0].len())
        } else if words.len() == 1 && is_field_name(first) {
            named(Cow::Borrowed(first), first.len())
        } else if is_field_name(&title) && field_of_column(&title, catalogue).is_some() {
            named(Cow::Owned(title), shown.len())
        } else if sign == '\n' || words.iter().all(|word| field_of_column(word, catalogue).is_some()) {
            return Ok(None);
        } else if words.iter().all(|word| is_field_name(word)) {
            let error =
                FormatError::at(text, at, shown.len(), "expected one name of a field", format!("`{shown}`"));
            return Err(error.hint(
                "write the fields with blanks or commas between them and none within: version account-id srcaddr".into(),
            ));
        } else {
            return Ok(None);
        };
        names.push(found);
    }
    let is_row = names.len() > 1 && if sign == '\n' { all_typed } else { sign != ',' || has_several };
    Ok(is_row.then_some(names))
}

/// What stands between the names; `None` of a text that has more than names, types and signs.
fn sign_of(text: &str) -> Option<char> {
    let mut quote = None;
    let mut bare = String::with_capacity(text.len());
    for c in text.trim().trim_matches('\'').chars() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if QUOTES.contains(&c) => quote = Some(c),
            None => bare.push(c),
        }
    }
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_-@,|;()<>:".contains(c);
    if !bare.chars().all(is_plain) {
        return None;
    }
    let sign = ['|', ';', ','].into_iter().find(|sign| bare.contains(*sign));
    sign.or_else(|| bare.contains('\n').then_some('\n'))
}

fn is_type(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
    TYPES.contains(&&word[..end]) || ["array<", "map<", "struct<", "row("].iter().any(|t| word.starts_with(t))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match row(text, Catalogue::builtin()) {
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
            Ok(None) => "none".to_owned(),
            Ok(Some(names)) => names.iter().map(|n| n.name.as_ref()).collect::<Vec<_>>().join(" "),
        }
    }

    #[test]
    fn names_with_a_sign_between() {
        for (text, expected) in [
            ("version|account-id|srcaddr", "version account-id srcaddr"),
            ("| version | account-id |", "version account-id"),
            ("version;account-id;x;", "version account-id x"),
            ("Version, Account Id, Log Status", "Version Account-Id Log-Status"),
            ("\"Version\",\"Account Id\",\"srcaddr\"", "Version Account-Id srcaddr"),
            ("version int, `end` bigint, n decimal(20,0), t struct<a:int,b:int>", "version end n t"),
            ("version int COMMENT 'a, b', x string", "version x"),
            ("  version  int\n  x\tstring\n", "version x"),
            // Names between commas, or between blanks too, are lists like any other.
            ("version, account-id", "none"),
            ("version, account-id srcaddr", "none"),
            ("version account-id\nsrcaddr x\n", "none"),
            ("version", "none"),
            ("version;", "none"),
            ("LogFormat.VERSION, LogFormat.SRC_ADDR", "none"),
            ("${version}, ${account-id}", "none"),
            ("[version, account id]", "none"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        for text in ["version, srcaddr, bytes and packets", "version|my field|srcaddr"] {
            assert!(shown(text).contains("expected one name of a field"), "{text}: {}", shown(text));
        }
    }
}
