//! Stores by place, each bucket connected to once.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use crate::below::Below;
use crate::error::Error;
use crate::location::{Location, S3_SCHEME};
use crate::s3::{Bucket, Connection, S3Options, S3Store, Traffic, Waiting};
use crate::{LocalStore, Memory, PART_SLOTS, Store};

/// Threads that wait for S3. Signing and checksums are the only work they do.
const THREADS_MAX: usize = 4;

/// Opens stores.
#[derive(Debug)]
pub struct Stores {
    options: S3Options,
    /// Made when S3 is first spoken to.
    remote: OnceLock<Remote>,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
    /// What stands in place of S3's buckets, all of them.
    replaced: Option<Mutex<BTreeMap<String, Arc<dyn Store>>>>,
}

#[derive(Debug)]
struct Remote {
    runtime: Arc<Waiting>,
    connection: Arc<Connection>,
    parts: Arc<Semaphore>,
}

impl Remote {
    fn new(options: &S3Options) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_MAX));
        let runtime = Waiting::new(threads);
        let connection = Arc::new(Connection::new(options, &runtime));
        Self { runtime: Arc::new(runtime), connection, parts: Arc::new(Semaphore::new(PART_SLOTS)) }
    }
}

impl Default for Stores {
    /// The SDK's defaults, and nobody who asks to stop.
    fn default() -> Self {
        Self::new(S3Options::new(Arc::default()))
    }
}

impl Stores {
    /// Stores that speak to S3 as `options` say.
    pub fn new(options: S3Options) -> Self {
        Self { options, remote: OnceLock::new(), buckets: Mutex::default(), replaced: None }
    }

    /// Stores that never speak to S3, for tests: `buckets` are its buckets by name, and any other is empty and in memory.
    pub fn of(buckets: BTreeMap<String, Arc<dyn Store>>) -> Self {
        Self { replaced: Some(Mutex::new(buckets)), ..Self::default() }
    }

    /// What is counted of all requests to S3.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.options.traffic
    }

    /// The store whose root is a bucket. Whether it exists is told by the first request.
    pub fn bucket(&self, name: &str) -> Arc<dyn Store> {
        self.s3(name, "", "")
    }

    fn s3(&self, name: &str, prefix: &str, staging: &str) -> Arc<dyn Store> {
        if let Some(replaced) = &self.replaced {
            let mut replaced = replaced.lock().unwrap_or_else(PoisonError::into_inner);
            let empty = || -> Arc<dyn Store> { Arc::new(Memory::new(&format!("{S3_SCHEME}{name}"))) };
            return Below::at(replaced.entry(name.to_owned()).or_insert_with(empty).clone(), prefix);
        }
        Arc::new(S3Store::new(self.connected(name), prefix, staging))
    }

    /// A bucket of S3; none where others stand in its place.
    pub(crate) fn asked(&self, name: &str) -> Option<Arc<Bucket>> {
        self.replaced.is_none().then(|| self.connected(name))
    }

    fn connected(&self, name: &str) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return bucket.clone();
        }
        let remote = self.remote.get_or_init(|| Remote::new(&self.options));
        let bucket = Arc::new(Bucket::new(name, &remote.connection, &remote.runtime, &remote.parts));
        buckets.insert(name.to_owned(), bucket.clone());
        bucket
    }

    /// The bytes of one object.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get(&self, location: &Location) -> Result<Vec<u8>, Error> {
        match location {
            // Named by whoever runs this: also a pipe that some command fills.
            Location::Local(path) => {
                std::fs::read(path).map_err(|e| LocalStore::new(path, "").error("read", "", e))
            }
            Location::S3 { bucket, prefix } => self.bucket(bucket).get(prefix),
        }
    }

    /// The bytes of one object, if it has no more than `bytes_max`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_at_most(&self, location: &Location, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        let bytes = match location {
            Location::Local(path) => {
                let wrong = |e| LocalStore::new(path, "").error("read", "", e);
                let mut bytes = Vec::new();
                let mut file = std::fs::File::open(path).map_err(wrong)?.take(bytes_max as u64 + 1);
                file.read_to_end(&mut bytes).map_err(wrong)?;
                bytes
            }
            Location::S3 { bucket, prefix } => {
                let store = self.bucket(bucket);
                if store.head(prefix)?.bytes > bytes_max as u64 {
                    return Ok(None);
                }
                store.get(prefix)?
            }
        };
        Ok(Some(bytes).filter(|bytes| bytes.len() <= bytes_max))
    }

    /// The store whose root is `location`. Files that it needs for itself stand below the prefix `staging` while it does: a
    /// local one writes through them, and S3 is asked with one whether it honours conditions.
    pub fn at(&self, location: &Location, staging: &str) -> Arc<dyn Store> {
        match location {
            Location::Local(path) => Arc::new(LocalStore::new(path, staging)),
            Location::S3 { bucket, prefix } => self.s3(bucket, prefix, staging),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn stores_in_place_of_buckets() {
        let logs = Memory::new("s3://logs");
        let stores =
            Stores::of(BTreeMap::from([("logs".to_owned(), Arc::new(logs.clone()) as Arc<dyn Store>)]));
        logs.put("AWSLogs/a.log", b"1").expect("put");
        let at = |text: &str| Location::parse(text).expect("a place");
        assert_eq!(stores.bucket("logs").get("AWSLogs/a.log").expect("there"), b"1");
        assert_eq!(stores.get(&at("s3://logs/AWSLogs/a.log")).expect("there"), b"1");
        for (most, expected) in [(0, None), (1, Some(b"1".to_vec()))] {
            let got = stores.get_at_most(&at("s3://logs/AWSLogs/a.log"), most);
            assert_eq!(got.expect("there"), expected);
        }
        let below = stores.at(&at("s3://logs/AWSLogs/"), "");
        assert_eq!(below.head("a.log").expect("there").url, "s3://logs/AWSLogs/a.log");
        let other = || stores.bucket("other");
        assert_eq!(other().list("").expect_err("empty").kind(), ErrorKind::NotFound);
        other().put("b", b"2").expect("put");
        assert_eq!(other().get("b").expect("there"), b"2");
    }
}
