//! Tokens to names of fields, in order; everything that is passed over is known punctuation.
//!
//! ```text
//! format  = { key } { item } [ ";" ]
//! key     = [ declaration ] word ( ":" | "=" )          before the first field only
//! item    = field | name | constant | separator | wrapper | "(" { item } ")" | "[" … "]" | "{" … "}" | "<<EOF" … "EOF"
//! ```
//!
//! Quotes are looked through, since people paste texts of which one quote is missing. Brackets are not: where one is missing,
//! fields may be missing too.

use std::borrow::Cow;

use crate::catalogue::{Catalogue, is_field_name, normalised};
use crate::log_format::FormatError;
use crate::spelling::calls::{
    DECLARATIONS, FALLBACKS, JOINS, METHODS, REPLACES, TAGS, WRAPPERS, is_block_mark, is_format_key, is_key,
    is_reference,
};
use crate::spelling::cdk::{Cdk, cdk};
use crate::spelling::token::{Kind, Side, Token, is_blank, is_dash, is_invisible, tokens};

/// A field's name as the text has it, but with plain dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Byte offset of the name in the text.
    pub(crate) at: usize,
    /// Its bytes in the text.
    pub(crate) len: usize,
    /// Written as `${name}` or by a constant: no name of a default format.
    pub(crate) is_marked: bool,
}

const BLANKS_HINT: &str = "separate fields by single spaces, as AWS does";

/// The names in `text`, at least one.
pub(crate) fn names<'a>(text: &'a str, catalogue: &'a Catalogue) -> Result<Vec<Named<'a>>, FormatError> {
    let found = names_of(text, &tokens(text), catalogue)?;
    if found.is_empty() {
        let names = catalogue.format_names().join(", ");
        return Err(FormatError::at(text, text.len(), 1, "expected at least one field", "none".into())
            .hint(format!("default formats are {names}")));
    }
    Ok(found)
}

/// The names that some tokens of `text` hold, which may be none.
pub(super) fn names_of<'a>(
    text: &'a str,
    tokens: &[Token<'a>],
    catalogue: &'a Catalogue,
) -> Result<Vec<Named<'a>>, FormatError> {
    let mut reader = Reader {
        text,
        tokens,
        i: 0,
        catalogue,
        found: Vec::new(),
        open: Vec::new(),
        at_value: true,
        is_apart: true,
        ended: None,
    };
    while reader.i < tokens.len() {
        reader.step()?;
    }
    if let Some(bracket) = reader.open.last() {
        let expected = "expected the bracket that closes this one";
        return Err(FormatError::at(text, bracket.at, 1, expected, "none".into()));
    }
    let found = reader.found;
    // Beside `${version}` a bare word that is no field is a variable, or a word of a sentence.
    let is_stray = |n: &&Named<'_>| !n.is_marked && catalogue.field(&normalised(&n.name)).is_none();
    if found.iter().any(|n| n.is_marked)
        && let Some(stray) = found.iter().find(is_stray)
    {
        let error = FormatError::at(
            text,
            stray.at,
            stray.len,
            "expected a field's name",
            format!("`{}`", stray.name),
        );
        return Err(match catalogue.nearest_field(&normalised(&stray.name)) {
            Some(near) => error.hint(format!("did you mean `${{{near}}}`?")),
            None => {
                error.hint(format!("write a field that is not in the field list as `${{{}}}`", stray.name))
            }
        });
    }
    Ok(found)
}

struct Bracket {
    open: char,
    at: usize,
    /// Of `replace(…)` and the like: what comes behind its first comma holds no fields, but what this says.
    behind_comma: Option<&'static str>,
    commas: usize,
}

struct Reader<'t, 'a> {
    text: &'a str,
    tokens: &'t [Token<'a>],
    i: usize,
    catalogue: &'a Catalogue,
    found: Vec<Named<'a>>,
    open: Vec<Bracket>,
    /// Whether a value may begin here: behind a key, a bracket, a comma.
    at_value: bool,
    /// Whether something stands between the last field and this place.
    is_apart: bool,
    /// Where a semicolon ended the format.
    ended: Option<usize>,
}

impl<'a> Reader<'_, 'a> {
    fn kind(&self, i: usize) -> Option<Kind<'a>> {
        self.tokens.get(i).map(|t| t.kind)
    }

    fn before(&self) -> Option<Kind<'a>> {
        self.i.checked_sub(1).and_then(|i| self.kind(i))
    }

    fn error(&self, at: usize, len: usize, expected: &'static str, found: &str) -> FormatError {
        FormatError::at(self.text, at, len, expected, format!("`{found}`"))
    }

    /// Looks on behind `count` tokens that add no field.
    fn pass(&mut self, count: usize, at_value: bool) {
        self.i += count;
        self.is_apart = true;
        self.at_value = at_value;
    }

    fn step(&mut self) -> Result<(), FormatError> {
        let token = self.tokens[self.i];
        let shown = &self.text[token.at..token.end()];
        self.is_apart |= token.blank_before;
        match token.kind {
            Kind::Field(name) => {
                let at = self.text[token.at..].find('{').map_or(token.at, |n| token.at + n + 1);
                let at = self.text[at..].find(name).map_or(at, |n| at + n);
                self.name(token.at, name, at, true)?;
                self.i += 1;
            }
            Kind::Unclosed(name) => return Err(self.unclosed(&token, name)),
            Kind::Word(word) => self.word(&token, word)?,
            Kind::Quote(_) => self.i += 1,
            Kind::Comma => {
                if let Some(bracket) = self.open.last_mut() {
                    bracket.commas += 1;
                }
                self.pass(1, true);
            }
            Kind::Semicolon => {
                self.ended.get_or_insert(token.at);
                self.pass(1, false);
            }
            // `LogFormat[] = …`, `List<LogFormat> x = …`: the end of a type.
            Kind::Assign if self.found.is_empty() && matches!(self.before(), Some(Kind::Close(_))) => {
                self.pass(1, true);
            }
            Kind::Assign => return Err(self.error(token.at, token.len, "expected a field's name", shown)),
            Kind::Open(open) => {
                if !self.at_value {
                    return Err(self.error(token.at, token.len, "expected a field's name", shown));
                }
                self.open.push(Bracket { open, at: token.at, behind_comma: None, commas: 0 });
                self.pass(1, true);
            }
            Kind::Close(close) => {
                let open = self.open.pop().map(|b| b.open);
                if !matches!(
                    (open, close),
                    (Some('('), ')') | (Some('['), ']') | (Some('{'), '}') | (Some('<'), '<')
                ) {
                    return Err(self.error(token.at, token.len, "expected brackets that match", shown));
                }
                let is_empty = matches!(self.before(), Some(Kind::Open(_)));
                self.i += 1;
                self.at_value = is_empty && self.found.is_empty();
                self.is_apart |= is_empty;
            }
        }
        Ok(())
    }

    /// Takes a name that is written at `at` and whose token begins at `token_at`.
    fn name(&mut self, token_at: usize, raw: &'a str, at: usize, is_marked: bool) -> Result<(), FormatError> {
        let name = plain(raw);
        if !is_field_name(&name) {
            return Err(bad_name(self.text, at, raw, self.catalogue));
        }
        let first = self.text[token_at..].chars().next().map_or(1, char::len_utf8);
        let shown = &self.text[token_at..token_at + first];
        if let Some(at) = self.ended {
            return Err(self.error(at, 1, "expected a space between fields", ";").hint(BLANKS_HINT.into()));
        }
        if !self.is_apart || (!self.at_value && matches!(self.before(), Some(Kind::Close(_)))) {
            let error = self.error(token_at, first, "expected a space between fields", shown);
            return Err(error.hint(BLANKS_HINT.into()));
        }
        if let Some(expected) = self.open.iter().filter(|b| b.commas > 0).find_map(|b| b.behind_comma) {
            return Err(self.error(at, raw.len(), expected, raw));
        }
        self.found.push(Named { name, at, len: raw.len(), is_marked });
        self.is_apart = false;
        self.at_value = false;
        Ok(())
    }

    fn unclosed(&self, token: &Token<'_>, name: &str) -> FormatError {
        let error = FormatError::at(
            self.text,
            token.at,
            token.len,
            "expected `}` after the field's name",
            "none".into(),
        );
        let name = normalised(name.trim_end_matches(['{', '$', ')', ']']));
        match self.catalogue.nearest_field(&name) {
            Some(near) => error.hint(format!("write `${{{near}}}`")),
            None => error.hint("write `${field-name}`".into()),
        }
    }

    fn word(&mut self, token: &Token<'a>, word: &'a str) -> Result<(), FormatError> {
        if self.is_list_mark(token, word) {
            self.pass(1, true);
            return Ok(());
        }
        let next = self.kind(self.i + 1);
        if word == "+" && matches!(self.before(), Some(Kind::Quote(_) | Kind::Close(_))) {
            self.pass(1, true);
            return Ok(());
        }
        if let Some(len) = self.key(word) {
            if let Some(first) = self.found.first() {
                let error = self.error(token.at, token.len, "expected the end of the log format", word);
                let hint = format!(
                    "the format that begins with `{}` ends before; to read a whole file, name the file",
                    first.name
                );
                return Err(error.hint(hint));
            }
            self.joined_by_blank(word, self.i + len)?;
            self.pass(len, true);
            return Ok(());
        }
        if self.at_value && self.found.is_empty() {
            let is_declaration = DECLARATIONS.contains(&word)
                && matches!(next, Some(Kind::Word(next)) if is_key(next))
                && matches!(self.kind(self.i + 2), Some(Kind::Assign | Kind::Word(_)));
            let is_option = word.starts_with('-') && is_format_key(word);
            // The name that YAML gives to a value: `LogFormat: &format ${version}`.
            let is_anchor = word.strip_prefix('&').is_some_and(is_key);
            if is_declaration || is_option || is_anchor || TAGS.contains(&word) || is_block_mark(word) {
                self.joined_by_blank(word, self.i + 1)?;
                self.pass(1, true);
                return Ok(());
            }
        }
        if self.at_value
            && (word == "&" || word == "new")
            && matches!(next, Some(Kind::Open(_) | Kind::Word(_)))
        {
            self.pass(1, true);
            return Ok(());
        }
        if next == Some(Kind::Open('(')) && self.call(word)? {
            return Ok(());
        }
        if let Some(meaning) = cdk(word, self.catalogue) {
            return self.cdk(token, meaning, next);
        }
        self.name(token.at, word, token.at, false)?;
        self.i += 1;
        Ok(())
    }

    /// A dash or bullet before an item of a list, at the beginning of a line: `- version`, also `- - version`.
    fn is_list_mark(&self, token: &Token<'_>, word: &str) -> bool {
        let mut chars = word.chars();
        let is_mark = |c: char| is_dash(c) || matches!(c, '*' | '•');
        if !chars.next().is_some_and(is_mark) || chars.next().is_some() {
            return false;
        }
        let line = self.text[..token.at].rsplit('\n').next().unwrap_or_default();
        line.chars().all(|c| is_blank(c) || is_mark(c) || matches!(c, '\'' | '"' | '`'))
    }

    /// How many tokens a key has that begins here: its word, perhaps a closing quote, and `:` or `=`.
    fn key(&self, word: &str) -> Option<usize> {
        if !is_key(word) || (is_field_name(word) && self.catalogue.field(&normalised(word)).is_some()) {
            return None;
        }
        let behind = match self.kind(self.i + 1)? {
            Kind::Quote(Side::Close | Side::Loose) => 2,
            _ => 1,
        };
        (self.kind(self.i + behind)? == Kind::Assign).then_some(behind + 1)
    }

    /// Checks what a join puts between fields: `!Join [" ", […]]`, and as a key.
    fn joined_by_blank(&self, word: &str, mut i: usize) -> Result<(), FormatError> {
        if word != "!Join" && word != "Fn::Join" {
            return Ok(());
        }
        while matches!(self.kind(i), Some(Kind::Open('[')) | Some(Kind::Word("-"))) {
            i += 1;
        }
        self.blank_string(i)
    }

    /// Checks that a string of blanks stands at token `i`.
    fn blank_string(&self, i: usize) -> Result<(), FormatError> {
        if let (Some(Kind::Quote(_)), Some(Kind::Quote(_))) = (self.kind(i), self.kind(i + 1))
            && self.tokens[i + 1].blank_before
        {
            return Ok(());
        }
        let (at, len) = self.tokens.get(i).map_or((self.text.len(), 1), |t| (t.at, t.len));
        let is_quote = |t: &&Token<'_>| matches!(t.kind, Kind::Quote(_));
        let end = self.tokens.iter().skip(i + 1).find(is_quote).map_or(at + len, Token::end);
        let found = self.text.get(at..end).unwrap_or_default();
        Err(self.error(at, len, "expected fields joined by `\" \"`", found).hint(BLANKS_HINT.into()))
    }

    /// Passes over a function around the format, or behind it; `false` where the word is none that is known.
    fn call(&mut self, word: &str) -> Result<bool, FormatError> {
        if self.at_value && JOINS.contains(&word) {
            self.blank_string(self.i + 2)?;
            self.pass(1, true);
        } else if self.at_value && REPLACES.contains(&word) {
            let at = self.tokens[self.i + 1].at;
            let behind_comma = Some("expected only spaces to be replaced");
            self.open.push(Bracket { open: '(', at, behind_comma, commas: 0 });
            self.pass(2, true);
        } else if self.at_value && FALLBACKS.contains(&word) {
            let at = self.tokens[self.i + 1].at;
            let mut behind = 2;
            while let (Some(Kind::Word(word)), Some(Kind::Comma)) =
                (self.kind(self.i + behind), self.kind(self.i + behind + 1))
                && is_reference(word)
            {
                behind += 2;
            }
            let behind_comma = Some("expected one log format in the call");
            self.open.push(Bracket { open: '(', at, behind_comma, commas: 0 });
            self.pass(behind, true);
        } else if self.at_value && WRAPPERS.contains(&word) {
            self.pass(1, true);
        } else if word == ".join" && self.found.is_empty() {
            // Python's `" ".join([…])`.
            self.blank_string(self.i.saturating_sub(2))?;
            self.pass(1, true);
        } else if word == ".join" && self.kind(self.i + 4) == Some(Kind::Close(')')) {
            self.blank_string(self.i + 2)?;
            self.pass(5, false);
        } else if METHODS.contains(&word) && self.kind(self.i + 2) == Some(Kind::Close(')')) {
            self.pass(3, false);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn cdk(
        &mut self,
        token: &Token<'a>,
        meaning: Cdk<'a>,
        next: Option<Kind<'a>>,
    ) -> Result<(), FormatError> {
        match meaning {
            Cdk::Fields(fields) => {
                for name in fields {
                    self.name(token.at, name, token.at, true)?;
                    // Constants of several fields have them apart.
                    self.is_apart = true;
                }
                self.is_apart = false;
                for named in self.found.iter_mut().rev().take_while(|n| n.at == token.at) {
                    named.len = token.len;
                }
                self.i += 1;
                // Go's constants are functions.
                if next == Some(Kind::Open('(')) && self.kind(self.i + 1) == Some(Kind::Close(')')) {
                    self.i += 2;
                }
            }
            Cdk::Class if matches!(next, Some(Kind::Open(_))) => self.pass(1, true),
            Cdk::Function if next == Some(Kind::Open('(')) && self.at_value => self.pass(1, true),
            Cdk::Unknown(member, near) => {
                let at = token.end() - member.len();
                let error = self.error(at, member.len(), "expected a constant of CDK's LogFormat", member);
                return Err(match near {
                    Some(near) => error.hint(format!("did you mean `LogFormat.{near}`?")),
                    None => error.hint("CDK's constants are names such as `LogFormat.VERSION`".into()),
                });
            }
            Cdk::Class | Cdk::Function => {
                return Err(bad_name(self.text, token.at, &self.text[token.at..token.end()], self.catalogue));
            }
        }
        Ok(())
    }
}

/// A name with plain dashes for typographic ones, and without marks that are not seen.
fn plain(raw: &str) -> Cow<'_, str> {
    if raw.is_ascii() {
        return Cow::Borrowed(raw);
    }
    let shown = raw.chars().filter(|c| !is_invisible(*c));
    Cow::Owned(shown.map(|c| if is_dash(c) { '-' } else { c }).collect())
}

fn bad_name(text: &str, at: usize, name: &str, catalogue: &Catalogue) -> FormatError {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || is_dash(c) || is_invisible(c);
    let Some((bad_at, bad)) =
        name.char_indices().find(|(i, c)| if *i == 0 { !c.is_ascii_alphabetic() } else { !allowed(*c) })
    else {
        return FormatError::at(text, at, 1, "expected a field's name", "none".into())
            .hint("write `${field-name}`".into());
    };
    let error =
        FormatError::at(text, at + bad_at, bad.len_utf8(), "expected a field's name", format!("`{bad}`"));
    let known: String = plain(name).chars().filter(|c| allowed(*c)).collect();
    match catalogue.nearest_field(&normalised(&known)) {
        Some(near) => error.hint(format!("did you mean `${{{near}}}`?")),
        None => error.hint("names are letters, digits and dashes".into()),
    }
}
