//! Registration: the catalog's table is made to be ours, again and again with the same result.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::glue::{BATCH_MAX, Glue, Refused};
use crate::glue_table::{Column, Partition, Storage, Table, columns, parameters, table_input};
use crate::partitions::PartitionPlace;
use crate::registered::{Registered, TableChange};
use crate::table::{TableDefinition, TableName};

/// Attempts to change a table that others change at the same time.
const UPDATES_MAX: usize = 5;

/// Attempts at partitions that Glue did not take for a passing reason, and the pause before each.
const ROUNDS_MAX: u32 = 6;
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Refused partitions that an error names.
const NAMED_MAX: usize = 5;

/// Below this folder lie files that are about to stand elsewhere: a partition that points there is on its way.
const UNDER_WAY: &str = flowquet_table::RECORDS;

impl Glue {
    /// Makes the catalog's table and `partitions` what `table` and they say. Columns are added, never removed or retyped;
    /// what others set on the table stays.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`] where the table that is there is another one: the message shows both sides.
    /// [`ErrorKind::Partitions`] where Glue does not take some; the others are made.
    pub fn register(
        &self,
        table: &TableDefinition,
        partitions: &[PartitionPlace],
        create_database: bool,
    ) -> Result<Registered, Error> {
        if create_database {
            self.create_database(&table.database)?;
        }
        let mut registered = Registered {
            table: TableChange::Unchanged,
            columns_added: Vec::new(),
            partitions_created: 0,
            partitions_updated: 0,
            partitions_unchanged: 0,
        };
        let columns = self.register_table(table, &mut registered)?;
        self.register_partitions(table, &columns, partitions, &mut registered)?;
        Ok(registered)
    }

    /// Makes or updates the table, and returns its columns.
    fn register_table(
        &self,
        table: &TableDefinition,
        registered: &mut Registered,
    ) -> Result<Vec<Column>, Error> {
        let mut conflicts = 0;
        loop {
            let (done, columns) = match self.table(&table.database, &table.name)? {
                None => {
                    registered.table = TableChange::Created;
                    (self.create_table(&table.database, &table_input(table)), columns(table))
                }
                Some(there) => {
                    let (input, added) = updated(&there, table)?;
                    let columns = input.columns().to_vec();
                    if input == there.input() {
                        registered.table = TableChange::Unchanged;
                        // Of an attempt that another one was faster than.
                        registered.columns_added.clear();
                        return Ok(columns);
                    }
                    registered.table = TableChange::Updated;
                    registered.columns_added = added;
                    (self.update_table(&table.database, &input, there.version_id.as_deref()), columns)
                }
            };
            match done {
                Ok(()) => return Ok(columns),
                // Another one was faster: look again.
                Err(error)
                    if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict)
                        && conflicts < UPDATES_MAX =>
                {
                    conflicts += 1;
                    std::thread::sleep(ROUND_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn register_partitions(
        &self,
        table: &TableDefinition,
        columns: &[Column],
        partitions: &[PartitionPlace],
        registered: &mut Registered,
    ) -> Result<(), Error> {
        if table.partition_by.columns().is_empty() || partitions.is_empty() {
            return Ok(());
        }
        let there = match registered.table {
            TableChange::Created => Vec::new(),
            _ => self.partitions(&table.database, &table.name, partitions)?,
        };
        let there: HashMap<&[String], &Partition> = there.iter().map(|p| (p.values.as_slice(), p)).collect();
        let (mut missing, mut stale) = (Vec::new(), Vec::new());
        for place in partitions {
            match there.get(place.values.as_slice()) {
                None => missing.push(place),
                Some(partition) if is_current(partition, place, columns, &table.location) => {
                    registered.partitions_unchanged += 1;
                }
                Some(_) => stale.push(place),
            }
        }
        let full_name = format!("{}.{}", table.database, table.name);
        each_batch(&full_name, &missing, |some| {
            let mut refused = self.create_partitions(&table.database, &table.name, columns, some)?;
            // Who was faster made the same one.
            let before = refused.len();
            refused.retain(|(_, kind, _)| *kind != ErrorKind::AlreadyExists);
            registered.partitions_unchanged += (before - refused.len()) as u64;
            registered.partitions_created += (some.len() - before) as u64;
            Ok(refused)
        })?;
        each_batch(&full_name, &stale, |some| {
            let refused = self.update_partitions(&table.database, &table.name, columns, some)?;
            registered.partitions_updated += (some.len() - refused.len()) as u64;
            Ok(refused)
        })
    }

    /// Points partitions of a table at other folders; those that the catalog does not know are left out.
    ///
    /// # Errors
    /// As [`Self::register`]; [`ErrorKind::NotFound`] without a table.
    pub fn point(
        &self,
        database: &TableName,
        name: &TableName,
        places: &[PartitionPlace],
    ) -> Result<(), Error> {
        let full_name = format!("{database}.{name}");
        let Some(there) = self.table(database, name)? else {
            return Err(Error::new(ErrorKind::NotFound, "read", &full_name, "no such table".to_owned()));
        };
        let known = self.partitions(database, name, places)?;
        let is_known = |p: &&PartitionPlace| known.iter().any(|k| k.values == p.values);
        let places: Vec<&PartitionPlace> = places.iter().filter(is_known).collect();
        each_batch(&full_name, &places, |some| self.update_partitions(database, name, there.columns(), some))
    }
}

/// Calls `each` with batches; partitions that are refused for a passing reason come again.
fn each_batch(
    table: &str,
    places: &[&PartitionPlace],
    mut each: impl FnMut(&[&PartitionPlace]) -> Result<Refused, Error>,
) -> Result<(), Error> {
    let mut left: Vec<&PartitionPlace> = places.to_vec();
    let mut failed: Vec<String> = Vec::new();
    for round in 0..ROUNDS_MAX {
        let mut again = Vec::new();
        for some in left.chunks(BATCH_MAX) {
            for (place, kind, reason) in each(some)? {
                let is_passing =
                    matches!(kind, ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Unavailable);
                if is_passing && round + 1 < ROUNDS_MAX {
                    again.push(some[place]);
                } else {
                    failed.push(format!("{}: {reason}", some[place].values.join("/")));
                }
            }
        }
        left = again;
        if left.is_empty() {
            break;
        }
        std::thread::sleep(ROUND_PAUSE * (1 << round));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let more = failed.len().saturating_sub(NAMED_MAX);
    let mut told = failed.iter().take(NAMED_MAX).map(|f| format!("\n  {f}")).collect::<String>();
    if more > 0 {
        told.push_str(&format!("\n  and {more} more"));
    }
    let detail = format!("{} were refused{told}", failed.len());
    Err(Error::new(ErrorKind::Partitions, "register partitions of", table, detail))
}

/// The table `there` with what `table` adds, and the columns that were added.
fn updated(there: &Table, table: &TableDefinition) -> Result<(Table, Vec<String>), Error> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, there: &str, ours: &str| {
        differences.push(format!("\n  {what}: Glue has `{there}`, the table has `{ours}`"));
    };
    let mut input = there.input();
    let mut storage = input.storage_descriptor.take().unwrap_or_else(|| Storage::new(Vec::new(), ""));
    let location = storage.location.clone().unwrap_or_default();
    if without_slash(&location) != without_slash(&table.location) {
        differ("location", &location, &table.location);
    }
    let keys: Vec<&str> = there.partition_keys.iter().flatten().map(|c| c.name.as_str()).collect();
    let ours: Vec<&str> = table.partition_by.columns().iter().map(|c| c.name()).collect();
    if keys != ours {
        differ("partition columns", &keys.join(","), &ours.join(","));
    }
    let mut known = storage.columns.take().unwrap_or_default();
    let mut added = Vec::new();
    for column in columns(table) {
        match known.iter().find(|c| c.name == column.name) {
            Some(known) if known.r#type == column.r#type => {}
            Some(known) => {
                let [there, ours] = [known, &column].map(|c| c.r#type.as_deref().unwrap_or_default());
                differ(&format!("column `{}`", column.name), there, ours);
            }
            None => {
                added.push(column.name.clone());
                known.push(column);
            }
        }
    }
    if !differences.is_empty() {
        let name = format!("{}.{}", table.database, table.name);
        let detail = format!("it is another table{}", differences.concat());
        return Err(Error::new(ErrorKind::Incompatible, "register", &name, detail));
    }
    storage.columns = Some(known);
    input.storage_descriptor = Some(storage);
    let known = input.parameters.get_or_insert_default();
    for (key, value) in parameters(table) {
        let value = match known.get(&key) {
            // Whoever spelt it otherwise meant the same.
            Some(known) if known.eq_ignore_ascii_case(&value) => continue,
            Some(known) if key.ends_with(".values") => merged(known, &value),
            Some(known) if key.ends_with(".range") => earlier(known, &value),
            _ => value,
        };
        known.insert(key, value);
    }
    Ok((input, added))
}

fn without_slash(location: &str) -> &str {
    location.trim_end_matches('/')
}

/// Two comma-separated lists as one.
fn merged(known: &str, ours: &str) -> String {
    let mut values: Vec<&str> = known.split(',').collect();
    values.extend(ours.split(',').filter(|v| !known.split(',').any(|k| k == *v)));
    values.join(",")
}

/// The range that begins earlier.
fn earlier(known: &str, ours: &str) -> String {
    let begin = |range: &str| range.split(',').next().unwrap_or_default().to_owned();
    let is_date = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    // What is relative to now, or spelt otherwise, was somebody's choice.
    if !is_date(known) || begin(known) <= begin(ours) { known.to_owned() } else { ours.to_owned() }
}

/// Whether a partition needs no change.
fn is_current(there: &Partition, place: &PartitionPlace, columns: &[Column], root: &str) -> bool {
    let Some(storage) = &there.storage_descriptor else { return false };
    let location = storage.location.as_deref().unwrap_or_default();
    let is_there = without_slash(location) == without_slash(&place.location)
        || place.may_move && location.starts_with(&format!("{root}{UNDER_WAY}"));
    let known = storage.columns();
    // Athena reads a column as null in a partition that does not name it.
    let has = |c: &Column| known.iter().any(|k| k.name == c.name && k.r#type == c.r#type);
    is_there && columns.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;
    use crate::table::tests::definition;

    fn registered(table: &TableDefinition) -> Table {
        let mut there = table_input(table);
        there.others.insert("Description".to_owned(), "a description of somebody's".into());
        there.others.insert("CreatedBy".to_owned(), "somebody".into());
        there
    }

    #[test]
    fn the_same_table_changes_nothing() {
        let table = definition("${srcaddr} ${start}", "date");
        let there = registered(&table);
        let (input, added) = updated(&there, &table).expect("the same");
        assert!(input == there.input() && added.is_empty());
        assert_eq!(input.others["Description"], "a description of somebody's");
    }

    #[test]
    fn columns_are_added_and_never_removed() {
        let there = registered(&definition("${srcaddr} ${start}", "date"));
        let (input, added) = updated(&there, &definition("${bytes} ${start}", "date")).expect("compatible");
        assert_eq!(added, ["bytes"]);
        let names: Vec<_> = input.columns().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["srcaddr", "start", "srcaddr_bin", "bytes"]);
    }

    #[test]
    fn other_tables_are_told_with_both_sides() {
        let mut other = definition("${srcaddr} ${start}", "date");
        other.columns[1].column_type = flowquet_format::ColumnType::Int64;
        other.location = "s3://lake/other/".into();
        let error =
            updated(&registered(&other), &definition("${start}", "region,date")).expect_err("another");
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert_eq!(
            error.to_string(),
            "register `lake.vpc_flow_logs` in Glue: it is another table\n  location: Glue has `s3://lake/other/`, the table \
             has `s3://lake/vpc_flow_logs/`\n  partition columns: Glue has `date`, the table has \
             `region,date`\n  column `start`: Glue has `bigint`, the table has `timestamp`"
        );
    }

    #[test]
    fn projected_values_only_become_more() {
        let mut table = definition("${start}", "account,date");
        let projection = |date: &str, accounts: &[&str]| {
            let accounts = accounts.iter().map(|a| (*a).to_owned()).collect();
            Some(Projection { first_date: Some(date.into()), accounts, regions: Vec::new() })
        };
        table.projection = projection("2024-01-15", &["1", "2"]);
        let there = registered(&table);
        table.projection = projection("2024-02-01", &["2", "3"]);
        let (input, _) = updated(&there, &table).expect("compatible");
        let parameter = |key: &str| input.parameters.as_ref().expect("some")[key].clone();
        assert_eq!(parameter("projection.account.values"), "1,2,3");
        assert_eq!(parameter("projection.date.range"), "2024-01-15,NOW");
        assert_eq!(earlier("2024-01-15,NOW", "2023-01-01,NOW"), "2023-01-01,NOW");
        assert_eq!(earlier("NOW-3YEARS,NOW", "2023-01-01,NOW"), "NOW-3YEARS,NOW");
    }
}
