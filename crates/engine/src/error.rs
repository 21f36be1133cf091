//! What stops a run.

use std::collections::BTreeSet;
use std::fmt;

use flowquet_table::{Crc32, Dedup, Difference, Error as LogError, TaskId};

use crate::words::{counted, grouped};

/// What stops a run. Bad lines and unreadable objects do not; they are counted and reported.
#[derive(Debug)]
pub enum Error {
    /// Lines, records, rejects, headers and blanks do not add up: a defect of this program. Nothing was committed.
    Accounting(String),
    /// The catalog that points at the table's partitions failed: its own error.
    Catalog(Box<dyn std::error::Error + Send + Sync>),
    /// A file of a compaction is neither aside nor in place. What it was to replace is still there.
    CompactedFileGone {
        /// Where it was.
        url: String,
        /// Its size.
        bytes: u64,
    },
    /// A file that fills columns is damaged.
    EnrichmentFile {
        /// The name that it is given.
        name: String,
        /// What is wrong with it.
        error: flowquet_enrich::Error,
    },
    /// A file that fills columns of tasks of the table is not there any more, or has other bytes.
    EnrichmentGone {
        /// The name that it has in the table.
        name: String,
        /// SHA-256 of its bytes.
        sha256: String,
        /// Where the table's copy was.
        url: String,
    },
    /// Files that fill columns, which cannot do so together.
    Enrichments(String),
    /// A file holds other bytes than were written to it, and values that nothing else proves. Nothing of its partition was replaced.
    FileDamaged {
        /// URL of the table.
        table: String,
        /// The file, by its key below the table root.
        key: String,
        /// The checksum in its record.
        expected: Crc32,
        /// That of its bytes.
        found: Crc32,
    },
    /// A reconversion for the sake of rejects would leave fewer records than there are. The table is as it was.
    FewerRecords {
        /// Records of what was to be replaced.
        before: u64,
        /// Records that were read now.
        after: u64,
    },
    /// A sum of one group of a roll-up is more than 64 bits hold. Nothing of its partition was replaced.
    GroupTooLarge {
        /// The partition.
        folder: String,
        /// The column of the sum.
        column: &'static str,
        /// What the group's records have in common: each column and its value, as text.
        group: Vec<(String, Option<String>)>,
    },
    /// The run was asked to stop.
    Interrupted,
    /// A memory budget below the smallest.
    MemoryTooSmall {
        /// Bytes that were given.
        given: usize,
        /// Bytes that the smallest run needs.
        needed: usize,
    },
    /// The table's log could not be read or written, or says no.
    Log(LogError),
    /// A column that no log format has: which option names it, the column, and the formats.
    NoColumn {
        /// As options spell it: `columns`, `sort`, `bloom_filter`.
        option: &'static str,
        /// The column.
        column: String,
        /// Log formats that were looked at.
        formats: Vec<String>,
    },
    /// A roll-up is asked to group by something that is no column of its source.
    NoDimension {
        /// As it was given.
        word: String,
        /// Names of time buckets.
        buckets: Vec<&'static str>,
        /// Columns that can be grouped by.
        columns: Vec<String>,
    },
    /// A glob that is to name partitions of the table, and names none.
    NoPartition {
        /// The glob.
        glob: String,
        /// Some that there are; the newest first.
        partitions: Vec<String>,
    },
    /// Rows of a file lack columns by which they would be compared.
    NotCompared {
        /// By which.
        dedup: Dedup,
        /// The file, by its key below the table root.
        url: String,
        /// Columns that it lacks.
        missing: Vec<String>,
        /// Log format of its rows.
        format: String,
    },
    /// Files that are lost or damaged cannot be rebuilt, since raw logs of theirs are gone or differ. They are as they were.
    NotRebuilt {
        /// How many.
        files: u64,
        /// Of so many that were to be rebuilt; the others were.
        of: u64,
        /// What is wrong with the raw logs.
        why: String,
    },
    /// A reconversion did not come about, since another run got ahead of it again and again, or a raw log changed while it was read: which. It left the
    /// table as it was, and another try may succeed.
    Overtaken(String),
    /// A roll-up did not come about: why. The table is as it was.
    NotRolledUp(String),
    /// A table was to be rolled up into itself.
    RolledUpIntoItself {
        /// Its URL.
        url: String,
    },
    /// Raw logs that a reconversion needs are gone, or are not what they were. The table is as it was.
    RawLogsDiffer {
        /// Tasks that came from them.
        tasks: BTreeSet<TaskId>,
        /// Which, and how they differ.
        why: String,
    },
    /// Raw logs whose records were to be what they were give others. The table is as it was.
    RecordsDiffer {
        /// URL of one.
        url: String,
        /// What it had and has, and how many others there are.
        why: String,
        /// Tasks that came from them.
        tasks: BTreeSet<TaskId>,
    },
    /// A reconversion would take records away: so many objects gave some, and cannot be read with the options that were asked for.
    RecordsLost {
        /// Objects.
        objects: u64,
        /// One of them.
        url: String,
        /// Why it cannot be read.
        why: String,
        /// Tasks that came from such objects.
        tasks: BTreeSet<TaskId>,
    },
    /// A reconversion that no object of the table is chosen for.
    NothingChosen,
    /// Options of a plan that this program does not understand.
    Options(String),
    /// The table has another file of a name whose columns it fills.
    OtherEnrichment {
        /// The name.
        name: String,
        /// SHA-256 of the table's file.
        table: String,
        /// SHA-256 of the one that was given.
        given: String,
        /// Whether the same kind of thing is looked up in both: then a reconversion may bring the other one.
        is_same_key: bool,
    },
    /// The table to convert into is a roll-up, whose rows are no records.
    OutIsRollup {
        /// Its URL.
        url: String,
    },
    /// The table to be rolled up is a roll-up itself.
    SourceIsRollup {
        /// Its URL.
        url: String,
    },
    /// A source lies within the table, where nothing is a source.
    SourceInTable {
        /// Its URL.
        url: String,
        /// That of the table.
        table: String,
    },
    /// A table is to be made within another one.
    TableAbove {
        /// Where it was to be.
        url: String,
        /// The one that is there.
        above: String,
    },
    /// A table is to be made above another one.
    TableBelow {
        /// Where it was to be.
        url: String,
        /// The one that is there.
        below: String,
    },
    /// A source is the table itself.
    SourceIsTable {
        /// Its URL.
        url: String,
    },
    /// Encoding or writing a Parquet file failed.
    Parquet(flowquet_parquet::Error),
    /// Files of a partition hold other rows than were written to them. Nothing of it was replaced.
    PartitionDamaged {
        /// URL of the table.
        table: String,
        /// The partition.
        folder: String,
        /// What they hold, and what the records say.
        found: String,
    },
    /// The sources could not be listed, or standard input failed.
    Sources(flowquet_sources::Error),
    /// A store failed.
    Store(flowquet_store::Error),
    /// A file of the table is not as its record has it.
    TableFile {
        /// The file.
        url: String,
        /// What was expected and found.
        what: String,
    },
    /// The distinct values of a column in one row group are more than the memory that a compaction may take.
    TooDistinct {
        /// The file.
        url: String,
        /// The column.
        column: String,
        /// Bytes that the compaction may take.
        memory: usize,
    },
    /// The stored contract of the table was gone, or older than its plans, and the run began with what it said. It has been put right.
    StaleContract(Vec<Difference>),
    /// More rejects than allowed.
    TooManyRejects {
        /// Rejects so far.
        rejects: u64,
        /// Lines so far.
        lines: u64,
        /// The limit as it was given.
        limit: String,
        /// The first of them, as JSON lines of a file of rejects; fewer where there are no more.
        first: Vec<String>,
        /// Keys of the files below the table root that hold them all.
        kept: Vec<String>,
        /// Of the rejects, so many are in no file.
        not_kept: u64,
    },
}

impl Error {
    /// The tasks whose raw logs are not what they were, or are gone, and what is wrong with one; `None` where that is not the reason.
    pub(crate) fn raw_logs(&self) -> Option<(&BTreeSet<TaskId>, String)> {
        match self {
            Self::RawLogsDiffer { tasks, why } => Some((tasks, why.clone())),
            Self::RecordsDiffer { tasks, url, why } => Some((tasks, format!("`{url}`{why}"))),
            Self::RecordsLost { tasks, url, why, .. } => {
                Some((tasks, format!("`{url}` is not what it was: {why}")))
            }
            _ => None,
        }
    }

    /// The kind of error, as reports name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accounting(_) => "accounting",
            Self::Catalog(_) => "catalog",
            Self::CompactedFileGone { .. } => "compacted-file-gone",
            Self::EnrichmentFile { .. } => "enrichment-file",
            Self::EnrichmentGone { .. } => "enrichment-gone",
            Self::Enrichments(_) => "enrichments",
            Self::FewerRecords { .. } => "fewer-records",
            Self::GroupTooLarge { .. } => "group-too-large",
            Self::Interrupted => "interrupted",
            Self::MemoryTooSmall { .. } => "memory-too-small",
            Self::Log(error) => error.kind(),
            Self::NoColumn { .. } => "no-column",
            Self::NoDimension { .. } => "no-dimension",
            Self::NoPartition { .. } => "no-partition",
            Self::NotCompared { .. } => "not-compared",
            Self::NotRebuilt { .. } | Self::RawLogsDiffer { .. } => "not-reconverted",
            Self::Overtaken(_) => "overtaken",
            Self::NotRolledUp(_) | Self::RolledUpIntoItself { .. } => "not-rolled-up",
            Self::RecordsDiffer { .. } => "records-differ",
            Self::RecordsLost { .. } => "records-lost",
            Self::NothingChosen => "nothing-chosen",
            Self::Options(_) => "options",
            Self::OtherEnrichment { .. } => "other-enrichment",
            Self::OutIsRollup { .. } => "out-is-rollup",
            Self::SourceIsRollup { .. } => "source-is-rollup",
            Self::SourceInTable { .. } => "source-in-table",
            Self::SourceIsTable { .. } => "source-is-table",
            Self::TableAbove { .. } => "table-above",
            Self::TableBelow { .. } => "table-below",
            Self::Parquet(_) => "parquet",
            Self::FileDamaged { .. } | Self::PartitionDamaged { .. } => "partition-damaged",
            Self::Sources(error) => error.kind(),
            Self::StaleContract(_) => "stale-contract",
            Self::Store(error) => error.kind().name(),
            Self::TableFile { .. } => "table-file",
            Self::TooDistinct { .. } => "too-distinct",
            Self::TooManyRejects { .. } => "too-many-rejects",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounting(what) => write!(f, "lines are not accounted for: {what}"),
            Self::Catalog(error) => error.fmt(f),
            Self::CompactedFileGone { url, bytes } => {
                write!(f, "expected a compacted file of {bytes} bytes at `{url}`, found none")
            }
            Self::EnrichmentFile { name, .. } => write!(f, "read the file of `{name}` as a whole"),
            Self::EnrichmentGone { name, sha256, url } => {
                write!(
                    f,
                    "expected the file of `{name}` with SHA-256 {sha256} at `{url}`, found none or another one"
                )
            }
            Self::Enrichments(what) => f.write_str(what),
            Self::OtherEnrichment { name, table, given, .. } => {
                write!(f, "expected the file of `{name}` that the table has, SHA-256 {table}, found {given}")
            }
            Self::Log(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
            Self::MemoryTooSmall { given, needed } => {
                write!(f, "expected a memory budget of at least {needed} bytes, found {given}")
            }
            Self::NoColumn { option, column, formats } => {
                write!(f, "{option}: no log format has a column `{column}`")?;
                formats.iter().try_for_each(|format| write!(f, "\n  {format}"))
            }
            Self::NoDimension { word, buckets, .. } => {
                write!(
                    f,
                    "`{word}` is neither a time bucket ({}) nor a column of the table",
                    buckets.join(", ")
                )
            }
            Self::NoPartition { glob, .. } => write!(f, "no partition of the table matches `{glob}`"),
            Self::NotCompared { url, missing, format, .. } => {
                write!(f, "records of `{url}` cannot be compared: no {}\n  {format}", missing.join(", no "))
            }
            Self::RecordsLost { objects, url, why, .. } => {
                let such_as = if *objects == 1 { ":" } else { ", such as" };
                write!(
                    f,
                    "not reconverted, the table is unchanged: {} with records in it cannot be read with these options{such_as} `{url}`: {why}",
                    counted(*objects, "object")
                )
            }
            Self::GroupTooLarge { folder, column, group } => {
                let told = |(column, value): &(String, Option<String>)| {
                    format!("{column} {}", value.as_deref().unwrap_or("null"))
                };
                let group: Vec<String> = group.iter().map(told).collect();
                write!(
                    f,
                    "not rolled up: `{column}` overflows 64 bits in a group of `{folder}`: {}",
                    group.join(", ")
                )
            }
            Self::NotRolledUp(why) => write!(f, "not rolled up: {why}"),
            Self::RolledUpIntoItself { url } => {
                write!(f, "not rolled up: `{url}` is the table, and groups are a table of their own")
            }
            Self::StaleContract(differences) => {
                f.write_str("`_flowquet/table.json` was missing or out of date, and has been written again")?;
                differences.iter().try_for_each(|d| {
                    write!(f, "\n  {}: the table has `{}`, not `{}`", d.option, d.table, d.asked)
                })
            }
            Self::FileDamaged { key, expected, found, .. } => {
                write!(f, "`{key}` is damaged: expected bytes of CRC-32 {expected}, found {found}")
            }
            Self::FewerRecords { before, after } => {
                write!(
                    f,
                    "not reconverted, the table is unchanged: it has {before} records of these objects, and {after} were read now"
                )
            }
            Self::NotRebuilt { files, of, why } => {
                let of = counted(*of, "lost or damaged file");
                write!(f, "not rebuilt: {} of {of}: {why}", grouped(*files))
            }
            Self::Overtaken(why) => write!(f, "not reconverted: {why}"),
            Self::RawLogsDiffer { why, .. } => {
                write!(f, "not reconverted, the table is unchanged: {why}")
            }
            Self::RecordsDiffer { url, why, .. } => {
                write!(f, "not reconverted, the table is unchanged: `{url}`{why}")
            }
            Self::NothingChosen => f.write_str("no object of the table is chosen"),
            Self::Options(what) => write!(f, "read the options of a plan record: {what}"),
            Self::Parquet(_) => f.write_str("write Parquet"),
            Self::OutIsRollup { url } => {
                write!(f, "`{url}` is a roll-up; records cannot be converted into it")
            }
            Self::SourceIsRollup { url } => {
                write!(f, "`{url}` is a roll-up itself: its groups would be counted as records")
            }
            Self::SourceInTable { url, table } => {
                write!(f, "source `{url}` lies within the table `{table}`, where nothing is read as logs")
            }
            Self::SourceIsTable { url } => {
                write!(f, "source and table are the same place, `{url}`: a table is never a source")
            }
            Self::PartitionDamaged { folder, found, .. } => {
                write!(f, "a file of `{folder}` is damaged: the partition has {found}")
            }
            Self::Sources(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::TableAbove { url, above } => {
                write!(
                    f,
                    "no table is made in `{url}`: it lies within the table `{above}`, and its files would count as that one's"
                )
            }
            Self::TableBelow { url, below } => {
                write!(
                    f,
                    "no table is made in `{url}`: the table `{below}` lies below it, and its files would count as this one's"
                )
            }
            Self::TableFile { url, what } => write!(f, "read `{url}`: {what}"),
            Self::TooDistinct { url, column, memory } => {
                write!(
                    f,
                    "read `{url}`: column `{column}` has more distinct values in a row group than fit {memory} bytes of memory"
                )
            }
            Self::TooManyRejects { rejects, lines, limit, .. } => {
                write!(f, "expected at most {limit} rejects, found {rejects} in {lines} lines")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Catalog(error) => error.source(),
            Self::EnrichmentFile { error, .. } => Some(error),
            Self::Parquet(error) => Some(error),
            Self::Sources(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Log(error) => error.source(),
            _ => None,
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => error.into(),
            error => Self::Log(error),
        }
    }
}

impl From<flowquet_parquet::Error> for Error {
    fn from(error: flowquet_parquet::Error) -> Self {
        // An error of the store that came through the writer is the store's.
        let flowquet_parquet::Error::External(inner) = error else { return Self::Parquet(error) };
        match inner.downcast::<std::io::Error>() {
            Ok(io) => match io.downcast::<flowquet_store::Error>() {
                Ok(error) => error.into(),
                Err(io) => Self::Parquet(flowquet_parquet::Error::External(Box::new(io))),
            },
            Err(inner) => Self::Parquet(flowquet_parquet::Error::External(inner)),
        }
    }
}

impl From<flowquet_sources::Error> for Error {
    fn from(error: flowquet_sources::Error) -> Self {
        match error {
            flowquet_sources::Error::Store(error) => error.into(),
            flowquet_sources::Error::Interrupted => Self::Interrupted,
            error => Self::Sources(error),
        }
    }
}

impl From<flowquet_store::Error> for Error {
    fn from(error: flowquet_store::Error) -> Self {
        if error.kind() == flowquet_store::ErrorKind::Interrupted {
            return Self::Interrupted;
        }
        Self::Store(error)
    }
}
