//! Who talks most: records counted by the values of some columns.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_format::normalised_column;
use flowquet_store::Store;
use serde::Serialize;

use super::count::{TALLIED, counted, parted};
use super::filter::RecordFilter;
use super::groups::{Forgotten, Groups, Order, Tally};
use super::scan::{Reading, Scan, with_log};
use crate::error::Error;
use crate::events::Observer;

/// What is counted.
#[derive(Debug)]
pub struct TopRequest {
    /// The table.
    pub out: Arc<dyn Store>,
    /// Which records.
    pub filter: RecordFilter,
    /// Columns by whose values they are counted.
    pub by: Vec<String>,
    /// What the values are ordered by.
    pub order: Order,
    /// How many values are told.
    pub rows: usize,
    /// Threads.
    pub workers: usize,
}

/// Values that count most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Top {
    /// Columns by whose values records were counted.
    pub by: Vec<String>,
    /// The column whose different values were counted.
    pub other: Option<&'static str>,
    /// What the rows are ordered by.
    pub order: Order,
    /// Those that count most, the first most.
    pub rows: Vec<TopRow>,
    /// How many different values there are; those that were forgotten count each time they were.
    pub groups: u64,
    /// All records that were counted.
    pub total: Tally,
    /// Values that were forgotten, since there were too many.
    pub forgotten: Forgotten,
    /// What was read.
    pub reading: Reading,
}

/// A value, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopRow {
    /// A value of each column.
    pub values: Vec<String>,
    /// Its records.
    #[serde(flatten)]
    pub tally: Tally,
    /// Different values of the other column.
    pub targets: u64,
    /// Whether they are estimated, by a sketch whose standard error is 1.6 %.
    pub targets_estimated: bool,
}

/// The column whose different values say how wide a value's reach is.
fn other_of(by: &[String]) -> Option<&'static str> {
    let has = |name| by.iter().any(|by| by == name);
    match (has("srcaddr"), has("dstaddr"), has("dstport")) {
        (true, false, _) => Some("dstaddr"),
        (false, _, _) => Some("srcaddr"),
        (true, true, false) => Some("dstport"),
        (true, true, true) => None,
    }
}

/// Counts the records of a table by the values of columns. Nothing is written.
///
/// # Errors
/// [`Error::NoColumn`] where no file has a column; as stores report.
pub fn top(request: &TopRequest, observer: &dyn Observer, stop: &AtomicBool) -> Result<Top, Error> {
    let by: Vec<String> = request.by.iter().map(|column| normalised_column(column)).collect();
    let other = other_of(&by);
    let names: Vec<&str> = by.iter().map(String::as_str).chain(TALLIED).chain(other).collect();
    with_log(&request.out, |log| {
        let scan = Scan {
            out: request.out.as_ref(),
            filter: &request.filter,
            names: &without_doubles(&names),
            workers: request.workers,
            observer,
            stop,
        };
        let columns: Vec<&str> = by.iter().map(String::as_str).collect();
        let (mut groups, mut total) = (Groups::new(request.order), Tally::default());
        let mut found = vec![false; by.len()];
        let count = |group: &super::scan::Group<'_>| {
            let has: Vec<bool> = columns.iter().map(|name| group.columns.get(name).is_some()).collect();
            (counted(group, &columns, other), has)
        };
        let reading = scan.run(log, count, |parts| {
            let mut all = Vec::with_capacity(parts.len());
            for ((part, tally), has) in parts {
                found.iter_mut().zip(has).for_each(|(found, has)| *found |= has);
                total.add(&tally);
                all.push(part);
            }
            groups.add(all);
        })?;
        if let Some(i) = found.iter().position(|found| !found).filter(|_| reading.rows_read > 0) {
            let formats = log.state().files().formats()?.into_iter().map(|(format, _)| format).collect();
            let column = by[i].clone();
            return Err(Error::NoColumn { option: "by", column, formats }.into());
        }
        let rows = groups.top(request.order, request.rows).into_iter().map(|row| TopRow {
            values: parted(&row.value),
            tally: row.tally,
            targets: row.others,
            targets_estimated: row.is_estimated,
        });
        let forgotten = groups.forgotten();
        Ok(Top {
            by: by.clone(),
            other,
            order: request.order,
            rows: rows.collect(),
            groups: groups.len() + forgotten.values,
            total,
            forgotten,
            reading,
        })
    })
}

/// These names in their order, each once.
pub(super) fn without_doubles<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name);
        }
    }
    once
}
