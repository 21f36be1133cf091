//! What a unit makes of its objects: rows on their way to files, and counts; and who takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use flowquet_parquet::EncodedRowGroup;
use flowquet_store::Error as StoreError;
use flowquet_table::{Digest, InputRecord};

use crate::context::FormatContext;
use crate::error::Error;

/// Where rows of one unit go: one partition and one log format. Ordered, so that everything that follows is repeatable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Destination {
    /// Partition folder.
    pub(crate) folder: Arc<str>,
    /// AWS's text of the log format.
    pub(crate) format: Arc<str>,
}

/// Smallest and largest partition time of some rows, Unix seconds; `None` where none has a time within range.
pub(crate) type Times = Option<(i64, i64)>;

/// Rows on their way to a file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) to: Destination,
    pub(crate) format: Arc<FormatContext>,
    pub(crate) times: Times,
    /// Digest of the rows.
    pub(crate) digest: Digest,
    pub(crate) rows: PieceRows,
}

#[derive(Debug)]
pub(crate) enum PieceRows {
    /// Too few for a row group of their own; the task carries them on.
    Few(RecordBatch),
    /// A row group.
    Encoded(EncodedRowGroup),
}

impl Piece {
    pub(crate) fn rows(&self) -> usize {
        match &self.rows {
            PieceRows::Few(batch) => batch.num_rows(),
            PieceRows::Encoded(group) => group.rows(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match &self.rows {
            PieceRows::Few(batch) => batch.get_array_memory_size(),
            PieceRows::Encoded(group) => group.bytes(),
        }
    }
}

/// The times of both.
pub(crate) fn merged(a: Times, b: Times) -> Times {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// What a unit counts apart from its pieces.
#[derive(Debug, Default)]
pub(crate) struct UnitCounts {
    pub(crate) inputs: Vec<InputRecord>,
    pub(crate) records_by_status: BTreeMap<String, u64>,
    pub(crate) rejects_by_reason: BTreeMap<&'static str, u64>,
    pub(crate) times_out_of_range: u64,
    pub(crate) times_missing: u64,
    /// Of columns of tags: rows that have them, and values in them.
    pub(crate) tags: BTreeMap<String, (u64, u64)>,
    /// Rows of partitions that are not wanted.
    pub(crate) rows_elsewhere: u64,
}

/// Takes what a unit makes, while it makes it.
pub(crate) trait Taker {
    /// Rows.
    fn piece(&mut self, piece: Piece) -> Result<(), Error>;
    /// Rejects as JSON lines.
    fn rejects(&mut self, lines: Vec<u8>) -> Result<(), Error>;
    /// Whether the run goes on; asked once a window.
    fn go_on(&self) -> Result<(), Error>;
    /// Something was read: bytes of source objects, records, objects.
    fn progress(&mut self, bytes: u64, records: u64, objects: u64);
    /// Something to know, said once a run.
    fn warning(&mut self, text: &str);
}

/// Gives what was fetched ahead for a unit.
pub(crate) trait Fetched {
    /// The bytes of the unit's `index`-th object; `None` for one that is opened instead.
    fn take(&self, index: usize) -> Result<Option<Bytes>, StoreError>;
    /// The bytes of the unit's `index`-th object, fetched anew.
    fn again(&self, index: usize) -> Result<Option<Bytes>, StoreError>;
}
