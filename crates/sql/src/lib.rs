//! The program `flowquet-sql`, which `flowquet sql` runs: SQL over a table of ours, by DataFusion.
//!
//! The engine reads the files that the table's log names, by our own stores. It brings an Arrow and a Parquet reader of its own: nothing here
//! meets those of the other crates. This crate knows no conversion.
//!
//! ```
//! use std::ffi::OsString;
//!
//! use flowquet_command::exit::Exit;
//! use flowquet_sql::run;
//!
//! let args = ["flowquet-sql", "no/such/table", "SELECT count(*) FROM flows"].map(OsString::from);
//! assert_eq!(run(args), Exit::Failed);
//! ```

mod answer;
mod ask;
mod columns;
mod failure;
mod functions;
mod implied;
mod lake;
mod names;
mod object_store;
mod prompt;
mod provider;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use flowquet_command::environment;
use flowquet_command::exit::Exit;
use flowquet_command::logs::{self, LogArgs};
use flowquet_command::machine::{memory, threads};
use flowquet_command::output::{Failure, finish, say};
use flowquet_command::places::table_store;
use flowquet_command::sql::{ABOUT, EXAMPLES, LONG_ABOUT, SqlArgs};
use flowquet_command::stop::stop;
use tokio::runtime::{Builder, Runtime};

use crate::ask::Asker;
use crate::lake::{Lake, Limits};

/// Memory for groups, sorting and joins where none is given.
const MEMORY: usize = 1 << 30;

/// Plans of long questions are deep, and nothing tells how deep.
const STACK_BYTES: usize = 8 << 20;

/// Threads that wait for the table's store.
const WAITING: usize = 32;

/// The command line, as `flowquet sql` hands it on.
#[derive(Debug, Parser)]
#[command(
    name = "flowquet sql",
    bin_name = "flowquet sql",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = EXAMPLES,
    max_term_width = 110
)]
struct Cli {
    #[command(flatten)]
    logs: LogArgs,
    /// What `flowquet` has read already.
    #[arg(long, hide = true)]
    config: Option<PathBuf>,
    /// What `flowquet` has read already: questions stop at once.
    #[arg(long, hide = true)]
    stop_within: Option<u16>,
    #[command(flatten)]
    sql: SqlArgs,
}

/// Runs the command line `args`, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let matches = environment::read_by(Cli::command()).try_get_matches_from(args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no failure of ours.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    logs::begin(&cli.logs);
    finish(answer(&cli).map(|()| Exit::Success))
}

fn answer(cli: &Cli) -> Result<(), Failure> {
    listen_for_signals();
    let args = &cli.sql;
    let question = question(args)?;
    let limits = Limits { threads: threads(args.threads), memory: memory(args.memory, MEMORY) };
    let runtime = runtime(limits.threads)?;
    let stores = args.s3.stores();
    let lake = Lake::open(&table_store(&stores, &args.table), &args.table, limits)?;
    let mut asker = Asker::new(args, &stores, lake, runtime, logs::is_verbose())?;
    match question {
        Some(text) => asker.all(&text),
        None => prompt::run(&mut asker),
    }
}

/// The question's text; `None` where a prompt asks for it.
fn question(args: &SqlArgs) -> Result<Option<String>, Failure> {
    let wrong = |name: &str, error: io::Error| {
        Failure::message(Exit::Usage, &format!("read the question from {name}: {error}"), None)
    };
    let from_stdin = || {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|e| wrong("standard input", e))?;
        Ok(Some(text))
    };
    match (&args.query, &args.file) {
        (Some(text), _) if text == "-" => from_stdin(),
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) if path == Path::new("-") => from_stdin(),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(path).map_err(|e| wrong(&format!("`{}`", path.display()), e))?;
            Ok(Some(text))
        }
        (None, None) if io::stdin().is_terminal() => Ok(None),
        (None, None) => from_stdin(),
    }
}

fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(threads + WAITING)
        .thread_stack_size(STACK_BYTES)
        .enable_time()
        .build();
    built.map_err(|e| Failure::message(Exit::Failed, &format!("start threads: {e}"), None))
}

/// Ctrl-C stops a question; a second one ends the program.
fn listen_for_signals() {
    let listening = ctrlc::set_handler(|| {
        if stop().swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
    if listening.is_err() {
        say("warning: cannot listen for Ctrl-C");
    }
}
