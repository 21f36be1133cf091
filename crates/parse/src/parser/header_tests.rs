//! Headers at the front of objects and among records: read where they are understood, else nothing behind them is.

use super::tests::{Parsed, parse};
use super::*;

/// What is read, which is the same by every backend and in windows of several lengths.
#[track_caller]
fn read(text: &str, given: &[&str]) -> Result<Parsed, ObjectError> {
    let first = parse(text.as_bytes(), given.iter().copied(), Backend::Scalar, usize::MAX >> 1);
    for backend in Backend::available() {
        for extra in [0, 1, 100_000] {
            assert_eq!(
                parse(text.as_bytes(), given.iter().copied(), backend, extra),
                first,
                "{backend:?}, window {extra}"
            );
        }
    }
    if let Ok(Parsed { records, rejects, counts }) = &first {
        let sum = (records.len() + rejects.len()) as u64 + counts.headers + counts.blanks;
        assert_eq!(counts.lines, sum, "nothing is lost");
    }
    first
}

/// Each record as `field=value …`, then each reject as its line and reason.
#[track_caller]
fn check(text: &str, given: &[&str], expected: &[&str]) {
    let parsed = read(text, given).expect("readable");
    let mut found: Vec<String> = Vec::new();
    for (names, values) in &parsed.records {
        let values = names.iter().zip(values).map(|(n, v)| format!("{n}={}", String::from_utf8_lossy(v)));
        found.push(values.collect::<Vec<_>>().join(" "));
    }
    found.extend(parsed.rejects.iter().map(|r| format!("{} {}", r.0, r.2)));
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn at_the_front() {
    for header in [
        "end srcaddr log-status",
        "END SrcAddr Log_Status",
        "endTime sourceAddress logStatus",
        "\"end\" \"srcaddr\" \"log-status\"",
        "${end} ${srcaddr} ${log-status}",
        "'${end}' '${srcaddr}' '${log-status}'",
        "#end srcaddr log-status",
        "# end srcaddr log-status",
        "#Fields: end srcaddr log-status",
        "\u{feff}# end srcaddr log-status",
        "  end  srcaddr log-status \r",
    ] {
        check(
            &format!("{header}\n1704067200 10.0.0.8 OK\n"),
            &[],
            &["end=1704067200 srcaddr=10.0.0.8 log-status=OK"],
        );
    }
}

#[test]
fn below_a_title() {
    check(
        "A title\nof two lines\n\nend srcaddr log-status\n1704067200 10.0.0.8 OK\n",
        &[],
        &["end=1704067200 srcaddr=10.0.0.8 log-status=OK", "1 unknown-header", "2 unknown-header"],
    );
    // A text that names fields is none, and neither is one far above.
    for text in [
        "Fields are:\nend srcaddr log-status\nas you see\n",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\nend srcaddr log-status\n1704067200 10.0.0.8 OK\n",
    ] {
        assert!(matches!(read(text, &[]), Err(ObjectError::NoFormat(_))), "{text:?}");
    }
}

#[test]
fn joined_to_a_record_that_was_cut() {
    let record = "10.0.0.1 10.0.0.2 5 1704067200";
    for end in 1..record.len() {
        for given in [&[][..], &["srcaddr dstaddr bytes end"], &["srcaddr dstaddr bytes end", "bytes action"]]
        {
            let front = if given.is_empty() { "srcaddr dstaddr bytes end\n" } else { "" };
            let text = format!(
                "{front}{record}\n{}srcaddr dstaddr end bytes\n10.0.0.3 10.0.0.4 1704067201 6\n",
                &record[..end]
            );
            let parsed = read(&text, given).expect("readable");
            let (names, values) = parsed.records.last().expect("a record");
            assert_eq!((&names[2][..], &values[2][..]), ("end", &b"1704067201"[..]), "{text}");
            // What was cut in its last value is a record, where it may be one.
            let counts = parsed.counts;
            assert_eq!(counts.headers, 1 + u64::from(given.is_empty()), "{text}");
            assert_eq!(parsed.records.len() + parsed.rejects.len(), 3, "{text}");
        }
    }
}

#[test]
fn another_text_is_no_flow_log() {
    for text in [
        "bytes\n",
        "end\nof\n",
        "type region\n",
        "type region\nof what\n",
        "packets bytes\n12 MB\n",
        "cat version\n",
        "protocol,bytes,srcport,dstport\n6,1,2,3\n",
        "action\nACCEPT\n",
        "account region\n111122223333 eu-west-1\n",
    ] {
        assert!(matches!(read(text, &[]), Err(ObjectError::NoFormat(_))), "{text:?}");
    }
    // Nor are they a header before lines of the format that was given.
    for given in [&["bytes end srcaddr"][..], &["bytes end srcaddr", "srcaddr"]] {
        check(
            "type region\n12 1704067200 10.0.0.8\n",
            given,
            &[
                "bytes=12 end=1704067200 srcaddr=10.0.0.8",
                if given.len() > 1 { "1 fits-no-format" } else { "1 too-few-fields" },
            ],
        );
        check("type region vpc-id\n- - vpc-0a\n", given, &["type=- region=- vpc-id=vpc-0a"]);
    }
    // Borne out by what follows, also behind blank lines; or by what was given.
    check("bytes end\n\n12 1704067200\n", &[], &["bytes=12 end=1704067200"]);
    check("dstaddr\n10.0.0.8\n", &[], &["dstaddr=10.0.0.8"]);
    check("region\neu-west-1\n", &["region"], &["region=eu-west-1"]);
    // A header and nothing behind it.
    let header = read("version dstaddr", &[]).expect("readable").counts;
    assert_eq!(header, LineCounts { lines: 1, headers: 1, blanks: 0 });
}

#[test]
fn what_the_next_line_tells_does_not_depend_on_the_window() {
    let text = format!(
        "{}bytes end\n12 1704067200\n{}",
        "\n".repeat(WINDOW_BYTES_MIN - 8),
        "13 1704067201\n".repeat(9)
    );
    let parsed = read(&text, &[]).expect("readable");
    assert_eq!((parsed.records.len(), parsed.rejects.len()), (10, 0));
}

#[test]
fn understood_among_records() {
    for header in [
        "dstaddr,bytes,srcaddr,end",
        "\"dstaddr\", \"bytes\", \"srcaddr\", \"end\"",
        "dstaddr\tbytes\tsrcaddr\tend",
        "  dstaddr bytes srcaddr end",
        "dstAddr numBytes srcAddr endTime",
        "${dstaddr} ${bytes} ${srcaddr} ${end}",
        "# dstaddr bytes srcaddr end",
        "#dstaddr bytes srcaddr end",
        "# format: dstaddr bytes srcaddr end",
        "fields: dstaddr bytes srcaddr end",
        "[dstaddr, bytes, srcaddr, end]",
        "<dstaddr> <bytes> <srcaddr> <end>",
        "dstaddr|bytes|srcaddr|end",
        "dstaddr;bytes;srcaddr;end",
        "dstaddr \tbytes \tsrcaddr \tend",
        "$${dstaddr} $${bytes} $${srcaddr} $${end}",
        "${!dstaddr} ${!bytes} ${!srcaddr} ${!end}",
    ] {
        for given in [&[][..], &["srcaddr dstaddr bytes end"], &["srcaddr dstaddr bytes end", "bytes action"]]
        {
            let front = if given.is_empty() { "srcaddr dstaddr bytes end\n" } else { "" };
            check(
                &format!("{front}10.0.0.1 10.0.0.2 5 1704067200\n{header}\n10.0.0.3 6 10.0.0.4 1704067201\n"),
                given,
                &[
                    "srcaddr=10.0.0.1 dstaddr=10.0.0.2 bytes=5 end=1704067200",
                    "dstaddr=10.0.0.3 bytes=6 srcaddr=10.0.0.4 end=1704067201",
                ],
            );
        }
    }
    // Behind commas there may be commas.
    check(
        "srcaddr dstaddr\n10.0.0.1 10.0.0.2\ndstaddr,srcaddr\n10.0.0.3,10.0.0.4\n",
        &[],
        &["srcaddr=10.0.0.1 dstaddr=10.0.0.2", "4 too-few-fields"],
    );
}

#[test]
fn not_understood_among_records() {
    for header in [
        "target octets origin end",
        "bytes octets origin finish",
        "target bytes Origin FINISH",
        "target srcaddr2 origin2 end",
        "targetAddress octetCount originAddress endTime",
        "\"target\" \"octets\" \"origin\" \"end\"",
        "target,octets,origin,end",
        "target\toctets\torigin\tend\r",
        "#target octets origin end",
        "${target} ${octets} ${origin}",
        "\u{feff}target octets origin end",
    ] {
        for given in [&[][..], &["srcaddr dstaddr bytes end"], &["srcaddr dstaddr bytes end", "bytes action"]]
        {
            let front = if given.is_empty() { "srcaddr dstaddr bytes end\n" } else { "" };
            let (before, line) = (usize::from(given.is_empty()), "10.0.0.3 10.0.0.4 6 1704067201");
            check(
                &format!(
                    "{front}10.0.0.1 10.0.0.2 5 1704067200\n{header}\n{line}\n\nbytes srcaddr\n7 10.0.0.5\n"
                ),
                given,
                &[
                    "srcaddr=10.0.0.1 dstaddr=10.0.0.2 bytes=5 end=1704067200",
                    "bytes=7 srcaddr=10.0.0.5",
                    &format!("{} unknown-header", before + 3),
                ],
            );
        }
    }
    // A word of a sentence, or a part of a line, hides nothing.
    for line in ["the end was there", "target octets origin", "bytes", "... end of part"] {
        check(
            &format!("srcaddr dstaddr bytes end\n{line}\n10.0.0.3 10.0.0.4 6 1704067201\n"),
            &[],
            &[
                "srcaddr=10.0.0.3 dstaddr=10.0.0.4 bytes=6 end=1704067201",
                if line.split(' ').count() == 4 { "2 not-a-number" } else { "2 too-few-fields" },
            ],
        );
    }
}

#[test]
fn joined_to_what_stands_before() {
    // A mark of the byte order, quotes, `${…}`: none of them is the record's.
    for header in
        ["end srcaddr", "\u{feff}end srcaddr", "\"end\" \"srcaddr\"", "${end} ${srcaddr}", "#end srcaddr"]
    {
        for (front, given) in [
            ("bytes log-status\n", &[][..]),
            ("", &["bytes log-status"]),
            ("", &["bytes log-status", "srcaddr end bytes"]),
        ] {
            check(
                &format!("{front}5 OK{header}\n1704067200 10.0.0.1\nx\n"),
                given,
                &[
                    "bytes=5 log-status=OK",
                    "end=1704067200 srcaddr=10.0.0.1",
                    // Lines are counted as they stand.
                    if front.is_empty() { "3 too-few-fields" } else { "4 too-few-fields" },
                ],
            );
        }
    }
    // Files of nothing but a header.
    for (text, given, line) in [
        ("bytes srcaddrend srcaddr\n1704067200 10.0.0.1\nx\n", &[][..], 3),
        ("bytes srcaddrbytes srcaddrend srcaddr\n1704067200 10.0.0.1\nx\n", &[], 3),
        ("\n1704067200 10.0.0.1bytes srcaddrend srcaddr\nx\n", &["end srcaddr"], 3),
        ("1704067200 10.0.0.1\nend srcaddrend srcaddr\nx\n", &["end srcaddr"], 3),
        ("1704067200 10.0.0.1bytes srcaddrend srcaddr\nx\n", &["end srcaddr", "srcaddr end bytes"], 2),
        ("1704067200 10.0.0.1\nbytes srcaddrend srcaddr\nx\n", &["end srcaddr", "srcaddr end bytes"], 3),
    ] {
        check(text, given, &["end=1704067200 srcaddr=10.0.0.1", &format!("{line} too-few-fields")]);
    }
    // Records alone come apart where values have forms.
    let apart = ["bytes=5 action=REJECT", "bytes=6 action=ACCEPT", "bytes=7 action=ACCEPT"];
    check("bytes action\n5 REJECT6 ACCEPT\n7 ACCEPT\n", &[], &apart);
}

#[test]
fn carriage_returns_alone() {
    let error = read("end srcaddr\r1704067200 10.0.0.1\r", &[]).expect_err("unreadable");
    let expected = "expected lines that end in newlines, found carriage returns alone: `tr '\\r' '\\n'` makes newlines of them";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(read("some text\rmore\r", &[]), Err(ObjectError::NoFormat(_))));
}

/// A word may be as long as a line: whether a name stands in it is told without a look at each of its ends.
#[test]
fn words_as_long_as_a_line() {
    let long = "a".repeat(900_000);
    for front in [format!("version {long}\n2 3\n"), format!("{long} version\n2 3\n")] {
        let parsed = parse(front.as_bytes(), [], Backend::Scalar, usize::MAX >> 1);
        assert!(matches!(parsed, Err(ObjectError::NoFormat(_))));
    }
    let text = format!(
        "srcaddr start\n10.0.0.1 1704067200\nversion {long}\n10.0.0.1 {long} x\nversion {long} x y\n"
    );
    let parsed = parse(text.as_bytes(), [], Backend::Scalar, usize::MAX >> 1).expect("readable");
    let reasons: Vec<String> = parsed.rejects.iter().map(|r| format!("{} {}", r.0, r.2)).collect();
    assert_eq!(reasons, ["3 not-a-number", "4 too-many-fields", "5 too-many-fields"]);
    assert_eq!((parsed.records.len(), parsed.counts.headers), (1, 1));
    let many = "version ".repeat(100_000);
    let text = format!("srcaddr start\n10.0.0.1 1704067200\n{many}\n");
    let parsed = parse(text.as_bytes(), [], Backend::Scalar, usize::MAX >> 1).expect("readable");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.counts.headers), (1, 1, 1));
}
