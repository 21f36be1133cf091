//! A block: whole lines, located, each with as many fields as the log format.

use std::ops::Range;
use std::sync::Arc;

use crate::backend::Backend;
use crate::reject::{Reject, RejectReason, raw_line};
use flowquet_format::LogFormat;

/// A record's place in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index in the delimiter table of the end of the record's first field.
    pub(crate) first: u32,
    /// Index of the record's line among the block's lines.
    pub(crate) line: u32,
}

/// A run of whole lines whose fields are located. Rows are those lines that have the right number of fields.
#[derive(Debug)]
pub struct Block<'a> {
    /// What the offsets refer to: the caller's bytes, or a copy in which odd lines were put right.
    pub(crate) text: &'a [u8],
    pub(crate) ends: &'a [u32],
    pub(crate) rows: &'a mut Vec<Row>,
    /// The lines as they came, for rejects.
    pub(crate) original: &'a [u8],
    /// Start of each line in `original`, and the end of the last one.
    pub(crate) line_starts: &'a [u32],
    /// Number of the first line in the object, from 1.
    pub(crate) first_line: u64,
    /// Byte offset of `original` in the inflated object.
    pub(crate) offset: u64,
    pub(crate) format: &'a Arc<LogFormat>,
    /// Whether the rows are the lines of `text`, all of them and in order.
    pub(crate) is_even: bool,
    /// Whether the lines are rows of a file, in which bytes are carried.
    pub(crate) are_rows: bool,
    pub(crate) backend: Backend,
}

/// The values of one field in some rows of a block.
#[derive(Debug, Clone, Copy)]
pub struct FieldColumn<'a> {
    pub(crate) text: &'a [u8],
    ends: &'a [u32],
    rows: &'a [Row],
    field: usize,
    /// How many fields each row has, where each row is the next line: their bounds then lie evenly in `ends`.
    even_width: Option<usize>,
    pub(crate) backend: Backend,
}

impl<'a> FieldColumn<'a> {
    /// Start and end of each value in [`Self::text`], in the order of the rows.
    #[inline(always)]
    pub fn bounds(self) -> impl ExactSizeIterator<Item = (usize, usize)> + 'a {
        self.rows.iter().map(move |row| bounds(self.ends, *row, self.field))
    }

    /// Start and end of each value as [`Self::bounds`] has them, without a look at the rows, where they allow it.
    #[inline]
    pub(crate) fn even_bounds(self) -> Option<EvenBounds<'a>> {
        let width = self.even_width?;
        let at = self.rows.first()?.first as usize + self.field - 1;
        Some(EvenBounds { ends: &self.ends[at..][..(self.rows.len() - 1) * width + 2], width })
    }

    /// The text that bounds refer to.
    #[inline]
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    /// How many rows.
    #[inline]
    pub fn len(self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.rows.is_empty()
    }

    /// Start and end of the `i`-th value.
    #[inline]
    pub fn bounds_at(self, i: usize) -> (usize, usize) {
        bounds(self.ends, self.rows[i], self.field)
    }
}

/// The values of some adjacent fields in some rows of a block, delimiters between them included.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpan<'a> {
    text: &'a [u8],
    ends: &'a [u32],
    rows: &'a [Row],
    first: usize,
    last: usize,
}

impl<'a> FieldSpan<'a> {
    /// Where the first value starts and the last one ends in [`Self::text`], in the order of the rows.
    #[inline(always)]
    pub fn bounds(self) -> impl ExactSizeIterator<Item = (usize, usize)> + 'a {
        self.rows
            .iter()
            .map(move |row| (bounds(self.ends, *row, self.first).0, bounds(self.ends, *row, self.last).1))
    }

    /// The text that bounds refer to.
    #[inline]
    pub fn text(self) -> &'a [u8] {
        self.text
    }
}

/// Bounds that lie evenly in the table of delimiters.
pub(crate) struct EvenBounds<'a> {
    /// From the delimiter before the next value to the one behind the last value.
    ends: &'a [u32],
    width: usize,
}

#[cfg(target_arch = "x86_64")]
impl EvenBounds<'_> {
    /// Whether the bounds of a value belong to no other one of the column: not where it is the only field.
    pub(crate) fn are_apart(&self) -> bool {
        self.width > 1
    }

    /// Start and end of the next four values, of bounds that are apart; `None`, and none taken, where fewer are left.
    #[inline(always)]
    pub(crate) fn next_four(&mut self) -> Option<[(usize, usize); 4]> {
        let four = self.ends.get(..3 * self.width + 2)?;
        self.ends = &self.ends[(4 * self.width).min(self.ends.len())..];
        let mut rows = four.chunks(self.width);
        let mut next = || match rows.next() {
            Some([before, end, ..]) => (before.wrapping_add(1) as usize, *end as usize),
            _ => unreachable!("a row has all its fields"),
        };
        Some([next(), next(), next(), next()])
    }
}

impl Iterator for EvenBounds<'_> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let [before, end] = *self.ends.first_chunk()?;
        self.ends = &self.ends[self.width.min(self.ends.len())..];
        Some((before.wrapping_add(1) as usize, end as usize))
    }
}

#[inline(always)]
fn bounds(ends: &[u32], row: Row, field: usize) -> (usize, usize) {
    let end = row.first as usize + field;
    let pair = &ends[end - 1..=end];
    // The sentinel before the first delimiter is u32::MAX, so that the first field starts at 0.
    (pair[0].wrapping_add(1) as usize, pair[1] as usize)
}

impl<'a> Block<'a> {
    /// The records, in the order of their lines.
    #[inline]
    pub fn rows(&self) -> &[Row] {
        self.rows
    }

    /// The numbers of the lines of the rows `range` in their object, from 1.
    pub fn lines(&self, range: Range<usize>) -> impl Iterator<Item = u64> {
        self.rows[range].iter().map(|row| self.first_line + u64::from(row.line))
    }

    /// The text that [`Self::bounds`] refer to; valid UTF-8 in every row.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The log format of these lines.
    pub fn format(&self) -> &Arc<LogFormat> {
        self.format
    }

    /// Takes all rows out of the block and adds them to `rejects`, for one reason.
    pub fn reject_rows(&mut self, reason: RejectReason, detail: &str, rejects: &mut Vec<Reject>) {
        rejects.extend(self.rows.iter().map(|row| self.reject_row(*row, reason, detail.to_owned())));
        self.rows.clear();
    }

    /// A row as a reject, of no field. Its raw line is the whole line, unless that has other rows, which are no rejects by that.
    pub(crate) fn reject_row(&self, row: Row, reason: RejectReason, detail: String) -> Reject {
        let line = row.line as usize;
        let (start, end) = (self.line_starts[line] as usize, self.line_starts[line + 1] as usize);
        let of_line = self.rows.partition_point(|r| r.line < row.line);
        let is_alone = self.rows.get(of_line + 1).is_none_or(|r| r.line > row.line);
        let raw = if is_alone {
            let raw = &self.original[start..end];
            raw_line(raw.strip_suffix(b"\n").unwrap_or(raw), self.are_rows)
        } else {
            let last = self.format.fields().len() - 1;
            self.text[self.bounds(row, 0).0..self.bounds(row, last).1].to_owned()
        };
        Reject {
            line: self.first_line + u64::from(row.line),
            offset: self.offset + start as u64,
            reason,
            field: None,
            detail,
            raw,
        }
    }

    /// Start and end of a field in [`Self::text`].
    #[inline]
    pub fn bounds(&self, row: Row, field: usize) -> (usize, usize) {
        bounds(self.ends, row, field)
    }

    /// The values of `field` in the rows `range`.
    #[inline]
    pub fn column(&self, field: usize, range: Range<usize>) -> FieldColumn<'_> {
        FieldColumn {
            text: self.text,
            ends: self.ends,
            rows: &self.rows[range],
            field,
            even_width: self.is_even.then(|| self.format.fields().len()),
            backend: self.backend,
        }
    }

    /// The values of the fields `first` to `last` in the rows `range`, each row's as one.
    #[inline]
    pub fn span(&self, first: usize, last: usize, range: Range<usize>) -> FieldSpan<'_> {
        FieldSpan { text: self.text, ends: self.ends, rows: &self.rows[range], first, last }
    }

    /// The bytes of a field.
    #[inline]
    pub fn field(&self, row: Row, field: usize) -> &'a [u8] {
        let (start, end) = self.bounds(row, field);
        &self.text[start..end]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Hands a column of `fields` to `check`, on every backend: once each field followed by others in its line, once
    /// behind one, and once with nothing behind the last one, so that loads meet the text's end.
    #[track_caller]
    pub(crate) fn with_column(fields: &[&str], mut check: impl FnMut(FieldColumn<'_>)) {
        for (before, behind) in [("", " 123 - eni-0123456789abcdef\n"), ("9 2 ", "\n"), ("", "\n")] {
            let text: String = fields.iter().map(|f| format!("{before}{f}{behind}")).collect();
            for text in [text.as_bytes(), &text.as_bytes()[..text.len() - 1]] {
                let mut ends = vec![u32::MAX];
                ends.extend((0..text.len()).filter(|i| matches!(text[*i], b' ' | b'\n')).map(|i| i as u32));
                ends.push(text.len() as u32);
                let (field, width) =
                    (before.matches(' ').count(), format!("{before}{behind}").matches([' ', '\n']).count());
                let rows: Vec<Row> = (0..fields.len())
                    .map(|r| Row { first: (r * width) as u32 + 1, line: r as u32 })
                    .collect();
                for backend in Backend::available() {
                    for even_width in [None, Some(width)] {
                        let column =
                            FieldColumn { text, ends: &ends, rows: &rows, field, even_width, backend };
                        let even = column.even_bounds().map(|b| b.collect::<Vec<_>>());
                        assert!(even.is_none_or(|e| e == column.bounds().collect::<Vec<_>>()));
                        check(column);
                    }
                }
            }
        }
    }
}
