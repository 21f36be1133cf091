//! What stops a run.

use std::fmt;

use flowquet_plan::{OptionsError, RecordError};

/// What stops a run. Bad lines and unreadable objects do not; they are counted and reported.
#[derive(Debug)]
pub enum Error {
    /// Lines, records, rejects, headers and blanks do not add up: a defect of this program. Nothing was committed.
    Accounting(String),
    /// The catalog that points at the table's partitions failed; its own message.
    Catalog(String),
    /// A file of a compaction is neither aside nor in place. What it was to replace is still there.
    CompactedFileGone {
        /// Where it was.
        url: String,
        /// Its size.
        bytes: u64,
    },
    /// The table was made with other options; one line a difference.
    Contract(Vec<String>),
    /// The run was asked to stop.
    Interrupted,
    /// The sources hold more objects than the memory.
    ListingTooLong {
        /// Objects so far.
        objects: usize,
        /// Bytes that there are for them.
        bytes: usize,
    },
    /// A manifest that cannot be read.
    Manifest {
        /// Where it is.
        manifest: String,
        /// What was expected and found.
        what: String,
    },
    /// A memory budget below the smallest.
    MemoryTooSmall {
        /// Bytes that were given.
        given: usize,
        /// Bytes that the smallest run needs.
        needed: usize,
    },
    /// The sources hold no objects, or none that is wanted.
    NoObjects {
        /// What was listed.
        sources: Vec<String>,
        /// Objects that filters leave out.
        left_out: u64,
    },
    /// There is no table.
    NoTable(String),
    /// Options of a plan that this program does not understand.
    Options(String),
    /// Encoding or writing a Parquet file failed.
    Parquet(flowquet_parquet::Error),
    /// A record of the table cannot be understood.
    Record(String, RecordError),
    /// A plan that was made before the table got others.
    StalePlan {
        /// Its number.
        number: u64,
    },
    /// Standard input failed.
    Stdin(std::io::Error),
    /// A store failed.
    Store(flowquet_store::Error),
    /// A file of the table is not as its record has it.
    TableFile {
        /// The file.
        url: String,
        /// What was expected and found.
        what: String,
    },
    /// More rejects than allowed.
    TooManyRejects {
        /// Rejects so far.
        rejects: u64,
        /// Lines so far.
        lines: u64,
        /// The limit as it was given.
        limit: String,
    },
}

impl Error {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Accounting(_) => Some("please report this with the report file and the object's first lines".into()),
            Self::Catalog(_) => None,
            Self::CompactedFileGone { .. } => Some(
                "nothing is lost: the files that it was to replace are still there; restore it, or report this".into(),
            ),
            Self::Contract(_) => Some("use the table's options, or another --out for another table".into()),
            Self::Interrupted => Some("run the same command again: it goes on where this one stopped".into()),
            Self::MemoryTooSmall { needed, .. } => Some(format!("give --memory {}M or more", needed.div_ceil(1 << 20))),
            Self::ListingTooLong { .. } => Some(
                "give more --memory, or take a part at a time with --since, --until, --account or --region".into(),
            ),
            Self::Manifest { .. } => Some("a manifest is the manifest.json of an S3 Inventory, or a text file with a URL or path a line".into()),
            Self::NoObjects { left_out: 0, .. } => {
                Some("check the path; names that begin with a dot are hidden and left out".into())
            }
            Self::NoObjects { .. } => Some("check --since, --until, --account, --region, --flow-log-id, --include and --exclude".into()),
            Self::NoTable(_) => Some("check --out; `flowquet convert` makes a table".into()),
            Self::StalePlan { .. } => Some("make the plan again with `flowquet plan`".into()),
            Self::Record(_, RecordError::Version(_)) => {
                Some("convert with the version of flowquet that made this table, or into another --out".into())
            }
            Self::Options(..) | Self::Record(..) => Some("records are not meant to be edited; restore the file".into()),
            Self::Store(error) => error.hint(),
            Self::TooManyRejects { .. } => Some(
                "does --format fit the objects? Tasks below the limit are committed; the rest goes on with another --max-rejects"
                    .into(),
            ),
            Self::Parquet(_) => {
                Some("is there room left on the disk? Run the same command again: it goes on where it stopped".into())
            }
            Self::TableFile { .. } => {
                Some("the file was changed by another program; restore it, or convert its logs into another table".into())
            }
            Self::Stdin(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounting(what) => write!(f, "lines are not accounted for: {what}"),
            Self::Catalog(message) => f.write_str(message),
            Self::CompactedFileGone { url, bytes } => {
                write!(f, "expected a compacted file of {bytes} bytes at `{url}`, found none")
            }
            Self::Contract(differences) => {
                f.write_str("the table was made with other options")?;
                differences.iter().try_for_each(|d| write!(f, "\n  {d}"))
            }
            Self::Interrupted => f.write_str("stopped before the end, as asked"),
            Self::MemoryTooSmall { given, needed } => {
                write!(f, "expected a memory budget of at least {needed} bytes, found {given}")
            }
            Self::ListingTooLong { objects, bytes } => {
                write!(
                    f,
                    "expected a listing that fits {bytes} bytes of memory, found more than {objects} objects"
                )
            }
            Self::Manifest { manifest, what } => write!(f, "read manifest `{manifest}`: {what}"),
            Self::NoObjects { sources, left_out: 0 } => {
                write!(f, "expected flow logs in {}, found no files", sources.join(", "))
            }
            Self::NoObjects { sources, left_out } => {
                write!(
                    f,
                    "expected flow logs in {}, found {left_out} objects, none of them wanted",
                    sources.join(", ")
                )
            }
            Self::NoTable(url) => write!(f, "expected a table in `{url}`, found none"),
            Self::StalePlan { number } => {
                write!(f, "the table has another plan {number} than this one, made by a run after it")
            }
            Self::Options(what) => write!(f, "read the options of a plan record: {what}"),
            Self::Parquet(_) => f.write_str("write Parquet"),
            Self::Record(key, error) => write!(f, "read record `{key}`: {error}"),
            Self::Stdin(_) => f.write_str("read standard input"),
            Self::Store(error) => error.fmt(f),
            Self::TableFile { url, what } => write!(f, "read `{url}`: {what}"),
            Self::TooManyRejects { rejects, lines, limit } => {
                write!(f, "expected at most {limit} rejects, found {rejects} in {lines} lines")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Parquet(error) => Some(error),
            Self::Stdin(error) => Some(error),
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<OptionsError> for Error {
    fn from(error: OptionsError) -> Self {
        Self::Options(error.to_string())
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

impl From<flowquet_store::Error> for Error {
    fn from(error: flowquet_store::Error) -> Self {
        if error.kind() == flowquet_store::ErrorKind::Interrupted {
            return Self::Interrupted;
        }
        Self::Store(error)
    }
}
