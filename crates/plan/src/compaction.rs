//! Compaction: small files of a partition become few sorted ones. Which are due, and what the new ones hold.

use flowquet_format::{FIELDS_MAX, LogFormat, union_fields};
use flowquet_table::{LAYOUT_VERSION, LiveFile, Options, Reading, ReadingError, RetiredFile};
use sha2::{Digest, Sha256};

use crate::tasks::{digest_text, hex};

/// The id of a compaction of these files: the same files, options and formats give the same one, and so the same names and
/// bytes.
pub fn compaction_id(retired: &[RetiredFile], options: &Options, formats: &[String]) -> String {
    let options = serde_json::to_string(options).expect("plain values");
    let mut hash = Sha256::new();
    hash.update(format!("compaction\n{LAYOUT_VERSION}\n{options}\n{}", digest_text(formats)));
    for file in retired {
        hash.update(format!("{}\n{}\n{}\n", file.key, file.rows, file.bytes));
    }
    hex(&hash.finalize()[..8])
}

/// Whether a compaction would write the file otherwise, were it alone.
fn is_raw(file: &LiveFile, wanted: &Options) -> bool {
    let of = |o: &Options| (o.sort.clone(), o.bloom_filter.clone(), o.compression.clone(), o.row_group_rows);
    !file.is_compacted || of(&file.options) != of(wanted)
}

/// The files of a partition that a compaction with `wanted` options merges, in the order of their times; empty where there is
/// nothing to gain: files that a compaction wrote and that are at least half as large as wanted stay.
pub fn files_due(live: &[LiveFile], wanted: &Options) -> Vec<LiveFile> {
    let is_small = |f: &LiveFile| f.output.bytes < wanted.file_bytes / 2;
    let mut due: Vec<LiveFile> = live.iter().filter(|f| is_raw(f, wanted) || is_small(f)).cloned().collect();
    // One that is small because there is no more.
    if due.len() == 1 && !is_raw(&due[0], wanted) {
        return Vec::new();
    }
    let begin = |f: &LiveFile| f.output.time.as_ref().map(|t| t.min.clone());
    due.sort_by(|a, b| (begin(a), &a.output.key).cmp(&(begin(b), &b.output.key)));
    due
}

/// The options of files that replace `due`: as `wanted`, with types and catalogue of the files, and all their columns.
///
/// # Errors
/// Where field lists of the files contradict each other.
pub fn merged_options(due: &[LiveFile], wanted: &Options) -> Result<Options, ReadingError> {
    let mut fields: Vec<&str> = Vec::new();
    for text in due.iter().filter_map(|f| f.options.reading.fields()) {
        if !fields.contains(&text) {
            fields.push(text);
        }
    }
    let fields = (!fields.is_empty()).then(|| fields.join("\n"));
    let reading = Reading::new(fields.as_deref(), None)?;
    Ok(Options { reading, columns: None, salvage: false, ..wanted.clone() })
}

/// The fields that these files have rows of, as one log format, in the order of [`union_fields`].
///
/// # Errors
/// A message, where a record was edited.
pub fn merged_format(due: &[LiveFile], options: &Options) -> Result<LogFormat, String> {
    let catalogue = options.catalogue();
    let mut formats = Vec::with_capacity(due.len());
    for file in due {
        let format = LogFormat::parse(&file.output.format, catalogue).map_err(|e| e.to_string())?;
        let is_kept =
            |column: &str| file.options.columns.as_ref().is_none_or(|kept| kept.iter().any(|k| k == column));
        formats.push(format.keeping(|field| is_kept(field.column())));
    }
    let fields = union_fields(formats.iter().flatten(), catalogue);
    let count = fields.len();
    LogFormat::of(fields).ok_or_else(|| {
        format!("expected 1 to {FIELDS_MAX} fields in the files of a partition, found {count}")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowquet_table::{OutputRecord, TimeRange};

    use super::*;

    fn options() -> Options {
        let sort = vec!["srcaddr".into()];
        Options {
            sort,
            compression: "zstd:3".into(),
            row_group_rows: 1000,
            file_bytes: 1000,
            ..Options::default()
        }
    }

    fn file(key: &str, bytes: u64, min: &str, is_compacted: bool) -> LiveFile {
        let time = Some(TimeRange { min: min.into(), max: "9".into() });
        let (key, partition, format) = (key.into(), "p".into(), "${start}".into());
        let output = OutputRecord { key, partition, rows: 10, bytes, time, format };
        LiveFile { output, options: Arc::new(options()), is_compacted, tasks: Arc::new([]) }
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
