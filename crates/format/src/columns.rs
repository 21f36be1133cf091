//! The columns that a log format becomes: AWS's own types, or richer ones.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::added::{AddedColumn, AddedColumns};
use crate::catalogue::{ColumnType, FieldKind};
use crate::derived::parsed_address;
use crate::enriched::{EnrichedColumn, Enrichments};
use crate::log_format::{Field, LogFormat};

/// What follows a column's name in that of its twin of [`ColumnType::Address`].
pub const TWIN_SUFFIX: &str = "_bin";

/// Bytes of a value of [`ColumnType::Address`].
pub const ADDRESS_BYTES: usize = 16;

/// Which types a table's columns have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Types {
    /// Those of AWS's own Parquet delivery, so that its files and ours stand in one table.
    #[default]
    Aws,
    /// As [`Self::Aws`], but times are timestamps, and each address column has a twin that compares as addresses do.
    Rich,
}

impl Types {
    /// As options, records and the table contract spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Rich => "rich",
        }
    }

    /// The type of the column that `field` becomes.
    pub fn column_type(self, field: &Field) -> ColumnType {
        let is_time = field.spec().is_some_and(|s| s.kind == FieldKind::Time);
        match (self, field.column_type()) {
            (Self::Rich, ColumnType::Int64) if is_time => ColumnType::TimestampMs,
            (_, as_delivered) => as_delivered,
        }
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Aws, Self::Rich]
            .into_iter()
            .find(|t| t.name() == text)
            .ok_or_else(|| format!("expected aws or rich, found `{text}`"))
    }
}

/// Where the values of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSource {
    /// The field at this position in the log format.
    Field(usize),
    /// The address field at this position, as [`ColumnType::Address`].
    Twin(usize),
    /// Fields, by a rule; or the place that the record was read from.
    Added(AddedColumn),
    /// What a file of others says of an address or interface of the record.
    Enriched(EnrichedColumn),
}

/// A column that a log format becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatColumn {
    /// Where its values come from.
    pub source: ColumnSource,
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
}

impl FormatColumn {
    /// The position in the log format of the field that it is, or whose twin it is.
    pub fn field(&self) -> Option<usize> {
        match self.source {
            ColumnSource::Field(field) | ColumnSource::Twin(field) => Some(field),
            ColumnSource::Added(_) | ColumnSource::Enriched(_) => None,
        }
    }

    /// Whether its values are made of those of other columns of the row and of what is the same for all rows, so that it tells nothing more: digests
    /// leave it out.
    pub fn is_made_of_others(&self) -> bool {
        match self.source {
            ColumnSource::Field(_) => false,
            ColumnSource::Twin(_) | ColumnSource::Enriched(_) => true,
            ColumnSource::Added(column) => column.is_derived(),
        }
    }
}

impl LogFormat {
    /// The columns of this format: its fields in order, then with [`Types::Rich`] the twins of its address columns, unless a
    /// field has taken such a name.
    pub fn columns(&self, types: Types) -> Vec<FormatColumn> {
        columns_of(self.fields(), types)
    }
}

/// The columns that `fields` become, as [`LogFormat::columns`] has them.
pub fn columns_of(fields: &[Field], types: Types) -> Vec<FormatColumn> {
    let fields = || fields.iter().enumerate();
    let mut columns: Vec<FormatColumn> = fields()
        .map(|(i, f)| FormatColumn {
            source: ColumnSource::Field(i),
            name: f.column().to_owned(),
            column_type: types.column_type(f),
        })
        .collect();
    if types == Types::Rich {
        for (field, f) in fields().filter(|(_, f)| f.is_address()) {
            let name = format!("{}{TWIN_SUFFIX}", f.column());
            if columns.iter().all(|c| c.name != name) {
                columns.push(FormatColumn {
                    source: ColumnSource::Twin(field),
                    name,
                    column_type: ColumnType::Address,
                });
            }
        }
    }
    columns
}

/// The columns of `added` that stand behind `columns` of fields and twins: but for names that one of these has.
pub fn added_columns(columns: &[FormatColumn], added: &AddedColumns) -> Vec<FormatColumn> {
    let column = |column: AddedColumn| FormatColumn {
        source: ColumnSource::Added(column),
        name: column.name().to_owned(),
        column_type: column.spec().parquet,
    };
    let is_free = |column: &AddedColumn| columns.iter().all(|c| c.name != column.name());
    added.iter().filter(is_free).map(column).collect()
}

/// The columns of `enrichments` that stand behind `columns`: but for names that one of these has.
pub fn enriched_columns(columns: &[FormatColumn], enrichments: &Enrichments) -> Vec<FormatColumn> {
    let column = |column: EnrichedColumn| FormatColumn {
        source: ColumnSource::Enriched(column),
        name: enrichments.name_of(column),
        column_type: ColumnType::String,
    };
    let is_free = |column: &FormatColumn| columns.iter().all(|c| c.name != column.name);
    enrichments.columns().map(column).filter(is_free).collect()
}

/// The bytes of the twin of an address, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2); `None` of a text that is none.
pub fn address_bytes(text: &str) -> Option<[u8; ADDRESS_BYTES]> {
    parsed_address(text).map(|address| match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    #[test]
    fn rich_columns() {
        let format =
            LogFormat::parse("${srcaddr} ${start} ${x} ${pkt-dstaddr} ${bytes}", Catalogue::builtin());
        let format = format.expect("valid");
        let columns = |types| {
            let columns = format.columns(types);
            columns
                .iter()
                .map(|c| format!("{} {} {}", c.field().expect("none is added"), c.name, c.column_type))
                .collect::<Vec<_>>()
        };
        let aws =
            ["0 srcaddr STRING", "1 start INT64", "2 x STRING", "3 pkt_dstaddr STRING", "4 bytes INT64"];
        assert_eq!(columns(Types::Aws), aws);
        let mut rich = aws.map(str::to_owned).to_vec();
        rich[1] = "1 start TIMESTAMP".into();
        rich.extend(["0 srcaddr_bin ADDRESS".into(), "3 pkt_dstaddr_bin ADDRESS".into()]);
        assert_eq!(columns(Types::Rich), rich);
        assert!("x".parse::<Types>().is_err());
        assert_eq!("rich".parse(), Ok(Types::Rich));
    }

    #[test]
    fn added_columns_give_way_to_fields() {
        let format = LogFormat::parse("${start} ${is-nat}", Catalogue::builtin()).expect("valid");
        let added = AddedColumns::of(["source_line", "is_nat", "start_time"]).expect("known");
        let columns = added_columns(&format.columns(Types::Aws), &added);
        let told: Vec<_> =
            columns.iter().map(|c| (c.name.as_str(), c.is_made_of_others(), c.field())).collect();
        assert_eq!(told, [("start_time", true, None), ("source_line", false, None)]);
    }

    #[test]
    fn bytes_compare_as_addresses() {
        let ordered =
            ["::1", "9.255.255.255", "10.0.0.0", "10.0.0.2", "10.0.0.10", "100.0.0.0", "2001:db8::"];
        assert!(ordered.map(|text| address_bytes(text).expect("an address")).is_sorted());
        assert_eq!(address_bytes("10.0.0.x"), None);
    }
}
