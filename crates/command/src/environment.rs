//! Every option from the environment: `FLOWQUET_` and the option's name in capitals, so that a container's job needs no command line.

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};

/// What the names of variables begin with.
const PREFIX: &str = "FLOWQUET_";

/// What an argument is called where it is not typed: an option by its long name, and what is named without one by what it is. `None`
/// for what is no option of a job.
pub fn key_of(arg: &Arg) -> Option<String> {
    if arg.is_hide_set() {
        return None;
    }
    if let Some(long) = arg.get_long() {
        return (!["help", "version"].contains(&long)).then(|| long.to_owned());
    }
    let key = match arg.get_value_names()?.first()?.as_str() {
        "PATH" | "SOURCE" => "source",
        // As `convert` names it.
        "TABLE" => "out",
        "URL" => "url",
        _ => return None,
    };
    Some(key.to_owned())
}

/// The variable of a key: `row-group-rows` is set by `FLOWQUET_ROW_GROUP_ROWS`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

/// Lets every option of `command`, and of the commands below it, be set by its variable. A command line goes before the
/// environment. A switch is on unless its variable is empty or a word for no: `0`, `false`, `no`, `off`.
pub fn read_by(command: Command) -> Command {
    command.mut_args(from_environment).mut_subcommands(read_by)
}

fn from_environment(arg: Arg) -> Arg {
    let Some(name) = key_of(&arg).filter(|_| has_variable(&arg)).map(|key| variable(&key)) else {
        return arg;
    };
    let arg = arg.env(name).hide_env_values(true);
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
        _ => arg,
    }
}

/// Whether a variable can set an argument. A table that a command can do without, such as `schema`'s, is not one that a variable means.
pub fn has_variable(arg: &Arg) -> bool {
    arg.get_long().is_some() || arg.is_required_set() || matches!(arg.get_action(), ArgAction::Append)
}
