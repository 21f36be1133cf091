//! Listing the sources: which objects there are, of those that are wanted.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use flowquet_format::{Descent, KeyFilter, LeftOut};
use flowquet_store::{ErrorKind, LocalStore, Location, ObjectMeta, Store};
use flowquet_table::SourceObject;

use crate::error::Error;
use crate::events::{Event, Observer};
use crate::manifest;
use crate::source::{Source, SourceSet};

/// Prefixes that are listed at once.
const LISTERS: usize = 32;

/// More folders than this side by side are no layout of AWS's: what is below is listed whole.
const FOLDERS_MAX: usize = 2_000;

/// An observer hears of this many objects at once.
const REPORTED: usize = 10_000;

/// What sources hold.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<SourceObject>,
    /// Objects that no filter wants, as far as they were listed at all.
    pub(crate) left_out: u64,
    /// Of those: objects whose keys do not tell what a filter asks for.
    pub(crate) untold: u64,
    /// Memory that `objects` take.
    pub(crate) memory: usize,
}

/// Lists sources.
pub(crate) struct Lister<'a> {
    pub(crate) sources: &'a SourceSet,
    pub(crate) filter: &'a KeyFilter,
    /// URL of the table root: what lies below it is no source.
    pub(crate) out_url: String,
    /// Most memory for objects.
    pub(crate) memory_max: usize,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a AtomicBool,
}

/// What one place gives while it is listed.
struct Gathered<'a, 'b> {
    lister: &'b Lister<'a>,
    listing: Mutex<(Listing, HashSet<String>)>,
    counted: AtomicUsize,
}

impl Gathered<'_, '_> {
    /// Takes an object that a listing found, under its key below the source.
    fn take(&self, meta: ObjectMeta, key: &str) -> Result<(), Error> {
        let lister = self.lister;
        if meta.url.starts_with(&lister.out_url) {
            return Ok(());
        }
        if self.counted.fetch_add(1, Ordering::Relaxed) % REPORTED == REPORTED - 1 {
            let objects = self.counted.load(Ordering::Relaxed) as u64;
            lister.observer.event(&Event::Listed { objects });
            if lister.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
        }
        let admitted = lister.filter.admits(&meta.url, key);
        let mut guard = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let (listing, seen) = &mut *guard;
        if let Err(why) = admitted {
            listing.left_out += 1;
            listing.untold += u64::from(why == LeftOut::Untold);
            return Ok(());
        }
        // Only where sources overlap can a URL come twice.
        if !seen.is_empty() && !seen.insert(meta.url.clone()) {
            return Ok(());
        }
        let object = SourceObject::new(meta.url, key, meta.bytes, &meta.etag);
        listing.memory += object.memory();
        listing.objects.push(object);
        if listing.memory > lister.memory_max {
            return Err(Error::ListingTooLong { objects: listing.objects.len(), bytes: lister.memory_max });
        }
        Ok(())
    }
}

impl Lister<'_> {
    /// All wanted objects of `sources`, each once.
    ///
    /// # Errors
    /// [`Error::Store`] where a source does not exist or cannot be listed; [`Error::NoObjects`] where none has any and no filter
    /// is set;
    /// [`Error::ListingTooLong`].
    pub(crate) fn list(&self, sources: &[Source]) -> Result<Listing, Error> {
        let gathered = Gathered { lister: self, listing: Mutex::default(), counted: AtomicUsize::new(0) };
        let overlap =
            sources.len() > 1 || sources.iter().any(|s| matches!(s, Source::At(Location::Local(_))));
        if overlap {
            // Marks the set as used.
            gathered.listing.lock().unwrap_or_else(PoisonError::into_inner).1.insert(String::new());
        }
        for source in sources {
            match source {
                Source::At(Location::Local(path)) => self.list_disk(path, &gathered)?,
                Source::At(Location::S3 { bucket, prefix }) => self.list_bucket(bucket, prefix, &gathered)?,
                Source::Manifest(location) => {
                    manifest::read(self.sources, location, self.stop, &mut |meta| {
                        let key = meta.key.clone();
                        gathered.take(meta, &key)
                    })?;
                }
                Source::Stdin => {}
            }
        }
        let (listing, _) = gathered.listing.into_inner().unwrap_or_else(PoisonError::into_inner);
        let named: Vec<String> = sources.iter().filter_map(Source::name).collect();
        // A filter that nothing passes is no error: a quiet hour has no objects.
        let is_bare = listing.objects.is_empty() && listing.left_out == 0 && self.filter.wants_all();
        if is_bare && !named.is_empty() && !sources.contains(&Source::Stdin) {
            return Err(Error::NoObjects { sources: named });
        }
        Ok(listing)
    }

    fn list_disk(&self, path: &Path, gathered: &Gathered<'_, '_>) -> Result<(), Error> {
        if path.file_name().is_some_and(|n| n.to_str().is_none()) {
            return Err(Error::Store(flowquet_store::Error::invalid_key(path)));
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let (root, name) = if path.is_dir() { (path, "") } else { (folder, name) };
        let mut result = Ok(());
        LocalStore::new(root, "").list_each(name, &mut |meta| {
            if result.is_ok() {
                let key = meta.key.clone();
                result = gathered.take(meta, &key);
            }
        })?;
        result
    }

    fn list_bucket(&self, bucket: &str, prefix: &str, gathered: &Gathered<'_, '_>) -> Result<(), Error> {
        let store = self.sources.stores.bucket(bucket);
        if !prefix.is_empty() && !prefix.ends_with('/') {
            match store.head(prefix) {
                Ok(meta) => {
                    let name = prefix.rsplit('/').next().unwrap_or(prefix);
                    return gathered.take(meta, name);
                }
                // Whoever may list need not be allowed to read what is not there.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        let root = format!("{prefix}{slash}");
        Walk {
            lister: self,
            store: store.as_ref(),
            root: root.len(),
            gathered,
            queue: Mutex::new(Queue { folders: VecDeque::from([(root, 0)]), busy: 0, error: None }),
            turned: Condvar::new(),
        }
        .run()
    }
}

impl Source {
    fn name(&self) -> Option<String> {
        match self {
            Self::At(location) | Self::Manifest(location) => Some(format!("`{location}`")),
            Self::Stdin => None,
        }
    }
}

/// Folders of a bucket that are still to be looked at.
struct Queue {
    folders: VecDeque<(String, usize)>,
    /// Threads that are looking at one, and may find more.
    busy: usize,
    error: Option<Error>,
}

/// A walk through the folders of a bucket by several threads.
struct Walk<'a, 'b> {
    lister: &'b Lister<'a>,
    store: &'b dyn Store,
    /// Length of the source's prefix.
    root: usize,
    gathered: &'b Gathered<'a, 'b>,
    queue: Mutex<Queue>,
    turned: Condvar,
}

impl Walk<'_, '_> {
    fn run(self) -> Result<(), Error> {
        std::thread::scope(|scope| {
            for _ in 0..LISTERS {
                scope.spawn(|| self.work());
            }
        });
        self.queue.into_inner().unwrap_or_else(PoisonError::into_inner).error.map_or(Ok(()), Err)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(String, usize)> {
        let mut queue = self.lock();
        loop {
            if queue.error.is_some() {
                return None;
            }
            if let Some(folder) = queue.folders.pop_front() {
                queue.busy += 1;
                return Some(folder);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.turned.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        while let Some((folder, depth)) = self.next() {
            let found = self.look_at(&folder, depth);
            let mut queue = self.lock();
            queue.busy -= 1;
            match found {
                Ok(folders) => queue.folders.extend(folders.into_iter().map(|f| (f, depth + 1))),
                Err(error) => {
                    queue.error.get_or_insert(error);
                }
            }
            self.turned.notify_all();
        }
    }

    /// Takes the objects of a folder and returns the folders below it that are to be looked at one by one.
    fn look_at(&self, folder: &str, depth: usize) -> Result<Vec<String>, Error> {
        if self.lister.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        // The source itself was asked for, whatever it is called.
        let descent = if depth == 0 { Descent::Folders } else { self.lister.filter.descent(folder, depth) };
        let level = match descent {
            Descent::Skip => return Ok(Vec::new()),
            Descent::Whole => None,
            Descent::Folders => self.store.folder(folder, FOLDERS_MAX)?,
        };
        let Some(level) = level else {
            let mut result = Ok(());
            let listed = self.store.list_each(folder, &mut |meta| {
                if result.is_ok() {
                    result = self.take(meta);
                }
            });
            return match listed {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                _ => result.map(|()| Vec::new()),
            };
        };
        level.objects.into_iter().try_for_each(|meta| self.take(meta))?;
        Ok(level.folders)
    }

    fn take(&self, meta: ObjectMeta) -> Result<(), Error> {
        let key = meta.key.get(self.root..).unwrap_or(&meta.key).to_owned();
        // As on a disk: names that begin with a dot are hidden.
        if key.split('/').any(|part| part.starts_with('.')) {
            return Ok(());
        }
        self.gathered.take(meta, &key)
    }
}
