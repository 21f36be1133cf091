//! Where the columns of a file stand, and what merging them takes.

use std::ops::Range;
use std::sync::Arc;

use flowquet_format::{ColumnType, normalised_column};
use parquet::basic::{CompressionCodec, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::ColumnDescPtr;

use crate::Error;
use crate::rows::kind::{Kind, kind};
use crate::rows::slices::ranges_of;
use crate::rows::{Ranges, RowsError, footer};
use crate::schema::FileSchema;

/// A file of ours whose rows are to be merged: where the columns of its row groups stand.
pub struct MergeFile {
    columns: Arc<[FileColumn]>,
    rows: u64,
    groups: Vec<RowGroup>,
}

impl std::fmt::Debug for MergeFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeFile").field("rows", &self.rows).field("groups", &self.groups.len()).finish()
    }
}

struct FileColumn {
    name: String,
    descr: ColumnDescPtr,
}

struct RowGroup {
    rows: usize,
    chunks: Vec<ChunkPlace>,
}

/// Where a column chunk stands: what is needed of its metadata, in a tenth of the memory.
#[derive(Debug, Clone, Copy)]
struct ChunkPlace {
    codec: CompressionCodec,
    dictionary_at: Option<i64>,
    data_at: i64,
    bytes: i64,
    uncompressed_bytes: i64,
}

impl ChunkPlace {
    fn of(chunk: &ColumnChunkMetaData, file_bytes: u64) -> Result<Self, String> {
        let place = Self {
            codec: chunk.compression_codec(),
            dictionary_at: chunk.dictionary_page_offset().filter(|at| *at > 0),
            data_at: chunk.data_page_offset(),
            bytes: chunk.compressed_size(),
            uncompressed_bytes: chunk.uncompressed_size(),
        };
        let start = place.dictionary_at.unwrap_or(place.data_at);
        let end = start.checked_add(place.bytes).and_then(|end| u64::try_from(end).ok());
        let is_inside = start >= 0
            && place.data_at >= start
            && place.bytes >= 0
            && place.uncompressed_bytes >= 0
            && end.is_some_and(|end| end <= file_bytes);
        is_inside
            .then_some(place)
            .ok_or_else(|| "expected columns within the file, found one outside".to_owned())
    }

    fn range(self) -> Range<u64> {
        let start = self.dictionary_at.unwrap_or(self.data_at);
        start as u64..(start + self.bytes) as u64
    }

    /// Bytes of its dictionary page, as it is in the file.
    fn dictionary_bytes(self) -> Option<u64> {
        self.dictionary_at.map(|at| (self.data_at - at) as u64)
    }
}

/// The chunks of a row group, one a column of a schema; `None` where the file does not have it.
pub(super) struct GroupChunks {
    pub(super) rows: usize,
    pub(super) chunks: Vec<Option<FileChunk>>,
}

/// A chunk and its column, for a reader of its pages.
#[derive(Clone)]
pub(super) struct FileChunk {
    descr: ColumnDescPtr,
    place: ChunkPlace,
}

impl FileChunk {
    /// 1 where rows may be null.
    pub(super) fn max_level(&self) -> i16 {
        self.descr.max_def_level()
    }

    pub(super) fn metadata(&self, rows: usize) -> Result<ColumnChunkMetaData, Error> {
        let ChunkPlace { codec, dictionary_at, data_at, bytes, uncompressed_bytes } = self.place;
        ColumnChunkMetaData::builder(self.descr.clone())
            .set_compression_codec(codec)
            .set_num_values(rows as i64)
            .set_data_page_offset(data_at)
            .set_dictionary_page_offset(dictionary_at)
            .set_total_compressed_size(bytes)
            .set_total_uncompressed_size(uncompressed_bytes)
            .build()
    }
}

impl MergeFile {
    /// Reads the footer of a file of `len` bytes.
    ///
    /// # Errors
    /// [`RowsError::File`] where it is damaged.
    pub fn open<E>(len: u64, ranges: Ranges<'_, E>) -> Result<Self, RowsError<E>> {
        Self::of(&footer(len, ranges)?, len).map_err(RowsError::File)
    }

    /// Of a footer of a file of `len` bytes.
    pub(crate) fn of(meta: &ParquetMetaData, len: u64) -> Result<Self, String> {
        let schema = meta.file_metadata().schema_descr();
        let column = |descr: &ColumnDescPtr| FileColumn {
            name: normalised_column(descr.name()),
            descr: descr.clone(),
        };
        let columns = schema.columns().iter().map(column).collect();
        let group = |group: &RowGroupMetaData| {
            let rows = u32::try_from(group.num_rows()).map_err(|_| {
                format!("expected row groups of at most {} rows, found one of {}", u32::MAX, group.num_rows())
            })?;
            let chunks = group.columns().iter().map(|chunk| ChunkPlace::of(chunk, len));
            Ok(RowGroup { rows: rows as usize, chunks: chunks.collect::<Result<_, _>>()? })
        };
        let groups = meta.row_groups().iter().map(group);
        let groups: Vec<RowGroup> = groups.collect::<Result<_, String>>()?;
        Ok(Self { columns, rows: groups.iter().map(|group| group.rows as u64).sum(), groups })
    }

    /// Rows of all row groups.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of some row groups.
    pub fn rows_of(&self, groups: Range<usize>) -> u64 {
        self.groups[groups].iter().map(|group| group.rows as u64).sum()
    }

    /// How many row groups.
    pub fn row_groups(&self) -> usize {
        self.groups.len()
    }

    /// Where the columns of `schema` stand among those of the file; twins are made anew.
    ///
    /// # Errors
    /// A message, where a column is of another type.
    fn places(&self, schema: &FileSchema) -> Result<Vec<Option<usize>>, String> {
        let place = |i: usize| {
            if schema.sources()[i].is_none() || schema.column_type(i) == ColumnType::Address {
                return Ok(None);
            }
            let Some(place) = self.columns.iter().position(|column| column.name == schema.name(i)) else {
                return Ok(None);
            };
            let descr = &self.columns[place].descr;
            let expected = schema.column_type(i);
            // One that has the name of a field that other files have.
            let is_twin = descr.physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY;
            match (expected, kind(descr), descr.physical_type()) {
                (ColumnType::Int32, Ok(Kind::Integer), PhysicalType::INT32)
                | (ColumnType::Int64, Ok(Kind::Integer), PhysicalType::INT64)
                | (
                    ColumnType::TimestampMs,
                    Ok(Kind::Timestamp { per_second: 1000, .. }),
                    PhysicalType::INT64,
                )
                | (ColumnType::String, Ok(Kind::Text), PhysicalType::BYTE_ARRAY) => Ok(Some(place)),
                _ if is_twin => Ok(None),
                (_, _, found) => {
                    Err(format!("expected column `{}` as {expected}, found {found}", schema.name(i)))
                }
            }
        };
        (0..schema.columns()).map(place).collect()
    }

    /// The ranges of the file that hold the columns of `schema` in some row groups.
    ///
    /// # Errors
    /// A message, where a column is of another type.
    pub fn ranges(&self, groups: Range<usize>, schema: &FileSchema) -> Result<Vec<Range<u64>>, String> {
        let places = self.places(schema)?;
        let of =
            |group: &RowGroup| places.iter().flatten().map(|i| group.chunks[*i].range()).collect::<Vec<_>>();
        Ok(ranges_of(self.groups[groups].iter().flat_map(of).collect()))
    }

    /// Some row groups: their rows, and the chunks of the columns of `schema`.
    pub(super) fn chunks(
        &self,
        groups: Range<usize>,
        schema: &FileSchema,
    ) -> Result<Vec<GroupChunks>, String> {
        let places = self.places(schema)?;
        let chunk = |group: &RowGroup, place: usize| FileChunk {
            descr: self.columns[place].descr.clone(),
            place: group.chunks[place],
        };
        let of = |group: &RowGroup| {
            let chunks = places.iter().map(|place| place.map(|place| chunk(group, place)));
            GroupChunks { rows: group.rows, chunks: chunks.collect() }
        };
        Ok(self.groups[groups].iter().map(of).collect())
    }
}

/// What merging some row groups takes. It depends on the files alone, so that what is decided by it is repeatable.
#[derive(Debug, Clone, Default)]
pub struct Weight {
    rows: u64,
    /// Compressed columns, and where they stand.
    input_bytes: u64,
    uncompressed_bytes: u64,
    /// Of each text column, bytes of its distinct values while it is decoded.
    texts: Vec<u64>,
}

impl Weight {
    /// Bytes a row while it is sorted: a word and a number, twice.
    const SORTED_ROW: u64 = 24;

    /// Bytes of a row's place in the order.
    const PLACE: u64 = 4;

    /// Bytes a row of a column, at most.
    const COLUMN_ROW: u64 = 8;

    /// What dictionaries are compressed by, of which only the compressed size is told: sorted addresses by three to four.
    const DICTIONARY_RATIO: u64 = 4;

    /// What a byte of a dictionary takes: its page, the merged dictionary, and their places and keys.
    const DICTIONARY_FACTOR: u64 = 4;

    /// What a byte of values without a dictionary takes: they are longer than what is known of them.
    const PLAIN_FACTOR: u64 = 3;

    /// What is known of a chunk in memory. A number, since sizes of types are a compiler's choice and this decides bytes of files.
    const CHUNK_BYTES: u64 = 64;

    /// Adds a row group of a file.
    ///
    /// # Errors
    /// A message, where a column is of another type than the schema's.
    pub fn add(&mut self, file: &MergeFile, group: usize, schema: &FileSchema) -> Result<(), String> {
        let places = file.places(schema)?;
        self.texts.resize(schema.columns(), 0);
        let group = &file.groups[group];
        self.rows += group.rows as u64;
        for (i, place) in places.iter().enumerate() {
            self.input_bytes += Self::CHUNK_BYTES;
            let Some(place) = place.map(|place| group.chunks[place]) else { continue };
            self.input_bytes += place.bytes as u64;
            self.uncompressed_bytes += place.uncompressed_bytes as u64;
            if schema.column_type(i) == ColumnType::String {
                let all = place.uncompressed_bytes as u64;
                self.texts[i] += match place.dictionary_bytes() {
                    Some(bytes) => all.min(bytes * Self::DICTIONARY_RATIO) * Self::DICTIONARY_FACTOR,
                    None => all * Self::PLAIN_FACTOR,
                };
            }
        }
        Ok(())
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes in memory, at most about, while they are merged into a file of `schema`, with pages that are compressed or not.
    pub fn bytes(&self, schema: &FileSchema, is_compressed: bool) -> u64 {
        let kept: u64 = schema.sort_columns().into_iter().map(|i| row_bytes(schema.column_type(i))).sum();
        let sorting = Self::SORTED_ROW + kept;
        // Two columns, of which one is encoded while the next is decoded; at first those that were sorted by.
        let encoding = Self::PLACE + (2 * Self::COLUMN_ROW).max(kept + Self::COLUMN_ROW);
        let output_bytes = if is_compressed { self.input_bytes } else { self.uncompressed_bytes };
        let (mut largest, mut second) = (0, 0);
        for text in &self.texts {
            second = second.max(*text.min(&largest));
            largest = largest.max(*text);
        }
        let sorted = self.rows * sorting + largest;
        let encoded = self.rows * encoding + output_bytes + largest + second;
        self.input_bytes + sorted.max(encoded)
    }
}

/// Bytes a row of a column of this type.
fn row_bytes(column_type: ColumnType) -> u64 {
    match column_type {
        ColumnType::Int64 | ColumnType::TimestampMs => 8,
        // Keys.
        ColumnType::Address | ColumnType::Int32 | ColumnType::String => 4,
    }
}
