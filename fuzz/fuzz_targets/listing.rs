//! `flowquet_tests::fuzz`: the target `listing`.
#![no_main]

use flowquet_tests::fuzz::target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| (target("listing").run)(data));
