//! Records of other layouts, and records that contradict each other.

use std::sync::Arc;

use flowquet_store::{Memory, Store};
use flowquet_table::{Error, LAYOUT_VERSION, LAYOUT_VERSION_OF_RETURNS, Log, Options, RecordError};

const ID: &str = "0123456789abcdef";

fn table() -> (Memory, Arc<dyn Store>) {
    let memory = Memory::new("s3://lake");
    let out: Arc<dyn Store> = Arc::new(memory.clone());
    Log::make(&out, &Options::default(), false).expect("memory takes all");
    (memory, out)
}

fn put(memory: &Memory, key: &str, json: &str) {
    let mut bytes = json.as_bytes().to_vec();
    if key.ends_with(".gz") {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &bytes).expect("into memory");
        bytes = gzip.finish().expect("into memory");
    }
    memory.put(key, &bytes).expect("memory takes all");
}

const OPTIONS: &str = r#"{"partition_by":"date","partition_time":"start","types":"aws","compression":"zstd:1","row_group_rows":1000,"file_bytes":1000}"#;

fn plan(version: u32, number: u64, urls: &[&str]) -> String {
    let object = |url: &&str| format!(r#"{{"url":"{url}","key":"k","bytes":7,"etag":"e"}}"#);
    let objects: Vec<String> = urls.iter().map(object).collect();
    let objects = objects.join(",");
    format!(
        r#"{{"layout_version":{version},"number":{number},"options":{OPTIONS},"tasks":[{{"id":"{ID}","objects":[{objects}]}}]}}"#
    )
}

fn commit(version: u32, rows: u64, key: &str, failed: &str) -> String {
    let counts = r#""lines":3,"records":3,"rejects":0,"headers":0,"blanks":0"#;
    let none = r#""lines":0,"records":0,"rejects":0,"headers":0,"blanks":0"#;
    format!(
        r#"{{"layout_version":{version},"written_by":"x","task":"{ID}","plan":1,
        "inputs":[{{"url":"s3://logs/a","key":"k","bytes":7,"etag":"e",{counts},"text_bytes":9}},
                  {{"url":"s3://logs/b","key":"k","bytes":7,"etag":"e",{none},"text_bytes":0,"failed":{failed}}}],
        "outputs":[{{"key":"{key}","partition":"date=2024-01-15","rows":{rows},"bytes":10,"format":"${{start}}"}}],
        "counts":{{{counts}}},"records_by_status":{{}},"rejects_by_reason":{{}},"times_out_of_range":0,"times_missing":0}}"#
    )
}

const FILE: &str = "date=2024-01-15/0123456789abcdef-0000.parquet";

fn told() -> &'static str {
    r#""expected a header line""#
}

#[test]
fn tables_of_layout_4_are_read() {
    let (memory, out) = table();
    put(&memory, "_flowquet/plans/00000001.json.gz", &plan(4, 1, &["s3://logs/a", "s3://logs/b"]));
    put(&memory, &format!("_flowquet/commits/{ID}.json"), &commit(4, 3, FILE, told()));
    let log = Log::open(&out).expect("a table");
    assert_eq!((log.state().totals().objects, log.state().files().all().expect("in memory").len()), (1, 1));
    // A cause that was told in words is tried once more.
    let listing = vec![flowquet_table::SourceObject::new("s3://logs/b".into(), "k", 7, "e")];
    assert_eq!(log.state().sort_out(listing, &Options::default()).expect("in memory").new.len(), 1);
}

#[test]
fn l9_records_of_a_newer_layout_are_refused_by_name_and_version() {
    let newer = LAYOUT_VERSION + 1;
    let newer_of_returns = LAYOUT_VERSION_OF_RETURNS + 1;
    let records = [
        ("_flowquet/plans/00000001.json.gz".to_owned(), plan(newer, 1, &["s3://logs/a"])),
        (format!("_flowquet/commits/by-plan/00000001-{ID}.json"), commit(newer, 3, FILE, told())),
        (
            "_flowquet/compactions/00000001.json".to_owned(),
            format!(r#"{{"layout_version":{newer_of_returns},"new":1}}"#),
        ),
        ("_flowquet/table.json".to_owned(), format!(r#"{{"layout_version":{newer}}}"#)),
    ];
    for (key, json) in records {
        let (memory, out) = table();
        put(&memory, &key, &json);
        let before = memory.snapshot();
        match Log::open(&out) {
            Err(Error::Record { url, error: RecordError::Version { newest, found } }) => {
                assert_eq!((url, found), (format!("s3://lake/{key}"), u64::from(newest) + 1));
            }
            other => panic!("{key}: {other:?}"),
        }
        assert!(memory.snapshot() == before);
    }
}

/// Which invariant a table of plan 1, its commit and maybe another plan breaks.
fn broken(commit: &str, second: Option<&str>) -> Option<&'static str> {
    let (memory, out) = table();
    put(&memory, "_flowquet/plans/00000001.json.gz", &plan(5, 1, &["s3://logs/a", "s3://logs/b"]));
    put(&memory, &format!("_flowquet/commits/by-plan/00000001-{ID}.json"), commit);
    if let Some(second) = second {
        put(&memory, "_flowquet/plans/00000002.json.gz", &second.replace(ID, "aaaaaaaaaaaaaaaa"));
    }
    match Log::open(&out) {
        Err(Error::Broken { invariant, .. }) => Some(invariant),
        Ok(_) => None,
        Err(Error::Record { error: RecordError::Malformed(_), .. }) => Some("no record"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_contradicts_itself_is_found() {
    let cause = r#"{"cause":"archived"}"#;
    let right = commit(5, 3, FILE, cause);
    assert_eq!(broken(&right, None), None);
    assert_eq!(broken(&right, Some(&plan(5, 2, &["s3://logs/b", "s3://logs/c"]))), None);
    assert_eq!(broken(&right, Some(&plan(5, 2, &["s3://logs/a"]))), Some("L1"));
    assert_eq!(broken(&commit(5, 4, FILE, cause), None), Some("L5"));
    for key in
        ["../x/0123456789abcdef-0000.parquet", "date=2024-01-15/other-0000.parquet", "_flowquet/table.json"]
    {
        assert_eq!(broken(&commit(5, 3, key, cause), None), Some("no record"), "{key}");
    }
    // Of another task, and in another partition than it says.
    for key in
        ["date=2024-01-15/0123456789abcdee-0000.parquet", "date=2024-01-16/0123456789abcdef-0000.parquet"]
    {
        assert_eq!(broken(&commit(5, 3, key, cause), None), Some("L8"), "{key}");
    }
}
