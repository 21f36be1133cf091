//! Messages on standard error: how much is said (`-v`), and in which form (`--log-format`).

use std::io::{self, IsTerminal as _};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use clap::{ArgAction, Args};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, registry};

use crate::exit::Exit;

/// Messages that the command line makes; those of the libraries have their modules as targets.
const OURS: &str = "flowquet";

/// What begins the names of all our crates.
const CRATES: &str = "flowquet_";

static IS_JSON: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicU8 = AtomicU8::new(0);

/// Options of all commands about what they say.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Be more verbose: -v retries, lost races and committed tasks, -vv also each request, -vvv also what AWS's
    /// SDK says
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Form of messages on standard error: text, or json with one object a line
    #[arg(long, value_name = "FORM", default_value = "text", global = true)]
    log_format: Form,
}

/// Form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

impl FromStr for Form {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(
                "expected `text` or `json`, the form of messages; the format of flow logs is given by --format",
            ),
        }
    }
}

/// Has messages told as `args` say, from now on.
pub fn begin(args: &LogArgs) {
    let is_json = args.log_format == Form::Json;
    IS_JSON.store(is_json, Ordering::Relaxed);
    VERBOSE.store(args.verbose, Ordering::Relaxed);
    if args.verbose == 0 && !is_json {
        return;
    }
    let of_crates = match args.verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let of_others = if args.verbose > 2 { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_default(of_others)
        .with_target(CRATES, of_crates)
        .with_target(OURS, LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let lines = if is_json {
        let json = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        json.with_target(args.verbose > 0).boxed()
    } else {
        lines.boxed()
    };
    // A second run in one process goes on with what the first one asked for.
    let _ = tracing::subscriber::set_global_default(registry().with(lines.with_filter(filter)));
}

/// Whether more is said than what is asked for.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed) > 0
}

/// Whether a progress bar has a place: on a terminal, unless lines of another kind come between.
pub fn has_bar() -> bool {
    io::stderr().is_terminal() && !IS_JSON.load(Ordering::Relaxed) && VERBOSE.load(Ordering::Relaxed) == 0
}

/// Says words as a line of JSON, if that is the form; otherwise the caller does.
pub fn say_json(words: &str) -> bool {
    if !IS_JSON.load(Ordering::Relaxed) {
        return false;
    }
    match words.strip_prefix("warning: ") {
        Some(words) => tracing::event!(target: OURS, Level::WARN, "{words}"),
        None => tracing::event!(target: OURS, Level::INFO, "{words}"),
    }
    true
}

/// Says why a command ends as a line of JSON, if that is the form; otherwise the caller does.
pub fn say_json_error(exit: Exit, message: &str, hint: Option<&str>) -> bool {
    if !IS_JSON.load(Ordering::Relaxed) {
        return false;
    }
    tracing::event!(target: OURS, Level::ERROR, exit = exit.code(), hint, "{message}");
    true
}
