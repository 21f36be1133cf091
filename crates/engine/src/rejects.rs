//! Rejects as JSON lines, how many of them are kept, and what those that are kept tell.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use base64::Engine as _;
use flowquet_format::{hash_text, mixed_row};
use flowquet_parse::{LINE_BYTES_MAX, Reject, RejectReason};
use flowquet_store::{Error as StoreError, Store};
use flowquet_table::{Digest, TaskId, rejects_key};
use serde::{Deserialize, Serialize};

/// Bytes of a line of a file of rejects: a raw line has at most [`LINE_BYTES_MAX`], each of which may be six in JSON, and again in base64;
/// the rest are names.
const JSON_BYTES_MAX: usize = 8 * LINE_BYTES_MAX;

/// Digest of a rejected line, as `docs/SEMANTICS.md` defines it.
pub(crate) fn digest_of(line: u64, raw: &[u8]) -> Digest {
    Digest(mixed_row(hash_text(raw).wrapping_add(mixed_row(line))))
}

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
    raw: Cow<'a, str>,
    /// The raw line's bytes, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

/// Appends `rejects` of an object to `out`, one JSON object a line.
pub(crate) fn push_json_lines(url: &str, rejects: &[Reject], out: &mut Vec<u8>) {
    for reject in rejects {
        let raw = String::from_utf8_lossy(&reject.raw);
        let is_text = matches!(raw, Cow::Borrowed(_));
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

/// What a task's file of rejects holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptRejects {
    /// Lines, whole or not.
    pub(crate) lines: u64,
    /// Number of the first line that is no reject, from 1.
    pub(crate) wrong: Option<u64>,
    /// Those that are, by the URLs of their objects.
    pub(crate) objects: HashMap<String, OfObject>,
}

/// What is kept of an object's rejected lines.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfObject {
    /// How many.
    pub(crate) lines: u64,
    /// Their digest.
    pub(crate) digest: Digest,
    /// Whether of one only the beginning is kept.
    pub(crate) is_cut: bool,
}

/// What a line of such a file tells of its raw line.
#[derive(Deserialize)]
struct KeptLine<'a> {
    #[serde(borrow)]
    object: Cow<'a, str>,
    line: u64,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    raw: Cow<'a, str>,
    raw_base64: Option<String>,
}

impl KeptRejects {
    /// Reads the file of a task; `None` where it has none.
    ///
    /// # Errors
    /// As the store reports.
    pub(crate) fn read(out: &dyn Store, task: TaskId) -> Result<Option<Self>, StoreError> {
        let key = rejects_key(&task);
        let read = match out.read(&key) {
            Ok(read) => read,
            Err(error) if error.may_be_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::of(read).map(Some).map_err(|error| StoreError::read(out.url(&key), error))
    }

    fn of(read: impl Read) -> std::io::Result<Self> {
        let mut kept = Self::default();
        let mut read = BufReader::with_capacity(1 << 20, read);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut read).take(JSON_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
                return Ok(kept);
            }
            kept.lines += 1;
            if !kept.take(&line) {
                kept.wrong.get_or_insert(kept.lines);
            }
        }
    }

    /// Takes a line, if it is a reject.
    fn take(&mut self, line: &[u8]) -> bool {
        let Some(line) = line.strip_suffix(b"\n") else { return false };
        let Ok(line) = serde_json::from_slice::<KeptLine<'_>>(line) else { return false };
        let bytes = line.raw_base64.map(|text| base64::engine::general_purpose::STANDARD.decode(text));
        let raw = match &bytes {
            None => line.raw.as_bytes(),
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => return false,
        };
        let digest = digest_of(line.line, raw);
        let object = match self.objects.get_mut(&*line.object) {
            Some(object) => object,
            None => self.objects.entry(line.object.into_owned()).or_default(),
        };
        object.lines += 1;
        object.digest = object.digest.with(digest);
        object.is_cut |= line.reason == RejectReason::LineTooLong.name();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(line: u64, reason: RejectReason, raw: &[u8]) -> Reject {
        Reject { line, offset: 0, field: None, reason, detail: String::new(), raw: raw.to_vec() }
    }

    #[test]
    fn what_is_kept_has_the_digest_of_what_was_rejected() {
        let rejects = [
            reject(1, RejectReason::NotANumber, "\"é\u{1}\\".as_bytes()),
            reject(7, RejectReason::InvalidUtf8, b"\xff\x00 b"),
            reject(7, RejectReason::LineTooLong, b""),
        ];
        let mut file = Vec::new();
        push_json_lines("s3://b/a", &rejects, &mut file);
        push_json_lines("s3://b/b", &rejects[..1], &mut file);
        let kept = KeptRejects::of(&*file).expect("memory");
        let digests = rejects.iter().map(|r| Some(digest_of(r.line, &r.raw)));
        let digest = Digest::sum(digests).expect("each has one");
        assert_eq!((kept.lines, kept.wrong), (4, None));
        assert_eq!(kept.objects["s3://b/a"], OfObject { lines: 3, digest, is_cut: true });
        let digest = digest_of(1, &rejects[0].raw);
        assert_eq!(kept.objects["s3://b/b"], OfObject { lines: 1, digest, is_cut: false });

        // Each byte of it counts that stands for one of a raw line.
        let at = file.iter().position(|b| *b == 0xc3).expect("the é");
        let mut others = file.clone();
        others[at + 1] ^= 1;
        let others = KeptRejects::of(&*others).expect("memory");
        assert_ne!(others.objects["s3://b/a"].digest, kept.objects["s3://b/a"].digest);
        assert_eq!(others.objects["s3://b/b"], kept.objects["s3://b/b"]);

        let cut = KeptRejects::of(&file[..file.len() - 1]).expect("memory");
        assert_eq!((cut.lines, cut.wrong, cut.objects.len()), (4, Some(4), 1));
        let no_json = KeptRejects::of(&b"{}\n[\n\n"[..]).expect("memory");
        assert_eq!((no_json.lines, no_json.wrong, no_json.objects.len()), (3, Some(1), 0));
    }

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
