//! What stands around a line and belongs to no value of it.

/// UTF-8's byte-order mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line without what stands at its ends and belongs to no value: tabs that indent it, and zeros that a crash left.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let is_none = |b: &u8| matches!(b, b'\t' | 0);
    let line = unmarked(line);
    let start = line.iter().position(|b| !is_none(b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !is_none(b)).map_or(start, |last| last + 1);
    unmarked(&line[start..end])
}

/// A line without a byte-order mark before it and a carriage return behind it.
pub(crate) fn unmarked(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// Whether a line holds nothing: blanks, tabs, carriage returns, zeros and old ends of files (Ctrl-Z) only.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | 0 | 0x1a))
}
