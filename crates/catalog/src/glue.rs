//! Calls to the Glue Data Catalog. Each is tried again by the SDK where Glue is throttled or ill.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, Column, DatabaseInput, Partition, PartitionValueList, Table, TableInput,
};
use flowquet_aws::AwsOptions;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, ErrorKind, kind_of};
use crate::partitions::PartitionPlace;
use crate::sdk_input::partition_input;
use crate::table::TableName;

/// Attempts at a call, in all.
const ATTEMPTS_MAX: u32 = 10;

/// First pause between attempts; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// Time that an attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries of a batch that makes or changes partitions (docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html).
pub(crate) const BATCH_MAX: usize = 100;

/// Entries of a batch that asks for partitions (…/API_BatchGetPartition.html).
const GET_BATCH_MAX: usize = 1_000;

/// The Glue Data Catalog of an account and region. Calls wait.
#[derive(Debug)]
pub struct Glue {
    runtime: Runtime,
    client: Client,
}

/// Partitions of a batch that Glue did not take: their place in it, and why.
pub(crate) type Refused = Vec<(usize, ErrorKind, String)>;

impl Glue {
    /// Whether this program can speak to Glue.
    pub const IS_BUILT: bool = true;

    /// The catalog that `options`, environment and profiles lead to. Nothing is asked yet.
    pub fn new(options: &AwsOptions) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime without threads");
        let config = runtime.block_on(flowquet_aws::load(options));
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = aws_sdk_glue::config::Builder::from(&config)
            .retry_config(
                RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX).with_initial_backoff(PAUSE_FIRST),
            )
            .timeout_config(timeouts)
            .build();
        Self { runtime, client: Client::from_conf(config) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for an answer.
    pub(crate) fn block_on<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The table, if there is one.
    pub(crate) fn table(&self, database: &TableName, name: &TableName) -> Result<Option<Table>, Error> {
        let ask = self.client.get_table().database_name(database.as_str()).name(name.as_str()).send();
        match self.runtime.block_on(ask) {
            Ok(answer) => Ok(answer.table),
            Err(error) => match Error::of("read", &format!("{database}.{name}"), &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// As Glue reports.
    pub fn has_database(&self, name: &TableName) -> Result<bool, Error> {
        match self.runtime.block_on(self.client.get_database().name(name.as_str()).send()) {
            Ok(_) => Ok(true),
            Err(error) => match Error::of("read database", name.as_str(), &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Whether there is a table of this name; also where there is no such database.
    ///
    /// # Errors
    /// As Glue reports.
    pub fn has_table(&self, database: &TableName, name: &TableName) -> Result<bool, Error> {
        self.table(database, name).map(|table| table.is_some())
    }

    /// Makes a database unless there is one.
    pub(crate) fn create_database(&self, name: &TableName) -> Result<(), Error> {
        let input = DatabaseInput::builder().name(name.as_str()).build().expect("it has a name");
        match self.runtime.block_on(self.client.create_database().database_input(input).send()) {
            Ok(_) => Ok(()),
            Err(error) => match Error::of("create database", name.as_str(), &error) {
                error if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                error => Err(error),
            },
        }
    }

    pub(crate) fn create_table(&self, database: &TableName, input: TableInput) -> Result<(), Error> {
        let name = format!("{database}.{}", input.name());
        let ask = self.client.create_table().database_name(database.as_str()).table_input(input).send();
        self.runtime.block_on(ask).map(drop).map_err(|e| Error::of("create table", &name, &e))
    }

    /// Changes a table that still has the version that was read.
    pub(crate) fn update_table(
        &self,
        database: &TableName,
        input: TableInput,
        version: Option<String>,
    ) -> Result<(), Error> {
        let name = format!("{database}.{}", input.name());
        let ask = self.client.update_table().database_name(database.as_str()).table_input(input);
        let answer = self.runtime.block_on(ask.set_version_id(version).send());
        answer.map(drop).map_err(|e| Error::of("update table", &name, &e))
    }

    /// Those of `places` that the catalog knows.
    pub(crate) fn partitions(
        &self,
        database: &TableName,
        name: &TableName,
        places: &[PartitionPlace],
    ) -> Result<Vec<Partition>, Error> {
        let mut found = Vec::new();
        for some in places.chunks(GET_BATCH_MAX) {
            let mut wanted: Vec<PartitionValueList> = some.iter().map(|p| value_list(&p.values)).collect();
            while !wanted.is_empty() {
                let ask = self.client.batch_get_partition().database_name(database.as_str());
                let ask = ask.table_name(name.as_str()).set_partitions_to_get(Some(wanted)).send();
                let answer = self.runtime.block_on(ask);
                let answer =
                    answer.map_err(|e| Error::of("read partitions of", &format!("{database}.{name}"), &e))?;
                found.extend(answer.partitions.unwrap_or_default());
                wanted = answer.unprocessed_keys.unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// Makes up to [`BATCH_MAX`] partitions.
    pub(crate) fn create_partitions(
        &self,
        database: &TableName,
        name: &TableName,
        columns: &[Column],
        places: &[&PartitionPlace],
    ) -> Result<Refused, Error> {
        let inputs = places.iter().map(|p| partition_input(columns, p)).collect();
        let ask =
            self.client.batch_create_partition().database_name(database.as_str()).table_name(name.as_str());
        let answer = self.runtime.block_on(ask.set_partition_input_list(Some(inputs)).send());
        let answer =
            answer.map_err(|e| Error::of("create partitions of", &format!("{database}.{name}"), &e))?;
        let errors = answer.errors.unwrap_or_default().into_iter();
        Ok(errors.filter_map(|e| refused(places, e.partition_values(), e.error_detail())).collect())
    }

    /// Changes up to [`BATCH_MAX`] partitions.
    pub(crate) fn update_partitions(
        &self,
        database: &TableName,
        name: &TableName,
        columns: &[Column],
        places: &[&PartitionPlace],
    ) -> Result<Refused, Error> {
        let entry = |p: &&PartitionPlace| {
            let entry = BatchUpdatePartitionRequestEntry::builder();
            let entry = entry.set_partition_value_list(Some(p.values.clone()));
            entry.partition_input(partition_input(columns, p)).build().expect("it has values and input")
        };
        let entries = places.iter().map(entry).collect();
        let ask =
            self.client.batch_update_partition().database_name(database.as_str()).table_name(name.as_str());
        let answer = self.runtime.block_on(ask.set_entries(Some(entries)).send());
        let answer =
            answer.map_err(|e| Error::of("update partitions of", &format!("{database}.{name}"), &e))?;
        let errors = answer.errors.unwrap_or_default().into_iter();
        Ok(errors.filter_map(|e| refused(places, e.partition_value_list(), e.error_detail())).collect())
    }
}

fn value_list(values: &[String]) -> PartitionValueList {
    PartitionValueList::builder().set_values(Some(values.to_vec())).build().expect("it has values")
}

fn refused(
    places: &[&PartitionPlace],
    values: &[String],
    detail: Option<&aws_sdk_glue::types::ErrorDetail>,
) -> Option<(usize, ErrorKind, String)> {
    let place = places.iter().position(|p| p.values == values)?;
    let code = detail.and_then(|d| d.error_code()).unwrap_or_default();
    let message = detail.and_then(|d| d.error_message()).unwrap_or("no reason given");
    Some((place, kind_of(code), format!("{code}: {message}")))
}
