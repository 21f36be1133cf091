//! Documents of every kind, whole and in pieces.

use super::*;

fn pushed(text: &[u8], step: usize) -> Result<String, Refused> {
    let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()), None);
    let (mut out, mut at, mut end) = (Vec::new(), 0, 0);
    while end < text.len() {
        end = (end + step).min(text.len());
        at += documents.push(&text[at..end], end == text.len(), usize::MAX, &mut out)?;
    }
    assert_eq!(at, text.len());
    let lines = out.strip_prefix(CARRIED_MARK).unwrap_or(&out);
    Ok(String::from_utf8_lossy(lines).into_owned())
}

/// Pushed whole and in small pieces.
fn lines(text: &str) -> Result<String, String> {
    let whole = pushed(text.as_bytes(), text.len().max(1));
    for step in [1, 2, 7] {
        let pieces = pushed(text.as_bytes(), step);
        assert_eq!(pieces.is_ok(), whole.is_ok(), "{text}");
        if let (Ok(pieces), Ok(whole)) = (pieces, &whole) {
            // Excerpts of broken documents are as long as what is there.
            assert_eq!(pieces.lines().count(), whole.lines().count(), "{text}");
        }
    }
    whole.map_err(|refused| refused.0)
}

#[test]
fn documents() {
    let subscription = r#"{"messageType":"DATA_MESSAGE","owner":"1","logEvents":[{"id":"1","timestamp":1,"message":"2 a"},{"id":"2","message":"2 b\n"}]}"#;
    let control = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"CWL CONTROL MESSAGE: Checking health"}]}"#;
    for (text, expected) in [
        (subscription.to_owned(), "2 a\n2 b\n"),
        (format!("{subscription}{subscription}"), "2 a\n2 b\n2 a\n2 b\n"),
        (format!("{control}{subscription}\n"), "2 a\n2 b\n"),
        (control.to_owned(), ""),
        (r#"{"message":"2 a"}{"message":"2 b"}"#.to_owned(), "2 a\n2 b\n"),
        ("{\"message\":\"2 a\"}\n{\"message\":\"2 \\u0062\"}\n".to_owned(), "2 a\n2 b\n"),
        ("[\n  {\n    \"message\": \"2 a\"\n  }\n]\n".to_owned(), "2 a\n"),
        (r#"{"events":[{"timestamp":1,"message":"2 a","ingestionTime":2}],"nextForwardToken":"f/1"}"#.to_owned(), "2 a\n"),
        (r#"{"results":[[{"field":"@timestamp","value":"x"},{"field":"@message","value":"2 a"}]],"status":"Complete"}"#.to_owned(), "2 a\n"),
        (r#"{"version":2,"account_id":"1","srcAddr":null,"log_status":"OK"}{"version":3}"#.to_owned(), "version account-id srcaddr log-status\n2 1 - OK\n3 - - -\n"),
        (r#"{"version":2,"bytes":1,"end":3,"start":2}{"version":2,"packets":7}"#.to_owned(), "version bytes end start\n2 1 3 2\nversion bytes end start packets\n2 - - - 7\n"),
        (r#"{"start":1.7040672E9,"srcaddr":"10.0.0.5","account_id":12,"srcport":443.0}"#.to_owned(), "start srcaddr account-id srcport\n1704067200 10.0.0.5 000000000012 443\n"),
        // What says something about lines is no record, wherever it stands.
        (r#"{"extracted":{"version":"2","srcaddr":"a","start":"1","end":"2"},"message":"2 a","aws":{"region":"x","account_id":"1","srcaddr":"a","start":1}}"#.to_owned(), "2 a\n"),
        (r#"{"logEvents":[{"message":"2 a"}],"meta":{"version":2,"srcaddr":"b","start":1}}"#.to_owned(), "2 a\n"),
        (r#"{"data":{"items":[{"srcaddr":"b","start":1},{"srcaddr":"c","start":2}]}}"#.to_owned(), "srcaddr start\nb 1\nc 2\n"),
        (r#"{"message":{"srcaddr":"b","start":1}}"#.to_owned(), "srcaddr start\nb 1\n"),
        (r#"{"message":"{\"srcaddr\":\"b\",\"start\":1}"}"#.to_owned(), "srcaddr start\nb 1\n"),
        (r#"{"results":[[{"field":"srcAddr","value":"b"},{"field":"@ptr","value":"x"},{"field":"start","value":"1"}]]}"#.to_owned(), "srcaddr start\nb 1\n"),
        // What programs that ship logs end lines with, and what they keep of them besides.
        (r#"{"log":"2 1 eni-1 - - NODATA\n"}{"log":"- eni-1 - - - -\r\n"}"#.to_owned(), "2 1 eni-1 - - NODATA\n- eni-1 - - - -\n"),
        (r#"{"message":"2 1 a","event":{"original":"2 1 a"}}{"event":{"original":"2 1 10.0.0.5"},"message":"2 1 10.0.0.5"}"#.to_owned(), "2 1 a\n2 1 10.0.0.5\n"),
        (r#"{"attributes":{"x":{"message":"2 1 a"}},"message":"2 1 a\n"}{"message":"2 1 b","attributes":{"message":"2 1 b"}}"#.to_owned(), "2 1 a\n2 1 b\n"),
        (r#"{"a":{"message":"2 1 a"},"b":{"message":"2 1 a"}}[{"message":"2 1 a"},{"message":"2 1 a"}]"#.to_owned(), "2 1 a\n2 1 a\n2 1 a\n2 1 a\n"),
        (r#"{"message":"2 1 a","attributes":{"message":"2 1 b"}}"#.to_owned(), "2 1 a\n2 1 b\n"),
        (r#"{"log":"2 1 eni-1 10.0.0.5 -","stream":"stdout"}{"result":{"_raw":"2 1 eni-1 - - NODATA"}}"#.to_owned(), "2 1 eni-1 10.0.0.5 -\n2 1 eni-1 - - NODATA\n"),
        (r#"["2 a","2 b"][[1,"2 c"]]"#.to_owned(), "2 a\n2 b\n2 c\n"),
        // A record is one whatever it is called, and wherever it is.
        (r#"{"content":"2 1 10.0.0.5 443 6 -","host":"x"}{"resource":{"body":{"stringValue":"2 1 10.0.0.6 443 6 -"}}}"#.to_owned(), "2 1 10.0.0.5 443 6 -\n2 1 10.0.0.6 443 6 -\n"),
        (r#"{"streams":[{"stream":{"a":"b"},"values":[["1704067200000000000","2 1 10.0.0.5 443 6 -"]]}]}"#.to_owned(), "2 1 10.0.0.5 443 6 -\n"),
        // Copies under other keys, in lists; but not in one list.
        (r#"{"hits":[{"fields":{"message":["2 1 10.0.0.5 443 6 -"],"message.keyword":["2 1 10.0.0.5 443 6 -"]}}]}"#.to_owned(), "2 1 10.0.0.5 443 6 -\n"),
        (r#"{"hits":[{"_source":{"message":"2 a"},"fields":{"message":["2 1 10.0.0.5 443 6 -"]}},{"_source":{"message":"2 a"}}]}"#.to_owned(), "2 a\n2 a\n"),
        (r#"{"_source":{"srcaddr":"10.0.0.5","start":1},"fields":{"srcaddr":["10.0.0.5"],"start":[1]}}"#.to_owned(), "srcaddr start\n10.0.0.5 1\n"),
        (r#"{"message":["2 1 10.0.0.5 443 6 -","2 1 10.0.0.5 443 6 -"],"event.original":["2 1 10.0.0.5 443 6 -"]}"#.to_owned(), "2 1 10.0.0.5 443 6 -\n2 1 10.0.0.5 443 6 -\n"),
        (r#"{"lines":["2 1 10.0.0.5 443 6 -"],"message":"2 1 10.0.0.5 443 6 -"}{"a":"2 1 10.0.0.5 443 6 -","b":"2 1 10.0.0.5 443 6 -"}"#.to_owned(), "2 1 10.0.0.5 443 6 -\n2 1 10.0.0.5 443 6 -\n"),
        // Values with the name of their type, or in a list; what no field can have makes a line with more values.
        (r#"{"srcaddr":{"string":"10.0.0.5"},"start":{"$numberLong":"1"},"bytes":[840],"end":[],"action":{"S":"ACCEPT"}}"#.to_owned(), "srcaddr start bytes end action\n10.0.0.5 1 840 - ACCEPT\n"),
        (r#"{"srcaddr":{"ip":"10.0.0.5"},"start":1,"dstaddr":["a b","c"]}"#.to_owned(), "srcaddr start dstaddr\n[ip … 1] 1 [a_b … 2]\n"),
        (r#"{"srcaddr":"10.0.0.5","start":{"a":{"b":1}}}"#.to_owned(), "srcaddr start\n10.0.0.5 […\u{fffd}…\u{fffd}1]\n"),
        (r#"{"account":{"srcaddr":"b","start":1}}"#.to_owned(), "srcaddr start\nb 1\n"),
        // What is no record behind one.
        (r#"{"version":2,"srcaddr":"a","start":1,"action":"ACCEPT"}/{"version":1,"type":"heartbeat"}/{"start":1704067200,"end":1704067260,"count":2}/{"action":"retry","start":1704067200}/{"version":3}"#.replace('/', "\n"), "version srcaddr start action\n2 a 1 ACCEPT\n{\"version\":1,\"type\":\"heartbeat\"}\n{\"start\":1704067200,\"end\":1704067260,\"count\":2}\n{\"action\":\"retry\",\"start\":1704067200}\n3 - - -\n"),
        // Tabs for blanks, only a bracket missing, lines in base64, other spellings of keys.
        ("{\"message\":\"2\\t1\\ta\"}{\"message\":\"2 b\"".to_owned(), "2 1 a\n2 b\n"),
        ("MiAxIGVuaS0xIDEwLjAuMC41IDQ0MyA2IC0=\nMiAxIGVuaS0xIDEwLjAuMC41IDQ0MyA2IC0\n".to_owned(), "2 1 eni-1 10.0.0.5 443 6 -\n2 1 eni-1 10.0.0.5 443 6 -\n"),
        (r#"{"Records":[{"Data":"MiAxIGVuaS0xIDEwLjAuMC41IDQ0MyA2IC0="},{"value":"MiAxIGVuaS0xIDEwLjAu\nMC41IDQ0MyA2IC0="},{"Body":"{\"logEvents\":[{\"message\":\"2 1 10.0.0.5 -\"}]}"}]}"#.to_owned(), "2 1 eni-1 10.0.0.5 443 6 -\n2 1 eni-1 10.0.0.5 443 6 -\n2 1 10.0.0.5 -\n"),
        ("2024-01-01T00:00:00+00:00 eni-1-all {\"message\":\"2 a\"}\n".to_owned(), "2 a\n"),
        // Texts within texts, and encoded ones.
        (r#"{"Type":"Notification","Message":"{\"logEvents\":[{\"message\":\"2 a\"}]}"}{"log":"{\"message\":\"2 b - - - -\"}\n"}"#.to_owned(), "2 a\n2 b - - - -\n"),
        (r#"{"message":"{\"message\":\"2 a\"}"}{"message":"\"2 b\""}{"message":"2024-01-01T00:00:00Z 2 c"}{"message":"[]"}"#.to_owned(), "2 a\n2 b\n2 c\n[]\n"),
        (r#"{"awslogs":{"data":"MiAxIGVuaS0xIDEwLjAuMC41IDQ0MyA2IC0="}}{"rawData":"MiAx"}"#.to_owned(), "2 1 eni-1 10.0.0.5 443 6 -\n{\"rawData\":\"MiAx\"}\n"),
        ("{\"message\":\"2 a\"}|{\"message\":\"2 b\"}\\n{\"message\":\"2 c\"}\\n".to_owned(), "2 a\n2 b\n2 c\n"),
        ("2024-01-01T00:00:00+00:00\tvpc.flow\t{\"message\":\"2 a\"}\n2024-01-01T00:00:01+00:00\tvpc.flow\t{\"message\":\"2 b\"}\n".to_owned(), "2 a\n2 b\n"),
        // Documents without events.
        (format!(r#"{{"logEvents":[],"owner":"1"}}{subscription}"#), "2 a\n2 b\n"),
        (r#"{"events":[],"nextForwardToken":"f/1"}{"results":[]}[]{"message":null}"#.to_owned(), ""),
        // Where one breaks off, the next is found.
        (r#"{"message":"2 a"}{"message":"2 cut{"message":"2 b"}"#.to_owned(), "2 a\n{\"message\":\"2 cut{\"message\":\"2 b\"}\n2 b\n"),
        (r#"{"message":"2 a"}{"x":1{"message":"2 b"}"#.to_owned(), "2 a\n{\"x\":1{\"message\":\"2 b\"}\n2 b\n"),
        ("{\"message\":\"2 a\"}{\"message\":\"\u{1}\"}{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"message\":\"\u{1}\"}{\"message\":\"2 b\"}\n2 b\n"),
        (r#"{"message":"2 a"}{"logEvents":[{"id":~},{"id":"2","message":"2 b"}],"owner":"1"}{"message":"2 c"}"#.to_owned(), "2 a\n{\"logEvents\":[{\"id\":~},{\"id\":\"2\",\"message\":\"2 b\"}],\"owner\":\"1\"}{\"message\":\"2 c\"}\n2 b\n2 c\n"),
        ("{\"message\":\"2 a\"}\n2 plain\n{\"message\":\"2 b\"}".to_owned(), "2 a\n2 plain\n2 b\n"),
        ("{\"message\":\"2 a\"}\n{\"mess\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"mess\n2 b\n"),
        ("{\"message\":\"2 a\"}\n{\"x\":1}\n{\"message\":\"2 b\"}".to_owned(), "2 a\n{\"x\":1}\n2 b\n"),
        (String::new(), ""),
    ] {
        assert_eq!(lines(&text).as_deref(), Ok(expected), "{text}");
    }
    for (text, words) in [
        (r#"{"a":1,"b":"x"}"#, "a document with the keys a, b"),
        (r#"{"version":"1.0","name":"x"}"#, "a document with the keys version, name"),
        (r#"{"Records":[{"accountId":"1","type":"AWS::S3::Bucket"}]}"#, "found a document"),
        (
            r#"{"version":"1.1","account_id":"1","region":"x","vpc_id":"v","query_name":"a."}"#,
            "found a document",
        ),
        (r#"{"InstanceId":"i-1","VpcId":"v","SubnetId":"s"}"#, "found a document"),
        (r#"[1,2,3]"#, "found a document"),
        (r#"{"srcaddr":["10.0.0.5","10.0.0.6"],"start":[1,2]}"#, "found a document"),
        (r#"[["version","srcaddr"],["2","10.0.0.5"]]"#, "found a document"),
        (r#"{"metadata":{"version":"1","region":"x"},"cloud":{"region":"x"},"class_uid":4001}"#, "OCSF"),
        (r#"{"log":"hello to all of you"}"#, "found a document"),
        // A part of a record, whose addresses and times are elsewhere.
        (
            r#"{"source":{"ip":"10.0.0.5"},"aws":{"vpcflow":{"version":"2","account_id":"1","action":"ACCEPT","log_status":"OK"}}}"#,
            "found a document",
        ),
        (r#"{"class_uid":4001,"metadata":{}}"#, "OCSF"),
        (r#"{"message":"{\"class_uid\":4001}"}"#, "OCSF"),
        (r#"{"a":{"message":"2 a""#, ""),
        (r#"{"a" ~ 1}"#, "found `~`"),
    ] {
        match lines(text) {
            Err(found) => assert!(found.contains(words), "{text}: {found}"),
            Ok(found) => assert_eq!((text, found.lines().count()), (r#"{"a":{"message":"2 a""#, 2)),
        }
    }
}

#[test]
fn a_document_without_end_takes_no_memory() {
    let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()), None);
    let mut out = Vec::new();
    let begin = [br#"{"logEvents":["#.to_vec(), vec![b' '; EXCERPT_BYTES]].concat();
    documents.push(&begin, false, usize::MAX, &mut out).expect("JSON");
    for _ in 0..10_000 {
        documents.push(br#"{"id":"1","message":"2 a"},"#, false, usize::MAX, &mut out).expect("JSON");
        let lines = std::mem::take(&mut out);
        assert_eq!(lines.strip_prefix(CARRIED_MARK).unwrap_or(&lines), b"2 a\n");
    }
    assert_eq!(documents.path.len(), 2);
}

/// A map of records is no description of something: none of them is lost.
#[test]
fn many_objects_by_name_are_records() {
    for (count, more) in [(3, ""), (9, ""), (20, ""), (20, r#","columns":7"#)] {
        let record = |i: u32| format!(r#""{i}":{{"srcaddr":"10.0.0.{i}","start":{i}}}"#);
        let records: Vec<String> = (0..count).map(record).collect();
        let expected: Vec<String> = (0..count).map(|i| format!("10.0.0.{i} {i}\n")).collect();
        let text = format!("{{{}{more}}}", records.join(","));
        assert_eq!(lines(&text), Ok(format!("srcaddr start\n{}", expected.concat())), "{count}{more}");
    }
}

#[test]
fn times_of_events_go_beside_their_lines() {
    let events = EventTimes::default();
    let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()), Some(events.clone()));
    let text = concat!(
        r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","timestamp":1704067200000,"message":"2 a b"},"#,
        r#"{"id":"2","message":"2 a c","timestamp":1704067201000},{"timestamp":1704067202000,"message":"2 a d\n2 a e\n"}]}"#,
        r#"{"message":"2 a f"}"#,
    );
    let mut out = Vec::new();
    documents.push(text.as_bytes(), true, usize::MAX, &mut out).expect("documents");
    assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 5);
    // One that stands behind its message is not waited for.
    let at = |s: i64| Some((1_704_067_200 + s) * 1000);
    assert_eq!(events.of(1..7), [at(0), None, at(2), at(2), None, None]);
}

#[test]
fn times_of_events_within_a_text_are_their_own() {
    let inner =
        r#"{\"logEvents\":[{\"timestamp\":1704067201000,\"message\":\"2 a\"},{\"message\":\"2 b\"}]}"#;
    let events = EventTimes::default();
    let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()), Some(events.clone()));
    let outer = format!(
        r#"{{"message":"2 z"}}{{"timestamp":1704067209000,"message":"{inner}"}}{{"Message":"{inner}"}}"#
    );
    let mut out = Vec::new();
    documents.push(outer.as_bytes(), true, usize::MAX, &mut out).expect("documents");
    let at = |s: i64| Some((1_704_067_200 + s) * 1000);
    assert_eq!(events.of(1..6), [None, at(1), at(9), at(1), None]);
}

/// What lies in something small may be endless.
#[test]
fn texts_within_texts_have_a_limit() {
    use base64::engine::{Engine as _, general_purpose::STANDARD};
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    let packed = |text: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).expect("in memory");
        STANDARD.encode(gzip.finish().expect("in memory"))
    };
    let lines = b"2 1 eni-1 10.0.0.5 443 6 -\n".repeat(200_000);
    let value = format!(r#"{{"data":"{}"}}"#, packed(&lines));
    for (values, fits) in [(2, true), (40, false)] {
        let inner = format!(r#"{{"records":[{}]}}"#, vec![&value[..]; values].join(","));
        let outer = format!(r#"{{"message":"2 a"}}{{"data":"{}"}}"#, packed(inner.as_bytes()));
        let mut documents = Documents::new(Arc::new(Catalogue::builtin().clone()), None);
        let mut out = Vec::new();
        documents.push(outer.as_bytes(), true, usize::MAX, &mut out).expect("documents");
        let found = out.iter().filter(|b| **b == b'\n').count();
        assert_eq!(found, if fits { 1 + 2 * 200_000 } else { 2 }, "{values}");
    }
}

/// Whichever byte is missing: the text of each other record is in a line, its own or that of what was broken.
#[test]
fn a_missing_byte_costs_no_other_record() {
    let records: Vec<String> = (0..8).map(|i| format!("2 1 eni-{i} 10.0.0.{i} 443 6 -")).collect();
    let events = |between: &str, colon: &str| {
        let event = |r: &String| format!(r#"{{"id"{colon}"7",{between}"message"{colon}"{r}"}}"#);
        records.iter().map(event).collect::<Vec<_>>().join(&format!(",{between}"))
    };
    for text in [
        format!(r#"{{"owner":"1","logEvents":[{}],"more":"a"}}"#, events("", ":")),
        format!(r#"{{"owner": "1", "logEvents": [{}], "more": "a"}}"#, events(" ", ": ")),
        format!("{{\n  \"logEvents\": [\n    {}\n  ]\n}}\n", events("\n      ", ": ")),
        format!("[\"{}\"]", records.join("\", \"")),
        format!("[\n  \"{}\"\n]\n", records.join("\",\n  \"")),
        records.iter().map(|r| format!("{{\"log\":\"{r}\"}}\n")).collect(),
    ] {
        // A document before it, or all of the first one would be refused.
        let whole = format!("{{\"message\":\"2 z\"}}\n{text}");
        for at in 16..whole.len() {
            let cut = [&whole.as_bytes()[..at], &whole.as_bytes()[at + 1..]].concat();
            let found = pushed(&cut, cut.len()).unwrap_or_else(|e| panic!("{at}: {}", e.0));
            // The one beside it may have lost its beginning with the token that was in order.
            let is_beside = |r: &&String| whole.find(&r[..]).is_some_and(|begin| begin.abs_diff(at) < 60);
            let lost = records.iter().filter(|r| !is_beside(r)).find(|r| !found.contains(&r[..]));
            assert_eq!(lost, None, "{}\n{found}", String::from_utf8_lossy(&cut));
        }
    }
}

/// It may be all of a large object: pieces of it, in time that grows as it does.
#[test]
fn what_never_becomes_a_document_again_is_kept() {
    let rest = "a: b, ".repeat(1 << 20);
    let text = format!("{{\"message\":\"2 z\"}}{{\"a\" ~ {rest}");
    for step in [text.len(), 100_000] {
        let found = pushed(text.as_bytes(), step).expect("documents");
        let pieces: String = found.lines().skip(2).collect();
        // It begins at what was not expected.
        assert_eq!(pieces, format!("~ {rest}"), "{step}");
        assert_eq!(found.lines().skip(2).map(str::len).max(), Some(PASSED_BYTES_MAX), "{step}");
    }
}
