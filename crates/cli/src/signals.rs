//! Ctrl-C and SIGTERM: asked once, a run ends at the next whole step, or when its grace is over; asked twice, at once.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
pub(crate) use flowquet_command::stop::stop;

use crate::exit::Exit;
use crate::output::say;
use crate::reporter::say_above;
use crate::size::whole;

/// Seconds that a run has for stopping, where none are given.
const STOP_WITHIN_S: u16 = 25;

/// How long words that cannot be said are waited for.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// Seconds that this process has for stopping.
static WITHIN_S: AtomicU16 = AtomicU16::new(STOP_WITHIN_S);

/// How long a run takes to stop.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Seconds from SIGTERM or Ctrl-C until the run ends at the latest; keep it below the sender's grace period (30 s in Kubernetes
    /// and ECS)
    #[arg(long, value_name = "S", default_value_t = STOP_WITHIN_S, value_parser = whole::<u16, 1, 3600>, global = true)]
    stop_within: u16,
}

/// Has commands stop as `args` say, from now on.
pub(crate) fn begin(args: &StopArgs) {
    WITHIN_S.store(args.stop_within, Ordering::Relaxed);
}

/// Has the signals set [`stop`].
pub(crate) fn listen_for_signals() {
    // A second signal does not wait for the workers.
    let listening = ctrlc::set_handler(move || {
        if stop().swap(true, Ordering::Relaxed) {
            end_now();
        }
        let grace = Duration::from_secs(u64::from(WITHIN_S.load(Ordering::Relaxed)));
        // Most waits look at the flag. A pipe that nobody writes to, or a disk that does not answer, does not; nor may standard error
        // be read by anybody.
        std::thread::spawn(move || {
            std::thread::sleep(grace);
            say_soon(format!(
                "did not stop within {} s; exiting now (safe): the next run continues from what is committed",
                grace.as_secs()
            ));
            end_now();
        });
        say_soon("stopping; a second Ctrl-C or SIGTERM exits immediately (also safe)".to_owned());
    });
    if listening.is_err() {
        say("warning: cannot listen for Ctrl-C; killing the program is safe, the next run finishes its work");
    }
}

/// Says something, and waits a moment for that, not for whoever does not read it.
fn say_soon(words: String) {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        say_above(&words);
        // Nobody may be waiting any more.
        let _ = said.send(());
    });
    let _ = heard.recv_timeout(SAID_WITHIN);
}

fn end_now() -> ! {
    std::process::exit(i32::from(Exit::Interrupted.code()))
}
