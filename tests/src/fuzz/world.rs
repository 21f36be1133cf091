//! A small table in memory, made by the program itself: where seeds come from.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use flowquet_engine::{
    Budget, COMPACT_MEMORY_MIN, Change, Choice, CompactOptions, CompactRequest, Copies, Error, Event,
    ReconvertRequest, Request, Resume, Run, compact, convert, reconvert,
};
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::{Location, Memory, Store, Stores};
use flowquet_table::{Log, Options};
use flowquet_testkit::generate::{Object, Traffic, V2_FORMAT};
use flowquet_testkit::gzip;

/// Delivery of the logs: 2024-01-15 00:00 UTC.
const DELIVERED_S: i64 = 1_705_276_800;

/// Nobody stops a run.
static STOP: AtomicBool = AtomicBool::new(false);

/// Objects of a table by key.
pub(super) type Snapshot = BTreeMap<String, Bytes>;

/// A table with plans, commits, rejects, a compaction, a reconversion and a checkpoint.
pub(super) static TABLE: LazyLock<Snapshot> = LazyLock::new(table);

/// The text of a small object of version 2.
pub(super) fn log(records: usize, header: bool) -> String {
    let object = Object {
        account: 111_111_111_111,
        region: "us-east-1",
        delivered_s: DELIVERED_S,
        records,
        format: V2_FORMAT,
        header,
        traffic: Traffic::default(),
    };
    object.text(records as u64)
}

/// AWS's key of an object.
pub(super) fn key(account: u64, day: u32, n: u32) -> String {
    format!(
        "AWSLogs/{account:012}/vpcflowlogs/us-east-1/2024/01/{day:02}/{account:012}_vpcflowlogs_us-east-1_fl-0{account:x}_202401{day:02}T{n:02}00Z_0000000{n}.log.gz"
    )
}

/// The stores of a bucket `logs`.
pub(super) fn stores(logs: &Memory) -> Arc<Stores> {
    let logs: Arc<dyn Store> = Arc::new(logs.clone());
    Arc::new(Stores::of(BTreeMap::from([("logs".to_owned(), logs)])))
}

/// Converts `source` into the table in `lake`.
pub(super) fn convert_into(lake: &Memory, stores: &Arc<Stores>, source: Source) -> Result<Run, Error> {
    let out: Arc<dyn Store> = Arc::new(lake.clone());
    let request = Request {
        sources: vec![source],
        filter: KeyFilter::default(),
        stores: stores.clone(),
        contract: Log::find_contract(out.as_ref())?,
        out,
        options: Options { row_group_rows: 1_000, file_bytes: 480, ..Options::default() },
        enrich: Vec::new(),
        budget: Budget::new(1, None, true, false)?,
        max_rejects: None,
        resume: Resume::All,
        copies: Copies::Skip,
    };
    convert(&request, &mut std::io::empty(), &|_: &Event<'_>| {}, &STOP)
}

/// All of the bucket `logs`.
pub(super) fn bucket() -> Source {
    Source::At(Location::parse("s3://logs/").expect("a location"))
}

fn table() -> Snapshot {
    let (logs, lake) = (Memory::new("s3://logs"), Memory::new("s3://lake"));
    let stores = stores(&logs);
    let out: Arc<dyn Store> = Arc::new(lake.clone());
    let put = |key: &str, text: &str| logs.put(key, &gzip(text.as_bytes())).expect("memory takes all");
    // More plans than a checkpoint waits for.
    for n in 0..9 {
        put(&key(1, 15, n), &log(5 + n as usize, true));
        put(
            &key(2, 16, n),
            &format!("srcaddr bytes start hop-count\n10.9.9.9 77 {} 3\nno record\n", DELIVERED_S + 9),
        );
        logs.put("damaged.log.gz", &gzip(b"text")[..9]).expect("memory takes all");
        let run = convert_into(&lake, &stores, bucket()).expect("undisturbed");
        assert!(run.error.is_none(), "{:?}", run.error);
    }
    let request = CompactRequest {
        out: out.clone(),
        options: CompactOptions {
            sort: None,
            dedup: None,
            bloom_filter: Vec::new(),
            compression: "zstd:3".into(),
            row_group_rows: 1_000,
            file_bytes: 1 << 20,
        },
        partitions: Vec::new(),
        workers: 1,
        memory: COMPACT_MEMORY_MIN,
        dry_run: false,
        grace: Duration::ZERO,
    };
    compact(&request, None, &|_: &Event<'_>| {}, &STOP).expect("undisturbed");
    let mut choice = Choice::default();
    choice.rejects = true;
    let request = ReconvertRequest {
        out: out.clone(),
        stores: stores.clone(),
        choice,
        change: Change { columns: Some(vec!["bytes".into(), "start".into()]), ..Change::default() },
        enrich: Vec::new(),
        budget: Budget::new(1, None, true, false).expect("enough"),
        grace: Duration::ZERO,
        dry_run: false,
    };
    reconvert(&request, None, &|_: &Event<'_>| {}, &STOP).expect("undisturbed");
    put(&key(3, 16, 1), &log(4, true));
    convert_into(&lake, &stores, bucket()).expect("undisturbed");
    Log::open(&out).expect("a table").checkpoint().expect("undisturbed");
    lake.snapshot()
}

/// The objects of the table whose keys begin so.
pub(super) fn of_table(prefix: &str) -> Vec<(String, Bytes)> {
    TABLE.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, b)| (k.clone(), b.clone())).collect()
}

/// Whether a key lies in the table's own folder, or is that of a data file in a partition: told here anew, not by the program.
pub(super) fn is_inside(key: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
    key.split('/').all(is_part)
}
