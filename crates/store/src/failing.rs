//! A store that fails at one operation, for tests of what a crash or a lost answer leaves.
//!
//! A test runs once undisturbed ([`Failing::counting`]), and then again with a fault at each operation from the first to
//! [`Failing::operations`].

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::{Fetch, Folder, ObjectMeta, Staged, Store};

/// Where and how a [`Failing`] store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The operation that fails, counted from 1 in order of arrival.
    pub at: u64,
    /// Whether it is performed.
    pub when: When,
    /// What becomes of the operations that come later.
    pub then: Then,
}

/// Whether the operation that fails is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is performed, and its answer is lost.
    After,
    /// It is not performed.
    Before,
}

/// What becomes of the operations after the one that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// They are performed.
    Alive,
    /// They fail and are not performed: the process is dead.
    Dead,
}

/// A store that passes on what it is asked to another one, and fails as a [`Fault`] says with [`ErrorKind::Unavailable`].
///
/// An operation is one call of a method that reaches the other store: all of [`Store`] but [`Store::stage`] and
/// [`Store::url`], and [`Staged::seal`] and [`Staged::commit`]. A read or fetch is one when it begins. Where the process is
/// dead, writing to staged objects and going on with reads fails too, uncounted.
///
/// A put-if-absent whose answer is lost fails here, though the object is there. The S3 store tries such a put again and finds
/// that the object is its own; a caller must bear both.
#[derive(Debug)]
pub struct Failing {
    inner: Arc<dyn Store>,
    process: Arc<Process>,
}

#[derive(Debug)]
struct Process {
    fault: Option<Fault>,
    operations: AtomicU64,
    is_dead: AtomicBool,
}

impl Failing {
    /// Passes on to `inner` and fails as `fault` says.
    pub fn new(inner: Arc<dyn Store>, fault: Fault) -> Self {
        Self::with(inner, Some(fault))
    }

    /// Passes on to `inner`, never fails, and counts.
    pub fn counting(inner: Arc<dyn Store>) -> Self {
        Self::with(inner, None)
    }

    fn with(inner: Arc<dyn Store>, fault: Option<Fault>) -> Self {
        let process = Process { fault, operations: AtomicU64::new(0), is_dead: AtomicBool::new(false) };
        Self { inner, process: Arc::new(process) }
    }

    /// Operations that were asked for up to now, failed ones among them.
    pub fn operations(&self) -> u64 {
        self.process.operations.load(Ordering::SeqCst)
    }

    fn perform<T>(
        &self,
        action: &'static str,
        key: &str,
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.process.perform(action, || self.url(key), f)
    }

    /// Performs a listing, which tells nothing if its answer is lost.
    fn listed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(ObjectMeta),
        list: impl FnOnce(&mut dyn FnMut(ObjectMeta)) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut found = Vec::new();
        self.perform("list", prefix, || list(&mut |object| found.push(object)))?;
        found.into_iter().for_each(each);
        Ok(())
    }
}

impl Process {
    /// Counts an operation, and performs it unless it fails before.
    fn perform<T>(
        &self,
        action: &'static str,
        url: impl Fn() -> String,
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        self.check_alive(action, &url)?;
        let Some(fault) = self.fault.filter(|fault| fault.at == number) else { return f() };
        // Dead from here on, for those too that come while the operation is performed.
        self.is_dead.store(fault.then == Then::Dead, Ordering::SeqCst);
        match fault.when {
            When::After => {
                // An error of its own is an answer too.
                let _ = f();
                Err(failed(action, url(), "its answer was lost, as the test wants"))
            }
            When::Before => Err(failed(action, url(), "not performed, as the test wants")),
        }
    }

    fn check_alive(&self, action: &'static str, url: impl Fn() -> String) -> Result<(), Error> {
        if self.is_dead.load(Ordering::SeqCst) {
            return Err(failed(action, url(), "the process is dead, as the test wants"));
        }
        Ok(())
    }
}

fn failed(action: &'static str, url: String, detail: &str) -> Error {
    Error::told(ErrorKind::Unavailable, action, url, detail.to_owned())
}

impl Store for Failing {
    fn create(&self) -> Result<(), Error> {
        self.perform("create", "", || self.inner.create())
    }

    fn honours_conditions(&self) -> Result<bool, Error> {
        self.perform("create", "", || self.inner.honours_conditions())
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.listed(prefix, each, |each| self.inner.list_each(prefix, each))
    }

    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        self.listed(prefix, each, |each| self.inner.list_after(prefix, after, each))
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        self.perform("list", prefix, || self.inner.folder(prefix, folders_max))
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.perform("read", key, || self.inner.head(key))
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        let begun = self.perform("read", key, || Ok(self.inner.fetch(key, etag, range, whole)));
        Box::new(Fetching { begun, process: self.process.clone(), url: self.url(key) })
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        self.perform("copy", from, || self.inner.copy(from, to))
    }

    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        self.perform("list", prefix, || self.inner.idle(prefix, least))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.perform("rename", from, || self.inner.rename(from, to))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        self.perform("read", key, || self.inner.get(key))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        let inner = self.perform("read", key, || self.inner.read(key))?;
        Ok(Box::new(Under { inner, process: self.process.clone(), url: self.url(key) }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        self.perform("write", key, || self.inner.put(key, bytes))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        self.perform("create", key, || self.inner.put_if_absent(key, bytes))
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        let url = self.url(key);
        self.process.check_alive("write", || url.clone())?;
        Ok(Box::new(Under { inner: self.inner.stage(key)?, process: self.process.clone(), url }))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.perform("delete", key, || self.inner.delete(key))
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }
}

struct Fetching {
    begun: Result<Box<dyn Fetch>, Error>,
    process: Arc<Process>,
    url: String,
}

impl Fetch for Fetching {
    fn wait(self: Box<Self>, stop: &dyn Fn() -> bool) -> Result<Bytes, Error> {
        let begun = self.begun?;
        self.process.check_alive("read", || self.url.clone())?;
        begun.wait(stop)
    }
}

/// A reader or a staged object of the other store.
struct Under<T> {
    inner: T,
    process: Arc<Process>,
    url: String,
}

impl<T> Under<T> {
    fn check_alive(&self, action: &'static str) -> io::Result<()> {
        self.process.check_alive(action, || self.url.clone()).map_err(io::Error::other)
    }
}

impl Read for Under<Box<dyn Read + Send>> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.check_alive("read")?;
        self.inner.read(out)
    }
}

impl Write for Under<Box<dyn Staged>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_alive("write")?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Staged for Under<Box<dyn Staged>> {
    fn seal(&mut self) -> Result<(), Error> {
        self.process.perform("write", || self.url.clone(), || self.inner.seal())
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let Self { inner, process, url } = *self;
        process.perform("write", || url.clone(), || inner.commit())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Memory, conformance};

    fn memory() -> Memory {
        let memory = Memory::new("s3://lake");
        memory.put("from", b"here").expect("put");
        memory
    }

    /// One of each operation, until one fails.
    fn each_operation(store: &Failing) -> Result<(), Error> {
        store.create()?;
        store.honours_conditions()?;
        store.put("put", b"1")?;
        store.put_if_absent("absent", b"2")?;
        let mut staged = store.stage("staged")?;
        staged.write_all(b"3").map_err(|e| Error::write(store.url("staged"), e))?;
        staged.seal()?;
        staged.commit()?;
        store.copy("from", "copied")?;
        store.rename("from", "renamed")?;
        store.list_each("", &mut |_| {})?;
        store.list_after("", "a", &mut |_| {})?;
        store.folder("", 1)?;
        store.head("put")?;
        store.get("put")?;
        store.read("put")?;
        store.fetch("put", "", 0..1, true).wait(&|| false)?;
        store.delete("put")
    }

    fn keys(memory: &Memory) -> BTreeSet<String> {
        memory.snapshot().into_keys().collect()
    }

    #[test]
    fn conforms_while_nothing_fails() {
        conformance::check(
            &(Arc::new(Failing::counting(Arc::new(Memory::new("s3://lake")))) as Arc<dyn Store>),
        );
    }

    #[test]
    fn the_operation_asked_for_fails() {
        let undisturbed = Failing::counting(Arc::new(memory()));
        each_operation(&undisturbed).expect("nothing fails");
        let operations = undisturbed.operations();
        assert_eq!(operations, 16);
        let mut before_that = keys(&memory());
        for at in 1..=operations {
            let [before, after] = [When::Before, When::After].map(|when| {
                let memory = memory();
                let store = Failing::new(Arc::new(memory.clone()), Fault { at, when, then: Then::Dead });
                let error = each_operation(&store).expect_err("it fails");
                assert_eq!((error.kind(), store.operations()), (ErrorKind::Unavailable, at), "{error}");
                let left = memory.snapshot();
                each_operation(&store).expect_err("dead");
                assert_eq!(memory.snapshot(), left, "nothing happens after death");
                keys(&memory)
            });
            // What was not performed is what the one before has left.
            assert_eq!(before, before_that, "operation {at}");
            before_that = after;
        }
        assert_eq!(before_that, ["absent", "copied", "renamed", "staged"].map(str::to_owned).into());
    }

    #[test]
    fn an_answer_is_lost_once() {
        let fault = Fault { at: 1, when: When::After, then: Then::Alive };
        let store = Failing::new(Arc::new(Memory::new("s3://lake")), fault);
        let lost = store.put_if_absent("a", b"1").expect_err("the answer is lost");
        assert_eq!(
            lost.to_string(),
            "create `s3://lake/a`: the store keeps returning errors: its answer was lost, as the test wants"
        );
        assert_eq!(store.put_if_absent("a", b"1").expect_err("there").kind(), ErrorKind::AlreadyExists);
        assert_eq!(store.get("a").expect("there"), b"1");
        let fault = Fault { when: When::Before, ..fault };
        let store = Failing::new(Arc::new(Memory::new("s3://lake")), fault);
        store.put_if_absent("a", b"1").expect_err("not performed");
        store.put_if_absent("a", b"1").expect("the store works again");
    }

    #[test]
    fn what_was_begun_ends_with_the_process() {
        let fault = Fault { at: 4, when: When::Before, then: Then::Dead };
        let store = Failing::new(Arc::new(memory()), fault);
        let mut reader = store.read("from").expect("alive");
        let fetch = store.fetch("from", "", 0..4, true);
        let mut staged = store.stage("staged").expect("alive");
        staged.write_all(b"1").expect("alive");
        store.head("from").expect("alive");
        store.head("from").expect_err("dies");
        reader.read_to_end(&mut Vec::new()).expect_err("dead");
        assert_eq!(fetch.wait(&|| false).expect_err("dead").kind(), ErrorKind::Unavailable);
        staged.write_all(b"2").expect_err("dead");
        staged.commit().expect_err("dead");
        assert!(store.stage("other").is_err());
    }
}
