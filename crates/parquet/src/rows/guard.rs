//! The one place where a panic of the `parquet` crate ends: files of others may be damaged in ways that it does not expect, and
//! a file that cannot be read costs nobody else.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `decode`, which decodes bytes of a file. Where it panics the file is damaged: what was found is the message. Nothing is
/// printed, and what `decode` borrowed is not to be used again.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            if !IS_GUARDED.get() {
                others(panicked);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(before);
    decoded.map_err(|panicked| {
        format!("expected a whole Parquet file, found what its decoder cannot handle: {}", words(&*panicked))
    })
}

fn words(panicked: &(dyn Any + Send)) -> &str {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_messages() {
        assert_eq!(guarded(|| 7), Ok(7));
        for _ in 0..2 {
            let told = guarded(|| -> u8 { panic!("offset {} lies outside", 9) }).expect_err("it panics");
            assert!(told.ends_with("cannot handle: offset 9 lies outside"), "{told}");
            assert!(!IS_GUARDED.get());
        }
    }
}
