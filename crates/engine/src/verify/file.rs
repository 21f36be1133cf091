//! One file: its footer, or all that it holds.

use std::ops::Range;

use bytes::Bytes;
use flowquet_format::{PartitionColumn, TIME_MAX_S, TIME_MIN_S, Types, utc_text};
use flowquet_parquet::{CheckedFile, CheckedGroup, FileFault, FileFaultKind, RowsError};
use flowquet_store::{Error as StoreError, Store};
use flowquet_table::{Crc32, Digest, LiveFile, task_of_output};

use super::finding::{Fault, Finding, Level};
use crate::proof::uncounted_columns;

/// Most bytes of a row group and what stands before it. Ours are far smaller.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// What was found of a file.
#[derive(Debug, Default)]
pub(super) struct FileOutcome {
    pub(super) findings: Vec<Finding>,
    /// Rows, as the footer tells or as they were decoded.
    pub(super) rows: u64,
    /// Bytes that were read.
    pub(super) bytes: u64,
    /// The digest of the rows, where all were decoded.
    pub(super) digest: Option<Digest>,
}

/// A file to be looked at.
pub(super) struct FileCheck<'a> {
    pub(super) out: &'a dyn Store,
    pub(super) file: &'a LiveFile,
    /// Where it is now.
    pub(super) key: &'a str,
    pub(super) level: Level,
    pub(super) is_stopped: &'a (dyn Fn() -> bool + Sync),
}

/// Why a file was not looked at to its end.
type Stopped = RowsError<StoreError>;

impl FileCheck<'_> {
    /// Reads the footer, or with [`Level::Data`] all.
    ///
    /// # Errors
    /// As the store reports.
    pub(super) fn run(&self) -> Result<FileOutcome, StoreError> {
        let mut outcome = FileOutcome::default();
        let read = match self.level {
            Level::Data => self.data(&mut outcome),
            _ => self.footer(&mut outcome),
        };
        match read {
            Ok(()) => Ok(outcome),
            Err(RowsError::Other(error)) => Err(error),
            Err(RowsError::File(what)) => {
                outcome.findings.push(self.finding(Fault::FileDamaged).says(what));
                Ok(outcome)
            }
        }
    }

    fn finding(&self, fault: Fault) -> Finding {
        Finding::new(self.level, fault, self.file.output.key.as_str())
    }

    fn range(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.out.fetch(self.key, "", range, false).wait(self.is_stopped)
    }

    fn footer(&self, outcome: &mut FileOutcome) -> Result<(), Stopped> {
        let file = CheckedFile::open(self.file.output.bytes, &|range| self.range(range))?;
        outcome.rows = file.rows();
        self.compare(&file, outcome);
        Ok(())
    }

    /// Compares a footer with itself and with the file's record.
    fn compare(&self, file: &CheckedFile, outcome: &mut FileOutcome) {
        let output = &self.file.output;
        let faults = file.footer_faults();
        let is_sound = faults.is_empty();
        outcome.findings.extend(faults.into_iter().map(|fault| self.of_fault(fault)));
        let own = task_of_output(&output.key).unwrap_or_default();
        let told = file.metadata("flowquet.task").or_else(|| file.metadata("flowquet.compaction"));
        if let Some(told) = told.filter(|told| *told != own) {
            outcome.findings.push(self.finding(Fault::FileOfAnother).differs(own, told));
        } else if file.rows() != output.rows {
            outcome.findings.push(self.finding(Fault::RowsDiffer).differs(output.rows, file.rows()));
        } else if is_sound {
            self.compare_times(file, outcome);
        }
    }

    /// Compares the bounds of the partition time with the record, and with the partition.
    fn compare_times(&self, file: &CheckedFile, outcome: &mut FileOutcome) {
        let (options, output) = (&self.file.options, &self.file.output);
        if !self.tells_partition() {
            return;
        }
        let field = options.partition_time.field();
        // Where some lie outside 2000 to 2100, bounds tell nothing of the others.
        let Some((min, max)) = file.integer_bounds(field) else { return };
        let range = TIME_MIN_S..TIME_MAX_S;
        if !range.contains(&min) || !range.contains(&max) {
            return;
        }
        for time in [min, max] {
            if let Some(belongs) = self.elsewhere(time) {
                let finding = self.finding(Fault::PartitionWrong);
                let finding = Finding { column: Some(field.to_owned()), ..finding };
                outcome.findings.push(finding.differs(&*output.partition, belongs));
                return;
            }
        }
        let text = |time| utc_text(time).unwrap_or_default();
        if let Some(time) = output.time.as_ref().filter(|_| options.partition_by.slot_s().is_some())
            && (time.min != text(min) || time.max != text(max))
        {
            let finding = self.finding(Fault::StatisticsLie);
            let finding = Finding { column: Some(field.to_owned()), ..finding };
            let told = format!("{} to {}", time.min, time.max);
            outcome.findings.push(finding.differs(told, format!("{} to {}", text(min), text(max))));
        }
    }

    /// Whether a stored time says which partition its row belongs to. Timestamps do not: a number of milliseconds became one, and did
    /// not choose the partition.
    fn tells_partition(&self) -> bool {
        self.file.options.types != Types::Rich
    }

    /// Where a time belongs, if it is not in the partition of the file.
    fn elsewhere(&self, time: i64) -> Option<String> {
        let text = utc_text(time)?;
        let columns = self.file.options.partition_by.columns().iter().filter_map(|column| match column {
            PartitionColumn::Date => Some(format!("date={}", text.get(..10)?)),
            PartitionColumn::Hour => Some(format!("hour={}", text.get(11..13)?)),
            _ => None,
        });
        let parts: Vec<String> = columns.collect();
        let is_in = |part: &String| self.file.output.partition.split('/').any(|own| own == part);
        (!parts.iter().all(is_in)).then(|| parts.join("/"))
    }

    /// Reads all of it.
    fn data(&self, outcome: &mut FileOutcome) -> Result<(), Stopped> {
        let output = &self.file.output;
        let (file, tail_start, tail) = CheckedFile::open_whole(output.bytes, &|range| self.range(range))?;
        outcome.rows = file.rows();
        outcome.bytes = output.bytes;
        self.compare(&file, outcome);
        if !outcome.findings.is_empty() {
            return Ok(());
        }
        let mut crc32 = crc32fast::Hasher::new();
        let (mut read, mut rows) = (0, 0);
        let mut digest = Some(0_u64);
        let (time, uncounted) = (self.file.options.partition_time.field(), uncounted_columns(self.file));
        for group in 0..file.row_groups() {
            let range = file.range(group).map_err(RowsError::File)?;
            if range.start < read || range.end - read > SEGMENT_BYTES_MAX {
                return Err(RowsError::File("expected row groups one after the other".to_owned()));
            }
            let bytes = self.range(read..range.end).map_err(RowsError::Other)?;
            crc32.update(&bytes);
            let within = TIME_MIN_S..TIME_MAX_S;
            let checked = file.check_group(group, (read, bytes), time, &within, &uncounted);
            read = range.end;
            rows += checked.rows as u64;
            digest = digest.zip(checked.digest).map(|(sum, of)| sum.wrapping_add(of));
            self.check_partition(group, &checked, outcome);
            outcome.findings.extend(checked.faults.into_iter().map(|fault| self.of_fault(fault)));
        }
        let gap = self.range(read..tail_start.max(read)).map_err(RowsError::Other)?;
        crc32.update(&gap);
        crc32.update(&tail);
        outcome.rows = rows;
        if !outcome.findings.is_empty() {
            return Ok(());
        }
        let digest = digest.map(Digest);
        outcome.digest = digest;
        if let (Some(told), Some(found)) = (output.digest, digest)
            && told != found
        {
            outcome.findings.push(self.finding(Fault::DigestDiffers).differs(told, found));
            return Ok(());
        }
        let found = Crc32(crc32.finalize());
        if let Some(told) = output.crc32.filter(|told| *told != found) {
            outcome.findings.push(self.finding(Fault::FileBytes).differs(told, found));
        }
        Ok(())
    }

    fn check_partition(&self, group: usize, checked: &CheckedGroup, outcome: &mut FileOutcome) {
        let Some((min, max)) = checked.times.filter(|_| self.tells_partition()) else { return };
        for (time, row) in [min, max] {
            if let Some(belongs) = self.elsewhere(time) {
                let column = Some(self.file.options.partition_time.field().to_owned());
                let finding = self.finding(Fault::PartitionWrong);
                let finding = Finding { row_group: Some(group), row: Some(row), column, ..finding };
                outcome.findings.push(finding.differs(&*self.file.output.partition, belongs));
                return;
            }
        }
    }

    fn of_fault(&self, fault: FileFault) -> Finding {
        let FileFault { row_group, column, page, row, kind } = fault;
        let finding = match kind {
            FileFaultKind::Damaged { what } => self.finding(Fault::FileDamaged).says(what),
            FileFaultKind::Order => self.finding(Fault::OrderBroken),
            FileFaultKind::Rows { told, found } => self.finding(Fault::RowsDiffer).differs(told, found),
            FileFaultKind::Statistics { of, told, found } => {
                self.finding(Fault::StatisticsLie).differs(told, found).says(of)
            }
            FileFaultKind::Twin => self.finding(Fault::TwinDiffers),
        };
        Finding { row_group, column, page, row, ..finding }
    }
}
