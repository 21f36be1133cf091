//! `flowquet register`.

use flowquet_catalog::{Registered, TableChange};
use flowquet_engine::Inventory;
use indicatif::HumanCount;

use crate::args::{GlueArgs, PartitionsArg, RegisterArgs};
use crate::catalog::{Naming, catalogued, definition, failed, glue, register};
use crate::convert::{engine_failure, listen_for_signals};
use crate::exit::Exit;
use crate::output::{Failure, counted, put, say};
use crate::places::{S3Args, table_store};

pub(crate) fn run(args: &RegisterArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let location = catalogued(&args.source)?;
    let Some((glue, database, table)) = glue(&args.glue, &args.s3) else {
        return Err(Failure::message(Exit::Usage, "expected --database and --table", None));
    };
    let out = table_store(&args.s3.stores(), &args.source);
    let inventory = Inventory::read(out.as_ref()).map_err(|e| engine_failure(&e))?;
    let naming = Naming { database, table, location, partitions: args.partitions };
    let table = definition(&inventory, &[], &naming)?;
    // Where Athena computes partitions, none have to be known.
    let listed = (args.partitions == PartitionsArg::Listed).then(|| inventory.partitions.keys());
    let registered = register(
        &glue,
        &table,
        &inventory,
        listed.into_iter().flatten(),
        // Any other that points aside was left so by a compaction that another run ended without the catalog.
        |folder| inventory.is_moving(folder),
        args.create_database,
    );
    let registered = registered.map_err(|e| failed(&e))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&registered).expect("plain values")))?;
    } else {
        say(&text(&registered, &args.glue));
    }
    Ok(Exit::Success)
}

/// One line that says what was done.
pub(crate) fn text(registered: &Registered, glue: &GlueArgs) -> String {
    let name = |name: &Option<flowquet_catalog::TableName>| {
        name.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let change = match registered.table {
        TableChange::Created => "created",
        TableChange::Unchanged => "as it was",
        TableChange::Updated => "updated",
    };
    let mut text = format!("registered {}.{}: table {change}", name(&glue.database), name(&glue.table));
    if !registered.columns_added.is_empty() {
        text.push_str(&format!(", new columns {}", registered.columns_added.join(", ")));
    }
    text.push_str(&format!(
        "; {} created, {} updated, {} as they were",
        counted(registered.partitions_created, "partition"),
        HumanCount(registered.partitions_updated),
        HumanCount(registered.partitions_unchanged)
    ));
    text
}

/// Registers what a run wrote. `touched` are partition folders.
pub(crate) fn after_run(
    args: &GlueArgs,
    s3: &S3Args,
    out: &flowquet_store::Location,
    touched: &std::collections::BTreeSet<String>,
) -> Result<Registered, Failure> {
    let location = catalogued(out)?;
    let Some((glue, database, table)) = glue(args, s3) else {
        return Err(Failure::message(Exit::Usage, "expected --database and --table with --register", None));
    };
    let store = table_store(&s3.stores(), out);
    let inventory = Inventory::read(store.as_ref()).map_err(|e| engine_failure(&e))?;
    let naming = Naming { database, table, location, partitions: PartitionsArg::Listed };
    let table = definition(&inventory, &[], &naming)?;
    // A compaction may have begun since the records were read.
    register(&glue, &table, &inventory, touched, |_| true, false).map_err(|e| failed(&e))
}
