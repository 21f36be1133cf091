//! Objects as files on a local disk.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::FileType;

use crate::error::{Error, ErrorKind};
use crate::handles::{self, Handle, Links, Stop, make_root};
use crate::names::stays_inside;
use crate::staging::StagingFolder;
use crate::{Entry, Fetch, Folder, LISTED_MAX, ObjectMeta, Staged, StorageClass, Store, in_order};

/// Deepest folder that is listed; deeper is a loop of links.
const DEPTH_MAX: usize = 64;

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
    /// Key of the folder where staging folders are made.
    parent: String,
    made: OnceLock<StagingFolder>,
}

impl LocalStore {
    /// The files below `root`, which need not exist yet; `staging` is a key prefix for files being written.
    pub fn new(root: impl Into<PathBuf>, staging: &str) -> Self {
        let place = StagingPlace { parent: staging.to_owned(), made: OnceLock::new() };
        Self { root: root.into(), staging: Arc::new(place) }
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

    /// Opens the file of an object to be read. What is no file is refused at once: opening a pipe would wait for a writer.
    fn open(&self, key: &str) -> Result<File, Error> {
        let failed = |e| self.error("read", key, e);
        let file = if self.is_own(key) {
            let (folder, name) = self.place("read", key, false)?;
            folder.read(name).map_err(|e| self.failed_at("read", key, &folder, name, e))?
        } else {
            let mut options = File::options();
            let opened =
                options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(self.path(key));
            opened.map_err(failed)?
        };
        let meta = file.metadata().map_err(failed)?;
        if meta.is_file() { Ok(file) } else { Err(not_a_file(self.url(key), &meta)) }
    }

    /// Whether a key lies in the same first folder as files being written, which holds what the store keeps for itself. No link
    /// leads there; links elsewhere are their owner's matter.
    fn is_own(&self, key: &str) -> bool {
        let first = |key: &str| key.split_once('/').map(|(first, _)| first.to_owned());
        first(key).is_some_and(|own| Some(&*own) == self.staging.parent.split('/').next())
    }

    /// The open folder of an object that is read, written or deleted, which lies inside the root, and its name there.
    fn place<'a>(&self, action: &'static str, key: &'a str, make: bool) -> Result<(Handle, &'a str), Error> {
        if !stays_inside(key) {
            return Err(Error::new(ErrorKind::Outside, action, self.url(key)));
        }
        let links = if self.is_own(key) { Links::Refused } else { Links::Followed };
        handles::place(&self.root, key, links, make).map_err(|stop| self.stopped(action, key, stop))
    }

    fn stopped(&self, action: &'static str, key: &str, stop: Stop) -> Error {
        match stop {
            Stop::Io(error) => self.error(action, key, error),
            Stop::Link(at) => {
                let detail = format!("`{}` is a link", self.url(&at));
                Error::told(ErrorKind::Outside, action, self.url(key), detail)
            }
        }
    }

    /// A name could not be opened: where it is a link, that is why.
    fn failed_at(
        &self,
        action: &'static str,
        key: &str,
        folder: &Handle,
        name: &str,
        error: io::Error,
    ) -> Error {
        match folder.kind(name) {
            Ok(FileType::Symlink) => self.stopped(action, key, Stop::Link(key.to_owned())),
            _ => self.error(action, key, error),
        }
    }

    fn staging_folder(&self) -> Result<&StagingFolder, Error> {
        if let Some(folder) = self.staging.made.get() {
            return Ok(folder);
        }
        let parent = &self.staging.parent;
        let made = StagingFolder::make(&self.root, parent);
        let made = made.map_err(|stop| self.stopped("write below", parent, stop))?;
        Ok(self.staging.made.get_or_init(|| made))
    }

    /// Writes `bytes` to a synced file in the staging folder, and returns its name there.
    fn stage_bytes(&self, key: &str, bytes: &[u8]) -> Result<String, Error> {
        let staging = self.staging_folder()?;
        let name = staging.next_name();
        let written = staging.handle().create(&name).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| {
            // The file may not even exist; its folder is removed with the process's staging.
            let _ = staging.handle().remove(&name);
            self.error("write", key, e)
        })?;
        Ok(name)
    }

    /// Has the staging folder hold the file of an object under a name: a second name of the same file; where it cannot have one, a
    /// second file. The system also tells a file as gone that another process put anew just then: opening it tells the truth.
    fn stage_copy(&self, key: &str, staged: &str) -> Result<(), Error> {
        let staging = self.staging_folder()?.handle();
        let (folder, name) = self.place("copy", key, false)?;
        let failed = |e| self.failed_at("copy", key, &folder, name, e);
        if folder.link(name, staging, staged).is_err() {
            let copied = folder.read(name).and_then(|mut from| {
                let mut to = staging.create(staged)?;
                io::copy(&mut from, &mut to)?;
                to.sync_all()
            });
            copied.map_err(failed)?;
        }
        // What was given a second name may have been a link, which is copied as one.
        match staging.kind(staged) {
            Ok(FileType::RegularFile) => Ok(()),
            Ok(FileType::Symlink) => Err(self.stopped("copy", key, Stop::Link(key.to_owned()))),
            Ok(_) => Err(Error::new(ErrorKind::NotAFile, "copy", self.url(key))),
            Err(error) => Err(self.error("copy", key, error)),
        }
    }
}

impl Store for LocalStore {
    fn create(&self) -> Result<(), Error> {
        make_root(&self.root).map_err(|e| self.error("create", "", e))?;
        self.staging_folder().map(drop)
    }

    fn list_each(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), Error> {
        let prefix = prefix.trim_end_matches('/');
        let start = self.path(prefix);
        let meta = fs::metadata(&start).map_err(|e| self.error("list", prefix, e))?;
        if meta.is_dir() {
            self.descend(&start, prefix, "", &mut Walk::default(), each)?;
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
        self.descend(&start, prefix, after, &mut Walk::default(), &mut |object| found.push(object))?;
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
        if !meta.is_file() {
            return Err(not_a_file(self.url(key), &meta));
        }
        // Its URL would be that of another file.
        if canonical.to_str().is_none() {
            return Err(Error::invalid_key(&canonical));
        }
        Ok(object_meta(key.to_owned(), &canonical, &meta))
    }

    fn fetch(&self, key: &str, etag: &str, range: Range<u64>, whole: bool) -> Box<dyn Fetch> {
        Box::new(LocalFetch { store: self.clone(), key: key.to_owned(), etag: etag.to_owned(), range, whole })
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let staging = self.staging_folder()?;
        let staged = staging.next_name();
        let copied = self.stage_copy(from, &staged).and_then(|()| {
            let (target, name) = self.place("copy", to, true)?;
            let moved = staging.handle().rename(&staged, &target, name).and_then(|()| target.sync());
            moved.map_err(|e| self.error("copy", from, e))
        });
        // Renaming onto another name of the same file does nothing, and leaves both.
        let _ = staging.handle().remove(&staged);
        copied
    }

    fn idle(&self, prefix: &str, least: Duration) -> Result<Vec<String>, Error> {
        let (mut idle, mut folders) = (Vec::new(), vec![prefix.to_owned()]);
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(self.path(&folder)) else { continue };
            for entry in entries.flatten() {
                // Not followed: a link is no object of ours.
                let (Ok(meta), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else {
                    continue;
                };
                let age = meta.modified().ok().and_then(|t| SystemTime::now().duration_since(t).ok());
                if meta.is_dir() && folder.matches('/').count() < DEPTH_MAX {
                    folders.push(format!("{folder}{name}/"));
                } else if meta.is_file() && age.is_some_and(|age| age >= least) {
                    idle.push(format!("{folder}{name}"));
                }
            }
        }
        idle.sort_unstable();
        Ok(idle)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let ((source, name), (target, new)) =
            (self.place("rename", from, false)?, self.place("rename", to, true)?);
        let renamed = source.rename(name, &target, new).and_then(|()| target.sync());
        renamed.map_err(|e| self.error("rename", from, e))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut file = self.open(key)?;
        file.read_to_end(&mut bytes).map_err(|e| self.error("read", key, e))?;
        Ok(bytes)
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(self.open(key)?))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let (target, name) = self.place("create", key, true)?;
        let staged = self.stage_bytes(key, bytes)?;
        let staging = self.staging_folder()?.handle();
        // A second name fails where the name exists, atomically, and the file is whole when it appears.
        let linked = staging.link(&staged, &target, name).and_then(|()| target.sync());
        let _ = staging.remove(&staged);
        linked.map_err(|e| self.error("create", key, e))
    }

    fn stage(&self, key: &str) -> Result<Box<dyn Staged>, Error> {
        match self.place("write", key, false) {
            // Folders are made when it is committed.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let staging = self.staging_folder()?;
        let name = staging.next_name();
        let file = staging.handle().create(&name).map_err(|e| self.error("write", key, e))?;
        let (store, key) = (self.clone(), key.to_owned());
        Ok(Box::new(StagedFile { file: Some(file), is_committed: false, name, store, key }))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let (folder, name) = self.place("delete", key, false)?;
        folder.remove(name).map_err(|e| self.error("delete", key, e))
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
        met: &mut Walk,
        each: &mut dyn FnMut(ObjectMeta),
    ) -> Result<(), Error> {
        if met.depth > DEPTH_MAX {
            return Ok(());
        }
        let opened = folder.canonicalize().and_then(|canonical| Ok((canonical, fs::read_dir(folder)?)));
        let (canonical, entries) = match opened {
            // Gone since the folder above was read, such as the staging folder of a process that has ended.
            Err(e) if e.kind() == io::ErrorKind::NotFound && met.depth > 0 => return Ok(()),
            opened => opened.map_err(|e| self.error("list", prefix, e))?,
        };
        met.depth += 1;
        for entry in entries {
            let entry = entry.map_err(|e| self.error("list", prefix, e))?;
            // What is not UTF-8 is no key of ours, and is told by the name that is shown of it.
            let name = entry.file_name().to_string_lossy().into_owned();
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
                // Links make a folder many: each is entered by one of them.
                Ok(meta) if meta.is_dir() && is_link && !met.linked.insert((meta.dev(), meta.ino())) => {}
                Ok(meta) if meta.is_dir() => self.descend(&entry.path(), &key, after, met, each)?,
                Ok(meta) if meta.is_file() && key.as_str() > after => {
                    let mut path = canonical.join(entry.file_name());
                    if is_link {
                        path = path.canonicalize().map_err(|e| self.error("list", &key, e))?;
                    }
                    met.files += 1;
                    if met.files > LISTED_MAX {
                        return Err(Error::too_many(self.url(prefix)));
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
        met.depth -= 1;
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
        let mut file = store.open(&self.key)?;
        let read = file.seek(SeekFrom::Start(self.range.start)).and_then(|_| {
            let mut bytes = Vec::new();
            file.take(self.range.end - self.range.start).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        read.map(Bytes::from).map_err(|e| store.error("read", &self.key, e))
    }
}

fn not_a_file(url: String, meta: &fs::Metadata) -> Error {
    let kind = if meta.is_dir() { ErrorKind::Folder } else { ErrorKind::NotAFile };
    Error::new(kind, "read", url)
}

pub(crate) fn object_meta(key: String, canonical: &Path, meta: &fs::Metadata) -> ObjectMeta {
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let etag = modified.map_or(0, |d| d.as_nanos()).to_string();
    ObjectMeta { key, url: url_of(canonical), bytes: meta.len(), etag, class: StorageClass::Open }
}

fn url_of(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Folders on the way of a listing.
#[derive(Debug, Default)]
struct Walk {
    depth: usize,
    files: usize,
    /// Those that links led to: device and number.
    linked: HashSet<(u64, u64)>,
}

struct StagedFile {
    /// `None` once sealed.
    file: Option<File>,
    is_committed: bool,
    /// In the staging folder.
    name: String,
    store: LocalStore,
    key: String,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            // As ours, which tells where. What was interrupted is tried again by whoever writes.
            Some(file) => file.write(bytes).map_err(|e| match e.kind() {
                io::ErrorKind::Interrupted => e,
                _ => io::Error::other(self.store.error("write", &self.key, e)),
            }),
            None => Err(io::Error::other("written to after it was sealed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for StagedFile {
    fn seal(&mut self) -> Result<(), Error> {
        self.file = None;
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        let failed = |e| self.store.error("write", &self.key, e);
        let staging = self.store.staging_folder()?.handle();
        // Here and not where it is sealed: who commits has nothing else to do than to wait for the disk.
        let file = self.file.take().map_or_else(|| staging.read(&self.name), Ok).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let (target, name) = self.store.place("write", &self.key, true)?;
        staging.rename(&self.name, &target, name).map_err(failed)?;
        self.is_committed = true;
        target.sync().map_err(failed)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.is_committed
            && let Ok(staging) = self.store.staging_folder()
        {
            let _ = staging.handle().remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;
