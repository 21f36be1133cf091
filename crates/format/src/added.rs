//! Columns that are added to those of a log format: what `[[column]]` entries of `schemas/fields.toml` describe.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::catalogue::{AddedSpec, Catalogue};
use crate::nearest::nearest;

/// How a column is computed from fields of its record. In the order of the field list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The name of the IP protocol.
    ProtocolName,
    /// What the source port is registered for.
    SrcServiceName,
    /// What the destination port is registered for.
    DstServiceName,
    /// The names of TCP flags.
    TcpFlagNames,
    /// Into the interface, or out of it.
    Direction,
    /// The path of outgoing traffic.
    TrafficPathName,
    /// The side that began the connection.
    Initiator,
    /// Whether an address of the interface stands for another one.
    IsNat,
    /// `start` as a timestamp.
    StartTime,
    /// `end` as a timestamp.
    EndTime,
    /// Seconds from `start` to `end`.
    DurationS,
    /// The scope of the source address.
    SrcScope,
    /// The scope of the destination address.
    DstScope,
}

/// What a column tells of where its record came from. In the order of the field list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// URL of its object.
    SourceObject,
    /// Its line in the object.
    SourceLine,
    /// The flow log, as the object's key tells it.
    FlowLogId,
    /// The account, as the object's key tells it.
    SourceAccount,
    /// The region, as the object's key tells it.
    SourceRegion,
    /// When the object was delivered, as its name tells it.
    DeliveredAt,
    /// When CloudWatch's event was that its line came in.
    EventTime,
}

/// A column that is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddedColumn {
    /// Computed from fields.
    Derived(Rule),
    /// Where the record came from.
    Provenance(Origin),
}

impl AddedColumn {
    /// All, in the order of the field list, which is the one that they have in files.
    pub const ALL: [Self; 20] = [
        Self::Derived(Rule::ProtocolName),
        Self::Derived(Rule::SrcServiceName),
        Self::Derived(Rule::DstServiceName),
        Self::Derived(Rule::TcpFlagNames),
        Self::Derived(Rule::Direction),
        Self::Derived(Rule::TrafficPathName),
        Self::Derived(Rule::Initiator),
        Self::Derived(Rule::IsNat),
        Self::Derived(Rule::StartTime),
        Self::Derived(Rule::EndTime),
        Self::Derived(Rule::DurationS),
        Self::Derived(Rule::SrcScope),
        Self::Derived(Rule::DstScope),
        Self::Provenance(Origin::SourceObject),
        Self::Provenance(Origin::SourceLine),
        Self::Provenance(Origin::FlowLogId),
        Self::Provenance(Origin::SourceAccount),
        Self::Provenance(Origin::SourceRegion),
        Self::Provenance(Origin::DeliveredAt),
        Self::Provenance(Origin::EventTime),
    ];

    /// Its name, in files and in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Derived(rule) => match rule {
                Rule::ProtocolName => "protocol_name",
                Rule::SrcServiceName => "src_service_name",
                Rule::DstServiceName => "dst_service_name",
                Rule::TcpFlagNames => "tcp_flag_names",
                Rule::Direction => "direction",
                Rule::TrafficPathName => "traffic_path_name",
                Rule::Initiator => "initiator",
                Rule::IsNat => "is_nat",
                Rule::StartTime => "start_time",
                Rule::EndTime => "end_time",
                Rule::DurationS => "duration_s",
                Rule::SrcScope => "src_scope",
                Rule::DstScope => "dst_scope",
            },
            Self::Provenance(origin) => match origin {
                Origin::SourceObject => "source_object",
                Origin::SourceLine => "source_line",
                Origin::FlowLogId => "flow_log_id",
                Origin::SourceAccount => "source_account",
                Origin::SourceRegion => "source_region",
                Origin::DeliveredAt => "delivered_at",
                Origin::EventTime => "event_time",
            },
        }
    }

    /// The column of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// What the field list says of it.
    pub fn spec(self) -> &'static AddedSpec {
        let spec = Catalogue::builtin().added().iter().find(|spec| spec.name == self.name());
        spec.expect("a test holds the field list to have each")
    }

    /// Whether it is computed from fields, so that its values tell nothing that others do not.
    pub fn is_derived(self) -> bool {
        matches!(self, Self::Derived(_))
    }

    /// Whether it may have values where the fields are kept of which `has` is true, by name; else it is null in all rows.
    pub fn can_tell(self, has: impl Fn(&str) -> bool) -> bool {
        let Self::Derived(rule) = self else { return true };
        let all = |names: &[&str]| names.iter().all(|name| has(name));
        let pairs = [["srcaddr", "pkt-srcaddr"], ["dstaddr", "pkt-dstaddr"]];
        match rule {
            Rule::Direction => has("flow-direction") || pairs.iter().all(|pair| all(pair)),
            Rule::Initiator => has("tcp-flags") || all(&["protocol", "srcport", "dstport"]),
            Rule::IsNat => pairs.iter().any(|pair| all(pair)),
            Rule::TcpFlagNames => has("tcp-flags"),
            _ => self.spec().from.iter().all(|name| has(name)),
        }
    }
}

/// The columns that are added to those of the fields, each once, in the order of the field list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AddedColumns(BTreeSet<AddedColumn>);

/// A name of no column that can be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedError(String);

impl fmt::Display for AddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = AddedColumn::ALL.map(AddedColumn::name);
        write!(f, "expected {}, found `{}`", known.join(", "), self.0)?;
        match nearest(&self.0, known) {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AddedError {}

impl AddedColumns {
    /// The columns of these names, spelt with `_` or `-`.
    ///
    /// # Errors
    /// [`AddedError`] where there is no such column.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, AddedError> {
        let named = |name: &str| {
            let column = name.trim().to_ascii_lowercase().replace('-', "_");
            AddedColumn::named(&column).ok_or(AddedError(column))
        };
        names.into_iter().map(named).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = AddedColumn> {
        self.0.iter().copied()
    }

    /// These and others.
    #[must_use]
    pub fn with(mut self, more: &Self) -> Self {
        self.0.extend(more.iter());
        self
    }

    /// Those that tell where a record came from.
    #[must_use]
    pub fn provenance(&self) -> Self {
        self.iter().filter(|column| !column.is_derived()).collect()
    }
}

impl FromIterator<AddedColumn> for AddedColumns {
    fn from_iter<I: IntoIterator<Item = AddedColumn>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

impl Serialize for AddedColumns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(AddedColumn::name))
    }
}

impl<'de> Deserialize<'de> for AddedColumns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        Self::of(names.iter().map(String::as_str)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_entry_of_the_field_list() {
        let entries: Vec<&str> = Catalogue::builtin().added().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(entries, AddedColumn::ALL.map(AddedColumn::name));
        assert!(AddedColumn::ALL.is_sorted());
        for column in AddedColumn::ALL {
            let spec = column.spec();
            assert_eq!(column.is_derived(), !spec.from.is_empty(), "{}", spec.name);
            assert!(Catalogue::builtin().field(&spec.name.replace('_', "-")).is_none(), "{}", spec.name);
            for field in &spec.from {
                assert!(Catalogue::builtin().field(field).is_some(), "{}: {field}", spec.name);
            }
            assert!(
                spec.doc.ends_with('.') && !spec.doc.contains([';', '\'', '"', '\\', '`']),
                "{}",
                spec.name
            );
            assert!(column.can_tell(|_| true));
            assert_eq!(column.can_tell(|_| false), !column.is_derived());
        }
    }

    #[test]
    fn names_are_checked() {
        let columns = AddedColumns::of(["start-time", " is_nat", "START_TIME"]).expect("known");
        assert_eq!(columns.iter().map(AddedColumn::name).collect::<Vec<_>>(), ["is_nat", "start_time"]);
        let error = AddedColumns::of(["protcol_name"]).expect_err("a slip").to_string();
        assert!(error.ends_with("found `protcol_name`; did you mean `protocol_name`?"), "{error}");
        let all = AddedColumns::from_iter(AddedColumn::ALL);
        assert_eq!(all.provenance().iter().count(), 7);
        assert_eq!(columns.clone().with(&all), all);
    }

    #[test]
    fn what_a_rule_needs() {
        let tells = |column: &str, fields: &[&str]| {
            AddedColumn::named(column).expect("known").can_tell(|field| fields.contains(&field))
        };
        for (column, fields, expected) in [
            ("direction", &["flow-direction"][..], true),
            ("direction", &["srcaddr", "pkt-srcaddr"], false),
            ("direction", &["srcaddr", "pkt-srcaddr", "dstaddr", "pkt-dstaddr"], true),
            ("is_nat", &["srcaddr", "pkt-srcaddr"], true),
            ("is_nat", &["srcaddr", "pkt-dstaddr"], false),
            ("initiator", &["tcp-flags"], true),
            ("initiator", &["protocol", "srcport"], false),
            ("initiator", &["protocol", "srcport", "dstport"], true),
            ("tcp_flag_names", &["tcp-flags"], true),
            ("dst_service_name", &["dstport"], false),
            ("duration_s", &["start"], false),
        ] {
            assert_eq!(tells(column, fields), expected, "{column} {fields:?}");
        }
    }
}
