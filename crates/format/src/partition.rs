//! Partitions: which folder of the table a record belongs to.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::LogKind;
use crate::hive::hive_folder;
use crate::object_key::ObjectKey;
use crate::time::{DAY_S, HOUR_S, TIME_MAX_S, TIME_MIN_S, TimeSlot};

/// A column of the table that is written as a folder name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionColumn {
    /// Account in the object's key.
    Account,
    /// UTC date of the record.
    Date,
    /// UTC hour of the record, 00 to 23.
    Hour,
    /// Kind of the flow log, by the fields of its format: `vpc` or `tgw`.
    Log,
    /// Region of the record, or in the object's key.
    Region,
}

impl PartitionColumn {
    const ALL: [Self; 5] = [Self::Account, Self::Region, Self::Log, Self::Date, Self::Hour];

    /// Name of the column, as in the folder `date=2019-08-20`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Date => "date",
            Self::Hour => "hour",
            Self::Log => "log",
            Self::Region => "region",
        }
    }
}

/// Longest region of a record that names a folder, in bytes. AWS's have some fifteen; with three for each, where they are escaped, a disk still takes
/// the name.
const REGION_BYTES_MAX: usize = 64;

/// The region that a record names, as its folder can be called: none of `-`, of what is longer than any region, or holds control characters, which
/// keys of files may not have.
pub fn folder_region(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok().filter(|v| !v.is_empty() && *v != "-")?;
    (value.len() <= REGION_BYTES_MAX && !value.contains(char::is_control)).then_some(value)
}

/// Which time of a record chooses its date and hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTime {
    /// The field `end`.
    End,
    /// The field `start`.
    Start,
}

impl PartitionTime {
    /// The field's name.
    pub fn field(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Start => "start",
        }
    }
}

impl fmt::Display for PartitionTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.field())
    }
}

impl FromStr for PartitionTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::End, Self::Start]
            .into_iter()
            .find(|t| t.field() == text)
            .ok_or_else(|| format!("expected start or end, found `{text}`"))
    }
}

/// The partition columns of a table, in folder order. Each at most once; `hour` only with `date`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSpec {
    columns: Vec<PartitionColumn>,
}

/// Why a text is no list of partition columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionSpecError {
    /// `hour` without `date` would mix the hours of all days.
    HourWithoutDate,
    /// A column is named twice.
    Repeated(String),
    /// A word is no partition column.
    Unknown(String),
}

impl fmt::Display for PartitionSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HourWithoutDate => f.write_str("expected `date` beside `hour`, found `hour` alone"),
            Self::Repeated(word) => write!(f, "expected each partition column once, found `{word}` again"),
            Self::Unknown(word) => {
                write!(
                    f,
                    "expected `account`, `region`, `log`, `date` or `hour`, comma-separated, or `none`, found `{word}`"
                )
            }
        }
    }
}

impl std::error::Error for PartitionSpecError {}

impl FromStr for PartitionSpec {
    type Err = PartitionSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut columns = Vec::new();
        if text.trim() != "none" {
            for word in text.split(',').map(str::trim) {
                let column = PartitionColumn::ALL.into_iter().find(|c| c.name() == word);
                let column = column.ok_or_else(|| PartitionSpecError::Unknown(word.to_owned()))?;
                if columns.contains(&column) {
                    return Err(PartitionSpecError::Repeated(word.to_owned()));
                }
                columns.push(column);
            }
        }
        if columns.contains(&PartitionColumn::Hour) && !columns.contains(&PartitionColumn::Date) {
            return Err(PartitionSpecError::HourWithoutDate);
        }
        Ok(Self { columns })
    }
}

impl fmt::Display for PartitionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.columns.iter().map(|c| c.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl PartitionSpec {
    /// With a folder for each kind of flow log, before all others unless there is one already.
    #[must_use]
    pub fn split(mut self) -> Self {
        if !self.contains(PartitionColumn::Log) {
            self.columns.insert(0, PartitionColumn::Log);
        }
        self
    }

    /// Without folders for kinds of flow logs.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.columns.retain(|c| *c != PartitionColumn::Log);
        self
    }

    /// By date alone.
    pub fn date() -> Self {
        Self { columns: vec![PartitionColumn::Date] }
    }

    /// The columns in folder order.
    pub fn columns(&self) -> &[PartitionColumn] {
        &self.columns
    }

    /// Whether `column` is one of them.
    pub fn contains(&self, column: PartitionColumn) -> bool {
        self.columns.contains(&column)
    }

    /// The slot that a record time of `unix_s` falls into, or `None` where it is outside 2000 to 2100.
    ///
    /// Without a time column all records share [`TimeSlot::NULL`].
    #[inline]
    pub fn slot(&self, unix_s: i64) -> Option<TimeSlot> {
        if !(TIME_MIN_S..TIME_MAX_S).contains(&unix_s) {
            return None;
        }
        Some(TimeSlot::at(unix_s - unix_s.rem_euclid(self.slot_s()?)))
    }

    /// Seconds of one slot; `None` where no column is a time.
    #[inline]
    pub fn slot_s(&self) -> Option<i64> {
        if self.contains(PartitionColumn::Hour) {
            Some(HOUR_S)
        } else {
            self.contains(PartitionColumn::Date).then_some(DAY_S)
        }
    }

    /// The slot of records that have no time of their own: the delivery time in the object's key, else null.
    pub fn delivery_slot(&self, key: &ObjectKey) -> TimeSlot {
        let Some(delivery) = key.delivery else { return TimeSlot::NULL };
        match self.slot(delivery.unix_s) {
            Some(slot) if delivery.has_hour || !self.contains(PartitionColumn::Hour) => slot,
            // The day is known and the hour is not: a date with a null hour.
            Some(slot) => slot.without_hour(),
            None => TimeSlot::NULL,
        }
    }

    /// The partition's folder, such as `date=2019-08-20` or `account=123456789012/date=2019-08-20/hour=05`.
    ///
    /// Empty where there are no partition columns; each unknown value is [`crate::HIVE_NULL`].
    pub fn folder(&self, key: &ObjectKey, region: Option<&str>, kind: LogKind, slot: TimeSlot) -> String {
        self.folder_of(key, region, Some(kind), slot)
    }

    /// The folder of an object's delivery, as far as its key tells: the kind of its flow log is left out.
    pub fn delivery_folder(&self, key: &ObjectKey) -> String {
        self.folder_of(key, key.region.as_deref(), None, self.delivery_slot(key))
    }

    /// The folders to which records of an object's delivery belong: one, or one of each kind of flow log.
    pub fn delivery_folders(&self, key: &ObjectKey) -> impl Iterator<Item = String> {
        let kinds = if self.contains(PartitionColumn::Log) { &LogKind::ALL[..] } else { &LogKind::ALL[..1] };
        let slot = self.delivery_slot(key);
        kinds.iter().map(move |kind| self.folder(key, key.region.as_deref(), *kind, slot))
    }

    fn folder_of(
        &self,
        key: &ObjectKey,
        region: Option<&str>,
        kind: Option<LogKind>,
        slot: TimeSlot,
    ) -> String {
        let mut parts = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let value = match column {
                PartitionColumn::Account => key.account.clone(),
                PartitionColumn::Region => region.map(str::to_owned),
                PartitionColumn::Date => slot.date(),
                PartitionColumn::Hour => slot.hour(),
                PartitionColumn::Log => match kind {
                    Some(kind) => Some(kind.name().to_owned()),
                    None => continue,
                },
            };
            parts.push(hive_folder(column.name(), value.as_deref()));
        }
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2019/08/20/x.log.gz";

    #[track_caller]
    fn check(spec: &str, key: &str, unix_s: Option<i64>, expected: &str) {
        let spec: PartitionSpec = spec.parse().expect("valid");
        let key = ObjectKey::parse(key);
        let slot = unix_s.and_then(|t| spec.slot(t)).unwrap_or_else(|| spec.delivery_slot(&key));
        assert_eq!(spec.folder(&key, key.region.as_deref(), LogKind::Tgw, slot), expected);
    }

    #[test]
    fn folders() {
        let t = Some(1_566_328_660);
        check("date", "x", t, "date=2019-08-20");
        check("date", "x", Some(1_566_259_199), "date=2019-08-19");
        check("date", "x", Some(1_566_259_200), "date=2019-08-20");
        check("date,hour", "x", t, "date=2019-08-20/hour=19");
        check("account,region,date", KEY, t, "account=123456789012/region=us-east-1/date=2019-08-20");
        check("account,date", "x", t, "account=__HIVE_DEFAULT_PARTITION__/date=2019-08-20");
        check("none", KEY, t, "");
        check("log,date", KEY, t, "log=tgw/date=2019-08-20");
        check("region,log", KEY, t, "region=us-east-1/log=tgw");
        check("region", KEY, None, "region=us-east-1");
        check("date", KEY, None, "date=2019-08-20");
        check("date,hour", KEY, None, "date=2019-08-20/hour=__HIVE_DEFAULT_PARTITION__");
        check("date", "x", None, "date=__HIVE_DEFAULT_PARTITION__");
        check("date", "x", Some(1_566_328_660_000), "date=__HIVE_DEFAULT_PARTITION__");
        check("date", KEY, Some(156_632_866), "date=2019-08-20");
    }

    #[test]
    fn regions_of_records() {
        let key = ObjectKey::parse(KEY);
        let spec: PartitionSpec = "region".parse().expect("valid");
        let folder = |value: &[u8]| {
            let region = folder_region(value).or(key.region.as_deref());
            spec.folder(&key, region, LogKind::Vpc, TimeSlot::NULL)
        };
        let long = "x".repeat(REGION_BYTES_MAX + 1);
        for (value, expected) in [
            (&b"eu-west-1"[..], "region=eu-west-1"),
            (b"a/../b c", "region=a%2F..%2Fb c"),
            (b"-", "region=us-east-1"),
            (b"", "region=us-east-1"),
            (b"a\xff", "region=us-east-1"),
            ("a\u{85}".as_bytes(), "region=us-east-1"),
            (long.as_bytes(), "region=us-east-1"),
        ] {
            assert_eq!(folder(value), expected);
        }
    }

    #[test]
    fn folders_of_deliveries() {
        let key = ObjectKey::parse(KEY);
        let check = |spec: PartitionSpec, group: &str, all: &[&str]| {
            assert_eq!(spec.delivery_folder(&key), group);
            assert_eq!(spec.delivery_folders(&key).collect::<Vec<_>>(), all);
        };
        let date = PartitionSpec::date;
        check(date(), "date=2019-08-20", &["date=2019-08-20"]);
        check(date().split(), "date=2019-08-20", &["log=tgw/date=2019-08-20", "log=vpc/date=2019-08-20"]);
        assert_eq!(date().split().split(), "log,date".parse().expect("valid"), "once");
        assert_eq!(date().split().joined(), date());
    }

    #[test]
    fn specs() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<PartitionSpec>().expect_err("invalid").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("day", "found `day`");
        check("date,date", "found `date` again");
        check("hour", "found `hour` alone");
        check("", "found ``");
        assert_eq!(
            "account, region,date".parse::<PartitionSpec>().expect("valid").to_string(),
            "account,region,date"
        );
    }
}
