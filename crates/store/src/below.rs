//! The part of a store below a prefix, as a store of its own.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::{Archived, Asked, Fetch, Folder, ObjectMeta, RestoreRequest, Staged, Store};

/// The objects of a store below a prefix.
#[derive(Debug)]
pub(crate) struct Below {
    inner: Arc<dyn Store>,
    /// Ends in a slash.
    prefix: String,
}

impl Below {
    /// What lies below `prefix` in `inner`, which is all of it where the prefix is empty.
    pub(crate) fn at(inner: Arc<dyn Store>, prefix: &str) -> Arc<dyn Store> {
        match prefix.trim_matches('/') {
            "" => inner,
            prefix => Arc::new(Self { inner, prefix: format!("{prefix}/") }),
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn below(&self, mut object: ObjectMeta) -> ObjectMeta {
        object.key.drain(..self.prefix.len());
        object
    }
}

impl Store for Below {
    fn create(&self) -> Result<(), Error> {
        self.inner.create()
    }

    fn honours_conditions(&self) -> Result<bool, Error> {
        self.inner.honours_conditions()
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.inner.list_each(&self.full(prefix), &mut |object| each(self.below(object)))
    }

    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.inner.list_after(&self.full(prefix), &self.full(after), &mut |object| each(self.below(object)))
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        let found = self.inner.folder(&self.full(prefix), folders_max)?;
        Ok(found.map(|folder| Folder {
            objects: folder.objects.into_iter().map(|o| self.below(o)).collect(),
            folders: folder.folders.iter().map(|f| f[self.prefix.len()..].to_owned()).collect(),
        }))
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.inner.head(&self.full(key)).map(|object| self.below(object))
    }

    fn archived(&self, key: &str) -> Result<Option<Archived>, Error> {
        self.inner.archived(&self.full(key))
    }

    fn restore(&self, key: &str, request: &RestoreRequest) -> Result<Asked, Error> {
        self.inner.restore(&self.full(key), request)
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        self.inner.fetch(&self.full(key), etag, range, whole)
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        self.inner.copy(&self.full(from), &self.full(to))
    }

    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        let mut keys = self.inner.idle(&self.full(prefix), least)?;
        keys.iter_mut().for_each(|key| drop(key.drain(..self.prefix.len())));
        Ok(keys)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.inner.rename(&self.full(from), &self.full(to))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        self.inner.get(&self.full(key))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.inner.read(&self.full(key))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        self.inner.put(&self.full(key), bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        self.inner.put_if_absent(&self.full(key), bytes)
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        self.inner.stage(&self.full(key))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.inner.delete(&self.full(key))
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(&self.full(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, conformance};

    #[test]
    fn conforms() {
        let whole = Memory::new("s3://lake");
        conformance::check(&Below::at(Arc::new(whole.clone()), "/a/table/"));
        assert!(whole.snapshot().keys().all(|key| key.starts_with("a/table/")));
        assert_eq!(Below::at(Arc::new(whole), "table").url("x"), "s3://lake/table/x");
    }
}
