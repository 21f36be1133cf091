//! Threads and memory where none are given: what the machine has, and what its container allows.

use std::fs;
use std::path::{Path, PathBuf};

use flowquet_engine::Budget;

use crate::failure::engine_failure;
use crate::output::Failure;

/// Where Linux shows the limits of control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What a container's limit leaves for what is not counted here, as a part of it: the kernel's own, and the rest of the process.
const SPARE: u64 = 8;

/// A limit this large is none: version 1 of control groups has a number for it.
const UNLIMITED: u64 = 1 << 60;

/// Worker threads: those that are given, or one a core that this process may use. The standard library minds CPU quotas of
/// containers.
pub(crate) fn threads(given: Option<u16>) -> usize {
    given.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from)
}

/// The budget of a conversion. Without `memory` it is what suits the threads, or less where the container has less.
pub(crate) fn budget(
    threads: usize,
    memory: Option<u64>,
    remote_input: bool,
    remote_output: bool,
) -> Result<Budget, Failure> {
    let new = |memory| Budget::new(threads, memory, remote_input, remote_output);
    let given = memory.map(|m| usize::try_from(m).unwrap_or(usize::MAX));
    let budget = match (given, share_of_container()) {
        (None, Some(share)) => {
            new(None).and_then(|b| if b.memory() > share { new(Some(share)) } else { Ok(b) })
        }
        (given, _) => new(given),
    };
    budget.map_err(|e| engine_failure(&e))
}

/// The memory that is given, or `default`, or less where the container has less.
pub(crate) fn memory(given: Option<u64>, default: usize) -> usize {
    match given {
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        None => share_of_container().map_or(default, |share| share.min(default)),
    }
}

/// Memory that a process may take of its container, if it has a limit.
fn share_of_container() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit = limit_of(&groups, &|path| fs::read_to_string(path).ok())?;
    usize::try_from(limit - limit / SPARE).ok()
}

/// The smallest memory limit of the control groups in `groups`, the text of `/proc/self/cgroup`, and those above them.
///
/// Source: docs.kernel.org/admin-guide/cgroup-v2.html (`memory.max`), …/cgroup-v1/memory.html (`memory.limit_in_bytes`).
fn limit_of(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut files: Vec<PathBuf> = Vec::new();
    for group in groups.lines() {
        let mut parts = group.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (PathBuf::from(CGROUPS), "memory.max"),
            v1 if v1.split(',').any(|c| c == "memory") => {
                (Path::new(CGROUPS).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Within a container the path may be that of the host, and the root is the container's own.
        let below = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(below.map(|folder| root.join(folder).join(file)));
    }
    let limits = files.iter().filter_map(|file| read(file)?.trim().parse().ok());
    limits.filter(|limit: &u64| *limit < UNLIMITED).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(groups: &str, files: &[(&str, &str)], expected: Option<u64>) {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(limit_of(groups, &read), expected, "{groups}");
    }

    #[test]
    fn limits_of_containers() {
        let root = "/sys/fs/cgroup/memory.max";
        check("0::/\n", &[(root, "314572800\n")], Some(314_572_800));
        check("0::/\n", &[(root, "max\n")], None);
        check("0::/\n", &[], None);
        // A pod's limit above that of the container.
        let (outer, inner) = ("/sys/fs/cgroup/pod/memory.max", "/sys/fs/cgroup/pod/job/memory.max");
        check("0::/pod/job\n", &[(outer, "200"), (inner, "300")], Some(200));
        check("0::/pod/job\n", &[(outer, "max"), (inner, "300")], Some(300));
        let v1 = "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes";
        let groups = "12:cpu,cpuacct:/docker/x\n11:memory:/docker/x\n";
        check(groups, &[(v1, "1000\n")], Some(1000));
        check(groups, &[(v1, "9223372036854771712\n")], None);
        check("nonsense\n", &[], None);
    }

    #[test]
    fn what_is_given_counts() {
        assert_eq!((threads(Some(3)), memory(Some(7), 100)), (3, 7));
        assert!(threads(None) >= 1 && memory(None, 100) <= 100);
    }
}
