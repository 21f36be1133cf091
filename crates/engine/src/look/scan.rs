//! Reads columns of the row groups that may have what is asked for, many at once, and hands them on in the order of the files.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_parquet::CheckedFile;
use flowquet_store::Store;
use flowquet_table::{LiveFile, Log};
use rayon::prelude::*;
use serde::Serialize;

use super::filter::RecordFilter;
use super::spread::spread;
use super::values::Columns;
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::table_files::{FILES_AT_ONCE, FOOTERS_AT_ONCE, OpenFile, Stop, TableFiles, anew};
use crate::threads::pool;

/// Row groups a thread that are counted before they are added up: of many different values each comes to some 60 MiB.
const GROUPS_A_THREAD: usize = 1;

/// Columns of roll-ups that say how many records a row stands for, and of when.
const ROLLED_UP: [&str; 3] = ["flows", "first_start", "last_end"];

/// What its threads are called.
const POOL: &str = "flowquet-look";

/// How much of a table was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Files of the table.
    pub files: u64,
    /// Files of which columns were read.
    pub files_read: u64,
    /// Rows of the table.
    pub rows: u64,
    /// Rows of the row groups that were read.
    pub rows_read: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes that were read, without footers.
    pub bytes_read: u64,
    /// Records that are left out since they have no time between 2000 and 2100, where a time was asked for.
    pub timeless: u64,
}

/// Looks at a table as its log has it; anew where files were replaced meanwhile.
pub(super) fn with_log<T>(
    out: &Arc<dyn Store>,
    mut look: impl FnMut(&mut Log) -> Result<T, Stop>,
) -> Result<T, Error> {
    anew(out, || look(&mut Log::open_with_files(out)?))
}

/// How a table is read.
pub(super) struct Scan<'a> {
    pub(super) out: &'a dyn Store,
    pub(super) filter: &'a RecordFilter,
    /// Columns to read beside those of the filter.
    pub(super) names: &'a [&'a str],
    pub(super) workers: usize,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a AtomicBool,
}

/// A row group's columns, and what they are a part of.
pub(super) struct Group<'a> {
    pub(super) file: &'a LiveFile,
    /// Whether it is one of a roll-up's.
    is_rollup: bool,
    pub(super) columns: Arc<Columns>,
    /// Which rows are wanted; `None` for all.
    pub(super) wanted: Option<Vec<bool>>,
    /// Records that are left out for having no time.
    timeless: u64,
}

impl Group<'_> {
    /// These columns, with other rows that are wanted.
    pub(super) fn among(&self, wanted: Vec<bool>) -> Self {
        Self { columns: self.columns.clone(), wanted: Some(wanted), ..*self }
    }

    /// How many records a row stands for: in a roll-up those of its group.
    pub(super) fn records(&self) -> impl Fn(usize) -> u64 {
        let flows = self.is_rollup.then(|| self.columns.amounts("flows")).flatten();
        move |row| flows.as_ref().map_or(1, |flows| flows(row))
    }

    /// The columns of the first start and the last end of what a row stands for.
    pub(super) fn span(&self) -> [&'static str; 2] {
        if self.is_rollup { ["first_start", "last_end"] } else { ["start", "end"] }
    }

    /// The rows that are wanted.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        let is_wanted = |row: &usize| self.wanted.as_ref().is_none_or(|wanted| wanted[*row]);
        (0..self.columns.rows).filter(is_wanted)
    }
}

impl Scan<'_> {
    fn files(&self) -> TableFiles<'_> {
        TableFiles { out: self.out, stop: self.stop }
    }

    /// Threads that wait for footers.
    fn requests(&self) -> rayon::ThreadPool {
        pool(FOOTERS_AT_ONCE.max(self.workers), POOL)
    }

    /// Counts row groups by `count`, on all threads, and adds up what that gives by `add`, in the order of the files.
    pub(super) fn run<P: Send>(
        &self,
        log: &Log,
        count: impl Fn(&Group<'_>) -> P + Sync,
        mut add: impl FnMut(Vec<P>) + Send,
    ) -> Result<Reading, Stop> {
        self.filter.check(log.state())?;
        let live = log.state().files().all()?;
        let mut reading = Reading { files: live.len() as u64, ..Reading::default() };
        for file in &live {
            reading.rows += file.output.rows;
            reading.bytes += file.output.bytes;
        }
        let chosen: Vec<&LiveFile> = live.into_iter().filter(|f| self.filter.may_be_in_file(f)).collect();
        self.observer.event(&Event::Planned {
            tasks: 1,
            objects: chosen.len() as u64,
            bytes: chosen.iter().map(|f| f.output.bytes).sum(),
            left_over: 0,
        });
        let (requests, workers) = (self.requests(), pool(self.workers, POOL));
        for files in chosen.chunks(FILES_AT_ONCE) {
            let opened = self.files().open_all(log, files, &requests)?;
            let mut groups: Vec<(&OpenFile<'_>, usize)> = Vec::new();
            for file in &opened {
                let time = file.file.options.partition_time.field();
                let before = groups.len();
                let wanted = |g: &usize| self.filter.may_be_in_group(&file.footer, *g, time);
                groups.extend((0..file.footer.row_groups()).filter(wanted).map(|group| (file, group)));
                reading.files_read += u64::from(groups.len() > before);
            }
            for some in groups.chunks(GROUPS_A_THREAD * self.workers.max(1)) {
                let one = |(file, group): &(&OpenFile<'_>, usize)| {
                    let (group, bytes) = self.read(log, file, *group)?;
                    Ok((count(&group), group.columns.rows as u64, group.timeless, bytes))
                };
                let counted: Vec<Result<(P, u64, u64, u64), Stop>> =
                    workers.install(|| some.par_iter().with_max_len(1).map(one).collect());
                let mut parts = Vec::with_capacity(counted.len());
                for counted in counted {
                    let (part, rows, timeless, bytes) = counted?;
                    reading.rows_read += rows;
                    reading.timeless += timeless;
                    reading.bytes_read += bytes;
                    parts.push(part);
                }
                workers.install(|| add(parts));
            }
            self.observer.event(&Event::Progress {
                bytes: files.iter().map(|f| f.output.bytes).sum(),
                records: files.iter().map(|f| f.output.rows).sum(),
                objects: files.len() as u64,
            });
        }
        Ok(reading)
    }

    /// Calls `each` with each file of the table and its footer, in the order of the files.
    pub(super) fn footers(
        &self,
        log: &Log,
        mut each: impl FnMut(&LiveFile, &CheckedFile),
    ) -> Result<(), Stop> {
        let live = log.state().files().all()?;
        let requests = self.requests();
        for files in live.chunks(FILES_AT_ONCE) {
            let opened = self.files().open_all(log, files, &requests)?;
            opened.iter().for_each(|opened| each(opened.file, &opened.footer));
        }
        Ok(())
    }

    /// Columns of some row groups of a file, which lie apart.
    pub(super) fn some_groups(
        &self,
        log: &Log,
        file: &LiveFile,
        names: &[&str],
        most: usize,
    ) -> Result<Vec<Arc<Columns>>, Stop> {
        let opened = self.files().open(log, file)?;
        let scan = Scan { names, ..*self };
        let of = |group| Ok(scan.read(log, &opened, group)?.0.columns);
        spread(opened.footer.row_groups(), most).map(of).collect()
    }

    fn read<'f>(&self, log: &Log, file: &OpenFile<'f>, group: usize) -> Result<(Group<'f>, u64), Stop> {
        let time = file.file.options.partition_time.field();
        let is_rollup = log.state().is_rollup();
        let mut names: Vec<&str> = self.names.to_vec();
        let rolled_up = is_rollup.then_some(ROLLED_UP).into_iter().flatten();
        for name in self.filter.columns(time).into_iter().chain(rolled_up) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let (values, rows, bytes) = self.files().columns(file, group, &names)?;
        let names: Arc<[String]> = names.into_iter().map(str::to_owned).collect();
        let columns = Columns::new(rows, names, values);
        let wanted = self.filter.rows(&columns, time);
        let timeless = self.filter.timeless(&columns, time);
        let columns = Arc::new(columns);
        let mut group = Group { file: file.file, is_rollup, columns, wanted, timeless: 0 };
        if let Some(timeless) = timeless {
            let left_out = group.among(timeless);
            let records = left_out.records();
            group.timeless = left_out.rows().map(records).sum();
        }
        Ok((group, bytes))
    }
}
