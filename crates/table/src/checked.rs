//! Names in records, checked where a record is decoded: whatever is deleted or overwritten because of a record is called as this
//! program calls its files, and lies in the table.
//!
//! Records may have been damaged, or written by somebody who means harm: no name of theirs leads out of the table, or to what is
//! not ours in it. What is built here is right as it is, so that these are functions for `deserialize_with` and no types of their
//! own.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize as _, Deserializer};

use crate::layout::{is_data_key, is_id, task_of_output};

/// Characters of a wrong name that a message tells.
const TOLD_MAX: usize = 120;

fn wrong<E: serde::de::Error>(expected: impl Display, found: &str) -> E {
    let told: String = found.chars().take(TOLD_MAX).collect();
    E::custom(format!("expected {expected}, found `{}`", told.escape_debug()))
}

/// An id of a task, a compaction or a reconversion.
pub(crate) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let id = String::deserialize(from)?;
    if is_id(&id) { Ok(id) } else { Err(wrong("an id of sixteen hexadecimal digits", &id)) }
}

/// The key of a data file: `date=2024-01-15/9c4e0123456789ab-0000.parquet`.
pub(crate) fn data_key<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let key = String::deserialize(from)?;
    if is_data_file(&key) { Ok(key) } else { Err(wrong("the key of a data file of this table", &key)) }
}

/// Keys of data files.
pub(crate) fn data_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let keys = Vec::<String>::deserialize(from)?;
    match keys.iter().find(|key| !is_data_file(key)) {
        None => Ok(keys),
        Some(key) => Err(wrong("the key of a data file of this table", key)),
    }
}

fn is_data_file(key: &str) -> bool {
    is_data_key(key) && task_of_output(key).is_some()
}

/// A partition folder; empty where the table has no partitions.
pub(crate) fn folder<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let folder = String::deserialize(from)?;
    if folder.is_empty() || is_data_key(&folder) {
        Ok(folder)
    } else {
        Err(wrong("a partition folder of this table", &folder))
    }
}

/// A partition folder, to be kept once.
pub(crate) fn shared_folder<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    folder(from).map(Into::into)
}

/// The name of a segment of checkpoints: `files-5c1b0123456789ab5c1b0123456789ab`.
pub(crate) fn segment<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    if is_segment(&name) { Ok(name) } else { Err(wrong("the name of a segment", &name)) }
}

pub(crate) fn is_segment(name: &str) -> bool {
    let is_digest =
        |text: &str| text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_kind = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    name.split_once('-').is_some_and(|(kind, digest)| is_kind(kind) && is_digest(digest))
}
