//! What a file calls one of its formats, so that a person can tell them apart.

use crate::spelling::document::Document;
use crate::spelling::token::Kind;

/// The name of the flow log whose format has its key, or begins, at token `i`.
pub(super) fn owner(document: &Document<'_>, i: usize) -> Option<String> {
    flow_log_id(document, i)
        .or_else(|| terraform_block(document, i))
        .or_else(|| in_state(document, i).name)
        .or_else(|| construct(document, i))
        .or_else(|| logical_id(document, i))
        .or_else(|| variable(document, i))
}

/// What else the flow log may be called whose format has its key at token `i`.
pub(super) fn other_names(document: &Document<'_>, i: usize) -> Vec<String> {
    in_state(document, i).other_names
}

/// What Terraform's state says of a flow log: `{"type": "aws_flow_log", "name": "a", "instances": [{"attributes": {"id": "fl-1", …}}]}`.
#[derive(Default)]
struct InState {
    /// `aws_flow_log.a`
    name: Option<String>,
    /// `a` and `fl-1`
    other_names: Vec<String>,
}

fn in_state(document: &Document<'_>, i: usize) -> InState {
    /// Objects and lists around a format.
    const AROUND_MAX: usize = 6;
    let mut state = InState::default();
    let around = std::iter::successors(document.parent[i], |open| document.parent[*open]);
    for open in around.take(AROUND_MAX) {
        let close = document.partner[open].unwrap_or(document.tokens.len());
        let value = |key: &str| {
            let mut keys = (open + 1..close).filter(|n| document.parent[*n] == Some(open));
            let n = keys
                .find(|n| document.kind(*n) == Some(Kind::Word(key)) && document.behind_key(*n).is_some())?;
            text_at(document, document.behind_key(n)?)
        };
        if let Some(id) = value("id").filter(|id| id.starts_with("fl-")) {
            state.other_names.push(id.to_owned());
        }
        if let (Some("aws_flow_log"), Some(name)) = (value("type"), value("name")) {
            state.other_names.push(name.to_owned());
            state.name = Some(format!("aws_flow_log.{name}"));
            return state;
        }
    }
    InState::default()
}

/// The word in the string at token `i`, or the plain word there.
fn text_at<'a>(document: &Document<'a>, i: usize) -> Option<&'a str> {
    match (document.kind(i)?, document.kind(i + 1)) {
        (Kind::Quote(_), Some(Kind::Word(word))) | (Kind::Word(word), _) => Some(word),
        _ => None,
    }
}

/// The `FlowLogId` beside the format, in what `aws ec2 describe-flow-logs` prints.
fn flow_log_id(document: &Document<'_>, i: usize) -> Option<String> {
    let word = |n: usize| match document.kind(n) {
        Some(Kind::Word("logFormat" | "log_format")) => "LogFormat",
        Some(Kind::Word("flowLogId" | "flow_log_id")) => "FlowLogId",
        Some(Kind::Word(word)) => word,
        _ => "",
    };
    let id = |n: usize| document.behind_key(n).and_then(|v| text_at(document, v)).map(str::to_owned);
    let before = (0..i).rev().take_while(|n| word(*n) != "LogFormat").find(|n| word(*n) == "FlowLogId");
    let behind = || {
        (i + 1..document.tokens.len())
            .take_while(|n| word(*n) != "LogFormat")
            .find(|n| word(*n) == "FlowLogId")
    };
    before.or_else(behind).and_then(id).filter(|id| id.starts_with("fl-"))
}

/// `resource "aws_flow_log" "a" { … }` is `aws_flow_log.a`, as Terraform calls it.
fn terraform_block(document: &Document<'_>, i: usize) -> Option<String> {
    let around = std::iter::successors(document.parent[i], |open| document.parent[*open]);
    for open in around {
        let line = document.text[..document.tokens[open].at].rsplit('\n').next().unwrap_or_default();
        let mut words = line.split(|c: char| c.is_whitespace() || c == '"').filter(|w| !w.is_empty());
        let block = words.next();
        let names: Vec<&str> = words.collect();
        match (block, names.as_slice()) {
            (Some("resource"), [kind, name]) => return Some(format!("{kind}.{name}")),
            (Some("data"), [kind, name]) => return Some(format!("data.{kind}.{name}")),
            (Some("module"), [name]) => return Some(format!("module.{name}")),
            (Some("variable"), [name]) => return Some(format!("var.{name}")),
            _ => {}
        }
    }
    None
}

/// CDK's `new ec2.FlowLog(this, 'Id', …)` and `vpc.addFlowLog('Id', …)`.
fn construct(document: &Document<'_>, i: usize) -> Option<String> {
    let around = std::iter::successors(document.parent[i], |open| document.parent[*open]);
    let call = around.into_iter().find(|open| {
        let before = open.checked_sub(1).and_then(|n| document.kind(n));
        matches!(before, Some(Kind::Word(w)) if w.replace('_', "").to_ascii_lowercase().ends_with("flowlog"))
    })?;
    let quote = (call + 1..i).take(6).find(|n| matches!(document.kind(*n), Some(Kind::Quote(_))))?;
    text_at(document, quote).map(str::to_owned)
}

/// The logical id of a CloudFormation resource: the key above `Properties`.
fn logical_id(document: &Document<'_>, i: usize) -> Option<String> {
    let mut keys = in_braces(document, i);
    if keys.is_empty() {
        keys = by_indent(document, i);
    }
    let properties = keys.iter().position(|k| *k == "Properties")?;
    keys.get(properties + 1).map(|k| (*k).to_owned())
}

/// The keys of the objects around token `i`, innermost first.
fn in_braces<'a>(document: &Document<'a>, i: usize) -> Vec<&'a str> {
    let around = std::iter::successors(document.parent[i], |open| document.parent[*open]);
    let key = |open: usize| {
        let word = open.checked_sub(3).and_then(|n| document.kind(n));
        match (word, document.kind(open - 1)) {
            (Some(Kind::Word(word)), Some(Kind::Assign)) => Some(word),
            _ => None,
        }
    };
    around.filter_map(|open| if open == 0 { None } else { key(open) }).collect()
}

/// The YAML keys above token `i`, each indented less than the one before.
fn by_indent<'a>(document: &Document<'a>, i: usize) -> Vec<&'a str> {
    let mut column = document.column(i);
    let mut keys = Vec::new();
    for n in (0..i).rev() {
        if column == 0 {
            break;
        }
        if let Some(Kind::Word(word)) = document.kind(n)
            && document.begins_line(n)
            && document.column(n) < column
            && document.behind_key(n).is_some()
        {
            column = document.column(n);
            keys.push(word);
        }
    }
    keys
}

/// The key or variable whose value the format is.
fn variable(document: &Document<'_>, i: usize) -> Option<String> {
    if let (Some(Kind::Word(word)), true) = (document.kind(i), document.behind_key(i).is_some()) {
        return Some(word.to_owned());
    }
    let assign = (0..i).rev().take(6).find(|n| document.kind(*n) == Some(Kind::Assign))?;
    match document.kind(assign.checked_sub(1)?) {
        Some(Kind::Word(word)) => Some(word.to_owned()),
        _ => None,
    }
}
