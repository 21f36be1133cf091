//! Open tasks that are planned anew before a run: by a program of another layout, or for a table of other options.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowquet_table::{
    Difference, Error as LogError, LAYOUT_VERSION, Log, OpenTask, Options, SourceObject, TableContract,
    TaskId,
};

use crate::contract::check_contract;
use crate::error::Error;
use crate::take::{append_plan, not_taken};

/// Has a table without files be one of the options of this run. Open tasks that were planned with others are planned anew.
///
/// # Errors
/// As [`check_contract`]; [`Error::StaleContract`] where the run may ask for what the stored contract said, and nobody else.
pub(crate) fn take_contract(log: &mut Log, options: &Options) -> Result<(), Error> {
    let stale = log.keep_contract()?;
    check_contract(log, options).map_err(|error| match (error, stale) {
        (Error::Log(LogError::Contract(differences)), Some(stale)) => {
            let told = stale.differences(options);
            let is_new = |of_table: &Difference| told.iter().all(|told| told.option != of_table.option);
            match differences.iter().any(is_new) {
                true => Error::StaleContract(differences),
                false => LogError::Contract(differences).into(),
            }
        }
        (error, _) => error,
    })?;
    if log.state().contract().differences(options).is_empty() {
        return Ok(());
    }
    let contract = TableContract::of(options);
    let changed = |of_task: &Options| match of_task.reads_otherwise(options) {
        // Of another source, maybe. Where this run lists them they are read as it does.
        true => contract.completed(of_task.clone()),
        false => options.clone(),
    };
    replan(log, &|_| true, &changed, "planned anew: a later run makes the table with other options")?;
    Ok(log.remake(options)?)
}

/// Plans the open tasks of older layouts anew, with their own options: a program of that layout may be performing them, and
/// writes other bytes under the same names. Its commit finds that they are void.
pub(crate) fn replan_old_layouts(log: &mut Log) -> Result<(), Error> {
    let is_old = |open: &OpenTask<'_>| open.layout_version < LAYOUT_VERSION;
    replan(log, &is_old, &Options::clone, "planned anew by a program of a newer layout")
}

/// Gives open tasks up, for this reason, and plans their objects anew, with what `changed` makes of their options.
fn replan(
    log: &mut Log,
    is_meant: &dyn Fn(&OpenTask<'_>) -> bool,
    changed: &dyn Fn(&Options) -> Options,
    reason: &str,
) -> Result<(), Error> {
    let mut old: Vec<(Arc<Options>, TaskId, Vec<SourceObject>)> = Vec::new();
    for open in log.state().open_tasks().filter(is_meant) {
        old.push((open.options.clone(), open.task.id, open.task.objects.clone()));
    }
    let ids = old.iter().map(|(_, id, _)| *id).collect();
    // All of them at first: they may be the only ones that keep a table from being made with other options.
    let void = log.void_tasks(&ids, reason)?;
    old.retain(|(_, id, _)| void.contains(id));
    while let Some((options, _, _)) = old.first() {
        let options = options.clone();
        let (these, others): (Vec<_>, Vec<_>) = old.into_iter().partition(|(o, _, _)| **o == *options);
        old = others;
        let objects: Vec<SourceObject> = these.into_iter().flat_map(|(_, _, objects)| objects).collect();
        append_plan(log, &changed(&options), &BTreeSet::new(), &mut |state| not_taken(state, &objects))?;
    }
    Ok(())
}
