//! Grouping objects into tasks, and a task's objects into units.

use std::collections::BTreeMap;
use std::ops::Range;

use flowquet_format::ObjectKey;
use flowquet_table::{LAYOUT_VERSION, Options, SourceObject, Task, TaskId};
use sha2::{Digest, Sha256};

/// Compressed bytes of a record in a gzip or zstd object. Real and synthetic logs of 14 to 29 fields lie between 25 and 45.
const COMPRESSED_BYTES_PER_RECORD: u64 = 32;

/// Bytes of a record in a plain object.
const PLAIN_BYTES_PER_RECORD: u64 = 160;

/// Bytes of a record in a Parquet file, for the number of objects that fill one.
const PARQUET_BYTES_PER_RECORD: u64 = 24;

/// Most objects of a unit: what a worker reads without handing anything on.
const UNIT_OBJECTS_MAX: usize = 4_096;

/// Most objects of a task: its records are read and written whole.
const TASK_OBJECTS_MAX: usize = 50_000;

/// Records that an object probably holds, from its name and size. Groupings rest on it, nothing else.
pub fn estimated_rows(object: &SourceObject) -> u64 {
    let ends = |endings: &[&str]| endings.iter().any(|e| object.key().ends_with(e));
    let bytes_per_record = match () {
        () if ends(&[".gz", ".gzip", ".zst", ".zstd"]) => COMPRESSED_BYTES_PER_RECORD,
        () if ends(&[".parquet"]) => PARQUET_BYTES_PER_RECORD,
        () => PLAIN_BYTES_PER_RECORD,
    };
    object.bytes / bytes_per_record + 1
}

/// Groups new objects into tasks: by the partition that their keys tell, then so that a task fills about one file.
///
/// Any order of `objects` gives the same tasks. `seed` is part of each task's id and used once in a table: a plan's number, or
/// what a reconversion is.
pub fn plan_tasks(mut objects: Vec<SourceObject>, seed: &str, options: &Options) -> Vec<Task> {
    let partitions = &options.partition_by;
    objects.sort_by(|a, b| (a.key(), a.url()).cmp(&(b.key(), b.url())));
    let mut groups: BTreeMap<String, Vec<SourceObject>> = BTreeMap::new();
    for object in objects {
        let key = ObjectKey::parse(object.url());
        groups.entry(partitions.delivery_folder(&key)).or_default().push(object);
    }
    let task_rows = (options.file_bytes / PARQUET_BYTES_PER_RECORD).max(1);
    let mut tasks: Vec<Task> = Vec::new();
    for group in groups.into_values() {
        let mut rows = 0;
        let mut current: Vec<SourceObject> = Vec::new();
        for object in group {
            let estimated = estimated_rows(&object);
            if !current.is_empty() && (rows + estimated > task_rows || current.len() == TASK_OBJECTS_MAX) {
                push_task(&mut tasks, std::mem::take(&mut current), seed, options);
                rows = 0;
            }
            rows += estimated;
            current.push(object);
        }
        push_task(&mut tasks, current, seed, options);
    }
    tasks
}

fn push_task(tasks: &mut Vec<Task>, objects: Vec<SourceObject>, seed: &str, options: &Options) {
    let id = task_id(&objects, seed, tasks.len(), options);
    tasks.push(Task { id, objects });
}

/// The seed of plan `number`, whose files have the columns of `formats`.
pub fn seed_of_plan(number: u64, formats: &[String]) -> String {
    let formats = digest_text(formats);
    if formats.is_empty() { number.to_string() } else { format!("{number}\n{formats}") }
}

/// What digests say of the formats of a union: nothing where there are none.
pub(crate) fn digest_text(formats: &[String]) -> String {
    formats.iter().map(|format| format!("{format}\n")).collect()
}

/// Splits a task's objects into units of about half a row group each, so that one whose objects hold up to twice as many records as
/// their sizes tell still makes a single one; and smaller ones towards its end, down to a quarter, so that a small task has work for
/// several workers, and none waits long for the last unit of a large one.
pub fn plan_units(objects: &[SourceObject], row_group_rows: u64) -> Vec<Range<usize>> {
    /// A unit is at most this part of the rows that are left.
    const PART: u64 = 3;
    let mut left: u64 = objects.iter().map(estimated_rows).sum();
    let unit_rows = |left: u64| (left / PART).clamp(row_group_rows.div_ceil(4), row_group_rows.div_ceil(2));
    let mut units = Vec::new();
    let (mut start, mut rows, mut rows_max) = (0, 0, unit_rows(left));
    for (i, object) in objects.iter().enumerate() {
        let estimated = estimated_rows(object);
        if i > start && (rows + estimated > rows_max || i - start == UNIT_OBJECTS_MAX) {
            units.push(start..i);
            left -= rows;
            (start, rows, rows_max) = (i, 0, unit_rows(left));
        }
        rows += estimated;
    }
    if start < objects.len() {
        units.push(start..objects.len());
    }
    units
}

/// SHA-256 over keys and sizes of `objects`, in hexadecimal: what a file's metadata says of its inputs.
pub fn inputs_digest(objects: &[SourceObject]) -> String {
    let mut hash = Sha256::new();
    for object in objects {
        hash.update(object.key().as_bytes());
        hash.update([0]);
        hash.update(object.bytes.to_le_bytes());
    }
    hex(&hash.finalize())
}

/// The id of a task. The seed and its place among its tasks are part of it, so that two tasks never share an id, even over inputs
/// of the same keys and sizes.
fn task_id(objects: &[SourceObject], seed: &str, index: usize, options: &Options) -> TaskId {
    let options = serde_json::to_string(options).expect("plain values");
    let text = format!("{LAYOUT_VERSION}\n{seed}\n{index}\n{options}\n{}", inputs_digest(objects));
    let digest = Sha256::digest(text.as_bytes());
    u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")).into()
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { row_group_rows: 1000, file_bytes: 24 * 3000, ..Options::default() }
    }

    fn object(key: &str, bytes: u64) -> SourceObject {
        SourceObject::new(format!("file:///l/{key}"), key, bytes, "1")
    }

    fn plan(objects: Vec<SourceObject>, number: u64) -> Vec<Task> {
        plan_tasks(objects, &number.to_string(), &options())
    }

    #[test]
    fn tasks_do_not_depend_on_the_order_of_the_listing() {
        let key =
            |day, n| format!("AWSLogs/123456789012/vpcflowlogs/us-east-1/2024/01/{day:02}/{n:03}.log.gz");
        let objects: Vec<_> = (0..60).map(|i| object(&key(1 + i % 3, i), 32_000 + i)).collect();
        let tasks = plan(objects.clone(), 1);
        let mut reversed = objects.clone();
        reversed.reverse();
        assert_eq!(plan(reversed, 1), tasks);
        assert_eq!(tasks.iter().map(|t| t.objects.len()).sum::<usize>(), 60);
        for task in &tasks {
            let days: Vec<_> = task.objects.iter().map(|o| o.key()[43..53].to_owned()).collect();
            assert!(days.windows(2).all(|w| w[0] == w[1]), "a task holds objects of one day");
            assert!(task.objects.iter().map(estimated_rows).sum::<u64>() <= 3000);
        }
        let ids: std::collections::HashSet<_> = tasks.iter().map(|t| &t.id).collect();
        assert_eq!(ids.len(), tasks.len());
        assert_ne!(plan(objects.clone(), 2)[0].id, tasks[0].id, "an id is used once in a table");
        let with_formats = |formats: &[&str]| {
            let formats: Vec<String> = formats.iter().map(|f| (*f).to_owned()).collect();
            plan_tasks(objects.clone(), &seed_of_plan(1, &formats), &options())[0].id
        };
        assert_eq!(with_formats(&[]), tasks[0].id);
        assert_ne!(with_formats(&["${bytes}"]), tasks[0].id, "other columns, other bytes");
        assert_ne!(with_formats(&["${bytes}"]), with_formats(&["${bytes}", "${start}"]));
    }

    #[test]
    fn ids_do_not_depend_on_where_the_folder_lies() {
        let moved = SourceObject::new("file:///elsewhere/a.log.gz".into(), "a.log.gz", 10, "2");
        let linked = SourceObject::new("file:///elsewhere/b".into(), "a.log.gz", 10, "2");
        assert_eq!(plan(vec![linked], 1)[0].id, plan(vec![moved.clone()], 1)[0].id);
        assert_eq!(plan(vec![object("a.log.gz", 10)], 1)[0].id, plan(vec![moved], 1)[0].id);
    }

    #[test]
    fn units_cover_the_task_in_order() {
        let objects: Vec<_> = [10, 320_000, 10, 10, 16_000, 16_500, 1].map(|b| object("x.gz", b)).into();
        let units = plan_units(&objects, 1000);
        assert_eq!(units, [0..1, 1..2, 2..4, 4..5, 5..6, 6..7]);
        assert!(plan_units(&[], 1000).is_empty());
    }

    #[test]
    fn units_get_smaller_towards_the_end() {
        let objects: Vec<_> = (0..80).map(|_| object("x.gz", 3_168)).collect();
        let units = plan_units(&objects, 1000);
        let rows: Vec<usize> = units.iter().map(|u| u.len() * 100).collect();
        assert_eq!(rows[..14], [500; 14], "half a row group");
        assert_eq!(rows[14..], [300, 200, 200, 200, 100]);
        assert_eq!(plan_units(&objects[..8], 1000).len(), 4, "work for several workers");
    }
}
