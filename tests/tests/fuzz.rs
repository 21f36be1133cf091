//! Fuzz targets on a stable compiler: some hundred or thousand damaged inputs each, the same ones every time.
//!
//! `FLOWQUET_FUZZ_SECONDS=60` has each target run so long instead, with inputs that nobody had before; `FLOWQUET_FUZZ_SEED` chooses them, and does
//! again what a failure named. `FLOWQUET_FUZZ_TARGET=framing` runs one target alone.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use flowquet_tests::fuzz::{Effort, TARGETS, run};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("expected a number in {variable}, found {text:?}")))
}

#[test]
#[expect(clippy::print_stdout, reason = "what ran is told to whoever asks with --nocapture")]
fn damaged_and_hostile_bytes_break_no_promise() {
    let (effort, seed) = match number("FLOWQUET_FUZZ_SECONDS") {
        None => (None, 0),
        Some(seconds) => (Some(Effort::Time(Duration::from_secs(seconds))), RandomState::new().hash_one(0)),
    };
    let seed = number("FLOWQUET_FUZZ_SEED").unwrap_or(seed);
    let only = std::env::var("FLOWQUET_FUZZ_TARGET").ok();
    let mut ran = 0;
    // One after the other: memory is measured of the whole process.
    for target in TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| only == target.name)) {
        let inputs = run(target, seed, effort.unwrap_or(Effort::Inputs(target.inputs)));
        println!("{}: {inputs} inputs from seed {seed}", target.name);
        assert!(inputs > 0, "{} ran", target.name);
        ran += 1;
    }
    assert!(ran > 0, "there is no target {only:?}");
}
