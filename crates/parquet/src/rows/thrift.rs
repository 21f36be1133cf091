//! What headers and footers promise, read before anything is allocated for it: Thrift's compact protocol, as far as that takes.

/// Deepest schema that is read: flow logs are flat, and decoders go down a schema one call a level.
const SCHEMA_DEPTH_MAX: usize = 32;

/// Deepest value that is skipped.
const SKIPPED_DEPTH_MAX: usize = 32;

/// Types of values.
const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Bytes, and how far they are read. Each step gives `None` where they end too early or are no Thrift.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.0.split_off(..usize::try_from(count).ok()?).map(drop)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Calls `each` with number and type of each field; it takes the value, or says that it is to be skipped.
    fn fields(&mut self, each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>) -> Option<()> {
        self.fields_within(SKIPPED_DEPTH_MAX, each)
    }

    fn fields_within(
        &mut self,
        depth: usize,
        each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == STOP {
                return Some(());
            }
            id = if head >> 4 == 0 { self.integer()? } else { id + i64::from(head >> 4) };
            if !each(self, id, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// The type of a list's items, and how many there are: each takes a byte at least.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        (count <= self.0.len() as u64).then_some((head & 0x0f, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.skip_bytes(1),
            I16..=I64 => self.varint().map(drop),
            DOUBLE => self.skip_bytes(8),
            BINARY => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            LIST | SET => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_item(kind, depth))
            }
            MAP => {
                let count = self.varint()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                if count > self.0.len() as u64 {
                    return None;
                }
                (0..count).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth)?;
                    self.skip_item(kinds & 0x0f, depth)
                })
            }
            STRUCT => self.fields_within(depth, &mut |_, _, _| Some(false)),
            _ => None,
        }
    }

    /// In a list a boolean takes a byte.
    fn skip_item(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, TRUE | FALSE) { self.skip_bytes(1) } else { self.skip(kind, depth) }
    }
}

/// What the header of a page promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHead {
    /// Bytes of the header itself.
    pub(super) header_bytes: u64,
    pub(super) is_dictionary: bool,
    /// Whether it is an index, which holds no values.
    pub(super) is_index: bool,
    /// Bytes of the page once it is decompressed.
    pub(super) bytes: u64,
    /// Bytes of the page in the file.
    pub(super) compressed_bytes: u64,
    /// Nulls included.
    pub(super) values: u64,
    /// Bytes of levels that stand before what is compressed.
    pub(super) levels: u64,
    pub(super) is_compressed: bool,
}

impl PageHead {
    /// Whether it takes more bytes in the file than any compression makes of what it holds: Snappy makes a sixth more at most.
    pub(super) fn is_inflated(&self) -> bool {
        self.compressed_bytes > self.bytes.saturating_add(self.bytes / 6).saturating_add(1_024)
    }
}

/// Reads the header of the page that `bytes` begin with.
///
/// Source: github.com/apache/parquet-format, `PageHeader` in parquet.thrift.
pub(super) fn page_head(bytes: &[u8]) -> Option<PageHead> {
    let mut head = PageHead {
        header_bytes: 0,
        is_dictionary: false,
        is_index: false,
        bytes: 0,
        compressed_bytes: 0,
        values: 0,
        levels: 0,
        is_compressed: true,
    };
    let mut rest = Cursor(bytes);
    rest.fields(&mut |cursor, id, kind| {
        match (id, kind) {
            (1, BYTE..=I64) => {
                let page_type = cursor.integer()?;
                (head.is_dictionary, head.is_index) = (page_type == 2, page_type == 1);
            }
            (2, BYTE..=I64) => head.bytes = u64::try_from(cursor.integer()?).ok()?,
            (3, BYTE..=I64) => head.compressed_bytes = u64::try_from(cursor.integer()?).ok()?,
            // Of a data page, a dictionary page, a data page of version 2: the first field of each.
            (5 | 7 | 8, STRUCT) => cursor.fields(&mut |cursor, field, kind| {
                match (id, field, kind) {
                    (_, 1, BYTE..=I64) => head.values = u64::try_from(cursor.integer()?).ok()?,
                    (8, 5 | 6, BYTE..=I64) => {
                        head.levels = head.levels.saturating_add(u64::try_from(cursor.integer()?).ok()?);
                    }
                    (8, 7, FALSE) => head.is_compressed = false,
                    _ => return Some(false),
                }
                Some(true)
            })?,
            _ => return Some(false),
        }
        Some(true)
    })?;
    head.header_bytes = (bytes.len() - rest.0.len()) as u64;
    Some(head)
}

/// Checks that a footer's schema is no deeper than is read, and has no more children than elements.
///
/// Source: github.com/apache/parquet-format, `FileMetaData` and `SchemaElement` in parquet.thrift.
pub(super) fn is_sound_footer(bytes: &[u8]) -> bool {
    let mut is_sound = true;
    let read = Cursor(bytes).fields(&mut |cursor, id, kind| {
        if (id, kind) != (2, LIST) {
            return Some(false);
        }
        let (kind, count) = cursor.list()?;
        if kind != STRUCT {
            return None;
        }
        // Children that are still to come, of each group that is open.
        let mut open: Vec<i64> = Vec::new();
        for left in (0..count).rev() {
            let mut children = 0;
            cursor.fields(&mut |cursor, id, kind| {
                let is_children = id == 5 && (BYTE..=I64).contains(&kind);
                if is_children {
                    children = cursor.integer()?;
                }
                Some(is_children)
            })?;
            is_sound &= (0..=i64::try_from(left).unwrap_or(i64::MAX)).contains(&children);
            if let Some(last) = open.last_mut() {
                *last -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            is_sound &= open.len() <= SCHEMA_DEPTH_MAX;
            if !is_sound {
                return None;
            }
        }
        Some(true)
    });
    is_sound && read.is_some()
}

/// Checks the lengths at the beginning of a page's delta-encoded texts, for which memory is taken before they are read: there may
/// be no more than `values_max` of them. `has_prefixes` says that lengths of prefixes stand before those of what follows.
pub(super) fn is_sound_delta(bytes: &[u8], has_prefixes: bool, values_max: u64) -> bool {
    let mut cursor = Cursor(bytes);
    let mut lists = if has_prefixes { 2 } else { 1 };
    std::iter::from_fn(|| {
        lists = u8::checked_sub(lists, 1)?;
        Some(skip_delta(&mut cursor, values_max).is_some())
    })
    .all(|is_sound| is_sound)
}

/// Source: github.com/apache/parquet-format, Encodings.md, DELTA_BINARY_PACKED.
fn skip_delta(cursor: &mut Cursor<'_>, values_max: u64) -> Option<()> {
    let (block, minis, values) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
    cursor.integer()?;
    let mut left = values.saturating_sub(1);
    // Widths stand only where there are differences: a page of nulls, or of one value, ends here.
    let has_room = left == 0 || minis <= cursor.0.len() as u64;
    if values > values_max || minis == 0 || !has_room || !block.is_multiple_of(minis) {
        return None;
    }
    let of_mini = block / minis;
    while left > 0 {
        cursor.integer()?;
        let widths = cursor.0.split_off(..usize::try_from(minis).ok()?)?;
        for width in widths.iter().filter(|_| of_mini > 0) {
            if left == 0 {
                break;
            }
            cursor.skip_bytes((u64::from(*width).checked_mul(of_mini)?).div_ceil(8))?;
            left = left.saturating_sub(of_mini);
        }
        if of_mini == 0 {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_pages() {
        // {type: DATA_PAGE, uncompressed: 300, compressed: 200, data_page_header: {num_values: 7, …}}
        let mut bytes = vec![0x15, 0, 0x15, 0xd8, 0x04, 0x15, 0x90, 0x03, 0x2c, 0x15, 14, 0x15, 0, 0, 0];
        let head = PageHead {
            header_bytes: 15,
            is_dictionary: false,
            is_index: false,
            bytes: 300,
            compressed_bytes: 200,
            values: 7,
            levels: 0,
            is_compressed: true,
        };
        assert_eq!(page_head(&bytes), Some(head));
        for cut in 0..bytes.len() {
            assert_eq!(page_head(&bytes[..cut]), None, "{cut}");
        }
        // A negative size.
        bytes[3] = 0xd9;
        assert_eq!(page_head(&bytes), None);
    }

    #[test]
    fn depth_of_schemas() {
        // Elements with `num_children`, in field 2 of the footer.
        let footer = |children: &[u8]| {
            let mut bytes = vec![0x15, 2, 0x19, 0xfc, children.len() as u8];
            children.iter().for_each(|n| bytes.extend([0x55, 2 * n, 0]));
            bytes.push(0);
            bytes
        };
        for sound in [&[2, 0, 0][..], &[1, 1, 2, 0, 0], &[0], &[1; 1], &vec![0; 100][..]] {
            assert_eq!(is_sound_footer(&footer(sound)), *sound != [1], "{sound:?}");
        }
        let deep = |depth: usize| [vec![1; depth], vec![0]].concat();
        assert!(is_sound_footer(&footer(&deep(SCHEMA_DEPTH_MAX))));
        assert!(!is_sound_footer(&footer(&deep(SCHEMA_DEPTH_MAX + 1))));
        assert!(!is_sound_footer(&footer(&[60, 0])) && !is_sound_footer(b"\x19\xfc\xff\xff\xff\xff\x0f"));
        let nested = vec![0x1c; 1_000_000];
        assert!(!is_sound_footer(&nested), "it is skipped to a depth only");
    }

    #[test]
    fn lengths_of_texts() {
        // A block of 128 in 4, three values: 5, and two differences of 3 bits.
        let lengths = [0x80, 0x01, 4, 3, 10, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let two = [lengths, lengths].concat();
        assert!(is_sound_delta(&lengths, false, 3) && is_sound_delta(&two, true, 3));
        assert!(!is_sound_delta(&lengths, false, 2) && !is_sound_delta(&lengths, true, 3));
        let mut many = two.clone();
        many[lengths.len() + 3] = 4;
        assert!(is_sound_delta(&many, false, 3) && !is_sound_delta(&many, true, 3));
        // Nothing but nulls; one value of one byte: no widths.
        for (values, behind) in [(0, &b""[..]), (1, b"a"), (1, b"")] {
            let head = [&[0x80, 0x01, 4, values, 2][..], behind].concat();
            assert!(is_sound_delta(&head, false, 3), "{values} {behind:?}");
        }
        assert!(is_sound_delta(&[0x80, 0x01, 4, 0, 0, 0x80, 0x01, 4, 0, 0], true, 3));
        assert!(!is_sound_delta(&[0x80, 0x01, 4, 2, 2, 0, 0, 0], false, 3), "widths of two values are cut");
        assert!(!is_sound_delta(&[0x80, 0x01, 0, 3, 10], false, 3) && !is_sound_delta(&[], false, 3));
    }
}
