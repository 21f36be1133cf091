//! Documents of JSON, one behind the other, a line each, in an array, or pretty: CloudWatch subscriptions, Firehose, what
//! `aws logs get-log-events` prints, and documents of one key a field.
//!
//! They are scanned, not built: what is held is the path to where the scan is, and the plain values of the objects on it. Whatever
//! the documents are called, an object's `message` is a line, and an object that surely holds fields is a record. What lies in or
//! beside an object with lines is none: it says something about them.

use std::sync::Arc;

use flowquet_format::Catalogue;

use super::json::{Behind, Token, behind, next_document, token};
use super::names::{fields_of, is_events, is_like_record, is_message, may_be_message};
use super::values::{CARRIED_MARK, Meaning, is_integer, push_value};
use super::{BYTE_ORDER_MARK, Refused, Unframe};

/// Objects and arrays inside each other.
const DEPTH_MAX: usize = 64;

/// Values of an object that are held.
const FIELDS_MAX: usize = 256;

/// Keys that a message names.
const KEYS_TOLD_MAX: usize = 5;

/// Objects below an object that are held until it is over.
const HELD_MAX: usize = 8;

/// Bytes of their beginning by which broken documents are told.
const EXCERPT_BYTES: usize = 200;

/// What makes a test of a destination no data.
const CONTROL: &str = "CWL CONTROL MESSAGE";

/// What may come next in an object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Key,
    Colon,
    Value,
    Comma,
}

#[derive(Debug)]
struct Array {
    next: Next,
    is_empty: bool,
    /// Values of one row of Logs Insights, which has an object for each.
    row: Vec<Value>,
    has_lines: bool,
}

#[derive(Debug)]
struct Object {
    next: Next,
    /// The key whose value comes next, or came last.
    key: String,
    /// Plain values so far.
    values: Vec<Value>,
    /// Values of objects in it, which are records if nothing here tells otherwise.
    held: Vec<Vec<Value>>,
    /// Whether it, or something in it, gave lines or was no data.
    has_lines: bool,
    /// Whether it has a line of its own.
    has_message: bool,
}

#[derive(Debug)]
enum Container {
    Array(Array),
    Object(Object),
}

impl Container {
    fn opened_by(mark: u8) -> Self {
        match mark {
            b'{' => Self::Object(Object {
                next: Next::Key,
                key: String::new(),
                values: Vec::new(),
                held: Vec::new(),
                has_lines: false,
                has_message: false,
            }),
            _ => Self::Array(Array { next: Next::Value, is_empty: true, row: Vec::new(), has_lines: false }),
        }
    }

    fn next(&mut self) -> &mut Next {
        match self {
            Self::Array(array) => &mut array.next,
            Self::Object(object) => &mut object.next,
        }
    }
}

/// A plain value and its key.
#[derive(Debug, Clone)]
struct Value {
    key: String,
    text: String,
    /// A number, or a word without quotes.
    is_bare: bool,
}

/// How the keys of a document are read.
#[derive(Debug, Default)]
struct Keys {
    keys: Vec<String>,
    fields: Vec<Option<(String, Meaning)>>,
    known: usize,
    is_sure: bool,
    is_flow: bool,
    is_all: bool,
    /// Where the value of each field of the header is, if the header was looked at since.
    places: Vec<Option<usize>>,
}

/// Takes lines out of documents.
#[derive(Debug)]
pub(super) struct Documents {
    catalogue: Arc<Catalogue>,
    path: Vec<Container>,
    /// Fields of the last header line.
    header: Vec<String>,
    /// Keys of the last object that might be a record.
    keys: Keys,
    has_lines: bool,
    /// Whether the document is a test of a destination.
    is_control: bool,
    /// The beginning of the document.
    excerpt: Vec<u8>,
    /// Keys of a document that gave no lines, for a message.
    told: String,
    /// After a broken document: up to where the next one begins.
    is_skipping: bool,
    /// Whether the rest of a broken document may come.
    is_torn: bool,
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
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            path: Vec::new(),
            header: Vec::new(),
            keys: Keys::default(),
            has_lines: false,
            is_control: false,
            excerpt: Vec::new(),
            told: String::new(),
            is_skipping: false,
            is_torn: false,
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
        out.extend_from_slice(line);
        out.push(b'\n');
    }

    /// What is no document becomes a line, which the parser makes a reject of.
    fn reject(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        if !self.has_lines {
            return Err(Refused(what.to_owned()));
        }
        let excerpt = std::mem::take(&mut self.excerpt);
        let plain = excerpt.iter().map(|b| if b.is_ascii_whitespace() { b' ' } else { *b });
        // No byte of it stands for another.
        let line = String::from_utf8_lossy(&plain.collect::<Vec<u8>>()).into_owned();
        self.line(line.as_bytes(), out);
        Ok(())
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
                }
                if self.path.len() == DEPTH_MAX {
                    let what = format!("more than {DEPTH_MAX} objects inside each other");
                    return Ok(Scan::Broken(what, None));
                }
                self.path.push(Container::opened_by(mark));
            }
            // Where an object begins inside another, between its values, that one was cut.
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
                self.excerpt = excerpt_of(text);
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
                // A plain line among documents.
                let end = text.iter().position(|b| *b == b'\n').or(is_last.then_some(text.len()));
                let Some(end) = end else { return Ok(Scan::More) };
                if !self.has_lines {
                    return Ok(Scan::Broken("text behind a document".to_owned(), None));
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

    /// A value that is neither an object nor an array has come.
    fn value(&mut self, text: String, is_bare: bool, out: &mut Vec<u8>) -> Result<(), Refused> {
        let is_control = self.is_control;
        let is_inside = self.path.iter().any(|c| matches!(c, Container::Object(_)));
        match self.path.last_mut().expect("a value stands in something") {
            Container::Array(array) => {
                (array.next, array.is_empty) = (Next::Comma, false);
                // Messages alone, as a query of the AWS CLI has them.
                if !is_inside && !is_bare && text.contains(' ') {
                    array.has_lines = true;
                    self.message(&text, out)?;
                }
            }
            Container::Object(object) => {
                object.next = Next::Comma;
                if is_message(&object.key) && (!is_bare || text == "null") {
                    (object.has_lines, object.has_message) = (true, true);
                    if !is_bare && !is_control && !text.starts_with(CONTROL) {
                        self.message(&text, out)?;
                    }
                } else {
                    self.is_control |= object.key == "messageType" && text == "CONTROL_MESSAGE";
                    if object.values.len() < FIELDS_MAX {
                        let key = std::mem::take(&mut object.key);
                        object.values.push(Value { key, text, is_bare });
                    }
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let text = text.trim_ascii_end();
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
        if !text.is_empty() {
            self.line(text.as_bytes(), out);
        }
        Ok(())
    }

    /// An object or array is over.
    fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (mut has_lines, mut held) = match self.path.pop().expect("something is open") {
            Container::Array(array) => {
                let is_row = !array.has_lines && !array.row.is_empty();
                let is_record = is_row && (self.is_record(&array.row) || self.keys.is_all);
                let has_lines = array.has_lines || is_record;
                if is_record {
                    self.push_record(&array.row, out);
                }
                (has_lines || (array.is_empty && self.is_of_events()), Vec::new())
            }
            Container::Object(object) => {
                let is_held = matches!(self.path.last(), Some(Container::Object(_)));
                self.close_object(object, is_held, out)?
            }
        };
        has_lines |= self.is_control;
        let is_about_lines = self.path.iter().any(|c| matches!(c, Container::Object(o) if o.has_message));
        if let Some(Container::Object(parent)) = self.path.last_mut() {
            if !is_about_lines {
                held.truncate(HELD_MAX.saturating_sub(parent.held.len()));
                parent.held.append(&mut held);
            }
        } else if !has_lines && !is_about_lines {
            for values in held {
                has_lines |= self.record(&values, out);
            }
        }
        match self.path.last_mut() {
            Some(container) => *container.next() = Next::Comma,
            None if !has_lines => self.refuse(out)?,
            None => {}
        }
        match self.path.last_mut() {
            Some(Container::Array(array)) => array.has_lines |= has_lines,
            Some(Container::Object(object)) => object.has_lines |= has_lines,
            None => {}
        }
        Ok(())
    }

    /// Takes what an object holds: whether that gave lines, and values that are records if nothing above tells otherwise.
    fn close_object(
        &mut self,
        object: Object,
        is_held: bool,
        out: &mut Vec<u8>,
    ) -> Result<(bool, Vec<Vec<Value>>), Refused> {
        if object.has_lines || self.is_control {
            return Ok((true, Vec::new()));
        }
        let values = &object.values;
        let value_of = |name: &str| values.iter().find(|v| v.key == name).map(|v| v.text.as_str());
        if value_of("class_uid").is_some() && !self.has_lines {
            return Err(ocsf());
        }
        // Logs Insights: {"field": "@message", "value": "…"}.
        if let (Some(name), Some(value)) = (value_of("field"), value_of("value")) {
            if is_message(name) {
                self.message(value, out)?;
                return Ok((true, Vec::new()));
            }
            if let Some(Container::Array(array)) = self.path.last_mut() {
                let value = Value { key: name.to_owned(), text: value.to_owned(), is_bare: false };
                if array.row.len() < FIELDS_MAX {
                    array.row.push(value);
                }
                return Ok((false, Vec::new()));
            }
        }
        let is_about_lines = self.path.iter().any(|c| matches!(c, Container::Object(o) if o.has_message));
        if !is_about_lines {
            if is_held && self.is_record(values) {
                return Ok((false, vec![object.values]));
            }
            if !is_held && self.record(values, out) {
                return Ok((true, Vec::new()));
            }
            let may_be = |v: &&Value| may_be_message(&v.key) && !v.is_bare && is_like_record(&v.text);
            if let Some(line) = values.iter().find(may_be) {
                let line = line.text.clone();
                self.message(&line, out)?;
                return Ok((true, Vec::new()));
            }
        }
        if self.path.is_empty() {
            let keys: Vec<&str> = values.iter().map(|v| v.key.as_str()).take(KEYS_TOLD_MAX).collect();
            self.told =
                if keys.is_empty() { String::new() } else { format!(" with the keys {}", keys.join(", ")) };
        }
        Ok((false, object.held))
    }

    /// Whether the array that was just closed is one of events.
    fn is_of_events(&self) -> bool {
        match self.path.last() {
            Some(Container::Object(object)) => is_events(&object.key),
            Some(Container::Array(_)) => false,
            None => true,
        }
    }

    /// A document is over that gave no lines.
    fn refuse(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        let keys = std::mem::take(&mut self.told);
        self.reject(
            &format!(
                "expected JSON with `message` or `logEvents`, or with one key a field, found a document{keys}"
            ),
            out,
        )
    }

    /// How the keys of `values` are read. Most objects have the keys of the one before.
    fn read_keys(&mut self, values: &[Value]) {
        if self.keys.places.len() == self.header.len() && values.iter().map(|v| &v.key).eq(&self.keys.keys) {
            return;
        }
        let names: Vec<&str> = values.iter().map(|v| v.key.as_str()).collect();
        let found = fields_of(&names, &self.catalogue);
        let meant = |name: String| {
            let meaning = Meaning::of(&name, &self.catalogue);
            (name, meaning)
        };
        self.keys = Keys {
            fields: found.fields.into_iter().map(|name| name.map(meant)).collect(),
            known: found.known,
            is_sure: found.is_sure,
            is_flow: found.is_flow,
            is_all: found.is_all,
            keys: names.into_iter().map(str::to_owned).collect(),
            places: Vec::new(),
        };
    }

    /// Whether an object of these values is a record: surely one, or one like those before, of which values that are not there may be
    /// left out.
    fn is_record(&mut self, values: &[Value]) -> bool {
        self.read_keys(values);
        let fields = || self.keys.fields.iter().flatten();
        let is_like_others =
            fields().next().is_some() && fields().all(|(name, _)| self.header.contains(name));
        let is_half_known =
            !self.header.is_empty() && self.keys.known >= 2 && 2 * self.keys.known >= self.keys.keys.len();
        if !self.header.is_empty() || !self.keys.is_sure || self.keys.is_flow {
            return self.keys.is_sure || is_like_others || is_half_known;
        }
        // Other services' logs have some fields of these names, but with other values: a version such as 1.1.
        let fits = |(field, value): (&Option<(String, Meaning)>, &Value)| match field {
            Some((_, Meaning::Integer)) => is_integer(&value.text),
            _ => true,
        };
        self.keys.fields.iter().zip(values).all(fits)
    }

    /// The line of an object whose keys are fields, after a header line where they are new. Returns whether it is one.
    fn record(&mut self, values: &[Value], out: &mut Vec<u8>) -> bool {
        let is_record = self.is_record(values);
        if is_record {
            self.push_record(values, out);
        }
        is_record
    }

    /// The line of an object whose keys were read last.
    fn push_record(&mut self, values: &[Value], out: &mut Vec<u8>) {
        self.begin_line(out);
        if self.keys.places.is_empty() {
            self.extend_header(out);
        }
        for (i, place) in self.keys.places.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            match place.and_then(|at| Some((&values[at], self.keys.fields[at].as_ref()?.1))) {
                Some((value, meaning)) => push_value(value.text.as_bytes(), meaning, value.is_bare, out),
                None => out.push(b'-'),
            }
        }
        out.push(b'\n');
    }

    /// Gives the fields of the current keys a place in the header, which is a line again where they are new.
    fn extend_header(&mut self, out: &mut Vec<u8>) {
        let names = || self.keys.fields.iter().flatten().map(|(name, _)| name);
        let new: Vec<String> = names().filter(|name| !self.header.contains(name)).cloned().collect();
        if !new.is_empty() {
            if self.header.len() + new.len() > FIELDS_MAX {
                self.header = names().cloned().collect();
            } else {
                self.header.extend(new);
            }
            out.extend_from_slice(self.header.join(" ").as_bytes());
            out.push(b'\n');
        }
        let place_of = |name: &String| {
            self.keys.fields.iter().position(|field| field.as_ref().is_some_and(|(n, _)| n == name))
        };
        self.keys.places = self.header.iter().map(place_of).collect();
    }

    /// Goes on to where the next document begins behind a broken one, if that is in `text`. Returns how much that is.
    fn skip(&mut self, text: &[u8], is_last: bool) -> usize {
        let next = next_document(text);
        self.is_skipping = next.is_none() && !is_last;
        match next {
            Some(at) => at,
            None if is_last => text.len(),
            None => text.len().saturating_sub(2),
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
                Scan::Taken(len) => at += len,
                Scan::More => return Ok(at),
                Scan::Broken(..) if self.path.is_empty() && text.len() - at < EXCERPT_BYTES && !is_last => {
                    return Ok(at);
                }
                Scan::Broken(what, next) => {
                    if self.path.is_empty() {
                        self.excerpt = excerpt_of(&text[at..]);
                    }
                    self.reject(&format!("expected JSON documents, found {what}"), out)?;
                    self.is_torn = !self.path.is_empty();
                    self.path.clear();
                    at += next.unwrap_or(0);
                    self.is_skipping = next.is_none();
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

fn ocsf() -> Refused {
    Refused(
        "expected flow log lines, found OCSF events (Security Lake): they were transformed, and are Parquet-ready as they are"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(text: &[u8], step: usize) -> Result<String, Refused> {
        let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()));
        let (mut out, mut at, mut end) = (Vec::new(), 0, 0);
        while end < text.len() {
            end = (end + step).min(text.len());
            at += documents.push(&text[at..end], end == text.len(), usize::MAX, &mut out)?;
        }
        assert_eq!(at, text.len());
        let lines = out.strip_prefix(CARRIED_MARK).unwrap_or(&out);
        Ok(String::from_utf8_lossy(lines).into_owned())
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
            (r#"{"version":2,"bytes":1,"end":3,"start":2}{"version":2,"packets":7}"#.to_owned(), "version bytes end start\n2 1 3 2\nversion bytes end start packets\n2 - - - 7\n"),
            (r#"{"start":1.7040672E9,"srcaddr":"10.0.0.5","account_id":12,"srcport":443.0}"#.to_owned(), "start srcaddr account-id srcport\n1704067200 10.0.0.5 000000000012 443\n"),
            // What says something about lines is no record, wherever it stands.
            (r#"{"extracted":{"version":"2","srcaddr":"a","start":"1","end":"2"},"message":"2 a","aws":{"region":"x","account_id":"1","srcaddr":"a","start":1}}"#.to_owned(), "2 a\n"),
            (r#"{"logEvents":[{"message":"2 a"}],"meta":{"version":2,"srcaddr":"b","start":1}}"#.to_owned(), "2 a\n"),
            (r#"{"data":{"items":[{"srcaddr":"b","start":1},{"srcaddr":"c","start":2}]}}"#.to_owned(), "srcaddr start\nb 1\nc 2\n"),
            (r#"{"message":{"srcaddr":"b","start":1}}"#.to_owned(), "srcaddr start\nb 1\n"),
            (r#"{"message":"{\"srcaddr\":\"b\",\"start\":1}"}"#.to_owned(), "srcaddr start\nb 1\n"),
            (r#"{"results":[[{"field":"srcAddr","value":"b"},{"field":"@ptr","value":"x"},{"field":"start","value":"1"}]]}"#.to_owned(), "srcaddr start\nb 1\n"),
            (r#"{"log":"2 1 eni-1 10.0.0.5 -","stream":"stdout"}{"result":{"_raw":"2 1 eni-1 - - NODATA"}}"#.to_owned(), "2 1 eni-1 10.0.0.5 -\n2 1 eni-1 - - NODATA\n"),
            (r#"["2 a","2 b"][[1,"2 c"]]"#.to_owned(), "2 a\n2 b\n2 c\n"),
            // Documents without events.
            (format!(r#"{{"logEvents":[],"owner":"1"}}{subscription}"#), "2 a\n2 b\n"),
            (r#"{"events":[],"nextForwardToken":"f/1"}{"results":[]}[]{"message":null}"#.to_owned(), ""),
            // Where one breaks off, the next is found.
            (r#"{"message":"2 a"}{"message":"2 cut{"message":"2 b"}"#.to_owned(), "2 a\n{\"message\":\"2 cut{\"message\":\"2 b\"}\n2 b\n"),
            (r#"{"message":"2 a"}{"x":1{"message":"2 b"}"#.to_owned(), "2 a\n{\"x\":1{\"message\":\"2 b\"}\n2 b\n"),
            ("{\"message\":\"2 a\"}{\"message\":\"\u{1}\"}{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"message\":\"\u{1}\"}{\"message\":\"2 b\"}\n2 b\n"),
            (r#"{"message":"2 a"}{"logEvents":[{"id":~},{"id":"2","message":"2 b"}],"owner":"1"}{"message":"2 c"}"#.to_owned(), "2 a\n{\"logEvents\":[{\"id\":~},{\"id\":\"2\",\"message\":\"2 b\"}],\"owner\":\"1\"}{\"message\":\"2 c\"}\n2 b\n2 c\n"),
            ("{\"message\":\"2 a\"}\n2 plain\n{\"message\":\"2 b\"}".to_owned(), "2 a\n2 plain\n2 b\n"),
            ("{\"message\":\"2 a\"}\n{\"mess\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"mess\n2 b\n"),
            ("{\"message\":\"2 a\"}\n{\"x\":1}\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"x\":1}\n2 b\n"),
            (String::new(), ""),
        ] {
            assert_eq!(lines(&text).as_deref(), Ok(expected), "{text}");
        }
        for (text, words) in [
            (r#"{"a":1,"b":"x"}"#, "a document with the keys a, b"),
            (r#"{"version":"1.0","name":"x"}"#, "a document with the keys version, name"),
            (r#"{"Records":[{"accountId":"1","type":"AWS::S3::Bucket"}]}"#, "found a document"),
            (
                r#"{"version":"1.1","account_id":"1","region":"x","vpc_id":"v","query_name":"a."}"#,
                "found a document",
            ),
            (r#"{"InstanceId":"i-1","VpcId":"v","SubnetId":"s"}"#, "found a document"),
            (r#"[1,2,3]"#, "found a document"),
            (r#"[["version","srcaddr"],["2","10.0.0.5"]]"#, "found a document"),
            (r#"{"metadata":{"version":"1","region":"x"},"cloud":{"region":"x"},"class_uid":4001}"#, "OCSF"),
            (r#"{"log":"hello to all of you"}"#, "found a document"),
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
            let lines = std::mem::take(&mut out);
            assert_eq!(lines.strip_prefix(CARRIED_MARK).unwrap_or(&lines), b"2 a\n");
        }
        assert_eq!(documents.path.len(), 2);
    }
}
