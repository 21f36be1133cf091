//! Which lines of as many fields as their format has are no records all the same: headers, and what is joined to one.

use flowquet_format::{ColumnType, Field, FieldKind, LogFormat};

/// The field whose values begin with a digit or are `-`, by which a record is told from names: the last one that is a number, so that a
/// header that was joined to a record which was cut reaches it, or else an address; the first one where there is neither.
pub(crate) fn told_by(format: &LogFormat) -> usize {
    let fields = format.fields();
    let last_of = |is_it: &dyn Fn(&Field) -> bool| (1..fields.len()).rfind(|i| is_it(&fields[*i]));
    last_of(&|field| field.column_type() != ColumnType::String)
        .or_else(|| last_of(&|field| field.spec().is_some_and(|spec| spec.kind == FieldKind::Address)))
        .unwrap_or(0)
}

/// Whether a value that begins with this byte may be a number or stand for none.
#[inline(always)]
pub(crate) fn begins_as_value(byte: u8) -> bool {
    (b'-'..=b'9').contains(&byte)
}

/// Whether a line of a format without numbers and addresses may be a header: each field, which begins behind one of `ends`, begins as a name
/// may, with a letter or a mark before it, or is empty.
#[inline(never)]
pub(crate) fn may_be_names(text: &[u8], ends: &[u32]) -> bool {
    let mut bytes = ends.iter().map(|end| text.get(end.wrapping_add(1) as usize));
    bytes.all(|byte| !byte.is_some_and(|b| begins_as_value(*b)))
}
