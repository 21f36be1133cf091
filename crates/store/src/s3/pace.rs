//! How many requests are under way at once, and when a failed one is tried again.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, ErrorKind};
use crate::s3::traffic::Traffic;

/// Requests under way at the start.
const START: usize = 32;

/// Fewest and most requests under way. S3 serves thousands a second on each prefix; more than this only fills queues.
const MIN: usize = 4;
const MAX: usize = 256;

/// Successes, while requests wait for their turn, that earn one more request under way.
const SUCCESSES_PER_STEP: usize = 8;

/// The number is cut at most this often: one burst of throttled answers is one message.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// Attempts at a request that fails.
const ATTEMPTS_MAX: u32 = 10;

/// Attempts at a request as long as the store has never answered: probably nobody is there.
const FIRST_ATTEMPTS_MAX: u32 = 5;

/// Attempts at a request that is throttled: the store is well, and asks for patience.
const THROTTLED_ATTEMPTS_MAX: u32 = 40;

/// First and longest pause between attempts; each is a random part of it.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The slowest transfer that is waited for beyond a request's timeout.
const BYTES_PER_S_MIN: f64 = 256_000.0;

/// A read that takes this many times as long as usual is started a second time.
const HEDGE_FACTOR: f64 = 8.0;
const HEDGE_MIN: Duration = Duration::from_secs(1);

/// How a request may be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Reads: may be under way twice.
    Read,
    /// Writes: one after the other.
    Write,
}

/// Paces the requests to one bucket.
#[derive(Debug)]
pub(crate) struct Pace {
    slots: Semaphore,
    state: Mutex<State>,
    timeout: Duration,
    stop: Arc<AtomicBool>,
    traffic: Arc<Traffic>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Slots to be taken away when they come back.
    owed: usize,
    successes: usize,
    last_cut: Instant,
    /// Seconds that a request usually takes.
    usual_s: f64,
    has_answered: bool,
}

impl Pace {
    /// `timeout` is what a request may take beside its transfer; when `stop` is set, nothing is tried again; `traffic` counts.
    pub(crate) fn new(timeout: Duration, stop: Arc<AtomicBool>, traffic: Arc<Traffic>) -> Self {
        let state = State {
            limit: START,
            owed: 0,
            successes: 0,
            last_cut: Instant::now(),
            usual_s: 0.1,
            has_answered: false,
        };
        Self { slots: Semaphore::new(START), state: Mutex::new(state), timeout, stop, traffic }
    }

    /// Performs a request of `bytes` bytes until it succeeds, fails for good, or has failed too often. `attempt` is given how
    /// many attempts there were before.
    pub(crate) async fn perform<T, F>(
        &self,
        request: Request,
        bytes: u64,
        timed_out: impl Fn() -> Error,
        attempt: impl Fn(u32) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let allowed = self.timeout + Duration::from_secs_f64(bytes as f64 / BYTES_PER_S_MIN);
        // A store that asks for fewer requests also fails more often: each kind has its own limit.
        let (mut attempts, mut throttled) = (0, 0);
        loop {
            let slot = self.slots.acquire().await.expect("never closed");
            let began = Instant::now();
            let answer = tokio::time::timeout(allowed, self.hedged(request, || attempt(attempts))).await;
            let result = answer.unwrap_or_else(|_| Err(timed_out()));
            let failed = result.as_ref().err().map(Error::kind);
            self.learn(slot, began.elapsed(), failed);
            self.traffic.ended(failed);
            let error = match result {
                Err(error) if error.kind().is_transient() => error,
                settled => return settled,
            };
            attempts += 1;
            throttled += u32::from(error.kind() == ErrorKind::Throttled);
            let is_last = match error.kind() {
                ErrorKind::Throttled => throttled >= THROTTLED_ATTEMPTS_MAX,
                _ if self.lock().has_answered => attempts - throttled >= ATTEMPTS_MAX,
                _ => attempts - throttled >= FIRST_ATTEMPTS_MAX,
            };
            if is_last || self.stop.load(Ordering::Relaxed) {
                return Err(error.after(attempts));
            }
            let pause = flowquet_aws::pause(attempts, PAUSE_FIRST, PAUSE_MAX);
            self.traffic.retried();
            tracing::info!(attempt = attempts, pause_ms = pause.as_millis() as u64, %error, "tries a request again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Starts a read again that takes much longer than usual, and takes what comes first.
    async fn hedged<T, F>(&self, request: Request, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if request == Request::Write {
            return attempt().await;
        }
        let usual_s = self.lock().usual_s;
        let patience = Duration::from_secs_f64(usual_s * HEDGE_FACTOR).max(HEDGE_MIN);
        let first = attempt();
        tokio::pin!(first);
        tokio::select! {
            result = &mut first => result,
            () = tokio::time::sleep(patience) => {
                tokio::select! {
                    result = &mut first => result,
                    result = attempt() => result,
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// More requests after successes, half as many after being throttled.
    fn learn(&self, slot: SemaphorePermit<'_>, took: Duration, failed: Option<ErrorKind>) {
        let mut state = self.lock();
        state.has_answered |= failed != Some(ErrorKind::Unreachable);
        if failed == Some(ErrorKind::Throttled) {
            if state.last_cut.elapsed() >= CUT_EVERY {
                state.last_cut = Instant::now();
                let cut = state.limit - (state.limit / 2).max(MIN).min(state.limit);
                state.limit -= cut;
                state.owed += cut;
                tracing::info!(at_once = state.limit, "throttled: sends fewer requests at once");
            }
        } else if failed.is_none() {
            state.usual_s += (took.as_secs_f64() - state.usual_s) / 16.0;
            // More are of use only where some are waiting.
            let is_short = self.slots.available_permits() == 0;
            state.successes += usize::from(is_short);
            if is_short && state.successes.is_multiple_of(SUCCESSES_PER_STEP) && state.limit < MAX {
                state.limit += 1;
                match state.owed {
                    0 => self.slots.add_permits(1),
                    _ => state.owed -= 1,
                }
            }
        }
        if state.owed > 0 {
            state.owed -= 1;
            slot.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "read", "s3://b/k".to_owned())
    }

    fn perform<F: Future<Output = Result<u32, Error>>>(
        pace: &Pace,
        request: Request,
        attempt: impl Fn(u32) -> F,
    ) -> Result<u32, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let timed_out = || error(ErrorKind::Unreachable);
        runtime.expect("a runtime").block_on(pace.perform(request, 0, timed_out, attempt))
    }

    fn fails_before(n: u32, kind: ErrorKind) -> impl Fn(u32) -> std::future::Ready<Result<u32, Error>> {
        move |before| std::future::ready(if before < n { Err(error(kind)) } else { Ok(before) })
    }

    #[test]
    fn transient_failures_are_tried_again_and_others_not() {
        let pace = Pace::new(Duration::from_secs(5), Arc::default(), Arc::default());
        let third = fails_before(3, ErrorKind::Unavailable);
        assert_eq!(perform(&pace, Request::Write, third).expect("the fourth attempt"), 3);
        let patient = fails_before(30, ErrorKind::Throttled);
        assert_eq!(perform(&pace, Request::Write, patient).expect("throttled for long"), 30);
        let counted = (pace.traffic.requests(), pace.traffic.retries(), pace.traffic.throttled());
        assert_eq!(counted, (4 + 31, 3 + 30, 30));
        let count = AtomicU32::new(0);
        let new = Pace::new(Duration::from_secs(5), Arc::default(), Arc::default());
        let nobody = fails_before(u32::MAX, ErrorKind::Unreachable);
        assert!(
            perform(&new, Request::Read, |n| {
                count.fetch_add(1, Ordering::Relaxed);
                nobody(n)
            })
            .is_err()
        );
        assert_eq!(count.swap(0, Ordering::Relaxed), FIRST_ATTEMPTS_MAX, "nobody has ever answered");
        let always = |before| {
            count.fetch_add(1, Ordering::Relaxed);
            fails_before(u32::MAX, ErrorKind::Unavailable)(before)
        };
        assert_eq!(perform(&pace, Request::Write, always).expect_err("never").kind(), ErrorKind::Unavailable);
        assert_eq!(count.into_inner(), ATTEMPTS_MAX);
        let denied = fails_before(1, ErrorKind::Denied);
        assert_eq!(perform(&pace, Request::Write, denied).expect_err("at once").kind(), ErrorKind::Denied);
    }

    #[test]
    fn once_asked_to_stop_nothing_is_tried_again() {
        let pace = Pace::new(Duration::from_secs(5), Arc::new(AtomicBool::new(true)), Arc::default());
        assert!(perform(&pace, Request::Write, fails_before(1, ErrorKind::Unavailable)).is_err());
    }

    #[test]
    fn what_hangs_is_given_up_and_slow_reads_are_started_twice() {
        let pace = Pace::new(Duration::from_secs(5), Arc::default(), Arc::default());
        let count = AtomicU32::new(0);
        let hangs_once = |_| {
            let n = count.fetch_add(1, Ordering::Relaxed);
            async move { if n.is_multiple_of(2) { std::future::pending().await } else { Ok(n) } }
        };
        assert_eq!(perform(&pace, Request::Write, hangs_once).expect("after the timeout"), 1);
        assert_eq!(perform(&pace, Request::Read, hangs_once).expect("the second one"), 3);
    }

    #[test]
    fn throttling_halves_and_successes_restore() {
        let pace = Pace::new(Duration::from_secs(5), Arc::default(), Arc::default());
        pace.lock().last_cut = Instant::now() - CUT_EVERY;
        perform(&pace, Request::Write, fails_before(1, ErrorKind::Throttled)).expect("the second attempt");
        assert_eq!(pace.lock().limit, START / 2);
        let well = || perform(&pace, Request::Write, fails_before(0, ErrorKind::Throttled)).expect("well");
        for _ in 0..SUCCESSES_PER_STEP * START {
            well();
        }
        assert_eq!(pace.slots.available_permits(), START / 2, "nobody waits: no more are needed");
        let others = pace.slots.try_acquire_many(START as u32 / 2 - 1).expect("free");
        for _ in 0..SUCCESSES_PER_STEP {
            well();
        }
        assert_eq!(pace.lock().limit, START / 2 + 1);
        drop(others);
        assert_eq!(pace.slots.available_permits(), START / 2 + 1);
    }
}
