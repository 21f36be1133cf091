//! The part of a column's chunk that is in memory: the pages that are read next.
//!
//! A row group may be as large as its writer liked, so of a large one each column is read by pages. Who decodes cannot ask for bytes, so
//! a page is decoded only once it is here: until then its column has no further pages, and says which bytes it wants.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::thrift::page_head;

/// Most bytes of the pages and dictionaries that the columns of a row group are read from at once. Writers make pages of about a
/// megabyte; one page a column of a whole row group is known, too. A page is there until the next one is, so that twice as much may
/// be in memory, and that is what the smallest `--memory` leaves.
pub(super) const DECODED_BYTES_MAX: u64 = 96 << 20;

/// Longest header of a page that is read: it may hold the bounds of texts.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// What is in memory of a column's chunk.
#[derive(Debug)]
pub(super) struct Window {
    /// Where the chunk stands in the file.
    chunk: Range<u64>,
    ahead: u64,
    part: Mutex<Part>,
}

#[derive(Debug)]
struct Part {
    /// Where its bytes stand in the file.
    start: u64,
    bytes: Bytes,
    /// Where the header of the next page stands.
    next: u64,
}

impl Part {
    fn from(&self, start: u64) -> Option<Bytes> {
        let skipped = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (skipped <= self.bytes.len()).then(|| self.bytes.slice(skipped..))
    }
}

impl Window {
    /// Of a chunk at `chunk`, of which nothing is here, and at least `ahead` bytes are asked for at once.
    pub(super) fn ahead(chunk: Range<u64>, ahead: u64) -> Self {
        let ahead = ahead.max(1);
        let part = Part { start: chunk.start, bytes: Bytes::new(), next: chunk.start };
        Self { chunk, ahead, part: Mutex::new(part) }
    }

    /// Of a chunk at `start` whose bytes are all here.
    pub(super) fn whole(start: u64, bytes: Bytes) -> Self {
        let chunk = start..start + bytes.len() as u64;
        Self { chunk, ahead: 0, part: Mutex::new(Part { start, bytes, next: start }) }
    }

    fn part(&self) -> MutexGuard<'_, Part> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the chunk ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.chunk.end
    }

    /// The bytes of the file without which the next page cannot be read; `None` where it can, where there is none, and where it is
    /// damaged or too long, which its reader says.
    pub(super) fn wanted(&self) -> Option<Range<u64>> {
        let part = self.part();
        let here = part.start + part.bytes.len() as u64;
        let mut at = part.next;
        let needed = loop {
            if at >= self.chunk.end || here == self.chunk.end {
                return None;
            }
            let rest = part.from(at).unwrap_or_default();
            let Some(head) = page_head(&rest) else {
                let found = rest.len() as u64;
                if found >= HEADER_BYTES_MAX {
                    return None;
                }
                break at + (2 * found).max(self.ahead);
            };
            if head.bytes > DECODED_BYTES_MAX || head.is_inflated() {
                return None;
            }
            let end = at + head.header_bytes + head.compressed_bytes;
            if end > here {
                break end;
            }
            // Decoders pass such a page over, and read the one behind it.
            if !head.is_index {
                return None;
            }
            at = end;
        };
        Some(part.next..needed.max(part.next + self.ahead).min(self.chunk.end))
    }

    /// Takes the bytes that were wanted, which stand at `start`, in place of what was here.
    pub(super) fn put(&self, start: u64, bytes: Bytes) {
        let mut part = self.part();
        (part.start, part.bytes) = (start, bytes);
    }

    /// What is here from `start` on.
    pub(super) fn from(&self, start: u64) -> Option<Bytes> {
        self.part().from(start)
    }

    /// The page of `length` bytes at `start`. The header of the next one stands behind it.
    pub(super) fn page(&self, start: u64, length: usize) -> Option<Bytes> {
        let mut part = self.part();
        let bytes = part.from(start).filter(|rest| rest.len() >= length)?.slice(..length);
        part.next = start + length as u64;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with a header of 15 bytes and a body of `body` bytes; of type 1 it is an index.
    fn page(kind: u8, body: u8) -> Vec<u8> {
        let mut page = vec![0x15, 2 * kind, 0x15, 2 * body, 0x15, 2 * body, 0x2c, 0x15, 14, 0x15, 0, 0, 0];
        page.extend(std::iter::repeat_n(7, usize::from(body)));
        page
    }

    /// The ranges that are wanted until all pages are read, and the lengths of these.
    fn read(file: &[u8], window: &Window) -> (Vec<Range<u64>>, Vec<usize>) {
        let (mut ranges, mut pages) = (Vec::new(), Vec::new());
        loop {
            while let Some(range) = window.wanted() {
                window.put(
                    range.start,
                    Bytes::copy_from_slice(&file[range.start as usize..range.end as usize]),
                );
                ranges.push(range);
            }
            let mut at = window.part().next;
            if at >= window.end() {
                return (ranges, pages);
            }
            loop {
                let head = page_head(&window.from(at).expect("its header is here")).expect("whole");
                let body = at + head.header_bytes;
                if head.is_index {
                    at = body + head.compressed_bytes;
                    continue;
                }
                pages.push(window.page(body, head.compressed_bytes as usize).expect("it is here").len());
                break;
            }
        }
    }

    #[test]
    fn pages_are_wanted_one_behind_the_other() {
        let pages = [page(2, 40), page(0, 60), page(1, 20), page(0, 50), page(0, 0)];
        let file = [&[9; 5][..], &pages.concat(), &[9; 5]].concat();
        let chunk = 5..file.len() as u64 - 5;
        for ahead in [1, 10, 13, 53, 60, 100, 1_000] {
            let window = Window::ahead(chunk.clone(), ahead);
            let (ranges, lengths) = read(&file, &window);
            assert_eq!(lengths, [40, 60, 50, 0], "{ahead}");
            assert!(ranges.iter().all(|range| chunk.start <= range.start && range.end <= chunk.end));
            assert!(ranges.is_sorted_by_key(|range| range.end));
        }
        let window = Window::whole(5, Bytes::copy_from_slice(&file[5..file.len() - 5]));
        assert_eq!(read(&file, &window), (Vec::new(), vec![40, 60, 50, 0]));
    }

    #[test]
    fn what_is_damaged_is_not_waited_for() {
        // No header: as much as the longest has, and no more.
        let window = Window::ahead(0..u64::MAX, 64 << 10);
        let mut read = 0;
        while let Some(range) = window.wanted() {
            read = range.end - range.start;
            window.put(range.start, Bytes::from(vec![0xff; read as usize]));
        }
        assert!((HEADER_BYTES_MAX..=2 * HEADER_BYTES_MAX).contains(&read), "{read}");
        // A page behind the end of its chunk.
        let cut = page(0, 60);
        let window = Window::ahead(0..50, 64);
        assert_eq!(window.wanted(), Some(0..50));
        window.put(0, Bytes::copy_from_slice(&cut[..50]));
        assert_eq!((window.wanted(), window.page(13, 60)), (None, None));
        // A page that is compressed to far more than it holds.
        let mut inflated = page(0, 60);
        inflated.splice(5..6, [0xfe, 0xff, 0xff, 0x0f]);
        let window = Window::ahead(0..u64::MAX, 64 << 10);
        window.put(0, Bytes::from(inflated));
        assert_eq!(window.wanted(), None);
    }
}
