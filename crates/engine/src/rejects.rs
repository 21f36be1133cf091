//! Rejects as JSON lines.

use base64::Engine as _;
use flowquet_parse::Reject;
use serde::Serialize;

/// One line of `_flowquet/rejects/….jsonl`.
#[derive(Serialize)]
struct RejectLine<'a> {
    object: &'a str,
    line: u64,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    reason: &'a str,
    detail: &'a str,
    /// The raw line; with replacement characters where it is not UTF-8.
    raw: std::borrow::Cow<'a, str>,
    /// The raw line's bytes, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

/// Appends `rejects` of an object to `out`, one JSON object a line.
pub(crate) fn push_json_lines(url: &str, rejects: &[Reject], out: &mut Vec<u8>) {
    for reject in rejects {
        let raw = String::from_utf8_lossy(&reject.raw);
        let is_text = matches!(raw, std::borrow::Cow::Borrowed(_));
        let line = RejectLine {
            object: url,
            line: reject.line,
            offset: reject.offset,
            field: reject.field.as_deref(),
            reason: reject.reason.name(),
            detail: &reject.detail,
            raw,
            raw_base64: (!is_text).then(|| base64::engine::general_purpose::STANDARD.encode(&reject.raw)),
        };
        serde_json::to_writer(&mut *out, &line).expect("plain values into a vector");
        out.push(b'\n');
    }
}
