//! Charts as SVG: bars over time, bars in tables, spans and strips. Colours are classes, so that the page's style has them for light,
//! dark and paper.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::words::{day, minute};

/// Size of a chart over time, in units of its own.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// Marks at the side of a chart, about.
const MARKS: f64 = 4.0;

/// Times named below a chart, at most.
const NAMED_MAX: usize = 8;

/// What stands on what in a chart over time: a class of the style, and its name.
pub(crate) const SERIES: [(&str, &str); 3] =
    [("accepted", "accepted"), ("refused", "refused"), ("other", "no action logged")];

/// A chart over time: each time has a value of each series.
pub(crate) struct Stacked<'a> {
    /// Of all elements of the page, unlike others.
    pub(crate) id: &'a str,
    /// What it shows.
    pub(crate) title: &'a str,
    /// What it shows in a sentence or two, with numbers.
    pub(crate) description: &'a str,
    /// Beginning of each time, in Unix seconds, and its values.
    pub(crate) times: Vec<(i64, [u64; 3])>,
    /// Length of a time.
    pub(crate) step_s: i64,
    /// A value in words.
    pub(crate) words: fn(u64) -> String,
    /// A mark at the side.
    pub(crate) mark: fn(f64) -> String,
    /// Whether marks are round in powers of two.
    pub(crate) is_binary: bool,
}

/// A number of the picture.
fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The distance of marks for values up to `most`: 1, 2 or 5 of a power of ten; or a power of two.
fn mark_step(most: f64, is_binary: bool) -> f64 {
    let least = (most / MARKS).max(1.0);
    if is_binary {
        return 2_f64.powf(least.log2().ceil());
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// A time as it is named: with the hour where times are shorter than a day.
pub(crate) fn time_name(start_s: i64, step_s: i64) -> String {
    if step_s < 86_400 { minute(start_s) } else { day(start_s) }
}

pub(crate) fn stacked(chart: &Stacked<'_>) -> Markup {
    let count = chart.times.len().max(1) as f64;
    let most = chart.times.iter().map(|(_, v)| v.iter().fold(0, |a: u64, b| a.saturating_add(*b))).max();
    let step = mark_step(most.unwrap_or(0) as f64, chart.is_binary);
    let top = (most.unwrap_or(0) as f64 / step).ceil().max(1.0) * step;
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x = |i: usize| LEFT + width * i as f64 / count;
    let y = |value: f64| TOP + height * (1.0 - value / top);
    let bar = (width / count * 0.86).max(0.6);
    let mut paths = [String::new(), String::new(), String::new()];
    for (i, (_, values)) in chart.times.iter().enumerate() {
        let mut below = 0.0;
        for (path, value) in paths.iter_mut().zip(values).filter(|(_, value)| **value > 0) {
            let above = below + *value as f64;
            let tall = (y(below) - y(above)).max(0.4);
            write!(path, "M{} {}h{}v-{}h-{}z", n(x(i)), n(y(below)), n(bar), n(tall), n(bar))
                .expect("a string takes all");
            below = above;
        }
    }
    let marks: Vec<f64> = (0..).map(|i| f64::from(i) * step).take_while(|mark| *mark <= top).collect();
    let every = chart.times.len().div_ceil(NAMED_MAX).max(1);
    let (title, description) = (format!("{}-title", chart.id), format!("{}-desc", chart.id));
    let labelled = format!("{title} {description}");
    html! {
        svg.chart role="img" aria-labelledby=(labelled) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } {
            title id=(title) { (chart.title) }
            desc id=(description) { (chart.description) }
            @for mark in &marks {
                line.grid x1=(n(LEFT)) x2=(n(WIDTH - RIGHT)) y1=(n(y(*mark))) y2=(n(y(*mark))) {}
                text.mark x=(n(LEFT - 6.0)) y=(n(y(*mark) + 4.0)) text-anchor="end" { ((chart.mark)(*mark)) }
            }
            @for ((class, _), path) in SERIES.iter().zip(&paths) {
                @if !path.is_empty() { path class=(class) d=(path) {} }
            }
            @for (i, (start_s, values)) in chart.times.iter().enumerate() {
                @if values.iter().any(|value| *value > 0) {
                    rect.hover x=(n(x(i))) y=(n(TOP)) width=(n(width / count)) height=(n(height)) {
                        title { (tip(*start_s, values, chart)) }
                    }
                }
                @if i % every == 0 {
                    text.mark x=(n(x(i))) y=(n(HEIGHT - 8.0)) { (time_name(*start_s, chart.step_s)) }
                }
            }
        }
        (legend(&paths))
    }
}

fn tip(start_s: i64, values: &[u64; 3], chart: &Stacked<'_>) -> String {
    let mut text = format!("{} UTC", time_name(start_s, chart.step_s));
    for ((_, name), value) in SERIES.iter().zip(values).filter(|(_, value)| **value > 0) {
        write!(text, "\n{name}: {}", (chart.words)(*value)).expect("a string takes all");
    }
    text
}

fn legend(paths: &[String; 3]) -> Markup {
    html! {
        ul.legend aria-label="Legend" {
            @for ((class, name), _) in SERIES.iter().zip(paths).filter(|(_, path)| !path.is_empty()) {
                li { (swatch(class)) (name) }
            }
        }
    }
}

/// A small square of a colour.
pub(crate) fn swatch(class: &str) -> Markup {
    html! { svg.swatch aria-hidden="true" viewBox="0 0 10 10" { rect class=(class) width="10" height="10" {} } }
}

/// A bar in a cell of a table, of a share of 1. What it shows stands beside it in numbers.
pub(crate) fn bar(share: f64, class: &str) -> Markup {
    html! {
        svg.bar aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none" {
            rect class=(class) width=(n((share * 100.0).clamp(0.0, 100.0).max(if share > 0.0 { 0.8 } else { 0.0 }))) height="10" {}
        }
    }
}

/// From one place to another on a line, of shares of 1.
pub(crate) fn span(from: f64, to: f64) -> Markup {
    let (from, to) = (from.clamp(0.0, 1.0), to.clamp(0.0, 1.0));
    html! {
        svg.bar aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none" {
            rect.track y="4" width="100" height="2" {}
            rect.accepted x=(n(from * 100.0)) width=(n(((to - from) * 100.0).max(0.8))) height="10" {}
        }
    }
}

/// What is covered of a time, by which it is coloured.
pub(crate) fn cover_class(share: Option<f64>) -> &'static str {
    /// What is so much covered is covered: a delivery or two came late.
    const ALL: f64 = 0.97;
    match share {
        None => "nothing",
        Some(share) if share <= 0.0 => "gap",
        Some(share) if share >= ALL => "full",
        Some(_) => "part",
    }
}

/// Shares as a strip.
pub(crate) fn strip(shares: &[Option<f64>], label: &str) -> Markup {
    let classes: Vec<&str> = shares.iter().map(|share| cover_class(*share)).collect();
    let path_of = |class: &str| {
        let (mut path, mut from) = (String::new(), 0);
        for run in classes.chunk_by(|a, b| a == b) {
            if run[0] == class {
                write!(path, "M{from} 0h{0}v10h-{0}z", run.len()).expect("a string takes all");
            }
            from += run.len();
        }
        path
    };
    html! {
        svg.strip role="img" aria-label=(label) viewBox={ "0 0 " (shares.len().max(1)) " 10" } preserveAspectRatio="none" {
            @for class in ["full", "part", "gap"] {
                @let path = path_of(class);
                @if !path.is_empty() { path class=(class) d=(path) {} }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        for (most, is_binary, step) in [
            (0.0, false, 1.0),
            (3.0, false, 1.0),
            (9.0, false, 5.0),
            (3_762.0, false, 1_000.0),
            (5_000.0, true, 2_048.0),
        ] {
            assert_eq!(mark_step(most, is_binary), step, "{most}");
        }
    }

    #[test]
    fn bars_stand_on_each_other() {
        let chart = Stacked {
            id: "x",
            title: "<Flows>",
            description: "two times",
            times: vec![(0, [3, 1, 0]), (3_600, [0, 0, 0])],
            step_s: 3_600,
            words: |value| value.to_string(),
            mark: |mark| mark.to_string(),
            is_binary: false,
        };
        let svg = stacked(&chart).into_string();
        assert!(svg.contains("<title id=\"x-title\">&lt;Flows&gt;</title>"), "{svg}");
        // Of four, three are three quarters of the height of 184.
        assert!(svg.contains("class=\"accepted\" d=\"M70 194h378.4v-138h-378.4z\""), "{svg}");
        assert!(svg.contains("class=\"refused\" d=\"M70 56h378.4v-46h-378.4z\""), "{svg}");
        assert!(!svg.contains("class=\"other\"") && svg.contains("accepted: 3\nrefused: 1"), "{svg}");
        assert_eq!(svg.matches("class=\"hover\"").count(), 1);
    }

    #[test]
    fn strips_join_what_is_alike() {
        let svg = strip(&[None, Some(1.0), Some(0.99), Some(0.5), Some(0.0)], "fl-1").into_string();
        assert_eq!(svg.matches("<path").count(), 3);
        assert!(svg.contains("class=\"full\" d=\"M1 0h2v10h-2z\""), "{svg}");
    }
}
