//! A sorted map most of which lies in segments of a checkpoint, each read when it is asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use flowquet_store::{Fetch, Store};

use crate::error::Error;
use crate::options::Options;
use crate::records::RecordError;
use crate::segment_name::is_named_after;

/// Segments that are read at once.
const SEGMENTS_AHEAD: usize = 16;

/// What stands on a shelf.
pub(crate) trait Entry: Clone + Debug + Send + Sync {
    /// By which entries are sorted and found.
    type Key: Ord + Clone + Debug + Send + Sync;
    /// Entries of a segment, at most: it is read and written whole.
    const SEGMENT_MAX: usize;

    /// Its key.
    fn key(&self) -> &Self::Key;

    /// The bytes of a segment: the same for the same entries. `words` gets the options that entries name.
    fn encode(entries: &[Self], words: &mut Words) -> Vec<u8>;

    /// Entries of a segment.
    ///
    /// # Errors
    /// [`RecordError`].
    fn decode(bytes: &[u8], words: &Words) -> Result<Vec<Self>, RecordError>;
}

/// Options that entries name by their place. More are added behind, so that places in older segments stay right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(Vec<Arc<Options>>);

impl Words {
    pub(crate) fn new(options: Vec<Arc<Options>>) -> Self {
        Self(options)
    }

    /// The place of some options, which are added where they are new.
    pub(crate) fn place(&mut self, options: &Arc<Options>) -> u32 {
        let same = |o: &Arc<Options>| Arc::ptr_eq(o, options) || o == options;
        // Newer ones are asked for more often.
        let place = self.0.iter().rposition(same).unwrap_or_else(|| {
            self.0.push(options.clone());
            self.0.len() - 1
        });
        u32::try_from(place).expect("few options")
    }

    pub(crate) fn get(&self, place: u32) -> Result<Arc<Options>, RecordError> {
        let found = self.0.get(place as usize).cloned();
        found.ok_or_else(|| {
            RecordError::Wrong(format!("expected at most {} options, found {place}", self.0.len()))
        })
    }

    pub(crate) fn all(&self) -> &[Arc<Options>] {
        &self.0
    }
}

/// Where segments are read from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) out: Arc<dyn Store>,
    pub(crate) words: Arc<Words>,
}

/// Some neighbouring entries.
#[derive(Debug, Clone)]
pub(crate) struct Segment<E: Entry> {
    /// Key of the first entry.
    pub(crate) first: E::Key,
    /// Number of entries.
    pub(crate) entries: u64,
    /// Its key in the store, and so a digest of its bytes; none while it is only in memory.
    pub(crate) name: Option<String>,
    loaded: OnceLock<Arc<Vec<E>>>,
}

/// What happened to a key since the checkpoint.
#[derive(Debug, Clone)]
enum Change<E> {
    /// It was added, and no segment has it: seen to once the segment is read.
    New(E),
    /// It was added; a segment may have it as it was before.
    Put(E),
    /// It was taken away.
    Gone,
}

impl<E> Change<E> {
    fn entry(&self) -> Option<&E> {
        match self {
            Self::New(entry) | Self::Put(entry) => Some(entry),
            Self::Gone => None,
        }
    }
}

/// A sorted map: segments of a checkpoint, and what changed since.
#[derive(Debug, Clone)]
pub(crate) struct Shelf<E: Entry> {
    /// The invariant that is broken where a key is added twice.
    invariant: &'static str,
    /// Sorted; each ends before the first key of the next.
    segments: Vec<Segment<E>>,
    changes: BTreeMap<E::Key, Change<E>>,
    source: Option<Source>,
}

impl<E: Entry> Segment<E> {
    /// One that lies in the store.
    pub(crate) fn stored(first: E::Key, entries: u64, name: String) -> Self {
        Self { first, entries, name: Some(name), loaded: OnceLock::new() }
    }

    fn of(entries: Vec<E>) -> Self {
        let first = entries[0].key().clone();
        Self { first, entries: entries.len() as u64, name: None, loaded: Arc::new(entries).into() }
    }

    /// Its entries, where they are only in memory.
    pub(crate) fn unsaved(&self) -> Option<&[E]> {
        if self.name.is_some() { None } else { self.loaded.get().map(|l| l.as_slice()) }
    }
}

impl<E: Entry> Shelf<E> {
    /// An empty one. Adding a key twice breaks `invariant`.
    pub(crate) fn new(invariant: &'static str) -> Self {
        Self { invariant, segments: Vec::new(), changes: BTreeMap::new(), source: None }
    }

    /// That of a checkpoint.
    pub(crate) fn stored(invariant: &'static str, segments: Vec<Segment<E>>, source: Source) -> Self {
        Self { invariant, segments, changes: BTreeMap::new(), source: Some(source) }
    }

    /// The segment that has a key, if any has.
    fn segment_of(&self, key: &E::Key) -> Option<usize> {
        self.segments.partition_point(|s| s.first <= *key).checked_sub(1)
    }

    /// The keys of a segment lie below this one.
    fn end_of(&self, segment: usize) -> Option<&E::Key> {
        self.segments.get(segment + 1).map(|s| &s.first)
    }

    /// Changes that fall to a segment. What lies before the first one falls to the first.
    fn changes_of(&self, segment: usize) -> impl Iterator<Item = (&E::Key, &Change<E>)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = if segment == 0 { Unbounded } else { Included(&self.segments[segment].first) };
        self.changes.range((from, self.end_of(segment).map_or(Unbounded, Excluded)))
    }

    fn broken(&self, key: &E::Key) -> Error {
        Error::Broken { invariant: self.invariant, what: format!("{key:?} was added twice") }
    }

    /// Reads segments that are not in memory yet, several at once.
    fn read(&self, wanted: &BTreeSet<usize>) -> Result<(), Error> {
        let mut wanted = wanted.iter().filter(|s| self.segments[**s].loaded.get().is_none()).peekable();
        let Some(Source { out, words }) = self.source.as_ref().filter(|_| wanted.peek().is_some()) else {
            return Ok(());
        };
        let mut ahead: VecDeque<(usize, &str, Box<dyn Fetch>)> = VecDeque::new();
        loop {
            while ahead.len() < SEGMENTS_AHEAD
                && let Some(&place) = wanted.next()
            {
                let name = self.segments[place].name.as_deref().expect("what is only in memory is in memory");
                ahead.push_back((place, name, out.fetch(name, "", 0..0, true)));
            }
            let Some((place, name, fetch)) = ahead.pop_front() else { return Ok(()) };
            let segment = &self.segments[place];
            let unusable = |what: String| Error::Checkpoint { url: out.url(name), what };
            let bytes = fetch.wait(&|| false).map_err(|error| match error.may_be_missing() {
                true => unusable("it is gone".to_owned()),
                false => error.into(),
            })?;
            if !is_named_after(name, &bytes) {
                return Err(unusable("its bytes are not those that its name says".to_owned()));
            }
            let entries = E::decode(&bytes, words).map_err(|error| unusable(error.to_string()))?;
            let is_right = entries.len() as u64 == segment.entries
                && entries.first().map(E::key) == Some(&segment.first)
                && entries.windows(2).all(|two| two[0].key() < two[1].key());
            if !is_right {
                return Err(unusable("its entries are not those that the checkpoint says".to_owned()));
            }
            let has = |key: &E::Key| entries.binary_search_by(|e| e.key().cmp(key)).is_ok();
            if let Some((key, _)) =
                self.changes_of(place).find(|(k, c)| matches!(c, Change::New(_)) && has(k))
            {
                return Err(self.broken(key));
            }
            // Another thread may have read it too.
            let _ = segment.loaded.set(Arc::new(entries));
        }
    }

    /// Reads what tells of these keys.
    pub(crate) fn prepare(&self, keys: impl Iterator<Item = E::Key>) -> Result<(), Error> {
        let wanted =
            keys.filter(|k| !self.changes.contains_key(k)).filter_map(|k| self.segment_of(&k)).collect();
        self.read(&wanted)
    }

    /// Lets go of segments that do not tell of these keys, and that can be read again.
    pub(crate) fn keep_only(&mut self, keys: impl Iterator<Item = E::Key>) {
        let kept: BTreeSet<usize> = keys.filter_map(|k| self.segment_of(&k)).collect();
        for (place, segment) in self.segments.iter_mut().enumerate() {
            if segment.name.is_some() && !kept.contains(&place) {
                segment.loaded.take();
            }
        }
    }

    fn in_segment(&self, place: usize, key: &E::Key) -> Option<&E> {
        let entries = self.segments[place].loaded.get()?;
        entries.binary_search_by(|e| e.key().cmp(key)).ok().map(|at| &entries[at])
    }

    /// The entry of a key.
    pub(crate) fn get(&self, key: &E::Key) -> Result<Option<&E>, Error> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.entry());
        }
        let Some(place) = self.segment_of(key) else { return Ok(None) };
        self.read(&[place].into())?;
        Ok(self.in_segment(place, key))
    }

    /// Adds an entry whose key nothing has, without reading for it. Returns whether that is so, as far as is known without
    /// reading.
    pub(crate) fn add(&mut self, entry: E) -> bool {
        let key = entry.key();
        let change = match self.changes.get(key) {
            Some(Change::New(_) | Change::Put(_)) => return false,
            Some(Change::Gone) => Change::Put(entry),
            None if self.segment_of(key).and_then(|place| self.in_segment(place, key)).is_some() => {
                return false;
            }
            None => Change::New(entry),
        };
        if let Some(entry) = change.entry() {
            self.changes.insert(entry.key().clone(), change);
        }
        true
    }

    /// Adds an entry, or replaces the one that has its key.
    pub(crate) fn put(&mut self, entry: E) {
        let key = entry.key().clone();
        let is_new = matches!(self.changes.get(&key), Some(Change::New(_)));
        self.changes.insert(key, if is_new { Change::New(entry) } else { Change::Put(entry) });
    }

    /// Takes the entry of a key away, if there is one, without reading for it.
    pub(crate) fn discard(&mut self, key: &E::Key) {
        match self.changes.get(key) {
            Some(Change::New(_)) => drop(self.changes.remove(key)),
            Some(_) => drop(self.changes.insert(key.clone(), Change::Gone)),
            None if self.segments.is_empty() => {}
            None => drop(self.changes.insert(key.clone(), Change::Gone)),
        }
    }

    /// Takes the entry of a key away and returns it.
    pub(crate) fn remove(&mut self, key: &E::Key) -> Result<Option<E>, Error> {
        let found = self.get(key)?.cloned();
        if found.is_some() {
            self.discard(key);
        }
        Ok(found)
    }

    /// All entries from a key on, as far as `is_meant` holds.
    pub(crate) fn starting_at(
        &self,
        from: &E::Key,
        is_meant: impl Fn(&E::Key) -> bool,
    ) -> Result<Vec<&E>, Error> {
        let first = self.segment_of(from).unwrap_or(0);
        let count = self.segments[first..].iter().skip(1).take_while(|s| is_meant(&s.first)).count() + 1;
        let last = (first + count).min(self.segments.len());
        self.read(&(first..last).collect())?;
        let old =
            self.segments[first..last].iter().flat_map(|s| s.loaded.get().into_iter().flat_map(|l| l.iter()));
        let old = old.skip_while(|e| e.key() < from).take_while(|e| is_meant(e.key()));
        let changes = self.changes.range(from.clone()..).take_while(|(key, _)| is_meant(key));
        Ok(merge(old, changes))
    }

    /// All entries.
    pub(crate) fn all(&self) -> Result<Vec<&E>, Error> {
        self.read(&(0..self.segments.len()).collect())?;
        let old = self.segments.iter().flat_map(|s| s.loaded.get().into_iter().flat_map(|l| l.iter()));
        Ok(merge(old, self.changes.iter()))
    }

    /// First keys of segments, in order.
    pub(crate) fn firsts(&self) -> impl DoubleEndedIterator<Item = &E::Key> {
        self.segments.iter().map(|s| &s.first)
    }

    /// Entries in memory: those that were read and those that changed.
    pub(crate) fn held(&self) -> usize {
        let loaded = self.segments.iter().filter_map(|s| s.loaded.get()).map(|l| l.len()).sum::<usize>();
        loaded + self.changes.len()
    }

    /// Changes since the checkpoint.
    pub(crate) fn changed(&self) -> usize {
        self.changes.len()
    }

    /// Puts what changed into segments. Those without a change stay as they are.
    pub(crate) fn seal(&mut self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        if self.segments.is_empty() {
            let entries = std::mem::take(&mut self.changes).into_values();
            let entries: Vec<E> = entries.filter_map(|c| c.entry().cloned()).collect();
            self.segments = cut(entries);
            return Ok(());
        }
        let changed: BTreeSet<usize> =
            (0..self.segments.len()).filter(|s| self.changes_of(*s).next().is_some()).collect();
        self.read(&changed)?;
        let mut sealed = Vec::with_capacity(self.segments.len());
        for place in 0..self.segments.len() {
            if !changed.contains(&place) {
                sealed.push(self.segments[place].clone());
                continue;
            }
            let old = self.segments[place].loaded.get().expect("read above");
            let entries = merge(old.iter(), self.changes_of(place));
            let only_gone = self.changes_of(place).all(|(_, change)| matches!(change, Change::Gone));
            if only_gone && entries.len() == old.len() {
                sealed.push(self.segments[place].clone());
            } else {
                sealed.extend(cut(entries.into_iter().cloned().collect()));
            }
        }
        self.segments = sealed;
        self.changes.clear();
        Ok(())
    }

    /// The segments, with `change` applied to each.
    pub(crate) fn segments_mut(&mut self) -> &mut [Segment<E>] {
        &mut self.segments
    }

    /// The segments.
    pub(crate) fn segments(&self) -> &[Segment<E>] {
        &self.segments
    }

    /// From now on segments are read from here.
    pub(crate) fn set_source(&mut self, source: &Source) {
        self.source = Some(source.clone());
    }
}

/// Cuts sorted entries into segments. Full ones are halved, so that what is added does not cut each of them at once.
fn cut<E: Entry>(entries: Vec<E>) -> Vec<Segment<E>> {
    if entries.len() <= E::SEGMENT_MAX {
        return if entries.is_empty() { Vec::new() } else { vec![Segment::of(entries)] };
    }
    let pieces = entries.len().div_ceil(E::SEGMENT_MAX / 2);
    let size = entries.len().div_ceil(pieces);
    entries.chunks(size).map(|piece| Segment::of(piece.to_vec())).collect()
}

/// Sorted entries with sorted changes applied.
fn merge<'a, E: Entry>(
    old: impl Iterator<Item = &'a E>,
    changes: impl Iterator<Item = (&'a E::Key, &'a Change<E>)>,
) -> Vec<&'a E> {
    let (mut old, mut found) = (old.peekable(), Vec::new());
    for (key, change) in changes {
        while let Some(entry) = old.next_if(|e| e.key() < key) {
            found.push(entry);
        }
        old.next_if(|e| e.key() == key);
        found.extend(change.entry());
    }
    found.extend(old);
    found
}

/// Entries as lines of JSON in gzip.
pub(crate) fn to_lines<T: serde::Serialize>(entries: impl Iterator<Item = T>) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    {
        let mut lines = std::io::BufWriter::new(&mut gzip);
        for entry in entries {
            serde_json::to_writer(&mut lines, &entry).expect("plain values into memory");
            lines.write_all(b"\n").expect("into memory");
        }
        lines.flush().expect("into memory");
    }
    gzip.finish().expect("into memory")
}

/// What [`to_lines`] wrote.
pub(crate) fn from_lines<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, RecordError> {
    let mut text = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text);
    read.map_err(|error| RecordError::Malformed(serde_json::Error::io(error)))?;
    serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(RecordError::Malformed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flowquet_store::Memory;
    use proptest::prelude::*;

    use super::*;

    /// A number by another.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Pair(u8, u8);

    impl Entry for Pair {
        type Key = u8;
        const SEGMENT_MAX: usize = 4;

        fn key(&self) -> &u8 {
            &self.0
        }

        fn encode(entries: &[Self], _: &mut Words) -> Vec<u8> {
            entries.iter().flat_map(|pair| [pair.0, pair.1]).collect()
        }

        fn decode(bytes: &[u8], _: &Words) -> Result<Vec<Self>, RecordError> {
            Ok(bytes.chunks(2).map(|pair| Pair(pair[0], pair[1])).collect())
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u8, u8),
        Put(u8, u8),
        Discard(u8),
        Remove(u8),
        /// Its segments are put, and another shelf begins with them.
        Seal,
        Keep(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0..40_u8;
        let step = prop_oneof![
            4 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Add(k, v)),
            2 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Put(k, v)),
            2 => key.clone().prop_map(Step::Discard),
            2 => key.clone().prop_map(Step::Remove),
            1 => Just(Step::Seal),
            1 => key.prop_map(Step::Keep),
        ];
        proptest::collection::vec(step, 0..60)
    }

    /// Seals a shelf, puts its segments, and begins another one with them.
    fn sealed(mut shelf: Shelf<Pair>, source: &Source) -> Shelf<Pair> {
        shelf.seal().expect("sound");
        let (mut words, mut last) = (Words::default(), None);
        for segment in shelf.segments_mut() {
            assert!(segment.entries <= 4 && last < Some(segment.first));
            last = Some(segment.first);
            if let Some(entries) = segment.unsaved() {
                let bytes = Pair::encode(entries, &mut words);
                let name = format!("x-{}", crate::segment_name::digest(&bytes));
                source.out.put(&name, &bytes).expect("in memory");
                segment.name = Some(name);
            }
        }
        let segments = shelf.segments().iter();
        let named = segments.map(|s| Segment::stored(s.first, s.entries, s.name.clone().expect("put above")));
        Shelf::stored("L1", named.collect(), source.clone())
    }

    proptest! {
        #[test]
        fn a_shelf_is_a_sorted_map(steps in steps()) {
            let out: Arc<dyn Store> = Arc::new(Memory::new("s3://lake"));
            let source = Source { out, words: Arc::default() };
            let mut shelf = Shelf::stored("L1", Vec::new(), source.clone());
            let mut model: BTreeMap<u8, u8> = BTreeMap::new();
            for step in steps {
                match step {
                    // What is there already is an error, told at once or when it is read.
                    Step::Add(key, _) if model.contains_key(&key) => {}
                    Step::Add(key, value) => {
                        prop_assert!(shelf.add(Pair(key, value)));
                        model.insert(key, value);
                    }
                    Step::Put(key, value) => {
                        shelf.put(Pair(key, value));
                        model.insert(key, value);
                    }
                    Step::Discard(key) => {
                        shelf.discard(&key);
                        model.remove(&key);
                    }
                    Step::Remove(key) => {
                        let removed = shelf.remove(&key).expect("sound").map(|pair| pair.1);
                        prop_assert_eq!(removed, model.remove(&key));
                    }
                    Step::Seal => shelf = sealed(shelf, &source),
                    Step::Keep(key) => shelf.keep_only([key].into_iter()),
                }
                for key in [0, 7, 20, 39] {
                    let found = shelf.get(&key).expect("sound").map(|pair| &pair.1);
                    prop_assert_eq!(found, model.get(&key));
                }
                let pairs = |found: Vec<&Pair>| found.into_iter().map(|p| (p.0, p.1)).collect::<Vec<_>>();
                let expected: Vec<(u8, u8)> = model.range(11..23).map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(pairs(shelf.starting_at(&11, |key| *key < 23).expect("sound")), expected);
            }
            let all: Vec<(u8, u8)> = shelf.all().expect("sound").into_iter().map(|p| (p.0, p.1)).collect();
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_key_that_is_added_twice_is_found(key in 0..40_u8, reads_first in any::<bool>(), seals in any::<bool>()) {
            let out: Arc<dyn Store> = Arc::new(Memory::new("s3://lake"));
            let source = Source { out, words: Arc::default() };
            let mut shelf = Shelf::stored("L1", Vec::new(), source.clone());
            (0..40).for_each(|key| assert!(shelf.add(Pair(key, 0))));
            let mut shelf = sealed(shelf, &source);
            if reads_first {
                shelf.get(&key).expect("sound");
                prop_assert!(!shelf.add(Pair(key, 1)));
                return Ok(());
            }
            prop_assert!(shelf.add(Pair(key, 1)), "nothing was read");
            let found = if seals { shelf.seal() } else { shelf.all().map(drop) };
            let is_found = matches!(found, Err(Error::Broken { invariant: "L1", .. }));
            prop_assert!(is_found);
        }
    }

    #[test]
    fn segments_without_a_change_stay_as_they_are() {
        let out: Arc<dyn Store> = Arc::new(Memory::new("s3://lake"));
        let source = Source { out, words: Arc::default() };
        let mut shelf = Shelf::stored("L1", Vec::new(), source.clone());
        (0..40).for_each(|key| assert!(shelf.add(Pair(2 * key, 0))));
        let mut shelf = sealed(shelf, &source);
        let names = |shelf: &Shelf<Pair>| shelf.segments().iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let before = names(&shelf);
        // Taken away though it was not there.
        shelf.discard(&11);
        assert!(shelf.add(Pair(79, 0)));
        shelf.seal().expect("sound");
        let after = names(&shelf);
        assert_eq!(after[..before.len() - 1], before[..before.len() - 1]);
        assert_eq!(after.last(), Some(&None));
        assert!(shelf.held() < 12, "few segments were read: {}", shelf.held());
    }
}
