//! What values, objects and arrays of documents come to: lines, records, or what says something about them.

use flowquet_format::{event_ms, is_message, may_be_message};

use super::super::Refused;
use super::super::names::{is_events, is_like_record, is_surely_record, only_record};
use super::nested;
use super::path::{Container, Next, Object, close_with_lines};
use super::records::{FIELDS_MAX, Value};
use super::{CONTROL, Documents, HELD_MAX, KEYS_TOLD_MAX, TIMESTAMP, ocsf};

/// The key under which Elasticsearch has what it was given.
const SOURCE: &str = "_source";

impl Documents {
    /// A value that is neither an object nor an array has come.
    pub(super) fn value(&mut self, text: String, is_bare: bool, out: &mut Vec<u8>) -> Result<(), Refused> {
        let is_control = self.is_control;
        let is_inside = self.path.iter().any(|c| matches!(c, Container::Object(_)));
        let is_about_lines = self.is_about_lines();
        match self.path.last_mut().expect("a value stands in something") {
            Container::Array(array) => {
                (array.next, array.is_empty) = (Next::Comma, false);
                array.count += 1;
                // Messages alone, as a query of the AWS CLI has them; or beside their times, as Loki has them.
                let is_line =
                    if is_inside { is_surely_record(&text) && !is_about_lines } else { text.contains(' ') };
                if !is_bare && is_line {
                    array.has_lines = true;
                    self.message_once(&text, out)?;
                } else if array.row.is_empty() {
                    array.push_plain(text, is_bare);
                }
            }
            Container::Object(object) => {
                object.next = Next::Comma;
                if is_message(&object.key) && (!is_bare || text == "null") {
                    (object.has_lines, object.has_message) = (true, true);
                    if !is_bare && !is_control && !text.starts_with(CONTROL) {
                        // CloudWatch writes it before the message.
                        let time = object.values.iter().find(|v| v.key == TIMESTAMP);
                        self.events.ms = time.and_then(|v| event_ms(&v.text));
                        self.message_once(&text, out)?;
                        self.events.ms = None;
                    }
                } else {
                    self.is_control |= object.key == "messageType" && text == "CONTROL_MESSAGE";
                    let may_be_encoded = nested::may_be_encoded(&object.key) && !is_bare && !is_about_lines;
                    if may_be_encoded && self.encoded(&text, out)? {
                        if let Some(Container::Object(object)) = self.path.last_mut() {
                            object.has_lines = true;
                        }
                        return Ok(());
                    }
                    let Some(Container::Object(object)) = self.path.last_mut() else { return Ok(()) };
                    object.push(text, is_bare);
                }
            }
        }
        Ok(())
    }

    /// An object or array is over.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        let closed = self.path.pop().expect("something is open");
        if self.is_field_of_values(&closed) {
            return Ok(());
        }
        let (mut has_lines, mut held) = match closed {
            Container::Array(array) => {
                let is_row = !array.has_lines && !array.row.is_empty();
                let is_record = is_row && (self.records.is_record(&array.row) || self.records.is_all());
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
        if self.is_about_lines() {
            held.clear();
        }
        // Elasticsearch puts fields and highlights beside what they were taken from.
        if let Some(Container::Object(parent)) = self.path.last_mut() {
            parent.has_message |= parent.key == SOURCE && (has_lines || !held.is_empty());
        }
        if let Some(Container::Object(parent)) = self.path.last_mut() {
            parent.held.append(&mut held);
            parent.is_map |= parent.held.len() > HELD_MAX;
            held = if parent.is_map { std::mem::take(&mut parent.held) } else { Vec::new() };
        }
        for values in held {
            has_lines |= self.record(&values, out);
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

    /// Whether what was closed is the value of a known field of the object around it, which has it now: a scalar in a list or with the name of its
    /// type beside it, as Elasticsearch, MongoDB, DynamoDB and Avro write it; or else what no field can have.
    fn is_field_of_values(&mut self, closed: &Container) -> bool {
        let Some(Container::Object(parent)) = self.path.last() else { return false };
        if closed.has_lines() || parent.has_message || !self.records.is_field(&parent.key) {
            return false;
        }
        // A name of a field may be that of a record, too.
        if let Container::Object(object) = closed
            && self.records.is_flow(&object.values)
        {
            return false;
        }
        let (text, is_bare) = closed.as_value();
        if let Some(Container::Object(parent)) = self.path.last_mut() {
            parent.push(text, is_bare);
            parent.next = Next::Comma;
        }
        true
    }

    /// Whether something above has a line: what lies in it says something about that.
    pub(super) fn is_about_lines(&self) -> bool {
        self.path.iter().any(|c| matches!(c, Container::Object(o) if o.has_message))
    }

    /// Takes what an object holds: whether that gave lines, and values that are records if nothing above tells otherwise.
    fn close_object(
        &mut self,
        object: Object,
        is_held: bool,
        out: &mut Vec<u8>,
    ) -> Result<(bool, Vec<Vec<Value>>), Refused> {
        if object.has_lines || self.is_control {
            self.path.push(Container::Object(object));
            close_with_lines(&mut self.path);
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
        if !self.is_about_lines() {
            // What is in something else may say but a part of it.
            if is_held && self.records.is_flow(values) {
                return Ok((false, vec![object.values]));
            }
            if !is_held && self.record(values, out) {
                return Ok((true, Vec::new()));
            }
            let may_be = |v: &&Value| may_be_message(&v.key) && !v.is_bare && is_like_record(&v.text);
            let texts = || values.iter().filter(|v| !v.is_bare).map(|v| v.text.as_str()).collect::<Vec<_>>();
            let named = values.iter().find(may_be).map(|v| v.text.as_str());
            if let Some(line) = named.or_else(|| only_record(&texts()).map(|at| texts()[at])) {
                let line = line.to_owned();
                self.path.push(Container::Object(object));
                self.message_once(&line, out)?;
                close_with_lines(&mut self.path);
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

    /// The line of an object whose keys are fields. Returns whether it is one.
    pub(super) fn record(&mut self, values: &[Value], out: &mut Vec<u8>) -> bool {
        let is_record = self.records.is_record(values);
        if is_record {
            self.push_record(values, out);
        }
        is_record
    }

    /// The line of an object whose keys were looked at last.
    fn push_record(&mut self, values: &[Value], out: &mut Vec<u8>) {
        self.begin_line(out);
        let before = out.len();
        self.records.push(values, out);
        self.events.count(&out[before..]);
    }
}
