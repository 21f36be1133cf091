//! The threads that wait for S3.

use std::ops::Deref;

use tokio::runtime::{Builder, Runtime};

/// A runtime that may be let go of on any thread. What is on its way may be the last to hold it when it is given up, on one of its own
/// threads, which must not wait for themselves.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Runtime>);

impl Waiting {
    /// So many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("flowquet-s3")
            .enable_all()
            .build()
            .expect("threads can be made");
        Self(Some(runtime))
    }
}

impl Deref for Waiting {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_last_to_hold_it_may_be_one_of_its_threads() {
        let waiting = Arc::new(Waiting::new(1));
        let (held, (go, gone)) = (waiting.clone(), tokio::sync::oneshot::channel::<()>());
        let (done, end) = std::sync::mpsc::channel();
        waiting.spawn(async move {
            let _ = gone.await;
            // Where this panicked, nothing would be sent.
            drop(held);
            done.send(())
        });
        drop(waiting);
        go.send(()).expect("it waits");
        assert_eq!(end.recv(), Ok(()));
    }
}
