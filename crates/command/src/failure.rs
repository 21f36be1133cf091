//! Errors of stores and of a table's log as the programs tell them: exit codes, and what to do.

use flowquet_store::Error as StoreError;
use flowquet_table::{Error as LogError, RecordError};

use crate::exit::Exit;
use crate::output::{Failure, error_text, shown};

/// What to do where our own invariants do not hold.
pub const BROKEN: &str =
    "please report this, with the table's _flowquet folder if you can; nothing was committed";

/// What to do about a record that somebody changed.
pub const RECORD_EDITED: &str = "records must not be edited; restore the file";

/// The exit code where a store failed.
pub fn exit_of_store_error(error: &StoreError) -> Exit {
    if error.kind().is_transient() { Exit::Unavailable } else { Exit::Failed }
}

/// What to do about an error of a table's log, where something can be said.
pub fn hint_of_log(error: &LogError) -> Option<&'static str> {
    Some(match error {
        LogError::Broken { .. } => BROKEN,
        LogError::Checkpoint { .. } => {
            "run the same command again; if that does not help, delete the folder `_flowquet/checkpoints`, which holds nothing unique"
        }
        LogError::NoTable(_) => {
            "check the path; `flowquet convert` creates a table, also from Parquet files that AWS delivered"
        }
        LogError::Record { error: RecordError::Version { .. }, .. } => {
            "another version of flowquet wrote this table: use that one, or a newer one"
        }
        LogError::Record { .. } => RECORD_EDITED,
        LogError::StalePlan { .. } => "make the plan again with `flowquet plan`",
        LogError::Contract(_) | LogError::Store(_) => return None,
    })
}

/// The message for an error of a store that ends a command.
pub fn store_failure(error: &StoreError) -> Failure {
    let mut text = error_text(error, None);
    error.notes().iter().for_each(|note| text.push_str(&format!("\n  {}", shown(note))));
    error.hint().iter().for_each(|hint| text.push_str(&format!("\nhint: {hint}")));
    Failure::Told(exit_of_store_error(error), text)
}

/// The message for an error of a table's log that ends a command which reads the table.
pub fn log_failure(error: &LogError) -> Failure {
    match error {
        LogError::Store(error) => store_failure(error),
        _ => Failure::new(Exit::Failed, error, hint_of_log(error).map(str::to_owned)),
    }
}
