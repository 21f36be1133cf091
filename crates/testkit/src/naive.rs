//! The naive reader: splits strings, allocates at will, and knows nothing of the parser's code. An oracle for tests.

/// Longest line; said again here so that a change of the parser's limit shows.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Fields of 32-bit columns.
const INT32: [&str; 7] =
    ["version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"];

/// Fields of 64-bit columns.
const INT64: [&str; 8] = [
    "packets",
    "bytes",
    "start",
    "end",
    "packets-lost-no-route",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-ttl-expired",
];

/// Words that make a line a header; enough for what tests write.
const OTHERS: [&str; 12] = [
    "srcaddr",
    "dstaddr",
    "log-status",
    "action",
    "account-id",
    "interface-id",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
];

/// A whole object, read naively.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Field names and values of each record.
    pub records: Vec<(Vec<String>, Vec<Vec<u8>>)>,
    /// Line number and raw line of each reject.
    pub rejects: Vec<(u64, Vec<u8>)>,
    /// All lines.
    pub lines: u64,
    /// Header lines.
    pub headers: u64,
    /// Blank lines.
    pub blanks: u64,
}

/// Reads `text`; `given` is the format (bare field names) of objects without a header.
pub fn read(text: &[u8], given: Option<&str>) -> Read {
    let mut read = Read::default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut names: Option<Vec<String>> = None;
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    for line in lines {
        read.lines += 1;
        let raw = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_BYTES_MAX {
            read.rejects.push((read.lines, line[..LINE_BYTES_MAX].to_vec()));
            continue;
        }
        let line = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        if line.iter().all(|b| b" \t\r".contains(b)) {
            read.blanks += 1;
            continue;
        }
        let is_own = |h: &Vec<String>| names.as_ref().is_none_or(|own| h.len() > 1 || h == own);
        if let Some(header) = header(line).filter(is_own) {
            read.headers += 1;
            names = Some(header);
            continue;
        }
        let names =
            names.get_or_insert_with(|| given.expect("a format").split(' ').map(str::to_owned).collect());
        match record(line, names) {
            Some(values) => read.records.push((names.clone(), values)),
            None => read.rejects.push((read.lines, raw.to_vec())),
        }
    }
    read
}

fn header(line: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<String> = text
        .split([' ', '\t', '\r'])
        .filter(|w| !w.is_empty())
        .map(|w| w.to_lowercase().replace('_', "-"))
        .collect();
    let shaped = words.iter().all(|w| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    let known = words
        .iter()
        .filter(|w| {
            INT32.contains(&w.as_str()) || INT64.contains(&w.as_str()) || OTHERS.contains(&w.as_str())
        })
        .count();
    (shaped && !text.contains('\t') && known * 2 >= words.len()).then_some(words)
}

fn record(line: &[u8], names: &[String]) -> Option<Vec<Vec<u8>>> {
    std::str::from_utf8(line).ok()?;
    let mut values: Vec<Vec<u8>> = line.split(|b| *b == b' ').map(<[u8]>::to_vec).collect();
    if values.len() != names.len() {
        values.retain(|v| !v.is_empty());
    }
    if values.len() != names.len() {
        return None;
    }
    for (name, value) in names.iter().zip(&values) {
        let value = std::str::from_utf8(value).ok()?;
        let digits = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit());
        let max = match name.as_str() {
            n if INT32.contains(&n) => u128::from(i32::MAX.unsigned_abs()),
            n if INT64.contains(&n) => u128::from(i64::MAX.unsigned_abs()),
            _ => continue,
        };
        let significant = value.trim_start_matches('0');
        let fits =
            significant.len() <= 30 && format!("0{significant}").parse::<u128>().is_ok_and(|v| v <= max);
        if value != "-" && !(digits && fits) {
            return None;
        }
    }
    Some(values)
}
