//! Files of a table, read by footers and columns while others may replace them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_parquet::{CheckedFile, ColumnValues, RowsError};
use flowquet_store::{Error as StoreError, ErrorKind, Store};
use flowquet_table::{LiveFile, Log};
use rayon::prelude::*;

use crate::error::Error;

/// Requests for footers that are on their way at once.
pub(crate) const FOOTERS_AT_ONCE: usize = 16;

/// Files whose footers are in memory at once.
pub(crate) const FILES_AT_ONCE: usize = 64;

/// How often a file is looked for that the table has and its store does not: one that is just being put in place is found at the second
/// look.
const TRIES: usize = 4;

/// How often a table is looked at anew because files of it were replaced meanwhile: a compaction of hundreds of partitions may replace
/// one in each of as many looks.
const LOOKS_MAX: usize = 1 << 12;

/// Why reading ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A file may be gone: a compaction has replaced it, or it is lost.
    Gone {
        /// Its key in the table.
        key: String,
        /// What the store says, whose URL is where it was looked for.
        error: Box<StoreError>,
    },
    /// Files in this folder were replaced by others than would have been.
    Replaced {
        /// Its URL.
        url: String,
    },
    Error(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Does what `attempt` does; anew where files of the table in `out` were replaced meanwhile.
pub(crate) fn anew<T>(
    out: &Arc<dyn Store>,
    mut attempt: impl FnMut() -> Result<T, Stop>,
) -> Result<T, Error> {
    let mut missed: HashMap<String, usize> = HashMap::new();
    for look in 1.. {
        let (missing, url) = match attempt() {
            Ok(done) => return Ok(done),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Gone { key, error }) => {
                let url = error.url().to_owned();
                (Some((key, error)), url)
            }
            Err(Stop::Replaced { url }) => (None, url),
        };
        if look == LOOKS_MAX {
            let what = "expected the files, found others in their place again and again".to_owned();
            return Err(Error::TableFile { url, what });
        }
        let Some((key, error)) = missing else { continue };
        if !Log::open(out)?.ask(|state| Ok(state.files().get(&key)?.is_some()))? {
            continue;
        }
        let times = missed.entry(key).or_default();
        *times += 1;
        if *times == TRIES {
            if error.kind() != ErrorKind::NotFound {
                return Err((*error).into());
            }
            return Err(Error::TableFile { url, what: "expected the file, found none".to_owned() });
        }
    }
    unreachable!("the last look returns")
}

/// A file with its footer.
pub(crate) struct OpenFile<'f> {
    pub(crate) file: &'f LiveFile,
    pub(crate) footer: CheckedFile,
    key: String,
}

/// Reads files of the table at `out`, until `stop` is set.
#[derive(Clone, Copy)]
pub(crate) struct TableFiles<'a> {
    pub(crate) out: &'a dyn Store,
    pub(crate) stop: &'a AtomicBool,
}

impl TableFiles<'_> {
    /// Reads the footer of a file of the table that `log` is of.
    pub(crate) fn open<'f>(&self, log: &Log, file: &'f LiveFile) -> Result<OpenFile<'f>, Stop> {
        self.go_on()?;
        let is_gone = |stop: &Stop| matches!(stop, Stop::Gone { .. });
        log.state().files().places(file).read(|key| self.open_at(key, file), is_gone)
    }

    fn open_at<'f>(&self, key: &str, file: &'f LiveFile) -> Result<OpenFile<'f>, Stop> {
        let footer = CheckedFile::open(file.output.bytes, &|range| self.range(key, range))
            .map_err(|error| self.told(file, key, error))?;
        Ok(OpenFile { file, footer, key: key.to_owned() })
    }

    /// Reads the footers of several files, which the threads of `requests` wait for.
    pub(crate) fn open_all<'f>(
        &self,
        log: &Log,
        files: &[&'f LiveFile],
        requests: &rayon::ThreadPool,
    ) -> Result<Vec<OpenFile<'f>>, Stop> {
        let open = |file: &&'f LiveFile| self.open(log, file);
        let opened: Vec<Result<OpenFile<'_>, Stop>> =
            requests.install(|| files.par_iter().with_max_len(1).map(open).collect());
        opened.into_iter().collect()
    }

    /// The columns `names` of a row group, those that it has; how many rows these are; and the bytes that were read for them.
    pub(crate) fn columns(
        &self,
        file: &OpenFile<'_>,
        group: usize,
        names: &[&str],
    ) -> Result<(Vec<Option<ColumnValues>>, usize, u64), Stop> {
        self.go_on()?;
        let read = file.footer.read_columns(group, names, &|range| self.range(&file.key, range));
        let (columns, bytes) = read.map_err(|error| self.told(file.file, &file.key, error))?;
        let rows = usize::try_from(file.footer.group_rows(group)).expect("its columns are in memory");
        Ok((columns, rows, bytes))
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.out.fetch(key, "", range, false).wait(&|| self.stop.load(Ordering::Relaxed))
    }

    fn told(&self, file: &LiveFile, key: &str, error: RowsError<StoreError>) -> Stop {
        match error {
            RowsError::Other(error) if error.may_be_missing() => {
                Stop::Gone { key: file.output.key.clone(), error: Box::new(error) }
            }
            RowsError::Other(error) if error.kind() == ErrorKind::Interrupted => {
                Stop::Error(Error::Interrupted)
            }
            RowsError::Other(error) => Stop::Error(error.into()),
            RowsError::File(what) => Stop::Error(Error::TableFile { url: self.out.url(key), what }),
        }
    }
}
