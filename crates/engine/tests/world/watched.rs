//! A store that does something else before it is asked for something: what another process may do at that moment.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowquet_store::{Error, Fetch, Folder, ObjectMeta, Staged, Store};

type Before = Box<dyn FnOnce() + Send>;

/// Passes on to another store.
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    /// What is done, each before the first operation that is not before one of this number.
    before: Mutex<VecDeque<(usize, Before)>>,
    operations: Mutex<usize>,
    /// Operations that count: those that put a record whose key has this in it; empty for all.
    record: &'static str,
}

impl Watched {
    /// Calls `before` at first.
    pub(crate) fn store(inner: Arc<dyn Store>, before: impl FnOnce() + Send + 'static) -> Arc<dyn Store> {
        Self::at(inner, "", vec![(0, Box::new(before))])
    }

    /// Calls `before` before a record is put whose key has `record` in it.
    pub(crate) fn before_record(
        inner: Arc<dyn Store>,
        record: &'static str,
        before: impl FnOnce() + Send + 'static,
    ) -> Arc<dyn Store> {
        Self::at(inner, record, vec![(0, Box::new(before))])
    }

    /// Calls `first` before the operation of one number and `second` before that of another.
    pub(crate) fn twice(inner: Arc<dyn Store>, first: (usize, Before), second: (usize, Before)) -> Arc<Self> {
        Arc::new(Self::new(inner, "", vec![first, second]))
    }

    fn at(inner: Arc<dyn Store>, record: &'static str, before: Vec<(usize, Before)>) -> Arc<dyn Store> {
        Arc::new(Self::new(inner, record, before))
    }

    fn new(inner: Arc<dyn Store>, record: &'static str, before: Vec<(usize, Before)>) -> Self {
        Self { inner, before: Mutex::new(before.into()), operations: Mutex::default(), record }
    }

    /// How much there is that was not done, since there were not as many operations.
    pub(crate) fn left(&self) -> usize {
        self.before.lock().expect("nobody panics").len()
    }

    fn inner(&self) -> &dyn Store {
        if self.record.is_empty() {
            self.call();
        }
        self.inner.as_ref()
    }

    fn call(&self) {
        let operation = {
            let mut operations = self.operations.lock().expect("nobody panics");
            *operations += 1;
            *operations - 1
        };
        loop {
            let next = {
                let mut before = self.before.lock().expect("nobody panics");
                before.pop_front_if(|(number, _)| *number <= operation)
            };
            let Some((_, before)) = next else { break };
            before();
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Store for Watched {
    fn create(&self) -> Result<(), Error> {
        self.inner().create()
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.inner().list_each(prefix, each)
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        self.inner().folder(prefix, folders_max)
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.inner().head(key)
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        self.inner().fetch(key, etag, range, whole)
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        self.inner().copy(from, to)
    }

    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        self.inner().idle(prefix, least)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.inner().rename(from, to)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        self.inner().get(key)
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.inner().read(key)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        if key.contains(self.record) {
            self.call();
        }
        self.inner.put_if_absent(key, bytes)
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        self.inner().stage(key)
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.inner().delete(key)
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }
}
