//! Whether a place can be used: tried with an object of its own, which is removed again.

use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::names::random_name;
use crate::{LocalStore, Location, Store, Stores};

/// What is tried of a place that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeStep {
    /// To put an object where there is none.
    Put,
    /// That a second one is refused.
    Conditional,
    /// To read it.
    Get,
    /// To delete it.
    Delete,
}

/// What came of it.
pub type Probed = Vec<(ProbeStep, Result<(), Error>)>;

const BYTES: &[u8] = b"flowquet doctor\n";

/// Puts an object below `folder` under a name that nobody has, puts it once more, reads and deletes it. Nothing else is touched, and no
/// step follows one that it needs.
pub fn probe(store: &dyn Store, folder: &str) -> Probed {
    let slash = if folder.is_empty() || folder.ends_with('/') { "" } else { "/" };
    let key = format!("{folder}{slash}.flowquet-doctor-{}", random_name());
    let mut probed = vec![(ProbeStep::Put, store.put_if_absent(&key, BYTES))];
    if probed[0].1.is_err() {
        return probed;
    }
    probed.push((
        ProbeStep::Conditional,
        match store.put_if_absent(&key, b"again\n") {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(Error::new(ErrorKind::Other, "put a second time", store.url(&key))),
        },
    ));
    let is_whole = |bytes: &[u8]| [BYTES, b"again\n"].contains(&bytes);
    probed.push((
        ProbeStep::Get,
        match store.get(&key) {
            Ok(bytes) if is_whole(&bytes) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Changed, "read", store.url(&key))),
            Err(error) => Err(error),
        },
    ));
    probed.push((ProbeStep::Delete, store.delete(&key)));
    probed
}

/// Probes a folder of a disk that exists.
pub fn probe_folder(folder: &Path) -> Probed {
    let staging = format!(".flowquet-doctor-{}", random_name());
    let store = LocalStore::new(folder, &staging);
    let probed = probe(&store, "");
    drop(store);
    // What was written through it is empty now.
    let _ = std::fs::remove_dir(folder.join(&staging));
    probed
}

/// Bytes that whoever runs this may still write to the disk of a folder.
///
/// # Errors
/// As the system reports.
pub fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let url = || Location::Local(folder.to_owned()).to_string();
    let told = rustix::fs::statvfs(folder).map_err(|e| Error::io("look at", url(), e.into()))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

impl Stores {
    /// Begins an upload in parts below `prefix` of a bucket and gives it up; `None` where there is no S3 to ask. Where it may not be given up it stays
    /// until a rule of the bucket ends it, without parts.
    ///
    /// # Errors
    /// As the store reports.
    pub fn gives_uploads_up(&self, bucket: &str, prefix: &str) -> Result<Option<()>, Error> {
        let Some(bucket) = self.asked(bucket) else { return Ok(None) };
        let key = format!("{prefix}.flowquet-doctor-{}", random_name());
        bucket.wait("write", &key, async {
            let upload = bucket.begin_upload(&key).await?;
            bucket.abort_upload(&key, &upload).await.map(Some)
        })
    }

    /// Whether a rule of the bucket ends uploads that nobody finished, for keys that begin with `prefix`; none where there is no S3 to ask.
    ///
    /// # Errors
    /// As the store reports.
    pub fn ends_unfinished_uploads(&self, bucket: &str, prefix: &str) -> Result<Option<bool>, Error> {
        let Some(bucket) = self.asked(bucket) else { return Ok(None) };
        let ask = bucket.ends_unfinished_uploads(prefix);
        bucket.wait("read the lifecycle rules of", "", ask).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    #[test]
    fn nothing_is_left() {
        let memory = Memory::new("s3://lake");
        memory.put("a/there", b"before").expect("memory takes all");
        let probed = probe(&memory, "a");
        assert_eq!(probed.len(), 4);
        assert!(probed.iter().all(|(_, result)| result.is_ok()), "{probed:?}");
        let keys: Vec<String> = memory.list("").expect("a listing").into_iter().map(|o| o.key).collect();
        assert_eq!(keys, ["a/there"]);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("there"), "before").expect("a file");
        let probed = probe_folder(folder.path());
        assert!(probed.len() == 4 && probed.iter().all(|(_, result)| result.is_ok()), "{probed:?}");
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["there"]);
        assert!(free_bytes(folder.path()).expect("a disk") > 0);
        assert!(free_bytes(&folder.path().join("none")).is_err());
        let missing = probe_folder(&folder.path().join("there"));
        assert!(missing.len() == 1 && missing[0].1.is_err());
    }
}
