//! Pages of a column, within limits: a page is looked at before it is decompressed, and again before it is decoded.
//!
//! A file of a few bytes may promise pages of gigabytes, and keep the promise. What is decoded at once of all columns has a
//! limit, so that whoever gives such a file away costs its reader that much memory and no more.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes};
use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::thrift::{PageHead, is_sound_delta, page_head};
use super::window::{DECODED_BYTES_MAX, Window};

/// Most values of a page, nulls included: a page of nulls takes some bytes, however many there are.
const PAGE_VALUES_MAX: u64 = 1 << 26;

/// What a value of a dictionary takes beside its bytes.
const DICTIONARY_VALUE_BYTES: u64 = 32;

/// What the length of a delta-encoded text takes, twice where it has a prefix.
const LENGTH_BYTES: u64 = 8;

/// Rows that are read at once of columns whose texts may begin as the text before did: each may be as long as its page, which
/// makes that many times a page.
pub(super) const PREFIXED_ROWS: usize = 32;

/// Bytes of pages that a column goes on past in one reading: values keep the pages that they stand in, and thousands of them may
/// each have a page of their own. Writers make pages of about this size, so that it is one or two.
const READING_BYTES_MAX: u64 = 1 << 20;

/// Bytes that the columns of a row group hold decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded(AtomicU64);

/// What a column holds of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    dictionary: u64,
    page: u64,
    /// Bytes of the pages that this reading has come to.
    reading: u64,
    /// Where the page stands in the file whose header was read last, and what that says of it.
    head: Option<(u64, PageHead)>,
}

/// A column's part of a file.
struct ColumnSlices {
    compression: Compression,
    decoded: Arc<Decoded>,
    held: Reading,
}

/// What a column holds, as its values and its pages see it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    held: Arc<Mutex<Held>>,
    window: Arc<Window>,
}

impl Reading {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the file that the next page waits for, if it does.
    pub(super) fn wanted(&self) -> Option<Range<u64>> {
        self.window.wanted()
    }

    /// Takes bytes that were wanted, which stand at `start`.
    pub(super) fn put(&self, start: u64, bytes: Bytes) {
        self.window.put(start, bytes);
    }

    /// The values that were read are gone, and others are read.
    pub(super) fn begin(&self) {
        self.lock().reading = 0;
    }

    /// Whether no further page is read now.
    pub(super) fn is_full(&self) -> bool {
        self.lock().reading >= READING_BYTES_MAX
    }
}

fn outside(start: u64, length: usize) -> ParquetError {
    ParquetError::EOF(format!("{length} bytes at {start} lie outside"))
}

fn refused(what: String) -> ParquetError {
    ParquetError::General(what)
}

fn damaged_header() -> ParquetError {
    refused("a page whose header is damaged".to_owned())
}

impl Decoded {
    /// Counts `now` bytes in place of `before`.
    fn count(&self, before: &mut u64, now: u64) -> Result<(), ParquetError> {
        let others = self.0.load(Ordering::Relaxed) - *before;
        if others.saturating_add(now) > DECODED_BYTES_MAX {
            return Err(refused(format!(
                "pages of more than {DECODED_BYTES_MAX} bytes, which would have to be read at once"
            )));
        }
        self.0.store(others + now, Ordering::Relaxed);
        *before = now;
        Ok(())
    }
}

/// The reader of a column's values, whose chunk is in `window`. It ends where a reading is full or bytes are wanted, and goes on in the next
/// one.
pub(super) fn column_reader(
    window: Window,
    group: &RowGroupMetaData,
    index: usize,
    decoded: &Arc<Decoded>,
) -> Result<(ColumnReader, Reading), ParquetError> {
    let column = group.column(index);
    let rows = usize::try_from(group.num_rows())?;
    let held = Reading { held: Arc::default(), window: Arc::new(window) };
    let slices = Arc::new(ColumnSlices {
        compression: column.compression(),
        decoded: decoded.clone(),
        held: held.clone(),
    });
    let properties = Arc::new(ReaderProperties::builder().build());
    let pages = SerializedPageReader::new_with_properties(slices, column, rows, None, properties)?;
    let pages = Pages {
        pages,
        physical: column.column_type(),
        width: usize::try_from(column.column_descr().type_length()).unwrap_or_default(),
        has_levels: column.column_descr().max_def_level() > 0,
        may_have_prefixes: has_prefixes(group, index),
        decoded: decoded.clone(),
        held: held.clone(),
    };
    Ok((get_column_reader(column.column_descr_ptr(), Box::new(pages)), held))
}

/// Whether texts of a column may begin as the one before did.
pub(super) fn has_prefixes(group: &RowGroupMetaData, index: usize) -> bool {
    group.column(index).encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY)
}

impl Length for ColumnSlices {
    fn len(&self) -> u64 {
        self.held.window.end()
    }
}

impl ChunkReader for ColumnSlices {
    type T = bytes::buf::Reader<Bytes>;

    /// Asked for where a page's header begins.
    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let rest = self.held.window.from(start).ok_or_else(|| outside(start, 0))?.reader();
        let Some(head) = page_head(rest.get_ref()) else {
            return Err(damaged_header());
        };
        if head.values > PAGE_VALUES_MAX {
            return Err(refused(format!("a page of {} values, and {PAGE_VALUES_MAX} are read", head.values)));
        }
        if head.is_inflated() {
            let (bytes, compressed) = (head.bytes, head.compressed_bytes);
            return Err(refused(format!("a page of {bytes} bytes that are compressed to {compressed}")));
        }
        let mut held = self.held.lock();
        held.head = Some((start + head.header_bytes, head));
        if head.is_dictionary {
            let bytes = head.bytes.saturating_add(head.values * DICTIONARY_VALUE_BYTES);
            self.decoded.count(&mut held.dictionary, bytes)?;
        } else {
            self.decoded.count(&mut held.page, head.bytes)?;
        }
        Ok(rest)
    }

    /// Asked for a page's bytes, which are decompressed next. Its header was read twice, here and by who asks, and both found the same:
    /// what that one takes for granted (types of fields, for one) may be damaged.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let Some(head) =
            self.held.lock().head.and_then(|(at, head)| {
                ((at, head.compressed_bytes) == (start, length as u64)).then_some(head)
            })
        else {
            return Err(damaged_header());
        };
        let bytes = self.held.window.page(start, length).ok_or_else(|| outside(start, length))?;
        if !fits(self.compression, &bytes, head) {
            return Err(refused(format!("a page of more than the {} bytes that it tells of", head.bytes)));
        }
        Ok(bytes)
    }
}

/// Whether a page is no longer than its header says, where the decoder does not see to it and it could be far longer.
fn fits(compression: Compression, bytes: &[u8], head: PageHead) -> bool {
    /// What is shorter becomes less than half of what may be decoded: deflate makes 1,032 bytes of one at most, LZ4 255.
    const SHORT_BYTES: usize = 256 << 10;
    // Levels of pages of version 2 stand before what is compressed.
    let levels = usize::try_from(head.levels).unwrap_or(usize::MAX);
    let Some(bytes) = bytes.get(levels..).filter(|_| head.is_compressed) else { return true };
    let is_unbounded = matches!(compression, Compression::BROTLI(_));
    (bytes.len() <= SHORT_BYTES && !is_unbounded)
        || is_within(compression, bytes, head.bytes.saturating_sub(head.levels))
}

/// Whether `bytes` become at most so many. Damage is the decoder's to find.
fn is_within(compression: Compression, bytes: &[u8], uncompressed: u64) -> bool {
    let count = |reader: &mut dyn Read| {
        let read = io::copy(&mut reader.take(uncompressed.saturating_add(1)), &mut io::sink());
        read.map_or(true, |read| read <= uncompressed)
    };
    match compression {
        Compression::BROTLI(_) => {
            const BUFFER_BYTES: usize = 64 << 10;
            count(&mut brotli::Decompressor::new(bytes, BUFFER_BYTES))
        }
        Compression::GZIP(_) => count(&mut flate2::read::MultiGzDecoder::new(bytes)),
        // Files of old writers hold frames; blocks cannot be longer than they are told to be.
        Compression::LZ4 => count(&mut lz4_flex::frame::FrameDecoder::new(bytes)),
        _ => true,
    }
}

/// Pages, looked at before their values are decoded.
struct Pages {
    pages: SerializedPageReader<ColumnSlices>,
    physical: PhysicalType,
    /// Bytes of a value of fixed length.
    width: usize,
    has_levels: bool,
    may_have_prefixes: bool,
    decoded: Arc<Decoded>,
    held: Reading,
}

impl Drop for Pages {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        let Held { dictionary, page, .. } = &mut *held;
        for bytes in [dictionary, page] {
            // Less never fails.
            let _ = self.decoded.count(bytes, 0);
        }
    }
}

impl Pages {
    fn check(&self, page: &Page) -> Result<(), ParquetError> {
        let damaged = |what: &str| Err(refused(format!("a page whose {what}")));
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let least = match self.physical {
                    PhysicalType::BOOLEAN => return damaged("values need no dictionary"),
                    PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
                    PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
                    PhysicalType::INT96 => 12,
                    PhysicalType::FIXED_LEN_BYTE_ARRAY => self.width.max(1),
                };
                if *num_values as usize > buf.len() / least {
                    return damaged("dictionary is too short");
                }
            }
            Page::DataPage { buf, num_values, encoding, .. } => {
                // Levels stand before the values, behind their length.
                let values = match buf.first_chunk::<4>() {
                    _ if !self.has_levels => Some(&buf[..]),
                    Some(length) => buf.get(4 + u32::from_le_bytes(*length) as usize..),
                    None => None,
                };
                return self.check_texts(*encoding, values, u64::from(*num_values), buf.len());
            }
            Page::DataPageV2 {
                buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let levels = (*def_levels_byte_len as usize).saturating_add(*rep_levels_byte_len as usize);
                return self.check_texts(*encoding, buf.get(levels..), u64::from(*num_values), buf.len());
            }
        }
        Ok(())
    }

    /// Of texts whose lengths stand apart, memory is taken by what is said of them.
    fn check_texts(
        &self,
        encoding: Encoding,
        values: Option<&[u8]>,
        count: u64,
        page_bytes: usize,
    ) -> Result<(), ParquetError> {
        let has_prefixes = match encoding {
            Encoding::DELTA_BYTE_ARRAY => true,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => false,
            _ => return Ok(()),
        };
        let is_expected = self.may_have_prefixes || !has_prefixes;
        // Of nulls there is nothing to read.
        let is_sound = values.is_some_and(|v| v.is_empty() || is_sound_delta(v, has_prefixes, count));
        if !is_expected || !is_sound {
            return Err(refused("a page whose lengths of texts are damaged".to_owned()));
        }
        let rows = if has_prefixes { PREFIXED_ROWS as u64 } else { 1 };
        let bytes = (page_bytes as u64 * rows).saturating_add(count * LENGTH_BYTES);
        self.decoded.count(&mut self.held.lock().page, bytes)
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        if self.held.is_full() || self.held.wanted().is_some() {
            return Ok(None);
        }
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
            // A dictionary comes once, and values stand in none of its bytes alone.
            let is_data = !matches!(page, Page::DictionaryPage { .. });
            self.held.lock().reading += if is_data { page.buffer().len() as u64 } else { 0 };
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.pages.at_record_boundary()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn pages_that_are_longer_than_they_say_are_found_before_they_are_read() {
        let zeros = vec![0; 100_000];
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4_096, 1, 22).write_all(&zeros).expect("into memory");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        gzip.write_all(&zeros).expect("into memory");
        lz4.write_all(&zeros).expect("into memory");
        let (gzip, lz4) = (gzip.finish().expect("into memory"), lz4.finish().expect("into memory"));
        for (compression, bytes) in [
            (Compression::BROTLI(Default::default()), brotli),
            (Compression::GZIP(Default::default()), gzip),
            (Compression::LZ4, lz4),
        ] {
            for (length, expected) in [(100_000, true), (100_001, true), (99_999, false), (0, false)] {
                assert_eq!(is_within(compression, &bytes, length), expected, "{compression} {length}");
            }
            assert!(is_within(compression, b"no such data", 0), "the decoder finds that");
        }
    }

    #[test]
    fn what_is_decoded_has_a_limit_over_all_columns() {
        let decoded = Decoded::default();
        let (mut one, mut two) = (0, 0);
        decoded.count(&mut one, DECODED_BYTES_MAX / 2).expect("fits");
        decoded.count(&mut two, DECODED_BYTES_MAX / 2).expect("fits");
        assert!(decoded.count(&mut two, DECODED_BYTES_MAX / 2 + 1).is_err());
        decoded.count(&mut one, 0).expect("less");
        decoded.count(&mut two, DECODED_BYTES_MAX).expect("fits");
        assert!(decoded.count(&mut one, u64::MAX).is_err());
    }
}
