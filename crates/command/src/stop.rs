//! Whether this process was asked to end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

/// Set by Ctrl-C and SIGTERM, of this process alone.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// What a run looks at to know whether it is asked to end.
pub fn stop() -> &'static Arc<AtomicBool> {
    &STOP
}
