//! Compaction: small files of a partition become few sorted ones. Which are due, and what the new ones hold.

use flowquet_format::{AddedColumns, Enrichments, FIELDS_MAX, LogFormat, union_fields};
use flowquet_table::{LAYOUT_VERSION, LiveFile, Options, Reading, ReadingError, RetiredFile, task_of_output};
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

/// Files of a partition that become files of one log format.
#[derive(Debug, Clone)]
pub struct Merging {
    /// The files, in the order of their times.
    pub files: Vec<LiveFile>,
    /// Options of the new ones.
    pub options: Options,
    /// All fields that the files have rows of.
    pub format: LogFormat,
    /// Whether files are written anew also where they would be the same.
    pub is_anew: bool,
}

impl Merging {
    /// One file, of which one of the same options is to be made.
    ///
    /// # Errors
    /// A message, where a record was edited.
    pub fn of(file: &LiveFile) -> Result<Self, String> {
        let one = vec![file.clone()];
        let options = merged_options(&one, &file.options).map_err(|e| e.to_string())?;
        let Options { own_region, rejects_max, .. } = Options::default();
        let options = Options { dedup: None, own_region, rejects_max, ..options };
        let format = merged_format(&one, &options)?;
        Ok(Self { files: one, options, format, is_anew: true })
    }
}

/// Whether a compaction would write the file otherwise, were it alone.
pub fn is_raw(file: &LiveFile, wanted: &Options) -> bool {
    let of = |o: &Options| (o.sort.clone(), o.bloom_filter.clone(), o.compression.clone(), o.row_group_rows);
    !file.is_compacted || of(&file.options) != of(wanted)
}

/// What a compaction with `wanted` options merges of a partition; nothing where there is nothing to gain: files that a compaction
/// wrote and that are at least half as large as wanted stay. Where duplicates are looked for, all files are merged, unless one compaction
/// has looked for such among all of them.
///
/// Files are merged with all others that they can be merged with: together they have no more fields than a log format may have, and
/// no column of two types. So no value has to change, whatever a partition holds.
///
/// # Errors
/// A message, where a record was edited.
pub fn mergings_due(live: &[LiveFile], wanted: &Options) -> Result<Vec<Merging>, String> {
    let is_small = |f: &LiveFile| f.output.bytes < wanted.file_bytes / 2;
    // Where duplicates are looked for, any file may have some.
    let is_due = |f: &LiveFile| wanted.dedup.is_some() || is_raw(f, wanted) || is_small(f);
    let mut due: Vec<&LiveFile> = live.iter().filter(|f| is_due(f)).collect();
    let begin = |f: &LiveFile| f.output.time.as_ref().map(|t| t.min.clone());
    due.sort_by(|a, b| (begin(a), &a.output.key).cmp(&(begin(b), &b.output.key)));
    // One file of each kind stands for all that have the same fields.
    type Kind<'a> = (&'a str, Option<&'a [String]>, Option<&'a str>, &'a AddedColumns, &'a Enrichments);
    let mut kinds: Vec<(Kind<'_>, usize)> = Vec::new();
    let mut groups: Vec<(Vec<LiveFile>, Merging)> = Vec::new();
    for file in due {
        let options = &file.options;
        let (columns, fields) = (options.columns.as_deref(), options.reading.fields());
        let kind = (file.output.format.as_ref(), columns, fields, &options.add, &options.enrich);
        let known = kinds.iter().find(|(known, _)| *known == kind).map(|(_, group)| *group);
        let group = match known.or_else(|| (0..groups.len()).find(|g| joins(file, &mut groups[*g], wanted))) {
            Some(group) => group,
            None => {
                let one = vec![file.clone()];
                let options = merged_options(&one, wanted).map_err(|e| e.to_string())?;
                let format = merged_format(&one, &options)?;
                groups.push((one, Merging { files: Vec::new(), options, format, is_anew: false }));
                groups.len() - 1
            }
        };
        if known.is_none() {
            kinds.push((kind, group));
        }
        groups[group].1.files.push(file.clone());
    }
    let gains = |merging: &Merging| match wanted.dedup {
        Some(_) => !are_deduplicated(&merging.files, wanted),
        // One that is small because there is no more.
        None => merging.files.len() > 1 || is_raw(&merging.files[0], wanted),
    };
    Ok(groups.into_iter().map(|(_, merging)| merging).filter(gains).collect())
}

/// Whether one compaction has looked for such duplicates among all rows of these files.
fn are_deduplicated(files: &[LiveFile], wanted: &Options) -> bool {
    let of = |file: &LiveFile| task_of_output(&file.output.key).map(str::to_owned);
    files
        .iter()
        .all(|file| !is_raw(file, wanted) && file.options.dedup >= wanted.dedup && of(file) == of(&files[0]))
}

/// Widens a group of files, one of each kind, by `file` if they can be merged. Returns whether they can.
fn joins(file: &LiveFile, (kinds, merging): &mut (Vec<LiveFile>, Merging), wanted: &Options) -> bool {
    let mut widened = kinds.clone();
    widened.push(file.clone());
    let Ok(options) = merged_options(&widened, wanted) else { return false };
    let Ok(format) = merged_format(&widened, &options) else { return false };
    let keeps_types = |file: &LiveFile| {
        let Ok(own) = LogFormat::parse(&file.output.format, file.options.catalogue()) else { return false };
        own.fields().iter().all(|field| {
            let merged = format.position(field.name()).map(|place| &format.fields()[place]);
            merged.is_none_or(|merged| wanted.types.column_type(merged) == wanted.types.column_type(field))
        })
    };
    // A column that one file has added and that is a field's in another one is two columns.
    let keeps_added = |file: &LiveFile| {
        let Ok(own) = LogFormat::parse(&file.output.format, file.options.catalogue()) else { return false };
        let added = file.options.columns_of(&own).into_iter().filter(|c| c.field().is_none());
        added.into_iter().all(|c| format.fields().iter().all(|field| field.column() != c.name))
    };
    let can = widened.iter().all(|file| keeps_types(file) && keeps_added(file));
    if can {
        *kinds = widened;
        (merging.options, merging.format) = (options, format);
    }
    can
}

/// The options of files that replace `due`: as `wanted`, with types and catalogue of the files, and all their columns, added ones among them.
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
    let add = due.iter().fold(wanted.add.clone(), |add, file| add.with(&file.options.add));
    let enrich = due.iter().fold(wanted.enrich.clone(), |enrich, file| enrich.with(&file.options.enrich));
    Ok(Options { reading, columns: None, add, enrich, salvage: false, ..wanted.clone() })
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

    use flowquet_table::{Dedup, Duplicates, OutputRecord, TimeRange};

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
        let output = OutputRecord {
            key,
            partition,
            rows: 10,
            bytes,
            time,
            format,
            digest: None,
            duplicates: Duplicates::default(),
            rollup: None,
            crc32: None,
        };
        LiveFile { output, options: Arc::new(options()), is_compacted, tasks: Arc::new([]) }
    }

    #[track_caller]
    fn check(live: &[LiveFile], expected: &[&str]) {
        let due = mergings_due(live, &options()).expect("records are whole");
        let keys = |merging: &Merging| merging.files.iter().map(|f| f.output.key.clone()).collect::<Vec<_>>();
        let expected: Vec<Vec<&str>> = expected.iter().map(|keys| keys.split(' ').collect()).collect();
        assert_eq!(due.iter().map(keys).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_due() {
        check(&[], &[]);
        check(&[file("a", 10, "1", true)], &[]);
        check(&[file("a", 9000, "1", true), file("b", 500, "2", true)], &[]);
        // One that was not sorted yet is due, however large.
        check(&[file("a", 9000, "1", false)], &["a"]);
        // In the order of their times.
        check(&[file("a", 10, "2", false), file("b", 10, "1", false)], &["b a"]);
        // A large one that is sorted stays; a small one is merged with what is new.
        check(&[file("a", 800, "1", true), file("b", 10, "2", false)], &["b"]);
        check(&[file("a", 499, "1", true), file("b", 10, "2", false)], &["a b"]);
        check(&[file("a", 499, "1", true), file("b", 10, "2", true)], &["a b"]);
        // Other options, other files.
        let mut other = file("a", 9000, "1", true);
        other.options = Arc::new(Options { sort: vec!["start".into()], ..options() });
        check(&[other], &["a"]);
    }

    #[test]
    fn what_is_due_where_duplicates_are_looked_for() {
        let wanted = |dedup| Options { dedup, ..options() };
        let name = |id: u64, n: u32| format!("p/{id:016x}-{n:04}.parquet");
        let of = |key: &str, bytes: u64, dedup| {
            let mut file = file(key, bytes, "1", true);
            file.options = Arc::new(wanted(dedup));
            file
        };
        let due = |live: &[LiveFile], dedup| {
            let due = mergings_due(live, &wanted(Some(dedup))).expect("records are whole");
            due.iter().map(|merging| merging.files.len()).collect::<Vec<_>>()
        };
        let (exact, flow) = (Some(Dedup::Exact), Some(Dedup::Flow));
        // However large, and alone.
        assert_eq!(due(&[of(&name(1, 0), 9000, None)], Dedup::Exact), [1]);
        // All of one compaction that has looked for at least as many.
        let done = |dedup| [of(&name(1, 0), 9000, dedup), of(&name(1, 1), 10, dedup)];
        assert!(due(&done(exact), Dedup::Exact).is_empty());
        assert!(due(&done(flow), Dedup::Exact).is_empty());
        assert_eq!(due(&done(exact), Dedup::Flow), [2]);
        assert_eq!(due(&[of(&name(1, 0), 9000, exact), of(&name(2, 0), 9000, exact)], Dedup::Exact), [2]);
        let mut more = done(exact).to_vec();
        more.push(file(&name(3, 0), 10, "2", false));
        assert_eq!(due(&more, Dedup::Exact), [3]);
        // Nobody looks: as ever.
        assert!(mergings_due(&done(exact)[..1], &wanted(None)).expect("whole").is_empty());
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
    fn what_cannot_be_merged_stays_apart() {
        let of = |key: &str, format: &str, fields: Option<&str>| {
            let mut file = file(key, 10, "1", false);
            file.output.format = format.into();
            let reading = Reading::new(fields, None).expect("valid");
            file.options = Arc::new(Options { reading, ..options() });
            file
        };
        let many =
            |letter: char| (0..150).map(|i| format!("${{{letter}-{i}}}")).collect::<Vec<_>>().join(" ");
        let (a, b) = (many('a'), many('b'));
        check(
            &[of("1", &a, None), of("2", &b, None), of("3", "${start}", None), of("4", &b, None)],
            &["1 3", "2 4"],
        );
        let hops = |parquet: &str| {
            format!(
                "[[field]]\nname = \"hops\"\nsince = 12\nlogs = [\"vpc\"]\nkind = \"number\"\nparquet = \"{parquet}\"\ndoc = \"Hops.\"\n"
            )
        };
        let (int32, int64) = (hops("INT32"), hops("INT64"));
        // A text, and numbers of two widths; what extends the field list says nothing of the other fields.
        let live = [
            of("1", "${start} ${hops}", None),
            of("2", "${start} ${hops}", Some(&int32)),
            of("3", "${hops}", Some(&int64)),
            of("4", "${start}", Some(&int32)),
        ];
        check(&live, &["1", "2 4", "3"]);
    }

    #[test]
    fn ids_tell_files_and_options() {
        let retired = [RetiredFile {
            key: "a".into(),
            rows: 1,
            bytes: 2,
            digest: None,
            duplicates: Duplicates::default(),
        }];
        let id = compaction_id(&retired, &options(), &[]);
        assert_eq!(id.len(), 16);
        assert_eq!(id, compaction_id(&retired, &options(), &[]));
        assert_ne!(id, compaction_id(&[], &options(), &[]));
        assert_ne!(id, compaction_id(&retired, &Options { file_bytes: 7, ..options() }, &[]));
        assert_ne!(id, compaction_id(&retired, &options(), &["${start}".into()]));
    }
}
