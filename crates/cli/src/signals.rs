//! Ctrl-C and SIGTERM: asked once, a run ends at the next whole step; asked twice, at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use crate::exit::Exit;
use crate::output::say;
use crate::reporter::say_above;

/// Set by Ctrl-C and SIGTERM, of this process alone.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// What a run looks at to know whether it is asked to end.
pub(crate) fn stop() -> &'static Arc<AtomicBool> {
    &STOP
}

/// Has the signals set [`stop`].
pub(crate) fn listen_for_signals() {
    // A second signal does not wait for the workers.
    let listening = ctrlc::set_handler(|| {
        if stop().swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        say_above("stopping; once more ends the program at once, which is safe too");
    });
    if listening.is_err() {
        say("warning: cannot listen for Ctrl-C; killing the program is safe, the next run finishes its work");
    }
}
