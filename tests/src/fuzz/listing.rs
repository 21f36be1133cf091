//! Any keys in a bucket, as whoever writes there names them: objects add up, each is taken once, rows are those of the objects that
//! were converted, and nothing is written outside the table.

use std::collections::BTreeSet;

use flowquet_store::{Memory, Store};

use super::world::{bucket, convert_into, is_inside, key, log, stores};

/// Keys that are taken of an input: one a line.
const KEYS_MAX: usize = 12;

/// Longest key that S3 has.
const KEY_BYTES_MAX: usize = 1024;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let keys = [
        format!("{}\n{}\n{}", key(1, 15, 1), key(1, 15, 2), key(2, 16, 3)),
        "a.log\na/b.log\na//b.log\n/c.log\n../d.log\n.hidden\nx/_flowquet/table.json\nx/y.log\n".to_owned(),
        "AWSLogs/1/CloudTrail/us-east-1/2024/01/15/x.json.gz\nAWSLogs/1/vpcflowlogs/us-east-1/2024/01/15/x.log\n".to_owned(),
        "s p\té\u{202e}.log\nfolder/\nfolder/x\n%2e%2e%2fx\n_flowquet/spool/x\nlake/date=2024-01-15/0123456789abcdef-0000.parquet".to_owned(),
    ];
    keys.into_iter().map(String::into_bytes).collect()
}

pub(super) fn run(data: &[u8]) {
    let (logs, lake) = (Memory::new("s3://logs"), Memory::new("s3://lake"));
    let text = log(3, true);
    let mut put = BTreeSet::new();
    for line in data.split(|b| *b == b'\n').filter(|line| !line.is_empty()).take(KEYS_MAX) {
        let key = String::from_utf8_lossy(&line[..line.len().min(KEY_BYTES_MAX)]).into_owned();
        logs.put(&key, text.as_bytes()).expect("memory takes all");
        put.insert(key);
    }
    let stores = stores(&logs);
    let Ok(run) = convert_into(&lake, &stores, bucket()) else { return };
    let (objects, counts) = (&run.summary.objects, &run.summary.counts);
    assert!(run.error.is_none(), "{:?}", run.error);
    assert!(objects.balances(), "{objects:?}");
    let left_out: u64 = run.summary.left_out_tables.iter().map(|table| table.objects).sum();
    assert!(objects.listed + objects.left_out + left_out <= put.len() as u64, "{objects:?} of {put:?}");
    assert_eq!(counts.lines, 4 * objects.converted, "{objects:?}");
    assert_eq!(counts.records, 3 * objects.converted, "{objects:?}");
    for key in lake.snapshot().keys() {
        let is_record = key.starts_with("_flowquet/");
        let is_file = key.starts_with("date=") && key.ends_with(".parquet") && key.matches('/').count() == 1;
        assert!(is_inside(key) && (is_record || is_file), "{key:?} was written");
    }
    // Nothing is left to do, whatever they are called.
    let again = convert_into(&lake, &stores, bucket()).expect("as before");
    assert!(again.error.is_none() && again.summary.objects.converted == 0, "{:?}", again.summary.objects);
}
