//! Options from a file of named jobs: `flowquet convert @nightly` adds those of the job `nightly` to the command line.
//!
//! What is added are words of a command line, so that a file can say what the command line can, and nothing else. A word that is
//! typed goes before the environment, and the environment before the file.
//!
//! | in the file | on the command line |
//! |---|---|
//! | `since = 2024-01-01` | `--since=2024-01-01` |
//! | `register = true` | `--register` |
//! | `flow-region = ["a", "b"]` | `--flow-region=a,b` |
//! | `include = ["a*", "b*"]` | `--include=a* --include=b*` |
//! | `source = "s3://logs/"` | `s3://logs/` |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use flowquet_format::nearest;
use toml::{Table, Value};

use crate::environment::{key_of, variable};
use crate::exit::Exit;
use crate::output::Failure;

/// The file that a named job is looked for in.
const FILE: &str = "flowquet.toml";

/// The option that names another.
const CONFIG: &str = "config";

/// The table of jobs.
const JOBS: &str = "jobs";

/// Global options that take a value and may stand before the command.
const BEFORE_COMMAND: [&str; 3] = ["--config", "--log-format", "--stop-within"];

/// Commands that are about the tool and not about a job.
const NO_JOBS: [&str; 3] = ["completions", "help", "man"];

/// A switch that is counted is given so often at most.
const COUNT_MAX: i64 = 9;

/// A command line with what file and environment add to it.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Its words.
    pub(crate) words: Vec<OsString>,
    /// Where the words come from that were not typed, if there are any: for whoever is told that they are wrong.
    pub(crate) note: Option<String>,
}

/// Adds to `words` what the file says that they name, and the lines of variables that hold several values.
pub(crate) fn complete(mut words: Vec<OsString>, command: &Command) -> Result<Completed, Failure> {
    let unchanged = |words| Ok(Completed { words, note: None });
    let Some((place, of)) = command_of(&words, command) else { return unchanged(words) };
    if NO_JOBS.contains(&of.get_name()) {
        return unchanged(words);
    }
    let job = words.get(place + 1).and_then(|word| word.to_str()?.strip_prefix('@')).map(str::to_owned);
    if job.is_some() {
        words.remove(place + 1);
    }
    // What is wrong is told when the whole is read.
    let lenient = command.clone().ignore_errors(true).try_get_matches_from(&words);
    let matches = lenient.as_ref().ok().and_then(ArgMatches::subcommand);
    let Some((_, matches)) = matches.filter(|(_, matches)| matches.subcommand().is_none()) else {
        return unchanged(words);
    };
    let mut notes: Vec<String> = of_environment(of, matches).into_iter().collect();
    let mut given = Given { command: of, matches, jobs_own: job.is_some(), added: Vec::new() };
    given.add_lines_of_variables();
    let file: Option<PathBuf> = matches.get_one::<PathBuf>(CONFIG).cloned();
    if file.is_some() || job.is_some() {
        let file = file.unwrap_or_else(|| FILE.into());
        let wrong = |what: &str, hint: Option<&str>| {
            Failure::message(Exit::Usage, &format!("read `{}`: {what}", file.display()), hint)
        };
        let from = given.added.len();
        let options = options(&read(&file, job.as_deref())?, job.as_deref(), command, of.get_name())
            .map_err(|what| wrong(&what, None))?;
        for (key, value) in &options {
            given.add(key, value).map_err(|what| wrong(&what, None))?;
        }
        let added: Vec<&str> = given.added[from..].iter().map(|added| &*added.key).collect();
        let of_job = job.map(|job| format!(", job `{job}`")).unwrap_or_default();
        if !added.is_empty() {
            notes.push(format!("from `{}`{of_job}: {}", file.display(), added.join(", ")));
        }
    }
    // Switches first: an option whose value may be left out would take a word behind it for one.
    let added = given.added.into_iter();
    let (options, values): (Vec<_>, Vec<_>) = added.partition(|added| added.is_option);
    let added: Vec<OsString> = options.into_iter().chain(values).flat_map(|added| added.words).collect();
    words.splice(place + 1..place + 1, added);
    let note = (!notes.is_empty()).then(|| notes.join("\nnote: "));
    Ok(Completed { words, note })
}

/// Which variables set options of the command, where any do.
fn of_environment(command: &Command, matches: &ArgMatches) -> Option<String> {
    let is_set = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
    let variables: Vec<String> =
        command.get_arguments().filter(is_set).filter_map(key_of).map(|key| variable(&key)).collect();
    (!variables.is_empty()).then(|| format!("from the environment: {}", variables.join(", ")))
}

/// The place of the command's name in `words`, and the command.
pub(crate) fn command_of<'a>(words: &[OsString], command: &'a Command) -> Option<(usize, &'a Command)> {
    let mut place = 1;
    loop {
        let word = words.get(place)?.to_str()?;
        if !word.starts_with('-') {
            return command.find_subcommand(word).map(|of| (place, of));
        }
        place += if BEFORE_COMMAND.contains(&word) { 2 } else { 1 };
    }
}

fn read(file: &Path, job: Option<&str>) -> Result<Table, Failure> {
    let wrong = |what: String, hint: Option<&str>| {
        Failure::message(Exit::Usage, &format!("read `{}`: {what}", file.display()), hint)
    };
    let text = std::fs::read_to_string(file).map_err(|e| {
        let hint = "jobs are in flowquet.toml in this folder, or in the file given with --config";
        wrong(e.to_string(), job.map(|_| hint))
    })?;
    text.parse().map_err(|e: toml::de::Error| wrong(e.to_string().trim_end().to_owned(), None))
}

/// The options of a file that hold for a command: those of all, those of the command, those of the job, those of the job and
/// the command. What comes later goes before.
fn options(
    file: &Table,
    job: Option<&str>,
    whole: &Command,
    command: &str,
) -> Result<BTreeMap<String, Value>, String> {
    let mut options = BTreeMap::new();
    let jobs = match file.get(JOBS) {
        None => &Table::new(),
        Some(Value::Table(jobs)) => jobs,
        Some(_) => {
            return Err(format!("expected a table `[{JOBS}.NAME]` for each job, found a value `{JOBS}`"));
        }
    };
    // All that is there is looked at: a job that nobody runs today is wrong today.
    layer(file, "", whole, command, &mut options)?;
    let mut of_job = None;
    for (name, table) in jobs {
        let Value::Table(table) = table else {
            return Err(format!("expected a table `[{JOBS}.{name}]`, found a value"));
        };
        let mut own = BTreeMap::new();
        layer(table, &format!("{JOBS}.{name}"), whole, command, &mut own)?;
        if job == Some(name) {
            of_job = Some(own);
        }
    }
    match (job, of_job) {
        (Some(_), Some(own)) => options.extend(own),
        (Some(job), None) => {
            let names: Vec<&str> = jobs.keys().map(String::as_str).collect();
            let meant = nearest(job, names.iter().copied()).map(|n| format!("; did you mean @{n}?"));
            let has = if names.is_empty() { "no jobs".to_owned() } else { names.join(", ") };
            return Err(format!("expected a job `{job}`, found {has}{}", meant.unwrap_or_default()));
        }
        (None, _) => {}
    }
    Ok(options)
}

/// Puts what a table says for `command` into `options`; `at` is the table's name in the file.
fn layer(
    table: &Table,
    at: &str,
    whole: &Command,
    command: &str,
    options: &mut BTreeMap<String, Value>,
) -> Result<(), String> {
    let is_command = |name: &str| whole.find_subcommand(name).is_some() && !NO_JOBS.contains(&name);
    let of_commands = |value: &Value| matches!(value, Value::Table(_));
    for (key, value) in table.iter().filter(|(_, value)| !of_commands(value)) {
        let key = key.replace('_', "-");
        check_key(&key, at, whole, None)?;
        options.insert(key, value.clone());
    }
    for (name, value) in table {
        let Value::Table(own) = value else { continue };
        if at.is_empty() && name == JOBS {
            continue;
        }
        if !is_command(name) {
            let place = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            let job = if at.is_empty() { format!("; a job is `[{JOBS}.{name}]`") } else { String::new() };
            return Err(format!("`[{place}]` is not a command{job}"));
        }
        for (key, value) in own {
            let key = key.replace('_', "-");
            check_key(
                &key,
                &format!("{at}{}{name}", if at.is_empty() { "" } else { "." }),
                whole,
                Some(name),
            )?;
            if name == command {
                options.insert(key, value.clone());
            }
        }
    }
    Ok(())
}

/// Whether a command has the option, or `of` has it.
fn check_key(key: &str, at: &str, whole: &Command, of: Option<&str>) -> Result<(), String> {
    let commands = whole.get_subcommands().filter(|c| !NO_JOBS.contains(&c.get_name()));
    let commands = commands.filter(|c| of.is_none_or(|of| c.get_name() == of));
    let keys: Vec<String> =
        commands.flat_map(Command::get_arguments).filter_map(key_of).filter(|key| key != CONFIG).collect();
    if keys.iter().any(|known| known == key) {
        return Ok(());
    }
    let place = if at.is_empty() { String::new() } else { format!(" in `[{at}]`") };
    let whose = of.map(|of| format!(" of `flowquet {of}`")).unwrap_or_default();
    let meant = nearest(key, keys.iter().map(String::as_str)).map(|n| format!("; did you mean `{n}`?"));
    Err(format!("`{key}`{place} is not an option{whose}{}", meant.unwrap_or_default()))
}

/// What is given, and what is added to it.
struct Given<'a> {
    command: &'a Command,
    matches: &'a ArgMatches,
    /// Whether a job was named: its table goes before values that are typed for another argument.
    jobs_own: bool,
    added: Vec<Added>,
}

/// Words for one option.
struct Added {
    key: String,
    is_option: bool,
    words: Vec<OsString>,
}

impl Given<'_> {
    fn source_of(&self, arg: &Arg) -> Option<ValueSource> {
        self.matches.value_source(arg.get_id().as_str())
    }

    /// Adds an option of the file, unless it is given elsewhere or the command has none of this name.
    fn add(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let Some(arg) = self.command.get_arguments().find(|arg| key_of(arg).as_deref() == Some(key)) else {
            return Ok(());
        };
        let is_given =
            matches!(self.source_of(arg), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        // What is typed behind a job for the second of several arguments looks like the first.
        let is_first_of_several =
            self.jobs_own && arg.get_index() == Some(1) && self.command.get_positionals().nth(1).is_some();
        if is_given && !is_first_of_several || self.added.iter().any(|added| added.key == key) {
            return Ok(());
        }
        let words = words(arg, value).map_err(|what| format!("`{key}`: {what}"))?;
        let words = words.into_iter().map(OsString::from).collect();
        self.added.push(Added { key: key.to_owned(), is_option: arg.get_long().is_some(), words });
        Ok(())
    }

    /// Adds the values of variables that hold several, a line each.
    fn add_lines_of_variables(&mut self) {
        for arg in self.command.get_arguments().filter(|arg| takes_lines(arg)) {
            let text = arg.get_env().and_then(std::env::var_os).and_then(|text| text.into_string().ok());
            let Some(text) = text.filter(|text| text.contains('\n')) else { continue };
            if self.source_of(arg) != Some(ValueSource::EnvVariable) {
                continue;
            }
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let values: Vec<Value> = lines.map(|line| Value::String(line.to_owned())).collect();
            if let (Some(key), Ok(words)) = (key_of(arg), words(arg, &Value::Array(values))) {
                let words = words.into_iter().map(OsString::from).collect();
                self.added.push(Added { key, is_option: arg.get_long().is_some(), words });
            }
        }
    }
}

/// Whether an option may be repeated, and a line break in its variable separates values. A log format may have several lines.
fn takes_lines(arg: &Arg) -> bool {
    is_list(arg) && arg.get_value_delimiter().is_none() && arg.get_id() != "format"
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// The words of a command line that give `arg` the value.
fn words(arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let word = |text: &str| match arg.get_long() {
        Some(long) => format!("--{long}={text}"),
        None => text.to_owned(),
    };
    let switch = || arg.get_long().map(|long| format!("--{long}"));
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(on)) => Ok(switch().filter(|_| *on).into_iter().collect()),
        (ArgAction::SetTrue, other) => Err(format!("expected true or false, found {}", shown(other))),
        (ArgAction::Count, Value::Integer(n @ 0..=COUNT_MAX)) => {
            Ok((0..*n).filter_map(|_| switch()).collect())
        }
        (ArgAction::Count, other) => {
            Err(format!("expected a number from 0 to {COUNT_MAX}, found {}", shown(other)))
        }
        (_, Value::Array(values)) if is_list(arg) => {
            let texts = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            match arg.get_value_delimiter() {
                Some(_) if texts.is_empty() => Ok(Vec::new()),
                Some(delimiter) => Ok(vec![word(&texts.join(&delimiter.to_string()))]),
                None => Ok(texts.iter().map(|text| word(text)).collect()),
            }
        }
        (_, Value::Array(_)) => Err("expected one value, found a list".to_owned()),
        (_, value) => Ok(vec![word(&text(value)?)]),
    }
}

/// A value as it is typed.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.contains('\0') => Err("expected text without a null byte".to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Integer(n) => Ok(n.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        other => Err(format!("expected text or a whole number, found {}", shown(other))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Boolean(on) => on.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Integer(n) => n.to_string(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Diagnostic;

    /// The command line that `file` makes of `typed`.
    fn completed(file: &str, typed: &str) -> Result<Completed, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs.toml");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&path, file).expect("written");
        let mut words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        words.extend(["--config".into(), path.into()]);
        complete(words, &crate::command())
    }

    #[track_caller]
    fn usage(failure: Failure) -> Diagnostic {
        match failure {
            Failure::Error(error) if error.exit == Exit::Usage => error,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(file: &str, typed: &str, expected: &str) {
        let said = match completed(file, typed) {
            Ok(Completed { words, .. }) => {
                let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
                words[..words.len() - 2].join(" ")
            }
            Err(failure) => {
                let message = usage(failure).to_string();
                message.split_once(".toml`: ").expect("the file is named").1.to_owned()
            }
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn jobs_are_options_of_a_command_line() {
        let file = r#"
            region = "eu-west-1"
            verbose = 2
            [compact]
            file_bytes = "512M"
            [jobs.nightly]
            source = ["s3://logs/a/", "s3://logs/b/"]
            out = "s3://lake/t/"
            since = 2024-01-01
            account = [111122223333, "444455556666"]
            include = ["a*", "b*"]
            register = true
            salvage = false
            [jobs.nightly.compact]
            file-bytes = 1000000
            [jobs.other]
            out = "lake"
        "#;
        check(
            file,
            "flowquet convert @nightly --quiet",
            "flowquet convert --account=111122223333,444455556666 --include=a* --include=b* --out=s3://lake/t/ --region=eu-west-1 --register --since=2024-01-01 --verbose --verbose s3://logs/a/ s3://logs/b/ --quiet",
        );
        check(
            file,
            "flowquet --log-format json compact @nightly",
            "flowquet --log-format json compact --file-bytes=1000000 --region=eu-west-1 --verbose --verbose s3://lake/t/",
        );
        check(file, "flowquet status @other -v", "flowquet status --region=eu-west-1 lake -v");
        // What is typed goes before.
        check(
            file,
            "flowquet convert @other logs -o here --region x -v",
            "flowquet convert logs -o here --region x -v",
        );
        check(
            file,
            "flowquet ignore @other s3://logs/x --reason cut",
            "flowquet ignore --region=eu-west-1 --verbose --verbose lake s3://logs/x --reason cut",
        );
        // Without a job what holds for all.
        check(
            file,
            "flowquet compact lake -v",
            "flowquet compact --file-bytes=512M --region=eu-west-1 lake -v",
        );
        check(file, "flowquet man @other", "flowquet man @other");
    }

    #[test]
    fn mistakes_in_files() {
        check(
            "[jobs.a]\nfromat = 'x'",
            "flowquet convert @a",
            "`fromat` in `[jobs.a]` is not an option; did you mean `format`?",
        );
        check("config = 'x'", "flowquet convert", "`config` is not an option");
        check("[jobs.b]\nhelp = true", "flowquet convert", "`help` in `[jobs.b]` is not an option");
        check(
            "[status]\nsince = 2024-01-01",
            "flowquet convert",
            "`since` in `[status]` is not an option of `flowquet status`",
        );
        check(
            "[nightly]\nout = 'x'",
            "flowquet convert",
            "`[nightly]` is not a command; a job is `[jobs.nightly]`",
        );
        check("[jobs.a.nightly]\nout = 'x'", "flowquet convert", "`[jobs.a.nightly]` is not a command");
        check(
            "[jobs.nightly]",
            "flowquet convert @nigthly",
            "expected a job `nigthly`, found nightly; did you mean @nightly?",
        );
        check("", "flowquet convert @a", "expected a job `a`, found no jobs");
        check(
            "jobs = 1",
            "flowquet convert",
            "expected a table `[jobs.NAME]` for each job, found a value `jobs`",
        );
        check("salvage = 'yes'", "flowquet convert", "`salvage`: expected true or false, found `yes`");
        check("verbose = 17", "flowquet convert", "`verbose`: expected a number from 0 to 9, found 17");
        check("out = ['a', 'b']", "flowquet convert", "`out`: expected one value, found a list");
        check("memory = 1.5", "flowquet convert", "`memory`: expected text or a whole number, found 1.5");
        check(
            "include = [['a']]",
            "flowquet convert",
            "`include`: expected text or a whole number, found a list",
        );
        let error = usage(completed("out = ", "flowquet convert").expect_err("no value"));
        assert!(error.message.contains("line 1"), "{error}");
        let missing = ["flowquet", "convert", "@a", "--config", "/no/such.toml"].map(OsString::from).to_vec();
        let error = usage(complete(missing, &crate::command()).expect_err("no file"));
        assert!(error.message.starts_with("read `/no/such.toml`: No such file"), "{error}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.starts_with("jobs are in")), "{error}");
    }

    #[test]
    fn every_option_of_every_command_can_be_set_by_a_file() {
        // One of these is a value of any option.
        let texts = [
            "'a'",
            "2",
            "'1M'",
            "2024-01-01",
            "'v5'",
            "'date'",
            "'srcaddr'",
            "'aws'",
            "'gzip'",
            "'0/1'",
            "'json'",
            "'start'",
            "'split'",
            "'AES256'",
            "'listed'",
            "'111122223333'",
            "'athena'",
            "'text'",
            "true",
        ];
        let whole = crate::command();
        let mut options = 0;
        for command in whole.get_subcommands().filter(|c| !NO_JOBS.contains(&c.get_name())) {
            for arg in command.get_arguments() {
                let Some(key) = key_of(arg).filter(|key| key != CONFIG) else { continue };
                let takes = |text: &&str| {
                    let typed = format!("flowquet {}", command.get_name());
                    // What stands after another one.
                    let first = if key == "url" { "out = 'x'\n" } else { "" };
                    let file = format!("[{}]\n{first}{key} = {text}", command.get_name());
                    let Ok(completed) = completed(&file, &typed) else {
                        return false;
                    };
                    let lenient = whole.clone().ignore_errors(true).try_get_matches_from(completed.words);
                    let matches = lenient.expect("what is wrong is ignored");
                    let (_, matches) = matches.subcommand().expect("the command");
                    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
                };
                assert!(texts.iter().any(takes), "{} {key}", command.get_name());
                options += 1;
            }
        }
        assert!(options > 100, "{options}");
    }
}
