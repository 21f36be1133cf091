//! A log format that a text has, and what it is called there.

use crate::log_format::LogFormat;

/// A log format in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFormat {
    /// The format.
    pub format: LogFormat,
    /// The line on which it begins; the first is 1.
    pub line: usize,
    /// What the file calls it: a flow log's id, a resource's name, a variable.
    pub name: Option<String>,
    /// What else it may be called: its id, or a part of the name.
    pub(super) other_names: Vec<String>,
}

impl FoundFormat {
    pub(super) fn new(format: LogFormat, line: usize, name: Option<String>) -> Self {
        Self { format, line, name, other_names: Vec::new() }
    }

    /// Whether this is the name of the format in its file, or its line.
    pub fn is_called(&self, name: &str) -> bool {
        let mut names = self.name.iter().chain(&self.other_names);
        names.any(|own| own == name) || self.line.to_string() == name
    }
}
