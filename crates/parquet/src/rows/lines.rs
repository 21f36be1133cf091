//! What stands in the lines that a file's rows are read as.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowquet_format::{
    Catalogue, ColumnType, FIELDS_MAX, FieldKind, LogFormat, ROWS_MARK, Types, fields_of_columns,
    header_format, is_message, message_column, normalised_column,
};
use parquet::schema::types::SchemaDescriptor;

use super::RowColumn;
use super::kind::{Kind, kind};
use super::spell::Meaning;

/// Fields that make a file one of flow logs, however many columns somebody has put beside them.
const KNOWN_MIN: usize = 4;

/// Names that a message tells.
const TOLD_MAX: usize = 5;

/// A column that all events of the Open Cybersecurity Schema Framework have.
const OCSF: &str = "class_uid";

/// By which field records are counted.
const STATUS: &str = "log-status";

/// Which columns of a file are looked at, and what they are for.
#[derive(Debug, Clone)]
pub struct Wanted {
    catalogue: Arc<Catalogue>,
    /// All if `None`.
    columns: Option<BTreeSet<String>>,
    types: Types,
}

impl Default for Wanted {
    fn default() -> Self {
        Self::all(Arc::new(Catalogue::builtin().clone()), Types::default())
    }
}

impl Wanted {
    /// All columns, for a table of these types.
    pub fn all(catalogue: Arc<Catalogue>, types: Types) -> Self {
        Self { catalogue, columns: None, types }
    }

    /// Only columns of these names, spelt as fields or as columns.
    pub fn only<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.columns = Some(names.into_iter().map(normalised_column).collect());
        self
    }

    fn contains(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(column))
    }

    fn meaning(&self, field: &str) -> Meaning {
        let Some(spec) = self.catalogue.field(field) else { return Meaning::Plain };
        match spec.kind {
            FieldKind::Time => Meaning::Time { millis: self.types == Types::Rich },
            FieldKind::Id if field.ends_with("account-id") => Meaning::Account,
            _ if !matches!(spec.parquet, ColumnType::String | ColumnType::Address) => Meaning::Number,
            FieldKind::Name | FieldKind::Text => Meaning::Plain,
            _ => Meaning::Word,
        }
    }
}

/// The lines that rows are read as: a place for each field of a log format.
#[derive(Debug)]
pub struct RowLines {
    pub(super) places: Vec<Place>,
    format: Option<LogFormat>,
    /// Whether the names alone make a header line.
    is_header: bool,
}

/// The column that holds whole lines, in a file whose columns are no fields: one that is called so, or the only one, whatever it is called.
fn column_of_lines(columns: &[RowColumn], names: &[&str]) -> Option<usize> {
    let only = (names.len() == 1).then_some(0);
    let place = names.iter().position(|name| is_message(name)).or_else(|| message_column(names)).or(only)?;
    let column = &columns[place];
    (column.kind == Ok(Kind::Text) && !names.contains(&OCSF)).then_some(column.index)
}

/// Where the values of one field come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The file has no such column, or nobody wants it.
    Empty,
    Column {
        index: usize,
        kind: Kind,
        meaning: Meaning,
    },
}

impl RowLines {
    /// The columns of whosoever file that are wanted. Those of known fields keep their place if they are not, so that the log format
    /// does not depend on what is wanted; others are left out.
    pub(super) fn wanted(columns: &[RowColumn], wanted: &Wanted) -> Result<Self, String> {
        let names: Vec<&str> = columns.iter().map(|c| c.original.as_str()).collect();
        let fields = fields_of_columns(&names, &wanted.catalogue);
        let (mut known, mut has_address) = (0, false);
        let (mut places, mut kept, mut lost) = (Vec::new(), Vec::new(), None);
        for (column, field) in columns.iter().zip(fields) {
            let Some(field) = field else { continue };
            let spec = wanted.catalogue.field(&field);
            let is_known = spec.is_some();
            has_address |= spec.is_some_and(|spec| spec.kind == FieldKind::Address);
            let is_wanted = wanted.contains(&normalised_column(&field));
            if !is_known && !is_wanted {
                continue;
            }
            known += usize::from(is_known);
            let place = match (&column.kind, is_wanted) {
                (Ok(kind), true) => {
                    Place::Column { index: column.index, kind: *kind, meaning: wanted.meaning(&field) }
                }
                (Err(what), true) => {
                    lost.get_or_insert_with(|| (column.original.clone(), what.clone()));
                    Place::Empty
                }
                (Ok(Kind::Text), false) if field == STATUS => {
                    Place::Column { index: column.index, kind: Kind::Text, meaning: Meaning::Status }
                }
                (_, false) => Place::Empty,
            };
            places.push(place);
            kept.push(field);
        }
        let is_of_fields = known > 0 && (known * 2 >= kept.len() || known >= KNOWN_MIN);
        // Account and region may stand beside the lines.
        let has_message = !has_address && known < KNOWN_MIN && names.iter().any(|name| is_message(name));
        if (!is_of_fields || has_message)
            && let Some(index) = column_of_lines(columns, &names)
        {
            let place = Place::Column { index, kind: Kind::Text, meaning: Meaning::Line };
            return Ok(Self { places: vec![place], format: None, is_header: false });
        }
        if !is_of_fields {
            let what = if names.contains(&OCSF) { "OCSF events (Security Lake), with " } else { "" };
            return Err(format!(
                "expected columns named after fields of a flow log, found {what}{}",
                told(&names)
            ));
        }
        if kept.len() > FIELDS_MAX {
            return Err(format!("expected at most {FIELDS_MAX} columns, found {}", kept.len()));
        }
        if let Some((column, what)) = lost {
            return Err(format!("expected one value a row in column `{column}`, found {what}"));
        }
        let text = kept.join(" ");
        let format = LogFormat::parse(&text, &wanted.catalogue).map_err(|e| e.to_string())?;
        let is_header = header_format(text.as_bytes(), &wanted.catalogue).as_ref() == Some(&format);
        Ok(Self { places, format: Some(format), is_header })
    }

    /// The log format of the lines; `None` where one column holds them whole.
    pub fn format(&self) -> Option<&LogFormat> {
        self.format.as_ref()
    }

    /// The header line, for text in which bytes are `carried` or not; nothing where lines are whole, of which the first may be one.
    pub fn header(&self, carried: bool) -> Vec<u8> {
        let Some(format) = &self.format else { return Vec::new() };
        let mut text = if carried || !self.is_header { ROWS_MARK.to_vec() } else { Vec::new() };
        for field in format.fields() {
            text.extend_from_slice(field.column().as_bytes());
            text.push(b' ');
        }
        text.pop();
        text.push(b'\n');
        text
    }
}

/// Some names, for a message.
fn told(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown = names.iter().take(TOLD_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TOLD_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The columns of a file, those that have several values or fields as one.
pub(super) fn columns_of(schema: &SchemaDescriptor) -> Vec<RowColumn> {
    let mut columns: Vec<RowColumn> = Vec::new();
    let mut last = None;
    for (index, leaf) in schema.columns().iter().enumerate() {
        let root = schema.get_column_root_idx(index);
        if last.replace(root) == Some(root) {
            continue;
        }
        let original = schema.get_column_root(index).name().to_owned();
        columns.push(RowColumn { name: normalised_column(&original), original, index, kind: kind(leaf) });
    }
    columns
}
