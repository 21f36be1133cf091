//! Whether the catalog would let us register a table, tried by calls that it must refuse for what they ask.
//!
//! Glue looks at permissions before it looks at what is asked, so that a call which it refuses for its content is one that it would
//! have let us make. Nothing is left behind also where a catalog takes such a call: each either changes nothing then, or is undone.
//!
//! Sources: docs.aws.amazon.com/glue/latest/webapi/API_CreateTable.html, …/API_UpdateTable.html, …/API_BatchCreatePartition.html (from 0
//! to 100 partitions), …/API_BatchUpdatePartition.html, …/API_BatchGetPartition.html.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};
use crate::glue::Glue;
use crate::glue_table::Table;
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
            self.try_get_partition(database, name),
            self.try_create_partition(database, name),
            self.try_update_partition(database, name),
        ]
    }

    /// A table whose index is of a column that it does not have, where there is none; else one that is there.
    fn try_create(&self, database: &TableName, name: &TableName) -> Tried {
        let index = json!({ "Keys": [NOWHERE], "IndexName": NOWHERE });
        let input = Table::named(name.as_str());
        let ask =
            json!({ "DatabaseName": database.as_str(), "TableInput": input, "PartitionIndexes": [index] });
        let full_name = full(database, name);
        match self.call::<IgnoredAny>("CreateTable", ("create table", &full_name), &ask) {
            // A catalog that does not mind. Whoever may create tables and not delete them has to hear of it.
            Ok(_) => {
                let ask = json!({ "DatabaseName": database.as_str(), "Name": name.as_str() });
                let undone = self.call::<IgnoredAny>("DeleteTable", ("delete table", &full_name), &ask);
                ("glue:DeleteTable", undone.map(drop))
            }
            Err(error) => ("glue:CreateTable", allowed(error)),
        }
    }

    /// The table as it is, in place of a version that it does not have.
    fn try_update(&self, database: &TableName, name: &TableName) -> Tried {
        let input = match self.table(database, name) {
            Ok(there) => there.map_or_else(|| Table::named(name.as_str()), |there| there.input()),
            Err(error) => return ("glue:GetTable", Err(error)),
        };
        let more = json!({ "TableInput": input, "VersionId": NOWHERE, "SkipArchive": true });
        let done = self.try_call("UpdateTable", ("update table", &full(database, name)), database, more);
        ("glue:UpdateTable", done)
    }

    fn try_get_partition(&self, database: &TableName, name: &TableName) -> Tried {
        let more = json!({ "TableName": name.as_str(), "PartitionsToGet": [{ "Values": [NOWHERE] }] });
        let doing = ("read partitions of", &*full(database, name));
        ("glue:BatchGetPartition", self.try_call("BatchGetPartition", doing, database, more))
    }

    /// None.
    fn try_create_partition(&self, database: &TableName, name: &TableName) -> Tried {
        let more = json!({ "TableName": name.as_str(), "PartitionInputList": [] });
        let doing = ("create partitions of", &*full(database, name));
        ("glue:BatchCreatePartition", self.try_call("BatchCreatePartition", doing, database, more))
    }

    /// One that is not there.
    fn try_update_partition(&self, database: &TableName, name: &TableName) -> Tried {
        let entry = json!({ "PartitionValueList": [NOWHERE], "PartitionInput": { "Values": [NOWHERE] } });
        let more = json!({ "TableName": name.as_str(), "Entries": [entry] });
        let doing = ("update partitions of", &*full(database, name));
        ("glue:BatchUpdatePartition", self.try_call("BatchUpdatePartition", doing, database, more))
    }

    fn try_call(
        &self,
        call: &str,
        doing: (&'static str, &str),
        database: &TableName,
        mut ask: Value,
    ) -> Result<(), Error> {
        ask["DatabaseName"] = database.as_str().into();
        self.call::<IgnoredAny>(call, doing, &ask).map(drop).or_else(allowed)
    }
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
        ErrorKind::Credentials
        | ErrorKind::Denied
        | ErrorKind::NotImplemented
        | ErrorKind::Throttled
        | ErrorKind::Unavailable => Err(error),
    }
}
