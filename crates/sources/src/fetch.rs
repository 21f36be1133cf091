//! Fetching ahead: remote objects are on their way before a worker asks for them, within a budget of bytes.
//!
//! Each unit that is worked on has a window ahead of its worker, and so have the first units that nobody works on yet, so
//! that a worker does not wait at the beginning of a unit either.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flowquet_store::{Error, Fetch, RANGE_BYTES};
use flowquet_table::SourceObject;

use crate::source::{SourceSet, is_remote};

/// Objects up to this size are fetched whole; longer ones are read by ranges while they are converted.
pub const FETCH_BYTES_MAX: u64 = RANGE_BYTES;

/// Bytes and objects on their way ahead of each worker, and as much for each worker in units that nobody works on yet.
pub const WINDOW_BYTES: u64 = 8 << 20;
const WINDOW_OBJECTS: usize = 64;

/// A unit's place in the order of work, and an object's in its unit.
type Position = (usize, usize);

struct Started {
    bytes: u64,
    fetch: Box<dyn Fetch>,
}

/// Objects on their way.
pub struct Fetcher<'a> {
    sources: &'a SourceSet,
    /// Each unit's objects, in the order of work.
    units: Vec<&'a [SourceObject]>,
    workers: usize,
    started: Mutex<BTreeMap<Position, Started>>,
}

impl<'a> Fetcher<'a> {
    /// Fetches the objects of `units`, which are in the order of work, for so many workers.
    pub fn new(sources: &'a SourceSet, units: Vec<&'a [SourceObject]>, workers: usize) -> Self {
        Self { sources, units, workers, started: Mutex::default() }
    }

    /// The bytes of an object that is now to be converted; `None` for one that is not fetched whole. `unclaimed` is the first
    /// unit that nobody works on.
    ///
    /// # Errors
    /// As the store reports.
    pub fn take(
        &self,
        position: Position,
        unclaimed: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Bytes>, Error> {
        let object = &self.units[position.0][position.1];
        if !is_remote(object) {
            return Ok(None);
        }
        let fetch = {
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            let own = started.remove(&position).map(|s| s.fetch).or_else(|| self.start(object));
            self.fill(&mut started, position.0..position.0 + 1, position.1 + 1, 1);
            let unclaimed = unclaimed.max(position.0 + 1).min(self.units.len());
            self.fill(&mut started, unclaimed..self.units.len(), 0, self.workers);
            own
        };
        fetch.map(|f| f.wait(stop)).transpose()
    }

    /// Gives up what is on its way for a unit.
    pub fn forget(&self, unit: usize) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let positions: Vec<Position> = started.range((unit, 0)..(unit + 1, 0)).map(|(p, _)| *p).collect();
        positions.iter().for_each(|p| drop(started.remove(p)));
    }

    /// Fetches an object anew.
    ///
    /// # Errors
    /// As the store reports.
    pub fn again(&self, position: Position, stop: &dyn Fn() -> bool) -> Result<Option<Bytes>, Error> {
        self.start(&self.units[position.0][position.1]).map(|f| f.wait(stop)).transpose()
    }

    fn start(&self, object: &SourceObject) -> Option<Box<dyn Fetch>> {
        (is_remote(object) && object.bytes <= FETCH_BYTES_MAX)
            .then(|| self.sources.fetch(object, FETCH_BYTES_MAX))
    }

    /// Starts objects of `units`, the first of them from `from`, until `windows` windows are full.
    fn fill(
        &self,
        started: &mut BTreeMap<Position, Started>,
        units: Range<usize>,
        from: usize,
        windows: usize,
    ) {
        let under_way = started.range((units.start, 0)..(units.end, 0));
        let mut looked_at = 0;
        let (mut objects, mut bytes) = under_way.fold((0, 0), |(n, b), (_, s)| (n + 1, b + s.bytes));
        for unit in units.clone() {
            let first = if unit == units.start { from } else { 0 };
            for (i, object) in self.units[unit].iter().enumerate().skip(first) {
                let is_full = objects >= windows * WINDOW_OBJECTS
                    || bytes + object.bytes > windows as u64 * WINDOW_BYTES;
                looked_at += 1;
                // Objects that are not fetched whole fill no window.
                if is_full && objects > 0 || looked_at > 4 * windows * WINDOW_OBJECTS {
                    return;
                }
                if started.contains_key(&(unit, i)) {
                    continue;
                }
                if let Some(fetch) = self.start(object) {
                    started.insert((unit, i), Started { bytes: object.bytes, fetch });
                    objects += 1;
                    bytes += object.bytes;
                }
            }
        }
    }
}
