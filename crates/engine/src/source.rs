//! Sources: what the user named, as objects.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use flowquet_plan::{SPOOL, SourceObject};
use flowquet_store::{LocalStore, Store};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Bytes of a file's path in a URL.
const FILE_SCHEME: &str = "file://";

/// Where objects come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or all files below a folder.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// Lists and opens source objects.
#[derive(Debug)]
pub struct SourceSet {
    /// The whole file system: a URL is a path from its root.
    disk: LocalStore,
}

impl Default for SourceSet {
    fn default() -> Self {
        // Nothing is ever written through this store.
        Self { disk: LocalStore::new("/", "") }
    }
}

impl SourceSet {
    /// All objects of `sources`, each once, leaving out what lies below the table root `out`.
    ///
    /// # Errors
    /// [`Error::Store`] where a source does not exist or cannot be listed; [`Error::NoObjects`] where none has any.
    pub fn list(&self, sources: &[Source], out: &Path) -> Result<Vec<SourceObject>, Error> {
        let out = out.canonicalize().map(|p| format!("{FILE_SCHEME}{}/", p.display()));
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for path in sources.iter().filter_map(Source::path) {
            if path.file_name().is_some_and(|n| n.to_str().is_none()) {
                return Err(Error::Store(flowquet_store::Error::invalid_key(path)));
            }
            let root = if path.is_dir() {
                path
            } else {
                path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
            };
            let name = if path.is_dir() {
                ""
            } else {
                path.file_name().and_then(|n| n.to_str()).unwrap_or_default()
            };
            for object in LocalStore::new(root, "").list(name)? {
                let is_ours = out.as_ref().is_ok_and(|o| object.url.starts_with(o));
                if !is_ours && seen.insert(object.url.clone()) {
                    found.push(SourceObject {
                        url: object.url,
                        key: object.key,
                        bytes: object.bytes,
                        etag: object.etag,
                    });
                }
            }
        }
        if found.is_empty() && !sources.contains(&Source::Stdin) {
            let names = sources.iter().filter_map(Source::path).map(|p| format!("`{}`", p.display()));
            return Err(Error::NoObjects(names.collect()));
        }
        Ok(found)
    }

    /// Opens an object of any listing, of this run or an earlier one.
    ///
    /// # Errors
    /// [`flowquet_store::Error`] where it is gone or may not be read.
    pub fn open(&self, object: &SourceObject) -> Result<Box<dyn Read + Send>, flowquet_store::Error> {
        self.disk.read(Self::disk_key(object))
    }

    /// Size and etag as they are now.
    pub(crate) fn current(&self, object: &SourceObject) -> Result<(u64, String), flowquet_store::Error> {
        let listed = self.disk.list(Self::disk_key(object))?;
        Ok(listed.first().map(|o| (o.bytes, o.etag.clone())).unwrap_or_default())
    }

    fn disk_key(object: &SourceObject) -> &str {
        object.url.strip_prefix(FILE_SCHEME).unwrap_or(&object.url).trim_start_matches('/')
    }
}

impl Source {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Stdin => None,
        }
    }
}

/// Copies standard input into the table's spool, where a later run finds it if this one is killed.
///
/// The object is called after its content, so that the same input is taken once.
pub(crate) fn spool(input: &mut dyn Read, out: &LocalStore) -> Result<SourceObject, Error> {
    const CHUNK_BYTES: usize = 1 << 20;
    let incoming = format!("{SPOOL}/incoming-{}", std::process::id());
    let mut staged = out.stage(&incoming)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::Stdin(e)),
        };
        digest.update(&chunk[..len]);
        let written = staged.write_all(&chunk[..len]);
        written.map_err(|e| flowquet_store::Error::write(out.url(&incoming), e))?;
    }
    staged.commit()?;
    let name: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let key = format!("{SPOOL}/{name}");
    out.rename(&incoming, &key)?;
    let listed = out.list(&key)?;
    let object = listed.into_iter().next().expect("renamed above");
    Ok(SourceObject {
        url: object.url,
        key: format!("stdin-{name}"),
        bytes: object.bytes,
        etag: String::new(),
    })
}

/// The spool key of an object that came from standard input.
pub(crate) fn spool_key(object: &SourceObject) -> Option<String> {
    object.key.strip_prefix("stdin-").filter(|_| object.etag.is_empty()).map(|name| format!("{SPOOL}/{name}"))
}
