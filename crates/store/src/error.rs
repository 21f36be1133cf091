//! What may go wrong with an object.

use std::fmt;
use std::io;

/// Causes to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An object of this key exists.
    AlreadyExists,
    /// The store does not let us.
    Denied,
    /// The store has no room.
    Full,
    /// A name that is no key.
    InvalidKey,
    /// A pipe or a device.
    NotAFile,
    /// A part of the path is a file, where a folder is needed.
    NotAFolder,
    /// Neither object nor folder.
    NotFound,
    /// Anything else the system reports.
    Other,
}

/// A failed call: what was tried, on which object, and why.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    action: &'static str,
    url: String,
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, action: &'static str, url: String) -> Self {
        Self { kind, action, url, source: None }
    }

    /// `path` is no key, since its name is not UTF-8.
    pub fn invalid_key(path: &std::path::Path) -> Self {
        Self::new(ErrorKind::InvalidKey, "list", format!("file://{}", path.display()))
    }

    /// Writing to a staged object failed.
    pub fn write(url: String, source: io::Error) -> Self {
        Self::io("write", url, source)
    }

    pub(crate) fn io(action: &'static str, url: String, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::NotADirectory => ErrorKind::NotAFolder,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => ErrorKind::Full,
            _ => ErrorKind::Other,
        };
        Self { kind, action, url, source: Some(source) }
    }

    /// The cause.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The object.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::Denied => Some("check the owner and permissions of the folder"),
            ErrorKind::Full => {
                Some("free some room and run the same command again: it goes on where it stopped")
            }
            ErrorKind::InvalidKey => Some("rename the file: keys are UTF-8"),
            ErrorKind::NotAFile => Some("pipes are read from standard input: `-`"),
            ErrorKind::NotAFolder | ErrorKind::NotFound => Some("check the path"),
            ErrorKind::AlreadyExists | ErrorKind::Other => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::AlreadyExists => "exists already",
            ErrorKind::Denied => "permission denied",
            ErrorKind::Full => "no room left",
            ErrorKind::InvalidKey => "name is not UTF-8",
            ErrorKind::NotAFile => "neither a file nor a folder",
            ErrorKind::NotAFolder => "a part of the path is a file, not a folder",
            ErrorKind::NotFound => "no such file or folder",
            ErrorKind::Other => "failed",
        };
        write!(f, "{} `{}`: {what}", self.action, self.url)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // For the matched kinds the message says all that the system's error does.
        self.source.as_ref().filter(|_| self.kind == ErrorKind::Other).map(|e| e as _)
    }
}
