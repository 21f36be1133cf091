//! A trial: some objects converted into memory, to learn what others like them come to.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_format::{Enrichments, KeyFilter};
use flowquet_plan::{Trial, plan_tasks, seed_of_plan};
use flowquet_store::{Memory, Store as _};
use flowquet_table::{LAYOUT_VERSION, PlanRecord, SourceObject};

use crate::convert::perform_shard;
use crate::enrich::EnrichmentFile;
use crate::error::Error;
use crate::events::Event;
use crate::request::{Copies, Request, Resume};

/// Where the files of a trial are, which nobody sees.
const NOWHERE: &str = "s3://trial";

/// Memory that the listing and the plan of whoever makes the trial take of the budget, a plan's object.
const PLANNED_BYTES: usize = 1_100;

/// Converts `objects` on one thread as the new tasks of `plan` would be, and keeps nothing. How long it takes is told by whoever has a clock.
///
/// # Errors
/// As [`perform_shard`]. An object that cannot be read is no error: it is not among those that were converted.
pub fn trial(
    request: &Request,
    plan: &PlanRecord,
    objects: Vec<SourceObject>,
    stop: &AtomicBool,
) -> Result<Trial, Error> {
    let mut options = plan.options.clone();
    // Files that fill columns and that only the table has are not read for a forecast.
    if !EnrichmentFile::are_all_of(&request.enrich, &options.enrich) {
        options.enrich = Enrichments::default();
    }
    let mut budget = request.budget;
    budget.divide(PLANNED_BYTES * plan.tasks.iter().map(|task| task.objects.len()).sum::<usize>());
    budget.workers = 1;
    let out = Memory::new(NOWHERE);
    let tried = Request {
        sources: Vec::new(),
        filter: KeyFilter::default(),
        stores: request.stores.clone(),
        out: Arc::new(out.clone()),
        contract: None,
        options: options.clone(),
        enrich: request.enrich.clone(),
        budget,
        max_rejects: None,
        resume: Resume::All,
        copies: Copies::Skip,
    };
    let tasks = plan_tasks(objects, &seed_of_plan(1, &plan.formats), &options);
    let places: Vec<usize> = (0..tasks.len()).collect();
    let formats = plan.formats.clone();
    let plan = PlanRecord { layout_version: LAYOUT_VERSION, number: 1, options, formats, tasks };
    // Of one thread's events those that end an object tell it apart from the next one.
    let each: Mutex<Vec<(u64, u64)>> = Mutex::new(vec![(0, 0)]);
    let observer = |event: &Event<'_>| {
        let Event::Progress { bytes, records, objects } = event else { return };
        let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_bytes, of_records)) = each.last_mut() {
            *of_bytes += bytes;
            *of_records += records;
        }
        if *objects > 0 {
            each.push((0, 0));
        }
    };
    let run = perform_shard(&tried, &plan, &places, &observer, stop)?;
    if let Some(error) = run.error {
        return Err(error);
    }
    let mut each = each.into_inner().unwrap_or_else(PoisonError::into_inner);
    // What cannot be read has no records, and what is empty tells nothing.
    each.retain(|(bytes, records)| *bytes > 0 && *records > 0);
    let summary = run.summary;
    let footers = summary.outputs.iter().map(|output| Ok(footer_bytes(&out.get(&output.key)?)));
    let footers: Vec<u64> = footers.collect::<Result<_, Error>>()?;
    Ok(Trial {
        objects: summary.objects.converted,
        bytes: summary.bytes_in,
        text_bytes: summary.text_bytes,
        records: summary.counts.records,
        parquet_bytes: summary.bytes_out,
        files: footers.len() as u64,
        footer_bytes: footers.iter().sum(),
        seconds: 0.0,
        each,
    })
}

/// The length of a Parquet file's footer, which stands before its last word.
fn footer_bytes(file: &[u8]) -> u64 {
    let end = file.len().saturating_sub(4);
    let len = file.get(end.saturating_sub(4)..end).and_then(|bytes| bytes.try_into().ok());
    len.map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
}
