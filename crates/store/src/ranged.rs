//! A large object read by ranges, one ahead of the reader: what breaks is fetched again from where it broke.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

use crate::{Fetch, ObjectMeta, Store};

/// Bytes of a range.
pub const RANGE_BYTES: u64 = 8 << 20;

/// Ranges that are fetched at once.
const RANGES: usize = 2;

/// Reads an object of known size and etag.
pub struct RangedReader {
    store: Arc<dyn Store>,
    key: String,
    etag: String,
    len: u64,
    /// Where the next range begins.
    next: u64,
    ahead: VecDeque<Box<dyn Fetch>>,
    current: Bytes,
}

impl RangedReader {
    /// Reads `object` of `store`.
    pub fn new(store: Arc<dyn Store>, object: &ObjectMeta) -> Self {
        Self {
            store,
            key: object.key.clone(),
            etag: object.etag.clone(),
            len: object.bytes,
            next: 0,
            ahead: VecDeque::new(),
            current: Bytes::new(),
        }
    }

    fn fetch_ahead(&mut self) {
        while self.ahead.len() < RANGES && self.next < self.len {
            let range = self.next..self.len.min(self.next + RANGE_BYTES);
            self.next = range.end;
            self.ahead.push_back(self.store.fetch(&self.key, &self.etag, range, false));
        }
    }
}

impl Read for RangedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            self.fetch_ahead();
            let Some(fetch) = self.ahead.pop_front() else { return Ok(0) };
            self.current = fetch.wait(&|| false).map_err(io::Error::other)?;
            self.fetch_ahead();
        }
        let len = out.len().min(self.current.len());
        out[..len].copy_from_slice(&self.current.split_to(len));
        Ok(len)
    }
}
