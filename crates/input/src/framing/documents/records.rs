//! Objects whose keys are fields, as records.

use std::sync::Arc;

use flowquet_format::{Catalogue, LogFormat, field_of_column};

use super::super::names::fields_of;
use super::super::values::{Meaning, Spelling, is_integer, push_value};

/// Values of an object that are held, and fields of a header line.
pub(super) const FIELDS_MAX: usize = 256;

/// Before what stands for a field's value and is none: a byte that JSON's texts have only in an escape.
pub(super) const SEVERAL: char = '\u{0}';

/// A plain value and its key.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) key: String,
    pub(super) text: String,
    /// A number, or a word without quotes.
    pub(super) is_bare: bool,
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

/// Makes records of objects.
#[derive(Debug)]
pub(super) struct Records {
    catalogue: Arc<Catalogue>,
    /// Fields of the last header line.
    header: Vec<String>,
    /// Keys of the last object that might be a record.
    keys: Keys,
}

impl Records {
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, header: Vec::new(), keys: Keys::default() }
    }

    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.clone()
    }

    /// Another header line than the last one of these records was appended.
    pub(super) fn forget_header(&mut self) {
        self.header.clear();
        self.keys = Keys::default();
    }

    /// Whether the keys that were looked at last are nothing but fields.
    pub(super) fn is_all(&self) -> bool {
        self.keys.is_all
    }

    /// Whether a key is the name of a known field.
    pub(super) fn is_field(&self, key: &str) -> bool {
        field_of_column(key, &self.catalogue).is_some()
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
    pub(super) fn is_record(&mut self, values: &[Value]) -> bool {
        self.read_keys(values);
        let fields = || self.keys.fields.iter().flatten();
        let is_like_others =
            fields().next().is_some() && fields().all(|(name, _)| self.header.contains(name));
        let is_new = |(name, _): &&(String, Meaning)| {
            !self.header.contains(name) && self.catalogue.field(name).is_none()
        };
        let is_half_known = !self.header.is_empty()
            && self.keys.known >= 2
            && 2 * self.keys.known >= self.keys.keys.len()
            && !fields().any(|field| is_new(&field));
        // Columns, each with a list of its values.
        let is_several =
            |(field, value): (&Option<_>, &Value)| field.is_none() || value.text.starts_with(SEVERAL);
        if self.header.is_empty() && self.keys.fields.iter().zip(values).all(is_several) {
            return false;
        }
        if !self.header.is_empty() || !self.keys.is_sure || self.keys.is_flow {
            return self.keys.is_sure || (is_like_others || is_half_known) && self.may_be(values);
        }
        // Other services' logs have some fields of these names, but with other values: a version such as 1.1.
        let fits = |(field, value): (&Option<(String, Meaning)>, &Value)| match field {
            Some((_, Meaning::Integer)) => is_integer(&value.text),
            _ => !value.text.starts_with(SEVERAL),
        };
        self.keys.fields.iter().zip(values).all(fits)
    }

    /// Whether each value may be one of its field: what follows records and has some of their names may be about them, `{"action":"retry"}`.
    fn may_be(&self, values: &[Value]) -> bool {
        let fields =
            || self.keys.fields.iter().zip(values).filter_map(|(field, v)| Some((field.as_ref()?, v)));
        let names: Vec<&str> = fields().map(|((name, _), _)| name.as_str()).collect();
        let Some(format) = LogFormat::of_columns(&names, &self.catalogue) else { return false };
        let mut spelt = Vec::new();
        for ((_, meaning), value) in fields() {
            spell(value, *meaning, &mut spelt);
            spelt.push(b' ');
        }
        let words: Vec<&[u8]> = spelt.strip_suffix(b" ").unwrap_or(&spelt).split(|b| *b == b' ').collect();
        format.may_have(&words)
    }

    /// Whether an object within another is a record: it has addresses and times, or has the fields of those before.
    pub(super) fn is_flow(&mut self, values: &[Value]) -> bool {
        self.is_record(values) && (self.keys.is_flow || !self.header.is_empty())
    }

    /// Appends the line of an object whose keys were looked at last, after a header line where they are new.
    pub(super) fn push(&mut self, values: &[Value], out: &mut Vec<u8>) {
        if self.keys.places.is_empty() {
            self.extend_header(out);
        }
        for (i, place) in self.keys.places.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            match place.and_then(|at| Some((&values[at], self.keys.fields[at].as_ref()?.1))) {
                Some((value, meaning)) => spell(value, meaning, out),
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
}

/// Appends a value as lines have it.
fn spell(value: &Value, meaning: Meaning, out: &mut Vec<u8>) {
    match value.text.strip_prefix(SEVERAL) {
        // What is no number is found where its column is kept; no other value is looked at, so that its blanks make it several.
        Some(several) if matches!(meaning, Meaning::Integer | Meaning::Time) => {
            push_value(several.as_bytes(), Meaning::Text, Spelling::Quoted, out);
        }
        Some(several) => out.extend_from_slice(several.as_bytes()),
        None => {
            let spelling = if value.is_bare { Spelling::Bare } else { Spelling::Quoted };
            push_value(value.text.as_bytes(), meaning, spelling, out);
        }
    }
}
