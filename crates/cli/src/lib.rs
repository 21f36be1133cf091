//! The `flowquet` command as a library: [`run`] takes arguments and returns an exit code.
//!
//! Data goes to standard output, words to standard error. What a run does is told by events; reporters put them on a
//! terminal, into plain lines, or into a JSON report.
//!
//! ```
//! use std::ffi::OsString;
//!
//! use flowquet_cli::{Exit, run};
//!
//! let args = ["flowquet", "convert", "--threads", "none"].map(OsString::from);
//! assert_eq!(run(args), Exit::Usage);
//! ```

mod args;
mod beside;
mod catalog;
mod clock;
mod compact;
mod config;
mod convert;
mod cost;
mod described;
mod doctor;
mod enrich;
#[cfg(test)]
mod environment_tests;
mod failure;
mod forecast;
mod forecast_text;
mod formats;
mod given;
mod ignore;
mod inspect;
mod job;
mod json_schema;
mod log_rows;
mod metrics;
mod one_dash;
mod places;
mod plan;
mod plan_file;
mod plan_rows;
mod prices;
mod reconvert;
mod register;
mod report;
mod reporter;
mod resources;
mod rollup;
mod run_report;
mod schema;
mod schema_diff;
mod shard;
mod shell;
mod signals;
mod sql;
mod status;
mod table_files;
mod table_report;
mod tags;
mod text_table;
mod top;
mod verify;
mod version;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};
pub use flowquet_command::exit::Exit;
use flowquet_command::{environment, exit, logs, output, size, terminal};

use crate::args::{Cli, Command};

/// The command line as a value: pages, completions and tests are made from it.
pub fn command() -> clap::Command {
    let mut command = environment::read_by(Cli::command());
    command.build();
    command
}

/// Runs the command line `args`, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let command = command();
    let completed = match config::complete(args.into_iter().collect(), &command) {
        Ok(completed) => completed,
        Err(failure) => return output::finish(Err(failure)),
    };
    let matches = match one_dash::mistake(&command, &completed.words) {
        Some(error) => Err(error),
        None => command.try_get_matches_from(&completed.words),
    };
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let is_usage = error.use_stderr();
            // A closed pipe is no failure of ours.
            let _ = error.print();
            if let Some(note) = completed.note.filter(|_| is_usage) {
                output::say(&format!("note: {note}"));
            }
            return if is_usage { Exit::Usage } else { Exit::Success };
        }
    };
    logs::begin(&cli.logs);
    signals::begin(&cli.stop);
    output::finish(match cli.command {
        Command::Convert(args) => convert::run(*args),
        Command::Plan(args) => plan::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Sql(_) => sql::run(&completed.words),
        Command::Cost(args) => cost::run(&args),
        Command::Report(args) => table_report::run(&args),
        Command::Ignore(args) => ignore::run(&args),
        Command::Reconvert(args) => reconvert::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Rollup(args) => rollup::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    })
}
