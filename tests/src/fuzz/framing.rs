//! Any bytes in any compression and framing: read whole and from a stream they give the same lines, or the same refusal, and each of
//! these lines is a record, a reject, a header or blank, whichever instructions are used.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::{Catalogue, LogFormat};
use flowquet_input::{Input, Reader};
use flowquet_parquet::Wanted;
use flowquet_parse::{Backend, Parser, Step};
use flowquet_testkit::gzip;

use super::world::log;

/// Text up to this size is read whole: more than most inputs come to.
const WHOLE_MAX: usize = 16 << 20;

/// Formats that are given for objects without a header.
const GIVEN: [&[&str]; 3] = [&[], &["v2"], &["v2", "v5", "${bytes} ${start}"]];

/// Each framing, in each compression and once in two.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (with_header, lines) = (log(6, true), log(6, false));
    let behind_times = |text: &str| -> String {
        text.lines().map(|line| format!("2024-01-15T00:00:00.000Z {line}\n")).collect()
    };
    let events = |text: &str| -> String {
        let event = |line: &str| serde_json::json!({ "id": "1", "timestamp": 1_705_276_800_000_u64, "message": line });
        let events: Vec<_> = text.lines().map(event).collect();
        serde_json::json!({ "messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": events }).to_string()
    };
    let messages: String =
        lines.lines().map(|line| format!("{}\n", serde_json::json!({ "message": line }))).collect();
    let keyed =
        "{\"srcaddr\":\"10.0.0.1\",\"bytes\":7,\"start\":1705276800}\n{\"srcaddr\":null,\"bytes\":\"-\"}\n";
    let table = |separator: &str| with_header.replace(' ', separator);
    let quoted: String =
        with_header.lines().map(|line| format!("\"{}\"\r\n", line.replace(' ', "\",\""))).collect();
    let several = format!("{lines}{}\n5 1705276800\n- -\n2 - cut\n", with_header.replace('\n', "\r\n"));
    let texts = [
        with_header.clone(),
        lines.clone(),
        several,
        format!("#Version: 1.0\n# x\n{with_header}"),
        format!("\u{feff}\n\n{with_header}\n"),
        behind_times(&lines),
        format!("{}{}", events(&lines), events(&lines)),
        events("2 1 eni-1 - - - - - - - 1 2 - NODATA"),
        format!("[{}]", events(&lines)),
        messages,
        keyed.to_owned(),
        table(","),
        table("\t"),
        table(";"),
        quoted,
        "Permission Check Successful".to_owned(),
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let text = text.as_bytes();
        let zstd = zstd::encode_all(text, 1).expect("into memory");
        for bytes in [text.to_vec(), gzip(text), zstd.clone(), gzip(&zstd), [gzip(text), gzip(text)].concat()]
        {
            seeds.push([&[i as u8], bytes.as_slice()].concat());
        }
    }
    let files = super::parquet::seeds().into_iter();
    seeds.extend(files.map(|file| [&[1], file.as_slice()].concat()));
    seeds
}

pub(super) fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let mut reads =
        [false, true].map(|salvage| [0, WHOLE_MAX].map(|whole_max| read(data, whole_max, salvage)));
    for (read, salvage) in reads.iter().zip([false, true]) {
        assert!(read[0] == read[1], "windows decide, salvage: {salvage}");
    }
    let Some(text) = reads[1][0].take() else { return };
    assert!(reads[0][0].as_ref().is_none_or(|whole| *whole == text), "salvage decides");
    let catalogue = Arc::new(Catalogue::builtin().clone());
    let given = GIVEN[usize::from(*choice) % GIVEN.len()].iter();
    let given: Vec<Arc<LogFormat>> =
        given.map(|text| Arc::new(LogFormat::given(text, &catalogue).expect("valid"))).collect();
    let counts: Vec<_> =
        Backend::available().into_iter().map(|backend| lines(&text, &catalogue, &given, backend)).collect();
    assert!(counts.windows(2).all(|two| two[0] == two[1]), "{counts:?}");
}

/// The lines of an object, or none where it is refused.
fn read(data: &[u8], whole_max: usize, salvage: bool) -> Option<Vec<u8>> {
    let open = || -> io::Result<Box<dyn io::Read + Send>> { Ok(Box::new(io::Cursor::new(data.to_vec()))) };
    let range = |range: std::ops::Range<u64>| -> io::Result<Bytes> {
        let range = range.start as usize..(range.end as usize).min(data.len());
        Ok(Bytes::copy_from_slice(data.get(range).unwrap_or_default()))
    };
    let input = Input { fetched: None, again: &|| Ok(None), open: &open, range: &range };
    let mut text = Vec::new();
    let mut reader = Reader::new(Arc::new(Catalogue::builtin().clone()), Wanted::default());
    let taken = reader.read(input, data.len() as u64, whole_max, salvage, &mut |window, _| {
        text.extend_from_slice(window);
        Ok::<usize, Infallible>(window.len())
    });
    taken.is_ok().then_some(text)
}

/// Lines, records, rejects, headers and blanks, which add up; none where the text is no log.
fn lines(
    text: &[u8],
    catalogue: &Arc<Catalogue>,
    given: &[Arc<LogFormat>],
    backend: Backend,
) -> Option<[u64; 5]> {
    let mut parser = Parser::new(catalogue.clone(), given.to_vec()).with_backend(backend);
    parser.start();
    let (mut at, mut rejects, mut records) = (0, Vec::new(), 0);
    loop {
        match parser.next_block(&text[at..], true, &mut rejects).ok()? {
            Step::Done => break,
            Step::NeedMore => unreachable!("there is no more"),
            Step::Skipped(len) => at += len,
            Step::Block { consumed, block } => {
                at += consumed;
                records += block.rows().len() as u64;
            }
        }
    }
    let counts = parser.counts();
    let sum = records + rejects.len() as u64 + counts.headers + counts.blanks;
    assert_eq!(counts.lines, sum, "{counts:?}, {records} records, {} rejects", rejects.len());
    Some([counts.lines, records, rejects.len() as u64, counts.headers, counts.blanks])
}
