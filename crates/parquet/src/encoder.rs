//! Record batches to encoded row groups.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

use crate::chunk::{Chunk, ChunkWriter};
use crate::compression::{Codec, Compression};
use crate::file::FileSchema;
use crate::{Error, integers, text};

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
}

/// Encodes row groups; keeps the compressor's state between them. The same batch gives the same bytes.
pub struct Encoder {
    codec: Codec,
    scratch: Scratch,
}

/// Buffers that live from column to column.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Values of a column that are not null.
    pub(crate) int32: Vec<i32>,
    pub(crate) int64: Vec<i64>,
    pub(crate) present_keys: Vec<u32>,
    /// Keys of a page.
    pub(crate) keys: Vec<u32>,
    /// Keys of integers by value.
    pub(crate) table: Vec<u32>,
    /// A page before compression.
    raw: Vec<u8>,
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

    /// Encodes `batch` as one row group of `schema`, whose columns are those of the batch.
    ///
    /// # Errors
    /// If a compressor fails.
    ///
    /// # Panics
    /// If the batch has a column type that no log format becomes.
    pub fn encode(&mut self, batch: &RecordBatch, schema: &FileSchema) -> Result<EncodedRowGroup, Error> {
        let mut chunks = Vec::with_capacity(batch.num_columns());
        for (i, array) in batch.columns().iter().enumerate() {
            let mut raw = std::mem::take(&mut self.scratch.raw);
            let writer = ChunkWriter::new(schema.column(i), array.len(), &mut self.codec, &mut raw);
            let scratch = &mut self.scratch;
            chunks.push(match array.data_type() {
                DataType::Int32 => {
                    let array = array.as_primitive::<Int32Type>();
                    integers::encode(array.values(), array.nulls(), writer, scratch)?
                }
                DataType::Int64 => {
                    let array = array.as_primitive::<Int64Type>();
                    integers::encode(array.values(), array.nulls(), writer, scratch)?
                }
                DataType::Dictionary(_, _) => {
                    text::encode(array.as_dictionary::<UInt32Type>(), writer, scratch)?
                }
                other => unreachable!("flowquet-arrow makes no {other}"),
            });
            self.scratch.raw = raw;
        }
        let bytes = chunks.iter().map(|c| c.bytes.len()).sum();
        Ok(EncodedRowGroup { chunks, rows: batch.num_rows(), bytes })
    }
}
