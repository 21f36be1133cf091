//! Formats that stand beside each other with nothing but ids between, as `aws ec2 describe-flow-logs` prints what `--query` chooses, and
//! `--output text`.
//!
//! | printed by | looks like |
//! |---|---|
//! | `--query FlowLogs[].LogFormat` | `["${version} ${srcaddr}", "${version} ${bytes}"]` |
//! | `--query FlowLogs[].[FlowLogId,LogFormat]` | `[["fl-1", "${version} ${srcaddr}"]]` |
//! | `--output text` beside either | the same between tabs and newlines |
//! | `--output text` | `FLOWLOGS`, and more between tabs |

use crate::catalogue::{Catalogue, normalised};
use crate::log_format::LogFormat;
use crate::spelling::document::Document;
use crate::spelling::found::FoundFormat;
use crate::spelling::grammar::names_of;
use crate::spelling::token::{Kind, Side};

/// The formats of such a text; `None` where it is none, or is one format in parts.
pub(crate) fn listed(text: &str, catalogue: &Catalogue) -> Option<Vec<FoundFormat>> {
    let (found, is_named) = match text.trim_start().starts_with('[') {
        true => strings(text, catalogue)?,
        false => cells(text, catalogue)?,
    };
    // Parts of one format name no field twice.
    let mut names =
        found.iter().map(|f| f.format.fields().iter().map(crate::Field::name).collect::<Vec<_>>());
    let first = names.next()?;
    let is_again = names.any(|other| other.iter().any(|n| first.contains(n)));
    let are_whole = found.len() > 1 && is_again && found.iter().all(|f| f.format.fields().len() > 1);
    (is_named || are_whole).then_some(found)
}

/// The strings of lists: formats, each behind the id of its flow log, or all without.
fn strings(text: &str, catalogue: &Catalogue) -> Option<(Vec<FoundFormat>, bool)> {
    let document = Document::new(text);
    let mut found: Vec<FoundFormat> = Vec::new();
    let mut id = None;
    let mut i = 0;
    while let Some(kind) = document.kind(i) {
        i += 1;
        match kind {
            Kind::Open('[') | Kind::Close(']') | Kind::Comma => {}
            Kind::Quote(Side::Open) => {
                let end = document.partner[i - 1]?;
                match (document.kind(i)?, end - i) {
                    (Kind::Word(word), 1) if is_id(word) => id = Some(word.to_owned()),
                    (Kind::Field(_), _) => {
                        let format = format_of(&document, i, end, catalogue)?;
                        found.push(FoundFormat::new(format, document.line(i), id.take()));
                    }
                    _ => return None,
                }
                i = end + 1;
            }
            _ => return None,
        }
    }
    let is_named = found.iter().any(|f| f.name.is_some());
    Some((found, is_named))
}

/// What stands between tabs and newlines.
fn cells(text: &str, catalogue: &Catalogue) -> Option<(Vec<FoundFormat>, bool)> {
    const FLOW_LOG: &str = "FLOWLOGS\t";
    let is_whole = text.lines().any(|l| l.starts_with(FLOW_LOG));
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || (is_whole && !line.starts_with(FLOW_LOG)) {
            continue;
        }
        let mut id = line.split('\t').map(str::trim).find(|cell| is_id(cell)).map(str::to_owned);
        for cell in line.split('\t').map(str::trim) {
            if cell.starts_with("${") {
                let document = Document::new(cell);
                let format = format_of(&document, 0, document.tokens.len(), catalogue)?;
                found.push(FoundFormat::new(format, number, id.take()));
            } else if !is_whole && !is_id(cell) {
                return None;
            }
        }
    }
    let is_named = is_whole || found.iter().any(|f: &FoundFormat| f.name.is_some());
    Some((found, is_named))
}

/// The format of some tokens, if they are fields, each once.
fn format_of(document: &Document<'_>, first: usize, end: usize, catalogue: &Catalogue) -> Option<LogFormat> {
    let tokens = &document.tokens[first..end];
    let names = names_of(document.text, tokens, catalogue).ok()?;
    let is_once = |i: usize| names[..i].iter().all(|n| normalised(&n.name) != normalised(&names[i].name));
    let are_fields = tokens.iter().all(|t| matches!(t.kind, Kind::Field(_))) && (1..names.len()).all(is_once);
    are_fields.then(|| LogFormat::of_names(document.text, &names, catalogue).ok()).flatten()
}

fn is_id(word: &str) -> bool {
    word.strip_prefix("fl-").is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
}
