//! `flowquet register`.

use flowquet_catalog::{Registered, TableChange};
use flowquet_store::Store;
use flowquet_table::{CatalogTable, Log};
use indicatif::HumanCount;

use crate::args::{GlueArgs, PartitionsArg, RegisterArgs};
use crate::catalog::{GlueTable, Naming, catalogued, definition, failed, glue, glue_to_be, register};
use crate::exit::Exit;
use crate::failure::log_failure;
use crate::output::{Failure, counted, put, say};
use crate::places::{S3Args, table_store};
use crate::run_report::printed;
use crate::signals::listen_for_signals;

pub(crate) fn run(args: &RegisterArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let location = catalogued(&args.source)?;
    let out = table_store(&args.s3.stores(), &args.source);
    let Some(to) = glue_to_be(&args.glue, &args.s3, out.as_ref())? else {
        return Err(Failure::message(Exit::Usage, "--database and --table are required", None));
    };
    let log = Log::open_with_files(&out).map_err(log_failure)?;
    let state = log.state();
    let naming = Naming { database: &to.database, table: &to.table, location, partitions: args.partitions };
    let table = definition(state, &[], &naming)?;
    let partitions = state.files().partitions().map_err(log_failure)?;
    // Where Athena computes partitions, none have to be known.
    let listed = (args.partitions == PartitionsArg::Listed).then(|| partitions.keys());
    let registered = register(
        &to.glue,
        &table,
        &partitions,
        listed.into_iter().flatten(),
        // Any other that points aside was left so by a compaction that another run ended without the catalog.
        |folder| state.files().is_moving(folder),
        args.create_database,
    );
    let registered = registered.map_err(|e| failed(&e))?;
    remember(&log, &to)?;
    if args.json {
        put(&printed(&registered))?;
    } else {
        say(&text(&registered, &to.name()));
    }
    Ok(Exit::Success)
}

/// Lets the table remember which table of the catalog points at it, so that later commands need not name it.
fn remember(log: &Log, to: &GlueTable) -> Result<(), Failure> {
    to.remembered().remember(log.out().as_ref()).map_err(log_failure)
}

/// One line that says what was done.
pub(crate) fn text(registered: &Registered, name: &str) -> String {
    let change = match registered.table {
        TableChange::Created => "created",
        TableChange::Unchanged => "up to date",
        TableChange::Updated => "updated",
    };
    let mut text = format!("registered {name}: table {change}");
    if !registered.columns_added.is_empty() {
        text.push_str(&format!(", new columns {}", registered.columns_added.join(", ")));
    }
    text.push_str(&format!(
        "; {} created, {} updated, {} unchanged",
        counted(registered.partitions_created, "partition"),
        HumanCount(registered.partitions_updated),
        HumanCount(registered.partitions_unchanged)
    ));
    text
}

/// The catalog's table that a run registers to: the one that is named, or that was named before.
pub(crate) fn registered_to(args: &GlueArgs, s3: &S3Args, out: &dyn Store) -> Result<GlueTable, Failure> {
    glue(args, s3, out)?.ok_or_else(|| {
        let message = "--database and --table are required with --register, the first time";
        Failure::message(Exit::Usage, message, None)
    })
}

/// Registers what a run wrote, and all that the table has where it was not registered before. `touched` are partition folders.
pub(crate) fn after_run(
    args: &GlueArgs,
    s3: &S3Args,
    out: &flowquet_store::Location,
    touched: &std::collections::BTreeSet<String>,
) -> Result<(Registered, String), Failure> {
    let location = catalogued(out)?;
    let store = table_store(&s3.stores(), out);
    let to = registered_to(args, s3, store.as_ref())?;
    let log = Log::open_with_files(&store).map_err(log_failure)?;
    let partitions = PartitionsArg::Listed;
    let naming = Naming { database: &to.database, table: &to.table, location, partitions };
    let table = definition(log.state(), &[], &naming)?;
    let all = log.state().files().partitions().map_err(log_failure)?;
    // Only what was registered once has its other partitions.
    let remembered = CatalogTable::of(store.as_ref()).map_err(log_failure)?;
    let is_registered = remembered.is_some_and(|c| c == to.remembered());
    let folders: Vec<&String> = if is_registered { touched.iter().collect() } else { all.keys().collect() };
    // A compaction may have begun since the records were read.
    let registered = register(&to.glue, &table, &all, folders, |_| true, false).map_err(|e| failed(&e))?;
    remember(&log, &to)?;
    Ok((registered, to.name()))
}
