//! The level of records.

use std::sync::Arc;

use flowquet_store::Store;
use flowquet_table::{Log, audit};

use super::finding::{Fault, Finding, Level};
use super::report::Verified;
use crate::error::Error;

/// Reads all records. Returns the log, where it can be gone by.
pub(super) fn check_records(out: &Arc<dyn Store>, verified: &mut Verified) -> Result<Option<Log>, Error> {
    let contract = Log::find_contract(out.as_ref())?
        .ok_or_else(|| Error::Log(flowquet_table::Error::NoTable(out.url(""))))?;
    let audit = audit(out, contract)?;
    let records = &mut verified.records;
    (records.plans, records.commits, records.compactions) = (audit.plans, audit.commits, audit.compactions);
    records.has_digests = audit.has_digests;
    verified.lost_rejects = audit.lost_rejects;
    verified.findings.extend(audit.faults.into_iter().map(Finding::of_records));
    let Some(log) = audit.log else { return Ok(None) };
    let totals = log.state().totals();
    (verified.records.objects, verified.records.records) = (totals.objects, totals.counts.records);
    for open in log.state().open_tasks() {
        let is_told = verified.findings.iter().any(|f| f.place.contains(open.task.id.as_str()));
        if !is_told {
            let objects = open.task.objects.len();
            let place = flowquet_table::commit_key(&open.task.id, open.plan, open.layout_version);
            let finding = Finding::new(Level::Records, Fault::TaskUnfinished, place);
            verified.findings.push(finding.says(objects.to_string()));
        }
    }
    Ok(Some(log))
}
