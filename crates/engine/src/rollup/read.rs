//! Records of a partition, read by the columns that a roll-up needs.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_parquet::{CheckedFile, ColumnValues, RowsError, TextValues};
use flowquet_store::{Error as StoreError, ErrorKind, Store};
use flowquet_table::{LiveFile, Log, RollupSums};
use rayon::prelude::*;

use super::group::{Groups, Sums, push_number, push_text};
use super::layout::Layout;
use crate::error::Error;

/// Columns that are summed.
const SUMMED: [&str; 5] = ["packets", "bytes", "start", "end", "tcp_flags"];

/// Files whose footers are in memory at once.
const FILES_AT_ONCE: usize = 64;

/// Requests for footers that are on their way at once.
pub(super) const FOOTERS_AT_ONCE: usize = 16;

/// Why a roll-up ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// A file is gone: a compaction has replaced it, or it is lost.
    Gone(String),
    Error(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Where a partition is read.
pub(super) struct Partition<'a> {
    pub(super) source: &'a Log,
    pub(super) out: &'a dyn Store,
    pub(super) layout: &'a Layout,
    pub(super) pool: &'a rayon::ThreadPool,
    /// Threads that wait for footers.
    pub(super) requests: &'a rayon::ThreadPool,
    /// Row groups that are counted at once.
    pub(super) threads: usize,
    pub(super) stop: &'a AtomicBool,
}

/// A file with its footer.
struct Opened {
    key: String,
    footer: CheckedFile,
}

impl Opened {
    fn row_groups(&self) -> usize {
        self.footer.row_groups()
    }
}

/// Sums over all rows that were read, of whatever pass, counted apart from those of groups.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    flows: u64,
    packets: i128,
    bytes: i128,
}

impl Read {
    /// As a record holds them.
    pub(super) fn sums(self) -> Result<RollupSums, Error> {
        match (i64::try_from(self.packets), i64::try_from(self.bytes)) {
            (Ok(packets), Ok(bytes)) => Ok(RollupSums { flows: self.flows, packets, bytes }),
            _ => Err(Error::NotRolledUp("a sum is more than 64 bits hold".to_owned())),
        }
    }
}

impl Partition<'_> {
    /// Adds all records of files to `groups`, unless there are too many groups.
    pub(super) fn read(&self, files: &[LiveFile], groups: &mut Groups) -> Result<Read, Stop> {
        let mut read = Read::default();
        for files in files.chunks(FILES_AT_ONCE) {
            let opened = self.open(files)?;
            let of = |file| (0..Opened::row_groups(file)).map(move |group| (file, group));
            let all: Vec<(&Opened, usize)> = opened.iter().flat_map(of).collect();
            for some in all.chunks(self.threads) {
                self.row_groups(some, groups, &mut read)?;
                if groups.are_too_many() {
                    return Ok(read);
                }
            }
        }
        Ok(read)
    }

    /// Reads the footers of files.
    fn open(&self, files: &[LiveFile]) -> Result<Vec<Opened>, Stop> {
        let state = self.source.state();
        let open = |file: &LiveFile| {
            let key = state.files().key_now(file);
            let footer = CheckedFile::open(file.output.bytes, &|range| self.range(&key, range));
            Ok(Opened { footer: footer.map_err(|error| self.told(&key, error))?, key })
        };
        let opened: Vec<Result<Opened, Stop>> =
            self.requests.install(|| files.par_iter().with_max_len(1).map(open).collect());
        opened.into_iter().collect()
    }

    fn row_groups(
        &self,
        some: &[(&Opened, usize)],
        groups: &mut Groups,
        read: &mut Read,
    ) -> Result<(), Stop> {
        let empty = groups.like();
        let one = |(file, group): &(&Opened, usize)| self.row_group(file, *group, empty.like());
        let counted: Vec<Result<(Groups, Read), Stop>> =
            self.pool.install(|| some.par_iter().with_max_len(1).map(one).collect());
        for counted in counted {
            let (own, sums) = counted?;
            groups.take(own);
            read.flows += sums.flows;
            read.packets += sums.packets;
            read.bytes += sums.bytes;
        }
        Ok(())
    }

    fn row_group(&self, file: &Opened, group: usize, mut groups: Groups) -> Result<(Groups, Read), Stop> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Stop::Error(Error::Interrupted));
        }
        let mut names: Vec<&str> = self.layout.dimensions.iter().map(|d| d.column.as_str()).collect();
        names.extend(SUMMED.iter().filter(|name| !self.layout.dimensions.iter().any(|d| d.column == **name)));
        let read = file.footer.read_columns(group, &names, &|range| self.range(&file.key, range));
        let (columns, _) = read.map_err(|error| self.told(&file.key, error))?;
        let of = |name: &str| names.iter().position(|n| *n == name).and_then(|i| columns[i].as_ref());
        let rows = usize::try_from(file.footer.group_rows(group)).expect("its columns are in memory");
        let number = |column: Option<&ColumnValues>, row: usize| match column {
            Some(ColumnValues::Integers { values, nulls, .. }) => {
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
            }
            _ => None,
        };
        let [packets, bytes, start, end, flags] = SUMMED.map(of);
        let mut sums_of_all = Read { flows: rows as u64, ..Read::default() };
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            for (dimension, column) in self.layout.dimensions.iter().zip(&columns) {
                match (column, dimension.bucket_s) {
                    (Some(ColumnValues::Text(text)), _) => {
                        let value = text.keys[row];
                        push_text(&mut key, (value != TextValues::NULL).then(|| text.value(value)));
                    }
                    (Some(ColumnValues::Integers { is_time_ms, .. }), Some(seconds)) => {
                        let unit = if *is_time_ms { 1000 } else { 1 };
                        let bucket = seconds * unit;
                        let begin = |time: i64| time.div_euclid(bucket).saturating_mul(bucket);
                        push_number(&mut key, number(column.as_ref(), row).map(begin));
                    }
                    (column, _) => push_number(&mut key, number(column.as_ref(), row)),
                }
            }
            let sums = Sums {
                flows: 1,
                packets: number(packets, row),
                bytes: number(bytes, row),
                first_start: number(start, row),
                last_end: number(end, row),
                tcp_flags: number(flags, row),
            };
            sums_of_all.packets += i128::from(sums.packets.unwrap_or_default());
            sums_of_all.bytes += i128::from(sums.bytes.unwrap_or_default());
            groups.add(&key, sums);
        }
        Ok((groups, sums_of_all))
    }

    fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.out.fetch(key, "", range, false).wait(&|| self.stop.load(Ordering::Relaxed))
    }

    fn told(&self, key: &str, error: RowsError<StoreError>) -> Stop {
        match error {
            RowsError::Other(error) if error.kind() == ErrorKind::NotFound => Stop::Gone(self.out.url(key)),
            RowsError::Other(error) => Stop::Error(error.into()),
            RowsError::File(what) => Stop::Error(Error::TableFile { url: self.out.url(key), what }),
        }
    }
}
