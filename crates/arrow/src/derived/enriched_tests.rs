//! Columns that files fill, on rows as a reader sees them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use flowquet_enrich::{Enriching, EnrichmentTable};
use flowquet_format::{Catalogue, Enrichments, LogFormat, Types};

use super::tests::{column, rows_of_schema};
use crate::{BatchSchema, RowHashes, Selection};

/// The files of these names and texts.
fn enriching(files: &[(&str, &str)]) -> Enriching {
    let read = |text: &str| Arc::new(EnrichmentTable::read(text.to_owned().into()).expect("a file"));
    let mut files: Vec<_> = files.iter().map(|(name, text)| (*name, read(text))).collect();
    files.sort_by_key(|(name, _)| *name);
    let of: Vec<_> = files.iter().map(|(name, table)| table.enrichment(name)).collect();
    let tables = files.into_iter().map(|(_, table)| table).collect();
    Enriching::new(Enrichments::try_from(of).expect("valid"), tables)
}

fn rows(names: &str, types: Types, selection: &Selection, files: &Enriching, lines: &[&str]) -> RecordBatch {
    let format = Arc::new(LogFormat::parse(names, Catalogue::builtin()).expect("valid"));
    let schema = BatchSchema::new(format, selection, types).enriched_by(files);
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    rows_of_schema(&Arc::new(schema), types, &lines)
}

#[track_caller]
fn check(batch: &RecordBatch, name: &str, expected: &[&str]) {
    assert_eq!(column(batch, name), expected, "{name}");
}

#[test]
fn addresses_of_packets_before_those_of_interfaces() {
    let files =
        enriching(&[("net", "cidr,team,note\n10.0.0.0/8,wide,x\n10.1.0.0/16,web,\n2001:db8::/32,six,y\n")]);
    let lines = [
        "10.1.0.1 10.0.0.9 - 10.1.0.2 eni-1 100",
        "10.1.0.1 9.9.9.9 10.2.0.1 8.8.8.8 eni-1 200",
        "2001:db8::1 ::ffff:10.1.0.9 - - eni-2 300",
        "- - - - eni-1 400",
        "unknown 10.1.0.1 - unknown eni-1 500",
    ];
    let names = "srcaddr dstaddr pkt-srcaddr pkt-dstaddr interface-id start";
    for types in [Types::Aws, Types::Rich] {
        let batch = rows(names, types, &Selection::all(), &files, &lines);
        check(&batch, "src_net_team", &["web", "wide", "six", "-", "-"]);
        check(&batch, "dst_net_team", &["web", "-", "web", "-", "-"]);
        check(&batch, "src_net_note", &["-", "x", "y", "-", "-"]);
        check(&batch, "dst_net_note", &["-", "-", "-", "-", "-"]);
        let order: Vec<&str> = batch.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            order[order.len() - 4..],
            ["src_net_team", "src_net_note", "dst_net_team", "dst_net_note"]
        );
        let plain = rows(names, types, &Selection::all(), &Enriching::default(), &lines);
        let (mut with, mut without) = (RowHashes::default(), RowHashes::default());
        with.take(&batch);
        without.take(&plain);
        assert_eq!(
            with.digest(0..batch.num_rows()),
            without.digest(0..plain.num_rows()),
            "no part of digests"
        );
    }
    // The interface's address is not taken for the packet's where that is left out.
    let kept = rows(names, Types::Aws, &Selection::of(["srcaddr", "pkt_dstaddr", "start"]), &files, &lines);
    assert!(kept.column_by_name("src_net_team").is_none());
    check(&kept, "dst_net_team", &["web", "-", "-", "-", "-"]);
    let plain = rows("srcaddr", Types::Aws, &Selection::of(["srcaddr"]), &files, &["10.1.0.1", "-"]);
    check(&plain, "src_net_team", &["web", "-"]);
    assert!(plain.column_by_name("dst_net_team").is_none());
}

#[test]
fn starts_choose_among_entries() {
    let files = enriching(&[
        ("eni", "eni,from,to,name\neni-1,150,350,a\neni-1,300,,b\nENI-2,,,c\n"),
        ("pod", "ip,from,to,name\n10.0.0.1,100,300,p\n10.0.0.1,300,400,q\n10.0.0.0/24,,,node\n"),
    ]);
    let lines = [
        "10.0.0.1 10.0.0.2 eni-1 100",
        "10.0.0.1 10.0.0.2 eni-1 200",
        "10.0.0.1 10.0.0.2 eni-1 300",
        "10.0.0.1 10.0.0.2 eni-2 400",
        "10.0.0.1 10.0.0.2 eni-2 -",
    ];
    for types in [Types::Aws, Types::Rich] {
        let batch = rows("srcaddr dstaddr interface-id start", types, &Selection::all(), &files, &lines);
        check(&batch, "interface_eni_name", &["-", "a", "b", "c", "-"]);
        check(&batch, "src_pod_name", &["p", "p", "q", "node", "-"]);
        check(&batch, "dst_pod_name", &["node", "node", "node", "node", "-"]);
    }
    let batch = rows("srcaddr interface-id", Types::Aws, &Selection::all(), &files, &["10.0.0.1 eni-1"]);
    assert!(batch.column_by_name("src_pod_name").is_none(), "no start chooses");
}
