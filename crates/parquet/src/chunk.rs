//! One column chunk: its pages, its metadata and its part of the page index.

use arrow_buffer::NullBuffer;
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, CompressionCodec, Encoding, PageType, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::AsBytes;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::compression::Codec;
use crate::{Error, rle};

/// An encoded column chunk, its offsets counted from its own start.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

/// What is known of a data page once its values are encoded.
pub(crate) struct PageSummary {
    /// Rows, nulls included.
    pub(crate) rows: usize,
    pub(crate) nulls: usize,
    pub(crate) encoding: Encoding,
    /// Smallest and largest value as the page index holds them; `None` where all are null.
    pub(crate) bounds: Option<(Vec<u8>, Vec<u8>)>,
}

/// Share of values that a bloom filter takes for present though they are not: 10 bits a value.
const FILTER_FALSE_POSITIVES: f64 = 0.01;

/// What is known of a chunk before its values.
pub(crate) struct ChunkShape {
    pub(crate) rows: usize,
    /// Most rows of a page.
    pub(crate) page_rows: usize,
    /// Whether it gets a bloom filter.
    pub(crate) has_filter: bool,
}

/// A chunk is compressed where that saves one byte in this many: less is not worth the time of writer and readers.
const COMPRESSION_PAYS: usize = 16;

/// Data pages are compressed without a search for repeats where that costs at most one byte in this many: it takes half of the time
/// or less. Keys are mostly smaller without: a repeat that is there by chance takes more than the codes of its bytes.
const REPEATS_PAY: usize = 32;

/// Widest keys that are tried in whole bytes. Few row groups have more values of a column.
const WHOLE_BYTES_WIDTH_MAX: u32 = 16;

/// Keys that show whether whole bytes pay.
const SAMPLE_KEYS: usize = 8_192;

/// How the pages of a chunk are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// Compressed, data pages by entropy alone.
    Entropy,
    /// Compressed.
    Repeats,
    /// As they are.
    Stored,
}

/// Writes the pages of one column chunk.
///
/// How the chunk is compressed, and whether it is, is decided by its dictionary and its first page: keys that are packed to the
/// bit often do not get any smaller.
pub(crate) struct ChunkWriter<'a> {
    descr: ColumnDescPtr,
    codec: &'a mut Codec,
    shape: ChunkShape,
    filter: Option<Sbbf>,
    /// The dictionary page, until the first data page is there.
    dictionary: Option<DictionaryPage>,
    /// Unknown until the first data page is there.
    packing: Option<Packing>,
    widths: Widths,
    sink: TrackedWrite<Vec<u8>>,
    /// Gets the sink's memory back.
    chunk: &'a mut Vec<u8>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
    encoding_stats: Vec<PageEncodingStats>,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    uncompressed_bytes: usize,
    rows: usize,
    page: &'a mut Vec<u8>,
}

/// What is known of widths of keys, a bit for each width.
#[derive(Debug, Default)]
struct Widths {
    /// Those that were tried.
    tried: u64,
    /// Those of them that are rounded up to whole bytes.
    rounded: u64,
}

/// Buffers that live from chunk to chunk: fresh memory costs a page fault every 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct ChunkBuffers {
    /// A page before compression.
    page: Vec<u8>,
    /// The pages of a chunk.
    chunk: Vec<u8>,
}

/// Plain values that keys point to.
struct DictionaryPage {
    plain: Vec<u8>,
    count: usize,
    is_sorted: bool,
}

impl<'a> ChunkWriter<'a> {
    pub(crate) fn new(
        descr: ColumnDescPtr,
        shape: ChunkShape,
        codec: &'a mut Codec,
        buffers: &'a mut ChunkBuffers,
    ) -> Self {
        let ChunkBuffers { page, chunk } = buffers;
        Self {
            column_index: ColumnIndexBuilder::new(descr.physical_type()),
            descr,
            packing: codec.is_none().then_some(Packing::Stored),
            widths: Widths::default(),
            codec,
            shape,
            filter: None,
            dictionary: None,
            sink: TrackedWrite::new(std::mem::take(chunk)),
            chunk,
            offset_index: OffsetIndexBuilder::new(),
            encoding_stats: Vec::new(),
            dictionary_at: None,
            data_at: None,
            uncompressed_bytes: 0,
            rows: 0,
            page,
        }
    }

    /// Most rows of a page.
    pub(crate) fn page_rows(&self) -> usize {
        self.shape.page_rows
    }

    /// Makes the chunk's bloom filter of its values, of which at most `distinct` are distinct, if it gets one.
    pub(crate) fn filter<'v, T: AsBytes + ?Sized + 'v>(
        &mut self,
        distinct: usize,
        values: impl Iterator<Item = &'v T>,
    ) {
        if self.shape.has_filter && distinct > 0 {
            let filter = Sbbf::new_with_ndv_fpp(distinct as u64, FILTER_FALSE_POSITIVES);
            let mut filter = filter.expect("the share lies between 0 and 1");
            values.for_each(|value| filter.insert(value));
            self.filter = Some(filter);
        }
    }

    /// Sets the dictionary page; `plain` holds its `count` values. Comes first, if at all.
    pub(crate) fn dictionary(&mut self, plain: Vec<u8>, count: usize, is_sorted: bool) {
        self.dictionary = Some(DictionaryPage { plain, count, is_sorted });
    }

    /// How long `raw` is once it is compressed.
    pub(crate) fn compressed_len(&mut self, raw: &[u8]) -> Result<usize, Error> {
        Ok(self.codec.compress(raw)?.len())
    }

    /// Begins a data page of `rows` rows with its levels; `validity` tells which are not null. The encoded values that are
    /// not null are to be appended to what this returns.
    pub(crate) fn begin_page(&mut self, rows: usize, validity: Option<&NullBuffer>) -> &mut Vec<u8> {
        self.page.clear();
        definition_levels(rows, validity, self.page);
        self.page
    }

    /// Appends keys of a dictionary, of which `most` is the largest, to the page that was begun: in as many bits as they need, or in
    /// whole bytes where those compress to less. Compressors give codes to bytes, and bytes of keys that are packed to the bit are
    /// parts of several. Which it is, each width is tried for once, with the first keys that need it.
    pub(crate) fn push_keys(&mut self, keys: &[u32], most: u32) -> Result<(), Error> {
        let packed = rle::bit_width(most);
        let whole = packed.next_multiple_of(u8::BITS);
        let bit = 1 << packed;
        if self.widths.tried & bit == 0 {
            self.widths.tried |= bit;
            let sample = &keys[..keys.len().min(SAMPLE_KEYS)];
            // Several keys of one, two or four bits fill a byte together.
            let may_pay = !matches!(packed, 1 | 2 | 4) && packed < whole && whole <= WHOLE_BYTES_WIDTH_MAX;
            if may_pay && self.is_less_in(whole, packed, sample)? {
                self.widths.rounded |= bit;
            }
        }
        let width = if self.widths.rounded & bit == 0 { packed } else { whole };
        rle::push_keys(keys, width, self.page);
        Ok(())
    }

    /// Whether keys in `whole` bits compress to less than those in `packed` bits take. Never where bytes get no codes.
    fn is_less_in(&mut self, whole: u32, packed: u32, keys: &[u32]) -> Result<bool, Error> {
        if self.packing == Some(Packing::Stored) {
            return Ok(false);
        }
        let mut raw = Vec::with_capacity(keys.len() * 2 + 16);
        rle::encode(keys, packed, &mut raw);
        let Some(by_entropy) = self.codec.compress_by_entropy(&raw)? else { return Ok(false) };
        let least = by_entropy.len().min(raw.len());
        raw.clear();
        rle::encode(keys, whole, &mut raw);
        Ok(self.codec.compress_by_entropy(&raw)?.is_some_and(|by_entropy| by_entropy.len() < least))
    }

    /// Ends the data page that was begun.
    pub(crate) fn end_page(&mut self, page: PageSummary) -> Result<(), Error> {
        let raw = std::mem::take(self.page);
        let packed = match self.packing {
            Some(packing) => {
                self.write_dictionary_as_it_is()?;
                self.packed(&raw, packing)?
            }
            None => self.begin(&raw, page.rows)?,
        };
        self.data_at.get_or_insert(self.sink.bytes_written() as i64);
        let data = Page::DataPage {
            buf: packed.into(),
            num_values: u32::try_from(page.rows).expect("pages are limited to PAGE_ROWS"),
            encoding: page.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let at = self.sink.bytes_written();
        self.write(data, raw.len())?;
        *self.page = raw;
        let size =
            i32::try_from(self.sink.bytes_written() - at).expect("pages are limited to about a megabyte");
        self.offset_index.append_row_count(page.rows as i64);
        self.offset_index.append_offset_and_size(at as i64, size);
        let is_null = page.bounds.is_none();
        let (min, max) = page.bounds.unwrap_or_default();
        self.column_index.append(is_null, min, max, page.nulls as i64, None);
        self.count_page(PageType::DATA_PAGE, page.encoding);
        self.rows += page.rows;
        Ok(())
    }

    /// Decides how the chunk is compressed, by its dictionary and `first`, its first page, of `rows` rows. Writes the dictionary, and
    /// returns the page as it is to be written.
    fn begin(&mut self, first: &[u8], rows: usize) -> Result<Vec<u8>, Error> {
        let dictionary = self.dictionary.as_ref().map_or(&[][..], |d| &d.plain);
        let packed_dictionary = self.codec.compress(dictionary)?;
        let mut page = self.codec.compress(first)?;
        let mut packing = Packing::Repeats;
        if let Some(by_entropy) = self.codec.compress_by_entropy(first)?
            && by_entropy.len() <= page.len() + page.len() / REPEATS_PAY
        {
            (page, packing) = (by_entropy, Packing::Entropy);
        }
        let pages = self.shape.rows.div_ceil(rows.max(1));
        let saved = dictionary.len().saturating_sub(packed_dictionary.len())
            + pages * first.len().saturating_sub(page.len());
        if saved == 0 || saved * COMPRESSION_PAYS < dictionary.len() + pages * first.len() {
            self.packing = Some(Packing::Stored);
            self.write_dictionary_as_it_is()?;
            return Ok(first.to_vec());
        }
        self.packing = Some(packing);
        if let Some(dictionary) = self.dictionary.take() {
            self.write_dictionary(
                dictionary.count,
                dictionary.is_sorted,
                packed_dictionary,
                dictionary.plain.len(),
            )?;
        }
        Ok(page)
    }

    /// Writes the dictionary uncompressed, if there is one that is not written.
    fn write_dictionary_as_it_is(&mut self) -> Result<(), Error> {
        let Some(DictionaryPage { plain, count, is_sorted }) = self.dictionary.take() else { return Ok(()) };
        let len = plain.len();
        self.write_dictionary(count, is_sorted, plain, len)
    }

    /// Writes a dictionary page, whose `bytes` had `uncompressed_len` before they were compressed.
    fn write_dictionary(
        &mut self,
        count: usize,
        is_sorted: bool,
        bytes: Vec<u8>,
        uncompressed_len: usize,
    ) -> Result<(), Error> {
        self.dictionary_at = Some(self.sink.bytes_written() as i64);
        let page = Page::DictionaryPage {
            buf: bytes.into(),
            num_values: u32::try_from(count).expect("keys are 32 bits"),
            encoding: Encoding::PLAIN,
            is_sorted,
        };
        self.write(page, uncompressed_len)?;
        self.count_page(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        Ok(())
    }

    /// A data page as it is written.
    fn packed(&mut self, raw: &[u8], packing: Packing) -> Result<Vec<u8>, Error> {
        match packing {
            Packing::Entropy => {
                Ok(self.codec.compress_by_entropy(raw)?.expect("was chosen for a codec that can"))
            }
            Packing::Repeats => self.codec.compress(raw),
            Packing::Stored => Ok(raw.to_vec()),
        }
    }

    /// Ends the chunk as one page of nothing but nulls: a few bytes, however many rows.
    pub(crate) fn nulls(mut self) -> Result<Chunk, Error> {
        let rows = self.shape.rows;
        self.packing = Some(Packing::Stored);
        if rows > 0 {
            self.page.clear();
            with_length(self.page, |levels| rle::run_of(0, rows, 1, levels));
            self.end_page(PageSummary { rows, nulls: rows, encoding: Encoding::PLAIN, bounds: None })?;
        }
        let nulls = Some(rows as u64);
        let statistics = match self.descr.physical_type() {
            Type::INT32 => Statistics::int32(None, None, None, nulls, false),
            Type::INT64 => Statistics::int64(None, None, None, nulls, false),
            Type::FIXED_LEN_BYTE_ARRAY => Statistics::fixed_len_byte_array(None, None, None, nulls, false),
            _ => Statistics::byte_array(None, None, None, nulls, false),
        };
        self.finish(statistics, BoundaryOrder::UNORDERED)
    }

    /// Ends the chunk; `statistics` are those of all its values, `order` that of its pages' bounds.
    pub(crate) fn finish(mut self, statistics: Statistics, order: BoundaryOrder) -> Result<Chunk, Error> {
        self.column_index.set_boundary_order(order);
        let bytes_written = self.sink.bytes_written() as u64;
        let mut encodings = vec![Encoding::RLE];
        for stats in &self.encoding_stats {
            if !encodings.contains(&stats.encoding) {
                encodings.push(stats.encoding);
            }
        }
        let metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression_codec(match self.packing {
                Some(Packing::Entropy | Packing::Repeats) => self.codec.parquet(),
                Some(Packing::Stored) | None => CompressionCodec::UNCOMPRESSED,
            })
            .set_encodings(encodings)
            .set_page_encoding_stats(self.encoding_stats)
            .set_total_compressed_size(bytes_written as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(self.data_at.unwrap_or_default())
            .set_dictionary_page_offset(self.dictionary_at)
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: self.filter,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        };
        let mut chunk = self.sink.into_inner()?;
        let bytes = Bytes::copy_from_slice(&chunk);
        chunk.clear();
        *self.chunk = chunk;
        Ok(Chunk { bytes, close })
    }

    fn write(&mut self, page: Page, uncompressed_len: usize) -> Result<(), Error> {
        let mut writer = SerializedPageWriter::new(&mut self.sink);
        let spec = writer.write_page(CompressedPage::new(page, uncompressed_len))?;
        self.uncompressed_bytes += spec.uncompressed_size;
        Ok(())
    }

    fn count_page(&mut self, page_type: PageType, encoding: Encoding) {
        match self.encoding_stats.iter_mut().find(|s| s.page_type == page_type && s.encoding == encoding) {
            Some(stats) => stats.count += 1,
            None => self.encoding_stats.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
    }
}

/// Levels of an optional column: 1 where a value is, 0 where null; four bytes of length before them (data page v1).
fn definition_levels(rows: usize, validity: Option<&NullBuffer>, out: &mut Vec<u8>) {
    with_length(out, |out| match validity {
        Some(nulls) if nulls.null_count() == rows => rle::run_of(0, rows, 1, out),
        Some(nulls) if nulls.null_count() > 0 => {
            let words = nulls.inner().bit_chunks();
            let mut bits: Vec<u8> = words.iter_padded().flat_map(u64::to_le_bytes).collect();
            bits.truncate(rows.div_ceil(8));
            rle::levels(&bits, rows, out);
        }
        _ => rle::run_of(1, rows, 1, out),
    });
}

/// Appends levels behind their length.
fn with_length(out: &mut Vec<u8>, levels: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    levels(out);
    let len = u32::try_from(out.len() - at - 4).expect("levels of a page are a few kilobytes");
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// The order of page bounds, which lets readers search instead of scan: `mins` and `maxs` of pages that are not all null.
pub(crate) fn boundary_order<T: PartialOrd>(bounds: &[(T, T)]) -> BoundaryOrder {
    if bounds.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
        BoundaryOrder::ASCENDING
    } else if bounds.is_sorted_by(|a, b| a.0 >= b.0 && a.1 >= b.1) {
        BoundaryOrder::DESCENDING
    } else {
        BoundaryOrder::UNORDERED
    }
}
