//! Whether a file of ours is as it was written: its footer, and what its pages hold.
//!
//! A footer alone tells rows, where columns stand, and the bounds of what they hold. Pages tell the rest: each value is decoded, and
//! compared with the bounds that readers prune by, with the order that the file declares, and by a digest with what was converted.
//! Whoever only asks for some columns reads those alone.

mod bounds;
mod columns;
mod fault;
mod footer;
mod group;

pub use columns::{ColumnSize, ColumnValues, GroupBounds, TextValues};
pub use fault::{FileFault, FileFaultKind};
pub use footer::CheckedFile;
pub use group::CheckedGroup;
