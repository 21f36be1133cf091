//! Files of every type are written by the `parquet` crate and read back as lines.

use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::{Catalogue, LogFormat, ROWS_MARK, TIME_MS_MIN, Types, is_null_word, put_back};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::*;

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;
type Write<'a> = Box<dyn Fn(&mut Group<'_>) + 'a>;

/// Writes one column, of which some values may be missing.
fn column<T: DataType>(values: &[Option<T::T>]) -> Write<'_> {
    Box::new(move |group| {
        let mut writer = group.next_column().expect("a column").expect("one more");
        let present: Vec<T::T> = values.iter().flatten().cloned().collect();
        let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
        writer.typed::<T>().write_batch(&present, Some(&levels), None).expect("writes");
        writer.close().expect("closes");
    })
}

fn file_of(schema: &str, compression: Compression, columns: &[Write<'_>]) -> Bytes {
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {schema} }}")).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).expect("begins");
    let mut group = file.next_row_group().expect("begins");
    columns.iter().for_each(|write| write(&mut group));
    group.close().expect("closes");
    file.into_inner().expect("ends").into()
}

fn file(schema: &str, columns: &[Write<'_>]) -> Bytes {
    file_of(schema, Compression::SNAPPY, columns)
}

fn wanted(types: Types) -> Wanted {
    Wanted::all(Arc::new(Catalogue::builtin().clone()), types)
}

/// The lines of a file, what was carried in them put back: the header line first. They are the same whether its columns are read whole or page
/// by page.
#[track_caller]
fn lines(file: &Bytes, wanted: &Wanted) -> Result<Vec<Vec<String>>, String> {
    let whole = lines_ahead(file, wanted, AHEAD_BYTES);
    for ahead in [0, 100] {
        assert_eq!(lines_ahead(file, wanted, ahead), whole, "{ahead} bytes ahead");
    }
    whole
}

fn lines_ahead(file: &Bytes, wanted: &Wanted, ahead: u64) -> Result<Vec<Vec<String>>, String> {
    let ranges =
        |range: Range<u64>| -> Result<Bytes, ()> { Ok(file.slice(range.start as usize..range.end as usize)) };
    let told = |error: RowsError<()>| match error {
        RowsError::File(what) => what,
        RowsError::Other(()) => unreachable!("memory does not fail"),
    };
    let reader = RowReader::open(file.len() as u64, &ranges).map_err(told)?;
    let reader = RowReader { ahead, ..reader };
    let lines = reader.lines(wanted)?;
    let mut text = Vec::new();
    let mut take = |lines: &[u8]| {
        text.extend_from_slice(lines);
        Ok(())
    };
    reader.read_lines(&lines, &ranges, &mut take).map_err(told)?;
    let header = lines.header(std::str::from_utf8(&text).is_err());
    text.splice(0..0, header.strip_prefix(ROWS_MARK).unwrap_or(&header).iter().copied());
    let value = |value: &[u8]| {
        let mut value = value.to_owned();
        put_back(&mut value);
        String::from_utf8_lossy(&value).into_owned()
    };
    let text = text.strip_suffix(b"\n").expect("ends in a newline");
    let lines = text.split(|b| *b == b'\n');
    Ok(lines.map(|line| line.split(|b| *b == b' ').map(value).collect()).collect())
}

/// The values of one column beside `version`.
#[track_caller]
fn check<T: DataType>(kind: &str, name: &str, values: &[Option<T::T>], expected: &[&str]) {
    let versions = vec![Some(2); values.len()];
    let columns = [column::<T>(values), column::<Int32Type>(&versions)];
    let file = file(&format!("optional {kind}; optional int32 version;"), &columns);
    let found = lines(&file, &wanted(Types::Aws)).expect("readable");
    assert_eq!(found[0], [name, "version"]);
    let found: Vec<&str> = found[1..].iter().map(|line| line[0].as_str()).collect();
    assert_eq!(found, expected, "{kind}");
}

fn some<T>(values: impl IntoIterator<Item = T>) -> Vec<Option<T>> {
    values.into_iter().map(Some).collect()
}

fn bytes(texts: &[&str]) -> Vec<Option<ByteArray>> {
    some(texts.iter().map(|t| ByteArray::from(*t)))
}

fn fixed(values: &[&[u8]]) -> Vec<Option<FixedLenByteArray>> {
    some(values.iter().map(|v| FixedLenByteArray::from(v.to_vec())))
}

#[test]
fn numbers() {
    check::<DoubleType>(
        "double srcport",
        "srcport",
        &[Some(443.0), None, Some(f64::NAN)],
        &["443", "-", "-"],
    );
    check::<DoubleType>("double srcport", "srcport", &some([443.5, -0.0]), &["443.5", "0"]);
    check::<FloatType>("float bytes", "bytes", &some([840.0, 16_777_216.0]), &["840", "16777216"]);
    check::<FixedLenByteArrayType>(
        "fixed_len_byte_array(2) srcport (FLOAT16)",
        "srcport",
        &fixed(&[&0x5eec_u16.to_le_bytes(), &0x7e00_u16.to_le_bytes()]),
        &["443", "-"],
    );
    check::<Int32Type>("int32 bytes (INTEGER(32,false))", "bytes", &some([-1]), &["4294967295"]);
    check::<Int32Type>("int32 bytes (UINT_8)", "bytes", &some([200]), &["200"]);
    check::<Int64Type>("int64 bytes (INTEGER(64,false))", "bytes", &some([-1]), &["18446744073709551615"]);
    check::<Int32Type>("int32 srcport (INTEGER(16,true))", "srcport", &some([-443]), &["-443"]);
    check::<Int32Type>("int32 bytes (DECIMAL(9,2))", "bytes", &some([84_000, 84_050]), &["840", "840.5"]);
    check::<Int64Type>("int64 bytes (DECIMAL(18,0))", "bytes", &some([i64::MAX]), &["9223372036854775807"]);
    check::<FixedLenByteArrayType>(
        "fixed_len_byte_array(16) bytes (DECIMAL(38,3))",
        "bytes",
        &fixed(&[&840_000i128.to_be_bytes(), &(-1i128).to_be_bytes()]),
        &["840", "-0.001"],
    );
    check::<ByteArrayType>(
        "binary bytes (DECIMAL(38,0))",
        "bytes",
        &some([ByteArray::from(vec![0xff]), ByteArray::from(vec![1, 0])]),
        &["-1", "256"],
    );
    check::<BoolType>("boolean seen", "seen", &[Some(true), None, Some(false)], &["true", "-", "false"]);
}

#[test]
fn times() {
    let at = 1_704_067_200;
    for (unit, per_second) in [("MILLIS", 1_000), ("MICROS", 1_000_000), ("NANOS", 1_000_000_000)] {
        let values = some([at * per_second, at * per_second + per_second / 2]);
        let kind = format!("int64 start (TIMESTAMP({unit},true))");
        check::<Int64Type>(&kind, "start", &values, &["1704067200", "2024-01-01T00:00:00.5Z"]);
        let kind = format!("int64 end (TIMESTAMP({unit},false))");
        check::<Int64Type>(&kind, "end", &values, &["1704067200", "2024-01-01T00:00:00.5"]);
        let kind = format!("int64 start (TIMESTAMP({unit},true))");
        let file = file(&format!("optional {kind};"), &[column::<Int64Type>(&values)]);
        // A table of rich types holds milliseconds.
        let found = lines(&file, &wanted(Types::Rich)).expect("readable");
        assert_eq!(found[1..], [["1704067200"], ["1704067200500"]]);
    }
    check::<Int64Type>("int64 start (TIMESTAMP_MICROS)", "start", &some([at * 1_000_000]), &["1704067200"]);
    let int96 = |nanos: u32, day| {
        let mut value = Int96::new();
        value.set_data(nanos, 0, day);
        value
    };
    let values = [Some(int96(0, 2_460_311)), None, Some(int96(1_000, 2_460_311))];
    check::<Int96Type>("int96 start", "start", &values, &["1704067200", "-", "2024-01-01T00:00:00.000001Z"]);
    check::<Int32Type>("int32 date_seen (DATE)", "date_seen", &some([19_723]), &["2024-01-01"]);
    // A day is no time.
    check::<Int32Type>("int32 start (DATE)", "start", &some([19_723]), &["2024-01-01"]);
    check::<Int32Type>("int32 clock (TIME(MILLIS,true))", "clock", &some([3_723_004]), &["01:02:03.004"]);
    check::<Int64Type>("int64 clock (TIME(NANOS,true))", "clock", &some([1]), &["00:00:00.000000001"]);
    check::<Int64Type>("int64 start (INTEGER(64,true))", "start", &some([at]), &["1704067200"]);
}

#[test]
fn texts() {
    let texts = bytes(&["eni-1", "", "-", "a b", "line\r\nend", "ä"]);
    check::<ByteArrayType>(
        "binary team (STRING)",
        "team",
        &texts,
        &["eni-1", "-", "-", "a b", "line\r\nend", "ä"],
    );
    check::<ByteArrayType>("binary team (JSON)", "team", &bytes(&["{\"a\": 1}"]), &["{\"a\": 1}"]);
    check::<ByteArrayType>("binary srcaddr", "srcaddr", &bytes(&["10.0.0.5"]), &["10.0.0.5"]);
    let uuid: Vec<u8> = (0..16).collect();
    let expected = "00010203-0405-0607-0809-0a0b0c0d0e0f";
    check::<FixedLenByteArrayType>("fixed_len_byte_array(16) id (UUID)", "id", &fixed(&[&uuid]), &[expected]);
    check::<FixedLenByteArrayType>("fixed_len_byte_array(2) code", "code", &fixed(&[b"OK"]), &["OK"]);
    // Of no UTF-8 nothing is made up.
    let odd = some([ByteArray::from(vec![b'a', 0xfc]), ByteArray::from(vec![0x80])]);
    check::<ByteArrayType>("binary team", "team", &odd, &["a\u{fffd}", "\u{fffd}"]);
}

#[test]
fn accounts_regain_their_zeros() {
    let expected = ["000000012345", "-"];
    check::<Int64Type>("int64 account_id", "account_id", &[Some(12_345), None], &expected);
    check::<DoubleType>("double account_id", "account_id", &[Some(12_345.0), None], &expected);
    check::<Int32Type>("int32 account_id (UINT_32)", "account_id", &[Some(12_345), None], &expected);
    check::<Int64Type>("int64 account_id (DECIMAL(12,0))", "account_id", &[Some(12_345), None], &expected);
    let name = "tgw_src_vpc_account_id";
    check::<Int64Type>(&format!("int64 {name}"), name, &[Some(12_345), None], &expected);
    check::<ByteArrayType>("binary account_id", "account_id", &bytes(&["12345"]), &["12345"]);
    check::<Int64Type>("int64 srcport", "srcport", &some([22]), &["22"]);
}

#[test]
fn names_of_others() {
    let number = some([7i64]);
    let schema = "optional int64 SourcePort; optional int64 numBytes; optional int64 start_time; \
                  optional int64 __index_level_0__; optional int64 log_status; optional int64 team;";
    let columns: Vec<Write<'_>> = (0..6).map(|_| column::<Int64Type>(&number)).collect();
    let found = lines(&file(schema, &columns), &wanted(Types::Aws)).expect("readable");
    assert_eq!(found[0], ["srcport", "bytes", "start", "log_status", "team"]);
    assert_eq!(found[1], ["7"; 5]);
}

const NESTED: &str = "optional int32 srcport; optional group tags (LIST) { repeated group list { optional binary element (STRING); } } \
                      optional group about { optional int32 a; optional int32 b; } optional int32 day (DATE); optional binary team;";

/// A column of one row without a value.
fn null<T: DataType>(repeats: Option<&'static [i16]>) -> Write<'static> {
    Box::new(move |group| {
        let mut writer = group.next_column().expect("a column").expect("one more");
        writer.typed::<T>().write_batch(&[], Some(&[0]), repeats).expect("writes");
        writer.close().expect("closes");
    })
}

fn nested() -> Bytes {
    let (ports, days, teams) = (some([443]), some([19_723]), bytes(&["a b"]));
    let columns = [
        column::<Int32Type>(&ports),
        null::<ByteArrayType>(Some(&[0])),
        null::<Int32Type>(None),
        null::<Int32Type>(None),
        column::<Int32Type>(&days),
        column::<ByteArrayType>(&teams),
    ];
    file(NESTED, &columns)
}

#[test]
fn what_is_not_wanted_is_not_looked_at() {
    let file = nested();
    let only = |names: &[&str]| lines(&file, &wanted(Types::Aws).only(names.iter().copied()));
    assert_eq!(only(&["srcport"]), Ok(vec![vec!["srcport".into()], vec!["443".into()]]));
    let two = [["srcport", "team"], ["443", "a b"]].map(|line| line.map(str::to_owned).to_vec());
    assert_eq!(only(&["srcport", "team"]), Ok(two.to_vec()));
    // A known field keeps its place.
    assert_eq!(only(&["day"]).expect("readable")[1], ["-", "2024-01-01"]);
    let told = only(&["srcport", "tags"]).expect_err("a list");
    let expected =
        "expected one value a row in column `tags`, found values that are lists or have fields of their own";
    assert_eq!(told, expected);
    assert!(only(&["about"]).is_err() && lines(&file, &wanted(Types::Aws)).is_err());
    // Bytes of columns that are not wanted may be anything.
    let (port, text) = (some([443]), bytes(&["10.0.0.5"]));
    let schema = "optional binary srcaddr; optional int32 srcport;";
    let whole = super::tests::file(schema, &[column::<ByteArrayType>(&text), column::<Int32Type>(&port)]);
    let mut broken = whole.to_vec();
    broken[4..30].fill(0xff);
    let broken = Bytes::from(broken);
    assert!(lines(&broken, &wanted(Types::Aws)).is_err());
    assert_eq!(lines(&broken, &wanted(Types::Aws).only(["srcport"])).expect("readable")[1], ["-", "443"]);
}

#[test]
fn statuses_are_counted_whatever_is_wanted() {
    let statuses = bytes(&["OK", "NODATA", "some thing", "SKIPDATA"]);
    let ports = some([1, 2, 3, 4]);
    let schema = "optional int32 srcport; optional binary log_status (STRING);";
    let file = file(schema, &[column::<Int32Type>(&ports), column::<ByteArrayType>(&statuses)]);
    let found = lines(&file, &wanted(Types::Aws).only(["srcport"])).expect("readable");
    let found: Vec<&str> = found[1..].iter().map(|line| line[1].as_str()).collect();
    assert_eq!(found, ["OK", "NODATA", "?", "SKIPDATA"]);
}

#[test]
fn files_of_no_flow_log() {
    let number = some([7]);
    let told = |names: &[&str]| {
        let schema: String = names.iter().map(|name| format!("optional int32 {name}; ")).collect();
        let columns: Vec<Write<'_>> = names.iter().map(|_| column::<Int32Type>(&number)).collect();
        lines(&file(&schema, &columns), &wanted(Types::Aws)).map(|lines| lines[0].join(" "))
    };
    let expected = "expected columns named after fields of a flow log, found `price`, `size`, `start`";
    assert_eq!(told(&["price", "size", "start"]), Err(expected.to_owned()));
    let many = told(&["a", "b", "c", "d", "e", "f", "g"]).expect_err("none");
    assert!(many.ends_with("found `a`, `b`, `c`, `d`, `e` and 2 more"), "{many}");
    // Lines whose account and region stand beside them; and columns of a flow log beside which something is called a message.
    let (id, line) = (some([ByteArray::from("1")]), some([ByteArray::from("2 1 eni-1 a")]));
    let texts = |names: &str| {
        let schema: String = names.split(' ').map(|n| format!("optional binary {n} (STRING); ")).collect();
        let column_of = |name| column::<ByteArrayType>(if name == "message" { &line } else { &id });
        let columns: Vec<Write<'_>> = names.split(' ').map(column_of).collect();
        lines(&file(&schema, &columns), &wanted(Types::Aws)).map(|lines| lines[0].join(" "))
    };
    assert_eq!(texts("account_id region message").as_deref(), Ok("2 1 eni-1 a"));
    assert_eq!(texts("srcaddr start message").as_deref(), Ok("srcaddr start message"));
    // Somebody has put columns beside those of a flow log.
    let enriched = ["srcaddr", "dstaddr", "start", "end", "a", "b", "c", "d", "e", "f", "g"];
    assert_eq!(told(&enriched), Ok(enriched.join(" ")));
}

#[test]
fn every_compression() {
    let rows: Vec<Option<i64>> = (0..20_000).map(|i| (i % 7 > 0).then_some(i * i)).collect();
    let texts: Vec<Option<ByteArray>> =
        (0..20_000).map(|i| Some(ByteArray::from(format!("10.0.{}.{}", i % 31, i % 251).as_str()))).collect();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let schema = "optional int64 bytes; optional binary srcaddr (STRING);";
        let file =
            file_of(schema, compression, &[column::<Int64Type>(&rows), column::<ByteArrayType>(&texts)]);
        let found = lines(&file, &wanted(Types::Aws)).expect("readable");
        let expected = (0..20_000usize).map(|i| {
            let bytes = rows[i].map_or("-".to_owned(), |n| n.to_string());
            vec![bytes, format!("10.0.{}.{}", i % 31, i % 251)]
        });
        assert!(found[1..].iter().cloned().eq(expected), "{compression:?}");
    }
}

#[test]
fn a_header_that_no_text_would_have_is_marked() {
    let number = some([7]);
    let schema = "optional int32 srcport; optional int32 start; optional int32 end; optional int32 bytes; \
                  optional int32 a; optional int32 b; optional int32 c; optional int32 d; optional int32 e;";
    let columns: Vec<Write<'_>> = (0..9).map(|_| column::<Int32Type>(&number)).collect();
    let file = file(schema, &columns);
    let ranges =
        |range: Range<u64>| -> Result<Bytes, ()> { Ok(file.slice(range.start as usize..range.end as usize)) };
    let reader = RowReader::open(file.len() as u64, &ranges).expect("whole");
    let all = reader.lines(&wanted(Types::Aws)).expect("readable");
    assert_eq!(all.header(false), [ROWS_MARK, b"srcport start end bytes a b c d e\n"].concat());
    let known = reader.lines(&wanted(Types::Aws).only(["start"])).expect("readable");
    assert_eq!(known.header(false), b"srcport start end bytes\n");
    assert_eq!(known.header(true), [ROWS_MARK, b"srcport start end bytes\n"].concat());
    assert_eq!(
        known.format().map(LogFormat::to_string).as_deref(),
        Some("${srcport} ${start} ${end} ${bytes}")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_values_come_back(
        rows in proptest::collection::vec(
            (
                proptest::option::of(any::<f64>()),
                proptest::option::of(any::<i64>()),
                proptest::option::of("[ -~äßλ漢\n\r\t]{0,12}"),
                proptest::option::of(any::<u32>()),
            ),
            1..200,
        ),
    ) {
        let doubles: Vec<_> = rows.iter().map(|r| r.0).collect();
        let micros: Vec<_> = rows.iter().map(|r| r.1).collect();
        let texts: Vec<_> = rows.iter().map(|r| r.2.as_deref().map(ByteArray::from)).collect();
        let unsigned: Vec<_> = rows.iter().map(|r| r.3.map(|n| n as i32)).collect();
        let schema = "optional double bytes; optional int64 start (TIMESTAMP(MICROS,true)); \
                      optional binary srcaddr (STRING); optional int32 packets (UINT_32);";
        let file = file(schema, &[
            column::<DoubleType>(&doubles),
            column::<Int64Type>(&micros),
            column::<ByteArrayType>(&texts),
            column::<Int32Type>(&unsigned),
        ]);
        let found = lines(&file, &wanted(Types::Aws)).expect("readable");
        prop_assert_eq!(found.len(), rows.len() + 1);
        for (line, (double, micros, text, unsigned)) in found[1..].iter().zip(&rows) {
            match double {
                Some(n) if !n.is_nan() => prop_assert_eq!(line[0].parse::<f64>(), Ok(*n)),
                _ => prop_assert_eq!(&line[0], "-"),
            }
            match micros {
                None => prop_assert_eq!(&line[1], "-"),
                // Later ones would be read as milliseconds.
                Some(n) if n % 1_000_000 == 0 && (0..TIME_MS_MIN).contains(&(n / 1_000_000)) => {
                    prop_assert_eq!(&line[1], &(n / 1_000_000).to_string());
                }
                // No number, so that its line is a reject.
                Some(_) => prop_assert!(line[1].ends_with('Z') && line[1].contains('T')),
            }
            let is_value = |text: &&str| !text.is_empty() && !is_null_word(text.as_bytes());
            prop_assert_eq!(&line[2], text.as_deref().filter(is_value).unwrap_or("-"));
            prop_assert_eq!(&line[3], &unsigned.map_or("-".to_owned(), |n| n.to_string()));
        }
    }
}

/// A file of two columns and some pages each, one of them a dictionary's.
fn paged() -> Bytes {
    let texts = some((0..3_000).map(|i| ByteArray::from(format!("vpc-{}", i % 700).as_str())));
    let numbers = some((0..3_000).map(|i| i * 7919));
    let columns = [column::<ByteArrayType>(&texts), column::<Int64Type>(&numbers)];
    let schema = "message rows { optional byte_array vpc_id (UTF8); optional int64 bytes; }";
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_data_page_size_limit(1_000)
        .set_write_batch_size(100);
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut file =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).expect("begins");
    let mut group = file.next_row_group().expect("begins");
    columns.iter().for_each(|write| write(&mut group));
    group.close().expect("closes");
    file.into_inner().expect("ends").into()
}

/// What a damaged file is read as, which is the same whichever part of it is in memory.
fn read_in_parts(file: &Bytes) -> Option<Vec<Vec<String>>> {
    let whole = lines_ahead(file, &wanted(Types::Aws), AHEAD_BYTES).ok();
    for ahead in [0, 100, 5_000] {
        assert_eq!(lines_ahead(file, &wanted(Types::Aws), ahead).ok(), whole, "{ahead} bytes ahead");
    }
    whole
}

#[test]
fn fields_of_headers_that_have_another_type() {
    // A field of a page's header is a struct by its first byte, 0x2c; decoders go on as if it were one, whatever stands there.
    let file = paged();
    let begins_header = |at: &usize| file[*at..].starts_with(&[0x2c, 0x15]);
    let headers: Vec<usize> = (0..file.len() - 1_000).filter(begins_header).collect();
    assert!(headers.len() >= 8, "{headers:?}");
    for at in headers {
        for kind in [0x21, 0x22, 0x25, 0x28, 0x29, 0x2b, 0x2d, 0x1c, 0x3c] {
            let mut damaged = file.to_vec();
            damaged[at] = kind;
            assert_eq!(read_in_parts(&damaged.into()), None, "{kind:#x} at {at}");
        }
    }
}

proptest! {
    /// Damage is found, or harmless, whichever part of a file is in memory; and reading ends.
    #[test]
    fn damage_is_the_same_whole_and_page_by_page(at in 0..20_000_usize, byte in any::<u8>()) {
        let mut file = paged().to_vec();
        let at = at % file.len();
        file[at] = byte;
        read_in_parts(&file.into());
    }
}
