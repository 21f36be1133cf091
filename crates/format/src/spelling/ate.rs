//! What a shell leaves of a log format in double quotes: `"${version} ${account-id}"` becomes ` id`.
//!
//! A POSIX shell replaces `${srcaddr}` by nothing, and `${account-id}` by what stands behind the first dash, which is its word
//! for "or else". `"$account-id"` becomes `-id`. PowerShell leaves blanks.

use crate::catalogue::{Catalogue, normalised};
use crate::log_format::FormatError;

/// The error of a text that is what a shell left, and nothing that was meant.
pub(crate) fn eaten(text: &str, catalogue: &Catalogue) -> Option<FormatError> {
    let shown = text.trim_matches(['"', '\'']);
    is_left_over(shown, catalogue).then(|| {
        FormatError::at(
            text,
            0,
            text.len(),
            "expected a log format",
            "what a shell leaves of one in double quotes".into(),
        )
        .hint(
            "put the format in single quotes, since a shell replaces `${…}` in double ones: \
                 '${version} ${account-id} …'"
                .into(),
        )
    })
}

fn is_left_over(text: &str, catalogue: &Catalogue) -> bool {
    if !text.is_empty() && text.chars().all(|c| c.is_whitespace() || matches!(c, '-' | ',' | '$' | '\\')) {
        return true;
    }
    let (mut unknown_tails, mut known_tails) = (0, 0);
    for word in text.split_whitespace() {
        let is_known = catalogue.field(&normalised(word)).is_some();
        match (is_tail(word, catalogue), is_known) {
            (true, false) => unknown_tails += 1,
            (true, true) => known_tails += 1,
            (false, true) => return false,
            // Most likely the value of a variable, such as `${region}`, that the shell has.
            (false, false) if is_value(word) => {}
            (false, false) => return false,
        }
    }
    // Fields that were replaced by nothing leave their blanks: `"${version} ${pkt-srcaddr}"`.
    let has_gap = !text.contains('\n') && (text.trim() != text || text.contains("  "));
    unknown_tails > 0 || (known_tails > 0 && has_gap)
}

/// Whether `word` is what stands in a known field's name behind its first dash, or that with the dash.
fn is_tail(word: &str, catalogue: &Catalogue) -> bool {
    let tail = word.strip_prefix('-').unwrap_or(word);
    let tails = catalogue.fields().iter().filter_map(|s| s.name.split_once('-'));
    !tail.is_empty() && tails.map(|(_, tail)| tail).any(|t| t == tail)
}

/// A number or a region.
fn is_value(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || (word.split('-').count() == 3 && word.ends_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shells_leave() {
        for text in [
            " id status",
            "-id -id status",
            " id id           status",
            "id",
            "-id",
            "-status",
            "  ",
            "- - -",
            ", ,",
            "$",
            "\" id status\"",
            " id id id id id    srcaddr dstaddr    flags status",
            " srcaddr dstaddr",
            "2 id id src-aws-service",
            "eu-west-1 id status",
        ] {
            let error = eaten(text, Catalogue::builtin());
            let hint = error.as_ref().and_then(FormatError::hint_text);
            assert!(hint.is_some_and(|h| h.contains("single quotes")), "{text:?}");
        }
    }

    #[test]
    fn what_people_write() {
        for text in [
            "",
            "version account-id",
            "srcaddr dstaddr",
            "srcaddr",
            "type",
            "new-field id",
            "v5",
            "${vpc-id} ${id}",
            "- version\n- type",
            "srcadr",
        ] {
            assert_eq!(eaten(text, Catalogue::builtin()), None, "{text:?}");
        }
    }

    #[test]
    fn every_default_format_is_known_by_its_remains() {
        let catalogue = Catalogue::builtin();
        for name in catalogue.format_names() {
            let fields = catalogue.named_format(&name).expect("a default");
            let bash: Vec<&str> =
                fields.iter().map(|f| f.split_once('-').map_or("", |(_, tail)| tail)).collect();
            let plain: Vec<&str> = fields.iter().map(|f| f.find('-').map_or("", |n| &f[n..])).collect();
            let power_shell = vec![""; fields.len()];
            for left in [bash, plain, power_shell] {
                assert!(eaten(&left.join(" "), catalogue).is_some(), "{name}: {left:?}");
            }
        }
    }
}
