//! Partition projection: partitions that Athena computes from table properties, and never has to be told of.
//!
//! Rules: docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html.

use flowquet_format::{LogKind, PartitionColumn, PartitionSpec};

/// The day from which flow logs exist: AWS announced them on 10 June 2015.
const FIRST_DATE: &str = "2015-06-10";

/// Values that are listed in a property; a table's metadata may take about 1 MB, and more accounts than this are better named
/// in each query.
const ENUM_VALUES_MAX: usize = 5_000;

/// What a table's partitions are known to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// The first date, `YYYY-MM-DD`; that of the first flow log ever where nothing is known.
    pub first_date: Option<String>,
    /// Accounts. Without any, each query must name one.
    pub accounts: Vec<String>,
    /// Regions. Without any, each query must name one.
    pub regions: Vec<String>,
}

impl Projection {
    pub(crate) fn properties(&self, by: &PartitionSpec, location: &str) -> Vec<(String, String)> {
        if by.columns().is_empty() {
            return Vec::new();
        }
        let mut properties = vec![("projection.enabled".to_owned(), "true".to_owned())];
        let mut folders = String::new();
        for column in by.columns() {
            let name = column.name();
            let mut set = |key: &str, value: &str| {
                properties.push((format!("projection.{name}.{key}"), value.to_owned()))
            };
            let mut listed = |values: &[String]| {
                if values.is_empty() || values.len() > ENUM_VALUES_MAX {
                    set("type", "injected");
                } else {
                    set("type", "enum");
                    set("values", &values.join(","));
                }
            };
            match column {
                PartitionColumn::Account => listed(&self.accounts),
                PartitionColumn::Region => listed(&self.regions),
                PartitionColumn::Log => listed(&LogKind::ALL.map(|kind| kind.name().to_owned())),
                PartitionColumn::Date => {
                    set("type", "date");
                    set("format", "yyyy-MM-dd");
                    set("range", &format!("{},NOW", self.first_date.as_deref().unwrap_or(FIRST_DATE)));
                }
                PartitionColumn::Hour => {
                    set("type", "integer");
                    set("range", "0,23");
                    set("digits", "2");
                }
            }
            folders.push_str(&format!("{name}=${{{name}}}/"));
        }
        properties.push(("storage.location.template".to_owned(), format!("{location}{folders}")));
        properties
    }
}
