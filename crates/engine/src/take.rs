//! Taking listed objects into a table: what is new is planned, and what stands in its way is put right.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;

use flowquet_format::{LogFormat, TWIN_SUFFIX};
use flowquet_plan::{plan_tasks, seed_of_plan};
use flowquet_sources::{SourceSet, is_remote};
use flowquet_store::ErrorKind;
use flowquet_table::{
    Cause, Error as LogError, LAYOUT_VERSION, Log, ObjectId, Options, PlanRecord, Sifted, SomeObjects,
    SourceObject, Standing, TableState, TaskId,
};

use crate::enrich::with_columns_of;
use crate::error::Error;
use crate::request::{Copies, Request};
use crate::summary::{FailedObject, Summary};
use crate::union::{Looks, formats_of, look, new_columns};
use crate::words::grouped;

/// Objects that are looked at, at once.
pub(crate) const LOOKS_AHEAD: usize = 32;

/// Log formats that a message names.
const FORMATS_TOLD_MAX: usize = 5;

/// A listing, sorted out and taken. Each listed object is in one of these.
#[derive(Debug, Default)]
pub(crate) struct TakenListing {
    /// To be planned. Empty once they are.
    pub(crate) new: Vec<SourceObject>,
    /// In tasks without a commit, those of the new plan among them.
    pub(crate) in_tasks: HashSet<ObjectId>,
    /// In the table already.
    known: u64,
    /// The first of these.
    pub(crate) first_known: Vec<ObjectId>,
    /// Not readable.
    failed: Vec<(SourceObject, Cause)>,
    /// Known, and changed since. The size that they had then is given.
    changed: Vec<(SourceObject, u64)>,
    /// Of those known: the table has them from another place.
    copies: SomeObjects,
    /// Of those new: they look like copies.
    alike: SomeObjects,
    /// Not listed, and in no task any more: theirs was given up for the sake of others.
    pub(crate) given_up: HashSet<ObjectId>,
    /// The number of the plan that was made, if one was.
    pub(crate) plan_number: Option<u64>,
    /// Columns of its files that no file of the table had before.
    pub(crate) new_columns: u64,
}

impl TakenListing {
    /// Those that are archived, and that somebody minds.
    pub(crate) fn archived(&self, log: &Log) -> Vec<SourceObject> {
        let is_archived = |(object, cause): &&(SourceObject, Cause)| {
            *cause == Cause::Archived && !log.state().is_ignored(object)
        };
        self.failed.iter().filter(is_archived).map(|(object, _)| object.clone()).collect()
    }

    /// Tells the summary.
    pub(crate) fn report(self, log: &Log, summary: &mut Summary) {
        debug_assert!(self.new.is_empty(), "what is new is planned");
        summary.new_columns = summary.new_columns.max(self.new_columns);
        summary.objects.known += self.known;
        summary.objects.copies += self.copies.count;
        summary.objects.alike += self.alike.count;
        summary.copies.extend(self.copies);
        summary.alike.extend(self.alike);
        for (object, cause) in &self.failed {
            summary.fail(object.url(), cause, log.state().is_ignored(object));
        }
        summary.objects.changed += self.changed.len() as u64;
        for (object, bytes) in self.changed {
            if log.state().is_ignored(&object) {
                summary.objects.changed_ignored += 1;
                continue;
            }
            let reason = if bytes != object.bytes {
                format!("{} bytes when it was converted, {} now", grouped(bytes), grouped(object.bytes))
            } else if is_remote(&object) {
                "another etag than when it was converted".to_owned()
            } else {
                "modified since it was converted".to_owned()
            };
            let changed = FailedObject { url: object.url().to_owned(), cause: "changed", reason };
            summary.changed_objects.push(changed);
        }
    }

    fn add(
        &mut self,
        log: &mut Log,
        listing: Vec<SourceObject>,
        options: &Options,
    ) -> Result<Vec<(SourceObject, Cause)>, Error> {
        let sorted = log.sort_out(listing, options)?;
        let state = log.state();
        self.known += sorted.known;
        self.first_known.extend(sorted.first_known);
        self.in_tasks.extend(sorted.open);
        self.changed.extend(sorted.changed);
        for (object, cause) in sorted.failed {
            self.failed.push((object, cause));
        }
        for object in sorted.new {
            // What failed and is ignored is not tried again, until somebody says so or it has changed.
            match state.known().standing(&object)? {
                Standing::Failed(cause) if state.is_ignored(&object) => {
                    let cause = cause.clone();
                    self.failed.push((object, cause));
                }
                _ => self.new.push(object),
            }
        }
        Ok(sorted.to_look_at)
    }

    /// Without those that the table has from another place.
    fn sift(&mut self, state: &TableState, new: Vec<SourceObject>) -> Result<Vec<SourceObject>, LogError> {
        let Sifted { new, copies, alike } = state.known().sift(new)?;
        self.known += copies.count;
        self.copies.extend(copies);
        self.alike = alike;
        Ok(new)
    }
}

/// Sorts a listing out for a run that writes nothing, and makes the plan that it would put.
pub(crate) fn sort_out_and_plan(
    log: &mut Log,
    listing: Vec<SourceObject>,
    request: &Request,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<(TakenListing, Option<PlanRecord>), Error> {
    let mut taken = sort_out(log, listing, request, sources, stop)?;
    let new = std::mem::take(&mut taken.new);
    taken.in_tasks.extend(new.iter().map(SourceObject::id));
    let found = look_and_check(log.state(), &new, &request.options, sources, stop)?;
    let plan = plan_of(log.state(), new, &request.options, &found)?;
    Ok((taken, plan))
}

/// Sorts a listing out for a run, looking at objects where only that tells.
fn sort_out(
    log: &mut Log,
    listing: Vec<SourceObject>,
    request: &Request,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<TakenListing, Error> {
    let mut taken = TakenListing::default();
    let to_look_at = taken.add(log, listing, &request.options)?;
    for (object, cause) in look_at(to_look_at, sources, stop)? {
        match cause {
            None => taken.new.push(object),
            Some(cause) => taken.failed.push((object, cause)),
        }
    }
    // A file that may not be read would void its task in every run. In a bucket a look costs a request for each, and what may
    // not be read there stops the run.
    for object in std::mem::take(&mut taken.new) {
        match sources.open_local(&object) {
            Some(Err(error)) => taken.failed.push((object, Cause::Denied(error.to_string()))),
            _ => taken.new.push(object),
        }
    }
    if request.copies == Copies::Skip {
        let new = std::mem::take(&mut taken.new);
        taken.new = taken.sift(log.state(), new)?;
    }
    Ok(taken)
}

/// Asks for the first byte of each object that failed for a reason outside it. Returns why it still cannot be read, if so.
fn look_at(
    objects: Vec<(SourceObject, Cause)>,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<Vec<(SourceObject, Option<Cause>)>, Error> {
    let mut found = Vec::with_capacity(objects.len());
    let mut objects = objects.into_iter().peekable();
    let stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
    while objects.peek().is_some() {
        let started: Vec<_> = objects
            .by_ref()
            .take(LOOKS_AHEAD)
            .map(|(object, cause)| {
                let look = is_remote(&object).then(|| sources.fetch_range(&object, 0..object.bytes.min(1)));
                (object, cause, look)
            })
            .collect();
        for (object, cause, look) in started {
            let result = match look {
                Some(look) => look.wait(&stopped).map(drop),
                None => sources.open(&object).map(drop),
            };
            let still = match result {
                Ok(()) => None,
                Err(error) if error.kind() == ErrorKind::Archived => Some(Cause::Archived),
                Err(error) if error.kind() == ErrorKind::Denied => Some(Cause::Denied(error.to_string())),
                // Gone since it was listed: as unreadable as before.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Changed | ErrorKind::Folder | ErrorKind::NotAFile | ErrorKind::NotFound
                    ) =>
                {
                    Some(cause)
                }
                Err(error) => return Err(error.into()),
            };
            found.push((object, still));
        }
    }
    Ok(found)
}

/// The plan that takes `new` objects into the table, if there are any.
///
/// # Errors
/// [`Error::Options`] where field lists of the table and of this run contradict each other; [`Error::OtherEnrichment`].
pub(crate) fn plan_of(
    state: &TableState,
    new: Vec<SourceObject>,
    options: &Options,
    found: &BTreeSet<String>,
) -> Result<Option<PlanRecord>, Error> {
    if new.is_empty() {
        return Ok(None);
    }
    let number = state.last_plan() + 1;
    let options = &with_columns_of(state, options)?;
    let formats = formats_of(&state.formats(), found, options)?;
    let tasks = plan_tasks(new, &seed_of_plan(number, &formats), options);
    Ok(Some(PlanRecord { layout_version: LAYOUT_VERSION, number, options: options.clone(), formats, tasks }))
}

/// Puts the plan that takes what is left of `new` objects when it is put, if anything is: `subtract` says what.
pub(crate) fn append_plan(
    log: &mut Log,
    options: &Options,
    found: &BTreeSet<String>,
    subtract: &mut dyn FnMut(&TableState) -> Result<Vec<SourceObject>, LogError>,
) -> Result<Option<u64>, Error> {
    let mut failed: Option<Error> = None;
    let number = log.append_plan(&mut |state| {
        let new = subtract(state)?;
        let differences = state.contract().differences(options);
        let is_free = || -> Result<bool, LogError> {
            Ok(state.open_tasks().next().is_none() && state.files().is_empty()?)
        };
        if !new.is_empty() && !differences.is_empty() && !is_free()? {
            failed = Some(LogError::Contract(differences).into());
            return Ok(None);
        }
        Ok(plan_of(state, new, options, found).unwrap_or_else(|error| {
            failed = Some(error);
            None
        }))
    })?;
    failed.map_or(Ok(number), Err)
}

/// Formats that a look at new objects finds. A column that is asked for by name and that neither the field list nor any format has
/// is a slip, told before anything is planned.
fn look_and_check(
    state: &TableState,
    new: &[SourceObject],
    options: &Options,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<BTreeSet<String>, Error> {
    let table_formats = state.formats();
    let found = look(&table_formats, new, options, &Looks { sources, stop })?;
    let given = options.reading.formats().iter().map(|f| f.to_string());
    let written = table_formats.written().iter().map(|(format, _)| format.to_string());
    let formats: BTreeSet<String> = found.iter().cloned().chain(given).chain(written).collect();
    if new.is_empty() || formats.is_empty() {
        return Ok(found);
    }
    check_columns(options, formats)?;
    Ok(found)
}

/// Whether each column that is asked for by name is known to the field list or to one of `formats`.
///
/// # Errors
/// [`Error::NoColumn`].
pub(crate) fn check_columns(options: &Options, formats: BTreeSet<String>) -> Result<(), Error> {
    let catalogue = options.catalogue();
    let parsed: Vec<LogFormat> =
        formats.iter().filter_map(|format| LogFormat::parse(format, catalogue).ok()).collect();
    let columns = options.columns.iter().flatten().map(|name| ("columns", name));
    let sort = options.sort.iter().map(|name| ("sort", name));
    let bloom = options.bloom_filter.iter().map(|name| ("bloom_filter", name));
    for (option, column) in columns.chain(sort).chain(bloom) {
        let is_field = |name: &str| catalogue.fields().iter().any(|f| f.name.replace('-', "_") == name);
        let is_known = is_field(column) || column.strip_suffix(TWIN_SUFFIX).is_some_and(is_field);
        if !is_known && !parsed.iter().any(|f| f.fields().iter().any(|field| field.column() == column)) {
            let formats = formats.into_iter().take(FORMATS_TOLD_MAX).collect();
            return Err(Error::NoColumn { option, column: column.clone(), formats });
        }
    }
    Ok(())
}

/// Takes the new objects of a listing into the table. Where another run takes some at the same moment, reads what it took and
/// takes the rest.
pub(crate) fn take(
    log: &mut Log,
    listing: Vec<SourceObject>,
    request: &Request,
    sources: &SourceSet,
    stop: &AtomicBool,
) -> Result<TakenListing, Error> {
    let given_up = free_misread(log, &listing, &request.options)?;
    let mut taken = sort_out(log, listing, request, sources, stop)?;
    taken.given_up = given_up;
    let mut new = std::mem::take(&mut taken.new);
    let found = look_and_check(log.state(), &new, &request.options, sources, stop)?;
    if !new.is_empty() {
        let options = &with_columns_of(log.state(), &request.options)?;
        taken.new_columns = new_columns(&log.state().formats(), &found, options)?;
    }
    let mut sorted_at = log.state().last_plan();
    taken.plan_number = append_plan(log, &request.options, &found, &mut |state| {
        // What another run took since the listing was sorted out.
        let ours = not_taken(state, &new)?;
        let is_ours: HashSet<ObjectId> = ours.iter().map(SourceObject::id).collect();
        new.retain(|object| !is_ours.contains(&object.id()));
        let theirs = state.sort_out(std::mem::replace(&mut new, ours), &request.options)?;
        taken.known += theirs.known;
        taken.in_tasks.extend(theirs.open);
        taken.changed.extend(theirs.changed);
        if request.copies == Copies::Skip && state.last_plan() != sorted_at {
            new = taken.sift(state, std::mem::take(&mut new))?;
        }
        sorted_at = state.last_plan();
        Ok(new.clone())
    })?;
    taken.in_tasks.extend(new.iter().map(SourceObject::id));
    Ok(taken)
}

/// Gives tasks up that have no commit and would read listed objects otherwise than this run: whoever runs again with another
/// format, or another set of columns, means these objects. All objects of such a task are free; this run plans those it lists. Returns the others.
fn free_misread(
    log: &mut Log,
    listing: &[SourceObject],
    options: &Options,
) -> Result<HashSet<ObjectId>, Error> {
    let options = &with_columns_of(log.state(), options)?;
    let misread: Vec<_> = log.state().open_tasks().filter(|t| t.options.reads_otherwise(options)).collect();
    if misread.is_empty() {
        return Ok(HashSet::new());
    }
    let listed: HashSet<&str> = listing.iter().map(SourceObject::url).collect();
    let is_listed = |task: &flowquet_table::Task| task.objects.iter().any(|o| listed.contains(o.url()));
    let tasks: Vec<_> = misread.into_iter().map(|open| open.task).filter(|task| is_listed(task)).collect();
    let unlisted = |task: &flowquet_table::Task| -> Vec<ObjectId> {
        let objects = task.objects.iter().filter(|object| !listed.contains(object.url()));
        objects.map(SourceObject::id).collect()
    };
    let left: Vec<(TaskId, Vec<ObjectId>)> = tasks.iter().map(|task| (task.id, unlisted(task))).collect();
    let ids = left.iter().map(|(id, _)| *id).collect();
    let void = log.void_tasks(&ids, "planned anew: a later run reads its objects with other options")?;
    let left = left.into_iter().filter(|(id, _)| void.contains(id));
    Ok(left.flat_map(|(_, objects)| objects).collect())
}

/// Those of some objects that no live task holds.
pub(crate) fn not_taken(state: &TableState, objects: &[SourceObject]) -> Result<Vec<SourceObject>, LogError> {
    let mut found = Vec::with_capacity(objects.len());
    for object in objects {
        if !state.known().is_taken(object)? {
            found.push(object.clone());
        }
    }
    Ok(found)
}
