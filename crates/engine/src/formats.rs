//! Log formats before anything is converted: one look for each flow log, since the format of a flow log never changes.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::Arc;

use flowquet_format::{Catalogue, LogFormat, ObjectKey, TELLING_LINES, first_header};
use flowquet_input::{Compression, Framing, first_lines, text_of};
use flowquet_parquet::{RowReader, RowsError, Wanted};
use flowquet_sources::SourceSet;
use flowquet_store::{ErrorKind, Fetch};
use flowquet_table::{Options, SourceObject};
use serde::Serialize;

use crate::context::PlanContext;
use crate::error::Error;

/// Bytes of an object that hold its header line, compressed or not.
pub(crate) const HEAD_BYTES: u64 = 16 << 10;

/// Most text that these bytes are inflated to: a header stands above all records, and a few bytes may inflate to gigabytes.
const HEAD_TEXT_BYTES_MAX: u64 = 1 << 20;

/// Objects without AWS's names are asked one by one, up to this many.
pub(crate) const NAMELESS_MAX: usize = 1_000;

/// Looks that are under way at once.
pub(crate) const AHEAD: usize = 64;

/// Objects that have one log format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundFormat {
    /// AWS's text of it; `None` where an object has no header line and no format is given.
    pub format: Option<String>,
    /// Flow logs that have it.
    pub flow_logs: Vec<String>,
    /// Objects of those flow logs, and others that were looked at.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One of them.
    pub example: String,
}

/// Log formats of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Formats {
    /// By text.
    pub formats: Vec<FoundFormat>,
    /// Objects that were looked at.
    pub looks: u64,
    /// Objects without a flow log's id beyond the first thousand, which were not.
    pub not_looked_at: u64,
    /// Those of flow logs of which the object that was looked at cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<UnreadFormats>,
}

/// Objects whose log formats nobody knows, since the looks failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadFormats {
    /// How many, those of the same flow logs included.
    pub objects: u64,
    /// The first one that was looked at.
    pub example: String,
    /// Why it cannot be read.
    pub reason: String,
}

struct Group<'a> {
    flow_log: Option<String>,
    first: &'a SourceObject,
    objects: u64,
    bytes: u64,
}

/// Looks at one object of each flow log, and at others one by one.
///
/// # Errors
/// As the store reports.
pub fn find_formats<'a>(
    sources: &SourceSet,
    objects: impl IntoIterator<Item = &'a SourceObject>,
    options: &Options,
) -> Result<Formats, Error> {
    let context = PlanContext::new(options)?;
    let mut by_id: BTreeMap<String, Group<'a>> = BTreeMap::new();
    let mut groups = Vec::new();
    let mut found = Formats::default();
    for object in objects {
        let flow_log = ObjectKey::parse(object.url()).flow_log_id;
        let group = Group { flow_log: flow_log.clone(), first: object, objects: 1, bytes: object.bytes };
        match flow_log {
            Some(id) => {
                by_id
                    .entry(id)
                    .and_modify(|g| {
                        g.objects += 1;
                        g.bytes += object.bytes;
                    })
                    .or_insert(group);
            }
            None if groups.len() < NAMELESS_MAX => groups.push(group),
            None => found.not_looked_at += 1,
        }
    }
    groups.extend(by_id.into_values());
    found.looks = groups.len() as u64;
    let mut formats: BTreeMap<Option<String>, FoundFormat> = BTreeMap::new();
    let mut ahead: VecDeque<(Group<'a>, Box<dyn Fetch>)> = VecDeque::new();
    let mut groups = groups.into_iter();
    loop {
        while ahead.len() < AHEAD
            && let Some(group) = groups.next()
        {
            let fetch = sources.fetch(group.first, HEAD_BYTES);
            ahead.push_back((group, fetch));
        }
        let Some((group, fetch)) = ahead.pop_front() else { break };
        let looked_at = fetch.wait(&|| false).map_err(Error::from).and_then(|head| {
            let format = format_of_object(group.first, &head, sources, &context.catalogue, &context.wanted)?;
            Ok((head, format))
        });
        let (head, format) = match looked_at {
            Ok(looked_at) => looked_at,
            // Of a class whose archives a listing does not tell.
            Err(Error::Store(error)) if error.kind() == ErrorKind::Archived => {
                found.not_looked_at += group.objects;
                continue;
            }
            // As a conversion has it: these objects are told, and cost nobody else.
            Err(Error::Store(error)) if is_of_the_object(error.kind()) => {
                let (example, reason) = (group.first.url().to_owned(), error.to_string());
                let unread = found.unreadable.get_or_insert(UnreadFormats { objects: 0, example, reason });
                unread.objects += group.objects;
                continue;
            }
            Err(error) => return Err(error),
        };
        let format = format.or_else(|| given_format(&context, group.flow_log.as_deref(), &head));
        let text = format.map(|f| f.to_string());
        let entry = formats.entry(text.clone()).or_insert_with(|| FoundFormat {
            format: text,
            flow_logs: Vec::new(),
            objects: 0,
            bytes: 0,
            example: group.first.url().to_owned(),
        });
        entry.flow_logs.extend(group.flow_log);
        entry.objects += group.objects;
        entry.bytes += group.bytes;
    }
    found.formats = formats.into_values().collect();
    Ok(found)
}

/// Whether an error tells of one object, which is reported when it is converted, and not of the store.
pub(crate) fn is_of_the_object(kind: ErrorKind) -> bool {
    use ErrorKind::{Archived, Changed, Denied, InvalidKey, NotAFile, NotAFolder, NotFound};
    matches!(kind, Archived | Changed | Denied | InvalidKey | NotAFile | NotAFolder | NotFound)
}

/// The log format that an object tells, whose first bytes `head` has; `None` where it tells none.
pub(crate) fn format_of_object(
    object: &SourceObject,
    head: &[u8],
    sources: &SourceSet,
    catalogue: &Arc<Catalogue>,
    wanted: &Wanted,
) -> Result<Option<LogFormat>, Error> {
    match Compression::detect(head) {
        Compression::Parquet => format_of_parquet(object, sources, wanted),
        _ => Ok(format_of(head, catalogue)),
    }
}

/// The log format that the columns of a Parquet file are; `None` where it cannot be read.
fn format_of_parquet(
    object: &SourceObject,
    sources: &SourceSet,
    wanted: &Wanted,
) -> Result<Option<LogFormat>, Error> {
    match RowReader::open(object.bytes, &|range| sources.range(object, range)) {
        Ok(reader) => Ok(reader.lines(wanted).ok().and_then(|lines| lines.format().cloned())),
        Err(RowsError::File(_)) => Ok(None),
        Err(RowsError::Other(error)) => Err(error.into()),
    }
}

/// The given format that an object without a header has: that of its first line, where there are several.
fn given_format(context: &PlanContext, flow_log: Option<&str>, head: &[u8]) -> Option<LogFormat> {
    let given = match context.reading.formats_of(flow_log) {
        [one] => Some(one),
        several => {
            let line = first_line(head, &context.catalogue)?;
            let words: Vec<&[u8]> =
                line.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).collect();
            several.iter().find(|format| format.may_have(&words))
        }
    };
    given.map(|format| LogFormat::clone(format))
}

/// The log format that the header line in the first bytes of an object tells.
fn format_of(head: &[u8], catalogue: &Arc<Catalogue>) -> Option<LogFormat> {
    first_header(&text_of_head(head, catalogue)?, catalogue).map(|header| header.format)
}

/// The first line in the first bytes of an object, without what frames it.
fn first_line(head: &[u8], catalogue: &Arc<Catalogue>) -> Option<Vec<u8>> {
    let lines = text_of_head(head, catalogue)?;
    lines.split(|b| *b == b'\n').next().map(<[u8]>::to_vec)
}

/// The lines in the first bytes of an object, without what frames them: as many as tell whether the first one is a header.
fn text_of_head(head: &[u8], catalogue: &Arc<Catalogue>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut line_ends = 0;
    let mut buffer = [0; 4_096];
    let reader = text_of(Box::new(std::io::Cursor::new(head.to_vec()))).ok()?.1;
    let mut reader = reader.take(HEAD_TEXT_BYTES_MAX);
    // Compressed data ends in the midst here; what came before that is enough.
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => &buffer[..len],
        };
        text.extend_from_slice(read);
        line_ends += read.iter().filter(|b| **b == b'\n').count();
        if line_ends > TELLING_LINES && Framing::of(&text, catalogue).is_ok_and(|f| f == Framing::Lines) {
            break;
        }
    }
    let (_, lines) = first_lines(&text, false, catalogue).ok()?;
    Some(lines.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&lines).to_vec())
}

#[cfg(test)]
mod tests {
    use flowquet_testkit::gzip;

    use super::*;

    #[test]
    fn no_more_text_is_inflated_than_a_header_needs() {
        let catalogue = Arc::new(Catalogue::builtin().clone());
        let head = gzip(&vec![b'a'; 8 << 20]);
        assert!(head.len() as u64 <= HEAD_BYTES, "all of it is in the first bytes of its object");
        assert_eq!(text_of_head(&head, &catalogue).map(|text| text.len() as u64), Some(HEAD_TEXT_BYTES_MAX));
        let header = gzip(b"srcaddr dstaddr start end\n10.0.0.1 10.0.0.2 1 2\n");
        let format = format_of(&header, &catalogue).map(|format| format.to_string());
        assert_eq!(format.as_deref(), Some("${srcaddr} ${dstaddr} ${start} ${end}"));
    }
}
