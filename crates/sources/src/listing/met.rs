//! What a filter names, held against what the keys of objects and folders tell.

use std::collections::BTreeSet;

use flowquet_format::Named;

use crate::error::Error;

/// Names that are kept of what keys tell, of all kinds together.
const TOLD_MAX: usize = 1_000;

/// What a filter names, and what keys told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Met {
    /// What the filter asks for by a name that no key told.
    unmet: BTreeSet<Named>,
    /// What keys told while something was unmet; the first thousand names.
    told: BTreeSet<Named>,
    /// Whether any key told anything.
    is_any_told: bool,
}

impl Met {
    pub(crate) fn new(named: BTreeSet<Named>) -> Self {
        Self { unmet: named, ..Self::default() }
    }

    /// Strikes out what the URL of an object tells, or the prefix of a folder, which ends in a slash.
    pub(crate) fn meet(&mut self, key: &str) {
        if self.is_any_told && self.unmet.is_empty() {
            return;
        }
        for named in Named::told_by(key) {
            self.unmet.remove(&named);
            self.tell(named);
        }
        // What lies below one that nobody asks for is not looked at.
        if key.ends_with('/') {
            Named::account_of_folder(key).into_iter().for_each(|account| self.tell(account));
        }
    }

    fn tell(&mut self, named: Named) {
        self.is_any_told = true;
        if self.told.len() < TOLD_MAX {
            self.told.insert(named);
        }
    }

    /// Adds what other keys of the same sources told.
    pub(crate) fn add(&mut self, other: Self) {
        self.unmet.retain(|named| other.unmet.contains(named));
        self.told.extend(other.told);
        self.is_any_told |= other.is_any_told;
    }

    /// Why nothing was found that the filter wants, where that is no quiet hour: it names what there is not, or asks for what no
    /// key tells, of `untold` objects among `left_out`.
    pub(crate) fn why_nothing(&self, left_out: u64, untold: u64) -> Option<Error> {
        if !self.unmet.is_empty() && (self.is_any_told || left_out > 0) {
            let is_asked = |told: &&Named| self.unmet.iter().any(|named| named.is_kind_of(told));
            return Some(Error::NothingNamed {
                named: self.unmet.iter().cloned().collect(),
                told: self.told.iter().filter(is_asked).cloned().collect(),
            });
        }
        let is_blind = untold > 0 && untold == left_out && !self.is_any_told;
        is_blind.then_some(Error::NothingTold { objects: untold })
    }

    /// What the filter asks for by a name that no key told.
    pub(crate) fn into_unmet(self) -> BTreeSet<Named> {
        self.unmet
    }
}
