//! Texts that say a log format in other words, made such that the grammar reads them.
//!
//! | in the text | read as |
//! |---|---|
//! | JSON's `\u0024\u007bversion\u007d`, Kotlin's `${'$'}{version}` | `${version}` |
//! | `{% raw %}`, the lines of a Markdown fence, `^` at a line's end | blanks |
//! | `<logFormat>…</logFormat>` | `logFormat:"…";` |
//! | `Log format: …`, and a row of `--output table` | `Log_format: …` |
//! | `1. version` in each line | `version` |
//! | dissect's `%{version}`, grok's `%{INT:version}` | `${version}` |
//! | `parse @message "* *" as version, srcaddr` of Logs Insights | `version, srcaddr` |
//! | `var.all ? "$${version}" : null` | `"$${version}"` |
//!
//! Nothing becomes longer, and lines stay where they are.

use std::borrow::Cow;

/// `text` with all of the above replaced.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (what, instead) in [
        ("\\u0024", "$"),
        ("\\u007b", "{"),
        ("\\u007B", "{"),
        ("\\u007d", "}"),
        ("\\u007D", "}"),
        ("${'$'}", "$"),
    ] {
        if text.contains(what) {
            text = Cow::Owned(text.replace(what, instead));
        }
    }
    for (what, instead) in [
        ("{% raw %}", "         "),
        ("{% endraw %}", "            "),
        ("<logFormat>", "logFormat:\""),
        ("</logFormat>", "\";          "),
        ("^\n", " \n"),
        ("^\r\n", " \r\n"),
    ] {
        if text.contains(what) {
            text = Cow::Owned(text.replace(what, instead));
        }
    }
    if let Some(instead) = parsed_by_insights(&text).or_else(|| placeholders(&text)) {
        text = Cow::Owned(instead);
    }
    if let Some(lines) = by_line(&text) {
        text = Cow::Owned(lines);
    }
    text
}

/// The names in `parse @message "* *" as version, srcaddr`, if each has its `*`.
fn parsed_by_insights(text: &str) -> Option<String> {
    let parse = text
        .find("parse ")
        .filter(|at| text[..*at].trim_end().is_empty() || text[..*at].trim_end().ends_with('|'))?;
    let open = parse + text[parse..].find(['"', '\''])?;
    let quote = text[open..].chars().next()?;
    let close = open + 1 + text[open + 1..].find(quote)?;
    let pattern = &text[open + 1..close];
    let names_at = close + 1 + text[close + 1..].find(" as ")? + 4;
    let names = text[names_at..].split('|').next().unwrap_or_default();
    let is_whole = pattern.split(' ').all(|part| part == "*")
        && text[close + 1..names_at - 4].trim().is_empty()
        && names.split(',').count() == pattern.split(' ').count();
    if !is_whole {
        return None;
    }
    let lines = |part: &str| part.matches('\n').map(|_| '\n').collect::<String>();
    Some(format!("{}{names}{}", lines(&text[..names_at]), lines(&text[names_at + names.len()..])))
}

/// `${version}` for dissect's `%{version}`, and for grok's `%{INT:version}` where all have a name.
fn placeholders(text: &str) -> Option<String> {
    if !text.contains("%{") || text.contains("${") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut of_grok = None;
    while let Some(open) = rest.find("%{") {
        let close = open + rest[open..].find('}')?;
        let parts: Vec<&str> = rest[open + 2..close].split(':').collect();
        let name = if parts.len() > 1 { parts[1] } else { parts[0] };
        if parts.len() > 3
            || !crate::catalogue::is_field_name(name)
            || *of_grok.get_or_insert(parts.len() > 1) != (parts.len() > 1)
        {
            return None;
        }
        out.push_str(&rest[..open]);
        out.push_str(&format!("${{{name}}}"));
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    Some(out)
}

fn by_line(text: &str) -> Option<String> {
    let shown = || text.lines().filter(|l| !l.trim().is_empty());
    let is_numbered = shown().count() > 1 && shown().all(|l| number(l).is_some());
    let mut changed = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let instead =
            if is_numbered { number(line).map(|len| blanked(line, 0, len)) } else { other_line(line) };
        changed |= instead.is_some();
        out.push_str(instead.as_deref().unwrap_or(line));
    }
    changed.then_some(out)
}

fn other_line(line: &str) -> Option<String> {
    let shown = line.trim_start();
    let indent = line.len() - shown.len();
    if shown.starts_with("```") && !shown.trim_start_matches('`').contains('`') {
        return Some(blanked(line, 0, line.trim_end().len()));
    }
    if let Some(label) = shown.get(..11)
        && (label.eq_ignore_ascii_case("log format:") || label.eq_ignore_ascii_case("log format="))
    {
        return Some(format!("{}Log_format:{}", &line[..indent], &shown[11..]));
    }
    if shown.starts_with('|') {
        // Rows of a table within one have two bars at either end.
        let (key, value) = shown.trim_start_matches('|').split_once('|')?;
        let behind = &value[value.trim_end().len()..];
        let value = value.trim_end().strip_suffix('|')?.trim_end_matches('|');
        let is_pair = !value.contains('|') && super::calls::is_key(key.trim());
        return is_pair.then(|| {
            format!(
                "{} {}:{}{value} {behind}",
                &line[..indent],
                key.trim(),
                " ".repeat(key.len() - key.trim().len())
            )
        });
    }
    if let Some(then) = line.find(" ? ") {
        return chosen(line, then);
    }
    None
}

/// Terraform's `condition ? format : null`: either there is this format, or none.
fn chosen(line: &str, then: usize) -> Option<String> {
    let begin = line[..then].find('=').map_or(0, |n| n + 1);
    let value = line[then + 3..].trim_end();
    let end = then + 3 + value.len();
    let value = value.strip_suffix("null")?.trim_end();
    let value = value.strip_suffix(':').filter(|v| v.trim_end().ends_with(['"', ')', ']']))?;
    let rest = blanked(line, then + 3 + value.len(), end);
    Some(blanked(&rest, begin, then + 3))
}

/// Bytes of `12. ` or `12) ` before an item.
fn number(line: &str) -> Option<usize> {
    let shown = line.trim_start();
    let behind = shown.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = behind.strip_prefix(['.', ')']).filter(|item| item.starts_with(' '))?;
    (behind.len() < shown.len()).then(|| line.len() - item.len())
}

/// `text` with blanks for some of its bytes.
fn blanked(text: &str, begin: usize, end: usize) -> String {
    format!("{}{}{}", &text[..begin], " ".repeat(end - begin), &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_words() {
        for (text, expected) in [
            ("${type}", "${type}"),
            ("\\u0024{type} \\u0024\\u007bend\\u007D", "${type} ${end}"),
            ("\"${'$'}{type} ${'$'}{end}\"", "\"${type} ${end}\""),
            ("{% raw %}${type}{% endraw %}", "         ${type}            "),
            ("<a><logFormat>${type}</logFormat></a>", "<a>logFormat:\"${type}\";          </a>"),
            ("a ^\r\n b ^\n c", "a  \r\n b  \n c"),
            ("x\n```text\n${type}\n```\n", "x\n       \n${type}\n   \n"),
            ("  log Format: ${type}\n", "  Log_format: ${type}\n"),
            ("| LogFormat | ${type} |\r\n|  A | b |\n+--+", " LogFormat:   ${type}  \r\n A:    b  \n+--+"),
            ("||  LogFormat | ${type} ||\n", " LogFormat:    ${type}  \n"),
            ("1. type\n 12) end\n\n", "   type\n     end\n\n"),
            ("1. type\nend\n", "1. type\nend\n"),
            ("log_format = var.a ? \"$${type}\" : null\n", "log_format =         \"$${type}\"       \n"),
            (
                "log_format = var.a == 1 ? \"$${type}\" : \"$${end}\"\n",
                "log_format = var.a == 1 ? \"$${type}\" : \"$${end}\"\n",
            ),
            ("is it ? null", "is it ? null"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_becomes_longer_and_lines_stay(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "|", "1. ", "2) ", "é", " ? ", "=", "null", " : ", "\"", "```", "\n", "\r\n", "^\n", "log format:", "\\u0024",
                "${'$'}", "{% raw %}", "<logFormat>", "</logFormat>", "LogFormat", " ", "x",
            ]), 0..30),
        ) {
            let text = pieces.concat();
            let plain = plain(&text);
            prop_assert!(plain.len() <= text.len(), "{plain:?}");
            prop_assert_eq!(plain.matches('\n').count(), text.matches('\n').count());
        }
    }
}
