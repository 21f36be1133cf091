//! Record batches to encoded row groups.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

use crate::chunk::{Chunk, ChunkShape, ChunkWriter};
use crate::compression::{Codec, Compression};
use crate::order::RowOrder;
use crate::schema::FileSchema;
use crate::scratch::Scratch;
use crate::text::Values;
use crate::{Error, integers, sort, text};

/// What times of flow logs are multiples of, as milliseconds.
pub(crate) const MS_PER_S: i64 = 1000;

/// A row group ready to be appended to a file.
pub struct EncodedRowGroup {
    pub(crate) chunks: Vec<Chunk>,
    rows: usize,
    bytes: usize,
}

impl std::fmt::Debug for EncodedRowGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedRowGroup").field("rows", &self.rows).field("bytes", &self.bytes).finish()
    }
}

impl EncodedRowGroup {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Encoded bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A row group of these columns of a schema, in its order.
    pub fn of(columns: impl IntoIterator<Item = EncodedColumn>, rows: usize) -> Self {
        let chunks = columns.into_iter().map(|column| column.0).collect();
        Self::of_chunks(chunks, rows)
    }

    fn of_chunks(chunks: Vec<Chunk>, rows: usize) -> Self {
        let bytes = chunks.iter().map(|c| c.bytes.len()).sum();
        Self { chunks, rows, bytes }
    }
}

/// A column of a row group, encoded.
pub struct EncodedColumn(pub(crate) Chunk);

impl std::fmt::Debug for EncodedColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedColumn").field("bytes", &self.0.bytes.len()).finish()
    }
}

/// Encodes row groups; keeps the compressor's state between them. The same batch gives the same bytes.
pub struct Encoder {
    codec: Codec,
    scratch: Scratch,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// An encoder whose pages are compressed by `compression`.
    ///
    /// # Errors
    /// If the compressor cannot be set up.
    pub fn new(compression: Compression) -> Result<Self, Error> {
        Ok(Self { codec: Codec::new(compression)?, scratch: Scratch::default() })
    }

    /// Encodes `batch` as one row group of `schema`, its rows in the schema's order. Columns that the batch does not have are
    /// written as nulls.
    ///
    /// # Errors
    /// If a compressor fails.
    ///
    /// # Panics
    /// If the batch has a column type that no log format becomes.
    pub fn encode(&mut self, batch: &RecordBatch, schema: &FileSchema) -> Result<EncodedRowGroup, Error> {
        self.encode_rows(batch, schema, !schema.sort().is_empty())
    }

    /// Encodes `batch` as one row group of `schema`, whose order its rows have already.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_sorted(
        &mut self,
        batch: &RecordBatch,
        schema: &FileSchema,
    ) -> Result<EncodedRowGroup, Error> {
        self.encode_rows(batch, schema, false)
    }

    fn encode_rows(
        &mut self,
        batch: &RecordBatch,
        schema: &FileSchema,
        sort: bool,
    ) -> Result<EncodedRowGroup, Error> {
        let by = schema.sort();
        let sorted_texts = batch.columns().iter().enumerate().map(|(i, array)| {
            let text = array.as_dictionary_opt::<UInt32Type>().filter(|_| sort && by.contains(&i));
            text.map(|a| Values::new(a.values()))
        });
        let mut texts: Vec<Option<Values<'_>>> = sorted_texts.collect();
        let order = sort.then(|| sort::order(batch, &by, &texts));
        let order = order.as_deref().map(RowOrder::whole);
        let mut chunks = Vec::with_capacity(schema.sources().len());
        for (i, source) in schema.sources().iter().enumerate() {
            let Some(source) = *source else {
                chunks.push(self.nulls(i, batch.num_rows(), schema)?.0);
                continue;
            };
            let array = batch.column(source);
            let text = texts[source].take();
            let order = order.as_ref();
            chunks.push(self.chunk(
                schema,
                i,
                batch.num_rows(),
                |writer, scratch| match array.data_type() {
                    DataType::Int32 => {
                        let array = array.as_primitive::<Int32Type>();
                        integers::encode_ordered(array.values(), array.nulls(), order, 1, writer, scratch)
                    }
                    DataType::Int64 => {
                        let array = array.as_primitive::<Int64Type>();
                        integers::encode_ordered(array.values(), array.nulls(), order, 1, writer, scratch)
                    }
                    DataType::Timestamp(_, _) => {
                        let array = array.as_primitive::<TimestampMillisecondType>();
                        let step = MS_PER_S;
                        integers::encode_ordered(array.values(), array.nulls(), order, step, writer, scratch)
                    }
                    DataType::Dictionary(_, _) => {
                        let array = array.as_dictionary::<UInt32Type>();
                        let values = text.unwrap_or_else(|| Values::new(array.values()));
                        let keys = array.keys().values();
                        text::encode_ordered(keys, array.nulls(), order, &values, writer, scratch)
                    }
                    other => unreachable!("flowquet-arrow makes no {other}"),
                },
            )?);
        }
        Ok(EncodedRowGroup::of_chunks(chunks, batch.num_rows()))
    }

    /// Encodes column `i` of a row group in which it is null in all rows.
    ///
    /// # Errors
    /// If a compressor fails.
    pub fn nulls(&mut self, i: usize, rows: usize, schema: &FileSchema) -> Result<EncodedColumn, Error> {
        self.chunk(schema, i, rows, |writer, _| writer.nulls()).map(EncodedColumn)
    }

    /// Encodes column `i` of a row group of `rows` rows.
    pub(crate) fn chunk(
        &mut self,
        schema: &FileSchema,
        i: usize,
        rows: usize,
        encode: impl FnOnce(ChunkWriter<'_>, &mut Scratch) -> Result<Chunk, Error>,
    ) -> Result<Chunk, Error> {
        let mut buffers = std::mem::take(&mut self.scratch.buffers);
        let shape = ChunkShape { rows, page_rows: schema.page_rows(), has_filter: schema.has_filter(i) };
        let writer = ChunkWriter::new(schema.column(i), shape, &mut self.codec, &mut buffers);
        let chunk = encode(writer, &mut self.scratch);
        self.scratch.buffers = buffers;
        chunk
    }
}
