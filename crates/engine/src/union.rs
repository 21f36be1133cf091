//! The log formats that a table has when a run plans: those of its files, by its records, and those of the new objects, by a look at
//! one object of each flow log that the table has not seen.
//!
//! New files have the columns of all of them (`plan/src/union.rs`). A format that no look finds turns up while its objects are
//! converted: then its files have its own columns besides, and the files of later runs have them too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_format::ObjectKey;
use flowquet_plan::{CommitRecord, Options, PlanRecord, SourceObject, formats_of_union};
use flowquet_store::{ErrorKind, Fetch};

use crate::context::PlanContext;
use crate::error::Error;
use crate::formats::{AHEAD, HEAD_BYTES, NAMELESS_MAX, format_of_object};
use crate::source::SourceSet;

/// Objects of a flow log that are looked at until one tells its format: the first may be damaged.
const LOOKS_MAX: usize = 3;

/// Where new objects are looked at, and what stops it.
pub(crate) struct Looks<'a> {
    pub(crate) sources: &'a SourceSet,
    pub(crate) stop: &'a AtomicBool,
}

/// What a table's records tell of log formats.
#[derive(Debug, Default)]
pub(crate) struct TableFormats {
    /// The plans of each format's files.
    plans: BTreeMap<String, BTreeSet<u64>>,
    /// What extended the catalogue, of plans where something did.
    fields: BTreeMap<u64, Arc<str>>,
    /// Flow logs whose format is among these.
    flow_logs: HashSet<String>,
}

impl TableFormats {
    /// Adds what a task wrote.
    pub(crate) fn add_commit(&mut self, commit: &CommitRecord) {
        for output in &commit.outputs {
            self.add(&output.format, commit.plan);
        }
    }

    /// Adds what was planned. `commits` has the tasks that are done, with those of their inputs that could not be read.
    pub(crate) fn add_plan(&mut self, plan: &PlanRecord, commits: &HashMap<String, CommitRecord>) {
        if let Some(fields) = &plan.options.fields {
            let same = self.fields.values().next_back().filter(|last| ***last == **fields).cloned();
            self.fields.insert(plan.number, same.unwrap_or_else(|| fields.as_str().into()));
        }
        for task in &plan.tasks {
            let failed: HashSet<&str> = match commits.get(&task.id) {
                Some(commit) if commit.void.is_some() => continue,
                Some(commit) => {
                    commit.inputs.iter().filter(|i| i.failed.is_some()).map(|i| i.object.url()).collect()
                }
                // Looked at when it was planned, if its program did so.
                None if plan.formats.is_empty() => continue,
                None => {
                    plan.formats.iter().for_each(|format| self.add(format, plan.number));
                    HashSet::new()
                }
            };
            for object in &task.objects {
                if let Some(id) = ObjectKey::flow_log_id_of(object.url())
                    && !self.flow_logs.contains(id)
                    && !failed.contains(object.url())
                {
                    self.flow_logs.insert(id.to_owned());
                }
            }
        }
    }

    fn add(&mut self, format: &str, plan: u64) {
        match self.plans.get_mut(format) {
            Some(plans) => drop(plans.insert(plan)),
            None => drop(self.plans.insert(format.to_owned(), BTreeSet::from([plan]))),
        }
    }

    /// The formats whose columns files of `new` objects have, with those that a look at the objects finds.
    ///
    /// # Errors
    /// Where the store fails; an object that cannot be read is left to whoever converts it.
    pub(crate) fn of_union(
        &self,
        new: &[SourceObject],
        options: &Options,
        looks: &Looks<'_>,
    ) -> Result<Vec<String>, Error> {
        let found = self.look(new, options, looks)?;
        let mut known: BTreeSet<(&str, Option<&str>)> = BTreeSet::new();
        for (format, plans) in &self.plans {
            known.extend(plans.iter().map(|plan| (format.as_str(), self.fields.get(plan).map(|f| &**f))));
        }
        known.extend(found.iter().chain(&options.format).map(|f| (f.as_str(), options.fields.as_deref())));
        Ok(formats_of_union(known, options)?)
    }

    /// Formats of objects of flow logs that the table has not seen, and of objects without AWS's names.
    fn look(
        &self,
        new: &[SourceObject],
        options: &Options,
        looks: &Looks<'_>,
    ) -> Result<BTreeSet<String>, Error> {
        let context = PlanContext::new(options)?;
        let stopped = || looks.stop.load(Ordering::Relaxed);
        let mut left = self.candidates(new);
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
                .and_then(|head| format_of_object(object, &head, looks.sources, &context.catalogue));
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
    fn candidates<'a>(&self, new: &'a [SourceObject]) -> VecDeque<Vec<&'a SourceObject>> {
        let mut by_id: BTreeMap<&str, Vec<&SourceObject>> = BTreeMap::new();
        let mut nameless: Vec<&SourceObject> = Vec::new();
        for object in new.iter().filter(|o| o.bytes > 0) {
            match ObjectKey::flow_log_id_of(object.url()) {
                Some(id) if self.flow_logs.contains(id) => {}
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

/// Whether an error tells of one object, which is reported when it is converted, and not of the store.
fn is_of_the_object(kind: ErrorKind) -> bool {
    use ErrorKind::{Archived, Changed, Denied, InvalidKey, NotAFile, NotAFolder, NotFound};
    matches!(kind, Archived | Changed | Denied | InvalidKey | NotAFile | NotAFolder | NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_plan::{Counts, InputRecord, LAYOUT_VERSION, OutputRecord, Task};

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

    fn options(fields: Option<&str>) -> Options {
        Options {
            partition_by: "date".into(),
            partition_time: "start".into(),
            types: "aws".into(),
            columns: None,
            sort: Vec::new(),
            bloom_filter: Vec::new(),
            compression: "zstd:1".into(),
            row_group_rows: 1000,
            file_bytes: 1000,
            format: None,
            fields: fields.map(str::to_owned),
            salvage: false,
        }
    }

    fn plan(number: u64, formats: &[&str], fields: Option<&str>, objects: &[SourceObject]) -> PlanRecord {
        PlanRecord {
            layout_version: LAYOUT_VERSION,
            number,
            options: options(fields),
            formats: formats.iter().map(|f| (*f).to_owned()).collect(),
            tasks: vec![Task { id: number.to_string(), objects: objects.to_vec() }],
        }
    }

    /// The commit of a plan's task, whose objects could not be read where `failed` says so.
    fn commit(plan: &PlanRecord, format: &str, failed: impl Fn(&SourceObject) -> bool) -> CommitRecord {
        let input = |object: &SourceObject| InputRecord {
            object: object.clone(),
            counts: Counts::default(),
            text_bytes: 0,
            failed: failed(object).then(|| "damaged".to_owned()),
            damaged: None,
        };
        let (key, partition, format) = ("a".into(), "p".into(), format.into());
        CommitRecord {
            layout_version: LAYOUT_VERSION,
            written_by: String::new(),
            task: plan.tasks[0].id.clone(),
            plan: plan.number,
            void: None,
            inputs: plan.tasks[0].objects.iter().map(input).collect(),
            outputs: vec![OutputRecord { key, partition, rows: 1, bytes: 1, time: None, format }],
            counts: Counts::default(),
            records_by_status: BTreeMap::new(),
            rejects_by_reason: BTreeMap::new(),
            times_out_of_range: 0,
            times_missing: 0,
        }
    }

    fn looked_at(formats: &TableFormats, new: &[SourceObject]) -> Vec<Vec<String>> {
        let candidates = formats.candidates(new).into_iter();
        candidates.map(|c| c.into_iter().rev().map(|o| o.key().to_owned()).collect()).collect()
    }

    #[test]
    fn flow_logs_that_the_table_has_not_seen_are_looked_at() {
        let mut new: Vec<SourceObject> = (0..5).map(|minute| named("a", minute)).collect();
        new.extend([named("b", 7), object("x.log", 3), object("empty.log", 0)]);
        let expected = vec![
            (0..3).map(|minute| named("a", minute).key().to_owned()).collect(),
            vec![named("b", 7).key().to_owned()],
            vec!["x.log".to_owned()],
        ];
        assert_eq!(looked_at(&TableFormats::default(), &new), expected);
        new.reverse();
        assert_eq!(looked_at(&TableFormats::default(), &new), expected, "in any order");
        let mut formats = TableFormats::default();
        let first = plan(1, &["${start}"], None, &[named("a", 0), named("b", 0), named("c", 0)]);
        let done = commit(&first, "${start}", |o| *o == named("b", 0));
        formats.add_commit(&done);
        formats.add_plan(&first, &HashMap::from([("1".to_owned(), done)]));
        // Of b nothing could be read.
        assert_eq!(looked_at(&formats, &new), expected[1..]);
    }

    #[test]
    fn open_plans_count_where_their_formats_are_known() {
        for (known, expected) in [(&["${start}"][..], 0), (&[], 1)] {
            let mut formats = TableFormats::default();
            formats.add_plan(&plan(1, known, None, &[named("a", 0)]), &HashMap::new());
            assert_eq!(looked_at(&formats, &[named("a", 1)]).len(), expected);
            assert_eq!(formats.plans.len(), known.len());
        }
    }

    #[test]
    fn many_objects_without_names_are_not_all_looked_at() {
        let new: Vec<SourceObject> = (0..20_000).rev().map(|i| object(&format!("{i:05}.log"), 1)).collect();
        let looked_at = looked_at(&TableFormats::default(), &new);
        assert_eq!(looked_at.len(), NAMELESS_MAX);
        assert_eq!((&*looked_at[0][0], &*looked_at[NAMELESS_MAX - 1][0]), ("00000.log", "00999.log"));
    }
}
