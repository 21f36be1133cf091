//! MaxMind databases: <https://maxmind.github.io/MaxMind-DB/>.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};

use crate::VALUE_BYTES_MAX;
use crate::error::Error;

/// What stands before the metadata, which is in the last 128 KiB of a database.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Where that is looked for.
const TAIL_BYTES: usize = 128 << 10;

use PathElement::{Index, Key};

/// A column of values: its name, and where a record has it.
struct Column {
    name: &'static str,
    path: &'static [PathElement<'static>],
    is_number: bool,
}

const fn text(name: &'static str, path: &'static [PathElement<'static>]) -> Column {
    Column { name, path, is_number: false }
}

const fn number(name: &'static str, path: &'static [PathElement<'static>]) -> Column {
    Column { name, path, is_number: true }
}

const CONTINENT: Column = text("continent", &[Key("continent"), Key("code")]);
const COUNTRY: Column = text("country", &[Key("country"), Key("iso_code")]);
const SUBDIVISION: Column = text("subdivision", &[Key("subdivisions"), Index(0), Key("iso_code")]);
const CITY: Column = text("city", &[Key("city"), Key("names"), Key("en")]);
const ASN: Column = number("asn", &[Key("autonomous_system_number")]);
const AS_ORGANIZATION: Column = text("as_organization", &[Key("autonomous_system_organization")]);
const ISP: Column = text("isp", &[Key("isp")]);
const ORGANIZATION: Column = text("organization", &[Key("organization")]);

/// Kinds of databases by a word in their type, and what is read of each. Of two words in one type the first counts.
/// Source: <https://dev.maxmind.com/geoip/docs/databases/>.
const KINDS: &[(&str, &[Column])] = &[
    (
        "Enterprise",
        &[
            CONTINENT,
            COUNTRY,
            SUBDIVISION,
            CITY,
            number("asn", &[Key("traits"), Key("autonomous_system_number")]),
            text("as_organization", &[Key("traits"), Key("autonomous_system_organization")]),
            text("isp", &[Key("traits"), Key("isp")]),
            text("organization", &[Key("traits"), Key("organization")]),
        ],
    ),
    ("City", &[CONTINENT, COUNTRY, SUBDIVISION, CITY]),
    ("Country", &[CONTINENT, COUNTRY]),
    ("ISP", &[ASN, AS_ORGANIZATION, ISP, ORGANIZATION]),
    ("ASN", &[ASN, AS_ORGANIZATION]),
];

/// A database.
pub(crate) struct Database {
    reader: Reader<Bytes>,
    columns: &'static [Column],
    bytes: usize,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("metadata", self.reader.metadata()).finish()
    }
}

/// Whether bytes are those of a database.
pub(crate) fn is_database(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    tail.windows(MARK.len()).any(|window| window == MARK)
}

fn damaged(error: &maxminddb::MaxMindDbError) -> Error {
    Error::file(format!("expected a MaxMind database: {error}"))
}

/// Values of records that were read, each once.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The row of what stands at an offset.
    rows: HashMap<usize, u32>,
    values: Vec<Option<Box<str>>>,
}

impl Database {
    /// # Errors
    /// [`Error`] where it is damaged, or of a kind of which nothing is known.
    pub(crate) fn new(bytes: Bytes) -> Result<Self, Error> {
        let length = bytes.len();
        let reader = Reader::from_source(bytes).map_err(|e| damaged(&e))?;
        let of = &reader.metadata().database_type;
        let Some((_, columns)) = KINDS.iter().find(|(word, _)| of.contains(word)) else {
            let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
            return Err(Error::file(format!(
                "expected a MaxMind database whose type names one of {}, found the type `{of}`; a list (CSV, JSON) can have any values",
                words.join(", ")
            )));
        };
        Ok(Self { columns, bytes: length, reader })
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads all of it, so that nothing that is looked up later turns out to be damaged.
    ///
    /// # Errors
    /// [`Error`] where it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for found in self.reader.networks(WithinOptions::default()).map_err(|e| damaged(&e))? {
            let found = found.map_err(|e| damaged(&e))?;
            if found.offset().is_some_and(|offset| seen.insert(offset)) {
                for column in self.columns {
                    value(&found, column).map_err(|e| damaged(&e))?;
                }
            }
        }
        Ok(())
    }

    /// The row of an address.
    pub(crate) fn row(&self, address: IpAddr, read: &mut Read) -> Option<u32> {
        // A database of IPv4 alone knows no other addresses.
        let found = self.reader.lookup(address.to_canonical()).ok()?;
        let offset = found.offset()?;
        let next = read.rows.len() as u32;
        let row = *read.rows.entry(offset).or_insert(next);
        if row == next {
            let values = self.columns.iter().map(|column| value(&found, column).ok().flatten());
            read.values.extend(values);
        }
        Some(row)
    }

    pub(crate) fn text<'r>(&self, row: u32, column: usize, read: &'r Read) -> Option<&'r str> {
        read.values[row as usize * self.columns.len() + column].as_deref()
    }
}

/// The value of a column; none where it is not there, empty or too long.
fn value(
    found: &LookupResult<'_, Bytes>,
    column: &Column,
) -> Result<Option<Box<str>>, maxminddb::MaxMindDbError> {
    if column.is_number {
        return Ok(found.decode_path::<u32>(column.path)?.map(|number| number.to_string().into()));
    }
    let text = found.decode_path::<&str>(column.path)?;
    Ok(text.filter(|text| !text.is_empty() && text.len() <= VALUE_BYTES_MAX).map(Box::from))
}
