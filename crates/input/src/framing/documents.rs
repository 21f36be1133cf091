//! Documents of JSON, one behind the other, a line each, in an array, or pretty: CloudWatch subscriptions, Firehose, what
//! `aws logs get-log-events` prints, and documents of one key a field.
//!
//! They are scanned, not built: what is held is the path to where the scan is, and the plain values of the objects on it. Whatever
//! the documents are called, an object's `message` is a line, and an object that surely holds fields is a record. What lies in or
//! beside an object with lines is none: it says something about them.

mod close;
mod events;
mod nested;
mod path;
mod records;

use std::sync::Arc;

use flowquet_format::{Catalogue, EventTimes};

use self::events::Events;
pub(super) use self::nested::is_encoded;
use self::path::{Container, Next, takes_line};
use self::records::{FIELDS_MAX, Records, Value};
use super::exports::is_tag;
use super::json::{Behind, Token, UNTOLD_BYTES, behind, next_document, token};
use super::values::CARRIED_MARK;
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Objects and arrays inside each other.
const DEPTH_MAX: usize = 64;

/// Keys that a message names.
const KEYS_TOLD_MAX: usize = 5;

/// Objects below an object that are held until it is over. One that has more is a map of records, and says nothing about a line.
const HELD_MAX: usize = 8;

/// Bytes of their beginning by which broken documents are told.
const EXCERPT_BYTES: usize = 200;

/// Most bytes of what is passed over that become one line.
const PASSED_BYTES_MAX: usize = 64 << 10;

/// What makes a test of a destination no data.
const CONTROL: &str = "CWL CONTROL MESSAGE";

/// The key of an event's time, beside its message.
const TIMESTAMP: &str = "timestamp";

/// Takes lines out of documents.
#[derive(Debug)]
pub(super) struct Documents {
    path: Vec<Container>,
    records: Records,
    has_lines: bool,
    /// Whether the document is a test of a destination.
    is_control: bool,
    /// The beginning of the document.
    excerpt: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    /// What was passed over since it broke, as far as it is no line yet.
    passed: Vec<u8>,
    /// How many of the bytes that are passed over stand in the excerpt; `None` where some before are lines.
    in_excerpt: Option<usize>,
    /// Keys of a document that gave no lines, for a message.
    told: String,
    /// After a broken document: up to where the next one begins.
    is_skipping: bool,
    /// Whether the rest of a broken document may come.
    is_torn: bool,
    /// Texts around this one.
    depth: u8,
    events: Events,
}

/// What a scan came to.
enum Scan {
    /// So many bytes were taken.
    Taken(usize),
    /// It goes on behind the text.
    More,
    /// Something that is no JSON, and where the next document begins, if that is known.
    Broken(String, Option<usize>),
}

impl Documents {
    pub(super) fn new(catalogue: Arc<Catalogue>, events: Option<EventTimes>) -> Self {
        Self {
            path: Vec::new(),
            records: Records::new(catalogue),
            has_lines: false,
            is_control: false,
            excerpt: Vec::new(),
            taken: 0,
            passed: Vec::new(),
            in_excerpt: Some(0),
            told: String::new(),
            is_skipping: false,
            is_torn: false,
            depth: 0,
            events: Events { told: events, lines: 0, ms: None },
        }
    }

    fn begin_line(&mut self, out: &mut Vec<u8>) {
        if !self.has_lines {
            out.extend_from_slice(CARRIED_MARK);
            self.has_lines = true;
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.begin_line(out);
        let before = out.len();
        out.extend_from_slice(line);
        out.push(b'\n');
        self.events.count(&out[before..]);
    }

    /// What is no document becomes a line, which the parser makes a reject of.
    fn reject(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        if !self.has_lines {
            return Err(Refused(what.to_owned()));
        }
        let excerpt = std::mem::take(&mut self.excerpt);
        self.broken_line(&excerpt, out);
        Ok(())
    }

    fn broken_line(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let plain = text.iter().map(|b| if b.is_ascii_whitespace() { b' ' } else { *b });
        // No byte of it stands for another.
        let line = String::from_utf8_lossy(&plain.collect::<Vec<u8>>()).into_owned();
        self.line(line.as_bytes(), out);
    }

    /// Whether what is open is one object with a line, and only its end is missing: no line is lost.
    fn lacks_bracket(&self) -> bool {
        matches!(&self.path[..], [Container::Object(object)] if object.has_lines && object.next == Next::Comma)
    }

    /// Takes one token.
    fn token(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<Scan, Refused> {
        if text[0].is_ascii_whitespace() {
            self.is_torn &= text[0] != b'\n' || !self.path.is_empty();
            return Ok(Scan::Taken(1));
        }
        if self.path.is_empty() {
            return self.between_documents(text, is_last, out);
        }
        let what = token(text, is_last);
        let Some(container) = self.path.last_mut() else { unreachable!("looked at above") };
        let is_object = matches!(container, Container::Object(_));
        let next = *container.next();
        let unexpected = || Ok(Scan::Broken(format!("`{}`", text[0].escape_ascii()), None));
        match (what, next) {
            (Token::More, _) => return Ok(Scan::More),
            (Token::Broken(what), _) => return Ok(Scan::Broken(what, None)),
            (Token::Mark(b'}'), Next::Key | Next::Comma) if is_object => self.close(out)?,
            (Token::Mark(b']'), Next::Value | Next::Comma) if !is_object => self.close(out)?,
            (Token::Mark(b':'), Next::Colon) => *container.next() = Next::Value,
            (Token::Mark(b','), Next::Comma) => {
                *container.next() = if is_object { Next::Key } else { Next::Value };
            }
            (Token::Mark(mark @ (b'{' | b'[')), Next::Value) => {
                if let Container::Array(array) = container {
                    array.is_empty = false;
                    array.count += 1;
                }
                if self.path.len() == DEPTH_MAX {
                    let what = format!("more than {DEPTH_MAX} objects inside each other");
                    return Ok(Scan::Broken(what, None));
                }
                self.path.push(Container::opened_by(mark));
            }
            // Where an object begins inside another, between its values, that one was cut.
            (Token::Mark(b'{'), _) if text.len() < 2 && !is_last => return Ok(Scan::More),
            (Token::Mark(b'{'), _) => {
                return Ok(Scan::Broken("`{`".to_owned(), text.starts_with(b"{\"").then_some(0)));
            }
            (Token::Text(string, len), Next::Key | Next::Value) => {
                // A string that seems to end where a document begins was cut, if no string ends there.
                if text[..len].ends_with(b"{\"") && len > 2 {
                    let is_behind = |b| match next {
                        Next::Key => b == b':',
                        _ => matches!(b, b',' | b'}' | b']'),
                    };
                    match behind(text, len, is_last) {
                        Behind::Unknown => return Ok(Scan::More),
                        Behind::Byte(b) if !is_behind(b) => {
                            return Ok(Scan::Broken("a string without an end".to_owned(), Some(len - 2)));
                        }
                        _ => {}
                    }
                }
                match container {
                    Container::Object(object) if next == Next::Key => {
                        (object.key, object.next) = (string, Next::Colon);
                        object.keys += 1;
                    }
                    _ => self.value(string, false, out)?,
                }
                return Ok(Scan::Taken(len));
            }
            (Token::Word(word, len), Next::Value) => {
                self.value(word, true, out)?;
                return Ok(Scan::Taken(len));
            }
            _ => return unexpected(),
        }
        Ok(Scan::Taken(1))
    }

    /// What stands between documents.
    fn between_documents(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<Scan, Refused> {
        match text[0] {
            b',' | 0x1e => Ok(Scan::Taken(1)),
            // Its beginning must be there to be told, should it turn out to be broken.
            b'{' | b'[' if text.len() < EXCERPT_BYTES && !is_last => Ok(Scan::More),
            b'{' | b'[' => {
                (self.excerpt, self.taken) = (excerpt_of(text), 0);
                self.is_control = false;
                self.path.push(Container::opened_by(text[0]));
                Ok(Scan::Taken(1))
            }
            _ if self.is_torn => {
                self.is_skipping = true;
                Ok(Scan::Taken(0))
            }
            b'}' | b']' => Ok(Scan::Broken("a bracket that closes nothing".to_owned(), None)),
            _ => {
                // A plain line among documents, which may end where the next of them begins.
                let next = text.windows(2).position(|two| two == b"{\"");
                let newline = text.iter().position(|b| *b == b'\n');
                let end = newline.min(next.or(newline)).or(next).or(is_last.then_some(text.len()));
                let Some(end) = end else { return Ok(Scan::More) };
                if is_separator(&text[..end]) {
                    return Ok(Scan::Taken(end));
                }
                let line = std::str::from_utf8(&text[..end]).unwrap_or_default().trim_end();
                if is_encoded(line.as_bytes()) && self.encoded(line, out)? {
                    return Ok(Scan::Taken(end));
                }
                if !self.has_lines {
                    return Ok(Scan::Broken("text after a document".to_owned(), None));
                }
                self.plain_line(text[..end].trim_ascii_end(), out);
                Ok(Scan::Taken(end))
            }
        }
    }

    /// A line that no document held; no byte of it stands for another.
    fn plain_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        match std::str::from_utf8(line) {
            Ok(_) => self.line(line, out),
            Err(_) => {
                let line: Vec<u8> = line.iter().map(|b| if *b >= 0xfc { 0xff } else { *b }).collect();
                self.line(&line, out);
            }
        }
    }

    /// The line of the innermost object, unless it is a copy.
    fn message_once(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        if takes_line(&mut self.path, text.trim_ascii_end()) { self.message(text, out) } else { Ok(()) }
    }

    fn message(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let text = text.trim_ascii();
        if text.starts_with('{')
            && let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text)
        {
            if object.contains_key("class_uid") && !self.has_lines {
                return Err(ocsf());
            }
            let values = object.into_iter().filter_map(|(key, value)| match value {
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
                serde_json::Value::String(text) => Some(Value { key, text, is_bare: false }),
                bare => Some(Value { key, text: bare.to_string(), is_bare: true }),
            });
            if self.record(&values.take(FIELDS_MAX).collect::<Vec<_>>(), out) {
                return Ok(());
            }
        }
        if !text.is_empty() && !self.nested(text, out)? {
            // Tabs separate values of lines, and belong to those of records.
            self.line(text.replace('\t', " ").as_bytes(), out);
        }
        Ok(())
    }

    /// Goes on to where the next document begins behind a broken one, if that is in `text`. Returns how much that is. What stands
    /// between becomes lines, unless the excerpt has it all: nothing of it is lost, whatever it is.
    fn skip(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> usize {
        let next = next_document(text, is_last);
        self.is_skipping = next.is_none() && !is_last;
        let len = match next {
            Some(at) => at,
            None if is_last => text.len(),
            None => text.len().saturating_sub(UNTOLD_BYTES),
        };
        let mut rest = &text[..len];
        while !rest.is_empty() || !(self.is_skipping || self.passed.is_empty()) {
            let (now, later) = rest.split_at(rest.len().min(PASSED_BYTES_MAX - self.passed.len()));
            self.passed.extend_from_slice(now);
            rest = later;
            if self.passed.len() < PASSED_BYTES_MAX && (self.is_skipping || !rest.is_empty()) {
                continue;
            }
            let piece = std::mem::take(&mut self.passed);
            if self.in_excerpt.is_none_or(|known| piece.len() > known && may_hold_record(&piece)) {
                self.broken_line(&piece, out);
            }
            self.in_excerpt = if self.is_skipping || !rest.is_empty() { None } else { Some(0) };
        }
        len
    }
}

impl Unframe for Documents {
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused> {
        let mut at = 0;
        if self.excerpt.is_empty() && self.path.is_empty() && text.starts_with(BYTE_ORDER_MARK) {
            at = BYTE_ORDER_MARK.len();
        }
        while at < text.len() && out.len() < max {
            if self.is_skipping {
                at += self.skip(&text[at..], is_last, out);
                if self.is_skipping {
                    return Ok(at);
                }
                continue;
            }
            match self.token(&text[at..], is_last, out)? {
                Scan::Taken(len) => {
                    at += len;
                    self.taken += len;
                }
                Scan::More => return Ok(at),
                Scan::Broken(..) if self.path.is_empty() && text.len() - at < EXCERPT_BYTES && !is_last => {
                    return Ok(at);
                }
                Scan::Broken(what, next) => {
                    if self.path.is_empty() || self.taken >= EXCERPT_BYTES {
                        (self.excerpt, self.taken) = (excerpt_of(&text[at..]), 0);
                    }
                    self.in_excerpt = Some(self.excerpt.len().saturating_sub(self.taken + next.unwrap_or(0)));
                    self.reject(&format!("expected JSON documents, found {what}"), out)?;
                    self.is_torn = !self.path.is_empty();
                    self.path.clear();
                    at += next.unwrap_or(0);
                    self.is_skipping = next.is_none();
                }
            }
        }
        if is_last && at == text.len() && !self.path.is_empty() {
            let lacks_bracket = self.lacks_bracket();
            self.path.clear();
            if lacks_bracket {
                return Ok(at);
            }
            self.reject("expected whole JSON documents, found the end of the text in the midst of one", out)?;
        }
        Ok(at)
    }
}

/// Whether a text between documents is what somebody delimits them by: a mark, or a line break in letters (`\\n`), as shells and
/// templates leave it; or a time and a tag before each.
fn is_separator(text: &[u8]) -> bool {
    matches!(text.trim_ascii(), b"|" | b";" | b"\\n" | b"\\r\\n") || is_tag(text)
}

/// Whether there may be more in a piece of a broken document than the brackets and the few values that end one.
fn may_hold_record(piece: &[u8]) -> bool {
    const MARKS_MIN: usize = 3;
    let count = |mark: u8| piece.iter().filter(|b| **b == mark).count();
    count(b' ') >= MARKS_MIN || count(b':') >= MARKS_MIN
}

/// The beginning of a document, as far as no other one begins.
fn excerpt_of(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(EXCERPT_BYTES)];
    let next = text.windows(2).position(|two| two[0] == b'\n' && matches!(two[1], b'{' | b'['));
    text[..next.unwrap_or(text.len())].to_vec()
}

fn ocsf() -> Refused {
    Refused(
        "expected flow log lines, found OCSF events (Security Lake): they were transformed, and are Parquet-ready as they are"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
