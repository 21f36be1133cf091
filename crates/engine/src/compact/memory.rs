//! Memory that compactions at once share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// How often a wait looks whether it is asked to stop.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Bytes that may be held at once, in turns: whoever asked first is served first, so that much is had as soon as little.
#[derive(Debug)]
pub(super) struct Memory {
    all: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    left: usize,
    /// The ticket of whoever is next, and of whoever comes next.
    turn: u64,
    tickets: u64,
}

/// Bytes that are held until this is dropped.
pub(super) struct Held<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Held<'_> {
    /// How many.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Memory {
    pub(super) fn new(all: usize) -> Self {
        let state = State { left: all, turn: 0, tickets: 0 };
        Self { all, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Bytes that there are.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Waits for `bytes`, or for all that there are if they are fewer.
    pub(super) fn hold(&self, bytes: usize, stop: &AtomicBool) -> Result<Held<'_>, Error> {
        let bytes = bytes.min(self.all);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.tickets;
        state.tickets += 1;
        while state.turn != ticket || state.left < bytes {
            // Whoever stops ends the run, so that nobody waits for its ticket.
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            state = self.changed.wait_timeout(state, STOP_CHECK).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.turn += 1;
        state.left -= bytes;
        self.changed.notify_all();
        Ok(Held { memory: self, bytes })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.memory.state.lock().unwrap_or_else(PoisonError::into_inner).left += self.bytes;
        self.memory.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_there_is() {
        let (memory, stop) = (Memory::new(100), AtomicBool::new(false));
        let held = Mutex::new((0, 0));
        std::thread::scope(|scope| {
            for worker in 0..8usize {
                let (memory, stop, held) = (&memory, &stop, &held);
                scope.spawn(move || {
                    for round in 0..50usize {
                        let bytes = [10, 30, 99, 500][(worker + round) % 4];
                        let own = memory.hold(bytes, stop).expect("nobody stops");
                        let mut most = held.lock().expect("nobody panics");
                        most.0 += bytes.min(100);
                        most.1 = most.1.max(most.0);
                        drop(most);
                        std::thread::yield_now();
                        held.lock().expect("nobody panics").0 -= bytes.min(100);
                        drop(own);
                    }
                });
            }
        });
        assert_eq!(*held.lock().expect("nobody panics"), (0, 100));
        let own = memory.hold(60, &stop).expect("free");
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(memory.hold(60, &stop), Err(Error::Interrupted)));
        drop(own);
    }
}
