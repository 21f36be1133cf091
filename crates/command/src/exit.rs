//! Exit codes.

use std::process::ExitCode;

/// What the program tells its caller. The numbers are part of the interface; docs/OPTIONS.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all is done; every object is in the table.
    Success,
    /// 1: the run could not begin, or an error stopped it. What is committed stays; run again to go on.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: more rejects than `--max-rejects` allows.
    TooManyRejects,
    /// 4: finished, but some objects are not in the table as they are: unreadable, changed since, or set aside.
    ObjectsLeft,
    /// 5: files of the table are lost, damaged or foreign.
    FilesDamaged,
    /// 6: records of the table were edited or are lost.
    RecordsDamaged,
    /// 7: raw logs are not what the table holds of them.
    SourcesDiffer,
    /// 75: a service did not answer, or not often enough. The same command may succeed a little later: what sysexits.h calls
    /// `EX_TEMPFAIL`, for schedulers that try again by exit code.
    Unavailable,
    /// 130: stopped by Ctrl-C or SIGTERM. Run again to go on.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TooManyRejects => 3,
            Self::ObjectsLeft => 4,
            Self::FilesDamaged => 5,
            Self::RecordsDamaged => 6,
            Self::SourcesDiffer => 7,
            Self::Unavailable => 75,
            Self::Interrupted => 130,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::TooManyRejects => "too-many-rejects",
            Self::ObjectsLeft => "objects-left",
            Self::FilesDamaged => "files-damaged",
            Self::RecordsDamaged => "records-damaged",
            Self::SourcesDiffer => "sources-differ",
            Self::Unavailable => "unavailable",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
