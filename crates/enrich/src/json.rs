//! Lists as JSON: an array of objects, or objects one after the other.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use crate::entries::Entries;
use crate::error::{Error, shown};
use crate::list::Columns;

/// The entries of JSON. Columns are in the order of their names, since objects have none.
///
/// # Errors
/// [`Error`] with its line.
pub(crate) fn json(text: &str) -> Result<(Columns, Entries), Error> {
    // Twice through the text takes less memory than all objects at once.
    let mut names = BTreeSet::new();
    each_object(text, &mut |_, object| {
        names.extend(object.into_iter().map(|(name, _)| name));
        Ok(())
    })?;
    let names: Vec<String> = names.into_iter().collect();
    let columns = Columns::of(&names).map_err(Error::file)?;
    let mut entries = columns.builder();
    each_object(text, &mut |line, object| {
        let cell = |name: &String| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text.as_str()))),
            Some(plain @ (Value::Bool(_) | Value::Number(_))) => Ok(Some(Cow::Owned(plain.to_string()))),
            Some(other) => {
                let kind = if other.is_array() { "an array" } else { "an object" };
                Err(Error::line(
                    line,
                    format!("expected text or a number in `{}`, found {kind}", shown(name)),
                ))
            }
        };
        let cells = names.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        columns.add(&mut entries, line, &cells)
    })?;
    Ok((columns, entries.build()?))
}

/// An object that has each key once: of two values of one key, nobody could say which is meant.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format!("the key `{}` twice in one", shown(&key))));
                    }
                    object.insert(key, value);
                }
                Ok(Object(object))
            }
        }

        from.deserialize_map(Entries)
    }
}

/// Calls `each` with every object and the line that it begins in.
fn each_object(
    text: &str,
    each: &mut dyn FnMut(u64, Map<String, Value>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut at = Lines { rest: text, line: 1 };
    at.skip_blanks();
    let is_array = at.take('[');
    at.skip_blanks();
    if is_array && at.take(']') {
        return at.end();
    }
    loop {
        let line = at.line;
        let mut objects = Deserializer::from_str(at.rest).into_iter::<Object>();
        match objects.next() {
            None => return Err(Error::line(line, "expected an object, found the end of the file")),
            Some(Err(error)) => {
                let line = line + (error.line() as u64).saturating_sub(1);
                return Err(Error::line(line, format!("expected objects of JSON, found {error}")));
            }
            Some(Ok(Object(object))) => {
                at.skip(objects.byte_offset());
                each(line, object)?;
            }
        }
        at.skip_blanks();
        if is_array {
            if at.take(']') {
                return at.end();
            }
            if !at.take(',') {
                return Err(Error::line(at.line, "expected `,` or `]` after an object of the array"));
            }
            at.skip_blanks();
        } else if at.rest.is_empty() {
            return Ok(());
        }
    }
}

/// What is left of a text, and the line that it begins in.
struct Lines<'a> {
    rest: &'a str,
    line: u64,
}

impl Lines<'_> {
    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.bytes().filter(|b| *b == b'\n').count() as u64;
        self.rest = rest;
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.len() - self.rest.trim_ascii_start().len();
        self.skip(blanks);
    }

    fn take(&mut self, mark: char) -> bool {
        let is_there = self.rest.starts_with(mark);
        if is_there {
            self.skip(mark.len_utf8());
        }
        is_there
    }

    fn end(&mut self) -> Result<(), Error> {
        self.skip_blanks();
        let is_end = self.rest.is_empty();
        let what = "expected the end of the file after the array";
        if is_end { Ok(()) } else { Err(Error::line(self.line, what)) }
    }
}
