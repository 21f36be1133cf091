//! Which records are looked at: of files, row groups and rows.

use std::ops::RangeInclusive;

use flowquet_format::{
    ADDRESS_BYTES, LogFormat, Network, TIME_MAX_S, TIME_MIN_S, TWIN_SUFFIX, address_bytes, seconds_of,
};
use flowquet_parquet::{CheckedFile, ColumnValues, GroupBounds, TextValues};
use flowquet_table::{LiveFile, TableState};

use super::values::Columns;
use crate::error::Error;

/// Which records are wanted: those that pass all that is asked for. A record without a value passes nothing that asks for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// First second of the time that the table is partitioned by.
    pub since_s: Option<i64>,
    /// The second after the last.
    pub until_s: Option<i64>,
    /// Actions, as logged.
    pub actions: Vec<String>,
    /// Destination ports.
    pub ports: Vec<RangeInclusive<i64>>,
    /// Protocols, by IANA's numbers.
    pub protocols: Vec<i64>,
    /// Where flows come from.
    pub sources: Vec<Network>,
    /// Where they go.
    pub targets: Vec<Network>,
}

impl RecordFilter {
    /// The columns that it looks at, where the table is partitioned by `time`.
    pub(super) fn columns(&self, time: &'static str) -> Vec<&'static str> {
        self.asked(time).map(|(_, column)| column).collect()
    }

    /// What is asked for, as options spell it, with the column that it is asked of.
    fn asked(&self, time: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            (self.since_s.is_some(), "since", time),
            (self.since_s.is_none() && self.until_s.is_some(), "until", time),
            (!self.actions.is_empty(), "action", "action"),
            (!self.ports.is_empty(), "port", "dstport"),
            (!self.protocols.is_empty(), "protocol", "protocol"),
            (!self.sources.is_empty(), "src", "srcaddr"),
            (!self.targets.is_empty(), "dst", "dstaddr"),
        ];
        all.into_iter().filter(|(is_asked, ..)| *is_asked).map(|(_, option, column)| (option, column))
    }

    /// Checks that what is asked for can be answered: some file has each column.
    ///
    /// # Errors
    /// [`Error::NoColumn`]; [`Error::Options`].
    pub(super) fn check(&self, state: &TableState) -> Result<(), Error> {
        let formats = state.files().formats()?;
        let mut missing: Vec<_> = self.asked(state.contract().partition_time.field()).collect();
        for (format, options) in &formats {
            let parsed =
                LogFormat::parse(format, options.catalogue()).map_err(|e| Error::Options(e.to_string()))?;
            let columns = options.columns_of(&parsed);
            missing.retain(|(_, asked)| !columns.iter().any(|column| column.name == *asked));
        }
        match missing.first().filter(|_| !formats.is_empty()) {
            None => Ok(()),
            Some(&(option, column)) => {
                let formats = formats.into_iter().map(|(format, _)| format).collect();
                Err(Error::NoColumn { option, column: column.to_owned(), formats })
            }
        }
    }

    fn asks_time(&self) -> bool {
        self.since_s.is_some() || self.until_s.is_some()
    }

    /// Seconds that are wanted. Numbers outside 2000 to 2100 are no times.
    fn times(&self) -> std::ops::Range<i64> {
        self.since_s.unwrap_or(i64::MIN).max(TIME_MIN_S)..self.until_s.unwrap_or(i64::MAX).min(TIME_MAX_S)
    }

    /// Whether a file may have records that are wanted, as far as its record tells.
    pub(super) fn may_be_in_file(&self, file: &LiveFile) -> bool {
        let Some(time) = file.output.time.as_ref().filter(|_| self.asks_time()) else { return true };
        let (Some(min), Some(max)) = (seconds_of(&time.min), seconds_of(&time.max)) else { return true };
        self.may_be_between(min, max)
    }

    /// Whether a record may be wanted whose time is one of these; or is left out for being no time, which is told.
    fn may_be_between(&self, min: i64, max: i64) -> bool {
        let wanted = self.times();
        min < wanted.end && max >= wanted.start || min < TIME_MIN_S || max >= TIME_MAX_S
    }

    /// Whether a row group may have records that are wanted, as far as statistics tell.
    pub(super) fn may_be_in_group(&self, file: &CheckedFile, group: usize, time: &'static str) -> bool {
        self.columns(time).into_iter().all(|column| self.may_be_in_column(file, group, column, time))
    }

    fn may_be_in_column(&self, file: &CheckedFile, group: usize, column: &str, time: &str) -> bool {
        // Records without a time are left out, and told.
        let Some(is_time_ms) = file.is_time(column) else { return column == time };
        let bounds = file.group_bounds(group, column);
        match (column, bounds) {
            (_, Some(GroupBounds::Nulls)) if column == time => true,
            (_, Some(GroupBounds::Nulls)) => false,
            (_, Some(GroupBounds::Integers(min, max))) if column == time => {
                let seconds = |number: i64| if is_time_ms { number.div_euclid(1000) } else { number };
                self.may_be_between(seconds(min), seconds(max))
            }
            ("dstport", Some(GroupBounds::Integers(min, max))) => {
                self.ports.iter().any(|ports| *ports.start() <= max && min <= *ports.end())
            }
            ("protocol", Some(GroupBounds::Integers(min, max))) => {
                self.protocols.iter().any(|protocol| (min..=max).contains(protocol))
            }
            ("action", Some(GroupBounds::Texts(min, max))) => {
                self.actions.iter().any(|a| *min <= *a.as_bytes() && *a.as_bytes() <= *max)
            }
            ("srcaddr", _) => may_be_in_twin(file, group, column, &self.sources),
            ("dstaddr", _) => may_be_in_twin(file, group, column, &self.targets),
            _ => true,
        }
    }

    /// Which rows are left out since they have no time, where one is asked for, and would be wanted otherwise; `None` for none.
    pub(super) fn timeless(&self, columns: &Columns, time: &'static str) -> Option<Vec<bool>> {
        if !self.asks_time() {
            return None;
        }
        let times = columns.times(time);
        let has_time = |row: usize| times.as_ref().is_some_and(|times| times(row).is_some());
        let mut rows: Vec<bool> = (0..columns.rows).map(|row| !has_time(row)).collect();
        if !rows.contains(&true) {
            return None;
        }
        let others = Self { since_s: None, until_s: None, ..self.clone() };
        if let Some(wanted) = others.rows(columns, time) {
            rows.iter_mut().zip(wanted).for_each(|(row, wanted)| *row &= wanted);
        }
        Some(rows)
    }

    /// Which rows are wanted; `None` for all.
    pub(super) fn rows(&self, columns: &Columns, time: &'static str) -> Option<Vec<bool>> {
        let asked = self.columns(time);
        if asked.is_empty() {
            return None;
        }
        let mut wanted = vec![true; columns.rows];
        for name in asked {
            match columns.get(name) {
                Some(values @ ColumnValues::Integers { .. }) if name == time => {
                    let times = self.times();
                    keep_numbers(values, &mut wanted, |second| times.contains(&second));
                }
                Some(values @ ColumnValues::Integers { .. }) if name == "dstport" => {
                    keep_numbers(values, &mut wanted, |port| self.ports.iter().any(|p| p.contains(&port)));
                }
                Some(values @ ColumnValues::Integers { .. }) => {
                    keep_numbers(values, &mut wanted, |number| self.protocols.contains(&number));
                }
                Some(ColumnValues::Text(text)) => match name {
                    "action" => keep_texts(text, &mut wanted, |value| {
                        self.actions.iter().any(|action| action.as_bytes() == value)
                    }),
                    "srcaddr" => keep_texts(text, &mut wanted, |value| is_in(value, &self.sources)),
                    _ => keep_texts(text, &mut wanted, |value| is_in(value, &self.targets)),
                },
                None => wanted.fill(false),
            }
        }
        Some(wanted)
    }
}

/// By the bounds of the column of addresses as bytes, if the file has one. Those of text do not tell: `9.0.0.0` comes after `10.0.0.0`.
fn may_be_in_twin(file: &CheckedFile, group: usize, column: &str, networks: &[Network]) -> bool {
    let Some(GroupBounds::Texts(min, max)) = file.group_bounds(group, &format!("{column}{TWIN_SUFFIX}"))
    else {
        return true;
    };
    let bounds: Result<[[u8; ADDRESS_BYTES]; 2], _> =
        min.try_into().and_then(|min| max.try_into().map(|max| [min, max]));
    bounds.map_or(true, |[min, max]| networks.iter().any(|network| network.overlaps(min, max)))
}

fn is_in(value: &[u8], networks: &[Network]) -> bool {
    let address = std::str::from_utf8(value).ok().and_then(address_bytes);
    address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
}

fn keep_numbers(values: &ColumnValues, wanted: &mut [bool], is_wanted: impl Fn(i64) -> bool) {
    let ColumnValues::Integers { values, nulls, is_time_ms } = values else { return };
    for (row, (keep, number)) in wanted.iter_mut().zip(values).enumerate() {
        let number = if *is_time_ms { number.div_euclid(1000) } else { *number };
        *keep &= nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) && is_wanted(number);
    }
}

/// Each distinct value is asked for once.
fn keep_texts(text: &TextValues, wanted: &mut [bool], is_wanted: impl Fn(&[u8]) -> bool) {
    let passes: Vec<bool> = (0..text.distinct() as u32).map(|key| is_wanted(text.value(key))).collect();
    for (keep, key) in wanted.iter_mut().zip(&text.keys) {
        *keep &= passes.get(*key as usize).copied().unwrap_or(false);
    }
}
