//! Derived columns against rules spelt out a row at a time, on lines as AWS prints them and on made-up ones.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowquet_format::{AddedColumn, AddedColumns, Catalogue, LogFormat, Types};
use flowquet_parse::{IntegerColumns, Parser, Step};
use proptest::prelude::*;

use crate::testing::texts;
use crate::{BatchSchema, Columns, RowHashes, Selection};

const V3: &str = "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status";

fn rows_of(names: &str, lines: &[String], types: Types, added: &AddedColumns) -> RecordBatch {
    let format = Arc::new(LogFormat::parse(names, Catalogue::builtin()).expect("valid"));
    rows_of_schema(&Arc::new(BatchSchema::with_added(format, &Selection::all(), types, added)), types, lines)
}

/// The batch that lines become.
pub(super) fn rows_of_schema(schema: &Arc<BatchSchema>, types: Types, lines: &[String]) -> RecordBatch {
    let format = schema.format().clone();
    let fields = format.fields().iter().enumerate();
    let integers = fields.filter_map(|(i, f)| Some((i, types.column_type(f).integer_max()?))).collect();
    let mut integers = IntegerColumns::new(integers);
    let mut parser = Parser::new(Arc::new(Catalogue::builtin().clone()), Some(format));
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (mut columns, mut at, mut rejects) = (Columns::new(schema.clone()), 0, Vec::new());
    while at < text.len() {
        match parser.next_block(&text.as_bytes()[at..], true, &mut rejects).expect("a flow log") {
            Step::Block { consumed, mut block } => {
                if integers.parse(&block) {
                    block.reject_bad_integers(&mut integers, &mut rejects);
                }
                columns.append(&block, &integers, 0..block.rows().len());
                at += consumed;
            }
            Step::Skipped(n) => at += n,
            other => panic!("{other:?}"),
        }
    }
    assert!(rejects.is_empty(), "{rejects:?}");
    let batch = columns.finish();
    // Rows that are carried on give the same, and derived columns are no part of digests.
    columns.append_batch(&batch);
    assert_eq!(columns.finish(), batch);
    batch
}

pub(super) fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    texts(batch.column_by_name(name).unwrap_or_else(|| panic!("a column {name}")))
}

/// What a derived column is for a row: field by field, text by text.
fn naive(column: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let number = |name: &str| value(name).map(|v| v.parse::<i64>().expect("a number"));
    let address = |name: &str| value(name).and_then(|v| v.parse::<IpAddr>().ok());
    let differs = |own: &str, packet: &str| Some(address(own)? != address(packet)?);
    let ms = |name: &str| {
        let n = number(name)?;
        let ms = if n >= 253_402_300_800 { n } else { n * 1000 };
        (ms < 4_102_444_800_000).then_some(ms)
    };
    let flags = || number("tcp-flags").filter(|_| number("protocol") == Some(6));
    match column {
        "start_time" => ms("start").map(|ms| ms.to_string()),
        "end_time" => ms("end").map(|ms| ms.to_string()),
        "duration_s" => {
            let (start, end) = (ms("start")?, ms("end")?);
            (end >= start).then(|| ((end - start) / 1000).to_string())
        }
        "tcp_flag_names" => {
            let flags = flags().filter(|f| *f < 256)?;
            let mut names = Vec::new();
            for (bit, name) in [
                (1, "SYN"),
                (4, "ACK"),
                (0, "FIN"),
                (2, "RST"),
                (3, "PSH"),
                (5, "URG"),
                (6, "ECE"),
                (7, "CWR"),
            ] {
                if flags >> bit & 1 == 1 {
                    names.push(name);
                }
            }
            Some(names.join("+"))
        }
        "direction" => match value("flow-direction").as_deref() {
            Some("ingress") => Some("ingress".into()),
            Some("egress") => Some("egress".into()),
            _ => match (differs("srcaddr", "pkt-srcaddr")?, differs("dstaddr", "pkt-dstaddr")?) {
                (true, false) => Some("egress".into()),
                (false, true) => Some("ingress".into()),
                _ => None,
            },
        },
        "is_nat" => match (differs("srcaddr", "pkt-srcaddr"), differs("dstaddr", "pkt-dstaddr")) {
            (Some(true), _) | (_, Some(true)) => Some("1".into()),
            (Some(false), Some(false)) => Some("0".into()),
            _ => None,
        },
        "initiator" => {
            if let Some(flags) = flags()
                && flags & 2 == 2
            {
                return Some(if flags & 16 == 16 { "dst" } else { "src" }.into());
            }
            if ![6, 17, 33, 132].contains(&number("protocol")?) {
                return None;
            }
            let (src, dst) = (number("srcport")?, number("dstport")?);
            let may_serve = |port: i64| port > 0 && port < 1024;
            let is_client = |port: i64| (1024..65536).contains(&port);
            match () {
                () if is_client(src) && may_serve(dst) && dst != 20 => Some("src".into()),
                () if is_client(dst) && may_serve(src) && src != 20 => Some("dst".into()),
                () => None,
            }
        }
        other => panic!("no twin of {other}"),
    }
}

const WITH_TWIN: [&str; 7] =
    ["start_time", "end_time", "duration_s", "tcp_flag_names", "direction", "is_nat", "initiator"];

#[track_caller]
fn check(names: &str, lines: &[String]) {
    for types in [Types::Aws, Types::Rich] {
        let batch = rows_of(names, lines, types, &derived());
        let plain = rows_of(names, lines, types, &AddedColumns::default());
        assert_eq!(digest(&batch), digest(&plain), "derived columns are in no digest");
        let fields: Vec<&str> = names.split(' ').collect();
        for name in WITH_TWIN {
            if batch.column_by_name(name).is_none() {
                continue;
            }
            let found = column(&batch, name);
            for (line, found) in lines.iter().zip(found) {
                let words: Vec<&str> = line.split(' ').collect();
                let value = |field: &str| {
                    let at = fields.iter().position(|f| *f == field)?;
                    Some(words[at].to_owned()).filter(|v| v != "-")
                };
                let expected = naive(name, &value).unwrap_or_else(|| "-".into());
                let is_time = name.ends_with("_time") && expected != "-";
                let expected = if is_time { number_of_ms(&expected) } else { expected };
                assert_eq!(found, expected, "{name} of {line} ({types})");
            }
        }
    }
}

/// As [`texts`] has times.
fn number_of_ms(ms: &str) -> String {
    flowquet_format::time_number(ms.parse().expect("a number")).to_string()
}

fn digest(batch: &RecordBatch) -> u64 {
    let mut hashes = RowHashes::default();
    hashes.take(batch);
    hashes.digest(0..batch.num_rows())
}

fn derived() -> AddedColumns {
    AddedColumn::ALL.into_iter().filter(|column| column.is_derived()).collect()
}

/// Rows of a format, and the values that a column has.
#[track_caller]
fn values(names: &str, lines: &[&str], name: &str, expected: &[&str]) {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    check(names, &lines);
    assert_eq!(column(&rows_of(names, &lines, Types::Aws, &derived()), name), expected, "{name}");
}

#[test]
fn the_connection_that_aws_shows() {
    let head = "3 vpc-1 subnet-1 i-1 eni-1 123456789010 IPv4";
    let record = |there: bool, flags: u32| {
        let (a, b) = ("52.213.180.42", "10.0.0.62");
        match there {
            true => {
                format!("{head} {a} {b} 43638 5001 {a} {b} 6 1260 17 1566933133 1566933193 ACCEPT {flags} OK")
            }
            false => {
                format!("{head} {b} {a} 5001 43638 {b} {a} 6 967 14 1566933133 1566933193 ACCEPT {flags} OK")
            }
        }
    };
    let lines =
        [(true, 2), (false, 18), (true, 1), (true, 3), (false, 19), (true, 0)].map(|(t, f)| record(t, f));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    values(V3, &lines, "tcp_flag_names", &["SYN", "SYN+ACK", "FIN", "SYN+FIN", "SYN+ACK+FIN", ""]);
    values(V3, &lines, "initiator", &["src", "dst", "-", "src", "dst", "-"]);
    values(V3, &lines, "src_scope", &["public", "private", "public", "public", "private", "public"]);
    values(
        V3,
        &lines,
        "dst_service_name",
        &["commplex-link", "-", "commplex-link", "commplex-link", "-", "commplex-link"],
    );
    values(V3, &lines, "is_nat", &["0"; 6]);
    values(V3, &lines, "direction", &["-"; 6]);
    values(V3, &lines, "duration_s", &["60"; 6]);
    values(V3, &lines, "protocol_name", &["TCP"; 6]);
}

#[test]
fn interfaces_that_stand_for_others() {
    // A NAT gateway: from an instance, on to the host, back from it, and back to the instance.
    let nat = "interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr";
    let lines = [
        "eni-1 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5",
        "eni-1 10.0.0.220 203.0.113.5 10.0.0.220 203.0.113.5",
        "eni-1 203.0.113.5 10.0.0.220 203.0.113.5 10.0.0.220",
        "eni-1 10.0.0.220 10.0.1.5 203.0.113.5 10.0.1.5",
        "eni-1 10.0.0.220 10.0.1.5 203.0.113.5 10.0.1.6",
        "eni-1 - 10.0.1.5 - 10.0.1.5",
        "eni-1 2001:db8:0:0::1 10.0.1.5 2001:db8::1 10.0.1.5",
        "eni-1 10.0.0.220 nowhere 10.0.0.220 nowhere",
        "eni-1 - - - -",
    ];
    values(nat, &lines, "is_nat", &["1", "0", "0", "1", "1", "-", "0", "-", "-"]);
    let expected = ["ingress", "-", "-", "egress", "-", "-", "-", "-", "-"];
    values(nat, &lines, "direction", &expected);
    // What AWS says itself goes before.
    let given = format!("{nat} flow-direction");
    let lines = [
        "eni-1 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 egress",
        "eni-1 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 -",
        "eni-1 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 sideways",
    ];
    values(&given, &lines, "direction", &["egress", "ingress", "ingress"]);
}

#[test]
fn what_is_not_kept_tells_nothing() {
    let lines = ["0", "2", "18", "3", "300", "-"].map(str::to_owned);
    let batch = rows_of("tcp-flags", &lines, Types::Aws, &derived());
    assert_eq!(column(&batch, "tcp_flag_names"), ["-", "SYN", "SYN+ACK", "SYN+FIN", "-", "-"]);
    assert_eq!(column(&batch, "initiator"), ["-", "src", "dst", "src", "-", "-"]);
    assert_eq!(batch.num_columns(), 3, "others are left out");
}

#[test]
fn times_and_paths() {
    let times = "start end traffic-path protocol";
    let lines = [
        "1418530010 1418530070 1 6",
        "1418530070 1418530010 8 17",
        "1418530010500 1418530070 6 255",
        "4102444799 4102444800 9 147",
        "- 1418530070 - -",
        "0 4102444799999 0 0",
    ];
    values(times, &lines, "duration_s", &["60", "-", "59", "-", "-", "4102444799"]);
    values(
        times,
        &lines,
        "traffic_path_name",
        &["same-vpc", "internet-gateway", "local-gateway-or-zone", "-", "-", "-"],
    );
    values(times, &lines, "protocol_name", &["TCP", "UDP", "-", "-", "-", "HOPOPT"]);
}

#[test]
fn a_dictionary_has_the_words_that_rows_have() {
    let lines: Vec<String> = ["6 22", "6 80", "- -", "17 53", "6 22"].map(str::to_owned).to_vec();
    let batch = rows_of("protocol dstport", &lines, Types::Aws, &derived());
    let services = batch.column_by_name("dst_service_name").expect("there");
    let dictionary = arrow_array::cast::AsArray::as_any_dictionary(services.as_ref());
    assert_eq!(dictionary.values().len(), 3);
    assert_eq!(column(&batch, "dst_service_name"), ["ssh", "http", "-", "domain", "ssh"]);
}

proptest! {
    #[test]
    fn equals_the_rules_spelt_out(rows in proptest::collection::vec(
        (0..3usize, 0..3usize, 0..3usize, 0..3usize, prop_oneof![Just(6u32), Just(17), 0..256u32],
            0..300u32, prop_oneof![Just(20u32), Just(443), 0..66_000u32], prop_oneof![Just(53u32), 0..66_000u32],
            0..5u64, 0..8u32), 1..200)
    ) {
        const ADDRESSES: [&str; 3] = ["10.0.0.1", "2001:db8::1", "-"];
        const OTHERS: [&str; 3] = ["10.0.0.1", "2001:db8:0::1", "10.0.0.3"];
        let names = "srcaddr dstaddr pkt-srcaddr pkt-dstaddr protocol tcp-flags srcport dstport start end flow-direction";
        let lines: Vec<String> = rows.iter().map(|(a, b, c, d, protocol, flags, src, dst, start, mask)| {
            let or_none = |bit: u32, text: String| if mask >> bit & 1 == 1 && flags % 7 == 0 { "-".to_owned() } else { text };
            let direction = ["ingress", "egress", "-"][(flags % 3) as usize];
            let start_s = 1_705_276_800 + start * 60;
            format!(
                "{} {} {} {} {} {} {} {} {} {} {direction}",
                ADDRESSES[*a], ADDRESSES[*b], OTHERS[*c], OTHERS[*d], or_none(0, protocol.to_string()),
                or_none(1, flags.to_string()), or_none(2, src.to_string()), dst, start_s, start_s + 60 - start * 20,
            )
        }).collect();
        check(names, &lines);
    }
}
