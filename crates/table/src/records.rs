//! Records on disk: plans and commits, and the one way to read a record.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::checked;
use crate::dedup::Duplicates;
use crate::digest::{Crc32, Digest};
use crate::objects::SourceObject;
use crate::options::Options;
use crate::rollup::RolledUp;
use crate::seal::{ENTRY, unsealed};
use crate::task_id::TaskId;
use crate::{LAYOUT_VERSION, LAYOUT_VERSION_OLDEST};

/// What records say of the program that wrote them.
pub fn written_by() -> String {
    format!("flowquet {}", env!("CARGO_PKG_VERSION"))
}

/// A fixed list of source objects: the unit of commit and retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// A digest of all that decides the task's bytes, and of its place in the table's plans.
    pub id: TaskId,
    /// In key order.
    pub objects: Vec<SourceObject>,
}

/// Objects newly taken into the table, grouped into tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRecord {
    /// [`LAYOUT_VERSION`] of the program that wrote it.
    pub layout_version: u32,
    /// From 1, without gaps.
    pub number: u64,
    /// Options that the tasks are performed with.
    pub options: Options,
    /// Log formats that the table had when this was planned, as `flowquet_plan::formats_of_union` gives them: each file has the
    /// columns of all of them. None in records of programs that did not know it: then a file has the columns of its own.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub formats: Vec<String>,
    /// In the order in which they are performed.
    pub tasks: Vec<Task>,
}

/// Lines of an object, a task or a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All lines.
    pub lines: u64,
    /// Lines that became rows.
    pub records: u64,
    /// Lines that are no record.
    pub rejects: u64,
    /// Header lines.
    pub headers: u64,
    /// Blank lines.
    pub blanks: u64,
}

impl Counts {
    /// Whether every line is accounted for.
    pub fn balances(&self) -> bool {
        self.lines == self.records + self.rejects + self.headers + self.blanks
    }

    /// Adds another's lines.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.records += other.records;
        self.rejects += other.rejects;
        self.headers += other.headers;
        self.blanks += other.blanks;
    }
}

/// An input of a committed task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// The object.
    #[serde(flatten)]
    pub object: SourceObject,
    /// Its lines; all zero where it could not be read.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Digest of its records; none where it could not be read, and in records of programs that did not know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Digest of its rejected lines; none where it has none, and in records of programs that did not know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rejects_digest: Option<Digest>,
    /// Why nothing of it is in the table. [`Cause::retry`] tells when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<Cause>,
    /// Where reading stopped, with `--salvage`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub damaged: Option<String>,
}

impl InputRecord {
    /// An object of which nothing was read yet.
    pub fn unread(object: SourceObject) -> Self {
        Self {
            object,
            counts: Counts::default(),
            text_bytes: 0,
            digest: None,
            rejects_digest: None,
            failed: None,
            damaged: None,
        }
    }
}

/// Smallest and largest time, as UTC text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// The earliest.
    pub min: String,
    /// The latest.
    pub max: String,
}

/// A file of a committed task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Key below the table root.
    #[serde(deserialize_with = "checked::data_key")]
    pub key: String,
    /// Partition folder.
    #[serde(deserialize_with = "checked::shared_folder")]
    pub partition: Arc<str>,
    /// Rows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// Range of the partition time over its rows, where they have one between 2000 and 2100.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<TimeRange>,
    /// Log format of its rows.
    pub format: Arc<str>,
    /// Digest of its rows; none in records of programs that did not know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Rows that were left out when it was written, or when files were that it replaces, since the partition has others like them.
    #[serde(skip_serializing_if = "Duplicates::is_none", default)]
    pub duplicates: Duplicates,
    /// What it was made of, in a table that is a roll-up of another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollup: Option<Box<RolledUp>>,
    /// Checksum of its bytes; none in records of programs that did not know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub crc32: Option<Crc32>,
}

/// A task is done: from these inputs, with these outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRecord {
    /// [`LAYOUT_VERSION`] of the program that wrote it.
    pub layout_version: u32,
    /// Version of the program that wrote it.
    pub written_by: String,
    /// The task.
    pub task: TaskId,
    /// The plan that holds it.
    pub plan: u64,
    /// Why the task will never be performed: an object changed or vanished between planning and reading, or a run reads its
    /// objects otherwise. Its objects are then as if never planned, and there are neither inputs nor outputs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub void: Option<String>,
    /// What was read.
    pub inputs: Vec<InputRecord>,
    /// What was written.
    pub outputs: Vec<OutputRecord>,
    /// Sums over inputs.
    pub counts: Counts,
    /// Records by log status; `-` where the format has none or it is null, `other` for words that AWS does not document.
    pub records_by_status: BTreeMap<String, u64>,
    /// Rejects by reason.
    pub rejects_by_reason: BTreeMap<String, u64>,
    /// Of these, so many are not in the task's file of rejects, which was full.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rejects_not_kept: u64,
    /// Records whose time lies outside 2000 to 2100, and did not choose their partition.
    pub times_out_of_range: u64,
    /// Records that have no time and stand in the partition of their object's delivery, or of null.
    pub times_missing: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl CommitRecord {
    /// How many rejected lines the task's file of rejects holds.
    pub fn rejects_kept(&self) -> u64 {
        self.counts.rejects.saturating_sub(self.rejects_not_kept)
    }

    /// Whether what was read and what was written have the same digest, as far as they have any.
    pub fn digests_agree(&self) -> bool {
        let read = self.inputs.iter().filter(|input| input.failed.is_none()).map(|input| input.digest);
        let written = self.outputs.iter().map(|output| output.digest);
        match (Digest::sum(read), Digest::sum(written)) {
            (Some(read), Some(written)) => read == written,
            _ => true,
        }
    }

    /// A commit that gives a task of plan `plan` up.
    pub fn void(task: TaskId, plan: u64, layout_version: u32, reason: String) -> Self {
        Self { void: Some(reason), ..Self::empty(task, plan, layout_version) }
    }

    /// A commit of a task of plan `plan` of which no object can be read, each for the cause that `cause_of` tells.
    pub(crate) fn failed(
        task: &Task,
        plan: u64,
        layout_version: u32,
        cause_of: &dyn Fn(&SourceObject) -> Cause,
    ) -> Self {
        let failed = |object: &SourceObject| InputRecord {
            failed: Some(cause_of(object)),
            ..InputRecord::unread(object.clone())
        };
        let inputs = task.objects.iter().map(failed).collect();
        Self { inputs, ..Self::empty(task.id, plan, layout_version) }
    }

    fn empty(task: TaskId, plan: u64, layout_version: u32) -> Self {
        Self {
            layout_version,
            written_by: written_by(),
            task,
            plan,
            void: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            counts: Counts::default(),
            records_by_status: BTreeMap::new(),
            rejects_by_reason: BTreeMap::new(),
            rejects_not_kept: 0,
            times_out_of_range: 0,
            times_missing: 0,
        }
    }
}

/// A record that cannot be understood.
#[derive(Debug)]
pub enum RecordError {
    /// No JSON of the expected form.
    Malformed(serde_json::Error),
    /// Of a layout version that this program does not know.
    Version {
        /// The newest of such records that it knows.
        newest: u32,
        /// That of the record.
        found: u64,
    },
    /// More text than what is stored of it may inflate to, which is given.
    TooLong(u64),
    /// Well-formed, and says what cannot be.
    Wrong(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => {
                write!(f, "it is not a record of layout version {LAYOUT_VERSION}: {error}")
            }
            Self::Version { newest, found } => {
                write!(f, "expected layout version {LAYOUT_VERSION_OLDEST} to {newest}, found {found}")
            }
            Self::TooLong(max) => write!(f, "expected text of at most {max} bytes, found more"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RecordError {}

/// A record that tells its version.
pub trait Record: DeserializeOwned {
    /// The newest version of such records that this program knows.
    const LAYOUT_VERSION_NEWEST: u32 = LAYOUT_VERSION;

    /// [`LAYOUT_VERSION`] of the program that wrote it.
    fn layout_version(&self) -> u32;
}

impl Record for CommitRecord {
    fn layout_version(&self) -> u32 {
        self.layout_version
    }
}

/// Reads a record. Where it cannot be read because it is of another version, that is the error: a newer one may have any form.
///
/// # Errors
/// [`RecordError`].
pub fn from_json<T: Record>(bytes: &[u8]) -> Result<T, RecordError> {
    let (body, _) = unsealed(bytes);
    let bytes = body.as_deref().unwrap_or(bytes);
    // Where another program wrote it anew, the seal is an entry like others.
    let read = serde_json::from_slice::<T>(bytes).or_else(|error| {
        let mut value: serde_json::Value = serde_json::from_slice(bytes)?;
        let seal = value.as_object_mut().and_then(|object| object.remove(ENTRY));
        if seal.is_some() { serde_json::from_value(value) } else { Err(error) }
    });
    let version = match &read {
        Ok(record) => Versioned { layout_version: u64::from(record.layout_version()) },
        Err(_) => serde_json::from_slice(bytes).map_err(RecordError::Malformed)?,
    };
    check_version(version, T::LAYOUT_VERSION_NEWEST)?;
    read.map_err(RecordError::Malformed)
}

#[derive(Deserialize)]
struct Versioned {
    layout_version: u64,
}

fn check_version(found: Versioned, newest: u32) -> Result<(), RecordError> {
    let (known, found) = (u64::from(LAYOUT_VERSION_OLDEST)..=u64::from(newest), found.layout_version);
    if known.contains(&found) { Ok(()) } else { Err(RecordError::Version { newest, found }) }
}

/// Writes a record: indented JSON that ends in a newline.
pub fn to_json<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(record).expect("records are plain values with text keys");
    bytes.push(b'\n');
    bytes
}

/// What the text of a plan record may come to, for each byte that is stored of it and beside the first 64 MiB: keys that have a
/// thousand bytes in common compress to a hundredth, and a bomb to a thousandth. So a record takes memory in proportion to what
/// whoever wrote it had to store.
const INFLATED_FREE: u64 = 64 << 20;
const INFLATED_PER_BYTE_MAX: u64 = 250;

/// Reads a plan record, which may be long: without holding its text.
///
/// # Errors
/// [`RecordError`].
pub fn plan_from_gzip(bytes: &[u8]) -> Result<PlanRecord, RecordError> {
    let max = INFLATED_FREE + INFLATED_PER_BYTE_MAX * bytes.len() as u64;
    let text = || {
        let left = io::Read::take(flate2::read::MultiGzDecoder::new(bytes), max);
        io::BufReader::new(Inflated { left })
    };
    let malformed = |error: serde_json::Error| {
        if is_too_long(&error) { RecordError::TooLong(max) } else { RecordError::Malformed(error) }
    };
    let read = serde_json::from_reader::<_, PlanRecord>(text());
    // Another version may have other fields; then that is the reason to tell.
    let version = match &read {
        Ok(plan) => Versioned { layout_version: u64::from(plan.layout_version) },
        Err(error) if is_too_long(error) => return Err(RecordError::TooLong(max)),
        Err(_) => serde_json::from_reader(text()).map_err(malformed)?,
    };
    check_version(version, LAYOUT_VERSION)?;
    read.map_err(malformed)
}

/// A text that is as long as it may be, at which reading ends with an error of its own.
struct Inflated<R> {
    left: io::Take<R>,
}

impl<R: io::Read> io::Read for Inflated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.left.read(out)?;
        if read == 0 && self.left.limit() == 0 { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(read) }
    }
}

fn is_too_long(error: &serde_json::Error) -> bool {
    error.io_error_kind() == Some(io::ErrorKind::FileTooLarge)
}

/// Writes a plan record: JSON in gzip, the same bytes for the same plan.
pub fn plan_to_gzip(plan: &PlanRecord) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    serde_json::to_writer(io::BufWriter::new(&mut gzip), plan).expect("plain values into memory");
    gzip.finish().expect("into memory")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        pieces.for_each(|piece| gzip.write_all(&piece).expect("a vector takes all"));
        gzip.finish().expect("a vector takes all")
    }

    #[test]
    fn a_small_record_that_inflates_to_much_is_refused() {
        let bomb = gzip((0..200).map(|_| vec![b' '; 1 << 20]));
        assert!(bomb.len() < 400 << 10);
        match plan_from_gzip(&bomb) {
            Err(RecordError::TooLong(max)) => assert!(max < 200 << 20),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plans_of_long_keys_that_are_nearly_the_same_are_read() {
        let prefix = "a-folder/".repeat(110);
        let object = |i: u32| {
            let key = format!("{prefix}{i:06}.log");
            SourceObject::new(format!("file:///{key}"), &key, 7, "1")
        };
        let task = Task { id: 0x0123_4567_89ab_cdef.into(), objects: (0..4_000).map(object).collect() };
        let options = Options::default();
        let plan = PlanRecord {
            layout_version: LAYOUT_VERSION,
            number: 1,
            options,
            formats: Vec::new(),
            tasks: vec![task],
        };
        let (bytes, text) =
            (plan_to_gzip(&plan), serde_json::to_vec(&plan).expect("plain values").len() as u64);
        assert!(text < INFLATED_PER_BYTE_MAX / 2 * bytes.len() as u64, "{text} bytes of {}", bytes.len());
        assert!(plan_from_gzip(&bytes).expect("as written") == plan);
    }
}
