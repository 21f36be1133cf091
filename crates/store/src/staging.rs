//! Where files are written before they get their names: a folder of each process, which its lock keeps alive.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FileType;

use crate::handles::{Handle, Links, Stop, place};

/// Attempts to find a free name for a staging folder.
const STAGING_ATTEMPTS_MAX: u64 = 1_000;

/// A process's folder of files being written, with the lock that says that the process lives.
#[derive(Debug)]
pub(crate) struct StagingFolder {
    /// The folder that holds the staging folders of all processes, and its name there.
    above: (Handle, String),
    parent: Handle,
    folder: Handle,
    name: String,
    /// Locked as long as it is open; the system lets go of it when the process ends, however it ends.
    _held: File,
    files: AtomicU64,
}

impl StagingFolder {
    /// Makes one in the folder `key` below `root`, to which no link leads.
    pub(crate) fn make(root: &Path, key: &str) -> Result<Self, Stop> {
        let process = std::process::id();
        for attempt in 0..STAGING_ATTEMPTS_MAX {
            let (above, parent_name) = place(root, key, Links::Refused, true)?;
            match above.make(parent_name) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.into()),
                _ => {}
            }
            let parent = match above.inner(parent_name, Links::Refused) {
                // Another process that ends may take the folder away at any moment until something stands in it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(_) if above.kind(parent_name).is_ok_and(|kind| kind == FileType::Symlink) => {
                    return Err(Stop::Link(key.to_owned()));
                }
                opened => opened?,
            };
            if attempt == 0 {
                sweep(&parent);
            }
            let name = format!("{process}-{attempt}");
            let lock = lock_of(&name);
            let held = match parent.create(&lock) {
                Ok(held) => held,
                Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            // A sweeper may have taken the new file for a dead one before it was locked: then it is gone, locked or another.
            if held.try_lock().is_err() || !parent.has(&lock, &held) {
                continue;
            }
            match parent.make(&name) {
                // Left by a process that is gone, with something in it that is not ours.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    let _ = parent.remove(&lock);
                    continue;
                }
                made => made?,
            }
            let folder = parent.inner(&name, Links::Refused)?;
            let above = (above, parent_name.to_owned());
            return Ok(Self { above, parent, folder, name, _held: held, files: AtomicU64::new(0) });
        }
        Err(io::Error::other("found no free name for a staging folder").into())
    }

    /// The open folder.
    pub(crate) fn handle(&self) -> &Handle {
        &self.folder
    }

    /// A name that no file in it had.
    pub(crate) fn next_name(&self) -> String {
        self.files.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        remove_folder(&self.parent, &self.name);
        let _ = self.parent.remove(&lock_of(&self.name));
        // Succeeds for the last process only.
        let _ = self.above.0.remove_folder(&self.above.1);
    }
}

fn lock_of(name: &str) -> String {
    format!("{name}.lock")
}

/// Removes staging folders whose process is dead. What cannot be removed is left, and does no harm.
fn sweep(parent: &Handle) {
    let Ok(names) = parent.names() else { return };
    for lock in names.iter().filter(|name| is_lock(name)) {
        let Ok(file) = parent.read(lock) else { continue };
        // Where its process ended meanwhile, another one may have taken the name.
        if file.try_lock().is_ok() && parent.has(lock, &file) {
            remove_folder(parent, lock.trim_end_matches(".lock"));
            let _ = parent.remove(lock);
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
fn remove_folder(parent: &Handle, name: &str) {
    let Ok(folder) = parent.inner(name, Links::Refused) else { return };
    let is_number = |name: &&String| name.bytes().all(|b| b.is_ascii_digit());
    for file in folder.names().unwrap_or_default().iter().filter(is_number) {
        let _ = folder.remove(file);
    }
    let _ = parent.remove_folder(name);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn staging_is_made_while_others_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let parent = folder.path().join("staging");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..300).for_each(|_| drop(StagingFolder::make(folder.path(), "staging").expect("made")))
                });
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
        let made = StagingFolder::make(folder.path(), "staging").expect("made");
        assert_eq!(made.name, format!("{process}-1"));
        drop(made);
        for lock in ["7-0.lock", "project.lock", "7-.lock", "x-1.lock", ".lock"] {
            fs::write(parent.join(lock), b"").expect("writable");
        }
        fs::write(kept.join("8-0.lock"), b"").expect("writable");
        std::os::unix::fs::symlink(kept.join("8-0"), parent.join("8-0")).expect("a link");
        fs::write(parent.join("8-0.lock"), b"").expect("writable");
        std::os::unix::fs::symlink(kept.join("8-0.lock"), parent.join("9-0.lock")).expect("a link");
        sweep(&Handle::open(&parent).expect("there"));
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
