//! What was looked at as JSON, in the form of `schemas/inspect.schema.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowquet_engine::{Found, Lines, Other, OtherKind, SurveyedLog, ToldBy};
use flowquet_format::{KeyOrigin, LogFormat, name_of_format, utc_text};
use flowquet_input::{Compression, Framing, Shape};
use flowquet_parquet::{ColumnLayout, FileLayout};
use flowquet_plan::{Gap, Scale, strip};
use serde::{Serialize, Serializer};

use crate::inspect::object::{ARROW_SCHEMA, delivered};
use crate::inspect::place::next;
use crate::inspect::{Inspector, Object, Place, Subject};
use crate::log_rows::{STRIP_CHARS, scale};
use crate::version::VERSION as PROGRAM;

/// Changes when members change their meaning or go away; not when some are added.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document {
    version: u32,
    flowquet: &'static str,
    results: Vec<JsonResult>,
}

/// One argument of the command line.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum JsonResult {
    Error { name: String, error: String },
    Object(Box<JsonObject>),
    Place(JsonPlace),
}

#[derive(Serialize)]
pub(super) struct JsonObject {
    name: String,
    bytes: Option<u64>,
    account: Option<String>,
    region: Option<String>,
    flow_log: Option<String>,
    delivered: Option<String>,
    holds: &'static str,
    not_converted: Option<JsonCause>,
    damage: Option<String>,
    compression: Option<&'static str>,
    framing: Option<&'static str>,
    formats: Vec<JsonFormat>,
    format_told_by: Option<&'static str>,
    lines: Option<JsonLines>,
    records: Vec<JsonPairs>,
    rejects: Vec<JsonReject>,
    parquet: Option<JsonLayout>,
}

#[derive(Serialize)]
struct JsonCause {
    kind: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct JsonFormat {
    format: String,
    name: Option<String>,
    fields: usize,
}

#[derive(Serialize)]
struct JsonLines {
    lines: u64,
    records: u64,
    rejects: u64,
    headers: u64,
    blanks: u64,
    text_bytes: u64,
    is_whole: bool,
    records_by_status: BTreeMap<String, u64>,
    first_time: Option<String>,
    last_time: Option<String>,
}

#[derive(Serialize)]
struct JsonReject {
    line: u64,
    offset: u64,
    reason: &'static str,
    field: Option<String>,
    detail: String,
}

/// An object whose members stand in this order.
struct JsonPairs(Vec<(String, String)>);

impl Serialize for JsonPairs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct JsonLayout {
    created_by: String,
    rows: i64,
    row_groups: Vec<i64>,
    metadata: JsonPairs,
    columns: Vec<JsonColumn>,
}

#[derive(Serialize)]
struct JsonColumn {
    column: String,
    #[serde(rename = "type")]
    physical_type: String,
    codec: String,
    encodings: Vec<String>,
    compressed_bytes: i64,
    uncompressed_bytes: i64,
    nulls: Option<u64>,
    has_page_index: bool,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Serialize)]
pub(super) struct JsonPlace {
    name: String,
    objects: u64,
    bytes: u64,
    left_out: u64,
    coverage_from: Option<String>,
    coverage_char_s: Option<i64>,
    logs: Vec<JsonLog>,
    others: Vec<JsonOther>,
    tables: Vec<JsonTable>,
    next: Option<String>,
}

#[derive(Serialize)]
struct JsonLog {
    account: Option<String>,
    region: Option<String>,
    flow_log: Option<String>,
    group: &'static str,
    origin: Option<String>,
    formats: Vec<JsonFormat>,
    format_told_by: Option<&'static str>,
    compression: Option<&'static str>,
    framing: Option<&'static str>,
    objects: u64,
    bytes: u64,
    looked_at: u64,
    archived: u64,
    classes: BTreeMap<&'static str, u64>,
    example: String,
    first: Option<String>,
    last: Option<String>,
    deliveries: u64,
    usual_pause_s: Option<i64>,
    coverage: Option<String>,
    gap_count: u64,
    gap_s: i64,
    gaps: Vec<JsonGap>,
    is_partial: bool,
}

#[derive(Serialize)]
struct JsonGap {
    from: Option<String>,
    to: Option<String>,
    seconds: i64,
}

#[derive(Serialize)]
struct JsonOther {
    kind: &'static str,
    service: Option<String>,
    objects: u64,
    bytes: u64,
    example: String,
    detail: String,
}

#[derive(Serialize)]
struct JsonTable {
    url: String,
    objects: u64,
}

/// The whole document.
pub(super) fn document(results: Vec<JsonResult>) -> String {
    let document = Document { version: VERSION, flowquet: PROGRAM, results };
    format!("{}\n", serde_json::to_string_pretty(&document).expect("plain values with text keys"))
}

pub(super) fn of(subject: &Subject, inspector: &Inspector<'_>) -> JsonResult {
    match subject {
        Subject::Object(object) => JsonResult::Object(Box::new(of_object(object, inspector))),
        Subject::Place(place) => JsonResult::Place(of_place(place, inspector)),
    }
}

fn of_object(object: &Object, inspector: &Inspector<'_>) -> JsonObject {
    let (look, key) = (&object.look, &object.key);
    let (holds, not_converted) = match &look.found {
        Found::Log(_) => ("flow-log", None),
        Found::Nothing => ("nothing", None),
        Found::NotConverted(cause) => {
            ("other", Some(JsonCause { kind: cause.name(), reason: cause.to_string() }))
        }
    };
    let lines = if let Found::Log(lines) = &look.found { Some(&**lines) } else { None };
    let reject = |r: &flowquet_parse::Reject| JsonReject {
        line: r.line,
        offset: r.offset,
        reason: r.reason.name(),
        field: r.field.clone(),
        detail: r.detail.clone(),
    };
    JsonObject {
        name: object.name.clone(),
        bytes: object.bytes,
        account: key.account.clone(),
        region: key.region.clone(),
        flow_log: key.flow_log_id.clone(),
        delivered: delivered(key),
        holds,
        not_converted,
        damage: look.damage.clone(),
        compression: compression(look.shape),
        framing: framing(look.shape),
        formats: lines.map_or(Vec::new(), |l| formats(&l.formats, inspector)),
        format_told_by: lines.map(|l| l.told_by.name()),
        // Of a Parquet file only the rows that are shown were read.
        lines: lines.filter(|_| look.layout.is_none()).map(of_lines),
        records: lines.map_or(Vec::new(), |l| records(l, inspector)),
        rejects: lines.map_or(Vec::new(), |l| l.rejects.iter().map(reject).collect()),
        parquet: look.layout.as_ref().map(|layout| of_layout(layout, inspector)),
    }
}

fn compression(shape: Shape) -> Option<&'static str> {
    shape.compression.map(|compression| match compression {
        Compression::Gzip => "gzip",
        Compression::Parquet => "parquet",
        Compression::Plain => "none",
        Compression::Zstd => "zstd",
    })
}

fn framing(shape: Shape) -> Option<&'static str> {
    shape.framing.map(|framing| match framing {
        Framing::Lines => "lines",
        Framing::CliText => "aws-cli-text",
        Framing::Comments => "comments",
        Framing::Exports => "cloudwatch-export",
        Framing::Documents => "json",
        Framing::Separated(b'\t') => "tsv",
        Framing::Separated(b';') => "semicolons",
        Framing::Separated(b'|') => "bars",
        Framing::Separated(_) => "csv",
        Framing::Marker => "marker",
    })
}

fn formats(formats: &[Arc<LogFormat>], inspector: &Inspector<'_>) -> Vec<JsonFormat> {
    let of = |format: &Arc<LogFormat>| JsonFormat {
        format: format.to_string(),
        name: name_of_format(format, &inspector.formats.catalogue),
        fields: format.fields().len(),
    };
    formats.iter().map(of).collect()
}

fn of_lines(lines: &Lines) -> JsonLines {
    let counts = &lines.counts;
    JsonLines {
        lines: counts.lines,
        records: counts.records,
        rejects: counts.rejects,
        headers: counts.headers,
        blanks: counts.blanks,
        text_bytes: lines.text_bytes,
        is_whole: lines.is_whole,
        records_by_status: lines.statuses.clone(),
        first_time: lines.times.and_then(|(first, _)| utc_text(first)),
        last_time: lines.times.and_then(|(_, last)| utc_text(last)),
    }
}

/// Records with values as they stand in the lines.
fn records(lines: &Lines, inspector: &Inspector<'_>) -> Vec<JsonPairs> {
    let Some(format) = lines.formats.first() else { return Vec::new() };
    let of = |record: &Vec<String>| {
        let values = format.fields().iter().zip(record).filter(|(f, _)| inspector.shows(f.column()));
        JsonPairs(values.map(|(f, v)| (f.name().to_owned(), v.clone())).collect())
    };
    lines.records.iter().map(of).collect()
}

fn of_layout(layout: &FileLayout, inspector: &Inspector<'_>) -> JsonLayout {
    let column = |c: &ColumnLayout| JsonColumn {
        column: c.name.clone(),
        physical_type: c.physical_type.clone(),
        codec: c.compression.clone(),
        encodings: c.encodings.clone(),
        compressed_bytes: c.compressed_bytes,
        uncompressed_bytes: c.uncompressed_bytes,
        nulls: c.nulls,
        has_page_index: c.has_page_index,
        min: c.min.clone(),
        max: c.max.clone(),
    };
    JsonLayout {
        created_by: layout.created_by.clone(),
        rows: layout.rows,
        row_groups: layout.row_groups.clone(),
        metadata: JsonPairs(layout.metadata.iter().filter(|(key, _)| key != ARROW_SCHEMA).cloned().collect()),
        columns: layout.columns.iter().filter(|c| inspector.shows(&c.name)).map(column).collect(),
    }
}

fn of_place(place: &Place, inspector: &Inspector<'_>) -> JsonPlace {
    let survey = &place.survey;
    let scale = scale(survey.logs.iter().map(|log| &log.deliveries), STRIP_CHARS);
    let tables = survey.tables.iter().map(|t| JsonTable { url: t.url.clone(), objects: t.objects });
    JsonPlace {
        name: place.name.clone(),
        objects: survey.objects,
        bytes: survey.bytes,
        left_out: survey.left_out,
        coverage_from: scale.and_then(|s| utc_text(s.start_s)),
        coverage_char_s: scale.map(|s| s.bucket_s),
        logs: survey.logs.iter().map(|log| of_log(log, scale.as_ref(), inspector)).collect(),
        others: survey.others.iter().map(of_other).collect(),
        tables: tables.collect(),
        next: next(place, inspector),
    }
}

fn of_log(log: &SurveyedLog, scale: Option<&Scale>, inspector: &Inspector<'_>) -> JsonLog {
    let (group, deliveries, rhythm) = (&log.group, &log.deliveries, &log.rhythm);
    let range = deliveries.range();
    let time = |at_s: i64| {
        let text = utc_text(at_s)?;
        Some(if deliveries.has_hours() { text } else { text[..10].to_owned() })
    };
    let gap = |gap: &Gap| JsonGap { from: time(gap.from_s), to: time(gap.to_s), seconds: gap.length_s() };
    let (kind, origin) = match &group.origin {
        _ if group.flow_log_id.is_some() => ("flow-log", None),
        KeyOrigin::Export(at) => ("export", Some(at.clone())),
        KeyOrigin::Firehose(stream) => ("firehose", Some(stream.clone())),
        KeyOrigin::Folder(folder) => ("folder", Some(folder.clone())),
    };
    let has_strip = range.is_some() && !deliveries.is_partial();
    JsonLog {
        account: group.account.clone(),
        region: group.region.clone(),
        flow_log: group.flow_log_id.clone(),
        group: kind,
        origin,
        formats: formats(&log.formats, inspector),
        format_told_by: log.told_by.map(ToldBy::name),
        compression: compression(log.shape),
        framing: framing(log.shape),
        objects: log.objects,
        bytes: log.bytes,
        looked_at: log.looked_at,
        archived: log.classes.iter().filter(|(class, _)| class.is_archive()).map(|(_, n)| n).sum(),
        classes: log.classes.iter().map(|(class, n)| (class.name(), *n)).collect(),
        example: log.example.clone(),
        first: range.and_then(|(first, _)| time(first)),
        last: range.and_then(|(_, last)| time(last)),
        deliveries: rhythm.deliveries,
        usual_pause_s: rhythm.usual_s,
        coverage: scale.filter(|_| has_strip).map(|scale| strip(&deliveries.coverage(scale, rhythm))),
        gap_count: rhythm.gap_count,
        gap_s: rhythm.gaps_s,
        gaps: rhythm.gaps.iter().map(gap).collect(),
        is_partial: deliveries.is_partial(),
    }
}

fn of_other(other: &Other) -> JsonOther {
    let (kind, service) = match &other.kind {
        OtherKind::Service(service) => ("service", Some(service.clone())),
        OtherKind::Empty => ("empty", None),
        OtherKind::Marker => ("marker", None),
        OtherKind::NotConverted(cause) => (*cause, None),
        OtherKind::NotLookedAt => ("not-looked-at", None),
    };
    let (example, detail) = (other.example.clone(), other.detail.clone());
    JsonOther { kind, service, objects: other.objects, bytes: other.bytes, example, detail }
}
