//! Values that no digest counts: what proves them when files are merged are the files' bytes.

use bytes::Bytes;
use flowquet_engine::{EnrichmentFile, Error};
use flowquet_format::AddedColumns;
use flowquet_store::Store as _;
use flowquet_table::{Crc32, Options};

use crate::world::World;
use crate::world::found::{keys, live};

/// A column that is computed, another one that a file fills, or neither.
enum Uncounted {
    Added,
    Enriched,
    None,
}

/// A table whose files are not compressed.
fn converted(uncounted: &Uncounted) -> World {
    let world = World::new();
    let mut request =
        world.request(&world.lake_store(), Options { compression: "none".into(), ..world.options() });
    match uncounted {
        Uncounted::Added => request.options.add = AddedColumns::of(["protocol_name"]).expect("known"),
        Uncounted::Enriched => {
            let list = Bytes::from_static(b"cidr,team\n10.0.0.0/8,TCP\n");
            request.enrich = vec![EnrichmentFile::read("net".into(), list).expect("a list")];
            request.options.enrich = EnrichmentFile::enrichments(&request.enrich).expect("one name");
        }
        Uncounted::None => {}
    }
    world.run(&request).expect("undisturbed");
    world
}

/// Changes a bit of the first file in which `text` stands, where it first does. Returns its key and its bytes before and after.
fn damage(world: &World, text: &[u8]) -> (String, Vec<u8>, Vec<u8>) {
    let all = live(world).into_iter().map(|key| (world.lake.get(&key).expect("there"), key));
    let place = |(bytes, key): (Vec<u8>, String)| {
        let at = bytes.windows(text.len()).position(|window| window == text)?;
        Some((key, bytes, at))
    };
    let (key, bytes, at) = all.filter_map(place).next().expect("it stands in a file");
    let mut damaged = bytes.clone();
    damaged[at + text.len() - 1] ^= 1;
    world.put_in_table(&key, &damaged);
    (key, bytes, damaged)
}

/// A compaction stops at the file, says how it differs, and replaces nothing of its partition.
#[track_caller]
fn refused(world: &World, (key, before, after): &(String, Vec<u8>, Vec<u8>)) {
    let told = world.compact(&world.lake_store(), None).expect_err("the file is another one");
    let (expected, found) = (Crc32(crc32fast::hash(before)), Crc32(crc32fast::hash(after)));
    assert_eq!(
        told.to_string(),
        format!("`{key}` is damaged: expected bytes of CRC-32 {expected}, found {found}")
    );
    assert_eq!(told.kind(), "partition-damaged");
    let Error::FileDamaged { table, .. } = told else { panic!("{told:?}") };
    assert_eq!(table, world.lake.url(""));
    assert!(live(world).contains(key));
    assert_eq!(&world.lake.get(key).expect("there"), after);
    // As it was, it is merged with the others.
    world.put_in_table(key, before);
    world.compact(&world.lake_store(), None).expect("whole");
    assert!(!live(world).contains(key));
    world.assert_in_place();
}

#[test]
fn a_damaged_value_of_a_computed_column_is_not_made_permanent() {
    let world = converted(&Uncounted::Added);
    let damaged = damage(&world, b"\x03\0\0\0TCP");
    refused(&world, &damaged);
}

#[test]
fn a_damaged_value_of_a_column_that_a_file_fills_is_not_made_permanent() {
    let world = converted(&Uncounted::Enriched);
    let damaged = damage(&world, b"\x03\0\0\0TCP");
    refused(&world, &damaged);
}

/// All bytes of such a file are compared: those that no merge reads, too.
#[test]
fn a_damaged_footer_is_no_proof() {
    let world = converted(&Uncounted::Added);
    let damaged = damage(&world, b"flowquet.task");
    refused(&world, &damaged);
}

#[test]
fn where_digests_count_all_values_they_are_the_proof() {
    let world = converted(&Uncounted::None);
    let before = world.rows();
    let (key, ..) = damage(&world, b"flowquet.task");
    world.compact(&world.lake_store(), None).expect("its values are whole");
    assert!(!live(&world).contains(&key) && world.rows() == before);
    world.assert_in_place();
}

/// A record of an earlier program has no checksum.
#[test]
fn a_record_without_checksum_has_nothing_to_compare() {
    let world = converted(&Uncounted::Added);
    for key in keys(&world, "_flowquet/commits/") {
        let record = world.lake.get(&key).expect("there");
        let mut record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
        record.as_object_mut().expect("a record").remove("crc32");
        for output in record["outputs"].as_array_mut().expect("files") {
            output.as_object_mut().expect("a file").remove("crc32");
        }
        let record: flowquet_table::CommitRecord = serde_json::from_value(record).expect("a record");
        world.put_in_table(&key, &flowquet_table::to_json(&record));
    }
    keys(&world, "_flowquet/checkpoints/").iter().for_each(|key| world.lake.delete(key).expect("there"));
    damage(&world, b"flowquet.task");
    world.compact(&world.lake_store(), None).expect("nothing tells");
}
