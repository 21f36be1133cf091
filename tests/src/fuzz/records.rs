//! Any bytes as a record: what decodes encodes to what decodes to the same, its names stay inside the table, and reading a table that
//! has it ends and writes nothing.

use std::fmt::Debug;
use std::io::Write as _;
use std::sync::Arc;

use flowquet_store::{Memory, Store};
use flowquet_table::{
    CommitRecord, CompactionRecord, Log, PlanRecord, RecordError, TableContract, from_json, plan_from_gzip,
    plan_to_gzip, to_json,
};

use super::world::{TABLE, is_inside, of_table};

/// Kinds of records and where they stand. The first byte of an input chooses one; behind it stands the record, of a plan the text in
/// its gzip.
const KINDS: [&str; 4] =
    ["_flowquet/plans/", "_flowquet/commits/by-plan/", "_flowquet/compactions/", "_flowquet/table.json"];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let of_kind = |(kind, prefix): (usize, &&str)| {
        let records = of_table(prefix).into_iter().filter(|(key, _)| !key.ends_with(".done"));
        let text = |(key, bytes): (String, bytes::Bytes)| {
            if key.ends_with(".gz") { inflated(&bytes) } else { bytes.to_vec() }
        };
        records.map(move |record| [&[kind as u8], text(record).as_slice()].concat()).collect::<Vec<_>>()
    };
    KINDS.iter().enumerate().flat_map(of_kind).collect()
}

fn inflated(gzip: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzip), &mut text).expect("whole gzip");
    text
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).expect("a vector takes all");
    gzip.finish().expect("a vector takes all")
}

pub(super) fn run(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let kind = usize::from(*kind) % KINDS.len();
    let gzip = deflated(text);
    match kind {
        0 => {
            let plan = plan_from_gzip(&gzip);
            check(plan.as_ref(), |plan| plan_from_gzip(&plan_to_gzip(plan)));
            let ids = plan.iter().flat_map(|plan: &PlanRecord| &plan.tasks).map(|task| task.id.as_str());
            ids.for_each(check_id);
        }
        1 => {
            let commit = from_json::<CommitRecord>(text);
            check(commit.as_ref(), |commit| from_json(&to_json(commit)));
            commit.iter().for_each(check_commit);
        }
        2 => {
            let record = from_json::<CompactionRecord>(text);
            check(record.as_ref(), |record| from_json(&to_json(record)));
            for record in record.iter() {
                check_id(&record.id);
                let retired = record.retired.iter().map(|file| file.key.as_str());
                retired.chain(record.all_outputs().map(|output| output.key.as_str())).for_each(check_key);
                let tasks = record.reconversion.iter().flat_map(|r| &r.tasks);
                tasks.for_each(|task| check_commit(&task.commit));
            }
        }
        _ => check(from_json::<TableContract>(text).as_ref(), |contract| from_json(&to_json(contract))),
    }
    check_table(KINDS[kind], if kind == 0 { &gzip } else { text });
}

/// What was decoded is encoded and decoded once more; what cannot be is told in words.
fn check<T: PartialEq + Debug>(
    decoded: Result<&T, &RecordError>,
    again: impl Fn(&T) -> Result<T, RecordError>,
) {
    match decoded {
        Ok(record) => assert_eq!(&again(record).expect("what was encoded decodes"), record),
        Err(error) => assert!(error.to_string().len() > 8, "{error:?}"),
    }
}

#[track_caller]
fn check_id(id: &str) {
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id:?} is no id");
}

#[track_caller]
fn check_key(key: &str) {
    let is_ours = key.ends_with(".parquet") && !key.starts_with('_');
    assert!(is_inside(key) && is_ours, "{key:?} is no key of a data file");
}

fn check_commit(commit: &CommitRecord) {
    check_id(&commit.task);
    commit.outputs.iter().for_each(|output| check_key(&output.key));
}

/// A table that has it instead of its first record of the kind.
fn check_table(prefix: &str, bytes: &[u8]) {
    let mut table = TABLE.clone();
    let key = of_table(prefix).into_iter().next().expect("the table has each kind").0;
    // Without checkpoints all records are read.
    table.retain(|key, _| !key.starts_with("_flowquet/checkpoints/"));
    table.insert(key, bytes.to_vec().into());
    let memory = Memory::new("s3://lake");
    memory.restore(table.clone());
    let out: Arc<dyn Store> = Arc::new(memory.clone());
    match Log::open(&out) {
        Ok(log) => {
            let state = log.state();
            state.read_all().expect("in memory");
            let files = state.files().all().expect("in memory");
            files.iter().for_each(|file| check_key(&file.output.key));
            let counts = &state.totals().counts;
            assert!(counts.balances(), "{counts:?}");
        }
        Err(error) => assert!(error.to_string().len() > 8, "{error:?}"),
    }
    assert!(memory.snapshot() == table, "reading wrote something");
}
