//! Words of code that stand around a format and add nothing to it.

/// Functions of which the argument is the value: `trimspace(<<EOT …)`, `List.of(LogFormat.VERSION, …)`.
pub(super) const WRAPPERS: [&str; 22] = [
    "Arrays.asList",
    "Collections.singletonList",
    "Fn.sub",
    "ImmutableList.of",
    "List.of",
    "arrayOf",
    "asList",
    "aws.String",
    "cdk.Fn.sub",
    "chomp",
    "compact",
    "concat",
    "core.Fn.sub",
    "jsii.String",
    "list",
    "listOf",
    "pulumi.String",
    "tolist",
    "tostring",
    "trim",
    "trimspace",
    "tuple",
];

/// Functions that put a blank between the parts of a list.
pub(super) const JOINS: [&str; 6] =
    ["Fn.join", "String.join", "cdk.Fn.join", "core.Fn.join", "join", "string.Join"];

/// Functions that change characters: their first argument is the format, the others hold blanks.
pub(super) const REPLACES: [&str; 1] = ["replace"];

/// Functions that take the first of their arguments that there is. References are passed over: what stands in the text is the format that is written if
/// nobody says otherwise.
pub(super) const FALLBACKS: [&str; 2] = ["coalesce", "try"];

/// Whether `word` refers to a value of Terraform.
pub(super) fn is_reference(word: &str) -> bool {
    ["var.", "local.", "module.", "data.", "each.value"].iter().any(|of| word.starts_with(of))
}

/// Methods without arguments that leave the fields of a format as they are.
pub(super) const METHODS: [&str; 8] =
    [".strip", ".trim", ".Trim", ".toString", ".trimEnd", ".to_string", ".to_owned", ".into"];

/// Words before the name of what a value is assigned to.
pub(super) const DECLARATIONS: [&str; 12] = [
    "const", "declare", "export", "final", "let", "local", "private", "readonly", "static", "val", "var",
    "String",
];

/// CloudFormation's tags for text with `${…}`.
pub(super) const TAGS: [&str; 2] = ["!Sub", "!Join"];

/// Whether `word` is the mark of a YAML block scalar: `|`, `>-`, `|2+`.
pub(super) fn is_block_mark(word: &str) -> bool {
    word.strip_prefix(['|', '>'])
        .is_some_and(|r| r.len() <= 2 && r.bytes().all(|b| matches!(b, b'+' | b'-' | b'1'..=b'9')))
}

/// Whether `word` can be a key or the name of a variable.
pub(super) fn is_key(word: &str) -> bool {
    let word = word.trim_end_matches('?').trim_start_matches("--");
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

/// Whether a key says that its value is a log format: `LogFormat`, `flow_log_format`, `--log-format`.
pub(super) fn is_format_key(word: &str) -> bool {
    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    plain.ends_with("logformat") || plain.ends_with("logsformat") || plain.ends_with("flowformat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_around_a_format() {
        for mark in ["|", ">", ">-", "|+", "|2", ">2-"] {
            assert!(is_block_mark(mark), "{mark}");
        }
        for word in ["", "-", ">>", "|x", ">-+-"] {
            assert!(!is_block_mark(word), "{word}");
        }
        for key in [
            "LogFormat",
            "log_format",
            "logFormat?",
            "--log-format",
            "flow_log_log_format",
            "VPC_FLOW_FORMAT",
        ] {
            assert!(is_key(key) && is_format_key(key), "{key}");
        }
        for word in ["Fn::Sub", "default", "x.y"] {
            assert!(is_key(word) && !is_format_key(word), "{word}");
        }
        for word in ["", "$x", "2", "a/b", "!Sub"] {
            assert!(!is_key(word), "{word}");
        }
    }
}
