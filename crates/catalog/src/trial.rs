//! Whether the catalog would let us register a table, tried by calls that it must refuse for what they ask.
//!
//! Glue looks at permissions before it looks at what is asked, so that a call which it refuses for its content is one that it would
//! have let us make. Nothing is left behind also where a catalog takes such a call: each either changes nothing then, or is undone.
//!
//! Sources: docs.aws.amazon.com/glue/latest/webapi/API_CreateTable.html, …/API_UpdateTable.html, …/API_BatchCreatePartition.html (from 0
//! to 100 partitions), …/API_BatchUpdatePartition.html, …/API_BatchGetPartition.html.

use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, PartitionIndex, PartitionInput, PartitionValueList, TableInput,
};

use crate::error::{Error, ErrorKind};
use crate::glue::Glue;
use crate::sdk_input::input_of;
use crate::table::TableName;

/// What nothing of a table is called: a partition's value, a column, a version.
const NOWHERE: &str = "flowquet-doctor-tries-this";

/// The permission that a call needs, and whether there is it.
type Tried = (&'static str, Result<(), Error>);

impl Glue {
    /// What `register` calls, and whether the catalog would let us; of calls that were refused for what they ask, it would.
    pub fn try_writes(&self, database: &TableName, name: &TableName) -> Vec<Tried> {
        vec![
            self.try_create(database, name),
            self.try_update(database, name),
            ("glue:BatchGetPartition", self.try_get_partition(database, name)),
            ("glue:BatchCreatePartition", self.try_create_partition(database, name)),
            ("glue:BatchUpdatePartition", self.try_update_partition(database, name)),
        ]
    }

    /// A table whose index is of a column that it does not have, where there is none; else one that is there.
    fn try_create(&self, database: &TableName, name: &TableName) -> Tried {
        const ACTION: &str = "glue:CreateTable";
        let index = PartitionIndex::builder().keys(NOWHERE).index_name(NOWHERE).build();
        let index = index.expect("it has a key and a name");
        let ask = self.client().create_table().database_name(database.as_str());
        let ask = ask.table_input(named(name)).partition_indexes(index).send();
        match self.block_on(ask) {
            // A catalog that does not mind. Whoever may create tables and not delete them has to hear of it.
            Ok(_) => {
                let undo = self.client().delete_table().database_name(database.as_str()).name(name.as_str());
                let undone = self.block_on(undo.send());
                let undone = undone.map(drop);
                ("glue:DeleteTable", undone.map_err(|e| Error::of("delete table", &full(database, name), &e)))
            }
            Err(error) => (ACTION, allowed(Error::of("create table", &full(database, name), &error))),
        }
    }

    /// The table as it is, in place of a version that it does not have.
    fn try_update(&self, database: &TableName, name: &TableName) -> Tried {
        let input = match self.table(database, name) {
            Ok(there) => there.as_ref().map_or_else(|| named(name), input_of),
            Err(error) => return ("glue:GetTable", Err(error)),
        };
        let ask = self.client().update_table().database_name(database.as_str()).table_input(input);
        let answer = self.block_on(ask.version_id(NOWHERE).skip_archive(true).send());
        let answer = answer.map(drop);
        (
            "glue:UpdateTable",
            answer.or_else(|e| allowed(Error::of("update table", &full(database, name), &e))),
        )
    }

    fn try_get_partition(&self, database: &TableName, name: &TableName) -> Result<(), Error> {
        let place = PartitionValueList::builder().values(NOWHERE).build().expect("it has values");
        let ask = self.client().batch_get_partition().database_name(database.as_str());
        let answer = self.block_on(ask.table_name(name.as_str()).partitions_to_get(place).send());
        answer.map(drop).or_else(|e| allowed(Error::of("read partitions of", &full(database, name), &e)))
    }

    /// None.
    fn try_create_partition(&self, database: &TableName, name: &TableName) -> Result<(), Error> {
        let ask = self.client().batch_create_partition().database_name(database.as_str());
        let ask = ask.table_name(name.as_str()).set_partition_input_list(Some(Vec::new()));
        let answer = self.block_on(ask.send());
        answer.map(drop).or_else(|e| allowed(Error::of("create partitions of", &full(database, name), &e)))
    }

    /// One that is not there.
    fn try_update_partition(&self, database: &TableName, name: &TableName) -> Result<(), Error> {
        let entry = BatchUpdatePartitionRequestEntry::builder().partition_value_list(NOWHERE);
        let entry = entry.partition_input(PartitionInput::builder().values(NOWHERE).build()).build();
        let ask = self.client().batch_update_partition().database_name(database.as_str());
        let ask = ask.table_name(name.as_str()).entries(entry.expect("it has values and input"));
        let answer = self.block_on(ask.send());
        answer.map(drop).or_else(|e| allowed(Error::of("update partitions of", &full(database, name), &e)))
    }
}

fn named(name: &TableName) -> TableInput {
    TableInput::builder().name(name.as_str()).build().expect("it has a name")
}

fn full(database: &TableName, name: &TableName) -> String {
    format!("{database}.{name}")
}

/// A refusal for what was asked says that we may ask.
fn allowed(error: Error) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::NotFound
        | ErrorKind::Incompatible
        | ErrorKind::Partitions
        | ErrorKind::Other => Ok(()),
        ErrorKind::Credentials | ErrorKind::Denied | ErrorKind::Throttled | ErrorKind::Unavailable => {
            Err(error)
        }
    }
}
