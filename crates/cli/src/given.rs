//! The log format that an option gives: as text in any spelling, or as the file that has it.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use flowquet_format::{Catalogue, FormatError, FoundFormat, GivenError, LogFormat, find_formats};
use flowquet_input::head;

use crate::exit::Exit;
use crate::output::Failure;

/// Text of a file that is looked at for formats, at most: templates are smaller, and of a raw log the first line counts.
const FILE_BYTES_MAX: usize = 4 << 20;

/// The option that several formats may be given by.
pub(crate) const FORMAT: &str = "--format";

/// Bytes of a format that a list of several shows.
const SHOWN_MAX: usize = 100;

/// The format that `text` is, or that the file has which it names as `@FILE` or `@FILE#NAME`.
pub(crate) fn given_format(option: &str, text: &str, catalogue: &Catalogue) -> Result<LogFormat, Failure> {
    match text.strip_prefix('@') {
        Some(file) => in_file(option, file, catalogue),
        None => LogFormat::given(text, catalogue).map_err(|e| match e {
            GivenError::Format(error) => mistake(&format!("read {option}"), &error),
            GivenError::Several(found) => {
                let hint = match option {
                    FORMAT => "give the format of one, or those of all in a file: --describe-flow-logs FILE",
                    _ => "give the format of one, or of one in a file: @FILE#NAME",
                };
                several(&format!("read {option}"), &found, hint)
            }
        }),
    }
}

fn mistake(place: &str, error: &FormatError) -> Failure {
    Failure::message(Exit::Usage, &format!("{place}: {error}\n{}", error.pointer()), error.hint_text())
}

fn several(place: &str, found: &[FoundFormat], hint: &str) -> Failure {
    let mut message = format!("{place}: expected one log format, found {} that differ", distinct(found));
    for one in found {
        let name = one.name.as_ref().map(|n| format!(", {n}")).unwrap_or_default();
        let format = one.format.to_string();
        let end = (0..=SHOWN_MAX.min(format.len())).rev().find(|n| format.is_char_boundary(*n)).unwrap_or(0);
        let more = if end < format.len() { " …" } else { "" };
        write!(message, "\n  line {}{name}: {}{more}", one.line, &format[..end]).expect("a string takes all");
    }
    Failure::message(Exit::Usage, &message, Some(hint))
}

fn distinct(found: &[FoundFormat]) -> usize {
    (0..found.len()).filter(|i| found[..*i].iter().all(|f| f.format != found[*i].format)).count()
}

fn found_in_file(place: &str, path: &Path, catalogue: &Catalogue) -> Result<Vec<FoundFormat>, Failure> {
    found_in_text(place, &text_of_file(place, path)?, catalogue)
}

/// The text of a file that may have formats, compressed or not.
pub(crate) fn text_of_file(place: &str, path: &Path) -> Result<String, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::message(Exit::Usage, &format!("{place}: {e}"), None);
    let input = File::open(path).map_err(|e| failed(&e))?;
    let (_, content) = head(Box::new(input), FILE_BYTES_MAX).map_err(|e| failed(&e))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// The formats that a text has.
pub(crate) fn found_in_text(
    place: &str,
    text: &str,
    catalogue: &Catalogue,
) -> Result<Vec<FoundFormat>, Failure> {
    find_formats(text, catalogue).map_err(|e| mistake(&format!("{place}, line {}", e.line()), &e))
}

/// The format that a file has; `file` may end in `#` and the name or line of one.
fn in_file(option: &str, file: &str, catalogue: &Catalogue) -> Result<LogFormat, Failure> {
    let (path, name) = match file.rsplit_once('#') {
        Some((path, name)) if !Path::new(file).exists() => (path, Some(name)),
        _ => (file, None),
    };
    let place = format!("read {option} @{path}");
    let found = found_in_file(&place, Path::new(path), catalogue)?;
    let chosen: Vec<FoundFormat> = match name {
        None => found,
        Some(name) => {
            let is_meant = |f: &FoundFormat| f.is_called(name);
            let (chosen, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_meant);
            if chosen.is_empty() && !others.is_empty() {
                let hint = "choose by the name or the line of one";
                let place = format!("{place}: none is called `{name}`");
                return Err(several(&place, &others, hint));
            }
            chosen
        }
    };
    match chosen.as_slice() {
        [] => {
            let message = format!("{place}: expected a log format, found none");
            let hint = "a file gives a format as `log_format = \"$${version} …\"`, `LogFormat: …`, or a header line of names";
            Err(Failure::message(Exit::Usage, &message, Some(hint)))
        }
        [first, others @ ..] if others.iter().all(|f| f.format == first.format) => Ok(first.format.clone()),
        [first, ..] => {
            let of = first.name.as_ref().map_or_else(|| first.line.to_string(), Clone::clone);
            let mut hint = format!("choose one by its name or line: {option} '@{path}#{of}'");
            if option == FORMAT {
                write!(
                    hint,
                    "; or take all, if lines of all of them are mixed: --describe-flow-logs '{path}'"
                )
                .expect("a string takes all");
            }
            Err(several(&place, &chosen, &hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(result: Result<LogFormat, Failure>) -> String {
        match result {
            Ok(format) => format.to_string(),
            Err(Failure::Error(error)) if error.exit == Exit::Usage => error.to_string(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(content: &str, name: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("main.tf");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&path, content).expect("written");
        let given = format!("@{}{name}", path.display());
        let said = said(given_format("--format", &given, Catalogue::builtin()));
        assert_eq!(said.replace(&path.display().to_string(), "FILE"), expected);
    }

    #[test]
    fn formats_of_files() {
        let one = "log_format = \"$${version} $${bytes}\"\n";
        let two = "resource \"aws_flow_log\" \"a\" {\n  log_format = \"$${version} $${bytes}\"\n}\nresource \"aws_flow_log\" \"b\" {\n  log_format = \"$${version} $${vpc-id}\"\n}\n";
        check(one, "", "${version} ${bytes}");
        check(two, "#aws_flow_log.b", "${version} ${vpc-id}");
        check(two, "#2", "${version} ${bytes}");
        check(
            two,
            "",
            "error: read --format @FILE: expected one log format, found 2 that differ\n  line 2, aws_flow_log.a: ${version} ${bytes}\n  line 5, aws_flow_log.b: ${version} ${vpc-id}\nhint: choose one by its name or line: --format '@FILE#aws_flow_log.a'; or take all, if lines of all of them are mixed: --describe-flow-logs 'FILE'",
        );
        check(
            "a = 1\n",
            "",
            "error: read --format @FILE: expected a log format, found none\nhint: a file gives a format as `log_format = \"$${version} …\"`, `LogFormat: …`, or a header line of names",
        );
        check(
            "a = 1\nlog_format = \"$${version} $bytes\"\n",
            "",
            "error: read --format @FILE, line 2: expected a field's name, found `$` at byte 32\n  a = 1 log_format = \"$${version} $bytes\" \n                                  ^\nhint: did you mean `${bytes}`?",
        );
    }

    #[test]
    fn a_file_that_is_not_there() {
        let said = said(given_format("--format", "@/no/such/file", Catalogue::builtin()));
        assert!(said.starts_with("error: read --format @/no/such/file: No such file"), "{said}");
    }

    #[test]
    fn several_flow_logs() {
        let json = r#"{"FlowLogs": [{"FlowLogId": "fl-1", "LogFormat": "${version}"}, {"FlowLogId": "fl-2", "LogFormat": "${bytes}"}]}"#;
        let said = said(given_format("--format", json, Catalogue::builtin()));
        assert!(said.contains("line 1, fl-1: ${version}\n  line 1, fl-2: ${bytes}\nhint: "), "{said}");
    }
}
