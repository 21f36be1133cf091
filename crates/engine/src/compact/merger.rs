//! What merges at once share, and how they open files.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_parquet::{MergeFile, RowsError};
use flowquet_store::Store;
use flowquet_table::OutputRecord;

use super::memory::Memory;
use crate::error::Error;
use crate::events::Observer;

/// What merges at once share.
pub(super) struct Merger<'a> {
    pub(super) out: &'a dyn Store,
    /// Encodes: threads that wait for memory are none of its.
    pub(super) pool: &'a rayon::ThreadPool,
    pub(super) memory: &'a Memory,
    /// What the distinct values of one column may take in a file of several row groups.
    pub(super) distinct_bytes_max: usize,
    /// All log formats of the table, as [`flowquet_plan::kept_formats`] has them.
    pub(super) written: &'a [(String, Option<String>)],
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
}

impl Merger<'_> {
    /// Reads where the columns of a file stand, and checks that it is as recorded.
    pub(super) fn open(&self, output: &OutputRecord) -> Result<MergeFile, Error> {
        let out = self.out;
        let damaged = |what| Error::TableFile { url: out.url(&output.key), what };
        let found = out.head(&output.key)?.bytes;
        if found != output.bytes {
            return Err(damaged(format!("expected {} bytes, found {found}", output.bytes)));
        }
        let ranges = |range: Range<u64>| -> Result<Bytes, Error> {
            Ok(out.fetch(&output.key, "", range, false).wait(&|| self.is_stopped())?)
        };
        let file = MergeFile::open(output.bytes, &ranges).map_err(|error| match error {
            RowsError::File(what) => damaged(what),
            RowsError::Other(error) => error,
        })?;
        if file.rows() != output.rows {
            return Err(damaged(format!("expected {} rows, found {}", output.rows, file.rows())));
        }
        Ok(file)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
