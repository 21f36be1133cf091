//! Files that are damaged, or made to harm: each is read or refused by a message, within a bound of memory, and nothing panics.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use flowquet_parquet::{RowReader, RowsError, Wanted};
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Variants of the good files, all together.
const VARIANTS: usize = 1_000;

/// What reading all of them may add to the memory of this process. One alone may hold 512 MiB of decoded pages.
const MEMORY_MAX_KIB: u64 = 1 << 20;

const SCHEMA: &str =
    "message rows { required int32 version; optional binary srcaddr (UTF8); required binary vpc_id (UTF8);
     optional int64 start; optional double packets; }";

fn good(rows: usize, text: impl Fn(usize) -> ByteArray, properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("begins");
    for _ in 0..2 {
        let mut group = file.next_row_group().expect("begins");
        let levels: Vec<i16> = (0..rows).map(|i| i16::from(i % 5 > 0)).collect();
        let present: Vec<usize> = (0..rows).filter(|i| i % 5 > 0).collect();
        macro_rules! column {
            ($kind:ty, $values:expr, $levels:expr) => {
                let mut writer = group.next_column().expect("a column").expect("one more");
                writer.typed::<$kind>().write_batch(&$values, $levels, None).expect("writes");
                writer.close().expect("closes");
            };
        }
        let texts = |rows: &mut dyn Iterator<Item = usize>| -> Vec<ByteArray> { rows.map(&text).collect() };
        column!(Int32Type, vec![2; rows], None);
        column!(ByteArrayType, texts(&mut present.iter().copied()), Some(&levels));
        column!(ByteArrayType, texts(&mut (0..rows)), None);
        let times: Vec<i64> = present.iter().map(|i| 1_705_276_800 + *i as i64).collect();
        column!(Int64Type, times, Some(&levels));
        column!(DoubleType, present.iter().map(|i| *i as f64).collect::<Vec<_>>(), Some(&levels));
        group.close().expect("closes");
    }
    file.into_inner().expect("ends")
}

fn properties(
    encoding: Option<Encoding>,
    compression: Compression,
    version: WriterVersion,
) -> WriterProperties {
    let builder = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(version)
        .set_data_page_row_count_limit(90)
        .set_write_batch_size(30);
    match encoding {
        None => builder.build(),
        Some(encoding) => {
            let builder = builder.set_dictionary_enabled(false);
            ["srcaddr", "vpc_id"]
                .into_iter()
                .fold(builder, |builder, column| builder.set_column_encoding(column.into(), encoding))
                .build()
        }
    }
}

/// Good files of all encodings and compressions.
fn all_good() -> Vec<Vec<u8>> {
    let (v1, v2) = (WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0);
    let gzip = Compression::GZIP(GzipLevel::default());
    let brotli = Compression::BROTLI(BrotliLevel::default());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    [
        (None, Compression::UNCOMPRESSED, v1),
        (None, Compression::SNAPPY, v2),
        (None, zstd, v1),
        (Some(Encoding::PLAIN), gzip, v1),
        (Some(Encoding::PLAIN), brotli, v2),
        (Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), Compression::UNCOMPRESSED, v1),
        (Some(Encoding::DELTA_BYTE_ARRAY), Compression::UNCOMPRESSED, v2),
        (Some(Encoding::DELTA_BYTE_ARRAY), Compression::LZ4_RAW, v1),
        (Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), Compression::LZ4, v2),
    ]
    .into_iter()
    .map(|(encoding, compression, version)| {
        let text = |i| ByteArray::from(format!("10.0.{}.{}", i % 7, i % 31).as_str());
        good(200, text, properties(encoding, compression, version))
    })
    .collect()
}

/// The rows that a file is read as, and the most bytes that were handed on at once; or why it is not read.
fn read(file: &Bytes) -> Result<(u64, usize), String> {
    let ranges = |range: Range<u64>| -> Result<Bytes, String> {
        let within = range.start <= range.end && range.end <= file.len() as u64;
        if within {
            Ok(file.slice(range.start as usize..range.end as usize))
        } else {
            Err(format!("{range:?}"))
        }
    };
    let told = |error: RowsError<String>| match error {
        RowsError::File(what) => what,
        // A store is never asked for what does not lie in the object.
        RowsError::Other(range) => panic!("asked for {range} of {} bytes", file.len()),
    };
    let reader = RowReader::open(file.len() as u64, &ranges).map_err(told)?;
    let lines = reader.lines(&Wanted::default())?;
    let (mut rows, mut most) = (0, 0);
    let mut take = |lines: &[u8]| {
        rows += lines.iter().filter(|b| **b == b'\n').count() as u64;
        most = most.max(lines.len());
        Ok(())
    };
    reader.read_lines(&lines, &ranges, &mut take).map_err(told)?;
    Ok((rows, most))
}

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// Damages a file in one of many ways.
fn damaged(good: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let footer = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().expect("long enough")) as usize;
    let len = bytes.len();
    // Half of the places lie in the footer, whose bytes are few and mean most.
    let place = |numbers: &mut Numbers| match numbers.below(2) {
        0 => numbers.below(len),
        _ => len - 8 - footer + numbers.below(footer + 8),
    };
    match numbers.below(8) {
        0..3 => (0..=numbers.below(3)).for_each(|_| bytes[place(numbers)] ^= 1 << numbers.below(8)),
        3 => bytes.truncate(numbers.below(len)),
        // A part is gone from the midst.
        4 => {
            let at = place(numbers);
            bytes.drain(at..(at + 1 + numbers.below(20)).min(len));
        }
        // Large numbers.
        5 => {
            let at = place(numbers);
            bytes[at..(at + 1 + numbers.below(6)).min(len)].fill(0xff);
        }
        6 => bytes[place(numbers)] = [0, 1, 0x7f, 0x80, 0xfe][numbers.below(5)],
        // Another place's bytes.
        _ => {
            let (from, to, count) = (place(numbers), place(numbers), 1 + numbers.below(40));
            let part = bytes[from..(from + count).min(len)].to_vec();
            let end = (to + part.len()).min(len);
            bytes[to..end].copy_from_slice(&part[..end - to]);
        }
    }
    bytes
}

#[test]
fn damaged_files_are_read_or_refused() {
    let good = all_good();
    let before = peak_memory_kib();
    for file in &good {
        assert_eq!(read(&Bytes::from(file.clone())).expect("whole").0, 400);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut caught) = (0, 0);
    for n in 0..VARIANTS {
        let bytes = damaged(&good[n % good.len()], &mut numbers);
        match catch_unwind(AssertUnwindSafe(|| read(&Bytes::from(bytes)))) {
            Ok(Ok(_)) => {}
            Ok(Err(told)) => {
                refused += 1;
                caught += usize::from(told.contains("its decoder cannot handle"));
                assert!(told.starts_with("expected"), "variant {n}: {told}");
            }
            Err(_) => panic!("variant {n} panics"),
        }
    }
    assert!(refused > VARIANTS / 3, "{refused} of {VARIANTS}: the damage is no damage");
    assert!(caught > 0, "no decoder panics any more: the guard may go");
    let grown = peak_memory_kib() - before;
    assert!(grown < MEMORY_MAX_KIB, "{grown} KiB");
}

#[test]
fn long_texts_in_a_small_file_are_handed_on_piece_by_piece() {
    for (encoding, rows, bytes) in
        [(None, 400, 100_000), (None, 10, 5_000_000), (Some(Encoding::DELTA_BYTE_ARRAY), 60, 100_000)]
    {
        let long = ByteArray::from("a".repeat(bytes).into_bytes());
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let file = good(rows, |_| long.clone(), properties(encoding, zstd, WriterVersion::PARQUET_1_0));
        assert!(file.len() < 100_000, "{} bytes", file.len());
        match read(&Bytes::from(file)) {
            Ok((read, most)) => {
                assert_eq!(read, 2 * rows as u64);
                // A mebibyte, and a line of two long values.
                assert!(most < (1 << 20) + 2 * (5 << 20), "{most}");
            }
            Err(told) => assert!(told.contains("which would have to be read at once"), "{told}"),
        }
    }
}
