//! Rejects as JSON lines, and how many of them are kept.

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

/// How much of a task's rejects its file holds: the first whole lines that fit. Once one does not, none behind it is kept, so that
/// the file is the beginning of what there was.
#[derive(Debug)]
pub(crate) struct Kept {
    room: u64,
    is_full: bool,
    lines: u64,
}

impl Kept {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { room: bytes_max, is_full: false, lines: 0 }
    }

    /// What is kept of more `lines`, each of which ends in a newline.
    pub(crate) fn first_of<'a>(&mut self, lines: &'a [u8]) -> &'a [u8] {
        let room = if self.is_full { 0 } else { usize::try_from(self.room).unwrap_or(usize::MAX) };
        let fitting = lines.get(..room).unwrap_or(lines);
        let end = fitting.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        let kept = &lines[..end];
        self.is_full |= end < lines.len();
        self.room -= end as u64;
        self.lines += kept.iter().filter(|b| **b == b'\n').count() as u64;
        kept
    }

    /// Lines that were kept.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes_max: u64, lines: &[&str], expected: &str) {
        let all = lines.concat();
        // Wherever what arrives is cut between lines, the same is kept.
        for together in 1..=lines.len() {
            let mut kept = Kept::new(bytes_max);
            let parts = lines.chunks(together).map(<[&str]>::concat);
            let text: String = parts
                .map(|part| String::from_utf8(kept.first_of(part.as_bytes()).to_vec()).expect("text"))
                .collect();
            assert_eq!((text.as_str(), kept.lines()), (expected, expected.lines().count() as u64), "{all:?}");
        }
    }

    #[test]
    fn the_first_whole_lines_that_fit_are_kept() {
        let lines = ["aa\n", "bbbb\n", "c\n"];
        check(100, &lines, "aa\nbbbb\nc\n");
        check(10, &lines, "aa\nbbbb\nc\n");
        check(9, &lines, "aa\nbbbb\n");
        // The third would fit, but not behind the second.
        check(7, &lines, "aa\n");
        check(2, &lines, "");
        check(0, &lines, "");
    }
}
