//! Records that somebody has written who means harm, or that were damaged: names in them lead nowhere.

use std::io::Read as _;

use flowquet_engine::{Change, Choice, Error};
use flowquet_store::Store as _;
use flowquet_table::{Error as LogError, Log, RecordError};
use serde_json::Value;

use crate::world::World;

/// What stands in place of ids, keys, folders and names.
const BAD: [&str; 10] = [
    "../../../etc/passwd",
    "/etc/cron.d/x",
    "..",
    "date=2024-01-15/../../0123456789abcdef-0000.parquet",
    "/date=2024-01-15/0123456789abcdef-0000.parquet",
    "date=2024-01-15//0123456789abcdef-0000.parquet",
    "..\\..\\0123456789abcdef-0000.parquet",
    "_flowquet/table.json",
    "a\u{0}b\n",
    ".hidden/0123456789abcdef-0000.parquet",
];

/// Calls `each` with every name in a record, by the field that holds it. Keys of source objects are none: they stand beside URLs.
fn each_name(value: &mut Value, each: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::Object(fields) => {
            let is_source = fields.contains_key("url");
            for (field, value) in fields {
                let is_name = ["id", "task", "key", "partition", "name", "with_rejects", "tasks"];
                match value {
                    Value::String(text) if is_name.contains(&field.as_str()) && !is_source => {
                        each(field, text);
                    }
                    Value::Array(items) if is_name.contains(&field.as_str()) => {
                        for item in items {
                            match item {
                                Value::String(text) => each(field, text),
                                other => each_name(other, each),
                            }
                        }
                    }
                    other => each_name(other, each),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_name(item, each)),
        _ => {}
    }
}

fn text_of(key: &str, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    if key.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).expect("gzip");
    } else {
        text.extend_from_slice(bytes);
    }
    text
}

fn put(world: &World, key: &str, json: &Value) {
    let text = serde_json::to_vec(json).expect("plain values");
    let bytes = if key.ends_with(".gz") { flowquet_testkit::gzip(&text) } else { text };
    world.put_in_table(key, &bytes);
}

/// A table with records of all kinds, and their keys.
fn table() -> (World, Vec<String>) {
    let world = World::new();
    let out = world.lake_store();
    world.convert(&out, world.options()).expect("undisturbed");
    let mut choice = Choice::default();
    choice.rejects = true;
    world.reconvert(&out, choice, Change::default()).expect("undisturbed");
    world.compact(&out, None).expect("undisturbed");
    Log::open(&out).and_then(|mut log| log.checkpoint()).expect("memory does not fail");
    let all = world.lake.snapshot();
    let kinds = ["plans/", "commits/", "compactions/", "checkpoints/0"];
    let is_record = |key: &str| kinds.iter().any(|k| key.starts_with(&format!("_flowquet/{k}")));
    let keys = all.keys().filter(|k| is_record(k) && !k.ends_with(".done")).cloned().collect();
    (world, keys)
}

#[test]
fn no_name_in_a_record_leads_out_of_the_table() {
    let (world, keys) = table();
    let whole = world.snapshot();
    let rows = world.rows();
    let mut fields = std::collections::BTreeSet::new();
    for key in keys {
        let is_checkpoint = key.contains("checkpoints");
        if !is_checkpoint {
            // Then all records are read.
            let (mut lake, catalog) = whole.clone();
            lake.retain(|k, _| !k.starts_with("_flowquet/checkpoints/"));
            world.restore(&(lake, catalog));
        }
        let json: Value = serde_json::from_slice(&text_of(&key, &whole.0[&key])).expect("JSON");
        let mut names = 0;
        each_name(&mut json.clone(), &mut |_, _| names += 1);
        assert!(names > 0, "{key}");
        for at in 0..names {
            for bad in BAD {
                let (mut spoilt, mut number) = (json.clone(), 0);
                each_name(&mut spoilt, &mut |field, name| {
                    if number == at {
                        fields.insert(format!("{} {field}", key.split('/').nth(1).unwrap_or_default()));
                        bad.clone_into(name);
                    }
                    number += 1;
                });
                put(&world, &key, &spoilt);
                let before = world.snapshot();
                if is_checkpoint {
                    // Nothing rests on it.
                    assert_eq!(world.rows(), rows);
                    continue;
                }
                match Log::open(&world.lake_store()) {
                    Err(LogError::Record { url, error: RecordError::Malformed(error) }) => {
                        assert_eq!(url, format!("s3://lake/{key}"));
                        assert!(error.to_string().contains("found `"), "{error}");
                    }
                    other => panic!("{key}: {other:?}"),
                }
                if bad == BAD[0] {
                    for result in [
                        world.convert(&world.lake_store(), world.options()).map(drop),
                        world.compact(&world.lake_store(), None),
                    ] {
                        assert!(matches!(result, Err(Error::Log(LogError::Record { .. }))), "{key}");
                    }
                }
                assert!(world.snapshot() == before, "{key} {bad}");
            }
        }
        world.restore(&whole);
    }
    let expected = [
        "checkpoints name",
        "commits key",
        "commits partition",
        "commits task",
        "compactions id",
        "compactions key",
        "compactions partition",
        "compactions task",
        "plans id",
    ];
    for field in expected {
        assert!(fields.contains(field), "{field} of {fields:?}");
    }
}

#[test]
fn old_checkpoints_delete_only_their_own_segments() {
    let (world, _) = table();
    let key = "_flowquet/checkpoints/00000001.json";
    let mut json: Value = serde_json::from_slice(&world.lake.get(key).expect("put above")).expect("JSON");
    json["taken"][0]["name"] = "../../plans/00000001.json.gz".into();
    put(&world, key, &json);
    for _ in 0..20 {
        Log::open(&world.lake_store()).and_then(|mut log| log.checkpoint()).expect("memory does not fail");
    }
    assert!(world.lake.get(key).is_err(), "it is old");
    world.assert_in_place();
}
