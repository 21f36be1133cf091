//! What a walk finds, in its order, on its way into portions: which objects are wanted, which came before, and which are a
//! table's.
//!
//! # Tables
//!
//! A folder that holds a folder `_flowquet` is a table, and nothing below it is a source: it is counted and left out. No
//! request is made to find out. Where a level is listed, the folder is seen before anything beside it is handed on
//! ([`Gatherer::begin_table`]). Where a prefix is listed flat, keys come in byte order, and `_` stands behind digits and
//! capitals: of a table's own files only those of an unpartitioned one whose names begin with a digit come before
//! `_flowquet/`. From such a name on, objects of its folder wait until the order of keys tells whether a table follows.
//! A manifest has any order: files that are called as a table's wait for its end.
//!
//! # Objects that come twice
//!
//! An object is its URL. Whether an earlier source took it is computed from that source's root, which costs no memory;
//! digests are kept only of what lies below no root that was walked: what links lead to, single files, lines of manifests.
//! Keys of a walk ascend; where a store lists otherwise, each portion is looked through for keys that came twice. One that comes
//! again in a later portion is in the table by then, and counted so.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use flowquet_format::{LeftOut, service_of_path};
use flowquet_store::{ObjectMeta, StorageClass};
use flowquet_table::{RECORDS, SourceObject};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::listing::hidden::is_hidden;
use crate::listing::met::Met;
use crate::listing::{LeftOutTable, Listed, Lister, Portion, Unlistable};

/// An observer hears of this many objects at once.
const REPORTED: u64 = 10_000;

/// Most objects that wait until the order of keys tells whether they are a table's: the files of an unpartitioned table that is
/// listed flat. What comes before them is handed on.
const HELD_MAX: usize = 10_000;

/// Names of other services that are told.
const SERVICES_MAX: usize = 100;

/// Memory that a digest takes in a set that just grew.
const DIGEST_BYTES: usize = 40;

/// A folder or prefix that was walked.
struct Root {
    /// Ends in a slash.
    url: String,
    /// Keys of the tables below it that were left out, each empty or ending in a slash.
    tables: Vec<String>,
}

/// The table that the walk is in.
struct CurrentTable {
    /// Its root, as a key below the source: empty, or ending in a slash.
    key: String,
    /// Where it is counted; `None` for one that an earlier source met.
    index: Option<usize>,
}

/// Makes portions of what sources hold.
pub(crate) struct Gatherer<'a, 'b> {
    lister: &'b Lister<'a>,
    portion_objects: usize,
    hand_on: &'b mut dyn FnMut(Portion) -> Result<(), Error>,
    /// Nobody wants more.
    given_up: &'b AtomicBool,
    portion: Portion,
    listed: Listed,
    met: Met,
    counted: u64,
    /// Whether the URLs of the portion ascend: then none of them is there twice.
    ascends: bool,
    /// Those of earlier sources, and then the current source's, if it has one.
    roots: Vec<Root>,
    has_root: bool,
    /// Earlier roots that the current root shares objects with.
    shared: Vec<usize>,
    seen: HashSet<u128>,
    last_url: String,
    table: Option<CurrentTable>,
    /// Objects that may be a table's, and those behind them, all of one folder.
    held: Vec<(ObjectMeta, String)>,
    held_folder: String,
}

/// The root of the table whose records `path` is among.
fn table_of_record(path: &str) -> Option<&str> {
    let ends = |at: usize| path[at + RECORDS.len()..].starts_with('/');
    let begins = |at: usize| at == 0 || path[..at].ends_with('/');
    path.match_indices(RECORDS).map(|(at, _)| at).find(|at| begins(*at) && ends(*at)).map(|at| &path[..at])
}

/// Whether a file is called as a table's data files are: 16 hexadecimal digits, a dash, 4 or more digits.
fn is_named_as_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((id, number)) = name.strip_suffix(".parquet").and_then(|stem| stem.split_once('-')) else {
        return false;
    };
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.len() == 16
        && id.bytes().all(is_hex)
        && number.len() >= 4
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Keeps the first of the objects that have the same URL, and returns how many others there were.
pub(crate) fn take_each_once(portion: &mut Portion) -> u64 {
    let Portion { objects, classes, .. } = portion;
    if objects.is_sorted_by(|a, b| a.url() < b.url()) {
        return 0;
    }
    let mut urls = HashSet::with_capacity(objects.len());
    let is_first: Vec<bool> = objects.iter().map(|object| urls.insert(object.url())).collect();
    drop(urls);
    // Where those that stay stand now.
    let mut dropped = 0;
    let moved: Vec<Option<usize>> = is_first
        .iter()
        .enumerate()
        .map(|(at, is_first)| {
            dropped += usize::from(!is_first);
            is_first.then(|| at - dropped)
        })
        .collect();
    classes.retain_mut(|(at, _)| moved[*at].inspect(|now| *at = *now).is_some());
    let (before, mut is_first) = (objects.len(), is_first.into_iter());
    objects.retain(|_| is_first.next().unwrap_or(true));
    (before - objects.len()) as u64
}

fn digest(url: &str) -> u128 {
    let hash = Sha256::digest(url.as_bytes());
    u128::from_le_bytes(std::array::from_fn(|i| hash[i]))
}

impl<'a, 'b> Gatherer<'a, 'b> {
    pub(crate) fn new(
        lister: &'b Lister<'a>,
        portion_objects: usize,
        given_up: &'b AtomicBool,
        hand_on: &'b mut dyn FnMut(Portion) -> Result<(), Error>,
    ) -> Self {
        Self {
            lister,
            portion_objects: portion_objects.max(1),
            hand_on,
            given_up,
            portion: Portion::default(),
            listed: Listed::default(),
            met: Met::new(lister.filter.named()),
            counted: 0,
            ascends: true,
            roots: Vec::new(),
            has_root: false,
            shared: Vec::new(),
            seen: HashSet::new(),
            last_url: String::new(),
            table: None,
            held: Vec::new(),
            held_folder: String::new(),
        }
    }

    /// Begins a source; `root` is the URL of the folder that is walked, with a slash behind it, or `None` where single objects
    /// are named.
    pub(crate) fn begin_source(&mut self, root: Option<String>) {
        self.has_root = root.is_some();
        self.shared.clear();
        let Some(url) = root else { return };
        let shares = |r: &Root| url.starts_with(&r.url) || r.url.starts_with(&url);
        self.shared = (0..self.roots.len()).filter(|i| shares(&self.roots[*i])).collect();
        self.roots.push(Root { url, tables: Vec::new() });
    }

    /// Ends a source: nothing of it waits any more.
    pub(crate) fn end_source(&mut self) -> Result<(), Error> {
        self.release()?;
        self.table = None;
        self.last_url.clear();
        Ok(())
    }

    /// Hands on what is left, and tells what was listed, and what of the filter was met.
    pub(crate) fn finish(mut self) -> Result<(Listed, Met), Error> {
        self.flush()?;
        Ok((self.listed, self.met))
    }

    /// What of the filter was met so far.
    pub(crate) fn met(&mut self) -> &mut Met {
        &mut self.met
    }

    /// Takes an object that a walk found, under its key below the source.
    pub(crate) fn take(&mut self, meta: ObjectMeta, key: &str) -> Result<(), Error> {
        if meta.url.starts_with(&self.lister.out_url) {
            return Ok(());
        }
        self.count()?;
        if !self.has_root {
            return self.admit(meta, key);
        }
        if self.table.as_ref().is_none_or(|t| !key.starts_with(&t.key))
            && let Some(root) = table_of_record(key)
        {
            self.begin_table(root)?;
        }
        if let Some(table) = self.table.as_ref().filter(|t| key.starts_with(&t.key)) {
            if let Some(index) = table.index {
                self.listed.tables[index].objects += 1;
            }
            return Ok(());
        }
        if !self.held.is_empty() {
            let below = key.strip_prefix(self.held_folder.as_str());
            if below.is_some_and(|k| k < RECORDS) && self.held.len() < HELD_MAX {
                self.held.push((meta, key.to_owned()));
                return Ok(());
            }
            self.release()?;
        }
        let (folder, name) = key.rfind('/').map_or(("", key), |at| key.split_at(at + 1));
        if name < RECORDS && is_named_as_data(name) {
            folder.clone_into(&mut self.held_folder);
            self.held.push((meta, key.to_owned()));
            return Ok(());
        }
        self.admit(meta, key)
    }

    /// What follows below `key`, which is empty or ends in a slash, is a table's.
    pub(crate) fn begin_table(&mut self, key: &str) -> Result<(), Error> {
        if self.table.as_ref().is_some_and(|t| key.starts_with(&t.key)) {
            return Ok(());
        }
        let held = if self.held_folder == key { std::mem::take(&mut self.held) } else { Vec::new() };
        self.release()?;
        let Some(root) = self.roots.last_mut() else { return Ok(()) };
        root.tables.push(key.to_owned());
        let url = format!("{}{key}", root.url);
        self.listed.root_is_table |= key.is_empty();
        let index = self.add_table(url).inspect(|i| self.listed.tables[*i].objects = held.len() as u64);
        self.table = Some(CurrentTable { key: key.to_owned(), index });
        Ok(())
    }

    /// Where a table is counted from now on, unless it was before.
    fn add_table(&mut self, url: String) -> Option<usize> {
        if self.listed.tables.iter().any(|t| t.url == url) {
            return None;
        }
        self.listed.tables.push(LeftOutTable { url, objects: 0 });
        Some(self.listed.tables.len() - 1)
    }

    /// Takes something that cannot be an object, and why.
    pub(crate) fn unlistable(&mut self, error: &flowquet_store::Error) -> Result<(), Error> {
        if error.url().starts_with(&self.lister.out_url) {
            return Ok(());
        }
        self.count()?;
        let url = error.url().to_owned();
        self.portion.unreadable.push(Unlistable { url, reason: error.to_string() });
        self.listed.unreadable += 1;
        self.flush_if_full()
    }

    /// A folder is met by another name, and what is in it was taken by the first.
    pub(crate) fn met_again(&mut self) {
        self.listed.repeated += 1;
    }

    /// Whether an object of a manifest is one of a table whose records the manifest was found to hold, which counts it.
    pub(crate) fn is_of_named_table(&mut self, url: &str) -> bool {
        if let Some(root) = table_of_record(url).map(str::to_owned) {
            self.add_table(root);
        }
        let table = self.listed.tables.iter_mut().find(|t| url.starts_with(&t.url));
        table.map(|t| t.objects += 1).is_some()
    }

    /// Whether a manifest's object may be one of a table whose records come later.
    pub(crate) fn may_be_of_table(&self, meta: &ObjectMeta) -> bool {
        is_named_as_data(&meta.url)
    }

    fn count(&mut self) -> Result<(), Error> {
        self.counted += 1;
        if self.counted.is_multiple_of(REPORTED) {
            (self.lister.listed)(self.counted);
        }
        let is_asked = self.given_up.load(Ordering::Relaxed) || self.lister.stop.load(Ordering::Relaxed);
        if is_asked { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Lets what waited go on: it is no table's.
    fn release(&mut self) -> Result<(), Error> {
        std::mem::take(&mut self.held).into_iter().try_for_each(|(meta, key)| self.admit(meta, &key))
    }

    fn admit(&mut self, meta: ObjectMeta, key: &str) -> Result<(), Error> {
        self.met.meet(&meta.url);
        if let Err(why) = self.lister.filter.admits(&meta.url, key) {
            self.listed.left_out += 1;
            self.listed.untold += u64::from(why == LeftOut::Untold);
            if let Some(service) = service_of_path(&meta.url) {
                self.leave_service_out(service, 1, &meta.url);
            }
            return Ok(());
        }
        if self.is_seen(&meta.url, key)? {
            self.listed.repeated += 1;
            return Ok(());
        }
        self.ascends &= self.portion.objects.last().is_none_or(|last| *last.url() < *meta.url);
        meta.url.clone_into(&mut self.last_url);
        let object = SourceObject::new(meta.url, key, meta.bytes, &meta.etag);
        self.portion.memory += object.memory();
        if meta.class != StorageClass::Open {
            self.portion.classes.push((self.portion.objects.len(), meta.class));
        }
        self.portion.objects.push(object);
        self.listed.objects += 1;
        self.flush_if_full()
    }

    /// Counts objects of another service of AWS. There are few services, and what they are called is theirs.
    pub(crate) fn leave_service_out(&mut self, service: &str, objects: u64, example: &str) {
        let services = &mut self.listed.services;
        if services.len() >= SERVICES_MAX && !services.contains_key(service) {
            return;
        }
        let found = services.entry(service.to_owned()).or_default();
        found.objects += objects;
        if found.example.is_empty() {
            example.clone_into(&mut found.example);
        }
    }

    /// Whether a wanted object came before, of this source or another.
    fn is_seen(&mut self, url: &str, key: &str) -> Result<bool, Error> {
        // A store may repeat a key where one page ends and the next begins.
        if url == self.last_url {
            return Ok(true);
        }
        let root = if self.has_root { self.roots.last() } else { None };
        // Through a link, a file is met under another key than its own.
        let is_own = root.is_some_and(|r| url.strip_prefix(r.url.as_str()) == Some(key));
        let is_taken = |r: &Root| {
            url.strip_prefix(r.url.as_str()).is_some_and(|key| {
                !is_hidden(key)
                    && !r.tables.iter().any(|t| key.starts_with(t))
                    && self.lister.filter.admits(url, key).is_ok()
            })
        };
        if is_own {
            let is_taken = self.shared.iter().any(|i| is_taken(&self.roots[*i]));
            return Ok(is_taken || (!self.seen.is_empty() && self.seen.contains(&digest(url))));
        }
        if self.roots.iter().any(is_taken) || !self.seen.insert(digest(url)) {
            return Ok(true);
        }
        if self.seen.len() * DIGEST_BYTES > self.lister.memory_max {
            return Err(Error::ListingTooLong { objects: self.seen.len(), bytes: self.lister.memory_max });
        }
        Ok(false)
    }

    fn flush_if_full(&mut self) -> Result<(), Error> {
        let len = self.portion.objects.len() + self.portion.unreadable.len();
        if len >= self.portion_objects { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut portion = std::mem::take(&mut self.portion);
        if !std::mem::replace(&mut self.ascends, true) {
            let repeated = take_each_once(&mut portion);
            self.listed.objects -= repeated;
            self.listed.repeated += repeated;
        }
        if portion.objects.is_empty() && portion.unreadable.is_empty() {
            return Ok(());
        }
        (self.hand_on)(portion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_comes_twice_moves_the_classes_of_those_behind_it() {
        let object = |name: &str| SourceObject::new(format!("s3://logs/{name}"), name, 1, "etag");
        let mut portion = Portion {
            objects: ["b", "a", "b", "c", "a", "d"].map(object).into(),
            classes: [(1, StorageClass::Deep), (4, StorageClass::Deep), (5, StorageClass::Flexible)].into(),
            ..Portion::default()
        };
        assert_eq!(take_each_once(&mut portion), 2);
        assert_eq!(portion.objects, ["b", "a", "c", "d"].map(object));
        assert_eq!(portion.classes, [(1, StorageClass::Deep), (3, StorageClass::Flexible)]);
        assert_eq!(take_each_once(&mut portion), 0);
    }

    #[test]
    fn tables_are_told_by_their_keys() {
        for (path, root) in [
            ("_flowquet/table.json", Some("")),
            ("a/b/_flowquet/commits/x", Some("a/b/")),
            ("s3://b/t/_flowquet/x/_flowquet/y", Some("s3://b/t/")),
            ("a/_flowquet", None),
            ("a/x_flowquet/y", None),
            ("a/_flowquets/y", None),
            ("a/x_flowquet/_flowquet/y", Some("a/x_flowquet/")),
        ] {
            assert_eq!(table_of_record(path), root, "{path}");
        }
        for (path, is_data) in [
            ("a/date=2024-01-01/0123456789abcdef-0000.parquet", true),
            ("0123456789abcdef-12345.parquet", true),
            ("0123456789abcdeF-0000.parquet", false),
            ("123456789012_vpcflowlogs_us-east-1_fl-1_20240101T0000Z_ab.log.parquet", false),
            ("0123456789abcdef.parquet", false),
        ] {
            assert_eq!(is_named_as_data(path), is_data, "{path}");
        }
    }
}
