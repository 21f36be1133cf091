//! What the lines of a text are framed in, told by how it begins.

mod cli_text;
mod comments;
mod documents;
mod exports;
mod json;
mod names;
mod separated;
mod values;

use std::fmt;
use std::sync::Arc;

use flowquet_format::{CARRIED_MARK, Catalogue, EventTimes};
use flowquet_parquet::MAGIC;

use self::cli_text::CliText;
use self::comments::Comments;
use self::documents::Documents;
use self::exports::Exports;
use self::separated::Separated;

/// A text that is no flow log in a form that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Takes lines out of their framing.
pub(crate) trait Unframe: Send {
    /// Takes what it can of `text`, which nothing follows if `is_last`, and appends its lines to `out`, until that has about `max`
    /// bytes. Returns how much it took; all of it, if `is_last` and `out` has room.
    ///
    /// # Errors
    /// [`Refused`], before the first line is appended.
    fn push(&mut self, text: &[u8], is_last: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Refused>;
}

/// What the lines of a text are framed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// In nothing: each line is a header, a record or a reject.
    Lines,
    /// In comments, lines that begin with `#`, before the first other one.
    Comments,
    /// Each line stands behind a time, as CloudWatch exports and `aws logs tail` write it.
    Exports,
    /// Lines between tabs, with other values that have no blanks: what the AWS CLI prints with `--output text`.
    CliText,
    /// Documents of JSON: CloudWatch subscriptions, Firehose, `aws logs get-log-events`, or one key a field.
    Documents,
    /// A table whose values this byte separates, with quotes or without.
    Separated(u8),
    /// What CloudWatch puts to see whether it may: no lines.
    Marker,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the export of a log group puts into the bucket first.
const MARKER: &[u8] = b"Permission Check Successful";

impl Framing {
    /// The framing of a text that begins so.
    ///
    /// # Errors
    /// [`Refused`], with the name of what it is and the command that helps, if it is known and not read.
    pub fn of(text: &[u8], catalogue: &Catalogue) -> Result<Self, Refused> {
        let framing = Self::of_line(text, catalogue)?;
        // Lines may be the title of a table.
        Ok(match framing {
            Self::Lines => separated::separator_below_title(text, catalogue).map_or(framing, Self::Separated),
            framing => framing,
        })
    }

    /// The framing of a text by its first line, and for a table's the one below: they are there when they are asked for.
    fn of_line(text: &[u8], catalogue: &Catalogue) -> Result<Self, Refused> {
        if let Some(what) = known_otherwise(text) {
            return Err(Refused(what));
        }
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let Some(start) = text.iter().position(|b| !b.is_ascii_whitespace()) else { return Ok(Self::Lines) };
        let text = &text[start..];
        let line = text.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end();
        Ok(match line[0] {
            b'{' | b'[' | 0x1e => Self::Documents,
            _ if comments::is_comment(line) => Self::Comments,
            _ if text.trim_ascii() == MARKER => Self::Marker,
            _ if is_tagged(line) || documents::is_encoded(line) => Self::Documents,
            _ if exports::message_of(&exports::uncoloured(line)).is_some() => Self::Exports,
            _ if cli_text::is_of_cli(line) => Self::CliText,
            _ => separated::separator_of(text, catalogue).map_or(Self::Lines, Self::Separated),
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::CliText => "text of the AWS CLI",
            Self::Comments => "lines after comments",
            Self::Exports => "lines after a time (CloudWatch export)",
            Self::Documents => "JSON documents",
            Self::Separated(b'\t') => "values separated by tabs",
            Self::Separated(b';') => "values separated by semicolons",
            Self::Separated(b'|') => "values separated by bars",
            Self::Separated(b' ') => "values in quotes separated by blanks",
            Self::Separated(separated::CTRL_A) => "values separated by Ctrl-A",
            Self::Separated(_) => "values separated by commas",
            Self::Marker => "a marker of CloudWatch without lines",
        }
    }

    /// What takes lines out of it; none where they stand as they are. Tells `events` the times of events, where it has them.
    pub(crate) fn unframer(
        self,
        catalogue: &Arc<Catalogue>,
        events: Option<&EventTimes>,
    ) -> Option<Box<dyn Unframe>> {
        Some(match self {
            Self::Lines => return None,
            Self::CliText => Box::new(CliText),
            Self::Comments => Box::new(Comments::new(catalogue.clone(), events.cloned())),
            Self::Exports => Box::new(Exports::new(events.cloned())),
            Self::Documents => Box::new(Documents::new(catalogue.clone(), events.cloned())),
            Self::Separated(separator) => {
                Box::new(Separated::new(separator, catalogue.clone(), events.cloned()))
            }
            Self::Marker => Box::new(Marker),
        })
    }
}

/// The lines that the beginning of a text has, out of their framing. For a look at a file.
///
/// # Errors
/// [`Refused`].
pub fn first_lines(
    text: &[u8],
    is_whole: bool,
    catalogue: &Arc<Catalogue>,
) -> Result<(Framing, Vec<u8>), Refused> {
    let framing = Framing::of(text, catalogue)?;
    let Some(mut unframe) = framing.unframer(catalogue, None) else { return Ok((framing, text.to_vec())) };
    let mut out = Vec::new();
    unframe.push(text, is_whole, usize::MAX, &mut out)?;
    if out.starts_with(CARRIED_MARK) {
        out.drain(..CARRIED_MARK.len());
    }
    Ok((framing, out))
}

/// Whether a line is a document behind a time and a tag.
fn is_tagged(line: &[u8]) -> bool {
    let begin = line.windows(3).position(|three| matches!(three, b"\t{\"" | b" {\""));
    begin.is_some_and(|at| exports::is_tag(&line[..=at]))
}

/// Needs nothing but pyarrow; the names of both files are put behind it.
const ARROW_TO_PARQUET: &str = "python3 -c 'import sys, pyarrow.feather as f, pyarrow.parquet as p; p.write_table(f.read_table(sys.argv[1]), sys.argv[2])' FILE FILE.parquet";

/// The name of what is known and not read, with what to do.
fn known_otherwise(text: &[u8]) -> Option<String> {
    if text.starts_with(MAGIC) {
        // One that is no more than Parquet is never looked at as text.
        return Some(
            "expected flow log lines, found a Parquet file that is compressed as a whole, which is not read: `gunzip`, or `unzstd`, makes a Parquet file of it, which is".to_owned(),
        );
    }
    if text.starts_with(b"ARROW1\0\0") {
        return Some(format!(
            "expected flow log lines, found an Arrow file (Feather), which is not read: `{ARROW_TO_PARQUET}` makes a Parquet file of it, which is"
        ));
    }
    let (what, command) = match text {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => ("UTF-32 text", "iconv -f UTF-32 -t UTF-8"),
        [0xff, 0xfe, ..] => ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
        [0xfe, 0xff, ..] => ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => ("a zip archive", "unzip"),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => ("a rar archive", "unrar x"),
        [0x5d, 0, 0, _, ..] => ("lzma data", "unlzma"),
        [0x78, 0x01 | 0x9c | 0xda, ..] => ("zlib data", "pigz -dz"),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => ("bzip2 data", "bunzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz data", "unxz"),
        [b'7', b'z', 0xbc, 0xaf, ..] => ("a 7z archive", "7z x"),
        [0x1f, 0x9d, ..] => ("compress data (.Z)", "uncompress"),
        [b'O', b'R', b'C', ..] if text.contains(&0) => ("an ORC file", "orc-contents"),
        [b'O', b'b', b'j', 1, ..] => ("an Avro file", "avro cat --format json"),
        [a, 0, b, 0, c, 0, ..] if [a, b, c].iter().all(|b| is_shown(b)) => {
            ("UTF-16 text", "iconv -f UTF-16LE -t UTF-8")
        }
        [0, a, 0, b, 0, c, ..] if [a, b, c].iter().all(|b| is_shown(b)) => {
            ("UTF-16 text", "iconv -f UTF-16BE -t UTF-8")
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => ("lz4 data", "unlz4"),
        [0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', ..] => ("snappy data", "snzip -d"),
        _ if text.get(257..262) == Some(b"ustar") => ("a tar archive", "tar -x"),
        _ => return None,
    };
    Some(format!("expected flow log lines, found {what}, which is not read: `{command}` makes text of it"))
}

/// Whether a byte is one that texts begin with.
fn is_shown(byte: &u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Has no lines.
#[derive(Debug)]
struct Marker;

impl Unframe for Marker {
    fn push(&mut self, text: &[u8], _: bool, _: usize, _: &mut Vec<u8>) -> Result<usize, Refused> {
        Ok(text.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(text: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Refused> {
        let catalogue = Arc::new(Catalogue::builtin().clone());
        let Some(mut unframe) = Framing::of(text, &catalogue)?.unframer(&catalogue, None) else {
            return Ok(text.to_vec());
        };
        let (mut out, mut at) = (Vec::new(), 0);
        for end in cuts.iter().copied().filter(|end| *end < text.len()).chain([text.len()]) {
            at += unframe.push(&text[at..end], end == text.len(), usize::MAX, &mut out)?;
        }
        assert_eq!(at, text.len(), "all is taken");
        Ok(out)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line = "2 [0-9]{1,4} eni-1 10\\.0\\.0\\.1";
        let piece = prop_oneof![
            line.prop_map(|l| format!("2024-01-01T00:00:00.000Z {l}\n")),
            line.prop_map(|l| format!("{{\"message\":\"{l}\"}}")),
            line.prop_map(|l| format!("{{\"message\": \"{l}\",\n \"x\": [1, null, {{}}]}}\n")),
            line.prop_map(|l| format!("1704067200000,\"{l}\"\n")),
            line.prop_map(|l| format!("{l}\n")),
            Just("timestamp,message\n".to_owned()),
            Just("version,srcaddr,bytes\n2,10.0.0.1,7\n".to_owned()),
            Just("{\"version\":2,\"bytes\":null}".to_owned()),
            Just("{\"class_uid\":1}".to_owned()),
            Just("# comment\n".to_owned()),
            "[{}\\[\\]\",:\\\\ \na0-]{1,6}",
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Wherever the windows end, the same lines come out of a text, or it is refused.
        #[test]
        fn lines_do_not_depend_on_windows(text in text(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(pushed(&text, &cuts), pushed(&text, &[]));
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..60), start in "(\\{|\\[|#|2024-01-01T00:00:00 |version,srcaddr\n)?") {
            let text = [start.as_bytes(), &bytes].concat();
            let half = text.len() / 2;
            prop_assert_eq!(pushed(&text, &[half]), pushed(&text, &[]));
        }
    }
}
