//! Files of a table that are not as its records have them, in words.

use flowquet_table::{AcceptedLoss, LostRejects, Misplaced};
use indicatif::HumanBytes;

use crate::output::counted;

/// Tasks, objects and files that the text names.
pub(crate) const NAMED_MAX: usize = 10;

/// What it comes to where files are not as the records have them.
pub(crate) const NOT_WHOLE: &str =
    "table damaged: files are lost, damaged or foreign; `flowquet status` lists them";

pub(crate) fn lost_text(file: &Misplaced) -> String {
    format!("{}: missing ({}, {})", file.key, counted(file.rows, "row"), HumanBytes(file.expected_bytes))
}

pub(crate) fn truncated_text(file: &Misplaced) -> String {
    format!("{}: {}, expected {}", file.key, HumanBytes(file.bytes), HumanBytes(file.expected_bytes))
}

pub(crate) fn stray_text(file: &Misplaced) -> String {
    format!("{}: not written by flowquet; readers that list the folder count its rows", file.key)
}

pub(crate) fn found_again_text(file: &Misplaced, table: &str) -> String {
    if file.bytes != file.expected_bytes {
        return format!(
            "{}: there again with {} bytes of {}, though its loss was accepted; once it is whole, `flowquet verify {table} --repair` counts its {}. Delete it \
             if it is no copy",
            file.key,
            file.bytes,
            file.expected_bytes,
            counted(file.rows, "row")
        );
    }
    format!(
        "{}: there again, though its loss was accepted; `flowquet verify {table} --repair` counts its {} if it is whole",
        file.key,
        counted(file.rows, "row")
    )
}

/// Losses that were accepted, a line for each time that somebody did so.
pub(crate) fn accepted_texts(losses: &[AcceptedLoss]) -> Vec<String> {
    let mut times: Vec<(&str, &str, u64, u64)> = Vec::new();
    for AcceptedLoss { rows, reason, accepted_at, .. } in losses {
        match times.iter_mut().find(|(at, why, ..)| at == accepted_at && why == reason) {
            Some((_, _, files, records)) => (*files, *records) = (*files + 1, *records + rows),
            None => times.push((accepted_at, reason, 1, *rows)),
        }
    }
    times.sort_unstable();
    let text = |(at, reason, files, records): (&str, &str, u64, u64)| {
        let (records, files) = (counted(records, "record"), counted(files, "file"));
        format!("{records} in {files} lost, accepted {at}: {reason}")
    };
    times.into_iter().map(text).collect()
}

/// Rejected lines whose loss was accepted: how many, when and why.
pub(crate) fn lost_rejects_texts(lost: &[LostRejects]) -> Vec<String> {
    let text = |lost: &LostRejects| {
        format!(
            "{} lost, accepted {}: {}",
            counted(lost.rejects, "rejected line"),
            lost.accepted_at,
            lost.reason
        )
    };
    lost.iter().map(text).collect()
}

/// `1,234 records lost and accepted`, where there are any.
pub(crate) fn accepted_sum(losses: &[AcceptedLoss]) -> Option<String> {
    let records = losses.iter().map(|loss| loss.rows).sum();
    (!losses.is_empty()).then(|| format!("{} lost and accepted", counted(records, "record")))
}
