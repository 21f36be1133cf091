//! Tables of every kind, whole and byte by byte.

use flowquet_format::put_back;

use super::*;

fn lines_at_once(text: &str, separator: u8) -> String {
    let mut whole = Vec::new();
    let mut unframe = Separated::new(separator, Arc::new(Catalogue::builtin().clone()), None);
    assert_eq!(unframe.push(text.as_bytes(), true, usize::MAX, &mut whole).expect("a table"), text.len());
    let mut lines = whole.strip_prefix(CARRIED_MARK).unwrap_or(&whole).to_vec();
    put_back(&mut lines);
    String::from_utf8(lines).expect("text")
}

fn lines(text: &str, separator: u8) -> String {
    let whole = lines_at_once(text, separator);
    let catalogue = Arc::new(Catalogue::builtin().clone());
    // The same, byte by byte.
    let (mut unframe, mut pieces, mut at) = (Separated::new(separator, catalogue, None), Vec::new(), 0);
    for end in 1..=text.len() {
        let is_last = end == text.len();
        at += unframe.push(&text.as_bytes()[at..end], is_last, usize::MAX, &mut pieces).expect("a table");
    }
    let mut pieces = pieces.strip_prefix(CARRIED_MARK).unwrap_or(&pieces).to_vec();
    put_back(&mut pieces);
    assert_eq!(String::from_utf8(pieces).expect("text"), whole);
    whole
}

#[test]
fn tables() {
    let line = "2 1 10.0.0.5 443 6 -";
    let expected_line = format!("{line}\n");
    for (text, separator) in [
        (format!("when,what\n1,{line}\n"), b','),
        (format!("1704067200000,{line}\n"), b','),
        (format!("\"x\";\"{line}\"\n"), b';'),
    ] {
        assert_eq!(separator_of(text.as_bytes(), Catalogue::builtin()), Some(separator), "{text}");
        assert_eq!(lines(&text, separator), expected_line, "{text}");
    }
    // Lines whose own values have commas.
    for text in [format!("{line} a,b\n{line} a,b\n"), format!("a,b {line}\n{line} a,b\n")] {
        assert_eq!(separator_of(text.as_bytes(), Catalogue::builtin()), None, "{text}");
    }
    for (text, separator, expected) in [
        ("version\x01srcaddr\x01start\n2\x01\\N\x011\n", 1, "version srcaddr start\n2 - 1\n"),
        (
            "\"version\" \"srcaddr\" \"start\"\n2 \"10.0.0.1\" 1\n",
            b' ',
            "version srcaddr start\n2 10.0.0.1 1\n",
        ),
        // A header without quotes above rows with them.
        ("version srcaddr start\n2 \"10.0.0.1\" 1\n", b' ', "version srcaddr start\n2 10.0.0.1 1\n"),
        // Whatever a column is called, but for when an event was logged, and for rows of a spreadsheet without cells.
        (
            "version,srcaddr,dstaddr,start,Owner Name,Größe,Timestamp,\n2,10.0.0.1,-,1,x,y,z,\n,,,,,,,\n , , , , , , , \n",
            b',',
            "version srcaddr dstaddr start owner-name gr-e\n2 10.0.0.1 - 1 x y\n\n\n",
        ),
        (
            "version,srcaddr,dstaddr,start\n2,None,<NA>,None\n",
            b',',
            "version srcaddr dstaddr start\n2 None <NA> -\n",
        ),
        (" version | srcaddr | start\n 2 | 10.0.0.1 | 1\n", b'|', "version srcaddr start\n2 10.0.0.1 1\n"),
        ("timestamp,message\n1704067200000,\"2 1 eni-1\"\n", b',', "2 1 eni-1\n"),
        ("timestamp,message\n1,\"2 1\n\"\n2,\"a \"\"b\"\"\"", b',', "2 1\na \"b\"\n"),
        (
            "version,account_id,srcAddr\n2,1,10.0.0.1\n2,,\r\n",
            b',',
            "version account-id srcaddr\n2 000000000001 10.0.0.1\n2 - -\n",
        ),
        (
            "@timestamp,srcAddr,dstAddr\n2024-01-01 00:00:00.000,10.0.0.1,10.0.0.2\n",
            b',',
            "srcaddr dstaddr\n10.0.0.1 10.0.0.2\n",
        ),
        ("version\taccount-id\tend\n2\t1\t\n\n", b'\t', "version account-id end\n2 000000000001 -\n\n"),
        (
            "\u{feff}\"version\", \"account-id\", \"end\"\n\"2\", \"1\", \"3\"\n",
            b',',
            "version account-id end\n2 000000000001 3\n",
        ),
        ("2,1,eni-1,10.0.0.1,10.0.0.2,1,2,6,3\n", b',', "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3\n"),
        ("start,srcaddr\n2,10.0.0.1,more\n", b',', "start srcaddr\n2 10.0.0.1 more\n"),
        (
            "start,srcaddr,team\n2.0,10.0.0.1,\"a, b\"\n\\N,nan,\" x\"\n",
            b',',
            "start srcaddr team\n2 10.0.0.1 a, b\n- -  x\n",
        ),
        // Files that were joined, with a newline or without.
        (
            "timestamp,message\n1,2 atimestamp,message\n2,2 b\nmessage,timestamp\n2 c,3\n",
            b',',
            "2 a\n2 b\n2 c\n",
        ),
        ("start,srcaddr\n1,aBstart,srcaddr\n2,b\n", b',', "start srcaddr\n1 aB\nstart srcaddr\n2 b\n"),
        (
            "x,start,srcaddr\n7,1,a\nsrcaddr,x,start\nb,7,2\n",
            b',',
            "x start srcaddr\n7 1 a\nsrcaddr x start\nb 7 2\n",
        ),
        (
            "start,end,srcaddr\n1,2,a\nstart,end,srcaddr\n1,2,b\n#start,srcaddr,end\n",
            b',',
            "start end srcaddr\n1 2 a\nstart end srcaddr\n1 2 b\n#start srcaddr end\n",
        ),
        (
            "start,end,srcaddr,type\n1,2,a,x\ntype,srcaddr,end,start\ny,b,2,1\n",
            b',',
            "start end srcaddr type\n1 2 a x\ntype srcaddr end start\ny b 2 1\n",
        ),
        (
            ",start,end,srcaddr\n0,1,2,a\n,start,srcaddr,end\n0,1,b,2\n",
            b',',
            "start end srcaddr\n1 2 a\nstart srcaddr end\n1 b 2\n",
        ),
        // A header that nobody understands ends the one before it.
        (
            "start,end,srcaddr\n1,2,a\nsource,to,start,end,at,now,then\nb,1\nsrcaddr,start\nc,3\n",
            b',',
            "start end srcaddr\n1 2 a\nsource,to,start,end,at,now,then\nb,1\nsrcaddr start\nc 3\n",
        ),
        // Another header, behind a row that was cut, and a title.
        (
            "start,end,srcaddr\n1,2,10.0start,srcaddr,end\n3,10.0.0.4,5\n",
            b',',
            "start end srcaddr\n1 2 10.0\nstart srcaddr end\n3 10.0.0.4 5\n",
        ),
        (
            "start,end,srcaddr\n1,2start,srcaddr,end\n3,10.0.0.4,5\n",
            b',',
            "start end srcaddr\n1 2\nstart srcaddr end\n3 10.0.0.4 5\n",
        ),
        (
            "start,end,srcaddr\n1start,srcaddr,end\n3,10.0.0.4,5\n",
            b',',
            "start end srcaddr\n1\nstart srcaddr end\n3 10.0.0.4 5\n",
        ),
        (
            "start,end,srcaddr\n1,2,\"start\",\"srcaddr\",\"end\"\n3,10.0.0.4,5\n",
            b',',
            "start end srcaddr\n1 2 -\nstart srcaddr end\n3 10.0.0.4 5\n",
        ),
        ("timestamp,message\n1,2 amessage,timestamp\n2 c,3\n", b',', "2 a\n2 c\n"),
        (
            "Report: flows,,\nstart,end,srcaddr\n1,2,10.0.0.1\n",
            b',',
            "Report: flows,,\nstart end srcaddr\n1 2 10.0.0.1\n",
        ),
        // A separator at the end of each row; numbers that a spreadsheet has rounded.
        ("start,end,srcaddr\n1,2,a,\n1,2,a,b\n", b',', "start end srcaddr\n1 2 a\n1 2 a b\n"),
        (
            "start,account_id,srcaddr\n1.70E+09,1,a\n1,1.11122E+11,a\n1,22223333,a\n",
            b',',
            "start account-id srcaddr\n1.70E+09,1,a\n1,1.11122E+11,a\n1 000022223333 a\n",
        ),
        // Without a header: behind the time of an event, and with times of its own.
        (
            "2024-01-01 00:00:00.000,2,10.0.0.1,1704067200\n2024-01-01 00:00:01.000,2,10.0.0.1,-\n",
            b',',
            "2 10.0.0.1 1704067200\n2024-01-01 00:00:01.000 2 10.0.0.1 -\n",
        ),
        ("2024-01-01T00:00:00Z,2024-01-01T00:01:00Z,10.0.0.1\n", b',', "1704067200 1704067260 10.0.0.1\n"),
        ("message\n2 a\n", b',', "2 a\n"),
        ("message\n2 amessagemessage\n2 b\n", b',', "2 a\n2 b\n"),
        ("start,srcaddr,action\n1 a b\n", b',', "start srcaddr action\n1 a b\n"),
        ("timestamp|message\n1|2 a\n", b'|', "2 a\n"),
        ("timestamp,message\n1,\"2 1\n2,\"2 2\"\n", b',', "2 1\n2 2\n"),
        // A column of lines by another name, and lines in quotes.
        ("\"_time\",\"_raw\"\n\"1\",\"2 1 10.0.0.1\"\n2,x\n", b',', "2 1 10.0.0.1\nx\n"),
        ("Time;_source.message\n1;2 1 10.0.0.1\n", b';', "2 1 10.0.0.1\n"),
        ("\"log\"\n\"2 1 - - NODATA\"\n", b',', "2 1 - - NODATA\n"),
        ("\"2 1 10.0.0.1\"\n\"2 - -\"\n\n", b',', "2 1 10.0.0.1\n2 - -\n\n"),
        (
            r#""2 a,b \"\u00fc\" \\ 10.0.0.1"
"2 x"
"#,
            b',',
            "2 a,b \"ü\" \\ 10.0.0.1\n2 x\n",
        ),
    ] {
        assert_eq!(lines(text, separator), expected, "{text:?}");
    }
}

#[test]
fn times_of_events() {
    for (text, expected) in [
        (
            "timestamp,message\n1704067200001,\"2 1 a\"\n\nx,2 1 b\n2024-01-01T00:00:00.002Z,2 1 c\n",
            vec![Some(1), None, None, Some(2)],
        ),
        // Joined without a newline, and with another order of columns.
        (
            "timestamp,message\n1704067200001,2 atimestamp,message\n1704067200002,2 b\nmessage,timestamp\n2 c,1704067200003\n",
            vec![Some(1), Some(2), Some(3)],
        ),
        ("message\n2 a\n", vec![None]),
        // The header is a line where rows have fields; a time without a zone is none.
        (
            "@timestamp,srcAddr,dstAddr\n2024-01-01 00:00:00.000,10.0.0.1,10.0.0.2\n1704067200005,10.0.0.1,10.0.0.2\n",
            vec![None, None, Some(5)],
        ),
    ] {
        let events = EventTimes::default();
        let catalogue = Arc::new(Catalogue::builtin().clone());
        let mut unframe = Separated::new(b',', catalogue, Some(events.clone()));
        let mut out = Vec::new();
        unframe.push(text.as_bytes(), true, usize::MAX, &mut out).expect("a table");
        let lines = out.iter().filter(|b| **b == b'\n').count() as u64;
        let expected: Vec<Option<i64>> =
            expected.into_iter().map(|ms: Option<i64>| ms.map(|ms| 1_704_067_200_000 + ms)).collect();
        assert_eq!(events.of(1..lines + 1), expected, "{text:?}");
    }
}

#[test]
fn separators() {
    for (line, expected) in [
        ("timestamp,message", Some(b',')),
        ("@message", Some(b',')),
        ("version;srcaddr;start", Some(b';')),
        ("srcaddr|start", Some(b'|')),
        ("2,10.0.0.1,-,1704067200,1704067260", Some(b',')),
        ("2\t-\teni-1\tNODATA", Some(b'\t')),
        ("11,10.0.0.1,web%20server,44321.0", Some(b',')),
        ("2024-01-01T00:00:00.000Z,2,10.0.0.1,5", Some(b',')),
        ("2024-01-01 00:00:00.000;2 1 10.0.0.1 5 6", Some(b';')),
        ("name,version", None),
        ("start,end", None),
        ("region,vpc_id,cidr", None),
        ("1.1,2,3", None),
        ("_time,_raw\n1,2 1 10.0.0.1\n", Some(b',')),
        ("_time,_raw\n1,GET /\n", None),
        ("_time,_raw", None),
        ("_raw\r\n2 1 10.0.0.1", Some(b',')),
        ("\"2 1 10.0.0.1\"", Some(b',')),
        ("\"version srcaddr start\"", Some(b',')),
        ("\"hello my world\"", None),
        (r#""2 a,b \" 10.0.0.1""#, Some(b',')),
        ("version srcaddr", None),
        ("hello, world", None),
    ] {
        assert_eq!(separator_of(line.as_bytes(), Catalogue::builtin()), expected, "{line}");
    }
}

#[test]
fn headers_that_are_joined_again_and_again() {
    let text = format!("message\n{}\n2 a\n", "message".repeat(100_000));
    assert_eq!(lines_at_once(&text, b','), "2 a\n");
}

#[test]
fn titles() {
    for (text, expected) in [
        ("A title\nversion,srcaddr,start\n", Some(b',')),
        ("A title\nof two lines\n\nversion;srcaddr;start\n", Some(b';')),
        ("2 1 10.0.0.1\nversion,srcaddr,start\n", None),
        ("version srcaddr\nversion,srcaddr,start\n", None),
        ("A title\nname,version\n", None),
    ] {
        assert_eq!(separator_below_title(text.as_bytes(), Catalogue::builtin()), expected, "{text}");
    }
}
