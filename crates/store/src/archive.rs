//! Objects that lie in an archive: whether they can be read, and how to ask that they be restored.

use std::fmt;
use std::str::FromStr;

/// The class of an object, as far as it tells whether the object can be read as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StorageClass {
    /// Any class whose objects are read at once, Glacier Instant Retrieval among them.
    #[default]
    Open,
    /// Glacier Flexible Retrieval.
    Flexible,
    /// Glacier Deep Archive.
    Deep,
    /// Intelligent-Tiering, whose archive tiers a listing does not tell from the others.
    Tiering,
}

impl StorageClass {
    /// By S3's word for it.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "GLACIER" => Self::Flexible,
            "DEEP_ARCHIVE" => Self::Deep,
            "INTELLIGENT_TIERING" => Self::Tiering,
            _ => Self::Open,
        }
    }

    /// S3's word for it; of those that are read at once no word tells them apart here.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Flexible => "GLACIER",
            Self::Deep => "DEEP_ARCHIVE",
            Self::Tiering => "INTELLIGENT_TIERING",
        }
    }

    /// Whether its objects can be read only once they are restored.
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Deep | Self::Flexible)
    }
}

/// Where in an archive an object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArchiveTier {
    /// Glacier Flexible Retrieval.
    Flexible,
    /// Glacier Deep Archive.
    Deep,
    /// Archive Access of Intelligent-Tiering.
    TieringAccess,
    /// Deep Archive Access of Intelligent-Tiering.
    TieringDeep,
}

impl ArchiveTier {
    /// S3's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flexible => "GLACIER",
            Self::Deep => "DEEP_ARCHIVE",
            Self::TieringAccess => "ARCHIVE_ACCESS",
            Self::TieringDeep => "DEEP_ARCHIVE_ACCESS",
        }
    }

    /// Whether a copy is restored for some days, beside the object; in Intelligent-Tiering the object itself moves to a tier that is read at
    /// once, and stays there for as long as it is read.
    pub fn is_copied(self) -> bool {
        matches!(self, Self::Deep | Self::Flexible)
    }

    /// Whether S3 retrieves objects of it so.
    ///
    /// Source: docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html.
    pub fn offers(self, retrieval: Retrieval) -> bool {
        retrieval != Retrieval::Expedited || matches!(self, Self::Flexible | Self::TieringAccess)
    }
}

/// How far the restoring of an archived object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Restoration {
    /// Nobody has asked for it, or the restored copy has expired.
    Archived,
    /// It is being restored.
    Ongoing,
    /// It can be read, for as long as the copy is kept.
    Restored,
}

impl Restoration {
    /// What the header `x-amz-restore` tells; S3 sends none for an object that nobody has asked for.
    pub(crate) fn of(header: Option<&str>) -> Self {
        match header {
            Some(text) if text.contains("ongoing-request=\"true\"") => Self::Ongoing,
            Some(text) if text.contains("ongoing-request=\"false\"") => Self::Restored,
            _ => Self::Archived,
        }
    }
}

/// An object that lies in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Where.
    pub tier: ArchiveTier,
    /// Whether it is restored.
    pub restoration: Restoration,
}

/// How fast an object is to be restored, and at what price: S3's retrieval options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retrieval {
    /// In 5 to 48 hours, at the lowest price.
    Bulk,
    /// In 3 to 12 hours.
    Standard,
    /// In minutes, at the highest price; not from deep archives.
    Expedited,
}

impl Retrieval {
    /// All of them, the slowest first.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::Standard, Self::Expedited];

    /// Its word on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Standard => "standard",
            Self::Expedited => "expedited",
        }
    }
}

impl FromStr for Retrieval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|retrieval| retrieval.name() == text);
        found.ok_or_else(|| format!("expected bulk, standard or expedited, found `{text}`"))
    }
}

impl fmt::Display for Retrieval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked for an archived object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreRequest {
    /// How fast.
    pub retrieval: Retrieval,
    /// Days that a restored copy is kept; `None` where none is made ([`ArchiveTier::is_copied`]).
    pub days: Option<u16>,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It will be restored.
    Requested,
    /// Somebody had asked before.
    Ongoing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_how_far_it_is() {
        for (header, expected) in [
            (None, Restoration::Archived),
            (Some("ongoing-request=\"true\""), Restoration::Ongoing),
            (
                Some("ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\""),
                Restoration::Restored,
            ),
            (Some("?"), Restoration::Archived),
        ] {
            assert_eq!(Restoration::of(header), expected, "{header:?}");
        }
    }

    #[test]
    fn words() {
        for retrieval in Retrieval::ALL {
            assert_eq!(retrieval.to_string().parse(), Ok(retrieval));
        }
        "Bulk".parse::<Retrieval>().expect_err("S3's spelling is not ours");
        let archives = ["GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING", "GLACIER_IR", "STANDARD"];
        let found = archives.map(|word| StorageClass::of(word).is_archive());
        assert_eq!(found, [true, true, false, false, false]);
        assert!(!ArchiveTier::Deep.offers(Retrieval::Expedited) && ArchiveTier::Deep.offers(Retrieval::Bulk));
    }
}
