//! Many rows in order, as batches worth a row group each.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::file::FileSchema;
use crate::sort::{gathered, order};
use crate::text::Values;

/// Rows of a batch in the order of a schema. The batch may hold many times as many rows as a row group.
#[derive(Debug)]
pub struct Sorted<'a> {
    batch: &'a RecordBatch,
    order: Vec<u32>,
}

impl<'a> Sorted<'a> {
    /// Sorts the rows of `batch` by the columns that `schema` names; as they came where it names none.
    pub fn new(batch: &'a RecordBatch, schema: &FileSchema) -> Self {
        let sort = schema.sort();
        let is_sorted_by = |i: usize| sort.contains(&i);
        let texts = batch.columns().iter().enumerate().map(|(i, array)| {
            let text = array.as_dictionary_opt::<UInt32Type>().filter(|_| is_sorted_by(i));
            text.map(|a| Values::new(a.values()))
        });
        let texts: Vec<Option<Values<'_>>> = texts.collect();
        Self { batch, order: order(batch, &sort, &texts) }
    }

    /// The places of at most `rows_max` rows each that make row groups of even size.
    pub fn row_groups(&self, rows_max: usize) -> Vec<Range<usize>> {
        let rows = self.order.len();
        let groups = rows.div_ceil(rows_max.max(1));
        (0..groups).map(|g| rows * g / groups..rows * (g + 1) / groups).collect()
    }

    /// The rows at these places, with dictionaries of what they hold.
    pub fn rows(&self, places: Range<usize>) -> RecordBatch {
        let order = &self.order[places];
        let arrays: Vec<ArrayRef> = self.batch.columns().iter().map(|array| taken(array, order)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(order.len()));
        RecordBatch::try_new_with_options(self.batch.schema(), arrays, &options).expect("of the same schema")
    }
}

fn taken(array: &ArrayRef, order: &[u32]) -> ArrayRef {
    match array.data_type() {
        DataType::Int32 => {
            let array = array.as_primitive::<Int32Type>();
            let mut values = Vec::with_capacity(order.len());
            let nulls = gathered(array.values(), array.nulls(), order, &mut values);
            Arc::new(Int32Array::new(values.into(), nulls))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            let mut values = Vec::with_capacity(order.len());
            let nulls = gathered(array.values(), array.nulls(), order, &mut values);
            Arc::new(Int64Array::new(values.into(), nulls))
        }
        DataType::Timestamp(_, _) => {
            let array = array.as_primitive::<TimestampMillisecondType>();
            let mut values = Vec::with_capacity(order.len());
            let nulls = gathered(array.values(), array.nulls(), order, &mut values);
            let times = TimestampMillisecondArray::new(values.into(), nulls);
            Arc::new(times.with_data_type(array.data_type().clone()))
        }
        _ => taken_of_dictionary(array.as_dictionary::<UInt32Type>(), order),
    }
}

/// Rows of a dictionary column, with only the values that they have.
fn taken_of_dictionary(array: &DictionaryArray<UInt32Type>, order: &[u32]) -> ArrayRef {
    const UNUSED: u32 = u32::MAX;
    let mut keys = Vec::with_capacity(order.len());
    let nulls = gathered(array.keys().values(), array.nulls(), order, &mut keys);
    let mut new_keys = vec![UNUSED; array.values().len()];
    let mut used = Vec::new();
    for (row, key) in keys.iter_mut().enumerate() {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            *key = 0;
            continue;
        }
        let new = &mut new_keys[*key as usize];
        if *new == UNUSED {
            *new = used.len() as u32;
            used.push(*key);
        }
        *key = *new;
    }
    let mut bytes = Vec::new();
    let values: ArrayRef = match array.values().data_type() {
        DataType::FixedSizeBinary(width) => {
            let values = array.values().as_fixed_size_binary();
            used.iter().for_each(|key| bytes.extend_from_slice(values.value(*key as usize)));
            Arc::new(FixedSizeBinaryArray::new(*width, Buffer::from_vec(bytes), None))
        }
        _ => {
            let values = array.values().as_string::<i32>();
            let mut offsets = vec![0];
            for key in &used {
                bytes.extend_from_slice(values.value(*key as usize).as_bytes());
                offsets.push(i32::try_from(bytes.len()).expect("no more than the whole dictionary"));
            }
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            Arc::new(StringArray::new(offsets, Buffer::from_vec(bytes), None))
        }
    };
    let keys = UInt32Array::new(keys.into(), nulls);
    Arc::new(DictionaryArray::try_new(keys, values).expect("keys count the values"))
}
