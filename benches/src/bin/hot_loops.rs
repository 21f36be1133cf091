//! One hot loop, run a number of times over made-up logs, for a profiler that counts instructions.
//!
//! `hot_loops LOOP TIMES [--records N]`; without arguments it prints the names of the loops. `benches/instructions.py` runs it.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::sync::Arc;

use flowquet_arrow::{BatchSchema, Columns, RowHashes, Selection};
use flowquet_benches::for_each_block;
use flowquet_enrich::{Enriching, EnrichmentTable};
use flowquet_format::{AddedColumn, Catalogue, ColumnType, Enrichments, LogFormat, Types};
use flowquet_parquet::{Compression, Encoder, FileSchema};
use flowquet_parse::locate::Delimiters;
use flowquet_parse::{BLOCK_BYTES, Backend, IntegerColumns, PackedAddress, Parser, pack_addresses, repeats};
use flowquet_testkit::generate::{BLOG_FORMAT, Object, Traffic};

/// Each loop contains no other, but for the parser's sweep and check of lines, which all of a block need; and `added`, which is all from lines to encoded
/// pages, with all derived columns: what `columns`, `digest` and `encode` are without them; `enriched` is the same with what a list of networks says of both
/// addresses in two columns each. `sorted` is `encode` of rows that are put in order first.
const LOOPS: [&str; 11] = [
    "locate",
    "blocks",
    "integers",
    "repeats",
    "addresses",
    "columns",
    "digest",
    "encode",
    "sorted",
    "added",
    "enriched",
];

/// Networks of the list of `enriched`.
const NETWORKS: usize = 10_000;

/// Records: enough to fill a page, few enough for a profiler that runs fifty times slower.
const RECORDS: usize = 20_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &args[..] else {
        println!("{RECORDS} {}", LOOPS.join(" "));
        return;
    };
    let times: usize = times.parse().expect("a number");
    assert!(LOOPS.contains(&name.as_str()), "expected one of {LOOPS:?}, found {name}");
    let (account, region, delivered_s) = (1, "us-east-1", 1_705_276_800);
    let object = Object {
        account,
        region,
        delivered_s,
        records: RECORDS,
        format: BLOG_FORMAT,
        header: true,
        traffic: Traffic::default(),
    };
    let text = object.text(1).into_bytes();
    let catalogue = Arc::new(Catalogue::builtin().clone());
    let format = Arc::new(LogFormat::parse(BLOG_FORMAT, &catalogue).expect("valid"));
    let schema = Arc::new(BatchSchema::new(format.clone(), &Selection::all(), Types::Aws));
    let fields = || format.fields().iter().enumerate();
    let of_type = |t: ColumnType| fields().filter(move |(_, f)| f.column_type() == t).map(|(i, _)| i);
    let texts: Vec<usize> = of_type(ColumnType::String).collect();
    let integers = fields().filter_map(|(i, f)| Some((i, f.column_type().integer_max()?)));
    let mut integers = IntegerColumns::new(integers.collect());
    let mut parser = Parser::new(catalogue, None);
    let mut columns = Columns::new(schema.clone());
    let encoded = columns_of(&text, &mut parser, &mut integers, &mut columns);
    let file_schema = file_schema_of(&schema);
    let sorted_schema = file_schema.clone().sorted_by(["interface_id", "srcaddr", "dstaddr", "start"]);
    let derived = AddedColumn::ALL.into_iter().filter(|column| column.is_derived()).collect();
    let added = Arc::new(BatchSchema::with_added(format.clone(), &Selection::all(), Types::Aws, &derived));
    let (mut with_added, added) = (Columns::new(added.clone()), file_schema_of(&added));
    let enriched = BatchSchema::new(format.clone(), &Selection::all(), Types::Aws).enriched_by(&networks());
    let enriched = Arc::new(enriched);
    let (mut with_enriched, enriched) = (Columns::new(enriched.clone()), file_schema_of(&enriched));
    let mut encoder = Encoder::new(Compression::None).expect("a compressor");
    let (mut found, mut flags, mut packed) = (Delimiters::default(), Vec::new(), Vec::new());
    let mut hashes = RowHashes::default();
    for _ in 0..times {
        let records = match name.as_str() {
            "locate" => {
                let lines = text.chunks(BLOCK_BYTES).map(|block| {
                    Backend::detect().locate(block, &mut found);
                    found.line_ends().len()
                });
                lines.sum::<usize>() - 1
            }
            "blocks" => for_each_block(&text, &mut parser, |_| {}),
            "integers" => for_each_block(&text, &mut parser, |block| assert!(!integers.parse(block))),
            "repeats" => for_each_block(&text, &mut parser, |block| {
                texts.iter().for_each(|f| repeats(block.column(*f, 0..block.rows().len()), &mut flags));
            }),
            "addresses" => for_each_block(&text, &mut parser, |block| {
                packed.resize(block.rows().len(), PackedAddress::default());
                texts.iter().for_each(|f| pack_addresses(block.column(*f, 0..packed.len()), &mut packed));
            }),
            "columns" => columns_of(&text, &mut parser, &mut integers, &mut columns).num_rows(),
            "digest" => {
                hashes.take(&encoded);
                assert_ne!(hashes.digest(0..RECORDS), 0);
                RECORDS
            }
            "sorted" => encoder.encode(&encoded, &sorted_schema).expect("encodes").rows(),
            "added" | "enriched" => {
                let (columns, schema) = match name.as_str() {
                    "added" => (&mut with_added, &added),
                    _ => (&mut with_enriched, &enriched),
                };
                let batch = columns_of(&text, &mut parser, &mut integers, columns);
                hashes.take(&batch);
                assert_ne!(hashes.digest(0..RECORDS), 0);
                encoder.encode(&batch, schema).expect("encodes").rows()
            }
            _ => encoder.encode(&encoded, &file_schema).expect("encodes").rows(),
        };
        assert_eq!(records, RECORDS, "{name} lost records");
    }
}

/// A list of networks around private addresses: some lie in others, and some addresses in none.
fn networks() -> Enriching {
    let mut csv = "cidr,team,environment\n10.0.0.0/8,all,private\n".to_owned();
    for n in 0..NETWORKS {
        let (a, b, team, of) = (n / 256, n % 256, n % 23, n % 3);
        writeln!(csv, "10.{a}.{b}.0/24,team-{team},environment-{of}").expect("a string takes all");
    }
    let table = EnrichmentTable::read(csv.into()).expect("a list");
    let of = Enrichments::try_from(vec![table.enrichment("net")]).expect("one file");
    Enriching::new(of, vec![Arc::new(table)])
}

fn file_schema_of(schema: &BatchSchema) -> FileSchema {
    FileSchema::new(schema.columns().iter().map(|c| (c.name.as_str(), c.column_type)))
}

fn columns_of(
    text: &[u8],
    parser: &mut Parser,
    integers: &mut IntegerColumns,
    columns: &mut Columns,
) -> arrow_array::RecordBatch {
    for_each_block(text, parser, |block| {
        integers.parse(block);
        columns.append(block, integers, 0..block.rows().len());
    });
    columns.finish()
}
