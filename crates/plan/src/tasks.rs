//! Grouping objects into tasks, and a task's objects into units.

use std::collections::BTreeMap;
use std::ops::Range;

use flowquet_format::{ObjectKey, PartitionSpec};
use sha2::{Digest, Sha256};

use crate::LAYOUT_VERSION;
use crate::options::Options;
use crate::records::{SourceObject, Task};

/// Compressed bytes of a record in a gzip or zstd object. Real and made-up logs of 14 to 29 fields lie between 25 and 45.
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
/// Any order of `objects` gives the same tasks. `formats` are those of the plan record.
pub fn plan_tasks(
    mut objects: Vec<SourceObject>,
    plan_number: u64,
    options: &Options,
    formats: &[String],
    partitions: &PartitionSpec,
) -> Vec<Task> {
    objects.sort_by(|a, b| (a.key(), a.url()).cmp(&(b.key(), b.url())));
    let mut groups: BTreeMap<String, Vec<SourceObject>> = BTreeMap::new();
    for object in objects {
        let key = ObjectKey::parse(object.url());
        groups.entry(partitions.folder(&key, partitions.delivery_slot(&key))).or_default().push(object);
    }
    let task_rows = (options.file_bytes / PARQUET_BYTES_PER_RECORD).max(1);
    let mut tasks: Vec<Task> = Vec::new();
    for group in groups.into_values() {
        let mut rows = 0;
        let mut current: Vec<SourceObject> = Vec::new();
        for object in group {
            let estimated = estimated_rows(&object);
            if !current.is_empty() && (rows + estimated > task_rows || current.len() == TASK_OBJECTS_MAX) {
                push_task(&mut tasks, std::mem::take(&mut current), plan_number, options, formats);
                rows = 0;
            }
            rows += estimated;
            current.push(object);
        }
        push_task(&mut tasks, current, plan_number, options, formats);
    }
    tasks
}

fn push_task(
    tasks: &mut Vec<Task>,
    objects: Vec<SourceObject>,
    plan_number: u64,
    options: &Options,
    formats: &[String],
) {
    let id = task_id(&objects, plan_number, tasks.len(), options, formats);
    tasks.push(Task { id, objects });
}

/// Splits a task's objects into units of about one row group each, and smaller ones towards its end, down to a quarter of
/// one: so that a small task has work for several workers, and none waits long for the last unit of a large one.
pub fn plan_units(objects: &[SourceObject], row_group_rows: u64) -> Vec<Range<usize>> {
    /// A unit is at most this part of the rows that are left.
    const PART: u64 = 3;
    let mut left: u64 = objects.iter().map(estimated_rows).sum();
    let unit_rows = |left: u64| (left / PART).clamp(row_group_rows.div_ceil(4), row_group_rows);
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

/// The id of a task. Its place in the table's plans is part of it, so that two tasks never share an id, even over inputs
/// of the same keys and sizes.
fn task_id(
    objects: &[SourceObject],
    plan_number: u64,
    index: usize,
    options: &Options,
    formats: &[String],
) -> String {
    let options = serde_json::to_string(options).expect("plain values");
    let formats = digest_text(formats);
    let text =
        format!("{LAYOUT_VERSION}\n{plan_number}\n{index}\n{options}\n{formats}{}", inputs_digest(objects));
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// What digests say of the formats of a union: nothing where there are none, as before records had them.
pub(crate) fn digest_text(formats: &[String]) -> String {
    formats.iter().map(|format| format!("{format}\n")).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitRecord, Counts, InputRecord, Known, PlanRecord};
    use std::collections::HashMap;

    fn options() -> Options {
        Options {
            partition_by: "date".into(),
            partition_time: "start".into(),
            types: "aws".into(),
            columns: None,
            sort: Vec::new(),
            bloom_filter: Vec::new(),
            compression: "zstd:1".into(),
            row_group_rows: 1000,
            file_bytes: 24 * 3000,
            format: None,
            fields: None,
            salvage: false,
        }
    }

    fn object(key: &str, bytes: u64) -> SourceObject {
        SourceObject::new(format!("file:///l/{key}"), key, bytes, "1")
    }

    fn plan(objects: Vec<SourceObject>, number: u64) -> Vec<Task> {
        plan_tasks(objects, number, &options(), &[], &options().partition_spec().expect("valid"))
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
        let spec = options().partition_spec().expect("valid");
        let with_formats = |f: &[&str]| {
            let formats: Vec<String> = f.iter().map(|f| (*f).to_owned()).collect();
            plan_tasks(objects.clone(), 1, &options(), &formats, &spec)[0].id.clone()
        };
        assert_eq!(with_formats(&[]), tasks[0].id, "as before records had formats");
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
        assert_eq!(rows, [1000, 1000, 1000, 1000, 1000, 1000, 600, 400, 300, 200, 200, 200, 100]);
        assert_eq!(plan_units(&objects[..8], 1000).len(), 4, "work for several workers");
    }

    #[test]
    fn known_objects_are_not_planned_again() {
        let tasks = plan(vec![object("a", 1), object("b", 2), object("c", 3)], 1);
        let record = PlanRecord {
            layout_version: LAYOUT_VERSION,
            number: 1,
            options: options(),
            formats: Vec::new(),
            tasks: tasks.clone(),
        };
        let input = |o: &SourceObject, failed: Option<&str>| InputRecord {
            object: o.clone(),
            counts: Counts::default(),
            text_bytes: 0,
            failed: failed.map(str::to_owned),
            damaged: None,
        };
        let commit = CommitRecord {
            layout_version: LAYOUT_VERSION,
            written_by: String::new(),
            task: tasks[0].id.clone(),
            plan: 1,
            void: None,
            inputs: vec![input(&tasks[0].objects[0], None), input(&tasks[0].objects[2], Some("no header"))],
            outputs: Vec::new(),
            counts: Counts::default(),
            records_by_status: BTreeMap::new(),
            rejects_by_reason: BTreeMap::new(),
            times_out_of_range: 0,
            times_missing: 0,
        };
        let void = CommitRecord { void: Some("b changed".into()), inputs: Vec::new(), ..commit.clone() };
        let known = Known::of(&record, &HashMap::from([(void.task.clone(), void)]));
        assert_eq!(
            known.sort_out(vec![object("a", 1)], &options()).new,
            [object("a", 1)],
            "a void task holds nothing"
        );
        let known = Known::of(&record, &HashMap::from([(commit.task.clone(), commit)]));
        let listing = vec![object("a", 1), object("b", 20), object("c", 3), object("d", 4)];
        let sorted = known.sort_out(listing.clone(), &options());
        assert_eq!(sorted.new, [object("d", 4)]);
        assert_eq!((sorted.known, sorted.known_bytes), (2, 21));
        assert_eq!(sorted.changed, [(object("b", 20), 2)]);
        assert_eq!(sorted.failed, [(object("c", 3), "no header".into())]);
        let with_format = Options { format: Some("${version}".into()), ..options() };
        assert_eq!(known.sort_out(listing, &with_format).new, [object("c", 3), object("d", 4)]);
        assert_eq!(known.sort_out(vec![object("c", 33)], &options()).new, [object("c", 33)]);
    }
}
