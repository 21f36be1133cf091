//! The objects and arrays around where a scan is, and what is known of each.

use super::records::Value;

/// Lines of objects in an object that are kept, to tell a second copy by.
const INNER_MAX: usize = 4;

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
    pub(super) has_lines: bool,
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
    /// That line, and those of the objects in it: programs that ship logs keep what they were given beside what they made of it.
    pub(super) line: Option<String>,
    pub(super) inner: Vec<String>,
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
                line: None,
                inner: Vec::new(),
            }),
            _ => Self::Array(Array { next: Next::Value, is_empty: true, row: Vec::new(), has_lines: false }),
        }
    }

    pub(super) fn next(&mut self) -> &mut Next {
        match self {
            Self::Array(array) => &mut array.next,
            Self::Object(object) => &mut object.next,
        }
    }
}

/// Whether a line of the innermost object is one: not where an object around it or in it has the same, which is a copy then. Neighbours are none of
/// each other's.
pub(super) fn takes_line(path: &mut [Container], line: &str) -> bool {
    let around = path.iter().rev().map_while(|container| match container {
        Container::Object(object) => Some(object),
        Container::Array(_) => None,
    });
    let is_copy = around.enumerate().any(|(i, object)| {
        object.line.as_deref() == Some(line) || (i == 0 && object.inner.iter().any(|inner| inner == line))
    });
    if let Some(Container::Object(object)) = path.last_mut() {
        object.line = (line.len() <= COPY_BYTES_MAX).then(|| line.to_owned());
    }
    !is_copy
}

/// Takes the innermost object away; the one around it keeps its lines.
pub(super) fn close_with_lines(path: &mut Vec<Container>) {
    let Some(Container::Object(object)) = path.pop() else { return };
    if let Some(Container::Object(around)) = path.last_mut() {
        around.inner.extend(object.line.into_iter().chain(object.inner));
        around.inner.truncate(INNER_MAX);
    }
}
