//! The level of sources: a listing of them against what the table has taken.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use flowquet_format::{KeyFilter, hash_text};
use flowquet_sources::{Lister, PORTION_OBJECTS, Source, SourceSet, root_url};
use flowquet_table::{Log, ObjectId, SourceObject, Standing, TableState};

use super::finding::{Fault, Finding, Level};
use super::report::{SourceLevel, Verified};
use crate::error::Error;
use crate::events::{Event, Observer};

/// Objects that are listed and in the table as they were converted.
pub(super) type Listed = HashMap<ObjectId, ListedObject>;

/// An object that is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListedObject {
    /// What tells whether it is the one that was converted.
    pub(super) mark: u64,
    pub(super) bytes: u64,
}

/// What tells two states of an object apart: its size and etag.
pub(super) fn mark_of(object: &SourceObject) -> u64 {
    hash_text(format!("{} {}", object.bytes, object.etag()).as_bytes())
}

/// Which sources are compared.
pub(super) struct Sources<'a> {
    pub(super) sources: &'a [Source],
    pub(super) filter: &'a KeyFilter,
    pub(super) set: &'a SourceSet,
    pub(super) memory_max: usize,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
}

impl Sources<'_> {
    /// Lists the sources. Objects that are in the table unchanged are returned.
    pub(super) fn check(&self, log: &mut Log, verified: &mut Verified) -> Result<Listed, Error> {
        log.refresh()?;
        log.ask(TableState::read_all)?;
        let open: HashSet<ObjectId> =
            log.state().open_tasks().flat_map(|t| &t.task.objects).map(SourceObject::id).collect();
        let (mut level, mut found) = (SourceLevel::default(), Listed::new());
        let mut findings = Vec::new();
        let listed = |objects| self.observer.event(&Event::Listed { objects });
        let lister = Lister {
            sources: self.set,
            filter: self.filter,
            out_url: root_url(log.out().as_ref()),
            must_find: false,
            memory_max: self.memory_max,
            listed: &listed,
            stop: self.stop,
        };
        let state = log.state();
        lister.portions(self.sources, PORTION_OBJECTS, &mut |portion| {
            for unlistable in portion.unreadable {
                level.listed += 1;
                level.missing += 1;
                let finding = Finding::new(Level::Source, Fault::ObjectMissing, unlistable.url);
                findings.push(finding.says(unlistable.reason));
            }
            for object in portion.objects {
                level.listed += 1;
                let (fault, what) = match state.known().standing(&object)? {
                    Standing::Taken { .. } if open.contains(&object.id()) => {
                        (Fault::ObjectMissing, Some("unfinished".to_owned()))
                    }
                    Standing::Taken { has_changed: false } => {
                        level.in_table += 1;
                        let listed = ListedObject { mark: mark_of(&object), bytes: object.bytes };
                        found.insert(object.id(), listed);
                        continue;
                    }
                    Standing::Taken { has_changed: true } if state.is_ignored(&object) => {
                        level.ignored += 1;
                        continue;
                    }
                    Standing::Taken { has_changed: true } => {
                        level.changed += 1;
                        findings.push(Finding::new(Level::Source, Fault::ObjectChanged, object.url()));
                        continue;
                    }
                    Standing::Failed(_) if state.is_ignored(&object) => {
                        level.ignored += 1;
                        continue;
                    }
                    Standing::Failed(cause) => (Fault::ObjectMissing, Some(cause.to_string())),
                    // Its records are in the table, and so is its name, but not this object.
                    Standing::Copy => {
                        level.in_table += 1;
                        level.copies += 1;
                        continue;
                    }
                    Standing::New => (Fault::ObjectMissing, None),
                };
                level.missing += 1;
                let finding = Finding::new(Level::Source, fault, object.url());
                findings.push(Finding { what, ..finding });
            }
            Ok::<(), Error>(())
        })?;
        verified.source = Some(level);
        verified.findings.extend(findings);
        Ok(found)
    }
}
