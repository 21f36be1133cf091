//! A table of ours as engines and catalogs are told of it, and the catalog that is told.

use std::collections::{BTreeMap, BTreeSet};

use flowquet_catalog::{
    Error, FormatUse, Glue, NameError, PartitionPlace, Projection, Registered, TableChange, TableDefinition,
    TableName, union_columns,
};
use flowquet_engine::Pointers;
use flowquet_format::{HIVE_NULL, PartitionColumn, PartitionSpec, hive_values};
use flowquet_store::{Location, Store};
use flowquet_table::{CatalogTable, LiveFile, TableState};

use crate::args::{GlueArgs, PartitionsArg};
use crate::exit::Exit;
use crate::failure::{engine_failure, exit_of_catalog_error, hint_of_catalog, log_failure};
use crate::output::{Failure, counted, say, shown, shown_lines};
use crate::places::S3Args;

/// What a table is called, where it lies, and how its partitions are found.
pub(crate) struct Naming<'a> {
    pub(crate) database: &'a TableName,
    pub(crate) table: &'a TableName,
    /// URL of its root.
    pub(crate) location: String,
    pub(crate) partitions: PartitionsArg,
}

/// The definition of a table in this state, and of files of `more` formats to come.
pub(crate) fn definition(
    state: &TableState,
    more: &[FormatUse<'_>],
    naming: &Naming<'_>,
) -> Result<TableDefinition, Failure> {
    let formats = state.files().formats().map_err(log_failure)?;
    let mut uses: Vec<FormatUse<'_>> =
        formats.iter().map(|(format, options)| FormatUse { format, options }).collect();
    uses.extend(more);
    let mut table = defined(&uses, state.contract().partition_by.clone(), naming)?;
    if naming.partitions == PartitionsArg::Projected {
        table.projection = Some(projection(state, &table.partition_by)?);
    }
    Ok(table)
}

/// The definition of a table of files of these formats.
pub(crate) fn defined(
    uses: &[FormatUse<'_>],
    partition_by: PartitionSpec,
    naming: &Naming<'_>,
) -> Result<TableDefinition, Failure> {
    let columns = union_columns(uses, &partition_by).map_err(|e| {
        let hint = "files of one table must agree: convert these logs into a table of their own";
        Failure::message(Exit::Failed, &e.to_string(), Some(hint))
    })?;
    let projection = (naming.partitions == PartitionsArg::Projected).then(Projection::default);
    Ok(TableDefinition {
        database: naming.database.clone(),
        name: naming.table.clone(),
        location: format!("{}/", naming.location.trim_end_matches('/')),
        columns,
        partition_by,
        projection,
    })
}

/// What is known of the values of partition columns. Says what projection does not reach.
fn projection(state: &TableState, by: &PartitionSpec) -> Result<Projection, Failure> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut unseen = 0;
    for (folder, files) in &state.files().partitions().map_err(log_failure)? {
        let found = hive_values(folder);
        if found.iter().any(|v| v == HIVE_NULL) {
            unseen += files.iter().map(|f| f.output.rows).sum::<u64>();
            continue;
        }
        for (column, value) in by.columns().iter().zip(found) {
            values.entry(column.name()).or_default().insert(value);
        }
    }
    if unseen > 0 {
        say(&format!(
            "warning: {} in partitions without a value, which projection does not reach; `--partitions listed` does",
            counted(unseen, "record")
        ));
    }
    let mut of = |column: PartitionColumn| values.remove(column.name()).unwrap_or_default();
    Ok(Projection {
        first_date: of(PartitionColumn::Date).into_iter().next(),
        accounts: of(PartitionColumn::Account).into_iter().collect(),
        regions: of(PartitionColumn::Region).into_iter().collect(),
    })
}

/// The places of partitions, by folder; `may_move` tells which of them a compaction may be about to move.
pub(crate) fn places<'a>(
    location: &str,
    folders: impl IntoIterator<Item = &'a String>,
    may_move: impl Fn(&str) -> bool,
) -> Vec<PartitionPlace> {
    let place = |folder: &String| PartitionPlace {
        values: hive_values(folder),
        location: format!("{}/{folder}/", location.trim_end_matches('/')),
        may_move: may_move(folder),
    };
    folders.into_iter().filter(|f| !f.is_empty()).map(place).collect()
}

/// A table of a catalog.
pub(crate) struct GlueTable {
    pub(crate) glue: Glue,
    pub(crate) database: TableName,
    pub(crate) table: TableName,
}

impl GlueTable {
    /// For people.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }

    /// As a table remembers it.
    pub(crate) fn remembered(&self) -> CatalogTable {
        CatalogTable::new(&self.database.to_string(), &self.table.to_string())
    }
}

/// The catalog's table that the table in `out` remembers, or the first time the one that the command line names; `None` where
/// neither does. Another one than is remembered is refused.
pub(crate) fn glue(args: &GlueArgs, s3: &S3Args, out: &dyn Store) -> Result<Option<GlueTable>, Failure> {
    let Some(named) = glue_to_be(args, s3, out)? else { return Ok(None) };
    match CatalogTable::of(out).map_err(log_failure)? {
        Some(remembered) if remembered != named.remembered() => {
            let (root, name) = (out.url(""), named.name());
            let message = format!(
                "the table is registered as {}.{}, and this run names {name}",
                remembered.database, remembered.table
            );
            let hint = format!(
                "drop --database and --table; or `flowquet register {} --database {} --table {}` registers it as {name} from now on",
                shown(&root),
                named.database,
                named.table
            );
            Err(Failure::message(Exit::Usage, &message, Some(&hint)))
        }
        _ => Ok(Some(named)),
    }
}

/// The catalog's table that the command line names, whatever the table in `out` remembers, or else the one that it remembers.
pub(crate) fn glue_to_be(
    args: &GlueArgs,
    s3: &S3Args,
    out: &dyn Store,
) -> Result<Option<GlueTable>, Failure> {
    let named = match args.database.clone().zip(args.table.clone()) {
        Some(named) => Some(named),
        None => {
            let remembered = CatalogTable::of(out).map_err(|e| engine_failure(&e.into()))?;
            let wrong = |e: NameError| {
                Failure::message(Exit::Failed, &format!("read {}: {e}", out.url("_flowquet")), None)
            };
            let names = remembered.map(|c| Ok((c.database.parse()?, c.table.parse()?)));
            names.transpose().map_err(wrong)?
        }
    };
    let glue = || Glue::new(&s3.glue(args.glue_endpoint_url.clone()));
    Ok(named.map(|(database, table)| GlueTable { glue: glue(), database, table }))
}

/// A table's place as a catalog can have it.
pub(crate) fn catalogued(location: &Location) -> Result<String, Failure> {
    if location.is_s3() {
        return Ok(location.to_string());
    }
    let message = format!("the Glue Data Catalog needs a table in S3, and `{location}` is a local folder");
    let hint =
        "for engines on this machine, print a statement with `flowquet schema TABLE --as duckdb` (or spark)";
    Err(Failure::message(Exit::Usage, &message, Some(hint)))
}

pub(crate) fn failed(error: &Error) -> Failure {
    // It lists partitions or columns, a line each.
    Failure::message(exit_of_catalog_error(error), &shown_lines(&error.to_string()), hint_of_catalog(error))
}

/// Registers the table with the partitions of `folders`, or with all of them where the catalog had no such table, and where it got
/// columns: partitions that do not name a column show it as null.
pub(crate) fn register<'a>(
    glue: &Glue,
    table: &TableDefinition,
    partitions: &BTreeMap<String, Vec<LiveFile>>,
    folders: impl IntoIterator<Item = &'a String>,
    may_move: impl Fn(&str) -> bool,
    create_database: bool,
) -> Result<Registered, Error> {
    let some = places(&table.location, folders, &may_move);
    let mut registered = glue.register(table, &some, create_database)?;
    let lacks_others = registered.table == TableChange::Created
        && table.projection.is_none()
        && some.len() < partitions.len();
    if lacks_others || !registered.columns_added.is_empty() {
        let all = places(&table.location, partitions.keys(), &may_move);
        let again = glue.register(table, &all, false)?;
        registered.partitions_created += again.partitions_created;
        registered.partitions_updated += again.partitions_updated;
        registered.partitions_unchanged = again.partitions_unchanged;
    }
    Ok(registered)
}

impl Pointers for GlueTable {
    fn point(
        &self,
        places: &BTreeMap<String, String>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let place = |(folder, location): (&String, &String)| PartitionPlace {
            values: hive_values(folder),
            location: location.clone(),
            may_move: true,
        };
        let places: Vec<PartitionPlace> = places.iter().filter(|(f, _)| !f.is_empty()).map(place).collect();
        Ok(self.glue.point(&self.database, &self.table, &places)?)
    }
}
