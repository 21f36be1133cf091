//! Listing the sources: which objects there are, of those that are wanted.
//!
//! Sources are listed in the order in which they are named, and the objects of a folder, prefix or bucket come in the byte order
//! of their keys, whatever threads do. So they can be handed on in portions while the listing goes on, and the same sources
//! give the same portions. Who takes portions slowly holds the listing up: about two portions are in memory, however many
//! objects there are.

mod gather;
mod hidden;
mod met;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use flowquet_format::{Descent, KeyFilter, Named, service_of_path};
use flowquet_store::{Entry, FILE_SCHEME, LocalStore, Location, S3_SCHEME, StorageClass, Store};
use flowquet_table::{RECORDS, SourceObject};
use serde::Serialize;

use crate::error::Error;
use crate::manifest;
use crate::source::{Source, SourceSet};

use self::gather::{Gatherer, take_each_once};
use self::hidden::is_hidden;
use self::walk::{Found, Walk};

/// Objects of a portion for a run. At 250 to 350 bytes an object two portions take 70 MB; and a portion of the smallest objects
/// that AWS delivers is still some minutes of a core's work, so that one plan record each costs nothing, and few tasks are cut
/// short where a portion ends.
pub const PORTION_OBJECTS: usize = 100_000;

/// Objects that [`Lister::list`] takes at once: what it checks its limit by.
const LISTED_AT_ONCE: usize = 10_000;

/// Folders of other services that are remembered.
const SKIPPED_MAX: usize = 1_000;

/// Deepest folder of a disk that is listed.
const DEPTH_MAX: usize = 64;

/// Names by which a folder is entered where a filter goes by names: one of them may be wanted and another not.
const VISITS_MAX: u32 = 16;

/// The way to a folder of a disk, and the folders that links have led to.
#[derive(Debug, Default)]
struct Way {
    /// Folders that it lies in, links resolved.
    parents: Vec<PathBuf>,
    /// Those of them that were reached through a link.
    links: usize,
    visits: HashMap<PathBuf, u32>,
}

/// A name that no listing can give as an object, such as one that is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlistable {
    /// Where it is, as far as a URL can tell.
    pub url: String,
    /// Why it is no object, in words.
    pub reason: String,
}

/// A flowquet table that lies below a source, or is one, and was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutTable {
    /// Its root, with a slash behind it.
    pub url: String,
    /// Objects that lie there.
    pub objects: u64,
}

/// Objects that are handed on together.
#[derive(Debug, Default)]
pub struct Portion {
    /// In the order of the listing.
    pub objects: Vec<SourceObject>,
    /// Which of those are of a class that is an archive or may be, in order.
    pub classes: Vec<(usize, StorageClass)>,
    /// Names that are no objects and why, such as those that are not UTF-8.
    pub unreadable: Vec<Unlistable>,
    /// Memory that `objects` take.
    pub memory: usize,
}

/// What all portions come to.
#[derive(Debug, Default)]
pub struct Listed {
    /// Objects that were handed on.
    pub objects: u64,
    /// Objects that no filter wants, as far as they were listed at all.
    pub left_out: u64,
    /// Of those: objects whose keys do not tell what a filter asks for.
    pub untold: u64,
    /// What the filter asks for by a name that no key told, neither of an object nor of a folder.
    pub unmet: BTreeSet<Named>,
    /// How often objects came again, which counts nowhere else.
    pub repeated: u64,
    /// Names that are no objects.
    pub unreadable: u64,
    /// Tables that were left out; the one that is written to is not told.
    pub tables: Vec<LeftOutTable>,
    /// Whether a source was one of them.
    pub root_is_table: bool,
    /// What was left out because it is of other services of AWS, by service.
    pub services: BTreeMap<String, LeftOutService>,
}

/// Objects of another service of AWS.
#[derive(Debug, Default)]
pub struct LeftOutService {
    /// Those that were listed; a folder of a bucket is not entered.
    pub objects: u64,
    /// One of them, or the folder.
    pub example: String,
}

/// What sources hold.
#[derive(Debug, Default)]
pub struct Listing {
    /// All portions as one.
    pub all: Portion,
    /// What was left out.
    pub listed: Listed,
}

/// Lists sources.
pub struct Lister<'a> {
    /// Opens what is listed.
    pub sources: &'a SourceSet,
    /// Which objects are wanted.
    pub filter: &'a KeyFilter,
    /// URL of the table root: what lies below it is no source.
    pub out_url: String,
    /// Whether sources that have nothing but tables are an error, and a filter that can mean nothing of what there is; who only
    /// looks is shown what there is.
    pub must_find: bool,
    /// Most memory for objects that are listed at once, and for what is known of objects that may come twice.
    pub memory_max: usize,
    /// Hears how many objects are listed so far, from time to time.
    pub listed: &'a (dyn Fn(u64) + Sync),
    /// Ends the listing when it is set.
    pub stop: &'a AtomicBool,
}

impl Lister<'_> {
    /// All wanted objects of `sources`, each once.
    ///
    /// # Errors
    /// As [`Lister::portions`]; [`Error::ListingTooLong`].
    pub fn list(&self, sources: &[Source]) -> Result<Listing, Error> {
        let mut all = Portion::default();
        let mut listed = self.portions(sources, LISTED_AT_ONCE, &mut |portion| {
            all.memory += portion.memory;
            let before = all.objects.len();
            all.classes.extend(portion.classes.into_iter().map(|(at, class)| (before + at, class)));
            all.objects.extend(portion.objects);
            all.unreadable.extend(portion.unreadable);
            if all.memory > self.memory_max {
                return Err(Error::ListingTooLong { objects: all.objects.len(), bytes: self.memory_max });
            }
            Ok(())
        })?;
        let repeated = take_each_once(&mut all);
        (listed.objects, listed.repeated) = (listed.objects - repeated, listed.repeated + repeated);
        Ok(Listing { all, listed })
    }

    /// Gives `each` the wanted objects of `sources`, each object once, in portions of at most `portion_objects`, while the listing
    /// goes on.
    ///
    /// # Errors
    /// [`Error::Store`] where a source does not exist or cannot be listed; [`Error::NoObjects`] where none has any
    /// and no filter is set; [`Error::NothingNamed`] and [`Error::NothingTold`] where a filter cannot mean any of them;
    /// [`Error::OnlyTables`] where they have tables alone, or one is a table;
    /// [`Error::ListingTooLong`] where too many objects may come twice; and what `each` returns.
    pub fn portions<E: From<Error>>(
        &self,
        sources: &[Source],
        portion_objects: usize,
        each: &mut (dyn FnMut(Portion) -> Result<(), E> + Send),
    ) -> Result<Listed, E> {
        let given_up = AtomicBool::new(false);
        let (sender, receiver) = sync_channel::<Portion>(0);
        let (handed, listed) = std::thread::scope(|scope| {
            let given_up = &given_up;
            let lists = scope.spawn(move || {
                let mut hand_on = |portion| sender.send(portion).map_err(|_| Error::Interrupted);
                let mut gatherer = Gatherer::new(self, portion_objects, given_up, &mut hand_on);
                sources.iter().try_for_each(|source| self.list_source(source, &mut gatherer))?;
                gatherer.finish()
            });
            let handed = receiver.iter().try_for_each(each);
            given_up.store(handed.is_err(), Ordering::Relaxed);
            drop(receiver);
            (handed, lists.join().expect("no panic while listing"))
        });
        handed?;
        let (mut listed, met) = listed?;
        let named: Vec<String> = sources.iter().filter_map(Source::name).collect();
        let is_empty = listed.objects + listed.unreadable + listed.left_out == 0;
        let is_listed = !named.is_empty() && !sources.contains(&Source::Stdin);
        // A filter that nothing passes is no error: a quiet hour has no objects. A source that is a table has none at any hour.
        let is_wrong = is_empty && (self.filter.wants_all() || listed.root_is_table);
        // A manifest may be of one hour, and says nothing of what else there is.
        let is_walked = is_listed && !sources.iter().any(|source| matches!(source, Source::Manifest(_)));
        if self.must_find
            && is_walked
            && !is_wrong
            && listed.objects + listed.unreadable == 0
            && let Some(error) = met.why_nothing(listed.left_out, listed.untold)
        {
            return Err(error.into());
        }
        listed.unmet = met.into_unmet();
        if is_wrong && is_listed {
            if listed.tables.is_empty() {
                return Err(Error::NoObjects { sources: named }.into());
            }
            if self.must_find {
                let tables = listed.tables.into_iter().map(|table| table.url).collect();
                return Err(Error::OnlyTables { tables }.into());
            }
        }
        Ok(listed)
    }

    fn list_source(&self, source: &Source, gatherer: &mut Gatherer<'_, '_>) -> Result<(), Error> {
        match source {
            Source::At(Location::Local(path)) => self.list_disk(path, gatherer)?,
            Source::At(Location::S3 { bucket, prefix }) => self.list_bucket(bucket, prefix, gatherer)?,
            Source::Manifest(location) => self.list_manifest(location, gatherer)?,
            Source::Stdin => {}
        }
        gatherer.end_source()
    }

    /// Takes the objects that a manifest names; those that are called as a table's files only once it is known whether the
    /// manifest names a table's records too.
    fn list_manifest(&self, location: &Location, gatherer: &mut Gatherer<'_, '_>) -> Result<(), Error> {
        gatherer.begin_source(None);
        let mut waiting = Vec::new();
        let mut memory = 0;
        manifest::read(self.sources, location, self.stop, &mut |entry| {
            let meta = match entry {
                Entry::Object(meta) => meta,
                Entry::Unlistable(error) => return gatherer.unlistable(&error),
                Entry::Folder(_) => return Ok(()),
            };
            if gatherer.is_of_named_table(&meta.url) {
                return Ok(());
            }
            if gatherer.may_be_of_table(&meta) {
                memory += size_of_val(&meta) + meta.url.len() + meta.key.len() + meta.etag.len();
                waiting.push(meta);
                if memory > self.memory_max {
                    return Err(Error::ListingTooLong { objects: waiting.len(), bytes: self.memory_max });
                }
                return Ok(());
            }
            let key = meta.key.clone();
            gatherer.take(meta, &key)
        })?;
        for meta in waiting {
            if !gatherer.is_of_named_table(&meta.url) {
                let key = meta.key.clone();
                gatherer.take(meta, &key)?;
            }
        }
        Ok(())
    }

    fn list_disk(&self, path: &Path, gatherer: &mut Gatherer<'_, '_>) -> Result<(), Error> {
        if path.is_dir() {
            let root = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            gatherer.begin_source(Some(url_of_folder(&root)));
            return self.list_folder(&LocalStore::new(path, ""), "", &mut Way::default(), gatherer);
        }
        gatherer.begin_source(None);
        let Some(name) = path.file_name().map(|n| n.to_str().unwrap_or_default()) else {
            return LocalStore::new(path, "").list_each("", &mut |_| {}).map_err(Error::from);
        };
        if name.is_empty() {
            return gatherer.unlistable(&flowquet_store::Error::invalid_key(path));
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut result = Ok(());
        LocalStore::new(folder, "").list_each(name, &mut |meta| {
            let key = meta.key.clone();
            result = gatherer.take(meta, &key);
        })?;
        result
    }

    /// Walks a folder of a disk.
    ///
    /// A folder may have many names, by links, and as many names of each of its files. It is entered by one of them, or, where a
    /// filter goes by names, by some; whenever it is met again that is counted.
    fn list_folder(
        &self,
        store: &LocalStore,
        prefix: &str,
        way: &mut Way,
        gatherer: &mut Gatherer<'_, '_>,
    ) -> Result<(), Error> {
        let path = store.path(prefix);
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        // The table that is written to.
        if url_of_folder(&real).starts_with(&self.out_url) {
            return Ok(());
        }
        // A link to a folder that it lies in.
        if way.parents.contains(&real) {
            gatherer.met_again();
            return Ok(());
        }
        if way.parents.len() > DEPTH_MAX {
            return gatherer.unlistable(&flowquet_store::Error::too_deep(&path));
        }
        let is_below = way.parents.last().is_some_and(|parent| real.parent() == Some(parent.as_path()));
        let is_linked = !way.parents.is_empty() && (way.links > 0 || !is_below);
        if is_linked {
            let visits = way.visits.entry(real.clone()).or_default();
            *visits += 1;
            if self.filter.wants_all() && *visits > 1 {
                gatherer.met_again();
                return Ok(());
            }
            if *visits > VISITS_MAX {
                return gatherer.unlistable(&flowquet_store::Error::too_many_names(&path));
            }
        }
        if path.join(RECORDS).is_dir() {
            gatherer.begin_table(prefix)?;
        }
        way.parents.push(real);
        way.links += usize::from(is_linked);
        let mut result = Ok(());
        let walked = store.walk(prefix, "", true, &mut |entry| {
            result = match entry {
                Entry::Folder(folder) if is_hidden(&folder) => Ok(()),
                Entry::Object(meta) if is_hidden(&meta.key) => Ok(()),
                Entry::Folder(folder) => self.list_folder(store, &folder, way, gatherer),
                Entry::Unlistable(error) => gatherer.unlistable(&error),
                Entry::Object(meta) => {
                    let key = meta.key.clone();
                    gatherer.take(meta, &key)
                }
            };
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        way.parents.pop();
        way.links -= usize::from(is_linked);
        result?;
        match walked {
            // What cannot be looked into costs nobody else; the source itself was asked for.
            Err(error) if !way.parents.is_empty() => gatherer.unlistable(&error),
            walked => Ok(walked?),
        }
    }

    fn list_bucket(&self, bucket: &str, prefix: &str, gatherer: &mut Gatherer<'_, '_>) -> Result<(), Error> {
        let store = self.sources.stores().bucket(bucket);
        if !prefix.is_empty() && !prefix.ends_with('/') {
            match store.head(prefix) {
                Ok(meta) => {
                    gatherer.begin_source(None);
                    let name = prefix.rsplit('/').next().unwrap_or(prefix);
                    return gatherer.take(meta, name);
                }
                Err(error) if error.may_be_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        let url = format!("{S3_SCHEME}{bucket}/");
        self.list_prefix(store.as_ref(), &url, format!("{prefix}{slash}"), gatherer)
    }

    /// Walks a prefix of a store whose root is `url`.
    fn list_prefix(
        &self,
        store: &dyn Store,
        url: &str,
        root: String,
        gatherer: &mut Gatherer<'_, '_>,
    ) -> Result<(), Error> {
        gatherer.begin_source(Some(format!("{url}{root}")));
        let descent = |prefix: &str, depth: usize| {
            if format!("{url}{prefix}").starts_with(&self.out_url) {
                return Descent::Skip;
            }
            // The source itself was asked for, whatever it is called.
            if depth == 0 { Descent::Folders } else { self.filter.descent(prefix, depth) }
        };
        let skipped = Mutex::new(BTreeSet::new());
        // Folders tell of accounts and regions of which no object is listed, since a day or region is not asked for.
        let met = Mutex::new(gatherer.met().clone());
        let descent = |prefix: &str, depth: usize| {
            met.lock().unwrap_or_else(PoisonError::into_inner).meet(prefix);
            let descent = descent(prefix, depth);
            if descent == Descent::Skip
                && let Some(service) = service_of_path(&format!("{prefix}x"))
            {
                let mut skipped = skipped.lock().unwrap_or_else(PoisonError::into_inner);
                if skipped.len() < SKIPPED_MAX {
                    skipped.insert((service.to_owned(), prefix.to_owned()));
                }
            }
            descent
        };
        let is_stopped = || self.stop.load(Ordering::Relaxed);
        let root_len = root.len();
        let walked = Walk::new(store, &descent, &is_stopped).run(root, &mut |found| match found {
            Found::Table(prefix) => gatherer.begin_table(prefix.get(root_len..).unwrap_or_default()),
            Found::Unlistable(error) => gatherer.unlistable(&error),
            Found::Object(meta) => {
                let key = meta.key.get(root_len..).unwrap_or(&meta.key).to_owned();
                if is_hidden(&key) { Ok(()) } else { gatherer.take(meta, &key) }
            }
        });
        gatherer.met().add(met.into_inner().unwrap_or_else(PoisonError::into_inner));
        for (service, prefix) in skipped.into_inner().unwrap_or_else(PoisonError::into_inner) {
            gatherer.leave_service_out(&service, 0, &format!("{url}{prefix}"));
        }
        walked
    }
}

/// URL of a folder, with a slash behind it.
fn url_of_folder(path: &Path) -> String {
    format!("{FILE_SCHEME}{}/", path.display().to_string().trim_end_matches('/'))
}

impl Source {
    fn name(&self) -> Option<String> {
        match self {
            Self::At(location) | Self::Manifest(location) => Some(format!("`{location}`")),
            Self::Stdin => None,
        }
    }
}

#[cfg(test)]
mod tests;
