//! Manifests: a listing that somebody made already. An S3 Inventory, or a text file with a URL or path a line.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_store::{
    Entry, Error as StoreError, ErrorKind, Location, ObjectMeta, S3_SCHEME, StorageClass, Store,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::error::Error;
use crate::source::SourceSet;

/// Objects whose size is asked for at once.
const ASKERS: usize = 32;

/// Lines of a text manifest that are asked for together.
const CHUNK: usize = 4_096;

/// Takes the objects of a manifest, and names in it that cannot be objects.
type Take<'a> = &'a mut dyn FnMut(Entry) -> Result<(), Error>;

/// `manifest.json` of an S3 Inventory. Source: docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inventory {
    source_bucket: String,
    destination_bucket: String,
    file_format: String,
    file_schema: String,
    files: Vec<InventoryFile>,
}

#[derive(Debug, Deserialize)]
struct InventoryFile {
    key: String,
}

/// Reads the manifest at `location`.
pub(crate) fn read(
    sources: &SourceSet,
    location: &Location,
    stop: &AtomicBool,
    take: Take<'_>,
) -> Result<(), Error> {
    let wrong = |what: String| Error::Manifest { manifest: location.to_string(), what };
    let bytes = sources.stores().get(location)?;
    let bytes = unmarked(&bytes).ok_or_else(|| wrong("expected UTF-8 or UTF-16".to_owned()))?;
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        let inventory: Inventory = serde_json::from_slice(&bytes)
            .map_err(|e| wrong(format!("expected the manifest.json of an S3 Inventory: {e}")))?;
        return read_inventory(sources, location, &inventory, take);
    }
    let mut places = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            take(Entry::Unlistable(StoreError::invalid_key(Path::new(&OsStr::from_bytes(line)))))?;
            continue;
        };
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        places.push(Location::parse(text).map_err(|e| wrong(format!("line {}: {e}", i + 1)))?);
        if places.len() == CHUNK {
            ask(sources, &std::mem::take(&mut places), stop, take)?;
        }
    }
    ask(sources, &places, stop, take)
}

/// A manifest without the mark of its encoding that Notepad and PowerShell put first, as UTF-8; paths may be of any bytes where there
/// is none. `None` for what is marked as UTF-16 and is not.
fn unmarked(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(text) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return Some(Cow::Borrowed(text));
    }
    let (units, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, units @ ..] => (units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => (units, u16::from_be_bytes),
        _ => return Some(Cow::Borrowed(bytes)),
    };
    let (pairs, []) = units.as_chunks() else { return None };
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<u16>>()).ok()?;
    Some(Cow::Owned(text.into_bytes()))
}

/// Sizes and etags of objects that are only named.
fn ask(sources: &SourceSet, places: &[Location], stop: &AtomicBool, take: Take<'_>) -> Result<(), Error> {
    let found: Mutex<Vec<(usize, Result<ObjectMeta, Error>)>> = Mutex::default();
    let each = places.len().div_ceil(ASKERS).max(1);
    std::thread::scope(|scope| {
        for (n, chunk) in places.chunks(each).enumerate() {
            let found = &found;
            scope.spawn(move || {
                for (i, place) in chunk.iter().enumerate() {
                    let meta = if stop.load(Ordering::Relaxed) {
                        Err(Error::Interrupted)
                    } else {
                        head(sources, place)
                    };
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((n * each + i, meta));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(i, _)| *i);
    let any_is_there = found.iter().any(|(_, meta)| meta.is_ok());
    // A pipe costs nobody else, nor does what is gone; where nothing is there it may be a slip in all lines.
    let is_alone = |kind| match kind {
        ErrorKind::InvalidKey | ErrorKind::NotAFile => true,
        ErrorKind::NotFound => any_is_there,
        _ => false,
    };
    found.into_iter().try_for_each(|(_, meta)| match meta {
        Ok(meta) => take(Entry::Object(meta)),
        Err(Error::Store(error)) if is_alone(error.kind()) => take(Entry::Unlistable(error)),
        Err(error) => Err(error),
    })
}

fn head(sources: &SourceSet, place: &Location) -> Result<ObjectMeta, Error> {
    Ok(match place {
        Location::Local(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let key = path.to_str().ok_or_else(|| flowquet_store::Error::invalid_key(&path))?;
            flowquet_store::LocalStore::new("/", "").head(key.trim_start_matches('/'))?
        }
        Location::S3 { bucket, prefix } => sources.stores().bucket(bucket).head(prefix)?,
    })
}

fn read_inventory(
    sources: &SourceSet,
    location: &Location,
    inventory: &Inventory,
    take: Take<'_>,
) -> Result<(), Error> {
    let wrong = |what: String| Error::Manifest { manifest: location.to_string(), what };
    if inventory.file_format != "CSV" {
        return Err(wrong(format!("expected an inventory in CSV, found {}", inventory.file_format)));
    }
    let columns: Vec<&str> = inventory.file_schema.split(',').map(str::trim).collect();
    let column = |name: &str| columns.iter().position(|c| c.eq_ignore_ascii_case(name));
    let (Some(bucket), Some(key), Some(size)) = (column("Bucket"), column("Key"), column("Size")) else {
        return Err(wrong(format!(
            "expected the columns Bucket, Key and Size in the inventory, found {}",
            inventory.file_schema
        )));
    };
    // A versioned bucket's inventory may tell what is not current; only what is can be read by its key.
    let (etag, latest, deleted) = (column("ETag"), column("IsLatest"), column("IsDeleteMarker"));
    for file in &inventory.files {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(flate2::read::MultiGzDecoder::new(open(sources, location, inventory, &file.key)?));
        for row in rows.records() {
            let row = row.map_err(|e| wrong(format!("{}: {e}", file.key)))?;
            let is = |at: Option<usize>, word| at.and_then(|i| row.get(i)).is_some_and(|v| v == word);
            if is(latest, "false") || is(deleted, "true") {
                continue;
            }
            let text = |i: usize| row.get(i).unwrap_or_default();
            let bytes = text(size);
            // A key that ends in a slash is a folder made in a console.
            let key = decoded(text(key));
            if key.ends_with('/') {
                continue;
            }
            take(Entry::Object(ObjectMeta {
                url: format!("{S3_SCHEME}{}/{key}", text(bucket)),
                key,
                bytes: bytes.parse().map_err(|_| wrong(format!("expected a size, found `{bytes}`")))?,
                etag: etag.map(|i| text(i).trim_matches('"').to_owned()).unwrap_or_default(),
                class: StorageClass::Open,
            }))?;
        }
    }
    if inventory.files.is_empty() {
        return Err(wrong(format!(
            "expected files of the inventory of `{}`, found none",
            inventory.source_bucket
        )));
    }
    Ok(())
}

/// A file of the inventory: in its bucket, or beside a manifest that was copied to a disk.
fn open(
    sources: &SourceSet,
    location: &Location,
    inventory: &Inventory,
    key: &str,
) -> Result<Box<dyn Read + Send>, Error> {
    match location {
        Location::S3 { .. } => {
            let bucket = inventory.destination_bucket.rsplit(':').next().unwrap_or_default();
            Ok(sources.stores().bucket(bucket).read(key)?)
        }
        Location::Local(path) => {
            let folder = path.parent().unwrap_or(std::path::Path::new(""));
            let name = key.rsplit('/').next().unwrap_or(key);
            let store = flowquet_store::LocalStore::new(folder, "");
            Ok(store
                .read(key)
                .or_else(|_| store.read(&format!("data/{name}")))
                .or_else(|_| store.read(name))?)
        }
    }
}

/// Keys in an inventory are URL-encoded, a space as `+`.
fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn keys_of_an_inventory() {
        assert_eq!(decoded("a/b%3Dc+d%2F%C3%A9"), "a/b=c d/é");
        assert_eq!(decoded("100%"), "100%");
    }
}
