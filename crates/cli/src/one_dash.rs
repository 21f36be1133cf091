//! Long options that are typed with one dash, as other programs have them: `-out lake` would be `-o ut`, and `lake` a source.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::config::command_of;

/// The mistake of the first word that is a long option of the subcommand but for a dash.
pub(crate) fn mistake(command: &clap::Command, words: &[OsString]) -> Option<clap::Error> {
    let (place, subcommand) = command_of(words, command)?;
    let options = words[place + 1..].iter().take_while(|word| *word != "--");
    let meant = options.filter_map(|word| word.to_str()?.strip_prefix('-')).find_map(|word| {
        let name = word.split('=').next()?;
        subcommand.get_arguments().filter_map(clap::Arg::get_long).find(|long| *long == name)
    })?;
    let what = format!("unexpected argument '-{meant}' found; did you mean '--{meant}'?");
    Some(subcommand.clone().error(ErrorKind::UnknownArgument, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(words: &str) -> Option<String> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let error = mistake(&crate::command(), &words)?.to_string();
        Some(error.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn only_what_is_an_option_but_for_a_dash() {
        for (words, option) in [
            ("flowquet convert logs -out lake", "out"),
            ("flowquet convert logs -o lake -format=v2", "format"),
            ("flowquet -v status -json lake", "json"),
        ] {
            let expected =
                format!("error: unexpected argument '-{option}' found; did you mean '--{option}'?");
            assert_eq!(meant(words), Some(expected), "{words}");
        }
        for words in [
            "flowquet convert logs -o out",
            "flowquet convert logs -oout",
            "flowquet convert logs --out lake -q -v",
            "flowquet convert - --out lake",
            "flowquet convert --out lake -- -out",
            "flowquet -out",
            "flowquet",
        ] {
            assert_eq!(meant(words), None, "{words}");
        }
    }
}
