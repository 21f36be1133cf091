//! Where files are written before they get their names: a folder of each process, which its lock keeps alive.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Attempts to find a free name for a staging folder.
const STAGING_ATTEMPTS_MAX: u64 = 1_000;

/// A process's folder of files being written, with the lock that says that the process lives.
#[derive(Debug)]
pub(crate) struct StagingFolder {
    folder: PathBuf,
    lock: PathBuf,
    /// Locked as long as it is open; the system lets go of it when the process ends, however it ends.
    _held: File,
    files: AtomicU64,
}

impl StagingFolder {
    pub(crate) fn make(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let process = std::process::id();
        for attempt in 0..STAGING_ATTEMPTS_MAX {
            // Another process that ends may take the folder away at any moment until something stands in it.
            match fs::create_dir_all(parent) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            let folder = parent.join(format!("{process}-{attempt}"));
            let lock = parent.join(format!("{process}-{attempt}.lock"));
            let held = match File::create_new(&lock) {
                Ok(held) => held,
                Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                    continue;
                }
                Err(e) => return Err(e),
            };
            // A sweeper may have taken the new file for a dead one before it was locked: then it is gone, locked or another.
            if held.try_lock().is_err() || !is_at(&held, &lock) {
                continue;
            }
            match fs::create_dir(&folder) {
                // Left by a process that is gone, with something in it that is not ours.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    let _ = fs::remove_file(&lock);
                    continue;
                }
                made => made?,
            }
            return Ok(Self { folder, lock, _held: held, files: AtomicU64::new(0) });
        }
        Err(io::Error::other("found no free name for a staging folder"))
    }

    pub(crate) fn next_path(&self) -> PathBuf {
        self.folder.join(self.files.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        remove_folder(&self.folder);
        let _ = fs::remove_file(&self.lock);
        // Succeeds for the last process only.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// Whether an open file is the one that stands at `path` now.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().and_then(|a| fs::metadata(path).map(|b| same(a, b))).unwrap_or(false)
}

/// Removes staging folders whose process is dead. What cannot be removed is left, and does no harm.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_str().is_some_and(is_lock) {
            continue;
        }
        let path = entry.path();
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let Ok(file) = opened else { continue };
        // Where its process ended meanwhile, another one may have taken the name.
        if file.try_lock().is_ok() && is_at(&file, &path) {
            remove_folder(&path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}

/// Whether a lock of ours is called so: `4711-0.lock`.
fn is_lock(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let numbers = name.strip_suffix(".lock").and_then(|stem| stem.split_once('-'));
    numbers.is_some_and(|(process, attempt)| is_number(process) && is_number(attempt))
}

/// Removes a staging folder, if it is a folder, with the files that it may hold: those that are numbered. Whatever else somebody
/// put there stays, and the folder with it.
fn remove_folder(folder: &Path) {
    if !fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_number = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
        if entry.file_name().to_str().is_some_and(is_number) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_is_made_while_others_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let parent = folder.path().join("staging");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..300).for_each(|_| drop(StagingFolder::make(&parent).expect("made"))));
            }
        });
        assert!(!parent.exists(), "the last one takes it away");
    }

    #[test]
    fn only_what_is_called_as_ours_is_swept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (parent, kept) = (folder.path().join("staging"), folder.path().join("kept"));
        for path in [&parent.join("7-0"), &parent.join("project"), &parent.join("9-0"), &kept.join("8-0")] {
            fs::create_dir_all(path).expect("writable");
            fs::write(path.join("1"), b"").expect("writable");
            fs::write(path.join("notes.txt"), b"").expect("writable");
        }
        // Its name is taken for good, and another one found.
        let process = std::process::id();
        fs::create_dir(parent.join(format!("{process}-0"))).expect("writable");
        let made = StagingFolder::make(&parent).expect("made");
        assert_eq!(made.folder, parent.join(format!("{process}-1")));
        drop(made);
        for lock in ["7-0.lock", "project.lock", "7-.lock", "x-1.lock", ".lock"] {
            fs::write(parent.join(lock), b"").expect("writable");
        }
        fs::write(kept.join("8-0.lock"), b"").expect("writable");
        std::os::unix::fs::symlink(kept.join("8-0"), parent.join("8-0")).expect("a link");
        fs::write(parent.join("8-0.lock"), b"").expect("writable");
        std::os::unix::fs::symlink(kept.join("8-0.lock"), parent.join("9-0.lock")).expect("a link");
        sweep(&parent);
        let there = |path: &str| folder.path().join(path).symlink_metadata().is_ok();
        for gone in ["staging/7-0/1", "staging/7-0.lock", "staging/8-0.lock"] {
            assert!(!there(gone), "{gone}");
        }
        for left in [
            "staging/7-0/notes.txt",
            "staging/project/1",
            "staging/project.lock",
            "staging/7-.lock",
            "staging/9-0/1",
            "staging/9-0.lock",
            "kept/8-0/1",
            "kept/8-0.lock",
        ] {
            assert!(there(left), "{left}");
        }
    }
}
