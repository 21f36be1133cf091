//! Stores by place, each bucket connected to once.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::location::Location;
use crate::s3::{Bucket, Connection, S3Options, S3Store};
use crate::{LocalStore, PART_SLOTS, Store};

/// Threads that wait for S3. Signing and checksums are the only work they do.
const THREADS_MAX: usize = 4;

/// Opens stores.
#[derive(Debug)]
pub struct Stores {
    options: S3Options,
    /// Made when S3 is first spoken to.
    remote: OnceLock<Remote>,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

#[derive(Debug)]
struct Remote {
    runtime: Arc<Runtime>,
    connection: Arc<Connection>,
    parts: Arc<Semaphore>,
}

impl Remote {
    fn new(options: &S3Options) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_MAX));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("flowquet-s3")
            .enable_all()
            .build()
            .expect("threads can be made");
        let connection = Arc::new(Connection::new(options, &runtime));
        Self { runtime: Arc::new(runtime), connection, parts: Arc::new(Semaphore::new(PART_SLOTS)) }
    }
}

impl Default for Stores {
    /// The SDK's defaults, and nobody who asks to stop.
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self::new(S3Options::new(&NEVER))
    }
}

impl Stores {
    /// Stores that speak to S3 as `options` say.
    pub fn new(options: S3Options) -> Self {
        Self { options, remote: OnceLock::new(), buckets: Mutex::default() }
    }

    /// The store whose root is a bucket. Whether it exists is told by the first request.
    pub fn bucket(&self, name: &str) -> Arc<S3Store> {
        Arc::new(self.s3(name, ""))
    }

    fn s3(&self, name: &str, prefix: &str) -> S3Store {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return S3Store::new(bucket.clone(), prefix);
        }
        let remote = self.remote.get_or_init(|| Remote::new(&self.options));
        let bucket = Arc::new(Bucket::new(name, &remote.connection, &remote.runtime, &remote.parts));
        buckets.insert(name.to_owned(), bucket.clone());
        S3Store::new(bucket, prefix)
    }

    /// The bytes of one object.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get(&self, location: &Location) -> Result<Vec<u8>, Error> {
        match location {
            Location::Local(path) => LocalStore::new(path, "").get(""),
            Location::S3 { bucket, prefix } => self.s3(bucket, "").get(prefix),
        }
    }

    /// The store whose root is `location`; a local one writes through the folder `staging` below it.
    pub fn at(&self, location: &Location, staging: &str) -> Arc<dyn Store> {
        match location {
            Location::Local(path) => Arc::new(LocalStore::new(path, staging)),
            Location::S3 { bucket, prefix } => Arc::new(self.s3(bucket, prefix)),
        }
    }
}
