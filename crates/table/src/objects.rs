//! A source object as records name it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One source object as it was listed. There may be very many: it takes about 100 bytes and its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SourceObjectForm", into = "SourceObjectForm")]
pub struct SourceObject {
    url: Box<str>,
    key: Key,
    /// Size as listed.
    pub bytes: u64,
    etag: Box<str>,
}

/// A key is mostly the end of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// Where in the URL it begins.
    At(u32),
    /// Reached through a link.
    Other(Box<str>),
}

/// On disk.
#[derive(Serialize, Deserialize)]
struct SourceObjectForm {
    url: String,
    key: String,
    bytes: u64,
    etag: String,
}

impl From<SourceObjectForm> for SourceObject {
    fn from(form: SourceObjectForm) -> Self {
        Self::new(form.url, &form.key, form.bytes, &form.etag)
    }
}

impl From<SourceObject> for SourceObjectForm {
    fn from(object: SourceObject) -> Self {
        let (key, bytes, etag) = (object.key().to_owned(), object.bytes, object.etag.into());
        Self { url: object.url.into(), key, bytes, etag }
    }
}

impl SourceObject {
    /// The object at `url`, which a listing found under `key`.
    pub fn new(url: String, key: &str, bytes: u64, etag: &str) -> Self {
        let at = url.ends_with(key).then(|| u32::try_from(url.len() - key.len()).ok()).flatten();
        let key = at.map_or_else(|| Key::Other(key.into()), Key::At);
        Self { url: url.into(), key, bytes, etag: etag.into() }
    }

    /// Where it is, unambiguously: `file:///logs/AWSLogs/…`, `s3://bucket/AWSLogs/…`. An object is converted once per
    /// table and URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its key below the source that was named. Decides order and digests, so that they do not depend on where a folder
    /// lies.
    pub fn key(&self) -> &str {
        match &self.key {
            Key::At(start) => &self.url[*start as usize..],
            Key::Other(key) => key,
        }
    }

    /// Changes when its content does; empty where that cannot happen.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// What it is known by.
    pub fn id(&self) -> ObjectId {
        ObjectId::of(&self.url)
    }

    /// Memory that it takes.
    pub fn memory(&self) -> usize {
        /// What an allocation costs beside its bytes.
        const ALLOCATION: usize = 16;
        let other = if let Key::Other(key) = &self.key { key.len() + ALLOCATION } else { 0 };
        size_of::<Self>() + self.url.len() + self.etag.len() + other + 2 * ALLOCATION
    }
}

/// Half of a SHA-256 digest of a URL.
pub(crate) type UrlDigest = [u8; 16];

/// The digest of a URL. A table of years knows millions of objects, and their URLs are long.
pub(crate) fn url_digest(url: &str) -> UrlDigest {
    *Sha256::digest(url.as_bytes()).first_chunk().expect("a digest is longer")
}

/// What an object, or anything else with a path, is known by: a digest, and before it what has those stand together that come
/// together.
///
/// Ids are sorted by shelf. A run lists days or folders, not digests, so that it needs few shelves of what a table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The day in its path as a number, 20190820; where there is none, a hash of its folder with the highest bit set.
    pub(crate) shelf: u32,
    /// Half of a SHA-256 digest of its path. No two URLs that anybody has share it.
    pub(crate) digest: UrlDigest,
}

impl ObjectId {
    /// The id of the object at this URL.
    pub fn of(url: &str) -> Self {
        Self { shelf: shelf_of(url), digest: url_digest(url) }
    }
}

/// The shelf of a path. Checkpoints rest on it, so that it may not change without [`crate::checkpoint::VERSION`].
///
/// The day is, in this order: eight digits before a `T` in the name (AWS's delivery time), the last three folders that read
/// `2019/08/20`, a folder that ends in `2019-08-20` (Hive's partitions).
fn shelf_of(path: &str) -> u32 {
    const NO_DAY: u32 = 1 << 31;
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let of_name = name.as_bytes().windows(9).find_map(|w| day_of(w.strip_suffix(b"T")?));
    if let Some(day) = of_name {
        return day;
    }
    let (mut two, mut one) = (None, None);
    for part in folder.rsplit('/') {
        // Read from the end: the day first, then the month, then the year.
        if let (Some(day), Some(month)) = (two, one)
            && let Some(found) = day_of(format!("{part}{month}{day}").as_bytes())
            && part.len() == 4
        {
            return found;
        }
        let tail = part.len().checked_sub(10).and_then(|at| part.get(at..)).unwrap_or_default();
        if let [y, m, d] = tail.split('-').collect::<Vec<_>>()[..]
            && let Some(found) = day_of(format!("{y}{m}{d}").as_bytes())
        {
            return found;
        }
        (two, one) = (one, Some(part));
    }
    // FNV-1a.
    let hash =
        folder.bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    NO_DAY | hash
}

/// `20190820` as a number, if it is a day.
fn day_of(digits: &[u8]) -> Option<u32> {
    if digits.len() != 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    ((1970..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shelves_never_change() {
        const NO_DAY: u32 = 1 << 31;
        let aws = "AWSLogs/1/vpcflowlogs/eu-west-1/2019/08/21/1_vpcflowlogs_eu-west-1_fl-1_20190820T0005Z_a1.log.gz";
        for (path, shelf) in [
            (aws, 20_190_820),
            ("s3://b/firehose/2024/01/15/07/stream-1-2024-01-15-07-00-00-uuid", 20_240_115),
            ("s3://b/2023/01/01/x/2024/01/15/y", 20_240_115),
            ("date=2019-08-20/7d1f0c9e2b3a4d5e-0000.parquet", 20_190_820),
            ("account=1/date=2019-08-20/hour=07/7d1f0c9e2b3a4d5e-0000.parquet", 20_190_820),
            ("s3://b/export/2024/13/15/y", NO_DAY | 0x0850_d279),
            ("file:///logs/a.log", NO_DAY | 0x4d52_4391),
            ("7d1f0c9e2b3a4d5e", NO_DAY | 0x011c_9dc5),
            ("", NO_DAY | 0x011c_9dc5),
        ] {
            assert_eq!(shelf_of(path), shelf, "{path}: {:#x}", shelf_of(path));
        }
    }
}
