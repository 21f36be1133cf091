use super::*;
use crate::integer::IntegerColumns;
use flowquet_format::{ColumnType, ROWS_MARK, push_carried};
use flowquet_testkit::naive;

/// Line, offset, reason, field and raw line.
pub(super) type Rejected = (u64, u64, RejectReason, Option<String>, Vec<u8>);

/// What became of an object: its records field by field, its rejects, its lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) records: Vec<(Vec<String>, Vec<Vec<u8>>)>,
    pub(super) rejects: Vec<Rejected>,
    pub(super) counts: LineCounts,
}

/// Drives a parser over `text` with windows of the smallest allowed size plus `extra` bytes.
pub(super) fn parse<'g>(
    text: &[u8],
    given: impl IntoIterator<Item = &'g str>,
    backend: Backend,
    extra: usize,
) -> Result<Parsed, ObjectError> {
    let catalogue = Catalogue::builtin();
    // In braces, so that a single unknown name is a field and not a misspelt default.
    let braced = |names: &str| names.split(' ').map(|n| format!("${{{n}}}")).collect::<Vec<_>>().join(" ");
    let given = given.into_iter().map(|f| LogFormat::parse(&braced(f), catalogue).expect("a valid format"));
    let given = given.map(Arc::new);
    let mut parser = Parser::new(Arc::new(catalogue.clone()), given).with_backend(backend);
    let mut parsed = Parsed { records: Vec::new(), rejects: Vec::new(), counts: LineCounts::default() };
    let mut rejects = Vec::new();
    let (mut at, mut window_len) = (0, extra);
    loop {
        let end = text.len().min(at + window_len);
        let (window, last) = (&text[at..end], end == text.len());
        match parser.next_block(window, last, &mut rejects)? {
            Step::NeedMore => {
                assert!(window.len() < WINDOW_BYTES_MIN && !last);
                window_len += WINDOW_BYTES_MIN;
            }
            Step::Done => break,
            Step::Skipped(n) => at += n,
            Step::Block { consumed, mut block } => {
                at += consumed;
                if consumed > 0 {
                    window_len = extra.max(1);
                }
                let fields = block.format().fields();
                let names: Vec<String> = fields.iter().map(|f| f.name().to_owned()).collect();
                let ints = |t: ColumnType| t.integer_max();
                let ints = fields
                    .iter()
                    .enumerate()
                    .filter_map(|(i, f)| Some((i, ints(f.column_type())?)))
                    .collect();
                let mut ints = IntegerColumns::new(ints);
                if ints.parse(&block) {
                    block.reject_bad_integers(&mut ints, &mut rejects);
                }
                for (i, row) in block.rows().iter().enumerate() {
                    let values: Vec<Vec<u8>> =
                        (0..names.len()).map(|f| block.field(*row, f).to_owned()).collect();
                    for c in 0..ints.len() {
                        let text = &values[ints.field(c)];
                        assert_eq!(ints.column(c)[i], crate::parse_integer(text), "{text:?}");
                    }
                    parsed.records.push((names.clone(), values));
                }
            }
        }
    }
    parsed.rejects = rejects.into_iter().map(|r| (r.line, r.offset, r.reason, r.field, r.raw)).collect();
    parsed.rejects.sort_by_key(|r| r.0);
    parsed.counts = parser.counts();
    Ok(parsed)
}

/// Parses with every backend and several windows, compares with the naive reading, and returns the result.
#[track_caller]
fn check(text: &[u8], given: Option<&str>) -> Parsed {
    let first = parse(text, given, Backend::Scalar, usize::MAX >> 1).expect("readable");
    for backend in Backend::available() {
        for extra in [0, 1, 100_000] {
            assert_eq!(
                parse(text, given, backend, extra).as_ref(),
                Ok(&first),
                "{backend:?}, window {extra}"
            );
        }
    }
    let expected = naive::read(text, given);
    let records: Vec<_> = first.records.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
    assert_eq!(records, expected.records);
    let rejects: Vec<_> = first.rejects.iter().map(|r| (r.0, r.4.clone())).collect();
    assert_eq!(rejects, expected.rejects);
    let LineCounts { lines, headers, blanks } = first.counts;
    assert_eq!((lines, headers, blanks), (expected.lines, expected.headers, expected.blanks));
    assert_eq!(
        lines,
        first.records.len() as u64 + first.rejects.len() as u64 + headers + blanks,
        "nothing is lost"
    );
    first
}

const HEADER: &str = "version srcaddr bytes start\n";

#[test]
fn ordinary_and_odd_lines() {
    let text = "version srcaddr bytes start\n2 10.0.0.1 40 1566328660\n\n2 10.0.0.2 - 1566328661\r\nversion srcaddr bytes start\n\
                 2  10.0.0.3   7 1566328662 \n2 10.0.0.4 7\n2 10.0.0.5 7 1 1\n2 10.0.0.6 x 1\n2 10.0.0.7 9223372036854775808 1\n\
                 2147483648 10.0.0.8 1 1\n2 - 1 1";
    let parsed = check(text.as_bytes(), None);
    assert_eq!(parsed.records.len(), 4);
    let reasons: Vec<_> = parsed.rejects.iter().map(|r| (r.0, r.2, r.3.as_deref())).collect();
    assert_eq!(
        reasons,
        [
            (7, RejectReason::TooFewFields, None),
            (8, RejectReason::TooManyFields, None),
            (9, RejectReason::NotANumber, Some("bytes")),
            (10, RejectReason::NumberOutOfRange, Some("bytes")),
            (11, RejectReason::NumberOutOfRange, Some("version")),
        ]
    );
    for (line, offset, _, _, raw) in &parsed.rejects {
        let expected = text.lines().nth(*line as usize - 1).expect("a line");
        assert_eq!(&text.as_bytes()[*offset as usize..][..raw.len()], raw);
        assert_eq!(raw, expected.as_bytes());
    }
}

/// Rows of a file: what was carried in them is put back, in records and in rejects.
#[test]
fn rows_of_files() {
    let row = |values: &[&[u8]]| {
        let mut line = Vec::new();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                line.push(b' ');
            }
            push_carried(value, &mut line);
        }
        line.push(b'\n');
        line
    };
    let values: [[&[u8]; 4]; 6] = [
        [b"2", b"a b", b"40", b"x"],
        [b"2", b" \r\n", b"7", "ä 漢".as_bytes()],
        [b"2", b"10.0.0.1", b"4 0", b"x"],
        [b"2", b"10.0.0.2", b"1", b"\xff y"],
        [b"-", b"-", b"-", b"-"],
        [b"2", b"10.0.0.1", b"3", b" "],
    ];
    // Most of these names are unknown.
    let mut text = [ROWS_MARK, b"version team bytes other thing\n"].concat();
    values.iter().for_each(|values| text.extend(row(&[&values[..], &[b"z"]].concat())));
    for backend in Backend::available() {
        let parsed = parse(&text, None, backend, 0).expect("readable");
        let records: Vec<_> = parsed.records.iter().map(|(_, v)| v[..4].to_vec()).collect();
        let expected = [0, 1, 4, 5].map(|i: usize| values[i].map(<[u8]>::to_vec).to_vec());
        assert_eq!(records, expected);
        let rejects: Vec<_> = parsed.rejects.iter().map(|r| (r.0, r.2, r.3.as_deref(), &r.4[..])).collect();
        let expected = [
            (4, RejectReason::NotANumber, Some("bytes"), &b"2 10.0.0.1 4 0 x z"[..]),
            (5, RejectReason::InvalidUtf8, Some("other"), b"2 10.0.0.2 1 \xff y z"),
        ];
        assert_eq!(rejects, expected);
        assert_eq!(parsed.counts, LineCounts { lines: 7, headers: 1, blanks: 0 });
        // Places are those behind the mark, which is no part of what was read.
        let lines: Vec<&[u8]> = text[ROWS_MARK.len()..].split_inclusive(|b| *b == b'\n').collect();
        let begin = |line: u64| lines[..line as usize - 1].iter().map(|l| l.len() as u64).sum::<u64>();
        assert!(parsed.rejects.iter().all(|r| r.1 == begin(r.0)), "{:?}", parsed.rejects);
    }
    // In text such bytes are what they always were.
    let text = [b"version vpc-id bytes region\n".to_vec(), row(&values[0])].concat();
    assert_eq!(check(&text, None).rejects.len(), 1);
}

#[test]
fn starts() {
    assert_eq!(check(b"\xef\xbb\xbfversion srcaddr\r\n2 10.0.0.1\r\n", None).records.len(), 1);
    assert_eq!(check(b"\n \n\xc3\xa4 srcaddr\n", Some("version srcaddr")).rejects.len(), 1);
    assert_eq!(check(b"2 10.0.0.1\nversion srcaddr\n2 10.0.0.2", Some("version srcaddr")).records.len(), 2);
    assert_eq!(check(b"", None).counts.lines, 0);
    assert_eq!(check(b"\n", None).counts, LineCounts { lines: 1, headers: 0, blanks: 1 });
    assert_eq!(check(b"version srcaddr", None).counts, LineCounts { lines: 1, headers: 1, blanks: 0 });
    assert_eq!(check(b"srcaddr dstaddr\n10.0.0.1 10.0.0.2\nsrcaddr dstaddr\n", None).counts.headers, 2);
    assert_eq!(
        check(b"SRCADDR Pkt_dstaddr\n10.0.0.1 10.0.0.2\nsrcaddr dstaddr\nSrcAddr pkt_dstaddr", None)
            .counts
            .headers,
        3
    );
}

#[test]
fn a_header_with_other_fields_changes_the_format() {
    let text = b"version srcaddr\n2 a\nsrcaddr version bytes\nb 3 4\nc 3 x\nversion srcaddr\n2 d\n";
    let parsed = check(text, None);
    let lens: Vec<usize> = parsed.records.iter().map(|r| r.0.len()).collect();
    assert_eq!((lens, parsed.rejects.len()), (vec![2, 3, 2], 1));
}

#[test]
fn a_header_of_as_many_fields_in_another_order_changes_the_format() {
    let text = b"action srcaddr\nACCEPT a\nvpc-1 b\nsrcaddr action\nc REJECT\n";
    let parsed = check(text, None);
    assert_eq!(parsed.records[2].0, ["srcaddr", "action"]);
    assert_eq!((parsed.records.len(), parsed.counts.headers), (3, 2));
}

#[test]
fn glued_files_with_byte_order_marks() {
    let one = "\u{feff}version srcaddr\r\n2 10.0.0.1\r\n";
    let parsed = check(one.repeat(3).as_bytes(), None);
    assert_eq!((parsed.records.len(), parsed.counts.headers, parsed.rejects.len()), (3, 3, 0));
}

#[test]
fn files_joined_without_a_newline_lose_nothing() {
    let text =
        b"version srcaddr bytes\n2 a 7version bytes srcaddr\n2 8 b\n2 x b\n2 - -pkt-srcaddr srcaddr\nc d";
    let parsed = check(text, None);
    let values: Vec<&[u8]> = parsed.records.iter().map(|r| r.1[1].as_slice()).collect();
    assert_eq!(values, [&b"a"[..], b"8", b"-", b"d"]);
    assert_eq!(parsed.records[3].0, ["pkt-srcaddr", "srcaddr"]);
    let counts = parsed.counts;
    assert_eq!((counts.lines, counts.headers, parsed.rejects.len()), (8, 3, 1));
    // Lines are counted as they stand.
    assert_eq!((parsed.rejects[0].0, parsed.rejects[0].1), (4, 55));
}

#[test]
fn of_joined_records_only_the_bad_one_is_a_reject() {
    let text = b"version bytes log-status\n2 7 OK2 99999999999999999999 OK2 8 OK\n";
    let parsed = check(text, None);
    let values: Vec<&[u8]> = parsed.records.iter().map(|r| r.1[1].as_slice()).collect();
    assert_eq!(values, [b"7", b"8"]);
    assert_eq!(parsed.rejects[0].4, b"2 99999999999999999999 OK");
}

#[test]
fn behind_a_header_that_is_not_understood_nothing_is_guessed() {
    let text = b"version srcaddr bytes\n2 a 7\nversion srcaddr new other third\n2 b 8\n2 b 8 9 9\n\n\"version\" \"bytes\" \"srcaddr\"\n2 9 c\n";
    let parsed = check(text, None);
    let reasons: Vec<RejectReason> = parsed.rejects.iter().map(|r| r.2).collect();
    assert_eq!(reasons, [RejectReason::UnknownHeader; 2]);
    assert_eq!((parsed.records.len(), parsed.counts.headers, parsed.counts.blanks), (2, 3, 1));
    assert_eq!(parsed.records[1].1[1], b"9");
}

#[test]
fn a_field_that_stands_again_is_read() {
    let parsed = check(b"version srcaddr version\n2 a 3\n2 a x\n", None);
    assert_eq!(parsed.records[0].0, ["version", "srcaddr", "version-2"]);
    assert_eq!(parsed.rejects.len(), 1, "it has the type of the first");
}

#[test]
fn invalid_utf8_costs_its_line_only() {
    let text = [HEADER.as_bytes(), b"2 \xff 1 1\n2 a 1 1\n2 \xc3\xa4 1 1\n"].concat();
    let parsed = check(&text, None);
    assert_eq!((parsed.records.len(), parsed.rejects.len()), (2, 1));
    assert_eq!(parsed.rejects[0].2, RejectReason::InvalidUtf8);
}

#[test]
fn long_lines() {
    for len in [
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        BLOCK_BYTES + 1,
        LINE_BYTES_MAX - 1,
        LINE_BYTES_MAX,
        LINE_BYTES_MAX + 1,
        3 * LINE_BYTES_MAX,
    ] {
        for end in ["\n", "\n2 b 1 1\n", ""] {
            let tail = " 1 1566328660";
            let long = format!("2 {}{tail}", "a".repeat(len - 2 - tail.len()));
            let text = format!("{HEADER}2 x 1 1\n{long}{end}");
            let parsed = check(text.as_bytes(), None);
            let too_long = usize::from(len > LINE_BYTES_MAX);
            assert_eq!(parsed.rejects.len(), too_long, "{len}");
            assert_eq!(parsed.records.len(), 2 - too_long + usize::from(end.len() > 1), "{len}");
        }
    }
}

#[test]
fn objects_that_are_no_flow_logs() {
    let check = |text: &[u8], expected: &str| {
        let error = parse(text, None, Backend::Scalar, 1 << 30).expect_err("unreadable");
        assert_eq!(error.to_string(), expected);
    };
    check(b"PAR1....", "expected flow log lines, found a Parquet file");
    check(b" {\"a\": 1}", "expected flow log lines, found JSON");
    check(b"a\0b\0", "expected lines of text, found binary data");
    check(b"2 123 eni-1 OK\n", "expected a header line of field names, found `2 123 eni-1 OK`");
}

mod property {
    use super::*;
    use proptest::prelude::*;

    const FIELDS: [&str; 8] = [
        "version",
        "srcaddr",
        "bytes",
        "start",
        "log-status",
        "srcport",
        "new-field",
        "packets-lost-no-route",
    ];

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[0-9]{1,10}",
            2 => Just("-".to_owned()),
            2 => "(10|192)\\.[0-9]{1,3}\\.0\\.1",
            1 => "[0-9]{15,20}",
            1 => "\\PC{0,6}",
            1 => "[a-z0-9-]{1,30}",
        ]
    }

    fn typed(fields: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec("[0-9]{1,9}|-", fields).prop_map(|v| v.join(" ").into_bytes())
    }

    /// Records of values of their fields' kinds, joined without a newline.
    fn joined(names: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
        let of_kind = |name: &&str| match *name {
            "srcaddr" => "10\\.0\\.[0-9]{1,2}\\.[0-9]|-",
            "start" => "1[5-9][0-9]{7,8}|-",
            "log-status" => "OK|NODATA|SKIPDATA|-",
            "new-field" => "[a-z]{1,3}",
            _ => "[0-9]{1,6}|-",
        };
        let record = names.iter().map(of_kind).collect::<Vec<_>>();
        proptest::collection::vec(record, 2..4)
            .prop_map(|records| records.iter().map(|v| v.join(" ")).collect::<String>().into_bytes())
    }

    fn line(fields: usize) -> impl Strategy<Value = Vec<u8>> {
        let good = proptest::collection::vec(value(), fields).prop_map(|v| v.join(" ").into_bytes());
        let any_count =
            proptest::collection::vec(value(), 0..fields * 2).prop_map(|v| v.join(" ").into_bytes());
        let blanks = proptest::collection::vec("[0-9]{1,9}|-", fields)
            .prop_map(|v| format!(" {} ", v.join("  ")).into_bytes());
        let junk = proptest::collection::vec(any::<u8>(), 0..30);
        prop_oneof![6 => typed(fields), 3 => good, 2 => any_count, 1 => blanks, 1 => junk, 1 => Just(b"".to_vec())]
    }

    fn object() -> impl Strategy<Value = (String, Vec<u8>)> {
        let fields = proptest::sample::subsequence(FIELDS.to_vec(), 1..=FIELDS.len()).prop_shuffle();
        fields.prop_flat_map(|fields| {
            let header = fields.join(" ");
            let lines = proptest::collection::vec(
                (
                    prop_oneof![
                        20 => line(fields.len()),
                        1 => Just(header.clone().into_bytes()),
                        1 => Just(b"version new srcaddr other third".to_vec()),
                        1 => Just(format!("\"{}\"", fields.join("\" \"")).into_bytes()),
                        // A file that was joined to the next one ended without a newline.
                        1 => typed(fields.len()).prop_map({
                            let header = header.clone();
                            move |line| [&line, header.as_bytes()].concat()
                        }),
                        2 => joined(&fields),
                    ],
                    any::<bool>(),
                ),
                0..40,
            );
            (Just(header), lines, any::<bool>()).prop_map(|(header, lines, has_header)| {
                let mut text = Vec::new();
                if has_header {
                    text.extend_from_slice(header.as_bytes());
                    text.push(b'\n');
                }
                for (line, carriage_return) in lines {
                    text.extend(line);
                    text.extend_from_slice(if carriage_return { b"\r\n" } else { b"\n" });
                }
                (header, text)
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Generated lines of any format, cut at any byte, against the naive parser.
        #[test]
        fn equals_the_naive_parser((format, text) in object(), cut in any::<proptest::sample::Index>()) {
            let cut = cut.index(text.len() + 1);
            if parse(&text[..cut], Some(format.as_str()), Backend::Scalar, 1 << 30).is_ok() {
                check(&text[..cut], Some(&format));
            }
        }
    }
}

/// Formats of a log group: two of fourteen fields, one of them swapped, and a short one.
const SEVERAL: [&str; 3] = [
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
    "version account-id srcaddr interface-id dstaddr srcport dstport protocol packets bytes start end action log-status",
    "srcaddr bytes action",
];

/// What the lines of [`SEVERAL`] formats give, which is the same by every backend and window.
#[track_caller]
fn check_several(text: &[u8]) -> Parsed {
    let first = parse(text, SEVERAL, Backend::Scalar, usize::MAX >> 1).expect("readable");
    for backend in Backend::available() {
        for extra in [0, 1, 100_000] {
            assert_eq!(
                parse(text, SEVERAL, backend, extra).as_ref(),
                Ok(&first),
                "{backend:?}, window {extra}"
            );
        }
    }
    let LineCounts { lines, headers, blanks } = first.counts;
    assert_eq!(
        lines,
        (first.records.len() + first.rejects.len()) as u64 + headers + blanks,
        "nothing is lost"
    );
    first
}

#[test]
fn each_line_has_the_format_that_it_fits() {
    let long = "6 1 2 3 1704067200 1704067260 ACCEPT OK";
    let text = format!(
        "2 1 eni-1 10.0.0.1 10.0.0.2 {long}\n10.0.0.3 7 REJECT\r\n\n2 1 10.0.0.4 eni-1 10.0.0.2 1 {long}\n2 1 eni-1 10.0.0.5 10.0.0.2 1 {long}\n\
         10.0.0.6 x REJECT\n1 2\n 10.0.0.7   8 ACCEPT \n2 1 eni-1 - - - - - - - 1704067200 1704067260 - NODATA\n"
    );
    // Its first line lacks a field.
    let parsed = check_several(text.as_bytes());
    let value = |names: &[String], values: &[Vec<u8>], name: &str| {
        let at = names.iter().position(|n| n == name).expect("a field");
        String::from_utf8(values[at].clone()).expect("text")
    };
    let sources: Vec<_> = parsed.records.iter().map(|(n, v)| value(n, v, "srcaddr")).collect();
    // By format, each in the order of its lines.
    assert_eq!(sources, ["10.0.0.5", "-", "10.0.0.4", "10.0.0.3", "10.0.0.7"]);
    let reasons: Vec<_> = parsed.rejects.iter().map(|r| (r.0, r.2, r.3.as_deref())).collect();
    let misfit = RejectReason::FitsNoFormat;
    assert_eq!(reasons, [(1, misfit, None), (6, misfit, Some("bytes")), (7, misfit, None)]);
    for (line, offset, _, _, raw) in &parsed.rejects {
        let expected = text.split('\n').nth(*line as usize - 1).expect("a line");
        assert_eq!(
            (&text.as_bytes()[*offset as usize..][..raw.len()], &raw[..]),
            (expected.as_bytes(), expected.as_bytes())
        );
    }
}

#[test]
fn a_line_that_fits_two_formats_differently_is_a_reject() {
    let swapped = ["srcaddr dstaddr bytes", "dstaddr srcaddr bytes"];
    let text = b"10.0.0.1 10.0.0.2 5\n10.0.0.1 10.0.0.1 5\n- - 6\n";
    let parsed = parse(text, swapped, Backend::Scalar, 0).expect("readable");
    assert_eq!(parsed.records.len(), 2);
    let (line, _, reason, field, _) = &parsed.rejects[0];
    let expected = (1, RejectReason::FitsSeveralFormats, Some("srcaddr"));
    assert_eq!((*line, *reason, field.as_deref()), expected);
}

#[test]
fn a_header_ends_what_is_told_by_values() {
    let text = "10.0.0.1 5 ACCEPT\nbytes srcaddr\n7 10.0.0.2\n10.0.0.3 8 ACCEPT\n";
    let parsed = check_several(text.as_bytes());
    let names: Vec<usize> = parsed.records.iter().map(|(names, _)| names.len()).collect();
    assert_eq!((names, parsed.rejects[0].2), (vec![3, 2], RejectReason::TooManyFields));
    // Joined to a record without a newline; and one of mostly new names.
    let text = "10.0.0.1 5 ACCEPTbytes srcaddr\n7 10.0.0.2\n";
    let parsed = check_several(text.as_bytes());
    assert_eq!((parsed.records.len(), parsed.counts.headers, parsed.counts.lines), (2, 1, 3));
    let text = "10.0.0.1 5 ACCEPT\nsrcaddr new-name other-name dstaddr some-name\n10.0.0.3 8 ACCEPT\n";
    let parsed = check_several(text.as_bytes());
    assert_eq!((parsed.records.len(), parsed.rejects[0].2), (1, RejectReason::UnknownHeader));
    // A header at the start says everything.
    let parsed = check_several(b"bytes srcaddr\n7 10.0.0.2\n10.0.0.3 8 ACCEPT\n");
    assert_eq!((parsed.records.len(), parsed.rejects.len()), (1, 1));
}

#[test]
fn a_line_that_is_too_long_among_several_formats() {
    let mut text = b"10.0.0.1 5 ACCEPT\n".to_vec();
    text.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX + 10));
    text.extend_from_slice(b"\n10.0.0.2 5 ACCEPT\n2 1 eni-1 - - - - - - - 1704067200 1704067260 - NODATA");
    let parsed = check_several(&text);
    assert_eq!(parsed.records.len(), 3);
    assert_eq!(parsed.rejects[0].2, RejectReason::LineTooLong);
}

mod generated {
    use super::*;
    use proptest::prelude::*;

    /// A line, and what becomes of it: the format and values of a record.
    fn line() -> impl Strategy<Value = (String, Option<(usize, String)>)> {
        let port = || prop_oneof![Just("-".to_owned()), (0_u32..65_536).prop_map(|p| p.to_string())];
        let address = || {
            prop_oneof![
                (0_u8..4).prop_map(|n| format!("10.0.0.{n}")),
                (1_u8..4).prop_map(|n| format!("2001:db8::{n}"))
            ]
        };
        let tail = (port(), 0_u64..9_999, prop_oneof!["ACCEPT", "REJECT"]);
        let long =
            (address(), address(), tail, any::<bool>()).prop_map(|(a, b, (port, bytes, action), swapped)| {
                let (x, y) = if swapped { (a.as_str(), "eni-0a") } else { ("eni-0a", a.as_str()) };
                let text = format!(
                    "5 123456789012 {x} {y} {b} {port} 443 6 1 {bytes} 1704067200 1704067260 {action} OK"
                );
                (text.clone(), Some((usize::from(swapped), text)))
            });
        let short = (address(), 0_u64..9_999).prop_map(|(a, bytes)| {
            let text = format!("{a} {bytes} ACCEPT");
            (text.clone(), Some((2, text)))
        });
        let spaced = (address(), 0_u64..9_999).prop_map(|(a, bytes)| {
            (format!(" {a}   {bytes} ACCEPT \r"), Some((2, format!("{a} {bytes} ACCEPT"))))
        });
        let bad = prop_oneof![
            Just("10.0.0.1 5 ACCEPTED"),
            Just("10.0.0.1 5"),
            Just("é 5 ACCEPT"),
            Just("5 123456789012 eni-0a eni-0b 10.0.0.1 1 443 6 1 1 1704067200 1704067260 ACCEPT OK"),
        ];
        prop_oneof![6 => long, 6 => short, 1 => spaced, 1 => bad.prop_map(|b| (b.to_owned(), None))]
    }

    proptest! {
        #[test]
        fn lines_of_several_formats(lines in prop::collection::vec(line(), 1..200), ends in any::<bool>()) {
            // Long enough for several blocks.
            let lines: Vec<_> = lines.iter().cycle().take(lines.len() * 12).cloned().collect();
            let mut text = lines.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n");
            if ends {
                text.push('\n');
            }
            let parsed = check_several(text.as_bytes());
            for (index, names) in SEVERAL.iter().enumerate() {
                let of_format = parsed.records.iter().filter(|(n, _)| n.join(" ") == *names);
                let found: Vec<Vec<u8>> = of_format.map(|(_, values)| values.join(&b' ')).collect();
                let expected: Vec<Vec<u8>> = lines
                    .iter()
                    .filter_map(|(_, record)| record.as_ref().filter(|r| r.0 == index).map(|r| r.1.clone().into_bytes()))
                    .collect();
                prop_assert_eq!(found, expected);
            }
            let rejected: Vec<u64> = parsed.rejects.iter().map(|r| r.0).collect();
            let expected: Vec<u64> =
                (1..).zip(&lines).filter(|(_, (_, record))| record.is_none()).map(|(n, _)| n).collect();
            prop_assert_eq!(rejected, expected);
        }
    }
}

#[test]
fn a_header_whose_first_name_is_new_is_seen_among_lines_of_as_many_fields() {
    let lines = |header: &str| {
        let text = format!(
            "version srcaddr bytes start action\n2 10.0.0.1 4 1704067200 OK\n{header}\n10.0.0.2 7 1704067201 5 OK\n"
        );
        let parsed = check(text.as_bytes(), None);
        let second = parsed.records.get(1).map(|(names, _)| names.join(" "));
        (second, parsed.counts.headers, parsed.rejects.iter().map(|r| r.2).collect::<Vec<_>>())
    };
    let known = lines("new-name srcaddr bytes start action");
    assert_eq!((known.0.as_deref(), known.1), (Some("new-name srcaddr bytes start action"), 2));
    let known = lines("new-name srcaddr bytes start action\r");
    assert_eq!((known.0.as_deref(), known.1), (Some("new-name srcaddr bytes start action"), 2));
    let known = lines("'srcaddr' 'bytes' 'start' 'version' 'action'");
    assert_eq!((known.0.as_deref(), known.1), (Some("srcaddr bytes start version action"), 2));
    // Mostly new names.
    assert_eq!(lines("srcaddr one two three action"), (None, 2, vec![RejectReason::UnknownHeader]));
}

#[test]
fn a_mark_behind_blank_lines() {
    let parsed =
        check("\n \r\n\u{feff}version srcaddr bytes start\n2 10.0.0.1 4 1704067200\n".as_bytes(), None);
    assert_eq!((parsed.records.len(), parsed.counts.headers, parsed.counts.blanks), (1, 1, 2));
    assert_eq!(parsed.records[0].1[0], b"2");
}
