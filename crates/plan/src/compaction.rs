//! Compaction: small files of a partition become few sorted ones. Which are due, and the record that retires them.

use std::sync::Arc;

use flowquet_format::{FIELDS_MAX, LogFormat, union_fields};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::LAYOUT_VERSION;
use crate::options::Options;
use crate::records::OutputRecord;
use crate::tasks::{digest_text, hex};

/// A file that a compaction retires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredFile {
    /// Key below the table root.
    pub key: String,
    /// Its rows, all of which are in the new files.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Files of a partition were replaced by others that hold the same rows. From the moment this record is there, the table
/// consists of the new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactionRecord {
    /// [`LAYOUT_VERSION`] of the program that wrote it.
    pub layout_version: u32,
    /// Version of the program that wrote it.
    pub written_by: String,
    /// From 1, without gaps: of two compactions that began at once, the second sees what the first retired.
    pub number: u64,
    /// Sixteen hexadecimal digits of a digest of the retired files, the options and the formats.
    pub id: String,
    /// Partition folder.
    pub partition: String,
    /// Options that the new files were written with.
    pub options: Options,
    /// Log formats that the table had when this was written, as [`crate::formats_of_union`] gives them: each new file has the
    /// columns of all of them. None in records of programs that did not know it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub formats: Vec<String>,
    /// Files that are no part of the table any more.
    pub retired: Vec<RetiredFile>,
    /// Files that are, under the keys that they have once they are in place.
    pub outputs: Vec<OutputRecord>,
}

impl CompactionRecord {
    /// Rows of the retired files and of the new ones.
    pub fn rows(&self) -> (u64, u64) {
        (self.retired.iter().map(|f| f.rows).sum(), self.outputs.iter().map(|o| o.rows).sum())
    }
}

/// The id of a compaction of these files: the same files, options and formats give the same one, and so the same names and bytes.
pub fn compaction_id(retired: &[RetiredFile], options: &Options, formats: &[String]) -> String {
    let options = serde_json::to_string(options).expect("plain values");
    let mut hash = Sha256::new();
    hash.update(format!("compaction\n{LAYOUT_VERSION}\n{options}\n{}", digest_text(formats)));
    for file in retired {
        hash.update(format!("{}\n{}\n{}\n", file.key, file.rows, file.bytes));
    }
    hex(&hash.finalize()[..8])
}

/// A live file of a partition, as compaction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// As its record has it.
    pub output: OutputRecord,
    /// Options that it was written with.
    pub options: Arc<Options>,
    /// Whether a compaction wrote it.
    pub is_compacted: bool,
}

impl LiveFile {
    /// Whether a compaction would write it otherwise, were it alone.
    fn is_raw(&self, wanted: &Options) -> bool {
        let of =
            |o: &Options| (o.sort.clone(), o.bloom_filter.clone(), o.compression.clone(), o.row_group_rows);
        !self.is_compacted || of(&self.options) != of(wanted)
    }
}

/// The files of a partition that a compaction with `wanted` options merges, in the order of their times; empty where there is
/// nothing to gain: files that a compaction wrote and that are at least half as large as wanted stay.
pub fn files_due(live: &[LiveFile], wanted: &Options) -> Vec<LiveFile> {
    let is_small = |f: &LiveFile| f.output.bytes < wanted.file_bytes / 2;
    let mut due: Vec<LiveFile> = live.iter().filter(|f| f.is_raw(wanted) || is_small(f)).cloned().collect();
    // One that is small because there is no more.
    if due.len() == 1 && !due[0].is_raw(wanted) {
        return Vec::new();
    }
    let begin = |f: &LiveFile| f.output.time.as_ref().map(|t| t.min.clone());
    due.sort_by(|a, b| (begin(a), &a.output.key).cmp(&(begin(b), &b.output.key)));
    due
}

/// The options of files that replace `due`: as `wanted`, with types and catalogue of the files, and all their columns.
pub fn merged_options(due: &[LiveFile], wanted: &Options) -> Options {
    let mut fields: Vec<&str> = Vec::new();
    for text in due.iter().filter_map(|f| f.options.fields.as_deref()) {
        if !fields.contains(&text) {
            fields.push(text);
        }
    }
    Options {
        fields: (!fields.is_empty()).then(|| fields.join("\n")),
        columns: None,
        format: None,
        salvage: false,
        ..wanted.clone()
    }
}

/// The fields that these files have rows of, as one log format, in the order of [`union_fields`].
///
/// # Errors
/// A message, where a record was edited.
pub fn merged_format(due: &[LiveFile], options: &Options) -> Result<LogFormat, String> {
    let catalogue = options.catalogue().map_err(|e| e.to_string())?;
    let mut formats = Vec::with_capacity(due.len());
    for file in due {
        let format = LogFormat::parse(&file.output.format, &catalogue).map_err(|e| e.to_string())?;
        let is_kept =
            |column: &str| file.options.columns.as_ref().is_none_or(|kept| kept.iter().any(|k| k == column));
        formats.push(format.keeping(|field| is_kept(field.column())));
    }
    let fields = union_fields(formats.iter().flatten(), &catalogue);
    let count = fields.len();
    LogFormat::of(fields).ok_or_else(|| {
        format!("expected 1 to {FIELDS_MAX} fields in the files of a partition, found {count}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimeRange;

    fn options() -> Options {
        Options {
            partition_by: "date".into(),
            partition_time: "start".into(),
            types: "aws".into(),
            columns: None,
            sort: vec!["srcaddr".into()],
            bloom_filter: Vec::new(),
            compression: "zstd:3".into(),
            row_group_rows: 1000,
            file_bytes: 1000,
            format: None,
            fields: None,
            salvage: false,
        }
    }

    fn file(key: &str, bytes: u64, min: &str, is_compacted: bool) -> LiveFile {
        let time = Some(TimeRange { min: min.into(), max: "9".into() });
        let (key, partition, format) = (key.into(), "p".into(), "${start}".into());
        let output = OutputRecord { key, partition, rows: 10, bytes, time, format };
        LiveFile { output, options: Arc::new(options()), is_compacted }
    }

    #[track_caller]
    fn check(live: &[LiveFile], expected: &[&str]) {
        let due = files_due(live, &options());
        let keys: Vec<&str> = due.iter().map(|f| f.output.key.as_str()).collect();
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_is_due() {
        check(&[], &[]);
        check(&[file("a", 10, "1", true)], &[]);
        check(&[file("a", 9000, "1", true), file("b", 500, "2", true)], &[]);
        // One that was not sorted yet is due, however large.
        check(&[file("a", 9000, "1", false)], &["a"]);
        // In the order of their times.
        check(&[file("a", 10, "2", false), file("b", 10, "1", false)], &["b", "a"]);
        // A large one that is sorted stays; a small one is merged with what is new.
        check(&[file("a", 800, "1", true), file("b", 10, "2", false)], &["b"]);
        check(&[file("a", 499, "1", true), file("b", 10, "2", false)], &["a", "b"]);
        check(&[file("a", 499, "1", true), file("b", 10, "2", true)], &["a", "b"]);
        // Other options, other files.
        let mut other = file("a", 9000, "1", true);
        other.options = Arc::new(Options { sort: vec!["start".into()], ..options() });
        check(&[other], &["a"]);
    }

    #[test]
    fn formats_are_merged() {
        let of = |format: &str, columns: Option<&[&str]>| {
            let mut file = file("a", 1, "1", false);
            file.output.format = format.into();
            let columns = columns.map(|c| c.iter().map(|c| (*c).to_owned()).collect());
            file.options = Arc::new(Options { columns, ..options() });
            file
        };
        let merged = |files: &[LiveFile]| merged_format(files, &options()).map(|f| f.to_string());
        let one = of("${bytes} ${start} ${x}", None);
        assert_eq!(merged(&[one.clone(), one.clone()]), Ok("${bytes} ${start} ${x}".into()));
        let other = of("${y} ${tgw-id} ${srcaddr} ${dstaddr}", Some(&["y", "srcaddr", "tgw_id"]));
        assert_eq!(merged(&[one, other]), Ok("${srcaddr} ${bytes} ${start} ${tgw-id} ${x} ${y}".into()));
        assert!(merged(&[]).is_err());
    }

    #[test]
    fn ids_tell_files_and_options() {
        let retired = [RetiredFile { key: "a".into(), rows: 1, bytes: 2 }];
        let id = compaction_id(&retired, &options(), &[]);
        assert_eq!(id.len(), 16);
        assert_eq!(id, compaction_id(&retired, &options(), &[]));
        assert_ne!(id, compaction_id(&[], &options(), &[]));
        assert_ne!(id, compaction_id(&retired, &Options { file_bytes: 7, ..options() }, &[]));
        assert_ne!(id, compaction_id(&retired, &options(), &["${start}".into()]));
    }
}
