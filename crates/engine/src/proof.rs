//! What proves the values of a table's file: the digest of its rows, and for columns that digests leave out the checksum of its bytes.

use std::ops::Range;

use bytes::Bytes;
use flowquet_format::LogFormat;
use flowquet_store::{Fetch, Store};
use flowquet_table::{Crc32, LiveFile};

use crate::error::Error;

/// What is read of a gap at once: a request is worth its time, and nothing holds more.
const PIECE_BYTES: u64 = 1 << 20;

/// The longest gap that is on its way before somebody waits for it: the footer of most files. Sixteen files of a merge are on their way
/// at once, which makes 4 MiB.
const AHEAD_BYTES_MAX: u64 = 256 << 10;

/// What stands before the first column of a file: not worth a request.
const HEAD_BYTES: u64 = 4;

/// Columns of a file that no digest counts, without twins of addresses: these are compared with the addresses, and made anew of them.
pub(crate) fn uncounted_columns(file: &LiveFile) -> Vec<String> {
    let options = &file.options;
    let Ok(format) = LogFormat::parse(&file.output.format, options.catalogue()) else {
        return Vec::new();
    };
    let added = options.columns_of(&format).into_iter().filter(|c| c.field().is_none());
    added.filter(|c| c.is_made_of_others()).map(|c| c.name).collect()
}

/// Bytes of a file that whoever reads ranges of it does not read.
pub(crate) struct Gaps<'a> {
    out: &'a dyn Store,
    key: &'a str,
    gaps: Vec<Gap>,
}

struct Gap {
    range: Range<u64>,
    /// Where it is on its way.
    fetch: Option<Box<dyn Fetch>>,
}

impl<'a> Gaps<'a> {
    /// Those between `ranges`, which stand one after the other in a file of `bytes` bytes. A range that begins right behind the head of
    /// the file begins with it from now on.
    pub(crate) fn between(out: &'a dyn Store, key: &'a str, bytes: u64, ranges: &mut [Range<u64>]) -> Self {
        if let Some(first) = ranges.first_mut().filter(|first| first.start <= HEAD_BYTES) {
            first.start = 0;
        }
        let (mut gaps, mut end) = (Vec::new(), 0);
        for range in ranges.iter().cloned().chain(std::iter::once(bytes..bytes)) {
            let gap = end..range.start;
            end = range.end;
            if gap.is_empty() {
                continue;
            }
            let is_short = gap.end - gap.start <= AHEAD_BYTES_MAX;
            let fetch = is_short.then(|| out.fetch(key, "", gap.clone(), false));
            gaps.push(Gap { range: gap, fetch });
        }
        Self { out, key, gaps }
    }

    /// The checksum of the file, of which `parts` are the bytes of the ranges: where each starts, and its bytes. The others are read
    /// and not kept.
    ///
    /// # Errors
    /// As the store reports; [`Error::Interrupted`] where `is_stopped`.
    pub(crate) fn crc32(self, parts: &[(u64, Bytes)], is_stopped: &dyn Fn() -> bool) -> Result<Crc32, Error> {
        let mut crc32 = crc32fast::Hasher::new();
        let mut parts = parts.iter().peekable();
        for Gap { range, fetch } in self.gaps {
            while let Some((_, bytes)) = parts.next_if(|(start, _)| *start < range.start) {
                crc32.update(bytes);
            }
            if let Some(fetch) = fetch {
                crc32.update(&fetch.wait(is_stopped)?);
                continue;
            }
            let mut at = range.start;
            while at < range.end {
                if is_stopped() {
                    return Err(Error::Interrupted);
                }
                let piece = at..range.end.min(at + PIECE_BYTES);
                at = piece.end;
                crc32.update(&self.out.fetch(self.key, "", piece, false).wait(is_stopped)?);
            }
        }
        parts.for_each(|(_, bytes)| crc32.update(bytes));
        Ok(Crc32(crc32.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use flowquet_store::Memory;

    use super::*;

    /// Bytes that are here and bytes that are read come to the checksum of all.
    #[track_caller]
    fn check(bytes: u64, ranges: &[(u64, u64)]) {
        let whole: Vec<u8> = (0..bytes).map(|i| (i * i % 251) as u8).collect();
        let store = Memory::new("s3://lake");
        store.put("a", &whole).expect("memory takes all");
        let mut ranges: Vec<Range<u64>> = ranges.iter().map(|(start, end)| *start..*end).collect();
        let gaps = Gaps::between(&store, "a", bytes, &mut ranges);
        let part =
            |r: &Range<u64>| (r.start, Bytes::copy_from_slice(&whole[r.start as usize..r.end as usize]));
        let parts: Vec<(u64, Bytes)> = ranges.iter().map(part).collect();
        let found = gaps.crc32(&parts, &|| false).expect("memory does not fail");
        assert_eq!(found, Crc32(crc32fast::hash(&whole)), "{bytes} {ranges:?}");
    }

    #[test]
    fn all_bytes_are_summed_in_their_order() {
        check(0, &[]);
        check(100, &[]);
        check(100, &[(4, 100)]);
        check(100, &[(4, 60)]);
        check(100, &[(5, 60), (60, 70), (90, 95)]);
        let (short, long) = (AHEAD_BYTES_MAX, 2 * PIECE_BYTES + 7);
        check(long, &[]);
        check(4 * long, &[(4, short), (2 * short, 3 * short), (long + short, 2 * long)]);
        check(3 * long, &[(long, long + 9), (2 * long, 3 * long - short - 1)]);
    }

    #[test]
    fn who_is_to_stop_reads_no_more_pieces() {
        let store = Memory::new("s3://lake");
        store.put("a", &vec![0; 2 * PIECE_BYTES as usize]).expect("memory takes all");
        let gaps = Gaps::between(&store, "a", 2 * PIECE_BYTES, &mut []);
        assert!(matches!(gaps.crc32(&[], &|| true), Err(Error::Interrupted)));
    }
}
