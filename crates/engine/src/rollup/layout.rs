//! What a roll-up's records are grouped by, and the columns that it has.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use flowquet_format::{Catalogue, ColumnType, FieldKind, FormatColumn, LogFormat, normalised_column};
use flowquet_plan::hex;
use flowquet_table::{LAYOUT_VERSION, LiveFile, Options, Reading, TableState};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Time buckets, and their seconds.
const BUCKETS: [(&str, i64); 4] = [("minute", 60), ("5min", 300), ("hour", 3600), ("day", 86_400)];

/// Columns of sums, in order, behind those that records are grouped by.
pub(super) const SUMS: [&str; 6] = ["flows", "packets", "bytes", "first_start", "last_end", "tcp_flags"];

/// Those that the field list does not have: name, kind, type and what it says of them.
const SUM_FIELDS: [(&str, &str, &str, &str); 3] = [
    ("flows", "count", "INT64", "Records of the group."),
    ("first-start", "time", "INT64", "Smallest `start` of the group's records."),
    ("last-end", "time", "INT64", "Largest `end` of the group's records."),
];

/// A column that records are grouped by.
#[derive(Debug)]
pub(super) struct Dimension {
    /// Its name, in the source and in the roll-up.
    pub(super) column: String,
    /// Seconds of a bucket, where it is the time.
    pub(super) bucket_s: Option<i64>,
}

/// What a roll-up looks like.
#[derive(Debug)]
pub(super) struct Layout {
    /// What it is grouped by, as text.
    pub(super) by: String,
    pub(super) dimensions: Vec<Dimension>,
    /// Options of its files.
    pub(super) options: Options,
    /// The columns of its files.
    pub(super) format: LogFormat,
}

/// What is known of a column of the source.
struct Found {
    column_type: ColumnType,
    /// The kind of its field, and what the field list says of it.
    kind: Option<FieldKind>,
}

impl Layout {
    /// By a time bucket and columns that files of the source have.
    pub(super) fn of(source: &TableState, by: &[String]) -> Result<Self, Error> {
        let contract = source.contract();
        let time = contract.partition_time.field();
        let refuse = |why: String| Err(Error::NotRolledUp(why));
        let (mut names, mut dimensions) = (Vec::new(), Vec::<Dimension>::new());
        let mut fields = String::new();
        for word in by {
            let bucket = BUCKETS.into_iter().find(|(name, _)| *name == word.trim());
            let column = bucket.map_or_else(|| normalised_column(word.trim()), |_| time.to_owned());
            if dimensions.iter().any(|d| d.column == column) {
                return refuse(format!("`{word}` is named twice, or beside another time"));
            }
            if SUMS.contains(&column.as_str()) {
                return refuse(format!("`{column}` is a column of sums"));
            }
            if let Some(((name, seconds), slot)) = bucket.zip(contract.partition_by.slot_s())
                && seconds > slot
            {
                return refuse(format!(
                    "a bucket of a {name} is longer than the {slot} seconds of a partition"
                ));
            }
            let found = column_of(source, &column, word)?;
            if found.column_type == ColumnType::TimestampMs && bucket.is_none() || column.ends_with("_bin") {
                return refuse(format!(
                    "`{column}` is not a column to group by; a time bucket is minute, 5min, hour or day"
                ));
            }
            if bucket.is_none() {
                describe(&mut fields, &column, &found);
            }
            names.push(bucket.map_or_else(|| column.clone(), |(name, _)| name.to_owned()));
            dimensions.push(Dimension { column, bucket_s: bucket.map(|(_, seconds)| seconds) });
        }
        if dimensions.is_empty() {
            return refuse("nothing is named to group by".to_owned());
        }
        for (name, kind, parquet, doc) in SUM_FIELDS {
            entry(&mut fields, name, kind, parquet, doc);
        }
        let wrong = |error: &dyn std::fmt::Display| Error::Options(format!("roll-up: {error}"));
        let reading = Reading::new(Some(&fields), None).map_err(|e| wrong(&e))?;
        let columns = dimensions.iter().map(|d| d.column.as_str()).chain(SUMS);
        let text: Vec<String> = columns.map(|name| format!("${{{}}}", name.replace('_', "-"))).collect();
        let format = LogFormat::parse(&text.join(" "), reading.catalogue()).map_err(|e| wrong(&e))?;
        let options = Options {
            partition_by: contract.partition_by.clone(),
            partition_time: contract.partition_time,
            types: contract.types,
            sort: dimensions.iter().map(|d| d.column.clone()).collect(),
            compression: "zstd:3".to_owned(),
            row_group_rows: 524_288,
            reading,
            ..Options::default()
        };
        Ok(Self { by: names.join(","), dimensions, options, format })
    }

    /// The options that the table is made with: its files are sorted as a whole, whatever they are grouped by.
    pub(super) fn contract_options(&self) -> Options {
        Options { sort: Vec::new(), ..self.options.clone() }
    }

    /// Sixteen hexadecimal digits of a digest of files of a partition of the source, and of what is made of them.
    pub(super) fn digest(&self, source: &str, files: &[LiveFile]) -> String {
        let options = serde_json::to_string(&self.options).expect("plain values");
        let mut hash = Sha256::new();
        hash.update(format!("rollup of\n{LAYOUT_VERSION}\n{source}\n{}\n{options}\n", self.by));
        for file in files {
            let crc32 = file.output.crc32.map(|crc32| crc32.to_string()).unwrap_or_default();
            hash.update(format!(
                "{}\n{}\n{}\n{crc32}\n",
                file.output.key, file.output.rows, file.output.bytes
            ));
        }
        hex(&hash.finalize()[..8])
    }
}

/// A column of the source's files, which is given as `word`.
fn column_of(source: &TableState, name: &str, word: &str) -> Result<Found, Error> {
    let live = source.files().formats()?;
    let mut others = BTreeSet::new();
    if let Some(found) = column_in(&live, name, &mut others)? {
        return Ok(found);
    }
    // A roll-up of what is lost meanwhile has columns of it still.
    let lost =
        source.files().lost().map(|lost| (lost.file.output.format.to_string(), lost.file.options.clone()));
    let found = column_in(&lost.collect::<Vec<_>>(), name, &mut others)?;
    found.ok_or_else(|| Error::NoDimension {
        word: word.trim().to_owned(),
        buckets: BUCKETS.map(|(name, _)| name).to_vec(),
        columns: others.into_iter().collect(),
    })
}

/// A column of files with these formats and options. Adds to `others` those that records may be grouped by.
fn column_in(
    formats: &[(String, Arc<Options>)],
    name: &str,
    others: &mut BTreeSet<String>,
) -> Result<Option<Found>, Error> {
    let mut all = None::<Found>;
    for (text, options) in formats {
        let format =
            LogFormat::parse(text, options.catalogue()).map_err(|e| Error::Options(e.to_string()))?;
        let columns = options.columns_of(&format);
        let can_group = |c: &&FormatColumn| {
            !matches!(c.column_type, ColumnType::Address | ColumnType::TimestampMs)
                && !SUMS.contains(&c.name.as_str())
        };
        others.extend(columns.iter().filter(can_group).map(|column| column.name.clone()));
        let Some(column) = columns.into_iter().find(|c| c.name == name) else { continue };
        let spec = column.field().and_then(|field| format.fields()[field].spec());
        let found = Found { column_type: column.column_type, kind: spec.map(|spec| spec.kind) };
        match &all {
            Some(all) if all.column_type != found.column_type => {
                let (one, other) = (all.column_type, found.column_type);
                return Err(Error::NotRolledUp(format!(
                    "`{name}` is {one} in some files and {other} in others"
                )));
            }
            Some(all) if all.kind.is_some() => {}
            _ => all = Some(found),
        }
    }
    Ok(all)
}

/// Describes a column that the field list does not have as a field, so that it is one of its type in the roll-up.
fn describe(fields: &mut String, column: &str, found: &Found) {
    let name = column.replace('_', "-");
    if Catalogue::builtin().field(&name).is_some() {
        return;
    }
    let kind = found.kind.map_or("name", FieldKind::name);
    let kind = if found.column_type == ColumnType::String { kind } else { "number" };
    entry(fields, &name, kind, found.column_type.name(), "As in the table that was rolled up.");
}

fn entry(fields: &mut String, name: &str, kind: &str, parquet: &str, doc: &str) {
    let _ = writeln!(
        fields,
        "[[field]]\nname = \"{name}\"\nsince = 2\nlogs = [\"vpc\", \"tgw\"]\nkind = \"{kind}\"\nparquet = \"{parquet}\"\ndoc = \"{doc}\""
    );
}
