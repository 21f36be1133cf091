//! Objects as files on a local disk.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::{Entry, Fetch, Folder, ObjectMeta, Staged, Store, in_order};

/// Deepest folder that is listed; deeper is a loop of links.
const DEPTH_MAX: usize = 64;

/// Attempts to find a free name for a staging folder.
const STAGING_ATTEMPTS_MAX: u64 = 1_000;

/// Files below a root folder.
///
/// Writing goes through a staging folder on the same file system: a file is written there, synced, and renamed to its
/// key, so that no reader and no crash ever meets half of it. Each process that writes has a staging folder of its own,
/// held by a lock file; what a killed process left is removed by the next one that writes.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
    staging: Arc<StagingPlace>,
}

#[derive(Debug)]
struct StagingPlace {
    /// Where staging folders are made.
    parent: PathBuf,
    made: OnceLock<StagingFolder>,
}

impl LocalStore {
    /// The files below `root`, which need not exist yet; `staging` is a key prefix for files being written.
    pub fn new(root: impl Into<PathBuf>, staging: &str) -> Self {
        let root = root.into();
        let parent = root.join(staging);
        Self { root, staging: Arc::new(StagingPlace { parent, made: OnceLock::new() }) }
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that holds an object.
    pub fn path(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.root.clone() } else { self.root.join(key) }
    }

    pub(crate) fn error(&self, action: &'static str, key: &str, source: io::Error) -> Error {
        Error::io(action, self.url(key), source)
    }

    fn staging_folder(&self) -> Result<&StagingFolder, Error> {
        if let Some(folder) = self.staging.made.get() {
            return Ok(folder);
        }
        let url = || url_of(&self.staging.parent);
        let made =
            StagingFolder::make(&self.staging.parent).map_err(|e| Error::io("write below", url(), e))?;
        Ok(self.staging.made.get_or_init(|| made))
    }

    /// Writes `bytes` to a synced file in the staging folder.
    fn stage_bytes(&self, key: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.staging_folder()?.next_path();
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| {
            // The file may not even exist; its folder is removed with the process's staging.
            let _ = fs::remove_file(&path);
            self.error("write", key, e)
        })?;
        Ok(path)
    }
}

impl Store for LocalStore {
    fn create(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.root).map_err(|e| self.error("create", "", e))?;
        self.staging_folder().map(drop)
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let prefix = prefix.trim_end_matches('/');
        let start = self.path(prefix);
        let meta = fs::metadata(&start).map_err(|e| self.error("list", prefix, e))?;
        if meta.is_dir() {
            let mut parents = HashSet::new();
            self.descend(&start, prefix, "", &mut parents, each)?;
        } else if !meta.is_file() {
            return Err(Error::new(ErrorKind::NotAFile, "list", self.url(prefix)));
        } else {
            let canonical = start.canonicalize().map_err(|e| self.error("list", prefix, e))?;
            each(object_meta(prefix.to_owned(), &canonical, &meta));
        }
        Ok(())
    }

    fn list_after(&self, prefix: &str, after: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let prefix = prefix.trim_end_matches('/');
        let start = self.path(prefix);
        match fs::metadata(&start) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.error("list", prefix, e)),
        }
        let mut found = Vec::new();
        self.descend(&start, prefix, after, &mut HashSet::new(), &mut |object| found.push(object))?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.into_iter().for_each(each);
        Ok(())
    }

    fn folder(&self, prefix: &str, folders_max: usize) -> Result<Option<Folder>, Error> {
        let mut folder = Folder::default();
        for object in self.list(prefix.trim_end_matches('/'))? {
            match object.key[prefix.len()..].find('/') {
                None => folder.objects.push(object),
                Some(end) => {
                    let deeper = &object.key[..=prefix.len() + end];
                    if folder.folders.last().is_none_or(|last| last != deeper) {
                        folder.folders.push(deeper.to_owned());
                    }
                }
            }
        }
        Ok((folder.folders.len() <= folders_max).then_some(folder))
    }

    /// Reads the names of a folder, and looks at each file when its turn comes.
    fn walk(
        &self,
        prefix: &str,
        from: &str,
        one_level: bool,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if one_level {
            return self.level(prefix, from, each);
        }
        let objects = self.list(prefix.trim_end_matches('/'))?;
        for entry in in_order(Folder { objects, folders: Vec::new() }) {
            if entry.key() >= from && each(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        let path = self.path(key);
        let found = fs::metadata(&path).and_then(|meta| Ok((path.canonicalize()?, meta)));
        let (canonical, meta) = found.map_err(|e| self.error("read", key, e))?;
        Ok(object_meta(key.to_owned(), &canonical, &meta))
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        Box::new(LocalFetch { store: self.clone(), key: key.to_owned(), etag: etag.to_owned(), range, whole })
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let (staged, target) = (self.staging_folder()?.next_path(), self.path(to));
        // A second name of the same file; where the file system has none, a second file.
        let source = self.path(from);
        let copied = fs::hard_link(&source, &staged).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Err(error),
            _ => fs::copy(&source, &staged).and_then(|_| File::open(&staged)?.sync_all()),
        });
        // Renaming onto another name of the same file does nothing, and leaves both.
        let moved = copied.and_then(|()| make_parent(&target)).and_then(|()| fs::rename(&staged, &target));
        let _ = fs::remove_file(&staged);
        moved.and_then(|()| sync_parent(&target)).map_err(|e| self.error("copy", from, e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let target = self.path(to);
        let renamed = make_parent(&target).and_then(|()| fs::rename(self.path(from), &target));
        renamed.and_then(|()| sync_parent(&target)).map_err(|e| self.error("rename", from, e))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        fs::read(self.path(key)).map_err(|e| self.error("read", key, e))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(File::open(self.path(key)).map_err(|e| self.error("read", key, e))?))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let staged = self.stage_bytes(key, bytes)?;
        let path = self.path(key);
        // A hard link fails where the name exists, atomically, and the file is whole when it appears.
        let linked =
            make_parent(&path).and_then(|()| fs::hard_link(&staged, &path)).and_then(|()| sync_parent(&path));
        let _ = fs::remove_file(&staged);
        linked.map_err(|e| self.error("create", key, e))
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        let path = self.staging_folder()?.next_path();
        let file = File::create_new(&path).map_err(|e| self.error("write", key, e))?;
        Ok(Box::new(StagedFile {
            file: Some(file),
            is_committed: false,
            path,
            target: self.path(key),
            url: self.url(key),
        }))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        fs::remove_file(self.path(key)).map_err(|e| self.error("delete", key, e))
    }

    fn url(&self, key: &str) -> String {
        url_of(&self.path(key))
    }
}

impl LocalStore {
    /// Lists files below `folder` whose keys are greater than `after`, following links. Names that begin with a dot are hidden
    /// and left out.
    fn descend(
        &self,
        folder: &Path,
        prefix: &str,
        after: &str,
        parents: &mut HashSet<PathBuf>,
        each: &mut dyn FnMut(ObjectMeta),
    ) -> Result<(), Error> {
        let canonical = folder.canonicalize().map_err(|e| self.error("list", prefix, e))?;
        if parents.len() > DEPTH_MAX || !parents.insert(canonical.clone()) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(|e| self.error("list", prefix, e))? {
            let entry = entry.map_err(|e| self.error("list", prefix, e))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(Error::invalid_key(&entry.path()));
            };
            if name.starts_with('.') {
                continue;
            }
            let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            // Neither this key nor one below it is greater: not worth asking the system what it is.
            if key.as_str() < after && !after.starts_with(&key) {
                continue;
            }
            let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
            match fs::metadata(entry.path()) {
                Ok(meta) if meta.is_dir() => self.descend(&entry.path(), &key, after, parents, each)?,
                Ok(meta) if meta.is_file() && key.as_str() > after => {
                    let mut path = canonical.join(entry.file_name());
                    if is_link {
                        path = path.canonicalize().map_err(|e| self.error("list", &key, e))?;
                    }
                    each(object_meta(key, &path, &meta));
                }
                // Pipes and devices are no objects; the others are not after `after`.
                Ok(_) => {}
                // Gone since the folder was read, such as another process's staging; or a link that leads nowhere.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(self.error("list", &key, e)),
            }
        }
        parents.remove(&canonical);
        Ok(())
    }
}

/// A local object is read when it is waited for: the system reads ahead by itself.
struct LocalFetch {
    store: LocalStore,
    key: String,
    etag: String,
    range: Range<u64>,
    whole: bool,
}

impl Fetch for LocalFetch {
    fn wait(self: Box<Self>, _stop: &dyn Fn() -> bool) -> Result<Bytes, Error> {
        let store = &self.store;
        if !self.etag.is_empty() && store.head(&self.key)?.etag != self.etag {
            return Err(Error::new(ErrorKind::Changed, "read", store.url(&self.key)));
        }
        if self.whole {
            return store.get(&self.key).map(Bytes::from);
        }
        let read = File::open(store.path(&self.key)).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.range.start))?;
            let mut bytes = Vec::new();
            file.take(self.range.end - self.range.start).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        read.map(Bytes::from).map_err(|e| store.error("read", &self.key, e))
    }
}

pub(crate) fn object_meta(key: String, canonical: &Path, meta: &fs::Metadata) -> ObjectMeta {
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let etag = modified.map_or(0, |d| d.as_nanos()).to_string();
    ObjectMeta { key, url: url_of(canonical), bytes: meta.len(), etag, is_archived: false }
}

fn url_of(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Makes the folders above `path` and puts new ones on the disk.
fn make_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    make_parent(parent)?;
    match fs::create_dir(parent) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_parent(parent),
    }
}

/// Puts the name of `path` on the disk.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

struct StagedFile {
    /// `None` once sealed.
    file: Option<File>,
    is_committed: bool,
    path: PathBuf,
    target: PathBuf,
    url: String,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::Error::other("written to after it was sealed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for StagedFile {
    fn seal(&mut self) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.sync_all().map_err(|e| Error::io("write", self.url.clone(), e))
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        self.seal()?;
        make_parent(&self.target)
            .and_then(|()| fs::rename(&self.path, &self.target))
            .and_then(|()| {
                self.is_committed = true;
                sync_parent(&self.target)
            })
            .map_err(|e| Error::io("write", self.url.clone(), e))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// This process's folder of files being written, with the lock that says that the process lives.
#[derive(Debug)]
struct StagingFolder {
    folder: PathBuf,
    lock: PathBuf,
    /// Locked as long as it is open; the system lets go of it when the process ends, however it ends.
    _held: File,
    files: AtomicU64,
}

impl StagingFolder {
    fn make(parent: &Path) -> io::Result<Self> {
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
            fs::create_dir(&folder)?;
            return Ok(Self { folder, lock, _held: held, files: AtomicU64::new(0) });
        }
        Err(io::Error::other("found no free name for a staging folder"))
    }

    fn next_path(&self) -> PathBuf {
        self.folder.join(self.files.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
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
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "lock")) {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        // Where its process ended meanwhile, another one may have taken the name.
        if file.try_lock().is_ok() && is_at(&file, &path) {
            let _ = fs::remove_dir_all(path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn store() -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = LocalStore::new(folder.path().join("root"), "_s/staging");
        store.create().expect("writable");
        (folder, store)
    }

    #[test]
    fn conforms() {
        let (_folder, store) = store();
        conformance::check(&(Arc::new(store) as Arc<dyn Store>));
    }

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
    fn nothing_stays_behind() {
        let (folder, store) = store();
        store.put("a", b"1").expect("writable");
        drop(store.stage("b").expect("writable"));
        drop(store);
        let left: Vec<_> =
            LocalStore::new(folder.path(), "x").list("").expect("there").into_iter().map(|o| o.key).collect();
        assert_eq!(left, ["root/a"]);
    }

    #[test]
    fn what_a_dead_process_left_is_swept() {
        let (_folder, store) = store();
        let staging = store.root().join("_s/staging");
        fs::create_dir_all(staging.join("999999-0")).expect("writable");
        fs::write(staging.join("999999-0/7"), b"half a file").expect("writable");
        fs::write(staging.join("999999-0.lock"), b"").expect("writable");
        let another = LocalStore::new(store.root(), "_s/staging");
        another.put("c", b"").expect("writable");
        assert!(!staging.join("999999-0").exists() && !staging.join("999999-0.lock").exists());
        store.put("d", b"").expect("the living one's folder is untouched");
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let (folder, store) = store();
        store.put("x/a.log", b"1").expect("writable");
        store.put("x/.hidden", b"1").expect("writable");
        std::os::unix::fs::symlink(folder.path().join("root"), folder.path().join("root/x/loop"))
            .expect("a link");
        let keys: Vec<_> = store.list("x").expect("there").into_iter().map(|o| o.key).collect();
        assert!(
            keys.contains(&"x/a.log".to_owned()) && !keys.iter().any(|k| k.contains("hidden")),
            "{keys:?}"
        );
    }

    #[test]
    fn names_that_are_no_keys_stop_no_walk() {
        use std::os::unix::ffi::OsStrExt;
        let (folder, store) = store();
        store.put("x/b.log", b"1").expect("writable");
        store.put("x/a/1", b"1").expect("writable");
        store.put("x/.hidden", b"1").expect("writable");
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.log");
        fs::write(folder.path().join("root/x").join(name), b"1").expect("writable");
        std::os::unix::fs::symlink("nowhere", folder.path().join("root/x/dead")).expect("a link");
        std::os::unix::fs::symlink("b.log", folder.path().join("root/x/link")).expect("a link");
        let mut found = Vec::new();
        let walked = store.walk("x/", "", true, &mut |entry| {
            found.push(match entry {
                Entry::Folder(prefix) => prefix,
                Entry::Object(object) => format!("{} {}", object.key, object.url.ends_with("root/x/b.log")),
                Entry::Unlistable(error) => {
                    error.to_string().replace(folder.path().to_str().expect("UTF-8"), "")
                }
            });
            ControlFlow::Continue(())
        });
        walked.expect("there");
        assert_eq!(
            found,
            [
                "list `file:///root/x/caf\u{fffd}.log`: name is not UTF-8",
                "x/a/",
                "x/b.log true",
                "x/link true"
            ]
        );
        assert_eq!(store.list("x").expect_err("a name").kind(), ErrorKind::InvalidKey);
    }

    #[test]
    fn errors_name_the_place() {
        let (_folder, store) = store();
        let error = store.get("no/such").expect_err("missing");
        assert_eq!(
            error.to_string(),
            format!("read `file://{}/no/such`: no such file or folder", store.root().display())
        );
        store.put("file", b"").expect("writable");
        assert_eq!(store.put("file/below", b"").expect_err("no folder").kind(), ErrorKind::NotAFolder);
    }
}
