//! Every option from the environment: `FLOWQUET_` and the option's name in capitals, so that a container's job needs no command line.

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};

/// What the names of variables begin with.
const PREFIX: &str = "FLOWQUET_";

/// The variable of an option: `--row-group-rows` is `FLOWQUET_ROW_GROUP_ROWS`.
fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.to_uppercase().replace('-', "_"))
}

/// Lets every option of `command`, and of the commands below it, be set by its variable. A command line goes before the
/// environment. A switch is on unless its variable is empty or a word for no: `0`, `false`, `no`, `off`.
pub(crate) fn read_by(command: Command) -> Command {
    command.mut_args(from_environment).mut_subcommands(read_by)
}

fn from_environment(arg: Arg) -> Arg {
    let Some(name) = arg.get_long().filter(|long| !["help", "version"].contains(long)).map(variable) else {
        return arg;
    };
    let arg = arg.env(name).hide_env_values(true);
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_every_command_has_a_variable() {
        fn check(command: &Command) -> usize {
            let options = command.get_arguments().filter_map(|a| Some((a.get_long()?, a.get_env())));
            let own = options.filter(|(long, _)| !["help", "version"].contains(long)).map(|(long, env)| {
                assert_eq!(env.and_then(|e| e.to_str()), Some(&*variable(long)), "{}", command.get_name());
            });
            own.count() + command.get_subcommands().map(check).sum::<usize>()
        }
        assert!(check(&crate::command()) > 100);
        assert_eq!(variable("max-rejects"), "FLOWQUET_MAX_REJECTS");
    }
}
