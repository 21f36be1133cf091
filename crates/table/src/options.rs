//! Options that decide what a task's files hold, typed where they are decoded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flowquet_format::{
    AddedColumns, Catalogue, Enrichments, Field, FormatColumn, GIVEN_MAX, LogFormat, PartitionSpec,
    PartitionTime, Types, added_columns, enriched_columns,
};
use serde::{Deserialize, Serialize};

use crate::dedup::Dedup;

/// Most rows of a row group: they are in memory together.
pub const ROW_GROUP_ROWS_MAX: u64 = 1 << 24;

/// Bytes of rejects that are kept of a task, unless an option says otherwise: some 200,000 lines, which are enough to find what
/// is wrong with them, and a few hundredths of the text that fills a file. Logs of something else must not fill the disk.
pub const REJECTS_BYTES_MAX: u64 = 64 << 20;

/// All options that decide the bytes of a task's files. Threads and memory are not among them.
///
/// They stand in the plan record, so that a run that finishes another's tasks writes what that one would have. Their JSON is part
/// of what a task's id is a digest of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OptionsForm", into = "OptionsForm")]
pub struct Options {
    /// Partition columns, such as `date` or `account,region,date`.
    pub partition_by: PartitionSpec,
    /// The field whose time chooses date and hour.
    pub partition_time: PartitionTime,
    /// Whether a record is in the partition of its own region, if it names one. Tasks of earlier programs went by objects' keys alone, and engines that
    /// take a column's values from folders did not see the records' own.
    pub own_region: bool,
    /// Types of columns.
    pub types: Types,
    /// Columns to keep, sorted; `None` for all.
    pub columns: Option<Vec<String>>,
    /// Columns that are added to those of the fields.
    pub add: AddedColumns,
    /// Files that fill more columns behind those.
    pub enrich: Enrichments,
    /// Which rows of a partition a compaction took for one; `None` where all are kept.
    pub dedup: Option<Dedup>,
    /// Columns by which the rows of a row group are ordered; none where they stand as they came.
    pub sort: Vec<String>,
    /// Columns that have a bloom filter.
    pub bloom_filter: Vec<String>,
    /// Compression of pages, such as `zstd:1`: a word of the crate that compresses.
    pub compression: String,
    /// Most rows of a row group.
    pub row_group_rows: u64,
    /// Size at which a file is closed and the next one begun.
    pub file_bytes: u64,
    /// How objects are read: the field list, and the log format of objects without a header.
    pub reading: Reading,
    /// Whether the whole lines of a damaged object are kept.
    pub salvage: bool,
    /// Bytes of rejects that are kept of a task: whole lines, the first that fit. All are counted.
    pub rejects_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partition_by: PartitionSpec::date(),
            partition_time: PartitionTime::Start,
            own_region: false,
            types: Types::Aws,
            columns: None,
            add: AddedColumns::default(),
            enrich: Enrichments::default(),
            dedup: None,
            sort: Vec::new(),
            bloom_filter: Vec::new(),
            compression: "zstd:1".to_owned(),
            row_group_rows: 1 << 20,
            file_bytes: 256 << 20,
            reading: Reading::default(),
            salvage: false,
            rejects_max: REJECTS_BYTES_MAX,
        }
    }
}

impl Options {
    /// The field list.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.reading.catalogue
    }

    /// The columns of files of rows of a log format, without those of other formats.
    pub fn columns_of(&self, format: &LogFormat) -> Vec<FormatColumn> {
        let name = |c: &FormatColumn| c.field().map(|field| format.fields()[field].column());
        let is_kept = |c: &FormatColumn| {
            self.columns
                .as_ref()
                .is_none_or(|kept| name(c).is_some_and(|name| kept.iter().any(|k| k == name)))
        };
        let mut columns: Vec<FormatColumn> = format.columns(self.types).into_iter().filter(is_kept).collect();
        columns.extend(added_columns(&columns, &self.add));
        columns.extend(enriched_columns(&columns, &self.enrich));
        columns
    }

    /// Whether these options read an object otherwise than `other` ones: another field list, format or set of columns, or whole
    /// lines of damaged objects.
    pub fn reads_otherwise(&self, other: &Self) -> bool {
        (&self.reading, &self.columns, &self.add, &self.enrich, self.salvage)
            != (&other.reading, &other.columns, &other.add, &other.enrich, other.salvage)
    }
}

/// How objects are read. The texts have been parsed: what is here is valid.
#[derive(Debug, Clone)]
pub struct Reading {
    fields: Option<Arc<str>>,
    catalogue: Arc<Catalogue>,
    formats: Vec<Arc<LogFormat>>,
    /// Flow logs whose objects have one of the formats, by id.
    flow_logs: BTreeMap<String, Arc<LogFormat>>,
}

/// A text that is no field list, or no log format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingError(String);

impl fmt::Display for ReadingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadingError {}

impl Reading {
    /// By a field list that `fields`, the text of a file in the form of `schemas/fields.toml`, extends, and the log formats
    /// `formats`, for objects without a header: all their lines have the one, or each has one of several. A format that stands
    /// twice counts once.
    ///
    /// # Errors
    /// [`ReadingError`]; also with more than [`GIVEN_MAX`] formats.
    pub fn new<'a>(
        fields: Option<&str>,
        formats: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ReadingError> {
        let mut catalogue = Catalogue::builtin().clone();
        if let Some(text) = fields {
            catalogue = catalogue.extended(text).map_err(|e| ReadingError(format!("fields: {e}")))?;
        }
        let mut given: Vec<Arc<LogFormat>> = Vec::new();
        for text in formats {
            let format =
                LogFormat::parse(text, &catalogue).map_err(|e| ReadingError(format!("format: {e}")))?;
            if given.iter().all(|g| **g != format) {
                given.push(Arc::new(format));
            }
        }
        if given.len() > GIVEN_MAX {
            let found = given.len();
            return Err(ReadingError(format!("expected at most {GIVEN_MAX} log formats, found {found}")));
        }
        Ok(Self {
            fields: fields.map(Into::into),
            catalogue: Arc::new(catalogue),
            formats: given,
            flow_logs: BTreeMap::new(),
        })
    }

    /// With the formats of objects of flow logs that are known: id and text of each.
    ///
    /// # Errors
    /// [`ReadingError`], also where a text is none of the formats.
    pub fn with_flow_logs(
        mut self,
        flow_logs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ReadingError> {
        for (id, text) in flow_logs {
            let format = LogFormat::parse(&text, &self.catalogue)
                .map_err(|e| ReadingError(format!("format of {id}: {e}")))?;
            let given = self.formats.iter().find(|given| ***given == format);
            let given = given.ok_or_else(|| {
                ReadingError(format!("format of {id}: expected one of formats, found {text}"))
            })?;
            self.flow_logs.insert(id, given.clone());
        }
        Ok(self)
    }

    /// This reading, with the field list of `other` where it has none of its own, and with its formats where it has none. Tags are called by
    /// the keys that the field list has.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Self {
        let list = if self.fields.is_some() { self } else { other };
        let given = if self.formats.is_empty() { other } else { self };
        let here = |format: &LogFormat| {
            let as_written = |f: &Field| {
                let tag_of = f.spec().and_then(|spec| spec.tag_of.as_deref());
                format!("${{{}}}", tag_of.unwrap_or(f.name()))
            };
            let text: Vec<String> = format.fields().iter().map(as_written).collect();
            let format = LogFormat::parse(&text.join(" "), &list.catalogue);
            format.ok().map(|format| Arc::new(format.tagged(&list.catalogue)))
        };
        let formats: Vec<Arc<LogFormat>> = given.formats.iter().filter_map(|f| here(f)).collect();
        let same = |format: &LogFormat| here(format).and_then(|f| formats.iter().find(|g| **g == f).cloned());
        let flow_logs = given.flow_logs.iter().filter_map(|(id, format)| Some((id.clone(), same(format)?)));
        let flow_logs = flow_logs.collect();
        Self { fields: list.fields.clone(), catalogue: list.catalogue.clone(), formats, flow_logs }
    }

    /// The field list.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The text that extends the built-in field list.
    pub fn fields(&self) -> Option<&str> {
        self.fields.as_deref()
    }

    /// Log formats of objects without a header: none, that of all their lines, or several, of which each line has one.
    pub fn formats(&self) -> &[Arc<LogFormat>] {
        &self.formats
    }

    /// The formats of lines without a header in an object of the flow log `id`, as its key tells it: its own, where that is known.
    pub fn formats_of(&self, id: Option<&str>) -> &[Arc<LogFormat>] {
        match id.and_then(|id| self.flow_logs.get(id)) {
            Some(format) => std::slice::from_ref(format),
            None => &self.formats,
        }
    }

    /// Whether flow logs are known whose objects have fewer formats than others.
    pub fn tells_flow_logs_apart(&self) -> bool {
        self.formats.len() > 1 && !self.flow_logs.is_empty()
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            fields: None,
            catalogue: Arc::new(Catalogue::builtin().clone()),
            formats: Vec::new(),
            flow_logs: BTreeMap::new(),
        }
    }
}

impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        (&self.fields, &self.formats, &self.flow_logs) == (&other.fields, &other.formats, &other.flow_logs)
    }
}

impl Eq for Reading {}

/// Options as records hold them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsForm {
    #[serde(with = "text")]
    partition_by: PartitionSpec,
    #[serde(with = "text")]
    partition_time: PartitionTime,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    own_region: bool,
    #[serde(with = "text")]
    types: Types,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "AddedColumns::is_empty", default)]
    add: AddedColumns,
    #[serde(skip_serializing_if = "Enrichments::is_empty", default)]
    enrich: Enrichments,
    #[serde(with = "optional_text", skip_serializing_if = "Option::is_none", default)]
    dedup: Option<Dedup>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    sort: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    bloom_filter: Vec<String>,
    compression: String,
    row_group_rows: u64,
    file_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    format: Option<String>,
    /// Instead of `format` where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    formats: Vec<String>,
    /// Of flow logs by id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    flow_logs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    fields: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    salvage: bool,
    #[serde(skip_serializing_if = "is_usual", default = "usual")]
    rejects_max: u64,
}

fn usual() -> u64 {
    REJECTS_BYTES_MAX
}

fn is_usual(rejects_max: &u64) -> bool {
    *rejects_max == REJECTS_BYTES_MAX
}

impl TryFrom<OptionsForm> for Options {
    type Error = ReadingError;

    fn try_from(form: OptionsForm) -> Result<Self, ReadingError> {
        if form.row_group_rows > ROW_GROUP_ROWS_MAX {
            let found = form.row_group_rows;
            return Err(ReadingError(format!(
                "row_group_rows: expected {ROW_GROUP_ROWS_MAX} at most, found {found}"
            )));
        }
        Ok(Self {
            reading: Reading::new(
                form.fields.as_deref(),
                form.format.iter().chain(&form.formats).map(String::as_str),
            )?
            .with_flow_logs(form.flow_logs)?,
            partition_by: form.partition_by,
            partition_time: form.partition_time,
            own_region: form.own_region,
            types: form.types,
            columns: form.columns,
            add: form.add,
            enrich: form.enrich,
            dedup: form.dedup,
            sort: form.sort,
            bloom_filter: form.bloom_filter,
            compression: form.compression,
            row_group_rows: form.row_group_rows,
            file_bytes: form.file_bytes,
            salvage: form.salvage,
            rejects_max: form.rejects_max,
        })
    }
}

impl From<Options> for OptionsForm {
    fn from(options: Options) -> Self {
        let mut formats: Vec<String> = options.reading.formats.iter().map(|f| f.to_string()).collect();
        let format = if formats.len() == 1 { formats.pop() } else { None };
        let flow_logs = options.reading.flow_logs.iter().map(|(id, f)| (id.clone(), f.to_string()));
        Self {
            format,
            formats,
            flow_logs: flow_logs.collect(),
            fields: options.reading.fields.as_deref().map(str::to_owned),
            partition_by: options.partition_by,
            partition_time: options.partition_time,
            own_region: options.own_region,
            types: options.types,
            columns: options.columns,
            add: options.add,
            enrich: options.enrich,
            dedup: options.dedup,
            sort: options.sort,
            bloom_filter: options.bloom_filter,
            compression: options.compression,
            row_group_rows: options.row_group_rows,
            file_bytes: options.file_bytes,
            salvage: options.salvage,
            rejects_max: options.rejects_max,
        }
    }
}

/// Values that records hold as their text.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Values that records may hold as their text.
mod optional_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(to)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use flowquet_format::{TagKey, tag_entries};

    use super::*;

    /// What stands in records, and what ids of tasks rest on.
    const GOLDEN: &str = r#"{"partition_by":"account,date","partition_time":"end","types":"rich","columns":["bytes","srcaddr"],"sort":["srcaddr"],"bloom_filter":["dstaddr"],"compression":"zstd:3","row_group_rows":1000,"file_bytes":2000,"format":"${srcaddr} ${bytes}","salvage":true,"rejects_max":3000}"#;

    #[test]
    fn a_record_of_options_keeps_its_bytes() {
        let options: Options = serde_json::from_str(GOLDEN).expect("options");
        assert_eq!(options.partition_by.to_string(), "account,date");
        assert_eq!(options.reading.formats()[0].fields().len(), 2);
        assert_eq!(options.rejects_max, 3000);
        assert_eq!(serde_json::to_string(&options).expect("plain values"), GOLDEN);
        let several = GOLDEN
            .replace(r#""format":"${srcaddr} ${bytes}""#, r#""formats":["${srcaddr} ${bytes}","${bytes}"]"#);
        let options: Options = serde_json::from_str(&several).expect("options");
        assert_eq!(options.reading.formats().len(), 2);
        assert_eq!(serde_json::to_string(&options).expect("plain values"), several);
        let of_flow_logs =
            several.replace(r#""salvage""#, r#""flow_logs":{"fl-1":"${bytes}","fl-2":"${bytes}"},"salvage""#);
        let options: Options = serde_json::from_str(&of_flow_logs).expect("options");
        assert_eq!(serde_json::to_string(&options).expect("plain values"), of_flow_logs);
        let of = |id| options.reading.formats_of(id).iter().map(|f| f.to_string()).collect::<Vec<_>>();
        assert_eq!(of(Some("fl-2")), ["${bytes}"]);
        assert_eq!(of(Some("fl-3")), ["${srcaddr} ${bytes}", "${bytes}"]);
        assert_eq!(of(None).len(), 2);
        let own = GOLDEN.replace(r#""types""#, r#""own_region":true,"types""#);
        let options: Options = serde_json::from_str(&own).expect("options");
        assert!(options.own_region && !Options::default().own_region);
        assert_eq!(serde_json::to_string(&options).expect("plain values"), own);
        let added = GOLDEN.replace(r#""sort""#, r#""add":["is_nat","start_time","source_line"],"sort""#);
        let options: Options = serde_json::from_str(&added).expect("options");
        assert_eq!(options.add.iter().count(), 3);
        assert_eq!(serde_json::to_string(&options).expect("plain values"), added);
        let file = format!(
            r#"{{"name":"vpc","sha256":"{}","by":"address","timed":true,"columns":["team"],"version":2}}"#,
            "0f".repeat(32)
        );
        let enriched = GOLDEN.replace(r#""sort""#, &format!(r#""enrich":[{file}],"sort""#));
        let options: Options = serde_json::from_str(&enriched).expect("options");
        assert_eq!(options.enrich.files()[0].columns, ["team"]);
        assert_eq!(serde_json::to_string(&options).expect("plain values"), enriched);
        let columns = options.columns_of(&options.reading.formats()[0]);
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["srcaddr", "bytes", "srcaddr_bin", "src_vpc_team", "dst_vpc_team"]);
        let deduplicated = GOLDEN.replace(r#""sort""#, r#""dedup":"flow","sort""#);
        let options: Options = serde_json::from_str(&deduplicated).expect("options");
        assert_eq!(options.dedup, Some(Dedup::Flow));
        assert_eq!(serde_json::to_string(&options).expect("plain values"), deduplicated);
        let least = r#"{"partition_by":"date","partition_time":"start","types":"aws","compression":"zstd:1","row_group_rows":1048576,"file_bytes":268435456}"#;
        assert_eq!(serde_json::to_string(&Options::default()).expect("plain values"), least);
        assert_eq!(serde_json::from_str::<Options>(least).expect("options"), Options::default());
    }

    #[test]
    fn what_is_wrong_is_found_when_a_record_is_decoded() {
        for (from, to) in [
            ("account,date", "acount"),
            ("\"end\"", "\"middle\""),
            ("rich", "poor"),
            ("\"sort\"", "\"dedup\":\"most\",\"sort\""),
            ("\"sort\"", "\"add\":[\"is_not\"],\"sort\""),
            ("\"sort\"", "\"enrich\":[{\"name\":\"a\"}],\"sort\""),
            ("${srcaddr} ${bytes}", "${srcaddr"),
            ("\"salvage\":true", "\"fields\":\"[[field]]\""),
            ("salvage", "sausage"),
            ("\"salvage\"", "\"flow_logs\":{\"fl-1\":\"${start}\"},\"salvage\""),
            ("\"row_group_rows\":1000", "\"row_group_rows\":16777217"),
        ] {
            assert!(serde_json::from_str::<Options>(&GOLDEN.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        let tags = |key: &str| {
            let key = TagKey { field: "instance-tag".into(), key: key.into() };
            tag_entries(&[key], false, Catalogue::builtin()).expect("a key")
        };
        let texts = |reading: &Reading| reading.formats().iter().map(ToString::to_string).collect::<Vec<_>>();
        let formats = ["${start} ${instance-tag-team}", "${start} ${bytes}"];
        let old = Reading::new(Some(&tags("Team")), formats).expect("valid");
        let old = old.with_flow_logs([("fl-1".to_owned(), formats[0].to_owned())]).expect("one of them");
        let of_list = Reading::new(Some(&tags("Env")), None).expect("valid").completed_by(&old);
        let expected = ["${start} ${instance-tag-env}", "${start} ${bytes}"];
        assert_eq!(
            (texts(&of_list), of_list.fields()),
            (expected.map(str::to_owned).to_vec(), Some(&*tags("Env")))
        );
        assert_eq!(of_list.formats_of(Some("fl-1"))[0].to_string(), expected[0]);
        let of_format = Reading::new(None, ["${end} ${instance-tag}"]).expect("valid").completed_by(&old);
        assert_eq!(texts(&of_format), ["${end} ${instance-tag-team}"]);
        assert_eq!((of_format.fields(), of_format.formats_of(Some("fl-1")).len()), (old.fields(), 1));
        assert_eq!(of_format.completed_by(&Reading::default()), of_format);
    }

    #[test]
    fn other_reading() {
        let options = Options::default();
        assert!(!options.reads_otherwise(&Options { file_bytes: 7, rejects_max: 7, ..options.clone() }));
        let format = Reading::new(None, Some("v2")).expect("valid");
        assert!(options.reads_otherwise(&Options { reading: format, ..options.clone() }));
        assert!(options.reads_otherwise(&Options { columns: Some(vec!["bytes".into()]), ..options.clone() }));
        assert!(options.reads_otherwise(&Options { salvage: true, ..options.clone() }));
        let add = AddedColumns::of(["is_nat"]).expect("known");
        assert!(options.reads_otherwise(&Options { add, ..options.clone() }));
    }
}
