//! What the commands came to, as numbers of metrics.

use flowquet_engine::{Compaction, Finding, Level, Reconverted, Repaired, RolledUpTable, Summary, Verified};
use flowquet_table::FileCheck;

use super::list::{self, Sample};

/// What a summary says of a conversion.
pub(super) fn of_conversion(summary: &Summary) -> Vec<Sample> {
    let mut samples = of_objects(summary);
    samples.push(list::TASKS_LEFT.is(summary.tasks_left));
    samples.extend(of_files(&summary.files));
    if let Some(restores) = &summary.restores {
        samples.extend([
            list::RESTORES.at(&["requested"], restores.requested),
            list::RESTORES.at(&["ongoing"], restores.ongoing),
            list::RESTORES.at(&["restored"], restores.restored),
            list::RESTORES.at(&["refused"], restores.refused),
        ]);
    }
    samples
}

/// Objects and their lines, and what was written of them.
fn of_objects(summary: &Summary) -> Vec<Sample> {
    let objects = &summary.objects;
    let states = [
        ("converted", objects.converted),
        ("known", objects.known),
        ("failed", objects.failed),
        ("left", objects.left),
        ("ignored", objects.ignored),
        ("changed", objects.changed),
        ("set_aside", objects.set_aside),
        ("archived", objects.archived),
        ("damaged", objects.damaged),
    ];
    let mut samples: Vec<Sample> =
        states.iter().map(|(state, count)| list::OBJECTS.at(&[state], *count)).collect();
    samples.extend([
        list::TASKS.is(summary.tasks),
        list::LINES.is(summary.counts.lines),
        list::RECORDS.is(summary.counts.records),
        list::SOURCE_BYTES.is(summary.bytes_in),
        list::TEXT_BYTES.is(summary.text_bytes),
        list::WRITTEN_BYTES.is(summary.bytes_out),
        list::WRITTEN_FILES.is(summary.outputs.len() as u64),
    ]);
    let rejects = &summary.rejects_by_reason;
    samples.extend(rejects.iter().map(|(reason, count)| list::REJECTS.at(&[reason], *count)));
    samples
}

fn of_files(check: &FileCheck) -> [Sample; 3] {
    let states = [("lost", &check.lost), ("truncated", &check.truncated), ("stray", &check.stray)];
    states.map(|(state, files)| list::TABLE_FILES.at(&[state], files.len() as u64))
}

/// What a compaction came to.
pub(crate) fn of_compaction(done: &Compaction) -> Vec<Sample> {
    let touched = done.compacted + done.by_another + done.damaged;
    let duplicates = done.duplicates.as_ref().map(|duplicates| duplicates.rows);
    let mut samples = vec![
        list::PARTITIONS.at(&["compacted"], done.compacted),
        list::PARTITIONS.at(&["unchanged"], done.partitions.saturating_sub(touched)),
        list::PARTITIONS.at(&["by_another"], done.by_another),
        list::PARTITIONS.at(&["damaged"], done.damaged),
        list::FINISHED.is(done.finished),
        list::REPLACED_FILES.is(done.files_in),
        list::REPLACED_BYTES.is(done.bytes_in),
        list::WRITTEN_FILES.is(done.files_out),
        list::WRITTEN_BYTES.is(done.bytes_out),
        list::ROWS_READ.is(done.rows),
        list::ROWS_WRITTEN.is(done.rows.saturating_sub(duplicates.unwrap_or(0))),
    ];
    samples.extend(duplicates.map(|rows| list::DUPLICATES.is(rows)));
    samples.extend(of_files(&done.check));
    samples
}

/// What a reconversion came to.
pub(crate) fn of_reconversion(done: &Reconverted) -> Vec<Sample> {
    let mut samples = of_objects(&done.summary);
    // Files of its summary are also those that nothing was replaced by.
    samples.retain(|sample| sample.metric.name != list::WRITTEN_FILES.name);
    samples.extend([
        list::PARTITIONS.at(&["replaced"], done.partitions.len() as u64),
        list::FINISHED.is(done.finished),
        list::REPLACED_FILES.is(done.files_in),
        list::WRITTEN_FILES.is(done.files_out),
    ]);
    samples
}

/// What a roll-up came to.
pub(crate) fn of_rollup(done: &RolledUpTable) -> Vec<Sample> {
    vec![
        list::PARTITIONS.at(&["rolled_up"], done.rolled_up),
        list::PARTITIONS.at(&["unchanged"], done.unchanged),
        list::PARTITIONS.at(&["removed"], done.removed),
        list::PARTITIONS.at(&["by_another"], done.by_another),
        list::FINISHED.is(done.finished),
        list::WRITTEN_FILES.is(done.files_out),
        list::WRITTEN_BYTES.is(done.bytes_out),
        list::ROWS_READ.is(done.records),
        list::ROWS_WRITTEN.is(done.rows),
    ]
}

/// What a verification came to: a number for each level that was looked at, also where it is 0, so that an alarm can tell that
/// nothing was found from that nobody looked.
pub(crate) fn of_verification(done: &Verified, lists_safe: bool, repaired: Option<&Repaired>) -> Vec<Sample> {
    let found = |level: Level| {
        let findings = done.findings.iter().filter(|finding: &&Finding| finding.level == level);
        list::FINDINGS.at(&[level.name()], findings.count() as u64)
    };
    let mut samples =
        vec![found(Level::Records), list::CHECKED_OBJECTS.at(&["records"], done.records.objects)];
    if let Some(listing) = &done.listing {
        samples.extend([found(Level::Listing), list::CHECKED_FILES.at(&["listing"], listing.files)]);
    }
    if let Some(footers) = &done.footers {
        samples.extend([found(Level::Footers), list::CHECKED_FILES.at(&["footers"], footers.files)]);
    }
    if let Some(data) = &done.data {
        samples.extend([found(Level::Data), list::CHECKED_FILES.at(&["data"], data.files)]);
        samples.push(list::ROWS_READ.is(data.rows));
    }
    if let Some(source) = &done.source {
        samples.extend([found(Level::Source), list::CHECKED_OBJECTS.at(&["source"], source.listed)]);
    }
    if let Some(deep) = &done.deep {
        samples.extend([found(Level::Deep), list::CHECKED_OBJECTS.at(&["deep"], deep.objects)]);
    }
    samples.extend(lists_safe.then(|| list::SAFE_OBJECTS.is(done.safe.len() as u64)));
    samples.extend(repaired.map(|repaired| list::REPAIRED_FILES.is(repaired.files.len() as u64)));
    samples
}
