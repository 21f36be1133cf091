//! What stands in the table of a world, and what verification found there.

use flowquet_engine::{Fault, Finding, Verified};
use flowquet_table::Log;

use crate::world::World;

/// Keys of live files.
pub(crate) fn live(world: &World) -> Vec<String> {
    let log = Log::open(&world.lake_store()).expect("a table");
    log.state().files().all().expect("in memory").iter().map(|f| f.output.key.clone()).collect()
}

/// Keys of the table that begin so.
pub(crate) fn keys(world: &World, prefix: &str) -> Vec<String> {
    world.lake.snapshot().into_keys().filter(|k| k.starts_with(prefix)).collect()
}

/// Checks that nothing was found but objects that are not in the table.
#[track_caller]
pub(crate) fn assert_nothing_found(verified: &Verified, when: &str) {
    let findings: Vec<&Finding> =
        verified.findings.iter().filter(|f| f.fault != Fault::ObjectMissing).collect();
    assert!(findings.is_empty(), "{when}: {findings:#?}");
}
