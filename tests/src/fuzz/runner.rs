//! Runs a target with damaged seeds, and says how to do it again where a promise is broken.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use flowquet_testkit::generate::Random;

use super::Target;
use super::mutate::mutated;

/// Longest time of one input. What a target is given is at most some tens of kilobytes.
const INPUT_MAX: Duration = Duration::from_secs(20);

/// Most memory that the process may have taken at any time, by its own count of pages: 64 KiB are decoded to at most a few limits of
/// 64 MiB, and the rest is the test's own.
const MEMORY_MAX_KIB: u64 = 1 << 20;

/// Inputs between two looks at the memory.
const LOOK_AFTER: u64 = 64;

/// How long a target is run.
#[derive(Debug, Clone, Copy)]
pub enum Effort {
    /// So many inputs.
    Inputs(u64),
    /// So long.
    Time(Duration),
}

/// Runs a target with its seeds, with what was found before, and with inputs made of those: the same ones for the same `seed`.
/// Returns how many.
///
/// # Panics
/// Where a promise is broken. The message has the input.
pub fn run(target: &Target, seed: u64, effort: Effort) -> u64 {
    let mut seeds = (target.seeds)();
    seeds.extend(finds(target.name));
    assert!(!seeds.is_empty(), "{} has seeds", target.name);
    seeds.iter().for_each(|input| check(target, input, "a seed or an earlier find"));
    let started = Instant::now();
    let mut inputs = 0;
    loop {
        let is_enough = match effort {
            Effort::Inputs(max) => inputs >= max,
            Effort::Time(max) => started.elapsed() >= max,
        };
        if is_enough {
            return inputs;
        }
        // Each input of its own: one is found again without those before it.
        let mut random = Random::new(seed.wrapping_add(inputs).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let input = mutated(&seeds, &mut random);
        check(target, &input, &format!("seed {seed}, input {inputs}"));
        inputs += 1;
        if inputs.is_multiple_of(LOOK_AFTER) {
            let taken = peak_kib();
            assert!(
                taken < MEMORY_MAX_KIB,
                "{}: {taken} KiB taken by seed {seed}, input {inputs}",
                target.name
            );
        }
    }
}

/// Inputs that broke a promise once.
fn finds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("finds").join(name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the tree")).collect()
}

fn check(target: &Target, input: &[u8], which: &str) {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let taken = started.elapsed();
    let what = match result {
        Ok(()) if taken < INPUT_MAX => return,
        Ok(()) => format!("it took {taken:?}"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
        }
    };
    let mut hex = String::new();
    input.iter().for_each(|byte| write!(hex, "{byte:02x}").expect("a string takes all"));
    panic!(
        "{}: {which}: {what}\nto keep it: echo {hex} | xxd -r -p > tests/finds/{}/NAME",
        target.name, target.name
    );
}

/// The most memory that this process has taken so far; 0 where the system does not tell.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}
