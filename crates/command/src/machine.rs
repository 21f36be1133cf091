//! Threads and memory where none are given: what the machine has, and what its container allows.

use std::fs;
use std::path::Path;

use crate::cgroups::Cgroups;

/// What a limit leaves for what is not counted here, as a part of it: the kernel's own, and the rest of the process.
const SPARE: u64 = 8;

/// Worker threads: those that are given, or one a processor that this process may use.
pub fn threads(given: Option<u16>) -> usize {
    given.map_or_else(
        || {
            let seen = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            with_quota(seen, Cgroups::of_this_process(&read).cpus())
        },
        usize::from,
    )
}

/// `seen` processors with time of so many `cpus`. A part of a processor is worth a thread: it is there for part of the time.
///
/// The standard library minds quotas too, and rounds down: where it sees as many as that, the quota and no mask of processors limits.
fn with_quota(seen: usize, cpus: Option<f64>) -> usize {
    match cpus {
        Some(cpus) if seen >= (cpus.floor() as usize).max(1) => (cpus.ceil() as usize).max(1),
        _ => seen,
    }
}

/// The memory that is given, or `default`, or less where there is less.
pub fn memory(given: Option<u64>, default: usize) -> usize {
    match given {
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        None => share_of_machine().map_or(default, |share| share.min(default)),
    }
}

/// What a container has of which a process may take `share`.
pub fn with_spare(share: usize) -> u64 {
    share as u64 * SPARE / (SPARE - 1)
}

/// Memory that a process may take of its container, or of its machine.
pub fn share_of_machine() -> Option<usize> {
    let of_machine = read(Path::new("/proc/meminfo")).as_deref().and_then(memory_of_machine);
    let limit = Cgroups::of_this_process(&read).memory().into_iter().chain(of_machine).min()?;
    usize::try_from(limit - limit / SPARE).ok()
}

/// Source: docs.kernel.org/filesystems/proc.html (`MemTotal:  16384 kB`).
fn memory_of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_counts() {
        assert_eq!((threads(Some(3)), memory(Some(7), 100)), (3, 7));
        assert!(threads(None) >= 1 && memory(None, 100) <= 100);
        assert_eq!(with_spare(7 << 20), 8 << 20);
    }

    #[test]
    fn a_part_of_a_processor_is_worth_a_thread() {
        for (seen, cpus, expected) in [
            (8, None, 8),
            (8, Some(2.0), 2),
            (2, Some(2.0), 2),
            (8, Some(0.25), 1),
            // As the standard library sees a quota of one and a half.
            (1, Some(1.5), 2),
            (8, Some(1.5), 2),
            // A mask of fewer processors than the quota.
            (2, Some(4.0), 2),
        ] {
            assert_eq!(with_quota(seen, cpus), expected, "{seen} {cpus:?}");
        }
    }

    #[test]
    fn memory_of_machines() {
        assert_eq!(memory_of_machine("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(memory_of_machine("MemTotal: all\n"), None);
        assert_eq!(memory_of_machine(""), None);
    }
}
