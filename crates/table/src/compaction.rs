//! Records that replace files: compactions, reconversions of objects, and losses that somebody accepted.

use serde::{Deserialize, Serialize};

use crate::checked;
use crate::dedup::Duplicates;
use crate::digest::Digest;
use crate::loss::{LAYOUT_VERSION_OF_RETURNS, Loss};
use crate::objects::SourceObject;
use crate::options::Options;
use crate::records::{CommitRecord, Counts, OutputRecord, Record, written_by};
use crate::rollup::{Rollup, RollupSums};
use crate::task_id::TaskId;

/// A file that a record retires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredFile {
    /// Key below the table root.
    #[serde(deserialize_with = "checked::data_key")]
    pub key: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Digest of its rows, if its own record has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Rows that its own record says were left out.
    #[serde(skip_serializing_if = "Duplicates::is_none", default)]
    pub duplicates: Duplicates,
}

impl RetiredFile {
    /// What a record keeps of the file that it retires.
    pub fn of(output: &OutputRecord) -> Self {
        let OutputRecord { key, rows, bytes, digest, duplicates, .. } = output;
        let (key, duplicates) = (key.clone(), *duplicates);
        Self { key, rows: *rows, bytes: *bytes, digest: *digest, duplicates }
    }
}

/// Files were replaced by others. From the moment this record is there, the table consists of the new ones.
///
/// A compaction replaces files of one partition by others that hold the same rows, or say which they left out as duplicates. A reconversion replaces what objects gave
/// before by what they give now, in all partitions. An accepted loss replaces files by nothing, and is taken back where they are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactionRecord {
    /// [`crate::LAYOUT_VERSION`] of the program that wrote it; [`crate::LAYOUT_VERSION_OF_LOSSES`] where it accepts a loss, takes that back, or tells what
    /// is lost still; [`LAYOUT_VERSION_OF_RETURNS`] where it tells of which objects.
    pub layout_version: u32,
    /// The program that wrote it.
    pub written_by: String,
    /// From 1, without gaps: of two that began at once, the second sees what the first retired.
    pub number: u64,
    /// Sixteen hexadecimal digits of a digest of the retired files and the options.
    #[serde(deserialize_with = "checked::id")]
    pub id: String,
    /// Partition folder of a compaction; empty for a reconversion and for a loss.
    #[serde(deserialize_with = "checked::folder")]
    pub partition: String,
    /// Options that the files of a compaction were written with; those that a reconversion was asked for.
    pub options: Options,
    /// Log formats that the table had when this was written, as `flowquet_plan::formats_of_union` gives them: each new file of a
    /// compaction has the columns of all of them. None in records of programs that did not know it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub formats: Vec<String>,
    /// Files that are no part of the table any more.
    pub retired: Vec<RetiredFile>,
    /// Files of a compaction that are, under the keys that they have once they are in place.
    pub outputs: Vec<OutputRecord>,
    /// What a reconversion did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reconversion: Option<Reconversion>,
    /// What a partition of a roll-up was made of anew.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollup: Option<Rollup>,
    /// Why nothing takes the place of the retired files, which are lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss: Option<Loss>,
    /// Files that are part of the table again: their loss was accepted, and they are there as they were.
    #[serde(deserialize_with = "checked::data_keys", skip_serializing_if = "Vec::is_empty", default)]
    pub regained: Vec<String>,
}

impl Record for CompactionRecord {
    const LAYOUT_VERSION_NEWEST: u32 = LAYOUT_VERSION_OF_RETURNS;

    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// Objects were converted anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconversion {
    /// The newest plan when it was made: claims of later plans are newer than its own.
    pub plan: u64,
    /// Committed tasks that count no more: their objects are in `tasks`.
    pub superseded: Vec<SupersededTask>,
    /// What their objects became.
    pub tasks: Vec<ReconvertedTask>,
    /// Tasks that go on counting, some of whose rows stood in retired files and were written anew as they were.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rewritten: Vec<RewrittenTask>,
    /// Tasks that go on counting, some of whose rows stood in retired files whose loss was accepted, and are lost still: their raw logs cannot
    /// be read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub still_lost: Vec<StillLost>,
}

/// A task that a reconversion replaced, and what it had counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupersededTask {
    /// Its id.
    pub task: TaskId,
    /// Objects that it had converted.
    pub objects: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Their lines.
    pub counts: Counts,
}

/// A task of a reconversion: its commit stands in the reconversion's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconvertedTask {
    /// Options that it was performed with.
    pub options: Options,
    /// What it read and wrote.
    pub commit: CommitRecord,
}

/// Rows of a task in some partitions, written anew as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewrittenTask {
    /// The task that goes on counting.
    pub task: TaskId,
    /// Options that its rows were and are written with.
    pub options: Options,
    /// The files that hold its rows of the partitions in question now.
    pub outputs: Vec<OutputRecord>,
    /// Objects of the task as they are now, whose rows these are: they were lost and are there again, and other copies may have other times.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub objects: Vec<SourceObject>,
}

/// Rows of a task that were lost together with others', which are there again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StillLost {
    /// The task that goes on counting.
    pub task: TaskId,
    /// Options that its rows were written with.
    pub options: Options,
    /// Why and when it was accepted that they are lost.
    pub loss: Loss,
    /// Files that would hold them alone, as its commit told of them, under names of their own. There are none such.
    pub outputs: Vec<OutputRecord>,
    /// Places of the inputs of its commit whose rows these are; all of them in these partitions where the task has no others there, if empty.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub inputs: Vec<u32>,
}

impl CompactionRecord {
    /// The record of a reconversion that was asked for with `options`. Its number is told when it is put.
    pub fn of_reconversion(
        layout_version: u32,
        id: String,
        options: Options,
        retired: Vec<RetiredFile>,
        reconversion: Reconversion,
    ) -> Self {
        Self {
            layout_version,
            written_by: written_by(),
            number: 0,
            id,
            partition: String::new(),
            options,
            formats: Vec::new(),
            retired,
            outputs: Vec::new(),
            reconversion: Some(reconversion),
            rollup: None,
            loss: None,
            regained: Vec::new(),
        }
    }

    /// Rows of the retired files and of the new ones, each with those that were left out of them.
    pub fn rows(&self) -> (u64, u64) {
        (
            self.retired.iter().map(|f| f.rows + f.duplicates.rows).sum(),
            self.all_outputs().map(|o| o.rows + o.duplicates.rows).sum(),
        )
    }

    /// Digests of the retired files and of the new ones, each with those of rows that were left out; none where one of them has
    /// none.
    pub fn digests(&self) -> (Option<Digest>, Option<Digest>) {
        let of = |digest: Option<Digest>, left_out: Duplicates| digest.map(|d| d.with(left_out.digest));
        (
            Digest::sum(self.retired.iter().map(|f| of(f.digest, f.duplicates))),
            Digest::sum(self.all_outputs().map(|o| of(o.digest, o.duplicates))),
        )
    }

    /// Whether it accepts that files are lost, or takes that back.
    pub fn is_of_losses(&self) -> bool {
        self.loss.is_some() || !self.regained.is_empty()
    }

    /// Whether the new files hold the rows of the retired ones, as those of a compaction do.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.reconversion.is_none() && self.rollup.is_none() && !self.is_of_losses()
    }

    /// Checks that what a record of a roll-up says adds up; whatever is none does.
    ///
    /// # Errors
    /// What does not.
    pub fn check_rollup(&self) -> Result<(), String> {
        let Some(rollup) = &self.rollup else { return Ok(()) };
        let rows: u64 = rollup.files.iter().map(|file| file.rows).fold(0, u64::saturating_add);
        let made = RollupSums::sum(self.outputs.iter().filter_map(|o| o.rollup.as_ref()).map(|r| r.sums));
        if rows != rollup.sums.flows {
            return Err(format!("{rows} records in files, and {} were counted", rollup.sums.flows));
        }
        if made != rollup.sums {
            return Err(format!("{:?} were rolled up to {made:?}", rollup.sums));
        }
        Ok(())
    }

    /// Rows that this compaction left out; those that others had left out before it are none of them.
    pub fn left_out(&self) -> u64 {
        let before: u64 = self.retired.iter().map(|f| f.duplicates.rows).sum();
        let after: u64 = self.all_outputs().map(|o| o.duplicates.rows).sum();
        after.saturating_sub(before)
    }

    /// All files that are part of the table from now on.
    pub fn all_outputs(&self) -> impl Iterator<Item = &OutputRecord> {
        let reconversion = self.reconversion.iter();
        let tasks = reconversion.clone().flat_map(|r| &r.tasks).flat_map(|t| &t.commit.outputs);
        let rewritten = reconversion.flat_map(|r| &r.rewritten).flat_map(|t| &t.outputs);
        self.outputs.iter().chain(tasks).chain(rewritten)
    }
}
