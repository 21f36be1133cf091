//! Objects in S3, and in stores that speak its protocol.
//!
//! tokio waits in here, on threads of its own: [`crate::Store`] is synchronous, and what it starts early ([`crate::Store::fetch`],
//! parts of uploads) goes on while the caller computes.

mod bucket;
mod connect;
mod failure;
mod lifecycle;
mod pace;
mod traffic;
mod upload;
mod waiting;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

pub(crate) use bucket::{Bucket, From};
pub(crate) use connect::Connection;
pub use connect::S3Options;
pub use traffic::Traffic;
pub(crate) use waiting::Waiting;

use crate::error::{Error, ErrorKind};
use crate::names::random_name;
use crate::ranged::RangedReader;
use crate::s3::upload::S3Upload;
use crate::{
    Archived, Asked, Entry, Fetch, Folder, LISTED_MAX, ObjectMeta, RestoreRequest, Staged, Store,
    below_prefix, in_order,
};

/// Pages without keys that are read one after the other: stores that have deleted much give some.
const EMPTY_PAGES_MAX: u32 = 1_000;

/// How often a thread that waits for a fetch looks whether it is asked to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// Objects below a prefix of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct S3Store {
    bucket: Arc<Bucket>,
    /// Empty, or ends in a slash.
    prefix: String,
    /// Prefix of objects that the store puts for itself and deletes again.
    staging: String,
}

impl S3Store {
    pub(crate) fn new(bucket: Arc<Bucket>, prefix: &str, staging: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self { bucket, prefix: format!("{prefix}{slash}"), staging: staging.to_owned() }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn below(&self, mut object: ObjectMeta) -> ObjectMeta {
        object.key.drain(..self.prefix.len());
        object
    }

    fn wait<T>(
        &self,
        action: &'static str,
        key: &str,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.bucket.wait(action, key, future)
    }
}

impl Store for S3Store {
    fn create(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Puts an object under a name of its own twice, the second time only if it is absent.
    fn honours_conditions(&self) -> Result<bool, Error> {
        let slash = if self.staging.is_empty() { "" } else { "/" };
        let key = self.full(&format!("{}{slash}probe-{}", self.staging, random_name()));
        self.wait("write", &key, async {
            self.bucket.put(&key, Bytes::from_static(b"probe")).await?;
            let again = self.bucket.put_if_absent(&key, Bytes::from_static(b"probe again")).await;
            // A policy may allow to write and not to delete; then the probe stays, which does no harm.
            let _ = self.bucket.delete(&key).await;
            match again {
                Ok(()) => Ok(false),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(true),
                // A store that does not know conditions may also refuse them.
                Err(error) if error.kind() == ErrorKind::Other => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let full = self.full(prefix);
        let folder = below_prefix(&full);
        let mut found = false;
        if folder != full {
            // The first of the keys that begin so is the object itself, if there is one.
            let first = self.wait("list", &full, self.bucket.page(&full, false, Some(1), From::Start))?;
            for object in first.objects.into_iter().filter(|o| o.key == full) {
                found = true;
                each(self.below(object));
            }
        }
        let mut from = From::Start;
        let mut turns = Turns::default();
        loop {
            let page = self.wait("list", &folder, self.bucket.page(&folder, false, None, from))?;
            turns.hold(page.objects.len(), || self.bucket.url(&folder))?;
            for object in page.objects {
                found = true;
                each(self.below(object));
            }
            let Some(next) = turns.next(page.next, page.is_empty, || self.bucket.url(&folder))? else {
                break;
            };
            from = next;
        }
        if found { Ok(()) } else { Err(Error::new(ErrorKind::NotFound, "list", self.bucket.url(&full))) }
    }

    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let folder = self.full(&below_prefix(prefix));
        let after = if after.is_empty() { String::new() } else { self.full(after) };
        let mut from = if after.is_empty() { From::Start } else { From::After(after.clone()) };
        let mut turns = Turns::default();
        loop {
            let page = self.wait("list", &folder, self.bucket.page(&folder, false, None, from))?;
            turns.hold(page.objects.len(), || self.bucket.url(&folder))?;
            // Some stores that speak the protocol do not know where to start.
            let wanted = page.objects.into_iter().filter(|o| o.key > after);
            wanted.for_each(|object| each(self.below(object)));
            let Some(next) = turns.next(page.next, page.is_empty, || self.bucket.url(&folder))? else {
                return Ok(());
            };
            from = next;
        }
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        let mut folder = Folder::default();
        let full = self.full(prefix);
        let mut from = From::Start;
        let mut turns = Turns::default();
        loop {
            let page = self.wait("list", &full, self.bucket.page(&full, true, None, from))?;
            turns.hold(page.objects.len() + page.folders.len(), || self.bucket.url(&full))?;
            folder.objects.extend(page.objects.into_iter().map(|o| self.below(o)));
            folder.folders.extend(page.folders.into_iter().map(|f| f[self.prefix.len()..].to_owned()));
            if folder.folders.len() > folders_max {
                return Ok(None);
            }
            let Some(next) = turns.next(page.next, page.is_empty, || self.bucket.url(&full))? else {
                return Ok(Some(folder));
            };
            from = next;
        }
    }

    fn walk(
        &self,
        prefix: &str,
        from: &str,
        one_level: bool,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let full = self.full(prefix);
        // S3 begins behind a key: behind the longest one that begins like `from`, which lists one key too many at most where
        // nothing stands between.
        let mut start = self.full(from);
        start.pop();
        let mut next = if from.is_empty() { From::Start } else { From::After(start) };
        let mut turns = Turns::default();
        loop {
            let page = self.wait("list", &full, self.bucket.page(&full, one_level, None, next))?;
            let level = Folder {
                objects: page.objects.into_iter().map(|o| self.below(o)).collect(),
                folders: page.folders.into_iter().map(|f| f[self.prefix.len()..].to_owned()).collect(),
            };
            for entry in in_order(level) {
                if entry.key() >= from && each(entry).is_break() {
                    return Ok(());
                }
            }
            let Some(then) = turns.next(page.next, page.is_empty, || self.bucket.url(&full))? else {
                return Ok(());
            };
            next = then;
        }
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        let full = self.full(key);
        Ok(self.below(self.wait("read", &full, self.bucket.head(&full))?))
    }

    fn archived(&self, key: &str) -> Result<Option<Archived>, Error> {
        let full = self.full(key);
        self.wait("read", &full, self.bucket.archived(&full))
    }

    fn restore(&self, key: &str, request: &RestoreRequest) -> Result<Asked, Error> {
        let full = self.full(key);
        self.wait("restore", &full, self.bucket.restore(&full, request))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        let full = self.full(key);
        Ok(self.wait("read", &full, self.bucket.get(&full, "", None, None))?.into())
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        let object = self.head(key)?;
        Ok(Box::new(RangedReader::new(Arc::new(self.clone()), &object)))
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        let (answer, fetched) = sync_channel(1);
        let (bucket, key, etag) = (self.bucket.clone(), self.full(key), etag.to_owned());
        let url = bucket.url(&key);
        let task = self.bucket.runtime.spawn(async move {
            let bytes = range.end - range.start;
            // Of a whole object that was listed the size is known; of a record it is not.
            let expected = (bytes > 0 || !etag.is_empty()).then_some(bytes);
            let range = (!whole && bytes > 0).then_some(range);
            // Nobody may be waiting any more.
            let _ = answer.send(bucket.get(&key, &etag, range, expected).await);
        });
        Box::new(S3Fetch { bucket: self.bucket.clone(), fetched, url, task })
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let full = self.full(key);
        self.wait("write", &full, self.bucket.put(&full, Bytes::copy_from_slice(bytes)))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let full = self.full(key);
        self.wait("create", &full, self.bucket.put_if_absent(&full, Bytes::copy_from_slice(bytes)))
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        Ok(Box::new(S3Upload::new(self.bucket.clone(), self.full(key))))
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (self.full(from), self.full(to));
        self.wait("write", &to, self.bucket.copy(&from, &to))
    }

    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        let full = self.full(prefix);
        // The clocks of both sides may differ by minutes, which is little against what is asked for.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let before = i64::try_from(now.saturating_sub(least.as_secs())).unwrap_or_default();
        let (mut idle, mut from) = (Vec::new(), From::Start);
        let mut turns = Turns::default();
        loop {
            let page = self.wait("list", &full, self.bucket.page(&full, false, None, from))?;
            turns.hold(page.objects.len(), || self.bucket.url(&full))?;
            let old = page.objects.into_iter().zip(page.written_s).filter(|(_, written)| *written <= before);
            idle.extend(old.map(|(object, _)| self.below(object).key));
            let Some(next) = turns.next(page.next, page.is_empty, || self.bucket.url(&full))? else {
                return Ok(idle);
            };
            from = next;
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (self.full(from), self.full(to));
        self.wait("write", &to, async {
            self.bucket.copy(&from, &to).await?;
            self.bucket.delete(&from).await
        })
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let full = self.full(key);
        self.wait("delete", &full, self.bucket.delete(&full))
    }

    fn url(&self, key: &str) -> String {
        self.bucket.url(&self.full(key))
    }
}

/// The pages of a listing so far: it must go on.
#[derive(Debug, Default)]
struct Turns {
    /// Hashes of tokens.
    tokens: HashSet<u64>,
    empty: u32,
    /// Objects and folders that the caller holds.
    held: usize,
}

impl Turns {
    /// The caller holds so many more.
    fn hold(&mut self, found: usize, url: impl FnOnce() -> String) -> Result<(), Error> {
        self.held += found;
        if self.held <= LISTED_MAX { Ok(()) } else { Err(Error::too_many(url())) }
    }

    /// Where the next page begins, after one that told `token`.
    fn next(
        &mut self,
        token: Option<String>,
        is_empty: bool,
        url: impl FnOnce() -> String,
    ) -> Result<Option<From>, Error> {
        let Some(token) = token else { return Ok(None) };
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        let mut hash = DefaultHasher::new();
        token.hash(&mut hash);
        let detail = if !self.tokens.insert(hash.finish()) {
            "expected a listing that continues, found a page that was listed before"
        } else if self.empty > EMPTY_PAGES_MAX {
            "expected a listing that continues, found page after page without keys"
        } else {
            return Ok(Some(From::Token(token)));
        };
        Err(Error::told(ErrorKind::Unavailable, "list", url(), detail.to_owned()))
    }
}

/// A request under way.
struct S3Fetch {
    bucket: Arc<Bucket>,
    fetched: Receiver<Result<Bytes, Error>>,
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Fetch for S3Fetch {
    fn wait(self: Box<Self>, stop: &dyn Fn() -> bool) -> Result<Bytes, Error> {
        let ended = |kind| Err(Error::new(kind, "read", self.url.clone()));
        loop {
            match self.fetched.recv_timeout(STOP_CHECK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if !stop() && !self.bucket.is_stopping() => {}
                Err(RecvTimeoutError::Timeout) => return ended(ErrorKind::Interrupted),
                // Its task is gone without a word.
                Err(RecvTimeoutError::Disconnected) => return ended(ErrorKind::Unavailable),
            }
        }
    }
}

impl Drop for S3Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_is_held_has_a_limit() {
        let mut turns = Turns::default();
        let url = || "s3://lake/_flowquet/plans/".to_owned();
        for page in 0..LISTED_MAX / 1_000 {
            turns.hold(1_000, url).expect("there is room");
            turns.next(Some(page.to_string()), false, url).expect("it goes on");
        }
        let error = turns.hold(1_000, url).expect_err("there is none left");
        assert_eq!(error.kind(), ErrorKind::TooMany);
        let expected =
            "list `s3://lake/_flowquet/plans/`: too many objects: expected at most 4194304, found more";
        assert_eq!(error.to_string(), expected);
    }
}
