//! What a run did, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_sources::{LeftOutTable, Unlistable};
use flowquet_table::{
    Cause, CommitRecord, Counts, FileCheck, ReadOtherwise, SomeObjects, SourceObject, rejects_key,
};
use serde::Serialize;

use crate::restore::Restores;

/// Source objects of a run: `listed + resumed = converted + known + failed + left`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    /// Listed and wanted.
    pub listed: u64,
    /// Not listed by this run, but in tasks that an earlier run left and this one performed.
    pub resumed: u64,
    /// Converted by this run.
    pub converted: u64,
    /// In the table already, or by another run meanwhile.
    pub known: u64,
    /// Could not be read, now or before.
    pub failed: u64,
    /// Left for a later run: archived, set aside, of tasks that were not finished, or all that would be converted by a dry run.
    pub left: u64,
    /// Not wanted by a filter, as far as they were listed at all.
    pub left_out: u64,
    /// Named or listed more than once: so often beside the once that is counted above.
    pub repeated: u64,
    /// Of those that failed: ignored, because somebody said so.
    pub ignored: u64,
    /// Of those in the table: of another size, etag or modification time than then. What they hold now is not in it.
    pub changed: u64,
    /// Of those in the table: it has them from another place, as their names tell.
    #[serde(skip_serializing_if = "is_zero")]
    pub copies: u64,
    /// Of those that were new: they look like objects that the table has from another place, and nothing tells for certain.
    #[serde(skip_serializing_if = "is_zero")]
    pub alike: u64,
    /// Of those that changed: ignored, because somebody said so.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed_ignored: u64,
    /// Of those left: set aside because they, or an object of the same task, changed while they were read.
    pub set_aside: u64,
    /// Of those left: they lie in an archive and are not restored.
    pub archived: u64,
    /// Of those converted: read in part only, with `--salvage`.
    pub damaged: u64,
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Objects {
    /// Objects that are not in the table as they are now, and that somebody wants to be told of.
    pub fn to_be_told(&self) -> u64 {
        self.failed - self.ignored + self.archived + self.changed - self.changed_ignored + self.set_aside
    }

    /// Takes objects that were set aside off those that are left.
    pub(crate) fn take_up(&mut self, objects: u64) {
        self.left -= objects;
        self.set_aside -= objects;
    }

    /// Whether every object is accounted for.
    pub fn balances(&self) -> bool {
        self.listed + self.resumed == self.converted + self.known + self.failed + self.left
    }
}

/// An object that is not in the table as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedObject {
    /// The object.
    pub url: String,
    /// The kind of the cause: [`Cause::name`], `changed`, or `unlistable` for a name that no listing can tell.
    pub cause: &'static str,
    /// The cause in words.
    pub reason: String,
}

impl FailedObject {
    pub(crate) fn new(url: &str, cause: &Cause) -> Self {
        Self { url: url.to_owned(), cause: cause.name(), reason: cause.to_string() }
    }
}

impl From<Unlistable> for FailedObject {
    fn from(Unlistable { url, reason }: Unlistable) -> Self {
        Self { url, cause: "unlistable", reason }
    }
}

/// A file that a run wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputSummary {
    /// Key below the table root.
    pub key: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a run did. Counts are of tasks that this run committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Source objects.
    pub objects: Objects,
    /// Lines.
    #[serde(flatten)]
    pub counts: Counts,
    /// Records by log status; `-` where the format has none or it is null, `other` for words that AWS does not document.
    pub records_by_status: BTreeMap<String, u64>,
    /// Rejects by reason.
    pub rejects_by_reason: BTreeMap<String, u64>,
    /// Of these, so many are in no file of rejects.
    pub rejects_not_kept: u64,
    /// Records whose time lies outside 2000 to 2100, and did not choose their partition.
    pub times_out_of_range: u64,
    /// The latest time of a record, by the field that chooses partitions, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_record_at: Option<String>,
    /// Records without a time, in the partition of their object's delivery or of null.
    pub times_missing: u64,
    /// Tasks that this run committed.
    pub tasks: u64,
    /// Tasks that another run committed meanwhile.
    pub tasks_by_another: u64,
    /// Tasks still without a commit, because the run stopped.
    pub tasks_left: u64,
    /// Partitions that files were written to.
    pub partitions: u64,
    /// Files written, in key order.
    pub outputs: Vec<OutputSummary>,
    /// Bytes of converted source objects.
    pub bytes_in: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Bytes of files written.
    pub bytes_out: u64,
    /// Keys of reject files written.
    pub reject_files: Vec<String>,
    /// Objects that could not be read.
    pub failed_objects: Vec<FailedObject>,
    /// Objects that lie in an archive and are not restored.
    pub archived_objects: Vec<FailedObject>,
    /// What came of asking that they be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<Restores>,
    /// Objects that changed after they were converted, and that are not ignored.
    pub changed_objects: Vec<FailedObject>,
    /// Objects that the table has from another place.
    #[serde(skip)]
    pub copies: SomeObjects,
    /// New objects that look like ones which the table has from another place.
    #[serde(skip)]
    pub alike: SomeObjects,
    /// Tables below the sources.
    pub left_out_tables: Vec<LeftOutTable>,
    /// Files of the table that are not as its records have them, of the partitions that were looked at.
    pub files: FileCheck,
    /// Of objects in the table already, where nothing was new: those that were read with formats which the run does not give.
    #[serde(skip)]
    pub read_otherwise: ReadOtherwise,
    /// Columns of files of this run that no file of the table had before, since they are of another log format.
    #[serde(skip)]
    pub new_columns: u64,
    /// Things to know.
    pub warnings: Vec<String>,
    /// Of columns of tags: rows that have them, and values in them.
    #[serde(skip)]
    pub(crate) tags: BTreeMap<String, (u64, u64)>,
}

impl Summary {
    /// An object could not be read. Of one that is ignored nobody is told; one that is archived is left for when it is restored.
    pub(crate) fn fail(&mut self, url: &str, cause: &Cause, is_ignored: bool) {
        if *cause == Cause::Archived && !is_ignored {
            self.objects.left += 1;
            self.objects.archived += 1;
            self.archived_objects.push(FailedObject::new(url, cause));
            return;
        }
        self.objects.failed += 1;
        if is_ignored {
            self.objects.ignored += 1;
        } else {
            self.failed_objects.push(FailedObject::new(url, cause));
        }
    }

    /// Adds a task that this run committed.
    pub(crate) fn add(&mut self, commit: &CommitRecord, is_ignored: impl Fn(&SourceObject) -> bool) {
        self.tasks += 1;
        self.counts.add(&commit.counts);
        for (sum, more) in [
            (&mut self.records_by_status, &commit.records_by_status),
            (&mut self.rejects_by_reason, &commit.rejects_by_reason),
        ] {
            for (name, n) in more {
                *sum.entry(name.clone()).or_default() += n;
            }
        }
        self.rejects_not_kept += commit.rejects_not_kept;
        self.times_out_of_range += commit.times_out_of_range;
        self.times_missing += commit.times_missing;
        for input in &commit.inputs {
            match &input.failed {
                Some(cause) => self.fail(input.object.url(), cause, is_ignored(&input.object)),
                None => {
                    self.objects.converted += 1;
                    self.bytes_in += input.object.bytes;
                    self.text_bytes += input.text_bytes;
                }
            }
            if let Some(damage) = &input.damaged {
                self.objects.damaged += 1;
                self.warnings.push(format!(
                    "`{}` is damaged, its readable lines were kept: {damage}",
                    input.object.url()
                ));
            }
        }
        for output in &commit.outputs {
            self.bytes_out += output.bytes;
            let newest = output.time.as_ref().map(|time| time.max.clone());
            // Of one form, in which what is later is greater.
            self.newest_record_at = self.newest_record_at.take().max(newest);
            self.outputs.push(OutputSummary {
                key: output.key.clone(),
                rows: output.rows,
                bytes: output.bytes,
            });
        }
        if commit.counts.rejects > 0 {
            self.reject_files.push(rejects_key(&commit.task));
        }
    }

    /// A warning for each column of tags that is empty in many rows.
    pub(crate) fn empty_tags(&self) -> Vec<String> {
        /// In fewer rows no tag may be by chance.
        const ROWS_MIN: u64 = 100;
        let empty = self.tags.iter().filter(|(_, (rows, values))| *rows >= ROWS_MIN && *values == 0);
        let warning = |(column, (rows, _)): (&String, &(u64, u64))| {
            format!(
                "column `{column}` has no value in all {rows} records: no resource has the tag, or the role of the flow log lacks ec2:DescribeTags"
            )
        };
        empty.map(warning).collect()
    }

    /// Puts lists in an order that does not depend on threads, and counts partitions.
    pub(crate) fn settle(&mut self) {
        self.outputs.sort_by(|a, b| a.key.cmp(&b.key));
        self.reject_files.sort();
        self.archived_objects.sort_by(|a, b| a.url.cmp(&b.url));
        self.failed_objects.sort_by(|a, b| a.url.cmp(&b.url));
        self.warnings.sort();
        self.warnings.dedup();
        let folders = self.outputs.iter().map(|o| o.key.rsplit_once('/').map_or("", |(folder, _)| folder));
        self.partitions = folders.collect::<BTreeSet<_>>().len() as u64;
    }
}
