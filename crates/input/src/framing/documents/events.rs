//! Times of events, beside the lines that they brought.

use flowquet_format::EventTimes;

/// Where lines are numbered, and who is told the times of their events.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) told: Option<EventTimes>,
    /// Lines so far.
    pub(super) lines: u64,
    /// Time of the event whose lines come next.
    pub(super) ms: Option<i64>,
}

impl Events {
    /// These lines were appended.
    pub(super) fn count(&mut self, lines: &[u8]) {
        self.count_nested(lines, None);
    }

    /// The same of lines of a document within this one, whose events may have times of their own.
    pub(super) fn count_nested(&mut self, lines: &[u8], times: Option<&EventTimes>) {
        let Some(told) = &self.told else { return };
        let count = lines.iter().filter(|b| **b == b'\n').count() as u64;
        let own = times.map(|times| times.of(1..count + 1)).unwrap_or_default();
        for i in 0..count {
            self.lines += 1;
            if let Some(ms) = own.get(i as usize).copied().flatten().or(self.ms) {
                told.push(self.lines, ms);
            }
        }
    }
}
