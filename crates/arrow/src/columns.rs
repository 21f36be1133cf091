//! Growing columns of one log format: the rows of a row group before it is encoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use flowquet_format::{ADDRESS_BYTES, AddedColumn, ColumnSource, ColumnType, FormatColumn, time_ms};
use flowquet_parse::{Block, IntegerColumns};

use crate::addresses::{AddressColumns, COLUMNS_MAX};
use crate::adjacent::{AdjacentTexts, TextColumns};
use crate::derived::{Derivation, Enricher, Inputs, Lookups};
use crate::dictionary::DictionaryBuilder;
use crate::growing::Growing;
use crate::origin::{OriginBuilder, RowOrigin};
use crate::schema::BatchSchema;
use crate::twins::twin;

enum Builder {
    /// One of the address columns, which grow together.
    Address(usize),
    /// Made of other columns by a rule when the rows are handed out.
    Derived(Box<Derivation>),
    /// What a file says of an address or interface, likewise.
    Enriched(Box<Enricher>),
    Int32(Growing<i32>),
    Int64(Growing<i64>),
    /// Where rows came from, which [`Columns::append_origin`] is told.
    Origin(Box<OriginBuilder>),
    Text(DictionaryBuilder),
    TimestampMs(Growing<i64>),
    /// The twin of another column, made of it when the rows are handed out.
    Twin(usize),
}

impl TextColumns for [Builder] {
    fn text(&mut self, column: usize) -> &mut DictionaryBuilder {
        match &mut self[column] {
            Builder::Text(text) => text,
            _ => unreachable!("columns of text are looked up together, and no others"),
        }
    }
}

/// Rows of one schema, column by column.
pub struct Columns {
    schema: Arc<BatchSchema>,
    builders: Vec<Builder>,
    addresses: AddressColumns,
    adjacent: Vec<AdjacentTexts>,
    rows: usize,
    /// Scratch of a block.
    flags: Vec<u8>,
    /// Scratch of a block: how many of its rows each column has already.
    taken: Vec<usize>,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("rows", &self.rows).field("bytes", &self.bytes()).finish()
    }
}

impl Columns {
    /// No rows yet.
    pub fn new(schema: Arc<BatchSchema>) -> Self {
        let fields = schema.format().fields();
        let is_decoded = |field: usize| fields[field].spec().is_some_and(|spec| spec.decode);
        let address = |c: &FormatColumn| match c.source {
            ColumnSource::Field(field) => Some(field).filter(|field| fields[*field].is_address()),
            _ => None,
        };
        let texts = schema.columns().iter().filter(|c| c.column_type == ColumnType::String);
        let addresses: Vec<usize> = texts.filter_map(address).take(COLUMNS_MAX).collect();
        let of_field = |field: usize, column_type: ColumnType| match column_type {
            ColumnType::Int32 => Builder::Int32(Growing::default()),
            ColumnType::Int64 => Builder::Int64(Growing::default()),
            ColumnType::String => match addresses.iter().position(|f| *f == field) {
                Some(i) => Builder::Address(i),
                None if is_decoded(field) => Builder::Text(DictionaryBuilder::decoding()),
                None => Builder::Text(DictionaryBuilder::default()),
            },
            ColumnType::TimestampMs => Builder::TimestampMs(Growing::default()),
            ColumnType::Address => unreachable!("no field is delivered as one"),
        };
        let builder = |c: &FormatColumn| match c.source {
            ColumnSource::Field(field) => of_field(field, c.column_type),
            ColumnSource::Twin(field) => {
                let of = schema.columns().iter().position(|text| text.field() == Some(field));
                Builder::Twin(of.expect("a twin stands behind its address"))
            }
            ColumnSource::Added(AddedColumn::Provenance(origin)) => {
                Builder::Origin(Box::new(OriginBuilder::new(origin)))
            }
            ColumnSource::Added(added @ AddedColumn::Derived(rule)) => {
                let from = &added.spec().from;
                Builder::Derived(Box::new(Derivation::new(rule, from, schema.format(), schema.columns())))
            }
            ColumnSource::Enriched(column) => Builder::Enriched(Box::new(Enricher::new(column, &schema))),
        };
        let builders: Vec<Builder> = schema.columns().iter().map(builder).collect();
        let addresses = AddressColumns::new(addresses.into_iter());
        let texts = schema.columns().iter().zip(&builders).enumerate();
        let texts = texts.filter_map(|(i, (column, builder))| match builder {
            Builder::Text(text) if text.is_kept_as_written() => Some((column.field()?, i)),
            _ => None,
        });
        let adjacent = AdjacentTexts::of(texts.collect());
        let taken = vec![0; builders.len()];
        Self { schema, builders, addresses, adjacent, rows: 0, flags: Vec::new(), taken }
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
            Builder::Derived(derivation) => self.rows * derivation.row_bytes(),
            Builder::Enriched(_) => self.rows * size_of::<u32>(),
            Builder::Int32(values) => values.bytes(),
            Builder::Int64(values) => values.bytes(),
            Builder::Origin(origin) => origin.bytes(),
            Builder::Text(text) => text.bytes(),
            Builder::TimestampMs(values) => values.bytes(),
            // Its keys are those of the address.
            Builder::Twin(_) => self.addresses.values() * ADDRESS_BYTES,
        };
        let adjacent = self.adjacent.iter().map(AdjacentTexts::bytes).sum::<usize>();
        self.addresses.bytes() + adjacent + self.builders.iter().map(of).sum::<usize>()
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
        let Self { builders, adjacent, taken, .. } = self;
        for texts in adjacent {
            let rows = texts.append(block, range.clone(), &mut builders[..]);
            texts.columns().for_each(|column| taken[column] = rows);
        }
        for ((builder, column), taken) in builders.iter_mut().zip(self.schema.columns()).zip(taken) {
            match builder {
                Builder::Address(_) | Builder::Derived(_) | Builder::Enriched(_) | Builder::Origin(_) => {}
                Builder::Int32(values) => {
                    let parsed = &integers_of(integers, field_of(column))[range.clone()];
                    // Parsed values are at most `i32::MAX`, or the negative null.
                    values.extend(parsed.iter().map(|v| *v as i32), has_nulls(parsed));
                }
                Builder::Int64(values) => {
                    let parsed = &integers_of(integers, field_of(column))[range.clone()];
                    values.extend(parsed.iter().copied(), has_nulls(parsed));
                }
                Builder::Text(text) => {
                    let rest = range.start + *taken..range.end;
                    if !rest.is_empty() {
                        text.append(block.column(field_of(column), rest), &mut self.flags);
                    }
                }
                Builder::TimestampMs(values) => {
                    let parsed = &integers_of(integers, field_of(column))[range.clone()];
                    // The negative null stays negative, which is null here too.
                    values.extend(parsed.iter().map(|v| time_ms(*v).max(-1)), has_nulls(parsed));
                }
                Builder::Twin(_) => {}
            }
        }
        self.rows += range.len();
    }

    /// Tells where the rows `range` of `block` came from, which are appended beside. Once for each [`Self::append`] where the schema has columns of
    /// provenance, and of no use where it has none.
    pub fn append_origin(&mut self, origin: &RowOrigin, block: &Block<'_>, range: Range<usize>) {
        for builder in &mut self.builders {
            if let Builder::Origin(column) = builder {
                column.append(origin, block, range.clone());
            }
        }
    }

    /// Appends all rows of a batch that another [`Columns`] of the same schema made.
    pub fn append_batch(&mut self, batch: &RecordBatch) {
        for (builder, array) in self.builders.iter_mut().zip(batch.columns()) {
            match builder {
                Builder::Address(i) => self.addresses.append_array(*i, array),
                Builder::Origin(origin) => origin.append_array(array),
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
                Builder::Derived(_) | Builder::Enriched(_) | Builder::Twin(_) => {}
            }
        }
        self.rows += batch.num_rows();
    }

    /// The rows so far as one batch. Leaves this empty, ready for more: once the batch is dropped, its memory is used again.
    pub fn finish(&mut self) -> RecordBatch {
        self.adjacent.iter_mut().for_each(AdjacentTexts::clear);
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
                Builder::Origin(origin) => origin.finish(),
                Builder::Twin(of) => twin(&arrays[*of]),
                // Behind all that they are made of.
                Builder::Derived(_) | Builder::Enriched(_) => continue,
            };
            arrays.push(array);
        }
        self.derive(&mut arrays);
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.arrow().clone(), arrays, &options)
            .expect("the builders are made from the schema and grow together")
    }

    /// Puts columns that are made of others in their places among `arrays`, which has the others.
    fn derive(&mut self, arrays: &mut Vec<ArrayRef>) {
        let mut made: Vec<(usize, ArrayRef)> = Vec::new();
        let mut inputs = Inputs::new(arrays, self.rows);
        let mut lookups = Lookups::new(self.schema.enriching());
        for (i, builder) in self.builders.iter_mut().enumerate() {
            match builder {
                Builder::Derived(derivation) => made.push((i, derivation.compute(&mut inputs))),
                Builder::Enriched(enricher) => made.push((i, enricher.compute(&mut lookups, &mut inputs))),
                _ => {}
            }
        }
        made.into_iter().for_each(|(i, array)| arrays.insert(i, array));
    }
}

/// The position of the field that a column is.
fn field_of(column: &FormatColumn) -> usize {
    column.field().expect("others are made of fields")
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
    use flowquet_testkit::generate::{BLOG_FORMAT, Object, Traffic, V5_FORMAT};
    use flowquet_testkit::naive;

    #[test]
    fn blocks_become_the_columns_a_naive_reader_sees() {
        for format in [BLOG_FORMAT, V5_FORMAT] {
            let (account, region, delivered_s) = (1, "r", 1_566_328_660);
            let object = Object {
                account,
                region,
                delivered_s,
                records: 3_000,
                format,
                header: false,
                traffic: Traffic::default(),
            };
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
