//! Documents of JSON, one behind the other, a line each, in an array, or pretty: CloudWatch subscriptions, Firehose, what
//! `aws logs get-log-events` prints, and documents of one key a field.
//!
//! They are scanned, not built: what is held is the path to where the scan is, and the plain values of the objects on it. Whatever
//! the documents are called, an object's `message` is a line, and an object most of whose keys are fields is a record.

use std::sync::Arc;

use flowquet_format::{Catalogue, ROWS_MARK};

use super::names::{fields_of, is_message, is_number, push_value};
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Longest string that is read.
const STRING_BYTES_MAX: usize = 2 << 20;

/// Objects and arrays inside each other.
const DEPTH_MAX: usize = 64;

/// Values of an object that are held.
const FIELDS_MAX: usize = 256;

/// Bytes of their beginning by which broken documents are told.
const EXCERPT_BYTES: usize = 200;

/// What makes a test of a destination no data.
const CONTROL: &str = "CWL CONTROL MESSAGE";

#[derive(Debug)]
enum Container {
    Array,
    Object(Object),
}

#[derive(Debug, Default)]
struct Object {
    /// The key whose value comes next.
    key: Option<String>,
    /// Plain values so far.
    fields: Vec<(String, String)>,
    /// Whether it, or something in it, gave lines.
    has_lines: bool,
}

/// A plain value.
enum Value {
    Text(String),
    Other(String),
}

/// Takes lines out of documents.
#[derive(Debug)]
pub(super) struct Documents {
    catalogue: Arc<Catalogue>,
    path: Vec<Container>,
    /// Fields of the last header line.
    header: Vec<String>,
    /// Keys of the last object that might be a record, and the fields that they are, if it was one.
    keys: Vec<String>,
    fields: Option<Vec<Option<String>>>,
    has_lines: bool,
    /// Whether a mark says that values are carried, blanks and all.
    carries: bool,
    /// Whether the document is a test of a destination.
    is_control: bool,
    /// The beginning of the document.
    excerpt: Vec<u8>,
    /// After a broken document: up to a line that begins the next one.
    is_skipping: bool,
}

/// What a scan came to.
enum Scan {
    /// A token of so many bytes was taken.
    Token(usize),
    /// It goes on behind the text.
    More,
    /// Something that is no JSON.
    Broken(String),
}

impl Documents {
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            path: Vec::new(),
            header: Vec::new(),
            keys: Vec::new(),
            fields: None,
            has_lines: false,
            carries: false,
            is_control: false,
            excerpt: Vec::new(),
            is_skipping: false,
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        out.push(b'\n');
        self.has_lines = true;
    }

    /// What is no document becomes a line, which the parser makes a reject of.
    fn reject(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        if !self.has_lines {
            return Err(Refused(what.to_owned()));
        }
        let excerpt = std::mem::take(&mut self.excerpt);
        let plain = excerpt.iter().map(|b| if b.is_ascii_whitespace() { b' ' } else { *b });
        let line: Vec<u8> = plain.collect();
        self.line(&line, out);
        Ok(())
    }

    /// Takes one token.
    fn token(&mut self, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<Scan, Refused> {
        Ok(match text[0] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1e => Scan::Token(1),
            b':' if !self.path.is_empty() => Scan::Token(1),
            // Its beginning must be there to be told, should it turn out to be broken.
            b'{' | b'[' if self.path.is_empty() && text.len() < EXCERPT_BYTES && !is_last => Scan::More,
            b'{' | b'[' => {
                if self.path.is_empty() {
                    self.excerpt = excerpt_of(text);
                    self.is_control = false;
                }
                if self.path.len() == DEPTH_MAX {
                    return Ok(Scan::Broken(format!("more than {DEPTH_MAX} objects inside each other")));
                }
                self.path.push(match text[0] {
                    b'{' => Container::Object(Object::default()),
                    _ => Container::Array,
                });
                Scan::Token(1)
            }
            b'}' | b']' => match (self.path.pop(), text[0]) {
                (Some(Container::Object(object)), b'}') => {
                    self.close(object, out)?;
                    Scan::Token(1)
                }
                (Some(Container::Array), b']') => {
                    self.value_is_over(false);
                    Scan::Token(1)
                }
                _ => Scan::Broken("a bracket that closes nothing".to_owned()),
            },
            _ if self.path.is_empty() => {
                // A plain line among documents.
                let end = text.iter().position(|b| *b == b'\n').or(is_last.then_some(text.len()));
                let Some(end) = end else { return Ok(Scan::More) };
                if !self.has_lines {
                    return Ok(Scan::Broken("text behind a document".to_owned()));
                }
                self.line(text[..end].trim_ascii_end(), out);
                Scan::Token(end)
            }
            b'"' => match end_of_string(&text[..text.len().min(STRING_BYTES_MAX)]) {
                Some(end) => match serde_json::from_slice::<String>(&text[..end]) {
                    Ok(string) => {
                        self.value(Value::Text(string), out)?;
                        Scan::Token(end)
                    }
                    Err(error) => Scan::Broken(error.to_string()),
                },
                None if text.len() >= STRING_BYTES_MAX => {
                    Scan::Broken(format!("a string of more than {STRING_BYTES_MAX} bytes"))
                }
                None if is_last => Scan::Broken("a string without an end".to_owned()),
                None => Scan::More,
            },
            _ => {
                let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let end = text.iter().take(64).position(|b| !is_word(b));
                match end.or(is_last.then_some(text.len().min(64))) {
                    Some(0) => Scan::Broken(format!("`{}`", text[0].escape_ascii())),
                    Some(end) => {
                        let word = String::from_utf8_lossy(&text[..end]).into_owned();
                        self.value(Value::Other(word), out)?;
                        Scan::Token(end)
                    }
                    None if text.len() >= 64 => Scan::Broken("a word of more than 64 bytes".to_owned()),
                    None => Scan::More,
                }
            }
        })
    }

    /// A value that is neither an object nor an array has come, or a key.
    fn value(&mut self, value: Value, out: &mut Vec<u8>) -> Result<(), Refused> {
        let is_control = self.is_control;
        let Some(Container::Object(object)) = self.path.last_mut() else { return Ok(()) };
        let Some(key) = object.key.take() else {
            if let Value::Text(key) = value {
                object.key = Some(key);
            }
            return Ok(());
        };
        match value {
            Value::Text(text) if is_message(&key) => {
                let is_no_data = is_control || text.starts_with(CONTROL);
                object.has_lines = true;
                if !is_no_data {
                    self.message(&text, out)?;
                }
            }
            Value::Text(text) => {
                self.is_control |= key == "messageType" && text == "CONTROL_MESSAGE";
                keep(object, key, text);
            }
            Value::Other(word) if word == "null" => keep(object, key, "-".to_owned()),
            Value::Other(word) => keep(object, key, word),
        }
        Ok(())
    }

    fn message(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let text = text.trim_ascii_end();
        if !self.has_lines && text.starts_with('{') && text.contains("\"class_uid\"") {
            return Err(ocsf());
        }
        if !text.is_empty() {
            self.line(text.as_bytes(), out);
        }
        Ok(())
    }

    /// An object is over.
    fn close(&mut self, object: Object, out: &mut Vec<u8>) -> Result<(), Refused> {
        let mut has_lines = object.has_lines || self.is_control;
        if !has_lines {
            let value_of =
                |name: &str| object.fields.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
            // Logs Insights: {"field": "@message", "value": "…"}.
            if let (Some(name), Some(value)) = (value_of("field"), value_of("value")) {
                if is_message(name) {
                    self.message(value, out)?;
                    has_lines = true;
                }
            } else {
                has_lines = self.record(&object, out);
            }
        }
        if self.path.is_empty() && !has_lines {
            let keys: Vec<&str> = object.fields.iter().map(|(k, _)| k.as_str()).take(5).collect();
            if keys.contains(&"class_uid") && !self.has_lines {
                return Err(ocsf());
            }
            let keys =
                if keys.is_empty() { String::new() } else { format!(" with the keys {}", keys.join(", ")) };
            self.reject(
                &format!(
                    "expected JSON with `message` or `logEvents`, or with one key a field, found a document{keys}"
                ),
                out,
            )?;
        }
        self.value_is_over(has_lines);
        Ok(())
    }

    /// What an object's value was is over.
    fn value_is_over(&mut self, has_lines: bool) {
        // Through arrays up to the next object.
        for container in self.path.iter_mut().rev() {
            if let Container::Object(object) = container {
                object.key = None;
                object.has_lines |= has_lines;
                return;
            }
            if !has_lines {
                return;
            }
        }
    }

    /// The line of an object whose keys are fields, after a header line where they are new. Returns whether it is one.
    fn record(&mut self, object: &Object, out: &mut Vec<u8>) -> bool {
        // Most documents have the keys of the one before.
        if !object.fields.iter().map(|(key, _)| key).eq(&self.keys) {
            self.keys = object.fields.iter().map(|(key, _)| key.clone()).collect();
            let names: Vec<&str> = self.keys.iter().map(String::as_str).collect();
            self.fields = fields_of(&names, &self.catalogue);
        }
        let Some(fields) = &self.fields else { return false };
        let mut values = Vec::with_capacity(object.fields.len());
        let mut is_new = self.header.is_empty();
        for (name, (_, value)) in fields.iter().zip(&object.fields) {
            let Some(name) = name.clone() else { continue };
            if !self.header.contains(&name) {
                self.header.push(name.clone());
                is_new = true;
            }
            values.push((name, value));
        }
        if is_new {
            if !self.has_lines {
                self.carries = true;
                out.extend_from_slice(ROWS_MARK);
            }
            let header = self.header.join(" ");
            self.line(header.as_bytes(), out);
        }
        let mut line = Vec::new();
        for (i, name) in self.header.iter().enumerate() {
            if i > 0 {
                line.push(b' ');
            }
            let value =
                values.iter().find(|(n, v)| n == name && !v.is_empty()).map_or("-", |(_, v)| v.as_str());
            push_value(value.as_bytes(), is_number(name, &self.catalogue), self.carries, &mut line);
        }
        self.line(&line, out);
        true
    }

    /// Where the next document begins behind a broken one, if that is in `text`.
    fn skip(&mut self, text: &[u8], is_last: bool) -> usize {
        let next = text.windows(2).position(|two| two[0] == b'\n' && matches!(two[1], b'{' | b'['));
        self.is_skipping = next.is_none() && !is_last;
        match next {
            Some(at) => at + 1,
            None if is_last => text.len(),
            None => text.len().saturating_sub(1),
        }
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
                at += self.skip(&text[at..], is_last);
                if self.is_skipping {
                    return Ok(at);
                }
                continue;
            }
            match self.token(&text[at..], is_last, out)? {
                Scan::Token(len) => at += len,
                Scan::More => return Ok(at),
                Scan::Broken(_) if self.path.is_empty() && text.len() - at < EXCERPT_BYTES && !is_last => {
                    return Ok(at);
                }
                Scan::Broken(what) => {
                    if self.path.is_empty() {
                        self.excerpt = excerpt_of(&text[at..]);
                    }
                    self.reject(&format!("expected JSON documents, found {what}"), out)?;
                    self.path.clear();
                    at += self.skip(&text[at..], is_last);
                }
            }
        }
        if is_last && at == text.len() && !self.path.is_empty() {
            self.path.clear();
            self.reject("expected whole JSON documents, found the end of the text in the midst of one", out)?;
        }
        Ok(at)
    }
}

/// The beginning of a document, as far as no other one begins.
fn excerpt_of(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(EXCERPT_BYTES)];
    let next = text.windows(2).position(|two| two[0] == b'\n' && matches!(two[1], b'{' | b'['));
    text[..next.unwrap_or(text.len())].to_vec()
}

fn keep(object: &mut Object, key: String, value: String) {
    if object.fields.len() < FIELDS_MAX {
        object.fields.push((key, value));
    }
}

fn ocsf() -> Refused {
    Refused(
        "expected flow log lines, found OCSF events (Security Lake): they were transformed, and are Parquet-ready as they are"
            .to_owned(),
    )
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

#[cfg(test)]
mod tests {
    use super::super::names::shown;
    use super::*;

    fn pushed(text: &[u8], step: usize) -> Result<String, Refused> {
        let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()));
        let (mut out, mut at, mut end) = (Vec::new(), 0, 0);
        while end < text.len() {
            end = (end + step).min(text.len());
            at += documents.push(&text[at..end], end == text.len(), usize::MAX, &mut out)?;
        }
        assert_eq!(at, text.len());
        Ok(shown(&out))
    }

    /// Pushed whole and in small pieces.
    fn lines(text: &str) -> Result<String, String> {
        let whole = pushed(text.as_bytes(), text.len().max(1));
        for step in [1, 2, 7] {
            let pieces = pushed(text.as_bytes(), step);
            assert_eq!(pieces.is_ok(), whole.is_ok(), "{text}");
            if let (Ok(pieces), Ok(whole)) = (pieces, &whole) {
                // Excerpts of broken documents are as long as what is there.
                assert_eq!(pieces.lines().count(), whole.lines().count(), "{text}");
            }
        }
        whole.map_err(|refused| refused.0)
    }

    #[test]
    fn documents() {
        let subscription = r#"{"messageType":"DATA_MESSAGE","owner":"1","logEvents":[{"id":"1","timestamp":1,"message":"2 a"},{"id":"2","message":"2 b\n"}]}"#;
        let control = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"CWL CONTROL MESSAGE: Checking health"}]}"#;
        for (text, expected) in [
            (subscription.to_owned(), "2 a\n2 b\n"),
            (format!("{subscription}{subscription}"), "2 a\n2 b\n2 a\n2 b\n"),
            (format!("{control}{subscription}\n"), "2 a\n2 b\n"),
            (control.to_owned(), ""),
            (r#"{"message":"2 a"}{"message":"2 b"}"#.to_owned(), "2 a\n2 b\n"),
            ("{\"message\":\"2 a\"}\n{\"message\":\"2 \\u0062\"}\n".to_owned(), "2 a\n2 b\n"),
            ("[\n  {\n    \"message\": \"2 a\"\n  }\n]\n".to_owned(), "2 a\n"),
            (r#"{"events":[{"timestamp":1,"message":"2 a","ingestionTime":2}],"nextForwardToken":"f/1"}"#.to_owned(), "2 a\n"),
            (r#"{"results":[[{"field":"@timestamp","value":"x"},{"field":"@message","value":"2 a"}]],"status":"Complete"}"#.to_owned(), "2 a\n"),
            (r#"{"version":2,"account_id":"1","srcAddr":null,"log_status":"OK"}{"version":3}"#.to_owned(), "version account-id srcaddr log-status\n2 1 - OK\n3 - - -\n"),
            (r#"{"version":" 2 ","instance_tag":" my  team","x":"a\nb"}"#.to_owned(), "version instance-tag x\n2 ␣my␣␣team a⏎b\n"),
            (r#"{"message":"2 a"}{"version":2,"instance_tag":"my team"}"#.to_owned(), "2 a\nversion instance-tag\n2 my team\n"),
            (r#"{"version":2,"bytes":1}{"version":2,"packets":7}"#.to_owned(), "version bytes\n2 1\nversion bytes packets\n2 - 7\n"),
            ("{\"message\":\"2 a\"}\n2 plain\n{\"message\":\"2 b\"}".to_owned(), "2 a\n2 plain\n2 b\n"),
            ("{\"message\":\"2 a\"}\n{\"mess\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"mess\n2 b\n"),
            ("{\"message\":\"2 a\"}\n{\"x\":1}\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"x\":1}\n2 b\n"),
            (String::new(), ""),
        ] {
            assert_eq!(lines(&text).as_deref(), Ok(expected), "{text}");
        }
        for (text, words) in [
            (r#"{"a":1,"b":"x"}"#, "a document with the keys a, b"),
            (r#"{"class_uid":4001,"metadata":{}}"#, "OCSF"),
            (r#"{"message":"{\"class_uid\":4001}"}"#, "OCSF"),
            (r#"{"message":"2 a""#, ""),
            (r#"{"a" ~ 1}"#, "found `~`"),
        ] {
            match lines(text) {
                Err(found) => assert!(found.contains(words), "{text}: {found}"),
                Ok(found) => assert_eq!((text, found.lines().count()), (r#"{"message":"2 a""#, 2)),
            }
        }
    }

    #[test]
    fn a_document_without_end_takes_no_memory() {
        let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()));
        let mut out = Vec::new();
        let begin = [br#"{"logEvents":["#.to_vec(), vec![b' '; EXCERPT_BYTES]].concat();
        documents.push(&begin, false, usize::MAX, &mut out).expect("JSON");
        for _ in 0..10_000 {
            documents.push(br#"{"id":"1","message":"2 a"},"#, false, usize::MAX, &mut out).expect("JSON");
            assert_eq!(std::mem::take(&mut out), b"2 a\n");
        }
        assert_eq!(documents.path.len(), 2);
    }
}
