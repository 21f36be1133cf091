//! Whether raw logs that are converted again as they were give the records that they gave.

use std::collections::{HashMap, HashSet};

use flowquet_table::{CommitRecord, InputRecord};

use super::scope::Scope;
use crate::error::Error;
use crate::words::counted;

/// The error where one of the `restored` objects, by URL, gave other records than `anew`.
///
/// An object on a disk is read as it is now, since files that were moved or restored have other times and the same bytes: what it gives tells
/// whether it is what it was. Lines that are no records may be sorted out otherwise by another version of the program.
pub(super) fn differing<'a>(
    scope: &Scope,
    anew: impl Iterator<Item = &'a CommitRecord>,
    restored: &HashSet<String>,
) -> Option<Error> {
    let anew: HashMap<&str, &InputRecord> =
        anew.flat_map(|commit| &commit.inputs).map(|input| (input.object.url(), input)).collect();
    let before = scope.superseded.iter().flat_map(|t| t.commit.inputs.iter().map(|input| (t.id, input)));
    let before = before.filter(|(_, i)| i.failed.is_none() && restored.contains(i.object.url()));
    let differing = before.filter_map(|(task, before)| {
        let now = anew.get(before.object.url())?;
        let is_same = now.failed.is_none()
            && now.counts.records == before.counts.records
            && (before.digest.is_none() || now.digest == before.digest)
            && !has_other_rejects(before, now);
        (!is_same).then_some((task, before, *now))
    });
    let differing: Vec<_> = differing.collect();
    let (_, before, now) = differing.first()?;
    let others = match differing.len() as u64 - 1 {
        0 => String::new(),
        1 => "; another raw log differs, too".to_owned(),
        count => format!("; {} differ, too", counted(count, "other raw log")),
    };
    let had = counted(before.counts.records, "record");
    let has = match &now.failed {
        Some(cause) => format!("cannot be read now: {cause}"),
        None if now.digest == before.digest && has_other_rejects(before, now) => {
            "has other rejected lines now".to_owned()
        }
        None if now.counts.records == before.counts.records => "has as many others now".to_owned(),
        None => format!("has {} now", counted(now.counts.records, "record")),
    };
    Some(Error::RecordsDiffer {
        url: before.object.url().to_owned(),
        why: format!(" had {had} when it was converted, and {has}{others}"),
        tasks: differing.iter().map(|(task, ..)| *task).collect(),
    })
}

/// Whether an object has as many rejected lines as before, which are others.
pub(super) fn has_other_rejects(before: &InputRecord, now: &InputRecord) -> bool {
    before.rejects_digest.is_some()
        && now.counts.rejects == before.counts.rejects
        && now.rejects_digest != before.rejects_digest
}
