//! Which table of a catalog points at this one: so that nobody has to repeat it.

use flowquet_store::{ErrorKind, Store};
use serde::{Deserialize, Serialize};

use crate::LAYOUT_VERSION;
use crate::error::Error;
use crate::layout::CATALOG_KEY;
use crate::records::{Record, from_json, to_json};

/// A table of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogTable {
    layout_version: u32,
    /// Database of the Glue Data Catalog.
    pub database: String,
    /// Table of that database.
    pub table: String,
}

impl Record for CatalogTable {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

impl CatalogTable {
    /// The table `table` of `database`.
    pub fn new(database: &str, table: &str) -> Self {
        Self { layout_version: LAYOUT_VERSION, database: database.to_owned(), table: table.to_owned() }
    }

    /// What the table in `out` remembers.
    ///
    /// # Errors
    /// As the store reports; [`Error::Record`].
    pub fn of(out: &dyn Store) -> Result<Option<Self>, Error> {
        match out.get(CATALOG_KEY) {
            Ok(bytes) => from_json(&bytes)
                .map(Some)
                .map_err(|error| Error::Record { url: out.url(CATALOG_KEY), error }),
            Err(error) if error.may_be_missing() || error.kind() == ErrorKind::NotAFolder => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the table in `out` remember it.
    ///
    /// # Errors
    /// As the store reports.
    pub fn remember(&self, out: &dyn Store) -> Result<(), Error> {
        if Self::of(out)?.as_ref() != Some(self) {
            out.put(CATALOG_KEY, &to_json(self))?;
        }
        Ok(())
    }
}
