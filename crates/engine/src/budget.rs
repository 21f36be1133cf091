//! Memory: what a worker may hold, and how many workers a budget allows.

use crate::error::Error;

/// Columns that a unit holds before it hands the largest of them on. Decides bytes of files, so it is no option.
pub(crate) const BUILD_BYTES_MAX: usize = 64 << 20;

/// Columns that a task carries from unit to unit before it writes the largest of them. Decides bytes of files.
pub(crate) const CARRY_BYTES_MAX: usize = 64 << 20;

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

/// The smallest memory budget: one worker.
pub const MEMORY_MIN: usize = FIXED_BYTES + WORKER_BYTES + 2 * INFLATE_BYTES_MIN;

/// Default budget a thread. Two of them stay under 512 MiB.
const MEMORY_PER_THREAD: usize = 240 << 20;

/// How many workers run, and what each may inflate whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Workers.
    pub workers: usize,
    /// Longest text that is inflated whole, in bytes.
    pub inflate_bytes_max: usize,
}

impl Budget {
    /// The budget for `threads` threads and `memory` bytes; without `memory`, what suits the threads.
    ///
    /// # Errors
    /// [`Error::MemoryTooSmall`] below [`MEMORY_MIN`].
    pub fn new(threads: usize, memory: Option<usize>) -> Result<Self, Error> {
        let memory = memory.unwrap_or(MEMORY_MIN.max(threads * MEMORY_PER_THREAD + FIXED_BYTES));
        if memory < MEMORY_MIN {
            return Err(Error::MemoryTooSmall { given: memory });
        }
        let smallest = WORKER_BYTES + 2 * INFLATE_BYTES_MIN;
        let workers = ((memory - FIXED_BYTES) / smallest).clamp(1, threads.max(1));
        let spare = (memory - FIXED_BYTES) / workers - WORKER_BYTES;
        // Compressed bytes stand beside the inflated ones.
        Ok(Self { workers, inflate_bytes_max: (spare / 2).min(INFLATE_BYTES_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        assert!(Budget::new(2, Some(MEMORY_MIN - 1)).is_err());
        assert_eq!(Budget::new(8, Some(MEMORY_MIN)).expect("enough").workers, 1);
        assert_eq!(Budget::new(2, Some(8 << 30)).expect("enough").workers, 2);
        for threads in [1, 2, 16] {
            let budget = Budget::new(threads, None).expect("enough");
            assert_eq!(budget.workers, threads);
            assert!(budget.inflate_bytes_max >= INFLATE_BYTES_MIN);
        }
    }
}
