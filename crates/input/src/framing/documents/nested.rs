//! Lines that a value of a document holds in a text of its own, or encoded.
//!
//! | value | is |
//! |---|---|
//! | `"{\"messageType\":…}"`, `"{\"log\":\"2 …\"}"` | documents, as notifications and shippers of containers' logs have them |
//! | `"\"2 …\""` | a line in quotes |
//! | `"2024-01-01T00:00:00Z 2 …"` | a line behind its time |
//! | `"data":"MiAx…"`, `"rawData":"H4sI…"`, or such a line by itself | lines or documents in base64, with gzip or without: what Lambda gets, and what Firehose could not process |

use std::io::Read as _;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use flowquet_format::EventTimes;

use super::super::exports::message_of;
use super::super::names::is_surely_record;
use super::super::values::CARRIED_MARK;
use super::super::{Refused, Unframe as _};
use super::Documents;

/// Texts within texts: a notification of a shipper's document about a container's line.
const NESTED_MAX: u8 = 3;

/// Keys of values in base64, in any case: of Kinesis and its AWS CLI, Firehose, SQS and Kafka.
const ENCODED: [&str; 4] = ["body", "data", "rawData", "value"];

/// Shortest text in base64 that is looked into: of any record.
const ENCODED_BYTES_MIN: usize = 24;

/// Most bytes that an encoded value inflates to, and of lines that a text within a text gives: Firehose hands on at most 6 MiB.
const NESTED_BYTES_MAX: usize = 16 << 20;

/// Whether a value of this key may be in base64.
pub(super) fn may_be_encoded(key: &str) -> bool {
    ENCODED.iter().any(|encoded| encoded.eq_ignore_ascii_case(key))
}

impl Documents {
    /// Takes the lines of a text that is more than a line. Returns whether it is.
    pub(super) fn nested(&mut self, text: &str, out: &mut Vec<u8>) -> Result<bool, Refused> {
        if self.depth >= NESTED_MAX {
            return Ok(false);
        }
        if text.starts_with(['{', '[']) {
            return self.documents_in(text.as_bytes(), out);
        }
        let inner = match text.as_bytes() {
            [b'"', .., b'"'] => serde_json::from_str::<String>(text).ok(),
            // Not thirteen digits: they may be a field of the record.
            [_, _, _, _, b'-', ..] => {
                message_of(text.as_bytes()).map(|line| String::from_utf8_lossy(line).into_owned())
            }
            _ => None,
        };
        let Some(inner) = inner.filter(|inner| !inner.trim().is_empty()) else { return Ok(false) };
        self.depth += 1;
        let taken = self.message(&inner, out);
        self.depth -= 1;
        taken.map(|()| true)
    }

    fn documents_in(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<bool, Refused> {
        let times = self.events.told.as_ref().map(|_| EventTimes::default());
        let mut inner = Self::new(self.records.catalogue(), times.clone());
        inner.depth = self.depth + 1;
        let mut lines = Vec::new();
        let taken = inner.push(text, true, NESTED_BYTES_MAX, &mut lines);
        // What gives more is no delivery; it becomes a line, which is a reject.
        if !taken.is_ok_and(|taken| taken == text.len()) {
            return Ok(false);
        }
        let lines = lines.strip_prefix(CARRIED_MARK).unwrap_or(&lines);
        if lines.is_empty() {
            return Ok(inner.is_control);
        }
        self.begin_line(out);
        out.extend_from_slice(lines);
        self.events.count_nested(lines, times.as_ref());
        self.records.forget_header();
        Ok(true)
    }

    /// Takes the lines of a value in base64. Returns whether it has some.
    pub(super) fn encoded(&mut self, value: &str, out: &mut Vec<u8>) -> Result<bool, Refused> {
        if self.depth >= NESTED_MAX || value.len() < ENCODED_BYTES_MIN {
            return Ok(false);
        }
        let Some(text) = decoded(value.as_bytes()).and_then(inflated) else { return Ok(false) };
        let text = text.trim();
        if text.starts_with(['{', '[']) {
            return self.documents_in(text.as_bytes(), out);
        }
        if !text.lines().next().is_some_and(is_surely_record) {
            return Ok(false);
        }
        self.message(text, out)?;
        Ok(true)
    }
}

/// Whether a line is in base64 and holds lines or documents, as `jq -r .Records[].Data` prints them.
pub(in super::super) fn is_encoded(line: &[u8]) -> bool {
    let is_of_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
    line.len() >= ENCODED_BYTES_MIN
        && line.iter().all(is_of_base64)
        && decoded(line).and_then(inflated).is_some_and(|text| {
            let text = text.trim_start();
            text.starts_with(['{', '[']) || text.lines().next().is_some_and(is_surely_record)
        })
}

/// The bytes of a text in base64, padded or not, of either alphabet, broken into lines or not.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let plain: Vec<u8> = text
        .trim_ascii_end()
        .iter()
        .filter(|b| !matches!(b, b'\n' | b'\r'))
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            b => *b,
        })
        .collect();
    GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(&plain).ok()
}

/// The text of bytes, which may be compressed.
fn inflated(bytes: Vec<u8>) -> Option<String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(bytes).ok();
    }
    let mut text = Vec::new();
    let mut stream = flate2::read::MultiGzDecoder::new(&bytes[..]).take(NESTED_BYTES_MAX as u64 + 1);
    stream.read_to_end(&mut text).ok()?;
    if text.len() > NESTED_BYTES_MAX {
        return None;
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, expected) in [
            ("", Some("")),
            ("YQ==", Some("a")),
            ("YWI=", Some("ab")),
            ("YWJj", Some("abc")),
            ("Pz4/Pw", Some("?>??")),
            ("Pz4_Pw", Some("?>??")),
            ("YW\r\nJj\n", Some("abc")),
            ("Y Q=", None),
        ] {
            assert_eq!(decoded(text.as_bytes()).as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }
}
