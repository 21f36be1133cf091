//! Open folders: what is done to a name in one is done in that folder, whatever becomes of the path to it meanwhile.
//!
//! A path that was checked and is used afterwards may lead elsewhere by then, if somebody else may write to a folder of it. So the
//! folders above a file that is written or deleted are opened one after the other, each in the one before, and the last of them is
//! what the name is written or deleted in.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Permissions of new files and folders before the process's umask takes some away.
const FILE_MODE: u32 = 0o666;
const FOLDER_MODE: u32 = 0o777;

/// Whether links on the way to a file are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// They are their owner's matter.
    Followed,
    /// There is to be none.
    Refused,
}

/// Why a folder was not opened.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The system says so.
    Io(io::Error),
    /// The folder of this key is a link.
    Link(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

impl Handle {
    /// The folder at a path that somebody named: links on the way to it are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, folder_flags(Links::Followed), Mode::empty())?))
    }

    /// The folder `name` in this one.
    pub(crate) fn inner(&self, name: &str, links: Links) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, folder_flags(links), Mode::empty())?))
    }

    /// The folder `name` in this one, which is made if it is not there. A new one is on the disk.
    fn made(&self, name: &str, links: Links) -> io::Result<Self> {
        match self.inner(name, links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match self.make(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.sync()?,
        }
        self.inner(name, links)
    }

    /// Makes the folder `name`.
    pub(crate) fn make(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(FOLDER_MODE))?)
    }

    /// Makes the file `name`, which must not be there.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(FILE_MODE))?.into())
    }

    /// Opens what `name` is, other than a link, to be read; a pipe without waiting for whoever writes to it.
    pub(crate) fn read(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// What `name` itself is: a link is one.
    pub(crate) fn kind(&self, name: &str) -> io::Result<FileType> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether `name` is this open file now.
    pub(crate) fn has(&self, name: &str, file: &File) -> bool {
        let there = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
        let own = file.metadata();
        matches!((there, own), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.dev(), b.ino()))
    }

    /// Gives what `name` is the name `to` in another folder, replacing what was there.
    pub(crate) fn rename(&self, name: &str, folder: &Self, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &folder.0, to)?)
    }

    /// Gives what `name` is a second name in another folder, where there must be none.
    pub(crate) fn link(&self, name: &str, folder: &Self, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.0, name, &folder.0, to, AtFlags::empty())?)
    }

    /// Removes a file or a link.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Names of what stands in it, as far as they are UTF-8: ours are.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            names.extend(name.into_string().ok().filter(|name| name != "." && name != ".."));
        }
        Ok(names)
    }

    /// Puts the names that it has on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

fn folder_flags(links: Links) -> OFlags {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if links == Links::Refused { flags | OFlags::NOFOLLOW } else { flags }
}

/// The open folder that holds the file `key` below `root`, and the file's name in it. Folders that are not there are made if `make`.
pub(crate) fn place<'a>(
    root: &Path,
    key: &'a str,
    links: Links,
    make: bool,
) -> Result<(Handle, &'a str), Stop> {
    let mut folder = match Handle::open(root) {
        Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
            make_root(root)?;
            Handle::open(root)?
        }
        opened => opened?,
    };
    let (mut rest, mut at) = (key, 0);
    while let Some((part, below)) = rest.split_once('/') {
        let opened = if make { folder.made(part, links) } else { folder.inner(part, links) };
        at += part.len();
        folder = match opened {
            Ok(opened) => opened,
            // The system tells a link as something that is no folder, or as one link too many.
            Err(_) if links == Links::Refused && folder.kind(part).is_ok_and(|k| k == FileType::Symlink) => {
                return Err(Stop::Link(key[..at].to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        (rest, at) = (below, at + 1);
    }
    Ok((folder, rest))
}

/// Makes the folder at a path that somebody named, and those above it, and puts new ones on the disk.
pub(crate) fn make_root(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make_root)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Handle::open(parent.unwrap_or(Path::new(".")))?.sync(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_on_the_way_are_named_or_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("root");
        let (handle, name) = place(&root, "a/b/f", Links::Refused, true).expect("made");
        handle.create(name).expect("new");
        assert_eq!(handle.names().expect("readable"), ["f"]);
        symlink("b", root.join("a/link")).expect("a link");
        symlink("nowhere", root.join("a/lost")).expect("a link");
        for link in ["link", "lost"] {
            let key = format!("a/{link}/c/f");
            for make in [false, true] {
                match place(&root, &key, Links::Refused, make) {
                    Err(Stop::Link(at)) => assert_eq!(at, format!("a/{link}")),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(place(&root, "a/link/f", Links::Followed, false).is_ok());
        assert!(matches!(place(&root, "a/b/f/g", Links::Refused, true), Err(Stop::Io(_))));
        // A name that is a link is none that is opened.
        symlink("f", root.join("a/b/g")).expect("a link");
        assert!(handle.read("f").is_ok() && handle.read("g").is_err() && handle.create("g").is_err());
    }
}
