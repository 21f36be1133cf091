//! Objects that nobody needs to be told of any more: they will never be readable, and somebody said so.

use std::collections::BTreeMap;

use flowquet_store::Store;
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;
use crate::error::Error;
use crate::layout::IGNORED;
use crate::objects::{UrlDigest, url_digest};
use crate::reading::{delete_if_there, keys_of, read_each};
use crate::records::{Record, from_json, to_json, written_by};

/// What stands in `_flowquet/ignored/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoredRecord {
    layout_version: u32,
    written_by: String,
    url: String,
    reason: String,
}

impl Record for IgnoredRecord {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// Key of the record that says that the object at `url` is ignored.
pub fn ignored_key(url: &str) -> String {
    let digest: String = url_digest(url).iter().map(|b| format!("{b:02x}")).collect();
    format!("{IGNORED}/{digest}.json")
}

/// Has the object at `url` ignored, for a reason that is shown wherever it would be told of.
///
/// # Errors
/// As the store reports.
pub fn ignore(out: &dyn Store, url: &str, reason: &str) -> Result<(), Error> {
    let record = IgnoredRecord {
        layout_version: LAYOUT_VERSION,
        written_by: written_by(),
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(out.put(&ignored_key(url), &to_json(&record))?)
}

/// Ends that. Returns whether the object was ignored.
///
/// # Errors
/// As the store reports.
pub fn stop_ignoring(out: &dyn Store, url: &str) -> Result<bool, Error> {
    let key = ignored_key(url);
    match out.head(&key) {
        Ok(_) => {}
        Err(error) if error.may_be_missing() => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    delete_if_there(out, &key)?;
    Ok(true)
}

/// URLs of ignored objects, with the reasons.
///
/// # Errors
/// As the store reports; [`Error::Record`].
pub fn ignored(out: &dyn Store) -> Result<BTreeMap<String, String>, Error> {
    let keys = keys_of(out, IGNORED)?;
    let mut found = BTreeMap::new();
    read_each(out, &keys, |key, bytes| {
        let record: IgnoredRecord =
            from_json(&bytes).map_err(|error| Error::Record { url: out.url(key), error })?;
        found.insert(record.url, record.reason);
        Ok(())
    })?;
    Ok(found)
}

/// The digest that the name of such a record tells.
pub(crate) fn digest_of(key: &str) -> Option<UrlDigest> {
    let hex = key.strip_prefix(IGNORED)?.strip_prefix('/')?.strip_suffix(".json")?;
    let byte = |i: usize| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok();
    let mut digest = UrlDigest::default();
    for (i, place) in digest.iter_mut().enumerate() {
        *place = byte(i)?;
    }
    (hex.len() == 32).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_what_is_ignored() {
        let url = "s3://logs/a.log.gz";
        assert_eq!(digest_of(&ignored_key(url)), Some(url_digest(url)));
        for other in ["_flowquet/ignored/x.json", "_flowquet/ignored/.json", "x"] {
            assert_eq!(digest_of(other), None, "{other}");
        }
    }
}
