//! Ctrl-C and SIGTERM: asked once, a run ends at the next whole step; asked twice, at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;
use crate::output::say;
use crate::reporter::say_above;

/// Set by Ctrl-C and SIGTERM.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// Has the signals set [`STOP`].
pub(crate) fn listen_for_signals() {
    // A second signal does not wait for the workers.
    let listening = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        say_above("stopping; once more ends the program at once, which is safe too");
    });
    if listening.is_err() {
        say("warning: cannot listen for Ctrl-C; killing the program is safe, the next run finishes its work");
    }
}
