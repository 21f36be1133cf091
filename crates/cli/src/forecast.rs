//! What a plan comes to, by account, region and flow log: records, bytes, time, memory and dollars, and what lies in archives.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use flowquet_engine::{Error, Planned, Request, look_at_archives, trial};
use flowquet_format::KeyGroup;
use flowquet_plan::{Alike, Expected, Span, Trial, estimated_rows, expect};
use flowquet_sources::SourceSet;
use flowquet_store::{ArchiveTier, Archived, ErrorKind, Restoration, StorageClass};
use flowquet_table::{ObjectId, PlanRecord, SourceObject};
use serde::Serialize;

use crate::log_rows::called;
use crate::prices::{self, PRICED, Restoring, request_dollars, restorings, storage_dollars};
use crate::signals::stop;

/// Flow logs that objects are tried of, those with most bytes. What others come to is told by these.
const TRIED_MAX: usize = 32;

/// Where in a flow log objects are tried, as parts of its length: its middle first, since hours of a day differ.
const TRIED_AT: [(usize, usize); 3] = [(1, 2), (1, 6), (5, 6)];

/// Largest object that is tried.
const TRIED_BYTES_MAX: u64 = 16 << 20;

/// Archived objects that are asked whether they are restored. Each is a request.
const ARCHIVE_LOOKS_MAX: usize = 1_000;

/// Days that restored copies are kept, by default of `flowquet convert --restore-days`.
pub(crate) const RESTORE_DAYS: u16 = 7;

/// What a plan comes to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Forecast {
    /// Rows in the order of account, region and flow log.
    pub(crate) flow_logs: Vec<LogForecast>,
    /// All of them.
    #[serde(flatten)]
    pub(crate) total: Expected,
    /// The trial that it rests on; without one, constants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trial: Option<Trial>,
    /// Whether the trial tells the speed of this machine too.
    pub(crate) is_timed: bool,
    /// Of a run on this machine.
    pub(crate) threads: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) seconds: Span,
    /// Of the longest shard, on a machine like this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shard_seconds: Option<Span>,
    pub(crate) dollars: Dollars,
    /// What lies in archives, by where.
    pub(crate) archives: Vec<ArchiveForecast>,
    /// Archived objects that were not asked whether they are restored, and are taken for not restored; and those of Intelligent-Tiering, which
    /// are taken for readable.
    pub(crate) archived_not_looked_at: u64,
}

/// What a flow log comes to.
#[derive(Debug, Serialize)]
pub(crate) struct LogForecast {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// Its id, or what else its objects have in common.
    pub(crate) flow_log: String,
    /// Objects to convert, and their bytes.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Archived ones, which are not among them.
    pub(crate) archived: u64,
    #[serde(flatten)]
    pub(crate) expected: Expected,
    /// For requests and compute.
    pub(crate) dollars: Span,
    /// Objects of it that were tried.
    pub(crate) tried: u64,
}

/// What it costs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Dollars {
    /// Requests to S3, once.
    pub(crate) requests: f64,
    /// Cores, once.
    pub(crate) compute: Span,
    /// Both.
    pub(crate) once: Span,
    /// What the files cost a month.
    pub(crate) storage_month: Span,
    pub(crate) per_vcpu_hour: f64,
    pub(crate) per_gb_month: f64,
    /// Region and time of these prices.
    pub(crate) priced: &'static str,
}

/// Objects in an archive.
#[derive(Debug, Serialize)]
pub(crate) struct ArchiveForecast {
    /// S3's word for the class, or the tier of Intelligent-Tiering.
    pub(crate) archive: &'static str,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Of these, restored ones, which are converted.
    pub(crate) restored: u64,
    /// Of these, being restored.
    pub(crate) ongoing: u64,
    /// What restoring those costs that nobody has asked for.
    pub(crate) restore: Vec<Restoring>,
    #[serde(skip)]
    cold: (u64, u64),
}

/// What of a plan lies in archives.
pub(crate) struct Frozen {
    archives: Vec<ArchiveForecast>,
    /// Objects of the plan that cannot be read.
    cold: HashSet<ObjectId>,
    not_looked_at: u64,
}

impl Frozen {
    /// Whether an object cannot be read, as far as was asked.
    pub(crate) fn holds(&self, object: &SourceObject) -> bool {
        self.cold.contains(&object.id())
    }
}

/// How a forecast is made.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) planned: &'a Planned,
    /// Objects' bytes in the plan, and in its largest shard if it is divided.
    pub(crate) bytes: u64,
    pub(crate) shard_bytes_max: Option<u64>,
    pub(crate) tasks: u64,
    /// Requests that list and write, and what all requests cost.
    pub(crate) writes: u64,
    pub(crate) request_dollars: f64,
    /// Threads of the conversion.
    pub(crate) threads: usize,
    /// Stored bytes that are tried at most.
    pub(crate) sample_bytes: u64,
    pub(crate) dollars_per_vcpu_hour: f64,
    /// Requests to S3 that are for `object`.
    pub(crate) gets: &'a dyn Fn(&SourceObject) -> u64,
}

/// Objects of one flow log.
#[derive(Default)]
struct Log<'a> {
    objects: Vec<&'a SourceObject>,
    alike: Alike,
    archived: u64,
    gets: u64,
}

pub(crate) fn forecast(asked: &Asked<'_>, frozen: Frozen) -> Result<Forecast, Error> {
    let mut logs: BTreeMap<KeyGroup, Log<'_>> = BTreeMap::new();
    let planned = || asked.planned.plan.iter().flat_map(|p| &p.tasks).flat_map(|t| &t.objects);
    for object in planned().chain(&asked.planned.archived_before) {
        let log = logs.entry(KeyGroup::of(object.url(), object.key()).0).or_default();
        if frozen.holds(object) {
            log.archived += 1;
            continue;
        }
        log.alike.objects += 1;
        log.alike.bytes += object.bytes;
        log.alike.rows_by_size += estimated_rows(object);
        log.gets += (asked.gets)(object);
        log.objects.push(object);
    }
    let mut logs: Vec<(KeyGroup, Log<'_>)> = logs.into_iter().collect();
    let rows: u64 = logs.iter().map(|(_, log)| log.alike.rows_by_size).sum();
    logs.iter_mut().for_each(|(_, log)| log.alike.task_rows = rows / asked.tasks.max(1));
    let tried = match &asked.planned.plan {
        Some(plan) => tried(&logs, plan, asked)?,
        None => HashMap::new(),
    };
    let mut all = Trial::default();
    tried.values().for_each(|trial| all.add(trial));
    let expected: Vec<Expected> =
        (0..logs.len()).map(|i| expect(logs[i].1.alike, Some(tried.get(&i).unwrap_or(&all)), &all)).collect();
    let total = expected.iter().fold(Expected::default(), |sum, more| sum.plus(*more));
    let per_core_second = asked.dollars_per_vcpu_hour / 3_600.0;
    // What is written, and the listing, is for each flow log as its part of the files is.
    let writes = request_dollars(asked.writes as f64, 0.0);
    let flow_logs = logs
        .iter_mut()
        .enumerate()
        .map(|(i, (group, log))| {
            let expected = expected[i];
            let part = expected.parquet_bytes.likely / total.parquet_bytes.likely.max(1.0);
            let requests = request_dollars(0.0, log.gets as f64) + part * writes;
            LogForecast {
                account: group.account.take(),
                region: group.region.take(),
                flow_log: called(group),
                objects: log.alike.objects,
                bytes: log.alike.bytes,
                archived: log.archived,
                expected,
                dollars: Span::exactly(requests).plus(expected.core_seconds.times(per_core_second)),
                tried: tried.get(&i).map_or(0, |trial| trial.objects),
            }
        })
        .collect();
    let compute = total.core_seconds.times(per_core_second);
    let dollars = Dollars {
        requests: asked.request_dollars,
        compute,
        once: Span::exactly(asked.request_dollars).plus(compute),
        storage_month: Span {
            low: storage_dollars(total.parquet_bytes.low),
            likely: storage_dollars(total.parquet_bytes.likely),
            high: storage_dollars(total.parquet_bytes.high),
        },
        per_vcpu_hour: asked.dollars_per_vcpu_hour,
        per_gb_month: prices::DOLLARS_PER_GB_MONTH,
        priced: PRICED,
    };
    let seconds = total.core_seconds.times(1.0 / asked.threads as f64);
    // A shard takes its part of the time by its part of the bytes.
    let shard_seconds =
        asked.shard_bytes_max.map(|bytes| seconds.times(bytes as f64 / (asked.bytes as f64).max(1.0)));
    Ok(Forecast {
        flow_logs,
        total,
        is_timed: all.tells_speed(),
        trial: (all.objects > 0).then_some(all),
        threads: asked.threads,
        memory_bytes: asked.request.budget.memory() as u64,
        seconds,
        shard_seconds,
        dollars,
        archives: frozen.archives,
        archived_not_looked_at: frozen.not_looked_at,
    })
}

/// Tries some objects of the flow logs with most bytes: one of each, then a second, then a third, as far as the bytes go.
fn tried(
    logs: &[(KeyGroup, Log<'_>)],
    plan: &PlanRecord,
    asked: &Asked<'_>,
) -> Result<HashMap<usize, Trial>, Error> {
    let mut largest: Vec<usize> = (0..logs.len()).filter(|i| logs[*i].1.alike.objects > 0).collect();
    largest.sort_by_key(|i| std::cmp::Reverse(logs[*i].1.alike.bytes));
    largest.truncate(TRIED_MAX);
    let mut left = asked.sample_bytes;
    let mut chosen: HashMap<usize, Vec<&SourceObject>> = HashMap::new();
    for (part, of) in TRIED_AT {
        for i in &largest {
            let objects = &logs[*i].1.objects;
            let object = objects[objects.len() * part / of];
            let of_log = chosen.entry(*i).or_default();
            if object.bytes <= left.min(TRIED_BYTES_MAX) && !of_log.contains(&object) {
                left -= object.bytes;
                of_log.push(object);
            }
        }
    }
    let mut tried = HashMap::new();
    for (i, objects) in chosen.into_iter().filter(|(_, objects)| !objects.is_empty()) {
        let began = Instant::now();
        let found = match trial(asked.request, plan, objects.into_iter().cloned().collect(), stop()) {
            Ok(found) => found,
            // None of them may be read: what they come to, others tell.
            Err(Error::Store(error)) if error.kind() == ErrorKind::Denied => continue,
            Err(error) => return Err(error),
        };
        tried.insert(i, Trial { seconds: began.elapsed().as_secs_f64(), ..found });
    }
    tried.retain(|_, trial| trial.records > 0);
    Ok(tried)
}

/// Asks archived objects whether they are restored: all of them, or as many as are asked at most, at even distances.
pub(crate) fn frozen(planned: &Planned, sources: &SourceSet) -> Result<Frozen, Error> {
    let class_of =
        |object: &SourceObject| planned.classes.get(&object.id()).copied().unwrap_or(StorageClass::Open);
    let new = planned.plan.iter().flat_map(|p| &p.tasks).flat_map(|t| &t.objects);
    let new = new.filter(|object| class_of(object) != StorageClass::Open);
    let may_be: Vec<&SourceObject> = new.chain(&planned.archived_before).collect();
    let step = may_be.len().div_ceil(ARCHIVE_LOOKS_MAX).max(1);
    let urls: Vec<&str> = may_be.iter().step_by(step).map(|object| object.url()).collect();
    let looked = look_at_archives(sources, &urls, stop())?;
    let mut found: BTreeMap<ArchiveTier, ArchiveForecast> = BTreeMap::new();
    let (mut cold, mut not_looked_at) = (HashSet::new(), 0);
    for (at, object) in may_be.iter().enumerate() {
        let told = match looked.get(at / step).filter(|_| at % step == 0) {
            Some(told) => *told,
            None => {
                not_looked_at += 1;
                by_class(class_of(object))
            }
        };
        let Some(Archived { tier, restoration }) = told else { continue };
        let of_tier = found.entry(tier).or_insert_with(|| ArchiveForecast {
            archive: tier.name(),
            objects: 0,
            bytes: 0,
            restored: 0,
            ongoing: 0,
            restore: Vec::new(),
            cold: (0, 0),
        });
        of_tier.objects += 1;
        of_tier.bytes += object.bytes;
        match restoration {
            Restoration::Restored => of_tier.restored += 1,
            Restoration::Ongoing => of_tier.ongoing += 1,
            Restoration::Archived => of_tier.cold = (of_tier.cold.0 + 1, of_tier.cold.1 + object.bytes),
        }
        if restoration != Restoration::Restored {
            cold.insert(object.id());
        }
    }
    for (tier, of_tier) in &mut found {
        let (objects, bytes) = of_tier.cold;
        if objects > 0 {
            of_tier.restore = restorings(*tier, objects, bytes, RESTORE_DAYS);
        }
    }
    Ok(Frozen { archives: found.into_values().collect(), cold, not_looked_at })
}

/// Where an object probably lies that nobody asked.
fn by_class(class: StorageClass) -> Option<Archived> {
    let tier = match class {
        StorageClass::Flexible => ArchiveTier::Flexible,
        StorageClass::Deep => ArchiveTier::Deep,
        StorageClass::Open | StorageClass::Tiering => return None,
    };
    Some(Archived { tier, restoration: Restoration::Archived })
}

impl Forecast {
    /// Objects that can be read, and their bytes.
    pub(crate) fn to_convert(&self) -> (u64, u64) {
        self.flow_logs.iter().fold((0, 0), |(n, bytes), log| (n + log.objects, bytes + log.bytes))
    }

    /// Objects that cannot be read, since they are archived.
    pub(crate) fn archived(&self) -> u64 {
        self.flow_logs.iter().map(|log| log.archived).sum()
    }
}

impl ArchiveForecast {
    /// Objects that nobody has asked to restore.
    pub(crate) fn cold(&self) -> u64 {
        self.cold.0
    }
}
