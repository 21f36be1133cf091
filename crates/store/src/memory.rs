//! Objects in memory, for tests: of an engine's steps without a disk or a server, and of what a crash leaves.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};

use crate::error::{Error, ErrorKind};
use crate::{Fetch, Folder, ObjectMeta, Staged, StorageClass, Store, below_prefix};

/// Objects in memory. Clones share them.
///
/// Its promises are those of a bucket: folders exist only in keys, and the etag is a digest of the content. Unlike a bucket
/// it renames atomically.
#[derive(Debug, Clone)]
pub struct Memory {
    root: Arc<str>,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
}

impl Object {
    fn new(bytes: Bytes) -> Self {
        Self { etag: format!("{:08x}-{}", crc32fast::hash(&bytes), bytes.len()), bytes }
    }
}

impl Memory {
    /// An empty store whose root is called `url`, such as `s3://lake` or `file:///table`.
    pub fn new(url: &str) -> Self {
        Self { root: url.strip_suffix('/').unwrap_or(url).into(), objects: Arc::default() }
    }

    /// All objects as they are now. They share their bytes with the store.
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.lock().iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    /// Replaces all objects by those of `snapshot`.
    pub fn restore(&self, snapshot: BTreeMap<String, Bytes>) {
        *self.lock() = snapshot.into_iter().map(|(key, bytes)| (key, Object::new(bytes))).collect();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, action: &'static str, key: &str) -> Result<Object, Error> {
        let found = self.lock().get(key).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, action, self.url(key)))
    }

    fn meta(&self, key: &str, object: &Object) -> ObjectMeta {
        ObjectMeta {
            key: key.to_owned(),
            url: self.url(key),
            bytes: object.bytes.len() as u64,
            etag: object.etag.clone(),
            class: StorageClass::Open,
        }
    }

    /// The objects whose keys begin with `prefix` and are greater than `after`, in key order. The lock is let go of, so that a
    /// caller may use the store.
    fn beginning_with(&self, prefix: &str, after: &str) -> Vec<ObjectMeta> {
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let objects = self.lock();
        let from = objects.range::<str, _>((from, Bound::Unbounded));
        let wanted = from.take_while(|(key, _)| key.starts_with(prefix));
        wanted.map(|(key, object)| self.meta(key, object)).collect()
    }

    fn range(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Result<Bytes, Error> {
        let object = self.object("read", key)?;
        if !etag.is_empty() && object.etag != etag {
            return Err(Error::new(ErrorKind::Changed, "read", self.url(key)));
        }
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(object.bytes.len());
        Ok(if whole { object.bytes } else { object.bytes.slice(within(range.start)..within(range.end)) })
    }
}

impl Store for Memory {
    fn create(&self) -> Result<(), Error> {
        Ok(())
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let mut found = self.beginning_with(&below_prefix(prefix), "");
        if !prefix.ends_with('/') {
            found.extend(self.head(prefix));
        }
        if found.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "list", self.url(prefix)));
        }
        found.into_iter().for_each(each);
        Ok(())
    }

    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.beginning_with(&below_prefix(prefix), after).into_iter().for_each(each);
        Ok(())
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        let mut folder = Folder::default();
        for object in self.beginning_with(prefix, "") {
            match object.key[prefix.len()..].find('/') {
                None => folder.objects.push(object),
                Some(end) => {
                    let deeper = &object.key[..=prefix.len() + end];
                    if folder.folders.last().is_none_or(|last| last != deeper) {
                        folder.folders.push(deeper.to_owned());
                    }
                }
            }
        }
        Ok((folder.folders.len() <= folders_max).then_some(folder))
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.object("read", key).map(|object| self.meta(key, &object))
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        Box::new(Fetched(self.range(key, etag, range, whole)))
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let object = self.object("copy", from)?;
        self.lock().insert(to.to_owned(), object);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut objects = self.lock();
        let moved = objects.remove(from);
        let object = moved.ok_or_else(|| Error::new(ErrorKind::NotFound, "rename", self.url(from)))?;
        objects.insert(to.to_owned(), object);
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        self.object("read", key).map(|object| object.bytes.into())
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(self.object("read", key)?.bytes.reader()))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let object = Object::new(Bytes::copy_from_slice(bytes));
        let mut objects = self.lock();
        if objects.contains_key(key) {
            return Err(Error::exists(self.url(key)));
        }
        objects.insert(key.to_owned(), object);
        Ok(())
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        Ok(Box::new(StagedBytes {
            store: self.clone(),
            key: key.to_owned(),
            bytes: Vec::new(),
            is_sealed: false,
        }))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let removed = self.lock().remove(key);
        removed.map(drop).ok_or_else(|| Error::new(ErrorKind::NotFound, "delete", self.url(key)))
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.root)
    }
}

/// What was there when it was asked for.
struct Fetched(Result<Bytes, Error>);

impl Fetch for Fetched {
    fn wait(self: Box<Self>, _stop: &dyn Fn() -> bool) -> Result<Bytes, Error> {
        self.0
    }
}

struct StagedBytes {
    store: Memory,
    key: String,
    bytes: Vec<u8>,
    is_sealed: bool,
}

impl Write for StagedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_sealed {
            return Err(io::Error::other("written to after it was sealed"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for StagedBytes {
    fn seal(&mut self) -> Result<(), Error> {
        self.is_sealed = true;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let object = Object::new(self.bytes.into());
        self.store.lock().insert(self.key, object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn conforms() {
        for url in ["s3://lake/", "file:///table"] {
            conformance::check(&(Arc::new(Memory::new(url)) as Arc<dyn Store>));
        }
    }

    #[test]
    fn clones_share_objects_and_a_snapshot_does_not() {
        let store = Memory::new("s3://lake");
        store.clone().put("a", b"1").expect("put");
        let snapshot = store.snapshot();
        let etag = store.head("a").expect("there").etag;
        store.put("a", b"2").expect("put");
        store.put("b", b"3").expect("put");
        assert_ne!(store.head("a").expect("there").etag, etag);
        assert_eq!(snapshot, BTreeMap::from([("a".to_owned(), Bytes::from_static(b"1"))]));
        store.restore(snapshot.clone());
        assert_eq!(store.snapshot(), snapshot);
        assert_eq!(store.head("a").expect("there").etag, etag, "the content is the same again");
    }

    #[test]
    fn urls() {
        assert_eq!(Memory::new("s3://lake/").url("a/b"), "s3://lake/a/b");
        assert_eq!(Memory::new("file:///").url("a/b"), "file:///a/b");
        let missing = Memory::new("s3://lake").delete("a").expect_err("nothing there");
        assert_eq!(missing.to_string(), "delete `s3://lake/a`: no such object or prefix");
    }
}
