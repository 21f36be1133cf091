//! Where the pages of a column begin and end, and which of its values are there.

use std::ops::Range;

use arrow_buffer::NullBuffer;

/// Rows of one page.
pub(crate) struct PageRows {
    pub(crate) rows: usize,
    /// Which of them are not null; `None` where all are.
    pub(crate) validity: Option<NullBuffer>,
    /// Their values among those of the column that are not null.
    pub(crate) present: Range<usize>,
}

/// Cuts a column of `len` rows into pages of `page_rows`.
pub(crate) fn pages(
    len: usize,
    page_rows: usize,
    validity: Option<&NullBuffer>,
) -> impl Iterator<Item = PageRows> {
    let mut taken = 0;
    (0..len).step_by(page_rows).map(move |start| {
        let page = page(start, page_rows.min(len - start), validity, taken);
        taken = page.present.end;
        page
    })
}

/// The page of `rows` rows from `start` on, before which `taken` values are not null.
pub(crate) fn page(start: usize, rows: usize, validity: Option<&NullBuffer>, taken: usize) -> PageRows {
    let validity = validity.map(|v| v.slice(start, rows));
    let count = rows - validity.as_ref().map_or(0, NullBuffer::null_count);
    PageRows { rows, validity, present: taken..taken + count }
}

/// The values that are not null, in `scratch` where some are.
pub(crate) fn present<'a, T: Copy>(
    values: &'a [T],
    validity: Option<&NullBuffer>,
    scratch: &'a mut Vec<T>,
) -> &'a [T] {
    let Some(validity) = validity.filter(|v| v.null_count() > 0) else { return values };
    scratch.clear();
    let words = validity.inner().bit_chunks();
    for (word, values) in words.iter_padded().zip(values.chunks(64)) {
        if word == u64::MAX {
            scratch.extend_from_slice(values);
            continue;
        }
        let mut left = word;
        while left != 0 {
            scratch.push(values[left.trailing_zeros() as usize]);
            left &= left - 1;
        }
    }
    scratch
}
