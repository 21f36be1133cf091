//! `flowquet sql`: hands its arguments to `flowquet-sql`, a program of its own that has an engine in it.

use std::ffi::{OsStr, OsString};
use std::io::{Error as IoError, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use flowquet_command::sql::PROGRAM;

use crate::config::command_of;
use crate::exit::Exit;
use crate::output::Failure;

/// Becomes the other program, so that terminal, signals and exit code are its own. `words` are the whole command line.
pub(crate) fn run(words: &[OsString]) -> Result<Exit, Failure> {
    let args = without_name(words);
    let beside = beside();
    // The one of this version first; then whichever a package or a user has put on the path.
    for program in beside.iter().map(|path| path.as_os_str()).chain([OsStr::new(PROGRAM)]) {
        let error = Command::new(program).args(&args).exec();
        if error.kind() != ErrorKind::NotFound {
            return Err(not_run(program, &error));
        }
    }
    let message = format!(
        "`flowquet sql` is the program {PROGRAM}, which is not installed: not found {}on the PATH",
        beside
            .as_deref()
            .and_then(|path| path.parent())
            .map(|folder| format!("in {} or ", folder.display()))
            .unwrap_or_default()
    );
    let hint = "install it with `cargo install --locked --profile dist --path crates/sql` in the sources of flowquet; `flowquet schema TABLE --as duckdb` prints a view for \
         DuckDB, which answers the same questions";
    Err(Failure::message(Exit::Failed, &message, Some(hint)))
}

/// The words behind the program's own name, without that of the command.
fn without_name(words: &[OsString]) -> Vec<OsString> {
    let command = crate::command();
    let name = command_of(words, &command).map(|(place, _)| place);
    let behind = words.iter().enumerate().skip(1);
    behind.filter(|(place, _)| Some(*place) != name).map(|(_, word)| word.clone()).collect()
}

/// Where the program is if it was installed with this one.
fn beside() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.join(PROGRAM))
}

fn not_run(program: &OsStr, error: &IoError) -> Failure {
    let message = format!("run `{}`: {error}", program.to_string_lossy());
    Failure::message(Exit::Failed, &message, Some("check that it is a program for this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_command_is_left_out() {
        for (words, expected) in [
            ("flowquet sql lake sql", "lake sql"),
            ("flowquet -v --log-format json sql lake", "-v --log-format json lake"),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(without_name(&words).join(OsStr::new(" ")), expected);
        }
    }
}
