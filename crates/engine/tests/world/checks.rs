//! Verification of a world.

use std::sync::atomic::AtomicBool;

use flowquet_engine::{Budget, Event, Share, Trouble, Verified, VerifyRequest, verify};
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::Location;
use flowquet_table::Log;

use super::World;

/// How far it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Records, a listing, footers.
    Footers,
    /// All that files hold.
    Data,
    /// And a listing of the logs.
    Source,
    /// And all that they hold.
    Deep,
}

impl World {
    /// Verifies the table.
    pub(crate) fn verify(&self, depth: Depth) -> Verified {
        let logs = Source::At(Location::parse("s3://logs/").expect("a location"));
        let request = VerifyRequest {
            out: self.lake_store(),
            stores: self.stores(),
            sources: if depth >= Depth::Source { vec![logs] } else { Vec::new() },
            filter: KeyFilter::default(),
            data: (depth >= Depth::Data).then_some(Share::All),
            deep: depth == Depth::Deep,
            budget: Budget::new(1, None, true, false).expect("enough"),
        };
        verify(&request, &|_: &Event<'_>| {}, &AtomicBool::new(false)).expect("memory does not fail")
    }

    /// Checks that a table which was left at any moment gives no alarm: nothing is wrong with records and files, though work may be
    /// left.
    #[track_caller]
    pub(crate) fn assert_no_alarm(&self, when: &str) {
        if Log::find_contract(self.lake_store().as_ref()).expect("memory").is_none() {
            return;
        }
        for depth in [Depth::Footers, Depth::Data] {
            let verified = self.verify(depth);
            assert!(verified.trouble() >= Trouble::Left, "{when}: {:#?}", verified.findings);
        }
    }
}
