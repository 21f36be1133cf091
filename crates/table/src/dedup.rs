//! Which rows of a partition are one and the same, and what records keep of those that a compaction left out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Which rows of a partition are duplicates of each other. Nulls are equal to nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dedup {
    /// Those that are equal in all columns of fields, which come from the line. Where a record was read from does not count.
    Exact,
    /// Those that are equal in interface, addresses, ports, protocol, start and end. Whatever [`Self::Exact`] finds equal is equal
    /// so, too.
    Flow,
}

/// Columns that tell the interface: a flow has one of them.
const INTERFACES: [&str; 2] = ["interface_id", "tgw_attachment_id"];

/// Columns that tell the flow apart from its interface.
const FLOW: [&str; 7] = ["srcaddr", "dstaddr", "srcport", "dstport", "protocol", "start", "end"];

impl Dedup {
    /// Whether a column of a field is one of those that rows are compared by.
    pub fn compares(self, column: &str) -> bool {
        match self {
            Self::Exact => true,
            Self::Flow => INTERFACES.contains(&column) || FLOW.contains(&column),
        }
    }

    /// The columns that rows cannot be compared without and that are not there, where `has` tells which are. Any of those that are
    /// divided by `or` would do.
    pub fn missing(self, has: impl Fn(&str) -> bool) -> Vec<String> {
        if self == Self::Exact {
            return Vec::new();
        }
        let mut missing: Vec<String> =
            FLOW.into_iter().filter(|column| !has(column)).map(str::to_owned).collect();
        if !INTERFACES.into_iter().any(has) {
            missing.insert(0, INTERFACES.join(" or "));
        }
        missing
    }
}

impl fmt::Display for Dedup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Flow => "flow",
        })
    }
}

impl FromStr for Dedup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "flow" => Ok(Self::Flow),
            _ => Err(format!("expected exact or flow, found `{text}`")),
        }
    }
}

/// Rows that a compaction left out, since they are duplicates of rows that it kept. They stay accounted for: the rows of tasks are
/// those of files and these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    /// How many.
    pub rows: u64,
    /// Their digest.
    pub digest: Digest,
}

impl Duplicates {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, digest: self.digest.with(other.digest) }
    }

    /// All of these.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_needs_its_columns() {
        let missing = |text: &str| {
            let columns: Vec<&str> = text.split(' ').collect();
            Dedup::Flow.missing(|column| columns.contains(&column)).join(", ")
        };
        let flow = "srcaddr dstaddr srcport dstport protocol start end";
        assert_eq!(missing(flow), "interface_id or tgw_attachment_id");
        assert_eq!(missing(&format!("{flow} interface_id")), "");
        assert_eq!(missing(&format!("{flow} tgw_attachment_id bytes")), "");
        assert_eq!(missing("interface_id srcaddr dstaddr protocol start"), "srcport, dstport, end");
        assert!(Dedup::Exact.missing(|_| false).is_empty());
        assert!(Dedup::Exact.compares("bytes") && !Dedup::Flow.compares("bytes"));
    }
}
