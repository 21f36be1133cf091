//! Objects by key: list, get, put, put-if-absent, delete.
//!
//! This crate knows nothing of logs, tables or Parquet. A [`Store`] gives exact promises, and [`conformance`] holds every
//! implementation to them:
//!
//! - an object is seen whole or not at all, at any moment and after any crash;
//! - of several puts-if-absent of one key exactly one succeeds, and the others are told so;
//! - what was put is on the disk when the call returns.

#![expect(clippy::disallowed_methods, reason = "this is the one crate that touches files")]

pub mod conformance;
mod error;
mod local;

use std::io::{Read, Write};

pub use error::{Error, ErrorKind};
pub use local::LocalStore;

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
}

/// An object being written; nobody sees it before [`Staged::commit`]. Dropped, it leaves nothing behind.
pub trait Staged: Write + Send {
    /// Makes what was written durable and lets go of what it takes to write more, so that many objects can wait for
    /// their [`Staged::commit`].
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

/// Objects by key.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// All objects whose key is `prefix` or lies below it (`prefix` + `/`), sorted by key; with the empty prefix all.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is neither such an object nor such a folder.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error>;

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
    /// [`ErrorKind::NotFound`] where there is none.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// The object's name for people and records: `file:///…`.
    fn url(&self, key: &str) -> String;
}
