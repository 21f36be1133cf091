//! Pages of a column to its values: the encodings that files of ours have, of all versions.

use std::hash::{BuildHasher as _, RandomState};

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use bytes::Bytes;
use hashbrown::HashTable;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};

use super::Fault;
use super::dictionary::Run;
use super::hybrid::{self, CUT_SHORT};
use crate::integer::Integer;

/// The key of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;

/// Which rows have a value: all, until one has none.
#[derive(Default)]
pub(super) struct Validity {
    rows: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    fn append(&mut self, rows: usize, levels: Option<&[u32]>) {
        match (levels, &mut self.bits) {
            (None, None) => {}
            (None, Some(bits)) => bits.append_n(rows, true),
            (Some(levels), bits) => {
                let bits = bits.get_or_insert_with(|| {
                    let mut bits = BooleanBufferBuilder::new(self.rows + rows);
                    bits.append_n(self.rows, true);
                    bits
                });
                levels.iter().for_each(|level| bits.append(*level == 1));
            }
        }
        self.rows += rows;
    }

    pub(super) fn append_nulls(&mut self, rows: usize) {
        self.append(rows, Some(&vec![0; rows]));
    }

    pub(super) fn finish(self) -> Option<NullBuffer> {
        self.bits.map(|mut bits| NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0)
    }
}

/// A data page.
struct Body {
    rows: usize,
    /// Rows that have a value.
    present: usize,
    /// 1 for each row that has a value, else 0; `None` where all have one.
    levels: Option<Vec<u32>>,
    encoding: Encoding,
    values: Bytes,
}

/// A page as it is taken: the values of a dictionary, or rows.
enum Part {
    Dictionary { values: Bytes, count: usize },
    Rows(Body),
}

/// Hands the parts of a column chunk of `rows` rows to `each`; rows are optional where `max_level` is 1.
fn each_part(
    pages: &mut dyn PageReader,
    rows: usize,
    max_level: i16,
    each: &mut dyn FnMut(Part) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut found = 0;
    // A dictionary may come before no rows.
    while let Some(page) =
        pages.get_next_page().map_err(|e| Fault::Damaged(format!("expected whole pages, found {e}")))?
    {
        match page {
            Page::DictionaryPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN | Encoding::PLAIN_DICTIONARY,
                ..
            } => {
                each(Part::Dictionary { values: buf, count: num_values as usize })?;
            }
            Page::DataPage { buf, num_values, encoding, .. } => {
                // Before there is memory for them.
                if num_values as usize > rows - found {
                    return Err(Fault::Damaged(format!("expected {rows} rows of a column, found more")));
                }
                let body = body(buf, num_values as usize, encoding, max_level)?;
                found += body.rows;
                each(Part::Rows(body))?;
            }
            other => {
                return Err(Fault::Damaged(format!(
                    "expected pages as flowquet writes them, found a {:?}",
                    other.page_type()
                )));
            }
        }
    }
    if found != rows {
        return Err(Fault::Damaged(format!("expected {rows} rows of a column, found {found}")));
    }
    Ok(())
}

/// Takes the levels off a page.
fn body(page: Bytes, rows: usize, encoding: Encoding, max_level: i16) -> Result<Body, Fault> {
    if max_level == 0 {
        return Ok(Body { rows, present: rows, levels: None, encoding, values: page });
    }
    let (len, rest) = page.split_first_chunk::<4>().ok_or(CUT_SHORT)?;
    let len = u32::from_le_bytes(*len) as usize;
    let packed = rest.get(..len).ok_or(CUT_SHORT)?;
    let values = page.slice(4 + len..);
    // One run of ones, mostly.
    let mut start = packed;
    if hybrid::varint(&mut start)? == (rows as u64) << 1 && start.first() == Some(&1) {
        return Ok(Body { rows, present: rows, levels: None, encoding, values });
    }
    let mut levels = Vec::with_capacity(rows);
    hybrid::decode(packed, 1, rows, &mut levels)?;
    let present = levels.iter().filter(|level| **level == 1).count();
    let levels = (present < rows).then_some(levels);
    Ok(Body { rows, present, levels, encoding, values })
}

/// Keys of a page into a dictionary of `len` values.
fn keys(values: &[u8], count: usize, len: usize, out: &mut Vec<u32>) -> Result<(), Fault> {
    out.clear();
    if count == 0 {
        return Ok(());
    }
    let (width, packed) = values.split_first().ok_or(CUT_SHORT)?;
    hybrid::decode(packed, u32::from(*width), count, out)?;
    let most = out.iter().fold(0, |most, key| most.max(*key));
    if most as usize >= len {
        return Err(Fault::Damaged(format!("expected keys of {len} values, found {most}")));
    }
    Ok(())
}

/// Appends `values` where `levels` has them, and `none` elsewhere.
fn spread<T: Copy>(values: &[T], levels: Option<&[u32]>, none: T, out: &mut Vec<T>) {
    let Some(levels) = levels else { return out.extend_from_slice(values) };
    let mut next = 0;
    out.extend(levels.iter().map(|level| {
        let value = values.get(next).copied().unwrap_or(none);
        next += *level as usize;
        if *level == 1 { value } else { none }
    }));
}

/// Appends the rows of an integer column's chunk, zeros for nulls.
pub(super) fn integers<T: Integer>(
    pages: &mut dyn PageReader,
    rows: usize,
    max_level: i16,
    out: &mut Vec<T>,
    validity: &mut Validity,
) -> Result<(), Fault> {
    let plain = |bytes: &[u8], count: usize, out: &mut Vec<T>| -> Result<(), Fault> {
        let bytes = bytes.get(..count * T::BYTES).ok_or(CUT_SHORT)?;
        out.extend(bytes.chunks_exact(T::BYTES).map(T::from_plain));
        Ok(())
    };
    let mut dictionary: Vec<T> = Vec::new();
    let (mut page_keys, mut wide, mut values) = (Vec::new(), Vec::new(), Vec::new());
    each_part(pages, rows, max_level, &mut |part| {
        let body = match part {
            Part::Dictionary { values, count } => return plain(&values, count, &mut dictionary),
            Part::Rows(body) => body,
        };
        values.clear();
        match body.encoding {
            _ if body.present == 0 => {}
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                keys(&body.values, body.present, dictionary.len(), &mut page_keys)?;
                values.extend(page_keys.iter().map(|key| dictionary[*key as usize]));
            }
            Encoding::PLAIN => plain(&body.values, body.present, &mut values)?,
            Encoding::DELTA_BINARY_PACKED => {
                wide.clear();
                hybrid::decode_deltas(&body.values, 8 * T::BYTES as u32, body.present, &mut wide)?;
                values.extend(wide.iter().map(|value| T::narrowed(*value)));
            }
            other => return Err(Fault::encoding(other)),
        }
        spread(&values, body.levels.as_deref(), T::default(), out);
        validity.append(body.rows, body.levels.as_deref());
        Ok(())
    })
}

/// Appends the keys of a text column's chunk, [`NULL`] for null, and returns the values that they are keys of. These may be
/// `bytes_max` bytes.
pub(super) fn text(
    pages: &mut dyn PageReader,
    rows: usize,
    max_level: i16,
    bytes_max: usize,
    out: &mut Vec<u32>,
) -> Result<Run, Fault> {
    let mut dictionary = Run::default();
    let mut plain: Option<PlainValues> = None;
    let mut values = Vec::new();
    each_part(pages, rows, max_level, &mut |part| {
        let body = match part {
            Part::Dictionary { values, count } => {
                let mut places = Vec::with_capacity(count.min(values.len()));
                each_plain(&values, count, |start, len| {
                    places.push((start, len));
                    Ok(())
                })?;
                dictionary = Run::new(values, places);
                return Ok(());
            }
            Part::Rows(body) => body,
        };
        values.clear();
        match body.encoding {
            _ if body.present == 0 => {}
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if plain.is_none() => {
                keys(&body.values, body.present, dictionary.len(), &mut values)?;
            }
            Encoding::PLAIN if dictionary.len() == 0 => {
                let plain = plain.get_or_insert_default();
                each_plain(&body.values, body.present, |start, len| {
                    values.push(plain.key_of(&body.values[start as usize..][..len as usize]));
                    if plain.bytes.len() > bytes_max { Err(Fault::Distinct) } else { Ok(()) }
                })?;
            }
            // Here a chunk has a dictionary for all of its pages or for none.
            other => return Err(Fault::encoding(other)),
        }
        spread(&values, body.levels.as_deref(), NULL, out);
        Ok(())
    })?;
    Ok(match plain {
        Some(plain) => Run::new(plain.bytes.into(), plain.places),
        None => dictionary,
    })
}

/// Gives where each of `count` values behind its length begins, and how long it is.
fn each_plain(
    bytes: &[u8],
    count: usize,
    mut each: impl FnMut(u32, u32) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut at = 0;
    for _ in 0..count {
        let len = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(CUT_SHORT)?;
        let len = u32::from_le_bytes(*len);
        at += 4;
        bytes.get(at..).and_then(|rest| rest.get(..len as usize)).ok_or(CUT_SHORT)?;
        each(u32::try_from(at).map_err(|_| CUT_SHORT)?, len)?;
        at += len as usize;
    }
    Ok(())
}

/// Distinct values of pages without a dictionary, which are many, or long.
#[derive(Default)]
struct PlainValues {
    bytes: Vec<u8>,
    places: Vec<(u32, u32)>,
    /// Keys by their values.
    table: HashTable<u32>,
    hasher: RandomState,
}

impl PlainValues {
    fn key_of(&mut self, value: &[u8]) -> u32 {
        let Self { bytes, places, table, hasher } = self;
        let hash = hasher.hash_one(value);
        let of = |key: u32| {
            let (start, len) = places[key as usize];
            &bytes[start as usize..][..len as usize]
        };
        if let Some(key) = table.find(hash, |key| of(*key) == value) {
            return *key;
        }
        let key = places.len() as u32;
        table.insert_unique(hash, key, |key| hasher.hash_one(of(*key)));
        places.push((bytes.len() as u32, value.len() as u32));
        bytes.extend_from_slice(value);
        key
    }
}
