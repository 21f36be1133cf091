//! When objects were delivered: how often, with which gaps, and how much of a time is covered.
//!
//! # What a gap is
//!
//! A flow log is compared with itself alone. Its pauses are the times from one delivery to the next, where deliveries of the same five
//! minutes are one. Two figures say what is usual: the median pause, and the pause that nine in ten do not exceed.
//!
//! A pause is a gap if it is longer than three median pauses and longer than twice what nine in ten do not exceed. So a log that
//! is delivered every five minutes has a gap after a quarter of an hour, one that comes in bursts has none between them, and a single
//! missed delivery is never one. Where keys tell only days, many deliveries lie in each, and a pause is a gap if it is longer
//! than nine in ten.
//!
//! With fewer than [`DELIVERIES_MIN`] deliveries nothing is usual, and no gap is told.

use std::collections::BTreeMap;

use flowquet_format::DeliveryTime;

/// Deliveries that lie in the same so many seconds are one: AWS delivers every five minutes, often several objects.
pub const SLOT_S: i64 = 300;

/// With fewer deliveries nothing is usual.
pub const DELIVERIES_MIN: u64 = 12;

/// Gaps that are kept with their times. There are more only where something is badly wrong.
pub const GAPS_MAX: usize = 1_000;

const DAY_S: i64 = 86_400;

/// Lengths that one character of a strip may stand for, in seconds, from the slot on: what people count time by.
const BUCKETS_S: [i64; 18] = [
    SLOT_S,
    900,
    1_800,
    3_600,
    2 * 3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    DAY_S,
    2 * DAY_S,
    4 * DAY_S,
    7 * DAY_S,
    14 * DAY_S,
    28 * DAY_S,
    91 * DAY_S,
    182 * DAY_S,
    364 * DAY_S,
    3_640 * DAY_S,
];

/// When objects were delivered: a bit for every five minutes of the days that have any.
#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    days: BTreeMap<i64, [u64; 5]>,
    /// First and last, in Unix seconds.
    range: Option<(i64, i64)>,
    /// Keys that told an hour.
    has_hours: bool,
    is_partial: bool,
}

/// What is usual, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// Different deliveries.
    pub deliveries: u64,
    /// The median pause between two, in seconds; `None` of a single one.
    pub usual_s: Option<i64>,
    /// The pause that nine in ten do not exceed.
    pub reach_s: Option<i64>,
    /// The first gaps.
    pub gaps: Vec<Gap>,
    /// All gaps.
    pub gap_count: u64,
    /// The pauses of all gaps together, in seconds.
    pub gaps_s: i64,
}

/// A pause that is not usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The last delivery before it, in Unix seconds.
    pub from_s: i64,
    /// The first one behind it.
    pub to_s: i64,
}

impl Deliveries {
    /// Adds a delivery. A day that is new takes one of the `days_left`; where there are none, only first and last are kept.
    pub fn add(&mut self, time: DeliveryTime, days_left: &mut usize) {
        let at_s = time.unix_s;
        let (first, last) = self.range.unwrap_or((at_s, at_s));
        self.range = Some((first.min(at_s), last.max(at_s)));
        self.has_hours |= time.has_hour;
        let day = at_s.div_euclid(DAY_S);
        if !self.days.contains_key(&day) {
            let Some(left) = days_left.checked_sub(1) else {
                self.is_partial = true;
                return;
            };
            *days_left = left;
        }
        let slot = at_s.rem_euclid(DAY_S) / SLOT_S;
        self.days.entry(day).or_default()[(slot / 64) as usize] |= 1 << (slot % 64);
    }

    /// First and last, in Unix seconds.
    pub fn range(&self) -> Option<(i64, i64)> {
        self.range
    }

    /// Whether keys told hours, not only days.
    pub fn has_hours(&self) -> bool {
        self.has_hours
    }

    /// Whether there were more days than could be kept: then nothing is told of the time between first and last.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Beginnings of the slots that have a delivery, in order.
    fn slots(&self) -> impl Iterator<Item = i64> + '_ {
        self.days.iter().flat_map(|(day, bits)| {
            (0..DAY_S / SLOT_S)
                .filter(|slot| bits[(slot / 64) as usize] & (1 << (slot % 64)) != 0)
                .map(|slot| *day * DAY_S + slot * SLOT_S)
        })
    }

    fn pauses(&self) -> impl Iterator<Item = Gap> + '_ {
        self.slots().zip(self.slots().skip(1)).map(|(from_s, to_s)| Gap { from_s, to_s })
    }

    /// What is usual, and the gaps.
    pub fn rhythm(&self) -> Rhythm {
        if self.is_partial {
            return Rhythm::default();
        }
        let mut rhythm = Rhythm { deliveries: self.slots().count() as u64, ..Rhythm::default() };
        // Pauses are few different ones, however many there are.
        let mut lengths: BTreeMap<i64, u64> = BTreeMap::new();
        self.pauses().for_each(|pause| *lengths.entry(pause.length_s()).or_default() += 1);
        let pauses: u64 = lengths.values().sum();
        let longest_of = |share: u64| {
            let mut left = (pauses * share).div_ceil(100);
            lengths.iter().find_map(|(length, count)| {
                left = left.saturating_sub(*count);
                (left == 0).then_some(*length)
            })
        };
        let (Some(usual_s), Some(reach_s)) = (longest_of(50), longest_of(90)) else { return rhythm };
        (rhythm.usual_s, rhythm.reach_s) = (Some(usual_s), Some(reach_s));
        if rhythm.deliveries < DELIVERIES_MIN {
            return rhythm;
        }
        let longest_s = if self.has_hours { (3 * usual_s).max(2 * reach_s) } else { reach_s };
        for gap in self.pauses().filter(|pause| pause.length_s() > longest_s) {
            rhythm.gap_count += 1;
            rhythm.gaps_s += gap.length_s();
            if rhythm.gaps.len() < GAPS_MAX {
                rhythm.gaps.push(gap);
            }
        }
        rhythm
    }

    /// How much of each bucket of `scale` is covered, where each delivery covers what nine in ten pauses do not exceed; `None` before the
    /// first delivery and behind the last.
    pub fn coverage(&self, scale: &Scale, rhythm: &Rhythm) -> Vec<Option<f64>> {
        let mut shares = vec![None; scale.buckets];
        let Some((first_s, last_s)) = self.range.filter(|_| !self.is_partial) else { return shares };
        let reach_s = rhythm.reach_s.unwrap_or(SLOT_S);
        let slot_of = |at_s: i64| at_s.div_euclid(SLOT_S) * SLOT_S;
        let mut covered_s = vec![0; scale.buckets];
        // A delivery reaches to the next one at most, so nothing is counted twice.
        let mut slots = self.slots().peekable();
        while let Some(from_s) = slots.next() {
            let to_s = slots.peek().map_or(from_s + reach_s, |next| (from_s + reach_s).min(*next));
            for (bucket, own_s) in scale.parts(from_s, to_s) {
                covered_s[bucket] += own_s;
            }
        }
        for (bucket, own_s) in scale.parts(slot_of(first_s), slot_of(last_s) + reach_s) {
            shares[bucket] = Some(covered_s[bucket] as f64 / own_s as f64);
        }
        shares
    }
}

impl Gap {
    /// How long it is, in seconds.
    pub fn length_s(self) -> i64 {
        self.to_s - self.from_s
    }
}

/// Times that strips show, a character for each bucket: one scale for all flow logs, so that their strips can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Unix seconds of the first bucket's beginning.
    pub start_s: i64,
    /// Seconds of a bucket.
    pub bucket_s: i64,
    /// Buckets.
    pub buckets: usize,
}

impl Scale {
    /// The finest scale from `first_s` to `last_s` that has at most `buckets_max` buckets.
    pub fn new(first_s: i64, last_s: i64, buckets_max: usize) -> Self {
        let of = |bucket_s: i64| {
            let (from, to) = (first_s.div_euclid(bucket_s), last_s.max(first_s).div_euclid(bucket_s));
            let buckets = usize::try_from(to - from + 1).unwrap_or(usize::MAX);
            Self { start_s: from * bucket_s, bucket_s, buckets }
        };
        let fits = |scale: &Self| scale.buckets <= buckets_max.max(1);
        let coarsest = BUCKETS_S[BUCKETS_S.len() - 1];
        BUCKETS_S.into_iter().map(of).find(fits).unwrap_or_else(|| {
            // Coarser than people count: times of twenty millennia in a narrow terminal.
            Self { buckets: buckets_max.max(1), ..of(coarsest) }
        })
    }

    /// Buckets that have a part of a time, and how many seconds of it.
    fn parts(self, from_s: i64, to_s: i64) -> impl Iterator<Item = (usize, i64)> {
        let index = move |at_s: i64| (at_s - self.start_s).div_euclid(self.bucket_s);
        let buckets = i64::try_from(self.buckets).unwrap_or(i64::MAX);
        let (first, end) = (index(from_s).max(0), (index(to_s - 1) + 1).min(buckets));
        (first..end).map(move |i| {
            let start_s = self.start_s + i * self.bucket_s;
            let own_s = to_s.min(start_s + self.bucket_s) - from_s.max(start_s);
            (usize::try_from(i).expect("not below the first"), own_s)
        })
    }
}

/// Shares as a strip: `█` for all, lower blocks for less, `·` for nothing, a blank where there is nothing to cover.
pub fn strip(shares: &[Option<f64>]) -> String {
    const PARTS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];
    /// What is so much covered is covered: a delivery or two came late.
    const ALL: f64 = 0.97;
    let of = |share: &Option<f64>| match share {
        None => ' ',
        Some(share) if *share <= 0.0 => '·',
        Some(share) if *share >= ALL => '█',
        Some(share) => PARTS[((share * PARTS.len() as f64) as usize).min(PARTS.len() - 1)],
    };
    shares.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_S: i64 = 1_704_067_200;

    fn deliveries(minutes: impl IntoIterator<Item = i64>, has_hour: bool) -> Deliveries {
        let mut found = Deliveries::default();
        for minute in minutes {
            found.add(DeliveryTime { unix_s: START_S + minute * 60, has_hour }, &mut 1_000);
        }
        found
    }

    /// Gaps as minutes from the start.
    #[track_caller]
    fn check(
        minutes: impl IntoIterator<Item = i64>,
        has_hour: bool,
        usual: Option<i64>,
        gaps: &[(i64, i64)],
    ) {
        let rhythm = deliveries(minutes, has_hour).rhythm();
        let minute = |s: i64| (s - START_S) / 60;
        let found: Vec<_> = rhythm.gaps.iter().map(|g| (minute(g.from_s), minute(g.to_s))).collect();
        assert_eq!((rhythm.usual_s.map(|s| s / 60), found.as_slice()), (usual, gaps));
        assert_eq!(rhythm.gap_count, gaps.len() as u64);
        assert_eq!(rhythm.gaps_s, gaps.iter().map(|(from, to)| (to - from) * 60).sum::<i64>());
    }

    #[test]
    fn a_pause_that_is_not_usual_is_a_gap() {
        let day = || (0..288).map(|i| i * 5);
        let without = |from: i64, to: i64| day().filter(move |m| !(from..to).contains(m));
        check(day(), true, Some(5), &[]);
        check(without(120, 300), true, Some(5), &[(115, 300)]);
        // Twenty minutes are more than three times five, fifteen are not.
        check(without(120, 135), true, Some(5), &[(115, 135)]);
        check(without(120, 130), true, Some(5), &[]);
        // Several gaps, and the order of the listing does not matter.
        let mut twice: Vec<i64> = without(120, 300).filter(|m| !(600..700).contains(m)).collect();
        twice.reverse();
        check(twice, true, Some(5), &[(115, 300), (595, 700)]);
        // Nothing before the first delivery and behind the last is missing.
        check((100..130).map(|i| i * 5), true, Some(5), &[]);
    }

    #[test]
    fn who_comes_in_bursts_has_no_gaps() {
        // Three deliveries, then an hour of silence, all day.
        check((0..24).flat_map(|h| [h * 60, h * 60 + 5, h * 60 + 10]), true, Some(5), &[]);
        // Irregular, five to twenty-five minutes apart; an hour and a half is not usual.
        let minutes = (0..60).scan(0, |at, i| {
            *at += if i == 30 { 90 } else { [5, 10, 25, 5, 15][i % 5] };
            Some(*at)
        });
        let minutes: Vec<i64> = minutes.collect();
        let (from, to) = (minutes[29], minutes[30]);
        check(minutes, true, Some(10), &[(from, to)]);
    }

    #[test]
    fn few_deliveries_tell_nothing() {
        check([], true, None, &[]);
        check([7], true, None, &[]);
        check([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 4_000], true, Some(5), &[]);
        check([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 4_000], true, Some(5), &[(50, 4_000)]);
    }

    #[test]
    fn where_keys_tell_days_a_missing_day_is_a_gap() {
        let days = |missing: i64| (0..20).filter(move |d| *d != missing).map(|d| d * 1_440);
        check(days(99), false, Some(1_440), &[]);
        check(days(7), false, Some(1_440), &[(6 * 1_440, 8 * 1_440)]);
        // Only days with traffic: nothing is usual.
        check((0..20).map(|w| w * 7 * 1_440), false, Some(7 * 1_440), &[]);
    }

    #[test]
    fn days_are_limited() {
        let mut found = Deliveries::default();
        let mut left = 2;
        for day in 0..4 {
            let time = DeliveryTime { unix_s: START_S + day * DAY_S, has_hour: true };
            found.add(time, &mut left);
            found.add(time, &mut left);
        }
        assert!(found.is_partial() && left == 0);
        assert_eq!(found.range(), Some((START_S, START_S + 3 * DAY_S)), "first and last are true");
        assert_eq!(found.rhythm(), Rhythm::default());
        let scale = Scale::new(START_S, START_S + 3 * DAY_S, 10);
        assert!(found.coverage(&scale, &found.rhythm()).iter().all(Option::is_none));
    }

    #[test]
    fn scales_fit() {
        for (span_s, max, bucket_s, buckets) in [
            (0, 24, 300, 1),
            (24 * 300 - 1, 24, 300, 24),
            (24 * 300, 24, 900, 9),
            (2 * DAY_S - 1, 48, 3_600, 48),
            (2 * DAY_S - 1, 24, 2 * 3_600, 24),
            (365 * DAY_S, 48, 14 * DAY_S, 27),
        ] {
            let scale = Scale::new(START_S, START_S + span_s, max);
            assert_eq!((scale.bucket_s, scale.buckets), (bucket_s, buckets), "{span_s} in {max}");
            assert!(scale.start_s <= START_S && scale.start_s + bucket_s > START_S);
        }
        assert_eq!(Scale::new(0, i64::MAX / 4, 10).buckets, 10);
    }

    #[track_caller]
    fn check_strip(deliveries: &Deliveries, scale: Scale, expected: &str) {
        assert_eq!(strip(&deliveries.coverage(&scale, &deliveries.rhythm())), expected);
    }

    #[test]
    fn strips_show_what_is_covered() {
        let scale = Scale { start_s: START_S, bucket_s: 3_600, buckets: 8 };
        // From 01:30 to 06:25, without 03:15 to 05:00.
        let minutes = (90..390).step_by(5).filter(|m| !(195..300).contains(m));
        check_strip(&deliveries(minutes, true), scale, " ██▂·██ ");
        check_strip(&deliveries([], true), scale, "        ");
        check_strip(&deliveries([61], true), scale, " █      ");
        // Once in four hours, as usual.
        check_strip(&deliveries([0, 240, 480, 720], true), scale, "████████");
        // A quarter of an hour is lost of an hour.
        let minutes = (0..120).step_by(5).filter(|m| !(65..80).contains(m));
        check_strip(&deliveries(minutes, true), Scale { buckets: 3, ..scale }, "█▆ ");
    }

    /// Against a count of seconds one by one.
    #[test]
    fn coverage_is_what_counting_finds() {
        let mut random = 7_u64;
        for _ in 0..50 {
            let mut next = |n: u64| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % n
            };
            let minutes: Vec<i64> = (0..1 + next(30)).map(|_| 5 * next(600) as i64).collect();
            let found = deliveries(minutes.iter().copied(), true);
            let (rhythm, scale) = (found.rhythm(), Scale::new(START_S, START_S + 3_000 * 60, 12));
            let reach = rhythm.reach_s.unwrap_or(SLOT_S) / 60;
            let (first, last) = (*minutes.iter().min().expect("some"), *minutes.iter().max().expect("some"));
            let counted: Vec<Option<f64>> = (0..scale.buckets as i64)
                .map(|bucket| {
                    let start = (scale.start_s - START_S) / 60 + bucket * scale.bucket_s / 60;
                    let own =
                        (start..start + scale.bucket_s / 60).filter(|m| (first..last + reach).contains(m));
                    let (own, mut covered) = (own.collect::<Vec<_>>(), 0);
                    for minute in &own {
                        covered += u64::from(minutes.iter().any(|m| (*m..m + reach).contains(minute)));
                    }
                    (!own.is_empty()).then(|| covered as f64 / own.len() as f64)
                })
                .collect();
            let shares = found.coverage(&scale, &rhythm);
            assert_eq!(strip(&shares), strip(&counted), "{minutes:?}");
        }
    }
}
