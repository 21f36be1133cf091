//! Growing columns of one log format: the rows of a row group before it is encoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_buffer::ScalarBuffer;
use flowquet_format::ColumnType;
use flowquet_parse::{Block, IntegerColumns};

use crate::dictionary::DictionaryBuilder;
use crate::schema::BatchSchema;
use crate::validity::Validity;

enum Builder {
    Int32 { values: Vec<i32>, validity: Validity },
    Int64 { values: Vec<i64>, validity: Validity },
    Text(DictionaryBuilder),
}

/// Rows of one schema, column by column.
pub struct Columns {
    schema: Arc<BatchSchema>,
    builders: Vec<Builder>,
    rows: usize,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("rows", &self.rows).field("bytes", &self.bytes()).finish()
    }
}

impl Columns {
    /// No rows yet.
    pub fn new(schema: Arc<BatchSchema>) -> Self {
        let builders = schema
            .columns()
            .iter()
            .map(|c| match c.column_type {
                ColumnType::Int32 => Builder::Int32 { values: Vec::new(), validity: Validity::default() },
                ColumnType::Int64 => Builder::Int64 { values: Vec::new(), validity: Validity::default() },
                ColumnType::String => Builder::Text(DictionaryBuilder::default()),
            })
            .collect();
        Self { schema, builders, rows: 0 }
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
            Builder::Int32 { values, validity } => values.len() * 4 + validity.len() / 8,
            Builder::Int64 { values, validity } => values.len() * 8 + validity.len() / 8,
            Builder::Text(text) => text.bytes(),
        };
        self.builders.iter().map(of).sum()
    }

    /// Appends rows `range` of `block`, whose integers `integers` holds, a column at a time.
    ///
    /// This is the hot loop of the conversion: nothing in it allocates per record, and the type of a column is looked at
    /// once a block.
    ///
    /// # Panics
    /// If `integers` lacks an integer column of the schema: both are made from the same log format.
    pub fn append(&mut self, block: &Block<'_>, integers: &IntegerColumns, range: Range<usize>) {
        let rows = &block.rows()[range.clone()];
        for (builder, column) in self.builders.iter_mut().zip(self.schema.columns()) {
            match builder {
                Builder::Int32 { values, validity } => {
                    let parsed = &integers_of(integers, column.field)[range.clone()];
                    // Parsed values are at most `i32::MAX`, or the negative null.
                    values.extend(parsed.iter().map(|v| (*v).max(0) as i32));
                    append_validity(parsed, validity);
                }
                Builder::Int64 { values, validity } => {
                    let parsed = &integers_of(integers, column.field)[range.clone()];
                    values.extend(parsed.iter().map(|v| (*v).max(0)));
                    append_validity(parsed, validity);
                }
                Builder::Text(text) => {
                    for row in rows {
                        let (start, end) = block.bounds(*row, column.field);
                        text.append_at(block.text(), start, end);
                    }
                }
            }
        }
        self.rows += rows.len();
    }

    /// Appends all rows of a batch that another [`Columns`] of the same schema made.
    pub fn append_batch(&mut self, batch: &RecordBatch) {
        for (builder, array) in self.builders.iter_mut().zip(batch.columns()) {
            match builder {
                Builder::Int32 { values, validity } => {
                    let array = array.as_primitive::<Int32Type>();
                    values.extend_from_slice(array.values());
                    append_nulls(array, validity);
                }
                Builder::Int64 { values, validity } => {
                    let array = array.as_primitive::<Int64Type>();
                    values.extend_from_slice(array.values());
                    append_nulls(array, validity);
                }
                Builder::Text(text) => text.append_array(array),
            }
        }
        self.rows += batch.num_rows();
    }

    /// The rows so far as one batch. Leaves this empty.
    pub fn finish(&mut self) -> RecordBatch {
        let arrays: Vec<ArrayRef> = self
            .builders
            .iter_mut()
            .map(|b| -> ArrayRef {
                match b {
                    Builder::Int32 { values, validity } => Arc::new(Int32Array::new(
                        ScalarBuffer::from(std::mem::take(values)),
                        validity.finish(),
                    )),
                    Builder::Int64 { values, validity } => Arc::new(Int64Array::new(
                        ScalarBuffer::from(std::mem::take(values)),
                        validity.finish(),
                    )),
                    Builder::Text(text) => text.finish(),
                }
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.arrow().clone(), arrays, &options)
            .expect("the builders are made from the schema and grow together")
    }
}

fn integers_of(integers: &IntegerColumns, field: usize) -> &[i64] {
    let i = (0..integers.len()).find(|i| integers.field(*i) == field).expect("made from the same log format");
    integers.column(i)
}

fn append_validity(parsed: &[i64], validity: &mut Validity) {
    // Most blocks have no null in an integer column; a sum of signs over the block tells.
    if parsed.iter().fold(0, |signs, v| signs | v) >= 0 {
        validity.push_valid(parsed.len());
    } else {
        for value in parsed {
            validity.push(*value >= 0);
        }
    }
}

fn append_nulls(array: &dyn Array, validity: &mut Validity) {
    match array.nulls() {
        None => validity.push_valid(array.len()),
        Some(nulls) => nulls.iter().for_each(|valid| validity.push(valid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Selection;
    use arrow_array::StringArray;
    use arrow_array::types::UInt32Type;
    use flowquet_format::{Catalogue, LogFormat};
    use flowquet_parse::{Parser, Step};
    use flowquet_testkit::generate::{BLOG_FORMAT, Object};
    use flowquet_testkit::naive;

    fn cell(array: &ArrayRef, row: usize) -> String {
        if array.is_null(row) {
            return "-".into();
        }
        match array.data_type() {
            arrow_schema::DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
            arrow_schema::DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
            _ => {
                let text = array.as_dictionary::<UInt32Type>().downcast_dict::<StringArray>().expect("text");
                arrow_array::ArrayAccessor::value(&text, row).to_owned()
            }
        }
    }

    #[test]
    fn blocks_become_the_columns_a_naive_reader_sees() {
        let object = Object {
            account: 1,
            region: "r",
            delivered_s: 1_566_328_660,
            records: 3_000,
            format: BLOG_FORMAT,
            header: true,
        };
        let text = object.text(7);
        let catalogue = Catalogue::builtin();
        let format = Arc::new(LogFormat::parse(BLOG_FORMAT, catalogue).expect("valid"));
        let schema = Arc::new(BatchSchema::new(format.clone(), &Selection::all()));
        let fields = format.fields().iter().enumerate();
        let mut integers = IntegerColumns::new(
            fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?))).collect(),
        );
        let mut parser = Parser::new(Arc::new(catalogue.clone()), None);
        let mut columns = Columns::new(schema.clone());
        let mut parts = Columns::new(schema);
        let (mut at, mut rejects) = (0, Vec::new());
        while at < text.len() {
            match parser.next_block(&text.as_bytes()[at..], true, &mut rejects).expect("a flow log") {
                Step::Block { consumed, block } => {
                    assert!(!integers.parse(&block));
                    let half = block.rows().len() / 2;
                    columns.append(&block, &integers, 0..half);
                    columns.append(&block, &integers, half..block.rows().len());
                    parts.append(&block, &integers, 0..block.rows().len());
                    at += consumed;
                }
                Step::Skipped(n) => at += n,
                other => panic!("{other:?}"),
            }
        }
        let batch = columns.finish();
        assert_eq!((columns.rows(), columns.bytes() < 200_000), (0, true));
        parts.append_batch(&batch);
        let twice = parts.finish();
        let expected = naive::read(text.as_bytes(), None).records;
        assert_eq!((batch.num_rows(), twice.num_rows()), (expected.len(), 2 * expected.len()));
        for (row, (_, values)) in expected.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                assert_eq!(cell(batch.column(column), row).as_bytes(), value, "row {row} column {column}");
                assert_eq!(cell(twice.column(column), row + expected.len()).as_bytes(), value);
            }
        }
    }
}
