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

    /// What it is known by: half of a SHA-256 digest of its URL. No two URLs that anybody has share it.
    pub fn digest(&self) -> UrlDigest {
        url_digest(&self.url)
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
pub type UrlDigest = [u8; 16];

/// The digest of a URL. A table of years knows millions of objects, and their URLs are long.
pub(crate) fn url_digest(url: &str) -> UrlDigest {
    *Sha256::digest(url.as_bytes()).first_chunk().expect("a digest is longer")
}
