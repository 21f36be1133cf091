//! What the log tells of how a table came about: deliveries, rejects, sizes, formats.

use std::collections::BTreeMap;

use flowquet_format::{KeyGroup, KeyOrigin, seconds_of};
use flowquet_plan::{Deliveries, Gap, Scale};
use flowquet_table::{Log, OutputRecord, TableState};
use serde::{Deserialize, Serialize};

use crate::table_files::Stop;

/// Flow logs that are told apart; objects of others are counted together.
const FLOW_LOGS_MAX: usize = 200;

/// Days of all flow logs together of which deliveries are held: 40 bytes each.
const DAYS_MAX: usize = 400_000;

/// Days of a strip.
const STRIP_DAYS: usize = 800;

/// Gaps of a flow log that are told.
const GAPS_TOLD: usize = 50;

/// Reject files that examples are taken from, and the bytes of each.
const EXAMPLE_FILES: usize = 64;
const EXAMPLE_BYTES: u64 = 64 << 10;

/// Examples of a reason.
const EXAMPLES: usize = 3;

/// Characters of a line in an example: enough to see what is wrong.
const EXAMPLE_CHARACTERS: usize = 300;

/// Deliveries of a flow log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Account, region and flow log, or folder.
    pub name: String,
    /// Its objects.
    pub objects: u64,
    /// The first and the last delivery, in Unix seconds; none where keys do not tell.
    pub first_s: Option<i64>,
    /// The last.
    pub last_s: Option<i64>,
    /// The median pause between deliveries.
    pub usual_s: Option<i64>,
    /// Pauses that are not usual.
    pub gap_count: u64,
    /// The first of them: from the last delivery before to the first behind, in Unix seconds.
    pub gaps: Vec<(i64, i64)>,
    /// Unix seconds of the first share.
    pub start_s: i64,
    /// The length of a time whose share is told.
    pub step_s: i64,
    /// How much of each time is covered, of 1; none before the first delivery and behind the last.
    pub shares: Vec<Option<f64>>,
}

/// Rejected lines of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The reason, as reject files have it.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<RejectExample>,
}

/// A rejected line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectExample {
    /// URL of its object.
    pub object: String,
    /// Its number there, from 1.
    pub line: u64,
    /// The field at fault, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was expected and found.
    pub detail: String,
    /// The line, as far as it is shown.
    pub raw: String,
}

/// Files of one log format over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatSpan {
    /// The log format, as text.
    pub format: String,
    /// Its files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first and the last time of their records, in Unix seconds.
    pub first_s: Option<i64>,
    /// The last.
    pub last_s: Option<i64>,
}

/// What became of the raw logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Objects that were converted.
    pub objects: u64,
    /// Their bytes, as they were delivered.
    pub delivered_bytes: u64,
    /// Their text.
    pub text_bytes: u64,
    /// Files of the table.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// The smallest, the median and the largest of them.
    pub smallest_file_bytes: u64,
    /// The median.
    pub median_file_bytes: u64,
    /// The largest.
    pub largest_file_bytes: u64,
    /// Lines of the objects.
    pub lines: u64,
    /// Records among them.
    pub records: u64,
    /// Rejects among them.
    pub rejects: u64,
    /// Objects that could not be read and are not ignored.
    pub unreadable: u64,
    /// Of the records, those in files whose loss was accepted.
    pub lost_records: u64,
    /// Tasks that are not finished.
    pub unfinished: u64,
    /// Partitions.
    pub partitions: u64,
}

/// What the log tells.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) sizes: Sizes,
    pub(super) flow_logs: Vec<Coverage>,
    /// Objects of flow logs past those that are told apart.
    pub(super) other_objects: u64,
    pub(super) rejected: Vec<Rejected>,
    pub(super) formats: Vec<FormatSpan>,
}

impl History {
    /// Reads the records of all tasks that count.
    pub(super) fn read(log: &Log) -> Result<Self, Stop> {
        let mut history = Self::default();
        let mut groups: BTreeMap<KeyGroup, (u64, Deliveries)> = BTreeMap::new();
        let mut days_left = DAYS_MAX;
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        log.read_live_commits(|_, commit| {
            for (reason, count) in &commit.rejects_by_reason {
                *reasons.entry(reason.clone()).or_default() += count;
            }
            for input in commit.inputs.iter().filter(|input| input.failed.is_none()) {
                history.sizes.text_bytes += input.text_bytes;
                let (group, delivery) = KeyGroup::of(input.object.url(), input.object.key());
                if groups.len() >= FLOW_LOGS_MAX && !groups.contains_key(&group) {
                    history.other_objects += 1;
                    continue;
                }
                let (objects, deliveries) = groups.entry(group).or_default();
                *objects += 1;
                if let Some(delivery) = delivery {
                    deliveries.add(delivery, &mut days_left);
                }
            }
            Ok::<(), flowquet_table::Error>(())
        })?;
        history.flow_logs = coverage(groups);
        history.rejected = examples(log, reasons)?;
        history.add_state(log.state())?;
        Ok(history)
    }

    fn add_state(&mut self, state: &TableState) -> Result<(), flowquet_table::Error> {
        let (totals, live) = (state.totals(), state.files().all()?);
        let sizes = &mut self.sizes;
        sizes.objects = totals.objects;
        sizes.delivered_bytes = totals.bytes_in;
        (sizes.lines, sizes.records, sizes.rejects) =
            (totals.counts.lines, totals.counts.records, totals.counts.rejects);
        sizes.unreadable = state.failed()?.iter().filter(|f| !state.is_ignored(&f.object)).count() as u64;
        sizes.lost_records = state.files().lost().map(|lost| lost.file.output.rows).sum();
        sizes.unfinished = state.open_tasks().count() as u64;
        let mut partitions: Vec<&str> = live.iter().map(|f| f.output.partition.as_ref()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        sizes.partitions = partitions.len() as u64;
        let mut bytes: Vec<u64> = live.iter().map(|f| f.output.bytes).collect();
        bytes.sort_unstable();
        sizes.files = bytes.len() as u64;
        sizes.file_bytes = bytes.iter().sum();
        if let (Some(least), Some(most)) = (bytes.first(), bytes.last()) {
            (sizes.smallest_file_bytes, sizes.largest_file_bytes) = (*least, *most);
            sizes.median_file_bytes = bytes[bytes.len() / 2];
        }
        let mut formats: BTreeMap<&str, FormatSpan> = BTreeMap::new();
        for file in live {
            let output = &file.output;
            let span = formats.entry(&output.format).or_insert_with(|| FormatSpan {
                format: output.format.to_string(),
                files: 0,
                rows: 0,
                bytes: 0,
                first_s: None,
                last_s: None,
            });
            span.files += 1;
            span.rows += output.rows;
            span.bytes += output.bytes;
            let (first, last) = times_of(output);
            span.first_s = [span.first_s, first].into_iter().flatten().min();
            span.last_s = span.last_s.max(last);
        }
        self.formats = formats.into_values().collect();
        self.formats.sort_by_key(|span| (span.first_s, std::cmp::Reverse(span.rows)));
        Ok(())
    }
}

fn times_of(output: &OutputRecord) -> (Option<i64>, Option<i64>) {
    let Some(time) = &output.time else { return (None, None) };
    (seconds_of(&time.min), seconds_of(&time.max))
}

fn name_of(group: &KeyGroup) -> String {
    let told = [&group.account, &group.region, &group.flow_log_id].into_iter().flatten();
    let told: Vec<&str> = told.map(String::as_str).collect();
    if !told.is_empty() {
        return told.join(" ");
    }
    match &group.origin {
        KeyOrigin::Firehose(stream) => format!("Firehose stream {stream}"),
        KeyOrigin::Export(folder) => format!("export {folder}"),
        KeyOrigin::Folder(folder) if folder.is_empty() => "objects at the top".to_owned(),
        KeyOrigin::Folder(folder) => folder.clone(),
    }
}

fn coverage(groups: BTreeMap<KeyGroup, (u64, Deliveries)>) -> Vec<Coverage> {
    let ranges = groups.values().filter_map(|(_, deliveries)| deliveries.range());
    let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let mut found = Vec::with_capacity(groups.len());
    for (group, (objects, deliveries)) in groups {
        let rhythm = deliveries.rhythm();
        let scale = range.map(|(first, last)| day_scale(first, last));
        let own = deliveries.range();
        found.push(Coverage {
            name: name_of(&group),
            objects,
            first_s: own.map(|(first, _)| first),
            last_s: own.map(|(_, last)| last),
            usual_s: rhythm.usual_s,
            gap_count: rhythm.gap_count,
            gaps: rhythm.gaps.iter().take(GAPS_TOLD).map(|Gap { from_s, to_s }| (*from_s, *to_s)).collect(),
            start_s: scale.map_or(0, |scale| scale.start_s),
            step_s: scale.map_or(0, |scale| scale.bucket_s),
            shares: scale.map_or_else(Vec::new, |scale| deliveries.coverage(&scale, &rhythm)),
        });
    }
    found
}

/// A scale of days, or of longer times where there are too many.
fn day_scale(first_s: i64, last_s: i64) -> Scale {
    const DAY_S: i64 = 86_400;
    let (first, last) = (first_s.div_euclid(DAY_S), last_s.div_euclid(DAY_S));
    let days = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    if days > STRIP_DAYS {
        return Scale::new(first_s, last_s, STRIP_DAYS);
    }
    Scale { start_s: first * DAY_S, bucket_s: DAY_S, buckets: days }
}

/// Rejects by reason, with examples from the first reject files that have any.
fn examples(log: &Log, reasons: BTreeMap<String, u64>) -> Result<Vec<Rejected>, Stop> {
    #[derive(Deserialize)]
    struct Line {
        reason: String,
        #[serde(flatten)]
        example: RejectExample,
    }
    let mut found: Vec<Rejected> =
        reasons.into_iter().map(|(reason, count)| Rejected { reason, count, examples: Vec::new() }).collect();
    found.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    for key in log.state().totals().reject_files().take(EXAMPLE_FILES) {
        if found.iter().all(|rejected| rejected.examples.len() >= EXAMPLES) {
            break;
        }
        // They are kept for people, who may delete them.
        let Ok(meta) = log.out().head(&key) else { continue };
        let range = 0..meta.bytes.min(EXAMPLE_BYTES);
        if range.is_empty() {
            continue;
        }
        let Ok(bytes) = log.out().fetch(&key, "", range, false).wait(&|| false) else { continue };
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(Line { reason, mut example }) = serde_json::from_slice::<Line>(line) else { continue };
            let wanted = found.iter_mut().find(|r| r.reason == reason && r.examples.len() < EXAMPLES);
            if let Some(rejected) = wanted {
                if let Some((end, _)) = example.raw.char_indices().nth(EXAMPLE_CHARACTERS) {
                    example.raw.truncate(end);
                    example.raw.push('…');
                }
                rejected.examples.push(example);
            }
        }
    }
    Ok(found)
}
