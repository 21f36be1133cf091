//! The log formats that a table has when a run plans: those of its files, by its records, and those of the new objects, by a look at
//! one object of each flow log that the table has not seen.
//!
//! New files have the columns of all of them (`plan/src/union.rs`). A format that no look finds turns up while its objects are
//! converted: then its files have its own columns besides, and the files of later runs have them too.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_format::{LogFormat, ObjectKey, PartitionColumn, union_fields};
use flowquet_plan::formats_of_union;
use flowquet_sources::SourceSet;
use flowquet_store::Fetch;
use flowquet_table::{Options, SourceObject, TableFormats};

use crate::context::{PlanContext, wanted_columns};
use crate::error::Error;
use crate::formats::{AHEAD, HEAD_BYTES, NAMELESS_MAX, format_of_object, is_of_the_object};

/// Objects of a flow log that are looked at until one tells its format: the first may be damaged.
const LOOKS_MAX: usize = 3;

/// Where new objects are looked at, and what stops it.
pub(crate) struct Looks<'a> {
    pub(crate) sources: &'a SourceSet,
    pub(crate) stop: &'a AtomicBool,
}

/// The formats whose columns new files have: those of the table, those that a look `found`, and those that are given.
///
/// # Errors
/// [`Error::Options`] where field lists contradict each other.
pub(crate) fn formats_of(
    known: &TableFormats,
    found: &BTreeSet<String>,
    options: &Options,
) -> Result<Vec<String>, Error> {
    let mut all: BTreeSet<(&str, Option<&str>)> = BTreeSet::new();
    all.extend(known.written().iter().map(|(format, options)| (&**format, options.reading.fields())));
    let given: Vec<String> = options.reading.formats().iter().map(|f| f.to_string()).collect();
    all.extend(found.iter().chain(&given).map(|f| (f.as_str(), options.reading.fields())));
    formats_of_union(all, options).map_err(|e| Error::Options(e.to_string()))
}

/// How many columns new files have, of the formats that a look `found` and others, that no file of the table had before; none of a table without files, and where kinds of flow logs
/// lie in folders of their own.
///
/// # Errors
/// As [`formats_of`].
pub(crate) fn new_columns(
    known: &TableFormats,
    found: &BTreeSet<String>,
    options: &Options,
) -> Result<u64, Error> {
    let is_split = options.partition_by.contains(PartitionColumn::Log);
    if known.written().is_empty() || is_split {
        return Ok(0);
    }
    let plan = PlanContext::new(options)?.with_union(&formats_of(known, found, options)?)?;
    let written = known.written().iter().map(|(format, _)| LogFormat::parse(format, &plan.catalogue));
    let written: Vec<LogFormat> = written.filter_map(Result::ok).collect();
    let had: HashSet<String> =
        union_fields(&written, &plan.catalogue).iter().map(|field| field.column().to_owned()).collect();
    let has = union_fields(&plan.union, &plan.catalogue);
    let is_new = |column: &&str| plan.selection.contains(column) && !had.contains(*column);
    Ok(has.iter().map(|field| field.column()).filter(is_new).count() as u64)
}

/// Formats of objects of flow logs that the table has not seen, and of objects without AWS's names.
///
/// # Errors
/// Where the store fails; an object that cannot be read is left to whoever converts it.
pub(crate) fn look(
    known: &TableFormats,
    new: &[SourceObject],
    options: &Options,
    looks: &Looks<'_>,
) -> Result<BTreeSet<String>, Error> {
    let (catalogue, wanted) = (options.catalogue(), wanted_columns(options));
    let stopped = || looks.stop.load(Ordering::Relaxed);
    let mut left = candidates(known, new);
    let mut ahead: VecDeque<(Vec<&SourceObject>, &SourceObject, Box<dyn Fetch>)> = VecDeque::new();
    let mut found = BTreeSet::new();
    loop {
        while ahead.len() < AHEAD
            && let Some(mut candidates) = left.pop_front()
        {
            if let Some(object) = candidates.pop() {
                ahead.push_back((candidates, object, looks.sources.fetch(object, HEAD_BYTES)));
            }
        }
        let Some((candidates, object, fetch)) = ahead.pop_front() else { return Ok(found) };
        let head = fetch.wait(&stopped);
        let format = head
            .map_err(Error::from)
            .and_then(|head| format_of_object(object, &head, looks.sources, catalogue, &wanted));
        match format {
            Ok(Some(format)) => drop(found.insert(format.to_string())),
            Ok(None) => left.push_back(candidates),
            Err(Error::Store(error)) if is_of_the_object(error.kind()) => left.push_back(candidates),
            Err(error) => return Err(error),
        }
    }
}

/// The first objects of each flow log that is not known, and each of the first that have no flow log; of each the one to be
/// looked at first is last. The same whatever the order of the listing.
fn candidates<'a>(known: &TableFormats, new: &'a [SourceObject]) -> VecDeque<Vec<&'a SourceObject>> {
    let mut by_id: BTreeMap<&str, Vec<&SourceObject>> = BTreeMap::new();
    let mut nameless: Vec<&SourceObject> = Vec::new();
    for object in new.iter().filter(|o| o.bytes > 0) {
        match ObjectKey::flow_log_id_of(object.url()) {
            Some(id) if known.has_flow_log(id) => {}
            Some(id) => keep_first(by_id.entry(id).or_default(), object, LOOKS_MAX),
            None => keep_first(&mut nameless, object, NAMELESS_MAX),
        }
    }
    let by_id = by_id.into_values().map(|mut objects| {
        first(&mut objects, LOOKS_MAX);
        objects.reverse();
        objects
    });
    first(&mut nameless, NAMELESS_MAX);
    by_id.chain(nameless.into_iter().map(|object| vec![object])).collect()
}

/// Appends `object`, and drops those that are not among the first `max` once there are many.
fn keep_first<'a>(objects: &mut Vec<&'a SourceObject>, object: &'a SourceObject, max: usize) {
    objects.push(object);
    if objects.len() == 4 * max {
        first(objects, max);
    }
}

fn first(objects: &mut Vec<&SourceObject>, max: usize) {
    objects.sort_unstable_by(|a, b| (a.key(), a.url()).cmp(&(b.key(), b.url())));
    objects.truncate(max);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, bytes: u64) -> SourceObject {
        SourceObject::new(format!("file:///logs/{key}"), key, bytes, "")
    }

    fn named(flow_log: &str, minute: u32) -> SourceObject {
        object(
            &format!(
                "123456789012_vpcflowlogs_us-east-1_fl-{flow_log}_20240115T00{minute:02}Z_0a1b2c3d.log.gz"
            ),
            10,
        )
    }

    fn looked_at(new: &[SourceObject]) -> Vec<Vec<String>> {
        let candidates = candidates(&TableFormats::default(), new).into_iter();
        candidates.map(|c| c.into_iter().rev().map(|o| o.key().to_owned()).collect()).collect()
    }

    #[test]
    fn some_objects_of_each_flow_log_are_looked_at() {
        let mut new: Vec<SourceObject> = (0..5).map(|minute| named("a", minute)).collect();
        new.extend([named("b", 7), object("x.log", 3), object("empty.log", 0)]);
        let expected = vec![
            (0..3).map(|minute| named("a", minute).key().to_owned()).collect(),
            vec![named("b", 7).key().to_owned()],
            vec!["x.log".to_owned()],
        ];
        assert_eq!(looked_at(&new), expected);
        new.reverse();
        assert_eq!(looked_at(&new), expected, "in any order");
    }

    #[test]
    fn many_objects_without_names_are_not_all_looked_at() {
        let new: Vec<SourceObject> = (0..20_000).rev().map(|i| object(&format!("{i:05}.log"), 1)).collect();
        let looked_at = looked_at(&new);
        assert_eq!(looked_at.len(), NAMELESS_MAX);
        assert_eq!((&*looked_at[0][0], &*looked_at[NAMELESS_MAX - 1][0]), ("00000.log", "00999.log"));
    }
}
