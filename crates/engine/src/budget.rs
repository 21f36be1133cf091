//! Memory: what a worker may hold, and how many workers a budget allows.

use flowquet_sources::WINDOW_BYTES;
use flowquet_store::{HELD_BYTES_MAX, PART_BYTES, PART_SLOTS, RANGE_BYTES};

use crate::error::Error;

/// Columns that a unit holds before it hands the largest of them on. Decides bytes of files, so it must not be configurable.
pub(crate) const BUILD_BYTES_MAX: usize = 64 << 20;

/// Columns that a task carries from unit to unit before it writes the largest of them. Decides bytes of files.
pub(crate) const CARRY_BYTES_MAX: usize = 64 << 20;

/// Bytes of a task's open files that a remote store could not send yet, since they fill no part; then the file with most of
/// them is ended. Decides bytes of files, so it holds on a disk too.
pub(crate) const UNSENT_BYTES_MAX: usize = 32 << 20;

/// Encoded pieces that a unit may have waiting for the units before it; then its worker waits.
pub(crate) const PARKED_BYTES_MAX: usize = 24 << 20;

/// Files that a task keeps open; the one that was written least recently is closed first. Decides bytes of files.
pub(crate) const OPEN_FILES_MAX: usize = 256;

/// Objects whose text is at most this long are inflated whole: with libdeflate, twice as fast as streaming.
const INFLATE_BYTES_MAX: usize = 48 << 20;

/// Less would make objects of ordinary size stream.
const INFLATE_BYTES_MIN: usize = 8 << 20;

/// What a worker holds apart from its inflated object: columns, their encoded form, what its task carries and what waits.
const WORKER_BYTES: usize = BUILD_BYTES_MAX + BUILD_BYTES_MAX / 2 + CARRY_BYTES_MAX + PARKED_BYTES_MAX;

/// Program, libraries, listings and records.
const FIXED_BYTES: usize = 32 << 20;

/// The smallest memory budget: one worker, whose units never wait for others.
pub const MEMORY_MIN: usize = FIXED_BYTES + WORKER_BYTES - PARKED_BYTES_MAX + 2 * INFLATE_BYTES_MIN;

/// Default budget a thread. Two of them stay at 512 MiB.
const MEMORY_PER_THREAD: usize = 240 << 20;

/// What a worker takes on top where its objects are remote: two windows of objects on their way, and two ranges of a long one.
const REMOTE_INPUT_BYTES: usize = 2 * WINDOW_BYTES as usize + 2 * RANGE_BYTES as usize;

/// What a run takes on top where its table is remote: parts on their way, open files' parts, sealed objects.
const REMOTE_OUTPUT_BYTES: usize = PART_SLOTS * PART_BYTES + UNSENT_BYTES_MAX + HELD_BYTES_MAX;

/// What a listing takes of the fixed part; a longer one costs workers. 200,000 objects of AWS's are about 60 MiB.
const LISTING_BYTES: usize = FIXED_BYTES / 2;

/// How many workers run, and what each may inflate whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    threads: usize,
    memory: usize,
    remote_input: bool,
    remote_output: bool,
    /// Workers.
    pub workers: usize,
    /// Longest text that is inflated whole, in bytes.
    pub inflate_bytes_max: usize,
}

impl Budget {
    /// The budget for `threads` threads and `memory` bytes; without `memory`, what suits the threads.
    ///
    /// # Errors
    /// [`Error::MemoryTooSmall`] below [`MEMORY_MIN`], or below what S3 takes on top.
    pub fn new(
        threads: usize,
        memory: Option<usize>,
        remote_input: bool,
        remote_output: bool,
    ) -> Result<Self, Error> {
        let mut budget = Self {
            threads: threads.max(1),
            memory: 0,
            remote_input,
            remote_output,
            workers: 1,
            inflate_bytes_max: INFLATE_BYTES_MIN,
        };
        let per_thread = MEMORY_PER_THREAD - WORKER_BYTES + budget.worker();
        budget.memory = memory.unwrap_or(budget.threads * per_thread + budget.fixed());
        if budget.memory < budget.smallest() {
            return Err(Error::MemoryTooSmall { given: budget.memory, needed: budget.smallest() });
        }
        budget.divide(0);
        Ok(budget)
    }

    /// Bytes that are stayed within.
    pub fn memory(&self) -> usize {
        self.memory
    }

    fn fixed(&self) -> usize {
        FIXED_BYTES + if self.remote_output { REMOTE_OUTPUT_BYTES } else { 0 }
    }

    fn worker(&self) -> usize {
        WORKER_BYTES + if self.remote_input { REMOTE_INPUT_BYTES } else { 0 }
    }

    /// What one worker needs, whose units never wait for others.
    fn smallest(&self) -> usize {
        self.fixed() + self.worker() - PARKED_BYTES_MAX + 2 * INFLATE_BYTES_MIN
    }

    /// Memory that a listing may take: what one worker leaves, and beside that what the fixed part has for small ones.
    pub(crate) fn listing_bytes_max(&self) -> usize {
        self.memory - self.smallest() + LISTING_BYTES
    }

    /// Divides what a listing of `listing` bytes leaves.
    pub(crate) fn divide(&mut self, listing: usize) {
        let listing = listing.saturating_sub(LISTING_BYTES);
        let left = self.memory.saturating_sub(self.fixed() + listing);
        self.workers = (left / (self.worker() + 2 * INFLATE_BYTES_MIN)).clamp(1, self.threads);
        let spare = (left / self.workers).saturating_sub(self.worker());
        // Compressed bytes stand beside the inflated ones.
        self.inflate_bytes_max = (spare / 2).clamp(INFLATE_BYTES_MIN, INFLATE_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        assert!(Budget::new(2, Some(MEMORY_MIN - 1), false, false).is_err());
        assert!(Budget::new(2, Some(MEMORY_MIN), true, true).is_err());
        assert_eq!(Budget::new(8, Some(MEMORY_MIN), false, false).expect("enough").workers, 1);
        assert_eq!(Budget::new(2, Some(8 << 30), true, true).expect("enough").workers, 2);
        for threads in [1, 2, 16] {
            for (input, output) in [(false, false), (true, false), (false, true), (true, true)] {
                let budget = Budget::new(threads, None, input, output).expect("enough");
                assert_eq!(budget.workers, threads);
                assert!(budget.inflate_bytes_max >= INFLATE_BYTES_MIN);
            }
        }
    }

    #[test]
    fn a_long_listing_costs_workers() {
        let mut budget = Budget::new(2, None, true, true).expect("enough");
        budget.divide(10 << 20);
        assert_eq!(budget.workers, 2);
        budget.divide(budget.listing_bytes_max());
        assert_eq!((budget.workers, budget.inflate_bytes_max), (1, INFLATE_BYTES_MIN));
    }
}
