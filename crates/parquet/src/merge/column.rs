//! One column of all rows that are merged.

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use flowquet_format::{ADDRESS_BYTES, ColumnType, address_bytes};

use super::decode::NULL;
use crate::Error;
use crate::chunk::Chunk;
use crate::encoder::{EncodedColumn, Encoder, MS_PER_S};
use crate::order::RowOrder;
use crate::schema::FileSchema;
use crate::sort::SortKeys;
use crate::text::{Dictionary, Values};
use crate::{integers, text};

/// A column of all rows, as they came.
pub struct Column {
    pub(crate) data: Data,
    column_type: ColumnType,
}

pub(crate) enum Data {
    Int32(Vec<i32>, Option<NullBuffer>),
    Int64(Vec<i64>, Option<NullBuffer>),
    /// Keys count sorted values, so that they compare as those do; [`NULL`] for null.
    Text {
        keys: Vec<u32>,
        dictionary: Dictionary,
    },
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Column").field("type", &self.column_type).finish()
    }
}

impl Column {
    pub(super) fn new(data: Data, column_type: ColumnType) -> Self {
        Self { data, column_type }
    }

    /// A column of numbers, of a type of numbers or times.
    pub fn of_numbers(values: &[Option<i64>], column_type: ColumnType) -> Self {
        let nulls = values.iter().map(Option::is_some).collect::<Vec<bool>>();
        let nulls = Some(NullBuffer::from(nulls)).filter(|nulls| nulls.null_count() > 0);
        let number = |value: &Option<i64>| value.unwrap_or_default();
        let data = match column_type {
            ColumnType::Int32 => Data::Int32(values.iter().map(|v| number(v) as i32).collect(), nulls),
            _ => Data::Int64(values.iter().map(number).collect(), nulls),
        };
        Self { data, column_type }
    }

    /// A column of text; none where the distinct values are more than 2 GiB.
    pub fn of_texts(values: &[Option<&[u8]>]) -> Option<Self> {
        let mut distinct: Vec<&[u8]> = values.iter().flatten().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut dictionary = Dictionary { offsets: vec![0], ..Dictionary::default() };
        for value in &distinct {
            dictionary.bytes.extend_from_slice(value);
            dictionary.offsets.push(i32::try_from(dictionary.bytes.len()).ok()?);
        }
        let key = |value: &Option<&[u8]>| match value {
            Some(value) => distinct.binary_search(value).map_or(NULL, |key| key as u32),
            None => NULL,
        };
        let keys = values.iter().map(key).collect();
        Some(Self { data: Data::Text { keys, dictionary }, column_type: ColumnType::String })
    }

    /// The twin of a text column: null where a value is no address.
    ///
    /// # Panics
    /// Of a column of integers.
    pub fn twin(&self) -> Self {
        let Data::Text { keys, dictionary } = &self.data else { panic!("only text has twins") };
        let mut addresses = Vec::with_capacity(dictionary.len());
        for (key, place) in dictionary.offsets.windows(2).enumerate() {
            let value = &dictionary.bytes[place[0] as usize..place[1] as usize];
            let address = std::str::from_utf8(value).ok().and_then(address_bytes);
            addresses.extend(address.map(|address| (address, key)));
        }
        addresses.sort_unstable();
        let (mut bytes, mut new_keys) = (Vec::new(), vec![NULL; dictionary.len()]);
        let mut count = 0;
        for (at, (address, key)) in addresses.iter().enumerate() {
            if at == 0 || addresses[at - 1].0 != *address {
                bytes.extend_from_slice(address);
                count += 1;
            }
            new_keys[*key] = count - 1;
        }
        let keys = keys.iter().map(|key| new_keys.get(*key as usize).copied().unwrap_or(NULL)).collect();
        let dictionary = Dictionary { bytes, offsets: Vec::new(), width: Some(ADDRESS_BYTES) };
        Self { data: Data::Text { keys, dictionary }, column_type: ColumnType::Address }
    }

    /// The smallest and the largest of an integer column's values from `first` to before `end`, in these rows.
    pub fn bounds_within(
        &self,
        rows: impl Iterator<Item = usize>,
        first: i64,
        end: i64,
    ) -> Option<(i64, i64)> {
        let Data::Int64(values, nulls) = &self.data else { return None };
        let is_valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let values = rows.filter(|row| is_valid(*row)).map(|row| values[row]);
        values.filter(|value| (first..end).contains(value)).fold(None, |bounds, value| {
            Some(bounds.map_or((value, value), |(min, max): (i64, i64)| (min.min(value), max.max(value))))
        })
    }

    /// What rows are compared by in this column.
    pub(super) fn sort_keys(&self) -> SortKeys {
        match &self.data {
            Data::Int32(values, nulls) => SortKeys::of_integers(values, nulls.as_ref()),
            Data::Int64(values, nulls) => SortKeys::of_integers(values, nulls.as_ref()),
            // Null is the largest key, and becomes 0.
            Data::Text { keys, .. } => SortKeys::of(keys.iter(), None, |key| u64::from(key.wrapping_add(1))),
        }
    }

    /// Encodes the rows of these numbers as column `i` of a row group of `schema`.
    ///
    /// # Errors
    /// If a compressor fails.
    pub fn encode(
        &self,
        i: usize,
        rows: &[u32],
        schema: &FileSchema,
        encoder: &mut Encoder,
    ) -> Result<EncodedColumn, Error> {
        let step = if self.column_type == ColumnType::TimestampMs { MS_PER_S } else { 1 };
        let order = RowOrder::part(rows);
        let encode =
            |writer: crate::chunk::ChunkWriter<'_>, scratch: &mut crate::scratch::Scratch| match &self.data {
                Data::Int32(values, nulls) => {
                    integers::encode_ordered(values, nulls.as_ref(), Some(&order), step, writer, scratch)
                }
                Data::Int64(values, nulls) => {
                    integers::encode_ordered(values, nulls.as_ref(), Some(&order), step, writer, scratch)
                }
                Data::Text { keys, dictionary } => {
                    let mut ordered = std::mem::take(&mut scratch.ordered_keys);
                    let validity = gathered(keys, rows, &mut ordered);
                    let values = Values::used(dictionary, &ordered);
                    let chunk = text::encode(&ordered, validity.as_ref(), &values, writer, scratch);
                    scratch.ordered_keys = ordered;
                    chunk
                }
            };
        let chunk: Chunk = encoder.chunk(schema, i, rows.len(), encode)?;
        Ok(EncodedColumn(chunk))
    }
}

/// The keys of `rows`, in `out`, and which of them are not null.
///
/// This is a hot loop: what it reads lies all over the column, so it does nothing else that would have to wait.
fn gathered(keys: &[u32], rows: &[u32], out: &mut Vec<u32>) -> Option<NullBuffer> {
    out.clear();
    out.extend(rows.iter().map(|row| keys[*row as usize]));
    if out.iter().fold(0, |most, key| most.max(*key)) != NULL {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(out.len());
    out.iter().for_each(|key| bits.append(*key != NULL));
    Some(NullBuffer::new(bits.finish()))
}
