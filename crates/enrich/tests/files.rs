//! Files of each kind, and what is wrong with them.

use flowquet_enrich::{EnrichmentTable, Found, Look};
use flowquet_format::EnrichedBy;
use proptest::prelude::*;

fn table(text: &str) -> EnrichmentTable {
    EnrichmentTable::read(text.to_owned().into()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The values of a row, joined; `-` where there is none.
fn values(look: &Look<'_>, row: flowquet_enrich::RowId, columns: usize) -> String {
    let values: Vec<&str> = (0..columns).map(|column| look.text(row, column).unwrap_or("-")).collect();
    values.join(" ")
}

#[track_caller]
fn check(table: &EnrichmentTable, address: &str, at_ms: i64, expected: Option<&str>) {
    let columns = table.enrichment("x").columns.len();
    let mut look = table.look();
    let found = match look.address(address.parse().expect("an address"), at_ms..=at_ms) {
        Found::Nothing => None,
        Found::Always(row) => Some(values(&look, row, columns)),
        Found::Over(spans) => panic!("one time has one span: {spans:?}"),
    };
    assert_eq!(found.as_deref(), expected, "{address} at {at_ms}");
}

#[test]
fn the_longest_network_of_a_list() {
    let csv = "\u{feff}Network,Team,Cost Centre\n10.0.0.0/8,net,1\n\"10.1.0.0/16\",\"web, mobile\",\n10.1.2.3,db,2\n::/0,six,6\n2001:db8::/32,doc,\n\n10.0.0.0/8,net,1\n";
    let of_csv = table(csv);
    assert_eq!(of_csv.enrichment("x").columns, ["team", "cost_centre"]);
    let json = r#"[{"network": "10.0.0.0/8", "team": "net", "cost": 1}, {"network":"10.1.0.0/16","team":"web, mobile","cost":null},
        {"network": "10.1.2.3", "team": "db", "cost": 2},
        {"network": "::/0", "team": "six", "cost": 6}, {"network": "2001:db8::/32", "team": "doc"}]"#;
    let lines = json.trim_matches(['[', ']']).replace("}, {", "}\n{").replace("},", "}");
    for table in [of_csv, table(json), table(&lines)] {
        let by_name = table.enrichment("x").columns[0] == "cost";
        let turned = |text: &str| match (by_name, text.rsplit_once(' ')) {
            (true, Some((team, cost))) => format!("{cost} {team}"),
            _ => text.to_owned(),
        };
        for (address, expected) in [
            ("10.9.9.9", Some("net 1")),
            ("10.1.9.9", Some("web, mobile -")),
            ("10.1.2.3", Some("db 2")),
            ("::ffff:10.1.2.3", Some("db 2")),
            ("11.0.0.0", None),
            ("2001:db8::1", Some("doc -")),
            ("fe80::1", Some("six 6")),
        ] {
            check(&table, address, 0, expected.map(turned).as_deref());
        }
    }
}

#[test]
fn entries_that_hold_for_a_time() {
    let of = table(
        "ip,from,to,pod\n10.0.0.1,1000000000,2000000000,a\n10.0.0.1,2000000000,,b\n10.0.0.0/24,,,node\n10.0.0.2,1500000000,1600000000,c\n",
    );
    assert!(of.enrichment("x").timed);
    for (address, at_s, expected) in [
        ("10.0.0.1", 999_999_999, Some("node")),
        ("10.0.0.1", 1_000_000_000, Some("a")),
        ("10.0.0.1", 1_999_999_999, Some("a")),
        ("10.0.0.1", 2_000_000_000, Some("b")),
        ("10.0.0.2", 1_600_000_000, Some("node")),
        ("10.0.1.2", 1_600_000_000, None),
    ] {
        check(&of, address, at_s * 1000, expected);
    }
    let enis = table("eni,from,to,name\nENI-1,2024-01-01,2024-02-01,a\neni-1,2024-01-15T00:00:00Z,,b\n");
    assert_eq!(enis.enrichment("x").by, EnrichedBy::Interface);
    let mut look = enis.look();
    let Found::Over(spans) = look.interface("eni-1", 0..=4_000_000_000_000) else { panic!("several") };
    let told: Vec<_> = spans.iter().map(|s| s.row.and_then(|row| look.text(row, 0)).unwrap_or("-")).collect();
    assert_eq!(told, ["-", "a", "b"], "what began last counts");
    assert_eq!(look.interface("eni-2", 0..=0), Found::Nothing);
}

#[test]
fn the_service_that_tells_most_of_a_prefix() {
    let prefix = |prefix: &str, service: &str, region: &str| {
        format!(
            r#"{{"ip_prefix": "{prefix}", "region": "{region}", "service": "{service}", "network_border_group": "{region}"}}"#
        )
    };
    let v4 = [
        prefix("3.0.0.0/8", "AMAZON", "us-east-1"),
        prefix("3.5.0.0/16", "AMAZON", "eu-west-1"),
        prefix("3.5.0.0/16", "S3", "eu-west-1"),
        prefix("3.5.0.0/16", "EC2", "eu-west-1"),
        prefix("3.6.0.0/16", "EC2", "GLOBAL"),
        prefix("3.6.0.0/16", "AMAZON", "GLOBAL"),
        prefix("3.7.0.0/16", "ROUTE53", "GLOBAL"),
        prefix("3.7.0.0/16", "CLOUDFRONT", "GLOBAL"),
    ];
    let v6 = r#"{"ipv6_prefix": "2600:1f00::/24", "region": "us-west-2", "service": "AMAZON", "network_border_group": "us-west-2-lax-1"}"#;
    let text = format!(
        "{{\n \"syncToken\": \"1\",\n \"createDate\": \"2026-11-27-00-00-00\",\n \"prefixes\": [\n{}\n],\n \"ipv6_prefixes\": [{v6}]}}",
        v4.join(",\n")
    );
    let of = table(&text);
    for (address, expected) in [
        ("3.1.1.1", "AMAZON us-east-1 us-east-1"),
        ("3.5.1.1", "S3 eu-west-1 eu-west-1"),
        ("3.6.1.1", "EC2 GLOBAL GLOBAL"),
        ("3.7.1.1", "CLOUDFRONT GLOBAL GLOBAL"),
        ("2600:1f00::1", "AMAZON us-west-2 us-west-2-lax-1"),
    ] {
        check(&of, address, 0, Some(expected));
    }
    let error =
        EnrichmentTable::read(text.replace("3.7.0.0/16", "3.7.0.1/16").into()).expect_err("host bits");
    assert_eq!(
        error.to_string(),
        "line 11: expected a network whose host bits are 0, such as 3.7.0.0/16, found `3.7.0.1/16`"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, expected) in [
        (
            "cidr,x\n10.0.0.0/8,a\n10.0.0.0/88,b\n",
            "line 3: expected a network such as 10.0.0.0/8 or 2001:db8::/32, found `10.0.0.0/88`",
        ),
        ("cidr,x\n,b\n", "line 2: expected a network such as 10.0.0.0/8 or 2001:db8::/32, found ``"),
        ("cidr,x\n10.0.0.0/8\n", "line 2: expected 2 values, found 1"),
        (
            "name,x\na,b\n",
            "line 1: expected a column cidr, network, prefix, address, ip for addresses, or eni, interface_id for interfaces, found name, x",
        ),
        ("eni,name\n,b\n", "line 2: expected the id of an interface, found none"),
        (
            "cidr,x\n1.0.0.0/8,a\n2.0.0.0/8,a\n1.0.0.0/8,b\n",
            "line 4: expected one entry of 1.0.0.0/8 at a time, found another one with other values in line 2",
        ),
        (
            "ip,from,x\n1.1.1.1,noon,a\n",
            "line 2: expected seconds since 1970, a day, or a time such as 2024-01-15T10:05:00Z, found `noon`",
        ),
        // Quotes that are left open.
        ("cidr,x\n1.0.0.0/8,\"a\n2.0.0.0/8,b\n3.0.0.0/8,c\n", "line 2: expected values of one line"),
        ("cidr,x\n1.0.0.0/8,a\n2.0.0.0/8,\"b\n", "line 3: expected values of one line"),
        ("[{\"cidr\": \"1.0.0.0/8\", \"x\": \"a\\u0000b\"}]", "line 1: expected values of one line"),
        ("ip,from,to,x\n1.1.1.1,2,1,a\n", "line 2: expected `to` not before `from`"),
        // One of two values would be lost.
        (
            "[{\"cidr\": \"1.0.0.0/8\", \"x\": 1},\n {\"cidr\": \"2.0.0.0/8\", \"x\": 1, \"x\": 2}]",
            "line 2: expected objects of JSON, found the key `x` twice in one",
        ),
        (
            "{\"cidr\": \"1.0.0.0/8\", \"x\": 1,\n \"cidr\": \"2.0.0.0/8\"}",
            "line 2: expected objects of JSON, found the key `cidr` twice in one",
        ),
        (
            "cidr,équipe\n10.0.0.0/8,a\n",
            "line 1: expected names of columns of at most 64 letters a to z and digits",
        ),
        (
            "[{\"cidr\": \"10.0.0.0/8\", \"équipe\": 1}]",
            "expected names of columns of at most 64 letters a to z",
        ),
        ("cidr,x\n10.0.0.0/8,a\0\n", "line 2: expected text in UTF-8, found a NUL byte"),
        (
            "c\0i\0d\0r\0,\0x\0\n\0",
            "line 1: expected text in UTF-8, found a NUL byte: is it UTF-16, or no text?",
        ),
        ("cidr,x\0\n10.0.0.0/8,a\n", "line 1: expected text in UTF-8, found a NUL byte"),
        (
            "[{\"cidr\": \"1.0.0.0/8\", \"x\": 1},\n\n {\"cidr\": \"1.0.0.0/9\", \"x\": [1]}]",
            "line 3: expected text or a number in `x`, found an array",
        ),
        (
            "[{\"cidr\": \"1.0.0.0/8\"\n, \"x\": 1} {}]",
            "line 2: expected `,` or `]` after an object of the array",
        ),
        ("[{\"cidr\": \"1.0.0.0/8\", \"x\": 1}] 1", "line 1: expected the end of the file after the array"),
        (
            "[]",
            "expected a column cidr, network, prefix, address, ip for addresses, or eni, interface_id for interfaces, found none",
        ),
        (" \n", "expected a list with a header, JSON or a MaxMind database, found an empty file"),
        ("\u{1f}\u{8b}", "line 1: expected a column cidr"),
    ] {
        let error = EnrichmentTable::read(text.to_owned().into()).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    for (bytes, expected) in [
        (&b"\x1f\x8b\x08"[..], "expected a file that is not compressed, found gzip"),
        (b"cidr,x\n10.0.0.0/8,\xff\n", "line 2: expected text in UTF-8, or a MaxMind database"),
        (b"\xab\xcd\xefMaxMind.com", "expected a MaxMind database: "),
    ] {
        let error = EnrichmentTable::read(bytes.into()).expect_err("wrong").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let long = format!("cidr,x\n10.0.0.0/8,{}\n", "x".repeat(1025));
    let error = EnrichmentTable::read(long.into()).expect_err("too long").to_string();
    assert_eq!(error, "line 2: expected values of at most 1024 bytes, found 1025");
    // What is shown of a file is short, whatever it is.
    let long = "x".repeat(100_000);
    for text in [
        format!("cidr,{long}\n10.0.0.0/8,a\n"),
        format!("{long},y\na,b\n"),
        format!("{}\na,b\n", "name,".repeat(20_000)),
        format!("cidr,x\n{long},a\n"),
        format!("ip,from,x\n10.0.0.1,{long},a\n"),
        format!("[{{\"cidr\": \"10.0.0.0/8\", \"{long}\": [1]}}]"),
        format!("[{{\"cidr\": \"10.0.0.0/8\", \"{long}\": 1, \"{long}\": 1}}]"),
        format!("[\"{long}\"]"),
        format!("{{\"syncToken\": \"1\", \"prefixes\": \"{long}\"}}"),
    ] {
        let error = EnrichmentTable::read(text.into()).expect_err("wrong").to_string();
        assert!(error.len() < 500 && error.contains("expected"), "{error}");
    }
    let huge = vec![b' '; flowquet_enrich::TEXT_BYTES_MAX + 1];
    let error = EnrichmentTable::read(huge.into()).expect_err("too long").to_string();
    assert_eq!(error, "expected at most 64 MiB, found more");
}

#[test]
fn there_is_a_limit_of_entries() {
    let many =
        (0..=flowquet_enrich::ENTRIES_MAX as u32).map(|i| format!("{},a\n", std::net::Ipv4Addr::from(i)));
    let text = format!("ip,x\n{}", many.collect::<String>());
    let error = EnrichmentTable::read(text.into()).expect_err("too many").to_string();
    assert_eq!(error, "line 2000002: expected at most 2000000 entries, found more");
}

/// What `tests/readers/mmdb.py` writes of the networks of `tests/readers/test_enrich.py`.
const CITY: &[u8] = include_bytes!("city.mmdb");

#[test]
fn a_database_has_the_columns_of_its_kind() {
    let of = EnrichmentTable::read(CITY.into()).expect("a database");
    of.check().expect("whole");
    assert_eq!(of.enrichment("geo").columns, ["continent", "country", "subdivision", "city"]);
    for (address, expected) in [
        ("81.2.69.142", Some("EU GB ENG London")),
        ("::ffff:81.2.69.142", Some("EU GB ENG London")),
        ("81.3.0.1", Some("EU FR - -")),
        ("2001:218::1", Some("- JP - -")),
        ("10.0.0.1", None),
        ("fe80::1", None),
    ] {
        check(&of, address, 0, expected);
    }
    assert_eq!(of.look().interface("eni-1", 0..=0), Found::Nothing);
}

/// Reads whatever bytes are, looks for some addresses, and does not panic.
fn survives(bytes: Vec<u8>) {
    let Ok(table) = EnrichmentTable::read(bytes.into()) else { return };
    let columns = table.enrichment("x").columns.len();
    let is_whole = table.check().is_ok();
    let mut look = table.look();
    for address in ["81.2.69.142", "81.3.0.1", "2001:218::1", "10.0.0.1"] {
        let found = look.address(address.parse().expect("an address"), 0..=i64::MAX);
        if let Found::Always(row) = found {
            values(&look, row, columns);
        }
    }
    // What was read as a whole is read again.
    assert_eq!(is_whole, table.check().is_ok());
}

proptest! {
    #[test]
    fn damaged_databases_do_no_harm(at in proptest::collection::vec((0..CITY.len(), any::<u8>()), 1..4), cut in 0..CITY.len()) {
        let mut bytes = CITY.to_vec();
        for (at, byte) in at {
            bytes[at] = byte;
        }
        survives(bytes.clone());
        survives(bytes.split_off(cut));
    }

    #[test]
    fn any_text_is_a_list_or_an_error(text in "(cidr|ip|eni|from|to|x|,|\"|\n|10\\.0\\.0\\.[01]|/8|/32|::|[0-9]|[{}\\[\\]:]|\\PC){0,60}") {
        survives(text.into_bytes());
    }
}
