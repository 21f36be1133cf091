//! A data file on its way into a store.

use std::io::{BufWriter, IntoInnerError, Write};

use flowquet_store::{Error as StoreError, Staged, Store};
use flowquet_table::{Crc32, LAYOUT_VERSION};

use crate::error::Error;

/// Bytes that are handed to the store at a time, for each open file.
const WRITE_BYTES: usize = 128 << 10;

/// Counts and checksums what goes through, and hands it on in pieces that a file system likes.
pub(crate) struct StagedFile {
    staged: BufWriter<Box<dyn Staged>>,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

/// A file that is written and not visible yet.
pub(crate) struct EndedFile {
    /// Its size.
    pub(crate) bytes: u64,
    /// Of its bytes.
    pub(crate) crc32: Crc32,
    /// What makes it visible.
    pub(crate) staged: Box<dyn Staged>,
}

impl StagedFile {
    pub(crate) fn begin(out: &dyn Store, key: &str) -> Result<Self, Error> {
        let staged = BufWriter::with_capacity(WRITE_BYTES, out.stage(key)?);
        Ok(Self { staged, bytes: 0, crc32: crc32fast::Hasher::new() })
    }

    /// Ends the file.
    pub(crate) fn end(self, out: &dyn Store, key: &str) -> Result<EndedFile, Error> {
        let unwritten = |e: IntoInnerError<_>| StoreError::write(out.url(key), e.into_error());
        let mut staged = self.staged.into_inner().map_err(unwritten)?;
        staged.seal()?;
        Ok(EndedFile { bytes: self.bytes, crc32: Crc32(self.crc32.finalize()), staged })
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = self.staged.write(bytes)?;
        self.bytes += len as u64;
        self.crc32.update(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.staged.flush()
    }
}

/// Key-value metadata of a data file: what all have, and `more`.
pub(crate) fn file_metadata<const N: usize>(format: &str, more: [(&str, &str); N]) -> Vec<(String, String)> {
    let version = LAYOUT_VERSION.to_string();
    let all = [
        ("flowquet.version", env!("CARGO_PKG_VERSION")),
        ("flowquet.layout_version", &version),
        ("flowquet.log_format", format),
    ];
    all.into_iter().chain(more).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
