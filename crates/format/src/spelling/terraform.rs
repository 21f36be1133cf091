//! Terraform's expressions over lists of names, written out.
//!
//! | in the text | read as |
//! |---|---|
//! | `[for f in local.fields : "$${${f}}"]` | `["$${version}", "$${srcaddr}"]` |
//! | `formatlist("$${%s}", var.fields)` | the same |
//!
//! The names stand in a list there, in a local value, or as a variable's default, in the same text.

use std::borrow::Cow;

use crate::catalogue::is_field_name;

/// `text` with its expressions written out; those whose names are elsewhere are left.
pub(super) fn written_out(text: &str) -> Cow<'_, str> {
    const BEGINNINGS: [&str; 3] = ["[for", "[ for", "formatlist"];
    if !BEGINNINGS.iter().any(|b| text.contains(b)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(n) = BEGINNINGS.iter().filter_map(|b| text[at..].find(b)).min() {
        at += n;
        let mut cursor = Cursor { whole: text, at };
        match cursor.expression() {
            Some(names) => {
                let list: Vec<String> = names.iter().map(|name| format!("\"$${{{name}}}\"")).collect();
                out.push_str(&text[copied..at]);
                out.push_str(&format!("[{}]", list.join(", ")));
                // Lines keep their numbers.
                out.extend(text[at..cursor.at].matches('\n'));
                (copied, at) = (cursor.at, cursor.at);
            }
            None => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// A place in a text from which code is read.
pub(super) struct Cursor<'a> {
    pub(super) whole: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    fn expression(&mut self) -> Option<Vec<&'a str>> {
        if self.eat("formatlist").is_some() {
            self.eat("(")?;
            self.eat("\"$${%s}\"")?;
            self.eat(",")?;
            let names = self.list()?;
            self.eat(")")?;
            return Some(names);
        }
        self.eat("[")?;
        self.eat("for")?;
        let each = self.word()?;
        self.eat("in")?;
        let names = self.list()?;
        self.eat(":")?;
        self.eat("\"$${${")?;
        self.eat(each)?;
        self.eat("}}\"")?;
        self.eat("]")?;
        Some(names)
    }

    /// Passes over blanks, and over `what` if it stands there.
    pub(super) fn eat(&mut self, what: &str) -> Option<()> {
        let rest = self.whole[self.at..].trim_start();
        let behind = rest.strip_prefix(what)?;
        self.at = self.whole.len() - behind.len();
        Some(())
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        let rest = self.whole[self.at..].trim_start();
        let len =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(rest.len());
        self.at = self.whole.len() - rest.len() + len;
        (len > 0).then_some(&rest[..len])
    }

    /// The names of a list, or of one that `local.name`, `var.name` or a variable of a program refers to.
    pub(super) fn list(&mut self) -> Option<Vec<&'a str>> {
        if self.whole[self.at..].trim_start().starts_with(['[', '(']) {
            return self.names();
        }
        let mut word = self.word()?;
        // What is done with the list is none of its name.
        if let Some(list) = word.strip_suffix(".map") {
            self.at -= word.len() - list.len();
            word = list;
        }
        let (begin, name) = match (word.strip_prefix("local."), word.strip_prefix("var.")) {
            (Some(name), _) => (0, name),
            (_, Some(name)) => (self.whole.find(&format!("variable \"{name}\""))?, "default"),
            _ => (0, word.trim_start_matches("self.").trim_start_matches("this.")),
        };
        let whole = self.whole;
        let uses = whole[begin..].match_indices(name).map(|(n, _)| begin + n);
        let mut values =
            uses.filter(|n| !whole[..*n].ends_with(|c: char| c.is_alphanumeric() || "_-.".contains(c)));
        values.find_map(|n| {
            let mut cursor = Cursor { whole, at: n };
            cursor.eat(name)?;
            // A type may stand between: `FIELDS: list[str] = […]`.
            if cursor.eat(":").is_some() {
                let line = whole[cursor.at..].lines().next()?;
                cursor.at += line.find('=')?;
            }
            cursor.eat("=")?;
            cursor.names()
        })
    }

    /// The strings of a list, each a field's name.
    fn names(&mut self) -> Option<Vec<&'a str>> {
        let close = if self.eat("[").is_some() { ']' } else { self.eat("(").map(|()| ')')? };
        let rest = &self.whole[self.at..];
        // A bracket in a comment is none; a name has none either.
        let mut names = Vec::new();
        let mut len = 0;
        for line in rest.split_inclusive('\n') {
            let code = line.find('#').or_else(|| line.find("//")).map_or(line, |n| &line[..n]);
            let (code, is_end) =
                code.split_once(close).map_or((code, None), |(code, _)| (code, Some(code.len() + 1)));
            for item in code.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                let quoted = |quote| item.strip_prefix(quote)?.strip_suffix(quote);
                let name = quoted('"').or_else(|| quoted('\'')).filter(|name| is_field_name(name))?;
                names.push(name);
            }
            if let Some(end) = is_end {
                self.at += len + end;
                return (1..=crate::FIELDS_MAX).contains(&names.len()).then_some(names);
            }
            len += line.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_over_names() {
        let list = "[\"$${type}\", \"$${pkt-srcaddr}\"]";
        let names = "[\"type\", \"pkt-srcaddr\"]";
        for (text, expected) in [
            (format!("join(\" \", [for f in {names} : \"$${{${{f}}}}\"])"), format!("join(\" \", {list})")),
            (format!("[ for name in\n  {names}:\"$${{${{name}}}}\" ]"), format!("{list}\n")),
            (format!("formatlist(\"$${{%s}}\", {names})"), list.to_owned()),
            (
                "x = formatlist(\"$${%s}\", local.keep)\nlocals {\n  to_keep = [\"end\"]\n  keep = [\n    \"type\", # a ]\n    \"pkt-srcaddr\",\n  ]\n}".to_owned(),
                format!("x = {list}\nlocals {{\n  to_keep = [\"end\"]\n  keep = [\n    \"type\", # a ]\n    \"pkt-srcaddr\",\n  ]\n}}"),
            ),
            (
                format!("variable \"keep\" {{\n  type = list(string)\n  default = {names}\n}}\nx = [for f in var.keep : \"$${{${{f}}}}\"]\n"),
                format!("variable \"keep\" {{\n  type = list(string)\n  default = {names}\n}}\nx = {list}\n"),
            ),
        ] {
            assert_eq!(written_out(&text), expected, "{text}");
        }
        for text in [
            "[for f in local.elsewhere : \"$${${f}}\"]",
            "[for f in local.a : \"$${${g}}\"]\na = [\"type\"]",
            "[for f in local.a : upper(f)]\na = [\"type\"]",
            "[for f in [\"type\", local.b] : \"$${${f}}\"]",
            "formatlist(\"%s\", [\"type\"])",
            "formatlist(\"$${%s}\", [\"type\"",
            "the list [for é",
        ] {
            assert_eq!(written_out(text), text);
        }
    }
}
