//! Files that fill columns: the table has its own copies, since whoever finishes a task, or writes rows anew as they were, needs the bytes that a plan names.

use flowquet_store::{Error as StoreError, ErrorKind};

use crate::error::Error;
use crate::layout::enrichment_key;
use crate::log::Log;

impl Log {
    /// Whether the table has the file of this SHA-256 digest.
    ///
    /// # Errors
    /// As the store reports.
    pub fn has_enrichment(&self, sha256: &str) -> Result<bool, Error> {
        there(self.out().head(&enrichment_key(sha256))).map(|found| found.is_some())
    }

    /// The bytes of the file of this digest, if the table has it and it has no more than `bytes_max`. They are as the store gives them.
    ///
    /// # Errors
    /// As the store reports.
    pub fn enrichment(&self, sha256: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        let key = enrichment_key(sha256);
        match there(self.out().head(&key))? {
            Some(meta) if meta.bytes <= bytes_max as u64 => there(self.out().get(&key)),
            _ => Ok(None),
        }
    }

    /// Puts a file of this digest, before any record names it.
    ///
    /// # Errors
    /// As the store reports.
    pub fn put_enrichment(&self, sha256: &str, bytes: &[u8]) -> Result<(), Error> {
        match self.out().put_if_absent(&enrichment_key(sha256), bytes) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn there<T>(found: Result<T, StoreError>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
