//! Any bytes as a checkpoint or as one of its segments. Damage changes no answer; what is forged with the right digest panics nowhere.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use flowquet_store::{Memory, Store};
use flowquet_table::{Error, Log, TableState};
use sha2::{Digest as _, Sha256};

use super::world::{Snapshot, TABLE, of_table};

const CHECKPOINTS: &str = "_flowquet/checkpoints/0";
const SEGMENTS: &str = "_flowquet/checkpoints/segments/";

/// The newest checkpoint, and the segments that it names.
static OWN: LazyLock<(String, Vec<String>)> = LazyLock::new(|| {
    let (key, bytes) = of_table(CHECKPOINTS).pop().expect("there is one");
    let text = String::from_utf8(bytes.to_vec()).expect("JSON");
    let segments = of_table(SEGMENTS).into_iter().map(|(key, _)| key);
    (key, segments.filter(|key| text.contains(&key[SEGMENTS.len()..])).collect())
});

/// What the records alone tell.
static TOLD: LazyLock<String> = LazyLock::new(|| {
    let mut table = TABLE.clone();
    table.retain(|key, _| !key.starts_with("_flowquet/checkpoints/"));
    dump(table).expect("a whole table")
});

/// Behind a first byte that chooses what it is.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (key, segments) = &*OWN;
    let keys = std::iter::once(key).chain(segments).enumerate();
    let seeds = keys.flat_map(|(i, key)| {
        // As it is, and under the name that its bytes have.
        [i as u8, i as u8 | 128].map(|kind| [&[kind], TABLE[key].as_ref()].concat())
    });
    seeds.collect()
}

fn dump(table: Snapshot) -> Result<String, Error> {
    let memory = Memory::new("s3://lake");
    memory.restore(table);
    let out: Arc<dyn Store> = Arc::new(memory);
    Log::open(&out)?.ask(|state: &TableState| state.dump())
}

pub(super) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let (key, segments) = &*OWN;
    let place = usize::from(kind & 127) % (segments.len() + 1);
    let mut table = TABLE.clone();
    if place == 0 {
        let is_json = serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
        table.insert(key.clone(), bytes.to_vec().into());
        check(table, is_json);
        return;
    }
    let segment = &segments[place - 1];
    let is_forged = kind & 128 != 0;
    if is_forged {
        let name = &segment[SEGMENTS.len()..];
        let kind = name.split_once('-').expect("a kind and a digest").0;
        let forged = format!("{kind}-{}", digest(bytes));
        let record = String::from_utf8(table[key].to_vec()).expect("JSON").replace(name, &forged);
        table.insert(key.clone(), record.into());
        table.insert(format!("{SEGMENTS}{forged}"), bytes.to_vec().into());
    } else {
        table.insert(segment.clone(), bytes.to_vec().into());
    }
    check(table, is_forged);
}

/// Where it may be forged, any answer will do.
fn check(table: Snapshot, may_lie: bool) {
    match dump(table) {
        Ok(told) => assert!(may_lie || told == *TOLD, "a damaged checkpoint told something else"),
        Err(error) => assert!(may_lie, "a damaged checkpoint stopped the reading: {error}"),
    }
}

/// As segments are named.
fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    Sha256::digest(bytes)[..16].iter().for_each(|b| write!(text, "{b:02x}").expect("a string takes all"));
    text
}
