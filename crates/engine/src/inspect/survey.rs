//! All objects below folders and prefixes: which flow logs there are, of which log formats, when they were delivered, and what is no
//! flow log.
//!
//! Objects are grouped by what their keys tell. Of a group that surely has one log format, one object is looked at, and others only
//! if that one cannot be read; of a folder about which nothing is known each object, up to a number. A look reads the beginning of an object,
//! and small ones whole. Memory grows with groups and days, not with objects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flowquet_format::{KeyFilter, KeyGroup, KeyOrigin, LogFormat, service_of_name};
use flowquet_input::{Compression, Framing, Input, Shape};
use flowquet_plan::{Deliveries, Rhythm};
use flowquet_sources::{
    Error as SourceError, LeftOutTable, Lister, PORTION_OBJECTS, Portion, Source, SourceSet,
};
use flowquet_store::{Error as StoreError, ErrorKind, Fetch, StorageClass, Stores};
use flowquet_table::{Cause, Options, SourceObject};

use crate::error::Error;
use crate::events::{Event, Observer};
use crate::formats::AHEAD;
use crate::formats::is_of_the_object;
use crate::inspect::look::{Found, Limits, Look, Looker, ToldBy};
use crate::summary::FailedObject;

/// Bytes of an object that a look reads. Most objects of flow logs that are delivered every five minutes are smaller.
const LOOK_BYTES: u64 = 256 << 10;

/// Text that a look takes.
const LOOK: Limits = Limits { text_bytes: 16 << 20, records: 0 };

/// Objects of a folder that are looked at, if nothing is known of it, and of all such folders together.
const FOLDER_LOOKS_MAX: usize = 100;
const FOLDERS_LOOKS_MAX: usize = 1_000;

/// Groups that are told apart. Each takes about a kilobyte.
const GROUPS_MAX: usize = 50_000;

/// Days that are remembered, of all groups together: a thousand flow logs for nearly three years. Each takes about 80 bytes.
const DAYS_MAX: usize = 1_000_000;

/// Memory for what is known of objects that may come twice.
const LISTING_BYTES_MAX: usize = 256 << 20;

/// There is no table whose files are left out: no URL begins so.
const NO_TABLE: &str = "\0";

/// What is surveyed.
#[derive(Debug)]
pub struct SurveyRequest<'a> {
    /// Folders and prefixes.
    pub sources: &'a [Source],
    /// Which objects are wanted.
    pub filter: &'a KeyFilter,
    /// Where buckets are.
    pub stores: Arc<Stores>,
    /// As a conversion would read.
    pub options: &'a Options,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Survey {
    /// Flow logs, and other groups of objects that are flow logs, in the order of their keys.
    pub logs: Vec<SurveyedLog>,
    /// Objects that are not flow logs, by kind, and those that were not looked at.
    pub others: Vec<Other>,
    /// Wanted objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that no filter wants.
    pub left_out: u64,
    /// flowquet tables, which are no sources.
    pub tables: Vec<LeftOutTable>,
}

/// Objects of one flow log, or of one group and format.
#[derive(Debug)]
pub struct SurveyedLog {
    /// What keys tell.
    pub group: KeyGroup,
    /// Compression and framing of the object that was looked at.
    pub shape: Shape,
    /// Its log formats; none where it has no header line and its values fit no default.
    pub formats: Vec<Arc<LogFormat>>,
    /// How the format is known, if it is.
    pub told_by: Option<ToldBy>,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were looked at.
    pub looked_at: u64,
    /// How many are of classes that are archives, or may be, by the listing; those that are restored can be read.
    pub classes: BTreeMap<StorageClass, u64>,
    /// One of those.
    pub example: String,
    /// When objects of the group were delivered.
    pub deliveries: Deliveries,
    /// How often.
    pub rhythm: Rhythm,
}

/// Why objects are no flow logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtherKind {
    /// Of another service of AWS, as the name or folder tells.
    Service(String),
    /// Nothing in them, or nothing but blanks.
    Empty,
    /// What CloudWatch puts to see whether it may.
    Marker,
    /// No conversion takes them: [`Cause::name`], or `unlistable`.
    NotConverted(&'static str),
    /// Their flow log or folder is not known by those that were looked at.
    NotLookedAt,
}

/// Objects that are no flow logs for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The reason.
    pub kind: OtherKind,
    /// Objects; zero for a folder that was not listed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One of them.
    pub example: String,
    /// What was found there, in words; empty where the kind says all.
    pub detail: String,
}

/// Surveys sources.
///
/// # Errors
/// As a listing and the store report. An object that cannot be read is no error.
pub fn survey(
    request: &SurveyRequest<'_>,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Survey, Error> {
    let sources = SourceSet::new(request.stores.clone());
    let lister = Lister {
        sources: &sources,
        filter: request.filter,
        out_url: NO_TABLE.to_owned(),
        must_find: false,
        memory_max: LISTING_BYTES_MAX,
        listed: &|objects| observer.event(&Event::Listed { objects }),
        stop,
    };
    let mut gathered = Gathered { days_left: DAYS_MAX, looks_left: FOLDERS_LOOKS_MAX, ..Gathered::default() };
    let listed = lister.portions(request.sources, PORTION_OBJECTS, &mut |portion| {
        gathered.take(portion);
        Ok::<(), SourceError>(())
    })?;
    let of_services: u64 = listed.services.values().map(|found| found.objects).sum();
    gathered.survey.left_out = listed.left_out - of_services;
    gathered.survey.tables = listed.tables;
    for (service, found) in listed.services {
        let kind = OtherKind::Service(service);
        gathered.others.add(kind, found.objects, 0, found.example, String::new);
    }
    gathered.look(&sources, request.options, stop)
}

/// Objects of one group while they are listed.
#[derive(Debug, Default)]
struct Group {
    objects: u64,
    bytes: u64,
    /// To be looked at, the next one last.
    candidates: Vec<SourceObject>,
    /// Of an archive class: how many, and one to be looked at if there is no other.
    archived: u64,
    archived_bytes: u64,
    archived_example: Option<SourceObject>,
    /// Whether that one is looked at.
    looks_into_archive: bool,
    classes: BTreeMap<StorageClass, u64>,
    deliveries: Deliveries,
    /// What was found, by object looked at.
    found: Vec<Finding>,
}

/// Objects of a group that are the same thing.
#[derive(Debug)]
struct Finding {
    shape: Shape,
    formats: Vec<Arc<LogFormat>>,
    told_by: Option<ToldBy>,
    objects: u64,
    bytes: u64,
    example: String,
}

#[derive(Debug, Default)]
struct Gathered {
    groups: BTreeMap<KeyGroup, Group>,
    others: Others,
    days_left: usize,
    looks_left: usize,
    survey: Survey,
}

#[derive(Debug, Default)]
struct Others(BTreeMap<OtherKind, Other>);

impl Others {
    fn add(
        &mut self,
        kind: OtherKind,
        objects: u64,
        bytes: u64,
        example: String,
        detail: impl Fn() -> String,
    ) {
        let other = self.0.entry(kind.clone()).or_insert_with(|| Other {
            kind,
            objects: 0,
            bytes: 0,
            example,
            detail: detail(),
        });
        other.objects += objects;
        other.bytes += bytes;
    }

    fn add_object(&mut self, kind: OtherKind, object: &SourceObject, detail: impl Fn() -> String) {
        self.add(kind, 1, object.bytes, object.url().to_owned(), detail);
    }
}

impl Gathered {
    fn take(&mut self, portion: Portion) {
        for failed in portion.unreadable.into_iter().map(FailedObject::from) {
            self.others
                .add(OtherKind::NotConverted(failed.cause), 1, 0, failed.url, || failed.reason.clone());
        }
        let mut classes = portion.classes.into_iter().peekable();
        for (index, object) in portion.objects.into_iter().enumerate() {
            let class =
                classes.next_if(|(at, _)| *at == index).map_or(StorageClass::Open, |(_, class)| class);
            self.survey.objects += 1;
            self.survey.bytes += object.bytes;
            if object.bytes == 0 {
                self.others.add_object(OtherKind::Empty, &object, String::new);
            } else if let Some(service) = service_of_name(object.key()) {
                self.others.add_object(OtherKind::Service(service.to_owned()), &object, String::new);
            } else {
                self.group(object, class);
            }
        }
    }

    fn group(&mut self, object: SourceObject, class: StorageClass) {
        let (mut key, delivery) = KeyGroup::of(object.url(), object.key());
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            key = KeyGroup { origin: KeyOrigin::Folder("…".to_owned()), ..KeyGroup::default() };
        }
        let is_of_one_format = key.is_of_one_format();
        let group = self.groups.entry(key).or_default();
        group.objects += 1;
        group.bytes += object.bytes;
        if let Some(time) = delivery {
            group.deliveries.add(time, &mut self.days_left);
        }
        if class != StorageClass::Open {
            *group.classes.entry(class).or_default() += 1;
        }
        if class.is_archive() && is_of_one_format {
            group.archived += 1;
            group.archived_bytes += object.bytes;
            group.archived_example = Some(object);
            return;
        }
        if !is_of_one_format {
            if group.candidates.len() < FOLDER_LOOKS_MAX && self.looks_left > 0 {
                self.looks_left -= 1;
                group.candidates.push(object);
            }
            return;
        }
        // The newest is looked at first: the oldest may be in an archive. Then the one before it, then the first.
        if group.candidates.len() == 3 {
            group.candidates.remove(1);
        }
        group.candidates.push(object);
    }

    fn look(self, sources: &SourceSet, options: &Options, stop: &AtomicBool) -> Result<Survey, Error> {
        let Self { groups, mut others, mut survey, .. } = self;
        let stopped = || stop.load(Ordering::Relaxed);
        let mut looker = Looker::new(options);
        let mut groups: Vec<(KeyGroup, Group)> = groups.into_iter().collect();
        let mut waiting: VecDeque<(usize, SourceObject)> = VecDeque::new();
        for (index, (key, group)) in groups.iter_mut().enumerate() {
            if key.is_of_one_format() {
                let first = group.candidates.pop();
                group.looks_into_archive = first.is_none();
                let first = first.or_else(|| group.archived_example.take());
                waiting.extend(first.map(|object| (index, object)));
            } else {
                waiting.extend(group.candidates.drain(..).map(|object| (index, object)));
            }
        }
        let mut ahead: VecDeque<(usize, SourceObject, Box<dyn Fetch>)> = VecDeque::new();
        loop {
            while ahead.len() < AHEAD
                && let Some((index, object)) = waiting.pop_front()
            {
                let fetch = sources.fetch(&object, LOOK_BYTES);
                ahead.push_back((index, object, fetch));
            }
            let Some((index, object, fetch)) = ahead.pop_front() else { break };
            let (key, group) = &mut groups[index];
            let look =
                fetch.wait(&stopped).and_then(|head| look_at_head(&mut looker, sources, &object, head));
            let is_settled = match look {
                Ok(look) => group.settle(key, object, look, &mut others),
                Err(error) if is_of_the_object(error.kind()) => {
                    let (kind, detail) = unreadable(&error);
                    others.add_object(OtherKind::NotConverted(kind), &object, || detail.clone());
                    group.leave(&object);
                    false
                }
                Err(error) => return Err(error.into()),
            };
            if !is_settled && let Some(next) = group.candidates.pop() {
                waiting.push_front((index, next));
            }
        }
        for (key, group) in groups {
            group.end(&key, &mut survey.logs, &mut others);
        }
        // What has an account and a flow log comes before folders.
        survey.logs.sort_by_key(|log| (log.group.account.is_none(), log.group.flow_log_id.is_none()));
        survey.others = others.0.into_values().collect();
        Ok(survey)
    }
}

fn look_at_head(
    looker: &mut Looker,
    sources: &SourceSet,
    object: &SourceObject,
    head: Bytes,
) -> Result<Look, StoreError> {
    if Compression::detect(&head) == Compression::Parquet {
        return looker.look_at_parquet(object.bytes, &|range| sources.range(object, range), LOOK);
    }
    looker.expect(object);
    let is_part = (head.len() as u64) < object.bytes;
    let again = || Ok(Some(head.clone()));
    let input = Input {
        fetched: Some(head.clone()),
        again: &again,
        open: &|| unreachable!("it was fetched"),
        range: &|_| unreachable!("it is not a Parquet file"),
    };
    let bytes = if is_part { u64::MAX } else { object.bytes };
    looker.look(input, bytes, is_part, LOOK)
}

/// The cause of an object that a store does not give.
fn unreadable(error: &StoreError) -> (&'static str, String) {
    match error.kind() {
        ErrorKind::Archived => (Cause::Archived.name(), Cause::Archived.to_string()),
        ErrorKind::Denied => ("denied", error.to_string()),
        _ => ("unlistable", error.to_string()),
    }
}

impl Group {
    /// Takes what a look found. Returns whether the group's format is known by it.
    fn settle(&mut self, key: &KeyGroup, object: SourceObject, look: Look, others: &mut Others) -> bool {
        let (formats, told_by) = match look.found {
            Found::Log(lines) => (lines.formats, Some(lines.told_by)),
            // A flow log of a format that nobody has told yet.
            Found::NotConverted(Cause::NoHeader(_)) if key.is_of_one_format() => (Vec::new(), None),
            Found::Nothing => {
                let is_marker = look.shape.framing == Some(Framing::Marker);
                let kind = if is_marker { OtherKind::Marker } else { OtherKind::Empty };
                others.add_object(kind, &object, String::new);
                self.leave(&object);
                return false;
            }
            Found::NotConverted(cause) => {
                let kind = OtherKind::NotConverted(cause.name());
                others.add_object(kind, &object, || cause.to_string());
                self.leave(&object);
                return false;
            }
        };
        let is_damaged = look.damage.is_some();
        if let Some(damage) = look.damage {
            // Its format is known, but a conversion would not take it.
            others.add_object(OtherKind::NotConverted("damaged"), &object, || damage.clone());
            self.leave(&object);
        }
        let same = |f: &&mut Finding| f.shape == look.shape && f.formats == formats && f.told_by == told_by;
        let counted = u64::from(!is_damaged);
        let finding = match self.found.iter_mut().find(same) {
            Some(finding) => finding,
            None => {
                let (shape, example) = (look.shape, object.url().to_owned());
                self.found.push(Finding { shape, formats, told_by, objects: 0, bytes: 0, example });
                self.found.last_mut().expect("just pushed")
            }
        };
        finding.objects += counted;
        finding.bytes += counted * object.bytes;
        true
    }

    /// An object is counted elsewhere.
    fn leave(&mut self, object: &SourceObject) {
        self.objects -= 1;
        self.bytes -= object.bytes;
        if self.looks_into_archive {
            self.archived -= 1;
            self.archived_bytes -= object.bytes;
        }
    }

    /// Tells what was found. What was not looked at is as what was, if that is of one kind.
    fn end(mut self, key: &KeyGroup, logs: &mut Vec<SurveyedLog>, others: &mut Others) {
        if self.found.is_empty() && self.archived > 0 {
            // Nothing that can be read tells what they are.
            let (count, bytes) = (self.archived, self.archived_bytes);
            others.add(OtherKind::NotConverted("archived"), count, bytes, key_text(key), String::new);
            self.objects -= count;
            self.bytes -= bytes;
        }
        let (looked_at, looked_at_bytes) =
            self.found.iter().fold((0, 0), |(n, b), f| (n + f.objects, b + f.bytes));
        let (more, more_bytes) = (self.objects - looked_at, self.bytes - looked_at_bytes);
        let is_one = self.found.len() == 1;
        if more > 0 && !is_one {
            let example = self.found.first().map_or_else(|| key_text(key), |f| f.example.clone());
            others.add(OtherKind::NotLookedAt, more, more_bytes, example, String::new);
        }
        self.found.sort_by_key(|f| std::cmp::Reverse(f.objects));
        for finding in self.found {
            // Deliveries are known of the group as a whole.
            let deliveries = std::mem::take(&mut self.deliveries);
            let (more, more_bytes) = if is_one { (more, more_bytes) } else { (0, 0) };
            if finding.objects + more == 0 {
                continue;
            }
            logs.push(SurveyedLog {
                group: key.clone(),
                shape: finding.shape,
                formats: finding.formats,
                told_by: finding.told_by,
                objects: finding.objects + more,
                bytes: finding.bytes + more_bytes,
                looked_at: finding.objects,
                classes: if is_one { std::mem::take(&mut self.classes) } else { BTreeMap::new() },
                example: finding.example,
                rhythm: deliveries.rhythm(),
                deliveries,
            });
        }
    }
}

/// A group, where no object of it stands for it.
fn key_text(key: &KeyGroup) -> String {
    match (&key.flow_log_id, &key.origin) {
        (Some(id), _) => id.clone(),
        (None, KeyOrigin::Export(text) | KeyOrigin::Firehose(text) | KeyOrigin::Folder(text)) => text.clone(),
    }
}
