//! Loops of Python and JavaScript over lists of names, written out.
//!
//! | in the text | read as |
//! |---|---|
//! | `f"${{{f}}}" for f in FIELDS`, `"${%s}" % f for f in FIELDS` | `["${version}", "${srcaddr}"]` |
//! | `"${" + f + "}" for f in FIELDS`, `"${{{}}}".format(f) for f in FIELDS` | the same |
//! | `` FIELDS.map(f => `\${${f}}`) ``, `FIELDS.map((f) => "${" + f + "}")` | the same |
//!
//! The names stand in a list or tuple there, or in one that is given the name in the same text.

use std::borrow::Cow;

use crate::spelling::terraform::Cursor;

/// `text` with its loops written out; those whose names are elsewhere are left.
pub(super) fn written_out(text: &str) -> Cow<'_, str> {
    const MAP: &str = ".map(";
    const TEMPLATES: [&str; 8] =
        ["f\"${{{", "f'${{{", "\"${%s}\"", "'${%s}'", "\"${\"", "'${'", "\"${{{}}}\"", "'${{{}}}'"];
    let beginnings = || TEMPLATES.iter().chain([&MAP]);
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = beginnings().filter_map(|b| text[at..].find(b)).min().map(|n| at + n) {
        let is_map = text[found..].starts_with(MAP);
        let mut cursor = Cursor { whole: text, at: found };
        let begin =
            if is_map { cursor.begin_of_list().filter(|begin| *begin >= copied) } else { Some(found) };
        let names =
            begin.and_then(|begin| if is_map { cursor.mapped(begin, MAP) } else { cursor.comprehension() });
        let Some((names, begin)) = names.zip(begin) else {
            at = found + 1;
            continue;
        };
        let list: Vec<String> = names.iter().map(|name| format!("\"${{{name}}}\"")).collect();
        let is_inside =
            text[..begin].trim_end().ends_with('[') && text[cursor.at..].trim_start().starts_with(']');
        let (open, close) = if is_inside { ("", "") } else { ("[", "]") };
        out.push_str(&text[copied..begin]);
        out.push_str(&format!("{open}{}{close}", list.join(", ")));
        // Lines keep their numbers.
        out.extend(text[begin..cursor.at].matches('\n'));
        (copied, at) = (cursor.at, cursor.at);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

impl<'a> Cursor<'a> {
    /// A template of one field, and the loop behind it.
    fn comprehension(&mut self) -> Option<Vec<&'a str>> {
        let name = ['"', '\''].into_iter().find_map(|quote| self.template(quote))?;
        self.eat("for")?;
        (self.word()? == name).then_some(())?;
        self.eat("in")?;
        self.list()
    }

    /// A template of one field; the word that stands in it.
    fn template(&mut self, quote: char) -> Option<&'a str> {
        let begin = self.at;
        let quoted = |text: &str| text.replace('"', &quote.to_string());
        for (before, behind) in [
            ("f\"${{{", vec!["}}}\""]),
            ("\"${%s}\" % ", vec![]),
            ("\"${%s}\" % (", vec![")"]),
            ("\"${\" + ", vec!["+", "\"}\""]),
            ("\"${{{}}}\".format(", vec![")"]),
        ] {
            self.at = begin;
            let mut read = || {
                quoted(before).split(' ').filter(|piece| !piece.is_empty()).try_for_each(|p| self.eat(p))?;
                let name = self.word()?;
                behind.iter().try_for_each(|piece| self.eat(&quoted(piece)))?;
                Some(name)
            };
            if let Some(name) = read() {
                return Some(name);
            }
        }
        self.at = begin;
        None
    }

    /// Where the list begins that stands before the cursor.
    fn begin_of_list(&self) -> Option<usize> {
        let before = self.whole[..self.at].trim_end();
        if before.ends_with(']') {
            return before.rfind('[');
        }
        let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
        let begin = before.trim_end_matches(is_of_word).len();
        (begin < before.len()).then_some(begin)
    }

    /// The names of the list at `begin`, behind which a function makes fields of them.
    fn mapped(&mut self, begin: usize, map: &str) -> Option<Vec<&'a str>> {
        let call = self.at;
        self.at = begin;
        let names = self.list()?;
        (self.whole[self.at..call].trim().is_empty()).then_some(())?;
        self.eat(map)?;
        let is_in_brackets = self.eat("(").is_some();
        let name = self.word()?;
        if is_in_brackets {
            let type_ = self.whole[self.at..].find(')')?;
            self.at += type_ + 1;
        }
        self.eat("=>")?;
        if self.eat("`").is_some() {
            ["\\${${", "$\\{${", "${'$'}{${", "${\"$\"}{${"].iter().find_map(|begin| self.eat(begin))?;
            (self.word()? == name).then_some(())?;
            self.eat("}").and_then(|()| self.eat("\\}").or_else(|| self.eat("}")))?;
            self.eat("`")?;
        } else {
            let word = ['"', '\''].into_iter().find_map(|quote| self.template(quote))?;
            (word == name).then_some(())?;
        }
        self.eat(")")?;
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_over_names() {
        let list = "[\"${type}\", \"${pkt-srcaddr}\"]";
        for (text, expected) in [
            ("\" \".join(f\"${{{f}}}\" for f in [\"type\", \"pkt-srcaddr\"])", format!("\" \".join({list})")),
            ("' '.join([f'${{{x}}}' for x in ('type', 'pkt-srcaddr')])", format!("' '.join({list})")),
            (
                "x = \" \".join('${%s}' % n for n in ['type', 'pkt-srcaddr'])",
                format!("x = \" \".join({list})"),
            ),
            (
                "' '.join(\"${{{}}}\".format(f) for f in [\"type\", \"pkt-srcaddr\"])",
                format!("' '.join({list})"),
            ),
            (
                "' '.join([\"${\" + f + \"}\" for f in [\"type\", \"pkt-srcaddr\"]])",
                format!("' '.join({list})"),
            ),
            (
                "FIELDS: list[str] = [\n    \"type\",  # kind\n    \"pkt-srcaddr\",\n]\nx = \" \".join(f\"${{{f}}}\" for f in FIELDS)\n",
                format!(
                    "FIELDS: list[str] = [\n    \"type\",  # kind\n    \"pkt-srcaddr\",\n]\nx = \" \".join({list})\n"
                ),
            ),
            (
                "const fields = ['type', 'pkt-srcaddr'];\nx(fields.map((f: string) => `\\${${f}}`).join(' '))",
                format!("const fields = ['type', 'pkt-srcaddr'];\nx({list}.join(' '))"),
            ),
            ("['type', 'pkt-srcaddr'].map(f => '${' + f + '}').join(' ')", format!("{list}.join(' ')")),
        ] {
            assert_eq!(written_out(text), expected, "{text}");
        }
        for text in [
            "\" \".join(f\"${{{f}}}\" for f in elsewhere)",
            "\" \".join(f\"${{{f}}}\" for g in [\"type\"])",
            "['type'].map(f => g(f))",
            "x.map(f => `\\${${f}}`)",
            "\"${\" + é",
        ] {
            assert_eq!(written_out(text), text);
        }
    }
}
