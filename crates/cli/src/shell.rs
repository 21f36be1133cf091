//! `flowquet completions` and `flowquet man`: what shells and `man` know of the command line, made from it.

use clap_complete::aot::generate;
use clap_mangen::Man;

use crate::args::{CompletionsArgs, ManArgs};
use crate::command;
use crate::exit::Exit;
use crate::output::{Failure, put};

/// Prints the script that completes command lines in a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut command(), "flowquet", &mut script);
    put(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// Prints a manual page, in roff.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let whole = command();
    let mut page = &whole;
    let mut name = "flowquet".to_owned();
    for word in &args.command {
        let Some(below) = page.find_subcommand(word).filter(|c| !c.is_hide_set()) else {
            let names: Vec<&str> = page.get_subcommands().map(|c| c.get_name()).collect();
            let message = format!("`{name}` has no command `{word}`; it has {}", names.join(", "));
            return Err(Failure::message(Exit::Usage, &message, None));
        };
        page = below;
        name = format!("{name} {word}");
    }
    let mut roff = Vec::new();
    let rendered =
        Man::new(page.clone()).source(concat!("flowquet ", env!("CARGO_PKG_VERSION"))).render(&mut roff);
    rendered.map_err(|e| Failure::message(Exit::Failed, &format!("make the page: {e}"), None))?;
    put(&String::from_utf8_lossy(&roff))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_knows_every_command() {
        let whole = command();
        let names: Vec<&str> = whole.get_subcommands().map(|c| c.get_name()).collect();
        assert!(names.contains(&"convert") && names.contains(&"man"), "{names:?}");
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut command(), "flowquet", &mut script);
            let script = String::from_utf8(script).expect("text");
            for name in names.iter().chain(&["max-rejects"]) {
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn pages_of_commands() {
        let page =
            |words: &[&str]| man(&ManArgs { command: words.iter().map(|w| (*w).to_owned()).collect() });
        assert_eq!(page(&[]).expect("a page"), Exit::Success);
        assert_eq!(page(&["schema", "diff"]).expect("a page"), Exit::Success);
        let Err(Failure::Error(error)) = page(&["schema", "join"]) else { panic!("a page") };
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(error.message, "`flowquet schema` has no command `join`; it has diff, help");
    }
}
