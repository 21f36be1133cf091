//! Threads and memory of a run, where fewer are given than suit it.

use flowquet_command::machine::{share_of_machine, with_spare};
use flowquet_engine::{Budget, Error};
use indicatif::HumanBytes;

use crate::failure::engine_failure;
use crate::output::{Failure, say};

/// Threads that wait for a remote store while others count.
const WAITING: usize = 4;

/// Threads that look into a table: where it is remote, some of them wait for its bytes.
pub(crate) fn look_threads(threads: usize, is_remote: bool) -> usize {
    if is_remote { threads + WAITING } else { threads }
}

/// The budget of a conversion. Without `memory` it is what suits the threads, or less where there is less; where there is less than the
/// smallest one, that is taken and the danger told: few logs need all of it.
pub(crate) fn budget(
    threads: usize,
    memory: Option<u64>,
    remote_input: bool,
    remote_output: bool,
) -> Result<Budget, Failure> {
    let new = |memory| Budget::new(threads, memory, remote_input, remote_output);
    let given = memory.map(|m| usize::try_from(m).unwrap_or(usize::MAX));
    let budget = match (given, share_of_machine()) {
        (None, Some(share)) => new(None).and_then(|b| match new(Some(share)) {
            _ if b.memory() <= share => Ok(b),
            Err(Error::MemoryTooSmall { needed, .. }) => {
                say(&format!(
                    "warning: a conversion may need {} of memory, but {} is available: running one thread; it may be killed (exit code 137), \
                     which is safe. {} is enough for one thread",
                    HumanBytes(needed as u64),
                    HumanBytes(with_spare(share)),
                    HumanBytes(with_spare(needed))
                ));
                new(Some(needed))
            }
            less => less,
        }),
        (given, _) => new(given),
    };
    budget.map_err(|e| engine_failure(&e))
}
