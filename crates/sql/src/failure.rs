//! Errors of the engine in a colleague's words: the exit code, the message, and what to do about it.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use flowquet_command::exit::Exit;
use flowquet_command::output::{Failure, shown_lines};
use flowquet_format::nearest;

use crate::names::FLOWS;

/// Words of SQL that are columns of ours too.
const WORDS: [&str; 1] = ["end"];

/// What the messages of the engine begin with, which says nothing to whoever asked.
const PREFIXES: [&str; 6] = [
    "Error during planning: ",
    "Execution error: ",
    "Schema error: ",
    "SQL error: ",
    "This feature is not implemented: ",
    "Optimizer rule ",
];

/// The message for an error that ends a question. `words` is the question's text, if it was about one.
pub(crate) fn failure_of(error: &DataFusionError, question: &[&str]) -> Failure {
    let question = question.first().copied().unwrap_or_default();
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => of_schema(schema),
        DataFusionError::SQL(parser, _) => {
            let what = parser.to_string();
            let what = what.strip_prefix("sql parser error: ").unwrap_or(&what).to_owned();
            Failure::message(
                Exit::Usage,
                &format!("read the question: {}", lower_first(&what)),
                word_hint(question).as_deref(),
            )
        }
        DataFusionError::ResourcesExhausted(what) => {
            let hint = "give more --memory, or ask for fewer columns or days";
            Failure::message(Exit::Failed, &format!("out of memory: {}", first_line(what)), Some(hint))
        }
        DataFusionError::Plan(what) => of_plan(what, question),
        DataFusionError::ArrowError(arrow, _) if matches!(**arrow, ArrowError::ParseError(_)) => {
            let what = arrow.to_string();
            let what = what.strip_prefix("Parser error: ").unwrap_or(&what);
            let hint = "times are written '2024-01-15 10:30:00', days '2024-01-15'";
            let is_time = what.contains("timestamp") || what.contains("date");
            Failure::message(Exit::Usage, &lower_first(&shown_lines(what)), is_time.then_some(hint))
        }
        DataFusionError::Internal(_) => Failure::message(
            Exit::Failed,
            &plain(error),
            Some("this is a defect of the engine or of ours: please report it with the question"),
        ),
        _ => Failure::message(Exit::Failed, &plain(error), None),
    }
}

fn of_schema(error: &SchemaError) -> Failure {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|column| column.name()).collect();
            let near = nearest(field.name(), names.iter().copied());
            let hint = match near {
                Some(near) => {
                    format!("did you mean `{near}`? DESCRIBE {FLOWS} shows all columns, at the prompt \\d")
                }
                None => format!(
                    "DESCRIBE {FLOWS} shows all columns, at the prompt \\d; text goes in single quotes: '{}'",
                    field.name()
                ),
            };
            Failure::message(Exit::Usage, &format!("no column `{}` here", field.name()), Some(&hint))
        }
        SchemaError::AmbiguousReference { field } => {
            let hint = format!("write which table's it is, as in a.{}", field.name());
            let message = format!("column `{}` is in several of the tables", field.name());
            Failure::message(Exit::Usage, &message, Some(&hint))
        }
        other => Failure::message(Exit::Usage, &lower_first(&other.to_string()), None),
    }
}

fn of_plan(what: &str, question: &str) -> Failure {
    if let Some(name) = what.strip_prefix("table '").and_then(|rest| rest.split_once("' not found")) {
        let name = name.0.rsplit('.').next().unwrap_or(name.0);
        let message = format!("no table `{name}`");
        let hint = format!("the table is called {FLOWS}; SHOW TABLES shows its names");
        return Failure::message(Exit::Usage, &message, Some(&hint));
    }
    let refused = ["DDL not supported", "DML not supported", "Statement not supported"];
    if refused.iter().any(|begin| what.starts_with(begin)) {
        return refused_statement();
    }
    Failure::message(
        Exit::Usage,
        &lower_first(&shown_lines(first_lines(what))),
        word_hint(question).as_deref(),
    )
}

/// What is said of a statement that would change something.
pub(crate) fn refused_statement() -> Failure {
    let message = "read-only: only SELECT, WITH, EXPLAIN, DESCRIBE and SHOW are supported";
    let hint = "-o FILE writes an answer; `flowquet rollup` makes a table of groups and sums";
    Failure::message(Exit::Usage, message, Some(hint))
}

/// Says that a word needs quotes, where the question has it without.
fn word_hint(question: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let outside: Vec<&str> = question.split(['"', '\'']).step_by(2).collect();
    let has_case =
        outside.iter().any(|part| part.split(|c| !is_word(c)).any(|w| w.eq_ignore_ascii_case("case")));
    let found = WORDS.iter().find(|word| {
        outside.iter().any(|part| part.split(|c| !is_word(c)).any(|w| w.eq_ignore_ascii_case(word)))
    })?;
    (!has_case).then(|| format!("`{found}` is a keyword of SQL: the column is \"{found}\", in double quotes"))
}

/// The message without what the engine puts around it.
fn plain(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    let text = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    lower_first(&shown_lines(first_lines(text)))
}

/// Without what candidates of functions and types follow: they are many.
fn first_lines(text: &str) -> &str {
    text.split("\n\nbacktrace").next().unwrap_or(text).trim_end()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let second_is_capital = text.chars().nth(1).is_some_and(char::is_uppercase);
    match chars.next() {
        Some(first) if !second_is_capital => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_needs_quotes_is_told() {
        for (question, has) in [
            ("SELECT start, end FROM flows", true),
            ("SELECT \"end\" FROM flows", false),
            ("SELECT 'the end' FROM flows", false),
            ("SELECT CASE WHEN true THEN 1 end", false),
            ("SELECT endpoint FROM flows", false),
        ] {
            assert_eq!(word_hint(question).is_some(), has, "{question}");
        }
    }
}
