//! Objects by key: list, get, put, put-if-absent, delete.
//!
//! This crate knows nothing of logs, tables or Parquet. A [`Store`] gives exact promises, and [`conformance`] holds every
//! implementation to them:
//!
//! - an object is seen whole or not at all, at any moment and after any crash;
//! - of several puts-if-absent of one key exactly one succeeds, and the others are told so;
//! - what was put is on the disk, or in the bucket, when the call returns.
//!
//! [`Memory`] keeps the first two, and is for tests, as is [`Failing`].
//!
//! ```
//! use flowquet_store::{ErrorKind, Memory, Store};
//!
//! let store = Memory::new("s3://lake");
//! store.put_if_absent("plans/1.json", b"mine").expect("nobody was first");
//! let lost = store.put_if_absent("plans/1.json", b"theirs").expect_err("somebody was");
//! assert_eq!(lost.kind(), ErrorKind::AlreadyExists);
//! assert_eq!(&store.get("plans/1.json").expect("it is there")[..], b"mine");
//! ```

#![expect(clippy::disallowed_methods, reason = "this is the one crate that touches files")]

mod archive;
mod below;
pub mod conformance;
mod error;
mod failing;
mod handles;
mod level;
mod local;
mod location;
mod memory;
mod names;
mod probe;
mod ranged;
mod s3;
mod staging;
mod stores;

use std::borrow::Cow;
use std::io::{Read, Write};
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use bytes::Bytes;

pub use archive::{ArchiveTier, Archived, Asked, Restoration, RestoreRequest, Retrieval, StorageClass};
pub use error::{Error, ErrorKind, Permission};
pub use failing::{Failing, Fault, Then, When};
pub use local::LocalStore;
pub use location::{FILE_SCHEME, Location, S3_SCHEME};
pub use memory::Memory;
pub use names::random_name;
pub use probe::{ProbeStep, Probed, free_bytes, probe, probe_folder};
pub use ranged::{RANGE_BYTES, RangedReader};
pub use s3::{S3Options, Traffic};
pub use stores::Stores;

/// Bytes of a part of an upload to S3. An object being written holds less than this in memory.
pub const PART_BYTES: usize = 8 << 20;

/// Parts of uploads to S3 that are in memory at once.
pub const PART_SLOTS: usize = 4;

/// Objects of one listing that are held in memory, some 200 bytes each: those of a table's own folders, all of which a run looks at.
/// Sources are listed in portions and have no such limit.
pub const LISTED_MAX: usize = 4 << 20;

/// Sealed objects smaller than a part wait in memory for their commit, up to this many bytes of them in a bucket: one request
/// instead of three.
pub const HELD_BYTES_MAX: usize = 16 << 20;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Key below the store's root, parts separated by `/`.
    pub key: String,
    /// The object's one name: two keys that lead to the same object (links) have the same URL.
    pub url: String,
    /// Size.
    pub bytes: u64,
    /// Changes when the object's content does, as far as the store can tell.
    pub etag: String,
    /// Whether it can be read as it is, as far as a listing tells.
    pub class: StorageClass,
}

/// An object being written; nobody sees it before [`Staged::commit`]. Dropped, it leaves nothing behind.
pub trait Staged: Write + Send {
    /// Lets go of what it takes to write more, so that many objects can wait for their [`Staged::commit`].
    ///
    /// # Errors
    /// [`Error`] with the key.
    fn seal(&mut self) -> Result<(), Error>;

    /// Makes the object durable and visible under its key, replacing what was there.
    ///
    /// # Errors
    /// [`Error`] with the key; the object is then not visible.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// One level of a listing.
#[derive(Debug, Default)]
pub struct Folder {
    /// Objects that stand in it.
    pub objects: Vec<ObjectMeta>,
    /// Prefixes of what lies deeper, each ending in a slash.
    pub folders: Vec<String>,
}

/// What a walk meets.
#[derive(Debug)]
pub enum Entry {
    /// The prefix of what lies deeper, ending in a slash.
    Folder(String),
    /// An object.
    Object(ObjectMeta),
    /// Something that cannot be an object, and why: its name is not UTF-8, or the system does not show it.
    Unlistable(Error),
}

impl Entry {
    /// Key or prefix; of what has none, the URL.
    fn key(&self) -> &str {
        match self {
            Self::Folder(prefix) => prefix,
            Self::Object(object) => &object.key,
            Self::Unlistable(error) => error.url(),
        }
    }
}

/// Objects and folders of a level, each sorted, as one sequence.
fn in_order(level: Folder) -> Vec<Entry> {
    let objects = level.objects.into_iter().map(Entry::Object);
    let mut entries: Vec<Entry> = objects.chain(level.folders.into_iter().map(Entry::Folder)).collect();
    entries.sort_by(|a, b| a.key().cmp(b.key()));
    entries
}

/// Bytes on their way. Dropped, it is given up.
pub trait Fetch: Send {
    /// Waits until they are here or `stop` says to stop.
    ///
    /// # Errors
    /// As [`Store::get`]; [`ErrorKind::Changed`] where the object has another etag; [`ErrorKind::Interrupted`] if stopped.
    fn wait(self: Box<Self>, stop: &dyn Fn() -> bool) -> Result<Bytes, Error>;
}

/// Objects by key.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Makes the root where a root has to be made, and checks that it can be written to.
    ///
    /// # Errors
    /// As the store reports.
    fn create(&self) -> Result<(), Error>;

    /// Whether [`Store::put_if_absent`] keeps its promise: some stores that speak S3's protocol ignore conditions. To be asked
    /// seldom, since it may write and delete an object.
    ///
    /// # Errors
    /// As the store reports.
    fn honours_conditions(&self) -> Result<bool, Error> {
        Ok(true)
    }

    /// Calls `each` with all objects whose key is `prefix` or lies below it (`prefix` + `/`); with the empty prefix all. In
    /// no particular order. A prefix that ends in a slash is only looked below, which may save a request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is neither such an object nor such a folder.
    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error>;

    /// Calls `each` with the objects below `prefix` whose keys are greater than `after`, byte by byte, in the order of their
    /// keys. The empty `after` is before all keys. Where there is no such prefix, there are no such objects.
    ///
    /// For keys that are numbered: S3 is asked only for those after the last one that is known.
    ///
    /// # Errors
    /// As the store reports; never that there is nothing.
    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let below = below_prefix(prefix);
        let mut found = Vec::new();
        let listed = self.list_each(&below, &mut |object| {
            if object.key.as_str() > after && object.key.starts_with(&*below) {
                found.push(object);
            }
        });
        match listed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.into_iter().for_each(each);
        Ok(())
    }

    /// What stands directly below `prefix`, which is empty or ends in a slash; `None` if it has more than `folders_max`
    /// folders.
    ///
    /// # Errors
    /// As the store reports.
    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error>;

    /// Calls `each` with what lies below `prefix`, which is empty or ends in a slash, until it breaks; in the byte order of keys
    /// where the store lists in order, as all but S3's directory buckets do. Keys below `from` are skipped. With `one_level`,
    /// what lies deeper comes as folders. A store that knows no folders finds nothing below a prefix that is not there.
    ///
    /// This one gathers the level or the prefix; stores that list in order hand it on while they list.
    ///
    /// # Errors
    /// As the store reports.
    fn walk(
        &self,
        prefix: &str,
        from: &str,
        one_level: bool,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let found = if one_level {
            self.folder(prefix, usize::MAX)?.unwrap_or_default()
        } else {
            let objects = match self.list(prefix) {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                listed => listed?,
            };
            Folder { objects, folders: Vec::new() }
        };
        for entry in in_order(found) {
            if entry.key() >= from && each(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What a listing says of one object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and others.
    fn head(&self, key: &str) -> Result<ObjectMeta, Error>;

    /// Whether an object lies in an archive, and whether it is restored from it; `None` for one that can be read as any other. Stores
    /// without archives have no others.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn archived(&self, key: &str) -> Result<Option<Archived>, Error> {
        self.head(key).map(|_| None)
    }

    /// Asks that an archived object be restored, which takes minutes to days and costs money. One that is restored already is kept longer, at
    /// further cost: ask [`Store::archived`] first.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] where the object lies in no archive, or S3 does not restore it so; [`ErrorKind::Denied`] and others.
    fn restore(&self, key: &str, request: &RestoreRequest) -> Result<Asked, Error> {
        let _ = request;
        Err(Error::no_archive(self.url(key)))
    }

    /// Starts to read the bytes `range` of an object, or all of it if `whole`, which must have `etag` unless that is empty.
    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch>;

    /// Puts an object under another key too, replacing what was there, without its bytes passing through here.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and others; what was there is then not changed.
    fn copy(&self, from: &str, to: &str) -> Result<(), Error>;

    /// Keys below the prefix, which ends in a slash, of objects that nobody has written for so long, by the store's own
    /// clock; none where there is no such folder, or the store has no clock.
    ///
    /// For what killed processes left: whoever may still be at work on an object has written it lately.
    ///
    /// # Errors
    /// As the store reports.
    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        let _ = (prefix, least);
        Ok(Vec::new())
    }

    /// Gives an object another key, replacing what was there. Not atomic everywhere: both may be seen.
    ///
    /// # Errors
    /// As the store reports.
    fn rename(&self, from: &str, to: &str) -> Result<(), Error>;

    /// What [`Store::list_each`] finds, sorted by key.
    ///
    /// # Errors
    /// As there.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let mut found = Vec::new();
        self.list_each(prefix, &mut |object| found.push(object))?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and others.
    fn get(&self, key: &str) -> Result<Vec<u8>, Error>;

    /// The object's bytes, to be read a part at a time.
    ///
    /// # Errors
    /// As [`Store::get`]; errors while reading come from the reader.
    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error>;

    /// Puts an object, replacing what was there.
    ///
    /// # Errors
    /// The object is then not changed.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut staged = self.stage(key)?;
        staged.write_all(bytes).map_err(|e| Error::write(self.url(key), e))?;
        staged.commit()
    }

    /// Puts an object unless there is one.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where there is one.
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error>;

    /// Begins to write an object of unknown size.
    ///
    /// # Errors
    /// If there is no place for it.
    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error>;

    /// Removes an object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none, if the store tells.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// The object's name for people and records: `file:///…`, `s3://…`.
    fn url(&self, key: &str) -> String;
}

/// What the keys below `prefix` begin with.
fn below_prefix(prefix: &str) -> Cow<'_, str> {
    if prefix.is_empty() || prefix.ends_with('/') { prefix.into() } else { format!("{prefix}/").into() }
}
