//! Growing columns of one log format: the rows of a row group before it is encoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use flowquet_format::{ADDRESS_BYTES, ColumnType, FormatColumn, time_ms};
use flowquet_parse::{Block, IntegerColumns};

use crate::addresses::{AddressColumns, COLUMNS_MAX};
use crate::dictionary::DictionaryBuilder;
use crate::growing::Growing;
use crate::schema::BatchSchema;
use crate::twins::twin;

enum Builder {
    /// One of the address columns, which grow together.
    Address(usize),
    Int32(Growing<i32>),
    Int64(Growing<i64>),
    Text(DictionaryBuilder),
    TimestampMs(Growing<i64>),
    /// The twin of another column, made of it when the rows are handed out.
    Twin(usize),
}

/// Rows of one schema, column by column.
pub struct Columns {
    schema: Arc<BatchSchema>,
    builders: Vec<Builder>,
    addresses: AddressColumns,
    rows: usize,
    /// Scratch of a block.
    flags: Vec<u8>,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("rows", &self.rows).field("bytes", &self.bytes()).finish()
    }
}

impl Columns {
    /// No rows yet.
    pub fn new(schema: Arc<BatchSchema>) -> Self {
        let columns = schema.columns().iter();
        let addresses = columns.filter(|c| c.column_type == ColumnType::String).map(|c| c.field);
        let is_address = |field: &usize| schema.format().fields()[*field].is_address();
        let is_decoded =
            |field: usize| schema.format().fields()[field].spec().is_some_and(|spec| spec.decode);
        let addresses: Vec<usize> = addresses.filter(is_address).take(COLUMNS_MAX).collect();
        let builder = |c: &FormatColumn| match c.column_type {
            ColumnType::Address => {
                let of = schema.columns().iter().position(|text| text.field == c.field);
                Builder::Twin(of.expect("a twin stands behind its address"))
            }
            ColumnType::Int32 => Builder::Int32(Growing::default()),
            ColumnType::Int64 => Builder::Int64(Growing::default()),
            ColumnType::String => match addresses.iter().position(|f| *f == c.field) {
                Some(i) => Builder::Address(i),
                None if is_decoded(c.field) => Builder::Text(DictionaryBuilder::decoding()),
                None => Builder::Text(DictionaryBuilder::default()),
            },
            ColumnType::TimestampMs => Builder::TimestampMs(Growing::default()),
        };
        let builders = schema.columns().iter().map(builder).collect();
        let addresses = AddressColumns::new(addresses.into_iter());
        Self { schema, builders, addresses, rows: 0, flags: Vec::new() }
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &Arc<BatchSchema> {
        &self.schema
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the columns hold; depends on the values alone, so that decisions based on it are repeatable.
    pub fn bytes(&self) -> usize {
        let of = |b: &Builder| match b {
            Builder::Address(_) => 0,
            Builder::Int32(values) => values.bytes(),
            Builder::Int64(values) => values.bytes(),
            Builder::Text(text) => text.bytes(),
            Builder::TimestampMs(values) => values.bytes(),
            // Its keys are those of the address.
            Builder::Twin(_) => self.addresses.values() * ADDRESS_BYTES,
        };
        self.addresses.bytes() + self.builders.iter().map(of).sum::<usize>()
    }

    /// Appends rows `range` of `block`, whose integers `integers` holds, a column at a time.
    ///
    /// This is the hot loop of the conversion: nothing in it allocates per record, and the type of a column is looked at
    /// once a block.
    ///
    /// # Panics
    /// If `integers` lacks an integer column of the schema: both are made from the same log format.
    pub fn append(&mut self, block: &Block<'_>, integers: &IntegerColumns, range: Range<usize>) {
        self.addresses.append(block, range.clone());
        for (builder, column) in self.builders.iter_mut().zip(self.schema.columns()) {
            match builder {
                Builder::Address(_) => {}
                Builder::Int32(values) => {
                    let parsed = &integers_of(integers, column.field)[range.clone()];
                    // Parsed values are at most `i32::MAX`, or the negative null.
                    values.extend(parsed.iter().map(|v| *v as i32), has_nulls(parsed));
                }
                Builder::Int64(values) => {
                    let parsed = &integers_of(integers, column.field)[range.clone()];
                    values.extend(parsed.iter().copied(), has_nulls(parsed));
                }
                Builder::Text(text) => {
                    text.append(block.column(column.field, range.clone()), &mut self.flags);
                }
                Builder::TimestampMs(values) => {
                    let parsed = &integers_of(integers, column.field)[range.clone()];
                    // The negative null stays negative, which is null here too.
                    values.extend(parsed.iter().map(|v| time_ms(*v).max(-1)), has_nulls(parsed));
                }
                Builder::Twin(_) => {}
            }
        }
        self.rows += range.len();
    }

    /// Appends all rows of a batch that another [`Columns`] of the same schema made.
    pub fn append_batch(&mut self, batch: &RecordBatch) {
        for (builder, array) in self.builders.iter_mut().zip(batch.columns()) {
            match builder {
                Builder::Address(i) => self.addresses.append_array(*i, array),
                Builder::Int32(values) => {
                    let array = array.as_primitive::<Int32Type>();
                    values.extend_from_array(array.values(), array.nulls());
                }
                Builder::Int64(values) => {
                    let array = array.as_primitive::<Int64Type>();
                    values.extend_from_array(array.values(), array.nulls());
                }
                Builder::Text(text) => text.append_array(array),
                Builder::TimestampMs(values) => {
                    let array = array.as_primitive::<TimestampMillisecondType>();
                    values.extend_from_array(array.values(), array.nulls());
                }
                Builder::Twin(_) => {}
            }
        }
        self.rows += batch.num_rows();
    }

    /// The rows so far as one batch. Leaves this empty, ready for more: once the batch is dropped, its memory is used again.
    pub fn finish(&mut self) -> RecordBatch {
        let addresses = self.addresses.finish();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.builders.len());
        for builder in &mut self.builders {
            let array: ArrayRef = match builder {
                Builder::Address(i) => addresses[*i].clone(),
                Builder::Int32(values) => {
                    let (values, nulls) = values.finish();
                    Arc::new(Int32Array::new(values, nulls))
                }
                Builder::Int64(values) => {
                    let (values, nulls) = values.finish();
                    Arc::new(Int64Array::new(values, nulls))
                }
                Builder::Text(text) => text.finish(),
                Builder::TimestampMs(values) => {
                    let (values, nulls) = values.finish();
                    Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone("UTC"))
                }
                Builder::Twin(of) => twin(&arrays[*of]),
            };
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.arrow().clone(), arrays, &options)
            .expect("the builders are made from the schema and grow together")
    }
}

fn integers_of(integers: &IntegerColumns, field: usize) -> &[i64] {
    let i = (0..integers.len()).find(|i| integers.field(*i) == field).expect("made from the same log format");
    integers.column(i)
}

/// Whether any of the parsed values is negative, which null is.
fn has_nulls(parsed: &[i64]) -> bool {
    parsed.iter().fold(0, |signs, v| signs | v) < 0
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, grown};
    use flowquet_format::Types;
    use flowquet_parse::Backend;
    use flowquet_testkit::generate::{BLOG_FORMAT, Object, V5_FORMAT};
    use flowquet_testkit::naive;

    #[test]
    fn blocks_become_the_columns_a_naive_reader_sees() {
        for format in [BLOG_FORMAT, V5_FORMAT] {
            let (account, region, delivered_s) = (1, "r", 1_566_328_660);
            let object = Object { account, region, delivered_s, records: 3_000, format, header: false };
            let text = object.text(7);
            let records = naive::read(text.as_bytes(), Some(format)).records;
            let text_of = |v: &Vec<u8>| String::from_utf8(v.clone()).expect("ASCII");
            let rows: Vec<Vec<String>> =
                records.iter().map(|(_, values)| values.iter().map(text_of).collect()).collect();
            check(format, &rows);
            assert!(grown(format, &text, Types::Aws, Backend::Scalar).bytes() > 3_000 * 40);
        }
    }
}
