//! What all files of a table have in common, and what a run asks for.

use flowquet_table::{Error as LogError, Log, Options};

use crate::error::Error;

/// Checks what a run with `options` asks for against what all files of the table have in common. A table without files takes what it is asked
/// for.
///
/// # Errors
/// [`LogError::Contract`]; as the store reports.
pub(crate) fn check_contract(log: &mut Log, options: &Options) -> Result<(), Error> {
    let differences = log.state().contract().differences(options);
    if differences.is_empty() || log.ask(|state| state.files().is_empty())? {
        return Ok(());
    }
    Err(LogError::Contract(differences).into())
}

/// Has a table without files be one of the options of this run. Open tasks that were planned with others are given up.
///
/// # Errors
/// As [`check_contract`].
pub(crate) fn take_contract(log: &mut Log, options: &Options) -> Result<(), Error> {
    log.keep_contract()?;
    check_contract(log, options)?;
    if log.state().contract().differences(options).is_empty() {
        return Ok(());
    }
    let open = log.state().open_tasks().map(|open| open.task.id).collect();
    log.void_tasks(&open, "planned anew: a later run makes the table with other options")?;
    Ok(log.remake(options)?)
}
