//! Sources: what the user named, as objects that can be opened and fetched.

use std::io::Read;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flowquet_store::{
    Archived, Asked, Error as StoreError, FILE_SCHEME, Fetch, LocalStore, Location, ObjectMeta, RangedReader,
    RestoreRequest, S3_SCHEME, StorageClass, Store, Stores, random_name,
};
use flowquet_table::{SPOOL, SourceObject, incoming_key, spooled_name};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Where objects come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An object, or all objects below a folder or prefix.
    At(Location),
    /// The objects that a manifest names: an S3 Inventory, or a text file with a URL or path a line.
    Manifest(Location),
    /// Standard input.
    Stdin,
}

/// Opens source objects, wherever they are.
#[derive(Debug)]
pub struct SourceSet {
    /// The whole file system: a URL is a path from its root.
    disk: LocalStore,
    stores: Arc<Stores>,
}

/// A source object's store, and its key there.
enum Place<'a> {
    Disk(&'a str),
    S3 { bucket: &'a str, key: &'a str },
}

fn place(url: &str) -> Place<'_> {
    if let Some((bucket, key)) = url.strip_prefix(S3_SCHEME).and_then(|rest| rest.split_once('/')) {
        return Place::S3 { bucket, key };
    }
    Place::Disk(url.strip_prefix(FILE_SCHEME).unwrap_or(url).trim_start_matches('/'))
}

/// Whether an object is read over the network.
pub fn is_remote(object: &SourceObject) -> bool {
    object.url().starts_with(S3_SCHEME)
}

impl SourceSet {
    /// Sources on the local disk and in `stores`.
    pub fn new(stores: Arc<Stores>) -> Self {
        // Nothing is ever written through this store.
        Self { disk: LocalStore::new("/", ""), stores }
    }

    /// The stores of buckets.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Opens an object of any listing, of this run or an earlier one.
    ///
    /// # Errors
    /// [`flowquet_store::Error`] where it is gone or may not be read.
    pub fn open(&self, object: &SourceObject) -> Result<Box<dyn Read + Send>, StoreError> {
        match place(object.url()) {
            Place::Disk(key) => self.disk.read(key),
            Place::S3 { bucket, key } => {
                let (key, etag) = (key.to_owned(), object.etag().to_owned());
                let (url, bytes) = (object.url().to_owned(), object.bytes);
                let meta = ObjectMeta { key, url, bytes, etag, class: StorageClass::Open };
                Ok(Box::new(RangedReader::new(self.stores.bucket(bucket), &meta)))
            }
        }
    }

    /// The bytes `range` of an object, which must lie within it.
    pub fn range(&self, object: &SourceObject, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.fetch_range(object, range).wait(&|| false)
    }

    /// Opens a file of this machine, to see whether it may be read; `None` for what is remote.
    pub fn open_local(&self, object: &SourceObject) -> Option<Result<(), StoreError>> {
        (!is_remote(object)).then(|| self.open(object).map(drop))
    }

    /// Starts to fetch the bytes `range` of an object, which must lie within it.
    pub fn fetch_range(&self, object: &SourceObject, range: Range<u64>) -> Box<dyn Fetch> {
        match place(object.url()) {
            Place::Disk(key) => self.disk.fetch(key, "", range, false),
            Place::S3 { bucket, key } => self.stores.bucket(bucket).fetch(key, object.etag(), range, false),
        }
    }

    /// Starts to fetch the first `max` bytes of an object.
    pub fn fetch(&self, object: &SourceObject, max: u64) -> Box<dyn Fetch> {
        let (range, whole) = (0..object.bytes.min(max), object.bytes <= max);
        match place(object.url()) {
            Place::Disk(key) => self.disk.fetch(key, "", range, whole),
            Place::S3 { bucket, key } => self.stores.bucket(bucket).fetch(key, object.etag(), range, whole),
        }
    }

    /// Whether an object of a listing lies in an archive; `None` for one that can be read as any other.
    ///
    /// # Errors
    /// As [`Store::head`].
    pub fn archived(&self, url: &str) -> Result<Option<Archived>, StoreError> {
        match place(url) {
            Place::Disk(_) => Ok(None),
            Place::S3 { bucket, key } => self.stores.bucket(bucket).archived(key),
        }
    }

    /// Asks that an archived object of a listing be restored.
    ///
    /// # Errors
    /// As [`Store::restore`].
    pub fn restore(&self, url: &str, request: &RestoreRequest) -> Result<Asked, StoreError> {
        match place(url) {
            Place::Disk(key) => self.disk.restore(key, request),
            Place::S3 { bucket, key } => self.stores.bucket(bucket).restore(key, request),
        }
    }

    /// Size and etag as they are now.
    pub fn current(&self, object: &SourceObject) -> Result<(u64, String), StoreError> {
        let meta = match place(object.url()) {
            Place::Disk(key) => self.disk.head(key)?,
            Place::S3 { bucket, key } => self.stores.bucket(bucket).head(key)?,
        };
        Ok((meta.bytes, meta.etag))
    }
}

/// The URL of a file of this machine.
///
/// # Errors
/// Where its name is no key.
pub fn absolute_url(path: &Path) -> Result<String, StoreError> {
    let path = path.canonicalize().unwrap_or_else(|_| real(path));
    let text = path.to_str().ok_or_else(|| StoreError::invalid_key(&path))?;
    Ok(format!("{FILE_SCHEME}{text}"))
}

/// Whether `source` is the very place of the table at `out_url`, however either is spelt.
///
/// A source that is only above or below the table is another place.
pub fn same_place(source: &Location, out_url: &str) -> bool {
    match (source, place(out_url)) {
        (Location::S3 { bucket, prefix }, Place::S3 { bucket: out, key }) => {
            bucket == out && prefix.trim_matches('/') == key.trim_matches('/')
        }
        (Location::S3 { bucket, prefix }, Place::Disk(_)) => {
            // The root of a bucket may stand without a slash.
            out_url.strip_prefix(S3_SCHEME) == Some(bucket.as_str()) && prefix.trim_matches('/').is_empty()
        }
        (Location::Local(path), Place::Disk(_)) => {
            !out_url.starts_with(S3_SCHEME)
                && real(path) == real(Path::new(out_url.strip_prefix(FILE_SCHEME).unwrap_or(out_url)))
        }
        (Location::Local(_), Place::S3 { .. }) => false,
    }
}

/// Whether `source` lies below the table at `out_url`, where nothing is ever a source.
pub fn lies_within(source: &Location, out_url: &str) -> bool {
    let is_below = |inner: &str, outer: &str| {
        let (inner, outer) = (inner.trim_matches('/'), outer.trim_matches('/'));
        !inner.is_empty()
            && (outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')))
    };
    match (source, place(out_url)) {
        (Location::S3 { bucket, prefix }, Place::S3 { bucket: out, key }) => {
            bucket == out && is_below(prefix, key)
        }
        (Location::S3 { bucket, prefix }, Place::Disk(_)) => {
            // The root of a bucket may stand without a slash.
            out_url.strip_prefix(S3_SCHEME) == Some(bucket.as_str()) && is_below(prefix, "")
        }
        (Location::Local(path), Place::Disk(_)) if !out_url.starts_with(S3_SCHEME) => {
            let (inner, outer) =
                (real(path), real(Path::new(out_url.strip_prefix(FILE_SCHEME).unwrap_or(out_url))));
            inner != outer && inner.starts_with(outer)
        }
        (Location::Local(_), _) => false,
    }
}

/// The one name of a path: absolute, links followed as far as it exists, and `.` and `..` resolved behind that.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            // The parent of where a link leads, as the system has it.
            Component::ParentDir => {
                found.pop();
            }
            part => found.push(part),
        }
        found = found.canonicalize().unwrap_or(found);
    }
    found
}

/// URL of a table's root with a slash behind it, as listings of a disk spell it: without links.
pub fn root_url(out: &dyn Store) -> String {
    // A key below the root that is there, or may be: its folder's real name is what counts.
    let url = out.url("");
    let real = url.strip_prefix(FILE_SCHEME).and_then(|path| Path::new(path).canonicalize().ok());
    let url = real.map_or(url, |path| format!("{FILE_SCHEME}{}", path.display()));
    format!("{}/", url.trim_end_matches('/'))
}

/// Copies standard input into the table's spool, where a later run finds it once it is planned, if this one is killed.
///
/// It arrives under a name that no other process has. Then the object is called after its content, so that the same input is
/// taken once, however many processes read it.
pub fn spool(input: &mut dyn Read, out: &dyn Store) -> Result<SourceObject, Error> {
    const CHUNK_BYTES: usize = 1 << 20;
    let incoming = incoming_key(&random_name());
    let mut staged = out.stage(&incoming)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::Stdin(e)),
        };
        digest.update(&chunk[..len]);
        let written = staged.write_all(&chunk[..len]);
        written.map_err(|e| StoreError::write(out.url(&incoming), e))?;
    }
    staged.commit()?;
    let name: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let key = format!("{SPOOL}/{name}");
    // The object of another process that has read the same may be there, and may be gone at any moment: it is converted then.
    let meta = out.head(&incoming)?;
    out.rename(&incoming, &key)?;
    let root = meta.url.strip_suffix(&*incoming).unwrap_or(&meta.url);
    Ok(SourceObject::new(format!("{root}{key}"), &format!("stdin-{name}"), meta.bytes, ""))
}

/// The spool key of an object that came from standard input into the table whose root is `root_url`, which ends in a slash.
///
/// An object of another place may have any key: only what lies in the spool, and is called as what is put there, is ours.
pub fn spool_key(object: &SourceObject, root_url: &str) -> Option<String> {
    let name = object.key().strip_prefix("stdin-")?;
    let key = object.url().strip_prefix(root_url)?;
    (spooled_name(key) == Some(name)).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_a_table() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("there");
        LocalStore::new(root.join("lake/logs"), "s").create().expect("writable");
        std::os::unix::fs::symlink(root.join("lake/logs"), root.join("link")).expect("a link");
        let lake = format!("file://{}/lake", root.display());
        let check = |source: &str, out: &str, within: bool| {
            let source =
                Location::parse(&source.replace("{}", &root.display().to_string())).expect("a place");
            assert_eq!(lies_within(&source, out), within, "{source} {out}");
        };
        for (source, within) in [
            ("{}/lake/logs", true),
            ("{}/lake/not/there/yet", true),
            ("{}/link", true),
            ("{}/lake", false),
            ("{}/lakes", false),
            ("{}", false),
            ("s3://logs/lake/logs", false),
        ] {
            check(source, &lake, within);
        }
        for (source, out, within) in [
            ("s3://logs/AWSLogs/", "s3://logs/", true),
            ("s3://logs/AWSLogs/", "s3://logs", true),
            ("s3://logs/lake/AWSLogs", "s3://logs/lake", true),
            ("s3://logs/lakes", "s3://logs/lake", false),
            ("s3://logs/lake/", "s3://logs/lake", false),
            ("s3://logs/", "s3://logs/", false),
            ("s3://logs/AWSLogs/", "s3://lake/", false),
        ] {
            check(source, out, within);
        }
    }

    #[test]
    fn one_place_in_many_spellings() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("there");
        LocalStore::new(root.join("lake"), "s").create().expect("writable");
        std::os::unix::fs::symlink(root.join("lake"), root.join("link")).expect("a link");
        let out = format!("file://{}/lake", root.display());
        let check = |source: &str, out: &str, same: bool| {
            let source = source.replace("{}", &root.display().to_string());
            assert_eq!(same_place(&Location::parse(&source).expect("a place"), out), same, "{source} {out}");
        };
        for same in [
            "{}/lake",
            "{}/lake/",
            "{}//lake/.",
            "{}/link",
            "{}/lake/no/..",
            "{}/link/../lake",
            "file://{}/lake",
        ] {
            check(same, &out, true);
            check(same, &format!("{out}/"), true);
        }
        for other in ["{}", "{}/lake/date=2024-01-01", "{}/lakes", "{}/no", "s3://lake", "."] {
            check(other, &out, false);
        }
        // A table that is not there yet.
        check("{}/new/x/../", &format!("file://{}/new", root.display()), true);
        let here = std::env::current_dir().expect("a folder");
        check("no-such-folder", &format!("file://{}/./no-such-folder/", here.display()), true);
        for same in ["s3://logs/lake", "s3://logs/lake/", "s3://logs//lake"] {
            check(same, "s3://logs/lake/", true);
            check(same, "s3://logs/lake", true);
        }
        check("s3://logs", "s3://logs/", true);
        check("s3://logs/", "s3://logs", true);
        for other in ["s3://logs", "s3://logs/lake/x", "s3://logs/lak", "s3://other/lake", "logs/lake"] {
            check(other, "s3://logs/lake/", false);
        }
    }
}
