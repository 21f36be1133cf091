//! What verification finds.

use flowquet_table::RecordFault;
use serde::Serialize;

/// How far a verification looks, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The table's records.
    Records,
    /// A listing of the table.
    Listing,
    /// The footers of its files.
    Footers,
    /// All that its files hold.
    Data,
    /// A listing of the sources.
    Source,
    /// All that the sources hold.
    Deep,
}

impl Level {
    /// The name in reports and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Listing => "listing",
            Self::Footers => "footers",
            Self::Data => "data",
            Self::Source => "source",
            Self::Deep => "deep",
        }
    }
}

/// What a finding is about; ordered by severity, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Records that cannot be trusted.
    Records,
    /// Files of the table.
    Files,
    /// Raw logs that are not what the table holds.
    Sources,
    /// Objects that are not in the table.
    Left,
    /// Nothing is lost and nothing is wrong; somebody may want to know.
    None,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The commit record of a task is gone, though other records rest on it.
    CommitGone,
    /// A record was changed after it was written.
    RecordEdited,
    /// A record is there again under another name.
    RecordDoubled,
    /// A record is gone that others follow.
    RecordGone,
    /// A commit that no plan tells of.
    RecordOrphan,
    /// A record that cannot be read, or contradicts itself.
    RecordUnreadable,
    /// Something among the records that is none.
    RecordUnknown,
    /// Records that contradict each other.
    RecordsBroken,
    /// Rejected lines that were kept are gone.
    RejectsGone,
    /// Rejected lines that are kept are not those that were rejected.
    RejectsDiffer,
    /// A task is planned and not committed.
    TaskUnfinished,
    /// A file is gone.
    FileGone,
    /// A file has another size.
    FileSize,
    /// A file that no record tells of.
    FileStray,
    /// A file that was replaced and is there once more.
    FileLeft,
    /// A file that is there again though its loss was accepted.
    FileFoundAgain,
    /// A file that is there again though its loss was accepted, and does not hold what it held.
    FileFoundDamaged,
    /// A file that a run which ended early has left aside.
    FileAside,
    /// The table's copy of a file that fills columns is gone.
    EnrichmentGone,
    /// The table's copy of a file that fills columns has other bytes.
    EnrichmentDamaged,
    /// Bytes of a file cannot be decoded.
    FileDamaged,
    /// A file is another one's copy: it says that it belongs elsewhere.
    FileOfAnother,
    /// The bytes of a file are not those that were written, though its values are.
    FileBytes,
    /// A file has another number of rows.
    RowsDiffer,
    /// Statistics are not those of the values.
    StatisticsLie,
    /// Rows do not stand in the declared order.
    OrderBroken,
    /// A twin of an address is another address.
    TwinDiffers,
    /// A row stands in the partition of another time.
    PartitionWrong,
    /// The rows of a file are not those that were converted.
    DigestDiffers,
    /// The sums of a partition of a roll-up are not those that were rolled up.
    SumsDiffer,
    /// The rows of a partition, whose files have no digests of their own, are not those that all raw logs give.
    PartitionDiffers,
    /// An object is not in the table.
    ObjectMissing,
    /// An object changed since it was converted.
    ObjectChanged,
    /// An object that the table came from cannot be read any more.
    ObjectGone,
    /// An object gives other records than the table has of it.
    RecordsDiffer,
}

impl Fault {
    /// The name in reports.
    pub fn name(self) -> String {
        let json = serde_json::to_value(self).expect("a plain word");
        json.as_str().unwrap_or_default().to_owned()
    }

    /// What it is about.
    pub fn trouble(self) -> Trouble {
        match self {
            Self::CommitGone
            | Self::RecordEdited
            | Self::RecordDoubled
            | Self::RecordGone
            | Self::RecordOrphan
            | Self::RecordUnreadable
            | Self::RecordsBroken => Trouble::Records,
            Self::FileGone
            | Self::FileSize
            | Self::FileStray
            | Self::FileFoundDamaged
            | Self::FileDamaged
            | Self::FileOfAnother
            | Self::FileBytes
            | Self::RejectsDiffer
            | Self::RejectsGone
            | Self::RowsDiffer
            | Self::StatisticsLie
            | Self::OrderBroken
            | Self::TwinDiffers
            | Self::PartitionWrong
            | Self::DigestDiffers
            | Self::SumsDiffer
            | Self::EnrichmentGone
            | Self::EnrichmentDamaged => Trouble::Files,
            Self::ObjectChanged | Self::PartitionDiffers | Self::RecordsDiffer => Trouble::Sources,
            Self::ObjectMissing | Self::TaskUnfinished => Trouble::Left,
            Self::FileAside
            | Self::FileFoundAgain
            | Self::FileLeft
            | Self::ObjectGone
            | Self::RecordUnknown => Trouble::None,
        }
    }

    /// Whether converting anew the objects whose rows or rejected lines stood in the file mends it.
    pub fn is_mendable(self) -> bool {
        let is_of_lines = !matches!(self, Self::EnrichmentGone | Self::EnrichmentDamaged);
        let is_others = matches!(self, Self::FileFoundDamaged | Self::FileStray | Self::SumsDiffer);
        self.trouble() == Trouble::Files && is_of_lines && !is_others
    }

    /// Whether it is about rejected lines that are kept.
    pub fn is_of_rejects(self) -> bool {
        matches!(self, Self::RejectsDiffer | Self::RejectsGone)
    }

    /// Whether rows of the file may be lost, so that somebody may accept that they are.
    pub fn loses_rows(self) -> bool {
        self.is_mendable() && !self.is_of_rejects() && self != Self::FileBytes
    }
}

/// Something that verification found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// By which level.
    pub level: Level,
    /// What.
    pub fault: Fault,
    /// The record or file, by its key below the table root; the URL of a source object.
    pub place: String,
    /// The row group of the file, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_group: Option<usize>,
    /// The column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The page among the column's in the row group, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// The row of the row group, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// What is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

impl Finding {
    pub(super) fn new(level: Level, fault: Fault, place: impl Into<String>) -> Self {
        Self {
            level,
            fault,
            place: place.into(),
            row_group: None,
            column: None,
            page: None,
            row: None,
            expected: None,
            found: None,
            what: None,
        }
    }

    pub(super) fn differs(mut self, expected: impl ToString, found: impl ToString) -> Self {
        (self.expected, self.found) = (Some(expected.to_string()), Some(found.to_string()));
        self
    }

    pub(super) fn says(mut self, what: impl Into<String>) -> Self {
        self.what = Some(what.into());
        self
    }

    /// What an audit of records found.
    pub(super) fn of_records(fault: RecordFault) -> Self {
        let key = fault.key().unwrap_or("_flowquet").to_owned();
        let new = |fault| Self::new(Level::Records, fault, key.clone());
        match fault {
            RecordFault::Broken { invariant, what } => {
                new(Fault::RecordsBroken).says(format!("{invariant}: {what}"))
            }
            RecordFault::CommitGone { task, .. } => new(Fault::CommitGone).says(format!("task {task}")),
            RecordFault::Doubled { of, .. } => new(Fault::RecordDoubled).says(of),
            RecordFault::Edited { .. } => new(Fault::RecordEdited),
            RecordFault::Gone { .. } => new(Fault::RecordGone),
            RecordFault::Sums { read, written } => new(Fault::RecordsBroken).differs(read, written),
            RecordFault::Orphan { .. } => new(Fault::RecordOrphan),
            RecordFault::RejectsGone { rejects, .. } => new(Fault::RejectsGone).differs(rejects, 0),
            RecordFault::Unknown { .. } => new(Fault::RecordUnknown),
            RecordFault::Unreadable { what, .. } => new(Fault::RecordUnreadable).says(what),
        }
    }
}
