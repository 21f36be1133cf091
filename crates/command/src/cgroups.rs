//! Limits of control groups, of version 1 and 2: what a container may take of its machine.
//!
//! Sources: docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`, `memory.max`, `memory.high`), …/cgroup-v1/memory.html
//! (`memory.limit_in_bytes`, `memory.stat`), docs.kernel.org/scheduler/sched-bwc.html (`cpu.cfs_quota_us`).

use std::path::{Path, PathBuf};

/// Where Linux shows them.
const ROOT: &str = "/sys/fs/cgroup";

/// A limit this large is none: version 1 has a number for it.
const UNLIMITED: u64 = 1 << 60;

/// The control groups of a process.
pub(crate) struct Cgroups<'a> {
    /// The text of `/proc/self/cgroup`.
    groups: String,
    /// The text of a file, if it is there.
    read: &'a dyn Fn(&Path) -> Option<String>,
}

impl<'a> Cgroups<'a> {
    /// Those of this process, as `read` shows them.
    pub(crate) fn of_this_process(read: &'a dyn Fn(&Path) -> Option<String>) -> Self {
        Self { groups: read(Path::new("/proc/self/cgroup")).unwrap_or_default(), read }
    }

    /// Bytes of memory, if they are limited: the least of its groups and those above them.
    pub(crate) fn memory(&self) -> Option<u64> {
        let of_v2 = self.folders("").into_iter().flat_map(|folder| {
            // Past `high` a group is slowed down until it gives back.
            ["memory.max", "memory.high"].map(|file| folder.join(file))
        });
        let of_v1 = self.folders("memory");
        let limits = of_v2.chain(of_v1.iter().map(|folder| folder.join("memory.limit_in_bytes")));
        let limits = limits.filter_map(|file| (self.read)(&file)?.trim().parse().ok());
        // Groups above a container's own are not seen in it; this tells the least of them.
        let above = of_v1.iter().filter_map(|folder| {
            let stat = (self.read)(&folder.join("memory.stat"))?;
            stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit ")?.trim().parse().ok())
        });
        limits.chain(above).filter(|limit: &u64| *limit < UNLIMITED).min()
    }

    /// Processors' worth of time, if it is limited.
    pub(crate) fn cpus(&self) -> Option<f64> {
        let of_v2 = self.folders("").into_iter().filter_map(|folder| {
            let text = (self.read)(&folder.join("cpu.max"))?;
            let mut words = text.split_whitespace();
            share(words.next()?, words.next()?)
        });
        let of_v1 = self.folders("cpu").into_iter().filter_map(|folder| {
            let quota = (self.read)(&folder.join("cpu.cfs_quota_us"))?;
            share(quota.trim(), (self.read)(&folder.join("cpu.cfs_period_us"))?.trim())
        });
        of_v2.chain(of_v1).min_by(f64::total_cmp)
    }

    /// Folders of the group that `controller` has, `""` for those of version 2, and of those above it.
    fn folders(&self, controller: &str) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for group in self.groups.lines() {
            let mut parts = group.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let mounts: Vec<&str> = match (controllers, controller) {
                // Where both versions are mounted, this is where version 2 is.
                ("", "") => vec!["", "unified"],
                (_, "") => continue,
                (v1, _) if v1.split(',').any(|c| c == controller) => vec![controller, v1],
                _ => continue,
            };
            for mount in mounts {
                // Within a container the path may be that of the host, and the root is the container's own.
                let below = Path::new(path.trim_start_matches('/')).ancestors();
                folders.extend(below.map(|folder| Path::new(ROOT).join(mount).join(folder)));
            }
        }
        folders
    }
}

/// `quota` microseconds in every `period`; `None` where there is no limit, as `max` or -1 say.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(groups: &str, files: &[(&str, &str)], memory: Option<u64>, cpus: Option<f64>) {
        let read = |path: &Path| {
            if path == Path::new("/proc/self/cgroup") {
                return Some(groups.to_owned());
            }
            let found = files.iter().find(|(name, _)| Path::new(ROOT).join(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let found = Cgroups::of_this_process(&read);
        assert_eq!((found.memory(), found.cpus()), (memory, cpus), "{groups}");
    }

    #[test]
    fn version_2() {
        check("0::/\n", &[], None, None);
        check("0::/\n", &[("memory.max", "max\n"), ("cpu.max", "max 100000\n")], None, None);
        check(
            "0::/\n",
            &[("memory.max", "314572800\n"), ("cpu.max", "150000 100000\n")],
            Some(314_572_800),
            Some(1.5),
        );
        check("0::/\n", &[("cpu.max", "25000 100000\n")], None, Some(0.25));
        check("0::/\n", &[("memory.max", "max\n"), ("memory.high", "1000\n")], Some(1000), None);
        // A pod's limits above those of the container.
        let of_pod = |pod, job| [("pod/memory.max", pod), ("pod/job/memory.max", job)];
        check("0::/pod/job\n", &of_pod("200", "300"), Some(200), None);
        check("0::/pod/job\n", &of_pod("max", "300"), Some(300), None);
        let of_pod = |pod, job| [("pod/cpu.max", pod), ("pod/job/cpu.max", job)];
        check("0::/pod/job\n", &of_pod("200000 100000", "max 100000"), None, Some(2.0));
        check("0::/pod/job\n", &of_pod("200000 100000", "50000 100000"), None, Some(0.5));
        // The host's path, and the container's own root.
        check(
            "0::/kubepods/pod1/abc\n",
            &[("memory.max", "500"), ("cpu.max", "300000 100000")],
            Some(500),
            Some(3.0),
        );
    }

    #[test]
    fn version_1() {
        let groups = "12:cpu,cpuacct:/docker/x\n11:memory:/docker/x\n1:name=systemd:/docker/x\n";
        let limited = [
            ("memory/docker/x/memory.limit_in_bytes", "1000\n"),
            ("cpu,cpuacct/docker/x/cpu.cfs_quota_us", "50000\n"),
            ("cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n"),
        ];
        check(groups, &limited, Some(1000), Some(0.5));
        let unlimited = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
        ];
        check(groups, &unlimited, None, None);
        // Within the container, whose own root this is.
        let root = [
            ("memory/memory.limit_in_bytes", "314572800\n"),
            ("cpu/cpu.cfs_quota_us", "100000\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
        ];
        check(groups, &root, Some(314_572_800), Some(1.0));
        let above = [
            ("memory/memory.limit_in_bytes", "500\n"),
            ("memory/memory.stat", "cache 1\nhierarchical_memory_limit 400\n"),
        ];
        check(groups, &above, Some(400), None);
    }

    #[test]
    fn both_versions_and_nonsense() {
        let groups = "3:memory:/a\n0::/a\n";
        check(
            groups,
            &[("memory/a/memory.limit_in_bytes", "700"), ("unified/a/cpu.max", "100000 100000")],
            Some(700),
            Some(1.0),
        );
        for groups in ["nonsense\n", "", "1:memory\n", ":::\n"] {
            check(
                groups,
                &[("memory/memory.limit_in_bytes", "x"), ("memory.max", "-1"), ("cpu.max", "1")],
                None,
                None,
            );
        }
        check("0::/\n", &[("cpu.max", "0 100000"), ("memory.max", "")], None, None);
        check("0::/\n", &[("cpu.max", "100000 0")], None, None);
    }
}
