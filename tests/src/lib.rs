//! Tests of the workspace as a whole: `tests/` in Rust, `readers/` in Python, `sample/` with logs made up for both.
//! [`fuzz`] holds what a fuzzer runs, on stable and nightly compilers alike.

pub mod fuzz;
