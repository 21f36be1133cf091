//! A file as a table to look things up in.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_format::{EnrichedBy, Enrichment, Enrichments};
use sha2::{Digest, Sha256};

use crate::aws::{self, is_ranges, ranges};
use crate::entries::Entries;
use crate::error::{Error, Place, What};
use crate::json::json;
use crate::list::csv;
use crate::maxmind::{Database, Read, is_database};
use crate::{DATABASE_BYTES_MAX, TEXT_BYTES_MAX};

/// What begins a gzip file.
const GZIP: &[u8] = b"\x1f\x8b";

/// What may begin a text in UTF-8.
const MARK: char = '\u{feff}';

#[derive(Debug)]
enum Source {
    Entries(Entries),
    Database(Database),
}

/// A file, read. Two are equal if their bytes are.
#[derive(Debug)]
pub struct EnrichmentTable {
    sha256: String,
    by: EnrichedBy,
    timed: bool,
    columns: Vec<String>,
    source: Source,
}

impl PartialEq for EnrichmentTable {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for EnrichmentTable {}

/// A row of values, as the [`Look`] that found it has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(u32);

/// Which row counts from a time, in milliseconds since 1970, until the next span begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The time.
    pub from_ms: i64,
    /// The row, if there is one.
    pub row: Option<RowId>,
}

/// What a file has of an address or interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// One row at all times that were asked for.
    Always(RowId),
    /// Several; the first begins no later than the times that were asked for. Sorted.
    Over(Vec<Span>),
}

impl EnrichmentTable {
    /// Reads the bytes of a file, which tell what kind of file it is.
    ///
    /// # Errors
    /// [`Error`], with the line where the file is text.
    pub fn read(bytes: Bytes) -> Result<Self, Error> {
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let too_long = |max| Err(Error { place: Place::File, what: What::TooLong(max) });
        if is_database(&bytes) {
            if bytes.len() > DATABASE_BYTES_MAX {
                return too_long(DATABASE_BYTES_MAX);
            }
            let database = Database::new(bytes)?;
            let columns = database.columns().map(str::to_owned).collect();
            let source = Source::Database(database);
            return Ok(Self { sha256, by: EnrichedBy::Address, timed: false, columns, source });
        }
        if bytes.starts_with(GZIP) {
            return Err(Error { place: Place::File, what: What::Compressed });
        }
        if bytes.len() > TEXT_BYTES_MAX {
            return too_long(TEXT_BYTES_MAX);
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let lines = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Error::line(lines as u64 + 1, "expected text in UTF-8, or a MaxMind database")
        })?;
        if let Some(at) = text.bytes().position(|byte| byte == 0) {
            let lines = text[..at].bytes().filter(|byte| *byte == b'\n').count();
            let what = "expected text in UTF-8, found a NUL byte: is it UTF-16, or no text?";
            return Err(Error::line(lines as u64 + 1, what));
        }
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let begin = text.trim_ascii_start();
        if begin.is_empty() {
            return Err(Error::file(
                "expected a list with a header, JSON or a MaxMind database, found an empty file",
            ));
        }
        if is_ranges(begin) {
            let columns = aws::COLUMNS.map(str::to_owned).to_vec();
            let source = Source::Entries(ranges(text)?);
            return Ok(Self { sha256, by: EnrichedBy::Address, timed: false, columns, source });
        }
        let is_json = begin.starts_with(['[', '{']);
        let (columns, entries) = if is_json { json(text)? } else { csv(text)? };
        let source = Source::Entries(entries);
        Ok(Self { sha256, by: columns.by, timed: columns.timed, columns: columns.values, source })
    }

    /// Reads all of a database, of which [`Self::read`] looks only at the beginning and end.
    ///
    /// # Errors
    /// [`Error`] where it is damaged.
    pub fn check(&self) -> Result<(), Error> {
        match &self.source {
            Source::Entries(_) => Ok(()),
            Source::Database(database) => database.check(),
        }
    }

    /// SHA-256 of the file's bytes, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What a table's records say of it, the first of this name in the table.
    pub fn enrichment(&self, name: &str) -> Enrichment {
        let (sha256, columns) = (self.sha256.clone(), self.columns.clone());
        Enrichment { name: name.to_owned(), sha256, by: self.by, timed: self.timed, columns, version: 1 }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.source {
            Source::Entries(entries) => entries.bytes(),
            Source::Database(database) => database.bytes(),
        }
    }

    /// Begins to look things up.
    pub fn look(&self) -> Look<'_> {
        Look { table: self, read: Read::default() }
    }
}

/// Looks things up, and remembers rows that had to be decoded: one for each batch of rows.
#[derive(Debug)]
pub struct Look<'a> {
    table: &'a EnrichmentTable,
    read: Read,
}

impl Look<'_> {
    /// What the file has of an address at the times of `range`, in milliseconds since 1970.
    pub fn address(&mut self, address: IpAddr, range: RangeInclusive<i64>) -> Found {
        match &self.table.source {
            Source::Entries(entries) => found(entries.address(address, &range)),
            Source::Database(database) => match database.row(address, &mut self.read) {
                Some(row) => Found::Always(RowId(row)),
                None => Found::Nothing,
            },
        }
    }

    /// What it has of a network interface.
    pub fn interface(&mut self, id: &str, range: RangeInclusive<i64>) -> Found {
        match &self.table.source {
            Source::Entries(entries) => found(entries.interface(id, &range)),
            Source::Database(_) => Found::Nothing,
        }
    }

    /// The value of a row in a column of values, counted from 0; none where the file has no such column.
    pub fn text(&self, row: RowId, column: usize) -> Option<&str> {
        if column >= self.table.columns.len() {
            return None;
        }
        match &self.table.source {
            Source::Entries(entries) => entries.text(row.0, column),
            Source::Database(database) => database.text(row.0, column, &self.read),
        }
    }
}

fn found(spans: Vec<(i64, Option<u32>)>) -> Found {
    match *spans.as_slice() {
        [] | [(_, None)] => Found::Nothing,
        [(_, Some(row))] => Found::Always(RowId(row)),
        _ => Found::Over(
            spans.into_iter().map(|(from_ms, row)| Span { from_ms, row: row.map(RowId) }).collect(),
        ),
    }
}

/// Files that fill columns: read, or only named where columns are carried and not computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enriching {
    of: Enrichments,
    tables: Option<Vec<Arc<EnrichmentTable>>>,
}

impl Enriching {
    /// The tables of `of`, in its order.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn new(of: Enrichments, tables: Vec<Arc<EnrichmentTable>>) -> Self {
        assert_eq!(of.files().len(), tables.len(), "a table a file");
        Self { of, tables: Some(tables) }
    }

    /// Files that nobody looks into.
    pub fn named(of: Enrichments) -> Self {
        Self { of, tables: None }
    }

    /// Which files.
    pub fn of(&self) -> &Enrichments {
        &self.of
    }

    /// The table of the file at this place.
    ///
    /// # Panics
    /// If the files were not read: whoever computes columns has read them.
    pub fn table(&self, file: usize) -> &Arc<EnrichmentTable> {
        &self.tables.as_ref().expect("files are read before columns are computed")[file]
    }
}
