//! Files that fill columns: the table has its own copies, since whoever finishes a task, or writes rows anew as they were, needs the bytes that a plan names.

use flowquet_store::{Error as StoreError, ErrorKind};

use crate::error::Error;
use crate::layout::enrichment_key;
use crate::log::Log;

impl Log {
    /// The size of the table's copy of the file of this SHA-256 digest, if it has one.
    ///
    /// # Errors
    /// As the store reports.
    pub fn enrichment_bytes(&self, sha256: &str) -> Result<Option<u64>, Error> {
        let found = there(self.out().head(&enrichment_key(sha256)))?;
        Ok(found.map(|meta| meta.bytes))
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

    /// Puts a file of this digest, before any record names it, or in the place of a copy that is not whole.
    ///
    /// # Errors
    /// As the store reports.
    pub fn put_enrichment(&self, sha256: &str, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.out().put(&enrichment_key(sha256), bytes)?)
    }
}

fn there<T>(found: Result<T, StoreError>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
