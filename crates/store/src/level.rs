//! One folder of a local disk in key order, and what in it is no object.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::local::object_meta;
use crate::{Entry, LocalStore, ObjectMeta};

impl LocalStore {
    /// Walks one folder in key order, following links. Names that begin with a dot are hidden and left out.
    pub(crate) fn level(
        &self,
        prefix: &str,
        from: &str,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let folder = self.path(prefix);
        let error = |e| self.error("list", prefix, e);
        let canonical = folder.canonicalize().map_err(error)?;
        let mut entries: Vec<(String, bool)> = Vec::new();
        let mut unlistable: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&folder).map_err(error)? {
            let entry = entry.map_err(error)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A URL that is not the file's own name could not be opened.
            let name = match entry.file_name().into_string() {
                Ok(name) if canonical.to_str().is_some() => name,
                _ => {
                    unlistable.push(entry.path());
                    continue;
                }
            };
            let kind = entry.file_type().map_err(error)?;
            let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
            // A folder stands where the keys below it do.
            let key = format!("{prefix}{name}{}", if is_folder { "/" } else { "" });
            if key.as_str() >= from {
                entries.push((key, kind.is_symlink()));
            }
        }
        entries.sort_unstable();
        unlistable.sort_unstable();
        for path in unlistable {
            if each(Entry::Unlistable(Error::invalid_key(&path))).is_break() {
                return Ok(());
            }
        }
        for (key, is_link) in entries {
            let entry = if key.ends_with('/') {
                Entry::Folder(key)
            } else {
                match self.file(&canonical, &key[prefix.len()..], key.clone(), is_link) {
                    Ok(None) => continue,
                    Ok(Some(object)) => Entry::Object(object),
                    Err(error) => Entry::Unlistable(error),
                }
            };
            if each(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The file `name` in the folder `canonical`, if it is one: pipes and devices are no objects, nor is what is gone since the
    /// folder was read, or a link that leads nowhere.
    fn file(
        &self,
        canonical: &Path,
        name: &str,
        key: String,
        is_link: bool,
    ) -> Result<Option<ObjectMeta>, Error> {
        let mut path = canonical.join(name);
        let found = fs::metadata(&path).and_then(|meta| {
            if is_link {
                path = path.canonicalize()?;
            }
            Ok(meta)
        });
        match found {
            Ok(_) if path.to_str().is_none() => Err(Error::invalid_key(&path)),
            Ok(meta) => Ok(meta.is_file().then(|| object_meta(key, &path, &meta))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.error("list", &key, e)),
        }
    }
}
