//! Reporters: what a person sees while a run goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowquet_engine::{Event, Observer};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::{counted, say, shown};

/// Plain lines of progress are this far apart: often enough to see that a job lives, rare enough for its log.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is reported on, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Files of partitions are merged.
    Compacting,
    /// Objects become files.
    Converting,
}

/// A progress bar on a terminal, plain lines elsewhere, nothing if quiet.
pub(crate) struct Reporter {
    work: Work,
    bar: Option<ProgressBar>,
    quiet: bool,
    records: std::sync::Arc<AtomicU64>,
    bytes: AtomicU64,
    total: AtomicU64,
    last_line: Mutex<Instant>,
}

impl Reporter {
    pub(crate) fn new(work: Work, quiet: bool, is_terminal: bool) -> Self {
        Self {
            work,
            bar: (is_terminal && !quiet)
                .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())),
            quiet,
            records: std::sync::Arc::default(),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(0),
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
    }

    fn planned(&self, tasks: u64, objects: u64, bytes: u64, left_over: u64) {
        if objects == 0 {
            return;
        }
        let (verb, object, task) = match self.work {
            Work::Compacting => ("compacting", "file", "partition"),
            Work::Converting => ("converting", "object", "task"),
        };
        let rest = match (left_over, self.work) {
            (0, _) => String::new(),
            (n, Work::Converting) => format!(", {n} of them left by an earlier run"),
            (n, Work::Compacting) => format!(", after {n} that an earlier run left"),
        };
        let (objects, tasks) = (counted(objects, object), counted(tasks, task));
        self.line(&format!("{verb} {objects}, {}, in {tasks}{rest}", HumanBytes(bytes)));
        self.total.store(bytes, Ordering::Relaxed);
        let Some(bar) = &self.bar else { return };
        let records = self.records.clone();
        let rate = self.records.clone();
        let style = ProgressStyle::with_template(
            "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {records} records  {rate} records/s  {eta} left",
        );
        let style = style
            .expect("a valid template")
            .with_key("records", move |_: &ProgressState, w: &mut dyn std::fmt::Write| {
                let _ = write!(w, "{}", HumanCount(records.load(Ordering::Relaxed)));
            })
            .with_key("rate", move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
                let seconds = state.elapsed().as_secs_f64().max(0.001);
                let _ = write!(w, "{}", HumanCount((rate.load(Ordering::Relaxed) as f64 / seconds) as u64));
            });
        bar.set_style(style);
        bar.set_length(bytes);
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar.reset_elapsed();
    }

    fn listed(&self, objects: u64) {
        if let Some(bar) = &self.bar {
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_message(format!("{} objects listed", HumanCount(objects)));
            bar.tick();
            return;
        }
        let Ok(mut last) = self.last_line.try_lock() else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            self.line(&format!("{} objects listed", HumanCount(objects)));
        }
    }

    fn progress(&self, bytes: u64, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        let done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
            return;
        }
        let Ok(mut last) = self.last_line.try_lock() else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            let total = self.total.load(Ordering::Relaxed).max(1);
            let records = HumanCount(self.records.load(Ordering::Relaxed));
            self.line(&format!("{} of {} read, {records} records", HumanBytes(done), HumanBytes(total)));
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
            Event::Progress { bytes, records, .. } => self.progress(*bytes, *records),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
        }
    }
}
