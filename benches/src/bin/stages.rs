//! Time of each stage of the conversion, and of the whole, on flow logs that are made up here.
//!
//! `stages [--format blog|v2|v5] [--records N] [--runs N]` prints, a stage a line: nanoseconds a record, MB of text a
//! second and records a second, each the best of the runs with the spread to the worst. A stage that gives a wrong count
//! ends the program.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark writes its input")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use flowquet_arrow::{BatchSchema, Columns, Selection};
use flowquet_benches::for_each_block;
use flowquet_engine::{Budget, Copies, Event, Request, Resume, convert};
use flowquet_format::{Catalogue, KeyFilter, LogFormat, Types};
use flowquet_input::inflate::GzipInflater;
use flowquet_parquet::{Compression, Encoder, FileSchema};
use flowquet_parse::locate::Delimiters;
use flowquet_parse::{BLOCK_BYTES, Backend, IntegerColumns, Parser};
use flowquet_sources::Source;
use flowquet_store::{LocalStore, Location};
use flowquet_table::Options;
use flowquet_testkit::generate::{BLOG_FORMAT, Object, Traffic, V2_FORMAT, V5_FORMAT};
use flowquet_testkit::gzip;

/// Records of one object of the whole conversion.
const OBJECT_RECORDS: usize = 100_000;

struct Bench {
    records: usize,
    text_bytes: usize,
    runs: usize,
}

impl Bench {
    /// Runs a stage that returns how many records it saw, and prints its line.
    fn stage(&self, name: &str, mut run: impl FnMut() -> usize) {
        let mut times: Vec<Duration> = (0..self.runs)
            .map(|_| {
                let started = Instant::now();
                let records = run();
                let elapsed = started.elapsed();
                assert_eq!(records, self.records, "{name} lost records");
                elapsed
            })
            .collect();
        times.sort();
        let (best, worst) = (times[0].as_secs_f64(), times[times.len() - 1].as_secs_f64());
        println!(
            "{name:<28} {:>8.1} ns/record {:>8.0} MB/s {:>12.0} records/s   spread {:.2}",
            best * 1e9 / self.records as f64,
            self.text_bytes as f64 / best / 1e6,
            self.records as f64 / best,
            worst / best
        );
    }
}

fn main() {
    let (mut names, mut records, mut runs) = (BLOG_FORMAT, 400_000, 5);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match (arg.as_str(), value.as_str()) {
            ("--format", "blog") => names = BLOG_FORMAT,
            ("--format", "v2") => names = V2_FORMAT,
            ("--format", "v5") => names = V5_FORMAT,
            ("--records", n) => records = n.parse().expect("a number"),
            ("--runs", n) => runs = n.parse().expect("a number"),
            (other, value) => panic!("unknown option {other} {value}"),
        }
    }
    let object = Object {
        account: 1,
        region: "us-east-1",
        delivered_s: 1_705_276_800,
        records,
        format: names,
        header: true,
        traffic: Traffic::default(),
    };
    let text = object.text(1).into_bytes();
    let packed = gzip(&text);
    let bench = Bench { records, text_bytes: text.len(), runs };
    println!(
        "{} fields, {records} records, {:.1} MB of text, {:.1} MB gzip, best of {runs}, one thread but for the whole",
        names.split(' ').count(),
        text.len() as f64 / 1e6,
        packed.len() as f64 / 1e6
    );
    let newlines = text.iter().filter(|b| **b == b'\n').count();
    let mut out = Vec::new();
    bench.stage("inflate (libdeflate)", || {
        let len = GzipInflater::new().inflate(&packed, &mut out, 1 << 32).expect("whole");
        assert_eq!(len, text.len());
        records
    });
    for backend in Backend::available() {
        let mut found = Delimiters::default();
        bench.stage(&format!("locate ({backend:?})"), || {
            let lines: usize = text
                .chunks(BLOCK_BYTES)
                .map(|block| {
                    backend.locate(block, &mut found);
                    found.line_ends().len()
                })
                .sum();
            assert_eq!(lines, newlines);
            lines - 1
        });
    }
    let catalogue = Arc::new(Catalogue::builtin().clone());
    let format = Arc::new(LogFormat::parse(names, &catalogue).expect("valid"));
    let mut parser = Parser::new(catalogue, None);
    bench.stage("locate and check lines", || for_each_block(&text, &mut parser, |_| {}));
    let fields = format.fields().iter().enumerate();
    let integer_fields: Vec<_> =
        fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?))).collect();
    let mut integers = IntegerColumns::new(integer_fields);
    bench.stage("… and integers", || {
        for_each_block(&text, &mut parser, |block| assert!(!integers.parse(block)))
    });
    let schema = Arc::new(BatchSchema::new(format.clone(), &Selection::all(), Types::Aws));
    let mut batch = None;
    bench.stage("… and columns", || {
        let mut columns = Columns::new(schema.clone());
        let seen = for_each_block(&text, &mut parser, |block| {
            integers.parse(block);
            columns.append(block, &integers, 0..block.rows().len());
        });
        batch = Some(columns.finish());
        seen
    });
    let batch = batch.expect("run at least once");
    let file_schema = FileSchema::new(schema.columns().iter().map(|c| (c.name.as_str(), c.column_type)));
    for compression in [Compression::None, Compression::default()] {
        bench.stage(&format!("encode ({compression})"), || {
            Encoder::new(compression)
                .expect("a compressor")
                .encode(&batch, &file_schema)
                .expect("encodes")
                .rows()
        });
    }
    whole(&bench, names);
}

/// The whole conversion, gzip objects to Parquet on disk, with as many threads as cores and with one.
fn whole(bench: &Bench, names: &'static str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).expect("writable");
    let mut left = bench.records;
    let mut text_bytes = 0;
    for i in 0.. {
        let records = left.min(OBJECT_RECORDS);
        if records == 0 {
            break;
        }
        let delivered_s = 1_705_276_800 + 300 * i64::from(i);
        let object = Object {
            account: 1,
            region: "us-east-1",
            delivered_s,
            records,
            format: names,
            header: true,
            traffic: Traffic::default(),
        };
        let text = object.text(i as u64);
        text_bytes += text.len();
        std::fs::write(logs.join(format!("{i:05}.log.gz")), gzip(text.as_bytes())).expect("writable");
        left -= records;
    }
    let bench = Bench { text_bytes, ..*bench };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for threads in [1, cores] {
        let mut run = 0;
        bench.stage(&format!("whole, {threads} threads"), || {
            run += 1;
            let request = Request {
                sources: vec![Source::At(Location::Local(logs.clone()))],
                filter: KeyFilter::default(),
                stores: Arc::default(),
                out: Arc::new(LocalStore::new(
                    folder.path().join(format!("out-{threads}-{run}")),
                    "_flowquet/staging",
                )),
                contract: None,
                options: Options::default(),
                enrich: Vec::new(),
                budget: Budget::new(threads, None, false, false).expect("the default fits"),
                max_rejects: None,
                resume: Resume::All,
                copies: Copies::Skip,
            };
            let quiet = |_: &Event<'_>| {};
            let done =
                convert(&request, &mut std::io::empty(), &quiet, &AtomicBool::new(false)).expect("begins");
            assert!(done.error.is_none(), "{:?}", done.error);
            done.summary.outputs.iter().map(|o| o.rows as usize).sum()
        });
    }
}
