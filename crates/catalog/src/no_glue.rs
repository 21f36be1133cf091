//! What stands in for the Glue Data Catalog in a program that was built without the feature `glue`.

use flowquet_aws::AwsOptions;

use crate::error::{Error, ErrorKind};
use crate::partitions::PartitionPlace;
use crate::registered::Registered;
use crate::table::{TableDefinition, TableName};

/// No catalog: each call is an error.
#[derive(Debug)]
pub struct Glue;

impl Glue {
    /// Whether this program can speak to Glue.
    pub const IS_BUILT: bool = false;

    /// No catalog, whatever the options.
    pub fn new(_: &AwsOptions) -> Self {
        Self
    }

    /// Knows no database.
    ///
    /// # Errors
    /// Always.
    pub fn has_database(&self, name: &TableName) -> Result<bool, Error> {
        Err(not_built(name, name))
    }

    /// Knows no table.
    ///
    /// # Errors
    /// Always.
    pub fn has_table(&self, database: &TableName, name: &TableName) -> Result<bool, Error> {
        Err(not_built(database, name))
    }

    /// Tries nothing.
    pub fn try_writes(&self, _: &TableName, _: &TableName) -> Vec<(&'static str, Result<(), Error>)> {
        Vec::new()
    }

    /// Registers nothing.
    ///
    /// # Errors
    /// Always.
    pub fn register(
        &self,
        table: &TableDefinition,
        _: &[PartitionPlace],
        _: bool,
    ) -> Result<Registered, Error> {
        Err(not_built(&table.database, &table.name))
    }

    /// Points nothing elsewhere.
    ///
    /// # Errors
    /// Always.
    pub fn point(&self, database: &TableName, name: &TableName, _: &[PartitionPlace]) -> Result<(), Error> {
        Err(not_built(database, name))
    }
}

fn not_built(database: &TableName, name: &TableName) -> Error {
    let detail = "this program was built without the feature `glue`".to_owned();
    Error::new(ErrorKind::Other, "write", &format!("{database}.{name}"), detail)
}
