//! Integer columns: a sorted dictionary where values lie close together, differences or plain values elsewhere.

use arrow_buffer::NullBuffer;
use parquet::basic::{BoundaryOrder, Encoding};

use crate::chunk::{Chunk, ChunkWriter, PageSummary, boundary_order};
use crate::integer::Integer;
use crate::integer_dictionary::Dictionary;
use crate::order::{Bits, RowOrder, gathered};
use crate::pages::{PageRows, pages, present};
use crate::scratch::Scratch;
use crate::{Error, delta};

/// How the values of a column are encoded.
enum Plan {
    /// By their keys in a sorted dictionary.
    Dictionary(Dictionary),
    /// As differences.
    Delta,
    Plain,
}

/// Encodes a column of integers, its rows in `order` if there is one. Values are mostly multiples of `step`.
pub(crate) fn encode_ordered<T: Integer + Bits>(
    values: &[T],
    validity: Option<&NullBuffer>,
    order: Option<&RowOrder<'_>>,
    step: i64,
    writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    let Some(order) = order else { return encode(values, validity, step, writer, scratch) };
    let mut ordered = std::mem::take(T::ordered(scratch));
    let validity = gathered(values, validity, order, &mut scratch.narrow, &mut ordered);
    let chunk = encode(&ordered, validity.as_ref(), step, writer, scratch);
    *T::ordered(scratch) = ordered;
    chunk
}

/// Encodes a column of integers.
fn encode<T: Integer>(
    values: &[T],
    validity: Option<&NullBuffer>,
    step: i64,
    mut writer: ChunkWriter<'_>,
    scratch: &mut Scratch,
) -> Result<Chunk, Error> {
    // Values alone, so that no loop below asks again which are null.
    let mut compact = std::mem::take(T::present(scratch));
    let present = present(values, validity, &mut compact);
    let bounds = bounds(present);
    let page_rows = writer.page_rows();
    let mut dictionary = None;
    if let Some((min, max)) = bounds {
        dictionary = Dictionary::of(present, min.widened(), max.widened(), step, &mut scratch.table);
    }
    let sample = if dictionary.as_ref().is_some_and(|d| !d.has_apart()) {
        Vec::new()
    } else {
        sample(present, page_rows)
    };
    if let Some(found) = dictionary.take_if(|dictionary| dictionary.has_apart())
        && found.pays(&sample, present.len(), &scratch.table, &mut writer)?
    {
        dictionary = Some(found);
    }
    match &dictionary {
        Some(dictionary) => {
            let values: Vec<T> = dictionary.values.iter().map(|v| T::narrowed(*v)).collect();
            writer.filter(values.len(), values.iter());
        }
        None => writer.filter(present.len(), present.iter()),
    }
    let plan = match dictionary {
        Some(dictionary) => {
            let mut plain = Vec::with_capacity(dictionary.values.len() * T::BYTES);
            for value in &dictionary.values {
                T::narrowed(*value).push_plain(&mut plain);
            }
            writer.dictionary(plain, dictionary.values.len(), true);
            Plan::Dictionary(dictionary)
        }
        None if delta_pays(&sample, &mut writer)? => Plan::Delta,
        None => Plan::Plain,
    };
    let mut page_bounds = Vec::new();
    for PageRows { rows, validity, present: range } in pages(values.len(), page_rows, validity) {
        let page = &present[range];
        let body = writer.begin_page(rows, validity.as_ref());
        let (encoding, of_page) = match &plan {
            _ if page.is_empty() => (Encoding::PLAIN, None),
            Plan::Dictionary(dictionary) => {
                let keys = &mut scratch.keys;
                dictionary.keys(page, &scratch.table, keys);
                // The dictionary is sorted: the smallest key is that of the smallest value.
                let (least, most) = key_bounds(keys);
                writer.push_keys(keys, most)?;
                let value = |key: u32| T::narrowed(dictionary.values[key as usize]);
                (Encoding::RLE_DICTIONARY, Some((value(least), value(most))))
            }
            Plan::Delta => {
                delta::encode(page.iter().map(|v| v.widened()), T::BYTES, body);
                (Encoding::DELTA_BINARY_PACKED, self::bounds(page))
            }
            Plan::Plain => {
                page.iter().for_each(|v| v.push_plain(body));
                (Encoding::PLAIN, self::bounds(page))
            }
        };
        page_bounds.extend(of_page);
        let plain = |value: T| {
            let mut bytes = Vec::with_capacity(T::BYTES);
            value.push_plain(&mut bytes);
            bytes
        };
        let bounds = of_page.map(|(min, max)| (plain(min), plain(max)));
        writer.end_page(PageSummary { rows, nulls: rows - page.len(), encoding, bounds })?;
    }
    let order = if page_bounds.is_empty() { BoundaryOrder::UNORDERED } else { boundary_order(&page_bounds) };
    let nulls = values.len() - present.len();
    *T::present(scratch) = compact;
    writer.finish(T::statistics(bounds, nulls as u64), order)
}

/// Smallest and largest of some keys.
pub(crate) fn key_bounds(keys: &[u32]) -> (u32, u32) {
    keys.iter().fold((u32::MAX, 0), |(min, max), k| (min.min(*k), max.max(*k)))
}

/// About a page of values from all over a column: where rows are sorted, its first page is like no other.
fn sample<T: Integer>(values: &[T], page_rows: usize) -> Vec<T> {
    const PLACES: usize = 8;
    if values.len() <= page_rows {
        return values.to_vec();
    }
    let run = (page_rows / PLACES).max(1);
    let starts = (0..PLACES).map(|i| (values.len() - run) * i / (PLACES - 1));
    starts.flat_map(|start| values[start..start + run].iter().copied()).collect()
}

/// Whether differences are smaller than plain values, both compressed, in a column of which `page` is a sample.
fn delta_pays<T: Integer>(page: &[T], writer: &mut ChunkWriter<'_>) -> Result<bool, Error> {
    if page.is_empty() {
        return Ok(false);
    }
    let (mut delta, mut plain) = (Vec::new(), Vec::new());
    delta::encode(page.iter().map(|v| v.widened()), T::BYTES, &mut delta);
    page.iter().for_each(|v| v.push_plain(&mut plain));
    let plain = writer.compressed_len(&plain)?;
    // Differences hardly compress, which saves the time that plain values cost there: worth a few bytes.
    Ok(delta.len() <= plain + plain / 16 || writer.compressed_len(&delta)? < plain)
}

fn bounds<T: Integer>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    Some(values.iter().fold((first, first), |(min, max), v| (min.min(*v), max.max(*v))))
}
