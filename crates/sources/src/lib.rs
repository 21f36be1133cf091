//! What there is to read: listing in portions, manifests, opening, fetching ahead, and standard input.
//!
//! This crate knows no lines, no columns and no log: of a table it knows what its objects are called, so that a table is never
//! taken for a source, and how [`SourceObject`](flowquet_table::SourceObject) names an object.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! use flowquet_format::KeyFilter;
//! use flowquet_sources::{Lister, Source, SourceSet};
//! use flowquet_store::{Location, Memory, Store, Stores};
//!
//! let logs = Memory::new("s3://logs");
//! logs.put("a/2024.log", b"srcaddr\n10.0.0.1\n").expect("memory takes all");
//! let logs: Arc<dyn Store> = Arc::new(logs);
//! let sources = SourceSet::new(Arc::new(Stores::of(BTreeMap::from([("logs".to_owned(), logs)]))));
//! let lister = Lister {
//!     sources: &sources,
//!     filter: &KeyFilter::default(),
//!     out_url: "s3://lake/".to_owned(),
//!     must_find: true,
//!     memory_max: 1 << 20,
//!     listed: &|_| {},
//!     stop: &AtomicBool::new(false),
//! };
//! let listing = lister.list(&[Source::At(Location::parse("s3://logs/a/").expect("a location"))]).expect("a listing");
//! assert_eq!(listing.all.objects[0].url(), "s3://logs/a/2024.log");
//! ```

mod error;
mod fetch;
mod listing;
mod manifest;
mod source;

pub use error::Error;
pub use fetch::{FETCH_BYTES_MAX, Fetcher, WINDOW_BYTES};
pub use listing::{
    LeftOutService, LeftOutTable, Listed, Lister, Listing, PORTION_OBJECTS, Portion, Unlistable,
};
pub use source::{
    Source, SourceSet, absolute_url, is_remote, lies_within, root_url, same_place, spool, spool_key,
};
