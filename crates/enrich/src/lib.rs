//! Files that say whose an address or a network interface is, as tables to look things up in.
//!
//! | file | told by | looked up by | values |
//! |---|---|---|---|
//! | CSV with a header | none of the others | a column `cidr`, `network`, `prefix`, `address` or `ip`; or `eni` or `interface_id` | the other columns |
//! | JSON: an array of objects, or an object a line | `[` or `{` | the same | the same |
//! | AWS's `ip-ranges.json` | its `syncToken` and `prefixes` | its prefixes | service, region, network border group |
//! | a MaxMind database | the mark of its metadata | its networks | those of its kind |
//!
//! Of networks that an address lies in, the longest counts. Entries of lists may hold for a time, from `from` to before `to`: then those count that
//! hold at the time that is asked for, and of several of one network or interface the one that began last.
//!
//! This crate knows no I/O, no Arrow and no clock: bytes become a table, which never changes.
//!
//! ```
//! use flowquet_enrich::{EnrichmentTable, Found};
//!
//! let table = EnrichmentTable::read("cidr,team\n10.0.0.0/8,net\n10.1.0.0/16,web\n".into()).expect("a list");
//! let mut look = table.look();
//! let Found::Always(row) = look.address("10.1.2.3".parse().expect("an address"), 0..=0) else { panic!("found") };
//! assert_eq!(look.text(row, 0), Some("web"));
//! ```

mod aws;
mod entries;
mod error;
mod json;
mod list;
mod maxmind;
mod networks;
mod span;
mod table;

pub use error::{Error, Place, What};
pub use table::{Enriching, EnrichmentTable, Found, Look, RowId, Span};

/// Longest file that is text: it is in memory together with what becomes of it.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Longest MaxMind database: it is in memory as it is. The largest of MaxMind's that hold what is read of them have some 130 MiB.
pub const DATABASE_BYTES_MAX: usize = 512 << 20;

/// Most entries of a file that is text.
pub const ENTRIES_MAX: usize = 2_000_000;

/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024;
