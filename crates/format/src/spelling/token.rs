//! Text to tokens. No text is an error here: what is no token of its own is a word, and the grammar judges words.

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Byte offset in the text.
    pub(super) at: usize,
    /// Bytes.
    pub(super) len: usize,
    /// Whether a blank, a comment or the text's start stands before it.
    pub(super) blank_before: bool,
}

impl Token<'_> {
    /// Byte offset behind it.
    pub(super) fn end(&self) -> usize {
        self.at + self.len
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `=`, `:=`, `=>`, or `:` behind a key.
    Assign,
    /// A bracket, or the `<<` of a heredoc as `<`.
    Close(char),
    Comma,
    /// What stands between the braces of `${…}`, however that is escaped.
    Field(&'a str),
    Open(char),
    Quote(Side),
    Semicolon,
    /// `${…` without its `}`: what stands behind the brace.
    Unclosed(&'a str),
    Word(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Close,
    /// Opens and closes nothing that is known: typographic, escaped, or within another string.
    Loose,
    Open,
}

/// Quotes that code has.
const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Quotes that word processors and blogs make of them.
const TYPOGRAPHIC: [char; 8] = ['‘', '’', '“', '”', '„', '‚', '«', '»'];

/// Dashes that word processors make of `-`.
const DASHES: [char; 7] = ['\u{2010}', '\u{2011}', '\u{2012}', '–', '—', '\u{2212}', '\u{fe63}'];

/// Whether `c` is `-`, or what stands for it in formatted text.
pub(super) fn is_dash(c: char) -> bool {
    c == '-' || DASHES.contains(&c)
}

/// Whether `c` is not seen: marks that web pages leave in copied text.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{ad}')
}

pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

fn is_quote(c: char) -> bool {
    QUOTES.contains(&c) || TYPOGRAPHIC.contains(&c)
}

/// Letters before a quote that say how a string is read: `f"…"` in Python, `$@"…"` in C#.
const STRING_PREFIXES: [&str; 10] = ["f", "r", "b", "u", "fr", "rf", "s", "$", "@", "$@"];

/// The tokens of `text`, in order and without overlap.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, string: None, blank: true, heredoc: None, found: Vec::new() };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.found
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The quote of the string that `at` stands in.
    string: Option<char>,
    /// Whether a blank was passed since the last token.
    blank: bool,
    /// Where the closing line of a heredoc begins and ends.
    heredoc: Option<(usize, usize)>,
    found: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind<'a>, len: usize) {
        self.found.push(Token { kind, at: self.at, len, blank_before: self.blank });
        self.at += len;
        self.blank = false;
    }

    fn skip(&mut self, len: usize) {
        self.at += len;
        self.blank = true;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return };
        if self.heredoc.is_some_and(|(at, _)| self.at >= at) {
            let end = self.heredoc.take().map_or(self.at, |(_, end)| end);
            self.blank = true;
            return self.push(Kind::Close('<'), end - self.at);
        }
        if is_blank(c) {
            return self.skip(c.len_utf8());
        }
        if c == '\\'
            && let Some(len) = escaped_blank(rest)
        {
            return self.skip(len);
        }
        if let Some(field) = field(rest) {
            let (kind, len) = field;
            return self.push(kind, len);
        }
        if let Some(escaped) = rest.strip_prefix('\\')
            && escaped.starts_with(QUOTES)
        {
            return self.push(Kind::Quote(Side::Loose), 2);
        }
        if is_quote(c) {
            let side = self.side(c);
            return self.push(Kind::Quote(side), c.len_utf8());
        }
        if let Some(len) = self.comment().or_else(|| self.yaml_comment()) {
            return self.skip(len);
        }
        if let Some((tag_len, close)) = self.heredoc(rest) {
            self.heredoc = Some(close);
            return self.push(Kind::Open('<'), tag_len);
        }
        match c {
            '(' | '[' | '{' => self.push(Kind::Open(c), 1),
            ')' | ']' | '}' => self.push(Kind::Close(c), 1),
            ',' => self.push(Kind::Comma, 1),
            ';' => self.push(Kind::Semicolon, 1),
            '=' => self.push(Kind::Assign, if rest.starts_with("=>") { 2 } else { 1 }),
            ':' if !rest.starts_with("::") => {
                self.push(Kind::Assign, if rest.starts_with(":=") { 2 } else { 1 });
            }
            _ => self.word(rest),
        }
    }

    fn side(&mut self, c: char) -> Side {
        match self.string {
            _ if !QUOTES.contains(&c) => Side::Loose,
            Some(open) if open == c => {
                self.string = None;
                Side::Close
            }
            Some(_) => Side::Loose,
            // An apostrophe within a word is none.
            None if c == '\'' && self.text[..self.at].ends_with(char::is_alphanumeric) => Side::Loose,
            None => {
                self.string = Some(c);
                Side::Open
            }
        }
    }

    /// Bytes of a comment that begins here. One line of names has none: what looks like one there is a slip.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest();
        let is_code = matches!(
            self.found.last().map(|t| t.kind),
            Some(Kind::Close(_) | Kind::Comma | Kind::Open(_) | Kind::Quote(_) | Kind::Semicolon)
        );
        let begins_line = self.text[..self.at].trim_end_matches([' ', '\t']).ends_with('\n')
            || (self.found.is_empty() && rest.contains('\n'));
        if self.string.is_some() || !(is_code || begins_line) || !(self.blank || is_code) {
            return None;
        }
        if rest.starts_with("/*") {
            return rest.find("*/").map(|n| n + 2);
        }
        let is_comment = rest.starts_with('#') || rest.starts_with("//");
        is_comment.then(|| rest.find('\n').unwrap_or(rest.len()))
    }

    /// Bytes of a comment of YAML behind a value that is in no quotes: `LogFormat: ${version} # ours`, `- ${version} # ours`. One with a field is
    /// a slip more likely.
    fn yaml_comment(&self) -> Option<usize> {
        let rest = self.rest();
        let is_behind = matches!(self.found.last().map(|t| t.kind), Some(Kind::Field(_) | Kind::Word(_)));
        if self.string.is_some() || !self.blank || !is_behind || !rest.starts_with("# ") {
            return None;
        }
        let line = self.text[..self.at].rsplit('\n').next().unwrap_or_default();
        let is_yaml = line.trim_start().starts_with("- ") || line.contains(": ");
        let len = rest.find('\n').unwrap_or(rest.len());
        (is_yaml && !rest[..len].contains("${")).then_some(len)
    }

    /// `<<EOF`, `<<-EOT`, `<<'EOF'`: its bytes, and where its closing line's word stands.
    fn heredoc(&self, rest: &str) -> Option<(usize, (usize, usize))> {
        let tag = rest.strip_prefix("<<")?;
        let tag = tag.trim_start_matches(['-', '~']);
        let line = tag.find('\n').map_or(tag, |n| &tag[..n]);
        let word = line.trim_matches(|c: char| is_blank(c) || QUOTES.contains(&c));
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let body_at = self.at + rest.len() - tag.len() + line.len();
        let mut line_at = body_at;
        for line in self.text[body_at..].split_inclusive('\n') {
            // A bracket or comma of the call around it may follow the word.
            let shown = line.trim_start();
            if let Some(behind) = shown.strip_prefix(word)
                && !behind.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-')
            {
                let at = line_at + line.len() - shown.len();
                return Some((body_at - self.at, (at, at + word.len())));
            }
            line_at += line.len();
        }
        None
    }

    fn word(&mut self, rest: &'a str) {
        let mut len = 0;
        for (i, c) in rest.char_indices() {
            let next = &rest[i + c.len_utf8()..];
            let ends = i > 0
                && (is_blank(c)
                    || is_quote(c)
                    || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '=')
                    // What stands directly before a field, `>` of a tag or `**`, does not hide it.
                    || (matches!(c, '$' | '\\') && matches!(field(&rest[i..]), Some((Kind::Field(_), _))))
                    || (c == '\\' && (escaped_blank(&rest[i..]).is_some() || next.starts_with(QUOTES)))
                    || (c == ':' && !rest[..i].ends_with(':') && ends_key(next)));
            if ends {
                break;
            }
            len = i + c.len_utf8();
        }
        if STRING_PREFIXES.contains(&&rest[..len]) && rest[len..].starts_with(QUOTES) {
            self.at += len;
            return;
        }
        self.push(Kind::Word(&rest[..len]), len);
    }
}

/// Whether a colon before `next` ends a key, and is not part of a word such as `Fn::Sub`.
fn ends_key(next: &str) -> bool {
    next.chars()
        .next()
        .is_none_or(|c| is_blank(c) || is_quote(c) || matches!(c, '=' | '$' | '\\' | '[' | '{' | '('))
}

/// Bytes of a backslash that stands for a blank: before the line's or the text's end, and `\n` as two characters.
fn escaped_blank(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix('\\')?;
    let line = behind.trim_start_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('\n') {
        return Some(1);
    }
    let after = behind.strip_prefix(['n', 't', 'r'])?;
    (!after.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_')).then_some(2)
}

/// `${name}` at the start of `rest`, escaped as any language does, with its bytes.
fn field(rest: &str) -> Option<(Kind<'_>, usize)> {
    let escapes = rest.len() - rest.trim_start_matches(['\\', '$']).len();
    let (before, braced) = rest.split_at(escapes);
    if !before.contains('$') {
        return None;
    }
    let (inner, close) = match braced.strip_prefix("{{") {
        Some(inner) => (inner, "}}"),
        None => (braced.strip_prefix('{')?, "}"),
    };
    let name = inner.strip_prefix('!').unwrap_or(inner);
    let name_at = rest.len() - name.len();
    let word = name.find(char::is_whitespace).map_or(name, |n| &name[..n]);
    match word.find(close) {
        Some(n) => {
            Some((Kind::Field(word[..n].strip_suffix('\\').unwrap_or(&word[..n])), name_at + n + close.len()))
        }
        None => {
            let shown = word.trim_end_matches(is_quote);
            Some((Kind::Unclosed(shown), name_at + shown.len()))
        }
    }
}
