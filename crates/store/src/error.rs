//! What may go wrong with an object.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::LISTED_MAX;

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An object of this key exists.
    AlreadyExists,
    /// The object lies in an archive storage class and has to be restored before it can be read.
    Archived,
    /// The object is not the one that was listed any more.
    Changed,
    /// Credentials that the store does not accept.
    Credentials,
    /// The store does not let us.
    Denied,
    /// A folder, where an object is needed.
    Folder,
    /// The store has no room.
    Full,
    /// The caller asked to stop.
    Interrupted,
    /// An endpoint that is no URL.
    InvalidEndpoint,
    /// A name that is no key.
    InvalidKey,
    /// The bucket does not exist.
    NoBucket,
    /// No credentials were found.
    NoCredentials,
    /// A pipe or a device.
    NotAFile,
    /// A part of the path is a file, where a folder is needed.
    NotAFolder,
    /// Neither object nor folder.
    NotFound,
    /// The store does not have such a call.
    NotImplemented,
    /// A key, or a link on its way, that leads out of the store.
    Outside,
    /// The file system lets nobody write.
    ReadOnly,
    /// The store asks for fewer requests.
    Throttled,
    /// An object of more parts than S3 takes.
    TooLarge,
    /// More objects than are held in memory.
    TooMany,
    /// The store answers that it cannot, or not as it should; it may later.
    Unavailable,
    /// The store was not reached, or did not answer in time; it may later.
    Unreachable,
    /// The bucket lies in another region.
    WrongRegion,
    /// Anything else that is reported.
    Other,
}

impl ErrorKind {
    /// Its name in reports, which stays as it is.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlreadyExists => "already-exists",
            Self::Archived => "archived",
            Self::Changed => "changed",
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::Folder => "folder",
            Self::Full => "full",
            Self::Interrupted => "interrupted",
            Self::InvalidEndpoint => "invalid-endpoint",
            Self::InvalidKey => "invalid-key",
            Self::NoBucket => "no-bucket",
            Self::NoCredentials => "no-credentials",
            Self::NotAFile => "not-a-file",
            Self::NotAFolder => "not-a-folder",
            Self::NotFound => "not-found",
            Self::NotImplemented => "not-implemented",
            Self::Outside => "outside",
            Self::ReadOnly => "read-only",
            Self::Throttled => "throttled",
            Self::TooLarge => "too-large",
            Self::TooMany => "too-many",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::WrongRegion => "wrong-region",
            Self::Other => "other",
        }
    }

    /// Whether the same call may succeed a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Unreachable)
    }
}

/// What a call needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To give up an upload.
    AbortUpload,
    /// To delete an object.
    Delete,
    /// To list a bucket.
    List,
    /// To read an object.
    Read,
    /// To restore an archived object.
    Restore,
    /// To write an object.
    Write,
}

/// A failed call: what was tried, on which object, and why.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    action: &'static str,
    url: String,
    /// The store's own words.
    detail: Option<String>,
    /// With [`ErrorKind::WrongRegion`]: the right one, where the store tells.
    region: Option<Box<str>>,
    /// What more there is to say, a line each.
    notes: Box<[String]>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, action: &'static str, url: String) -> Self {
        Self { kind, action, url, detail: None, region: None, notes: Box::default() }
    }

    /// An error in a remote store's own words.
    pub(crate) fn told(kind: ErrorKind, action: &'static str, url: String, detail: String) -> Self {
        Self { kind, action, url, detail: Some(detail), region: None, notes: Box::default() }
    }

    /// With the number of attempts, where there were several.
    pub(crate) fn after(mut self, attempts: u32) -> Self {
        if attempts > 1 {
            let detail = self.detail.take().map(|d| format!("{d}, ")).unwrap_or_default();
            self.detail = Some(format!("{detail}after {attempts} attempts"));
        }
        self
    }

    /// With `place` before its detail.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.detail =
            Some(self.detail.map_or_else(|| place.to_owned(), |detail| format!("{place}: {detail}")));
        self
    }

    /// With `notes`, and the store's own words no longer than their first line.
    pub(crate) fn noted(mut self, notes: Vec<String>) -> Self {
        let first = |words: String| words.lines().next().unwrap_or_default().to_owned();
        // The chain's own list of what it tried says less than the notes.
        self.detail = self.detail.map(first).filter(|words| !words.contains("Attempted:"));
        self.notes = notes.into();
        self
    }

    /// What more there is to say, a line each: with [`ErrorKind::NoCredentials`], where they were looked for.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// There is an object at `url` already.
    pub fn exists(url: String) -> Self {
        Self::new(ErrorKind::AlreadyExists, "create", url)
    }

    /// The bucket is in `region`.
    pub(crate) fn wrong_region(action: &'static str, url: String, region: String) -> Self {
        let error = Self::told(ErrorKind::WrongRegion, action, url, region.clone());
        Self { region: Some(region.into()), ..error }
    }

    /// The region of a bucket that was asked in another.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// `path` is no key, since its name is not UTF-8.
    pub fn invalid_key(path: &std::path::Path) -> Self {
        Self::new(ErrorKind::InvalidKey, "list", format!("file://{}", path.display()))
    }

    /// The object lies in no archive, so nothing is restored.
    pub(crate) fn no_archive(url: String) -> Self {
        let detail = "expected an archived object, found one that can be read".to_owned();
        Self::told(ErrorKind::Other, "restore", url, detail)
    }

    /// Of `range` of the object at `url` there are only `found` bytes.
    pub fn cut_short(url: String, range: &Range<u64>, found: usize) -> Self {
        let detail = format!("expected bytes {} to {}, found {found} bytes", range.start, range.end);
        Self::told(ErrorKind::Other, "read", url, detail)
    }

    /// The folder `path` lies deeper than is listed.
    pub fn too_deep(path: &std::path::Path) -> Self {
        let detail = "lies too deep in folders to be listed".to_owned();
        Self::told(ErrorKind::Other, "list", format!("file://{}", path.display()), detail)
    }

    /// The folder `path` has more names, by links, than it is entered by.
    pub fn too_many_names(path: &std::path::Path) -> Self {
        let detail = "is reached by more links than are followed".to_owned();
        Self::told(ErrorKind::Other, "list", format!("file://{}", path.display()), detail)
    }

    /// A listing below `url` that goes on past so many objects as are held.
    pub(crate) fn too_many(url: String) -> Self {
        let detail = format!("expected at most {LISTED_MAX}, found more");
        Self::told(ErrorKind::TooMany, "list", url, detail)
    }

    /// Writing to a staged object failed.
    pub fn write(url: String, source: io::Error) -> Self {
        Self::through_io("write", url, source)
    }

    /// Reading an object a part at a time failed.
    pub fn read(url: String, source: io::Error) -> Self {
        Self::through_io("read", url, source)
    }

    /// An error of ours comes back as it went in.
    fn through_io(action: &'static str, url: String, source: io::Error) -> Self {
        source.downcast::<Self>().unwrap_or_else(|source| Self::io(action, url, source))
    }

    pub(crate) fn io(action: &'static str, url: String, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::NotADirectory => ErrorKind::NotAFolder,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => ErrorKind::Full,
            io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            _ => ErrorKind::Other,
        };
        // For the matched kinds our message says all that the system's error does.
        let detail = (kind == ErrorKind::Other).then(|| source.to_string());
        Self { kind, action, url, detail, region: None, notes: Box::default() }
    }

    /// The cause.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The object.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the object may not be there. S3 says so only to those who may list the bucket, and denies it to others.
    pub fn may_be_missing(&self) -> bool {
        self.kind == ErrorKind::NotFound || (self.kind == ErrorKind::Denied && self.is_s3())
    }

    /// Whether it is S3 that failed.
    pub fn is_s3(&self) -> bool {
        self.url.starts_with("s3://")
    }

    /// What the credentials must be allowed to do for this call.
    pub fn permission(&self) -> Permission {
        match self.action {
            "list" => Permission::List,
            "read" => Permission::Read,
            "delete" => Permission::Delete,
            "restore" => Permission::Restore,
            "give up an upload of" => Permission::AbortUpload,
            _ => Permission::Write,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::AlreadyExists => "exists already",
            ErrorKind::Archived => "archived",
            ErrorKind::Changed => "changed after it was listed",
            ErrorKind::Credentials => "the store does not accept the AWS credentials",
            ErrorKind::Denied if self.is_s3() => "access denied",
            ErrorKind::Denied => "permission denied",
            ErrorKind::Folder => "a folder, not a file",
            ErrorKind::Full => "no room left",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::InvalidEndpoint => "the endpoint is not a URL",
            ErrorKind::InvalidKey => "name is not UTF-8",
            ErrorKind::NoBucket => "no such bucket",
            ErrorKind::NoCredentials => "no AWS credentials were found",
            ErrorKind::NotAFile => "neither a file nor a folder",
            ErrorKind::NotAFolder => "a part of the path is a file, not a folder",
            ErrorKind::NotFound if self.is_s3() => "no such object or prefix",
            ErrorKind::NotFound => "no such file or folder",
            ErrorKind::NotImplemented => "the store does not support this",
            ErrorKind::Outside => "leads out of the table",
            ErrorKind::ReadOnly => "the file system is read-only",
            ErrorKind::Throttled => "still throttled",
            ErrorKind::TooLarge => "too large",
            ErrorKind::TooMany => "too many objects",
            ErrorKind::Unavailable => "the store keeps returning errors",
            ErrorKind::Unreachable => "cannot reach the store",
            ErrorKind::WrongRegion => "the bucket is in another region",
            ErrorKind::Other => "failed",
        };
        write!(f, "{} `{}`: {what}", self.action, self.url)?;
        self.detail.as_ref().map_or(Ok(()), |d| write!(f, ": {d}"))
    }
}

impl std::error::Error for Error {}
