//! Every option of every command has a variable.

use clap::Command;
use flowquet_command::environment::{has_variable, key_of, variable};

#[test]
fn every_option_of_every_command_has_a_variable() {
    fn check(command: &Command) -> usize {
        let own = command.get_arguments().filter_map(|arg| Some((arg, key_of(arg)?)));
        let own = own.filter(|(arg, _)| has_variable(arg)).map(|(arg, key)| {
            let name = arg.get_env().and_then(|env| env.to_str());
            assert_eq!(name, Some(&*variable(&key)), "{}", command.get_name());
        });
        own.count() + command.get_subcommands().map(check).sum::<usize>()
    }
    assert!(check(&crate::command()) > 100);
    assert_eq!(variable("max-rejects"), "FLOWQUET_MAX_REJECTS");
}

#[test]
fn what_is_not_an_option_of_a_job() {
    let command = crate::command();
    let left: Vec<String> = command
        .get_subcommands()
        .flat_map(|c| c.get_arguments().filter(|arg| key_of(arg).is_none()).map(move |arg| (c, arg)))
        .filter(|(_, arg)| !["help", "version"].contains(&arg.get_id().as_str()))
        .map(|(c, arg)| format!("{} {}", c.get_name(), arg.get_id()))
        .collect();
    assert_eq!(left, ["plan plan", "sql query", "completions shell", "man command"]);
}
