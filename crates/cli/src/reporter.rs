//! Reporters: what a person sees while a run goes on.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowquet_engine::{Event, Observer};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::clock::time_of_day;
use crate::output::{counted, say, shown};

/// Plain lines of progress are this far apart: often enough to see that a job lives, rare enough for its log.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Before this, what is left is a guess that changes with every look.
const GUESS_AFTER: Duration = Duration::from_secs(2);

/// The bar on the terminal, if there is one: who listens for signals has something to say above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Says something above the progress bar, wherever it comes from.
pub(crate) fn say_above(words: &str) {
    match BAR.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(bar) => bar.suspend(|| say(words)),
        None => say(words),
    }
}

/// What is reported on, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Files of partitions are merged.
    Compacting,
    /// Objects become files.
    Converting,
    /// Records are grouped.
    RollingUp,
    /// Files and objects are read.
    Verifying,
}

impl Work {
    fn noun(self) -> &'static str {
        match self {
            Self::Compacting | Self::RollingUp | Self::Verifying => "file",
            Self::Converting => "object",
        }
    }
}

/// How far a run is. Threads add to it.
#[derive(Debug, Default)]
struct Progress {
    records: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    objects: AtomicU64,
    objects_total: AtomicU64,
}

impl Progress {
    fn objects_text(&self, work: Work) -> String {
        let total = self.objects_total.load(Ordering::Relaxed);
        let done = HumanCount(self.objects.load(Ordering::Relaxed).min(total));
        format!("{done} of {}", counted(total, work.noun()))
    }

    fn percent(&self) -> u64 {
        let (done, total) = (self.bytes.load(Ordering::Relaxed), self.bytes_total.load(Ordering::Relaxed));
        (100 * done.min(total)).checked_div(total).unwrap_or(100)
    }

    /// How long the rest takes at the rate so far; empty while that would be a guess.
    fn left_text(&self, elapsed: Duration) -> String {
        let (done, total) = (self.bytes.load(Ordering::Relaxed), self.bytes_total.load(Ordering::Relaxed));
        if elapsed < GUESS_AFTER || done == 0 || done >= total {
            return String::new();
        }
        format!("{} left", seconds_text((elapsed.as_secs_f64() * (total - done) as f64 / done as f64) as u64))
    }

    /// A line for logs: when, how much, how fast, how long still.
    fn line(&self, work: Work, time: &str, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let left = self.left_text(elapsed);
        format!(
            "{time}  {} %  {}  {} of {}  {} records  {}/s{}{left}",
            self.percent(),
            self.objects_text(work),
            HumanBytes(bytes),
            HumanBytes(self.bytes_total.load(Ordering::Relaxed)),
            HumanCount(self.records.load(Ordering::Relaxed)),
            HumanBytes((bytes as f64 / seconds) as u64),
            if left.is_empty() { "" } else { "  " },
        )
    }
}

/// `17 s`, `4 min`, `2 h 5 min`.
fn seconds_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A progress bar on a terminal, plain lines elsewhere, nothing if quiet.
pub(crate) struct Reporter {
    work: Work,
    bar: Option<ProgressBar>,
    quiet: bool,
    progress: Arc<Progress>,
    /// Whether the bar shows something else than progress: a listing, a wait.
    is_aside: AtomicBool,
    began: Mutex<Option<Instant>>,
    last_line: Mutex<Instant>,
}

impl Reporter {
    pub(crate) fn new(work: Work, quiet: bool, is_terminal: bool) -> Self {
        let bar = (is_terminal && !quiet)
            .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
        BAR.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&bar);
        Self {
            work,
            bar,
            quiet,
            progress: Arc::default(),
            is_aside: AtomicBool::new(false),
            began: Mutex::new(None),
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Says something above the progress bar.
    fn line(&self, words: &str) {
        let words = &*shown(words);
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| say(words)),
            None => say(words),
        }
    }

    /// Ends the progress bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Records that were read so far, also of tasks that are not finished.
    pub(crate) fn records_read(&self) -> u64 {
        self.progress.records.load(Ordering::Relaxed)
    }

    fn planned(&self, tasks: u64, objects: u64, bytes: u64, left_over: u64) {
        if objects == 0 {
            return;
        }
        let (objects_text, bytes_text) = (counted(objects, self.work.noun()), HumanBytes(bytes));
        let line = match self.work {
            Work::Compacting => {
                let rest = if left_over == 0 {
                    String::new()
                } else {
                    format!(", after {left_over} that an earlier run left")
                };
                format!("compacting {objects_text}, {bytes_text}, in {}{rest}", counted(tasks, "partition"))
            }
            Work::Converting => {
                let rest = match left_over {
                    0 => String::new(),
                    all if all == tasks => ", left by an earlier run".to_owned(),
                    some => format!(", {some} of them left by an earlier run"),
                };
                format!("converting {objects_text}, {bytes_text}, in {}{rest}", counted(tasks, "task"))
            }
            Work::RollingUp => {
                format!("rolling up {objects_text}, {bytes_text}, in {}", counted(tasks, "partition"))
            }
            Work::Verifying => format!("reading {objects_text}, {bytes_text}"),
        };
        let begun = self.began.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        // A roll-up begins anew where a file of its source is gone, which a compaction may have replaced.
        if !(begun && self.work == Work::RollingUp) {
            self.line(&line);
        }
        // A long listing is planned in portions.
        self.progress.objects_total.fetch_add(objects, Ordering::Relaxed);
        let total = self.progress.bytes_total.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let is_first = self.began.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        let Some(bar) = &self.bar else { return };
        self.show_progress();
        bar.set_length(total);
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(250));
        if is_first.is_none() {
            bar.reset_elapsed();
        }
    }

    /// What the bar shows while objects are read: it fits 80 columns, the bar itself takes what is left.
    fn show_progress(&self) {
        let Some(bar) = &self.bar else { return };
        let template = "{percent:>3} %  {objects}  {bytes}  {rate} records/s  {left}  {wide_bar}";
        let style = ProgressStyle::with_template(template).expect("a valid template");
        let (objects, rate, left, work) =
            (self.progress.clone(), self.progress.clone(), self.progress.clone(), self.work);
        let style = style
            .with_key("objects", move |_: &ProgressState, w: &mut dyn fmt::Write| {
                let _ = w.write_str(&objects.objects_text(work));
            })
            .with_key("rate", move |state: &ProgressState, w: &mut dyn fmt::Write| {
                let seconds = state.elapsed().as_secs_f64().max(0.001);
                let records = rate.records.load(Ordering::Relaxed) as f64;
                let _ = write!(w, "{}", HumanCount((records / seconds) as u64));
            })
            .with_key("left", move |state: &ProgressState, w: &mut dyn fmt::Write| {
                let _ = w.write_str(&left.left_text(state.elapsed()));
            });
        bar.set_style(style);
        self.is_aside.store(false, Ordering::Relaxed);
    }

    /// Words in the bar's place.
    fn show_words(&self, bar: &ProgressBar, words: String) {
        if !self.is_aside.swap(true, Ordering::Relaxed) {
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_message(words);
        bar.tick();
    }

    /// Whether it is time for another plain line.
    fn is_due(&self) -> bool {
        let Ok(mut last) = self.last_line.try_lock() else { return false };
        let is_due = last.elapsed() >= LINE_EVERY;
        if is_due {
            *last = Instant::now();
        }
        is_due
    }

    fn listed(&self, objects: u64) {
        // A listing goes on while its first portion is converted.
        if self.began.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let words = format!("{} listed", counted(objects, "object"));
        match &self.bar {
            Some(bar) => self.show_words(bar, words),
            None if self.is_due() => self.line(&format!("{}  {words}", time_of_day())),
            None => {}
        }
    }

    fn progress(&self, bytes: u64, records: u64, objects: u64) {
        self.progress.records.fetch_add(records, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.objects.fetch_add(objects, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            if self.is_aside.load(Ordering::Relaxed) {
                self.show_progress();
            }
            bar.inc(bytes);
        } else if self.is_due() {
            let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
            let elapsed = began.map(|b| b.elapsed()).unwrap_or_default();
            self.line(&self.progress.line(self.work, &time_of_day(), elapsed));
        }
    }

    fn waiting(&self, whole: Duration, left: Duration) {
        let words = format!(
            "waiting {} so that queries that began before can finish (--grace)",
            seconds_text(whole.as_secs())
        );
        match &self.bar {
            Some(bar) => self.show_words(bar, format!("{words}, {} left", seconds_text(left.as_secs()))),
            None if whole == left => self.line(&format!("{}  {words}", time_of_day())),
            None => {}
        }
    }
}

impl Observer for Reporter {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { tasks, objects, bytes, left_over } => {
                self.planned(*tasks, *objects, *bytes, *left_over)
            }
            Event::Listed { objects } => self.listed(*objects),
            Event::Progress { bytes, records, objects } => self.progress(*bytes, *records, *objects),
            // For reports.
            Event::Settled(_) => {}
            Event::Waiting { whole, left } => self.waiting(*whole, *left),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_how_much_how_fast_and_how_long_still() {
        let progress = Progress {
            records: AtomicU64::new(1_000_000),
            bytes: AtomicU64::new(40 << 20),
            bytes_total: AtomicU64::new(100 << 20),
            objects: AtomicU64::new(2_050),
            objects_total: AtomicU64::new(5_000),
        };
        let line = |seconds| progress.line(Work::Converting, "10:31:40Z", Duration::from_secs(seconds));
        assert_eq!(
            line(10),
            "10:31:40Z  40 %  2,050 of 5,000 objects  40.00 MiB of 100.00 MiB  1,000,000 records  4.00 MiB/s  15 s left"
        );
        assert_eq!(
            line(1),
            "10:31:40Z  40 %  2,050 of 5,000 objects  40.00 MiB of 100.00 MiB  1,000,000 records  40.00 MiB/s"
        );
        assert!(line(1_000).ends_with("40.96 KiB/s  25 min left"));
        let nothing = Progress::default();
        assert_eq!((nothing.percent(), nothing.left_text(Duration::from_secs(9))), (100, String::new()));
        assert_eq!(seconds_text(7_500), "2 h 5 min");
    }
}
