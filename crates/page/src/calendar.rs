//! Days of a table: whether deliveries cover them, and where AWS left records out.

use std::collections::BTreeMap;

use flowquet_engine::{Coverage, TableReport};
use maud::{Markup, html};

use crate::chart::{cover_class, swatch};
use crate::words::{count, counted, day};

const DAY_S: i64 = 86_400;

/// Size of a day and of what stands between two.
const CELL: i64 = 13;
const STEP: i64 = 16;

/// Room for the names of weekdays and months.
const LEFT: i64 = 34;
const TOP: i64 = 16;

/// Days that are shown: the last ones of a longer time.
const SHOWN_MAX: usize = 1_100;

/// Days that are listed one by one.
const LISTED_MAX: usize = 100;

/// What is known of a day.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DayFacts {
    /// How much of it the flow log covers that covers least; none where none is known to deliver.
    least: Option<f64>,
    flows: u64,
    skipdata: u64,
}

impl DayFacts {
    fn class(&self) -> &'static str {
        match (self.least, self.flows) {
            (None, 0) => "nothing",
            (None, _) => "full",
            (least, _) => cover_class(least),
        }
    }

    fn words(&self, number: i64) -> String {
        let covered = match self.class() {
            "full" => "covered",
            "part" => "partly covered",
            "gap" => "a flow log delivered nothing",
            _ => "nothing",
        };
        let skipped = match self.skipdata {
            0 => String::new(),
            n => format!(", {}", counted(n, "SKIPDATA record")),
        };
        format!("{}: {covered}, {}{skipped}", day(number * DAY_S), counted(self.flows, "flow"))
    }
}

/// Days that have anything, and those between them, by their numbers since 1970.
pub(crate) fn days_of(report: &TableReport) -> BTreeMap<i64, DayFacts> {
    let mut days: BTreeMap<i64, DayFacts> = BTreeMap::new();
    for at in &report.days {
        let facts = days.entry(at.start_s.div_euclid(DAY_S)).or_default();
        (facts.flows, facts.skipdata) = (at.traffic.flows(), at.traffic.skipdata);
    }
    for log in report.flow_logs.iter().filter(|log| log.step_s == DAY_S) {
        add_coverage(&mut days, log);
    }
    if let (Some(first), Some(last)) = (days.keys().next().copied(), days.keys().next_back().copied()) {
        for number in first..=last {
            days.entry(number).or_default();
        }
    }
    days
}

fn add_coverage(days: &mut BTreeMap<i64, DayFacts>, log: &Coverage) {
    for (number, share) in (log.start_s.div_euclid(DAY_S)..).zip(&log.shares) {
        let Some(share) = share else { continue };
        let least = &mut days.entry(number).or_default().least;
        *least = Some(least.map_or(*share, |least| least.min(*share)));
    }
}

/// Monday is 0: the first day of 1970 was a Thursday.
fn weekday(number: i64) -> i64 {
    (number + 3).rem_euclid(7)
}

/// A picture a year, and the days that are not whole in words.
pub(crate) fn calendar(days: &BTreeMap<i64, DayFacts>) -> Markup {
    let mut years: BTreeMap<String, Vec<(i64, &DayFacts)>> = BTreeMap::new();
    for (number, facts) in days.iter().skip(days.len().saturating_sub(SHOWN_MAX)) {
        years
            .entry(day(number * DAY_S).get(..4).unwrap_or_default().to_owned())
            .or_default()
            .push((*number, facts));
    }
    let of = |class: &str| days.values().filter(|facts| facts.class() == class).count() as u64;
    let skipped = days.values().filter(|facts| facts.skipdata > 0).count() as u64;
    let odd: Vec<(i64, &DayFacts)> = days
        .iter()
        .filter(|(_, facts)| facts.class() != "full" || facts.skipdata > 0)
        .map(|(number, facts)| (*number, facts))
        .collect();
    html! {
        p {
            (counted(days.len() as u64, "day")) ": " (count(of("full"))) " covered, " (count(of("part"))) " partly covered, "
            (count(of("gap"))) " on which a flow log delivered nothing, " (count(of("nothing"))) " without anything; SKIPDATA on "
            (counted(skipped, "day")) "."
        }
        @if days.len() > SHOWN_MAX { p { "The last " (count(SHOWN_MAX as u64)) " days:" } }
        @for (year, days) in &years { (of_year(year, days)) }
        ul.legend aria-label="Legend" {
            li { (swatch("full")) "covered" }
            li { (swatch("part")) "partly covered" }
            li { (swatch("gap")) "a flow log delivered nothing" }
            li { (swatch("skip")) "SKIPDATA: AWS left records out" }
        }
        @if !odd.is_empty() {
            details {
                summary { "Days that are not covered, or have SKIPDATA (" (count(odd.len() as u64)) ")" }
                ul { @for (number, facts) in odd.iter().take(LISTED_MAX) { li { (facts.words(*number)) } } }
                @if odd.len() > LISTED_MAX { p { "and " (count((odd.len() - LISTED_MAX) as u64)) " more" } }
            }
        }
    }
}

fn of_year(year: &str, days: &[(i64, &DayFacts)]) -> Markup {
    let first = days.first().map_or(0, |(number, _)| *number);
    let week = |number: i64| (number + 3).div_euclid(7) - (first + 3).div_euclid(7);
    let weeks = days.last().map_or(1, |(number, _)| week(*number) + 1);
    let x = |number: i64| LEFT + week(number) * STEP;
    let y = |number: i64| TOP + weekday(number) * STEP;
    let width = LEFT + weeks.max(3) * STEP;
    let label = format!(
        "Days of {year}, a column a week, Monday first; the list below names those that are not covered"
    );
    html! {
        h4 { (year) }
        div.scroll tabindex="0" role="region" aria-label={ "Calendar of " (year) } {
            svg.calendar role="img" aria-label=(label) width=(width) height=(TOP + 7 * STEP) viewBox={ "0 0 " (width) " " (TOP + 7 * STEP) } {
                @for (name, row) in [("Mon", 0), ("Wed", 2), ("Fri", 4)] {
                    text.mark x="0" y=(TOP + row * STEP + 11) { (name) }
                }
                @for (number, facts) in days {
                    @let text = day(number * DAY_S);
                    @if text.ends_with("-01") { text.mark x=(x(*number)) y="11" { (text.get(5..7).unwrap_or_default()) } }
                    rect class=(facts.class()) x=(x(*number)) y=(y(*number)) width=(CELL) height=(CELL) rx="2" {
                        title { (facts.words(*number)) }
                    }
                    @if facts.class() == "gap" {
                        path.cross d={ "M" (x(*number) + 3) " " (y(*number) + 3) "l7 7m0-7l-7 7" } {}
                    }
                    @if facts.skipdata > 0 {
                        path.skip d={ "M" (x(*number) + CELL) " " (y(*number)) "v7l-7-7z" } {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays() {
        // 2024-01-15 was a Monday.
        assert_eq!((weekday(19_737), day(19_737 * DAY_S)), (0, "2024-01-15".to_owned()));
        assert_eq!((weekday(0), weekday(-1)), (3, 2));
    }

    #[test]
    fn a_day_is_what_the_worst_flow_log_says() {
        let facts = |least, flows| DayFacts { least, flows, skipdata: 0 };
        for (least, flows, expected) in [
            (None, 0, "nothing"),
            (None, 5, "full"),
            (Some(1.0), 0, "full"),
            (Some(0.5), 5, "part"),
            (Some(0.0), 5, "gap"),
        ] {
            assert_eq!(facts(least, flows).class(), expected);
        }
        let mut days = BTreeMap::from([(10, facts(None, 7))]);
        let log = |shares: Vec<Option<f64>>| Coverage {
            name: String::new(),
            objects: 0,
            first_s: None,
            last_s: None,
            usual_s: None,
            gap_count: 0,
            gaps: Vec::new(),
            start_s: 10 * DAY_S,
            step_s: DAY_S,
            shares,
        };
        add_coverage(&mut days, &log(vec![Some(1.0), Some(0.5), None]));
        add_coverage(&mut days, &log(vec![Some(0.2), Some(0.9)]));
        assert_eq!(days, BTreeMap::from([(10, facts(Some(0.2), 7)), (11, facts(Some(0.5), 0))]));
    }
}
