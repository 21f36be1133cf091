//! The objects and arrays around where a scan is, and what is known of each.

use super::records::{FIELDS_MAX, SEVERAL, Value};

/// Lines of an object, and of objects in it, that are kept, to tell a second copy by.
const LINES_MAX: usize = 64;

/// Values of a list that are kept, to tell what a field has.
const PLAIN_MAX: usize = 2;

/// Names of types beside a value, of Avro, DynamoDB and MongoDB.
const TYPES: [&str; 12] = [
    "$numberDecimal",
    "$numberDouble",
    "$numberInt",
    "$numberLong",
    "N",
    "S",
    "double",
    "float",
    "int",
    "long",
    "string",
    "value",
];

/// Bytes of a line that is kept so: no record is longer.
const COPY_BYTES_MAX: usize = 4 << 10;

/// What may come next in an object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Key,
    Colon,
    Value,
    Comma,
}

#[derive(Debug)]
pub(super) struct Array {
    pub(super) next: Next,
    pub(super) is_empty: bool,
    /// Values of one row of Logs Insights, which has an object for each.
    pub(super) row: Vec<Value>,
    /// The first plain values, and whether each is without quotes.
    plain: Vec<(String, bool)>,
    /// Values, plain or not.
    pub(super) count: usize,
    pub(super) has_lines: bool,
}

impl Array {
    /// A value that is no line.
    pub(super) fn push_plain(&mut self, text: String, is_bare: bool) {
        if self.plain.len() < PLAIN_MAX {
            self.plain.push((text, is_bare));
        }
    }
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) next: Next,
    /// The key whose value comes next, or came last.
    pub(super) key: String,
    /// Plain values so far.
    pub(super) values: Vec<Value>,
    /// Values of objects in it, which are records if nothing here tells otherwise; of a map of many they are.
    pub(super) held: Vec<Vec<Value>>,
    pub(super) is_map: bool,
    /// Whether it, or something in it, gave lines or was no data.
    pub(super) has_lines: bool,
    /// Whether it has a line of its own.
    pub(super) has_message: bool,
    /// Its lines and those of the objects in it, and under which of its keys each stands, by number: programs that ship logs keep what they were
    /// given beside what they made of it.
    lines: Vec<Line>,
    /// Keys so far.
    pub(super) keys: usize,
}

/// A line that an object has, or an object in it.
#[derive(Debug)]
struct Line {
    /// Which key of the object it stands under.
    key: usize,
    /// Whether it stands there, by itself or in a list, and not in an object.
    is_own: bool,
    text: String,
}

impl Object {
    /// The value of the last key has come.
    pub(super) fn push(&mut self, text: String, is_bare: bool) {
        if self.values.len() < FIELDS_MAX {
            let key = std::mem::take(&mut self.key);
            self.values.push(Value { key, text, is_bare });
        }
    }
}

#[derive(Debug)]
pub(super) enum Container {
    Array(Array),
    Object(Object),
}

impl Container {
    pub(super) fn opened_by(mark: u8) -> Self {
        match mark {
            b'{' => Self::Object(Object {
                next: Next::Key,
                key: String::new(),
                values: Vec::new(),
                held: Vec::new(),
                is_map: false,
                has_lines: false,
                has_message: false,
                lines: Vec::new(),
                keys: 0,
            }),
            _ => Self::Array(Array {
                next: Next::Value,
                is_empty: true,
                row: Vec::new(),
                plain: Vec::new(),
                count: 0,
                has_lines: false,
            }),
        }
    }

    pub(super) fn next(&mut self) -> &mut Next {
        match self {
            Self::Array(array) => &mut array.next,
            Self::Object(object) => &mut object.next,
        }
    }

    /// Whether it gave lines, or holds records.
    pub(super) fn has_lines(&self) -> bool {
        match self {
            Self::Array(array) => array.has_lines || !array.row.is_empty(),
            Self::Object(object) => object.has_lines || !object.held.is_empty(),
        }
    }

    /// The value of a field that this is, and whether it is without quotes: the only one in it, or none where it is empty. What else it is has blanks in it, so
    /// that its record has more values than fields and becomes a reject.
    pub(super) fn as_value(&self) -> (String, bool) {
        let none = || ("null".to_owned(), true);
        match self {
            Self::Array(array) if array.is_empty => none(),
            Self::Array(array) => match &array.plain[..] {
                [(text, is_bare)] if array.count == 1 => (text.clone(), *is_bare),
                plain => (several(plain.first().map_or("…", |(text, _)| text), array.count), false),
            },
            Self::Object(object) if object.keys == 0 => none(),
            Self::Object(object) => match &object.values[..] {
                [value] if object.keys == 1 && TYPES.contains(&value.key.as_str()) => {
                    (value.text.clone(), value.is_bare)
                }
                values => (several(values.first().map_or("…", |value| &value.key), object.keys), false),
            },
        }
    }
}

fn several(first: &str, count: usize) -> String {
    let first: String =
        first.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    format!("{SEVERAL}[{first} … {count}]")
}

/// Whether a line of the innermost object, or of a list in it, is one: not where another key of that object has the same, or an object around it,
/// which is a copy then. Neighbours are none of each other's.
pub(super) fn takes_line(path: &mut [Container], line: &str) -> bool {
    let Some(at) = path.iter().rposition(|c| matches!(c, Container::Object(_))) else { return true };
    let mut is_copy = false;
    for container in path[..at].iter().rev() {
        let Container::Object(object) = container else { break };
        is_copy |= object.lines.iter().any(|other| other.is_own && other.text == line);
    }
    let Container::Object(object) = &mut path[at] else { return true };
    let key = object.keys;
    is_copy |= object.lines.iter().any(|other| other.key != key && other.text == line);
    if object.lines.len() < LINES_MAX && line.len() <= COPY_BYTES_MAX {
        object.lines.push(Line { key, is_own: true, text: line.to_owned() });
    }
    !is_copy
}

/// Takes the innermost object away; the one around it keeps its lines.
pub(super) fn close_with_lines(path: &mut Vec<Container>) {
    let Some(Container::Object(object)) = path.pop() else { return };
    if let Some(Container::Object(around)) = path.last_mut() {
        let key = around.keys;
        around.lines.extend(object.lines.into_iter().map(|line| Line { key, is_own: false, ..line }));
        around.lines.truncate(LINES_MAX);
    }
}
