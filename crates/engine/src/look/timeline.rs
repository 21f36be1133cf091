//! Flows and bytes over time.

use std::collections::BTreeMap;

use flowquet_parquet::TextValues;
use serde::Serialize;

use super::count::key_of;
use super::scan::Group;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;

/// Hours that are held apart; of more, days are.
const HOURS_MAX: usize = 40_000;

/// Times that a page shows at most.
const TIMES_MAX: usize = 400;

/// Lengths of a time on a page.
const STEPS_S: [i64; 8] =
    [HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 7 * DAY_S, 28 * DAY_S, 364 * DAY_S];

/// What records of some time come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Flows that were accepted.
    pub accepted_flows: u64,
    /// Flows that were refused.
    pub refused_flows: u64,
    /// Flows of which the log does not tell it.
    pub other_flows: u64,
    /// Bytes of the accepted ones.
    pub accepted_bytes: u64,
    /// Bytes of the refused ones.
    pub refused_bytes: u64,
    /// Bytes of the others.
    pub other_bytes: u64,
    /// Records that say that there was no traffic: `NODATA`.
    pub nodata: u64,
    /// Records that say that AWS left some out: `SKIPDATA`.
    pub skipdata: u64,
}

impl Traffic {
    fn add(&mut self, other: &Self) {
        self.accepted_flows += other.accepted_flows;
        self.refused_flows += other.refused_flows;
        self.other_flows += other.other_flows;
        self.accepted_bytes = self.accepted_bytes.saturating_add(other.accepted_bytes);
        self.refused_bytes = self.refused_bytes.saturating_add(other.refused_bytes);
        self.other_bytes = self.other_bytes.saturating_add(other.other_bytes);
        self.nodata += other.nodata;
        self.skipdata += other.skipdata;
    }

    /// All flows.
    pub fn flows(&self) -> u64 {
        self.accepted_flows + self.refused_flows + self.other_flows
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.accepted_bytes.saturating_add(self.refused_bytes).saturating_add(self.other_bytes)
    }
}

/// What records of a time come to, and when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrafficAt {
    /// Unix seconds.
    pub start_s: i64,
    /// What they come to.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Traffic by hour; the records without a time apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    hours: BTreeMap<i64, Traffic>,
    /// Whether hours are days.
    is_coarse: bool,
    pub(super) timeless: Traffic,
}

/// Which rows are flows: not those that tell of a time without any, or of what was left out.
pub(super) fn flows_of(group: &Group<'_>) -> Vec<bool> {
    let statuses = group.columns.text("log_status");
    let none = ["NODATA", "SKIPDATA"].map(|word| key_of(statuses, word));
    let mut flows = vec![false; group.columns.rows];
    for row in group.rows() {
        let status = statuses.map(|statuses| statuses.keys[row]);
        flows[row] = status.is_none_or(|status| !none.contains(&Some(status)));
    }
    flows
}

impl Timeline {
    /// The rows of a row group that are wanted.
    pub(super) fn of(group: &Group<'_>, time: &str) -> Self {
        let columns = &group.columns;
        let (statuses, actions) = (columns.text("log_status"), columns.text("action"));
        let [nodata, skipdata] = ["NODATA", "SKIPDATA"].map(|word| key_of(statuses, word));
        let [accepted, refused] = ["ACCEPT", "REJECT"].map(|word| key_of(actions, word));
        let (times, bytes) = (columns.times(time), columns.amounts("bytes"));
        let is = |text: Option<&TextValues>, row: usize, key: Option<u32>| {
            key.is_some() && text.map(|text| text.keys[row]) == key
        };
        let records = group.records();
        let mut found = Self::default();
        for row in group.rows() {
            let count = records(row);
            let own = bytes.as_ref().map_or(0, |bytes| bytes(row));
            let mut traffic = Traffic::default();
            if is(statuses, row, nodata) {
                traffic.nodata = count;
            } else if is(statuses, row, skipdata) {
                traffic.skipdata = count;
            } else if is(actions, row, accepted) {
                (traffic.accepted_flows, traffic.accepted_bytes) = (count, own);
            } else if is(actions, row, refused) {
                (traffic.refused_flows, traffic.refused_bytes) = (count, own);
            } else {
                (traffic.other_flows, traffic.other_bytes) = (count, own);
            }
            match times.as_ref().and_then(|times| times(row)) {
                Some(at) => found.hours.entry(at.div_euclid(HOUR_S)).or_default().add(&traffic),
                None => found.timeless.add(&traffic),
            }
        }
        found
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.timeless.add(&other.timeless);
        for (hour, traffic) in &other.hours {
            let at = if self.is_coarse { hour.div_euclid(24) * 24 } else { *hour };
            self.hours.entry(at).or_default().add(traffic);
        }
        if !self.is_coarse && self.hours.len() > HOURS_MAX {
            self.is_coarse = true;
            for (hour, traffic) in std::mem::take(&mut self.hours) {
                self.hours.entry(hour.div_euclid(24) * 24).or_default().add(&traffic);
            }
        }
    }

    /// The first and the last hour, in Unix seconds.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.hours.keys().next()?, self.hours.keys().next_back()?);
        Some((first * HOUR_S, last * HOUR_S))
    }

    /// As few times as a page shows, each as long as the others: its length, and what is in each. Those without traffic are told too.
    pub(super) fn times(&self) -> (i64, Vec<TrafficAt>) {
        let Some((first, last)) = self.range() else { return (HOUR_S, Vec::new()) };
        let count = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
        let fits = |step: &i64| count(*step) <= TIMES_MAX as i64 && (!self.is_coarse || *step >= DAY_S);
        let step = STEPS_S.into_iter().find(fits).unwrap_or(STEPS_S[STEPS_S.len() - 1]);
        (step, self.by(step))
    }

    /// Traffic by day.
    pub(super) fn days(&self) -> Vec<TrafficAt> {
        self.by(DAY_S)
    }

    fn by(&self, step: i64) -> Vec<TrafficAt> {
        let Some((first, last)) = self.range() else { return Vec::new() };
        let slots = first.div_euclid(step)..=last.div_euclid(step);
        let mut all: Vec<TrafficAt> =
            slots.map(|slot| TrafficAt { start_s: slot * step, traffic: Traffic::default() }).collect();
        for (hour, traffic) in &self.hours {
            let slot = (hour * HOUR_S).div_euclid(step) - first.div_euclid(step);
            all[slot as usize].traffic.add(traffic);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: impl IntoIterator<Item = i64>) -> Timeline {
        let traffic = Traffic { accepted_flows: 1, accepted_bytes: 10, ..Traffic::default() };
        Timeline { hours: hours.into_iter().map(|h| (h, traffic)).collect(), ..Timeline::default() }
    }

    #[test]
    fn times_are_few_and_lose_nothing() {
        for (last, step) in [(23, 1), (399, 1), (400, 3), (9_000, 24), (24 * 365, 24), (24 * 366 * 5, 24 * 7)]
        {
            let mut timeline = Timeline::default();
            timeline.add(&at([0, last]));
            let (found, times) = timeline.times();
            assert_eq!(found, step * HOUR_S, "{last}");
            assert!(times.len() <= TIMES_MAX);
            assert_eq!(times.iter().map(|t| t.traffic.flows()).sum::<u64>(), 2);
            let days = timeline.days();
            assert_eq!((days.len() as i64, days[0].traffic.flows() > 0), (last / 24 + 1, true));
        }
        assert!(Timeline::default().times().1.is_empty());
    }

    #[test]
    fn many_hours_become_days() {
        let (mut timeline, hours) = (Timeline::default(), HOURS_MAX as i64 + 24);
        timeline.add(&at(0..hours));
        assert!(timeline.is_coarse && timeline.hours.len() < HOURS_MAX / 20);
        timeline.add(&at([5]));
        let flows: u64 = timeline.days().iter().map(|t| t.traffic.flows()).sum();
        assert_eq!(flows, hours as u64 + 1);
    }
}
