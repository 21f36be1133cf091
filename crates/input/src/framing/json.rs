//! Tokens of JSON, as far as the bytes that are there tell them.

/// Longest string that is read.
pub(super) const STRING_BYTES_MAX: usize = 2 << 20;

/// Longest number or word.
const WORD_BYTES_MAX: usize = 64;

/// Blanks that are looked over for what follows a string.
const LOOK_BYTES: usize = 1 << 10;

/// The next token of a text, and how many bytes it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bracket, a comma, a colon.
    Mark(u8),
    /// A string.
    Text(String, usize),
    /// A number, or `true`, `false`, `null`.
    Word(String, usize),
    /// It goes on behind the text.
    More,
    /// No JSON: what was found.
    Broken(String),
}

/// The token that a text begins with, which is no blank.
pub(super) fn token(text: &[u8], is_last: bool) -> Token {
    match text[0] {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => Token::Mark(text[0]),
        b'"' => string(text, is_last),
        _ => word(text, is_last),
    }
}

fn string(text: &[u8], is_last: bool) -> Token {
    match end_of_string(&text[..text.len().min(STRING_BYTES_MAX)]) {
        Some(end) => match content(&text[..end]) {
            Ok(string) => Token::Text(string, end),
            Err(error) => Token::Broken(error.to_string()),
        },
        None if text.len() >= STRING_BYTES_MAX => {
            Token::Broken(format!("a string of more than {STRING_BYTES_MAX} bytes"))
        }
        None if is_last => Token::Broken("a string without an end".to_owned()),
        None => Token::More,
    }
}

/// What stands in quotes. Line breaks and tabs are taken as they are, which JSON does not allow and some programs write.
fn content(quoted: &[u8]) -> serde_json::Result<String> {
    serde_json::from_slice(quoted).or_else(|error| {
        let is_lenient = |b: &u8| matches!(b, b'\n' | b'\r' | b'\t');
        if !quoted.iter().any(is_lenient) {
            return Err(error);
        }
        let mut escaped = Vec::with_capacity(quoted.len() + 8);
        for b in quoted {
            match b {
                b'\n' => escaped.extend_from_slice(b"\\n"),
                b'\r' => escaped.extend_from_slice(b"\\r"),
                b'\t' => escaped.extend_from_slice(b"\\t"),
                b => escaped.push(*b),
            }
        }
        serde_json::from_slice(&escaped)
    })
}

fn word(text: &[u8], is_last: bool) -> Token {
    let is_of_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
    let end = text.iter().take(WORD_BYTES_MAX).position(|b| !is_of_word(b));
    match end.or(is_last.then_some(text.len().min(WORD_BYTES_MAX))) {
        Some(0) => Token::Broken(format!("`{}`", text[0].escape_ascii())),
        Some(end) => Token::Word(String::from_utf8_lossy(&text[..end]).into_owned(), end),
        None if text.len() >= WORD_BYTES_MAX => {
            Token::Broken(format!("a word of more than {WORD_BYTES_MAX} bytes"))
        }
        None => Token::More,
    }
}

/// Where the string that begins a text ends, its quotes included.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = text.get(at..)?.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        at += found;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// What follows a string of `len` bytes, blanks left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// This byte.
    Byte(u8),
    /// Nothing, or nothing near.
    Nothing,
    /// What was not read yet.
    Unknown,
}

pub(super) fn behind(text: &[u8], len: usize, is_last: bool) -> Behind {
    let rest = &text[len..];
    let rest = &rest[..rest.len().min(LOOK_BYTES)];
    match rest.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b) => Behind::Byte(*b),
        None if is_last || rest.len() == LOOK_BYTES => Behind::Nothing,
        None => Behind::Unknown,
    }
}

/// Most blanks before and behind a bracket by which an object begins: no indentation has more.
const BLANKS_MAX: usize = 64;

/// Bytes at the end of a text that tell nothing yet about where a document begins.
pub(super) const UNTOLD_BYTES: usize = 2 * (BLANKS_MAX + 1);

/// Where a document begins in `text` after what is broken: a bracket at the beginning of a line, or an object behind a bracket or
/// comma. The last [`UNTOLD_BYTES`] tell nothing yet if more may come.
pub(super) fn next_document(text: &[u8], is_last: bool) -> Option<usize> {
    let is_blank = |b: &&u8| b.is_ascii_whitespace();
    let begins = |at: usize| {
        let before = &text[at.saturating_sub(BLANKS_MAX + 1)..at];
        if before.ends_with(b"\n") {
            return true;
        }
        let behind = &text[at + 1..text.len().min(at + 2 + BLANKS_MAX)];
        text[at] == b'{'
            && matches!(before.iter().rev().find(|b| !is_blank(b)), Some(b'}' | b',' | b'['))
            && behind.iter().find(|b| !is_blank(b)) == Some(&b'"')
    };
    let told = if is_last { text.len() } else { text.len().saturating_sub(BLANKS_MAX + 1) };
    (1..told).filter(|at| matches!(text[*at], b'{' | b'[')).find(|at| begins(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let text = |s: &str, n| Token::Text(s.to_owned(), n);
        let word = |s: &str, n| Token::Word(s.to_owned(), n);
        for (found, expected) in [
            (token(b"{\"a\"", true), Token::Mark(b'{')),
            (token(br#""a\"b\u00e9" :"#, true), text("a\"bé", 12)),
            (token(b"\"a\nb\",", true), text("a\nb", 5)),
            (token(br#""a\""#, false), Token::More),
            (token(b"-1.5e3]", false), word("-1.5e3", 6)),
            (token(b"null", false), Token::More),
            (token(b"null", true), word("null", 4)),
        ] {
            assert_eq!(found, expected);
        }
        for broken in [&b"~"[..], b"\"a", b"\"\x01\"", b"\"\\q\""] {
            assert!(matches!(token(broken, true), Token::Broken(_)), "{broken:?}");
        }
        assert_eq!(behind(b"\"a\"  :", 3, false), Behind::Byte(b':'));
        assert_eq!(
            (behind(b"\"a\" ", 3, false), behind(b"\"a\" ", 3, true)),
            (Behind::Unknown, Behind::Nothing)
        );
        for (text, expected) in [
            (&b"x}{\"a\""[..], Some(2)),
            (b"x,{\"a\"", Some(2)),
            (b"x},\r\n  {\n   \"a\"", Some(7)),
            (b"x\n[", Some(2)),
            (b"x {\"a\"", None),
            (b"x{\"a\"", None),
            (b"},{", None),
            (b"", None),
        ] {
            assert_eq!(next_document(text, true), expected, "{text:?}");
            // What stands at the end may go on.
            assert_eq!(next_document(text, false), None, "{text:?}");
            let long = [text, &[b' '; UNTOLD_BYTES]].concat();
            assert_eq!(next_document(&long, false), expected, "{text:?}");
        }
    }
}
