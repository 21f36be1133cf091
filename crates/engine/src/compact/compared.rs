//! Whether rows of files have what it takes to tell duplicates from records that are alike.

use std::collections::{BTreeMap, HashMap, HashSet};

use flowquet_format::LogFormat;
use flowquet_table::{Dedup, LiveFile, Log, Options, TaskId};

use crate::error::Error;
use crate::partitions::is_chosen;

/// The columns that rows are compared by must stand in each file that is looked at: with `exact` those of all fields that its records had.
pub(super) fn check_compared(
    log: &Log,
    partitions: &BTreeMap<String, Vec<LiveFile>>,
    chosen: &[String],
    dedup: Dedup,
) -> Result<(), Error> {
    let files: Vec<&LiveFile> = partitions
        .iter()
        .filter(|(folder, _)| is_chosen(folder, chosen))
        .flat_map(|(_, files)| files)
        .collect();
    let refuse = |file: &LiveFile, missing: Vec<String>, format: String| {
        Err(Error::NotCompared { dedup, url: file.output.key.clone(), missing, format })
    };
    let mut seen: HashSet<(&str, Option<&[String]>)> = HashSet::new();
    for file in &files {
        if !seen.insert((&file.output.format, file.options.columns.as_deref())) {
            continue;
        }
        let format = parsed(&file.output.format, &file.options)?;
        let columns = file.options.columns_of(&format);
        let missing = match dedup {
            Dedup::Exact => left_out(&format, &file.options),
            Dedup::Flow => dedup.missing(|name| columns.iter().any(|column| column.name == name)),
        };
        if !missing.is_empty() {
            return refuse(file, missing, format.to_string());
        }
    }
    if dedup == Dedup::Exact {
        let lacking = lacking_tasks(log)?;
        for file in files {
            if let Some((missing, format)) = file.tasks.iter().find_map(|task| lacking.get(task)) {
                return refuse(file, missing.clone(), format.clone());
            }
        }
    }
    Ok(())
}

/// Tasks whose rows lack columns of their log formats, with these and the format. Files that compactions made of them do not tell.
fn lacking_tasks(log: &Log) -> Result<HashMap<TaskId, (Vec<String>, String)>, Error> {
    let mut found = HashMap::new();
    let mut is_any_lacking = false;
    for (format, options) in log.state().formats().written() {
        is_any_lacking |= !left_out(&parsed(format, options)?, options).is_empty();
    }
    if !is_any_lacking {
        return Ok(found);
    }
    log.read_live_commits(|options, commit| {
        for output in commit.outputs.iter().filter(|_| options.columns.is_some()) {
            let format = parsed(&output.format, options)?;
            let missing = left_out(&format, options);
            if !missing.is_empty() {
                found.insert(commit.task, (missing, format.to_string()));
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok(found)
}

/// Columns of a log format's fields that are not kept.
fn left_out(format: &LogFormat, options: &Options) -> Vec<String> {
    let Some(kept) = &options.columns else { return Vec::new() };
    let columns = format.fields().iter().map(|field| field.column());
    columns.filter(|column| kept.iter().all(|k| k != column)).map(str::to_owned).collect()
}

fn parsed(format: &str, options: &Options) -> Result<LogFormat, Error> {
    LogFormat::parse(format, options.catalogue()).map_err(|e| Error::Options(e.to_string()))
}
