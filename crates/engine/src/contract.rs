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
